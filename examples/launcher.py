"""Run a command as an ordinary user who may listen on privileged ports, and do nothing else.

    examples/launcher.py [-u USER] [COMMAND [ARGUMENT]...]

As root. The command gets CAP_NET_BIND_SERVICE through the ambient set, so that it needs no file
capabilities and no code of its own; no exec can give it more, and it ends when this script does.
Without a COMMAND, one listens on a privileged port of the loopback and tells what it has.
"""

import argparse
import os
import signal
import subprocess
import sys

import prctl

LISTEN = """
import socket
with socket.create_server(("127.0.0.1", {port})) as server:
    print("listening on port", server.getsockname()[1])
"""

SHOW = "grep -E '^(Uid|Cap|NoNewPrivs)' /proc/self/status"


def start(command: list[str], user: str) -> prctl.Popen[bytes]:
    """The whole of it: a subprocess.Popen with a few arguments more."""
    return prctl.Popen(
        command,
        user=user,
        keep=["net_bind_service"],
        bounding=["net_bind_service"],
        no_new_privs=True,
        pdeathsig=signal.SIGTERM,
    )


def demonstrate(user: str, port: int) -> None:
    print(f"as {user}:", flush=True)
    start(["/bin/sh", "-c", SHOW], user).wait()
    # The interpreter of a virtual environment may be where only root gets: -I needs nothing there.
    python = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
    status = start([python, "-I", "-c", LISTEN.format(port=port)], user).wait()
    print("and it has net_bind_service" if status == 0 else f"it ended with {status}", flush=True)
    # The same for what starts processes in another way:
    print("by a list to put before any command:", flush=True)
    orders = prctl.launcher(user=user, keep=["net_bind_service"], no_new_privs=True)
    subprocess.run([*orders, "/bin/sh", "-c", SHOW], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Run a command that may listen on privileged ports, as an ordinary user."
    )
    parser.add_argument("-u", "--user", default="nobody")
    parser.add_argument("-p", "--port", type=int, default=81, help="where to listen (default: 81)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    options = parser.parse_args()
    if not options.command:
        demonstrate(options.user, options.port)
        return
    try:
        process = start(options.command, options.user)
    except (OSError, KeyError) as error:
        sys.exit(f"{sys.argv[0]}: {error}")
    signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    sys.exit(process.wait())


if __name__ == "__main__":
    main()
