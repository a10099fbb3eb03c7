"""Watch examples/webserver.py give up its privileges: this is what `./dev demo` runs.

Starts the server as root on a privileged port, fetches a page, looks at its processes with ps and
in /proc, and stops it. Every promise is checked; the exit status is 1 when one was broken.
"""

import errno
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

SERVER = Path(__file__).resolve().with_name("webserver.py")
PAGE = "<!doctype html><title>webd</title><p>Served without a single capability.\n"
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
CAP_NET_BIND_SERVICE = 1 << 10
AS_ROOT = [] if os.geteuid() == 0 else ["sudo"]
PATIENCE = 20  # seconds: what takes a moment here may take longer on a busy machine

broken: list[str] = []


def main() -> None:
    for program in ("curl", "ps", *AS_ROOT):
        if shutil.which(program) is None:
            sys.exit(f"demo: {program} is missing")
    if AS_ROOT and subprocess.run([*AS_ROOT, "true"]).returncode != 0:
        sys.exit("demo: only root can bind a privileged port, and sudo said no")
    # Not in $TMPDIR, which may be closed to others: the server reads its files as user nobody.
    with tempfile.TemporaryDirectory(prefix="webd-", dir="/tmp") as folder:
        page = Path(folder, "index.html")
        page.write_text(PAGE)
        page.chmod(0o644)
        os.chmod(folder, 0o755)
        with tempfile.TemporaryFile() as log:
            try:
                demonstrate(folder, free_privileged_port(), log)
            except (OSError, subprocess.SubprocessError) as error:
                sys.exit(f"\ndemo: {error}")
    if broken:
        sys.exit(f"\ndemo: broken: {'; '.join(broken)}")
    print("\nEvery promise was kept.")


def free_privileged_port() -> int:
    ports: list[int] = [80, *range(1023, 511, -1)]
    for port in ports:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED:
                return port
    sys.exit("demo: no privileged port is free")


def demonstrate(folder: str, port: int, log: IO[bytes]) -> None:
    # -I: nothing that root imports comes from the current folder, or from where a variable points.
    command = [*AS_ROOT, sys.executable, "-I", str(SERVER)]
    command += ["--port", str(port), "--directory", folder]
    heading("The server starts as root", command)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
    pids: tuple[str, ...] = ()
    try:
        wait_for(lambda: "listening on" in text_of(log) or server.poll() is not None)
        print(text_of(log), end="")
        if promise("it listens", "listening on" in text_of(log)):
            # sudo may have had something to say between the lines.
            [before] = re.findall("before the drop: (.*)", text_of(log))
            [pids] = re.findall(r"\(master (\d+), workers (\d+) (\d+)\)", text_of(log))
            fetch_a_page(port)
            look_at_the_processes(pids, port)
            look_at_the_privileges(dict(re.findall(r"(\w+)=(\S+)", before)), pids)
            stop(server, pids)
    finally:
        if server.poll() is None:
            # Until it has told its own pid there is only sudo's, which hands SIGTERM on.
            signal_and_pids = ["-KILL", *pids] if pids else ["-TERM", str(server.pid)]
            subprocess.run([*AS_ROOT, "kill", *signal_and_pids])
            server.wait(PATIENCE)


def fetch_a_page(port: int) -> None:
    url = f"http://127.0.0.1:{port}/index.html"
    command = ["curl", "-sS", "--max-time", "10", "--noproxy", "*", url]
    heading("A client fetches a page", command)
    page = output_of(command)
    print(page, end="")
    promise("the page is the one in the folder", page == PAGE)


def look_at_the_processes(pids: tuple[str, ...], port: int) -> None:
    command = ["ps", "-ww", "-o", "pid,ppid,user,comm,args", "-p", ",".join(pids)]
    heading("Its processes", command)
    # The worker that has served nothing may still be on its way to its title.
    wait_for(lambda: output_of(command).count("webd: ") == len(pids))
    listing = output_of(command)
    print(listing, end="")
    rows = {row.split()[0]: row.split(None, 4)[1:] for row in listing.splitlines()}
    parents, users, names, titles = zip(*(rows.get(pid, [""] * 4) for pid in pids), strict=True)
    promise("the workers are the master's children", set(parents[1:]) == {pids[0]})
    promise("all run as nobody", set(users) == {"nobody"})
    promise("each has its name", names == ("webd-master", "webd-worker-1", "webd-worker-2"))
    promise("the master's title has the address", titles[0] == f"webd: master 127.0.0.1:{port}")
    both = [("GET /index.html", "idle"), ("idle", "GET /index.html")]
    promise(
        "a worker's title tells what it served",
        titles[1:] in [(f"webd: worker 1 {one}", f"webd: worker 2 {two}") for one, two in both],
    )


def look_at_the_privileges(before: dict[str, str], pids: tuple[str, ...]) -> None:
    heading("What the processes may do, from /proc/PID/status")
    after = [status(pid) for pid in pids]
    print(f"{'':10} {'before the drop':16} {'master':16} {'worker 1':16} {'worker 2':16}")
    for field in ("Uid", "Gid", *CAPABILITY_SETS, "NoNewPrivs"):
        # Four ids in one: what is equal is shown once.
        values = (",".join(dict.fromkeys(seen[field].split(","))) for seen in (before, *after))
        print(f"{field:10}", *(f"{value:16}" for value in values))
    nobody = pwd.getpwnam("nobody")
    promise(
        "the server began as root with CAP_NET_BIND_SERVICE",
        before["Uid"] == "0,0,0,0" and int(before["CapEff"], 16) & CAP_NET_BIND_SERVICE != 0,
    )
    promise(
        "no uid or gid is left but nobody's",
        all(process["Uid"] == ",".join([str(nobody.pw_uid)] * 4) for process in after)
        and all(process["Gid"] == ",".join([str(nobody.pw_gid)] * 4) for process in after),
    )
    promise(
        "all five capability sets are empty",
        all(int(process[name], 16) == 0 for process in after for name in CAPABILITY_SETS),
    )
    promise("no_new_privs is set", all(process["NoNewPrivs"] == "1" for process in after))


def stop(server: subprocess.Popen[bytes], pids: tuple[str, ...]) -> None:
    command = [*AS_ROOT, "kill", "-TERM", pids[0]]
    heading("The end", command)
    subprocess.run(command)
    wait_for(lambda: server.poll() is not None)
    promise("it ends with exit status 0", server.poll() == 0)
    promise("no process is left", not any(os.path.exists(f"/proc/{pid}") for pid in pids))


def heading(text: str, command: list[str] | None = None) -> None:
    print(f"\n== {text}")
    if command:
        print(f"$ {shlex.join(command)}", flush=True)


def promise(text: str, kept: bool) -> bool:
    print(f"  {'kept' if kept else 'BROKEN'}: {text}", flush=True)
    if not kept:
        broken.append(text)
    return kept


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def output_of(command: list[str]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout


def text_of(log: IO[bytes]) -> str:
    # Not read(): the server writes where the shared file offset is.
    return os.pread(log.fileno(), 1 << 20, 0).decode()


def status(pid: str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    fields = (line.partition(":") for line in lines)
    return {name: ",".join(values.split()) for name, _, values in fields}


if __name__ == "__main__":
    main()
