"""Workers of a pool with a name and a title, which end with the process that has made the pool.

    python examples/multiprocessing_initializer.py --method forkserver --seconds 10
    ps -eo pid,ppid,comm,args | grep pool:

start_worker() is for Pool and for ProcessPoolExecutor, and for each way to start processes. Kill
the master with SIGKILL, and see that no worker stays: without start_worker(), some would.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import prctl


def start_worker() -> None:
    """The initializer: a pool calls it in each of its workers, before the first task."""
    number = worker_number()
    prctl.set_name(f"pool-{number}")  # "ForkServerPoolWorker-1" would lose its number: 15 bytes
    prctl.set_proctitle(f"pool: worker {number} [idle]")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the master
    end_with_master()


def end_with_master() -> None:
    master = multiprocessing.parent_process()
    if master is None:
        raise RuntimeError("this process has not been started by multiprocessing")

    def end() -> None:
        wait()
        os._exit(1)

    def wait_for_another_parent() -> None:
        while os.getppid() == master.pid:  # asked first: it may be gone by now
            signal.sigwait({signal.SIGURG})

    if os.getppid() == master.pid:  # fork, spawn
        # The signal comes when the *thread* ends that has started this process, and a Pool's
        # threads do: SIGKILL here would end workers that hold a lock, and join() would hang. So
        # a thread takes the signal, one that does nothing by itself, and asks who the parent is.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})
        prctl.set_pdeathsig(signal.SIGURG)
        wait = wait_for_another_parent
    else:
        # forkserver: the parent is the server, which lives as long as its children. But there is
        # a pipe from the master, and it breaks. (It has, when this is an orphan already.)
        wait = master.join
    threading.Thread(target=end, daemon=True).start()


def worker_number() -> str:
    return multiprocessing.current_process().name.rpartition("-")[2]


def square(number: int, seconds: float) -> str:
    worker = worker_number()
    prctl.set_proctitle(f"pool: worker {worker} [{number} squared]")
    time.sleep(seconds)
    prctl.set_proctitle(f"pool: worker {worker} [idle]")
    return f"{number} squared is {number**2}, says worker {worker}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Square some numbers in two processes.")
    methods = multiprocessing.get_all_start_methods()
    parser.add_argument("--method", choices=methods, help="how to start processes")
    parser.add_argument("--executor", action="store_true", help="ProcessPoolExecutor, not Pool")
    parser.add_argument("--seconds", type=float, default=1, help="for each number; default: 1")
    options = parser.parse_args()
    method: str | None = options.method
    context = multiprocessing.get_context(method)
    prctl.set_proctitle(f"pool: master [{context.get_start_method()}]")
    tasks = [(number, options.seconds) for number in range(1, 5)]
    try:
        if options.executor:
            with ProcessPoolExecutor(2, context, start_worker) as executor:
                print(*executor.map(square, *zip(*tasks, strict=True)), sep="\n")
        else:
            with context.Pool(2, start_worker, maxtasksperchild=1) as pool:
                print(*pool.starmap(square, tasks, chunksize=1), sep="\n")
                pool.close()
                pool.join()
    except KeyboardInterrupt:
        sys.exit("interrupted")


if __name__ == "__main__":
    main()
