"""examples/webserver.py: what it serves, what it gives up, what it refuses, and how it ends.

It runs the way people start it, in a fresh interpreter. What must be arranged inside its process
happens in a fork of this one instead, and so does the start by another user, who may be unable to
execute an interpreter in a private folder.
"""

import contextlib
import errno
import importlib.util
import logging
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import ROOT, USER, become_user, cmdline, free_privileged_port, status

import prctl

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PAGE = b"<!doctype html><title>A page</title>\n"
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
EMPTY = "0" * 16
PATIENCE = 20  # seconds

spec = importlib.util.spec_from_file_location("webserver", EXAMPLES / "webserver.py")
webserver = importlib.util.module_from_spec(spec)
spec.loader.exec_module(webserver)
assert prctl.drop_privileges  # loaded now: the ordinary user may not be able to read the library

pytestmark = pytest.mark.kernel("threads")
takes_root = pytest.mark.usefixtures("root")


# ---- Ways to start it


def in_new_interpreter(arguments, log):
    command = [sys.executable, str(EXAMPLES / "webserver.py"), *arguments]
    environment = os.environ | {"PYTHONSAFEPATH": "1"}
    redirect = [(os.POSIX_SPAWN_DUP2, log, 2)]
    return os.posix_spawn(sys.executable, command, environment, file_actions=redirect, setpgroup=0)


def in_fork(prepare):
    """A way to start it in a copy of this process, once `prepare` has changed the copy."""

    def start(arguments, log):
        pid = os.fork()
        if pid != 0:
            return pid
        status = 70
        try:
            os.setpgid(0, 0)
            os.dup2(log, 2)
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            logging.root.handlers.clear()
            sys.argv = ["webd", *arguments]
            prepare()
            status = webserver.main()
        except SystemExit as end:
            print(end, file=sys.stderr)
            status = 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    return start


as_ordinary_user = in_fork(become_user) if ROOT else in_new_interpreter


# ---- A running one


class Server:
    def __init__(self, start, arguments):
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self.master = start(arguments, self.stderr.fileno())
        self.status = None

    def wait_until_ready(self):
        eventually(lambda: "listening on" in self.log or self.ended)
        line = re.search(r"listening on (.+):(\d+) \(master (\d+), workers (.+)\)\n", self.log)
        assert line, self.log
        self.address, self.port = line[1], int(line[2])
        assert int(line[3]) == self.master
        self.workers = [int(pid) for pid in line[4].split()]
        self.processes = [self.master, *self.workers]
        eventually(lambda: not any(map(busy, self.workers)))

    @property
    def log(self):
        return os.pread(self.stderr.fileno(), 1 << 20, 0).decode()

    @property
    def ended(self):
        if self.status is None:
            pid, wait_status = os.waitpid(self.master, os.WNOHANG)
            if pid == self.master:
                self.status = os.waitstatus_to_exitcode(wait_status)
        return self.status is not None

    def wait(self):
        eventually(lambda: self.ended)
        return self.status

    def clean_up(self):
        if not self.ended:
            os.kill(self.master, signal.SIGKILL)
            self.wait()
        # Workers that did not follow their master, which is what some tests are about.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.master, signal.SIGKILL)
        self.stderr.close()

    def connect(self, request=b""):
        host = self.address.strip("[]")
        client = socket.create_connection((host, self.port), timeout=PATIENCE)
        client.sendall(request)
        return client

    def ask(self, request):
        """The status code and the body that answer a request line."""
        with self.connect(request + b" HTTP/1.0\r\n\r\n") as client:
            head, _, body = read_all(client).partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def get(self, path):
        return self.ask(b"GET " + path)

    def titles(self):
        return [cmdline(pid) for pid in self.processes]


@pytest.fixture
def site():
    """A folder that every user can read, which pytest's own are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        for name in ("page.html", "sub/index.html"):
            file = Path(folder, name)
            file.parent.mkdir(exist_ok=True)
            file.parent.chmod(0o755)
            file.write_bytes(PAGE)
            file.chmod(0o644)
        yield folder


@pytest.fixture
def start(site):
    """Starts the server on that folder; nothing of it outlives the test."""
    servers = []

    def start(*arguments, way=in_new_interpreter):
        servers.append(Server(way, ["--directory", site, *map(str, arguments)]))
        return servers[-1]

    yield start
    for server in servers:
        server.clean_up()


@pytest.fixture
def serve(start):
    """Starts the server and waits until it listens, by default on any free port."""

    def serve(*arguments, way=in_new_interpreter):
        server = start("--port", 0, *arguments, way=way)
        server.wait_until_ready()
        return server

    return serve


@pytest.fixture
def refusal(start):
    """Starts a server that must refuse to serve: the last thing it says."""

    def refusal(*arguments, way=in_new_interpreter):
        server = start("--port", 0, *arguments, way=way)
        assert server.wait() == 1
        assert "listening" not in server.log
        return server.log.splitlines()[-1]

    return refusal


# ---- What /proc says


def busy(worker):
    """Whether a worker serves: only while it waits for a client does it let SIGTERM in."""
    return int(status(worker)["SigBlk"], 16) >> (signal.SIGTERM - 1) & 1


def alive(pid):
    try:
        return status(pid)["State"][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def read_all(client):
    return b"".join(iter(lambda: client.recv(1 << 16), b""))


# ---- What it serves


def test_it_serves_the_files_of_a_directory(serve):
    server = serve()
    assert server.get(b"/page.html") == (200, PAGE)
    assert server.get(b"/sub/") == (200, PAGE)
    assert server.get(b"/missing")[0] == 404


def test_it_lists_no_directory(serve):
    assert serve().get(b"/")[0] == 403


@pytest.mark.parametrize("path", [b"/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"/..%2fetc"])
def test_no_path_leads_out_of_the_directory(serve, path):
    assert serve().get(path)[0] == 404


@pytest.mark.parametrize("path", [b"/%00", b"/\0", b"/%ed%a0%80", b"/" + b"x" * 60000])
def test_a_path_that_no_file_can_have_is_not_found(serve, path):
    server = serve("--workers", 1)
    assert server.get(path)[0] == 404
    assert server.get(b"/page.html") == (200, PAGE)


@pytest.mark.kernel("command line")
def test_an_ipv6_address_is_written_in_brackets(serve):
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    server = serve("--address", "::1")
    assert server.address == "[::1]"
    assert cmdline(server.master) == b"webd: master [::1]:%d\0" % server.port
    assert server.get(b"/page.html") == (200, PAGE)


# ---- What its processes are called


@pytest.mark.kernel("command line")
def test_titles_say_who_is_who_before_anything_is_served(serve):
    server = serve()
    master = b"webd: master 127.0.0.1:%d\0" % server.port
    assert server.titles() == [master, b"webd: worker 1 idle\0", b"webd: worker 2 idle\0"]


def test_each_process_has_its_name(serve):
    names = [Path(f"/proc/{pid}/comm").read_text() for pid in serve().processes]
    assert names == ["webd-master\n", "webd-worker-1\n", "webd-worker-2\n"]


@pytest.mark.kernel("command line")
def test_the_title_follows_what_is_served(serve):
    server = serve("--workers", 1)
    server.get(b"/page.html")
    assert cmdline(server.workers[0]) == b"webd: worker 1 GET /page.html\0"
    server.ask(b"HEAD /missing")
    assert cmdline(server.workers[0]) == b"webd: worker 1 HEAD /missing\0"


@pytest.mark.kernel("command line")
def test_the_title_changes_before_the_file_is_sent(serve, site):
    with open(f"{site}/large", "wb") as file:
        file.truncate(1 << 26)
    os.chmod(f"{site}/large", 0o644)
    server = serve("--workers", 1)
    with server.connect(b"GET /large HTTP/1.0\r\n\r\n") as client:
        client.recv(1)
        assert cmdline(server.workers[0]) == b"webd: worker 1 GET /large\0"


@pytest.mark.kernel("command line")
def test_control_characters_of_a_path_reach_neither_the_title_nor_the_log(serve):
    server = serve("--workers", 1)
    server.get(b"/\x1b]0;mine\x07\x7f\x9b31m\xff\\")
    assert (
        cmdline(server.workers[0])
        == rb"webd: worker 1 GET /\x1b]0;mine\x07\x7f\x9b31m\xff\\" + b"\0"
    )
    assert re.fullmatch(r"[ -~\n]+", server.log)


@pytest.mark.kernel("command line")
def test_a_query_does_not_reach_the_title(serve):
    server = serve("--workers", 1)
    assert server.get(b"/page.html?token=secret") == (200, PAGE)
    assert cmdline(server.workers[0]) == b"webd: worker 1 GET /page.html\0"


# ---- What it gives up


def assert_nothing_is_left(server, user):
    account = pwd.getpwnam(user)
    groups = sorted(set(os.getgrouplist(user, account.pw_gid)))
    for pid in server.processes:
        found = status(pid)
        assert [found[name] for name in SETS] == [EMPTY] * 5
        assert found["Uid"].split() == [str(account.pw_uid)] * 4
        assert found["Gid"].split() == [str(account.pw_gid)] * 4
        assert found["Groups"].split() == [str(group) for group in groups]
        assert found["NoNewPrivs"] == "1"


@takes_root
@pytest.mark.parametrize("user", ["nobody", "daemon"])
def test_root_keeps_nothing_once_it_has_a_privileged_port(serve, user):
    port = free_privileged_port()
    server = serve("--port", port, "--user", user)
    assert server.port == port
    assert server.get(b"/page.html") == (200, PAGE)
    assert_nothing_is_left(server, user)


@takes_root
def test_root_becomes_nobody_unless_told_otherwise(serve):
    assert_nothing_is_left(serve(), "nobody")


@takes_root
def test_the_log_has_the_kernels_word_from_before_and_after_the_drop(serve):
    before, after, _ = serve().log.splitlines()
    everything = status("self")
    assert f"before the drop: Uid=0,0,0,0 Gid=0,0,0,0 CapInh={everything['CapInh']} " in before
    assert f" CapEff={everything['CapEff']} CapBnd={everything['CapBnd']} " in before
    assert after.endswith(" ".join(f"{name}={EMPTY}" for name in SETS) + " NoNewPrivs=1")


@takes_root
def test_securebits_that_keep_capabilities_across_setuid_do_not_keep_them(serve):
    def keep():
        prctl.set_securebits(prctl.SECBIT_KEEP_CAPS | prctl.SECBIT_NO_SETUID_FIXUP)
        prctl.cap_inheritable.add("net_raw")

    assert_nothing_is_left(serve(way=in_fork(keep)), "nobody")


def test_an_ordinary_user_stays_who_it_is(serve):
    uid = os.getuid() or USER
    for pid in serve(way=as_ordinary_user).processes:
        found = status(pid)
        assert found["Uid"].split() == [str(uid)] * 4
        assert [found[name] for name in SETS if name != "CapBnd"] == [EMPTY] * 4
        assert found["NoNewPrivs"] == "1"


@takes_root
def test_a_user_with_the_one_capability_binds_and_gives_it_up(serve):
    def become_user_who_may_bind():
        prctl.set_keepcaps(True)
        become_user()
        prctl.cap_permitted.limit("net_bind_service")
        for capabilities in (prctl.cap_effective, prctl.cap_inheritable, prctl.cap_ambient):
            capabilities.add("net_bind_service")

    server = serve("--port", free_privileged_port(), way=in_fork(become_user_who_may_bind))
    assert "CapEff=0000000000000400" in server.log
    for pid in server.processes:
        found = status(pid)
        assert [found[name] for name in SETS if name != "CapBnd"] == [EMPTY] * 4
        assert found["NoNewPrivs"] == "1"


def test_only_the_workers_hold_the_socket(serve):
    def sockets(pid):
        links = (os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir())
        return {link for link in links if link.startswith("socket:")}

    server = serve("--workers", 1)
    assert sockets(server.workers[0]) - sockets(server.master)


# ---- What it refuses


def test_an_ordinary_user_is_told_what_port_80_takes(refusal):
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
        pytest.skip("this machine lets everyone bind port 80")
    assert refusal("--port", 80, way=as_ordinary_user) == (
        "webd: port 80 needs root or CAP_NET_BIND_SERVICE; "
        "without privileges, choose another: --port 8080"
    )


def test_an_ordinary_user_cannot_ask_for_another(refusal):
    assert "only root" in refusal("--user", "daemon", way=as_ordinary_user)


def test_a_port_in_use_is_named(refusal):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        why = os.strerror(errno.EADDRINUSE)
        reason = f"webd: cannot listen on 127.0.0.1 port {port}: {why}"
        assert refusal("--port", port).startswith(reason)


@pytest.mark.parametrize("arguments", [("--port", 65536), ("--port", -1), ("--workers", 0)])
def test_numbers_out_of_range_are_bad_usage(start, arguments):
    assert start(*arguments).wait() == 2


@takes_root
def test_root_must_become_someone_else(refusal):
    assert refusal("--user", "root") == "webd: root is root: choose an ordinary user"


@takes_root
def test_an_unknown_user_is_named(refusal):
    assert refusal("--user", "no-such-user") == "webd: there is no user no-such-user"


@takes_root
def test_a_directory_closed_to_the_user_is_named(refusal, site):
    os.chmod(site, 0o700)
    assert f"Permission denied: '{site}'" in refusal()


@takes_root
@pytest.mark.parametrize("missing", ["setgid", "setuid"])
def test_root_without_the_means_to_drop_does_not_serve(refusal, missing):
    reason = refusal(way=in_fork(lambda: prctl.cap_permitted.drop(missing)))
    assert reason.startswith("webd: cannot drop privileges: [Errno 1] Operation not permitted")


@pytest.mark.kernel("threads of a child")
def test_a_second_thread_loses_its_capabilities_too(serve):
    def start_thread():
        threading.Thread(target=time.sleep, args=(PATIENCE,), daemon=True).start()

    server = serve(way=in_fork(start_thread))
    threads = [status(server.master, tid) for tid in os.listdir(f"/proc/{server.master}/task")]
    assert len(threads) == 2
    assert {fields["CapPrm"] for fields in threads} == {"0" * 16}
    assert {fields["NoNewPrivs"] for fields in threads} == {"1"}


# ---- What a client can do to it


def test_a_silent_client_does_not_hold_a_worker_for_ever(serve):
    server = serve("--workers", 1)
    with server.connect() as silent:
        assert server.get(b"/page.html") == (200, PAGE)
        assert read_all(silent) == b""


def test_a_worker_that_loses_the_race_for_a_connection_goes_on(serve):
    def always_lose():
        webserver.select = SimpleNamespace(select=lambda *_: time.sleep(0.01))

    server = serve(way=in_fork(always_lose))
    assert server.get(b"/page.html") == (200, PAGE)
    os.kill(server.master, signal.SIGTERM)
    assert server.wait() == 0
    assert "killing it" not in server.log


def test_a_client_that_hangs_up_early_harms_no_one(serve, site):
    with open(f"{site}/large", "wb") as file:
        file.truncate(1 << 26)
    os.chmod(f"{site}/large", 0o644)
    server = serve("--workers", 1)
    with server.connect(b"GET /large HTTP/1.0\r\n\r\n") as client:
        client.recv(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert server.get(b"/page.html") == (200, PAGE)
    assert "worker 1: lost 127.0.0.1: " in server.log


def test_an_error_in_a_request_ends_that_request_only(serve):
    def break_files():
        webserver.Handler.guess_type = lambda self, path: 1 / 0

    server = serve("--workers", 1, way=in_fork(break_files))
    with server.connect(b"GET /page.html HTTP/1.0\r\n\r\n") as client:
        assert read_all(client) == b""
    assert server.get(b"/")[0] == 403
    assert server.log.count("ZeroDivisionError") == 1


# ---- How it ends


@pytest.fixture(
    params=[
        pytest.param(in_new_interpreter, id="as-is"),
        pytest.param(as_ordinary_user, id="ordinary"),
    ]
)
def way(request):
    return request.param


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_to_the_master_ends_all_with_status_0(serve, way, name):
    server = serve(way=way)
    server.get(b"/page.html")
    os.kill(server.master, signal.Signals[name])
    assert server.wait() == 0
    assert not any(map(alive, server.processes))


def test_a_request_is_finished_before_the_end(serve, way):
    server = serve(way=way)
    with server.connect(b"GET /page.html HTTP/1.0\r\n") as client:
        eventually(lambda: any(map(busy, server.workers)))
        (idle,) = (pid for pid in server.workers if not busy(pid))
        os.kill(server.master, signal.SIGTERM)
        eventually(lambda: not alive(idle))
        client.sendall(b"\r\n")
        assert read_all(client).endswith(b"\r\n\r\n" + PAGE)
    assert server.wait() == 0


def test_a_request_without_end_does_not_hold_up_the_end(serve):
    def hurry():
        webserver.STOP_TIMEOUT = 0.2
        webserver.Handler.timeout = 2 * PATIENCE

    server = serve(way=in_fork(hurry))
    with server.connect(b"GET /page.html HTTP/1.0\r\n"):
        eventually(lambda: any(map(busy, server.workers)))
        os.kill(server.master, signal.SIGTERM)
        assert server.wait() == 0
    assert "is still busy: killing it" in server.log
    assert not any(map(alive, server.processes))


def test_a_killed_master_takes_its_workers_along(serve, way):
    server = serve(way=way)
    with server.connect(b"GET /page.html HTTP/1.0\r\n"):
        eventually(lambda: any(map(busy, server.workers)))
        os.kill(server.master, signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
        eventually(lambda: not any(map(alive, server.workers)))


def test_a_worker_whose_master_was_gone_at_its_start_does_not_serve():
    pid = os.fork()
    if pid == 0:
        try:
            webserver.run_worker(1, master=os.getpid(), listener=None)
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_the_death_of_a_worker_ends_all_with_status_1(serve, way):
    server = serve(way=way)
    os.kill(server.workers[1], signal.SIGKILL)
    assert server.wait() == 1
    assert "webd: worker 2 ended with exit code -9: stopping\n" in server.log
    assert not any(map(alive, server.processes))


def test_a_worker_that_fails_never_returns_into_the_masters_code(start):
    def break_workers():
        webserver.run_worker = lambda number, master, listener: 1 / 0

    server = start("--port", 0, "--workers", 1, way=in_fork(break_workers))
    assert server.wait() == 1
    assert server.log.count("ZeroDivisionError") == 1
    assert server.log.endswith("webd: worker 1 ended with exit code 1: stopping\n")


def test_a_worker_that_is_stopped_and_continued_ends_nothing(serve):
    server = serve("--workers", 1)
    os.kill(server.workers[0], signal.SIGSTOP)
    eventually(lambda: status(server.workers[0])["State"].startswith("T"))
    os.kill(server.workers[0], signal.SIGCONT)
    assert server.get(b"/page.html") == (200, PAGE)
    assert not server.ended


def test_ignored_signals_of_the_starter_change_nothing(serve):
    def ignore():
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(name, signal.SIG_IGN)

    server = serve(way=in_fork(ignore))
    os.kill(server.master, signal.SIGTERM)
    assert server.wait() == 0
    assert "killing it" not in server.log


def test_a_child_from_before_its_start_is_not_taken_for_a_worker(serve):
    def leave_child():
        if os.fork() == 0:
            os._exit(3)

    server = serve(way=in_fork(leave_child))
    os.kill(server.master, signal.SIGTERM)
    assert server.wait() == 0


# ---- The demonstration


def run_demo(folder):
    for program in ("curl", "ps"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing")
    if not ROOT:
        sudo = shutil.which("sudo")
        if (
            sudo is None
            or subprocess.run([sudo, "-n", "true"], stderr=subprocess.DEVNULL).returncode
        ):
            pytest.skip("takes root, or a sudo that asks for no password")
    return subprocess.run(
        [sys.executable, str(folder / "demo.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONSAFEPATH": "1"},
    )


@pytest.mark.kernel("command line")
def test_the_demo_sees_every_promise_kept():
    demo = run_demo(EXAMPLES)
    assert demo.returncode == 0, demo.stdout
    assert demo.stdout.endswith("Every promise was kept.\n")


@pytest.mark.kernel("command line")
def test_the_demo_fails_when_a_capability_set_is_not_empty(tmp_path):
    text = (EXAMPLES / "webserver.py").read_text()
    drop = "prctl.drop_privileges(account.pw_name)"
    assert drop in text
    text = text.replace(drop, "prctl.drop_privileges(account.pw_name, keep=['chown'])")
    (tmp_path / "webserver.py").write_text(text)
    shutil.copy(EXAMPLES / "demo.py", tmp_path)
    demo = run_demo(tmp_path)
    assert demo.returncode == 1
    assert demo.stdout.endswith("demo: broken: all five capability sets are empty\n")
