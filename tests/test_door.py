"""prctl.prctl(): an option of the table is its function, any other goes to the kernel as it is."""

import errno
import inspect
import os
import struct

import pytest
import support
from support import Index, in_child, in_pretended_kernel, kernel_prctl, outcome

import _prctl
import prctl

ULONG_MAX = 2 ** (8 * struct.calcsize("L")) - 1
NO_OPTION = 0x7FFFFFFF
SET_SECCOMP = 22
ALLOW_ALL = struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000)

# ---- The options of the table

INTEGERS = [
    (0,),
    (1,),
    (2,),
    (3,),
    (-1,),
    (2**31,),
    (ULONG_MAX,),
    (ULONG_MAX + 1,),
    ("1",),
    (None,),
    (1.0,),
]
FLAGS = [(True,), (False,), (0,), (2,), ("",), ("x",), (None,), (2**100,)]
TEXTS = [
    ("name",),
    (b"name",),
    ("",),
    ("a\0b",),
    ("é" * 9,),
    ("\udcff",),
    ("\ud800",),
    (5,),
    (None,),
]
# What the functions with arguments are tried with.
ARGUMENTS = {
    "set_pdeathsig": [*INTEGERS, (15,), (65,)],
    "set_dumpable": FLAGS,
    "set_unalign": INTEGERS,
    "set_keepcaps": FLAGS,
    "set_fpemu": INTEGERS,
    "set_fpexc": INTEGERS,
    "set_timing": INTEGERS,
    "set_name": TEXTS,
    "set_endian": INTEGERS,
    "set_seccomp": [
        *INTEGERS,
        (True,),
        (1, None),
        (2, b""),
        (2, b"x" * 7),
        (2, b"x" * 8),
        (2, ALLOW_ALL),
        (1, b"x"),
    ],
    "capbset_read": [*INTEGERS, (40,), (63,), (64,), (-1,), ("chown",)],
    "capbset_drop": [*INTEGERS, (13,), (63,), (64,), (-1,), ("chown",)],
    "set_tsc": [(0,), (1,), (3,), (-1,), (2**32,), (ULONG_MAX + 1,), ("1",), (None,)],
    "set_securebits": [*INTEGERS, (0x100,), (1 << 20,)],
    "set_timerslack": [*INTEGERS, (12345,), (2**32,), (ULONG_MAX - 4094,)],
    "set_child_subreaper": FLAGS,
    "set_no_new_privs": FLAGS,
    "set_ptracer": [*INTEGERS, (os.getpid(),), (2**32 - 1,), (-2,)],
    "set_thp_disable": [*FLAGS, (True, 2), (True, 4), (False, 2), (True, -1), (True, "x")],
    "set_fp_mode": INTEGERS,
    "sve_set_vl": INTEGERS,
    "get_speculation_ctrl": INTEGERS,
    "set_speculation_ctrl": [(0, 2), (0, 4), (9, 2), (0, -1), ("x", 2)],
    "pac_reset_keys": [(32,), (-1,), ("x",)],
    "set_tagged_addr_ctrl": INTEGERS,
    "set_io_flusher": FLAGS,
    "set_syscall_user_dispatch": [
        (0,),
        (0, 1),
        (1,),
        (3,),
        ("x",),
        (1, 0, 0, bytearray(b"\2")),
        (0, 0, 0, None),
    ],
    "pac_set_enabled_keys": [(1, 1), (1, 16), ("x", 1)],
    "sme_set_vl": INTEGERS,
    "set_mdwe": INTEGERS,
    "set_memory_merge": FLAGS,
    "riscv_v_set_control": INTEGERS,
    "riscv_set_icache_flush_ctx": [(1, 1), (-1, 0), ("x", 0)],
    "ppc_get_dexcr": INTEGERS,
    "ppc_set_dexcr": [(1, 1), (-1, 0), ("x", 0)],
    "set_shadow_stack_status": INTEGERS,
    "lock_shadow_stack_status": INTEGERS,
    "timer_create_restore_ids": INTEGERS,
    "get_cfi": INTEGERS,
    "set_cfi": [(1, 1), (-1, 0), ("x", 0)],
}
NUMBERS = {row["option"]: int(row["number"], 0) for row in support.table("options")}
# The functions that are options, and not operations of one: those go to the kernel as they stand.
OPTIONS = {
    name: NUMBERS[f"PR_{name.upper()}"]
    for name in support.functions(prctl)
    if f"PR_{name.upper()}" in NUMBERS and name != "set_mm"
}
OPTIONS |= {"get_mce_kill": _prctl.PR_MCE_KILL_GET, "get_ptracer": _prctl.PR_GET_PTRACER}
CASES = [
    pytest.param(name, args, id=f"{name}({', '.join(map(ascii, args))})"[:60])
    for name in OPTIONS
    for args in ARGUMENTS.get(name, [()])
]


def test_every_option_with_arguments_is_tried_with_some():
    assert [name for name in OPTIONS if inspect.signature(getattr(prctl, name)).parameters] == [
        name for name in OPTIONS if name in ARGUMENTS
    ]


def compare(name, args, more=()):
    """What the function does, and what the door does with as many arguments more."""
    function = getattr(prctl, name)

    def attempt(call, args):
        if name == "set_seccomp":  # else some rows are the end of the child
            support.install_filter(support.refuse("prctl", 0, SET_SECCOMP))
        return outcome(call, args, {})

    direct = in_child(attempt, function, args)
    return direct, in_child(attempt, prctl.prctl, [OPTIONS[name], *args, *more])


@pytest.mark.parametrize(("name", "args"), CASES)
def test_an_option_of_the_table_is_its_function(name, args):
    direct, door = compare(name, args)
    assert door == direct


ZEROS = [(name, args) for name in OPTIONS for args in ARGUMENTS.get(name, [()])[:3]]
ZEROS += [("set_seccomp", (True,)), ("set_seccomp", (2, ALLOW_ALL)), ("set_seccomp", (2, b"x"))]


@pytest.mark.parametrize(("name", "args"), ZEROS)
def test_the_zeros_that_c_programs_write_behind_the_arguments_are_taken(name, args):
    direct, door = compare(name, args, [0] * (4 - len(args)))
    assert door == direct


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_missing_argument_is_0(name):
    parameters = inspect.signature(getattr(prctl, name)).parameters.values()
    zeros = [0 for parameter in parameters if parameter.default in (parameter.empty, True)]
    direct = in_child(outcome, getattr(prctl, name), zeros, {})
    assert in_child(outcome, prctl.prctl, [OPTIONS[name]], {}) == direct


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "set_syscall_user_dispatch"])
@pytest.mark.parametrize("value", [1, "", None, b"\0"])
def test_an_argument_that_the_function_has_not_is_a_type_error(name, value):
    args = ARGUMENTS.get(name, [()])[0]
    too_many = [*args, *[0] * (3 - len(args)), value]
    assert in_child(outcome, prctl.prctl, [OPTIONS[name], *too_many], {})[0] == "TypeError"


def test_arguments_go_by_keywords_too():
    def call():
        prctl.prctl(option=_prctl.PR_SET_NAME, arg2="by keyword")
        return prctl.prctl(arg2=0, option=_prctl.PR_GET_NAME)

    assert in_child(call) == "by keyword"


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("set_syscall_user_dispatch", [0, Index(0), 0, 2**100]),
        ("set_syscall_user_dispatch", [0, 0, 0, -(2**100)]),
        ("set_seccomp", [Index(2), 2**100]),
    ],
)
def test_an_int_beyond_a_long_where_an_object_belongs_is_the_function_s_error(name, args):
    direct, door = compare(name, args)
    assert door == direct
    assert door[0] == "TypeError"


# ---- PR_MCE_KILL: python-prctl's form with one argument, and the kernel's


@pytest.mark.parametrize("args", [*INTEGERS])
def test_mce_kill_with_one_argument_is_the_policy(args):
    direct = in_child(outcome, prctl.set_mce_kill, args, {})
    assert in_child(outcome, prctl.prctl, [_prctl.PR_SET_MCE_KILL, *args], {}) == direct


SET, CLEAR = prctl.MCE_KILL_SET, prctl.MCE_KILL_CLEAR


@pytest.mark.parametrize(
    ("args", "policy"),
    [
        ((SET, prctl.MCE_KILL_EARLY), prctl.MCE_KILL_EARLY),
        ((SET, prctl.MCE_KILL_LATE, 0, 0), prctl.MCE_KILL_LATE),
        ((CLEAR, 0), prctl.MCE_KILL_DEFAULT),
    ],
)
def test_mce_kill_with_more_arguments_is_the_kernel_s(args, policy):
    def call():
        prctl.set_mce_kill(
            prctl.MCE_KILL_LATE if policy != prctl.MCE_KILL_LATE else prctl.MCE_KILL_EARLY
        )
        return prctl.prctl(_prctl.PR_MCE_KILL, *args), kernel_prctl(_prctl.PR_MCE_KILL_GET)

    assert in_child(call) == (0, policy)


def test_mce_kill_with_a_policy_that_the_kernel_refuses_is_einval():
    def call():
        with pytest.raises(OSError) as caught:  # noqa: PT011
            prctl.prctl(_prctl.PR_MCE_KILL, SET, 7)
        return caught.value.errno

    assert in_child(call) == errno.EINVAL


# ---- Any other number


@pytest.mark.parametrize("option", [NO_OPTION, -5, -(2**31), 2**31, 2**32 - 2, 17])
@pytest.mark.parametrize("args", [(), (1,), (1, 2, 3, 4), (-1, ULONG_MAX, b"bytes", bytearray(8))])
def test_an_option_that_there_is_none_of_is_einval(option, args, user):
    expected = "OSError", f"[Errno {errno.EINVAL}] {os.strerror(errno.EINVAL)}", {}
    assert in_child(outcome, prctl.prctl, [option, *args], {}, user=user) == expected


def test_the_option_that_python_prctl_made_up_may_be_unsigned():
    assert in_child(lambda: prctl.prctl(2**32 - 1) == os.getppid())


REFUSALS = {
    errno.EPERM: PermissionError,
    errno.EACCES: PermissionError,
    errno.ENOENT: FileNotFoundError,
    errno.ESRCH: ProcessLookupError,
    errno.EINTR: InterruptedError,
    errno.EAGAIN: BlockingIOError,
    errno.EBUSY: OSError,
    errno.EINVAL: OSError,
    errno.ENXIO: OSError,
}


@pytest.mark.parametrize("number", REFUSALS)
@pytest.mark.parametrize("option", [NO_OPTION, _prctl.PR_GET_NAME])
def test_a_refusal_is_the_oserror_of_its_errno(number, option):
    def call():
        support.install_filter(support.refuse("prctl", number, option))
        try:
            prctl.prctl(option)
        except OSError as error:
            return type(error), error.errno, str(error)

    text = f"[Errno {number}] {os.strerror(number)}"
    assert in_child(call) == (REFUSALS[number], number, text)


def test_the_kernel_s_own_number_524_is_eopnotsupp():
    def call():
        support.install_filter(support.refuse("prctl", 524, NO_OPTION))
        with pytest.raises(OSError) as caught:  # noqa: PT011
            prctl.prctl(NO_OPTION)
        return caught.value.errno

    assert in_child(call) == errno.EOPNOTSUPP


RESULTS = [
    0,
    1,
    255,
    2**31 - 1,
    2**31,
    2**32,
    2**40 + 5,
    2**63 - 1,
    -(2**31),
    -(2**40),
    -(2**63),
    -4096,
]


@pytest.mark.parametrize("result", [result for result in RESULTS if abs(result) <= ULONG_MAX >> 1])
def test_a_result_comes_whole(result):
    assert in_pretended_kernel({NO_OPTION: (result, {})}, prctl.prctl, NO_OPTION) == result


def test_the_ambient_set_can_be_asked_by_numbers():
    is_set = _prctl.PR_CAP_AMBIENT_IS_SET
    assert in_child(prctl.prctl, _prctl.PR_CAP_AMBIENT, is_set, prctl.CAP_CHOWN) == 0


# ---- Buffers


MAP_SIZE = _prctl.PR_SET_MM, prctl.SET_MM_MAP_SIZE


@pytest.fixture
def map_size():
    try:
        in_child(kernel_prctl, *MAP_SIZE, bytearray(4))
    except OSError:
        pytest.skip("this kernel has no CONFIG_CHECKPOINT_RESTORE")


@pytest.mark.usefixtures("map_size")
@pytest.mark.parametrize(
    "kind", [lambda memory: memory, memoryview, lambda memory: memoryview(memory)[:4]]
)
def test_the_kernel_writes_to_a_writable_buffer(kind, user):
    def call():
        memory = bytearray(b"\xff" * 8)
        result = prctl.prctl(*MAP_SIZE, kind(memory))
        return result, struct.unpack("=II", memory)

    assert in_child(call, user=user) == (0, (104, 0xFFFFFFFF))


@pytest.mark.usefixtures("map_size")
def test_a_buffer_is_free_again_after_the_call():
    def call():
        memory = bytearray(4)
        prctl.prctl(*MAP_SIZE, memory)
        memory.clear()

    in_child(call)


@pytest.mark.usefixtures("map_size")
@pytest.mark.parametrize(
    "kind",
    [
        bytes,
        lambda memory: memoryview(bytes(memory)),
        lambda memory: memoryview(memory).toreadonly(),
    ],
)
def test_a_read_only_buffer_that_the_kernel_writes_to_is_a_type_error_and_unchanged(kind, user):
    def call():
        memory = kind(bytearray(b"\xff" * 8))
        with pytest.raises(TypeError, match="writable"):
            prctl.prctl(*MAP_SIZE, memory)
        return bytes(memory)

    assert in_child(call, user=user) == b"\xff" * 8


@pytest.mark.parametrize("place", [2, 3, 4, 5])
def test_a_buffer_may_stand_for_any_argument(place):
    def call():
        memory = bytearray(8)
        args = [0, 0, 0, 0]
        args[place - 2] = memory
        return prctl.prctl(NO_OPTION, *args), bytes(memory)

    assert in_pretended_kernel({NO_OPTION: (5, {place: b"filled"})}, call) == (5, b"filled\0\0")


def test_of_two_buffers_the_writable_one_is_written_to():
    def call():
        memory = bytearray(8)
        return prctl.prctl(NO_OPTION, b"read only", memory), bytes(memory)

    assert in_pretended_kernel({NO_OPTION: (0, {3: b"filled"})}, call) == (0, b"filled\0\0")


@pytest.mark.parametrize("size", [0, 1, 8, 63])
@pytest.mark.parametrize("kind", [lambda memory: memory, memoryview.toreadonly])
def test_what_is_beside_a_buffer_that_is_too_short_stays_as_it_was(size, kind):
    def call():
        memory = bytearray(b"\xff" * 200)
        with pytest.raises((TypeError, ValueError), match="the kernel writes"):
            prctl.prctl(NO_OPTION, kind(memoryview(memory)[100 : 100 + size]))
        return memory[:100] + memory[100 + size :]

    pretended = {NO_OPTION: (0, {2: b"x" * (size + 8)})}
    assert in_pretended_kernel(pretended, call) == b"\xff" * (200 - size)


@pytest.mark.parametrize("size", [1, 8, 63, 64, 5000])
def test_a_buffer_of_any_length_gets_what_the_kernel_writes(size):
    def call():
        memory = bytearray(size)
        return prctl.prctl(NO_OPTION, memory), bytes(memory)

    assert in_pretended_kernel({NO_OPTION: (0, {2: b"x" * size})}, call) == (0, b"x" * size)


def test_an_error_of_the_length_leaves_the_other_buffers_theirs():
    def call():
        short, long = bytearray(1), bytearray(8)
        with pytest.raises(ValueError, match="more than the 1 bytes"):
            prctl.prctl(NO_OPTION, short, long)
        return bytes(short), bytes(long)

    written = {2: b"xx", 3: b"filled"}
    assert in_pretended_kernel({NO_OPTION: (0, written)}, call) == (b"x", b"filled\0\0")


def test_what_changes_a_short_buffer_before_the_call_is_not_lost():
    memory = bytearray(b"\xff" * 4)

    class Changes:
        def __index__(self):
            memory[:] = b"\1\2\3\4"
            return 0

    def call():
        with pytest.raises(OSError):  # noqa: PT011
            prctl.prctl(NO_OPTION, memory, Changes())
        return bytes(memory)

    assert in_child(call) == b"\1\2\3\4"


@pytest.mark.usefixtures("map_size")
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_kernel_reads_what_is_in_a_buffer(kind, user):
    def call():
        now = prctl.get_mm_map()
        shorter = struct.pack("=12QIi", *now._replace(arg_end=now.arg_start + 3))
        before = support.cmdline()
        prctl.prctl(_prctl.PR_SET_MM, prctl.SET_MM_MAP, kind(shorter), len(shorter))
        return before[:3], support.cmdline()

    before, after = in_child(call, user=user)
    assert after == before


LENT = """
import contextlib, ctypes, prctl
for size in 63, 64:
    buffer = bytearray(size)
    address = ctypes.addressof((ctypes.c_char * size).from_buffer(buffer))
    step(f"{size} {address:#x}")
    with contextlib.suppress(OSError):
        prctl.prctl(0x7FFFFFFF, buffer)
"""


def test_a_long_buffer_is_lent_itself_and_a_short_one_as_a_copy():
    steps = support.traced_steps(LENT, "prctl", options=["-e", "raw=prctl"])
    lent = {
        int(size): address in call
        for (size, address), [call] in ((step.split(), calls) for step, calls in steps.items())
    }
    assert lent == {63: False, 64: True}


def test_what_is_neither_an_integer_nor_a_buffer_is_called_so():
    with pytest.raises(TypeError, match="arg2 must be an integer or a buffer, not <class 'float'>"):
        prctl.prctl(NO_OPTION, 1.0)
