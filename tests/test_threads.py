"""all_threads(): what is changed in it is changed in every thread, or an error says in which not.

The other threads are Python's own (support.Worker) and those of hostile.c. What each has is read
from /proc/self/task/*/status, or by the thread itself.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
import re
import resource
import select
import signal
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
import support
from support import (
    Worker,
    block_libc_signal,
    error_of,
    failure,
    in_child,
    in_time,
    install_filter,
    of_threads,
    status,
    system_call,
    thread_ids,
)

import _prctl
import prctl

pytestmark = pytest.mark.kernel("threads")

# Loaded now: some of the children can no longer read the installation.
all_threads, drop_privileges = prctl.all_threads, prctl.drop_privileges

LIBC = ctypes.CDLL(None, use_errno=True)
NET_RAW, SETPCAP = prctl.CAP_NET_RAW, prctl.CAP_SETPCAP


@pytest.fixture(scope="session")
def hostile_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "hostile.so"
    source = Path(__file__).with_name("hostile.c").read_text()
    support.compile_c(source, path, "-shared", "-fPIC", "-pthread")
    return path


@pytest.fixture
def hostile(hostile_path):
    """The functions of hostile.c. Loaded before the fork: an ordinary user may not read it."""
    return ctypes.CDLL(str(hostile_path))


def everywhere(function, *args):
    with all_threads():
        return function(*args)


# ---- Whom it reaches


def make_python_thread(hostile):
    return Worker().tid


def make_c_thread(hostile):
    return hostile.make_sleeping()


def make_thread_that_blocks_every_signal(hostile):
    return hostile.make_blocking_every_signal()


def make_thread_by_clone(hostile):
    return hostile.make_by_clone()


MAKERS = (
    make_python_thread,
    make_c_thread,
    make_thread_that_blocks_every_signal,
    make_thread_by_clone,
)


def test_every_thread_is_changed_however_it_was_made(user, hostile):
    def change():
        made = {make(hostile) for make in MAKERS for _ in range(5)}
        everywhere(prctl.set_no_new_privs)
        return made, of_threads("NoNewPrivs")

    made, found = in_child(change, user=user)
    assert len(made) == 20
    assert made < found.keys()
    assert set(found.values()) == {"1"}


def test_more_threads_than_the_smallest_table_holds_are_changed(hostile):
    def change():
        made = {hostile.make_on_the_smallest_stack() for _ in range(3200)}
        if -1 in made:
            pytest.skip("there cannot be 3200 threads here")
        everywhere(prctl.set_no_new_privs)
        return set(of_threads("NoNewPrivs").values())

    assert in_child(change) == {"1"}


def test_outside_a_block_only_the_calling_thread_is_changed(user):
    def change():
        worker = Worker()
        prctl.set_no_new_privs()
        return worker.tid, of_threads("NoNewPrivs")

    tid, found = in_child(change, user=user)
    assert found.pop(tid) == "0"
    assert list(found.values()) == ["1"]


def test_threads_that_c_code_made_before_the_import_are_changed(hostile_path):
    support.run_python(
        """
import ctypes, sys
hostile = ctypes.CDLL(sys.argv[1])
made = {make() for make in (hostile.make_sleeping, hostile.make_by_clone) for _ in range(5)}
import os, prctl
with prctl.all_threads():
    prctl.set_no_new_privs()
for tid in os.listdir("/proc/self/task"):
    made.discard(int(tid))
    with open(f"/proc/self/task/{tid}/status") as status:
        assert "NoNewPrivs:\\t1" in status.read(), tid
assert not made
os._exit(0)
""",
        str(hostile_path),
    )


def test_a_process_with_one_thread_is_changed(user):
    def change():
        everywhere(prctl.set_no_new_privs)
        return list(of_threads("NoNewPrivs").values())

    assert in_child(change, user=user) == ["1"]


# Where all is emulated, more of them are faster than threads can be counted, which is an error.
RESTLESS = 6 if support.PATIENCE == 1 else 1


def test_no_thread_is_missed_while_threads_keep_making_threads(root, hostile):
    def change():
        hostile.start_making(RESTLESS)
        wrong = {}
        for turn in range(support.rounds(200)):
            has = turn % 2 == 0
            everywhere(setattr, prctl.cap_inheritable, "net_raw", has)
            expected = f"{has << NET_RAW:016x}"
            found = of_threads("CapInh")
            wrong |= {(turn, tid): text for tid, text in found.items() if text != expected}
        return wrong, hostile.stop_making()

    wrong, made = in_child(change)
    assert wrong == {}
    assert made > support.rounds(200)


@pytest.mark.parametrize("length", [2, 3, 4, 10])
def test_threads_are_not_missed_though_each_look_finds_a_new_one(length, user, hostile):
    """One that is made by a thread before its turn, however often that happens."""

    def run():
        assert hostile.start_chain(length) == 0
        everywhere(prctl.set_no_new_privs)
        return hostile.count_made(), sorted(of_threads("NoNewPrivs").values())

    assert in_child(run, user=user) == (length, ["1"] * (length + 1))


def test_threads_held_before_the_first_change_are_all_there_while_others_are_made(hostile):
    """drop_privileges() holds every thread: here to the ids that are there."""

    def change():
        hostile.start_making(RESTLESS)
        for _ in range(20):
            ids = os.getuid() or support.USER, os.getgid()
            drop_privileges(*ids, groups=[] if support.ROOT else os.getgroups())
        found = of_threads("Uid", "NoNewPrivs")
        hostile.stop_making()
        return set(found.values())

    uid = os.getuid() or support.USER
    assert in_child(change) == {(f"{uid} {uid} {uid} {uid}", "1")}


def test_more_threads_made_meanwhile_than_there_is_room_for_are_an_error(user, hostile):
    def run():
        assert hostile.start_making_many(4200) == 0
        error = error_of(everywhere, prctl.set_no_new_privs)
        made = hostile.count_made()
        everywhere(prctl.set_no_new_privs)  # now there is room for them
        return error, made, set(of_threads("NoNewPrivs").values())

    error, made, found = in_child(run, user=user)
    if made < 4200:
        pytest.skip(f"this machine lets a process have {made} threads")
    assert error[:2] == (errno.EAGAIN, BlockingIOError)
    assert "too many that come and go" in error[2]
    assert found == {"1"}


def test_threads_on_the_smallest_stack_are_changed(user, hostile):
    def change():
        made = {hostile.make_on_the_smallest_stack() for _ in range(3)}
        everywhere(prctl.set_no_new_privs)
        return made, of_threads("NoNewPrivs")

    made, found = in_child(change, user=user)
    assert made < found.keys()
    assert set(found.values()) == {"1"}


@pytest.mark.parametrize(
    "change",
    [
        lambda: everywhere(prctl.set_no_new_privs),
        lambda: everywhere(prctl.cap_effective.clear),
        lambda: everywhere(prctl.capbset.limit),
        lambda: everywhere(prctl.cap_ambient.clear),
        lambda: drop_privileges(support.USER, support.USER, groups=[]),
        lambda: prctl.set_proctitle("a title"),
    ],
    ids=["no_new_privs", "capset", "bounding", "ambient", "drop_privileges", "title"],
)
def test_an_alternate_stack_that_is_just_large_enough_for_signals_is_enough(root, change, hostile):
    def run():
        support.die_quietly()
        assert hostile.make_with_alternate_stack() > 0
        change()
        return len(thread_ids())

    assert in_child(run) == 2


# ---- Whom it leaves out: what never comes back to user mode

IORING_SETUP_SQPOLL = 2


def make_io_uring_worker():
    """A thread of the kernel's in this process: the descriptor that keeps it there."""
    before = len(thread_ids())
    parameters = bytearray(struct.pack("=5I", 0, 0, IORING_SETUP_SQPOLL, 0, 1).ljust(120, b"\0"))
    try:
        ring = system_call("io_uring_setup", 1, parameters)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM, errno.ENOMEM):
            pytest.skip(f"io_uring_setup() is refused here: {error}")
        raise
    assert in_time(lambda: len(thread_ids()) > before)
    return ring


def queued_signals():
    return int(status()["SigQ"].partition("/")[0])


def without_main_thread(function):
    """function() in a process whose main thread has ended; its result."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:

        def run():
            try:
                assert in_time(lambda: status(tid=os.getpid())["State"].startswith("Z"))
                os.write(writer, repr(function()).encode())
            except BaseException as error:
                os.write(writer, repr(repr(error)).encode())
            finally:
                os._exit(0)

        threading.Thread(target=run).start()
        system_call("exit", 0)
    os.close(writer)
    with open(reader) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return eval(text)


def count_1000_broadcasts():
    """How many signals more are queued after them, and what the living threads have."""
    worker = Worker()
    everywhere(prctl.set_no_new_privs)
    before, start = queued_signals(), time.monotonic()
    for _ in range(1000):
        everywhere(prctl.set_no_new_privs)
    took = time.monotonic() - start
    return queued_signals() - before, took, worker(support.kernel_prctl, 39)


def test_workers_of_io_uring_are_left_out_and_no_signals_pile_up(user):
    def change():
        make_io_uring_worker()
        return count_1000_broadcasts()

    grown, took, no_new_privs = in_child(change, user=user)
    assert no_new_privs == 1
    assert grown < 100
    assert took < 20


def test_many_workers_of_io_uring_let_no_signals_pile_up(root):
    def change():
        for _ in range(80):
            make_io_uring_worker()
        everywhere(prctl.set_no_new_privs)
        before = queued_signals()
        for _ in range(40):
            everywhere(prctl.set_no_new_privs)
        return queued_signals() - before

    assert in_child(change) < 100


def test_workers_that_come_and_go_are_still_left_out(root):
    """More than the 1024 that threads.c remembers: those that have gone must not take the place."""

    def change():
        grown = 0
        for _ in range(11):
            rings = [make_io_uring_worker() for _ in range(100)]
            everywhere(prctl.set_no_new_privs)
            before = queued_signals()
            for _ in range(20):
                everywhere(prctl.set_no_new_privs)
            grown = queued_signals() - before
            for ring in rings:
                os.close(ring)
            assert in_time(lambda: len(thread_ids()) == 1)
        return grown

    assert in_child(change) < 100


def test_a_thread_that_has_the_number_of_a_worker_is_not_left_out(root):
    def run():
        if LIBC.unshare(0x20000000) != 0:  # CLONE_NEWPID
            pytest.skip(f"no PID namespaces here: {os.strerror(ctypes.get_errno())}")
        return in_child(change)

    def change():
        support.mount_proc()
        ring = make_io_uring_worker()
        (tid,) = set(thread_ids()) - {os.getpid()}
        everywhere(prctl.set_no_new_privs)
        os.close(ring)
        assert in_time(lambda: len(thread_ids()) == 1)
        workers = [make_worker_after(tid - 1)]
        while workers[-1].tid != tid:  # the kernel may still hold the number for a moment
            workers.append(make_worker_after(tid - 1))
        everywhere(prctl.set_timerslack, 999)
        return {worker(prctl.get_timerslack) for worker in workers}

    def make_worker_after(tid):
        try:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(tid))
        except OSError as error:
            pytest.skip(f"no choice of the next thread's number here: {error}")
        return Worker()

    assert in_child(run) == {999}


def test_a_main_thread_that_has_ended_is_left_out(user):
    grown, took, no_new_privs = in_child(without_main_thread, count_1000_broadcasts, user=user)
    assert no_new_privs == 1
    assert grown < 100
    assert took < 20


def test_privileges_are_dropped_without_a_main_thread(root):
    def drop():
        worker = Worker()
        drop_privileges(support.USER, support.USER, groups=[])
        return of_threads("Uid", "CapPrm")[worker.tid]

    uid = support.USER
    assert in_child(without_main_thread, drop) == (f"{uid} {uid} {uid} {uid}", "0" * 16)


# ---- What it changes. Each row: what is done, what each thread then says, and what it must say.

CHANGES = [
    ("cap_effective.net_raw = False", "prctl.cap_effective.net_raw", False),
    ("cap_effective.drop('net_raw', 'chown')", "len(prctl.cap_effective)", -2),
    ("cap_effective.limit('net_raw')", "set(prctl.cap_effective)", {"net_raw"}),
    ("cap_effective.clear(); prctl.cap_effective.add(13)", "[*prctl.cap_effective]", ["net_raw"]),
    ("cap_effective -= {'net_raw'}", "prctl.cap_effective.net_raw", False),
    ("cap_permitted &= {'net_raw'}", "[*prctl.cap_permitted]", ["net_raw"]),
    ("cap_permitted.limit()", "(len(prctl.cap_permitted), len(prctl.cap_effective))", (0, 0)),
    ("cap_inheritable |= {'net_raw'}", "[*prctl.cap_inheritable]", ["net_raw"]),
    ("cap_inheritable.net_raw = True", "[*prctl.cap_inheritable]", ["net_raw"]),
    ("set_caps(((0, 13), prctl.ALL_FLAGS, False))", "len(prctl.cap_permitted)", -2),
    ("set_caps(((0, 13), 2, True))", "[*prctl.cap_inheritable]", ["chown", "net_raw"]),
    ("capbset.net_raw = False", "prctl.capbset.net_raw", False),
    ("capbset.limit('net_raw', 'chown')", "[*prctl.capbset]", ["chown", "net_raw"]),
    ("capbset.limit()", "[*prctl.capbset]", []),
    ("capbset_drop(13)", "prctl.capbset.net_raw", False),
    ("securebits.noroot = True", "prctl.get_securebits()", 1),
    ("securebits.noroot_locked = True", "prctl.get_securebits()", 2),
    ("securebits.keep_caps = True", "prctl.get_securebits()", 16),
    ("set_securebits(0x2F)", "prctl.get_securebits()", 0x2F),
    ("set_keepcaps(True)", "prctl.get_keepcaps()", True),
    ("set_timerslack(12345)", "prctl.get_timerslack()", 12345),
    ("set_mce_kill(prctl.MCE_KILL_EARLY)", "prctl.get_mce_kill()", prctl.MCE_KILL_EARLY),
    ("set_no_new_privs()", "prctl.get_no_new_privs()", True),
    ("prctl(38, 1)", "prctl.get_no_new_privs()", True),
]
AMBIENT = "cap_inheritable.add(13); prctl.cap_ambient"
CHANGES += [
    (AMBIENT + ".add(13)", "[*prctl.cap_ambient]", ["net_raw"]),
    (AMBIENT + "_raise(13)", "[*prctl.cap_ambient]", ["net_raw"]),
    (AMBIENT + "_raise(13); prctl.cap_ambient.clear()", "[*prctl.cap_ambient]", []),
    (AMBIENT + "_raise(13); prctl.cap_ambient_lower(13)", "[*prctl.cap_ambient]", []),
    (AMBIENT + "_raise(13); prctl.cap_ambient_clear_all()", "[*prctl.cap_ambient]", []),
    (AMBIENT + "_raise(13); prctl.cap_inheritable.clear()", "[*prctl.cap_ambient]", []),
]


@pytest.mark.parametrize(("change", "look", "expected"), CHANGES, ids=[row[0] for row in CHANGES])
def test_every_kind_of_change_is_made_in_every_thread(root, change, look, expected):
    def run():
        workers = [Worker() for _ in range(3)]
        names = {"prctl": prctl}
        before = eval(look, names)
        with all_threads():
            exec("prctl." + change, names)
        return before, [eval(look, names)] + [worker(eval, look, names) for worker in workers]

    before, found = in_child(run)
    if expected == -2:
        expected = before - 2
    assert found == [expected] * 4


@pytest.mark.parametrize(
    ("call", "look", "expected"),
    [
        ((_prctl.PR_CAP_AMBIENT, 2, NET_RAW), lambda: prctl.cap_ambient.net_raw, True),
        ((_prctl.PR_MCE_KILL, 1, 1), prctl.get_mce_kill, prctl.MCE_KILL_EARLY),
    ],
    ids=["PR_CAP_AMBIENT", "PR_MCE_KILL"],
)
def test_an_operation_through_the_door_is_made_in_every_thread(root, call, look, expected):
    """_prctl.prctl() with an option of the table: no call may quietly change one thread only."""

    def run():
        worker = Worker()
        with all_threads():
            prctl.cap_inheritable.add("net_raw")
            prctl.prctl(*call)
        return look(), worker(look)

    assert in_child(run) == (expected, expected)


def test_raised_raises_in_every_thread_and_drops_again(root):
    def run():
        worker = Worker()
        with all_threads():
            prctl.cap_effective.drop("net_raw")
            with prctl.cap_effective.raised("net_raw"):
                inside = of_threads("CapEff")
        return worker.tid, inside, of_threads("CapEff")

    tid, inside, after = in_child(run)
    assert {int(mask, 16) >> NET_RAW & 1 for mask in inside.values()} == {1}
    assert {int(mask, 16) >> NET_RAW & 1 for mask in after.values()} == {0}
    assert tid in inside


def test_a_set_of_capabilities_is_applied_to_every_thread(root):
    if not hasattr(prctl, "Capabilities"):
        pytest.skip("this build has no prctl.Capabilities")

    def run():
        Worker()
        wanted = prctl.Capabilities(permitted=["net_raw", "chown"], effective=["chown"])
        everywhere(wanted.apply)
        return of_threads("CapPrm", "CapEff", "CapInh")

    expected = f"{1 << NET_RAW | 1:016x}", f"{1:016x}", f"{0:016x}"
    assert set(in_child(run).values()) == {expected}


def test_a_time_stamp_counter_that_is_shut_off_everywhere_does_not_end_the_process(root, hostile):
    """The library must not read the clock of the vDSO, which reads the counter."""
    support.needs_kernel("PR_SET_TSC", 26, prctl.TSC_ENABLE)

    def run():
        support.die_quietly()
        hostile.make_sleeping()  # Python's own threads read the clock while they wait for the GIL
        with all_threads():
            prctl.set_tsc(prctl.TSC_SIGSEGV)
            prctl.set_tsc(prctl.TSC_ENABLE)
        return prctl.get_tsc()

    assert in_child(run) == prctl.TSC_ENABLE


# Arguments for every function of scope EVERY_THREAD, and for setters that mean one thread or the
# whole process. set_seccomp() has tests of its own.

SPREAD = {
    "set_unalign": "1",
    "set_keepcaps": "True",
    "set_fpemu": "1",
    "set_fpexc": "0x80",
    "capbset_drop": "13",
    "set_tsc": "1",
    "set_securebits": "5",
    "set_timerslack": "777",
    "set_mce_kill": "1",
    "set_no_new_privs": "",
    "cap_ambient_raise": "13",
    "cap_ambient_lower": "14",
    "cap_ambient_clear_all": "",
    "set_speculation_ctrl": "0, 4",
    "set_tagged_addr_ctrl": "1",
    "set_io_flusher": "True",
    "pac_set_enabled_keys": "1, 1",
    "riscv_v_set_control": "1",
    "ppc_set_dexcr": "1, 2",
    "lock_shadow_stack_status": "1",
    "set_rseq_slice_extension": "1",
    "set_cfi": "0, 1",
}
NOT_SPREAD = {
    "set_name": "'x'",
    "set_pdeathsig": "9",
    "set_dumpable": "True",
    "set_endian": "0",
    "set_timing": "0",
    "task_perf_events_disable": "",
    "task_perf_events_enable": "",
    "set_child_subreaper": "True",
    "set_thp_disable": "True",
    "set_fp_mode": "1",
    "sve_set_vl": "16",
    "sme_set_vl": "16",
    "set_syscall_user_dispatch": "0",
    "sched_core_create": "",
    "sched_core_share_to": "1",
    "sched_core_share_from": "1",
    "set_mdwe": "1",
    "set_memory_merge": "True",
    "set_shadow_stack_status": "1",
    "timer_create_restore_ids": "1",
    "set_ptracer": "0",
}


def functions_for_every_thread():
    names, name = set(), None
    for line in (support.SOURCES / "src" / "options.h").read_text().splitlines():
        if row := re.match(r"OPTION\(\w+, \d+, (\w+)|OPERATION\(\w+, (\w+)", line):
            name = row[1] or row[2]
        if name and re.search(r"\bEVERY_THREAD\b", line):
            names.add(name)
    return names


def test_the_table_has_every_function_for_every_thread():
    assert SPREAD.keys() == functions_for_every_thread() - {"set_seccomp"}


def test_strace_sees_which_options_each_thread_is_asked_for():
    """In a process where every prctl(2) succeeds without being carried out."""
    calls = [f"prctl.{name}({args})" for name, args in [*SPREAD.items(), *NOT_SPREAD.items()]]
    source = f"""
import prctl, threading
prctl.set_no_new_privs()
prctl.set_seccomp(2, {support.refuse("prctl", 0)!r})
for _ in range(2):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
step("begin")
with prctl.all_threads():
    for call in {calls!r}:
        eval(call)
step("end")
os._exit(0)
"""
    main, *others = support.traced_threads(source, "prctl", options=["-e", "raw=prctl"]).values()
    assert len(main) == len(SPREAD) + len(NOT_SPREAD)
    names = "prctl(0xf,", "prctl(0x53564d41,"  # set_name and set_vma_anon_name: libc's, Python's
    for other in others:
        assert [call for call in other if not call.startswith(names)] == main[: len(SPREAD)]
    assert len(others) == 2


def test_threads_that_stand_still_for_a_title_make_no_call_themselves():
    source = """
import prctl, threading
for _ in range(2):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
step("begin")
prctl.set_proctitle("a title")
step("end")
os._exit(0)
"""
    main, *others = support.traced_threads(source, "prctl", options=["-e", "raw=prctl"]).values()
    assert [call for call in main if call.startswith("prctl(0x23, ")]  # PR_SET_MM
    for other in others:
        assert not [call for call in other if call.startswith("prctl(0x23, ")]
    assert len(others) == 2


@pytest.mark.parametrize("name", SPREAD)
def test_a_refusal_by_the_kernel_is_the_same_for_all_threads_as_for_one(name, user):
    def call(spread):
        Worker()
        function, arguments = getattr(prctl, name), eval(f"({SPREAD[name]},)".replace("(,)", "()"))
        try:
            return everywhere(function, *arguments) if spread else function(*arguments)
        except Exception as error:
            return type(error), str(error)

    assert in_child(call, True, user=user) == in_child(call, False, user=user)


def test_one_stop_serves_for_a_loop_of_calls(root):
    source = """
import prctl, threading
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
step("begin")
with prctl.all_threads():
    prctl.capbset.limit()
step("end")
os._exit(0)
"""
    main, *others = support.traced_threads(source, "rt_tgsigqueueinfo,prctl").values()
    assert sum(call.startswith("rt_tgsigqueueinfo(") for call in main) == len(others) == 3
    for other in others:
        dropped = [call for call in other if call.startswith("prctl(0x18, ")]
        assert len(dropped) == support.capability_mask("CapBnd").bit_count()


# ---- Blocks


def other_is_changed(enter):
    """Whether a change of this thread reaches another after enter() has opened and left blocks."""
    worker = Worker()
    with contextlib.ExitStack() as stack:
        enter(stack)
        prctl.set_no_new_privs()
    return worker(prctl.get_no_new_privs)


def open_two_and_close_one(stack):
    stack.enter_context(all_threads())
    with all_threads():
        pass


def enter_the_same_twice(stack):
    block = all_threads()
    stack.enter_context(block)
    with block:
        pass


def leave_by_an_exception(stack):
    with contextlib.suppress(ZeroDivisionError), all_threads(), all_threads():
        raise ZeroDivisionError


def leave_by_a_refusal(stack):
    with contextlib.suppress(ValueError), all_threads():
        prctl.set_mce_kill(99)


@pytest.mark.parametrize(
    ("enter", "expected"),
    [
        (open_two_and_close_one, True),
        (enter_the_same_twice, True),
        (leave_by_an_exception, False),
        (leave_by_a_refusal, False),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_block_holds_from_its_beginning_to_its_end(enter, expected, user):
    assert in_child(other_is_changed, enter, user=user) is expected


def test_what_other_threads_do_themselves_stays_theirs(user):
    def run():
        one, two = Worker(), Worker()
        with all_threads():
            one(prctl.set_timerslack, 4242)
        return prctl.get_timerslack(), one(prctl.get_timerslack), two(prctl.get_timerslack)

    mine, ones, twos = in_child(run, user=user)
    assert ones == 4242
    assert mine == twos != 4242


def test_two_threads_are_in_blocks_of_their_own_at_once(user):
    def run():
        one, two, witness = Worker(), Worker(), Worker()

        def change(values):
            with all_threads():
                for _ in range(200):
                    for value in values:
                        prctl.set_timerslack(value)
                        os.sched_yield()

        one.begin(change, (1001, 1002))
        two.begin(change, (2001, 2002))
        one.result()
        two.result()
        return {worker(prctl.get_timerslack) for worker in (one, two, witness)}

    (found,) = in_child(run, user=user)
    assert found in (1002, 2002)


def test_a_child_forked_inside_the_block_is_inside_it_too(user):
    def run():
        Worker()
        with all_threads():
            inner = in_child(change_in_fork)
        return inner, set(of_threads("NoNewPrivs").values())

    def change_in_fork():
        worker = Worker()
        prctl.set_no_new_privs()
        return worker(prctl.get_no_new_privs)

    assert in_child(run, user=user) == (True, {"0"})


def test_children_forked_during_broadcasts_of_other_threads_work(user):
    def run():
        worker = Worker()
        stop = threading.Event()

        def broadcast():
            while not stop.is_set():
                everywhere(prctl.set_no_new_privs)
                time.sleep(0)

        def change():
            prctl.set_proctitle("forked")
            everywhere(prctl.set_timerslack, 999)
            return prctl.get_proctitle()

        worker.begin(broadcast)
        titles = {in_child(change, seconds=10) for _ in range(50)}
        stop.set()
        worker.result()
        return titles

    assert in_child(run, user=user) == {"forked"}


# Each: what is done, with what exception.
BAD_CALLS = [
    (lambda: all_threads(1), TypeError),
    (lambda: all_threads(threads=1), TypeError),
    (lambda: _prctl._all_threads(0), ValueError),
    (lambda: _prctl._all_threads(2), ValueError),
    (lambda: _prctl._all_threads(-1), ValueError),
    (lambda: _prctl._all_threads(2**70), OverflowError),
    (lambda: _prctl._all_threads(-(2**70)), OverflowError),
    (lambda: _prctl._all_threads(1.0), TypeError),
    (lambda: _prctl._all_threads("1"), TypeError),
    (lambda: _prctl._all_threads(), TypeError),
    (lambda: all_threads().__exit__(None, None, None), ValueError),
    (lambda: Worker()(all_threads().__exit__, None, None, None), ValueError),
    (lambda: everywhere(prctl.cap_effective.add, "fly"), ValueError),
    (lambda: everywhere(prctl.capbset.add, "chown"), ValueError),
    (lambda: everywhere(prctl.set_timerslack, "much"), TypeError),
    (lambda: everywhere(prctl.set_timerslack, 2**70), OverflowError),
    (lambda: everywhere(prctl.set_no_new_privs, False), ValueError),
    (lambda: everywhere(prctl.set_seccomp, 2, b"1234567"), ValueError),
    (lambda: everywhere(prctl.set_seccomp, 2), ValueError),
    (lambda: everywhere(prctl.set_seccomp, 3), ValueError),
    (lambda: everywhere(prctl.set_seccomp, prctl.SECCOMP_MODE_STRICT), ValueError),
]


@pytest.mark.parametrize("place", range(len(BAD_CALLS)))
def test_bad_calls_change_nothing_and_leave_the_block(place):
    call, expected = BAD_CALLS[place]
    worker = None

    def state():
        mine = {key: value for key, value in support.state().items() if key != "Threads"}
        others = of_threads("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")[worker.tid]
        return mine, others, worker(prctl.get_timerslack)

    def run():
        nonlocal worker
        worker = Worker()
        before = state()
        with pytest.raises(expected):
            call()
        after = state()
        in_a_block = True
        try:
            _prctl._all_threads(-1)
        except ValueError:
            in_a_block = False
        return before == after, in_a_block

    assert in_child(run) == (True, False)


# ---- What the others notice of it


def sleep_in_a_raw_read():
    reader, writer = os.pipe()
    return lambda: os.write(writer, b"x"), lambda: system_call("read", reader, bytearray(8), 8) == 1


def sleep_in_a_raw_futex():
    word, wake = bytearray(4), 1
    done = threading.Event()

    def sleep():
        result = system_call("futex", word, 0, 0, 0)
        done.set()
        return result == 0

    def wake_up():
        while not done.wait(0.01):
            system_call("futex", word, wake, 1)

    return wake_up, sleep


def sleep_in_python():
    def sleep():
        start = time.monotonic()
        time.sleep(0.4)
        return 0.4 <= time.monotonic() - start < 5

    return lambda: None, sleep


def sleep_in_a_lock():
    lock = threading.Lock()
    lock.acquire()
    return lock.release, lock.acquire


def sleep_in_a_lock_with_a_timeout():
    event = threading.Event()
    return lambda: None, lambda: not event.wait(0.4)


def sleep_in_poll():
    reader, _writer = os.pipe()
    poll = select.poll()
    poll.register(reader, select.POLLIN)

    def sleep():
        start = time.monotonic()
        return poll.poll(400) == [] and time.monotonic() - start > 0.39

    return lambda: None, sleep


def sleep_in_select():
    reader, writer = os.pipe()
    return (
        lambda: os.write(writer, b"x"),
        lambda: (
            select.select([reader], [], [])
            == (
                [reader],
                [],
                [],
            )
        ),
    )


def sleep_in_asyncio():
    reader, writer = os.pipe()

    async def serve():
        loop, came = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(reader, came.set)
        await asyncio.wait_for(came.wait(), 30)
        await asyncio.sleep(0.1)
        loop.remove_reader(reader)
        return True

    return lambda: os.write(writer, b"x"), lambda: asyncio.run(serve())


def sleep_in_waitpid():
    return lambda: None, lambda: subprocess.run(["sleep", "0.4"], check=False).returncode == 0


def sleep_in_sigtimedwait():
    signals = {signal.SIGUSR2}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    return (
        lambda: os.kill(os.getpid(), signal.SIGUSR2),
        lambda: signal.sigtimedwait(signals, 30).si_signo == signal.SIGUSR2,
    )


SLEEPS = [value for name, value in list(globals().items()) if name.startswith("sleep_in_")]


@pytest.mark.parametrize("prepare", SLEEPS, ids=lambda prepare: prepare.__name__)
def test_a_thread_asleep_in_a_system_call_goes_on(prepare, user):
    def run():
        wake, sleep = prepare()
        worker = Worker()
        worker.begin(sleep)
        in_time(lambda: status(tid=worker.tid)["State"].startswith("S"))
        time.sleep(0.02)
        for _ in range(20):
            everywhere(prctl.set_no_new_privs)
            time.sleep(0.005)
        wake()
        return worker.result(), worker(prctl.get_no_new_privs)

    assert in_child(run, user=user) == (True, True)


def disposition():
    old = bytearray(64)
    system_call("rt_sigaction", support.LIBC_SIGNAL, 0, old, 8)
    return bytes(old)


def set_disposition(handler):
    new = bytearray(struct.pack("@P", handler).ljust(64, b"\0"))
    system_call("rt_sigaction", support.LIBC_SIGNAL, new, 0, 8)


@pytest.mark.parametrize("handler", [None, 0, 1], ids=["libc's", "SIG_DFL", "SIG_IGN"])
@pytest.mark.parametrize(
    "change",
    [
        lambda: everywhere(prctl.set_no_new_privs),
        lambda: everywhere(prctl.capbset.limit),
        lambda: everywhere(prctl.cap_permitted.add, "sys_resource"),
        lambda: prctl.set_proctitle("a title"),
    ],
    ids=["done", "done or refused", "refused", "title"],
)
def test_the_signal_is_handled_afterwards_as_it_was_before(handler, change, user):
    def run():
        Worker()
        if handler is not None:
            set_disposition(handler)
        before = disposition()
        with contextlib.suppress(OSError, ValueError):
            change()
        return before, disposition()

    before, after = in_child(run, user=user)
    assert before == after


@pytest.mark.kernel("blocked signals")
def test_a_handler_that_another_thread_sets_meanwhile_stays(user, hostile):
    hostile.start_setting_a_handler.restype = ctypes.c_void_p

    def run():
        Worker()(block_libc_signal)  # it is waited for, longer than the other takes
        handler = hostile.start_setting_a_handler()
        failure(RuntimeError, everywhere, prctl.set_no_new_privs)
        return handler, struct.unpack_from("@P", disposition())[0]

    handler, found = in_child(run, user=user)
    assert found == handler


@pytest.mark.kernel("blocked signals")
@pytest.mark.parametrize("before", [0, 1, 2], ids=["SIG_DFL", "SIG_IGN", "handler"])
def test_what_others_send_meanwhile_goes_to_the_handler_before(before, user, hostile):
    """Also when it looks like the library's own but for the value, which no memory is behind."""

    def run():
        worker = Worker()
        Worker()(block_libc_signal)  # it is waited for
        sent = hostile.start_sending_to(worker.tid, before)
        failure(RuntimeError, everywhere, prctl.set_no_new_privs)
        return sent, hostile.count_handled(), worker(prctl.get_no_new_privs)

    sent, handled, no_new_privs = in_child(run, user=user)
    assert handled == (sent if before == 2 else 0)
    assert no_new_privs


def test_setresuid_of_other_threads_at_the_same_time_is_not_lost(user, hostile):
    def run():
        hostile.count_set.restype = ctypes.c_long
        hostile.start_setting(4)
        broadcasts = 0
        while broadcasts < 1000 or hostile.count_set() < 2000:
            everywhere(prctl.set_timerslack, 1000 + broadcasts)
            broadcasts += 1
        slack = {Worker()(prctl.get_timerslack)}
        return hostile.stop_setting(), slack == {999 + broadcasts}

    assert in_child(run, user=user, seconds=60) == (0, True)


def test_python_threads_change_their_ids_at_the_same_time(root):
    def run():
        workers = [Worker() for _ in range(3)]

        def change():
            for _ in range(300):
                os.setresuid(0, 1, 0)
                os.setuid(0)

        workers[0].begin(change)
        workers[1].begin(change)
        for _ in range(300):
            everywhere(prctl.set_no_new_privs)
            time.sleep(0)
        for worker in workers[:2]:
            worker.result()
        return set(of_threads("NoNewPrivs", "Uid").values())

    assert in_child(run) == {("1", "0 0 0 0")}


def test_processes_that_other_threads_start_meanwhile_run_well(user):
    def run():
        spawners = [Worker(), Worker()]
        begun = threading.Barrier(3)

        def by_subprocess():
            begun.wait()
            return {subprocess.call(["/bin/true"]) for _ in range(40)}

        def by_posix_spawn():
            begun.wait()
            statuses = set()
            for _ in range(40):
                pid = os.posix_spawn("/bin/true", ["true"], {})
                statuses.add(os.waitpid(pid, 0)[1])
            return statuses

        spawners[0].begin(by_subprocess)
        spawners[1].begin(by_posix_spawn)
        begun.wait()
        for _ in range(200):
            everywhere(prctl.set_no_new_privs)
            time.sleep(0.001)
        return [spawner.result() for spawner in spawners]

    assert in_child(run, user=user) == [{0}, {0}]


@pytest.mark.kernel("command line")
def test_the_first_title_leaves_the_heap_sound_while_threads_move_the_break(user, hostile):
    arena_max, mmap_threshold, trim_threshold = -8, -3, -1

    def run():
        for parameter, value in (arena_max, 1), (mmap_threshold, 1 << 30), (trim_threshold, 0):
            if not hasattr(LIBC, "mallopt"):
                pytest.skip("this libc's malloc() cannot be told to move the break")
            LIBC.mallopt(parameter, value)
        hostile.start_allocating(8)
        time.sleep(0.02)
        prctl.set_proctitle("a title")
        time.sleep(0.02)
        damaged = hostile.stop_allocating()
        return damaged, hostile.break_is_known(), support.cmdline()

    for _ in range(15):
        assert in_child(run, user=user) == (0, 1, b"a title\0")


# ---- Threads that answer differently


def test_a_thread_that_already_has_less_is_no_failure(root):
    """Each has something else already, and no right to drop anything from the bounding set."""

    def run():
        workers = [Worker() for _ in range(3)]
        for worker, capability in zip(workers, ("chown", "net_raw", "kill"), strict=True):
            worker(prctl.cap_permitted.drop, capability, "setpcap")
            worker(prctl.cap_effective.clear)
        everywhere(prctl.cap_permitted.drop, "chown", "net_raw", "kill")
        everywhere(prctl.cap_effective.limit, "sys_time")
        everywhere(prctl.cap_inheritable.clear)
        everywhere(prctl.cap_ambient.clear)
        return set(of_threads("CapInh", "CapAmb").values()), of_threads("CapPrm")

    empty, permitted = in_child(run)
    assert empty == {("0" * 16, "0" * 16)}
    gone = 1 << prctl.CAP_CHOWN | 1 << NET_RAW | 1 << prctl.CAP_KILL
    assert [tid for tid, mask in permitted.items() if int(mask, 16) & gone] == []


@pytest.mark.parametrize(
    "drop",
    [
        lambda: prctl.capbset.drop("net_raw"),
        lambda: setattr(prctl.capbset, "net_raw", False),
        lambda: prctl.capbset_drop(NET_RAW),
        lambda: prctl.prctl(_prctl.PR_CAPBSET_DROP, NET_RAW),
    ],
    ids=["drop", "attribute", "capbset_drop", "prctl"],
)
def test_what_a_thread_has_dropped_from_the_bounding_set_before_is_no_failure(root, drop):
    def run():
        worker = Worker()
        worker(prctl.capbset.drop, "net_raw")
        worker(prctl.cap_permitted.drop, "setpcap")
        everywhere(drop)
        return {int(mask, 16) >> NET_RAW & 1 for mask in of_threads("CapBnd").values()}

    assert in_child(run) == {0}


def test_a_thread_that_may_not_is_named_with_its_error(root):
    def run():
        worker, other = Worker(), Worker()
        worker(prctl.cap_effective.drop, "setpcap")
        text = failure(RuntimeError, everywhere, prctl.capbset.drop, "net_raw")
        having = [tid for tid, mask in of_threads("CapBnd").items() if int(mask, 16) >> NET_RAW & 1]
        return worker.tid, other.tid, text, having

    tid, other, text, having = in_child(run)
    assert f"thread {tid}: [Errno 1] {os.strerror(1)}" in text
    assert str(other) not in text
    assert having == [tid]


def test_many_threads_that_may_not_are_counted(root):
    def run():
        for _ in range(30):
            Worker()(prctl.cap_effective.drop, "setpcap")
        return failure(RuntimeError, everywhere, prctl.capbset.drop, "net_raw")

    text = in_child(run)
    assert "30" in text
    assert text.count("thread ") >= 10


def test_what_this_thread_may_not_no_other_has_tried(user):
    """Root may not either, once it has dropped CAP_SETPCAP here."""

    def run():
        Worker()
        if not user:
            prctl.cap_effective.drop("setpcap")
        answer = error_of(everywhere, prctl.capbset.drop, "net_raw")
        return answer, set(of_threads("CapBnd").values())

    bounding = status()["CapBnd"]
    if int(bounding, 16) >> NET_RAW & 1 == 0:
        pytest.skip("the suite's bounding set is without CAP_NET_RAW")
    answer, found = in_child(run, user=user)
    why = "dropping from the bounding set needs CAP_SETPCAP"
    assert answer == support.refused(errno.EPERM, why)
    assert found == {bounding}


# ---- seccomp

NO_GETPPID = support.refuse("getppid", errno.EADDRNOTAVAIL)


def getppid():
    return support.errno_or_result(system_call, "getppid")


@pytest.mark.kernel("seccomp filters")
def test_a_filter_is_installed_in_every_thread(user):
    def run():
        workers = [Worker() for _ in range(3)]
        prctl.set_no_new_privs()
        everywhere(prctl.set_seccomp, prctl.SECCOMP_MODE_FILTER, NO_GETPPID)
        return {getppid(), *(worker(getppid) for worker in workers)}

    assert in_child(run, user=user) == {f"errno {errno.EADDRNOTAVAIL}"}


@pytest.mark.kernel("seccomp filters")
def test_a_thread_with_another_filter_is_named_and_no_thread_has_got_one(user):
    def run():
        worker, other = Worker(), Worker()
        worker(install_filter, support.refuse("getppid", 0))
        prctl.set_no_new_privs()
        change = everywhere, prctl.set_seccomp, prctl.SECCOMP_MODE_FILTER, NO_GETPPID
        return worker.tid, failure(RuntimeError, *change), getppid() == other(getppid)

    tid, text, is_free = in_child(run, user=user)
    assert f"thread {tid} " in text
    assert is_free


@pytest.mark.kernel("seccomp filters")
def test_filters_that_all_threads_have_grow_by_one(user):
    def run():
        prctl.set_no_new_privs()
        Worker()
        everywhere(prctl.set_seccomp, 2, support.refuse("getppid", errno.EXDEV))
        everywhere(prctl.set_seccomp, 2, support.refuse("timer_create", errno.EXDEV))
        return set(of_threads("Seccomp_filters").values())

    before = int(status().get("Seccomp_filters", 0))
    assert in_child(run, user=user) == {str(before + 2)}


@pytest.mark.kernel("seccomp filters")
def test_a_filter_without_no_new_privs_is_refused_to_a_user():
    def run():
        Worker()
        return error_of(everywhere, prctl.set_seccomp, 2, NO_GETPPID)

    if not support.ROOT and status()["NoNewPrivs"] == "1":
        pytest.skip("the suite runs with no_new_privs")
    why = "installing a filter needs no_new_privs or CAP_SYS_ADMIN"
    assert in_child(run, user=True) == support.refused(errno.EACCES, why)


def test_strict_mode_is_refused(user):
    def run():
        Worker()
        text = failure(ValueError, everywhere, prctl.set_seccomp, prctl.SECCOMP_MODE_STRICT)
        return text, set(of_threads("Seccomp").values())

    text, modes = in_child(run, user=user)
    assert "STRICT" in text
    assert modes == {status()["Seccomp"]}


def test_a_thread_whose_filter_ends_it_at_the_call_does_not_keep_the_others_waiting(user):
    """It is in the handler then, and never comes out of it."""

    def run():
        worker, other = Worker(), Worker()
        worker(install_filter, support.instead_of("prctl", support.ENDS_THE_THREAD))
        with contextlib.suppress(RuntimeError):
            everywhere(prctl.set_no_new_privs)
        found = of_threads("NoNewPrivs")
        return worker.tid in found, found[other.tid], found[os.getpid()]

    assert in_child(run, user=user, seconds=10) == (False, "1", "1")


@pytest.mark.kernel("seccomp filters")
def test_a_thread_whose_filter_ends_it_while_it_is_held_does_not_keep_the_others_waiting(
    user, hostile
):
    def run():
        other = Worker()
        ends = support.instead_of("futex", support.ENDS_THE_THREAD)
        assert hostile.make_with_filter(ends, len(ends)) > 0
        prctl.set_proctitle("a title")  # holds the others still
        return other(lambda: True), support.cmdline()

    assert in_child(run, user=user, seconds=10) == (True, b"a title\0")


def test_a_filter_that_answers_by_sigsys_is_answered_by_its_handler(user):
    """As sandboxes do that carry calls out themselves. Blocked in a handler, SIGSYS would kill."""

    def run():
        support.die_quietly()
        worker, calls = Worker(), []
        signal.signal(signal.SIGSYS, lambda *_: calls.append(1))
        worker(install_filter, support.instead_of("prctl", support.SIGSYS_INSTEAD))
        with contextlib.suppress(RuntimeError):
            everywhere(prctl.set_timerslack, 999)
        return prctl.get_timerslack(), worker(lambda: True)

    assert in_child(run, user=user) == (999, True)


@pytest.mark.parametrize("name", ["prctl", "futex"])
def test_a_filter_that_refuses_what_the_handler_does_is_no_hang(name, user, hostile):
    def run():
        Worker()
        refuse = support.refuse(name, errno.EXDEV)
        tid, text = hostile.make_with_filter(refuse, len(refuse)), ""
        try:
            everywhere(prctl.set_timerslack, 999)
        except RuntimeError as error:
            text = str(error)
        prctl.set_proctitle("a title")  # holds the others still
        return tid, text, prctl.get_timerslack()

    tid, text, slack = in_child(run, user=user, seconds=20)
    assert slack == 999
    assert text == "" or name == "prctl"
    assert text == "" or f"thread {tid}: [Errno {errno.EXDEV}]" in text


# ---- Threads that cannot be reached


def pending_limit(number):
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (number, number))


def test_without_room_for_a_signal_it_is_an_error_that_names_the_thread(user):
    def run():
        workers = [Worker() for _ in range(5)]
        pending_limit(0)
        answer = error_of(everywhere, prctl.set_no_new_privs)
        return answer, [worker.tid for worker in workers], of_threads("NoNewPrivs"), disposition()

    (number, kind, text), tids, found, _ = in_child(run, user=user)
    assert number == errno.EAGAIN
    assert kind is BlockingIOError
    assert "RLIMIT_SIGPENDING" in text
    assert [tid for tid in tids if f"thread {tid} " in text]
    assert sorted(found.values()) == ["0"] * 5 + ["1"]  # this thread's own change stands


def test_room_for_a_few_signals_is_enough_for_many_threads(root):
    """Root's own limit: other processes of an ordinary user count against that user's."""

    def run():
        for _ in range(30):
            Worker()
        pending_limit(queued_signals() + 3)
        everywhere(prctl.set_no_new_privs)
        drop_privileges(support.USER, support.USER, groups=[])  # holds every thread
        return set(of_threads("NoNewPrivs", "CapPrm").values())

    assert in_child(run) == {("1", "0" * 16)}


@pytest.mark.kernel("blocked signals")
def test_a_thread_that_blocks_the_signal_is_named_and_the_others_are_changed(user):
    def run():
        worker, other = Worker(), Worker()
        worker(block_libc_signal)
        text = failure(RuntimeError, everywhere, prctl.set_no_new_privs)
        return worker.tid, other.tid, text, of_threads("NoNewPrivs")

    tid, other, text, found = in_child(run, user=user)
    assert f"thread {tid} has blocked" in text
    assert found.pop(tid) == "0"
    assert set(found.values()) == {"1"}
    assert other in found


@pytest.mark.kernel("blocked signals")
@pytest.mark.parametrize("handler", [None, 0, 1], ids=["libc's", "SIG_DFL", "SIG_IGN"])
def test_a_signal_that_comes_too_late_does_nothing(handler, user):
    """Where it would end the process the library's handler stays; and is put back elsewhere."""

    def run():
        worker = Worker()
        if handler is not None:
            set_disposition(handler)
        before = disposition()
        worker(block_libc_signal)
        failure(RuntimeError, everywhere, prctl.set_no_new_privs)
        is_put_back = disposition() == before
        worker(block_libc_signal, False)
        late = worker(prctl.get_no_new_privs)
        everywhere(prctl.set_timerslack, 999)
        if handler is not None:  # libc's would do what libc asks
            system_call("tgkill", os.getpid(), worker.tid, support.LIBC_SIGNAL)
        return late, worker(prctl.get_timerslack), worker(prctl.get_no_new_privs), is_put_back

    assert in_child(run, user=user) == (False, 999, False, handler != 0)


@pytest.mark.kernel("blocked signals")
def test_a_late_signal_does_nothing_after_a_second_failure_of_another_kind(user):
    """The handler that was left for it must stay when the next broadcast fails early."""

    def run():
        support.die_quietly()
        worker = Worker()
        set_disposition(0)  # SIG_DFL: whoever takes the signal ends the process
        worker(block_libc_signal)
        failure(RuntimeError, everywhere, prctl.set_no_new_privs)
        pending_limit(0)
        failure(BlockingIOError, everywhere, prctl.set_no_new_privs)
        worker(block_libc_signal, False)
        return worker(prctl.get_no_new_privs)

    assert in_child(run, user=user) is False


@pytest.mark.kernel("blocked signals")
def test_a_blocked_thread_is_named_however_many_groups_the_process_is_in(root):
    """Its status is longer than a page then, and says what is blocked behind the groups."""

    def run():
        os.setgroups(range(100000, 102000))
        worker = Worker()
        worker(block_libc_signal)
        return worker.tid, failure(RuntimeError, everywhere, prctl.set_no_new_privs)

    tid, text = in_child(run)
    assert f"thread {tid} has blocked" in text


@contextlib.contextmanager
def only_a_descriptor_for_the_list_of_threads():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # which valgrind refuses to change
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.dup(0))
    os.close(taken.pop())
    yield
    for descriptor in taken:
        os.close(descriptor)


def test_a_blocked_thread_is_named_when_no_descriptor_is_left_to_look_for_it(user):
    def run():
        worker = Worker()
        worker(block_libc_signal)
        with only_a_descriptor_for_the_list_of_threads():
            try:
                everywhere(prctl.set_no_new_privs)
                text = "no error"
            except (RuntimeError, OSError) as error:
                text = str(error)
        return worker.tid, text, of_threads("NoNewPrivs")[worker.tid]

    tid, text, no_new_privs = in_child(run, user=user, seconds=20)
    assert no_new_privs == "0"
    assert f"thread {tid} " in text or os.strerror(errno.EMFILE) in text


@pytest.mark.kernel("blocked signals")
def test_threads_that_are_held_sleep(user):
    look = 'sleep 0.3; for time in 1 2 3 4 5; do cat "$@"; sleep 0.05; done'

    def run():
        held = [f"/proc/{os.getpid()}/task/{Worker().tid}/stat" for _ in range(4)]
        Worker()(block_libc_signal)  # it is waited for: the others stay in the handler for a second
        with subprocess.Popen(["sh", "-c", look, "sh", *held], stdout=-1, text=True) as witness:
            prctl.set_proctitle("a title")
            lines = witness.communicate()[0].splitlines()
        return [line.rpartition(")")[2].split()[0] for line in lines]

    states = in_child(run, user=user)
    assert len(states) == 20
    assert states.count("R") < 10


@pytest.mark.kernel("blocked signals")
def test_other_signals_do_not_keep_the_sender_from_looking(user):
    """A profiler interrupts it a thousand times a second, always before it would look."""

    def run():
        worker = Worker()
        worker(block_libc_signal)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        profiler = os.fork()
        if profiler == 0:
            with contextlib.suppress(ProcessLookupError):
                while os.getppid() != 1:
                    os.kill(os.getppid(), signal.SIGUSR1)
            os._exit(0)
        time.sleep(0.05)
        try:
            text = failure(RuntimeError, everywhere, prctl.set_no_new_privs)
        finally:
            os.kill(profiler, signal.SIGKILL)
        return worker.tid, text

    tid, text = in_child(run, user=user, seconds=10)
    assert f"thread {tid} has blocked" in text


def test_a_thread_that_ends_is_no_failure_when_no_descriptor_is_left_to_look_for_it(user, hostile):
    def run():
        worker = Worker()
        hostile.make_ending_with_it_pending(100)
        with only_a_descriptor_for_the_list_of_threads():
            everywhere(prctl.set_timerslack, 999)
        return worker(prctl.get_timerslack)

    assert in_child(run, user=user) == 999


def test_a_thread_that_ends_with_the_signal_pending_is_no_failure(user, hostile):
    def run():
        worker = Worker()
        for milliseconds in (0, 1, 5, 20, 50, 100, 300):
            hostile.make_ending_with_it_pending(milliseconds)
            everywhere(prctl.set_timerslack, 1000 + milliseconds)
            assert worker(prctl.get_timerslack) == 1000 + milliseconds
        return True

    assert in_child(run, user=user)


def test_a_thread_that_blocks_the_signal_for_a_while_is_changed_when_it_can_be(user, hostile):
    def run():
        tid = hostile.make_blocking_it_for(300)
        everywhere(prctl.set_no_new_privs)
        return of_threads("NoNewPrivs")[tid]

    assert in_child(run, user=user) == "1"


def test_a_late_signal_does_not_stand_for_the_answer_of_another_thread(user, hostile):
    """A thread that takes two signals at once, the first being of a call that has given it up."""

    def run():
        hostile.make_blocking_it_for(1200)
        with contextlib.suppress(RuntimeError):
            everywhere(prctl.set_timerslack, 1000)
        tid = hostile.make_blocking_it_for(500)
        everywhere(prctl.set_no_new_privs)
        return of_threads("NoNewPrivs")[tid]

    assert in_child(run, user=user) == "1"


def test_a_thread_that_waits_for_its_child_to_exec_is_waited_for(user, hostile):
    """It has every signal blocked meanwhile, for longer than others are given."""

    def run():
        tid = hostile.make_waiting_for_a_child(1400)
        everywhere(prctl.set_no_new_privs)
        return of_threads("NoNewPrivs")[tid]

    assert in_child(run, user=user) == "1"


def test_threads_that_are_held_all_the_while_are_not_taken_for_blocked(root, hostile):
    """They sleep in the handler, which blocks the signal, until the last one has come."""

    def run():
        Worker()
        hostile.make_waiting_for_a_child(1400)
        drop_privileges(support.USER, support.USER, groups=[])
        return set(of_threads("CapPrm").values())

    assert in_child(run) == {"0" * 16}


def test_a_signal_that_somebody_else_takes_is_sent_again(user, hostile):
    def run():
        tid = hostile.make_taking_it_away()
        start = time.monotonic()
        everywhere(prctl.set_no_new_privs)
        return of_threads("NoNewPrivs")[tid], time.monotonic() - start < 5

    assert in_child(run, user=user) == ("1", True)


def test_the_time_for_which_the_process_is_stopped_does_not_count(user, hostile):
    stop = 'sleep 0.15; kill -STOP "$1"; sleep 1.5; kill -CONT "$1"'

    def run():
        with subprocess.Popen(["sh", "-c", stop, "sh", str(os.getpid())]):
            tid = hostile.make_blocking_it_for(400)
            everywhere(prctl.set_no_new_privs)
        return of_threads("NoNewPrivs")[tid]

    assert in_child(run, user=user) == "1"


@pytest.mark.kernel("blocked signals")
def test_the_first_trouble_is_the_one_that_is_told(root):
    """The second comes of it: a signal that a thread does not take leaves no room for another's."""

    def run():
        workers = [Worker() for _ in range(2)]
        for worker in workers:
            worker(block_libc_signal)
        pending_limit(queued_signals() + 1)
        text = failure(RuntimeError, everywhere, prctl.set_no_new_privs)
        return [worker.tid for worker in workers], text

    tids, text = in_child(run)
    assert [tid for tid in tids if f"thread {tid} has blocked" in text]


def test_a_filter_of_the_senders_that_refuses_signals_is_an_error_that_names_the_thread(user):
    def run():
        worker = Worker()
        install_filter(support.refuse("rt_tgsigqueueinfo", errno.EPERM))
        return worker.tid, error_of(everywhere, prctl.set_timerslack, 999)

    tid, (number, kind, text) = in_child(run, user=user)
    assert (number, kind) == (errno.EPERM, PermissionError)
    assert f"thread {tid} " in text


@pytest.mark.kernel("blocked signals", "seccomp filters")
def test_a_filter_of_the_senders_that_refuses_the_time_is_no_hang(user):
    def run():
        worker = Worker()
        worker(block_libc_signal)
        install_filter(support.refuse("clock_gettime", errno.EPERM))
        with pytest.raises(RuntimeError) as caught:  # and no look at a clock, which may be refused
            everywhere(prctl.set_timerslack, 999)
        return worker.tid, str(caught.value)

    tid, text = in_child(run, user=user, seconds=20)
    assert f"thread {tid} has blocked" in text


# Asked when a filter refuses the system call. It does not go at all, or goes fast.
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int
clock_gettime(clockid_t clock, struct timespec *time)
{
    int (*next)(clockid_t, struct timespec *) = (__typeof__(next))dlsym(RTLD_NEXT, "clock_gettime");
    int result = next(clock, time);
    long long nanoseconds = (time->tv_sec * 1000000000LL + time->tv_nsec) * SPEED;

    if (clock != CLOCK_MONOTONIC_COARSE)
        return result;
    time->tv_sec = (time_t)(nanoseconds / 1000000000);
    time->tv_nsec = (long)(nanoseconds % 1000000000);
    return SPEED ? result : -1;
}
"""
WITH_THAT_CLOCK = """
import ctypes, errno, sys
sys.path.insert(0, {tests!r})
import prctl, support
hostile = ctypes.CDLL({hostile!r})
support.install_filter(support.refuse("clock_gettime", errno.EPERM))
"""
BLOCKED = """
worker = support.Worker()
worker(support.block_libc_signal)
try:
    with prctl.all_threads():
        prctl.set_timerslack(999)
except RuntimeError as error:
    print(f"thread {worker.tid} has blocked" in str(error))
"""
SLOW = """
tids = [hostile.make_waiting_for_a_child(milliseconds) for milliseconds in (750, 1500, 2250)]
assert hostile.start_chain(2) == 0
with prctl.all_threads():
    prctl.set_no_new_privs()
found = support.of_threads("NoNewPrivs")
print([found[tid] for tid in tids], set(found.values()), len(found))
"""
ENDLESS = """
assert hostile.start_chain(3000) == 0
try:
    with prctl.all_threads():
        prctl.set_no_new_privs()
    print("no error")
except BlockingIOError as error:
    print(error.strerror)
print(hostile.count_made())
"""


def run_with_clock(speed, source, hostile, folder):
    library = folder / "clock.so"
    support.compile_c(CLOCK, library, f"-DSPEED={speed}", "-shared", "-fPIC")
    tests = str(Path(support.__file__).parent)
    source = WITH_THAT_CLOCK.format(tests=tests, hostile=hostile._name) + source
    return support.run_python(source, env=support.fresh_environment(LD_PRELOAD=str(library)))


def test_without_any_clock_a_thread_that_does_not_answer_is_no_hang(hostile, tmp_path):
    """As where a filter refuses the time, and the vDSO cannot tell it, either."""
    assert run_with_clock(0, BLOCKED, hostile, tmp_path) == "True\n"


def test_threads_may_take_long_as_long_as_one_after_the_other_answers(hostile, tmp_path):
    """Ten seconds without an answer are too many; with the clock's speed these are six at most."""
    said = run_with_clock(8, SLOW, hostile, tmp_path)
    assert said == "['1', '1', '1'] {'1'} 6\n"


def test_threads_of_which_each_look_finds_a_new_one_for_ever_are_an_error(hostile, tmp_path):
    text, made = run_with_clock(8, ENDLESS, hostile, tmp_path).splitlines()
    if text == "no error" and int(made) < 3000:
        pytest.skip(f"this machine lets a process have {made} threads")
    again = os.strerror(errno.EAGAIN)
    assert text == f"{again}: threads come and go too fast to be counted"
    assert int(made) < 3000


@pytest.mark.kernel("seccomp filters")
def test_a_filter_that_refuses_to_list_threads_again_is_an_error_at_once(user):
    def run():
        Worker()
        install_filter(support.refuse("lseek", errno.EPERM))
        return error_of(everywhere, prctl.set_timerslack, 999)

    assert in_child(run, user=user, seconds=5) == support.refused(errno.EPERM, "/proc/self/task")


def test_a_filter_of_the_senders_lets_no_thread_be_missed(user, hostile):
    """A thread is gone when the kernel says ESRCH, and not when it refuses to say."""

    def run():
        tid = hostile.make_blocking_it_for(900)
        install_filter(support.refuse("tgkill", errno.EPERM))
        text = ""
        try:
            everywhere(prctl.set_timerslack, 999)
            everywhere(prctl.set_no_new_privs)
        except (RuntimeError, OSError) as error:
            text = str(error)
        return tid, text, of_threads("NoNewPrivs")[tid]

    tid, text, no_new_privs = in_child(run, user=user, seconds=20)
    assert no_new_privs == "1" or f"thread {tid} " in text


def test_a_thread_that_a_debugger_has_stopped_is_named_and_the_process_stays_healthy(user):
    def run():
        worker, other = Worker(), Worker()
        debugger = support.Debugger(worker.tid)
        text = failure(RuntimeError, everywhere, prctl.set_no_new_privs)
        found = of_threads("NoNewPrivs")
        debugger.go()
        late = worker(prctl.get_no_new_privs)
        everywhere(prctl.set_timerslack, 999)
        slacks = worker(prctl.get_timerslack), other(prctl.get_timerslack)
        return worker.tid, text, found[worker.tid], found[other.tid], late, slacks

    tid, text, stopped, other, late, slacks = in_child(run, user=user)
    assert f"thread {tid} is stopped" in text
    assert (stopped, other) == ("0", "1")
    assert late is False
    assert slacks == (999, 999)


def test_a_thread_that_a_debugger_stops_for_a_while_is_waited_for(user):
    def run():
        worker = Worker()
        support.Debugger(worker.tid).go_soon(0.4)
        everywhere(prctl.set_no_new_privs)
        return worker(prctl.get_no_new_privs)

    assert in_child(run, user=user)


def test_a_stopped_thread_keeps_nothing_from_getting_a_title(user):
    def run():
        worker = Worker()
        debugger = support.Debugger(worker.tid)
        start = time.monotonic()
        prctl.set_proctitle("a title")
        took = time.monotonic() - start
        debugger.go()
        return support.cmdline(), took < 5, worker(lambda: True)

    assert in_child(run, user=user) == (b"a title\0", True, True)


# ---- /proc


def test_without_proc_it_is_an_error_that_says_so_and_nothing_is_changed(user):
    def run():
        if user:
            support.enter_user_namespace()
        worker = Worker()
        os.chroot("/dev")  # a folder that everyone can enter
        answer = error_of(everywhere, prctl.set_no_new_privs)
        return answer, prctl.get_no_new_privs(), worker(prctl.get_no_new_privs)

    (number, _, text), mine, others = in_child(run, user=user)
    assert number == errno.ENOENT
    assert "/proc/self/task" in text
    assert not mine
    assert not others


def test_a_proc_of_another_pid_namespace_is_an_error_and_not_a_silent_miss(user):
    """Its numbers of threads are not those that signals are sent to."""
    new_pid, new_user = 0x20000000, 0x10000000

    def run():
        if LIBC.unshare(new_pid | (new_user if user else 0)) != 0:
            pytest.skip(f"no PID namespaces here: {os.strerror(ctypes.get_errno())}")
        return in_child(change)

    def change():
        worker = Worker()
        try:
            everywhere(prctl.set_no_new_privs)
            text = "no error"
        except (RuntimeError, OSError) as error:
            text = str(error)
        return text, worker(prctl.get_no_new_privs)

    text, no_new_privs = in_child(run, user=user)
    if not no_new_privs:
        assert "/proc" in text
