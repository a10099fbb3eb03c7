"""The tests under other kernels than this machine's, in qemu-system."""

import argparse
import os
import shlex
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter

import guests
from guests import say

SECONDS = 3 * 3600  # that a guest may take; emulated on a busy machine it is slow

# The tests that are left out, with the reason.
DESELECTED = {}

TESTS = """
export PRCTL_OWN_KERNEL=1
./dev test --junitxml=/run/results/junit.xml -o junit_family=xunit1 {arguments}
"""


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
    own, separator, tests = sys.argv[1:], "--", []
    if separator in own:
        place = own.index(separator)
        own, tests = own[:place], own[place + 1 :]
    given = parser.parse_args(own)
    for name in given.kernels:
        if name not in guests.KERNELS:
            parser.error(f"no kernel {name!r}; there are {', '.join(guests.KERNELS)}")
    given.kernels = given.kernels or ["bookworm"]
    return given, tests


def in_guest(suite, command, accelerators):
    """What a command leaves in a guest; an accelerator that does not work is taken from the list."""
    kernel, image = guests.fetch_kernel(suite), guests.make_image()
    while True:
        say(f"booting the kernel of {suite} with {accelerators[0]}")
        try:
            return guests.boot(kernel, image, command, accelerator=accelerators[0], seconds=SECONDS)
        except guests.Silent as silent:
            if len(accelerators) == 1:
                raise SystemExit(f"kernels: the guest has not begun; it said:\n{silent}") from None
            say(f"with {accelerators.pop(0)} the guest does not begin")


def summary(junit):
    """The outcomes by number, and the reasons of the skipped tests by how often they were given."""
    outcomes, reasons = Counter(), Counter()
    for case in ElementTree.fromstring(junit).iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("skipped", "failure", "error")]
        outcomes[kinds[0] if kinds else "passed"] += 1
        for skipped in case.findall("skipped"):
            reasons[skipped.get("message")] += 1
    return outcomes, reasons


def main():
    given, tests = arguments()
    if os.geteuid() != 0:
        raise SystemExit("kernels: making a root file system needs root")
    guests.BUILD.mkdir(parents=True, exist_ok=True)
    kvm = not given.emulate and os.access("/dev/kvm", os.R_OK | os.W_OK)
    accelerators = ["kvm", "tcg"] if kvm else ["tcg"]
    tests += [word for test in DESELECTED for word in ("--deselect", test)]
    command = TESTS.format(arguments=shlex.join(tests))
    codes = []
    for suite in given.kernels:
        results = in_guest(suite, command, accelerators)
        (guests.BUILD / f"{suite}.xml").write_bytes(results["junit.xml"])
        outcomes, reasons = summary(results["junit.xml"])
        for reason, number in reasons.most_common():
            say(f"{suite}: {number} skipped: {reason}")
        say(f"{suite}: {', '.join(f'{number} {kind}' for kind, number in outcomes.items())}")
        codes.append(int(results["exit-code"]))
    return max(codes)


sys.exit(main())
