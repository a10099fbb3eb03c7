"""Times statements of one environment whenever it is asked to: see __main__.py, which starts it.

For each line of standard input, the place of a statement and how often, it answers with the
nanoseconds that one takes.
"""

import importlib
import json
import mmap
import sys
import threading
import time
import timeit

SETTLE = 0.02  # until new threads wait


def threads(count):
    """Have so many threads in all."""
    threading.stack_size(128 * 1024)
    never = threading.Event()
    for _ in range(count - 1):
        threading.Thread(target=never.wait, daemon=True).start()
    time.sleep(SETTLE)


def resident(gib):
    """Have so much memory, in small pages: they have the most tables to copy."""
    size = int(gib * 2**30)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for place in range(0, size, mmap.PAGESIZE):
        memory[place] = 1
    return memory


def in_loop(timer, number):
    """One before is not counted: it finds what the turns of the others have left.

    After a fork that is every page of this process to be copied on writing.
    """
    timer.timeit(1)
    return timer.timeit(number)


def once(timer, number):
    """No call before: a process can make it only once, or is to make it for the first time."""
    return timer.timeit(number)


def in_thread(timer, number):
    """Each time in a thread of its own: what belongs to a thread is as at the start."""
    taken = []
    for _ in range(number):
        thread = threading.Thread(target=lambda: taken.append(timer.timeit(1)))
        thread.start()
        thread.join()
    return sum(taken)


def main():
    task = json.loads(sys.argv[1])
    names = {"threads": threads, "resident": resident}
    names[task["module"]] = importlib.import_module(task["module"])
    exec(f"from {task['module']} import *", names)
    exec(task["setup"], names)
    clock = getattr(time, task["clock"])
    timers = [timeit.Timer(each, timer=clock, globals=names) for each in task["statements"]]
    time_it = {"loop": in_loop, "thread": in_thread, "once": once}[task["how"]]
    for line in sys.stdin:
        place, number = map(int, line.split())
        print(time_it(timers[place], number) / number * 1e9, flush=True)


if __name__ == "__main__":
    main()
