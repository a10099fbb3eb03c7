"""Times statements of one environment whenever it is asked to: see __main__.py, which starts it.

For each line of standard input, the place of a statement and how often, it answers with the
nanoseconds that one takes. What the statements need is made once, or, with "fork", for each time in
a child of its own, since a process can drop its privileges only once.
"""

import gc
import importlib
import json
import mmap
import os
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
    return timer.timeit(number)


def in_thread(timer, number):
    """Each time in a thread of its own: what belongs to a thread is as at the start."""
    taken = []
    for _ in range(number):
        thread = threading.Thread(target=lambda: taken.append(timer.timeit(1)))
        thread.start()
        thread.join()
    return sum(taken)


def in_fork(timer, number, prepare):
    taken = 0
    for _ in range(number):
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            try:
                prepare()
                gc.collect()  # it writes to every object: the pages that fork() shares are copied
                os.write(writer, str(timer.timeit(1)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader) as pipe:
            taken += float(pipe.read())
        os.waitpid(child, 0)
    return taken


def main():
    task = json.loads(sys.argv[1])
    names = {"threads": threads, "resident": resident, "os": os}
    module = importlib.import_module(task["module"])
    names[task["module"]] = module
    exec(f"from {task['module']} import *", names)
    exec(task["first"], names)
    timers = [timeit.Timer(statement, globals=names) for statement in task["statements"]]

    def prepare():
        exec(task["setup"], names)

    if task["how"] == "fork":
        time_it = lambda timer, number: in_fork(timer, number, prepare)
    else:
        prepare()
        time_it = {"loop": in_loop, "thread": in_thread}[task["how"]]
    for line in sys.stdin:
        place, number = map(int, line.split())
        print(time_it(timers[place], number) / number * 1e9, flush=True)


if __name__ == "__main__":
    main()
