"""What no function takes: a bad argument is the error that its kind deserves, and changes nothing.

The message says which argument it was. Every row runs in a child: a crash fails that row alone.
"""

import collections
import contextlib
import gc
import inspect
import os
import pathlib
import re
import signal
import struct
import sys

import pytest
import support
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Index, errno_or_result, in_child, kernel_prctl, outcome, state

import _prctl
import prctl

ULONG_MAX = 2 ** (8 * struct.calcsize("L")) - 1
LONG_MAX = ULONG_MAX >> 1
HUGE = 10**5000  # more digits than int() prints

# ---- Objects that play tricks


class Trick(Exception):
    """What an object of ours raises: it must come out as it is."""


class Raises:
    def _raise(self, *_):
        raise Trick

    __index__ = __bool__ = __len__ = __iter__ = __eq__ = _raise
    __hash__ = None


class Nonsense:
    """Breaks the promise of each method."""

    def __index__(self):
        return "7"

    def __bool__(self):
        return "yes"

    def __iter__(self):
        return 7


class Float(float):
    pass


class Text(str):
    __slots__ = ()


class Int(int):
    """Its value is its own, whatever its methods say."""

    def __index__(self):
        raise Trick


# ---- Kinds of arguments: a value that is taken, and [(what is not, its error)]


# A dict of "good", a value that is taken, and of groups: [what is not taken], its error. Its
# message must have the name of the argument in it, unless "words" says otherwise.

NO_INTEGERS = [
    "15",
    b"\x0f",
    1.0,
    Float(1),
    1j,
    [1],
    (1,),
    {},
    object(),
    type,
    Nonsense(),
    "\ud800",
]
INTEGER = {
    "types": ([*NO_INTEGERS, None], TypeError),
    "tricks": ([Raises()], Trick),
}


BEYOND_LONG = [LONG_MAX + 1, ULONG_MAX, ULONG_MAX + 1, ULONG_MAX + 2, ULONG_MAX + 16, 2**100, HUGE]
BELOW_LONG = [-LONG_MAX - 2, -ULONG_MAX, -ULONG_MAX - 1, -(2**100), -HUGE]
CUT_TO_32 = [value for value in (2**32, 2**32 + 1, 2**32 + 2, 2**33 + 15) if value <= LONG_MAX]


def closed(good, *bad):
    """One of a set of numbers."""
    wrong = [*bad, -1, -2, -LONG_MAX, -LONG_MAX - 1, LONG_MAX, 10**6, 2**31 - 1, *CUT_TO_32]
    return {
        "good": good,
        **INTEGER,
        "outside": ([*wrong, Index(bad[-1]), Int(bad[-1])], ValueError),
        "beyond": ([*BEYOND_LONG, *BELOW_LONG, Index(LONG_MAX + 1)], OverflowError),
    }


OPEN = {
    **INTEGER,
    "beyond": (
        [-1, -2, -LONG_MAX - 1, *BELOW_LONG, ULONG_MAX + 1, 2**100, HUGE, Index(-1)],
        OverflowError,
    ),
}
CAPABILITY = {
    "good": 0,
    **INTEGER,
    "unknown": (
        [-1, 64, 65, 255, 2**31, *CUT_TO_32, *BEYOND_LONG, *BELOW_LONG, Index(64), Int(-1)],
        ValueError,
    ),
}
SIGNAL = closed(15, signal.SIGRTMAX + 1)
SIGNAL["types"] = (NO_INTEGERS, TypeError)  # None takes the request back
FLAG = {
    "good": True,
    "tricks": ([Raises()], Trick),
    "types": ([Nonsense()], TypeError),
    "words": {TypeError: "__bool__"},  # the interpreter's own message
}
PID = {
    "good": os.getpid(),
    **INTEGER,
    "negative": ([-2, -LONG_MAX - 1, *BELOW_LONG, Index(-2)], ValueError),
    "beyond": (
        [
            2**31,
            2**32 - 1,
            *CUT_TO_32,
            2**63,
            2**100,
            HUGE,
            ULONG_MAX - 1,
            ULONG_MAX + 1,
            Index(2**31),
        ],
        OverflowError,
    ),
}
if ULONG_MAX == 2**32 - 1:
    PID["beyond"][0].remove(ULONG_MAX)  # SET_PTRACER_ANY
TEXT = {
    "good": "good",
    "types": (
        [
            None,
            5,
            1.5,
            bytearray(b"x"),
            memoryview(b"x"),
            ["x"],
            pathlib.Path("x"),
            object(),
            Raises(),
            str,
        ],
        TypeError,
    ),
    "NUL": (
        [
            "\0",
            "a\0",
            "a\0b",
            b"\0",
            b"a\0b",
            "é\0",
            "\udcff\0",
            "x" * 9000 + "\0",
            b"x" * 9000 + b"\0",
            Text("\0"),
        ],
        ValueError,
    ),
    "surrogates": (["\ud800", "a\udfff", "\udc7f", "\udd00", "\ud83d\ude00"], UnicodeEncodeError),
    "words": {UnicodeEncodeError: "surrogates not allowed"},
}
MODE = closed(2, False, 0, 3)
ALLOW = support.refuse("getppid", 0)[-8:]  # the kernel would take it
PROGRAM = {
    "good": b"x" * 8,
    "types": (["x" * 8, 5, 8.0, [0] * 8, object(), Raises()], TypeError),
    "sizes": (
        [
            None,
            b"",
            b"x",
            b"x" * 7,
            b"x" * 9,
            b"x" * (8 * 4096 + 1),
            b"x" * (8 * 4097),
            bytes(8 * 65537),
        ],
        ValueError,
    ),
    "layout": ([memoryview(ALLOW * 4)[::2]], BufferError),
    "words": {BufferError: "contiguous"},
}
OPTION_NUMBER = {
    "good": 0x7FFFFFFF,
    **INTEGER,
    "beyond": (
        [2**32, 2**32 + 15, -(2**31) - 1, 2**63, 2**64, 2**64 + 15, HUGE, -HUGE, Index(2**32)],
        OverflowError,
    ),
}
RAW = {
    "good": 0,
    "types": (["15", None, 1.0, [1], object(), Nonsense(), "\ud800"], TypeError),
    "tricks": ([Raises()], Trick),
    "beyond": ([ULONG_MAX + 1, -LONG_MAX - 2, 2**100, -(2**100), HUGE, -HUGE], OverflowError),
    "layout": ([memoryview(bytearray(32))[::2], memoryview(bytes(32))[::2]], BufferError),
    "words": {BufferError: "contiguous"},
}


def numbers(good):
    """A list of capabilities of _prctl. Its errors are about the item, or Python's own."""
    unknown = [-1], [1024], [0, 1024], [2**31], [ULONG_MAX], [2**100], [HUGE], [-HUGE], range(2000)
    return {
        "good": good,
        "types": ([None, 5, 1.5, object(), Nonsense()], TypeError),
        "items": (["chown", ["chown"], [None], [1.0], [b"x"], [[1]], [Nonsense()]], TypeError),
        "tricks": ([Raises(), [Raises()]], Trick),
        "unknown": (unknown, ValueError),
        "words": {TypeError: "", ValueError: "capability"},
    }


PROCESS_ID = {
    "good": 0,
    **INTEGER,
    "negative": ([-1, -2, -LONG_MAX - 1, Index(-1)], ValueError),
    "beyond": ([2**31, 2**32 - 1, *CUT_TO_32, 2**63, *BELOW_LONG, *BEYOND_LONG], OverflowError),
}
SLOTS = {
    "good": 2,
    **INTEGER,
    "beyond": ([-1, -2, *BELOW_LONG, 2**32, 2**32 + 2, 2**63, 2**64, HUGE], OverflowError),
}
WORD = {"good": 0, **OPEN}
SELECTOR = {
    "good": None,
    "types": (
        [b"\0", "x", 0, 1.0, [0], memoryview(b"\0"), memoryview(bytearray(4))[::2]],
        TypeError,
    ),
    "contents": ([bytearray(), bytearray(b"\2"), bytearray(b"\xff\0")], ValueError),
}
ADDRESS = {
    **WORD,
    "types": ([*NO_INTEGERS, None, memoryview(b"x"), memoryview(bytearray(4))[::2]], TypeError),
}
VMA_NAME = {
    "good": None,
    "types": ([5, 1.5, bytearray(b"x"), memoryview(b"x"), ["x"], object(), Raises()], TypeError),
    "characters": (
        ["[", "a]", "\\", "$x", "`", "a\n", "\x7f", "é", b"\xff", "x" * 80, b"x" * 81],
        ValueError,
    ),
    "NUL": (["\0", "a\0", b"a\0b", "x" * 90 + "\0"], ValueError),
    "surrogates": (["\ud800"], UnicodeEncodeError),
    "words": {UnicodeEncodeError: "surrogates not allowed"},
}

# ---- The table: each function's arguments, in their order

OPTIONAL = "optional"
FIELDS = "start_code end_code start_data end_data start_brk brk start_stack arg_start arg_end"
Map = collections.namedtuple("Map", FIELDS + " env_start env_end auxv auxv_size exe_fd")
MAP = Map(*[0x10000] * 11, 0, 0, -1)  # of no process: an emulator may not tell the real one
TABLE = {
    "set_pdeathsig": {"signal": SIGNAL},
    "get_pdeathsig": {},
    "get_dumpable": {},
    "set_dumpable": {"flag": FLAG},
    "get_unalign": {},
    "set_unalign": {"mode": closed(1, 8, 9, 1 << 16)},
    "get_keepcaps": {},
    "set_keepcaps": {"flag": FLAG},
    "get_fpemu": {},
    "set_fpemu": {"mode": closed(1, 0, 3)},
    "get_fpexc": {},
    "set_fpexc": {"mode": closed(1, 4, 0x8100, 0x200000)},
    "get_timing": {},
    "set_timing": {"method": closed(0, 2)},
    "set_name": {"name": TEXT},
    "get_name": {},
    "get_endian": {},
    "set_endian": {"endianness": closed(0, 3)},
    "get_seccomp": {},
    "set_seccomp": {"mode": MODE, "program": PROGRAM, OPTIONAL: 1},
    "capbset_read": {"capability": CAPABILITY},
    "capbset_drop": {"capability": CAPABILITY},
    "get_tsc": {},
    "set_tsc": {"mode": closed(1, 0, 3)},
    "get_securebits": {},
    "set_securebits": {"bits": WORD},
    "set_timerslack": {"nanoseconds": {"good": 50000, **OPEN}},
    "get_timerslack": {},
    "task_perf_events_disable": {},
    "task_perf_events_enable": {},
    "set_mce_kill": {"policy": closed(2, 3, 33)},
    "get_mce_kill": {},
    "set_child_subreaper": {"flag": FLAG},
    "get_child_subreaper": {},
    "set_no_new_privs": {
        "flag": {**FLAG, "false": ([False, 0, None, "", [], 0.0], ValueError)},
        OPTIONAL: 1,
    },
    "get_no_new_privs": {},
    "set_ptracer": {"pid": PID},
    "get_ptracer": {},
    "set_mm": {"field": closed(1, 0, 14, 15, 16), "value": WORD},
    "set_mm_map": {
        "map": {"good": MAP, "types": ([None, 5, "x", (), [*MAP], MAP[1:], (*MAP, 0)], TypeError)}
    },
    "get_mm_map": {},
    "get_mm_map_size": {},
    "get_tid_address": {},
    "set_thp_disable": {"flag": FLAG, "flags": WORD, OPTIONAL: 1},
    "get_thp_disable": {},
    "mpx_enable_management": {},
    "mpx_disable_management": {},
    "set_fp_mode": {"mode": WORD},
    "get_fp_mode": {},
    "cap_ambient_is_set": {"capability": CAPABILITY},
    "cap_ambient_raise": {"capability": CAPABILITY},
    "cap_ambient_lower": {"capability": CAPABILITY},
    "cap_ambient_clear_all": {},
    "sve_set_vl": {"bits": WORD},
    "sve_get_vl": {},
    "get_speculation_ctrl": {"feature": WORD},
    "set_speculation_ctrl": {"feature": WORD, "control": WORD},
    "pac_reset_keys": {"keys": closed(1, 32, 33)},
    "set_tagged_addr_ctrl": {"bits": WORD},
    "get_tagged_addr_ctrl": {},
    "set_io_flusher": {"flag": FLAG},
    "get_io_flusher": {},
    "set_syscall_user_dispatch": {
        "mode": closed(0, 3, 4),
        "offset": WORD,
        "length": WORD,
        "selector": SELECTOR,
        OPTIONAL: 3,
    },
    "pac_set_enabled_keys": {"affected": closed(1, 16, 17), "enabled": closed(1, 16, 17)},
    "pac_get_enabled_keys": {},
    "sched_core_get": {"pid": PROCESS_ID, OPTIONAL: 1},
    "sched_core_create": {"pid": PROCESS_ID, "scope": WORD, OPTIONAL: 2},
    "sched_core_share_to": {"pid": PROCESS_ID, "scope": WORD, OPTIONAL: 1},
    "sched_core_share_from": {"pid": PROCESS_ID},
    "sme_set_vl": {"bits": WORD},
    "sme_get_vl": {},
    "set_mdwe": {"bits": WORD},
    "get_mdwe": {},
    "set_memory_merge": {"flag": FLAG},
    "get_memory_merge": {},
    "riscv_v_set_control": {"bits": WORD},
    "riscv_v_get_control": {},
    "riscv_set_icache_flush_ctx": {"context": WORD, "scope": WORD},
    "ppc_get_dexcr": {"aspect": WORD},
    "ppc_set_dexcr": {"aspect": WORD, "control": WORD},
    "get_shadow_stack_status": {},
    "set_shadow_stack_status": {"bits": WORD},
    "lock_shadow_stack_status": {"bits": WORD},
    "timer_create_restore_ids": {"control": closed(2, 3)},
    "futex_hash_set_slots": {"slots": SLOTS},
    "futex_hash_get_slots": {},
    "set_rseq_slice_extension": {"bits": WORD},
    "get_rseq_slice_extension": {},
    "get_cfi": {"feature": WORD},
    "set_cfi": {"feature": WORD, "control": WORD},
    "set_vma_anon_name": {"address": ADDRESS, "length": WORD, "name": VMA_NAME},
    "get_auxv": {},
    "all_threads": {},
    "set_proctitle": {"title": TEXT},
    "get_proctitle": {},
    "prctl": {
        "option": OPTION_NUMBER,
        **dict.fromkeys(("arg2", "arg3", "arg4", "arg5"), RAW),
        OPTIONAL: 4,
    },
    "_prctl.cap_to_name": {"capability": CAPABILITY},
    "_prctl.get_caps": {
        "effective": numbers([0]),
        "permitted": numbers([]),
        "inheritable": numbers([]),
        OPTIONAL: 2,
    },
    "_prctl.set_caps": {
        "effective": {**numbers([]), "absent": ([[63]], ValueError)},
        **{
            name: numbers([])
            for name in (
                "permitted",
                "inheritable",
                "not_effective",
                "not_permitted",
                "not_inheritable",
            )
        },
        OPTIONAL: 5,
    },
}


def function_of(name):
    module, _, name = name.rpartition(".")
    return getattr(_prctl if module else prctl, name)


def shown(value):
    """A value in the name of a test."""
    kind = type(value).__name__
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, int) and value.bit_length() > 70:
        return f"{'-' * (value < 0)}{kind} of {value.bit_length()} bits"
    text = ascii(value)
    return kind if len(text) > 40 or " at 0x" in text else text


def rows_of_values():
    for name, parameters in TABLE.items():
        kinds = {key: kind for key, kind in parameters.items() if key != OPTIONAL}
        goods = [kind["good"] for kind in kinds.values()]
        for place, (parameter, kind) in enumerate(kinds.items()):
            words = {Trick: "", **kind.get("words", {})}
            for group in sorted(kind.keys() - {"good", "words"}):
                values, error = kind[group]
                for value in values:
                    args = [*goods[:place], value, *goods[place + 1 :]]
                    shape = f"{name}({parameter}={shown(value)})"
                    yield pytest.param(name, args, {}, error, words.get(error, parameter), id=shape)


def rows_of_counts():
    for name, parameters in TABLE.items():
        kinds = {key: kind for key, kind in parameters.items() if key != OPTIONAL}
        goods = [kind["good"] for kind in kinds.values()]
        required = len(goods) - parameters.get(OPTIONAL, 0)
        bad = {"one too many": ([*goods, 0], {}), "two too many": ([*goods, 0, 0], {})}
        bad["unknown keyword"] = goods[:required], {"nonsense": 1}
        if required:
            bad["none"] = [], {}
        if len(goods) == 1:
            bad["keyword"] = [], dict(zip(kinds, goods, strict=True))
        elif goods:
            bad["twice"] = goods[:1], {next(iter(kinds)): goods[0]}
        if required and len(goods) > 1:
            bad["without the first"] = [], dict(zip([*kinds][1:], goods[1:], strict=True))
        for what, (args, kwargs) in bad.items():
            yield pytest.param(name, args, kwargs, TypeError, "", id=f"{name}({what})")


def request(*request):
    return [request]


OTHERS = [
    ("remove_file_caps", [None], TypeError, "path"),
    ("remove_file_caps", [1.5], TypeError, "path"),
    ("remove_file_caps", [["/"]], TypeError, "path"),
    ("remove_file_caps", ["a\0b"], ValueError, "null"),
    ("remove_file_caps", [-1], ValueError, "descriptor"),
    ("remove_file_caps", [2**31], OverflowError, "int"),
    ("remove_file_caps", [HUGE], OverflowError, "int"),
    ("remove_file_caps", [], TypeError, "path"),
    ("remove_file_caps", ["/", None], TypeError, "positional"),
    ("set_seccomp", [1, b"x" * 8], ValueError, "program"),
    ("set_seccomp", [True, b""], ValueError, "program"),
    ("prctl", [22, 2, 2**100], TypeError, "program"),
    ("prctl", [22, -1, 2**100], ValueError, "mode"),
    ("set_mm", [12, 5], TypeError, ""),
    ("set_mm", [12, None], TypeError, ""),
    ("set_mm", [12, memoryview(bytes(32))[::2]], BufferError, ""),
    ("set_mm", [13, "x"], TypeError, ""),
    ("set_mm", [13, None], TypeError, ""),
    ("set_mm", [13, 1.0], TypeError, ""),
    ("set_mm", [13, -1], ValueError, ""),
    ("set_mm", [13, 2**31], OverflowError, ""),
    ("set_mm_map", [MAP._replace(brk=-1)], OverflowError, "brk"),
    ("set_mm_map", [MAP._replace(brk=2**64)], OverflowError, "brk"),
    ("set_mm_map", [MAP._replace(arg_end=HUGE)], OverflowError, "arg_end"),
    ("set_mm_map", [MAP._replace(arg_start="1")], TypeError, "arg_start"),
    ("set_mm_map", [MAP._replace(start_code=None)], TypeError, "start_code"),
    ("set_mm_map", [MAP._replace(env_end=Raises())], Trick, ""),
    ("set_mm_map", [MAP._replace(auxv="x")], TypeError, "auxv"),
    ("set_mm_map", [MAP._replace(auxv=b"", auxv_size=1)], ValueError, "auxv_size"),
    ("set_mm_map", [MAP._replace(auxv=memoryview(bytes(32))[::2])], BufferError, ""),
    ("set_mm_map", [MAP._replace(auxv=memoryview(bytes(32))[::2], auxv_size=0)], BufferError, ""),
    ("set_mm_map", [MAP._replace(auxv=b"", auxv_size=0, exe_fd=-2)], ValueError, "exe_fd"),
    ("set_mm_map", [MAP._replace(auxv_size=2**32)], OverflowError, "auxv_size"),
    ("set_mm_map", [MAP._replace(auxv_size=-1)], OverflowError, "auxv_size"),
    ("set_mm_map", [MAP._replace(exe_fd=None)], TypeError, "exe_fd"),
    ("set_mm_map", [MAP._replace(exe_fd=-2)], ValueError, "exe_fd"),
    ("set_mm_map", [MAP._replace(exe_fd=2**31)], OverflowError, "exe_fd"),
    ("set_mm_map", [MAP._replace(exe_fd=2**32 - 1)], OverflowError, "exe_fd"),
    ("set_mm_map", [MAP._replace(exe_fd=HUGE)], OverflowError, "exe_fd"),
    ("set_syscall_user_dispatch", [1], ValueError, "selector"),
    ("set_syscall_user_dispatch", [1, 4096], ValueError, "selector"),
    ("set_syscall_user_dispatch", [1, 4096, 0, None], ValueError, "selector"),
    ("set_vma_anon_name", [bytearray(8), "x", "y"], TypeError, "length"),
    ("set_vma_anon_name", [bytearray(8), 9, "y"], ValueError, "length"),
    ("set_vma_anon_name", [bytearray(8), -1, "y"], OverflowError, "length"),
    ("set_vma_anon_name", [bytearray(8), "a$"], ValueError, "name"),
    ("set_vma_anon_name", [bytearray(8), 5], TypeError, "name"),
    ("set_vma_anon_name", [bytearray(8)], TypeError, "name"),
    ("set_vma_anon_name", [4096, "x"], TypeError, "name"),
    ("get_caps", [5], TypeError, ""),
    ("get_caps", [None], TypeError, ""),
    ("get_caps", [()], ValueError, ""),
    ("get_caps", request(0), ValueError, ""),
    ("get_caps", request(0, 0, True), ValueError, ""),
    ("get_caps", request(0, 3), KeyError, "3"),
    ("get_caps", request(0, -1), KeyError, "-1"),
    ("get_caps", request(0, None), KeyError, "None"),
    ("get_caps", request(0, "effective"), KeyError, "effective"),
    ("get_caps", request(0, [0, 7]), KeyError, "7"),
    ("get_caps", request(0, 2**100), KeyError, ""),
    ("get_caps", request(0, [[]]), TypeError, ""),
    ("get_caps", request("nonsense", 0), ValueError, "Unknown capability: nonsense"),
    ("get_caps", request(["chown", "nonsense"], 0), ValueError, "Unknown capability: nonsense"),
    ("get_caps", request(64, 0), ValueError, "Unknown capability: 64"),
    ("get_caps", request(-1, 0), ValueError, "Unknown capability: -1"),
    ("get_caps", request(HUGE, 0), ValueError, "Unknown capability: a number of more than 64 bits"),
    ("get_caps", request(1.0, 0), TypeError, "capability"),
    ("get_caps", request(None, 0), TypeError, "capability"),
    ("get_caps", request([None], 0), TypeError, "capability"),
    ("get_caps", request(object(), 0), TypeError, "capability"),
    ("get_caps", request([["chown"]], 0), TypeError, "capability"),
    ("get_caps", request([Nonsense()], 0), TypeError, "capability"),
    ("get_caps", request([Raises()], 0), Trick, ""),
    ("set_caps", [5], TypeError, ""),
    ("set_caps", request(0, 0), ValueError, ""),
    ("set_caps", request(0, 0, False, False), ValueError, ""),
    ("set_caps", request(0, 3, False), KeyError, "3"),
    ("set_caps", request("nonsense", 0, False), ValueError, "Unknown capability: nonsense"),
    ("set_caps", request(64, 0, False), ValueError, "Unknown capability: 64"),
    ("set_caps", request(63, 0, True), ValueError, "63"),
    ("set_caps", request(63, 2, True), ValueError, "63"),
    ("set_caps", request(1.0, 0, False), TypeError, "capability"),
    ("set_caps", request(0, 0, Raises()), Trick, ""),
    ("set_caps", [(0, 0, False), (0, 0)], ValueError, ""),
    ("set_caps", [(0, 0, False), ("nonsense", 0, False)], ValueError, "nonsense"),
    ("set_caps", [(0, 0, False), (63, 0, True)], ValueError, "63"),
]
OF_CHILDREN = [  # launcher(); Popen takes the same, see test_children.py
    ((9,), {}, TypeError, "positional"),
    ((), {"nonsense": 1}, TypeError, "nonsense"),
    ((), {"pdeathsig": 65}, ValueError, "pdeathsig"),
    ((), {"pdeathsig": 9, "parent": 0}, ValueError, "parent"),
    ((), {"keep": ["chown"]}, ValueError, "user"),
    ((), {"ambient": ["nonsense"]}, ValueError, "nonsense"),
    ((), {"securebits": -1}, OverflowError, "securebits"),
    ((), {"timerslack": "1"}, TypeError, "timerslack"),
    ((), {"seccomp": b"1234567", "no_new_privs": True}, ValueError, "seccomp"),
]

WITH_KEYWORDS = [  # drop_privileges(): everything is looked at before anything changes
    (["no such user"], {}, KeyError, "no such user"),
    ([""], {}, KeyError, ""),
    (["root"], {}, ValueError, "user"),
    ([0, 65534], {}, ValueError, "user"),
    ([None, 65534], {}, TypeError, "user"),
    ([1.5, 65534], {}, TypeError, "user"),
    ([True, 65534], {}, TypeError, "user"),
    ([b"nobody", 65534], {}, TypeError, "user"),
    ([-1, 65534], {}, OverflowError, "user"),
    ([2**32, 65534], {}, OverflowError, "user"),
    ([2**32 + 1000, 65534], {}, OverflowError, "user"),
    ([HUGE, 65534], {}, OverflowError, "user"),
    ([2**32 - 1, 65534], {}, ValueError, "user"),
    ([2**32 - 2], {}, KeyError, "group"),
    ([Raises(), 65534], {}, Trick, ""),
    (["a\0b"], {}, ValueError, ""),
    (["\ud800"], {}, UnicodeEncodeError, ""),
    ([65534, "no such group"], {}, KeyError, "no such group"),
    ([65534, 1.5], {}, TypeError, "group"),
    ([65534, -1], {}, OverflowError, "group"),
    ([65534, 2**32], {}, OverflowError, "group"),
    ([65534, 2**32 - 1], {}, ValueError, "group"),
    ([65534, 65534], {"groups": ["no such group"]}, KeyError, "no such group"),
    ([65534, 65534], {"groups": [None]}, TypeError, "group"),
    ([65534, 65534], {"groups": [2**32]}, OverflowError, "group"),
    ([65534, 65534], {"groups": 5}, TypeError, ""),
    ([65534, 65534], {"keep": ["nonsense"]}, ValueError, "nonsense"),
    ([65534, 65534], {"keep": [64]}, ValueError, "64"),
    ([65534, 65534], {"keep": [HUGE]}, ValueError, "capability"),
    ([65534, 65534], {"keep": [None]}, TypeError, "capability"),
    ([65534, 65534], {"keep": [1.0]}, TypeError, "capability"),
    ([65534, 65534], {"ambient": Raises()}, Trick, ""),
    ([65534, 65534], {"no_new_privs": Raises()}, Trick, ""),
    ([65534, 65534], {"nonsense": 1}, TypeError, "nonsense"),
    ([65534, 65534, ()], {}, TypeError, ""),
    ([], {}, TypeError, "user"),
]
ROWS = [
    *rows_of_values(),
    *rows_of_counts(),
    *(
        pytest.param(name, args, {}, error, word, id=f"{name}-{place}")
        for place, (name, args, error, word) in enumerate(OTHERS)
    ),
    *(
        pytest.param("drop_privileges", *row, id=f"drop_privileges-{place}")
        for place, row in enumerate(WITH_KEYWORDS)
    ),
    *(
        pytest.param("launcher", *row, id=f"launcher-{place}")
        for place, row in enumerate(OF_CHILDREN)
    ),
]

# ---- Nothing changes


def test_an_address_without_a_length_is_a_type_error():
    with pytest.raises(TypeError, match="missing required argument 'length'"):
        prctl.set_vma_anon_name(4096, name="x")


@pytest.mark.parametrize(("name", "args", "kwargs", "error", "word"), ROWS)
def test_bad_arguments_are_the_error_they_deserve_and_change_nothing(
    name, args, kwargs, error, word
):
    def run():
        events = []
        sys.addaudithook(lambda event, _: event.startswith("prctl.") and events.append(event))
        return outcome(function_of(name), args, kwargs), events

    (got, text, changed), events = in_child(run)
    assert (got, changed, events) == (error.__name__, {}, [])
    assert word.lower() in text.lower()


@pytest.mark.parametrize("module", [prctl, _prctl])
def test_every_function_has_a_row(module):
    rows = {function_of(row.values[0]) for row in ROWS}
    assert {name for name, value in support.functions(module).items() if value not in rows} == set()


def test_every_parameter_has_a_row():
    for name, parameters in TABLE.items():
        signature = inspect.signature(function_of(name))
        assert [*signature.parameters] == [key for key in parameters if key != OPTIONAL], name


# ---- The live sets

SETS = ("cap_effective", "cap_permitted", "cap_inheritable", "cap_ambient", "capbset")
NO_NAMES = ["nonsense", "", "cap_", "cap_cap_chown", " chown", "chown ", "chown\0", "\ud800", "é"]
NO_CAPABILITIES = [
    *((value, ValueError) for value in (*NO_NAMES, "99", "-1", Text("nonsense"))),
    *((value, ValueError) for value in CAPABILITY["unknown"][0]),
    *((value, TypeError) for value in (None, 1.0, 1j, b"chown", object(), ["chown"], Float(1))),
    (Raises(), Trick),
]
METHODS = {  # how each is called with a capability
    "drop": [lambda method, bad: method(bad), lambda method, bad: method("chown", bad)],
    "limit": [lambda method, bad: method(bad), lambda method, bad: method("chown", bad)],
    "raised": [lambda method, bad: method(bad), lambda method, bad: method("chown", bad)],
    "add": [lambda method, bad: method(bad)],
    "discard": [lambda method, bad: method(bad)],
    "remove": [lambda method, bad: method(bad)],
    "isdisjoint": [lambda method, bad: method([bad]), lambda method, bad: method(["chown", bad])],
    "__contains__": [lambda method, bad: method(bad)],
    "clear": [],
    "pop": [],
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SETS)
def test_what_is_no_capability_changes_no_set(name, method):
    def try_all():
        wrong = []
        function = getattr(getattr(prctl, name), method)
        for way in METHODS[method]:
            for bad, error in NO_CAPABILITIES:
                got, text, changed = outcome(way, [function, bad], {})
                if (got, changed) != (error.__name__, {}):
                    wrong.append((shown(bad), got, text, changed))
        return wrong

    assert in_child(try_all) == []


def test_every_method_of_a_set_has_a_row():
    methods = [
        name for name, value in vars(prctl.CapabilitySet).items() if inspect.isroutine(value)
    ]
    assert {name for name in methods if name[0] != "_"} == METHODS.keys() - {"__contains__"}


@pytest.mark.parametrize("name", [*SETS, "securebits"])
def test_an_attribute_that_is_none_can_be_neither_read_nor_written(name):
    def attempt():
        live = getattr(prctl, name)
        before = state()
        for attribute in ("nonsense", "cap_chown", "CHOWN", "63", "", "é", "\ud800"):
            with pytest.raises(AttributeError):
                getattr(live, attribute)
            with pytest.raises(AttributeError):
                setattr(live, attribute, False)
        assert state() == before

    in_child(attempt)


@pytest.mark.parametrize("name", [*SETS, "securebits"])
def test_a_value_without_a_truth_changes_nothing(name):
    attribute = "noroot" if name == "securebits" else "chown"
    live = getattr(prctl, name)
    assert in_child(outcome, setattr, [live, attribute, Raises()], {}) == ("Trick", "", {})


# ---- Objects that change what they are given with


class Shrinks:
    """Takes the memory of a buffer, or the items of a list, away while the call looks at them."""

    def __init__(self, victim):
        self.victim = victim

    def __index__(self):
        self.victim.clear()
        return 0

    def __eq__(self, other):
        return self.__index__() == other

    __hash__ = None


def test_a_buffer_cannot_be_taken_away_during_the_call():
    def attempt():
        memory = bytearray(b"x" * 100000)
        return outcome(prctl.prctl, [0x7FFFFFFF, memory, Shrinks(memory)], {})

    assert in_child(attempt)[0] == "BufferError"


def test_a_list_may_shrink_during_the_call():
    def attempt():
        items = [0, 1, 2]
        items[0] = Shrinks(items)
        return outcome(_prctl.get_caps, [items], {})

    kind, _, changed = in_child(attempt)
    assert (kind, changed) == ("dict", {})


def test_a_plan_may_shrink_while_it_is_read():
    def attempt():
        same = os.getuid()
        plan = [None, ("setresuid", same, same, same)]
        plan[0] = ("setresuid", Shrinks(plan), same, same)
        return outcome(_prctl._run_plan, [plan], {})

    assert in_child(attempt)[:2] == ("list", "[]" if support.ROOT else "[(0, 1, 0)]")


class Reenters:
    def __index__(self):
        prctl.set_name("inner")
        return 0


def test_a_function_may_be_called_from_within_another():
    def attempt():
        prctl.set_pdeathsig(Reenters())
        return prctl.get_name()

    assert in_child(attempt) == "inner"


# ---- Anything at all

EXPECTED = (TypeError, ValueError, OverflowError, OSError, BufferError, KeyError, Trick)
# What goes to the kernel as it stands is for the caller to check: a number can be an address there.
# So these are the options that have a function of their name, and numbers that are no option.
NUMBERS = {row["option"]: int(row["number"], 0) for row in support.table("options")}
CHECKED = {name: NUMBERS.get(f"PR_{name.upper()}") for name in TABLE if name != "set_mm"}
DOOR = [*filter(None, CHECKED.values()), 0x7FFFFF00, 17, 48, 99, -5, 2**32]
# What would reach other processes, take memory from them, or move this one's without a check.
NOT_ANYHOW = {"sched_core_create", "sched_core_share_to", "futex_hash_set_slots"}
NOT_ANYHOW |= {"set_mm", "set_mm_map"}
MAY_KILL = ["set_seccomp", "set_syscall_user_dispatch"]  # by rights
MAY_KILL += ["set_endian", "pac_reset_keys", "set_shadow_stack_status"]
PRIVATE = [f"_prctl.{name}" for name in dir(_prctl) if re.match("_[a-z]", name)]

integers = st.integers() | st.sampled_from(
    [
        sign * 2**bits + more
        for bits in (7, 8, 15, 31, 32, 63, 64)
        for sign in (1, -1)
        for more in (-1, 0, 1)
    ]
)
values = st.recursive(
    st.one_of(
        integers,
        st.integers(-2, 70),
        st.builds(Index, integers),
        st.builds(Int, integers),
        st.just(2**10000),
        st.none() | st.booleans() | st.floats() | st.complex_numbers(),
        st.text(st.characters()) | st.text(max_size=3).map(Text) | st.just("x" * 5000),
        st.binary() | st.sampled_from([1, 8, 9, 4096 * 8, 4096 * 8 + 8]).map(bytes),
        st.binary().map(bytearray)
        | st.binary().map(memoryview)
        | st.just(memoryview(bytes(32))[::2]),
        st.sampled_from(
            ["chown", "CAP_KILL", "effective", int, object(), Raises(), Nonsense(), len]
        ),
    ),
    lambda items: st.lists(items, max_size=4) | st.lists(items, max_size=3).map(tuple),
    max_leaves=5,
)


@st.composite
def calls(draw):
    name = draw(
        st.sampled_from([*sorted(TABLE.keys() - NOT_ANYHOW), "get_caps", "set_caps", *PRIVATE])
    )
    names = [*inspect.signature(function_of(name)).parameters]
    args = draw(st.lists(values, max_size=len(names) + 1))
    kwargs = draw(
        st.just({}) | st.dictionaries(st.sampled_from([*names, "nonsense"]), values, max_size=2)
    )
    if name == "prctl":
        kwargs.pop("option", None)
        args[:1] = [draw(st.sampled_from(DOOR))]
    return name, args, kwargs


def survive(name, args, kwargs):
    try:
        function_of(name)(*args, **kwargs)
    except EXPECTED:
        pass
    finally:
        errno_or_result(kernel_prctl, 26, 1)  # PR_SET_TSC, PR_TSC_ENABLE


def survive_all(calls):
    gc.disable()  # hypothesis looks at the clock when it runs
    for name, args, kwargs in calls:
        if name in MAY_KILL or (name == "prctl" and args[0] in map(CHECKED.get, MAY_KILL)):
            with contextlib.suppress(support.ChildDied):
                in_child(survive, name, args, kwargs)
        else:
            survive(name, args, kwargs)


@settings(max_examples=80, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(calls(), min_size=10, max_size=25))
def test_no_argument_crashes_the_interpreter(calls):
    in_child(survive_all, calls)
