"""The names and numbers of the two modules, against the tables of the design (tests/data)."""

import ast
import inspect
import re
import struct

import pytest
import support
from support import table

import _prctl
import prctl

ULONG_MAX = 2 ** (8 * struct.calcsize("L")) - 1


def last_capability():
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())


NUMBERS = {
    row["name"]: ULONG_MAX if row["value"] == "ULONG_MAX" else int(row["value"], 0)
    for row in table("constants")
}
NUMBERS["CAP_LAST_CAP"] = last_capability()  # the running kernel's
NUMBERS |= {
    "PR_SET_MCE_KILL": 33,
    "PR_GET_MCE_KILL": 34,
    "PR_GET_PTRACER": -1,
}  # python-prctl's own
OPTIONS = {row["option"] for row in table("options")}
OPTIONS |= {"PR_SET_MCE_KILL", "PR_GET_MCE_KILL", "PR_GET_PTRACER"}
HIDDEN = OPTIONS | {name for name in NUMBERS if name.startswith("PR_CAP_AMBIENT_")}
CONSTANT = re.compile("(PR|CAP|SECBIT|SECURE|SECCOMP|SYSCALL)_")


def test_the_extension_has_the_constants_of_the_table_and_no_others():
    assert {n: getattr(_prctl, n) for n in dir(_prctl) if CONSTANT.match(n)} == NUMBERS


def test_every_number_is_an_int():
    assert {type(getattr(_prctl, name)) for name in NUMBERS} == {int}


@pytest.mark.parametrize("row", table("options"), ids=lambda row: row["option"])
def test_an_option_has_the_number_of_the_table(row):
    assert getattr(_prctl, row["option"]) == int(row["number"], 0)


def test_the_module_has_the_arguments_without_pr_and_the_others_as_they_are():
    expected = {
        name.removeprefix("PR_"): value for name, value in NUMBERS.items() if name not in HIDDEN
    }
    assert {name: getattr(prctl, name, None) for name in expected} == expected


@pytest.mark.parametrize("name", sorted(HIDDEN))
def test_the_number_of_an_option_is_in_the_extension_only(name):
    short = name.removeprefix("PR_")
    assert not hasattr(prctl, name)
    assert not hasattr(prctl, short)


def test_the_module_has_no_capability_but_those_of_the_table():
    names = {name for name in dir(prctl) if name.startswith("CAP_")}
    assert names == {name for name in NUMBERS if name.startswith("CAP_")}


@pytest.mark.parametrize(
    "name", ["CAPBSET_READ", "PR_CAPBSET_READ", "PR_UNALIGN_NOPRINT", "nonsense"]
)
def test_what_the_module_does_not_export_is_an_attribute_error(name):
    with pytest.raises(AttributeError):
        getattr(prctl, name)


# ---- __all__

LIVE = {"cap_effective", "cap_permitted", "cap_inheritable", "cap_ambient", "capbset", "securebits"}


def test_all_is_what_the_contract_names():
    constants = {name.removeprefix("PR_") for name in NUMBERS if name not in HIDDEN}
    functions = support.functions(prctl).keys() - {"prctl"}
    lists = {"ALL_CAPS", "ALL_CAP_NAMES", "ALL_FLAGS", "ALL_FLAG_NAMES"}
    classes = {"Capabilities", "Popen"} & {*dir(prctl)}
    assert {*prctl.__all__} == constants | functions | lists | LIVE | classes


def test_no_name_is_twice_in_all():
    assert len(prctl.__all__) == len(set(prctl.__all__))


def test_a_star_import_leaves_the_module_s_name_alone():
    namespace = {}
    exec("import prctl\nfrom prctl import *", namespace)
    assert namespace["prctl"] is prctl


def test_the_door_is_public_under_the_module_s_name():
    assert prctl.prctl is _prctl.prctl


# ---- The functions of the table


CALLS = [
    pytest.param(name, arguments, row, id=name)
    for row in table("options")
    for name, arguments in re.findall(r"(\w+)\(([^)]*)\)", row["call"])
    if hasattr(_prctl, name)
]


def parameters(arguments):
    """[(name, default)] of a call as options.csv writes it."""
    found = []
    for argument in filter(None, arguments.split(", ")):
        name, _, default = argument.partition("=")
        found.append(("capability" if name == "cap" else name, default and _value(default)))
    return found


def _value(default):
    return getattr(prctl, default, None) if default.isupper() else ast.literal_eval(default)


@pytest.mark.parametrize(("name", "arguments", "row"), CALLS)
def test_a_function_has_the_signature_of_the_table(name, arguments, row):
    empty = inspect.Parameter.empty
    signature = inspect.signature(getattr(_prctl, name)).parameters.values()
    got = [
        (parameter.name, "" if parameter.default is empty else parameter.default)
        for parameter in signature
    ]
    assert got == parameters(arguments)


@pytest.mark.parametrize(("name", "arguments", "row"), CALLS)
def test_one_argument_goes_by_position_and_several_by_either(name, arguments, row):
    kinds = [
        parameter.kind for parameter in inspect.signature(getattr(_prctl, name)).parameters.values()
    ]
    by = (
        inspect.Parameter.POSITIONAL_ONLY
        if len(kinds) == 1
        else inspect.Parameter.POSITIONAL_OR_KEYWORD
    )
    assert kinds == [by] * len(kinds)


SCOPES = {"thread": "the calling thread", "process": "the whole process", "any": "any process"}


@pytest.mark.parametrize(("name", "arguments", "row"), CALLS)
def test_a_docstring_says_what_since_when_and_for_whom(name, arguments, row):
    doc = getattr(_prctl, name).__doc__
    assert f"Scope: {SCOPES[row['scope']]}" in doc
    assert f"Since Linux {row['since']}" in doc
    assert re.match(r"[A-Z].*\.$", doc.splitlines()[0])


@pytest.mark.parametrize(("name", "arguments", "row"), CALLS)
def test_the_module_s_function_is_the_extension_s(name, arguments, row):
    assert getattr(prctl, name) is getattr(_prctl, name)


def test_every_function_of_python_prctl_s_manual_is_there():
    pairs = "child_subreaper dumpable endian fpemu fpexc keepcaps mce_kill name no_new_privs "
    pairs += "pdeathsig ptracer seccomp timerslack timing tsc unalign securebits proctitle caps"
    names = [verb + name for name in pairs.split() for verb in ("get_", "set_")]
    names += ["capbset_read", "capbset_drop", "task_perf_events_enable", "task_perf_events_disable"]
    assert [name for name in names if not callable(getattr(prctl, name, None))] == []
    names = ["prctl", "set_proctitle", "cap_to_name", "get_caps", "set_caps"]
    assert [name for name in names if not callable(getattr(_prctl, name, None))] == []
