"""The recipes of examples/: each does what it says, and leaves nothing behind, however it ends.

They run as their users run them, in a fresh interpreter. An environment variable marks all that
one of them starts, so that nothing can hide: neither a new title nor another parent takes it away.
"""

import contextlib
import errno
import http.client
import importlib.metadata
import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest
import support
from support import ROOT, USER, cmdline, free_privileged_port, in_child, in_time, status, tool

import prctl

# They are watched by their titles and their children.
pytestmark = pytest.mark.kernel("command line", "subreaper")

EXAMPLES = support.SOURCES / "examples"
METHODS = "fork", "spawn", "forkserver"
ALLOW = support._instruction(6, 0, 0, 0x7FFF0000)  # a seccomp program that allows everything


@pytest.fixture(autouse=True)
def interruptible():
    """What a shell starts in the background ignores SIGINT, and so would the recipes."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# ---- Who runs them


@pytest.fixture(scope="session")
def public():
    """A folder that every user can read, with the recipes and the library."""
    with tempfile.TemporaryDirectory(prefix="recipes-", dir="/tmp") as folder:
        shutil.copytree(EXAMPLES, f"{folder}/examples")
        for file in importlib.metadata.files("python-prctl"):
            if len(file.parts) == 1:
                shutil.copy(file.locate(), folder)
        for file in Path(folder).rglob("*"):
            file.chmod(0o755)
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def public_python(public):
    """An interpreter for ordinary users. The suite's own may be where only root can go."""
    asks = "import sys, prctl; sys.exit(sys.version_info < (3, 11))"
    candidates = sys.executable, "/usr/bin/python3"
    for python in candidates:
        with contextlib.suppress(PermissionError, FileNotFoundError):
            done = subprocess.run([python, "-c", asks], **ordinary(public), stderr=subprocess.PIPE)
            if done.returncode == 0:
                return python
    return pytest.skip(f"an ordinary user can run none of {', '.join(candidates)} with the library")


def ordinary(public):
    """The options of subprocess.Popen that make a process an ordinary user's."""
    options = {"env": support.fresh_environment(PYTHONPATH=str(public)), "cwd": "/"}
    return options | {"user": USER, "group": USER, "extra_groups": []} if ROOT else options


class Run:
    """A process, all that it has started and has not ended yet, and what all of them say."""

    def __init__(self, command, **options):
        self.output = tempfile.TemporaryFile()  # noqa: SIM115
        self.mark = f"RECIPE={secrets.token_hex()}".encode()
        environment = options.pop("env", support.fresh_environment())
        name, _, value = self.mark.decode().partition("=")
        self.process = subprocess.Popen(
            command,
            stdout=self.output,
            stderr=self.output,
            process_group=0,
            env=environment | {name: value, "PYTHONUNBUFFERED": "1"},
            **({"stdin": subprocess.DEVNULL} | options),
        )
        self.pid = self.process.pid

    @property
    def says(self):
        return os.pread(self.output.fileno(), 1 << 20, 0).decode()

    def titles(self):
        """{pid: what ps shows} of all that runs."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                if self.mark in (folder / "environ").read_bytes().split(b"\0"):
                    title = (folder / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
                    found[int(folder.name)] = title.decode(errors="replace")
        return found

    def called(self, title):
        """The one process that has a title; it may have to be waited for."""
        pids = []

        def there():
            # For a moment, a child that has just been forked has the title of its parent.
            pids[:] = (pid for pid, found in self.titles().items() if found == title)
            return len(pids) == 1

        eventually(there, lambda: f"{self.titles()} {self.says}")
        return pids[0]

    def wait(self):
        return self.process.wait(60)

    def kill(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait()

    def leaves_nothing(self):
        return in_time(lambda: not self.titles(), 60)

    def clean_up(self):
        while left := self.titles():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.wait()
        self.output.close()


def eventually(condition, explain=lambda: "it did not happen"):
    assert in_time(condition, 60), explain()


@pytest.fixture
def start():
    """Starts a command; nothing of it outlives the test."""
    runs = []

    def start(*command, **options):
        runs.append(Run(list(map(str, command)), **options))
        return runs[-1]

    yield start
    for run in runs:
        run.clean_up()


@pytest.fixture
def recipe(start, user, request):
    """Starts a recipe as root and as an ordinary user."""
    if user and ROOT:
        public, python = map(request.getfixturevalue, ("public", "public_python"))
        options = ordinary(public)
    else:
        public, python, options = support.SOURCES, sys.executable, {}
    return lambda name, *arguments: start(python, public / "examples" / name, *arguments, **options)


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_recipes(source):
    """A program of a test that imports the recipes."""
    return f"import sys\nsys.path.insert(0, {str(EXAMPLES)!r})\n{source}"


# ---- workers.py


@pytest.fixture
def path():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder, "app.sock")


@pytest.fixture
def workers(recipe, path):
    """Starts the master with two workers that wait for a client."""

    def workers():
        run = recipe("workers.py", path)
        run.workers = [run.called(f"app: worker {number} [idle]") for number in (1, 2)]
        return run

    return workers


@contextlib.contextmanager
def client(path, says=b""):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(path))
        connection.sendall(says)
        assert not says or connection.recv(1000) == says.upper()
        yield connection


def busy_worker(run, shown):
    eventually(lambda: any(shown in title for title in run.titles().values()), run.titles)
    (pid,) = (pid for pid, title in run.titles().items() if shown in title)
    return pid


def test_ps_tells_the_master_from_its_workers(workers, path):
    run = workers()
    lines = support.run("ps", "-o", "comm=,args=", "-p", f"{run.pid},{run.workers[1]}").split("\n")
    assert [line.split(maxsplit=1) for line in sorted(lines) if line] == [
        ["app-master", f"app: master [{path}]"],
        ["app-worker-2", "app: worker 2 [idle]"],
    ]


def test_a_worker_shows_what_it_is_doing_and_no_control_characters(workers, path):
    run = workers()
    with client(path, b"hello\x1b[2J\n"):
        pid = busy_worker(run, "hello")
        assert cmdline(pid).endswith(rb" [hello\x1b[2J\n]" + b"\0")
    eventually(lambda: cmdline(pid).endswith(b" [idle]\0"))


def test_a_worker_that_dies_is_replaced(workers):
    run = workers()
    os.kill(run.workers[0], signal.SIGKILL)
    eventually(lambda: "worker 1 ended with exit code -9" in run.says)
    assert run.called("app: worker 1 [idle]") != run.workers[0]
    assert run.called("app: worker 2 [idle]") == run.workers[1]


def test_a_replacement_does_not_start_at_once(user):
    module = load("workers")

    def sleep(seconds):
        raise LookupError(seconds)

    module.time = SimpleNamespace(sleep=sleep)
    with pytest.raises(LookupError, match="7"):
        in_child(lambda: module.run_worker(1, None, 7, os.getppid()), user=user)


def test_a_killed_master_leaves_no_worker(workers, path):
    run = workers()
    with client(path, b"hello"):
        run.kill(signal.SIGKILL)
        assert run.leaves_nothing()


def test_a_worker_whose_master_was_gone_at_its_start_ends(user):
    run_worker = load("workers").run_worker
    assert in_child(lambda: run_worker(1, None, 0, os.getpid()), user=user) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_master_ends_all(workers, path, number):
    run = workers()
    with client(path, b"hello"):
        assert run.kill(number) == 0
    assert run.leaves_nothing()
    assert not path.exists()
    assert run.says == ""


def test_what_is_being_answered_is_answered_before_the_end(workers, path):
    run = workers()
    with client(path) as connection:
        # The worker hangs while its answers are not read.
        connection.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += connection.send(b"x" * 1000)
        pid = busy_worker(run, "xxx")
        sigterm = 1 << (signal.SIGTERM - 1)
        eventually(lambda: int(status(pid)["SigBlk"], 16) & sigterm and "S" in status(pid)["State"])
        run.process.send_signal(signal.SIGTERM)
        eventually(lambda: int(status(pid)["ShdPnd"], 16) & sigterm)
        connection.settimeout(60)
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # for what the worker has not read
            while data := connection.recv(1 << 16):
                answer += data
    assert answer == b"X" * len(answer)
    assert 0 < len(answer) <= sent
    assert run.wait() == 0


def test_a_path_that_is_served_is_not_taken_over(workers, recipe, path):
    workers()
    second = recipe("workers.py", path)
    assert second.wait() == 1
    assert second.says == f"workers: {path} has workers already\n"
    with client(path, b"still there"):
        pass


def test_the_socket_of_a_killed_master_is_replaced(workers, path):
    first = workers()
    first.kill(signal.SIGKILL)
    assert first.leaves_nothing()
    assert path.is_socket()
    workers()
    with client(path, b"again"):
        pass


def test_a_file_that_is_no_socket_stays(recipe, path):
    path.write_text("precious")
    run = recipe("workers.py", path)
    assert run.wait() == 1
    assert run.says == f"workers: cannot listen at {path}: Address already in use\n"
    assert path.read_text() == "precious"


@pytest.mark.parametrize("number", [0, -1, 65, "x"])
def test_a_number_of_workers_that_makes_no_sense_is_bad_usage(start, path, number):
    command = sys.executable, EXAMPLES / "workers.py", path, "--workers", number
    assert start(*command).wait() == 2
    assert not path.exists()


# ---- multiprocessing_initializer.py

POOLS = ("Pool", []), ("ProcessPoolExecutor", ["--executor"])


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.fixture(params=[pytest.param(options, id=name) for name, options in POOLS])
def pool(recipe, method, request):
    def pool(seconds):
        arguments = "--method", method, "--seconds", seconds
        return recipe("multiprocessing_initializer.py", *arguments, *request.param)

    return pool


def wait_for_work(run):
    """Wait until both workers of a pool have something to do."""
    eventually(lambda: " ".join(run.titles().values()).count("squared]") == 2, run.titles)


def test_a_pool_does_its_work_and_ends(pool):
    run = pool(0)
    assert run.wait() == 0, run.says
    lines = [line.partition(",")[0] for line in run.says.splitlines()]
    assert lines == [f"{number} squared is {number**2}" for number in range(1, 5)]
    assert run.leaves_nothing()


def test_a_killed_process_leaves_no_worker_of_its_pool(pool, method):
    run = pool(600)
    wait_for_work(run)
    assert run.titles()[run.pid] == f"pool: master [{method}]"
    names = [Path(f"/proc/{pid}/comm").read_text() for pid in run.titles()]
    assert {f"pool-{number}\n" for number in (1, 2)} <= set(names)
    run.kill(signal.SIGKILL)
    assert run.leaves_nothing()


def test_an_idle_worker_ends_with_the_process_too(start, method):
    source = """
        import multiprocessing, os, signal
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing_initializer import start_worker
        context = multiprocessing.get_context(sys.argv[1])
        executor = ProcessPoolExecutor(2, context, start_worker)
        print(executor.submit(os.getppid).result())
        os.kill(os.getpid(), signal.SIGKILL)
    """
    run = start(sys.executable, "-c", with_recipes(dedent(source)), method)
    assert run.wait() == -signal.SIGKILL
    assert (int(run.says.split()[0]) == run.pid) == (method != "forkserver")
    assert run.leaves_nothing()


def test_workers_outlive_the_thread_that_has_started_them(start, method):
    # A Pool replaces workers in a thread, which ends before they do; an executor starts them in
    # whatever thread submits a task.
    source = """
        import multiprocessing, threading, time
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing_initializer import start_worker
        context = multiprocessing.get_context(sys.argv[1])
        for _ in range(3):
            pool = context.Pool(3, start_worker, maxtasksperchild=1)
            pool.map(time.sleep, 9 * [0.01], chunksize=1)
            workers = list(pool._pool)
            pool.close()
            pool.join()
            assert not any(worker.exitcode for worker in workers)
        with ProcessPoolExecutor(1, context, start_worker) as executor:
            futures = []
            submit = lambda: futures.append(executor.submit(time.sleep, 0.5))
            thread = threading.Thread(target=submit)
            thread.start()
            thread.join()
            futures[0].result()
        print("done")
    """
    run = start(sys.executable, "-W", "ignore", "-c", with_recipes(dedent(source)), method)
    assert run.wait() == 0, run.says
    assert run.says == "done\n"
    assert run.leaves_nothing()


def test_an_interrupt_at_the_terminal_is_one_line(recipe, method):
    run = recipe("multiprocessing_initializer.py", "--method", method, "--seconds", 600)
    wait_for_work(run)
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait() == 1
    assert run.says == "interrupted\n"
    assert run.leaves_nothing()


def test_outside_a_pool_the_initializer_refuses():
    with pytest.raises(RuntimeError, match="not been started by multiprocessing"):
        in_child(load("multiprocessing_initializer").end_with_master)


# ---- asyncio_children.py


def test_commands_are_told_and_answer(recipe):
    run = recipe("asyncio_children.py", "sort", "cat; exit 3", "--input", "b\na\n")
    assert run.wait() == 0
    assert sorted(run.says.splitlines()) == [
        r"cat; exit 3: status 3, b'b\na\n'",
        r"sort: status 0, b'a\nb\n'",
    ]


def test_what_a_command_says_of_errors_is_passed_on(recipe):
    # Alone: what another reports at the same moment could come between.
    run = recipe("asyncio_children.py", "cat >&2", "--input", "b\na\n")
    assert run.wait() == 0
    assert run.says == "b\na\ncat >&2: status 0, b''\n"


def test_a_command_that_takes_too_long_is_ended_with_its_children(recipe):
    command = "sleep 600; echo"
    run = recipe(
        "asyncio_children.py", "--seconds", 0.5, command, "trap '' TERM; sleep 600; read x"
    )
    assert run.wait() == 0
    assert f"{command}: ended after 0.5 seconds\n" in run.says
    assert run.leaves_nothing()


def test_a_killed_process_leaves_no_command(recipe):
    run = recipe("asyncio_children.py", "--seconds", 600, "exec sleep 600", "exec sleep 601")
    for seconds in (600, 601):
        run.called(f"sleep {seconds}")
    run.kill(signal.SIGKILL)
    assert run.leaves_nothing()


def test_an_interrupted_process_leaves_no_command(recipe):
    run = recipe("asyncio_children.py", "--seconds", 600, "sleep 600; echo")
    run.called("sleep 600")
    assert run.kill(signal.SIGINT) == 1
    assert run.says == "interrupted\n"
    assert run.leaves_nothing()


def test_a_task_that_is_cancelled_while_its_command_starts_leaves_nothing(start):
    source = """
        import asyncio, asyncio_children
        async def main():
            for turns in range(12):
                task = asyncio.create_task(asyncio_children.run("sleep 600; echo", b""))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled()
            print("cancelled")
        asyncio.run(main())
    """
    run = start(sys.executable, "-c", with_recipes(dedent(source)))
    assert run.wait() == 0, run.says
    assert run.says == "cancelled\n"
    assert run.leaves_nothing()


def test_a_task_that_is_cancelled_twice_leaves_no_command(start):
    source = """
        import asyncio, asyncio_children
        async def main():
            stubborn = "trap '' TERM; echo >&2 ready; while :; do sleep 600; done"
            task = asyncio.create_task(asyncio_children.run(stubborn, b""))
            await asyncio.to_thread(sys.stdin.readline)
            for _ in range(2):
                task.cancel()
                await asyncio.sleep(0.1)
            try:
                await task
            except asyncio.CancelledError:
                print("cancelled")
        asyncio.run(main())
    """
    reader, writer = os.pipe()
    with open(reader), open(writer, "w") as told:
        program = with_recipes(dedent(source))
        run = start(sys.executable, "-c", program, stdin=reader)
        eventually(lambda: "ready" in run.says, lambda: run.says)
        told.write("\n")
    assert run.wait() == 0, run.says
    assert run.says == "ready\ncancelled\n"
    assert run.leaves_nothing()


# ---- subreaper.py

needs_list_of_children = pytest.mark.skipif(
    not os.path.exists("/proc/thread-self/children"),
    reason="this kernel has no CONFIG_PROC_CHILDREN",
)

# A daemon: its parent has ended, and it is a session's leader.
DAEMON = "(setsid sh -c '{}' &)"


def the_daemon(run):
    """The daemon's pid, once it has been adopted."""
    pid = run.called("sleep 600")
    eventually(lambda: int(status(pid)["PPid"]) == run.pid)
    return pid


def report(run):
    return re.sub(r"subreaper: \d+ ", "", run.says).splitlines()


def test_it_adopts_a_daemon_and_tells_how_both_end(recipe):
    run = recipe("subreaper.py", "sh", "-c", DAEMON.format("exec sleep 600") + "; exit 3")
    pid = the_daemon(run)
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    assert run.wait() == 3
    assert sorted(report(run)) == ["'sh': exit status 3", "'sleep', adopted: signal 9"]


@needs_list_of_children
def test_sigterm_is_for_the_daemon_and_for_what_that_leaves(recipe):
    run = recipe("subreaper.py", "sh", "-c", DAEMON.format("sleep 600 & sleep 601"))
    run.called("sleep 600")
    run.called("sleep 601")
    eventually(lambda: "exit status 0" in run.says)
    assert run.kill(signal.SIGTERM) == 0
    assert sorted(report(run)) == [
        "'sh', adopted: signal 15",
        "'sh': exit status 0",
        "'sleep', adopted: signal 15",
        "'sleep', adopted: signal 15",
    ]
    assert run.leaves_nothing()


@needs_list_of_children
def test_an_orphan_that_comes_without_a_signal_is_told_too(recipe):
    family = "sh -c 'sleep 600 & exec sleep 601' & wait; wait; exec sleep 602"
    run = recipe("subreaper.py", "sh", "-c", f"trap 'echo told' TERM; {family}")
    parent, _ = run.called("sleep 601"), run.called("sleep 600")
    run.process.send_signal(signal.SIGTERM)
    eventually(lambda: "told" in run.says)
    os.kill(parent, signal.SIGKILL)  # its parent reaps it
    run.called("sleep 602")
    eventually(lambda: report(run) == ["told", "'sleep', adopted: signal 15"])
    assert run.kill(signal.SIGTERM) == 128 + signal.SIGTERM
    assert run.leaves_nothing()


def test_the_exit_status_tells_of_a_signal_as_a_shell_does(recipe):
    run = recipe("subreaper.py", "sh", "-c", "kill -USR1 $$")
    assert run.wait() == 128 + signal.SIGUSR1
    assert report(run) == [f"'sh': signal {signal.SIGUSR1:d}"]


def test_the_command_gets_no_blocked_signals(recipe):
    run = recipe("subreaper.py", "grep", "SigBlk", "/proc/self/status")
    assert run.wait() == 0
    assert int(run.says.split()[1], 16) == 0


def test_a_command_that_does_not_exist_is_one_line(recipe):
    run = recipe("subreaper.py", "/no/such/command")
    assert run.wait() == 1
    assert run.says == "subreaper: [Errno 2] No such file or directory: '/no/such/command'\n"


def test_ignored_children_of_the_starter_change_nothing(start):
    line = 'trap "" CHLD; exec "$0" "$@"'
    recipe = sys.executable, EXAMPLES / "subreaper.py", "sh", "-c", "exit 3"
    assert start("sh", "-c", line, *recipe).wait() == 3


# ---- systemd


@pytest.fixture(scope="module")
def unit():
    """The settings of hello.service: {name: [each value]}."""
    settings = {}
    for line in (EXAMPLES / "systemd" / "hello.service").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings.setdefault(name, []).append(value)
    return settings


@pytest.fixture
def setpriv(unit):
    """The arguments that have setpriv(1) do what the unit has systemd do; there is none here."""
    ((ambient,), (bounding,)) = unit["AmbientCapabilities"], unit["CapabilityBoundingSet"]
    ambient, bounding = (name.lower().removeprefix("cap_") for name in (ambient, bounding))
    assert (unit["DynamicUser"], unit["NoNewPrivileges"]) == (["yes"], ["yes"])
    return {
        "bounding": f"--bounding-set=-all,+{bounding}",
        "inheritable": f"--inh-caps=-all,+{ambient}",
        "ambient": f"--ambient-caps=-all,+{ambient}",
        "uid": f"--reuid={USER}",
        "gid": f"--regid={USER}",
        "groups": "--clear-groups",
        "no_new_privs": "--no-new-privs",
    }


@pytest.fixture
def hello(start, public, setpriv, request):
    """Starts the service under a filter, with the arguments of setpriv, of which some may change.

    The filter is there before all that, or, as systemd has it, after.
    """

    def hello(port, *, seccomp=ALLOW, last=None, **changes):
        support.needs(prctl.CAP_SYS_ADMIN, "CAP_SYS_ADMIN, for a filter without no_new_privs")
        python = request.getfixturevalue("public_python")
        return start(
            *(prctl.launcher(seccomp=seccomp) if seccomp else ()),
            *(tool("setpriv"), *filter(None, (setpriv | changes).values())),
            *(prctl.launcher(seccomp=last, no_new_privs=True) if last else ()),
            *(python, public / "examples" / "systemd" / "hello.py", "--port", port),
            env=support.fresh_environment(PYTHONPATH=str(public)),
            cwd="/",
        )

    return hello


def assert_it_says_hello(run, port):
    run.called(f"hello: port {port}")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):

        def connected():
            with contextlib.suppress(ConnectionRefusedError):
                return connection.connect() is None

        eventually(connected, lambda: run.says)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello\n"


def test_the_service_runs_with_what_the_unit_gives_it(hello, root):
    port = free_privileged_port()
    run = hello(port)
    assert_it_says_hello(run, port)
    found = status(run.pid)
    net_bind_service = f"{1 << prctl.CAP_NET_BIND_SERVICE:016x}"
    for name in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
        assert found[name] == net_bind_service
    assert found["Uid"].split() == found["Gid"].split() == [str(USER)] * 4
    assert (found["Groups"], found["NoNewPrivs"], found["Seccomp"]) == ("", "1", "2")


def numbers_of_system_calls():
    """{name: number} of the system calls of this machine, as the compiler knows them."""
    try:
        text = support.run("cc", "-E", "-dM", "-", input="#include <sys/syscall.h>")
    except FileNotFoundError:
        pytest.skip("there is no C compiler to ask for the numbers of system calls")
    return {name: int(n) for name, n in re.findall(r"#define __NR_(\w+) (\d+)\n", text)}


def system_calls(group):
    """The names of a group of system calls, as systemd has it."""
    text = support.run(tool("systemd-analyze"), "--no-pager", "syscall-filter", group)
    members = [line.strip() for line in text.splitlines()[1:] if not line.strip().startswith("#")]
    found = (system_calls(name) if name.startswith("@") else {name} for name in members if name)
    return set().union(*found)


def test_the_service_runs_with_the_system_calls_that_the_unit_leaves_it(hello, unit, root):
    allowed = system_calls("@default")  # which systemd adds by itself
    for value in unit["SystemCallFilter"]:
        groups = set().union(*map(system_calls, value.removeprefix("~").split()))
        allowed = allowed - groups if value.startswith("~") else allowed | groups
    numbers = numbers_of_system_calls()
    assert not allowed & {"mount", "setuid", "ptrace", "bpf", "reboot"}
    program = support._instruction(support._LOAD, 0, 0, 0)
    for number in sorted(numbers[name] for name in allowed if name in numbers):
        program += support._instruction(support._JUMP_EQUAL, 0, 1, number) + ALLOW
    assert unit["SystemCallErrorNumber"] == ["EPERM"]
    program += support._instruction(support._RETURN, 0, 0, support._ERRNO | errno.EPERM)
    port = free_privileged_port()
    assert_it_says_hello(hello(port, last=program), port)


FAULTS = [
    ({"bounding": None}, "capbset has "),
    ({"ambient": None}, "cap_ambient lacks net_bind_service (AmbientCapabilities=)"),
    ({"ambient": None, "inheritable": None}, "cap_inheritable lacks net_bind_service"),
    ({"uid": None}, "it is root (User= or DynamicUser=)"),
    ({"gid": "--regid=0"}, "it is in root's group (Group=)"),
    ({"groups": "--groups=0"}, "it is in root's group (Group=)"),
    ({"no_new_privs": None}, "could gain privileges (NoNewPrivileges=)"),
    ({"seccomp": None}, "it can make every system call (SystemCallFilter=)"),
]


@pytest.mark.parametrize(("change", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_the_service_refuses_to_run_with_more_or_less(hello, change, fault, root):
    if "seccomp" in change and status()["Seccomp"] != "0":
        pytest.skip("the suite itself runs under a seccomp filter")
    if "no_new_privs" in change and status()["NoNewPrivs"] != "0":
        pytest.skip("the suite itself runs with no_new_privs")
    run = hello(free_privileged_port(), **change)
    assert run.wait() == os.EX_CONFIG
    (line,) = run.says.splitlines()
    assert line.startswith("hello: refuses to run: ")
    assert fault in line


def test_started_by_hand_the_service_says_in_one_line_what_is_missing(recipe, user):
    run = recipe("systemd/hello.py")
    assert run.wait() == os.EX_CONFIG
    (line,) = run.says.splitlines()
    assert ("it is root" in line) == (not user)
    assert "cap_ambient lacks net_bind_service (AmbientCapabilities=)" in line


def test_systemd_has_nothing_to_say_against_the_unit(tmp_path):
    service = shutil.copy(EXAMPLES / "systemd" / "hello.service", tmp_path)
    verify = tool("systemd-analyze"), "verify", "--man=no", service
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    with open(service, "a") as file:
        file.write("[Service]\nNoNewPrivilege=yes\n")
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert "NoNewPrivilege" in done.stdout + done.stderr


def test_the_unit_is_among_the_least_exposed(tmp_path):
    command = tool("systemd-analyze"), "security", "--offline=true", "--no-pager", "--threshold=20"
    text = support.run(*command, str(EXAMPLES / "systemd" / "hello.service"))
    assert "Overall exposure level for hello.service: " in text
