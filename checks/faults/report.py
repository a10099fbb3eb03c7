"""What is said of all the failures: how many there were, and each that was not as it must be."""

import errno
import re
from collections import Counter, defaultdict
from fnmatch import fnmatchcase

import injection
import launching
import lines
import reasons
import support


def _shown(armed):
    return " | ".join(f"{failure} [{errno.errorcode.get(failure.error, '')}]" for failure in armed)


def _wrong(verdicts, lost, launches):
    """What failed to be right, the same in several scenarios once."""
    groups = defaultdict(set)
    for verdict in verdicts:
        if verdict.problem:
            problem = re.sub("0x[0-9a-f]+|[0-9]{3,}", "N", verdict.problem)
            groups[_shown(verdict.armed), problem].add(verdict.scenario)
    for (armed, problem), names in sorted(groups.items()):
        yield f"{armed}: {problem}\n    in {', '.join(sorted(names))[:200]}"
    yield from lost if support.ROOT else ()
    yield from (launching.describe(launch) for launch in launches if launch.problem)


def _counted(judged):
    """A line for each file: how many places it has, and what has become of them."""
    counts = Counter(place.file for place in judged)
    never = Counter(place.file for place in _places() if _never(place))
    for file, count in sorted(Counter(place.file for place in _places()).items()):
        said = f"{counts[file]:4} failed and judged, {never[file]:2} cannot fail"
        yield f"{file:24} {count:4} places, {said}"


def _places():
    return [*injection.PLACES, *launching.PLACES]


def _explained(found, given, what):
    """Sentences on what has a reason; and on what has none, or is a reason without a use."""
    reasons_of = {
        one: next((r for p, r in given.items() if fnmatchcase(one, p)), "") for one in found
    }
    said = [f"{what}: {one}: {reason}" for one, reason in sorted(reasons_of.items()) if reason]
    wrong = [f"{what}, without a reason: {one}" for one, reason in reasons_of.items() if not reason]
    for pattern, reason in given.items():
        needed = any(fnmatchcase(one, pattern) for one in found)
        if not needed and not reason.startswith(reasons.SOMETIMES):
            wrong.append(f"a reason without a use: {what}: {pattern}")
    return said, sorted(wrong)


def _never(place):
    """Whether a place cannot fail, whoever has called its function."""
    text = f"{place.callee} < {place.function}"
    return any(fnmatchcase(text, pattern) for pattern in reasons.NEVER)


def _rules_without_use(verdicts):
    used = {injection.rule_for(verdict.armed[-1]) for verdict in verdicts}
    for rule in reasons.RULES:
        if rule not in used and not rule.reason.startswith(reasons.SOMETIMES):
            yield f"a rule in reasons.py without a use: {rule.where}"


def say(verdicts, lost, launches, unknown):
    """Print it all; whether all is right."""
    judged = {injection.PLACES[failure.place] for v in verdicts for failure in v.armed}
    judged |= {launching.PLACES[launch.place] for launch in launches}
    print(*_counted(judged), sep="\n")
    unreached = {str(place) for place in _places() if place not in judged and not _never(place)}
    missing, count = lines.not_run()
    said, without_reason = _explained(unreached, reasons.UNREACHED, "not reached")
    said_of_lines, more = _explained(missing, reasons.LINES, "not run")
    print(*said, *said_of_lines, sep="\n")
    print(f"{count} lines with code of their own, {len(missing)} of them not run")
    print(f"{len(verdicts) + len(launches)} failures")
    wrong = [*unknown, *_wrong(verdicts, lost, launches)]
    if support.ROOT:
        wrong += [*without_reason, *more, *_rules_without_use(verdicts)]
    else:
        print("as an ordinary user: what only root reaches is left out", *lost, sep="\n    ")
    print(*wrong, sep="\n")
    return not wrong
