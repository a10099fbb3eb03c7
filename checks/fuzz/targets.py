"""What is called, and with what: every public function, the objects, the raw door.

An argument is a Python expression, a str: what is found can be pasted into an interpreter.
"""

import inspect
import signal
import subprocess
from collections import namedtuple

import hostile
import support
import test_bad_input
from hypothesis import strategies as st

import _prctl
import prctl

# ---- Any object

BOUNDARIES = [
    f"{sign}2**{bits}{more}"
    for bits in (7, 8, 15, 16, 31, 32, 63, 64)
    for sign in ("", "-")
    for more in ("-1", "", "+1", "+15")
]
INTEGERS = st.one_of(
    st.integers(-3, 70).map(repr),
    st.sampled_from([*BOUNDARIES, "10**5000"]),
    st.integers().map(repr),
)
INTEGERS |= INTEGERS.map("hostile.Index({})".format)
TEXTS = st.text(st.characters(), max_size=40).map(ascii) | st.sampled_from(
    ["'chown'", "'CAP_KILL'", "''", "'a\\0b'", "'\\ud800'", "'\\udcff'", "'x' * 5000", "'é' * 2100"]
)
SIZES = st.sampled_from([1, 0, 3, 4, 7, 8, 16, 24, 104, 4096]).map(str)
BUFFERS = st.one_of(
    st.binary(max_size=40).map(repr),
    st.sampled_from(["hostile.lent", "bytearray", "bytes"]).flatmap(
        lambda kind: SIZES.map(lambda size: f"{kind}({size})")
    ),
    st.sampled_from(
        [
            "hostile.ALLOW",
            "hostile.released()",
            "memoryview(bytes(32))[::2]",
            "memoryview(bytearray(32))[::2]",
            "memoryview(bytearray(16)).cast('I')",
            "memoryview(bytearray(16)).cast('B', (4, 4))",
            "memoryview(b'x' * 8)",
            "(ctypes.c_char * 8)()",
            "ctypes.c_ulong()",
            "array.array('i', [0] * 4)",
            "mmap.mmap(-1, 4096)",
        ]
    ),
)
OURS = ["prctl.cap_effective", "prctl.cap_permitted", "prctl.cap_inheritable", "prctl.cap_ambient"]
OURS += ["prctl.capbset", "prctl.securebits"]
OTHERS = ["None", "True", "False", "1.5", "float('nan')", "float('inf')", "1j", "object()", "int"]
OTHERS += ["len", "...", "NotImplemented", "type", "range(70)", "range(2000)", "slice(1)"]
OTHERS += ["hostile.recursive()", "hostile.recursive(dict)", "hostile.nested(20000)"]
OTHERS += ["pathlib.Path('chown')", "prctl", "prctl.Capabilities()", "prctl.Capabilities.current()"]
OTHERS += OURS
BASES = ["None", "5", "'chown'", "b'x' * 8", "(0, 0)", "['chown']", "{}", "{'chown'}", "1.0"]


@st.composite
def hostiles(draw):
    deeds = draw(
        st.dictionaries(
            st.sampled_from(hostile.METHODS), st.sampled_from(hostile.DEEDS), min_size=1, max_size=3
        )
    )
    base = draw(st.sampled_from(BASES))
    return f"hostile.hostile({', '.join([base, *(f'{k}={v!r}' for k, v in deeds.items())])})"


def _containers(items):
    several = st.lists(items, max_size=4).map(", ".join)
    return st.one_of(
        several.map(lambda inside: f"[{inside}]"),
        st.lists(items, max_size=3).map(lambda inside: f"({''.join(i + ', ' for i in inside)})"),
        several.map(lambda inside: f"{{*[{inside}]}}"),
        several.map(lambda inside: f"iter([{inside}])"),
        st.tuples(items, items).map(lambda pair: f"{{{pair[0]}: {pair[1]}}}"),
    )


_KINDS = INTEGERS, TEXTS, BUFFERS, st.sampled_from(OTHERS), hostiles()


# one_of() would give each of the strategies inside of these the same weight.
@st.composite
def _anything(draw, depth):
    if depth and draw(st.integers(0, 3)) == 3:
        return draw(_containers(_anything(depth - 1)))
    return draw(draw(st.sampled_from(_KINDS)))


ANYTHING = _anything(2)

# ---- Arguments that are as they should be, most of the time


def choice(*good):
    return st.sampled_from(good)


@st.composite
def usually(draw, *good):
    return draw(ANYTHING if draw(st.integers(0, 3)) == 3 else choice(*good))


CAPABILITIES = usually(
    "'chown'", "13", "'CAP_KILL'", "prctl.CAP_SYS_ADMIN", "63", "40", "'nonsense'"
)
FLAGS = usually("0", "[0, 1, 2]", "prctl.CAP_PERMITTED", "3")
TRUTHS = usually("True", "False")
SETS = choice(*OURS[:5])


def several(items):
    return st.lists(items, max_size=3).map(lambda inside: f"[{', '.join(inside)}]") | items


@st.composite
def together(draw, *items):
    if draw(st.integers(0, 9)) == 9:
        return draw(ANYTHING)
    return f"({', '.join(map(draw, items))})"


WORDS = usually("0", "1", "prctl.CAP_KILL", "2**64-1")
PATHS = usually("'file'", "b'file'", "pathlib.Path('file')", "'none'", "'.'", "0", "open('file')")
MAP = "prctl.get_mm_map()"
FIELDS = test_bad_input.Map._fields

# By the name of the parameter: what the good value of tests/test_bad_input.py leaves out.
BY_NAME = {
    "program": usually("hostile.ALLOW", "bytearray(hostile.ALLOW)", "None", "b'x' * 8"),
    "selector": usually("bytearray(1)", "hostile.lent(1)", "None"),
    "address": usually("mmap.mmap(-1, 4096)", "hostile.lent(8)", "4096"),
    "map": usually(MAP)
    | st.builds(lambda f, v: f"{MAP}._replace({f}={v})", choice(*FIELDS), ANYTHING)
    | st.lists(ANYTHING, min_size=14, max_size=14).map(lambda inside: f"({', '.join(inside)})"),
    "field": usually(*map(str, range(1, 16))),
    "value": usually("0", "4096", "bytearray(16)", "b'x' * 16"),
    # What could be another process's, or take the machine's memory, is never drawn.
    "pid": choice(
        "0", "os.getpid()", "-1", "2**31", "None", "'x'", "hostile.hostile(__index__='raises')"
    ),
    "scope": choice("0", "1", "None", "'x'", "2**64", "-1"),
    "slots": choice("2", "0", "16", "-1", "2**32", "None", "hostile.hostile(__index__='raises')"),
}

# ---- The targets

# call: an expression. arguments, keywords: a strategy each. besides: raised besides what is USUAL.
Target = namedtuple("Target", "call arguments keywords besides", defaults=((), {}, ()))

USUAL = TypeError, ValueError, OverflowError, OSError, BufferError, hostile.Trick

_GROUPS = usually("[]", "[65534]", "None", "['nogroup']")
_OF_CHILDREN = {
    "pdeathsig": usually("9", "0", "None"),
    "no_new_privs": TRUTHS,
    "user": usually("65534", "'nobody'", "None", "'root'"),
    "group": usually("65534", "'nogroup'", "None"),
    "extra_groups": _GROUPS,
    "keep": several(CAPABILITIES),
    "ambient": several(CAPABILITIES),
    "inheritable": several(CAPABILITIES),
    "bounding": several(CAPABILITIES),
    "securebits": usually("0", "None", "1"),
    "child_subreaper": TRUTHS,
    "timerslack": usually("1", "None"),
    "thp_disable": TRUTHS,
    "seccomp": BY_NAME["program"],
}
_COMMANDS = choice(
    *["['/bin/true']", "'/bin/true'", "pathlib.Path('/bin/true')"] * 3,
    *["[]", "None", "[None]", "[5]", "['/none']", "['.']", "['/bin/true', 'a\\0b', '\\ud800']"],
)
_COMMANDS |= hostiles().map(lambda argument: f"['/bin/true', {argument}]")
_REST = {"shell": TRUTHS, "cwd": usually("'.'", "'none'"), "preexec_fn": choice("None", "len")}
for _name in ("bufsize", "stdin", "stdout", "close_fds", "text", "env", "umask", "pass_fds"):
    _REST[_name] = ANYTHING
_METHODS = {
    "drop": several(CAPABILITIES),
    "add": CAPABILITIES,
    "discard": CAPABILITIES,
    "remove": CAPABILITIES,
    "isdisjoint": several(CAPABILITIES),
    "__contains__": CAPABILITIES,
}
_OPERATORS = [f"a {sign} b" for sign in ("|", "&", "^", "-", "==", "!=", "<=", "<", ">=", ">")]
_OPERATORS += ["b | a", "b - a", "b in a"]
_OPERATORS += [f"operator.{name}(a, b)" for name in ("ior", "iand", "isub", "ixor")]
_ALONE = ["len", "list", "repr", "bool", "hash", "copy.copy", "copy.deepcopy", "dir"]
_ALONE += [
    f"(lambda a: {code})" for code in ("a.pop()", "a.clear()", "pickle.loads(pickle.dumps(a))")
]
_NAMES = usually("'chown'", "'last_cap'", "'noroot'", "'keep_caps_locked'", "'nonsense'")
_PUBLIC = choice("'cap_effective'", "'securebits'", "'nonsense'", "'\\ud800'", "'é'", "''", "5")
_VALUES = "prctl.Capabilities('chown')", "prctl.Capabilities.current()", "prctl.Capabilities()"

BESIDES = {
    "get_caps": Target(
        "prctl.get_caps", [together(several(CAPABILITIES), FLAGS)] * 2, {}, (KeyError,)
    ),
    "set_caps": Target(
        "prctl.set_caps", [together(several(CAPABILITIES), FLAGS, TRUTHS)] * 2, {}, (KeyError,)
    ),
    "drop_privileges": Target(
        "prctl.drop_privileges",
        [_OF_CHILDREN["user"], _OF_CHILDREN["group"]],
        {
            "groups": _GROUPS,
            "keep": several(CAPABILITIES),
            "ambient": TRUTHS,
            "no_new_privs": TRUTHS,
        },
        (KeyError, RuntimeError),
    ),
    "launcher": Target(
        "prctl.launcher", [], {**_OF_CHILDREN, "parent": BY_NAME["pid"]}, (KeyError,)
    ),
    "Popen": Target(
        "prctl.Popen",
        [_COMMANDS],
        {**_OF_CHILDREN, **_REST},
        # IndexError is subprocess.Popen([])'s, AttributeError that of an env without keys().
        (KeyError, RuntimeError, IndexError, AttributeError, subprocess.SubprocessError),
    ),
    "remove_file_caps": Target("prctl.remove_file_caps", [PATHS]),
    "Capabilities": Target(
        "prctl.Capabilities",
        [several(CAPABILITIES)] * 3,
        dict.fromkeys(("permitted", "effective", "inheritable"), several(CAPABILITIES)),
    ),
    "Capabilities.from_text": Target(
        "prctl.Capabilities.from_text",
        [usually("'cap_chown=ep'", "'all=i cap_kill-i'", "'=' * 900")],
    ),
    "Capabilities.of": Target("prctl.Capabilities.of", [usually("os.getpid()", "1")]),
    "Capabilities.from_file": Target("prctl.Capabilities.from_file", [PATHS]),
    "Capabilities.to_file": Target(
        "prctl.Capabilities('chown').to_file", [PATHS, usually("None", "0", "1000")]
    ),
    "Capabilities.apply": Target("prctl.Capabilities.apply", [choice(*_VALUES)]),
    "Capabilities is immutable": Target(
        "setattr", [choice(*_VALUES), _NAMES, ANYTHING], {}, (AttributeError,)
    ),
    **{
        f"CapabilitySet.{name}": Target(
            f"(lambda a, *b: a.{name}(*b))", [SETS, argument], {}, (KeyError,) * (name == "remove")
        )
        for name, argument in _METHODS.items()
    },
    "CapabilitySet.limit": Target(
        "(lambda a, *b: a.limit(*b))", [SETS, CAPABILITIES, CAPABILITIES]
    ),
    "CapabilitySet.raised": Target(
        "(lambda a, *b: contextlib.ExitStack().enter_context(a.raised(*b)))", [SETS, CAPABILITIES]
    ),
    **{
        f"operator {code}": Target(f"(lambda a, b: {code})", [SETS, several(CAPABILITIES) | SETS])
        for code in _OPERATORS
    },
    **{
        f"object {code}": Target(code, [choice(*OURS, *_VALUES)], {}, (AttributeError, KeyError))
        for code in _ALONE
    },
    "attribute": Target("getattr", [choice(*OURS), _NAMES], {}, (AttributeError,)),
    "attribute =": Target("setattr", [choice(*OURS), _NAMES, TRUTHS], {}, (AttributeError,)),
    "attribute del": Target("delattr", [choice(*OURS), _NAMES], {}, (AttributeError,)),
    "module": Target(
        "getattr", [choice("prctl", "_prctl"), _PUBLIC | hostiles()], {}, (AttributeError,)
    ),
    "module =": Target("setattr", [choice("prctl"), _PUBLIC, ANYTHING], {}, (AttributeError,)),
    "module del": Target("delattr", [choice("prctl"), _PUBLIC], {}, (AttributeError,)),
    "audit hook": Target("hostile.listen", [choice(*map(repr, hostile.DEEDS))]),
    "module reload": Target("importlib.reload", [choice("prctl", "_prctl")]),
}


def _forms(good):
    return [repr(good), f"hostile.Index({good})"] if isinstance(good, int) else [repr(good)]


def _by_table():
    """The functions that tests/test_bad_input.py has good arguments for."""
    for name, kinds in test_bad_input.TABLE.items():
        kinds = {key: kind["good"] for key, kind in kinds.items() if key != test_bad_input.OPTIONAL}
        parameters = {
            key: BY_NAME[key] if key in BY_NAME else usually(*_forms(good))
            for key, good in kinds.items()
        }
        call = name if name.startswith("_prctl.") else f"prctl.{name}"
        named = parameters if len(parameters) > 1 else {}
        yield name, Target(call, [*parameters.values()], named)


_STEPS = st.one_of(
    together(choice("'capset'"), WORDS, WORDS, WORDS),
    together(choice("'setresuid'", "'setresgid'"), WORDS, WORDS, WORDS),
    together(choice("'setgroups'"), several(WORDS)),
    together(choice("'prctl'"), choice("24", "47", "None"), WORDS, WORDS),
)
_ARGUMENTS_OF_PRIVATE = {
    "_prctl._run_plan": [several(_STEPS)],
    "_prctl._cap_get_file": [PATHS],
    "_prctl._cap_remove_file": [PATHS],
    "_prctl._cap_mask": [several(CAPABILITIES)],
    "_prctl._cap_number": [CAPABILITIES],
    "_prctl._public": [_PUBLIC],
    "_prctl._cap_set_file": [PATHS, WORDS, WORDS, WORDS, usually("None", "1000")],
}


def _private():
    for name in test_bad_input.PRIVATE:
        count = len(inspect.signature(test_bad_input.function_of(name)).parameters)
        arguments = _ARGUMENTS_OF_PRIVATE.get(name, [WORDS] * count)
        yield name, Target(name, arguments, {}, (AttributeError, RuntimeError))


TARGETS = {**dict(_by_table()), **dict(_private()), **BESIDES}
TARGETS["all_threads"] = Target("(lambda: prctl.all_threads().__enter__())")

# ---- The raw door, by the number of the option

_OPERATIONS = {
    "PR_SET_MM": [
        choice(*map(str, range(16))),
        usually("0", "hostile.lent(104)", "hostile.lent(1)"),
        usually("104", "0"),
    ],
    "PR_CAP_AMBIENT": [usually("1", "2", "3", "4"), usually("0", "13")],
    "PR_SCHED_CORE": [choice("0"), choice("0"), usually("0"), BUFFERS],
    "PR_MCE_KILL": [usually("0", "1"), usually("0", "1", "2")],
    "PR_SET_VMA": [choice("0"), usually("mmap.mmap(-1, 4096)", "4096"), usually("4096"), BUFFERS],
    "PR_FUTEX_HASH": [choice("2", "3", "None", "b'x'")],
    "PR_RSEQ_SLICE_EXTENSION": [usually("1", "2"), usually("0", "1")],
    "0x7FFFFF00": [usually("0", "hostile.lent(1)", "b'x'")] * 4,
    "-5": [usually("0")] * 4,
    "17": [BUFFERS] * 2,
}


def _door():
    for option, arguments in _OPERATIONS.items():
        number = f"_prctl.{option}" if option.startswith("PR_") else option
        yield f"prctl({option})", Target("prctl.prctl", [choice(number), *arguments])
    for name, number in test_bad_input.CHECKED.items():
        if number is not None:
            dressed = choice(str(number), f"hostile.hostile({number})")
            target = Target("prctl.prctl", [dressed, *TARGETS[name].arguments])
            yield f"prctl({name})", target


TARGETS.update(_door())

# ---- What kills by rights

BEGUN, RETURNED = 1, 2  # how far a call has come

# The process may end by one of the signals then: when the call has succeeded, or in it. In any case
# its success is the end of the sequence.
Lethal = namedtuple("Lethal", "mark signals why")
_HEAP = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT}
LETHAL = {
    "set_seccomp": Lethal(
        RETURNED, {signal.SIGKILL, signal.SIGSYS}, "strict mode kills at the next system call"
    ),
    "set_syscall_user_dispatch": Lethal(
        RETURNED,
        {signal.SIGSYS, signal.SIGSEGV},
        "system calls outside of the code that is let through are signals",
    ),
    "set_tsc": Lethal(
        RETURNED, {signal.SIGSEGV}, "whoever asks for the time reads the timestamp counter"
    ),
    "set_mm": Lethal(RETURNED, _HEAP, "the kernel has the heap elsewhere than malloc"),
    "set_mm_map": Lethal(RETURNED, _HEAP, "the same"),
    "prctl(PR_SET_MM)": Lethal(RETURNED, _HEAP, "the same"),
    "set_endian": Lethal(
        BEGUN, {signal.SIGILL, signal.SIGSEGV}, "the code is of the other byte order"
    ),
    "pac_reset_keys": Lethal(
        BEGUN, {signal.SIGILL, signal.SIGSEGV}, "return addresses are signed with the old keys"
    ),
    "set_shadow_stack_status": Lethal(
        BEGUN, {signal.SIGSEGV}, "functions return that the shadow stack does not know"
    ),
}
LETHAL |= {f"prctl({name})": LETHAL[name] for name in [*LETHAL] if f"prctl({name})" in TARGETS}


def missing():
    """The public functions that no target calls."""
    called = {target.call.rpartition(".")[2] for target in TARGETS.values()} | {*TARGETS}
    return {*support.functions(prctl), *support.functions(_prctl)} - called
