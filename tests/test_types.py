"""prctl-stubs, as installed: compared with the module, read by mypy, and its usage run.

mypy's stubtest compares every name, number, parameter and default. What it passes over is compared
here. pyright reads the same files in ./dev lint.
"""

import ast
import grp
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import support

import _prctl
import prctl

STUB = Path(prctl.__file__).parent / "prctl-stubs" / "__init__.pyi"
TREE = ast.parse(STUB.read_text())
LOADED = prctl.Popen, prctl.drop_privileges, grp  # a child may not reach their files any more
TYPING = Path(__file__).parent / "typing"

spec = importlib.util.spec_from_file_location("usage", TYPING / "usage.py")
usage = importlib.util.module_from_spec(spec)
spec.loader.exec_module(usage)


def definitions(body):
    """{name: [its definitions]} of a module or class, overloads being several."""
    found = {}
    for node in body:
        if isinstance(node, ast.AnnAssign):
            found.setdefault(node.target.id, []).append(node)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.setdefault(node.name, []).append(node)
    return found


DEFINED = definitions(TREE.body)


def attributes(class_name):
    """[(name, type)] of the attributes of a class of the stub, in its order."""
    [node] = DEFINED[class_name]
    return [
        (line.target.id, ast.unparse(line.annotation))
        for line in node.body
        if isinstance(line, ast.AnnAssign) and line.target.id != "__hash__"
    ]


def properties(cls):
    return [name for name, value in vars(cls).items() if isinstance(value, property)]


# ---- Compared with the module


def mypy(*arguments, cwd):
    """Run a tool of mypy that must find nothing. cwd is no checkout: what is installed counts."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip(f"mypy is not installed: it has no wheels for {support.machine()}")
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(
        command, cwd=cwd, env=support.fresh_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_stubtest_finds_no_difference(tmp_path):
    mypy("mypy.stubtest", "prctl", "--allowlist", str(TYPING / "allowlist.txt"), cwd=tmp_path)


def test_the_attributes_of_a_set_are_the_capabilities():
    names = [name for name in _prctl._CAPABILITY_NAMES if not name.isdecimal()]
    names.append("last_cap")  # which python-prctl took for one
    assert attributes("CapabilitySet") == [(name, "bool") for name in names]
    assert properties(prctl.CapabilitySet) == names


def test_the_attributes_of_securebits_are_the_bits_with_their_locks():
    bits = [name.removeprefix("SECBIT_").lower() for name in prctl.__all__ if name[:7] == "SECBIT_"]
    assert attributes("Securebits") == [(name, "bool") for name in bits]
    assert properties(prctl.Securebits) == bits


def test_the_stub_exports_what_the_module_does():
    [exported] = [
        ast.literal_eval(node.value)
        for node in TREE.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    ]
    assert len(exported) == len(set(exported))
    assert set(exported) == set(prctl.__all__)


def test_what_is_public_in_the_stub_is_what_is_public_in_the_module():
    public = {name for name in DEFINED if name[0] != "_"}
    assert public == {*prctl.__all__, "prctl", "CapabilitySet", "Securebits"}


def names_in_stub(function):
    """The names of the parameters of a function of the stub, as names_in_module() gives them."""
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    if arguments.vararg:
        names.append(f"*{arguments.vararg.arg}")
    return names + [argument.arg for argument in arguments.kwonlyargs]


def names_in_module(function):
    return [
        "*" * (parameter.kind is parameter.VAR_POSITIONAL) + parameter.name
        for parameter in inspect.signature(function).parameters.values()
    ]


def functions(defined, owner):
    """The functions of the stub, or of a class in it, each with the one that it describes."""
    return [
        pytest.param(node, getattr(owner, name), id=f"{owner.__name__}.{name}")
        for name, [node, *_] in defined.items()
        if isinstance(node, ast.FunctionDef)
        and hasattr(owner, name)  # what is not there, stubtest tells
        and not node.args.kwarg
        and not node.decorator_list
    ]


FUNCTIONS = functions(DEFINED, prctl)
for cls in prctl.CapabilitySet, prctl.Capabilities:
    FUNCTIONS += functions(definitions(DEFINED[cls.__name__][0].body), cls)


@pytest.mark.parametrize(("node", "function"), FUNCTIONS)
def test_parameters_have_the_names_that_they_have_in_the_module(node, function):
    """stubtest passes over names that stand for a position, and takes one for several."""
    assert names_in_stub(node) == names_in_module(function)


def test_the_long_form_of_set_vma_anon_name_has_the_signature_of_the_function():
    long, *_ = DEFINED["set_vma_anon_name"]
    assert names_in_stub(long) == names_in_module(prctl.set_vma_anon_name)


def keys(class_name):
    return {name for name, _ in attributes(class_name)}


def test_popen_takes_what_subprocess_does_and_its_attributes():
    refused = {"self", "preexec_fn", "startupinfo", "creationflags"}  # the last two are Windows'
    of_text = {"text", "encoding", "errors", "universal_newlines"}
    theirs = set(inspect.signature(subprocess.Popen.__init__).parameters)
    ours = set(inspect.signature(prctl.launcher).parameters) - {"parent"}
    assert keys("_SubprocessOptions") == theirs - refused - of_text - ours - {"args"}
    assert keys("_Attributes") == ours


# ---- What functions return

KINDS = {"None", "bool", "int", "str", "dict", "namedtuple"}
CALLS = [
    pytest.param(name, row["result"], id=name)
    for row in support.table("options")
    for name in re.findall(r"(\w+)\(", row["call"])
    if len(DEFINED.get(name, ())) == 1
]


def returned(name):
    """What the stub says, in the words of the table."""
    [function] = DEFINED[name]
    said = ast.unparse(function.returns).partition("[")[0]
    return said.replace("_mm_map", "namedtuple")


@pytest.mark.parametrize(("name", "result"), CALLS)
def test_a_function_returns_what_the_table_says(name, result):
    assert returned(name) in KINDS.intersection(re.findall(r"\w+", result))


GETTERS = [parameter.values[0] for parameter in CALLS if "get_" in parameter.values[0]]


def kind_of_answer(name):
    """The type of what a getter returns here; what the stub says where the kernel refuses."""
    function = getattr(prctl, name)
    parameters = inspect.signature(function).parameters.values()
    try:
        result = function(*(0 for parameter in parameters if parameter.default is parameter.empty))
    except OSError:
        return returned(name)
    return "namedtuple" if hasattr(result, "_fields") else type(result).__name__


def test_getters_return_what_the_stub_says():
    assert "get_dumpable" in GETTERS
    assert {name: kind_of_answer(name) for name in GETTERS} == {
        name: returned(name) for name in GETTERS
    }


# ---- Typical uses


def test_mypy_passes_the_examples_and_agrees_with_typical_uses_and_mistakes(tmp_path):
    files = [*support.SOURCES.glob("examples/*.py"), *TYPING.glob("*.py")]
    mypy("mypy", "--strict", *map(str, files), cwd=tmp_path)


@pytest.mark.parametrize("topic", usage.TOPICS, ids=lambda topic: topic.__name__)
def test_what_mypy_agrees_with_runs(topic, user):
    # Typical uses take a kernel; qemu-user knows few options, and not this old one.
    support.needs_kernel("PR_SET_CHILD_SUBREAPER (Linux 3.4)", 36, 1)
    support.in_child(topic, user=user)


def test_every_topic_is_run():
    found = [name for name, value in vars(usage).items() if name[0] != "_" and is_topic(value)]
    assert [topic.__name__ for topic in usage.TOPICS] == found


def is_topic(value):
    return inspect.isfunction(value) and not inspect.signature(value).parameters
