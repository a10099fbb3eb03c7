"""The launcher, each of whose system calls fails once: what it says, and how it ends."""

import errno
import os
import struct
import subprocess
import tempfile
from typing import NamedTuple

import building
import places
import reasons

import _prctl

PLACES = places.of_launcher()
NEVER = {n for n, place in enumerate(PLACES) if f"{place.callee}*" in reasons.NEVER}
STEP_FAILED, CANNOT_EXECUTE = 125, 126


def _ids():
    return {f"setres{kind}id": ",".join([str(get())] * 3) for kind, get in _GETTERS}


_GETTERS = ("u", os.getuid), ("g", os.getgid)
ORDERS = {
    "a step of groups": ["setgroups=" + ",".join(map(str, sorted(os.getgroups())))],
    "a step of ids": [f"{name}={ids}" for name, ids in sorted(_ids().items())],
    "a step of capabilities": ["capset=" + ",".join(map(hex, _prctl._cap_get_proc()))],
    "an option": [f"prctl={_prctl.PR_SET_KEEPCAPS},0"],
    "a filter": [f"prctl={_prctl.PR_SET_NO_NEW_PRIVS},1", "seccomp=06000000" + "0000ff7f"],
    "a filter alone": ["seccomp=06000000" + "0000ff7f"],
    "the parent": [f"parent={os.getpid()}"],
    "another parent": ["parent=2147483647"],
    "no order": [],
    "a name to execute": ["exec=true"],
    "an unknown order": ["nonsense=1"],
    "no group": ["setgroups=x"],
    "no ids": ["setresuid=1,2"],
    "no sets": ["capset=1"],
    "no option": ["prctl="],
    "no word": ["prctl=1,"],
    "half a program": ["seccomp=0"],
    "no program": ["seccomp=zzzzzzzzzzzzzzzz"],
    "no process": ["parent=0x"],
}
COMMANDS = (["true"], ["/bin/true"], ["/nonsense"], ["/bin/true/x"], ["nonsense"], [])


class Launch(NamedTuple):
    status: int
    said: str
    reported: tuple  # the number of the order, and an errno
    passages: list  # of places


class Verdict(NamedTuple):
    scenario: str
    place: int
    error: int
    problem: str


def _launch(orders, command, armed=(-1, 0, 0), report=False):
    """Start the launcher, with a descriptor to close; let armed (place, passage, errno) fail."""
    (reader, writer), (spare, other) = os.pipe(), os.pipe()
    with tempfile.NamedTemporaryFile() as log:
        told = " ".join(map(str, (log.name, *armed)))
        given = [f"report={writer}"] * report + [f"close={spare}", *orders]
        try:
            done = subprocess.run(
                [building.LAUNCHER, *given, "--", *command],
                env={"PRCTL_FAULTS": told, "PATH": "/bin"},
                pass_fds=(writer, spare),
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
        finally:
            for descriptor in writer, spare, other:
                os.close(descriptor)
            with open(reader, "rb") as pipe:
                data = pipe.read()
        numbers = [number for (number,) in struct.iter_unpack("H", log.read())]
    reported = struct.unpack("ii", data) if data else ()
    return Launch(done.returncode, done.stderr, reported, numbers)


def _text(error):
    """As the launcher says it: for some errno the words, for others the number."""
    return os.strerror(error), f"errno {error}"


def _judge(place, error, plain, launch):
    function, callee = PLACES[place].function, PLACES[place].callee
    if function in ("leave", "fail"):  # tried again; and nobody is left to be told
        what = "status"
        expected, got = plain.status, launch.status
    elif function in ("execute", "execute_from") and plain.status == 0:
        what, expected, got = "status", CANNOT_EXECUTE, launch.status
    elif function in ("execute", "execute_from"):
        what, expected, got = "status", (CANNOT_EXECUTE, plain.status), (launch.status,) * 2
        got = expected if launch.status in expected else got
    else:
        what, expected, got = "status", STEP_FAILED, launch.status
    if expected != got:
        return f"{what} {got}, not {expected}: {launch.said}"
    if function in ("leave", "fail"):
        return ""
    if launch.reported and launch.reported[1] != error:
        return f"reports {launch.reported}"
    if not launch.reported and not any(text in launch.said for text in _text(error)):
        return f"says {launch.said!r} after {callee}"
    return ""


def verdicts():
    """One for each place and errno, in each of the commands that pass it."""
    found, tried = [], set()
    for name, orders in ORDERS.items():
        for command in COMMANDS if name == "no order" else COMMANDS[:1]:
            for report in False, True:
                plain = _launch(orders, command, report=report)
                for place in sorted(set(plain.passages) - NEVER):
                    if (place, name, *command, report) in tried:
                        continue
                    tried.add((place, name, *command, report))
                    for error in reasons.ERRNOS.get(PLACES[place].callee, reasons.USUAL_ERRNOS):
                        armed = place, 0, error
                        launch = _launch(orders, command, armed, report)
                        problem = _judge(place, error, plain, launch)
                        what = " ".join([name, *command, "reported" * report])
                        found.append(Verdict(what, place, error, problem))
    return found


def describe(verdict):
    place, error = PLACES[verdict.place], errno.errorcode[verdict.error]
    return f"{place} [{error}], {verdict.scenario}: {verdict.problem}"
