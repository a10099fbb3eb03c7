"""What a change in every thread costs beside libc's setresuid(), which interrupts every thread, too.

Needs root. Both take turns in one run; the median of each counts.
"""

import os
import statistics
import sys
import threading
import time

import prctl

ROUNDS = 60


def microseconds(function):
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e6


def main():
    if os.geteuid() != 0:
        sys.exit("needs root: setresuid() of other ids is refused without")
    threading.stack_size(128 * 1024)
    stop = threading.Event()
    calls = {
        "setresuid()": lambda: os.setresuid(0, 0, 0),
        "set_timerslack()": lambda: prctl.set_timerslack(50_000),
        "cap_effective.drop()": lambda: prctl.cap_effective.drop("sys_boot"),
        "capbset.limit()": lambda: prctl.capbset.limit(),
    }
    print(f"{'threads':>8}" + "".join(f"{name:>22}{'ratio':>7}" for name in calls))
    threads = 1
    for count in (2, 16, 64, 250, 1000):
        while threads < count:
            threading.Thread(target=stop.wait, daemon=True).start()
            threads += 1
        times = {name: [] for name in calls}
        with prctl.all_threads():
            for _ in range(ROUNDS):
                for name, call in calls.items():
                    times[name].append(microseconds(call))
        medians = [statistics.median(values) for values in times.values()]
        line = "".join(f"{median:19.0f} µs{median / medians[0]:7.2f}" for median in medians)
        print(f"{count:8}{line}")
    stop.set()


if __name__ == "__main__":
    main()
