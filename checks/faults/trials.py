"""One call in a child, perhaps with failures: what comes of it."""

import builtins
import contextlib
import errno
import gc
import os
import sys
from typing import NamedTuple

import support
from support import in_child

import _prctl

ROUNDS, SERIES = 20, 25  # of calls that fail again, to see whether anything is left behind


class Trial(NamedTuple):
    outcome: str  # the class of the exception, with the errno of an OSError; or "returns"
    text: str
    changed: dict  # {what: (before, after)}
    left: dict  # what each further failing call leaves behind
    failed: int  # how many of the armed places have
    passages: dict  # those of faults.passages()


FIELDS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
FIELDS += ("Seccomp", "Name")


def _state(faults):
    state = support.state()
    state["descriptors"] = _descriptors()
    state["locks"] = faults.holdings()["locks"]
    state["threads"] = support.of_threads(*FIELDS)
    del state["threads"][os.getpid()]
    return state


def _descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def outcome(function, args):
    """The class of the exception, with the errno of an OSError, or "returns"; and it itself."""
    try:
        return "returns", function(*args)
    except OSError as error:
        return f"OSError {errno.errorcode.get(error.errno, error.errno)}", error
    except BaseException as error:
        return type(error).__name__, error


def run(faults, scenario, armed=()):
    """A Trial of a scenario, in a child of its own."""
    return in_child(_run, faults, scenario, armed, user=scenario.user, seconds=20)


def _run(faults, scenario, armed):
    gc.disable()
    function, *args = scenario.prepare()
    before = _state(faults)
    faults.begin(armed)
    name, result = outcome(function, args)
    passages = faults.passages()
    failed = faults.end()
    text = ascii(result)[:300] if name == "returns" else ascii(str(result))
    after = _state(faults)
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    changed = {key: (before.get(key), after.get(key)) for key in keys}
    left = {}
    if armed and scenario.repeats and not changed:
        left = _leftovers(faults, function, args, armed)
    return Trial(name, text, changed, left, failed, passages)


def _leftovers(faults, function, args, armed):
    """What is left behind by each of SERIES series of ROUNDS further failing calls.

    What Python keeps for later makes the first series grow; a leak makes every one.
    """
    left = {}
    for _ in range(SERIES):
        before, blocks = _belongings(faults, args), _blocks()
        for _ in range(ROUNDS):
            if not _again(faults, function, args, armed):
                return {}
        more = [("blocks", _blocks() - blocks)]
        pairs = zip(_belongings(faults, args), before, strict=True)
        more += ((what, after - old) for (what, after), (_, old) in pairs)
        left = {what: count for what, count in more if count >= ROUNDS}
        if not left:
            break
    return left


def _again(faults, function, args, armed):
    faults.begin(armed)
    with contextlib.suppress(BaseException):
        function(*args)
    return faults.end() == len(armed)


def _blocks():
    gc.collect()
    return sys.getallocatedblocks()


def _belongings(faults, args):
    """Pairs of what there is and how many of it."""
    objects = [*args, None, True, False, *vars(builtins).values(), *sys.modules.values()]
    objects += vars(_prctl).values()
    counts = [("references", sys.getrefcount(value)) for value in objects]
    return [*counts, ("descriptors", len(_descriptors())), *faults.holdings().items()]
