"""What a call takes it gives back: after 10,000 calls no more blocks and references are held.

The calls with bad arguments are those of test_bad_input.py, so that no function is without them.
"""

import contextlib
import ctypes
import functools
import gc
import itertools
import os
import sys

import pytest
import support
import test_bad_input
from test_bad_input import OPTIONAL, TABLE, function_of

import prctl

# Under ./dev sanitize leaks a call takes 25 times as long, and what a single one leaks is found.
LEAKS = os.environ.get("PRCTL_SANITIZED") == "leaks"
CALLS = 20 if LEAKS else 10_000
EACH = 2 if LEAKS else 100  # at least, of one call among many
SLACK = 80  # what the interpreter's own free lists and caches may take; less than a leak of EACH

# What the table there does not have: the good arguments of functions that take requests or words.
GOOD = {
    "all_threads": [],
    "futex_hash_set_slots": [0],  # other numbers make the kernel wait for all processors
    "drop_privileges": [support.USER, support.USER],
    "get_caps": [(0, prctl.ALL_FLAGS), ("chown", prctl.CAP_EFFECTIVE)],
    "launcher": [],
    "remove_file_caps": ["/nonexistent"],
    "set_caps": [(0, prctl.CAP_EFFECTIVE, False)],
}
BAD = {
    name: [row.values[1:3] for row in rows]
    for name, rows in itertools.groupby(
        sorted(test_bad_input.ROWS, key=lambda row: row.values[0]), lambda row: row.values[0]
    )
}
NAMES = sorted(BAD.keys() | support.functions(prctl).keys())
OBJECTS = (None, True, False, 0, 1, "", b"", ())  # what a function may answer, or count wrongly


def good_call(name):
    if name in GOOD:
        return GOOD[name], {}
    kinds = TABLE[name]
    return [kind["good"] for key, kind in kinds.items() if key != OPTIONAL], {}


def call_all(function, calls, times):
    for args, kwargs in itertools.islice(itertools.cycle(calls), times):
        with contextlib.suppress(Exception):  # test_bad_input.py looks at it
            function(*args, **kwargs)


def held(calls):
    """Blocks of memory, references to what is given and answered, and all references there are."""
    gc.collect()
    given = itertools.chain(OBJECTS, *((*args, *kwargs.values()) for args, kwargs in calls))
    references = sum(map(sys.getrefcount, {id(value): value for value in given}.values()))
    total = sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else 0
    return sys.getallocatedblocks(), references, total


def sanitized(function):
    """The same, and what it leaked is reported when the suite runs as ./dev sanitize leaks."""

    def call(*args):
        result = function(*args)
        if LEAKS:
            support.kernel_prctl(4, 1)  # PR_SET_DUMPABLE, which what asks must be
            ctypes.CDLL(None).__lsan_do_recoverable_leak_check()
        return result

    return call


def growth(function, calls):
    """By how much each count of held() grows in many calls, after as many before."""
    times = max(CALLS, EACH * len(calls))
    call_all(function, calls, times)
    held(calls)  # the first time it makes what it needs itself
    for _ in range(3):  # what leaks grows each time, a cache of the interpreter's does not
        before = held(calls)
        call_all(function, calls, times)
        grown = tuple(after - count for after, count in zip(held(calls), before, strict=True))
        if max(grown) < SLACK:
            break
    return grown


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arguments", ["good", "bad"])
def test_calls_hold_nothing(name, arguments):
    calls = [good_call(name)] if arguments == "good" else BAD[name]
    counts = support.in_child(sanitized(growth), function_of(name), calls, seconds=280)
    assert max(counts) < SLACK, "blocks, references given, all references"


@functools.cache
def _kept():
    return []


@pytest.mark.skipif(sys.getallocatedblocks() == 0, reason="PYTHONMALLOC=malloc counts no blocks")
@pytest.mark.parametrize("argument", [None, os])
def test_what_a_function_keeps_is_seen(argument):
    def keep(value):
        _kept().append([value])

    blocks, references, _ = support.in_child(growth, keep, [([argument], {})])
    assert blocks >= CALLS
    immortal = argument is None and sys.version_info >= (3, 12)
    assert immortal or references >= CALLS
