"""The numbers are the library's own: kernel headers that know one option give the same module."""

import json

import pytest
import support

LAST_CENTURY = """
#ifndef _LINUX_PRCTL_H
#define _LINUX_PRCTL_H
#define PR_SET_PDEATHSIG 1
#endif
"""

SHOW = """
import json, sys
import _prctl, prctl
everything = {name: getattr(_prctl, name) for name in dir(_prctl)}
numbers = {name: value for name, value in everything.items() if isinstance(value, int)}
others = sorted(everything.keys() - numbers)
documentation = {name: getattr(_prctl, name).__doc__ for name in others}
public = {name: getattr(prctl, name) for name in prctl.__all__}
exported = {name: value for name, value in public.items() if isinstance(value, int)}
json.dump([_prctl.__file__, numbers, documentation, exported], sys.stdout)
"""


def described(**environment):
    """The file of _prctl in a fresh interpreter, and what is in it."""
    environment = support.fresh_environment(**environment)
    file, *content = json.loads(support.run_python(SHOW, env=environment))
    content[1].pop("__spec__", None)
    return file, content


@pytest.fixture
def built_with_old_headers(tmp_path):
    """The path of an extension compiled with a linux/prctl.h that knows one option."""
    (tmp_path / "linux").mkdir()
    (tmp_path / "linux" / "prctl.h").write_text(LAST_CENTURY)
    return support.compile_extension(tmp_path, f"-I{tmp_path}", '-DPRCTL_VERSION="of old headers"')


def test_old_kernel_headers_make_the_same_names_and_numbers(built_with_old_headers):
    file, old = described(PYTHONPATH=str(built_with_old_headers.parent))
    assert file == str(built_with_old_headers)
    installed, new = described()
    assert installed != file
    assert len(new[0]) > 290
    assert old == new
