"""Ask the running kernel for every option, each in a process of its own; print its answers as JSON.

Run with the Python that has the library, best as root, on any machine:

    python checks/kernels/probe.py PLACE >FILE
    ./dev kernels --add FILE

PLACE tells readers of the table where that was. An answer is "yes", "no effect" where what was set
cannot be seen afterwards, or the name of an errno or of the signal that ended the process.
"""

import datetime
import errno
import json
import mmap
import os
import platform
import signal
import struct
import sys

import prctl

ALLOW_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)


def memory():
    return mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def ambient_can_be_raised():
    prctl.cap_inheritable.chown = True


# What is asked: the call, the expression that is true afterwards, and the one to evaluate before.
PROBES = [
    ("set_pdeathsig(15)", "get_pdeathsig() == 15"),
    ("get_pdeathsig()",),
    ("get_dumpable()",),
    ("set_dumpable(False)", "not get_dumpable()"),
    ("get_unalign()",),
    ("set_unalign(UNALIGN_SIGBUS)", "get_unalign() == UNALIGN_SIGBUS"),
    ("get_keepcaps()",),
    ("set_keepcaps(True)", "get_keepcaps()"),
    ("get_fpemu()",),
    ("set_fpemu(FPEMU_NOPRINT)", "get_fpemu() == FPEMU_NOPRINT"),
    ("get_fpexc()",),
    ("set_fpexc(FP_EXC_PRECISE)", "get_fpexc() == FP_EXC_PRECISE"),
    ("get_timing()",),
    ("set_timing(TIMING_STATISTICAL)", "get_timing() == TIMING_STATISTICAL"),
    ("set_name('probe')", "get_name() == 'probe'"),
    ("get_name()",),
    ("get_endian()",),
    ("set_endian(get_endian())",),
    ("get_seccomp()",),
    ("set_seccomp(SECCOMP_MODE_STRICT)",),
    ("set_seccomp(SECCOMP_MODE_FILTER, ALLOW_ALL)", "get_seccomp() == 2", "set_no_new_privs()"),
    ("capbset_read(CAP_CHOWN)",),
    ("capbset_drop(CAP_CHOWN)", "not capbset_read(CAP_CHOWN)"),
    ("get_tsc()",),
    ("set_tsc(TSC_SIGSEGV)", "get_tsc() == TSC_SIGSEGV"),
    ("get_securebits()",),
    ("set_securebits(SECBIT_NOROOT)", "get_securebits() == SECBIT_NOROOT"),
    ("set_securebits(SECBIT_EXEC_RESTRICT_FILE)", "get_securebits() == SECBIT_EXEC_RESTRICT_FILE"),
    ("set_timerslack(77)", "get_timerslack() == 77"),
    ("get_timerslack()",),
    ("task_perf_events_disable()",),
    ("task_perf_events_enable()",),
    ("set_mce_kill(MCE_KILL_EARLY)", "get_mce_kill() == MCE_KILL_EARLY"),
    ("get_mce_kill()",),
    ("set_mm(SET_MM_ARG_START, get_mm_map().arg_start)",),
    ("set_mm_map(get_mm_map())",),
    ("get_mm_map()",),
    ("get_mm_map_size()",),
    ("set_child_subreaper(True)", "get_child_subreaper()"),
    ("get_child_subreaper()",),
    ("set_no_new_privs()", "get_no_new_privs()"),
    ("get_no_new_privs()",),
    ("get_tid_address()",),
    ("set_thp_disable(True)", "get_thp_disable() == 1"),
    ("set_thp_disable(True, THP_DISABLE_EXCEPT_ADVISED)", "get_thp_disable() == 3"),
    ("get_thp_disable()",),
    ("mpx_enable_management()",),
    ("mpx_disable_management()",),
    ("set_fp_mode(0)",),
    ("get_fp_mode()",),
    ("cap_ambient_is_set(CAP_CHOWN)",),
    ("cap_ambient_raise(CAP_CHOWN)", "cap_ambient_is_set(CAP_CHOWN)", "ambient_can_be_raised()"),
    ("cap_ambient_lower(CAP_CHOWN)",),
    ("cap_ambient_clear_all()",),
    ("sve_set_vl(16)", "sve_get_vl() == 16"),
    ("sve_get_vl()",),
    ("get_speculation_ctrl(SPEC_STORE_BYPASS)",),
    ("get_speculation_ctrl(SPEC_INDIRECT_BRANCH)",),
    ("get_speculation_ctrl(SPEC_L1D_FLUSH)",),
    ("set_speculation_ctrl(SPEC_STORE_BYPASS, SPEC_DISABLE)",),
    ("pac_reset_keys(PAC_APDAKEY)",),
    ("set_tagged_addr_ctrl(TAGGED_ADDR_ENABLE)", "get_tagged_addr_ctrl() == TAGGED_ADDR_ENABLE"),
    ("get_tagged_addr_ctrl()",),
    ("set_io_flusher(True)", "get_io_flusher()"),
    ("get_io_flusher()",),
    ("set_syscall_user_dispatch(SYS_DISPATCH_ON, selector=bytearray(1))",),
    ("set_syscall_user_dispatch(SYS_DISPATCH_INCLUSIVE_ON, 4096, 4096)",),
    ("pac_set_enabled_keys(PAC_APDAKEY, 0)", "not pac_get_enabled_keys() & PAC_APDAKEY"),
    ("pac_get_enabled_keys()",),
    ("sched_core_get()",),
    ("sched_core_create()", "sched_core_get() != 0"),
    ("sched_core_share_to(getppid())",),
    ("sched_core_share_from(getppid())",),
    ("sme_set_vl(16)", "sme_get_vl() == 16"),
    ("sme_get_vl()",),
    ("set_mdwe(MDWE_REFUSE_EXEC_GAIN)", "get_mdwe() == MDWE_REFUSE_EXEC_GAIN"),
    ("set_mdwe(MDWE_REFUSE_EXEC_GAIN | MDWE_NO_INHERIT)", "get_mdwe() & MDWE_NO_INHERIT"),
    ("get_mdwe()",),
    ("set_memory_merge(True)", "get_memory_merge()"),
    ("get_memory_merge()",),
    ("riscv_v_set_control(RISCV_V_VSTATE_CTRL_ON)",),
    ("riscv_v_get_control()",),
    ("riscv_set_icache_flush_ctx(RISCV_CTX_SW_FENCEI_ON, RISCV_SCOPE_PER_PROCESS)",),
    ("ppc_get_dexcr(PPC_DEXCR_SBHE)",),
    ("ppc_set_dexcr(PPC_DEXCR_SBHE, PPC_DEXCR_CTRL_SET)",),
    ("get_shadow_stack_status()",),
    ("set_shadow_stack_status(0)",),
    ("lock_shadow_stack_status(0)",),
    (
        "timer_create_restore_ids(TIMER_CREATE_RESTORE_IDS_ON)",
        "timer_create_restore_ids(TIMER_CREATE_RESTORE_IDS_GET)",
    ),
    ("futex_hash_set_slots(4)", "futex_hash_get_slots() == 4"),
    ("futex_hash_get_slots()",),
    ("set_rseq_slice_extension(RSEQ_SLICE_EXT_ENABLE)", "get_rseq_slice_extension()"),
    ("get_rseq_slice_extension()",),
    ("get_cfi(CFI_BRANCH_LANDING_PADS)",),
    ("set_cfi(CFI_BRANCH_LANDING_PADS, CFI_ENABLE)",),
    ("set_ptracer(SET_PTRACER_ANY)",),
    ("get_ptracer()",),
    ("set_vma_anon_name(memory(), 'probe')",),
    ("get_auxv()",),
]

NAMES_OF_ERRORS = errno.errorcode | {errno.EOPNOTSUPP: "EOPNOTSUPP"}
NAMES = {name: getattr(prctl, name) for name in prctl.__all__}
NAMES |= {"ALLOW_ALL": ALLOW_ALL, "getppid": os.getppid}
NAMES |= {f.__name__: f for f in (memory, ambient_can_be_raised)}


def ask(call, check="True", before="None"):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(60)
            os.write(writer, answer(call, check, before).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        said = pipe.read()
    status = os.waitpid(pid, 0)[1]
    return said or signal.Signals(os.WTERMSIG(status)).name


def answer(call, check, before):
    eval(before, NAMES)
    try:
        eval(call, NAMES)
    except OSError as error:
        return NAMES_OF_ERRORS[error.errno]
    return "yes" if eval(check, NAMES) else "no effect"


def lacking():
    """The capabilities that root may have, and this process does not."""
    return [name for name in prctl.ALL_CAP_NAMES if not getattr(prctl.cap_effective, name)]


def machine():
    name = platform.machine()
    return "i686" if name == "x86_64" and sys.maxsize < 2**32 else name


def main(place):
    print(
        json.dumps(
            {
                "place": place,
                "release": platform.release(),
                "machine": machine(),
                "date": datetime.date.today().isoformat(),
                "lacking": lacking(),
                "answers": {probe[0]: ask(*probe) for probe in PROBES},
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
