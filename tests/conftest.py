import hypothesis
import pytest
import support

# How long an example takes is the machine's affair: it may be an emulated one.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "kernel(*features): skip where a C program, tests/kernel.c, finds one missing"
    )
    support.start_again_if_emulated(config)


def pytest_runtest_setup(item):
    for marker in item.iter_markers("kernel"):
        support.needs_features(*marker.args)


@pytest.fixture(params=["root", "user"])
def user(request):
    """False and True: for in_child(…, user=user), so that a test runs as root and as a user."""
    if request.param == "root" and not support.ROOT:
        pytest.skip("needs root, and the suite runs as an ordinary user")
    return request.param == "user"


@pytest.fixture
def root():
    if not support.ROOT:
        pytest.skip("needs root, and the suite runs as an ordinary user")
