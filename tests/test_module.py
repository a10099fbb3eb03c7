"""The module itself: its live names, its import, its documentation, fork."""

import errno
import importlib.metadata
import inspect
import json
import operator
import os
import platform
import pydoc
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import types
from pathlib import Path

import pytest
import support

import _prctl
import prctl

SETS = ("cap_effective", "cap_permitted", "cap_inheritable", "cap_ambient", "capbset")
LIVE = (*SETS, "securebits")
FOLDERS = sorted({str(Path(module.__file__).parent) for module in (prctl, _prctl)})
CALLABLE = [name for name in prctl.__all__ if callable(getattr(prctl, name))]
OF_CHILDREN = {"Popen", "launcher"}  # they change nothing in this process

# ---- The live names


def refused(change, *args):
    """The message of the AttributeError in a child, and whether the module is as it was."""

    def child():
        before = [getattr(prctl, name) for name in LIVE]
        with pytest.raises(AttributeError) as error:
            change(prctl, *args)
        same = [
            getattr(prctl, name, None) is value for name, value in zip(LIVE, before, strict=True)
        ]
        return str(error.value), all(same)

    return support.in_child(child)


VALUES = {
    "an empty set": lambda name: set(),
    "None": lambda name: None,
    "its own copy": lambda name: set(getattr(prctl, name)) if name in SETS else object(),
    "another live one": lambda name: prctl.capbset if name != "capbset" else prctl.cap_permitted,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("name", LIVE)
def test_a_live_name_cannot_be_rebound(name, value):
    message, same = refused(setattr, name, value(name))
    assert (f"prctl.{name} is live" in message, same) == (True, True)


@pytest.mark.parametrize("name", LIVE)
def test_a_live_name_cannot_be_deleted(name):
    message, same = refused(delattr, name)
    assert (f"prctl.{name} is live" in message, same) == (True, True)


def test_another_name_can_be_bound_and_deleted():
    def run():
        prctl.another = 1
        bound = prctl.another
        del prctl.another
        return bound, hasattr(prctl, "another")

    assert support.in_child(run) == (1, False)


@pytest.mark.parametrize("name", LIVE)
def test_a_live_name_can_be_bound_to_what_it_is(name):
    setattr(prctl, name, getattr(prctl, name))


def test_the_mistake_that_would_drop_nothing_is_told_what_drops():
    assert "-=" in refused(setattr, "cap_effective", prctl.cap_effective - {"net_raw"})[0]


def test_other_names_can_be_rebound(monkeypatch):
    monkeypatch.setattr(prctl, "set_name", len)
    assert prctl.set_name("abc") == 3


def subtract():
    prctl.cap_effective -= {"kill"}


def intersect():
    prctl.cap_effective &= {"chown", "setpcap"}


def unite():
    prctl.cap_effective.clear()
    prctl.cap_effective |= {"chown", "kill"}


def toggle():
    prctl.cap_effective ^= {"kill"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (subtract, lambda before: before - {"kill"}),
        (intersect, lambda before: before & {"chown", "setpcap"}),
        (unite, lambda before: {"chown", "kill"}),
        (toggle, lambda before: before ^ {"kill"}),
    ],
    ids=["-=", "&=", "|=", "^="],
)
def test_an_in_place_operator_works_through_the_module(change, expected, root):
    def names():
        mask = support.capability_mask("CapEff")
        return {name for n, name in enumerate(prctl.ALL_CAP_NAMES) if mask >> n & 1}

    def both():
        before = names()
        change()
        return before, names()

    before, after = support.in_child(both)
    assert after == expected(before)


def test_an_in_place_operator_leaves_the_name_live(root):
    def change():
        before = prctl.cap_effective
        prctl.cap_effective -= {"kill"}
        return prctl.cap_effective is before

    assert support.in_child(change)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("operate", [operator.sub, operator.or_, operator.and_, operator.xor])
def test_a_binary_operator_gives_a_plain_set(operate, name):
    assert type(operate(getattr(prctl, name), {"kill"})) is set


# ---- What is public


def test_the_version_is_that_of_the_distribution():
    assert prctl.__version__ == importlib.metadata.version("python-prctl")


def test_every_public_name_exists():
    assert [name for name in prctl.__all__ if not hasattr(prctl, name)] == []


def test_the_live_names_are_public():
    assert set(LIVE) <= set(prctl.__all__)


def test_the_operations_on_ambient_do_not_pass_for_capabilities():
    assert [name for name in dir(prctl) if name.startswith("CAP_AMBIENT")] == []


def test_a_public_name_that_is_not_listed_is_a_class_or_a_door():
    found = {
        name
        for name, value in inspect.getmembers(prctl)
        if not name.startswith("_")
        and name not in prctl.__all__
        and getattr(value, "__module__", None) == "prctl"
    }
    assert found <= {"CapabilitySet", "Securebits"}


@pytest.mark.parametrize("name", ["set_name\0", "\0", "", "\udcff", "CAP_LAST_CAP\0", "é"])
@pytest.mark.parametrize("module", [prctl, _prctl], ids=lambda module: module.__name__)
def test_what_can_be_no_name_is_an_attribute_error(module, name):
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute"):
        getattr(module, name)


def test_a_function_or_constant_is_made_once_when_it_is_first_used():
    source = """
import prctl, _prctl
names = ["set_name", "CAP_CHOWN", "SECBIT_NOROOT", "__all__"]
print(sorted(vars(prctl).keys() & names), vars(_prctl).keys() & names)
first = [getattr(prctl, name) for name in names]
print([vars(prctl)[name] is value for name, value in zip(names, first)])
print(prctl.set_name is _prctl.set_name)
"""
    assert support.run_python(source) == "[] set()\n[True, True, True, True]\nTrue\n"


def test_everything_that_is_public_can_be_imported_at_once():
    names = {}
    exec("from prctl import *", names)
    assert set(prctl.__all__) == names.keys() - {"__builtins__"}
    assert len(prctl.__all__) == len(set(prctl.__all__))


def what_an_error_ends_with(program):
    """The last line that Python shows of an exception: the message, without notes."""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", prctl._LAZY)
def test_what_is_loaded_too_late_says_when_to_load_it(name):
    """As after a chroot(), where the installation cannot be reached any more."""
    program = "import sys, prctl; sys.path.clear(); sys.path_importer_cache.clear(); prctl." + name
    assert what_an_error_ends_with(program) == (
        f"ModuleNotFoundError: No module named '{prctl._LAZY[name]}'; "
        f"prctl.{name} is loaded when it is first named: do that before chroot()"
    )


def test_so_does_what_cannot_be_loaded_for_want_of_a_descriptor():
    said = what_an_error_ends_with("""
import resource, prctl
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
try:
    prctl.Popen
finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
""")
    assert said.startswith(f"OSError: [Errno {errno.EMFILE}] {os.strerror(errno.EMFILE)}; ")
    assert "; prctl.Popen is loaded when it is first named: do that before chroot()" in said


# ---- Documentation


@pytest.mark.parametrize("name", [name for name in CALLABLE if name not in OF_CHILDREN])
def test_a_function_documents_its_scope(name):
    text = inspect.getdoc(getattr(prctl, name))
    assert re.search(r"^Scope: (the calling thread|the whole process|any process)\b", text, re.M)


@pytest.mark.parametrize("name", [*CALLABLE, "CapabilitySet", "Securebits"])
def test_a_function_or_class_names_a_manual_page(name):
    assert re.search(r"\w\(\d\)", getattr(prctl, name).__doc__)


@pytest.mark.parametrize("name", CALLABLE)
def test_a_docstring_begins_with_one_line_of_what(name):
    first, *rest = getattr(prctl, name).__doc__.splitlines()
    assert first.endswith(".")
    assert not rest or rest[0] == ""


@pytest.mark.parametrize("name", [*CALLABLE, "prctl"])
def test_a_function_has_a_signature(name):
    assert inspect.signature(getattr(prctl, name)) is not None


@pytest.mark.parametrize(
    "name", [n for n, v in inspect.getmembers(_prctl) if callable(v) and n[0] != "_"]
)
def test_a_function_of_the_extension_has_signature_and_docstring(name):
    function = getattr(_prctl, name)
    assert inspect.signature(function) is not None
    assert function.__doc__


@pytest.mark.parametrize(
    "name",
    [n for n, v in vars(prctl.CapabilitySet).items() if inspect.isfunction(v) and n[0] != "_"],
)
def test_a_method_has_a_docstring(name):
    assert getattr(prctl.CapabilitySet, name).__doc__


def test_help_can_be_shown():
    text = pydoc.plain(pydoc.render_doc(prctl))
    assert "set_pdeathsig(signal, /)" in text


# ---- Import

IMPORT = f"""
import sys
sys.path[:0] = {FOLDERS!r}
"""


def test_import_loads_no_other_module():
    source = IMPORT + "before = set(sys.modules); import prctl; print(*set(sys.modules) - before)"
    loaded = support.run(sys.executable, "-I", "-c", source).split()
    assert sorted(loaded) == ["_prctl", "prctl"]


def test_import_asks_the_kernel_to_change_nothing():
    calls = "prctl,capset,seccomp,setuid,setgid,setresuid,setresgid,setgroups,rt_sigaction,umask"
    source = IMPORT + "step('import'); import prctl; step('end')"
    made = support.traced_steps(source, calls, python=["-I", "-S"])["import"]
    harmless = ("prctl(0x17,",)  # PR_CAPBSET_READ
    if platform.libc_ver()[0] != "glibc":
        harmless += ("rt_sigaction(34,",)  # the barrier of musl's dlopen()
    assert [call for call in made if not call.startswith(harmless)] == []


def test_import_leaves_the_process_as_it_was():
    source = """
import json, os
def state():
    kept = {}
    with open("/proc/self/status") as file:
        for line in file:
            name = line.split(":")[0]
            if not name.startswith(("Vm", "Rss", "Hugetlb", "SigQ")) and "ctxt" not in name:
                kept[name] = line
    for name in "cmdline", "environ", "comm", "limits", "timerslack_ns":
        with open(f"/proc/self/{name}", "rb") as file:
            kept[name] = str(file.read())
    return kept | {"fds": os.listdir("/proc/self/fd"), "argv": sys.argv}
before = state()
import prctl
after = state()
print(json.dumps([name for name in before if before[name] != after[name]]))
"""
    assert json.loads(support.run_python(IMPORT + source)) == []


# ---- What an old package has left behind

LEFT_OVER = """
#include <Python.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_prctl", NULL, -1, NULL};
PyMODINIT_FUNC PyInit__prctl(void)
{
    PyObject *module = PyModule_Create(&definition);
    PyModule_AddIntConstant(module, "PR_SET_NAME", 15);
    return module;
}
"""

IMPORT_OR_SAY = """
import sys
sys.path[:0] = sys.argv[1:]
try:
    import prctl
except ImportError as error:
    print(error.name, error.path, error, sep="\\n")
"""


def refusal(*folders):
    output = support.run(sys.executable, "-I", "-c", IMPORT_OR_SAY, *map(str, folders))
    return output.splitlines()


def test_a_left_over_extension_in_the_same_folder_is_named(tmp_path):
    for module in prctl, _prctl:
        shutil.copy(module.__file__, tmp_path)
    old = tmp_path / f"_prctl{sysconfig.get_config_var('EXT_SUFFIX')}"
    support.compile_c(LEFT_OVER, old, "-shared", "-fPIC", support.python_headers())
    name, path, message = refusal(tmp_path)
    assert (name, path, str(old) in message) == ("_prctl", str(old), True)


def test_a_left_over_module_in_an_earlier_folder_is_named(tmp_path):
    old = tmp_path / "_prctl.py"
    old.write_text("PR_SET_NAME = 15\n__version__ = '1.8.1'\n")
    name, path, message = refusal(tmp_path, *FOLDERS)
    assert (name, path, str(old) in message) == ("_prctl", str(old), True)


def test_the_message_says_what_to_do(tmp_path):
    (tmp_path / "_prctl.py").write_text("")
    assert "remove" in refusal(tmp_path, *FOLDERS)[2]


# ---- fork


def test_fork_succeeds_while_threads_use_what_belongs_to_the_process(user):
    def children():
        stop = threading.Event()
        jobs = [lambda: prctl.set_proctitle("a thread's"), prctl.get_proctitle, prctl.get_ptracer]

        def work(job):
            while not stop.is_set():
                job()

        threads = [threading.Thread(target=work, args=(jobs[i % 3],)) for i in range(8)]
        for thread in threads:
            thread.start()
        ends = set()
        for _ in range(50):
            pid = os.fork()
            if pid == 0:
                signal.alarm(10 * support.PATIENCE)  # a deadlock ends the child
                for job in jobs:
                    job()
                os._exit(0)
            ends.add(os.waitpid(pid, 0)[1])
        stop.set()
        for thread in threads:
            thread.join()
        return ends

    assert support.in_child(children, user=user) == {0}


def test_a_module_object_of_a_subclass_is_still_a_module():
    assert isinstance(prctl, types.ModuleType)
