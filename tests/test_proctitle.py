"""The title, in /proc/PID/cmdline and ps; what it must leave alone; and its fallbacks."""

import ast
import ctypes
import json
import os
import platform
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

import _prctl
import prctl

LIMIT = 4095  # bytes
EPERM, EINVAL = 1, 22
SET_MM, ARG_START, ARG_END, MM_MAP, MAP_SIZE = 35, 8, 9, 14, 15


def read(path):
    with open(path, "rb") as file:
        return file.read()


def shown_after(*titles):
    for title in titles:
        prctl.set_proctitle(title)
    return support.cmdline()


# ---- What is shown

TITLES = {
    "a word": ("webd", b"webd"),
    "several": ("webd: worker 1 GET /index.html", b"webd: worker 1 GET /index.html"),
    "empty": ("", b""),
    "empty bytes": (b"", b""),
    "bytes": (b"webd", b"webd"),
    "no UTF-8": (b"\xff\xfe caf\xe9", b"\xff\xfe caf\xe9"),
    "surrogates": ("\udcff\udcfe", b"\xff\xfe"),
    "not ASCII": ("caf\xe9 \u20ac \U0001f40d", "caf\xe9 \u20ac \U0001f40d".encode()),
    "control characters": ("a\nb\tc\x7f", b"a\nb\tc\x7f"),
    "a blank": (" ", b" "),
    "just fits": ("x" * LIMIT, b"x" * LIMIT),
    "one too long": ("x" * (LIMIT + 1), b"x" * LIMIT),
    "much too long": ("x" * 1_000_000, b"x" * LIMIT),
    "bytes too long": (b"x" * 5000, b"x" * LIMIT),
    "two bytes each": ("\xe9" * 3000, b"\xc3\xa9" * 2047),
    "two bytes each, odd": ("a" + "\xe9" * 3000, b"a" + b"\xc3\xa9" * 2047),
    "three bytes each": ("\u20ac" * 3000, b"\xe2\x82\xac" * 1365),
    "four bytes each": ("\U0001f40d" * 3000, b"\xf0\x9f\x90\x8d" * 1023),
    "surrogates too long": ("\udcff" * 5000, b"\xff" * LIMIT),
    "bytes cut in a character": ("\xe9".encode() * 3000, (b"\xc3\xa9" * 3000)[:LIMIT]),
}


@pytest.mark.kernel("command line")
@pytest.mark.parametrize(("title", "expected"), TITLES.values(), ids=TITLES)
def test_the_command_line_is_the_title_and_one_nul(title, expected, user):
    assert support.in_child(shown_after, title, user=user) == expected + b"\0"


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        pytest.param(
            *row, id=name, marks=pytest.mark.kernel("memory map") if len(row[1]) > 30 else ()
        )
        for name, row in TITLES.items()
    ],
)
def test_get_proctitle_gives_what_is_shown(title, expected, user):
    def get():
        prctl.set_proctitle(title)
        return prctl.get_proctitle()

    assert support.in_child(get, user=user) == os.fsdecode(expected)


@pytest.mark.kernel("command line")
@pytest.mark.parametrize(
    "titles",
    [("long" * 500, "short"), ("short", "long" * 500), ("long" * 2000, ""), ("", "", "x")],
    ids=["shorter", "longer", "to empty", "from empty"],
)
def test_only_the_last_title_is_shown(titles, user):
    expected = titles[-1].encode()[:LIMIT] + b"\0"
    assert support.in_child(shown_after, *titles, user=user) == expected


titles = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3000),
    st.binary(max_size=LIMIT + 10).map(lambda data: data.replace(b"\0", b"")),
)


@pytest.mark.kernel("command line")
@settings(max_examples=60)
@given(st.lists(titles, min_size=1, max_size=4))
def test_any_title_is_shown_as_far_as_it_fits(several):
    last = several[-1]
    shown = support.in_child(shown_after, *several)
    assert shown.endswith(b"\0")
    if isinstance(last, bytes):
        assert shown[:-1] == last[:LIMIT]
    else:
        whole = last.encode()
        assert shown[:-1].decode() == last[: len(shown[:-1].decode())]
        assert len(whole) <= LIMIT or len(shown) > LIMIT - 4


@pytest.mark.kernel("command line")
def test_ps_shows_the_title(user):
    ps = support.tool("ps")

    def show():
        prctl.set_proctitle("webd: serving")
        return support.run(ps, "-ww", "-o", "args=", "-p", str(os.getpid()))

    assert support.in_child(show, user=user).rstrip("\n") == "webd: serving"


def test_the_name_of_the_thread_stays(user):
    def names():
        before = read("/proc/self/comm")
        prctl.set_proctitle("webd: serving")
        return before == read("/proc/self/comm")

    assert support.in_child(names, user=user)


@pytest.mark.parametrize("title", ["a\0b", b"a\0b", "\0", "x" * 5000 + "\0", b"x" * 5000 + b"\0"])
def test_a_nul_is_a_value_error(title):
    with pytest.raises(ValueError, match="title"):
        prctl.set_proctitle(title)


@pytest.mark.parametrize("title", [None, 5, ["webd"], bytearray(b"webd"), memoryview(b"webd")])
def test_another_type_is_a_type_error(title):
    with pytest.raises(TypeError, match="title"):
        prctl.set_proctitle(title)


def test_a_title_that_no_encoding_has_is_a_value_error():
    with pytest.raises(ValueError, match="surrogate"):
        prctl.set_proctitle("\ud800")


@pytest.mark.parametrize("bad", ["a\0b", 5, "\ud800", "x" * 5000 + "\0"], ids=str)
@pytest.mark.parametrize("first", [None, "first"])
def test_a_bad_title_changes_nothing(bad, first, user):
    def attempt():
        if first is not None:
            prctl.set_proctitle(first)
        before = support.cmdline()
        with pytest.raises((TypeError, ValueError)):
            prctl.set_proctitle(bad)
        return before, support.cmdline()

    before, after = support.in_child(attempt, user=user)
    assert after == before


# ---- What stays as it was


def stat_fields(first, last):
    """Numbers of proc_pid_stat(5), counted as there."""
    fields = read("/proc/self/stat").rpartition(b")")[2].split()  # the first is number 3
    return [int(field) for field in fields[first - 3 : last - 2]]


def areas():
    """Where the kernel has seen argv and the environment: (start, end) of both."""
    return stat_fields(48, 49), stat_fields(50, 51)


def memory(start, end):
    return ctypes.string_at(start, end - start)


KEPT = {
    "/proc/self/environ": lambda places: read("/proc/self/environ"),
    "os.environ": lambda places: dict(os.environ),
    "sys.argv": lambda places: list(sys.argv),
    "sys.orig_argv": lambda places: list(sys.orig_argv),
    "the C argv": lambda places: memory(*places[0]),
    "the C environment": lambda places: memory(*places[1]),
    "the code and the stack": lambda places: stat_fields(25, 28),
    "the data and the start of the heap": lambda places: stat_fields(45, 47),
    "where the environment is": lambda places: stat_fields(50, 51),
}


def kept(look, *titles):
    support.kernel_prctl(4, 1)  # PR_SET_DUMPABLE: a change of user has made environ root's
    places = areas()
    before = look(places)
    for title in titles:
        prctl.set_proctitle(title)
    return before == look(places)


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(
            look, id=name, marks=pytest.mark.kernel("stat addresses") if "C" in name else ()
        )
        for name, look in KEPT.items()
    ],
)
def test_the_title_leaves_it_as_it_was(look, user):
    assert support.in_child(kept, look, "y" * LIMIT, "", user=user)


def test_the_heap_can_grow_and_shrink_afterwards(user):
    def move():
        prctl.set_proctitle("webd")
        before = support.system_call("brk", 0)  # musl's sbrk() only answers
        after = support.system_call("brk", before + (1 << 20))
        ctypes.memset(before, 1, 1 << 20)
        return after - before, support.system_call("brk", before) - before

    assert support.in_child(move, user=user) == (1 << 20, 0)


# ---- Whatever has become of the environment


def clear_in_libc():
    ctypes.CDLL(None).clearenv()


def fill_environment():
    os.environ.update({f"PRCTL_TEST_{i}": "x" * i for i in range(500)})


def replace_environ():
    """As a program that embeds Python may have done."""
    array = (ctypes.c_char_p * 2)(b"A=B", None)
    libc = ctypes.CDLL(None)
    ctypes.c_void_p.in_dll(libc, "environ").value = ctypes.addressof(array)
    fill_environment()


ENVIRONMENTS = [os.environ.clear, clear_in_libc, fill_environment, replace_environ]


@pytest.mark.kernel("command line")
@pytest.mark.parametrize("change", ENVIRONMENTS)
def test_the_title_is_exact_after_a_change_of_the_environment(change, user):
    def show():
        change()
        return shown_after("z" * 3000)

    assert support.in_child(show, user=user) == b"z" * 3000 + b"\0"


@pytest.mark.parametrize("change", ENVIRONMENTS)
def test_a_changed_environment_stays_as_it_is(change, user):
    def both():
        change()
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_char_p
        before = dict(os.environ), getenv(b"PRCTL_TEST_7")
        prctl.set_proctitle("z" * 3000)
        return before == (dict(os.environ), getenv(b"PRCTL_TEST_7"))

    assert support.in_child(both, user=user)


# ---- However the process was started

SHOW = """
import json, sys, prctl
def cmdline():
    with open("/proc/self/cmdline", "rb") as file:
        return file.read().hex()
before = prctl.get_proctitle(), cmdline()
prctl.set_proctitle("started " + "x" * 1000)
print(json.dumps([before, cmdline(), prctl.get_proctitle(), sys.argv]))
"""
TITLE = "started " + "x" * 1000


def script(folder):
    path = folder / "titled.py"
    path.write_text(SHOW)
    return path


STARTS = {
    "-c": lambda folder: [sys.executable, "-c", SHOW, "an argument", "--option"],
    "-c, alone": lambda folder: [sys.executable, "-c", SHOW],
    "a script": lambda folder: [sys.executable, str(script(folder)), "argument"],
    "-m": lambda folder: [sys.executable, "-m", script(folder).stem, "argument"],
    "not UTF-8": lambda folder: [sys.executable, "-c", SHOW, b"\xff\xfe", b"caf\xe9"],
    "empty arguments": lambda folder: [sys.executable, "-c", SHOW, "", "", ""],
    "64 KiB": lambda folder: [sys.executable, "-c", SHOW, "x" * 65536],
    "2000 arguments": lambda folder: [sys.executable, "-c", SHOW, *map(str, range(2000))],
    "isolated": lambda folder: [sys.executable, "-I", "-c", SHOW],
}


def start(kind, folder):
    command = STARTS[kind](folder)
    environment = support.fresh_environment()
    if kind == "-m":
        environment["PYTHONPATH"] = str(folder)
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    (title, before), after, _, argv = json.loads(done.stdout)
    return command, title, bytes.fromhex(before), bytes.fromhex(after), argv


@pytest.mark.kernel("command line")
@pytest.mark.parametrize("kind", STARTS)
def test_the_title_replaces_the_command_line(kind, tmp_path):
    *_, after, _ = start(kind, tmp_path)
    assert after == TITLE.encode() + b"\0"


@pytest.mark.parametrize("kind", STARTS)
def test_before_the_first_title_the_arguments_are_shown_with_spaces(kind, tmp_path):
    command, title, *_ = start(kind, tmp_path)
    assert title == os.fsdecode(b" ".join(map(os.fsencode, command)))


@pytest.mark.parametrize("kind", STARTS)
def test_asking_for_the_title_changes_nothing(kind, tmp_path):
    command, _, before, *_ = start(kind, tmp_path)
    assert before == b"".join(os.fsencode(argument) + b"\0" for argument in command)


NO_ARGUMENTS = """
#include <stdio.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv)
{
    char *none[] = {NULL};
    (void)argc;
    execve(argv[1], none, environ);
    perror(argv[1]);
    return 1;
}
"""


def started_without_arguments(folder, source):
    """Run source in a Python that was started with an empty argv; standard input brings it."""
    program = folder / "no_arguments"
    support.compile_c(NO_ARGUMENTS, program)
    places = {str(Path(module.__file__).parent) for module in (prctl, _prctl, support)}
    environment = support.fresh_environment(PYTHONPATH=os.pathsep.join([*places, *sys.path]))
    environment |= {"PYTHONHOME": os.pathsep.join([sys.base_prefix, sys.base_exec_prefix])}
    python = os.path.realpath(sys.executable)
    done = subprocess.run(
        [program, python],
        input=source,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    return json.loads(done.stdout)


@pytest.mark.kernel("command line")
def test_a_process_without_arguments_can_have_a_title(tmp_path):
    _, after, title, _ = started_without_arguments(tmp_path, SHOW)
    assert (bytes.fromhex(after), title) == (TITLE.encode() + b"\0", TITLE)


@pytest.mark.kernel("first argument")
def test_the_title_of_a_process_without_arguments_is_empty(tmp_path):
    (title, _), *_ = started_without_arguments(tmp_path, SHOW)
    assert title == ""


EMBEDDING = """
#include <Python.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

int main(int argc, char **argv)
{
    char *copies[16] = {0};
    char *variables[] = {strdup(getenv("HOMES")), strdup(getenv("PATHS")), NULL};
    int failed, same_order;

    for (int i = 0; i < argc && i < 16; i++)
        copies[i] = strdup(argv[i]);
    if (getenv("REVERSE_ARGV"))
        for (int i = 1; i < argc / 2; i++) {
            char *other = argv[argc - i];
            argv[argc - i] = argv[i];
            argv[i] = other;
        }
    if (getenv("NO_ARGV"))
        argv[0] = NULL;
    same_order = !getenv("REVERSE_ARGV") && !getenv("NO_ARGV");
    if (getenv("MOVE_ENVIRON"))
        environ = variables;
    Py_InitializeEx(0);
    failed = PyRun_SimpleString(
        "import prctl\\n"
        "before = prctl.get_proctitle()\\n"
        "import os; exec(os.environ.get('BEFORE_IT', ''))\\n"
        "prctl.set_proctitle('embedded ' + 'x' * 1000)\\n"
        "with open('/proc/self/cmdline') as file:\\n"
        "    print(repr((before, file.read(), prctl.get_proctitle())), flush=True)\\n");
    for (int i = 0; i < argc && i < 16; i++)
        if (same_order && strcmp(argv[i], copies[i]) != 0)
            return 3;
    return failed ? 2 : 0;
}
"""


@pytest.fixture(scope="module")
def embedding(tmp_path_factory):
    """A C program with a Python in it."""
    program = tmp_path_factory.mktemp("embedding") / "embedding"
    support.compile_embedding(EMBEDDING, program)
    return program


def embedded(program, *arguments, **variables):
    environment = support.embedded_environment()
    homes = {name: f"{key}={environment[key]}" for name, key in HOMES.items()}
    output = support.run(str(program), *arguments, env=environment | homes | variables)
    return ast.literal_eval(output)


HOMES = {"HOMES": "PYTHONHOME", "PATHS": "PYTHONPATH"}


@pytest.mark.kernel("command line", "memory map")
@pytest.mark.parametrize("change", [None, "MOVE_ENVIRON", "REVERSE_ARGV", "NO_ARGV"])
def test_an_embedded_interpreter_can_have_a_title(embedding, change):
    title = "embedded " + "x" * 1000
    changes = {change: "1"} if change else {}
    _, shown, answer = embedded(embedding, "one", "two", "three", **changes)
    assert (shown, answer) == (title + "\0", title)


NOTHING_MOVES = f"""
import sys
sys.path.insert(0, {str(Path(support.__file__).parent)!r})
import support
support.install_filter(support.refuse("prctl", 1, 35))  # PR_SET_MM
"""


@pytest.mark.kernel("command line", "seccomp filters")
def test_without_moving_a_program_that_has_lost_its_argv_has_the_kernels(embedding):
    changes = {"NO_ARGV": "1", "BEFORE_IT": NOTHING_MOVES}
    _, shown, answer = embedded(embedding, "one", "two", **changes)
    assert answer == ("embedded " + "x" * 1000)[: len(f"{embedding} one two")]
    assert shown.rstrip("\0") == answer


@pytest.mark.kernel("command line", "seccomp filters")
def test_without_moving_what_others_write_into_argv_is_no_longer_than_a_title(embedding):
    before = f"""{NOTHING_MOVES}
import ctypes
prctl.set_proctitle("short")
with open("/proc/self/stat") as file:
    arg_start = int(file.read().rpartition(")")[2].split()[48 - 3])
ctypes.memset(arg_start, ord("x"), 6000)
print(repr(prctl.get_proctitle()), flush=True)
os._exit(0)
"""
    assert embedded(embedding, "long" * 2000, BEFORE_IT=before) == "x" * 4095


def test_without_proc_and_argv_it_is_an_error(embedding, root):
    before = """
os.chroot("/dev")
errors = []
for call in lambda: prctl.set_proctitle("no place"), prctl.get_proctitle:
    try:
        call()
    except OSError as error:
        errors.append(str(error))
print(repr(errors), flush=True)
os._exit(0)
"""
    assert embedded(embedding, "one", NO_ARGV="1", BEFORE_IT=before) == [
        "[Errno 2] No such file or directory: neither can arg_start be moved nor argv be found",
        "[Errno 2] No such file or directory: /proc/self/cmdline",
    ]


@pytest.mark.kernel("memory map")
def test_an_embedded_interpreter_knows_the_programs_title(embedding):
    assert embedded(embedding, "one", "two")[0] == f"{embedding} one two"


# ---- fork and threads


@pytest.mark.kernel("command line")
def test_a_forked_child_starts_with_the_title_of_its_parent(user):
    def fork():
        prctl.set_proctitle("parent")
        return support.in_child(lambda: (prctl.get_proctitle(), support.cmdline()))

    assert support.in_child(fork, user=user) == ("parent", b"parent\0")


@pytest.mark.kernel("command line")
@pytest.mark.parametrize("first", [None, "before the fork"])
def test_parent_and_child_have_titles_of_their_own(first, user):
    def fork():
        if first is not None:
            prctl.set_proctitle(first)
        child = support.in_child(shown_after, "child")
        prctl.set_proctitle("parent")
        again = support.in_child(lambda: (support.cmdline(), shown_after("grandchild")))
        return child, support.cmdline(), again

    expected = (b"child\0", b"parent\0", (b"parent\0", b"grandchild\0"))
    assert support.in_child(fork, user=user) == expected


@pytest.mark.kernel("command line")
def test_a_thread_can_set_the_first_title(user):
    def from_a_thread():
        thread = threading.Thread(target=prctl.set_proctitle, args=("from a thread",))
        thread.start()
        thread.join()
        return support.cmdline()

    assert support.in_child(from_a_thread, user=user) == b"from a thread\0"


# What makes the break move as often as it can, in every thread.
BUSY_HEAP = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "0",
    "MALLOC_TOP_PAD_": "0",
    "MALLOC_MMAP_THRESHOLD_": "1000000",
}

FIRST_TITLE_AMONG_THREADS = """
import ctypes, os, signal, threading, time, prctl
libc = ctypes.CDLL(None)  # releases the GIL
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def child():
    stop = threading.Event()
    def allocate(size):
        while not stop.is_set():
            place = libc.malloc(size)
            libc.memset(place, 1, size)
            libc.free(place)
    def set_title(number):
        for i in range(10):
            prctl.set_proctitle(f"thread {number}, title {i}")
    allocators = [threading.Thread(target=allocate, args=(64000 + 4096 * i,)) for i in range(8)]
    setters = [threading.Thread(target=set_title, args=(i,)) for i in range(8)]
    for thread in allocators:
        thread.start()
    time.sleep(0.002)
    for thread in setters:
        thread.start()
    for thread in setters:
        thread.join()
    stop.set()
    for thread in allocators:
        thread.join()
    prctl.set_proctitle("all done")
    with open("/proc/self/cmdline") as file:
        return file.read() == "all done\\0"

ends = {}
for _ in range(12):
    pid = os.fork()
    if pid == 0:
        signal.alarm(600)
        os._exit(0 if child() else 9)
    status = os.waitpid(pid, 0)[1]
    ends[status] = ends.get(status, 0) + 1
print(ends)
"""


@pytest.mark.kernel("command line")
def test_eight_threads_set_titles_while_others_allocate():
    """The first title moves the break to where it is: it must not have moved in between."""
    environment = support.fresh_environment(**BUSY_HEAP)
    assert support.run_python(FIRST_TITLE_AMONG_THREADS, env=environment) == "{0: 12}\n"


COMPILED_CHURN = """
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static volatile int stop;
static pthread_t threads[2];

static void *churn(void *size)
{
    while (!stop)
        free(memset(malloc((size_t)size), 1, (size_t)size));
    return NULL;
}

void churn_start(void)
{
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, churn, (void *)(64000UL + 4096 * i));
}

void churn_stop(void)
{
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}
"""


def test_the_first_title_leaves_the_heap_of_busy_threads_whole(tmp_path):
    library = tmp_path / "churn.so"
    support.compile_c(COMPILED_CHURN, library, "-O0", "-shared", "-fPIC", "-pthread")
    source = f"""
import ctypes, os, signal, time, prctl
churn = ctypes.CDLL({str(library)!r})
ends = {{}}
for _ in range({support.rounds(250)}):
    pid = os.fork()
    if pid == 0:
        signal.alarm(600)
        churn.churn_start()
        time.sleep(0.0005)
        prctl.set_proctitle("among others")
        time.sleep(0.001)
        churn.churn_stop()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    ends[status] = ends.get(status, 0) + 1
print(ends)
"""
    environment = support.fresh_environment(**BUSY_HEAP)
    assert support.run_python(source, env=environment) == f"{{0: {support.rounds(250)}}}\n"


# ---- What it costs

STEPS = """
import prctl
longest, encoded = "x" * 4095, "\xe9" * 100
step("first")
prctl.set_proctitle("first")
step("second")
prctl.set_proctitle("second, and longer")
step("long")
prctl.set_proctitle(longest)
step("not ASCII")
prctl.set_proctitle(encoded)
step("get")
prctl.get_proctitle()
step("end")
"""


@pytest.fixture(scope="module")
def steps():
    return support.traced_steps(STEPS, "all")


@pytest.mark.parametrize("step", ["second", "long", "not ASCII", "get"])
def test_no_later_call_makes_a_system_call(step, steps):
    assert steps[step] == []


def test_the_first_call_has_each_other_thread_stand_still():
    source = """
import threading, prctl
done = threading.Event()
for _ in range(3):
    threading.Thread(target=done.wait).start()
step("first")
prctl.set_proctitle("first")
step("end")
done.set()
"""
    calls = support.traced_steps(source, "rt_tgsigqueueinfo")["first"]
    assert len([call for call in calls if call.startswith("rt_tgsigqueueinfo(")]) == 3


@pytest.mark.parametrize("threads", [0, 3])
def test_the_first_call_leaves_descriptors_and_signals_as_they_were(threads, user):
    def state():
        fields = support.status()
        signals = {
            name: fields[name] for name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")
        }
        return signals, os.listdir("/proc/self/fd")

    def both():
        done = threading.Event()
        others = [threading.Thread(target=done.wait) for _ in range(threads)]
        for thread in others:
            thread.start()
        before = state()
        prctl.set_proctitle("webd")
        after = state()
        done.set()
        for thread in others:
            thread.join()
        return before, after

    before, after = support.in_child(both, user=user)
    assert after == before


# ---- Where the kernel refuses: the fallbacks


def refuse(errno, *arguments):
    support.install_filter(support.refuse("prctl", errno, SET_MM, *arguments))


ROOM = len(read("/proc/self/cmdline")) - 1  # bytes that the argv of this process can hold
needs_room = pytest.mark.skipif(ROOM < 10, reason="this process has a very short command line")

CUTS = {
    "short": ("webd", b"webd"),
    "one character": ("w", b"w"),
    "empty": ("", b""),
    "just fits": ("x" * ROOM, b"x" * ROOM),
    "one less": ("x" * (ROOM - 1), b"x" * (ROOM - 1)),
    "one more": ("x" * (ROOM + 1), b"x" * ROOM),
    "much longer": ("x" * 5000, b"x" * min(ROOM, LIMIT)),
    "longer bytes": (b"x" * 5000, b"x" * min(ROOM, LIMIT)),
    "between characters": ("\xe9" * ROOM, b"\xc3\xa9" * (ROOM // 2)),
    "between characters, odd": ("a" + "\xe9" * ROOM, b"a" + b"\xc3\xa9" * ((ROOM - 1) // 2)),
    "not ASCII, short": ("caf\xe9", b"caf\xc3\xa9"),
}
ERRORS = pytest.mark.parametrize("errno", [EPERM, EINVAL])


def in_refused(errno, function, *args, user=False):
    def child():
        refuse(errno)
        return function(*args)

    return support.in_child(child, user=user)


@needs_room
@ERRORS
@pytest.mark.parametrize(("title", "expected"), CUTS.values(), ids=CUTS)
def test_without_moving_the_title_is_cut_to_the_length_of_argv(title, expected, errno, user):
    assert in_refused(errno, shown_after, title, user=user) == expected + b"\0"


@needs_room
@pytest.mark.parametrize(("title", "expected"), CUTS.values(), ids=CUTS)
def test_without_moving_get_proctitle_gives_what_is_shown(title, expected, user):
    def get():
        prctl.set_proctitle(title)
        return prctl.get_proctitle()

    assert in_refused(EPERM, get, user=user) == os.fsdecode(expected)


@needs_room
@pytest.mark.parametrize(
    "several",
    [
        ("x" * ROOM, "w"),
        ("w", "x" * ROOM),
        ("x" * ROOM, "w", "y" * ROOM, ""),
        ("", "x" * ROOM, "w"),
    ],
    ids=["shorter", "longer", "in turn", "in another turn"],
)
def test_without_moving_only_the_last_title_is_shown(several, user):
    expected = several[-1].encode() + b"\0"
    assert in_refused(EPERM, shown_after, *several, user=user) == expected


@pytest.mark.parametrize("name", [name for name in KEPT if name != "the C argv"])
def test_without_moving_the_title_leaves_the_rest_as_it_was(name, user):
    assert in_refused(EPERM, kept, KEPT[name], "y" * LIMIT, user=user)


@ERRORS
def test_without_moving_ps_shows_the_title(errno):
    ps = support.tool("ps")

    def show():
        prctl.set_proctitle("webd")
        return support.run(ps, "-ww", "-o", "args=", "-p", str(os.getpid()))

    assert in_refused(errno, show).rstrip("\n") == "webd"


def test_without_moving_parent_and_child_have_titles_of_their_own(user):
    def fork():
        child = support.in_child(shown_after, "child")
        prctl.set_proctitle("parent")
        return child, support.cmdline(), support.in_child(support.cmdline)

    assert in_refused(EPERM, fork, user=user) == (b"child\0", b"parent\0", b"parent\0")


def test_a_later_refusal_does_not_matter(user):
    def refuse_afterwards():
        prctl.set_proctitle("first")
        refuse(EPERM)
        return shown_after("x" * LIMIT)

    assert support.in_child(refuse_afterwards, user=user) == b"x" * LIMIT + b"\0"


@pytest.fixture
def moved_by_field(root):
    support.needs(24, "CAP_SYS_RESOURCE")


# The map is refused, or there are no maps at all.
NO_MAPS = pytest.mark.parametrize(
    "refusal", [(EPERM, MM_MAP), (EINVAL, MM_MAP), (EINVAL, MAP_SIZE)]
)


@pytest.mark.usefixtures("moved_by_field")
@NO_MAPS
@pytest.mark.parametrize(("title", "expected"), TITLES.values(), ids=TITLES)
def test_without_the_whole_map_the_ends_are_moved_one_by_one(title, expected, refusal):
    def show():
        refuse(*refusal)
        return shown_after("before", title)

    assert support.in_child(show) == expected + b"\0"


@pytest.mark.usefixtures("moved_by_field")
@NO_MAPS
def test_without_the_whole_map_ps_shows_the_title(refusal):
    ps = support.tool("ps")

    def show():
        refuse(*refusal)
        prctl.set_proctitle("webd: serving")
        return support.run(ps, "-ww", "-o", "args=", "-p", str(os.getpid()))

    assert support.in_child(show).rstrip("\n") == "webd: serving"


@pytest.mark.usefixtures("moved_by_field")
@NO_MAPS
@pytest.mark.parametrize("name", KEPT)
def test_without_the_whole_map_the_title_leaves_the_rest_as_it_was(name, refusal):
    def show():
        refuse(*refusal)
        return kept(KEPT[name], "y" * LIMIT, "")

    assert support.in_child(show)


# The kernel refuses the map and, here, only pretends to move the ends: {end: errno}.
ENDS = """
import sys
sys.path.insert(0, {tests!r})
import prctl, support
if {low}:
    map = prctl.get_mm_map()
    prctl.set_mm_map(map._replace(arg_start=map.start_code, arg_end=map.start_code + 1))
prctl.set_no_new_privs()
for field, errno in {answers!r}.items():
    program = support.refuse("prctl", errno, 35, field)
    prctl.set_seccomp(prctl.SECCOMP_MODE_FILTER, program)
with open("/proc/self/stat") as file:
    fields = file.read().rpartition(")")[2].split()
step(fields[48 - 3] + " " + fields[49 - 3])
step("set")
prctl.set_proctitle("pretended")
step("end")
"""


def moves(answers):
    """What the first call asks PR_SET_MM to change: [(field, address)]."""
    return moves_from(False, answers)[1]


def moves_from(low, answers):
    """The same, behind where the ends have been: {field: address}; low is below other memory."""
    source = ENDS.format(tests=str(Path(support.__file__).parent), low=low, answers=answers)
    steps = support.traced_steps(source, "prctl")
    ends, calls = next(step for step in steps if " " in step), steps["set"]
    found = [re.match(r"prctl\((?:0x23|35), (\w+), (\w+)", call) for call in calls]
    made = [(int(call[1], 0), int(call[2], 0)) for call in found if call]
    before = dict(zip((ARG_START, ARG_END), map(int, ends.split()), strict=True))
    return before, [(field, address) for field, address in made if field != MAP_SIZE]


def test_the_ends_are_moved_when_the_map_is_refused():
    fields = [field for field, _ in moves({MM_MAP: EPERM, ARG_START: 0, ARG_END: 0})]
    assert fields[0] == MM_MAP
    assert sorted(fields[1:]) == [ARG_START, ARG_END]


def test_the_ends_alone_are_moved_where_the_kernel_takes_no_maps():
    fields = [field for field, _ in moves({MAP_SIZE: EINVAL, ARG_START: 0, ARG_END: 0})]
    assert sorted(fields) == [ARG_START, ARG_END]


def test_no_thread_is_sent_a_signal_where_the_kernel_takes_no_maps(user):
    """Emulators take none, and have a thread of their own that would never answer."""

    def show():
        worker = support.Worker()
        worker(support.block_libc_signal)
        refuse(EINVAL, MAP_SIZE)
        prctl.set_proctitle("webd")
        return support.status(tid=worker.tid)["SigPnd"]

    assert support.in_child(show, user=user) == "0" * 16


def test_the_ends_enclose_one_page_and_the_byte_behind_it():
    ends = dict(moves({MM_MAP: EPERM, ARG_START: 0, ARG_END: 0}))
    page = os.sysconf("SC_PAGESIZE")
    assert (ends[ARG_START] % page, ends[ARG_END] - ends[ARG_START]) == (0, page + 1)


def test_the_second_end_stays_when_the_first_is_refused():
    made = moves({MM_MAP: EPERM, ARG_START: EPERM, ARG_END: 0})
    assert [field for field, _ in made] == [MM_MAP, ARG_START]


def test_the_first_end_is_put_back_when_the_second_is_refused():
    first, second = [field for field, _ in moves({MM_MAP: EPERM, ARG_START: 0, ARG_END: 0})[1:]]
    made = moves({MM_MAP: EPERM, first: 0, second: EPERM})[1:]
    assert [field for field, _ in made] == [first, second, first]
    assert made[2][1] != made[0][1]


@pytest.mark.kernel("command line", "seccomp filters")
def test_argv_is_overwritten_when_the_second_end_is_refused(user):
    def show():
        for number, field in (EPERM, MM_MAP), (0, ARG_START), (EPERM, ARG_END):
            refuse(number, field)
        return shown_after("webd")

    assert support.in_child(show, user=user) == b"webd\0"


@pytest.mark.kernel("memory map")
@pytest.mark.parametrize("low", [False, True], ids=["down", "up"])
def test_the_start_is_never_behind_the_end_whether_they_move_up_or_down(low):
    first, second = (ARG_END, ARG_START) if low else (ARG_START, ARG_END)
    before, made = moves_from(low, {MM_MAP: EPERM, first: 0, second: EPERM})
    assert [field for field, _ in made] == [MM_MAP, first, second, first]
    assert dict(made[1:3])[ARG_START] < dict(made[1:3])[ARG_END]
    assert made[3] == (first, before[first])


def in_empty_root(function, folder, *args):
    """Call function without /proc; what it returns, and the command line, by a descriptor of it."""

    def child():
        line = os.open(support.cmdline_path(), os.O_RDONLY)
        os.chroot(folder)
        os.chdir("/")
        result = function(*args)
        return result, os.pread(line, 8192, 0)

    return support.in_child(child)


@pytest.fixture
def without_proc(root, tmp_path):
    if not support.capability_mask("CapEff") >> 18 & 1:
        pytest.skip("root lacks CAP_SYS_CHROOT in this container")
    return tmp_path


needs_argv = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="this libc does not tell a library where argv is"
)


@pytest.mark.kernel("command line")
@needs_room
@needs_argv
@pytest.mark.parametrize(("title", "expected"), CUTS.values(), ids=CUTS)
def test_without_proc_the_title_is_cut_to_the_length_of_argv(title, expected, without_proc):
    _, shown = in_empty_root(prctl.set_proctitle, without_proc, title)
    assert shown == expected + b"\0"


@needs_argv
def test_without_proc_get_proctitle_knows_the_arguments(without_proc):
    expected = os.fsdecode(read("/proc/self/cmdline")[:-1].replace(b"\0", b" "))
    assert in_empty_root(prctl.get_proctitle, without_proc)[0] == expected


def test_without_proc_a_libc_that_does_not_tell_argv_makes_the_title_an_error(without_proc):
    if platform.libc_ver()[0] == "glibc":
        pytest.skip("glibc tells a library where argv is")
    with pytest.raises(FileNotFoundError, match="neither can arg_start be moved nor argv be found"):
        in_empty_root(prctl.set_proctitle, without_proc, "x")


@pytest.mark.kernel("command line")
def test_a_chroot_after_the_first_title_does_not_matter(without_proc):
    def chroot():
        prctl.set_proctitle("first")
        return in_empty_root(prctl.set_proctitle, without_proc, "x" * LIMIT)[1]

    assert support.in_child(chroot) == b"x" * LIMIT + b"\0"


@pytest.mark.kernel("command line")
def test_a_process_that_is_not_dumpable_can_have_a_title(user):
    def show():
        line = os.open(support.cmdline_path(), os.O_RDONLY)
        prctl.set_dumpable(False)
        prctl.set_proctitle("z" * 3000)
        return os.pread(line, 8192, 0)

    assert support.in_child(show, user=user) == b"z" * 3000 + b"\0"


NO_WAY = """
import errno, json, prctl, support
prctl.set_no_new_privs()
prctl.set_seccomp(prctl.SECCOMP_MODE_FILTER, support.refuse("prctl", 1, 35))
before = support.cmdline().hex()
try:
    prctl.set_proctitle({title!r})
except OSError as error:
    print(json.dumps([errno.errorcode[error.errno], str(error), before == support.cmdline().hex()]))
"""


@pytest.mark.kernel("first argument", "seccomp filters")
@pytest.mark.parametrize("title", ["webd", "", b"", "x" * 5000], ids=["a word", "", "b", "long"])
def test_where_there_is_no_way_it_is_an_os_error(title, tmp_path):
    name, message, same = started_without_arguments(tmp_path, NO_WAY.format(title=title))
    assert (name, same) == ("ENOTSUP", True)
    assert "arg_start" in message
