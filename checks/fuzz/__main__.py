"""Calls with arguments that nobody expects. Run by ``./dev fuzz``, which says what it needs.

Two at the same time: hypothesis makes up calls with any objects (calls.py), libFuzzer bytes for the
C code under the sanitizers (libfuzzer.py). What they find is printed and stays in build/fuzz.
"""

import argparse
import collections
import random
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent.parent / "build" / "fuzz"
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "tests")]


def main():
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--seed", type=int, help="that of an earlier run, to have its calls again")
    parser.add_argument("--only", choices=("calls", "inputs"), help="one of the two")
    given = parser.parse_args()
    begun = time.monotonic()
    seed = random.SystemRandom().getrandbits(32) if given.seed is None else given.seed
    FOLDER.mkdir(parents=True, exist_ok=True)
    if given.only == "inputs":
        import libfuzzer

        return libfuzzer.fuzz(FOLDER, seed, given.seconds)
    print(f"seed {seed}", flush=True)
    other = None
    if given.only is None:
        command = [sys.executable, str(HERE), "--only=inputs", f"--seed={seed}"]
        other = subprocess.Popen(
            [*command, f"--seconds={given.seconds}"], stdout=subprocess.PIPE, text=True
        )
    fine = fuzz_calls(seed, given.seconds - (time.monotonic() - begun))
    if other:
        print(other.communicate()[0], end="")
        fine = other.returncode == 0 and fine
    return fine


def fuzz_calls(seed, seconds):
    import calls

    fuzzer = calls.Fuzzer()
    fuzzer.run(seed, seconds)
    by_target = collections.defaultdict(collections.Counter)
    for (target, mark), count in fuzzer.counts.items():
        by_target[target][mark] += count
    lines = [
        f"{target:40} {marks[calls.RETURNED]:6} returned {marks[calls.RAISED]:6} raised"
        for target, marks in sorted(by_target.items())
    ]
    (FOLDER / "calls.txt").write_text("\n".join(lines) + "\n")
    made = sum(marks[calls.RETURNED] + marks[calls.RAISED] for marks in by_target.values())
    where = "by target in build/fuzz/calls.txt"
    print(f"{made} calls of {len(by_target)} targets in {fuzzer.examples} children; {where}")
    for place, finding in enumerate(fuzzer.findings):
        path = FOLDER / f"calls-{place}.py"
        path.write_text(calls.snippet(finding))
        print(f"\nfound, {path}:\n{path.read_text()}")
    return not fuzzer.findings


if __name__ == "__main__":
    sys.exit(not main())
