"""webd: a small web server that gives up every privilege before it reads its first request.

    sudo python examples/webserver.py --directory /srv/www
    python examples/webserver.py --port 8080

Started as root, it binds its port and gives up every privilege it has; only then does it serve. A
master watches over workers that
share the listening socket. It stays in the foreground and logs to standard error, for a service
manager to start and to restart.
"""

import argparse
import http.server
import logging
import os
import pwd
import select
import signal
import socket
import sys
import time
from http import HTTPStatus
from typing import Any, BinaryIO

import prctl

CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
MASTER_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
CLIENT_TIMEOUT = 5  # seconds that a worker waits for the next bytes of a client
STOP_TIMEOUT = 5  # seconds that a worker has to finish its request when the server stops


def main() -> int:
    logging.basicConfig(format="webd: %(message)s", level=logging.INFO)
    options = parse_arguments()
    # Looked up first: after the drop, files may be unreadable and name services out of reach.
    account = account_to_become(options.user)
    listener = listen(options.address, options.port)

    logging.info("before the drop: %s", summary(status()))
    give_up_privileges(account)
    logging.info("after the drop: %s", summary(status()))

    try:
        os.chdir(options.directory)  # with the rights that the workers will have
    except OSError as error:
        sys.exit(f"webd: user {os.getuid()} cannot serve this: {error}")
    return run_master(listener, options.workers)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="webd", description="Serve the files of a directory.")
    parser.add_argument("--address", default="127.0.0.1", help="default: this machine only")
    parser.add_argument("--port", type=int, default=80, help="default: 80; 0 takes a free one")
    parser.add_argument("--directory", default=".", help="default: the current one")
    parser.add_argument("--user", help="whom root becomes; default: nobody")
    parser.add_argument("--workers", type=int, default=2, help="default: 2")
    options = parser.parse_args()
    if not 0 <= options.port <= 65535:
        parser.error("--port takes a number from 0 to 65535")
    if not 1 <= options.workers <= 64:
        parser.error("--workers takes a number from 1 to 64")
    return options


def account_to_become(name: str | None) -> pwd.struct_passwd | None:
    """The account that root changes to; None for others, who can only stay who they are."""
    if os.geteuid() != 0:
        if name is not None:
            sys.exit("webd: only root can change to another user: leave out --user")
        return None
    name = name or "nobody"  # a daemon of your own deserves an account of its own
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        sys.exit(f"webd: there is no user {name}")
    if account.pw_uid == 0:
        sys.exit(f"webd: {name} is root: choose an ordinary user")
    return account


def listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server((address, port), family=family, backlog=128)
    except PermissionError:
        sys.exit(
            f"webd: port {port} needs root or CAP_NET_BIND_SERVICE; "
            "without privileges, choose another: --port 8080"
        )
    except OSError as error:
        sys.exit(f"webd: cannot listen on {address} port {port}: {error.strerror}")
    # A connection wakes every idle worker; those that lose the race must not hang in accept().
    listener.setblocking(False)
    return listener


def give_up_privileges(account: pwd.struct_passwd | None) -> None:
    """Become an ordinary user with no capability left, for good; exit if anything of that fails."""
    try:
        if account is not None:
            prctl.drop_privileges(account.pw_name)
        else:  # who was never root may still have been given some
            prctl.drop_privileges(os.getuid(), os.getgid(), groups=os.getgroups())
    except (OSError, RuntimeError) as error:
        sys.exit(f"webd: cannot drop privileges: {error}")


def status() -> dict[str, str]:
    """The fields of /proc/self/status, with commas between the values of those that are lists."""
    with open("/proc/self/status", errors="replace") as lines:
        fields = (line.partition(":") for line in lines)
        return {name: ",".join(values.split()) for name, _, values in fields}


def summary(fields: dict[str, str]) -> str:
    names = ("Uid", "Gid", *CAPABILITY_SETS, "NoNewPrivs")
    return " ".join(f"{name}={fields[name]}" for name in names)


def run_master(listener: socket.socket, count: int) -> int:
    """Run the workers until a signal says stop, or until one of them dies; the exit status."""
    host, port = listener.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    prctl.set_name("webd-master")
    prctl.set_proctitle(f"webd: master {address}")

    # Blocked signals wait for sigwait(): there is no handler that could interrupt anything.
    signal.pthread_sigmask(signal.SIG_BLOCK, MASTER_SIGNALS)
    # Whoever started this may have ignored these, which exec passes on.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    master = os.getpid()
    workers: dict[int, int] = {}  # numbers by pid
    for number in range(1, count + 1):
        pid = os.fork()
        if pid == 0:
            try:
                run_worker(number, master, listener)
            except BaseException:
                logging.exception("worker %d failed", number)
            finally:
                os._exit(1)  # never back into the master's code
        workers[pid] = number
    listener.close()
    pids = " ".join(map(str, workers))
    logging.info("listening on %s (master %d, workers %s)", address, master, pids)

    # A worker that was only stopped or continued sends SIGCHLD, too: then none has ended.
    while (received := signal.sigwait(MASTER_SIGNALS)) == signal.SIGCHLD:
        if ended := reap(workers):
            logging.error("%s: stopping", "; ".join(ended))
            break
    stop(workers)
    return 1 if received == signal.SIGCHLD else 0


def reap(workers: dict[int, int]) -> list[str]:
    """Take the workers that have ended out of `workers`, and say how each of them ended."""
    ended: list[str] = []
    while workers:
        pid, wait_status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            break
        if pid in workers:  # not a child of the program that became this one
            code = os.waitstatus_to_exitcode(wait_status)
            ended.append(f"worker {workers.pop(pid)} ended with exit code {code}")
    return ended


def stop(workers: dict[int, int]) -> None:
    """Let the workers finish what they are serving, but not for ever."""
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while workers and (left := deadline - time.monotonic()) > 0:
        signal.sigtimedwait({signal.SIGCHLD}, left)
        reap(workers)
    for pid, number in workers.items():
        logging.warning("worker %d is still busy: killing it", number)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def run_worker(number: int, master: int, listener: socket.socket) -> None:
    # Nobody stops a worker whose master is gone, so the kernel must. This comes after the change
    # of user and after fork, since either would clear it.
    prctl.set_pdeathsig(signal.SIGKILL)
    # Had the master died before that line, the signal would never come.
    if os.getppid() != master:
        return
    prctl.set_name(f"webd-worker-{number}")
    prctl.set_proctitle(f"webd: worker {number} idle")
    Handler.worker = number
    while True:
        # SIGTERM is let in only while there is nothing to serve, and its default action ends the
        # worker. SIGINT stays blocked: a Ctrl-C at the terminal is for the master to act on.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        select.select([listener], [], [])
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            connection, client = listener.accept()
        except OSError:
            continue  # another worker was faster, or the client has left
        with connection:
            try:
                # None: the handler is told of a server, but never asks it for anything.
                Handler(connection, client, None, directory=os.curdir)  # type: ignore[arg-type]
            except OSError as error:
                logging.info("worker %d: lost %s: %s", number, client[0], error)
            except Exception:
                logging.exception("worker %d: request from %s failed", number, client[0])


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves GET and HEAD, one request a connection, and shows it in the process title."""

    timeout = CLIENT_TIMEOUT
    worker: int

    def send_head(self) -> BinaryIO | None:
        # Everyone on the machine can read a title, and on a terminal: no query, which may hold
        # secrets, and no control characters, which ascii() escapes.
        path = ascii(self.path.partition("?")[0])[1:-1]
        prctl.set_proctitle(f"webd: worker {self.worker} {self.command} {path}")
        try:
            return super().send_head()
        except ValueError:  # a NUL or half a surrogate pair: no file can have that name
            self.send_error(HTTPStatus.NOT_FOUND)
            return None

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        self.send_error(HTTPStatus.FORBIDDEN, "No directory listing")

    def log_message(self, format: str, *args: Any) -> None:
        message = ascii(format % args)[1:-1]
        logging.info("worker %d: %s %s", self.worker, self.client_address[0], message)


if __name__ == "__main__":
    sys.exit(main())
