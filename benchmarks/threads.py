"""What a change in every thread costs beside libc's setresuid(), which interrupts them all, too.

Needs root. Both take turns in one run, each turn in a forked child with new threads, since a
capability can be dropped only once; the median of each counts.
"""

import os
import statistics
import sys
import threading
import time

import prctl

ROUNDS = 25

CALLS = {
    "setresuid()": lambda: os.setresuid(0, 0, 0),
    "set_no_new_privs()": lambda: prctl.set_no_new_privs(),
    "cap_effective.drop()": lambda: prctl.cap_effective.drop("sys_boot"),
    "capbset.limit()": lambda: prctl.capbset.limit(),
}


def microseconds(name, threads):
    """The time of one call in a child that has so many threads."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        threading.stack_size(128 * 1024)
        stop = threading.Event()
        for _ in range(threads - 1):
            threading.Thread(target=stop.wait, daemon=True).start()
        time.sleep(0.05)  # until all of them wait
        os.setresuid(0, 0, 0)
        with prctl.all_threads():
            prctl.set_timerslack(50_000)  # both ways have been gone once
            start = time.perf_counter()
            CALLS[name]()
            taken = time.perf_counter() - start
        os.write(writer, str(taken * 1e6).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        result = float(pipe.read())
    os.wait()
    return result


def main():
    if os.geteuid() != 0:
        sys.exit("needs root: nobody else may drop from the bounding set")
    print(f"{'threads':>8}" + "".join(f"{name:>22}{'ratio':>7}" for name in CALLS))
    for threads in (2, 16, 64, 250, 1000):
        times = {name: [] for name in CALLS}
        for _ in range(ROUNDS):
            for name, values in times.items():
                values.append(microseconds(name, threads))
        medians = [statistics.median(values) for values in times.values()]
        line = "".join(f"{median:19.0f} µs{median / medians[0]:7.2f}" for median in medians)
        print(f"{threads:8}{line}")


if __name__ == "__main__":
    main()
