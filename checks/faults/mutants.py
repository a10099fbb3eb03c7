"""Whether failures near the function that a mutant of ./dev mutate is in show the mutant."""

import itertools
import pathlib
import pickle
from collections import defaultdict

import injection
import launching

MOST = 40  # contexts to fail in, for one mutant
FAR = 100  # more than any distance


def record(file):
    """What the scenarios come to in the library as it is."""
    pathlib.Path(file).write_bytes(pickle.dumps(injection.without_failures()))


def show(file, function):
    """Print what is not as it must be, or that nothing is."""
    injection.warm_up()
    usual = pickle.loads(pathlib.Path(file).read_bytes())
    chosen = near(function, usual)
    launched = function in {place.function for place in launching.PLACES}
    if not chosen and not launched:
        print("unreached")
        return
    found = problems(chosen, usual) if chosen else problems_of_launcher()
    print(next(found, "survived"))


def near(function, usual):
    """{number of a scenario: contexts}, the nearest to what the function does.

    First those where it has called what fails, or what calls that; then those of its callers.
    """
    chains = {
        (index, context): [chain for *_, chain in usual[index].passages[context]]
        for index, contexts in injection.plan(usual).items()
        for context in contexts
    }
    below = distances(function, chains)
    callers = {
        caller
        for found in chains.values()
        for chain in found
        for callee, caller in itertools.pairwise(chain)
        if callee == function
    }
    for caller in callers:
        for where, distance in distances(caller, chains).items():
            below.setdefault(where, FAR + distance)
    chosen = defaultdict(list)
    for index, context in sorted(below, key=below.get)[:MOST]:
        chosen[index].append(context)
    return chosen


def distances(function, chains):
    """How many calls are between the function and the failure, where it is among the callers."""
    found = {}
    for where, some in chains.items():
        places = [chain.index(function) for chain in some if function in chain]
        if places:
            found[where] = min(places)
    return found


def problems(chosen, usual):
    """Sentences on what differs, without a failure or with one."""
    known = injection.known_contexts(usual)
    for index, contexts in chosen.items():
        scenario = injection.ALL[index]
        plain = injection.record(scenario)
        if isinstance(plain, str):
            yield plain
        elif summary(plain) != summary(usual[index]):
            yield f"{scenario.name}: {summary(plain)}, not {summary(usual[index])}"
        else:
            there = [context for context in contexts if context in plain.passages]
            for verdict in injection.inject(scenario, plain, there, known):
                if verdict.problem:
                    armed = " | ".join(map(str, verdict.armed))
                    yield f"{scenario.name}: {armed}: {verdict.problem}"


def summary(trial):
    return trial.outcome, sorted(map(str, trial.changed))


def problems_of_launcher():
    return (launching.describe(launch) for launch in launching.verdicts() if launch.problem)
