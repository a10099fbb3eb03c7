"""What a call costs beside the system call itself, and beside python-prctl 1.8.1.

Run by ``./dev bench``. The system calls are timed in a C loop that this program compiles; C and
Python take turns in one run, and the best round of each counts. python-prctl is built in a virtual
environment of its own; without it (no network) its rows are left out.
"""

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROUNDS = 15
CALLS = 100_000

RAW = r"""
#define _GNU_SOURCE
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
static struct __user_cap_data_struct data[2];

static void get_dumpable(void) { prctl(PR_GET_DUMPABLE, 0, 0, 0, 0); }
static void set_name(void) { prctl(PR_SET_NAME, "abc", 0, 0, 0); }
static void capget(void) { syscall(SYS_capget, &header, data); }
static void capset(void) { capget(); syscall(SYS_capset, &header, data); }

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*call)(void); } calls[] = {
        {"get_dumpable", get_dumpable}, {"set_name", set_name},
        {"capget", capget}, {"capset", capset}};
    for (int i = 0; argc > 1 && i < 4; i++) {
        struct timespec start, end;
        if (strcmp(calls[i].name, argv[1]) != 0)
            continue;
        for (int n = 0; n < 1000; n++)
            calls[i].call();
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (int n = 0; n < CALLS; n++)
            calls[i].call();
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%f\n", ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / CALLS);
    }
    return 0;
}
"""

TIMED = """
import sys, timeit
from prctl import {names}
{setup}
times = timeit.repeat({statement!r}, globals=globals(), number={calls}, repeat=3)
print(min(times) / {calls} * 1e9)
"""

IMPORT = """
import time
start = time.perf_counter()
import prctl
print((time.perf_counter() - start) * 1e9)
"""

# What is called, its raw counterpart or None for python-prctl's own, and the ratio it may have.
ROWS = [
    ("get_dumpable()", "get_dumpable", "", "get_dumpable", 1.4),
    ('set_name("abc")', "set_name", "", "set_name", 1.6),
    ("cap_effective.sys_admin", "cap_effective", "", "capget", 2.2),
    (
        "cap_effective.chown = True",
        "cap_effective, cap_permitted",
        "import os; os.geteuid() == 0 or sys.exit('needs root')",
        "capset",
        1.5,
    ),
    ('set_proctitle("worker: idle")', "set_proctitle", "set_proctitle('first')", None, 1.0),
]


def nanoseconds(*command):
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compile_raw(folder):
    source = folder / "raw.c"
    source.write_text(RAW)
    compiler = shutil.which("cc") or "gcc"
    subprocess.run([compiler, "-O2", f"-DCALLS={CALLS}", "-o", folder / "raw", source], check=True)
    return str(folder / "raw")


def install_python_prctl(folder):
    venv.create(folder / "old", with_pip=True, symlinks=True)
    python = str(folder / "old" / "bin" / "python")
    command = [python, "-m", "pip", "install", "--quiet", "python-prctl==1.8.1"]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    if found.returncode != 0:
        print(f"python-prctl cannot be installed: {found.stderr.strip().splitlines()[-1]}\n")
        return None
    return python


def compare(ours, theirs):
    """The best of both, in turns."""
    best = [float("inf")] * 2
    for _ in range(ROUNDS):
        for side, measure in enumerate((ours, theirs)):
            best[side] = min(best[side], measure())
    return best


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = compile_raw(folder)
        old = install_python_prctl(folder)
        print(f"Python {sys.version.split()[0]}; nanoseconds a call, best of {ROUNDS} rounds")
        print(f"{'':34}{'ours':>10}{'beside':>10}{'ratio':>8}{'at most':>9}")

        def report(title, ours, theirs, limit):
            mine, other = compare(ours, theirs)
            verdict = "" if mine / other <= limit else "   MISSED"
            print(f"{title:34}{mine:10.1f}{other:10.1f}{mine / other:8.2f}{limit:9.1f}{verdict}")

        for statement, names, setup, call, limit in ROWS:
            code = TIMED.format(names=names, setup=setup, statement=statement, calls=CALLS)
            if call is not None:
                report(
                    f"{statement} / C",
                    lambda code=code: nanoseconds(sys.executable, "-P", "-c", code),
                    lambda call=call: nanoseconds(raw, call),
                    limit,
                )
            elif old is not None:
                report(
                    f"{statement} / 1.8.1",
                    lambda code=code: nanoseconds(sys.executable, "-P", "-c", code),
                    lambda code=code: nanoseconds(old, "-P", "-c", code),
                    limit,
                )
        if old is not None:
            report(
                "import prctl / 1.8.1",
                lambda: nanoseconds(sys.executable, "-P", "-c", IMPORT),
                lambda: nanoseconds(old, "-P", "-c", IMPORT),
                0.8,
            )


if __name__ == "__main__":
    main()
