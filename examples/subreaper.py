"""subreaper: run a command and every process that it leaves behind, until the last one has ended.

    python examples/subreaper.py sh -c 'sleep 60 & echo started; exit 3'

A program that makes itself a daemon leaves its parent, on purpose: process 1 adopts it. Here this
process does, and so can say how it ended. SIGTERM to this one is for all of them. The exit
status is the command's own.
"""

import os
import signal
import sys
from pathlib import Path

import prctl

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


def main() -> int:
    command = sys.argv[1:]
    if not command:
        sys.exit("usage: subreaper.py COMMAND [ARGUMENT]...")
    # Blocked signals wait to be asked for. exec passes the mask on: the command gets the old one.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # were it ignored, no status would be kept
    prctl.set_child_subreaper(True)
    try:
        first = os.posix_spawnp(command[0], command, os.environ, setsigmask=mask)
    except OSError as error:
        sys.exit(f"subreaper: {error}")

    statuses: dict[int, int] = {}
    told: set[int] = set()
    stopping = False
    while reap(statuses, first):
        # While all shall end, also look for those that are adopted without a signal.
        received = signal.sigtimedwait(SIGNALS, 1) if stopping else signal.sigwaitinfo(SIGNALS)
        if received and received.si_signo != signal.SIGCHLD:
            stopping = True
            told.clear()  # whoever repeats it is impatient
        if stopping:
            there = children()
            for pid in there - told:
                os.kill(pid, signal.SIGTERM)
            told = there
    code = statuses[first]
    return code if code >= 0 else 128 - code  # as a shell has it


def reap(statuses: dict[int, int], first: int) -> bool:
    """Report the children that have ended; whether there are others."""
    try:
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            pid = ended.si_pid
            name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()  # it still has one
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            statuses.setdefault(pid, code)  # a number can come a second time
            who = f"{pid} {name!a}" + ("" if pid == first else ", adopted")
            how = f"exit status {code}" if code >= 0 else f"signal {-code}"
            print(f"subreaper: {who}: {how}", file=sys.stderr)
    except ChildProcessError:
        return False
    return True


def children() -> set[int]:
    """Those of this thread. None of the numbers can be another's until this thread reaps it."""
    return set(map(int, Path("/proc/thread-self/children").read_text().split()))


if __name__ == "__main__":
    sys.exit(main())
