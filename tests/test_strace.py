"""What each function asks of the kernel, as strace sees it: five arguments, unused ones being 0.

The traced process has a seccomp program that makes every prctl(2) succeed without carrying it out,
so that one process can do it all, whatever its privileges and the machine.
"""

import re
import struct

import pytest
import support

import _prctl

ULONG_MAX = 2 ** (8 * struct.calcsize("L")) - 1
A, B = 0x123456789ABCDEF0 & ULONG_MAX, 0xFEDCBA9876543210 & ULONG_MAX  # large and all different
PID = 0x1234567
POINTER, SIZE = "a pointer", "a size"
NUMBERS = {row["option"]: int(row["number"], 0) for row in support.table("options")}

# A call, and the option with arg2 to arg5 (0 if left out) that it comes to; in the kernel's order.
ROWS = [
    ("set_pdeathsig(12)", "PR_SET_PDEATHSIG", 12),
    ("set_pdeathsig(None)", "PR_SET_PDEATHSIG", 0),
    ("get_pdeathsig()", "PR_GET_PDEATHSIG", POINTER),
    ("get_dumpable()", "PR_GET_DUMPABLE"),
    ("set_dumpable('yes')", "PR_SET_DUMPABLE", 1),
    ("set_dumpable([])", "PR_SET_DUMPABLE", 0),
    ("get_unalign()", "PR_GET_UNALIGN", POINTER),
    ("set_unalign(2)", "PR_SET_UNALIGN", 2),
    ("set_unalign(4)", "PR_SET_UNALIGN", 4),
    ("get_keepcaps()", "PR_GET_KEEPCAPS"),
    ("set_keepcaps(7)", "PR_SET_KEEPCAPS", 1),
    ("get_fpemu()", "PR_GET_FPEMU", POINTER),
    ("set_fpemu(2)", "PR_SET_FPEMU", 2),
    ("get_fpexc()", "PR_GET_FPEXC", POINTER),
    ("set_fpexc(0x1F0080)", "PR_SET_FPEXC", 0x1F0080),
    ("get_timing()", "PR_GET_TIMING"),
    ("set_timing(1)", "PR_SET_TIMING", 1),
    ("set_name('x')", "PR_SET_NAME", POINTER),
    ("get_name()", "PR_GET_NAME", POINTER),
    ("get_endian()", "PR_GET_ENDIAN", POINTER),
    ("set_endian(2)", "PR_SET_ENDIAN", 2),
    ("get_seccomp()", "PR_GET_SECCOMP"),
    ("set_seccomp(True)", "PR_SET_SECCOMP", 1),
    ("set_seccomp(2, bytes(8))", "PR_SET_SECCOMP", 2, POINTER),
    ("capbset_read(37)", "PR_CAPBSET_READ", 37),
    ("capbset_drop(37)", "PR_CAPBSET_DROP", 37),
    ("get_tsc()", "PR_GET_TSC", POINTER),
    ("set_tsc(2)", "PR_SET_TSC", 2),
    ("get_securebits()", "PR_GET_SECUREBITS"),
    (f"set_securebits({A})", "PR_SET_SECUREBITS", A),
    (f"set_timerslack({A})", "PR_SET_TIMERSLACK", A),
    (f"set_timerslack({ULONG_MAX})", "PR_SET_TIMERSLACK", ULONG_MAX),
    ("get_timerslack()", "PR_GET_TIMERSLACK"),
    ("task_perf_events_disable()", "PR_TASK_PERF_EVENTS_DISABLE"),
    ("task_perf_events_enable()", "PR_TASK_PERF_EVENTS_ENABLE"),
    ("set_mce_kill(2)", "PR_MCE_KILL", 1, 2),
    ("get_mce_kill()", "PR_MCE_KILL_GET"),
    (f"set_mm(8, {A})", "PR_SET_MM", 8, A),
    ("set_mm(12, bytes(48))", "PR_SET_MM", 12, POINTER, 48),
    ("set_mm(13, 77)", "PR_SET_MM", 13, 77),
    ("set_mm_map(prctl.get_mm_map())", "PR_SET_MM", 14, POINTER, 104),
    ("get_mm_map_size()", "PR_SET_MM", 15, POINTER),
    ("set_child_subreaper(True)", "PR_SET_CHILD_SUBREAPER", 1),
    ("get_child_subreaper()", "PR_GET_CHILD_SUBREAPER", POINTER),
    ("set_no_new_privs()", "PR_SET_NO_NEW_PRIVS", 1),
    ("set_no_new_privs(5)", "PR_SET_NO_NEW_PRIVS", 1),
    ("get_no_new_privs()", "PR_GET_NO_NEW_PRIVS"),
    ("get_tid_address()", "PR_GET_TID_ADDRESS", POINTER),
    (f"set_thp_disable(9, {A})", "PR_SET_THP_DISABLE", 1, A),
    ("set_thp_disable(flag=True)", "PR_SET_THP_DISABLE", 1),
    ("get_thp_disable()", "PR_GET_THP_DISABLE"),
    ("mpx_enable_management()", "PR_MPX_ENABLE_MANAGEMENT"),
    ("mpx_disable_management()", "PR_MPX_DISABLE_MANAGEMENT"),
    (f"set_fp_mode({A})", "PR_SET_FP_MODE", A),
    ("get_fp_mode()", "PR_GET_FP_MODE"),
    ("cap_ambient_is_set(37)", "PR_CAP_AMBIENT", 1, 37),
    ("cap_ambient_raise(37)", "PR_CAP_AMBIENT", 2, 37),
    ("cap_ambient_lower(37)", "PR_CAP_AMBIENT", 3, 37),
    ("cap_ambient_clear_all()", "PR_CAP_AMBIENT", 4),
    (f"sve_set_vl({A})", "PR_SVE_SET_VL", A),
    ("sve_get_vl()", "PR_SVE_GET_VL"),
    (f"get_speculation_ctrl({A})", "PR_GET_SPECULATION_CTRL", A),
    (f"set_speculation_ctrl({A}, {B})", "PR_SET_SPECULATION_CTRL", A, B),
    ("pac_reset_keys(0x15)", "PR_PAC_RESET_KEYS", 0x15),
    (f"set_tagged_addr_ctrl({A})", "PR_SET_TAGGED_ADDR_CTRL", A),
    ("get_tagged_addr_ctrl()", "PR_GET_TAGGED_ADDR_CTRL"),
    ("set_io_flusher(True)", "PR_SET_IO_FLUSHER", 1),
    ("get_io_flusher()", "PR_GET_IO_FLUSHER"),
    (
        f"set_syscall_user_dispatch(2, {A}, {B}, bytearray(1))",
        "PR_SET_SYSCALL_USER_DISPATCH",
        2,
        A,
        B,
        POINTER,
    ),
    (f"set_syscall_user_dispatch(1, length={B})", "PR_SET_SYSCALL_USER_DISPATCH", 1, 0, B),
    ("set_syscall_user_dispatch(0)", "PR_SET_SYSCALL_USER_DISPATCH"),
    ("pac_set_enabled_keys(13, 4)", "PR_PAC_SET_ENABLED_KEYS", 13, 4),
    ("pac_get_enabled_keys()", "PR_PAC_GET_ENABLED_KEYS"),
    (f"sched_core_get({PID})", "PR_SCHED_CORE", 0, PID, 0, POINTER),
    ("sched_core_get()", "PR_SCHED_CORE", 0, 0, 0, POINTER),
    (f"sched_core_create({PID}, {A})", "PR_SCHED_CORE", 1, PID, A),
    ("sched_core_create()", "PR_SCHED_CORE", 1),
    (f"sched_core_share_to({PID}, scope={A})", "PR_SCHED_CORE", 2, PID, A),
    (f"sched_core_share_from({PID})", "PR_SCHED_CORE", 3, PID),
    (f"sme_set_vl({A})", "PR_SME_SET_VL", A),
    ("sme_get_vl()", "PR_SME_GET_VL"),
    (f"set_mdwe({A})", "PR_SET_MDWE", A),
    ("get_mdwe()", "PR_GET_MDWE"),
    ("set_memory_merge(True)", "PR_SET_MEMORY_MERGE", 1),
    ("get_memory_merge()", "PR_GET_MEMORY_MERGE"),
    (f"riscv_v_set_control({A})", "PR_RISCV_V_SET_CONTROL", A),
    ("riscv_v_get_control()", "PR_RISCV_V_GET_CONTROL"),
    (f"riscv_set_icache_flush_ctx({A}, {B})", "PR_RISCV_SET_ICACHE_FLUSH_CTX", A, B),
    (f"ppc_get_dexcr({A})", "PR_PPC_GET_DEXCR", A),
    (f"ppc_set_dexcr({A}, {B})", "PR_PPC_SET_DEXCR", A, B),
    ("get_shadow_stack_status()", "PR_GET_SHADOW_STACK_STATUS", POINTER),
    (f"set_shadow_stack_status({A})", "PR_SET_SHADOW_STACK_STATUS", A),
    (f"lock_shadow_stack_status({A})", "PR_LOCK_SHADOW_STACK_STATUS", A),
    ("timer_create_restore_ids(1)", "PR_TIMER_CREATE_RESTORE_IDS", 1),
    ("timer_create_restore_ids(2)", "PR_TIMER_CREATE_RESTORE_IDS", 2),
    ("futex_hash_set_slots(0x87654321)", "PR_FUTEX_HASH", 1, 0x87654321),
    ("futex_hash_get_slots()", "PR_FUTEX_HASH", 2),
    (f"set_rseq_slice_extension({A})", "PR_RSEQ_SLICE_EXTENSION", 2, A),
    ("get_rseq_slice_extension()", "PR_RSEQ_SLICE_EXTENSION", 1),
    (f"get_cfi({A})", "PR_GET_CFI", A, POINTER),
    (f"set_cfi({A}, {B})", "PR_SET_CFI", A, B),
    (f"set_ptracer({PID})", "PR_SET_PTRACER", PID),
    ("set_ptracer(0)", "PR_SET_PTRACER", 0),
    ("set_ptracer(-1)", "PR_SET_PTRACER", ULONG_MAX),
    ("set_ptracer(prctl.SET_PTRACER_ANY)", "PR_SET_PTRACER", ULONG_MAX),
    (f"set_vma_anon_name({A}, {B}, 'x')", "PR_SET_VMA", 0, A, B, POINTER),
    (f"set_vma_anon_name({A}, length={B}, name=None)", "PR_SET_VMA", 0, A, B),
    ("set_vma_anon_name(bytearray(77), 'x')", "PR_SET_VMA", 0, POINTER, 77, POINTER),
    ("get_auxv()", "PR_GET_AUXV", POINTER, SIZE),
    # What is no option of the table
    (f"prctl(0x7FFFFFFF, {A}, {B}, 3, 4)", 0x7FFFFFFF, A, B, 3, 4),
    ("prctl(0x7FFFFFFF)", 0x7FFFFFFF),
    ("prctl(0x7FFFFFFF, arg5=-1)", 0x7FFFFFFF, 0, 0, 0, ULONG_MAX),
    ("prctl(0x7FFFFFFF, b'x', bytearray(1), -2)", 0x7FFFFFFF, POINTER, POINTER, ULONG_MAX - 1),
    ("prctl(-3)", 0xFFFFFFFD),
    ("prctl(0xFFFFFFFD)", 0xFFFFFFFD),
    ("prctl(33, 1, 2)", "PR_MCE_KILL", 1, 2),
    ("prctl(35, 15, bytearray(4))", "PR_SET_MM", 15, POINTER),
]
# Functions of the extension that make no call of prctl(2), or one that is not an option's.
WITHOUT_A_ROW = {"get_ptracer", "get_mm_map", "get_proctitle", "set_proctitle"}
WITHOUT_A_ROW |= {"cap_to_name", "get_caps", "set_caps"}


def through_the_door(row):
    """The row of an option's function as a call of prctl.prctl(); None for an operation of one."""
    call = row[0]
    name, arguments = re.fullmatch(r"(\w+)\((.*)\)", call).groups()
    number = {"set_mce_kill": 33, "get_mce_kill": 34}.get(name, NUMBERS.get(f"PR_{name.upper()}"))
    if number is None or name == "set_mm" or re.search(r"\b[a-z]+=", arguments):
        return None
    # A missing argument is 0 there, and that is no true flag.
    return (f"prctl({number}, {arguments})", *row[1:]) if call != "set_no_new_privs()" else None


ROWS += filter(None, map(through_the_door, ROWS))
SOURCE = """
import prctl
prctl.set_no_new_privs()
prctl.set_seccomp(2, PROGRAM)
for number, call in enumerate(CALLS):
    step(str(number))
    eval("prctl." + call)
step("end")
"""


@pytest.fixture(scope="module")
def trace():
    """What strace saw of each row, by its place."""
    source = (
        f"PROGRAM = {support.refuse('prctl', 0)!r}\nCALLS = {[row[0] for row in ROWS]}\n{SOURCE}"
    )
    return support.traced_steps(source, "prctl", options=["-e", "raw=prctl"])


def matches(seen, expected):
    if expected == POINTER:
        return seen >= 4096
    if expected == SIZE:
        return seen >= 512 and seen % struct.calcsize("LL") == 0
    return seen == expected


@pytest.mark.parametrize(("place", "row"), list(enumerate(ROWS)), ids=[row[0] for row in ROWS])
def test_the_kernel_is_asked_once_and_with_all_five_arguments(place, row, trace):
    (call,) = trace[str(place)]
    seen = [int(word, 0) for word in re.match(r"prctl\((.*)\)", call)[1].split(", ")]
    seen[0] &= 0xFFFFFFFF  # the kernel takes an int
    option = NUMBERS.get(row[1], row[1])
    expected = [option, *row[2:], *[0] * (6 - len(row))]
    assert [
        want for got, want in zip(seen, expected, strict=True) if not matches(got, want)
    ] == [], seen


def test_every_function_has_a_row():
    rows = {row[0].partition("(")[0] for row in ROWS}
    assert rows == support.functions(_prctl).keys() - WITHOUT_A_ROW


def test_every_option_of_the_table_has_a_row():
    assert {row[1] for row in ROWS if isinstance(row[1], str)} == set(NUMBERS)
