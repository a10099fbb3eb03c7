"""What the kernel refuses, or a thread may not do, never passes for done.

A seccomp filter refuses the calls with an errno that they do not have by themselves; where a
thread may not make a call, it is of no use that another may.
"""

import errno
import importlib.machinery
import importlib.util
import os
import resource
import subprocess
import sys

import pytest
import support
from support import Worker, error_of, in_child, install_filter, kernel_prctl, refuse, refused

import prctl

pytestmark = pytest.mark.kernel("threads")

prctl.drop_privileges  # noqa: B018 - loaded now: some children cannot read the installation
import _prctl_operations as operations  # noqa: E402

NET_RAW, SETGID, SETPCAP, CHOWN = 13, 6, 8, 0
SECCOMP, MODE_STRICT = 22, 1

# ---- A call that the kernel refuses. Each: what is called, and the option of prctl(2) that it is.

BY_PRCTL = {
    "set_name": (lambda: prctl.set_name("x"), 15),
    "set_seccomp, strict": (lambda: prctl.set_seccomp(MODE_STRICT), SECCOMP),
    "set_seccomp, filter": (lambda: prctl.set_seccomp(2, refuse("getppid", 0)), SECCOMP),
    "capbset_read": (lambda: prctl.capbset_read(NET_RAW), 23),
    "the bounding set, one of it": (lambda: prctl.capbset.net_raw, 23),
    "the bounding set, read": (lambda: len(prctl.capbset), 23),
    "the bounding set, limited": (lambda: prctl.capbset.limit(), 23),
    "the bounding set, dropped from": (lambda: prctl.capbset.drop(NET_RAW), 24),
    "the ambient set, one of it": (lambda: prctl.cap_ambient.net_raw, 47),
    "the ambient set, read": (lambda: len(prctl.cap_ambient), 47),
    "the ambient set, cleared": (lambda: prctl.cap_ambient.clear(), 47),
    "the ambient set, dropped from": (lambda: prctl.cap_ambient.drop(NET_RAW), 47),
    "a securebit, read first": (lambda: setattr(prctl.securebits, "noroot", True), 27),
    "a securebit, set": (lambda: setattr(prctl.securebits, "noroot", True), 28),
    "set_mm": (lambda: prctl.set_mm(prctl.SET_MM_BRK, 0), 35),
    "set_mm_map": (lambda: prctl.set_mm_map(prctl.get_mm_map()), 35),
    "get_auxv": (lambda: prctl.get_auxv(), 0x41555856),
    "set_vma_anon_name": (lambda: prctl.set_vma_anon_name(bytearray(8), "x"), 0x53564D41),
    "set_ptracer": (lambda: prctl.set_ptracer(1), 0x59616D61),
    "set_syscall_user_dispatch": (lambda: prctl.set_syscall_user_dispatch(0), 59),
    "timer_create_restore_ids": (lambda: prctl.timer_create_restore_ids(1), 77),
}


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize("name", BY_PRCTL)
def test_a_refused_option_is_an_oserror(name):
    function, option = BY_PRCTL[name]

    def run():
        install_filter(refuse("prctl", errno.EXDEV, option))
        return error_of(function)

    assert in_child(run) == refused(errno.EXDEV)


WITH_CAPGET = {
    "a set": lambda: len(prctl.cap_effective),
    "one capability": lambda: prctl.cap_permitted.chown,
    "the ambient set": lambda: len(prctl.cap_ambient),
    "get_caps": lambda: prctl.get_caps((CHOWN, prctl.CAP_EFFECTIVE)),
    "set_caps": lambda: prctl.set_caps((CHOWN, prctl.CAP_EFFECTIVE, False)),
    "dropping": lambda: prctl.cap_effective.drop(CHOWN),
    "current": lambda: prctl.Capabilities.current(),
    "drop_privileges": lambda: operations.current_state(),
}


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize("name", WITH_CAPGET)
def test_sets_that_cannot_be_read_are_an_oserror(name):
    def run():
        install_filter(refuse("capget", errno.EXDEV))
        return error_of(WITH_CAPGET[name])

    assert in_child(run) == refused(errno.EXDEV)


@pytest.mark.kernel("seccomp filters")
def test_nothing_is_raised_in_ambient_while_the_other_sets_cannot_be_read(root):
    def run():
        kernel_prctl(47, 4)
        support.change_capabilities("CapInh", add=1 << NET_RAW)
        install_filter(refuse("capget", errno.EXDEV))
        return error_of(prctl.cap_ambient.add, NET_RAW)[0], support.status()["CapAmb"]

    assert in_child(run) == (errno.EPERM, "0" * 16)


@pytest.mark.kernel("seccomp filters")
def test_no_event_tells_of_sets_that_cannot_be_read():
    def run():
        heard = []
        sys.addaudithook(lambda event, args: heard.append(event) if event[:6] == "prctl." else None)
        install_filter(refuse("capget", errno.EXDEV))
        return error_of(prctl.cap_effective.drop, CHOWN), heard

    assert in_child(run) == (refused(errno.EXDEV), [])


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize("also", [(), ("capget",)])
def test_sets_that_cannot_be_written_are_an_oserror(also):
    """The errno is the one of capset(2), whatever else cannot be found out."""

    def run():
        sets = prctl.Capabilities.current()
        install_filter(refuse("capset", errno.EXDEV))
        for name in also:
            install_filter(refuse(name, errno.EIO))
        return error_of(sets.apply)

    assert in_child(run) == refused(errno.EXDEV)


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM])
def test_a_change_of_sets_that_is_refused_for_another_reason_names_no_capability(number):
    def run():
        install_filter(refuse("capset", number))
        return error_of(prctl.cap_effective.drop, CHOWN)

    assert in_child(run) == refused(number)


def test_what_the_bounding_set_lacks_is_the_reason_even_without_setpcap(root):
    def run():
        kernel_prctl(24, NET_RAW)
        support.change_capabilities("CapEff", drop=1 << SETPCAP)
        return error_of(prctl.cap_inheritable.add, NET_RAW)

    assert in_child(run) == refused(errno.EPERM, "the bounding set may lack net_raw")


# Each: the filter, what would be the reason for EPERM, what is called.
NOT_FOR_WANT_OF_PRIVILEGE = {
    "bounding set": (
        ("prctl", 24),
        lambda: support.change_capabilities("CapEff", drop=1 << SETPCAP),
        lambda: prctl.capbset.drop(NET_RAW),
    ),
    "capbset_drop": (
        ("prctl", 24),
        lambda: support.change_capabilities("CapEff", drop=1 << SETPCAP),
        lambda: prctl.capbset_drop(NET_RAW),
    ),
    "permitted": (
        ("capset",),
        lambda: support.change_capabilities("CapPrm", drop=1 << CHOWN),
        lambda: prctl.cap_permitted.add(CHOWN),
    ),
    "effective": (
        ("capset",),
        lambda: support.change_capabilities("CapPrm", drop=1 << CHOWN),
        lambda: prctl.cap_effective.add(CHOWN),
    ),
    "ambient set": (
        ("prctl", 47),
        lambda: kernel_prctl(28, 1 << 6),  # SECBIT_NO_CAP_AMBIENT_RAISE
        lambda: prctl.cap_ambient.add(NET_RAW),
    ),
}


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize("name", NOT_FOR_WANT_OF_PRIVILEGE)
def test_another_errno_is_not_explained_by_the_privilege_that_is_missing(name, root):
    (call, *arguments), prepare, function = NOT_FOR_WANT_OF_PRIVILEGE[name]

    def run():
        support.change_capabilities("CapInh", add=1 << NET_RAW)
        support.change_capabilities("CapEff", drop=1 << CHOWN)
        prepare()
        install_filter(refuse(call, errno.EXDEV, *arguments))
        return error_of(function)

    assert in_child(run) == refused(errno.EXDEV)


@pytest.mark.parametrize("length", [31, 32, 33, 64, 5000])
def test_a_long_name_is_that_of_no_capability(length):
    for name in "x" * length, "cap_" + "x" * (length - 4), "net_raw" + " " * (length - 7):
        with pytest.raises(ValueError, match="Unknown capability"):
            prctl._number(name)


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("_cap_has", (5, 0), ValueError),
        ("_cap_has", (-1, 0), ValueError),
        ("_cap_has", (0, 64), ValueError),
        ("_cap_has", (0,), TypeError),
        ("_cap_read", (5,), ValueError),
        ("_cap_read", ("0",), TypeError),
        ("_cap_change", (5, 0, 0), ValueError),
        ("_cap_change", (0, "0", 0), TypeError),
        ("_cap_change", (0, -1, 0), OverflowError),
        ("_cap_change", (0, 0, "0"), TypeError),
        ("_cap_change", (0, 0, 2**64), OverflowError),
        ("_cap_change", (0, 0), TypeError),
        ("_capset", (0, 0, "0"), TypeError),
        ("_capset", (0, -1, 0), OverflowError),
        ("_capset", (0, 0), TypeError),
        ("_cap_to_text", (0, "0", 0), TypeError),
    ],
)
def test_what_prctl_py_never_asks_for_is_refused_all_the_same(name, arguments, kind):
    got, _, changed = in_child(support.outcome, getattr(prctl._prctl, name), arguments, {})
    assert (got, changed) == (kind.__name__, {})


@pytest.mark.kernel("seccomp filters")
def test_in_all_threads_the_raw_door_gives_the_answer_of_the_kernel(root):
    """Only what every thread shall have is carried out in every thread; a question is not."""

    def run():
        Worker()
        support.change_capabilities("CapInh", add=1 << NET_RAW)
        kernel_prctl(47, 2, NET_RAW)
        with prctl.all_threads():
            has = [prctl.prctl(47, 1, number) for number in (CHOWN, NET_RAW)]
            return has, error_of(prctl.prctl, 47, 2, CHOWN)

    assert in_child(run) == ([0, 1], refused(errno.EPERM))


# ---- The last capability of the kernel, where the kernel may not be asked


def made_anew(prepare):
    """CAP_LAST_CAP of a module that is made after what prepare does."""
    loader = importlib.machinery.ExtensionFileLoader("_prctl", prctl._prctl.__file__)
    spec = importlib.util.spec_from_loader("_prctl", loader)

    def run():
        prepare()
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
        return module.CAP_LAST_CAP

    return in_child(run)


def last_capability(folder, text):
    """The same, with this text in the place of /proc's, which alone can be asked."""
    file = folder / "proc/sys/kernel/cap_last_cap"
    file.parent.mkdir(parents=True)
    if text is not None:
        file.write_text(text)

    def prepare():
        os.chroot(folder)
        install_filter(refuse("prctl", errno.EXDEV, 23))

    return made_anew(prepare)


@pytest.mark.parametrize("first", [0, prctl.CAP_LAST_CAP])
def test_a_capability_that_is_in_no_set_is_the_last_one_all_the_same(first, root):
    def prepare():
        for number in range(first, prctl.CAP_LAST_CAP + 1):
            kernel_prctl(24, number)

    assert made_anew(prepare) == prctl.CAP_LAST_CAP


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize(("text", "last"), [("40\n", 40), ("5\n", 5), ("63\n", 63), ("64\n", 63)])
def test_where_a_filter_refuses_the_question_proc_tells_the_last_capability(
    text, last, tmp_path, root
):
    assert last_capability(tmp_path, text) == last


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize("text", [None, ""])
def test_an_import_that_cannot_tell_the_last_capability_fails(text, tmp_path, root):
    with pytest.raises(OSError, match="cannot tell the last capability"):
        last_capability(tmp_path, text)


# ---- A thread that may not make a call, and has not what the call is for


def outcome_in_a_thread(step, *prepare):
    """What _run_plan() says of a thread that has prepared itself: an errno, or None."""
    worker = Worker()
    for function, *arguments in prepare:
        worker(function, *arguments)
    failures = prctl._prctl._run_plan([step])
    assert all(tid == worker.tid for tid, _, _ in failures), failures
    return failures[0][1:] if failures else None


def without(*capabilities):
    """The step of a thread that drops these from effective and permitted."""
    mask = sum(1 << capability for capability in capabilities)

    def drop():
        support.change_capabilities("CapEff", drop=mask)
        support.change_capabilities("CapPrm", drop=mask)

    return (drop,)


def with_groups(*groups):
    """That of one with these supplementary groups, which libc would give to all threads."""
    words = bytearray().join(number.to_bytes(4, sys.byteorder) for number in groups)
    return support.system_call, "setgroups", len(groups), words


@pytest.mark.parametrize(
    ("groups", "wished"),
    [
        ([5, 6, 7], []),
        ([5, 6, 7], [5, 6]),
        ([5, 6, 7], [6, 7]),
        ([5, 6, 7], [5, 6, 8]),
        ([5, 6, 7], [5, 6, 7, 8]),
        ([0, 5], [5]),
        ([], [5]),
    ],
)
def test_a_thread_that_keeps_other_groups_is_named(groups, wished, root):
    def run():
        return outcome_in_a_thread(("setgroups", wished), with_groups(*groups), without(SETGID))

    assert in_child(run) == (errno.EPERM, 0)


@pytest.mark.parametrize("groups", [[], [5], [0, 5, 6], [5, 5, 6, 6]])
def test_a_thread_that_has_the_groups_already_need_not_be_allowed_to_set_them(groups, root):
    def run():
        step = "setgroups", sorted(set(groups))
        return outcome_in_a_thread(step, with_groups(*groups), without(SETGID))

    assert in_child(run) is None


@pytest.mark.kernel("seccomp filters")
def test_a_thread_whose_groups_cannot_be_read_is_named(root):
    def run():
        refuses = install_filter, refuse("getgroups", errno.EXDEV)
        return outcome_in_a_thread(("setgroups", []), with_groups(), without(SETGID), refuses)

    assert in_child(run) == (errno.EPERM, 0)


@pytest.mark.kernel("seccomp filters")
def test_a_thread_whose_capabilities_cannot_be_read_is_named(root):
    def run():
        refuses = install_filter, refuse("capget", errno.EXDEV)
        everything = (1 << len(prctl.ALL_CAPS)) - 1
        step = "capset", 0, support.capability_mask("CapPrm"), everything
        return outcome_in_a_thread(step, without(SETGID, SETPCAP), refuses)

    assert in_child(run) == (errno.EPERM, 0)


NO_SETUID_FIXUP, KEEP_CAPS, KEEP_CAPS_LOCKED = 4, 16, 32


@pytest.mark.parametrize(
    ("call", "prepare"),
    [
        ((24, NET_RAW), [without(SETPCAP)]),
        ((28, NO_SETUID_FIXUP), [without(SETPCAP)]),
        ((28, 0), [(kernel_prctl, 28, NO_SETUID_FIXUP), without(SETPCAP)]),
        ((8, 1), [(kernel_prctl, 28, KEEP_CAPS_LOCKED)]),
    ],
    ids=["bounding set", "securebits", "securebits, cleared", "keep_caps, locked"],
)
def test_a_thread_that_may_not_make_a_call_and_has_something_else_is_named(call, prepare, root):
    def run():
        return outcome_in_a_thread(("prctl", *call), *prepare)

    assert in_child(run) == (errno.EPERM, 0)


@pytest.mark.parametrize(
    ("call", "prepare"),
    [
        ((24, NET_RAW), [(kernel_prctl, 24, NET_RAW), without(SETPCAP)]),
        ((8, 1), [(kernel_prctl, 28, KEEP_CAPS | KEEP_CAPS_LOCKED)]),
    ],
    ids=["bounding set", "keep_caps, locked"],
)
def test_a_thread_that_may_not_make_a_call_and_has_its_result_is_none_that_fails(
    call, prepare, root
):
    def run():
        return outcome_in_a_thread(("prctl", *call), *prepare)

    assert in_child(run) is None


def test_in_all_threads_a_thread_that_keeps_a_capability_in_its_bounding_set_is_named(root):
    def run():
        worker = Worker()
        worker(without(SETPCAP)[0])
        try:
            with prctl.all_threads():
                prctl.prctl(24, NET_RAW)
        except RuntimeError as error:
            return f"thread {worker.tid}: [Errno 1]" in str(error)

    assert in_child(run) is True


# ---- What the message says


def test_threads_that_fail_are_listed_with_their_errors(root):
    def run():
        workers = [Worker(without(SETPCAP)[0]) for _ in range(2)]
        try:
            with prctl.all_threads():
                prctl.set_securebits(NO_SETUID_FIXUP)
        except RuntimeError as error:
            return sorted(worker.tid for worker in workers), str(error)

    tids, text = in_child(run)
    each = "thread {}: [Errno 1] Operation not permitted"
    expected = {
        f"2 other threads have failed: {each.format(a)}, {each.format(b)}"
        for a, b in (tids, tids[::-1])
    }
    assert text in expected


@pytest.mark.parametrize(
    "change",
    [
        lambda: prctl.Capabilities.current().apply(),
        lambda: setattr(prctl.securebits, "no_setuid_fixup", True),
        lambda: prctl.set_securebits(NO_SETUID_FIXUP),
        lambda: prctl.capbset.drop(NET_RAW),
        lambda: prctl.capbset_drop(NET_RAW),
        lambda: prctl.prctl(24, NET_RAW),
        lambda: prctl.cap_inheritable.add(NET_RAW),
        lambda: prctl.cap_ambient.add(NET_RAW),
        lambda: prctl.cap_ambient_raise(NET_RAW),
    ],
)
def test_whatever_fails_in_another_thread_is_a_runtime_error(change, root):
    def run():
        worker = Worker(without(SETPCAP, NET_RAW)[0])
        support.change_capabilities("CapInh", add=1 << NET_RAW)
        goes_on = False
        try:
            with prctl.all_threads():
                change()
                goes_on = True
        except Exception as error:
            return type(error), f"thread {worker.tid}: [Errno 1]" in str(error), goes_on

    assert in_child(run) == (RuntimeError, True, False)


def test_of_many_threads_that_fail_sixteen_are_listed(root):
    def run():
        for _ in range(20):
            Worker(without(SETPCAP)[0])
        try:
            with prctl.all_threads():
                prctl.set_securebits(NO_SETUID_FIXUP)
        except RuntimeError as error:
            return str(error), prctl._prctl._run_plan([("prctl", 28, 0)])

    text, failures = in_child(run)
    assert text.startswith("20 other threads have failed: thread ")
    assert text.count("thread ") == text.count("[Errno 1]") == 16
    assert len({tid for tid, _, _ in failures}) == 16
    assert {(error, step) for _, error, step in failures} == {(errno.EPERM, 0)}


def test_a_missing_capability_is_no_excuse_for_a_thread_that_may_not_change_securebits(root):
    """The number of the bits is that of a capability that the thread no longer has."""

    def run():
        worker = Worker()
        with prctl.all_threads():
            prctl.capbset.drop(NO_SETUID_FIXUP)
        worker(without(SETPCAP)[0])
        try:
            with prctl.all_threads():
                prctl.set_securebits(NO_SETUID_FIXUP)
        except RuntimeError as error:
            return f"thread {worker.tid}: [Errno 1]" in str(error)

    assert in_child(run) is True


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize(
    ("call", "why"),
    [("rt_sigaction", "the signal cannot be handled"), ("getdents64", "/proc/self/task")],
)
def test_a_call_that_reaching_the_threads_takes_is_named_when_it_is_refused(call, why):
    def run():
        worker = Worker()
        install_filter(refuse(call, errno.EXDEV))
        with prctl.all_threads():
            found = error_of(prctl.set_timerslack, 4321)
        return found, worker(prctl.get_timerslack) != 4321

    assert in_child(run) == (refused(errno.EXDEV, why), True)


def test_without_proc_no_thread_is_blamed(tmp_path, root):
    def run():
        os.chroot(tmp_path)
        with prctl.all_threads():
            return error_of(prctl.set_timerslack, 4321)

    why = "the threads cannot be counted without a /proc/self/task of this PID namespace"
    assert in_child(run) == refused(errno.ENOENT, why)


@pytest.mark.kernel("blocked signals")
@pytest.mark.parametrize("mask", [(1 << 64) - 1, 0xF << 32], ids=["every signal", "four signals"])
def test_a_thread_that_blocks_other_signals_as_well_is_named(mask):
    def run():
        worker = Worker()
        signals = bytearray(mask.to_bytes(8, sys.byteorder))
        worker(support.system_call, "rt_sigprocmask", 0, signals, 0, 8)
        try:
            with prctl.all_threads():
                prctl.set_timerslack(4321)
        except RuntimeError as error:
            return f"thread {worker.tid} has blocked" in str(error)

    assert in_child(run) is True


# ---- What a kernel may lack, or a limit take away


def test_a_kernel_without_user_namespaces_has_no_maps_of_ids(monkeypatch, root):
    contents = operations.contents

    def without_namespaces(path):
        if path.startswith("/proc/self/") and path.endswith(("_map", "/setgroups")):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return contents(path)

    def run():
        monkeypatch.setattr(operations, "contents", without_namespaces)
        prctl.drop_privileges(4321, 4321, groups=[5])
        found = support.status()
        return found["Uid"].split(), found["Groups"].split()

    assert in_child(run) == (["4321"] * 4, ["5"])


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"pdeathsig": 9}, "to stay as long as a child with pdeathsig"),
        ({"ambient": ["net_raw"]}, "to raise capabilities in"),
    ],
)
def test_a_child_that_needs_a_thread_is_refused_where_there_can_be_none(wish, why, root):
    def start():
        try:
            with prctl.Popen(["true"], **wish):
                return "started"
        except RuntimeError as error:
            return str(error)

    def run():
        worker = Worker()  # not the main thread, whose children can have pdeathsig without another
        prctl.drop_privileges(4321, 4321, groups=[], keep=["net_raw"])
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        return worker(start)

    assert in_child(run).startswith(f"prctl.Popen needs a thread {why}: ")


# ---- A capability that root's own rules give or do not give at exec


@pytest.mark.parametrize("real", [0, 4321])
@pytest.mark.parametrize("effective", [0, 4321])
def test_a_child_of_one_who_is_root_by_one_uid_only_has_what_one_of_subprocess_has(
    real, effective, root
):
    """A uid of 0 gives permitted at exec, and an effective one makes that effective."""
    fields = "Uid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"

    def found(popen, **wish):
        with popen(["cat", "/proc/self/status"], stdout=-1, text=True, **wish) as process:
            lines = dict(line.split(":", 1) for line in process.communicate()[0].splitlines())
        return [lines[field].split() for field in fields]

    def run():
        os.setresuid(real, effective, 0)
        return found(subprocess.Popen), found(prctl.Popen, timerslack=7)

    plain, ours = in_child(run)
    assert ours == plain
