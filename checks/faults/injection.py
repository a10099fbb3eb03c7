"""Which failures are tried in which scenario, and what is said of them."""

import errno
import gc
import os
import pickle
from collections import Counter
from fnmatch import fnmatchcase
from typing import NamedTuple

import places
import reasons
import scenarios
import support
import trials

FAULTS = places.Extension()
PLACES = FAULTS.places
THOROUGH, ENOUGH = 3, 1  # scenarios in which a place fails in one context


class Verdict(NamedTuple):
    scenario: str
    armed: list  # of Failures
    problem: str  # empty: all is as it must be


# ---- Without failures


def record(scenario):
    try:
        return trials.run(FAULTS, scenario)
    except BaseException as error:
        return f"{scenario.name}: {type(error).__name__}: {error}"


def record_all(group):
    """Trials of calls that change nothing, all in one child."""

    def run():
        found = []
        for scenario in group:
            function, *args = scenario.prepare()
            FAULTS.begin()
            outcome, _ = trials.outcome(function, args)
            FAULTS.end()
            found.append(trials.Trial(outcome, "", {}, {}, 0, FAULTS.passages()))
        return found

    return support.in_child(run)


# ---- With failures


def errors_of(place):
    if place.kind != "errno":
        return (0,)
    return reasons.ERRNOS.get(place.callee, reasons.USUAL_ERRNOS)


class Failure(NamedTuple):
    """What is armed."""

    place: int
    passage: int
    error: int
    caller: int  # an address: where its function must have been called
    callers: tuple

    def __str__(self):
        """As rules have it."""
        return " < ".join([PLACES[self.place].callee, *self.callers])


def failures(context, passages, every=True):
    """Those to try where a place is passed in a context: at the first passage and the last.

    And at the first for each call of its function, where there are several in its caller.
    """
    place, _ = context
    first = {caller: (passage, caller, callers) for passage, caller, callers in passages[::-1]}
    for passage, caller, callers in {passages[-1], *first.values()} if every else {passages[0]}:
        for error in errors_of(PLACES[place]):
            failure = Failure(place, passage, error, caller, callers)
            if not any(fnmatchcase(str(failure), where) for where in reasons.NEVER):
                yield failure


def usual_outcome(place, error):
    if place.kind in ("memory", "null") or error == errno.ENOMEM:
        return "MemoryError"
    return f"OSError {errno.errorcode[error]}" if place.kind == "errno" else "?"


def rule_for(failure):
    text = str(failure)
    found = (rule for rule in reasons.RULES if rule.holds_for(text, failure.error))
    return next(found, reasons.Rule("", reasons.USUAL, ""))


def judge(plain, failure, trial):
    """What is wrong with a call in which a failure has been; plain is one without."""
    rule = rule_for(failure)
    usual = usual_outcome(PLACES[failure.place], failure.error)
    expected = rule.outcomes.replace(reasons.USUAL, usual).split(", ")
    if trial.outcome == "SystemError" or not (
        trial.outcome in expected or (reasons.SAME in expected and trial.outcome == plain.outcome)
    ):
        return f"{trial.outcome} {trial.text}, not {' or '.join(expected)}"
    allowed = plain.changed.keys() if trial.outcome == plain.outcome else ()
    changed = {key: value for key, value in trial.changed.items() if key not in allowed}
    if any(not fnmatchcase(str(key), rule.changes) for key in changed):
        return f"{trial.outcome}, but changes {changed}"
    if trial.left:
        return f"{trials.ROUNDS} more leave {trial.left}"
    return ""


def attempt(scenario, plain, armed):
    """A Trial with the failures, and the Verdict on the last; None for each that there is not."""
    try:
        trial = trials.run(FAULTS, scenario, [failure[:4] for failure in armed])
    except BaseException as error:
        return None, Verdict(scenario.name, armed, f"{type(error).__name__}: {error}"[:300])
    if trial.failed != len(armed):  # the threads have met in another order
        return None, None
    return trial, Verdict(scenario.name, armed, judge(plain, armed[-1], trial))


def inject(scenario, plain, contexts, known):
    """Verdicts on a scenario with each of the failures, and on those that only they lead to."""
    for context in contexts:
        for failure in failures(context, plain.passages[context], scenario.steady):
            trial, verdict = attempt(scenario, plain, [failure])
            if verdict:
                yield verdict
            for further in [c for c in (trial.passages if trial else ()) if c not in known]:
                known.add(further)
                for second in failures(further, trial.passages[further][:1]):
                    verdict = attempt(scenario, trial, [failure, second])[1]
                    if verdict:
                        yield verdict


# ---- All of it

ALL = [*scenarios.good(), *scenarios.WRITTEN]
WRITTEN = len(ALL)
ALL += scenarios.wrong()


def plan(plain):
    """{number of a scenario: the places, in their contexts, that are to fail in it}"""
    tried, todo = Counter(), {}
    for index, trial in enumerate(plain):
        if isinstance(trial, str):
            continue
        enough = THOROUGH if ALL[index].thorough else ENOUGH
        chosen = [context for context in trial.passages if tried[context] < enough]
        tried.update(chosen)
        if chosen:
            todo[index] = chosen
    return todo


def share(function, tasks):
    """[function(task) for each of them], by as many processes as there are processors."""
    workers = os.cpu_count()
    started = [
        support._fork(
            lambda own: [function(task) for task in own], (tasks[n::workers],), False, 900
        )
        for n in range(workers)
    ]
    results = []
    for pid, reader in started:
        with open(reader, "rb") as pipe:
            data = pipe.read()[1:]
        os.waitpid(pid, 0)
        succeeded, result = pickle.loads(data)
        if not succeeded:
            raise result
        results.append(result)
    return [results[n % workers][n // workers] for n in range(len(tasks))]


def without_failures():
    """A Trial of each scenario; a sentence for each that could not be had."""
    warm_up()
    return [*share(record, ALL[:WRITTEN]), *record_all(ALL[WRITTEN:])]


def warm_up():
    scenarios.warm_up()
    gc.collect()
    gc.freeze()  # for the children: what is here already is none of their garbage


def known_contexts(plain):
    return {context for trial in plain if not isinstance(trial, str) for context in trial.passages}


def run():
    """All Verdicts, and a sentence for each scenario that could not be had."""
    plain = without_failures()
    lost = [trial for trial in plain if isinstance(trial, str)]
    known = known_contexts(plain)

    def verdicts(task):
        index, contexts = task
        return list(inject(ALL[index], plain[index], contexts, known))

    found = share(verdicts, list(plan(plain).items()))
    return [verdict for some in found for verdict in some], lost
