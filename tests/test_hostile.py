"""Hostile surroundings: every kind of operation in each, judged by what others see of the process.

SURROUNDINGS, OPERATIONS and EXPECTED are the tables. What EXPECTED does not have comes out as it
does elsewhere: the effect of the operation's row, or the refusal for want of its capability.
"""

import contextlib
import ctypes
import errno
import functools
import importlib.util
import itertools
import json
import mmap
import os
import pickle
import platform
import re
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import support
from support import USER, Worker, kernel_prctl

import _prctl
import _prctl_children
import _prctl_cli
import _prctl_operations
import prctl

pytestmark = pytest.mark.kernel(
    "threads", "command line", "memory map", "blocked signals", "seccomp filters"
)

# Loaded now: some of the children can no longer read the installation.
FROM_MODULES = prctl.all_threads, prctl.drop_privileges, prctl.Popen, prctl.Capabilities

LIBC = ctypes.CDLL(None, use_errno=True)
SECONDS = 30 * support.PATIENCE  # that an operation may take, whatever the surroundings
SETS = {name: f"Cap{name}" for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
FIELDS = ("Uid", "Gid", "Groups", *SETS.values(), "NoNewPrivs", "State")


def mask(*names):
    return sum(1 << getattr(prctl, f"CAP_{name.upper()}") for name in names)


NET_RAW = mask("net_raw")


@functools.cache
def c_library():
    """The functions of hostile.c, loaded before the fork: an ordinary user may not read it."""
    return ctypes.CDLL(str(support._compiled("hostile", "-shared", "-fPIC", "-pthread")))


# ---- Operations: what is done, its effect, what it gives, and the capability that it needs.
#
# An effect is what becomes of the fields here, everywhere (in every thread), as root (likewise, but
# not for an ordinary user), and of the process.

Operation = namedtuple("Operation", "run effect result needs", defaults=({}, None, None))


def becomes(value):
    return lambda old: value


def without(*names):
    return lambda old: f"{int(old, 16) & ~mask(*names):016x}"


def only(*names):
    return lambda old: f"{int(old, 16) & mask(*names):016x}"


def lose(change, *sets):
    """The change of a set, and of those that the kernel changes with it."""
    return {SETS[name]: change for name in sets}


def import_anew(child):
    """What an import asks of the kernel: another user may not be able to read the files."""
    module = importlib.util.module_from_spec(_prctl.__spec__)
    _prctl.__spec__.loader.exec_module(module)
    return module.CAP_LAST_CAP


def read(child):
    sets = prctl.cap_inheritable, prctl.cap_permitted, prctl.cap_effective
    return [f"{prctl._mask(each):016x}" for each in (*sets, prctl.capbset, prctl.cap_ambient)]


def change_securebits(child):
    prctl.securebits.noroot = True
    return kernel_prctl(27)  # PR_GET_SECUREBITS: /proc does not show them


def change_every_thread(child):
    with prctl.all_threads():
        prctl.set_no_new_privs()


def drop_everywhere(child):
    with prctl.all_threads():
        prctl.cap_permitted.drop("net_raw")


def no_account(uid):
    raise KeyError(uid)


def drop_privileges(child):
    # What the name service does where a call is refused is not this library's affair.
    _prctl_operations.pwd = SimpleNamespace(getpwuid=no_account)
    if child.user:
        prctl.drop_privileges(*child.ids, groups=child.groups)
    else:
        prctl.drop_privileges(USER, USER, groups=[], keep=["chown"])


def start_by_popen(child):
    process = prctl.Popen(["cat"], stdin=-1, stdout=-1, no_new_privs=True, pdeathsig=9)
    child.started.append(process)


def start_by_launcher(child):
    command = [*prctl.launcher(no_new_privs=True), "cat"]
    process = subprocess.Popen(command, stdin=-1, stdout=-1)
    child.started.append(process)


def show(child):
    """python -m prctl: its exit status; the parent adds what it has written."""
    try:
        _prctl_cli.main(["--json"])
    except SystemExit as end:
        return end.code


def page(answer):
    status, text = answer
    return json.loads(text) if status is None else {}


def is_one_line(status, text):
    return status == 1 and re.fullmatch("(prctl: .*\n)?", text) is not None


def is_shown(answer, before):
    """Whether the page says what others see."""
    found = page(answer)
    sets = (("inheritable", "Inh"), ("permitted", "Prm"), ("effective", "Eff"), ("ambient", "Amb"))
    names = {f"cap_{name}": SETS[short] for name, short in sets} | {"capbset": SETS["Bnd"]}
    return (
        found != {}
        and all(
            found[name] == sorted(prctl._names(int(before[field], 16)))
            for name, field in names.items()
        )
        and found["no_new_privs"] == (before["NoNewPrivs"] == "1")
    )


ATTRIBUTE = bytes.fromhex("0100000200200000" + "00" * 12)  # cap_net_raw=ep, of version 2

OPERATIONS = {
    "import": Operation(import_anew, result=lambda found, before: found == prctl.CAP_LAST_CAP),
    "read": Operation(
        read, result=lambda found, before: found == [before[field] for field in SETS.values()]
    ),
    "drop effective": Operation(
        lambda child: prctl.cap_effective.drop("net_raw"),
        {"here": lose(without("net_raw"), "Eff")},
    ),
    "drop permitted": Operation(
        lambda child: prctl.cap_permitted.drop("net_raw"),
        {"here": lose(without("net_raw"), "Prm", "Eff", "Amb")},
    ),
    "drop inheritable": Operation(
        lambda child: prctl.cap_inheritable.drop("net_raw"),
        {"here": lose(without("net_raw"), "Inh", "Amb")},
    ),
    "drop ambient": Operation(
        lambda child: prctl.cap_ambient.drop("net_raw"),
        {"here": lose(without("net_raw"), "Amb")},
    ),
    "drop bounding": Operation(
        lambda child: prctl.capbset.drop("net_raw"),
        {"here": lose(without("net_raw"), "Bnd")},
        needs="setpcap",
    ),
    "limit": Operation(
        lambda child: prctl.cap_permitted.limit("chown"),
        {"here": lose(only("chown"), "Prm", "Eff", "Amb")},
    ),
    "securebits": Operation(
        change_securebits, result=lambda found, before: found & 1, needs="setpcap"
    ),
    "set_name": Operation(
        lambda child: prctl.set_name("another name"), {"here": {"name": becomes("another name")}}
    ),
    "set_proctitle": Operation(
        lambda child: prctl.set_proctitle("title"), {"process": {"title": becomes(b"title\0")}}
    ),
    "all_threads": Operation(
        change_every_thread,
        {"everywhere": {"NoNewPrivs": becomes("1")}},
    ),
    "drop everywhere": Operation(
        drop_everywhere,
        {"everywhere": lose(without("net_raw"), "Prm", "Eff", "Amb")},
    ),
    "drop_privileges": Operation(
        drop_privileges,
        {
            "everywhere": {"NoNewPrivs": becomes("1")}
            | lose(only("chown"), "Prm", "Eff")
            | lose(only(), "Inh", "Amb"),
            "as root": {
                "Uid": becomes(" ".join([str(USER)] * 4)),
                "Gid": becomes(" ".join([str(USER)] * 4)),
                "Groups": becomes(""),
            }
            | lose(only("chown"), "Bnd"),
        },
    ),
    "Popen": Operation(start_by_popen, {"process": {"started": becomes(["1"])}}),
    "launcher": Operation(start_by_launcher, {"process": {"started": becomes(["1"])}}),
    "file capabilities": Operation(
        lambda child: prctl.Capabilities.from_text("cap_net_raw=ep").to_file(child.path),
        {"process": {"file": becomes(ATTRIBUTE)}},
        needs="setfcap",
    ),
    "read of a file": Operation(
        lambda child: str(prctl.Capabilities.from_file(child.path)),
        result=lambda found, before: found == "None",
    ),
    "command": Operation(show, result=is_shown),
}


# ---- Surroundings: what is done before there are threads, as root where the suite is, and after.

Surroundings = namedtuple("Surroundings", "before after operations", defaults=(None,))


def nothing(child):
    pass


def call(function, *args):
    return function(*args)


NEW_MOUNTS, NEW_USER = 0x20000, 0x10000000  # unshare(2)
READ_ONLY, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 32, 4096, 1 << 14, 1 << 18  # mount(2)
NO_SETUID_DEVICES_OR_PROGRAMS = 2 | 4 | 8  # here and in statvfs(3)


def must(call, *arguments):
    """A call of libc's that only the test needs."""
    if call(*arguments) != 0:
        error = os.strerror(ctypes.get_errno())
        pytest.skip(f"{call.__name__}{arguments} is refused here: {error}")


def mount(what, where, kind=None, flags=0, data=None):
    must(LIBC.mount, what, where, kind, ctypes.c_ulong(flags), data)


def in_mounts_of_its_own(change):
    """Nobody outside sees them. An ordinary user changes them as root of a namespace, and has no
    capability afterwards.
    """

    def before(child):
        ids = ("setgroups", "deny"), ("uid_map", os.getuid()), ("gid_map", os.getgid())
        must(LIBC.unshare, NEW_MOUNTS if support.ROOT else NEW_MOUNTS | NEW_USER)
        for name, value in () if support.ROOT else ids:
            text = value if name == "setgroups" else f"{value} {value} 1"
            Path(f"/proc/self/{name}").write_text(text)
        mount(None, b"/", flags=RECURSIVE | PRIVATE)
        change(child)
        if not support.ROOT:
            give_up_capabilities()

    return Surroundings(before, nothing)


def mounted(*arguments):
    return in_mounts_of_its_own(lambda child: mount(*arguments))


def make_read_only(child):
    """The root, and what the child's file is on where that is another mount."""
    place = next(folder for folder in child.path.parents if folder.is_mount())
    for where in {Path("/"), place}:
        kept = os.statvfs(where).f_flag & NO_SETUID_DEVICES_OR_PROGRAMS
        mount(b"none", os.fsencode(where), flags=READ_ONLY | REMOUNT | BIND | kept)


def after(function, *operations):
    return Surroundings(nothing, function, operations)


def before(function, *operations):
    return Surroundings(function, nothing, operations)


def give_up_capabilities():
    header = bytearray(struct.pack("=Ii", 0x20080522, 0))
    support.system_call("capset", header, bytearray(24))


def have_nothing(child):
    for number in prctl.ALL_CAPS:
        with contextlib.suppress(PermissionError):
            kernel_prctl(24, number)  # PR_CAPBSET_DROP
    if not child.user:  # who loses them anyway
        give_up_capabilities()


def limited(name, number=0):
    return after(lambda child: resource.setrlimit(getattr(resource, name), (number, number)))


def limit_memory(child):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def close_standard_streams(child):
    for descriptor in range(3):
        os.close(descriptor)


def block_all_signals(child):
    for thread in call, child.workers[0]:
        thread(signal.pthread_sigmask, signal.SIG_BLOCK, signal.valid_signals())


def forbid_new_privileges(child):
    for thread in call, *child.workers:
        thread(kernel_prctl, 38, 1)  # PR_SET_NO_NEW_PRIVS


def enter_an_empty_root(child):
    folder = child.path.with_name("empty")
    folder.mkdir(exist_ok=True)
    try:
        os.chroot(folder)
    except PermissionError as error:
        pytest.skip(f"chroot(2) needs CAP_SYS_CHROOT: {error}")
    os.chdir("/")


def make_1000_threads(child):
    if not all(c_library().make_on_the_smallest_stack() > 0 for _ in range(1000)):
        pytest.skip("there cannot be 1000 threads here")


def in_another_thread(stack=0, first=nothing, main=nothing):
    """The operation is another thread's, with a stack of its own size, while main does something
    else.
    """

    def prepare(child):
        threading.stack_size(stack)
        child.caller = Worker()
        threading.stack_size(0)
        child.first, child.main = first, main

    return after(prepare, *(name for name in OPERATIONS if name != "command"))


def end_thread(child):
    support.system_call("exit", 0)


def wait_for_the_end_of_main(child):
    pid = os.getpid()
    assert support.in_time(lambda: support.status(pid, tid=pid)["State"][0] == "Z")


def stop_main_thread(child):
    support.Debugger(child.pid)


def hide_launcher(child):
    """Another file is in its place, which nobody may execute, and it is not held open any more."""
    _prctl_children._PATH, _prctl_children._held = str(child.path), None


SURROUNDINGS = {
    "none": before(nothing),
    "no /proc": mounted(b"none", b"/proc", b"tmpfs"),
    "hidepid=2": mounted(b"proc", b"/proc", b"proc", 0, b"hidepid=2"),
    "subset=pid": mounted(b"proc", b"/proc", b"proc", 0, b"subset=pid"),
    "a read-only root": in_mounts_of_its_own(make_read_only),
    "an empty root": before(enter_an_empty_root),
    "a user namespace": before(lambda child: support.enter_user_namespace()),
    "no capability": before(have_nothing),
    "no_new_privs": after(forbid_new_privileges),
    "not dumpable": after(lambda child: kernel_prctl(4, 0)),  # PR_SET_DUMPABLE
    "RLIMIT_AS": after(limit_memory),
    "RLIMIT_NPROC": limited("RLIMIT_NPROC"),
    "RLIMIT_NOFILE": limited("RLIMIT_NOFILE"),
    "RLIMIT_SIGPENDING": limited("RLIMIT_SIGPENDING"),
    "RLIMIT_FSIZE": limited("RLIMIT_FSIZE"),
    "RLIMIT_STACK": limited("RLIMIT_STACK", 1 << 16),
    "no standard streams": after(close_standard_streams),
    "no folder to be in": before(lambda child: (os.chdir(child.gone), child.gone.rmdir())),
    "no environment": after(lambda child: os.environ.clear()),
    "a launcher that cannot be executed": after(hide_launcher, "Popen", "launcher"),
    "SIGCHLD ignored": after(lambda child: signal.signal(signal.SIGCHLD, signal.SIG_IGN)),
    "all signals blocked": after(block_all_signals),
    "libc's signal blocked": after(lambda child: child.workers[0](support.block_libc_signal)),
    "a stopped thread": after(lambda child: support.Debugger(child.workers[0].tid)),
    "a thread in vfork": after(lambda child: c_library().make_waiting_for_a_child(1200)),
    "1000 threads": after(make_1000_threads, "set_proctitle", "all_threads", "drop_privileges"),
    "another thread than main": in_another_thread(),
    "a small stack": in_another_thread(stack=1 << 17),
    "main has ended": in_another_thread(first=wait_for_the_end_of_main, main=end_thread),
    "main is stopped": in_another_thread(first=stop_main_thread),
}


# ---- What comes out of it, where that is not what comes out elsewhere


def is_error(answer):
    return isinstance(answer, tuple) and isinstance(answer[0], type)


class Refused(namedtuple("Refused", "kind errno words changed", defaults=("", ()))):
    """An exception, and who has changed nevertheless: nobody, unless the documentation says so."""

    def judge(self, child):
        if not is_error(child.answer):
            return f"gave {child.answer!r}"
        kind, number, text = child.answer
        if not issubclass(kind, self.kind) or number != self.errno or self.words not in text:
            return f"raised {kind.__name__}: {text}"
        anything = expected_after(child, OPERATIONS[child.operation].effect) != child.before
        return changed_besides(child, self.changed if anything else ())


class Unless(namedtuple("Unless", "kinds")):
    """Done as elsewhere, or one of these exceptions, and nobody has changed."""

    def judge(self, child):
        if is_error(child.answer) and issubclass(child.answer[0], self.kinds):
            return changed_besides(child, ())
        return elsewhere(child).judge(child)


class Done(namedtuple("Done", "effect result", defaults=({}, None))):
    """No exception, and just this effect."""

    def judge(self, child):
        before = child.before[child.tid]
        if is_error(child.answer):
            return f"raised {child.answer[0].__name__}: {child.answer[2]}"
        if self.result and not self.result(child.answer, before):
            return f"gave {child.answer!r}"
        return differences(expected_after(child, self.effect), child.after)


class Died(namedtuple("Died", "signal")):
    def judge(self, child):
        return "" if child.status == self.signal else f"gave {child.answer!r}"


def expected_after(child, effect):
    """What others must see, of what they saw before."""
    seen = {who: dict(fields) for who, fields in child.before.items()}
    for who, fields in seen.items():
        concerned = {
            "process": who == "process",
            "here": who == child.tid,
            "everywhere": who != "process",
            "as root": who != "process" and not child.user,
        }
        changes = {}
        for place, found in effect.items():
            changes |= found if concerned[place] else {}
        for name, change in changes.items():
            fields[name] = change(fields[name])
    return seen


def differences(expected, found):
    """The fields that are not as expected, for the message; threads that have come do not count."""
    wrong = []
    for who, fields in expected.items():
        there = found.get(who, {})
        wrong += [
            f"{who}: {name} is {there.get(name)!r}, not {value!r}"
            for name, value in fields.items()
            if there.get(name) != value
        ]
    return "; ".join(wrong)


def changed_besides(child, allowed):
    """Who has changed that had no reason to: "here", "others", "process"."""
    wrong = differences(child.before, child.after)
    who = {"process": "process", str(child.tid): "here"}
    names = {who.get(text.split(":")[0], "others") for text in wrong.split("; ") if text}
    return "" if names == set(allowed) else wrong or f"nobody has changed, but for {allowed}"


def elsewhere(child):
    operation = OPERATIONS[child.operation]
    done = Done(operation.effect, operation.result)
    has = int(child.before[child.tid]["CapEff"], 16)
    if operation.needs is None or has & mask(operation.needs):
        return done
    if operation.effect and expected_after(child, operation.effect) == child.before:
        return done  # there is nothing to do
    return Refused(PermissionError, errno.EPERM, f"CAP_{operation.needs.upper()}")


WITHOUT_PROC = Refused(FileNotFoundError, errno.ENOENT, "without a /proc/self/task")
WITHOUT_SETGID = Refused(PermissionError, errno.EPERM, "CAP_SETGID")
NO_ROOM = Refused(BlockingIOError, errno.EAGAIN, "RLIMIT_SIGPENDING")
NO_DESCRIPTOR = Refused(OSError, errno.EMFILE)
NO_MEMORY = Refused(OSError, errno.ENOMEM, "no memory for the list of threads")
BLOCKED = Refused(RuntimeError, None, "has blocked the signal")
STOPPED = Refused(RuntimeError, None, "is stopped")
UNREADABLE = Done(result=lambda answer, before: set(map(page(answer).get, SHOWN)) == {None})
SHOWN = ("name", "title", "uid", "gid", "no_new_privs", "cap_effective", "capbset")
HERE, EVERYBODY_ELSE = ("here",), ("here", "others")


def fails(text):
    """One line on standard error, and 1."""
    return Done(
        result=lambda answer, before: is_one_line(*answer) and re.fullmatch(text, answer[1])
    )


EXPECTED = {
    ("no /proc", "all_threads"): WITHOUT_PROC,
    ("no /proc", "drop everywhere"): WITHOUT_PROC,
    ("no /proc", "drop_privileges"): WITHOUT_PROC,
    ("no /proc", "command"): UNREADABLE,
    ("an empty root", "all_threads"): WITHOUT_PROC,
    ("an empty root", "drop everywhere"): WITHOUT_PROC,
    ("an empty root", "drop_privileges"): WITHOUT_PROC,
    ("an empty root", "command"): UNREADABLE,
    ("an empty root", "Popen"): Refused(FileNotFoundError, errno.ENOENT, "_prctl_launcher"),
    ("an empty root", "launcher"): Refused(FileNotFoundError, errno.ENOENT, "_prctl_launcher"),
    ("an empty root", "file capabilities"): Refused(FileNotFoundError, errno.ENOENT, "file-"),
    ("an empty root", "read of a file"): Refused(FileNotFoundError, errno.ENOENT, "of-a-file"),
    ("a read-only root", "file capabilities"): Refused(OSError, errno.EROFS),
    ("a user namespace", "drop_privileges"): Refused(
        PermissionError, errno.EPERM, "the user namespace has no"
    ),
    # A capability of the namespace's does not count for the file's.
    ("a user namespace", "file capabilities"): Refused(PermissionError, errno.EPERM),
    ("no capability", "drop_privileges", "root"): WITHOUT_SETGID,
    ("RLIMIT_AS", "all_threads"): NO_MEMORY,
    ("RLIMIT_AS", "drop everywhere"): NO_MEMORY,
    ("RLIMIT_AS", "drop_privileges"): NO_MEMORY,
    ("RLIMIT_AS", "Popen"): Unless(OSError),  # the limit is the new program's, too
    ("RLIMIT_AS", "launcher"): Unless(OSError),
    # Some containers' root is limited as well.
    ("RLIMIT_NPROC", "Popen"): Unless(BlockingIOError),
    ("RLIMIT_NPROC", "launcher"): Unless(BlockingIOError),
    ("RLIMIT_NOFILE", "all_threads"): NO_DESCRIPTOR,
    ("RLIMIT_NOFILE", "drop everywhere"): NO_DESCRIPTOR,
    ("RLIMIT_NOFILE", "drop_privileges"): NO_DESCRIPTOR,
    ("RLIMIT_NOFILE", "Popen"): NO_DESCRIPTOR,
    ("RLIMIT_NOFILE", "launcher"): NO_DESCRIPTOR,
    ("RLIMIT_NOFILE", "file capabilities"): NO_DESCRIPTOR,
    ("RLIMIT_NOFILE", "command"): fails(f"prctl: /proc/.*: {os.strerror(errno.EMFILE)}\n"),
    ("RLIMIT_SIGPENDING", "all_threads"): NO_ROOM._replace(changed=HERE),
    ("RLIMIT_SIGPENDING", "drop everywhere"): NO_ROOM._replace(changed=HERE),
    ("RLIMIT_SIGPENDING", "drop_privileges"): NO_ROOM,
    ("RLIMIT_FSIZE", "command"): Died(signal.SIGXFSZ),  # as any Unix tool
    ("no standard streams", "command"): fails(""),
    ("a launcher that cannot be executed", "Popen"): Refused(PermissionError, errno.EACCES),
    ("a launcher that cannot be executed", "launcher"): Refused(PermissionError, errno.EACCES),
    ("libc's signal blocked", "all_threads"): BLOCKED._replace(changed=EVERYBODY_ELSE),
    ("libc's signal blocked", "drop everywhere"): BLOCKED._replace(changed=EVERYBODY_ELSE),
    ("libc's signal blocked", "drop_privileges"): BLOCKED,
    ("a stopped thread", "all_threads"): STOPPED._replace(changed=EVERYBODY_ELSE),
    ("a stopped thread", "drop everywhere"): STOPPED._replace(changed=EVERYBODY_ELSE),
    ("a stopped thread", "drop_privileges"): STOPPED,
    ("main is stopped", "all_threads"): STOPPED._replace(changed=EVERYBODY_ELSE),
    ("main is stopped", "drop everywhere"): STOPPED._replace(changed=EVERYBODY_ELSE),
    ("main is stopped", "drop_privileges"): STOPPED,
}

if platform.libc_ver()[0] != "glibc":  # which tells a library where argv is
    NO_PLACE = "neither can arg_start be moved nor argv be found"
    EXPECTED |= {
        ("no /proc", "set_proctitle"): Refused(FileNotFoundError, errno.ENOENT, NO_PLACE),
        ("an empty root", "set_proctitle"): Refused(FileNotFoundError, errno.ENOENT, NO_PLACE),
        ("RLIMIT_NOFILE", "set_proctitle"): NO_DESCRIPTOR._replace(words=NO_PLACE),
    }


# ---- A child


class Child:
    """A child that does one thing in certain surroundings, and stays to be looked at.

    It tells through memory that it has in common with its parent, for in some surroundings it can
    neither write nor end; pipes only save the two from asking all the while.
    """

    READY, GO, DONE = 1, 2, 3

    def __init__(self, surroundings, operation, user, folder):
        self.memory = mmap.mmap(-1, 1 << 17)
        self.user, self.operation = user, operation
        self.path, self.gone = folder / operation.replace(" ", "-"), folder / f"gone-{operation}"
        self.path.touch()
        self.gone.mkdir()
        self.gone.chmod(0o777)
        self.answer, self.status, self.before, self.after = "nothing", None, {}, {}
        self.end = time.monotonic() + SECONDS
        self.output = os.memfd_create("output")
        self.pipes = os.pipe(), os.pipe()
        (self.going, self.go), (self.telling, self.told) = self.pipes
        self.pid = os.fork()
        if self.pid == 0:
            try:
                signal.alarm(3 * SECONDS)
                self._live(surroundings)
            finally:
                os._exit(1)

    def _live(self, surroundings):
        self.pid = os.getpid()
        self.started, self.caller, self.first, self.main = [], call, nothing, nothing
        try:
            support.die_quietly()
            self._hold_capabilities()
            os.dup2(self.output, 1)
            os.dup2(self.output, 2)
            surroundings.before(self)
            if self.user:
                support.become_user()
            self.ids, self.groups = (os.getuid(), os.getgid()), os.getgroups()
            self.workers = [Worker() for _ in range(2)]
            surroundings.after(self)
        except BaseException as error:
            self._tell(error)
        if self.caller is call:
            self._work()
        self.caller.begin(self._work)
        self.main(self)
        self.caller.result()

    def _hold_capabilities(self):
        """There shall be something to drop from inheritable and ambient."""
        if support.capability_mask("CapPrm") & NET_RAW:
            support.change_capabilities("CapInh", add=NET_RAW)
            kernel_prctl(47, 2, prctl.CAP_NET_RAW)  # PR_CAP_AMBIENT_RAISE

    def _work(self):
        try:
            self.first(self)
        except BaseException as error:
            self._tell(error)
        self.memory[4:8] = struct.pack("=i", threading.get_native_id())
        self._wait(Child.READY)
        _mark(f"begin {self.operation}")
        try:
            answer = OPERATIONS[self.operation].run(self)
        except BaseException as error:
            answer = error
        _mark("end")
        self._tell(answer)

    def _wait(self, stage):
        self.memory[0] = stage
        with contextlib.suppress(OSError):
            os.write(self.told, b"x")
        while self.memory[0] == stage:
            with contextlib.suppress(OSError):
                os.read(self.going, 1) or time.sleep(0.01)

    def _tell(self, answer):
        if isinstance(answer, pytest.skip.Exception):
            answer = "skipped", str(answer)
        elif isinstance(answer, BaseException):
            answer = type(answer), getattr(answer, "errno", None), str(answer)
        data = pickle.dumps((answer, [process.pid for process in self.started]))
        self.memory[8 : 8 + len(data)] = data
        self._wait(Child.DONE)

    # In the parent.

    def goes_on(self):
        """Take the next step with it; whether there is another one."""
        stage = self.memory[0]
        if stage == Child.READY:
            self.tid = struct.unpack("=i", self.memory[4:8])[0]
            self.before = self._look([])
            self.memory[0] = Child.GO
            os.write(self.go, b"x")
        elif stage == Child.DONE:
            self.answer, started = pickle.loads(self.memory[8:])
            if self.operation == "command" and self.before and not is_error(self.answer):
                self.answer = self.answer, os.pread(self.output, 1 << 16, 0).decode()
            self.after = self._look(started) if self.before else {}
            for pid in started:
                os.kill(pid, signal.SIGKILL)
            return False
        elif time.monotonic() > self.end:
            self.answer = f"hangs after step {stage}"
            return False
        elif os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        return True

    def _look(self, started):
        """What others see: {tid: the fields of its status}, and the process."""
        found = support.of_threads(*FIELDS, pid=self.pid)
        seen = {tid: dict(zip(FIELDS, texts, strict=True)) for tid, texts in found.items()}
        seen = {tid: fields for tid, fields in seen.items() if fields.pop("State")[0] not in "ZX"}
        for tid, fields in seen.items():
            name = Path(f"/proc/{self.pid}/task/{tid}/comm").read_text(errors="replace")
            fields["name"] = name.removesuffix("\n")
        try:
            file = os.getxattr(self.path, "security.capability")
        except OSError:
            file = None
        title = Path(f"/proc/{self.pid}/task/{self.tid}/cmdline").read_bytes()
        for pid in started:  # by then the launcher has done its work
            support.in_time(lambda pid=pid: Path(f"/proc/{pid}/comm").read_text() == "cat\n")
        started = [support.status(pid)["NoNewPrivs"] for pid in started]
        return seen | {"process": {"title": title, "file": file, "started": started}}

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.status = os.WTERMSIG(os.waitpid(self.pid, 0)[1])
        for descriptor in itertools.chain([self.output], *self.pipes):
            os.close(descriptor)
        self.memory.close()


def _mark(text):
    """Show strace where the operation is."""
    with contextlib.suppress(OSError):
        os.write(-1, text.encode())


def all_at_once(made):
    """The same children when each has done what it shall, or cannot."""
    pending, poll = list(made.values()), select.poll()
    for child in pending:
        poll.register(child.telling, select.POLLIN)
    while pending := [child for child in pending if child.goes_on()]:
        for descriptor, _ in poll.poll(100):
            os.read(descriptor, 8)
    for child in made.values():
        child.kill()
    return made


@functools.cache
def children(name, user):
    """A child for each operation, {operation: child}: all of them together take no longer."""
    surroundings = SURROUNDINGS[name]
    c_library()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        return all_at_once(
            {
                operation: Child(surroundings, operation, user, Path(folder))
                for operation in surroundings.operations or OPERATIONS
            }
        )


CELLS = [
    (name, operation)
    for name, surroundings in SURROUNDINGS.items()
    for operation in surroundings.operations or OPERATIONS
]


@pytest.mark.parametrize(("surroundings", "operation"), CELLS, ids=map(", ".join, CELLS))
def test_it_is_done_or_refused_as_documented(surroundings, operation, user):
    child = children(surroundings, user)[operation]
    assert child.before or skipped(child), child.answer
    row = EXPECTED.get((surroundings, operation))
    if not user:
        row = EXPECTED.get((surroundings, operation, "root"), row)
    assert (row or elsewhere(child)).judge(child) == ""


def skipped(child):
    if child.answer[0] == "skipped":
        pytest.skip(child.answer[1])


def test_nothing_stays_in_the_place_of_a_closed_standard_stream(root):
    def run():
        Worker()
        close_standard_streams(None)
        _prctl_children._held = None  # it is opened anew
        prctl.set_proctitle("title")
        with prctl.all_threads():
            prctl.set_no_new_privs()
        assert prctl.Popen(["true"], pdeathsig=9).wait() == 0
        prctl.drop_privileges(USER, USER, groups=[])
        return [number for number in map(int, os.listdir("/proc/self/fd")) if number < 3]

    assert support.in_child(run) in ([], [0])  # what lists them has the lowest


# ---- Filters that refuse a system call. What each operation calls is what strace has seen.

# Without these libc or the interpreter itself ends, or goes round for ever; two cannot fail, which
# every program relies on; and write(2) is the test's own.
INDISPENSABLE = {"futex", "rt_sigreturn", "exit", "exit_group", "getpid", "gettid", "write"}


@functools.cache
def calls():
    """{operation: {system call: its number}} of the thread that does it."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = [support.tool("strace"), "-f", "-n", "-qq", "-e", "signal=none", "-o", str(log)]
        probe = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
        if probe.returncode:
            pytest.skip(f"strace cannot trace here: {probe.stderr.strip()}")
        source = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        source += "import test_hostile as t; t.children('none', not t.support.ROOT)"
        support.run(*command, sys.executable, "-c", source, env=support.fresh_environment())
        lines = log.read_text().splitlines()
    found, current = {}, {}
    for line in lines:
        pid, number, name, rest = re.match(r"(\d+) +\[ *(\d+)\] (?:<... )?(\w+)(.*)", line).groups()
        if marker := re.match(r'\(-1, "(begin )?([^"]*)"', rest):
            current[pid] = found.setdefault(marker[2], {}) if marker[1] else {}
        elif pid in current and name not in INDISPENSABLE:
            current[pid][name] = int(number)
    return found


def refusing(call, answer):
    """Every thread has a filter that answers to one call: an errno, or SIGSYS with a handler."""

    def after(child):
        signal.signal(signal.SIGSYS, lambda *_: None)
        if not support.capability_mask("CapEff") & mask("sys_admin"):
            forbid_new_privileges(child)
        if answer == "SIGSYS":
            program = support.instead_of(call, support.SIGSYS_INSTEAD)
        else:
            program = support.refuse(call, getattr(errno, answer))
        _memory, fprog = support._fprog(program)
        support.system_call("seccomp", 1, 1, fprog)  # SECCOMP_FILTER_FLAG_TSYNC

    return Surroundings(nothing, after)


@functools.cache
def refused(operation, answer):
    """{system call: a child that does the operation with that call refused}."""
    c_library()
    numbers = calls()[operation].items()
    if answer == "SIGSYS":
        numbers = ((name, number) for name, number in numbers if name in CHECKED)
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name, number in numbers:
            place = Path(folder, name)
            place.mkdir()
            made[name] = Child(refusing(number, answer), operation, not support.ROOT, place)
        return all_at_once(made)


# What a handler leaves as the result of these calls is known for none of the kernel's.
CHECKED = {"prctl", "capget", "capset", "setgroups", "setresgid", "setresuid", "rt_tgsigqueueinfo"}
# Their errors say that this thread has changed, or may have.
ALONE = {"all_threads", "drop everywhere", "drop_privileges"}


def judge_refused(child, answer):
    """Why it is neither done nor an error that has left everything as it was; else nothing."""
    number = errno.EPROTO if answer == "SIGSYS" else getattr(errno, answer)
    if elsewhere(child).judge(child) == "":
        return ""
    if child.operation == "command" and not is_error(child.answer):
        status, text = child.answer
        return "" if status is None or is_one_line(status, text) else child.answer
    if not is_error(child.answer):
        return elsewhere(child).judge(child)
    kind, given, text = child.answer
    if not issubclass(kind, OSError) or (given != number and "/proc/self/task" not in text):
        return f"raised {kind.__name__}: {text}"
    return changed_besides(child, ()) and changed_besides(
        child, HERE if child.operation in ALONE else ()
    )


@pytest.mark.parametrize("answer", ["EPERM", "ENOSYS", "SIGSYS"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_with_a_system_call_refused_it_is_done_or_an_error(operation, answer):
    made = refused(operation, answer)
    assert {name: child.answer for name, child in made.items() if not child.before} == {}
    found = {name: judge_refused(child, answer) for name, child in made.items()}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
