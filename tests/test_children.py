"""prctl.Popen and prctl.launcher: what the command itself finds in /proc, and what is left behind.

The long loops do a part of their rounds; PRCTL_LONG_TESTS=1 has them do all.
"""

import asyncio
import contextlib
import errno
import hashlib
import inspect
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest
import support
from hypothesis import example, given
from hypothesis import strategies as st

import _prctl_children
import _prctl_operations as operations
import prctl

LONG = bool(os.environ.get("PRCTL_LONG_TESTS"))
NET_RAW, SETUID, SETGID, SYS_ADMIN, SETPCAP, CHOWN = (
    1 << prctl._number(name)
    for name in ("net_raw", "setuid", "setgid", "sys_admin", "setpcap", "chown")
)
HOLDER = 4321  # an ordinary user, who holds what a test says
ALLOW = support._instruction(6, 0, 0, 0x7FFF0000)  # a seccomp program that allows everything


def fields(text):
    return {
        key: " ".join(value.split())
        for key, _, value in (x.partition(":") for x in text.splitlines())
    }


def child(starter=None, **attributes):
    """The status of a child with these attributes, as it reads it itself."""
    command = ["cat", "/proc/self/status"]
    with (starter or prctl.Popen)(command, stdout=-1, text=True, **attributes) as process:
        return fields(process.communicate()[0])


def by_launcher(command, *, stdout, text, **attributes):
    return subprocess.Popen([*prctl.launcher(**attributes), *command], stdout=stdout, text=text)


@pytest.fixture(params=["Popen", "launcher"])
def starter(request):
    return prctl.Popen if request.param == "Popen" else by_launcher


def says(command, **attributes):
    with prctl.Popen(command, stdout=-1, text=True, **attributes) as process:
        return process.communicate()[0].strip()


def mask(status, name):
    return int(status[name], 16)


def plain():
    return fields(subprocess.check_output(["cat", "/proc/self/status"], text=True))


CREDENTIALS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
CREDENTIALS += ("NoNewPrivs", "Seccomp", "SigBlk", "SigIgn", "THP_enabled")


def credentials(status):
    found = {name: status[name] for name in CREDENTIALS}
    # posix_spawn(3), which subprocess may use, ignores the two signals that are libc's own.
    found["SigIgn"] = int(found["SigIgn"], 16) & ~(3 << 31)
    return found


# Each attribute.


def test_a_child_without_attributes_is_subprocess_s(starter, user):
    def compare():
        assert credentials(child(starter)) == credentials(plain())

    support.in_child(compare, user=user)


def test_no_new_privs(starter, user):
    def ask():
        return child(starter, no_new_privs=True)["NoNewPrivs"]

    assert support.in_child(ask, user=user) == "1"


@pytest.mark.parametrize("ids", [(65534, 65534), ("nobody", None)])
def test_a_user_has_no_capability_and_the_account_s_groups(starter, ids, root):
    status = child(starter, user=ids[0], group=ids[1])
    account = operations._account(ids[0])
    groups = sorted(os.getgrouplist(account.pw_name, account.pw_gid))
    assert status["Uid"] == " ".join(4 * [str(account.pw_uid)])
    assert status["Gid"] == " ".join(4 * [str(account.pw_gid)])
    assert status["Groups"] == " ".join(map(str, groups))
    for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert mask(status, name) == 0
    assert mask(status, "CapBnd") == support.capability_mask("CapBnd")


def test_group_and_extra_groups(starter, root):
    status = child(starter, user=HOLDER, group="daemon", extra_groups=[8, "adm", 8])
    assert (status["Uid"], status["Gid"]) == ("4321 " * 3 + "4321", "1 1 1 1")
    assert status["Groups"] == "4 8"
    status = child(starter, group=7)
    assert (status["Uid"], status["Gid"]) == ("0 0 0 0", "7 7 7 7")
    status = child(starter, extra_groups=[9])
    assert (status["Gid"], status["Groups"]) == ("0 0 0 0", "9")


def test_keep_reaches_the_command(starter, root):
    status = child(starter, user=HOLDER, group=1, keep=["net_raw", prctl.CAP_CHOWN])
    for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert mask(status, name) == NET_RAW | CHOWN


def test_ambient_adds_to_what_is_ambient(starter, root):
    status = child(starter, ambient="net_raw")
    assert mask(status, "CapInh") == mask(status, "CapAmb") == NET_RAW
    assert mask(status, "CapPrm") == support.capability_mask("CapPrm")


def test_inheritable(starter, root):
    status = child(starter, inheritable=["chown"], ambient=["net_raw"])
    assert (mask(status, "CapInh"), mask(status, "CapAmb")) == (CHOWN | NET_RAW, NET_RAW)
    status = child(starter, inheritable=["chown"], user=HOLDER, group=1, keep=["net_raw"])
    assert (mask(status, "CapInh"), mask(status, "CapAmb")) == (CHOWN | NET_RAW, NET_RAW)
    status = child(starter, inheritable=())
    assert mask(status, "CapInh") == 0


def test_bounding(starter, root):
    status = child(starter, bounding=["chown", "net_raw"])
    assert mask(status, "CapBnd") == mask(status, "CapPrm") == CHOWN | NET_RAW
    status = child(starter, bounding=(), user=HOLDER, group=1, keep=["net_raw"])
    assert (mask(status, "CapBnd"), mask(status, "CapEff")) == (0, NET_RAW)


def test_securebits(root):
    bits = prctl.SECBIT_NOROOT | prctl.SECBIT_NOROOT_LOCKED | prctl.SECBIT_NO_CAP_AMBIENT_RAISE
    shown = says([support.tool("setpriv"), "--dump"], securebits=bits, ambient=["net_raw"])
    found = re.search("Securebits: (.*)", shown)[1]
    assert found == "noroot,noroot_locked,no_cap_ambient_raise" or "noroot" in found
    status = child(securebits=bits, ambient=["net_raw"])
    assert mask(status, "CapEff") == mask(status, "CapPrm") == NET_RAW  # and nothing from uid 0


def test_pdeathsig(starter, user):
    tool = support.tool("setpriv")

    def ask():
        with starter([tool, "--dump"], stdout=-1, text=True, pdeathsig=signal.SIGUSR2) as process:
            return re.search("Parent death signal: (.*)", process.communicate()[0])[1]

    assert support.in_child(ask, user=user) in ("USR2", "12", "SIGUSR2")


def test_pdeathsig_outlives_a_change_of_user(root):
    tool = support.tool("setpriv")
    shown = says([tool, "--dump"], pdeathsig=signal.SIGUSR2, user=HOLDER, group=1, keep=["net_raw"])
    assert re.search("Parent death signal: .*USR2|12", shown)


@pytest.mark.parametrize("nothing", [None, 0])
def test_no_pdeathsig(nothing):
    shown = says([support.tool("setpriv"), "--dump"], pdeathsig=nothing)
    assert re.search(r"Parent death signal: (\[none\]|0)", shown)


def test_timerslack():
    command = ["cat", "/proc/self/timerslack_ns"]
    assert says(command, timerslack=123456) == "123456"


@pytest.mark.parametrize("value", [True, False, "yes", ""])
def test_thp_disable(value):
    support.needs_kernel("THP_DISABLE", 42)
    assert child(thp_disable=value)["THP_enabled"] == str(int(not value))


@pytest.mark.kernel("subreaper")
@pytest.mark.parametrize("value", [True, False, 2, []])
def test_child_subreaper(value):
    source = (
        "import ctypes; number = ctypes.c_int(7)\n"
        "ctypes.CDLL(None).prctl(37, ctypes.byref(number), 0, 0, 0); print(number.value)"
    )
    environment = support.fresh_environment()
    command = [sys.executable, "-c", source]
    assert says(command, child_subreaper=value, env=environment) == str(int(bool(value)))


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_seccomp(starter, kind, user):
    program = support.refuse("getppid", errno.EXDEV)

    def ask():
        return child(starter, seccomp=kind(program), no_new_privs=True)

    status = support.in_child(ask, user=user)
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")


@pytest.mark.kernel("seccomp filters")
def test_seccomp_is_in_force():
    source = "import os; print(os.getppid() == 2**64 - 1 or os.getppid())"
    command = [sys.executable, "-c", source]
    program = support.refuse("getppid", 0)
    environment = support.fresh_environment()
    assert says(command, seccomp=program, no_new_privs=True, env=environment) == "0"


@pytest.mark.kernel("seccomp filters")
def test_seccomp_with_sys_admin_in_place_of_no_new_privs(root):
    status = child(seccomp=ALLOW)
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "0")
    status = child(seccomp=ALLOW, user=HOLDER, group=1, keep=["net_raw"])
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "0")
    for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert mask(status, name) == NET_RAW


@pytest.mark.kernel("seccomp filters")
def test_seccomp_where_no_new_privs_is_set_already():
    def ask():
        prctl.set_no_new_privs()
        return child(seccomp=ALLOW)["Seccomp"]

    assert support.in_child(ask, user=True) == "2"


@pytest.mark.kernel("seccomp filters", "subreaper")
def test_all_of_it_at_once(starter, root):
    support.needs_kernel("THP_DISABLE", 42)
    status = child(
        starter,
        pdeathsig=signal.SIGTERM,
        no_new_privs=True,
        user=HOLDER,
        group=HOLDER,
        extra_groups=[5, 4],
        keep=["net_raw"],
        inheritable=["chown"],
        bounding=["net_raw"],
        securebits=prctl.SECBIT_NOROOT | prctl.SECBIT_KEEP_CAPS,
        child_subreaper=True,
        timerslack=10**6,
        thp_disable=True,
        seccomp=ALLOW,
    )
    assert status["Uid"] == status["Gid"] == "4321 4321 4321 4321"
    assert status["Groups"] == "4 5"
    assert mask(status, "CapInh") == NET_RAW | CHOWN
    for name in "CapPrm", "CapEff", "CapAmb", "CapBnd":
        assert mask(status, name) == NET_RAW
    assert (status["NoNewPrivs"], status["Seccomp"], status["THP_enabled"]) == ("1", "2", "0")


# Processes that are not uid 0, and what they hold.


def as_holder(function, *capabilities, **options):
    """Call function in a child that is an ordinary user with these capabilities."""

    support.needs_features("threads")

    def become():
        options.setdefault("no_new_privs", False)
        prctl.drop_privileges(HOLDER, HOLDER, groups=[], keep=capabilities, **options)
        before = support.status("thread-self")
        result = function()
        after = support.status("thread-self")
        assert credentials_of(after) == credentials_of(before)
        return result

    return support.in_child(become)


def credentials_of(status):
    return {name: value for name, value in status.items() if name.startswith(("Cap", "Uid", "Gid"))}


@pytest.mark.parametrize("no_new_privs", [False, True])
@pytest.mark.parametrize("pdeathsig", [None, signal.SIGKILL])
def test_a_holder_can_change_the_user_and_pass_on(no_new_privs, pdeathsig, root):
    def start():
        return child(user=1234, group=1235, extra_groups=[7], keep=["net_raw"], pdeathsig=pdeathsig)

    holds = "setuid", "setgid", "net_raw"
    status = as_holder(start, *holds, no_new_privs=no_new_privs)
    assert (status["Uid"], status["Gid"]) == ("1234 " * 3 + "1234", "1235 " * 3 + "1235")
    assert status["Groups"] == "7"
    for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert mask(status, name) == NET_RAW


def test_what_the_launcher_needed_does_not_reach_the_command(root):
    def start():
        return child(bounding=["net_raw"], group=7)

    status = as_holder(start, "setpcap", "setgid", "net_raw")
    assert (mask(status, "CapBnd"), status["Gid"]) == (NET_RAW, "7 7 7 7")
    for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert mask(status, name) == 0


def test_a_holder_can_give_ambient_and_inheritable(root):
    def start():
        return child(ambient=["net_raw"]), child(inheritable=["chown"])

    first, second = as_holder(start, "net_raw", "chown")
    for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert mask(first, name) == NET_RAW
    assert (mask(second, "CapInh"), mask(second, "CapEff")) == (CHOWN, 0)


def test_nothing_of_what_a_holder_has_reaches_another_user(root):
    def start():
        return child(user=1234, group=1235, extra_groups=[])

    status = as_holder(start, "setuid", "setgid", "net_raw", ambient=True)
    for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert mask(status, name) == 0


def test_what_a_holder_has_in_ambient_a_child_has_too(root):
    def start():
        return child(), child(starter=by_launcher, no_new_privs=True)

    for status in as_holder(start, "net_raw", ambient=True):
        assert mask(status, "CapEff") == mask(status, "CapAmb") == NET_RAW


@pytest.mark.kernel("seccomp filters")
def test_a_holder_of_sys_admin_needs_no_no_new_privs_for_seccomp(root):
    status = as_holder(lambda: child(seccomp=ALLOW), "sys_admin")
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "0")
    for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert mask(status, name) == 0


@pytest.mark.parametrize(
    "start_it",
    [lambda **given: prctl.Popen(["true"], **given), prctl.launcher],
    ids=["Popen", "launcher"],
)
def test_no_cap_ambient_raise_is_a_refusal_before_anything_starts(start_it, root):
    def start():
        os.setresgid(HOLDER, HOLDER, HOLDER)
        prctl.securebits.no_cap_ambient_raise = True
        prctl.set_keepcaps(True)
        os.setresuid(HOLDER, HOLDER, HOLDER)
        return support.error_of(start_it, user=1, group=1), no_child()

    text = "the securebit no_cap_ambient_raise is set"
    assert support.in_child(start) == (support.refused(errno.EPERM, text), True)


def test_a_launcher_list_cannot_pass_on_what_is_not_ambient(root):
    error = as_holder(lambda: support.error_of(prctl.launcher, ambient=["net_raw"]), "net_raw")
    assert error[0] == errno.EPERM
    assert "ambient" in error[2]
    assert error[2].endswith("net_raw")


def in_thread(function):
    """Call function in a new thread and return its result."""
    results = []

    def run():
        try:
            results.append((True, function()))
        except BaseException as error:
            results.append((False, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    succeeded, result = results[0]
    if not succeeded:
        raise result
    return result


@pytest.mark.parametrize("pdeathsig", [None, signal.SIGKILL])
def test_a_thread_that_has_dropped_gives_its_children_no_more(pdeathsig, root):
    def start():
        child(pdeathsig=signal.SIGKILL)  # whatever that has left behind is older than the drop

        def drop_and_start():
            prctl.cap_permitted.limit("net_raw")
            prctl.set_no_new_privs()
            return child(pdeathsig=pdeathsig)

        return in_thread(drop_and_start), child()

    dropped, other = support.in_child(start)
    assert (mask(dropped, "CapEff"), dropped["NoNewPrivs"]) == (NET_RAW, "1")
    assert other["NoNewPrivs"] == "0"


# Other threads and the end of the parent.


def ends_within(pid, seconds=10):
    deadline = time.monotonic() + seconds * support.PATIENCE
    while support.is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def sleeper(**attributes):
    return prctl.Popen(["sleep", "1000"], **attributes)


def starts_and_waits(in_thread_too, reader, writer):
    """What a process does that starts a child, tells its pid, and waits to be killed."""
    start = lambda: sleeper(pdeathsig=signal.SIGKILL)  # noqa: E731
    process = in_thread(start) if in_thread_too else start()
    time.sleep(0.2)  # the thread has long ended
    assert process.poll() is None
    os.write(writer, f"{process.pid} ".encode())
    os.read(reader, 1)


@pytest.mark.parametrize("in_thread_too", [False, True])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_lives_as_long_as_the_process_not_the_thread(in_thread_too, how, user):
    def run():
        reader, writer = os.pipe()
        never, _ = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                starts_and_waits(in_thread_too, never, writer)
            finally:
                os._exit(1)
        sleeping = int(os.read(reader, 20))
        assert support.is_running(sleeping)
        os.kill(pid, how)
        os.waitpid(pid, 0)
        assert ends_within(sleeping)

    support.in_child(run, user=user)


def test_a_child_ends_when_the_interpreter_exits():
    source = (
        "import prctl, threading, time\n"
        "def start(): print(prctl.Popen(['sleep', '1000'], pdeathsig=9).pid)\n"
        "thread = threading.Thread(target=start); thread.start(); thread.join()\n"
    )
    assert ends_within(int(support.run_python(source)))


def test_the_thread_of_a_child_ends_with_it():
    def run():
        def start():
            process = sleeper(pdeathsig=signal.SIGKILL)
            return process, len(os.listdir("/proc/self/task"))

        process, threads = in_thread(start)
        assert threads == 3
        process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < deadline:
            time.sleep(0.005)
        return os.listdir("/proc/self/task") == [str(os.getpid())]

    assert support.in_child(run)


def test_the_thread_of_a_child_does_not_reap_it_nor_keep_the_object():
    def run():
        process = in_thread(lambda: prctl.Popen(["sh", "-c", "exit 3"], pdeathsig=signal.SIGKILL))
        time.sleep(0.2)
        assert os.waitpid(process.pid, 0)[1] == 3 << 8
        process.returncode = 3
        process = in_thread(lambda: sleeper(pdeathsig=signal.SIGKILL))
        time.sleep(0.1)
        unshared = object()
        return sys.getrefcount(process) - sys.getrefcount(unshared)

    assert support.in_child(run) == 0


def test_the_thread_of_a_child_holds_no_more_than_its_maker(root):
    def start():
        process = sleeper(pdeathsig=signal.SIGKILL, ambient=["net_raw"])
        tids = [tid for tid in os.listdir("/proc/self/task") if int(tid) != os.getpid()]
        found = [support.status(tid=tid) for tid in tids]
        process.kill()
        process.wait()
        return [(status["CapInh"], status["CapAmb"]) for status in found]

    assert as_holder(start, "net_raw") == [("0" * 16, "0" * 16)]


def marked(marker):
    """The processes whose command line has the marker, zombies having none."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if marker in support.cmdline(pid):
                found.append(int(pid))
    return found


@pytest.mark.parametrize("in_thread_too", [False, True])
def test_a_parent_killed_at_any_moment_leaves_no_child(in_thread_too):
    def run():
        marker = f"{random.randrange(10**6, 10**7)}"
        rounds = support.rounds(500 if LONG else 250)
        started = 0
        span = None  # how long a start takes here and now, from the first round
        for _ in range(rounds):
            begin = time.monotonic()
            pid = os.fork()
            if pid == 0:
                command = ["sleep", marker]
                start = lambda: prctl.Popen(command, pdeathsig=signal.SIGKILL)  # noqa: B023, E731
                in_thread(start) if in_thread_too else start()
                signal.pause()
            while span is None:
                if marked(marker.encode()):
                    span = time.monotonic() - begin
            time.sleep(random.random() * 2 * span)
            started += bool(marked(marker.encode()))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        deadline = time.monotonic() + 10
        while marked(marker.encode()) and time.monotonic() < deadline:
            time.sleep(0.01)
        left = marked(marker.encode())
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return started, left

    started, left = support.in_child(run, seconds=300)
    assert left == []
    assert started > 10


def test_spawns_succeed_in_a_process_with_busy_threads(user):
    def run():
        stop = threading.Event()
        data = b"x" * 200_000

        def work():
            while not stop.is_set():
                hashlib.sha256(data).digest()
                "".join(map(str, range(200)))

        threads = [threading.Thread(target=work) for _ in range(8)]
        sys.setswitchinterval(1e-4)
        for thread in threads:
            thread.start()
        try:
            rounds = support.rounds(2000 if LONG else 200)
            for round_ in range(rounds):
                process = prctl.Popen(
                    ["/bin/sh", "-c", "exit 7"], no_new_privs=True, pdeathsig=signal.SIGKILL
                )
                assert process.wait() == 7, round_
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        return no_child()

    assert support.in_child(run, user=user, seconds=600)


def test_children_can_be_started_by_many_threads_at_once():
    def run():
        results = []

        def work():
            for _ in range(10):
                results.append(child(pdeathsig=signal.SIGKILL, close_fds=False)["Name"])

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results, no_child(), len(os.listdir("/proc/self/fd"))

    before = len(os.listdir("/proc/self/fd"))
    results, nothing, after = support.in_child(run)
    assert results == ["cat"] * 80
    assert nothing
    assert after <= before + 1  # in_child's pipe


# Failures: before anything starts, or without leaving anything.


def no_child():
    """Whether this process has no child, not even a zombie."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def descriptors():
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the listing itself
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return found


def failure(*args, **kwargs):
    """The exception of a Popen that leaves nothing; to be called in a child."""
    before, threads = descriptors(), threading.active_count()
    try:
        prctl.Popen(*args, stdin=-1, stdout=-1, stderr=-1, **kwargs)
    except Exception as error:
        error.__traceback__ = None
        assert no_child()
        assert descriptors() == before
        assert threading.active_count() == threads
        return described(error)
    raise AssertionError("no exception")


def described(error):
    """Its type, its text, and the file that it names, a path being as good as a str."""
    if not isinstance(error, OSError) or error.filename is None:
        return type(error), str(error), None
    return type(error), f"[Errno {error.errno}] {error.strerror}", os.fspath(error.filename)


def plain_failure(*args, **kwargs):
    try:
        subprocess.Popen(*args, **kwargs)
    except Exception as error:
        return described(error)
    raise AssertionError("no exception")


AS_SUBPROCESS = {
    "unknown command": (["no-such-command"], {}),
    "unknown file": (["/no/such/file"], {}),
    "a str": ("no such command", {}),
    "bytes": ([b"no-such-command"], {}),
    "a path": (pathlib.Path("/no/such"), {}),
    "not executable": (["/etc/passwd"], {}),
    "a folder": (["/etc"], {}),
    "not a folder": (["/etc/passwd/x"], {}),
    "empty": ([""], {}),
    "name too long": (["x" * 300], {}),
    "path too long": (["/" + "x" * 5000], {}),
    "executable": (["true"], {"executable": "/no/such"}),
    "shell": ("true", {"shell": True, "executable": "/no/such"}),
    "path of env": (["ls"], {"env": {"PATH": "/nonexistent"}}),
    "cwd": (["true"], {"cwd": "/no/such"}),
    "cwd is a file": (["true"], {"cwd": "/etc/passwd"}),
    "no command": ([], {}),
    "NUL": (["true", "a\0b"], {}),
    "NUL in the command": (["a\0b"], {}),
    "an int": ([1], {}),
    "an int behind": (["true", 1], {}),
    "None": (None, {}),
    "path-like with shell": (pathlib.Path("x"), {"shell": True}),
    "text twice": (["true"], {"text": True, "universal_newlines": False}),
    "bufsize": (["true"], {"bufsize": "x"}),
    "startupinfo": (["true"], {"startupinfo": 1}),
    "env": (["true"], {"env": {"a=b": "c"}}),
    "process_group": (["true"], {"process_group": 2**31 - 1}),
    "pass_fds": (["true"], {"pass_fds": [-1]}),
    "closed fd": (["true"], {"pass_fds": [999]}),
}


@pytest.mark.parametrize("case", AS_SUBPROCESS)
@pytest.mark.parametrize("pdeathsig", [None, signal.SIGKILL])
def test_it_fails_as_subprocess_does(case, pdeathsig):
    args, options = AS_SUBPROCESS[case]

    def run():
        return failure(args, pdeathsig=pdeathsig, **options)

    expected = support.in_child(lambda: plain_failure(args, **options))
    assert support.in_child(run) == expected
    assert support.in_child(in_thread, run) == expected


@pytest.mark.parametrize(
    ("error", "attributes"),
    [
        (ValueError, {"pdeathsig": 65}),
        (ValueError, {"pdeathsig": -1}),
        (TypeError, {"pdeathsig": "SIGKILL"}),
        (TypeError, {"pdeathsig": 9.0}),
        (ValueError, {"keep": ["no_such"], "user": "nobody"}),
        (ValueError, {"ambient": ["no_such"]}),
        (ValueError, {"inheritable": [64]}),
        (TypeError, {"bounding": [None]}),
        (TypeError, {"bounding": 7}),
        (ValueError, {"keep": ["chown"]}),
        (ValueError, {"ambient": ["chown"], "user": "nobody"}),
        (ValueError, {"ambient": ["chown"], "keep": ["chown"]}),
        (ValueError, {"ambient": ["chown"], "keep": ["chown"], "user": "nobody"}),
        (KeyError, {"user": "no-such-user"}),
        (KeyError, {"user": HOLDER}),
        (KeyError, {"group": "no-such-group"}),
        (KeyError, {"extra_groups": ["no-such-group"]}),
        (TypeError, {"user": 1.0}),
        (TypeError, {"user": True}),
        (TypeError, {"group": b"daemon"}),
        (TypeError, {"extra_groups": 7}),
        (OverflowError, {"user": -1}),
        (OverflowError, {"user": 2**32}),
        (ValueError, {"user": 2**32 - 1, "group": 1}),
        (ValueError, {"group": 2**32 - 1}),
        (OverflowError, {"securebits": -1}),
        (TypeError, {"securebits": "noroot"}),
        (OverflowError, {"timerslack": -1}),
        (OverflowError, {"timerslack": 2**64}),
        (TypeError, {"timerslack": 1.5}),
        (ValueError, {"seccomp": b"", "no_new_privs": True}),
        (ValueError, {"seccomp": b"1234567", "no_new_privs": True}),
        (ValueError, {"seccomp": bytes(12), "no_new_privs": True}),
        (ValueError, {"seccomp": bytes(8 * 4097), "no_new_privs": True}),
        (TypeError, {"seccomp": "12345678", "no_new_privs": True}),
    ],
)
def test_a_bad_argument_raises_before_anything_starts(error, attributes):
    def run():
        return failure(["true"], **attributes), type_of_error(prctl.launcher, **attributes)

    found, by_list = support.in_child(run)
    assert (found[0], by_list) == (error, error)


def type_of_error(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except Exception as error:
        return type(error)
    raise AssertionError("no exception")


def test_an_unknown_option_is_a_type_error():
    with pytest.raises(TypeError, match="nonsense"):
        prctl.Popen(["true"], nonsense=1)
    with pytest.raises(TypeError, match="nonsense"):
        prctl.launcher(nonsense=1)
    with pytest.raises(TypeError):
        prctl.Popen(["true"], 9)


def test_preexec_fn_is_refused():
    with pytest.raises(ValueError, match="preexec_fn"):
        prctl.Popen(["true"], preexec_fn=print)
    assert prctl.Popen(["true"], preexec_fn=None).wait() == 0


def test_seccomp_needs_a_privilege_or_none_for_ever():
    def run():
        return failure(["true"], seccomp=ALLOW)

    expected = ValueError, "seccomp needs no_new_privs=True or CAP_SYS_ADMIN", None
    assert support.in_child(run, user=True) == expected


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"user": 1}, "CAP_SETGID"),
        ({"user": 1, "extra_groups": []}, "CAP_SETGID"),
        ({"user": 1, "group": 65534, "extra_groups": []}, "CAP_SETUID"),
        ({"group": 1}, "CAP_SETGID"),
        ({"extra_groups": [1]}, "CAP_SETGID"),
        ({"bounding": []}, "CAP_SETPCAP"),
        ({"securebits": 1}, "CAP_SETPCAP"),
        ({"ambient": ["chown"]}, "chown"),
        ({"inheritable": ["chown"]}, "CAP_SETPCAP"),
    ],
)
def test_a_missing_privilege_is_named_before_anything_starts(attributes, reason, root):
    def run():
        return failure(["true"], **attributes), type_of_error(prctl.launcher, **attributes)

    found, by_list = support.in_child(run, user=True)
    assert found[0] is by_list is PermissionError
    assert reason in found[1]


def test_a_locked_securebit_is_a_refusal_before_anything_starts(root):
    def run():
        prctl.set_securebits(prctl.SECBIT_NOROOT_LOCKED)
        return [failure(["true"], securebits=bits)[:2] for bits in (0, 1, 3)]

    text = "[Errno 1] Operation not permitted: securebits to be changed are locked"
    assert support.in_child(run) == [(PermissionError, text)] * 3


def test_a_step_that_the_kernel_refuses_is_named(root):
    program = b"\xff" * 8

    def run():
        return failure(["true"], seccomp=program, no_new_privs=True)

    call = "prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 8 bytes)"
    expected = OSError, f"[Errno 22] Invalid argument: {call}, in the child", None
    assert support.in_child(run) == expected
    assert support.in_child(in_thread, run) == expected


def test_a_step_refused_by_a_filter_is_named(user):
    def run():
        support.install_filter(support.refuse("prctl", errno.EXDEV, 29))
        return failure(["true"], timerslack=7)[:2]

    text = f"[Errno 18] {os.strerror(errno.EXDEV)}: prctl(PR_SET_TIMERSLACK, 7), in the child"
    assert support.in_child(run, user=user) == (OSError, text)


def test_every_attribute_s_step_can_fail_and_leave_nothing(root):
    """A filter that refuses each call of the launcher in turn."""
    attributes = {
        "pdeathsig": 9,
        "user": HOLDER,
        "group": 1,
        "keep": ["net_raw"],
        "bounding": ["net_raw"],
        "securebits": prctl.SECBIT_NOROOT,
        "child_subreaper": True,
        "timerslack": 7,
        "no_new_privs": True,
        "seccomp": ALLOW,
    }
    orders = [order.partition("=") for order in prctl.launcher(**attributes)]
    options = {int(values.partition(",")[0]) for name, _, values in orders if name == "prctl"}
    assert len(options) >= 8

    def run(option):
        support.install_filter(support.refuse("prctl", errno.EXDEV, option))
        return failure(["true"], **attributes)[:2]

    for option in options - {38, 47}:  # set by the filter itself; read before anything starts
        kind, text = support.in_child(run, option)
        assert kind is OSError
        assert text.startswith("[Errno 18]")
        assert text.endswith(", in the child")


def test_a_launcher_that_is_gone_is_named(monkeypatch, tmp_path):
    def run(path):
        monkeypatch.setattr(_prctl_children, "_PATH", str(path))
        monkeypatch.setattr(_prctl_children, "_held", None)
        return failure(["true"])

    path = tmp_path / "gone"
    assert support.in_child(run, path) == (
        FileNotFoundError,
        "[Errno 2] No such file or directory",
        str(path),
    )


def test_a_launcher_that_cannot_be_executed_is_named(monkeypatch, tmp_path):
    path = tmp_path / "launcher"
    path.write_bytes(b"nonsense")

    def once():
        monkeypatch.setattr(_prctl_children, "_PATH", str(path))
        monkeypatch.setattr(_prctl_children, "_held", None)
        _prctl_children._launcher_program()  # holds it open: that descriptor stays
        return failure(["true"])

    error = support.in_child(once)
    assert error == (PermissionError, "[Errno 13] Permission denied", str(path))


def test_without_a_descriptor_above_standard_error_nothing_starts():
    def run():
        prctl.launcher()  # which holds its file open
        for descriptor in 0, 1:
            os.close(descriptor)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        kind = failure(["true"])[0]
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return kind, no_child(), os.pipe()  # those that were there before

    assert support.in_child(run) == (OSError, True, (0, 1))


def test_without_descriptors_nothing_starts():
    def run():
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 1, hard))
        try:
            prctl.Popen(["true"], stdout=-1)
        except OSError as error:
            found = error.errno
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return found, no_child(), len(os.listdir("/proc/self/fd"))

    before = len(os.listdir("/proc/self/fd"))
    number, nothing, after = support.in_child(run)
    assert (number, nothing) == (errno.EMFILE, True)
    assert after <= before + 1  # in_child's pipe


# What subprocess can do besides.


def test_it_is_a_popen():
    assert issubclass(prctl.Popen, subprocess.Popen)
    process = prctl.Popen(["true", "x"])
    assert process.args == ["true", "x"]
    assert process.wait() == 0
    assert repr(process) == "<Popen: returncode: 0 args: ['true', 'x']>"


def test_the_signatures_are_the_documented_ones():
    common = (
        "pdeathsig=None, no_new_privs=False, user=None, group=None, extra_groups=None, keep=(), "
        "ambient=(), inheritable=None, bounding=None, securebits=None, child_subreaper=None, "
        "timerslack=None, thp_disable=None, seccomp=None"
    )
    assert str(inspect.signature(prctl.Popen)) == f"(args, *, {common}, **subprocess_options)"
    assert str(inspect.signature(prctl.launcher)) == f"(*, parent=os.getpid(), {common})"


def test_the_shell():
    assert says("echo $((1 + 2)) $0", shell=True) == "3 /bin/sh"
    assert says(["echo $0 $1", "a", "b"], shell=True) == "a b"
    bash = shutil.which("bash")
    if bash:
        assert says("echo $0", shell=True, executable=bash) == bash


@pytest.mark.kernel("first argument")
def test_the_executable_and_the_name_that_it_is_told():
    assert says(["told", "-c", "echo $0"], executable="/bin/sh") == "told"
    assert says(["told", "-c", "echo $0"], executable=b"sh") == "told"
    assert says([b"sh", "-c", pathlib.Path("echo hello")]) == "hello"
    assert says(pathlib.Path("/bin/pwd"), cwd="/etc") == "/etc"


def test_the_current_folder_and_a_relative_command(tmp_path):
    (tmp_path / "a tool").write_text("#!/bin/sh\npwd\n")
    (tmp_path / "a tool").chmod(0o755)
    assert says(["./a tool"], cwd=tmp_path) == str(tmp_path)
    assert says(["a tool"], cwd=tmp_path, env={"PATH": ":/bin:/usr/bin"}) == str(tmp_path)


def test_the_environment():
    assert says(["env"], env={"A": "b c"}) == "A=b c"
    assert says(["env"], env={b"PATH": b"/usr/bin"}) == "PATH=/usr/bin"


def test_the_streams():
    with prctl.Popen(["cat"], stdin=-1, stdout=-1, text=True, encoding="latin-1") as process:
        assert process.communicate("äöü")[0] == "äöü"
    command = ["sh", "-c", "echo out; echo err >&2"]
    with prctl.Popen(command, stdout=-1, stderr=subprocess.STDOUT) as process:
        assert process.communicate()[0] == b"out\nerr\n"


def test_the_streams_can_be_closed_ones():
    def run():
        for fd in range(3):
            os.close(fd)
        with prctl.Popen(["cat"], stdin=-1, stdout=-1, no_new_privs=True) as process:
            result = process.communicate(b"hello")[0]
        return result, failure(["no-such-command"])[2], sorted(descriptors())

    result, name, left = support.in_child(run)
    assert (result, name) == (b"hello", "no-such-command")
    assert not {"0", "1", "2"} & set(left)


def fds(**options):
    return set(says(["ls", "/proc/self/fd"], **options).split())


@pytest.mark.parametrize("held", [False, True])
def test_descriptors_of_the_child(held, monkeypatch):
    def run():
        if held:  # as after an upgrade
            monkeypatch.setattr(_prctl_children, "_PATH", "/no/such/launcher")
        reader, writer = os.pipe()
        usual = fds()
        high = os.dup2(reader, 100)
        os.set_inheritable(writer, True)
        return (
            usual,
            fds(),
            fds(pass_fds=[high]),
            fds(pass_fds=iter([high])),
            fds(close_fds=False) - {str(writer)} - {str(high)},
            {str(high), str(writer)} <= fds(close_fds=False),
            str(reader) in fds(close_fds=False),
        )

    usual, closed, passed, iterated, unclosed, has, has_not = support.in_child(run)
    assert usual == closed == {"0", "1", "2", "3"}
    assert passed == iterated == {*usual, "100"}
    assert usual <= unclosed
    assert (has, has_not) == (True, False)


def test_close_fds_with_pass_fds_warns_as_in_subprocess():
    with pytest.warns(RuntimeWarning, match="pass_fds overriding close_fds"):
        assert prctl.Popen(["true"], close_fds=False, pass_fds=[2]).wait() == 0


def test_session_group_and_umask():
    source = "import os; print(os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid())"
    command = [sys.executable, "-c", source]
    environment = support.fresh_environment()
    assert says(command, start_new_session=True, env=environment) == "True True"
    assert says(command, process_group=0, env=environment) == "False True"
    assert says(["sh", "-c", "umask"], umask=0o123) == "0123"


@pytest.mark.parametrize("restore", [True, False])
def test_signals(restore):
    def run():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        return credentials(child(restore_signals=restore)), credentials(
            fields(
                subprocess.check_output(
                    ["cat", "/proc/self/status"], restore_signals=restore, text=True
                )
            )
        )

    found, expected = support.in_child(run)
    assert found == expected


def test_signals_are_those_of_the_caller_s_thread(root):
    def run():
        def start():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
            return child(pdeathsig=signal.SIGKILL)["SigBlk"]

        return in_thread(start), child(pdeathsig=signal.SIGKILL)["SigBlk"]

    blocked, free = support.in_child(run)
    assert int(blocked, 16) == 1 << signal.SIGUSR2 - 1
    assert int(free, 16) == 0


def test_run_and_its_like_can_use_it(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", prctl.Popen)
    done = subprocess.run(["cat"], input=b"x", stdout=-1, no_new_privs=True, check=True)
    assert done.stdout == b"x"


def test_asyncio_starts_commands_behind_a_launcher(user):
    async def start():
        attributes = {"no_new_privs": True, "pdeathsig": signal.SIGTERM, "timerslack": 4321}
        command = [*prctl.launcher(**attributes), "cat", "/proc/self/status"]
        process = await asyncio.create_subprocess_exec(*command, stdout=-1)
        return (await process.communicate())[0].decode()

    if not user:
        assert fields(asyncio.run(start()))["NoNewPrivs"] == "1"
    elif support.in_child(os.access, _prctl_children._PATH, os.X_OK, user=True):
        text = support.in_child(lambda: asyncio.run(start()), user=True)
        assert fields(text)["NoNewPrivs"] == "1"


# launcher().


def test_a_launcher_is_a_list_of_str():
    found = prctl.launcher(pdeathsig=9, no_new_privs=True, seccomp=ALLOW)
    assert all(isinstance(part, str) for part in found)
    assert found[-1] == "--"


def test_the_masks_of_a_launcher_list_are_hexadecimal(root):
    assert any(part.startswith("capset=0x") for part in prctl.launcher(inheritable=["chown"]))


def test_the_parent_of_a_launcher_list():
    assert f"parent={os.getpid()}" in prctl.launcher(pdeathsig=9)
    assert "parent=77" in prctl.launcher(pdeathsig=9, parent=77)
    for found in prctl.launcher(), prctl.launcher(pdeathsig=9, parent=None):
        assert not [part for part in found if part.startswith("parent")]
    pid, found = support.in_child(lambda: (os.getpid(), prctl.launcher(pdeathsig=9)))
    assert f"parent={pid}" in found


@pytest.mark.parametrize(
    ("error", "parent"),
    [(ValueError, 0), (ValueError, -1), (ValueError, 2**31), (TypeError, "1"), (TypeError, 1.0)],
)
def test_a_parent_that_cannot_be_is_refused(error, parent):
    with pytest.raises(error, match="parent"):
        prctl.launcher(pdeathsig=9, parent=parent)


@pytest.mark.parametrize(
    ("command", "status", "text"),
    [
        ("no-such-command", 127, "prctl: no-such-command: No such file or directory\n"),
        ("/etc/passwd", 126, "prctl: /etc/passwd: Permission denied\n"),
    ],
)
def test_the_exit_status_of_a_command_that_does_not_start(command, status, text):
    done = subprocess.run([*prctl.launcher(), command], stderr=-1, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, text)


def test_a_launcher_list_of_another_process_ends_with_one_line():
    orders = prctl.launcher(pdeathsig=9, parent=2**31 - 1)
    done = subprocess.run([*orders, "true"], stderr=-1, text=True, check=False)
    expected = 125, "prctl: getppid() is no longer 2147483647: No such process\n"
    assert (done.returncode, done.stderr) == expected
    orders = prctl.launcher(pdeathsig=9, parent=None)
    assert subprocess.run([*orders, "true"], stderr=-1, text=True).returncode == 0


def test_a_launcher_list_sets_no_new_privs_for_whoever_uses_it():
    def run():
        prctl.set_no_new_privs()
        return prctl.launcher(no_new_privs=True)

    orders = support.in_child(run)
    shown = subprocess.check_output([*orders, "cat", "/proc/self/status"], text=True)
    assert fields(shown)["NoNewPrivs"] == "1"


# What lies between fork and the command, by strace.

_TRACED = """
import os, sys, prctl
wish = eval(sys.argv[1])
prctl.Popen(["true"]).wait()
def mark(text):
    try:
        os.write(-1, text)
    except OSError:
        pass
mark(b"begin")
prctl.Popen(["/bin/true"], **wish).wait()
mark(b"end")
print(*prctl.launcher(**wish)[1:-1])
"""


def traced(wish):
    """The call that forks; the child's before the launcher, and the launcher's; its orders."""
    strace = support.tool("strace")
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "log")
        command = [strace, "-f", "-qq", "-X", "raw", "-o", str(log)]
        if subprocess.run([*command, "true"], stderr=-1, check=False).returncode:
            pytest.skip("strace cannot trace here")
        command += [sys.executable, "-c", _TRACED, repr(wish)]
        orders = support.run(*command, env=support.fresh_environment()).split()
        text = log.read_text().partition('write(-1, "begin"')[2].partition('write(-1, "end"')[0]
    calls = [line.split(maxsplit=1) for line in text.splitlines()[1:-1]]
    parent = calls[0][0]
    (fork,) = (x for pid, x in calls if pid == parent and re.match(r"(v?fork|clone3?)\(", x))
    child = [call for pid, call in calls if pid != parent and "resumed>" not in call]
    first, second = (i for i, call in enumerate(child) if call.startswith("execve("))
    return fork, child[:first], child[first + 1 : second], orders


WISHES = [
    {"pdeathsig": 9, "no_new_privs": True},
    {
        "pdeathsig": 15,
        "no_new_privs": True,
        "user": 4321,
        "group": 1,
        "extra_groups": [5, 4],
        "keep": ["net_raw"],
        "bounding": ["net_raw", "chown"],
        "securebits": 1,
        "timerslack": 77,
        "child_subreaper": True,
        "seccomp": ALLOW,
    },
]


@pytest.mark.parametrize("wish", WISHES)
def test_there_is_nothing_between_vfork_and_the_launcher_that_could_lock(wish, root):
    fork, calls, _, _ = traced(wish)
    assert fork.startswith("vfork(") or re.search("0x[4-7c-f][0-9a-f]{3}[,|}]", fork)  # CLONE_VFORK
    names = {call.partition("(")[0] for call in calls}
    assert not names & {"futex", "mmap", "munmap", "mremap", "brk", "mprotect", "madvise"}
    harmless = "close close_range fcntl fcntl64 getdents64 open openat rt_sigaction rt_sigprocmask"
    assert names <= set(harmless.split())


def call_and_numbers(line):
    """The name of a call as strace prints it, and the numbers in it, 64-bit masks made whole."""
    name, _, rest = line.partition("(")
    rest = re.sub(r"version=\w+, pid=\d+", "", re.split(" = | <unfinished", rest)[0])
    masks = re.findall(r"(0x[0-9a-f]+|\b\d+)(?:\|(0x[0-9a-f]+))?", rest)
    return name, [int(low, 0) | int(high or "0", 0) << 32 for low, high in masks]


@pytest.mark.parametrize("wish", WISHES)
def test_the_launcher_makes_the_planned_calls_and_no_other(wish, root):
    support.needs_launcher_without_libc()
    _, _, calls, orders = traced(wish)
    calls = list(map(call_and_numbers, calls))
    assert calls.pop()[0] == "fcntl"  # the pipe for the report is closed by exec
    assert len(calls) == len(orders), (calls, orders)
    for (name, numbers), order in zip(calls, orders, strict=True):
        kind, _, values = order.partition("=")
        if kind == "seccomp":
            assert (name, numbers[:2]) == ("prctl", [22, 2])
        elif kind == "parent":
            assert name == "getppid"
        else:
            wanted = [int(value, 0) for value in values.split(",")]
            assert name == kind
            numbers = numbers[1:] if kind == "setgroups" else numbers[: len(wanted)]
            assert numbers == wanted


MASKS = st.integers(0, (1 << len(prctl.ALL_CAPS)) - 1)
UIDS = st.tuples(*[st.sampled_from([0, 5])] * 3)


@given(UIDS, MASKS, MASKS, MASKS, MASKS, MASKS, st.integers(0, 0xFFF), st.booleans())
@example((0, 5, 5), 0, 0, 1, 0, 1, 0, False)
def test_nothing_of_the_state_has_a_step_unless_it_is_asked_for(
    uids, effective, permitted, inheritable, ambient, bounding, securebits, no_new_privs
):
    sets = effective & permitted, permitted, inheritable, ambient & permitted & inheritable
    now = operations.State(uids, uids, [], *sets, bounding, securebits, no_new_privs)
    wanted = _prctl_children._Attributes(*_prctl_children._NO_STATE, None, 77, None, None)
    assert _prctl_children._to_raise(now, wanted) == 0
    assert _prctl_children._plan(now, 0, wanted, None) == [("prctl", 29, 77)]  # PR_SET_TIMERSLACK


# Where the launcher's file is.


def test_a_path_with_spaces(tmp_path, monkeypatch):
    path = tmp_path / "a folder, with spaces" / "launcher"
    path.parent.mkdir()
    shutil.copy(_prctl_children._PATH, path)

    def run():
        monkeypatch.setattr(_prctl_children, "_PATH", str(path))
        monkeypatch.setattr(_prctl_children, "_held", None)
        done = subprocess.run([*prctl.launcher(no_new_privs=True), "echo", "hello"], stdout=-1)
        return child(no_new_privs=True)["NoNewPrivs"], done.stdout

    assert support.in_child(run) == ("1", b"hello\n")


def test_it_goes_on_after_an_upgrade_of_the_installation(tmp_path, monkeypatch):
    path = tmp_path / "launcher"
    shutil.copy(_prctl_children._PATH, path)

    def run():
        monkeypatch.setattr(_prctl_children, "_PATH", str(path))
        monkeypatch.setattr(_prctl_children, "_held", None)
        assert child(no_new_privs=True)["NoNewPrivs"] == "1"
        path.unlink()
        gone = child(no_new_privs=True)["NoNewPrivs"]
        path.write_text("#!/bin/sh\necho another\n")
        path.chmod(0o755)
        return gone, child(no_new_privs=True)["NoNewPrivs"]

    assert support.in_child(run) == ("1", "1")


@pytest.mark.parametrize("used", [False, True], ids=["closed", "used for something else"])
def test_it_goes_on_when_everything_has_been_closed(used):
    def run():
        _prctl_children._launcher_program()
        fd = _prctl_children._held[0]
        os.close(fd)
        if used:
            os.dup2(0, fd)
        return child(no_new_privs=True)["NoNewPrivs"]

    assert support.in_child(run) == "1"


def test_it_goes_on_where_the_installation_cannot_be_reached(tmp_path, monkeypatch, root):
    folder = tmp_path / "secret"
    folder.mkdir()
    shutil.copy(_prctl_children._PATH, folder / "launcher")

    def run():
        monkeypatch.setattr(_prctl_children, "_PATH", str(folder / "launcher"))
        monkeypatch.setattr(_prctl_children, "_held", None)
        _prctl_children._launcher_program()
        folder.chmod(0)
        support.become_user()
        found = child(no_new_privs=True, pdeathsig=9)["NoNewPrivs"]
        return found, support.error_of(prctl.launcher)[0]

    assert support.in_child(run) == ("1", errno.EACCES)


@pytest.mark.parametrize("proc", [True, False])
def test_after_a_chroot(proc, tmp_path, root):
    jail = tmp_path / "jail"
    (jail / "proc").mkdir(parents=True)
    shutil.copy(_prctl_children._PATH, jail / "command")  # the only program there

    def run():
        if proc:
            support._libc.unshare(0x20000)  # CLONE_NEWNS
            if subprocess.run(["mount", "--make-rprivate", "/"], stderr=-3, check=False).returncode:
                pytest.skip("/ is no mount point here: this is a chroot itself")
            support.run("mount", "--rbind", "/proc", str(jail / "proc"))
        os.chroot(jail)
        os.chdir("/")
        if not proc:
            return support.error_of(prctl.Popen, ["/command"])
        command = ["/command", "prctl=24,99", "--", "x"]
        process = prctl.Popen(command, stderr=-1, user=HOLDER, group=1, no_new_privs=True)
        return process.communicate()[1], process.returncode

    found = support.in_child(run)
    if proc:
        assert found == (b"prctl: prctl(PR_CAPBSET_DROP,99): Operation not permitted\n", 125)
    else:
        path = _prctl_children._PATH
        assert found[2] == f"[Errno 2] No such file or directory: '{path}'"


# In a user namespace.

_IN_NAMESPACE = """
import prctl, subprocess
def status(**wish):
    text = prctl.Popen(["cat", "/proc/self/status"], stdout=-1, text=True, **wish).communicate()[0]
    return dict(line.split(":", 1) for line in text.splitlines())
found = status(bounding=["net_raw"], ambient=["net_raw"], no_new_privs=True, pdeathsig=9)
print(found["Uid"].split()[0], *(int(found["Cap" + x], 16) for x in ("Inh", "Eff", "Bnd", "Amb")))
try:
    prctl.Popen(["true"], user=1234, group=1234, extra_groups=[])
except PermissionError as error:
    print(error)
"""


def test_as_root_of_a_user_namespace():
    unshare = support.tool("unshare")
    if subprocess.run([unshare, "-Ur", "true"], stderr=-1, check=False).returncode:
        pytest.skip("no user namespaces here")
    command = [unshare, "-Ur", sys.executable, "-c", _IN_NAMESPACE]
    shown = support.run(*command, env=support.fresh_environment()).splitlines()
    assert shown[0] == f"0 {NET_RAW} {NET_RAW} {NET_RAW} {NET_RAW}"
    assert "user namespace" in shown[1]


def test_as_a_user_without_a_mapping_who_has_every_capability():
    def run():
        support.enter_user_namespace()
        return child(ambient=["net_raw"], bounding=["net_raw"], pdeathsig=9)

    status = support.in_child(run, user=True)
    for name in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
        assert mask(status, name) == NET_RAW


def test_ambient_outlives_asking_for_the_ids_that_the_child_has_anyway(root):
    def run():
        prctl.set_keepcaps(True)
        os.setgroups([])
        os.setresgid(1, 1, 1)
        os.setresuid(1, 1, 1)
        prctl.cap_effective |= {"net_raw", "setpcap"}
        prctl.cap_inheritable.add("net_raw")
        prctl.cap_ambient.add("net_raw")
        prctl.securebits.no_cap_ambient_raise = True
        prctl.cap_permitted.limit("net_raw")
        return child(user=1, group=1, extra_groups=[], keep=["net_raw"])

    assert mask(support.in_child(run), "CapEff") == NET_RAW


@pytest.mark.parametrize(
    ("uids", "no_new_privs"),
    [
        ((0, 0, 0), False),
        ((0, 0, 0), True),
        ((1, 1, 1), False),
        ((1, 1, 1), True),
        # With no_new_privs, exec may make the effective id the real one; see also below.
        ((0, 1, 0), False),
        ((1, 0, 0), False),
    ],
)
def test_exec_gives_what_a_plan_begins_with(uids, no_new_privs, root):
    def run():
        prctl.set_keepcaps(True)
        os.setresuid(*uids)
        prctl.cap_permitted.limit("net_raw", "chown", "setpcap")
        prctl.cap_inheritable |= {"net_raw", "chown"}
        if len(set(uids)) == 1:
            prctl.cap_ambient.add("net_raw")
        if no_new_privs:
            prctl.set_no_new_privs()
        return _prctl_children._after_exec(operations.current_state()), plain()

    expected, status = support.in_child(run)
    assert status["Uid"].split()[:3] == list(map(str, expected.uids))
    assert mask(status, "CapPrm") == expected.permitted
    assert mask(status, "CapEff") == expected.effective
    assert mask(status, "CapInh") == expected.inheritable
    assert mask(status, "CapAmb") == expected.ambient


@pytest.mark.parametrize("uids", [(0, 1, 0), (1, 0, 0), (1, 2, 1)])
def test_ids_that_differ_leave_a_child_what_they_leave_one_of_subprocess(uids, root):
    command = [support.tool("setpriv"), "--dump"]

    def run():
        prctl.set_keepcaps(True)
        os.setresuid(*uids)
        prctl.cap_inheritable.add("net_raw")
        prctl.cap_ambient.add("net_raw")
        ask = lambda: prctl.set_pdeathsig(signal.SIGTERM)  # noqa: E731
        usual = subprocess.check_output(command, preexec_fn=ask, text=True)
        return usual, says(command, pdeathsig=signal.SIGTERM)

    usual, ours = support.in_child(run)
    assert ours == usual.strip()


# What a namespace has no number for reads as 65534, nobody.


@pytest.mark.parametrize("groups", [[], [27]])
def test_ids_that_only_look_like_those_asked_for_are_changed_all_the_same(groups, root):
    def run(outside):
        with prctl.Popen(["cat"], stdin=-1, user=65534, group=65534, extra_groups=[65534]) as cat:
            return outside(cat.pid)

    def with_groups():
        os.setgroups(groups)
        return support.in_user_namespace(run)

    found = support.in_child(with_groups)
    assert found["Uid"].split() == found["Gid"].split() == ["165534"] * 4
    assert found["Groups"] == "165534"


@pytest.mark.parametrize("what", ["user", "group"])
def test_one_id_that_only_looks_like_the_one_asked_for_is_changed_all_the_same(what, root):
    asked = {"user": {"user": 65534, "group": 0, "extra_groups": []}, "group": {"group": 65534}}

    def run(outside):
        os.setgroups([])
        if what == "user":
            os.setresgid(0, 0, 0)
        with prctl.Popen(["cat"], stdin=-1, **asked[what]) as cat:
            return outside(cat.pid)

    found = support.in_user_namespace(run)
    assert found["Uid" if what == "user" else "Gid"].split() == ["165534"] * 4


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ({"user": 65534, "group": 65534, "extra_groups": []}, "setresgid(65534, 65534, 65534)"),
        ({"group": 65534}, "setresgid(65534, 65534, 65534)"),
        ({"extra_groups": [65534]}, "changing the supplementary groups needs CAP_SETGID"),
    ],
)
def test_ids_that_only_look_like_those_asked_for_are_refused_without_privilege(
    asked, refused, root
):
    def run(outside):
        prctl.cap_permitted.clear()
        return support.error_of(prctl.Popen, ["true"], **asked)

    def with_a_group():
        os.setgroups([27] if "groups" in refused else [])
        return support.in_user_namespace(run)

    number, kind, text = support.in_child(with_a_group)
    assert (number, kind) == (errno.EPERM, PermissionError)
    assert refused in text


def test_ids_without_a_number_that_are_not_asked_for_stay(root):
    def run(outside):
        with prctl.Popen(["cat"], stdin=-1, pdeathsig=9, ambient=["net_raw"]) as cat:
            return outside(cat.pid)

    found = support.in_user_namespace(run)
    assert found["Uid"].split() == ["0"] * 4
    assert mask(found, "CapEff") == NET_RAW


# Interpreters.


def test_in_an_interpreter_without_daemon_threads():
    source = (
        "import _xxsubinterpreters as i\n"
        "code = '''\n"
        "import prctl, threading\n"
        "def start(**wish):\n"
        "    try: print(prctl.Popen(['true'], **wish).wait(), flush=True)\n"
        "    except RuntimeError as error: print(type(error).__name__, error, flush=True)\n"
        "start(no_new_privs=True)\n"
        "thread = threading.Thread(target=start, kwargs={'pdeathsig': 9})\n"
        "thread.start(); thread.join()\n"
        "'''\n"
        "i.run_string(i.create(isolated=True), code)\n"
    )
    if not (3, 12) <= sys.version_info < (3, 13):
        source = source.replace("_xxsubinterpreters", "_interpreters").replace(
            "i.create(isolated=True)", "i.create('isolated')"
        )
    if sys.version_info < (3, 12):
        pytest.skip("every interpreter of this Python has daemon threads")
    shown = support.run_python(source).splitlines()
    assert shown[0] == "0"
    assert shown[1].startswith("RuntimeError")
    assert "pdeathsig" in shown[1]


def test_the_example_runs(root):
    example = support.SOURCES / "examples" / "launcher.py"
    shown = support.run(sys.executable, str(example), env=support.fresh_environment())
    assert "net_bind_service" in shown
