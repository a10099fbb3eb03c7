"""hello: a web server for systemd that is given one privilege, and runs with nothing else.

    python examples/systemd/hello.py --port 8080

says what is wrong, and ends. Under hello.service, beside this file, nothing is: what
prctl.drop_privileges() would take away has never been there.
"""

import argparse
import http.server
import os
import socketserver
import sys
from collections.abc import Iterator

import prctl

NEEDED = {"net_bind_service"}
SETS = ("cap_permitted", "cap_effective", "cap_inheritable", "cap_ambient", "capbset")


def faults() -> Iterator[str]:
    """What this process has and should not have, or lacks; the setting that would make it right."""
    for name in SETS:
        found = set(getattr(prctl, name))
        if lacking := NEEDED - found:
            yield f"{name} lacks {', '.join(lacking)} (AmbientCapabilities=)"
        if surplus := found - NEEDED:
            yield f"{name} has {len(surplus)} too many (CapabilityBoundingSet=, User=)"
    if 0 in os.getresuid():
        yield "it is root (User= or DynamicUser=)"
    if 0 in (*os.getresgid(), *os.getgroups()):
        yield "it is in root's group (Group=)"
    if not prctl.get_no_new_privs():
        yield "a program that it executes could gain privileges (NoNewPrivileges=)"
    if prctl.get_seccomp() != prctl.SECCOMP_MODE_FILTER:
        yield "it can make every system call (SystemCallFilter=)"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Hello(http.server.BaseHTTPRequestHandler):
    timeout = 5  # seconds that a client may take to ask

    def do_GET(self) -> None:
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"hello\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Say hello to every client.")
    parser.add_argument("--port", type=int, default=80, help="default: 80")
    options = parser.parse_args()
    if found := list(faults()):
        print("hello: refuses to run:", "; ".join(found), file=sys.stderr)
        sys.exit(os.EX_CONFIG)  # which hello.service takes for a reason not to try again
    prctl.set_proctitle(f"hello: port {options.port}")
    try:
        server = Server(("", options.port), Hello)
    except OSError as error:
        sys.exit(f"hello: cannot listen on port {options.port}: {error.strerror}")
    with server:
        server.serve_forever()


if __name__ == "__main__":
    main()
