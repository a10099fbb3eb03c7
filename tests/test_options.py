"""Every setter and getter against something that is not ours.

That is /proc, what the kernel then does, or the same option asked for through libc. Where this
machine's kernel cannot do a thing, another process pretends to be one that can. The order is that
of src/options.h.
"""

import array
import ctypes
import errno
import gc
import mmap
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time

import pytest
import support
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import (
    die_quietly,
    error_of,
    in_child,
    in_pretended_kernel,
    in_thread,
    kernel_prctl,
    kernel_prctl_out,
    refused,
)

import prctl

ULONG_MAX = 2 ** (8 * struct.calcsize("L")) - 1
MACHINE = support.machine()
KERNEL = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
SET_PTRACER, SET_SECCOMP = 0x59616D61, 22
SETPCAP, SYS_ADMIN = 8, 21


def drop_effective(capability):
    """Take one capability out of the effective set, without this library."""
    inheritable, permitted, effective = map(support.capability_mask, ("CapInh", "CapPrm", "CapEff"))
    effective &= ~(1 << capability)
    words = [
        mask >> shift & 0xFFFFFFFF
        for shift in (0, 32)
        for mask in (effective, permitted, inheritable)
    ]
    header = bytearray(struct.pack("=Ii", 0x20080522, 0))
    support.system_call("capset", header, bytearray(struct.pack("=6I", *words)))


def needs(capability):
    if not support.capability_mask("CapEff") >> capability & 1:
        pytest.skip(f"root has no {prctl.ALL_CAP_NAMES[capability]} in this container")


# What an emulator may lack: tests/kernel.c
subreaper = pytest.mark.kernel("subreaper")
filters = pytest.mark.kernel("seccomp filters")
strict = pytest.mark.kernel("strict seccomp")


# ---- What is set is what is got, by us and by libc

# setter, value, getter, what it gives, the option that libc asks, and how it answers
RETURNED, WRITTEN = kernel_prctl, kernel_prctl_out
PAIRS = [
    ("set_pdeathsig", signal.SIGUSR1, "get_pdeathsig", int(signal.SIGUSR1), 2, WRITTEN),
    ("set_pdeathsig", 1, "get_pdeathsig", 1, 2, WRITTEN),
    pytest.param(
        *("set_pdeathsig", signal.SIGRTMAX, "get_pdeathsig", int(signal.SIGRTMAX), 2, WRITTEN),
        marks=pytest.mark.kernel("SIGRTMAX"),
    ),
    ("set_dumpable", True, "get_dumpable", True, 3, RETURNED),
    ("set_dumpable", False, "get_dumpable", False, 3, RETURNED),
    ("set_keepcaps", True, "get_keepcaps", True, 7, RETURNED),
    ("set_keepcaps", False, "get_keepcaps", False, 7, RETURNED),
    ("set_timing", prctl.TIMING_STATISTICAL, "get_timing", prctl.TIMING_STATISTICAL, 13, RETURNED),
    ("set_timerslack", 1234567, "get_timerslack", 1234567, 30, RETURNED),
    ("set_mce_kill", prctl.MCE_KILL_EARLY, "get_mce_kill", prctl.MCE_KILL_EARLY, 34, RETURNED),
    ("set_mce_kill", prctl.MCE_KILL_LATE, "get_mce_kill", prctl.MCE_KILL_LATE, 34, RETURNED),
    ("set_mce_kill", prctl.MCE_KILL_DEFAULT, "get_mce_kill", prctl.MCE_KILL_DEFAULT, 34, RETURNED),
    pytest.param(
        *("set_child_subreaper", True, "get_child_subreaper", True, 37, WRITTEN),
        marks=subreaper,
    ),
    pytest.param(
        *("set_child_subreaper", False, "get_child_subreaper", False, 37, WRITTEN),
        marks=subreaper,
    ),
    ("set_no_new_privs", True, "get_no_new_privs", True, 39, RETURNED),
]


@pytest.mark.parametrize(("setter", "value", "getter", "got", "option", "oracle"), PAIRS)
def test_what_is_set_is_what_the_kernel_has(setter, value, getter, got, option, oracle, user):
    def change():
        result = getattr(prctl, setter)(value)
        return result, getattr(prctl, getter)(), oracle(option)

    result, ours, libc = in_child(change, user=user)
    assert (result, ours, type(ours), libc) == (None, got, type(got), int(got))


FLAGS = [
    ("set_dumpable", 3, RETURNED),
    ("set_keepcaps", 7, RETURNED),
    pytest.param("set_child_subreaper", 37, WRITTEN, marks=subreaper),
]
TRUTHS = [2, -1, 2**100, 0.5, "x", [0], object()], [0, None, "", b"", [], 0.0]


@pytest.mark.parametrize(("setter", "option", "oracle"), FLAGS)
def test_a_flag_is_taken_by_its_truth(setter, option, oracle):
    def set_and_look(value):
        getattr(prctl, setter)(value)
        return oracle(option)

    answers = in_child(lambda: [[set_and_look(value) for value in values] for values in TRUTHS])
    assert answers == [[1] * len(TRUTHS[0]), [0] * len(TRUTHS[1])]


# setter, value, getter: from a start at which the getter gives something else; whether it reaches
SCOPES = [
    ("set_pdeathsig", 10, "get_pdeathsig", False),
    ("set_keepcaps", True, "get_keepcaps", False),
    ("set_name", "a thread's", "get_name", False),
    ("set_timerslack", 123, "get_timerslack", False),
    ("set_mce_kill", prctl.MCE_KILL_EARLY, "get_mce_kill", False),
    ("set_no_new_privs", True, "get_no_new_privs", False),
    ("set_dumpable", False, "get_dumpable", True),
    pytest.param("set_child_subreaper", True, "get_child_subreaper", True, marks=subreaper),
]


@pytest.mark.parametrize(("setter", "value", "getter", "reaches"), SCOPES)
def test_a_change_in_one_thread_reaches_the_others_if_it_is_the_process_s(
    setter, value, getter, reaches
):
    def change():
        getattr(prctl, setter)(value)
        return getattr(prctl, getter)()

    def change_in_thread():
        kernel_prctl(4, 1)  # PR_SET_DUMPABLE
        before = getattr(prctl, getter)()
        assert in_thread(change) == value != before
        return getattr(prctl, getter)() == value

    assert in_child(change_in_thread) == reaches


# What kernels write where a pointer points: name, option, bytes, result
INT = struct.Struct("@i")
POINTED = [
    ("get_pdeathsig", 2, INT.pack(17), 17),
    ("get_unalign", 5, INT.pack(2), 2),
    ("get_unalign", 5, INT.pack(-1), 2**32 - 1),
    ("get_fpemu", 9, INT.pack(2), 2),
    ("get_fpexc", 11, INT.pack(0xF0080), 0xF0080),
    ("get_name", 16, b"fifteen bytes!!\0", "fifteen bytes!!"),
    ("get_name", 16, b"short\0rubbish!!\0", "short"),
    ("get_name", 16, b"not terminated!!", "not terminated!!"),
    ("get_endian", 19, INT.pack(2), 2),
    ("get_tsc", 25, INT.pack(2), 2),
    ("get_child_subreaper", 37, INT.pack(1), True),
    ("get_child_subreaper", 37, INT.pack(0), False),
]
# 8 bytes where the manual says 4, as the first kernels with PR_GET_UNALIGN on riscv did
WIDER = [
    (name, option, written + b"\xff" * 4, result)
    for name, option, written, result in POINTED
    if len(written) == 4
]


@pytest.mark.parametrize(("name", "option", "written", "result"), POINTED + WIDER)
def test_a_getter_reads_as_much_as_the_option_has(name, option, written, result):
    answers = {option: (0, {2: written})}
    got = in_pretended_kernel(answers, getattr(prctl, name))
    assert (got, type(got)) == (result, type(result))


# ---- What only other machines have: here it is EINVAL, and that is the answer

ELSEWHERE = {
    "unalign": (
        ("ia64", "parisc", "parisc64", "ppc", "ppc64", "ppc64le", "alpha", "sh4", "riscv64"),
        [1, 2, 3, 4],
    ),
    "fpemu": (("ia64",), [1, 2]),
    "fpexc": (("ppc", "ppc64", "ppc64le"), [0, 1, 2, 3, prctl.FP_EXC_SW_ENABLE | prctl.FP_EXC_DIV]),
    "endian": (("ppc", "ppc64", "ppc64le"), [0, 1, 2]),
    "tsc": (("x86_64", "i686", "aarch64"), [1, 2]),
}
REFUSED_HERE = [
    (f"{verb}_{name}", args)
    for name, (machines, modes) in ELSEWHERE.items()
    if MACHINE not in machines
    for verb, args in [("get", ()), *(("set", (mode,)) for mode in modes)]
]


@pytest.mark.parametrize(
    ("name", "args"), [*REFUSED_HERE, ("set_timing", (prctl.TIMING_TIMESTAMP,))]
)
def test_an_option_of_other_machines_is_einval(name, args, user):
    assert in_child(error_of, getattr(prctl, name), *args, user=user) == refused(errno.EINVAL)


# ---- PR_SET_PDEATHSIG


def fate(pid):
    """The signal that a child ended by, or 0."""
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


def fork_to(function, *args):
    pid = os.fork()
    if pid == 0:
        try:
            function(*args)
        finally:
            os._exit(0)
    return pid


def fate_of_orphan(ask):
    """How a process ends that has done ask() and then loses its parent."""
    kernel_prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: the orphan comes to us
    ready, told = os.pipe()

    def be_child(parent):
        ask()
        os.write(told, struct.pack("i", os.getpid()))
        while os.getppid() == parent:
            time.sleep(0.001)
        time.sleep(0.05)  # the signal comes a moment after the new parent

    def be_parent():
        fork_to(be_child, os.getpid())
        signal.pause()

    parent = fork_to(be_parent)
    os.close(told)
    child = struct.unpack("i", os.read(ready, 4))[0]
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    return fate(child)


def asked_then_took_back(by):
    prctl.set_pdeathsig(signal.SIGKILL)
    prctl.set_pdeathsig(by)


@subreaper
@pytest.mark.parametrize(
    ("ask", "fate"),
    [
        (lambda: None, 0),
        (lambda: prctl.set_pdeathsig(signal.SIGKILL), signal.SIGKILL),
        (lambda: prctl.set_pdeathsig(signal.SIGTERM), signal.SIGTERM),
        pytest.param(
            *(lambda: prctl.set_pdeathsig(signal.SIGRTMAX), signal.SIGRTMAX),
            marks=pytest.mark.kernel("SIGRTMAX"),
        ),
        (lambda: asked_then_took_back(None), 0),
        (lambda: asked_then_took_back(0), 0),
    ],
    ids=["nothing", "SIGKILL", "SIGTERM", "SIGRTMAX", "None", "0"],
)
def test_the_signal_asked_for_comes_when_the_parent_ends(ask, fate, user):
    assert in_child(fate_of_orphan, ask, user=user) == fate


def test_the_signal_comes_when_the_thread_that_forked_ends():
    def be_child(told):
        prctl.set_pdeathsig(signal.SIGUSR2)
        os.write(told, b"!")
        time.sleep(30)

    def fork_in_thread():
        ready, told = os.pipe()
        pid = fork_to(be_child, told)
        os.read(ready, 1)
        return pid

    assert in_child(lambda: fate(in_thread(fork_in_thread))) == signal.SIGUSR2


def test_a_fork_has_asked_for_no_signal():
    def fork():
        prctl.set_pdeathsig(signal.SIGTERM)
        return in_child(prctl.get_pdeathsig)

    assert in_child(fork) == 0


# ---- PR_SET_DUMPABLE


@pytest.mark.parametrize("flag", [True, False])
def test_the_files_of_a_user_s_process_are_root_s_unless_it_is_dumpable(flag):
    def owner():
        prctl.set_dumpable(flag)
        return os.stat("/proc/self/environ").st_uid, os.geteuid()

    file, user = in_child(owner, user=True)
    assert file == (user if flag else 0)


def test_dumpable_for_root_only_is_true():
    assert in_pretended_kernel({3: (2, {})}, prctl.get_dumpable) is True


# ---- PR_SET_KEEPCAPS


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.usefixtures("root")
def test_permitted_capabilities_outlive_the_change_to_a_user_if_kept(flag):
    def change():
        before = support.capability_mask("CapPrm")
        prctl.set_keepcaps(flag)
        os.setresuid(support.USER, support.USER, support.USER)
        return before, support.capability_mask("CapPrm"), support.capability_mask("CapEff")

    before, permitted, effective = in_child(change)
    assert before != 0
    assert (permitted, effective) == (before if flag else 0, 0)


@pytest.mark.usefixtures("root")
def test_locked_keepcaps_is_a_permission_error():
    def lock():
        kernel_prctl(28, prctl.SECBIT_KEEP_CAPS_LOCKED)
        return error_of(prctl.set_keepcaps, True)

    assert in_child(lock) == refused(errno.EPERM)


# ---- PR_SET_NAME


def comm(tid="thread-self"):
    with open(
        f"/proc/{tid}/comm" if tid == "thread-self" else f"/proc/self/task/{tid}/comm", "rb"
    ) as file:
        return file.read().removesuffix(b"\n")


class Text(str):
    __slots__ = ()


NAMES = [
    ("plain", b"plain"),
    (b"bytes", b"bytes"),
    (Text("subclass"), b"subclass"),
    ("", b""),
    (b"", b""),
    ("two words\n", b"two words\n"),
    ("x" * 15, b"x" * 15),
    ("x" * 16, b"x" * 15),
    (b"x" * 100000, b"x" * 15),
    ("é" * 7, "é".encode() * 7),
    ("é" * 8, "é".encode() * 7),
    ("x" * 14 + "é", b"x" * 14),
    ("€" * 100000, "€".encode() * 5),
    ("😀" * 4, "😀".encode() * 3),
    ("x" + "😀" * 4, b"x" + "😀".encode() * 3),
    ("é".encode() * 8, "é".encode() * 7 + b"\xc3"),  # bytes have no characters
    ("\udcff\udc80", b"\xff\x80"),
    ("\udcff" * 16, b"\xff" * 15),
    ("é\udcff" * 5 + "x", "é".encode() + b"\xff" + b"\xc3\xa9\xff" * 4),
    (bytes(range(1, 16)), bytes(range(1, 16))),
    (bytes(range(241, 256)), bytes(range(241, 256))),
]


@pytest.mark.parametrize(("name", "kept"), NAMES)
def test_the_name_is_what_the_kernel_shows_of_the_thread(name, kept, user):
    def rename():
        prctl.set_name(name)
        return comm(os.getpid()), prctl.get_name()

    assert in_child(rename, user=user) == (kept, os.fsdecode(kept))


def test_any_fifteen_bytes_come_back():
    @settings(max_examples=300, database=None)
    @given(st.binary(max_size=15).map(lambda name: name.replace(b"\0", b"-")))
    @example(b"\xc3")
    @example(b"\xed\xa0\x80")
    def come_back(name):
        prctl.set_name(name)
        got = prctl.get_name()
        assert os.fsencode(got) == comm() == name
        prctl.set_name("other")
        prctl.set_name(got)
        assert comm() == name

    in_child(come_back)


def test_a_str_is_cut_where_a_character_ends():
    @settings(max_examples=300, database=None)
    @given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
    def cut(name):
        prctl.set_name(name)
        longest = max(
            (name[:n].encode() for n in range(16) if len(name[:n].encode()) < 16), key=len
        )
        assert comm() == longest

    in_child(cut)


def test_a_name_is_encoded_as_the_file_system_s_names_are():
    program = (
        "import os, prctl, sys\n"
        "prctl.set_name('\\udce9t')\n"
        "print(sys.getfilesystemencoding(), ascii(prctl.get_name()))\n"
        "try: prctl.set_name('\\xe9')\n"
        "except UnicodeEncodeError as error: print(error.encoding, ascii(prctl.get_name()))\n"
    )
    environment = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    run = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True
    )
    encoding = run.stdout.split()[0]
    if encoding == "utf-8":
        pytest.skip("this libc's C locale is UTF-8")
    assert (run.stdout, run.stderr) == (f"{encoding} '\\udce9t'\nascii '\\udce9t'\n", "")


def test_every_thread_has_a_name_of_its_own():
    def rename():
        prctl.set_name("main")

        def worker():
            prctl.set_name("worker")
            tid = threading.get_native_id()
            return comm(tid), comm(os.getpid()), prctl.get_name()

        return *in_thread(worker), prctl.get_name()

    assert in_child(rename) == (b"worker", b"main", "worker", "main")


# ---- PR_SET_SECCOMP

ALLOW_ALL = struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000)


@strict
@pytest.mark.parametrize("mode", [True, 1, prctl.SECCOMP_MODE_STRICT])
def test_strict_seccomp_kills_at_the_next_call(mode, user):
    def restrict():
        die_quietly()
        prctl.set_seccomp(mode)
        os.getppid()

    with pytest.raises(support.ChildDied) as died:
        in_child(restrict, user=user)
    assert died.value.signal == signal.SIGKILL


@strict
def test_strict_seccomp_still_writes():
    reader, writer = os.pipe()

    def restrict():
        die_quietly()
        prctl.set_seccomp(prctl.SECCOMP_MODE_STRICT, program=None)
        os.write(writer, b"still here")
        os.getppid()

    with pytest.raises(support.ChildDied) as died:
        in_child(restrict)
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert (pipe.read(), died.value.signal) == (b"still here", signal.SIGKILL)


@strict
def test_get_seccomp_kills_in_strict_mode():
    def look():
        die_quietly()
        prctl.set_seccomp(prctl.SECCOMP_MODE_STRICT)
        prctl.get_seccomp()

    with pytest.raises(support.ChildDied) as died:
        in_child(look)
    assert died.value.signal == signal.SIGKILL


@filters
@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, lambda program: array.array("Q", program)]
)
def test_a_filter_answers_eacces(kind, user):
    program = support.refuse("getppid", errno.EACCES)

    def restrict():
        before = prctl.get_seccomp()
        prctl.set_no_new_privs()
        prctl.set_seccomp(prctl.SECCOMP_MODE_FILTER, kind(program))
        number = error_of(support.system_call, "getppid")[0]
        return before, number, prctl.get_seccomp(), support.status("thread-self")["Seccomp"]

    assert in_child(restrict, user=user) == (0, errno.EACCES, prctl.SECCOMP_MODE_FILTER, "2")


@filters
def test_a_filter_given_by_keywords_answers_eacces():
    def restrict():
        prctl.set_no_new_privs()
        prctl.set_seccomp(
            program=support.refuse("getppid", errno.EACCES), mode=prctl.SECCOMP_MODE_FILTER
        )
        return error_of(support.system_call, "getppid")[0]

    assert in_child(restrict) == errno.EACCES


NEEDED_FOR_FILTER = "installing a filter needs no_new_privs or CAP_SYS_ADMIN"


@filters
def test_a_filter_without_no_new_privs_is_refused_to_a_user_with_the_reason():
    def restrict():
        error = error_of(prctl.set_seccomp, prctl.SECCOMP_MODE_FILTER, ALLOW_ALL)
        return error, support.status("thread-self")["Seccomp"]

    expected = refused(errno.EACCES, NEEDED_FOR_FILTER)
    assert in_child(restrict, user=True) == (expected, "0")


@filters
@pytest.mark.usefixtures("root")
def test_a_filter_with_cap_sys_admin_needs_no_no_new_privs():
    needs(SYS_ADMIN)

    def restrict():
        prctl.set_seccomp(prctl.SECCOMP_MODE_FILTER, ALLOW_ALL)
        status = support.status("thread-self")
        return status["Seccomp"], status["NoNewPrivs"]

    assert in_child(restrict) == ("2", "0")


LOAD_BYTE = struct.pack("=HBBI", 0x30, 0, 0, 0) + ALLOW_ALL  # a packet filter may
JUMP_OUT = struct.pack("=HBBI", 5, 0, 0, 9)


@filters
@pytest.mark.parametrize("program", [LOAD_BYTE, JUMP_OUT, b"\xff" * 8])
def test_instructions_that_the_kernel_does_not_take_are_einval(program, user):
    def restrict():
        kernel_prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
        return error_of(prctl.set_seccomp, prctl.SECCOMP_MODE_FILTER, program)

    assert in_child(restrict, user=user) == refused(errno.EINVAL)


@filters
def test_filters_of_4096_instructions_are_taken_until_they_are_too_many(user):
    def restrict():
        kernel_prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
        for count in range(100):
            try:
                prctl.set_seccomp(prctl.SECCOMP_MODE_FILTER, ALLOW_ALL * 4096)
            except OSError as error:
                return count, error.errno
        return None

    count, error = in_child(restrict, user=user)
    assert (1 <= count <= 8, error) == (True, errno.ENOMEM)


# ---- The bounding set


def test_capbset_read_is_what_proc_shows(user):
    def read():
        return [prctl.capbset_read(number) for number in range(64)], support.capability_mask(
            "CapBnd"
        )

    ours, mask = in_child(read, user=user)
    assert ours == [bool(mask >> number & 1) for number in range(64)]


CAPABILITY_FIELDS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def capability_masks():
    return [support.capability_mask(field) for field in CAPABILITY_FIELDS]


@pytest.mark.usefixtures("root")
def test_capbset_drop_takes_one_out_of_the_bounding_set_alone():
    def drop(number):
        expected = capability_masks()
        expected[3] &= ~(1 << number)
        prctl.capbset_drop(number)
        assert (capability_masks(), prctl.capbset_read(number)) == (expected, False)

    def drop_all():
        for number in range(64):
            if support.capability_mask("CapBnd") >> number & 1:
                drop(number)
        return support.capability_mask("CapBnd")

    assert in_child(drop_all) == 0


@pytest.mark.usefixtures("root")
def test_dropping_what_the_kernel_does_not_have_is_einval():
    assert in_child(error_of, prctl.capbset_drop, 63) == refused(errno.EINVAL)


# ---- PR_SET_TSC

READ_COUNTER = {  # rdtsc; ret, or the same for arm64's cntvct_el0
    "x86_64": bytes.fromhex("0f31c3"),
    "i686": bytes.fromhex("0f31c3"),
    "aarch64": bytes.fromhex("40e03bd5c0035fd6"),
}


def counter_reader():
    """A function that reads the counter, and has done so once."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(READ_COUNTER[MACHINE])
    read = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    read.page = page
    read()
    gc.disable()  # hypothesis looks at the clock when it runs
    return read


tsc = pytest.mark.kernel("tsc")


@tsc
def test_get_tsc_is_the_mode_that_was_set(user):
    def change():
        gc.disable()  # hypothesis looks at the clock when it runs
        modes = [prctl.get_tsc(), kernel_prctl_out(25)]
        prctl.set_tsc(prctl.TSC_SIGSEGV)
        modes += [prctl.get_tsc(), kernel_prctl_out(25)]
        prctl.set_tsc(prctl.TSC_ENABLE)
        return [*modes, prctl.get_tsc()]

    assert in_child(change, user=user) == [1, 1, 2, 2, 1]


@tsc
def test_a_read_of_the_forbidden_counter_kills(user):
    def read():
        die_quietly()
        read_counter = counter_reader()
        prctl.set_tsc(prctl.TSC_SIGSEGV)
        read_counter()

    with pytest.raises(support.ChildDied) as died:
        in_child(read, user=user)
    assert died.value.signal == signal.SIGSEGV


@tsc
def test_the_time_of_the_vdso_kills_where_the_counter_is_forbidden():
    with open("/sys/devices/system/clocksource/clocksource0/current_clocksource") as file:
        source = file.read().strip()
    if source not in ("tsc", "arch_sys_counter"):
        pytest.skip(f"the clock of this machine is {source}, which does not read the counter")

    def read():
        die_quietly()
        time.monotonic()
        prctl.set_tsc(prctl.TSC_SIGSEGV)
        time.monotonic()

    with pytest.raises(support.ChildDied) as died:
        in_child(read)
    assert died.value.signal == signal.SIGSEGV


@tsc
def test_the_counter_can_be_read_again():
    def read():
        read_counter = counter_reader()
        prctl.set_tsc(prctl.TSC_SIGSEGV)
        prctl.set_tsc(prctl.TSC_ENABLE)
        read_counter()

    in_child(read)


# ---- Securebits


def securebits_by_capsh():
    """What libcap's capsh sees, started by this process."""
    capsh = shutil.which("capsh", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if capsh is None:
        pytest.skip("capsh of libcap is missing")
    shown = subprocess.run(
        [capsh, "--print"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ).stdout
    return int(re.search(rb"^Securebits: \S*/(0x[0-9a-f]+)/", shown, re.MULTILINE)[1], 16)


EXEC_BITS = 0xF00
# keep_caps is cleared by exec, hence not seen by capsh.
BITS = [1 << number for number in range(8) if number != 4] + [0, 0x05, 0xEF, 0x100, 0xFEF]


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("bits", BITS)
def test_securebits_are_what_capsh_prints(bits):
    if bits & EXEC_BITS and KERNEL < (6, 14):
        pytest.skip("the exec_* bits came with Linux 6.14")

    def change():
        prctl.set_securebits(bits)
        return prctl.get_securebits(), kernel_prctl(27), securebits_by_capsh()

    assert in_child(change) == (bits, bits, bits)


@pytest.mark.usefixtures("root")
def test_keep_caps_among_the_securebits_is_keepcaps():
    def change():
        prctl.set_securebits(prctl.SECBIT_KEEP_CAPS)
        return prctl.get_keepcaps(), prctl.get_securebits(), kernel_prctl(27)

    assert in_child(change) == (True, prctl.SECBIT_KEEP_CAPS, prctl.SECBIT_KEEP_CAPS)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("first", "then"), [(0, 1 << 20), (0, ULONG_MAX), (prctl.SECBIT_NOROOT_LOCKED, 0), (2, 3)]
)
def test_unknown_and_locked_securebits_are_refused_to_root_without_blaming_a_privilege(first, then):
    def change():
        kernel_prctl(28, first)
        return error_of(prctl.set_securebits, then), kernel_prctl(27)

    assert in_child(change) == (refused(errno.EPERM), first)


def test_a_user_may_set_the_exec_securebits():
    if KERNEL < (6, 14):
        pytest.skip("the exec_* bits came with Linux 6.14")

    def change():
        prctl.set_securebits(
            prctl.SECBIT_EXEC_RESTRICT_FILE | prctl.SECBIT_EXEC_DENY_INTERACTIVE_LOCKED
        )
        return prctl.get_securebits(), securebits_by_capsh()

    assert in_child(change, user=True) == (0x900, 0x900)


# ---- A message names a privilege only when it is missing

PRIVILEGED = [
    (
        prctl.capbset_drop,
        (13,),
        errno.EPERM,
        24,
        SETPCAP,
        "dropping from the bounding set needs CAP_SETPCAP",
    ),
    (prctl.set_securebits, (1,), errno.EPERM, 28, SETPCAP, "changing securebits needs CAP_SETPCAP"),
    pytest.param(
        *(prctl.set_seccomp, (2, ALLOW_ALL), errno.EACCES, SET_SECCOMP),
        *(SYS_ADMIN, NEEDED_FOR_FILTER),
        marks=filters,
    ),
]
privileged = pytest.mark.parametrize(
    ("function", "args", "number", "option", "capability", "text"), PRIVILEGED
)


@privileged
def test_a_user_is_told_which_privilege_is_missing(
    function, args, number, option, capability, text
):
    def state():
        return capability_masks()[3], kernel_prctl(27), support.status("thread-self")["Seccomp"]

    def attempt():
        before = state()
        return error_of(function, *args), state() == before

    assert in_child(attempt, user=True) == (refused(number, text), True)


@pytest.mark.usefixtures("root")
@privileged
def test_root_without_the_capability_is_told_which_privilege_is_missing(
    function, args, number, option, capability, text
):
    def attempt():
        drop_effective(capability)
        return error_of(function, *args)

    assert in_child(attempt) == refused(number, text)


@pytest.mark.usefixtures("root")
@privileged
def test_a_refusal_for_another_reason_names_no_privilege(
    function, args, number, option, capability, text
):
    needs(capability)

    def attempt():
        support.install_filter(support.refuse("prctl", number, option))
        return error_of(function, *args)

    assert in_child(attempt) == refused(number)


# ---- PR_SET_TIMERSLACK


def timerslack_of(tid="self"):
    with open(f"/proc/{tid}/timerslack_ns") as file:
        return int(file.read())


SLACKS = [1, 50_000, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**33 + 5, 2**63 - 1, 2**63]
SLACKS += [2**64 - 4097, 2**64 - 4096, 2**64 - 4095, 2**64 - 4094, 2**64 - 2, 2**64 - 1]
SLACKS += [2**32 - 4096, 2**32 - 4095, 2**32 - 2]


@pytest.mark.parametrize(
    "nanoseconds",
    [
        pytest.param(slack, marks=pytest.mark.kernel("long timer slack") if slack >> 31 else ())
        for slack in SLACKS
        if slack <= ULONG_MAX
    ],
)
def test_timer_slack_is_what_proc_shows_up_to_the_last_value(nanoseconds, user):
    def change():
        prctl.set_timerslack(nanoseconds)
        return prctl.get_timerslack(), timerslack_of()

    assert in_child(change, user=user) == (nanoseconds, nanoseconds)


def test_timer_slack_0_is_the_default():
    def change():
        before = prctl.get_timerslack()
        prctl.set_timerslack(12345)
        prctl.set_timerslack(0)
        return before, prctl.get_timerslack(), timerslack_of()

    before, after, shown = in_child(
        lambda: in_child(change)
    )  # a fork takes its parent's as default
    assert before == after == shown != 12345


@pytest.mark.usefixtures("root")
def test_timer_slack_is_ignored_under_a_real_time_policy():
    def schedule(policy, priority):  # musl's own function refuses
        parameters = bytearray(struct.pack("i", priority))
        support.system_call("sched_setscheduler", 0, policy, parameters)

    def change():
        before = prctl.get_timerslack()
        try:
            schedule(os.SCHED_FIFO, 1)
        except PermissionError as error:
            return str(error)
        prctl.set_timerslack(12345)
        during = prctl.get_timerslack()
        schedule(os.SCHED_OTHER, 0)
        return before != 12345, during, prctl.get_timerslack() != 12345

    answer = in_child(change)
    if isinstance(answer, str):
        pytest.skip(f"this machine allows no real-time policy: {answer}")
    # Before it was 0, the kernel kept it for later: 5.10 does.
    assert answer in ((True, 0, True), (True, 12345, False))


# ---- PR_TASK_PERF_EVENTS_DISABLE


def perf_counter():
    """A counter of this thread's processor time, which the kernel counts itself, running."""
    attributes = bytearray(struct.pack("=IIQQQQQ", 1, 64, 1, 0, 0, 0, 1 << 5 | 1 << 6) + bytes(16))
    this, any_cpu = 0, ULONG_MAX
    return support.system_call("perf_event_open", attributes, this, any_cpu, ULONG_MAX, 0)


def test_performance_counters_stop_and_start(user):
    def read(counter):
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass
        return struct.unpack("=Q", os.read(counter, 8))[0]

    def count():
        try:
            counter = perf_counter()
        except OSError as error:
            return str(error)
        counts = [0, read(counter)]
        prctl.task_perf_events_disable()
        counts += [struct.unpack("=Q", os.read(counter, 8))[0], read(counter)]
        prctl.task_perf_events_enable()
        return [*counts, read(counter)]

    counts = in_child(count, user=user)
    if isinstance(counts, str):
        pytest.skip(f"this machine gives no performance counter: {counts}")
    zero, running, stopped, still, running_again = counts
    assert zero < running <= stopped == still < running_again


@pytest.mark.kernel("perf events")
@pytest.mark.parametrize("name", ["task_perf_events_disable", "task_perf_events_enable"])
def test_without_performance_counters_there_is_nothing_to_stop_or_start(name, user):
    assert in_child(getattr(prctl, name), user=user) is None


# ---- PR_MCE_KILL

PF_MCE_PROCESS, PF_MCE_EARLY = 0x80, 0x08000000  # the kernel's flags of a thread, in its stat


@pytest.mark.parametrize(
    ("policy", "flags"),
    [
        (prctl.MCE_KILL_EARLY, PF_MCE_PROCESS | PF_MCE_EARLY),
        (prctl.MCE_KILL_LATE, PF_MCE_PROCESS),
        (prctl.MCE_KILL_DEFAULT, 0),
    ],
)
def test_the_machine_check_policy_is_in_the_thread_s_flags(policy, flags, user):
    def change():
        prctl.set_mce_kill(
            prctl.MCE_KILL_LATE if policy == prctl.MCE_KILL_EARLY else prctl.MCE_KILL_EARLY
        )
        prctl.set_mce_kill(policy)
        with open("/proc/thread-self/stat") as file:
            return int(file.read().rpartition(")")[2].split()[6]) & (PF_MCE_PROCESS | PF_MCE_EARLY)

    assert in_child(change, user=user) == flags


# ---- PR_SET_CHILD_SUBREAPER


@subreaper
@pytest.mark.parametrize("flag", [True, False])
def test_an_orphan_comes_to_the_subreaper(flag, user):
    def adopt():
        prctl.set_child_subreaper(flag)
        me = os.getpid()
        reader, writer = os.pipe()

        def be_orphan(parent):
            while os.getppid() == parent:
                time.sleep(0.001)
            os.write(writer, struct.pack("i", os.getppid()))

        os.waitpid(fork_to(lambda: fork_to(be_orphan, os.getpid())), 0)
        adopted_by = struct.unpack("i", os.read(reader, 4))[0]
        if adopted_by == me:
            os.waitpid(-1, 0)
        return adopted_by == me

    assert in_child(adopt, user=user) == flag


# ---- PR_SET_NO_NEW_PRIVS


@pytest.mark.parametrize("args", [(), (True,), (1,), ("x",)])
def test_no_new_privs_is_in_proc(args, user):
    def give_up():
        before = support.status("thread-self")["NoNewPrivs"], prctl.get_no_new_privs()
        prctl.set_no_new_privs(*args)
        return before, support.status("thread-self")["NoNewPrivs"], prctl.get_no_new_privs()

    assert in_child(give_up, user=user) == (("0", False), "1", True)


# ---- PR_SET_PTRACER


def yama():
    """Whether the running kernel has Yama, by libc."""
    try:
        in_child(kernel_prctl, SET_PTRACER, 0)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("pid", [0, -1, ULONG_MAX, os.getpid()])
def test_set_ptracer_is_einval_without_yama(pid, user):
    if yama():
        pytest.skip("this kernel has Yama")

    def attempt():
        return error_of(prctl.set_ptracer, pid), prctl.get_ptracer() == os.getppid()

    assert in_child(attempt, user=user) == (refused(errno.EINVAL), True)


def with_ptracer(function, *args):
    """Call function(*args) where PR_SET_PTRACER succeeds, whatever the kernel."""
    support.install_filter(support.refuse("prctl", 0, SET_PTRACER))
    return function(*args)


@pytest.mark.parametrize(
    ("pid", "got"),
    [(0, 0), (1, 1), (2**31 - 1, 2**31 - 1), (-1, ULONG_MAX), (ULONG_MAX, ULONG_MAX), (True, 1)],
)
def test_get_ptracer_is_what_was_set(pid, got, user):
    def remember():
        prctl.set_ptracer(pid)
        return prctl.get_ptracer()

    assert in_child(with_ptracer, remember, user=user) == got


def test_set_ptracer_any_is_the_largest_number():
    assert prctl.SET_PTRACER_ANY == ULONG_MAX


@pytest.mark.parametrize("way", [lambda f: f(), in_thread])
def test_get_ptracer_is_the_parent_until_set(way):
    assert in_child(lambda: (way(prctl.get_ptracer), os.getppid())) == (os.getpid(), os.getpid())


def test_the_ptracer_is_the_process_s():
    def remember():
        in_thread(prctl.set_ptracer, 1)
        return prctl.get_ptracer()

    assert in_child(with_ptracer, remember) == 1


def test_a_fork_forgets_the_ptracer():
    def fork():
        prctl.set_ptracer(1)
        return in_child(prctl.get_ptracer) == os.getpid(), prctl.get_ptracer()

    assert in_child(with_ptracer, fork) == (True, 1)


def test_a_refused_ptracer_is_not_remembered():
    def attempt():
        prctl.set_ptracer(1)
        # Of two filters that answer an errno, the younger wins.
        support.install_filter(support.refuse("prctl", errno.EINVAL, SET_PTRACER))
        return error_of(prctl.set_ptracer, 2)[0], prctl.get_ptracer()

    assert in_child(with_ptracer, attempt) == (errno.EINVAL, 1)
