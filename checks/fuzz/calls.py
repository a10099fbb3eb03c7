"""Calls with any arguments, several in a child: only documented errors, no signal, no hang.

hypothesis draws the sequences and makes what it finds as small as it can.
"""

import collections
import contextlib
import gc
import mmap
import os
import random
import re
import signal
import tempfile
import time

import hostile
import hypothesis
import support
from hypothesis import strategies as st
from targets import BEGUN, LETHAL, RETURNED, TARGETS, USUAL

MODULES = "array", "contextlib", "copy", "ctypes", "importlib", "mmap", "operator", "os", "pathlib"
MODULES += ("pickle",)
NAMES = {name: __import__(name) for name in (*MODULES, "_prctl", "prctl", "hostile")}
# What is loaded when it is first used: an ordinary user may not be able to read it then.
LOADED = [__import__("grp"), NAMES["prctl"].Popen, NAMES["prctl"].Capabilities]

Statement = collections.namedtuple("Statement", "target arguments keywords in_all_threads")
Finding = collections.namedtuple("Finding", "target what statements user")

MOST = 12  # statements of a sequence


class Found(Exception):
    pass


# ---- Drawing


def statements(targets):
    return st.sampled_from(sorted(targets)).flatmap(lambda name: _statement(name, targets[name]))


@st.composite
def _statement(draw, name, target):
    arguments = [draw(argument) for argument in target.arguments]
    shape = draw(st.sampled_from(["as it should be"] * 6 + ["fewer", "more"]))
    if shape == "more":
        arguments.append("0")
    elif shape == "fewer":
        arguments = arguments[:-1]
    keywords = {}
    if target.keywords:
        for key in draw(
            st.lists(st.sampled_from(sorted(target.keywords)), max_size=4, unique=True)
        ):
            keywords[key] = draw(target.keywords[key])
        if keywords and target.arguments and draw(st.booleans()):
            arguments = arguments[: draw(st.integers(0, len(arguments)))]
    return Statement(name, tuple(arguments), keywords, draw(st.integers(0, 9)) == 9)


# ---- In the child


def carry_out(sequence, targets, folder, marks):
    """Make the calls; (place, what is wrong) of the first that is not as documented, or None.

    marks has a byte for each, as shared memory: what has come of it.
    """
    support.die_quietly()
    gc.callbacks.clear()  # hypothesis' own, which asks for the time
    gc.freeze()
    os.chdir(folder)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    for place, statement in enumerate(sequence):
        marks[place] = BEGUN
        wrong = _call(statement, targets[statement.target], place, marks)
        if wrong:
            return place, wrong
    gc.collect()
    return None


NOT_REACHED, RAISED, NOT_BUILT = 0, 3, 4


def _call(statement, target, place, marks):
    try:
        arguments = [eval(source, NAMES) for source in statement.arguments]
        keywords = {key: eval(source, NAMES) for key, source in statement.keywords.items()}
    except Exception:  # such as a set of what has no hash: no argument, then
        marks[place] = NOT_BUILT
        return None
    hostile.victims[:] = [x for x in [*arguments, *keywords.values()] if type(x) in _EMPTIED]
    descriptors = _descriptors()
    expected = (*USUAL, *target.besides, *[RuntimeError] * statement.in_all_threads)
    try:
        with NAMES["prctl"].all_threads() if statement.in_all_threads else contextlib.nullcontext():
            eval(target.call, NAMES)(*arguments, **keywords)
        marks[place] = RETURNED
    except BaseException as error:
        if isinstance(error, RecursionError) or not isinstance(error, expected):
            return _shown(error)
        marks[place] = RAISED
    del arguments, keywords
    hostile.victims.clear()
    try:
        hostile.check_margins()
    except hostile.Overrun as error:
        return _shown(error)
    if marks[place] == RETURNED and statement.target in LETHAL:
        os._exit(0)
    left = _descriptors() - descriptors
    if left and statement.target != "Popen":
        return f"descriptors are left open: {len(left)}"
    return None


_EMPTIED = list, bytearray, dict, set


def _shown(error):
    return f"{type(error).__name__}: {str(error)[:200]}"


def _descriptors():
    try:
        return set(os.listdir("/proc/self/fd"))
    except OSError:  # no longer dumpable, as an ordinary user
        return set()


# ---- Outside


class Fuzzer:
    """Makes sequences of calls, each in a child, and keeps what it finds."""

    def __init__(self, targets=TARGETS, seconds=20):
        self.targets = targets
        self.patience = seconds  # for a sequence
        self.counts = collections.Counter()
        self.findings = []
        self.examples = 0
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        os.chmod(self._folder.name, 0o777)
        open(os.path.join(self._folder.name, "file"), "w").close()
        self._marks = mmap.mmap(-1, MOST)

    def run(self, seed, seconds):
        """Rounds of examples until the time is over."""
        end = time.monotonic() + seconds
        draw = random.Random(seed)
        while time.monotonic() < end:
            self._round(draw.getrandbits(64))

    def _round(self, seed):
        kind = latest = None

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=100,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
            report_multiple_bugs=False,
            print_blob=False,
        )
        @hypothesis.given(
            st.lists(statements(self.targets), min_size=1, max_size=MOST), st.booleans()
        )
        def attempt(sequence, user):
            nonlocal kind, latest
            finding = self.attempt(sequence, user)
            if finding is None or _kind(finding) in map(_kind, self.findings):
                return
            kind = kind or _kind(finding)
            if _kind(finding) == kind:
                latest = finding
                raise Found

        try:
            attempt()
        except Found:
            self.findings.append(self._shorter(latest))
        except BaseException as error:
            if latest is None or isinstance(error, KeyboardInterrupt):
                raise
            self.findings.append(latest._replace(what=f"{latest.what} (not every time)"))

    def _shorter(self, finding):
        """Without the calls before it that hypothesis has left, but that it does not need."""
        for place in reversed(range(len(finding.statements) - 1)):
            fewer = [*finding.statements[:place], *finding.statements[place + 1 :]]
            again = self.attempt(fewer, finding.user)
            if again and _kind(again) == _kind(finding):
                finding = again
        return finding

    def attempt(self, sequence, user):
        """What is wrong with a sequence of calls in a child, or None."""
        self._marks[:] = bytes(MOST)
        self.examples += 1
        died = wrong = None
        try:
            wrong = support.in_child(
                carry_out,
                sequence,
                self.targets,
                self._folder.name,
                self._marks,
                user=user,
                seconds=self.patience,
            )
        except support.ChildDied as error:
            died = error
        marks = [*self._marks[: len(sequence)]]
        for statement, mark in zip(sequence, marks, strict=True):
            self.counts[statement.target, mark] += 1
        if died:
            wrong = _of_death(sequence, marks, died)
        if wrong is None:
            return None
        place, what = wrong
        return Finding(sequence[place].target, what, sequence[: place + 1], user)


def _of_death(sequence, marks, died):
    place = max((i for i, mark in enumerate(marks) if mark != NOT_REACHED), default=0)
    lethal = LETHAL.get(sequence[place].target)
    if lethal and marks[place] == lethal.mark and died.signal in {None, *lethal.signals}:
        return None
    what = f"hangs, {died}" if died.signal == signal.SIGALRM else f"dies: {died}"
    return place, what


def _kind(finding):
    """What makes two findings one: a dead child may have been hurt by an earlier call."""
    return finding.target, finding.what.split(":")[0]


# ---- Telling it


def snippet(finding, targets=TARGETS):
    """A finding as a program."""
    lines = [f"# {finding.target}: {finding.what.splitlines()[0]}"]
    if finding.user and support.ROOT:
        lines += ["# as an ordinary user"]
    calls = [_source(statement, targets) for statement in finding.statements]
    used = [name for name in MODULES if any(re.search(rf"\b{name}\.", call) for call in calls)]
    lines += [f"import {name}" for name in sorted({*used, "_prctl", "prctl"})]
    if any("hostile." in call for call in calls):
        lines += ["", f"import sys; sys.path.insert(0, {os.path.dirname(hostile.__file__)!r})"]
        lines += ["import hostile"]
    if finding.user and support.ROOT:
        lines += ["", "import os; os.setgroups([]); os.setresgid(*[65534] * 3)"]
        lines += ["os.setresuid(*[65534] * 3)"]
    for call in calls[:-1]:
        lines += ["", "try:", *(f"    {line}" for line in call.splitlines())]
        lines += ["except Exception as error:", "    print(repr(error))"]
    return "\n".join([*lines, "", *calls[-1:], ""])


def _source(statement, targets):
    inside = [*statement.arguments, *(f"{k}={v}" for k, v in statement.keywords.items())]
    source = f"{targets[statement.target].call}({', '.join(inside)})"
    return f"with prctl.all_threads():\n    {source}" if statement.in_all_threads else source
