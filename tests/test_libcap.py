"""Capabilities as values, against libcap's programs, the attributes of files, and /proc."""

import contextlib
import copy
import errno
import os
import pickle
import re
import shutil
import signal
import struct
import subprocess
import threading
from pathlib import Path

import pytest
import support
from hypothesis import example, given
from hypothesis import strategies as st

import _prctl
import prctl
from prctl import Capabilities

FIELDS = {"permitted": "CapPrm", "effective": "CapEff", "inheritable": "CapInh"}
LAST = prctl.CAP_LAST_CAP
BEYOND = [str(number) for number in range(LAST + 1, 64)]  # what this kernel does not have
ATTRIBUTE = "security.capability"

# What root has in any container: the tests need no more.
SOME = Capabilities(["chown", "kill", "setuid"], ["kill"], ["chown"])

MASKS = st.integers(0, 2**64 - 1) | st.sets(st.integers(0, 63), max_size=4).map(
    lambda numbers: sum(1 << number for number in numbers)
)


def capabilities(mask):
    return [number for number in range(64) if mask >> number & 1]


VALUES = st.builds(
    Capabilities, MASKS.map(capabilities), MASKS.map(capabilities), MASKS.map(capabilities)
)


def mask(names):
    """The mask of an attribute; the numbers are those of the constants of prctl."""
    numbers = (getattr(prctl, f"CAP_{name.upper()}", None) for name in names)
    return sum(1 << (int(name) if n is None else n) for name, n in zip(names, numbers, strict=True))


def masks(value):
    return {name: mask(getattr(value, name)) for name in FIELDS}


def thread_masks(pid="self", tid=None):
    """The same of a thread, from /proc."""
    status = support.status("thread-self" if pid == "self" else pid, tid)
    return {name: int(status[field], 16) for name, field in FIELDS.items()}


def raw_capset(permitted, effective, inheritable):
    words = [
        m >> 32 * half & 0xFFFFFFFF for half in (0, 1) for m in (effective, permitted, inheritable)
    ]
    header = bytearray(struct.pack("=Ii", 0x20080522, 0))
    support.system_call("capset", header, bytearray(struct.pack("=6I", *words)))


# Files


def attribute(path):
    """What a file's attribute says: its version, its effective bit, its masks and its root user."""
    data = os.getxattr(path, ATTRIBUTE)
    magic, *words = struct.unpack(f"<{len(data) // 4}I", data)
    permitted, inheritable = words[0] | words[2] << 32, words[1] | words[3] << 32
    return magic >> 24, magic & 0xFFFFFF, permitted, inheritable, words[4:]


def in_file(value):
    """What attribute() has to say of a value without rootid."""
    sets = masks(value)
    return 2, bool(sets["effective"]), sets["permitted"], sets["inheritable"], []


@pytest.fixture
def file(tmp_path, root, monkeypatch):
    """The relative path of a file that can have capabilities; an ordinary user reaches it, too."""
    support.needs(31, "CAP_SETFCAP")
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    path = Path("program")
    path.touch(0o755)
    empty = struct.pack("<5I", 0x02000000, 0, 0, 0, 0)
    try:
        os.setxattr(path, ATTRIBUTE, empty)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip(f"the file system of {tmp_path} has no extended attributes")
        raise
    os.removexattr(path, ATTRIBUTE)
    return path


def getcap(path, *options):
    """What getcap prints of a file, without its name."""
    return support.run(support.tool("getcap"), *options, str(path)).strip().removeprefix(f"{path} ")


def setcap(*arguments):
    support.run(support.tool("setcap"), *map(str, arguments))


def run_as_user(*command):
    """What a command prints that an ordinary user starts."""
    return support.in_child(lambda: support.run(*command), user=True)


# The value


def test_the_attributes_are_frozensets_of_names():
    value = Capabilities(["CAP_NET_RAW", 0], "kill", prctl.CAP_CHOWN)
    assert value.permitted == frozenset({"net_raw", "chown"})
    assert value.effective == frozenset({"kill"})
    assert value.inheritable == frozenset({"chown"})
    assert all(type(getattr(value, name)) is frozenset for name in FIELDS)


def test_without_arguments_nothing_is_in_any_set():
    assert masks(Capabilities()) == dict.fromkeys(FIELDS, 0)


def test_a_live_set_can_be_an_argument():
    value = Capabilities(prctl.cap_permitted, prctl.cap_effective, prctl.cap_inheritable)
    assert value == Capabilities.current()


def test_any_iterable_can_be_an_argument():
    assert Capabilities(iter([0, "kill"])) == Capabilities({"chown": 1, "kill": 2})


def test_what_has_no_name_is_its_decimal_number():
    assert Capabilities(["63", 62]).permitted == {"62", "63"}


@given(VALUES, VALUES)
def test_values_are_equal_and_hash_alike_when_all_sets_are(one, other):
    same = masks(one) == masks(other)
    assert (one == other) is same
    assert (one != other) is not same
    assert Capabilities(one.permitted, one.effective, one.inheritable) == one
    assert len({one, other, copy.copy(one)}) == (1 if same else 2)


def test_a_value_equals_nothing_of_another_type():
    value = Capabilities.from_text("cap_kill=ep")
    assert value != "cap_kill=ep"
    assert value != ({"kill"}, {"kill"}, set())


@given(VALUES)
def test_a_copy_and_an_unpickled_value_are_equal(value):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(value, protocol)) == value
    assert copy.copy(value) == copy.deepcopy(value) == value


def test_a_pickle_is_read_where_only_prctl_is_known():
    data = pickle.dumps(SOME)
    assert b"_prctl" not in data
    source = "import pickle, sys; print(pickle.loads(bytes.fromhex(sys.argv[1])))"
    assert support.run_python(source, data.hex()).strip() == str(SOME)


@given(VALUES)
def test_the_repr_evaluates_to_an_equal_value(value):
    assert eval(repr(value)) == value


def test_the_repr_is_short():
    value = Capabilities(prctl.ALL_CAPS, prctl.ALL_CAPS)
    assert repr(value) == "prctl.Capabilities.from_text('=ep')"


@pytest.mark.parametrize("name", [*FIELDS, "_masks", "new"])
def test_a_value_cannot_be_changed(name):
    value = copy.copy(SOME)
    with pytest.raises(AttributeError):
        setattr(value, name, frozenset())
    with pytest.raises(AttributeError):
        delattr(value, name)
    assert value == SOME


def test_subclasses_stay_what_they_are():
    class Mine(Capabilities):
        pass

    value = Mine.from_text("cap_kill=p")
    assert type(value) is type(Mine.current()) is type(copy.copy(value)) is Mine
    assert value == Capabilities("kill")


@pytest.mark.parametrize(
    ("capability", "error", "message"),
    [
        ("nonsense", ValueError, "Unknown capability: nonsense"),
        ("cap_cap_chown", ValueError, "Unknown capability: cap_cap_chown"),
        ("", ValueError, "Unknown capability: "),
        ("64", ValueError, "Unknown capability: 64"),
        (64, ValueError, "Unknown capability: 64"),
        (-1, ValueError, "Unknown capability: -1"),
        (10**5000, ValueError, "Unknown capability"),
        (1.0, TypeError, ""),
        (None, TypeError, ""),
        (b"chown", TypeError, ""),
        (["chown"], TypeError, ""),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) else hex(value)[:20],
)
@pytest.mark.parametrize("name", FIELDS)
def test_no_capability_is_the_error_that_it_is_in_the_sets(name, capability, error, message):
    with pytest.raises(error) as caught:
        Capabilities(**{name: ["kill", capability]})
    assert message in str(caught.value)


# Text


@given(VALUES)
@example(Capabilities(range(64), range(64), range(64)))
@example(Capabilities(range(0, 64, 2), range(1, 64, 2), range(0, 64, 3)))
@example(Capabilities(BEYOND, [], BEYOND))
def test_text_goes_there_and_back(value):
    text = str(value)
    assert masks(Capabilities.from_text(text)) == masks(value)
    assert str(Capabilities.from_text(text)) == text


@given(st.text("cap_kil,ALL=+-eip \t\n0139x\xe9\0\ud800", max_size=30))
def test_any_text_is_a_value_or_a_value_error(text):
    try:
        value = Capabilities.from_text(text)
    except ValueError:
        return
    assert Capabilities.from_text(str(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", Capabilities()),
        ("=", Capabilities()),
        (" \n\t", Capabilities()),
        ("cap_net_raw,cap_chown=ep", Capabilities(["net_raw", "chown"], ["net_raw", "chown"])),
        ("CAP_NET_RAW+eip", Capabilities(["net_raw"], ["net_raw"], ["net_raw"])),
        ("=p cap_kill-p", Capabilities(set(prctl.ALL_CAPS) - {prctl.CAP_KILL})),
        ("all=i", Capabilities(inheritable=prctl.ALL_CAPS)),
        ("=ep", Capabilities(prctl.ALL_CAPS, prctl.ALL_CAPS)),
        ("cap_kill=e", Capabilities(effective=["kill"])),
        ("5,0x3f,010+p", Capabilities([5, 63, 8])),
        ("=p 63+p", Capabilities([*prctl.ALL_CAPS, 63])),
        (",".join(BEYOND) + "+p", Capabilities(BEYOND)),
    ],
)
def test_text_says_what_libcap_says(text, value):
    assert Capabilities.from_text(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "net_raw=ep",
        "cap_nonsense=ep",
        "cap_kill",
        "cap_kill=x",
        "cap_kill=p=e",
        "+ep",
        "64+p",
        "-1+p",
        "18446744073709551616+p",
        "cap_kill,=p",
        "cap_kill=p\xe9",
        "cap_kill=p\udcff",
        "c\u0131p_kill=p",
        "x" * 100000,
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_text_that_libcap_refuses_is_a_value_error_that_shows_it(text):
    with pytest.raises(ValueError, match="Not libcap's text form of capabilities: '") as caught:
        Capabilities.from_text(text)
    assert type(caught.value) is ValueError
    assert repr(text)[:30] in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["\0", "cap_kill=p\0", "cap_kill=p\0junk"])
def test_text_with_an_embedded_nul_is_a_value_error(text):
    with pytest.raises(ValueError, match="embedded null"):
        Capabilities.from_text(text)


@pytest.mark.parametrize("text", [b"cap_kill=p", None, 5, ["cap_kill=p"], bytearray()])
def test_text_that_is_no_str_is_a_type_error(text):
    with pytest.raises(TypeError, match="text must be str"):
        Capabilities.from_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "=",
        "=ep",
        "all=eip",
        "cap_net_raw=ep",
        "cap_net_raw+p cap_chown+i",
        "cap_net_raw=p cap_net_raw+e",
        "=p cap_sys_admin,cap_kill-p",
        "= 40+ip",
        "63=ep",
        "CAP_KILL,Cap_Chown=eip",
    ],
)
def test_setcap_understands_a_text_and_its_str_as_we_do(file, text):
    value = Capabilities.from_text(text)
    for same in (text, str(value)):
        setcap(same, file)
        assert attribute(file) == in_file(value)


@pytest.mark.parametrize("bits", [0x1, 1 << LAST, (2 << LAST) - 1, 0x2A5A5A5A5A & (2 << LAST) - 1])
def test_capsh_decodes_a_mask_to_the_names_of_the_text(bits):
    decoded = support.run(support.tool("capsh"), f"--decode={bits:x}").strip().partition("=")[2]
    assert Capabilities.from_text(f"{decoded}+p") == Capabilities(capabilities(bits))


# A program with another libcap than this machine's, or with one that fails.

PRELOADED = """
import sys, prctl
C = prctl.Capabilities
def outcome(function, *arguments):
    try:
        return str(function(*arguments))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
for result in RESULTS:
    print(outcome(*result))
"""


def with_preloaded(tmp_path, c_source, results):
    """The lines that a fresh interpreter prints, in which C functions take the place of others."""
    library = tmp_path / "preloaded.so"
    support.compile_c(c_source, library, "-shared", "-fPIC")
    environment = support.fresh_environment(LD_PRELOAD=str(library))
    source = PRELOADED.replace("RESULTS", results)
    return support.run_python(source, env=environment).splitlines()


def needs_dynamic_libcap():
    if b"libcap.so" not in Path(_prctl.__file__).read_bytes():
        pytest.skip("libcap is linked statically: its functions cannot be replaced")


def test_all_is_what_the_kernel_has_for_a_libcap_that_does_not_ask_it(tmp_path):
    needs_dynamic_libcap()
    lines = with_preloaded(
        tmp_path,
        "int cap_max_bits(void) { return 64; }",
        "[(C.__eq__, C.from_text(text), C(permitted)) for text, permitted in ("
        "('=p', prctl.ALL_CAPS), ('all=p', prctl.ALL_CAPS), ('63+p', [63]),"
        "('=p cap_kill-p', set(prctl.ALL_CAPS) - {prctl.CAP_KILL}))]",
    )
    assert lines == ["True"] * 4


def test_no_memory_in_libcap_is_a_memory_error(tmp_path):
    needs_dynamic_libcap()
    lines = with_preloaded(
        tmp_path,
        "#include <errno.h>\nvoid *cap_init(void) { errno = ENOMEM; return 0; }",
        "[(C.from_text, '='), (str, C()), (C.current,), (C.of, 1), (C.from_file, '/'),"
        " (C().to_file, sys.executable)]",
    )
    assert lines == ["MemoryError: "] * 6


def test_an_attribute_of_an_unknown_version_is_an_error(tmp_path):
    lines = with_preloaded(
        tmp_path,
        "#include <string.h>\n#include <sys/types.h>\n"
        "ssize_t getxattr(const char *p, const char *n, void *v, size_t s)"
        ' { memcpy(v, "\\0\\0\\0\\t", 4); return 20; }\n'
        "ssize_t fgetxattr(int f, const char *n, void *v, size_t s) { return 2; }",
        "[(C.from_file, '/'), (C.from_file, 0)]",
    )
    text = "OSError: [Errno 22] Invalid argument: libcap cannot read its security.capability: "
    assert lines == [text + "'/'", text + "0"]


def test_a_libcap_without_rootid_is_an_error_that_says_so(tmp_path):
    support.compile_extension(
        tmp_path, '-DPRCTL_VERSION="of old libcap"', "-Dcap_set_nsowner=cap_of_no_libcap"
    )
    source = """
import _prctl, prctl, sys
assert "of old libcap" in prctl.__version__
try:
    prctl.Capabilities("kill").to_file(sys.executable, 1000)
except OSError as error:
    print(error.errno, error)
"""
    environment = support.fresh_environment(PYTHONPATH=str(tmp_path))
    number, text = support.run_python(source, env=environment).split(maxsplit=1)
    assert int(number) == errno.EOPNOTSUPP
    assert "libcap before 2.26 knows no rootid" in text


# Threads and processes


@contextlib.contextmanager
def process_with(permitted, effective, inheritable):
    """The pid of a process that has these three masks."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            raw_capset(permitted, effective, inheritable)
            os.write(writer, b"!")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    try:
        with open(reader, "rb") as pipe:
            assert pipe.read(1) == b"!"
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_current_is_what_proc_says_of_the_calling_thread(user):
    def both():
        return masks(Capabilities.current()), thread_masks()

    ours, kernels = support.in_child(both, user=user)
    assert ours == kernels


@pytest.mark.parametrize("value", [SOME, Capabilities(), Capabilities("kill", "kill", "kill")])
def test_of_is_what_proc_and_getpcaps_say_of_a_process(root, value):
    with process_with(**masks(value)) as pid:
        assert thread_masks(pid) == masks(value)
        assert Capabilities.of(pid) == value
        done = subprocess.run(
            [support.tool("getpcaps"), str(pid)], capture_output=True, text=True, check=True
        )
        printed = (done.stdout + done.stderr).strip()  # older ones print to stderr
        assert Capabilities.from_text(printed.partition(": ")[2]) == value


def test_of_another_users_process_needs_no_privilege(root):
    with process_with(**masks(SOME)) as pid:
        assert support.in_child(Capabilities.of, pid, user=True) == SOME


def in_thread(function):
    """Run a function in another thread; yield what it returns while the thread is there."""
    answers, ready, end = [], threading.Event(), threading.Event()

    def run():
        try:
            answers.append(function())
        finally:
            ready.set()
        end.wait()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    return thread, answers, end


def test_of_a_thread_and_current_are_that_threads(root):
    def child():
        def drop():
            SOME.apply()
            return Capabilities.current()

        before = Capabilities.current()
        thread, answers, end = in_thread(drop)
        result = answers, Capabilities.of(thread.native_id)
        end.set()
        thread.join()
        return result, before == Capabilities.current() == Capabilities.of(os.getpid())

    assert support.in_child(child) == (([SOME], SOME), True)


def test_of_a_process_that_has_ended_is_a_process_lookup_error():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError) as caught:
        Capabilities.of(pid)
    assert caught.value.errno == errno.ESRCH


@pytest.mark.parametrize(
    ("pid", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (-(2**31), ValueError),
        (2**31, OverflowError),
        (2**32 + 1, OverflowError),
        (2**64, OverflowError),
        (-(2**80), OverflowError),
        ("1", TypeError),
        (1.0, TypeError),
        (None, TypeError),
    ],
)
def test_a_bad_pid_is_an_error_that_names_it(pid, error):
    with pytest.raises(error, match="pid"):
        Capabilities.of(pid)


# Applying


@pytest.mark.parametrize(
    "value",
    [SOME, Capabilities(), Capabilities(inheritable="kill"), Capabilities("kill", "kill", "kill")],
)
def test_apply_makes_the_sets_of_the_calling_thread_these(root, value):
    def child():
        value.apply()
        return thread_masks(), Capabilities.current()

    assert support.in_child(child) == (masks(value), value)


def test_applying_what_is_current_changes_nothing(user):
    def child():
        before = support.state()
        result = Capabilities.current().apply()
        return result, support.state() == before

    assert support.in_child(child, user=user) == (None, True)


def apply_refused(value):
    def child():
        before = support.state()
        error = support.error_of(value.apply)
        return error, support.state() == before

    return child


def test_applying_what_permitted_does_not_have_changes_nothing(user):
    def child():
        Capabilities("kill" if not user else ()).apply()
        return apply_refused(Capabilities(["kill", "setuid"], "kill"))()

    error, unchanged = support.in_child(child, user=user)
    lacking = "kill, setuid" if user else "setuid"
    text = f"permitted can only lose, and does not have {lacking}"
    assert error == support.refused(errno.EPERM, text)
    assert unchanged


def test_applying_effective_without_permitted_changes_nothing(root):
    error, unchanged = support.in_child(apply_refused(Capabilities("kill", ["kill", "chown"])))
    assert error[:2] == (errno.EPERM, PermissionError)
    assert unchanged


@pytest.mark.skipif(not BEYOND, reason="this kernel has all 64 capabilities")
@pytest.mark.parametrize("name", FIELDS)
def test_applying_what_the_kernel_does_not_have_is_a_value_error(name):
    def child():
        before = support.state()
        with pytest.raises(ValueError, match=f"kernel does not have the capability {LAST + 1}"):
            Capabilities(**{name: BEYOND[0]}).apply()
        return support.state() == before

    assert support.in_child(child)


@pytest.mark.kernel("threads")
def test_apply_inside_all_threads_is_for_every_thread(root):
    def child():
        threads = [in_thread(lambda: None) for _ in range(5)]
        SOME.apply()
        here_only = [thread_masks(os.getpid(), tid) for tid in os.listdir("/proc/self/task")]
        with prctl.all_threads():
            SOME.apply()
        everywhere = [thread_masks(os.getpid(), tid) for tid in os.listdir("/proc/self/task")]
        for thread, _, end in threads:
            end.set()
            thread.join()
        return here_only, everywhere

    here_only, everywhere = support.in_child(child)
    assert here_only.count(masks(SOME)) == 1
    assert everywhere == [masks(SOME)] * 6


@pytest.mark.kernel("threads")
def test_apply_inside_all_threads_names_the_thread_that_may_not(root):
    def child():
        thread, _, end = in_thread(Capabilities().apply)
        try:
            with prctl.all_threads():
                SOME.apply()
        except RuntimeError as error:
            return str(thread.native_id) in str(error), thread_masks()
        finally:
            end.set()
            thread.join()

    assert support.in_child(child) == (True, masks(SOME))


# Files


@pytest.mark.parametrize(
    "value",
    [
        Capabilities(),
        Capabilities("net_raw", "net_raw"),
        Capabilities("net_raw"),
        Capabilities(["net_raw", "chown"], ["net_raw", "chown", "kill"], "kill"),
        Capabilities(inheritable=prctl.ALL_CAPS),
        Capabilities(prctl.ALL_CAPS, prctl.ALL_CAPS, prctl.ALL_CAPS),
        Capabilities([63, LAST + 1, 0], [63, LAST + 1, 0]),
        Capabilities(range(64)),
    ],
    ids=str,
)
def test_to_file_writes_what_setcap_writes_and_getcap_reads(file, value):
    assert value.to_file(file) is None
    assert attribute(file) == in_file(value)
    assert Capabilities.from_file(file) == value
    twin = Path("twin")
    twin.touch()
    setcap(str(value), twin)
    assert os.getxattr(file, ATTRIBUTE) == os.getxattr(twin, ATTRIBUTE)
    assert getcap(file) == getcap(twin)
    assert Capabilities.from_text(getcap(file) or "=") == value


def test_to_file_takes_the_place_of_what_the_file_had(file):
    Capabilities("kill", "kill").to_file(file, rootid=1000)
    Capabilities("chown").to_file(file)
    assert attribute(file) == in_file(Capabilities("chown"))


class WithFileno:
    def __init__(self, fd):
        self.fd = fd

    def fileno(self):
        return self.fd


@pytest.mark.parametrize("kind", ["str", "bytes", "Path", "surrogates", "int", "file", "fileno"])
def test_a_file_can_be_given_in_every_way(file, kind):
    if kind == "surrogates":
        file = file.rename(os.fsdecode(b"\xff\xfe"))
    with open(file, "rb") as opened:
        given = {
            "str": str(file),
            "bytes": os.fsencode(file),
            "Path": file,
            "surrogates": str(file),
            "int": opened.fileno(),
            "file": opened,
            "fileno": WithFileno(opened.fileno()),
        }[kind]
        Capabilities("kill").to_file(given)
        assert attribute(file) == in_file(Capabilities("kill"))
        assert Capabilities.from_file(given) == Capabilities("kill")
        assert prctl.remove_file_caps(given) is None
        assert Capabilities.from_file(given) is None


def test_a_file_without_capabilities_has_none(user, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    Path("program").touch()
    assert support.in_child(Capabilities.from_file, "program", user=user) is None


@pytest.mark.parametrize("path", ["/proc/version", "/dev/null", "/"])
def test_what_cannot_have_capabilities_has_none(path):
    assert Capabilities.from_file(path) is None


def test_a_file_with_empty_sets_is_not_one_without(file):
    setcap("=", file)
    assert Capabilities.from_file(file) == Capabilities()


def test_anyone_can_read_the_capabilities_of_a_file(file):
    file.chmod(0)
    setcap("cap_kill=ep", file)
    value = support.in_child(Capabilities.from_file, file, user=True)
    assert value == Capabilities("kill", "kill")


@pytest.mark.parametrize(
    "value",
    [
        Capabilities(["net_raw", "chown"], ["chown"]),
        Capabilities(["chown"], ["net_raw", "chown"]),
        Capabilities(["chown"], ["chown"], ["kill"]),
        Capabilities([], ["chown"]),
        Capabilities(range(64), range(63)),
    ],
    ids=str,
)
def test_a_part_of_effective_is_a_value_error_before_the_file_is_touched(value):
    with pytest.raises(ValueError, match="effective must be empty or all of permitted and"):
        value.to_file("/no such file")


@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("kind", ["link", "dangling", "directory", "fifo", "device", "socketpair"])
def test_what_is_no_regular_file_is_an_error_that_says_so(file, kind, remove):
    Capabilities("kill").to_file(file)
    path = Path("other")
    if kind in ("link", "dangling"):
        path.symlink_to(file if kind == "link" else "nowhere")
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/null")
    else:
        path = os.pipe()[0]
    change = prctl.remove_file_caps if remove else Capabilities("chown").to_file
    number, _, text = support.in_child(support.error_of, change, path, seconds=10)
    said = "a symbolic link" if kind in ("link", "dangling") else "not a regular file"
    assert (number, text) == (errno.EINVAL, f"[Errno 22] Invalid argument: {said}: {path!r}")
    assert attribute(file) == in_file(Capabilities("kill"))


def test_links_are_followed_in_reading(file):
    Path("link").symlink_to(file)
    Capabilities("kill").to_file(file)
    assert Capabilities.from_file("link") == Capabilities("kill")


USES = {
    "from_file": Capabilities.from_file,
    "to_file": Capabilities("kill").to_file,
    "remove_file_caps": prctl.remove_file_caps,
}


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/no such file", FileNotFoundError, "No such file or directory: '/no such file'"),
        (b"/no such file", FileNotFoundError, "No such file or directory: b'/no such file'"),
        ("/etc/passwd/x", NotADirectoryError, "Not a directory: '/etc/passwd/x'"),
        ("x" * 5000, OSError, os.strerror(errno.ENAMETOOLONG)),
        ("", FileNotFoundError, "No such file or directory: ''"),
        (10**6, OSError, "Bad file descriptor: 1000000"),
        (-1, ValueError, "file descriptor"),
        (2**31, OverflowError, "int"),
        ("a\0b", ValueError, "embedded null"),
        (b"a\0b", ValueError, "embedded null"),
        (None, TypeError, "path must be str, bytes, os.PathLike or a file descriptor, not"),
        (1.5, TypeError, "path must be"),
        (["/"], TypeError, "path must be"),
        (WithFileno("x"), TypeError, "fileno"),
    ],
    ids=lambda value: ascii(value)[:25],
)
@pytest.mark.parametrize("use", USES)
def test_a_bad_file_is_an_error(use, path, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        USES[use](path)
    if isinstance(caught.value, OSError):
        assert caught.value.filename == path


def test_a_descriptor_that_is_but_a_path_is_a_bad_one(file):
    fd = os.open(file, os.O_PATH)
    errors = [support.error_of(use, fd)[0] for use in USES.values()]
    os.close(fd)
    assert errors == [errno.EBADF] * 3


def test_a_closed_file_is_a_value_error(tmp_path):
    with open(tmp_path / "file", "w") as file:
        pass
    for use in USES.values():
        with pytest.raises(ValueError, match="closed file"):
            use(file)


def test_a_path_that_fails_raises_its_own_error():
    class Bad:
        def __fspath__(self):
            raise KeyError("mine")

    for use in USES.values():
        with pytest.raises(KeyError, match="mine"):
            use(Bad())


def test_the_fourth_bit_of_a_rootid_is_not_lost(file):
    Capabilities("kill").to_file(file, 0x81828384)
    assert attribute(file)[4] == [0x81828384]


@pytest.mark.parametrize("rootid", [1, 1000, 2**31, 2**32 - 2])
def test_a_rootid_is_what_setcap_writes_and_getcap_shows(file, rootid):
    value = Capabilities(["net_raw", 63], ["net_raw", 63])
    value.to_file(file, rootid=rootid)
    assert attribute(file) == (3, *in_file(value)[1:4], [rootid])
    assert Capabilities.from_file(file) == value
    number = re.search(r"rootid=(-?\d+)", getcap(file, "-n"))[1]
    assert int(number) % 2**32 == rootid  # getcap prints it with a sign
    if rootid < 2**31:  # setcap takes no more
        twin = Path("twin")
        twin.touch()
        setcap("-n", rootid, str(value), twin)
        assert os.getxattr(file, ATTRIBUTE) == os.getxattr(twin, ATTRIBUTE)


@pytest.mark.parametrize("rootid", [None, 0])
def test_without_a_rootid_the_attribute_is_of_version_2(file, rootid):
    Capabilities("kill").to_file(file, rootid)
    assert attribute(file) == in_file(Capabilities("kill"))


@pytest.mark.parametrize(
    ("rootid", "error"),
    [
        (-1, OverflowError),
        (2**32, OverflowError),
        (2**64, OverflowError),
        (2**32 - 1, ValueError),
        ("0", TypeError),
        (1.0, TypeError),
    ],
)
def test_a_bad_rootid_is_an_error_before_the_file_is_touched(rootid, error):
    with pytest.raises(error, match="rootid"):
        Capabilities("kill").to_file("/no such file", rootid)


def test_removing_what_is_not_there_is_an_error_as_for_setcap(file):
    number, _, text = support.error_of(prctl.remove_file_caps, file)
    assert number == errno.ENODATA
    assert text == f"[Errno 61] No data available: the file has no capabilities: {file!r}"
    done = subprocess.run([support.tool("setcap"), "-r", str(file)], capture_output=True)
    assert done.returncode == 1


def test_a_file_of_version_3_loses_its_capabilities_like_any_other(file):
    Capabilities("kill").to_file(file, rootid=1000)
    prctl.remove_file_caps(file)
    assert getcap(file) == ""


# Who may


NEEDS = "changing the capabilities of a file needs CAP_SETFCAP"


@pytest.mark.parametrize("kind", ["user", "dropped"])
@pytest.mark.parametrize("by", ["path", "fd"])
@pytest.mark.parametrize(
    "use",
    [
        "to_file",
        pytest.param("remove_file_caps", marks=pytest.mark.kernel("guarded file capabilities")),
    ],
)
def test_a_refusal_names_cap_setfcap_where_it_is_lacking(file, use, by, kind):
    setcap("cap_chown=ep", file)
    os.chown(file, support.USER, support.USER)  # which does not help
    setcap("cap_chown=ep", file)

    def child():
        if kind == "dropped":
            current = thread_masks()
            current["effective"] &= ~(1 << prctl.CAP_SETFCAP)
            raw_capset(**current)
        return support.error_of(USES[use], file if by == "path" else opened.fileno())

    with open(file) as opened:
        shown = file if by == "path" else opened.fileno()
        number, error, text = support.in_child(child, user=kind == "user")
    assert (number, error) == (errno.EPERM, PermissionError)
    assert text == f"[Errno 1] Operation not permitted: {NEEDS}: {shown!r}"
    assert attribute(file) == in_file(Capabilities("chown", "chown"))


@pytest.mark.parametrize("owner", [support.USER, 0], ids=["owner", "stranger"])
def test_an_ordinary_user_can_remove_what_the_kernel_lets_him(file, owner):
    """Nothing, but under some kernels before Linux 6.11: docs/reference/capabilities.rst."""

    def left_by(remove):
        setcap("cap_chown=ep", file)

        def child():
            with contextlib.suppress(PermissionError):
                remove(file)

        support.in_child(child, user=True)
        return getcap(file)

    os.chown(file, owner, owner)
    left_by_the_kernel = left_by(lambda path: os.removexattr(path, ATTRIBUTE))
    assert left_by(prctl.remove_file_caps) == left_by_the_kernel


def test_a_refusal_for_another_reason_does_not_name_the_privilege(file):
    def child():
        support.enter_user_namespace()
        return support.error_of(Capabilities("kill").to_file, file)

    assert support.in_child(child)[2] == f"[Errno 1] Operation not permitted: {file!r}"


def in_namespace_of_user(function):
    """Run a function as root of a user namespace that has no user but an ordinary one."""

    def child():
        support.enter_user_namespace()
        support.kernel_prctl(4, 1)  # PR_SET_DUMPABLE: its files in /proc are its own again
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {support.USER} 1")
        Path("/proc/self/gid_map").write_text(f"0 {support.USER} 1")
        return function()

    return support.in_child(child, user=True)


def test_root_of_a_user_namespace_gives_capabilities_for_that_namespace(file):
    os.chown(file, support.USER, support.USER)
    value = Capabilities("kill", "kill")

    def change():
        value.to_file(file)
        return Capabilities.from_file(file)

    assert in_namespace_of_user(change) == value
    assert attribute(file) == (3, *in_file(value)[1:4], [support.USER])
    in_namespace_of_user(lambda: prctl.remove_file_caps(file))
    assert Capabilities.from_file(file) is None


def test_a_rootid_that_the_namespace_does_not_have_is_an_error_that_says_so(file):
    os.chown(file, support.USER, support.USER)
    number, _, text = in_namespace_of_user(
        lambda: support.error_of(Capabilities("kill").to_file, file, rootid=7)
    )
    assert number == errno.EINVAL
    assert "rootid must be a user that this user namespace has" in text


@pytest.mark.kernel("seccomp filters")
def test_a_refusal_without_a_rootid_is_not_blamed_on_it(file):
    def run():
        support.install_filter(support.refuse("fsetxattr", errno.EINVAL))
        with open(file, "rb") as opened:
            return support.error_of(Capabilities("kill").to_file, opened.fileno())

    assert "rootid" not in support.in_child(run)[2]


def test_capabilities_of_a_root_that_the_namespace_does_not_have_cannot_be_read(file):
    Capabilities("kill").to_file(file, rootid=1000)
    number, _, text = in_namespace_of_user(lambda: support.error_of(Capabilities.from_file, file))
    assert number == errno.EOVERFLOW
    assert text.endswith(f": {file!r}")


def test_a_program_starts_with_the_capabilities_of_its_file(file):
    if os.statvfs(".").f_flag & os.ST_NOSUID:
        pytest.skip("the file system of the temporary folder is mounted with nosuid")
    if support.status()["NoNewPrivs"] == "1":
        pytest.skip("the suite runs with no_new_privs")
    support.needs(prctl.CAP_KILL, "CAP_KILL")
    support.needs_features("file capabilities")
    shutil.copy("/bin/cat", file)

    def effective():
        printed = run_as_user(f"./{file}", "/proc/self/status")
        return int(re.search(r"CapEff:\s*(\w+)", printed)[1], 16)

    assert effective() == 0
    Capabilities("kill", "kill").to_file(file)
    assert effective() == 1 << prctl.CAP_KILL
    Capabilities("kill", "kill").to_file(file, rootid=1000)  # another namespace's
    assert effective() == 0


# What is left behind


def use_everything(path):
    for text in ("cap_kill,cap_chown=ep", "nonsense"):
        with contextlib.suppress(ValueError):
            str(Capabilities.from_text(text))
    Capabilities.current()
    for pid in (os.getpid(), 2**31 - 1):
        with contextlib.suppress(ProcessLookupError):
            Capabilities.of(pid)
    for each in (path, "/no such file", 10**6, None):
        for use in USES.values():
            with contextlib.suppress(OSError, TypeError):
                use(each)


def test_no_descriptor_and_no_memory_is_left_behind(tmp_path):
    path = tmp_path / "file"
    path.touch()

    def growth():
        def resident():
            return int(support.status()["VmRSS"].split()[0])

        for _ in range(300):
            use_everything(path)
        memory, descriptors = resident(), len(os.listdir("/proc/self/fd"))
        for _ in range(40000):
            use_everything(path)
        return resident() - memory, len(os.listdir("/proc/self/fd")) - descriptors

    memory, descriptors = support.in_child(growth, seconds=120)
    assert descriptors == 0
    assert memory < 1024  # KiB: the smallest leak, 32 bytes each time, would be 1250
