"""Whether failures near the function that a mutant of ./dev mutate is in show the mutant."""

import pathlib
import pickle
from collections import defaultdict

import injection
import launching

MOST = 40  # contexts to fail in, for one mutant


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
    """{number of a scenario: contexts}: the function calls what fails there, or what calls it."""
    distances = {}
    for index, contexts in injection.plan(usual).items():
        for context in contexts:
            chains = [chain for *_, chain in usual[index].passages[context] if function in chain]
            if chains:
                distances[index, context] = min(chain.index(function) for chain in chains)
    chosen = defaultdict(list)
    for index, context in sorted(distances, key=distances.get)[:MOST]:
        chosen[index].append(context)
    return chosen


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
