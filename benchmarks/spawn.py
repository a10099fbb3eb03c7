"""What a child with attributes costs beside a plain one, also in a process with much memory.

All kinds take turns in one run; the median of each counts. preexec_fn is what Popen replaces: it
makes subprocess fork, which copies the tables of all the memory. --gib 0 leaves the memory out.
"""

import argparse
import mmap
import signal
import statistics
import subprocess
import time

import prctl

COMMAND = ["/bin/true"]


def plain():
    subprocess.call(COMMAND)


def with_attributes():
    prctl.Popen(COMMAND, pdeathsig=signal.SIGKILL, no_new_privs=True).wait()


def by_launcher():
    subprocess.call([*prctl.launcher(pdeathsig=signal.SIGKILL, no_new_privs=True), *COMMAND])


def ask_for_signal():
    prctl.set_pdeathsig(signal.SIGKILL)


def with_preexec_fn():
    subprocess.call(COMMAND, preexec_fn=ask_for_signal)


def measure(kinds, rounds):
    times = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, results in times.items():
            start = time.perf_counter()
            kind()
            results.append((time.perf_counter() - start) * 1e3)
    medians = [statistics.median(results) for results in times.values()]
    for kind, median in zip(kinds, medians, strict=True):
        print(f"  {kind.__name__:20}{median:8.3f} ms{median / medians[0]:7.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--gib", type=float, default=4)
    options = parser.parse_args()
    print("a small process:")
    measure([plain, with_attributes, by_launcher, with_preexec_fn], options.rounds)
    if options.gib:
        size = int(options.gib * 2**30)
        with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
            memory.madvise(mmap.MADV_NOHUGEPAGE)  # small pages have the most to copy
            for place in range(0, size, mmap.PAGESIZE):
                memory[place] = 1
            print(f"{options.gib:g} GiB resident:")
            measure([plain, with_attributes, by_launcher], options.rounds)
            measure([plain, with_preexec_fn], max(options.rounds // 30, 3))


if __name__ == "__main__":
    main()
