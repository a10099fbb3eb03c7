"""workers: a master that keeps workers running, each with a title that says what it is doing.

    python examples/workers.py "$XDG_RUNTIME_DIR/app.sock"
    socat - UNIX-CONNECT:"$XDG_RUNTIME_DIR/app.sock"    # or: nc -U
    ps x -o pid,ppid,args | grep app:

A worker sends back in capitals what a client says. Kill a worker, and there is another. Kill the
master, even with SIGKILL, and the workers end. Either way, what is being answered is answered.
"""

import argparse
import fcntl
import os
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import prctl

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
TIME_LIMIT = 30  # seconds that a client may take, to say something or to take the answer


def main() -> None:
    parser = argparse.ArgumentParser(description="Send lines back in capitals.")
    parser.add_argument("path", type=Path, help="where the socket shall be")
    numbers = range(1, 65)
    parser.add_argument("--workers", type=int, default=2, choices=numbers, metavar="NUMBER")
    options = parser.parse_args()
    try:
        listener, _lock = listen(options.path)
    except BlockingIOError:
        sys.exit(f"workers: {options.path} has workers already")
    except OSError as error:
        sys.exit(f"workers: cannot listen at {options.path}: {error.strerror or error}")
    prctl.set_name("app-master")
    prctl.set_proctitle(f"app: master [{options.path}]")
    # Blocked signals wait for sigwait(). Whoever started this may have ignored them.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)

    workers = {start_worker(n, listener, 0): n for n in range(1, options.workers + 1)}
    while signal.sigwait(SIGNALS) == signal.SIGCHLD:
        # Several that end at once send one SIGCHLD, and one that is only stopped sends it, too.
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if worker := workers.pop(ended[0], None):
                code = os.waitstatus_to_exitcode(ended[1])
                print(f"workers: worker {worker} ended with exit code {code}", file=sys.stderr)
                workers[start_worker(worker, listener, 1)] = worker
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    for pid in workers:
        os.waitpid(pid, 0)
    options.path.unlink()


def listen(path: Path) -> tuple[socket.socket, int]:
    # Workers inherit the lock: only when the last one is gone may others take the path over.
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if path.is_socket():
        path.unlink()  # a master that was killed has left it behind
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    listener.setblocking(False)  # all wake for a connection, and one gets it
    return listener, lock


def start_worker(number: int, listener: socket.socket, pause: float) -> int:
    master = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            run_worker(number, listener, pause, master)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # never back into the master's code
    return pid


def run_worker(number: int, listener: socket.socket, pause: float, master: int) -> None:
    prctl.set_pdeathsig(signal.SIGTERM)  # no fork passes it on
    if os.getppid() != master:
        return  # the master was gone before that line: no signal will come
    prctl.set_name(f"app-worker-{number}")
    prctl.set_proctitle(f"app: worker {number} [starting]")
    time.sleep(pause)  # those that fail at once shall not be started without end
    while True:
        prctl.set_proctitle(f"app: worker {number} [idle]")
        wait_for(listener, None)
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue  # another worker was faster
        try:
            serve(number, connection)
        except OSError as error:
            print(f"workers: worker {number} lost its client: {error}", file=sys.stderr)


def serve(number: int, connection: socket.socket) -> None:
    with connection:
        connection.settimeout(TIME_LIMIT)
        while wait_for(connection, TIME_LIMIT) and (data := connection.recv(1000)):
            # Everyone can read a title, on a terminal: ascii() escapes control characters.
            shown = ascii(data.decode(errors="replace"))[1:-1]
            prctl.set_proctitle(f"app: worker {number} [{shown}]")
            connection.sendall(data.upper())


def wait_for(readable: socket.socket, seconds: float | None) -> bool:
    # SIGTERM ends a worker only here, whether it comes from the master or for its death.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    ready = select.select([readable], [], [], seconds)[0]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    return bool(ready)


if __name__ == "__main__":
    main()
