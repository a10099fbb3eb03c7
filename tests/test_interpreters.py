"""Interpreters: others in the same process, embedded ones, threads, reloading, and the end."""

import subprocess
import sys
import sysconfig

import pytest
import support

# ---- Importing


def test_the_module_can_be_reloaded():
    source = """
import importlib, prctl
old = prctl.capbset
importlib.reload(prctl)
assert set(prctl.capbset) == set(old)
try:
    prctl.capbset = set()
except AttributeError:
    print("live")
"""
    assert support.run_python(source) == "live\n"


def test_the_module_can_be_imported_anew():
    source = """
import sys, prctl
first = prctl.set_name
del sys.modules["prctl"], sys.modules["_prctl"]
import prctl
prctl.set_name("anew")
prctl.set_proctitle("anew")
print(open("/proc/self/comm").read().strip(), prctl.get_proctitle())
"""
    assert support.run_python(source) == "anew anew\n"


def test_the_extension_can_be_reloaded():
    source = """
import importlib, _prctl, prctl
prctl.set_proctitle("before")
importlib.reload(_prctl)
importlib.reload(prctl)
prctl.set_name("reloaded")
print(prctl.get_name(), prctl.get_proctitle(), len(prctl.ALL_CAP_NAMES) == len(prctl.ALL_CAPS))
"""
    assert support.run_python(source) == "reloaded before True\n"


def test_threads_can_import_it_at_once():
    source = """
import sys, threading
barrier, found = threading.Barrier(8), []
def work():
    barrier.wait()
    import prctl
    prctl.set_name("worker")
    with prctl.all_threads():
        prctl.set_timerslack(999)
    current = prctl.Capabilities.current
    found.append((prctl, prctl.get_name(), current() == current()))
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), {(module is sys.modules["prctl"], *rest) for module, *rest in found})
"""
    assert support.run_python(source) == "8 {(True, 'worker', True)}\n"


# ---- Other interpreters in the same process

INTERPRETERS = """
import sys, threading
try:
    import _interpreters as interpreters
except ImportError:
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        sys.exit("skip: this Python has no module of subinterpreters")

def create(own_gil):
    if sys.version_info >= (3, 13):
        return interpreters.create("isolated" if own_gil else "legacy")
    return interpreters.create(isolated=own_gil)

def run(interpreter, source):
    failure = interpreters.run_string(interpreter, source)
    if failure is not None:
        sys.exit(str(failure))
"""

IN_ANOTHER = """
import prctl
prctl.set_name("another")
assert prctl.get_name() == "another"
prctl.set_proctitle("set in another")
assert prctl.get_proctitle() == "set in another"
assert prctl.capbset == set(prctl.capbset)
assert prctl.cap_effective <= prctl.cap_permitted
try:
    prctl.capbset = set()
except AttributeError:
    pass
else:
    raise AssertionError("rebound")
"""


def run_interpreters(source):
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETERS + source],
        capture_output=True,
        text=True,
        env=support.fresh_environment(),
        timeout=60 * support.PATIENCE,
        check=False,
    )
    if done.stderr.startswith("skip: "):
        pytest.skip(done.stderr.removeprefix("skip: ").strip())
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    return done.stdout


KINDS = pytest.mark.parametrize("own_gil", [False, True], ids=["shared GIL", "isolated"])


@KINDS
def test_another_interpreter_can_use_the_module(own_gil):
    source = f"""
import prctl
run(create({own_gil}), {IN_ANOTHER!r})
print(prctl.get_name(), prctl.get_proctitle())
"""
    assert run_interpreters(source) == "another set in another\n"


@pytest.mark.kernel("command line")
@KINDS
def test_another_interpreter_can_be_the_only_user(own_gil):
    source = f"""
run(create({own_gil}), {IN_ANOTHER!r})
print(open("/proc/self/cmdline").read())
"""
    assert run_interpreters(source) == "set in another\0\n"


@KINDS
def test_the_module_outlives_another_interpreter(own_gil):
    source = f"""
import prctl
other = create({own_gil})
run(other, {IN_ANOTHER!r})
interpreters.destroy(other)
prctl.set_proctitle("afterwards")
print(prctl.get_proctitle(), prctl.cap_ambient <= prctl.cap_permitted)
"""
    assert run_interpreters(source) == "afterwards True\n"


@KINDS
def test_interpreters_can_use_the_module_at_once(own_gil):
    source = f"""
busy = '''
import prctl
for i in range(300):
    prctl.set_proctitle(f"title {{i}}")
    assert prctl.get_proctitle().startswith("title ")
    prctl.get_ptracer()
    assert prctl.cap_effective <= prctl.cap_permitted
'''
others = [create({own_gil}) for _ in range(4)]
failures = []
def use(other):
    try:
        run(other, busy)
    except BaseException as error:
        failures.append(str(error))
threads = [threading.Thread(target=use, args=(other,)) for other in others]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(failures)
"""
    assert run_interpreters(source) == "[]\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before CPython 3.12 all share one GIL")
def test_fork_succeeds_while_another_interpreter_is_busy():
    """libc's fork(): CPython's own ends in a fatal error beside another interpreter's thread."""
    source = """
import ctypes, os, signal, prctl
fork = ctypes.PyDLL(None).fork
prctl.set_proctitle("parent")
busy = '''
import prctl
for i in range(50000):
    prctl.set_proctitle("other" * 100)
    prctl.get_ptracer()
'''
thread = threading.Thread(target=run, args=(create(True), busy))
thread.start()
ends = set()
while thread.is_alive():
    pid = fork()
    if pid == 0:
        signal.alarm(600)
        prctl.set_proctitle("child")
        prctl.get_ptracer()
        os._exit(0)
    ends.add(os.waitpid(pid, 0)[1])
print(ends)
"""
    assert run_interpreters(source) == "{0}\n"


@KINDS
def test_interpreters_can_come_and_go_while_others_use_it(own_gil):
    source = f"""
import prctl
use = '''
import prctl
prctl.set_proctitle("of another")
with prctl.all_threads():
    prctl.cap_inheritable.drop("chown")
assert prctl.Capabilities.from_text("cap_chown=p").permitted == {{{{"chown"}}}}
assert prctl.launcher(no_new_privs=True)
'''
failures = []
def come_and_go():
    try:
        for _ in range(3):
            other = create({own_gil})
            run(other, use)
            interpreters.destroy(other)
    except BaseException as error:
        failures.append(repr(error))
threads = [threading.Thread(target=come_and_go) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    while thread.is_alive():
        prctl.set_proctitle("of main")
        with prctl.all_threads():
            prctl.set_timerslack(999)
        thread.join(0.001)  # else the others would wait for the GIL at each file that they import
print(failures, prctl.get_timerslack())
"""
    assert run_interpreters(source.replace("{{", "{").replace("}}", "}")) == "[] 999\n"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters is of CPython 3.14")
def test_the_module_of_interpreters_can_use_it():
    source = f"""
from concurrent import interpreters
other = interpreters.create()
other.exec({IN_ANOTHER!r})
other.close()
import prctl
print(prctl.get_proctitle())
"""
    assert support.run_python(source) == "set in another\n"


# ---- Embedded

TWICE = """
#include <Python.h>

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (int i = 0; i < 2; i++) {
        Py_InitializeEx(0);
        if (PyRun_SimpleString(
            "import prctl, threading\\n"
            "prctl.set_proctitle('turn ' + str(len(prctl.get_proctitle())))\\n"
            "thread = threading.Thread(target=prctl.set_name, args=('worker',))\\n"
            "thread.start(); thread.join()\\n"
            "with prctl.all_threads(): prctl.set_no_new_privs()\\n"
            "print(prctl.get_proctitle(), prctl.Popen(['true']).wait(), flush=True)\\n") != 0)
            return 1;
        if (Py_FinalizeEx() != 0)
            return 2;
    }
    return 0;
}
"""


@pytest.mark.kernel("memory map")
def test_an_embedded_interpreter_can_begin_anew(tmp_path):
    program = tmp_path / "twice"
    support.compile_embedding(TWICE, program)
    shown = support.run(str(program), env=support.embedded_environment())
    assert shown == f"turn {len(str(program))} 0\nturn {len(f'turn {len(str(program))}')} 0\n"


# ---- The end

ENDS = {
    "a title": "prctl.set_proctitle('title')",
    "atexit": """
import atexit
@atexit.register
def last():
    prctl.set_proctitle('at exit')
    prctl.set_name('at exit')
    print(prctl.get_proctitle())
""",
    "__del__": """
class Last:
    def __del__(self, prctl=prctl, everywhere=prctl.all_threads):
        prctl.set_proctitle('the last')
        with everywhere():
            prctl.set_timerslack(999)
        assert prctl.cap_effective <= prctl.cap_permitted
        assert prctl.get_proctitle() == 'the last'
import sys
sys.last, last = Last(), Last()
cycle = [Last()]; cycle.append(cycle)
""",
    "daemon threads": """
import threading
def work(job):
    while True:
        job()
def spread():
    with prctl.all_threads():
        prctl.set_timerslack(999)
jobs = [lambda: prctl.set_proctitle('x' * 99), prctl.get_proctitle, prctl.get_ptracer, spread]
jobs += [lambda: set(prctl.capbset), prctl.Capabilities.current, lambda: prctl.set_name('worker')]
for job in jobs:
    threading.Thread(target=work, args=(job,), daemon=True).start()
import time
time.sleep(0.05)
""",
    "an open block": "prctl.all_threads().__enter__(); prctl.set_timerslack(999)",
    "a child that lives on": "prctl.Popen(['sleep', '1000'], pdeathsig=9, stdout=-3, stderr=-3)",
}


@pytest.mark.parametrize("name", ENDS)
def test_an_interpreter_ends_well_with(name):
    source = (
        "import prctl, warnings; warnings.simplefilter('ignore', ResourceWarning)\n" + ENDS[name]
    )
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", source],
            env=support.fresh_environment(),
            capture_output=True,
            text=True,
            timeout=60 * support.PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == ("at exit\n" if name == "atexit" else "")


def test_a_thread_can_fork_a_process_that_executes_another():
    """CPython 3.12 warns of it, for what may be locked then; nothing of this library's is."""
    source = """
import os, sys, threading, prctl
CHECK = "import prctl; exit(not prctl.get_no_new_privs())"
prctl.all_threads  # what is being imported when a thread forks is never there for the child
stop = threading.Event()
def busy():
    while not stop.is_set():
        prctl.set_proctitle("busy")
        with prctl.all_threads():
            prctl.set_timerslack(999)
def fork():
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            prctl.set_proctitle("forked")
            with prctl.all_threads():
                prctl.set_no_new_privs()
            os.execv(sys.executable, [sys.executable, "-c", CHECK])
        ends.append(os.waitpid(pid, 0)[1])
ends = []
threads = [threading.Thread(target=busy), threading.Thread(target=fork)]
for thread in threads: thread.start()
threads[1].join()
stop.set()
print(set(ends), len(ends))
"""
    assert support.run_python(source) == "{0} 20\n"


# ---- Warnings, and threads without a GIL

WORKLOAD = """
import importlib, os, sys, threading, prctl, _prctl_cli

for name in prctl.__all__:
    if name.startswith("get_"):
        try:
            getattr(prctl, name)()
        except (OSError, TypeError):  # not on this machine; or it has arguments
            pass
prctl.get_caps((prctl.ALL_CAPS, prctl.ALL_FLAGS))
prctl.set_name("workload")
prctl.set_proctitle("workload")
for live in map(vars(prctl).get, prctl._LIVE[:5]):
    repr(live), len(live), live <= set(prctl.ALL_CAP_NAMES), "kill" in live, live | {"kill"}
repr(prctl.securebits)
with prctl.cap_effective.raised():
    pass

wrong = [
    lambda: prctl.set_name(5),
    lambda: prctl.cap_effective.drop("no such"),
    lambda: prctl.set_pdeathsig(-1),
    lambda: prctl.Capabilities.from_text("no"),
    lambda: prctl.Popen(["/no/such"], pdeathsig=9),
    lambda: prctl.no_such_name,
    lambda: prctl.drop_privileges("no such user"),
    lambda: prctl.prctl(99999),
]
for call in wrong:
    try:
        call()
    except (TypeError, ValueError, OSError, AttributeError, KeyError):
        continue
    raise AssertionError(call)

value = prctl.Capabilities.current()
assert prctl.Capabilities.from_text(str(value)) == value
prctl.Capabilities.from_file(sys.executable)
with prctl.Popen(["cat"], stdin=-1, stdout=-1, no_new_privs=True, pdeathsig=9) as process:
    process.communicate(b"x")
thread = threading.Thread(target=lambda: prctl.Popen(["true"], pdeathsig=9).wait())
thread.start()
thread.join()
prctl.launcher(no_new_privs=True)
with prctl.all_threads():
    prctl.set_timerslack(999)
    prctl.cap_permitted.drop("net_raw")
importlib.reload(prctl)
_prctl_cli.main(["--json"])
_prctl_cli.main([])
ids = (os.getuid(), os.getgid()) if os.getuid() else (65534, 65534)
prctl.drop_privileges(*ids, groups=os.getgroups())
"""


def test_a_workload_in_development_mode_warns_of_nothing():
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", WORKLOAD]
    done = subprocess.run(
        command, env=support.fresh_environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")
def test_an_import_leaves_the_gil_off():
    source = (
        "import sys, prctl, _prctl; prctl.Popen, prctl.Capabilities; print(sys._is_gil_enabled())"
    )
    assert support.run_python(source) == "False\n"


STRESS = """
import sys, threading, prctl
shared, raised = prctl.Capabilities.current(), prctl.cap_effective.raised()
failures, start = [], threading.Barrier(ROUNDS_THREADS)

def spread():
    with prctl.all_threads():
        prctl.set_timerslack(999)
        prctl.cap_inheritable.drop("chown")

def use_shared():
    assert str(shared) == str(prctl.Capabilities.from_text(str(shared)))
    assert hash(shared) == hash(prctl.Capabilities.from_text(str(shared)))
    with raised:
        with raised:
            pass

def title():
    prctl.set_proctitle("a title" * 20)
    assert set(prctl.get_proctitle().split("a title")) == {""}

def name():
    own = f"w{threading.get_native_id()}"
    prctl.set_name(own)
    assert prctl.get_name() == own

def sets():
    prctl.cap_effective.drop("net_raw")
    assert "net_raw" not in prctl.cap_effective
    assert prctl.cap_ambient <= prctl.cap_permitted
    prctl.get_caps((prctl.ALL_CAPS, prctl.ALL_FLAGS))

def names():
    for each in "set_mce_kill", "SECBIT_NOROOT", "get_tsc", "launcher", "__all__":
        vars(prctl).pop(each, None)
        getattr(prctl, each)

def child():
    assert prctl.Popen(["true"], pdeathsig=9, no_new_privs=True).wait() == 0
    prctl.launcher(no_new_privs=True)

JOBS = [(spread, 20), (use_shared, 200), (title, 500), (name, 500), (sets, 200), (names, 100)]
JOBS.append((child, 3))

def work(job, rounds):
    try:
        start.wait()
        for _ in range(rounds):
            job()
    except BaseException as error:
        failures.append(f"{job.__name__}: {error!r}")

threads = [threading.Thread(target=work, args=job) for job in JOBS * 3]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(failures)
""".replace("ROUNDS_THREADS", "21")


@pytest.mark.kernel("threads")
def test_many_threads_can_use_everything_at_once():
    assert support.run_python(STRESS, timeout=120) == "[]\n"
