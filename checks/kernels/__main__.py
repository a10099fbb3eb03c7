"""The tests under other kernels than this machine's, in qemu-system; and which kernel has what.

Arguments after ``--`` are pytest's.
"""

import argparse
import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import guests
from guests import say

SECONDS = 3 * 3600  # for the tests; emulated on a busy machine they are slow
SECONDS_TO_END = 600  # for leaving what they have found, and for everything else

# The tests that are left out, as the beginnings of their names, with the reason.
DESELECTED = {
    "tests/test_benchmarks.py": "measures how long calls take; half an hour in an emulator",
    "tests/test_build.py": "builds the extension, and looks at its file",
    "tests/test_fuzz.py": "tests a check of the library, not the library",
    "tests/test_old_headers.py": "builds the extension, and compares names and numbers",
    "tests/test_reference.py": "looks for names on the pages of the documentation",
    "tests/test_types.py::test_stubtest": "mypy reads the stubs",
    "tests/test_types.py::test_mypy": "mypy reads programs; they are run in a test of their own",
}

# The tables of docs/kernels.rst are made from it.
RECORD = guests.CHECKOUT / "docs" / "kernels.json"
RECORDED = "bullseye", "bookworm", "trixie", "trixie-backports"
HERE = "here"

PROBE = """
.venv/bin/python checks/kernels/probe.py {place} >/run/results/answers.json
"""

TESTS = """
export PRCTL_OWN_KERNEL=1 PRCTL_PATIENCE=10
timeout --signal=INT {seconds} \\
    ./dev test --junitxml=/run/results/junit.xml -o junit_family=xunit1 {arguments}
"""
TIMED_OUT = 124  # what timeout(1) ends with


def arguments():
    parser = argparse.ArgumentParser(prog="./dev kernels", description=__doc__)
    parser.add_argument(
        "kernels",
        nargs="*",
        metavar="KERNEL",
        help=f"the suite of Debian that has it: {', '.join(guests.KERNELS)} (default: bookworm)",
    )
    parser.add_argument(
        "--emulate", action="store_true", help="do not use KVM, which is tried otherwise"
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=SECONDS,
        metavar="N",
        help="that the tests may take under each kernel (default: %(default)s)",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="instead of testing, write into docs/kernels.json how the kernels answer to every "
        "option (default: those of the table, and this machine's, which is called here)",
    )
    parser.add_argument(
        "--add", metavar="FILE", nargs="+", help="what probe.py has written elsewhere, to record"
    )
    own, separator, tests = sys.argv[1:], "--", []
    if separator in own:
        place = own.index(separator)
        own, tests = own[:place], own[place + 1 :]
    given = parser.parse_args(own)
    for name in given.kernels:
        if name not in guests.KERNELS and not (given.record and name == HERE):
            parser.error(f"no kernel {name!r}; there are {', '.join(guests.KERNELS)}")
    given.kernels = given.kernels or ([HERE, *RECORDED] if given.record else ["bookworm"])
    return given, tests


def in_guest(suite, image, command, accelerators, seconds=0):
    """What a command leaves in a guest. An accelerator that does not work leaves the list."""
    kernel = guests.fetch_kernel(suite)
    seconds += SECONDS_TO_END
    while True:
        say(f"booting the kernel of {suite} with {accelerators[0]}")
        try:
            return guests.boot(kernel, image, command, accelerator=accelerators[0], seconds=seconds)
        except guests.Silent as silent:
            if len(accelerators) == 1:
                raise SystemExit(f"kernels: the guest has not begun; it said:\n{silent}") from None
            say(f"with {accelerators.pop(0)} the guest does not begin")
        except TimeoutError:
            raise SystemExit(f"kernels: the guest has not ended in {seconds} seconds") from None


def summary(junit):
    """The outcomes by number, and the reasons of the skipped tests by how often they were given."""
    outcomes, reasons = Counter(), Counter()
    for case in ElementTree.fromstring(junit).iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("skipped", "failure", "error")]
        outcomes[kinds[0] if kinds else "passed"] += 1
        for skipped in case.findall("skipped"):
            reasons[skipped.get("message")] += 1
    return outcomes, reasons


def add(answers):
    """Put a column into the record, in the place of the one that was asked for in the same way."""

    def order(column):
        return column["machine"] != "x86_64", column["machine"], release(column)

    def release(column):
        return [int(number) for number in re.findall(r"\d+", column["release"])[:2]]

    def asked(column):
        return column["place"], column["machine"]

    columns = json.loads(RECORD.read_text()) if RECORD.exists() else []
    columns = [column for column in columns if asked(column) != asked(answers)]
    RECORD.write_text(json.dumps(sorted([*columns, answers], key=order), indent=1) + "\n")
    say(f"recorded {answers['release']}, {answers['place']}")


def ask_here():
    command = [sys.executable, guests.HERE / "probe.py", "natively"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def ask(suite, image, accelerators):
    place = shlex.quote(f"{guests.KERNELS[suite][0]} in qemu-system")
    results = in_guest(suite, image, PROBE.format(place=place), accelerators)
    if not results.get("answers.json"):
        raise SystemExit(f"kernels: the guest under the kernel of {suite} has not answered")
    return json.loads(results["answers.json"])


def test(suite, image, arguments, accelerators, seconds):
    """The tests' exit code."""
    command = TESTS.format(seconds=seconds, arguments=shlex.join(arguments))
    results = in_guest(suite, image, command, accelerators, seconds)
    if "junit.xml" not in results:
        say(f"{suite}: pytest has left no results")
        return 1
    (guests.BUILD / f"{suite}.xml").write_bytes(results["junit.xml"])
    outcomes, reasons = summary(results["junit.xml"])
    for reason, number in reasons.most_common():
        say(f"{suite}: {number} skipped: {reason}")
    say(f"{suite}: {', '.join(f'{number} {kind}' for kind, number in outcomes.items())}")
    code = int(results["exit-code"])
    if code == TIMED_OUT:
        say(f"{suite}: the rest has not been run in {seconds} seconds")
    return code


def main():
    given, tests = arguments()
    if given.add:
        for file in given.add:
            add(json.loads(Path(file).read_text()))
        return 0
    if os.geteuid() != 0:
        raise SystemExit("kernels: making a root file system needs root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # its guest ends, too
    guests.BUILD.mkdir(parents=True, exist_ok=True)
    with guests.BUILD.joinpath("lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("kernels: it is running in this checkout already") from None
        return at_work(given, tests)


def at_work(given, tests):
    kvm = not given.emulate and os.access("/dev/kvm", os.R_OK | os.W_OK)
    accelerators = ["kvm", "tcg"] if kvm else ["tcg"]
    image = guests.make_image()
    if given.record:
        for suite in given.kernels:
            add(ask_here() if suite == HERE else ask(suite, image, accelerators))
        return 0
    for name, reason in DESELECTED.items():
        say(f"left out: {name}: {reason}")
        tests += ["--deselect", name]
    return max([test(each, image, tests, accelerators, given.seconds) for each in given.kernels])


sys.exit(main())
