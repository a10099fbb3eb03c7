"""What calls cost beside the system calls that they make, and beside other libraries.

Run by ``./dev bench``. All of a row take turns, a few milliseconds each, so that whatever else the
machine does meets all of them, and where one thread works alone the time of the processor counts. A
figure is the median of the rounds, a ratio the median of the ratios of each round, with its
quartiles.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import environments
import report
import rows

ROUND = 2e6  # nanoseconds that a turn takes at least
FEWEST = 3  # rounds


class Live:
    """A process that times what it is asked to."""

    def __init__(self, command):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def ask(self, place, number):
        print(place, number, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self):
        self.process.communicate()


class Once:
    """A new one for each time: a process can drop its privileges only once."""

    def __init__(self, command):
        self.command = command

    def ask(self, place, number):
        live = Live(self.command)
        try:
            return live.ask(place, number)
        finally:
            live.close()

    def close(self):
        pass


TIME = """
from time import thread_time as now
start = now()
{statement}
print((now() - start) * 1e9)
"""
SIZE = """
def size():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("{field}:"))
size()
before = size()
{statement}
print(size() - before)
"""
CODES = {"import": (TIME, None), "resident": (SIZE, "Rss"), "private": (SIZE, "Anonymous")}


class Fresh:
    """A new interpreter for each time, which has imported nothing."""

    def __init__(self, python, how, statements):
        code, field = CODES[how]
        codes = [code.format(statement=statement, field=field) for statement in statements]
        self.commands = [[python, "-I", "-c", code] for code in codes]

    def ask(self, place, number):
        command = self.commands[place]
        return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    def close(self):
        pass


def start(row, name, program, statements):
    if name == "C":
        [arguments] = statements
        return Live([program, *arguments.split()])
    if row.how in CODES:
        return Fresh(program, row.how, statements)
    task = {
        "module": rows.MODULES[name],
        "how": row.how,
        "setup": row.setup,
        "clock": row.clock,
        "statements": statements,
    }
    command = [program, "-I", environments.HERE / "worker.py", json.dumps(task)]
    return Once(command) if row.how == "once" else Live(command)


def calibrate(row, worker, place):
    """How often a statement fits a turn; the first times are not counted."""
    worker.ask(place, 1)
    number = 1
    while row.how in ("loop", "thread") and worker.ask(place, number) * number < ROUND:
        number *= 2
    return number


def measure(row, starts, seconds):
    """The figures of every round by label, in nanoseconds or KiB."""
    there = {label: who for label, who in row.statements.items() if who[0] in starts}
    workers, askers = {}, {}
    try:
        for name in dict.fromkeys(name for name, _ in there.values()):
            statements = [statement for who, statement in there.values() if who == name]
            workers[name] = start(row, name, starts[name], statements)
            for label, (who, statement) in there.items():
                if who == name:
                    askers[label] = workers[name], statements.index(statement)
        numbers = {label: calibrate(row, *asker) for label, asker in askers.items()}
        calls = {label: 1 if there[label][0] == "C" else row.calls for label in there}
        figures = {label: [] for label in there}
        end = time.perf_counter() + seconds
        for turn in itertools.count():
            if turn >= FEWEST and time.perf_counter() >= end:
                return figures
            for label in sorted(there, reverse=bool(turn % 2)):
                worker, place = askers[label]
                figures[label].append(worker.ask(place, numbers[label]) / calls[label])
    finally:
        for worker in workers.values():
            worker.close()


def quartiles(values):
    return [float(f"{value:.5g}") for value in statistics.quantiles(values, method="inclusive")]


def summarize(row, figures):
    """What is kept of a row: medians, and ratios with their quartiles."""

    def ratio(label, base):
        return quartiles([a / b for a, b in zip(figures[label], figures[base], strict=True)])

    medians = {label: statistics.median(values) for label, values in figures.items()}
    peers = medians.keys() - {"prctl", rows.LIMIT, rows.BY_ATTRIBUTE}
    best = min(peers, key=medians.get, default=None)
    return {
        "what": row.what,
        "unit": "KiB" if row.how in ("resident", "private") else "ns",
        "rounds": len(figures["prctl"]),
        "medians": {label: float(f"{value:.5g}") for label, value in medians.items()},
        "to_limit": {label: ratio(label, rows.LIMIT) for label in figures if label != rows.LIMIT},
        "best_peer": best,
        "to_peer": ratio("prctl", best) if best else None,
        "at_most": row.at_most,
        "of": row.of,
    }


def machine():
    with open("/proc/cpuinfo") as file:
        models = (line.partition(":")[2] for line in file if line.startswith("model name"))
        processor = next(models, platform.machine()).strip()
    return {
        "processor": f"{os.cpu_count()} x {processor}",
        "kernel": f"Linux {platform.release().partition('-')[0]}",
        "python": f"CPython {platform.python_version()}",
        "libc": " ".join(platform.libc_ver()),
        "date": time.strftime("%Y-%m-%d"),
    }


def reason_to_leave_out(row, gib):
    if row.needs_root and os.geteuid() != 0:
        return "needs root"
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGESIZE") / 2**30
    if "resident" in row.setup and available < 1.5 * gib:
        return f"needs {1.5 * gib:g} GiB of free memory"
    return None


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.partition("\n")[0])
    parser.add_argument("row", nargs="*", help="the beginning of a row's name; all by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw them")
    parser.add_argument("--record", action="store_true", help="keep them for the documentation")
    parser.add_argument("--seconds", type=float, default=4, help="for each row (default: 4)")
    parser.add_argument("--gib", type=float, default=4, help="for the row with much memory")
    parser.add_argument("--no-peers", action="store_true", help="measure this library alone")
    parser.add_argument(
        "--build", type=Path, default="build/bench", metavar="DIR", help="for what is made"
    )
    options = parser.parse_args()
    if options.record and options.row:
        parser.error("--record keeps all rows, not some")
    chosen = [
        row
        for row in rows.table(options.gib)
        if not options.row or row.name.startswith(tuple(options.row))
    ]
    if not chosen:
        parser.error(f"no such row; there are {', '.join(r.name for r in rows.table(0))}")
    starts = environments.prepare(options.build, not options.no_peers)
    results = {"machine": machine(), "rows": {}}
    print(report.head(results["machine"]))
    for row in chosen:
        if reason := reason_to_leave_out(row, options.gib):
            print(f"{row.what:34} {reason}")
            continue
        results["rows"][row.name] = summarize(row, measure(row, starts, options.seconds))
        print(report.line(results["rows"][row.name]), flush=True)
    if options.json:
        options.json.write_text(report.as_json(results))
    if options.svg:
        options.svg.write_text(report.chart(results))
    if options.record:
        report.RESULTS.write_text(report.as_json(results))
        report.document()


if __name__ == "__main__":
    sys.exit(main())
