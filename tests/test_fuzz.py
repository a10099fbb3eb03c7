"""./dev fuzz finds what is planted: a fuzzer that sees nothing would find nothing, either."""

import signal
import subprocess
import sys

import support

sys.path.insert(0, str(support.SOURCES / "checks" / "fuzz"))

import calls
import targets

NUMBERS = [targets.INTEGERS]


def found(call, arguments=(), seconds=3, name="planted"):
    planted = {name: targets.Target(call, arguments)}
    fuzzer = calls.Fuzzer(planted, seconds)
    fuzzer.run(1, 0.1)
    return [(finding, calls.snippet(finding, planted)) for finding in fuzzer.findings]


def ends_with(snippet):
    return subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, check=False
    )


def test_a_crash_is_found_and_its_program_crashes():
    ((finding, snippet),) = found(
        "(lambda number: operator.index(number) > 1000 and ctypes.string_at(1))", NUMBERS
    )
    assert finding.what == f"dies: signal {signal.SIGSEGV:d}"
    assert len(finding.statements) == 1
    assert ends_with(snippet).returncode == -signal.SIGSEGV


def test_an_undocumented_exception_is_found_and_made_small():
    ((finding, snippet),) = found("(lambda number: [][operator.index(number)])", NUMBERS)
    assert finding.what == "IndexError: list index out of range"
    assert finding.statements[-1].arguments == ("0",)
    assert "IndexError" in ends_with(snippet).stderr


def test_a_hang_is_found():
    ((finding, _),) = found("(lambda: os.read(os.pipe()[0], 1))", seconds=1)
    assert finding.what.startswith("hangs")


def test_a_write_beside_a_buffer_is_found():
    ((finding, _),) = found(
        "(lambda buffer: ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(buffer)), 0, 9))",
        [targets.choice("hostile.lent(8)")],
    )
    assert finding.what == "Overrun: 8 bytes were lent"


def test_a_descriptor_that_stays_open_is_found():
    ((finding, _),) = found("(lambda: os.dup(0))")
    assert finding.what == "descriptors are left open: 1"


def test_a_call_that_kills_by_rights_may_and_no_other_way():
    strict = [targets.choice("1")]
    assert found("prctl.set_seccomp", strict, name="set_seccomp") == []
    for number in signal.SIGKILL, signal.SIGSEGV:  # before it returns
        kill = f"(lambda: os.kill(os.getpid(), {number:d}))"
        ((finding, _),) = found(kill, name="set_seccomp")
        assert finding.what == f"dies: signal {number:d}"


def test_a_documented_exception_is_none_to_tell():
    assert found("int", [targets.choice("'x'", "None")]) == []


def test_what_kills_by_rights_is_a_target():
    assert targets.LETHAL.keys() - targets.TARGETS.keys() == set()


def test_every_public_function_is_a_target():
    assert targets.missing() == set()


def test_a_seed_makes_the_same_calls_again():
    def sequences():
        made = []
        fuzzer = calls.Fuzzer()
        fuzzer.attempt = lambda sequence, user: made.append((sequence, user))
        fuzzer.run(7, 0.01)
        return made

    assert sequences() == sequences()
