"""The types of prctl; what the functions do is in their docstrings and in docs/reference.

The order is that of the pages there. tests/test_types.py compares all of it with the module.
"""

import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from typing import (
    IO,
    Any,
    AnyStr,
    ClassVar,
    Final,
    Literal,
    NamedTuple,
    Self,
    SupportsIndex,
    TypeAlias,
    TypedDict,
    Unpack,
    overload,
    type_check_only,
)

from _typeshed import (
    FileDescriptorLike,
    HasFileno,
    ReadableBuffer,
    StrOrBytesPath,
    WriteableBuffer,
)

# fmt: off
__all__ = [
    "ALL_CAPS", "ALL_CAP_NAMES", "ALL_FLAGS", "ALL_FLAG_NAMES", "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ", "CAP_AUDIT_WRITE", "CAP_BLOCK_SUSPEND", "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH",
    "CAP_EFFECTIVE", "CAP_FOWNER", "CAP_FSETID", "CAP_INHERITABLE", "CAP_IPC_LOCK",
    "CAP_IPC_OWNER", "CAP_KILL", "CAP_LAST_CAP", "CAP_LEASE", "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_MKNOD", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST", "CAP_NET_RAW", "CAP_PERFMON", "CAP_PERMITTED", "CAP_SETFCAP",
    "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYSLOG", "CAP_SYS_ADMIN", "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT", "CAP_SYS_MODULE", "CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_WAKE_ALARM",
    "CFI_BRANCH_LANDING_PADS", "CFI_DISABLE", "CFI_ENABLE", "CFI_LOCK", "ENDIAN_BIG",
    "ENDIAN_LITTLE", "ENDIAN_PPC_LITTLE", "FPEMU_NOPRINT", "FPEMU_SIGFPE", "FP_EXC_ASYNC",
    "FP_EXC_DISABLED", "FP_EXC_DIV", "FP_EXC_INV", "FP_EXC_NONRECOV", "FP_EXC_OVF",
    "FP_EXC_PRECISE", "FP_EXC_RES", "FP_EXC_SW_ENABLE", "FP_EXC_UND", "FP_MODE_FR",
    "FP_MODE_FRE", "FUTEX_HASH_GET_SLOTS", "FUTEX_HASH_SET_SLOTS", "MCE_KILL_CLEAR",
    "MCE_KILL_DEFAULT", "MCE_KILL_EARLY", "MCE_KILL_LATE", "MCE_KILL_SET", "MDWE_NO_INHERIT",
    "MDWE_REFUSE_EXEC_GAIN", "MTE_STORE_ONLY", "MTE_TAG_MASK", "MTE_TAG_SHIFT", "MTE_TCF_ASYNC",
    "MTE_TCF_MASK", "MTE_TCF_NONE", "MTE_TCF_SHIFT", "MTE_TCF_SYNC", "PAC_APDAKEY",
    "PAC_APDBKEY", "PAC_APGAKEY", "PAC_APIAKEY", "PAC_APIBKEY", "PMLEN_MASK", "PMLEN_SHIFT",
    "PPC_DEXCR_CTRL_CLEAR", "PPC_DEXCR_CTRL_CLEAR_ONEXEC", "PPC_DEXCR_CTRL_EDITABLE",
    "PPC_DEXCR_CTRL_MASK", "PPC_DEXCR_CTRL_SET", "PPC_DEXCR_CTRL_SET_ONEXEC",
    "PPC_DEXCR_IBRTPD", "PPC_DEXCR_NPHIE", "PPC_DEXCR_SBHE", "PPC_DEXCR_SRAPD",
    "RISCV_CTX_SW_FENCEI_OFF", "RISCV_CTX_SW_FENCEI_ON", "RISCV_SCOPE_PER_PROCESS",
    "RISCV_SCOPE_PER_THREAD", "RISCV_V_VSTATE_CTRL_CUR_MASK", "RISCV_V_VSTATE_CTRL_DEFAULT",
    "RISCV_V_VSTATE_CTRL_INHERIT", "RISCV_V_VSTATE_CTRL_MASK", "RISCV_V_VSTATE_CTRL_NEXT_MASK",
    "RISCV_V_VSTATE_CTRL_OFF", "RISCV_V_VSTATE_CTRL_ON", "RSEQ_SLICE_EXTENSION_GET",
    "RSEQ_SLICE_EXTENSION_SET", "RSEQ_SLICE_EXT_ENABLE", "SCHED_CORE_CREATE", "SCHED_CORE_GET",
    "SCHED_CORE_SCOPE_PROCESS_GROUP", "SCHED_CORE_SCOPE_THREAD",
    "SCHED_CORE_SCOPE_THREAD_GROUP", "SCHED_CORE_SHARE_FROM", "SCHED_CORE_SHARE_TO",
    "SECBIT_EXEC_DENY_INTERACTIVE", "SECBIT_EXEC_DENY_INTERACTIVE_LOCKED",
    "SECBIT_EXEC_RESTRICT_FILE", "SECBIT_EXEC_RESTRICT_FILE_LOCKED", "SECBIT_KEEP_CAPS",
    "SECBIT_KEEP_CAPS_LOCKED", "SECBIT_NOROOT", "SECBIT_NOROOT_LOCKED",
    "SECBIT_NO_CAP_AMBIENT_RAISE", "SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED",
    "SECBIT_NO_SETUID_FIXUP", "SECBIT_NO_SETUID_FIXUP_LOCKED", "SECCOMP_MODE_DISABLED",
    "SECCOMP_MODE_FILTER", "SECCOMP_MODE_STRICT", "SECCOMP_RET_ACTION",
    "SECCOMP_RET_ACTION_FULL", "SECCOMP_RET_ALLOW", "SECCOMP_RET_DATA", "SECCOMP_RET_ERRNO",
    "SECCOMP_RET_KILL", "SECCOMP_RET_KILL_PROCESS", "SECCOMP_RET_KILL_THREAD",
    "SECCOMP_RET_LOG", "SECCOMP_RET_TRACE", "SECCOMP_RET_TRAP", "SECCOMP_RET_USER_NOTIF",
    "SECURE_ALL_BITS", "SECURE_ALL_LOCKS", "SECURE_ALL_UNPRIVILEGED",
    "SECURE_EXEC_DENY_INTERACTIVE", "SECURE_EXEC_DENY_INTERACTIVE_LOCKED",
    "SECURE_EXEC_RESTRICT_FILE", "SECURE_EXEC_RESTRICT_FILE_LOCKED", "SECURE_KEEP_CAPS",
    "SECURE_KEEP_CAPS_LOCKED", "SECURE_NOROOT", "SECURE_NOROOT_LOCKED",
    "SECURE_NO_CAP_AMBIENT_RAISE", "SECURE_NO_CAP_AMBIENT_RAISE_LOCKED",
    "SECURE_NO_SETUID_FIXUP", "SECURE_NO_SETUID_FIXUP_LOCKED", "SET_MM_ARG_END",
    "SET_MM_ARG_START", "SET_MM_AUXV", "SET_MM_BRK", "SET_MM_END_CODE", "SET_MM_END_DATA",
    "SET_MM_ENV_END", "SET_MM_ENV_START", "SET_MM_EXE_FILE", "SET_MM_MAP", "SET_MM_MAP_SIZE",
    "SET_MM_START_BRK", "SET_MM_START_CODE", "SET_MM_START_DATA", "SET_MM_START_STACK",
    "SET_PTRACER_ANY", "SET_VMA_ANON_NAME", "SHADOW_STACK_ENABLE", "SHADOW_STACK_PUSH",
    "SHADOW_STACK_WRITE", "SME_SET_VL_ONEXEC", "SME_VL_INHERIT", "SME_VL_LEN_MASK",
    "SPEC_DISABLE", "SPEC_DISABLE_NOEXEC", "SPEC_ENABLE", "SPEC_FORCE_DISABLE",
    "SPEC_INDIRECT_BRANCH", "SPEC_L1D_FLUSH", "SPEC_NOT_AFFECTED", "SPEC_PRCTL",
    "SPEC_STORE_BYPASS", "SVE_SET_VL_ONEXEC", "SVE_VL_INHERIT", "SVE_VL_LEN_MASK",
    "SYSCALL_DISPATCH_FILTER_ALLOW", "SYSCALL_DISPATCH_FILTER_BLOCK",
    "SYS_DISPATCH_EXCLUSIVE_ON", "SYS_DISPATCH_INCLUSIVE_ON", "SYS_DISPATCH_OFF",
    "SYS_DISPATCH_ON", "TAGGED_ADDR_ENABLE", "THP_DISABLE_EXCEPT_ADVISED",
    "TIMER_CREATE_RESTORE_IDS_GET", "TIMER_CREATE_RESTORE_IDS_OFF",
    "TIMER_CREATE_RESTORE_IDS_ON", "TIMING_STATISTICAL", "TIMING_TIMESTAMP", "TSC_ENABLE",
    "TSC_SIGSEGV", "UNALIGN_NOPRINT", "UNALIGN_SIGBUS", "Capabilities", "Popen", "all_threads",
    "cap_ambient", "cap_ambient_clear_all", "cap_ambient_is_set", "cap_ambient_lower",
    "cap_ambient_raise", "cap_effective", "cap_inheritable", "cap_permitted", "capbset",
    "capbset_drop", "capbset_read", "drop_privileges", "futex_hash_get_slots",
    "futex_hash_set_slots", "get_auxv", "get_caps", "get_cfi", "get_child_subreaper",
    "get_dumpable", "get_endian", "get_fp_mode", "get_fpemu", "get_fpexc", "get_io_flusher",
    "get_keepcaps", "get_mce_kill", "get_mdwe", "get_memory_merge", "get_mm_map",
    "get_mm_map_size", "get_name", "get_no_new_privs", "get_pdeathsig", "get_proctitle",
    "get_ptracer", "get_rseq_slice_extension", "get_seccomp", "get_securebits",
    "get_shadow_stack_status", "get_speculation_ctrl", "get_tagged_addr_ctrl",
    "get_thp_disable", "get_tid_address", "get_timerslack", "get_timing", "get_tsc",
    "get_unalign", "launcher", "lock_shadow_stack_status", "mpx_disable_management",
    "mpx_enable_management", "pac_get_enabled_keys", "pac_reset_keys", "pac_set_enabled_keys",
    "ppc_get_dexcr", "ppc_set_dexcr", "remove_file_caps", "riscv_set_icache_flush_ctx",
    "riscv_v_get_control", "riscv_v_set_control", "sched_core_create", "sched_core_get",
    "sched_core_share_from", "sched_core_share_to", "securebits", "set_caps", "set_cfi",
    "set_child_subreaper", "set_dumpable", "set_endian", "set_fp_mode", "set_fpemu",
    "set_fpexc", "set_io_flusher", "set_keepcaps", "set_mce_kill", "set_mdwe",
    "set_memory_merge", "set_mm", "set_mm_map", "set_name", "set_no_new_privs", "set_pdeathsig",
    "set_proctitle", "set_ptracer", "set_rseq_slice_extension", "set_seccomp", "set_securebits",
    "set_shadow_stack_status", "set_speculation_ctrl", "set_syscall_user_dispatch",
    "set_tagged_addr_ctrl", "set_thp_disable", "set_timerslack", "set_timing", "set_tsc",
    "set_unalign", "set_vma_anon_name", "sme_get_vl", "sme_set_vl", "sve_get_vl", "sve_set_vl",
    "task_perf_events_disable", "task_perf_events_enable", "timer_create_restore_ids",
]
# fmt: on

__version__: str

# A name, with or without "cap_", or a number.
_Capability: TypeAlias = str | SupportsIndex
_OneOrMore: TypeAlias = _Capability | Iterable[_Capability]
_SetOfCapabilities: TypeAlias = AbstractSet[_Capability] | CapabilitySet
# A name, or an id.
_Account: TypeAlias = str | SupportsIndex
# Taken by its truth.
_Flag: TypeAlias = object
# What an option's function takes, or an int, or a buffer for a pointer.
_RawArgument: TypeAlias = str | SupportsIndex | ReadableBuffer | None

# ---- Process attributes

# Parents and children

def set_pdeathsig(signal: SupportsIndex | None, /) -> None: ...
def get_pdeathsig() -> int: ...
def set_child_subreaper(flag: _Flag, /) -> None: ...
def get_child_subreaper() -> bool: ...

# Who may look inside

def set_dumpable(flag: _Flag, /) -> None: ...
def get_dumpable() -> bool: ...

SET_PTRACER_ANY: Final[int]

def set_ptracer(pid: SupportsIndex, /) -> None: ...
def get_ptracer() -> int: ...

# Time

def set_timerslack(nanoseconds: SupportsIndex, /) -> None: ...
def get_timerslack() -> int: ...

TIMING_STATISTICAL: Final = 0
TIMING_TIMESTAMP: Final = 1

def set_timing(method: SupportsIndex, /) -> None: ...
def get_timing() -> int: ...

TSC_ENABLE: Final = 1
TSC_SIGSEGV: Final = 2

def set_tsc(mode: SupportsIndex, /) -> None: ...
def get_tsc() -> int: ...

# Memory errors and performance counters

MCE_KILL_CLEAR: Final = 0
MCE_KILL_SET: Final = 1
MCE_KILL_LATE: Final = 0
MCE_KILL_EARLY: Final = 1
MCE_KILL_DEFAULT: Final = 2

def set_mce_kill(policy: SupportsIndex, /) -> None: ...
def get_mce_kill() -> int: ...
def task_perf_events_enable() -> None: ...
def task_perf_events_disable() -> None: ...

# Scheduling and I/O

SCHED_CORE_GET: Final = 0
SCHED_CORE_CREATE: Final = 1
SCHED_CORE_SHARE_TO: Final = 2
SCHED_CORE_SHARE_FROM: Final = 3
SCHED_CORE_SCOPE_THREAD: Final = 0
SCHED_CORE_SCOPE_THREAD_GROUP: Final = 1
SCHED_CORE_SCOPE_PROCESS_GROUP: Final = 2

def sched_core_get(pid: SupportsIndex = 0, /) -> int: ...
def sched_core_create(pid: SupportsIndex = 0, scope: SupportsIndex = 0) -> None: ...
def sched_core_share_to(pid: SupportsIndex, scope: SupportsIndex = 0) -> None: ...
def sched_core_share_from(pid: SupportsIndex, /) -> None: ...

RSEQ_SLICE_EXTENSION_GET: Final = 1
RSEQ_SLICE_EXTENSION_SET: Final = 2
RSEQ_SLICE_EXT_ENABLE: Final = 1

def set_rseq_slice_extension(bits: SupportsIndex, /) -> None: ...
def get_rseq_slice_extension() -> int: ...

FUTEX_HASH_SET_SLOTS: Final = 1
FUTEX_HASH_GET_SLOTS: Final = 2

def futex_hash_set_slots(slots: SupportsIndex, /) -> None: ...
def futex_hash_get_slots() -> int: ...
def set_io_flusher(flag: _Flag, /) -> None: ...
def get_io_flusher() -> bool: ...

# Checkpoint and restore

def get_tid_address() -> int: ...

TIMER_CREATE_RESTORE_IDS_OFF: Final = 0
TIMER_CREATE_RESTORE_IDS_ON: Final = 1
TIMER_CREATE_RESTORE_IDS_GET: Final = 2

@overload
def timer_create_restore_ids(control: Literal[0, 1], /) -> None: ...
@overload
def timer_create_restore_ids(control: Literal[2], /) -> int: ...
@overload
def timer_create_restore_ids(control: SupportsIndex, /) -> int | None: ...

# ---- The whole process

def all_threads() -> AbstractContextManager[None, None]: ...
def drop_privileges(
    user: _Account,
    group: _Account | None = None,
    *,
    groups: Iterable[_Account] | None = None,
    keep: Iterable[_Capability] = (),
    ambient: _Flag = False,
    no_new_privs: _Flag = True,
) -> None: ...

# ---- Names and titles

def set_name(name: str | bytes, /) -> None: ...
def get_name() -> str: ...
def set_proctitle(title: str | bytes, /) -> None: ...
def get_proctitle() -> str: ...

# ---- Capabilities

# The five sets

cap_effective: CapabilitySet
cap_permitted: CapabilitySet
cap_inheritable: CapabilitySet
cap_ambient: CapabilitySet
capbset: CapabilitySet

# A MutableSet[str] by registration. Were it one by inheritance, mypy would call it an error to look
# for a number in it.
class CapabilitySet:
    chown: bool
    dac_override: bool
    dac_read_search: bool
    fowner: bool
    fsetid: bool
    kill: bool
    setgid: bool
    setuid: bool
    setpcap: bool
    linux_immutable: bool
    net_bind_service: bool
    net_broadcast: bool
    net_admin: bool
    net_raw: bool
    ipc_lock: bool
    ipc_owner: bool
    sys_module: bool
    sys_rawio: bool
    sys_chroot: bool
    sys_ptrace: bool
    sys_pacct: bool
    sys_admin: bool
    sys_boot: bool
    sys_nice: bool
    sys_resource: bool
    sys_time: bool
    sys_tty_config: bool
    mknod: bool
    lease: bool
    audit_write: bool
    audit_control: bool
    setfcap: bool
    mac_override: bool
    mac_admin: bool
    syslog: bool
    wake_alarm: bool
    block_suspend: bool
    audit_read: bool
    perfmon: bool
    bpf: bool
    checkpoint_restore: bool
    last_cap: bool

    def __init__(self, name: str, number: int) -> None: ...
    def drop(self, *capabilities: _Capability) -> None: ...
    def limit(self, *capabilities: _Capability) -> None: ...
    def raised(self, *capabilities: _Capability) -> AbstractContextManager[None, None]: ...
    def add(self, capability: _Capability) -> None: ...
    def discard(self, capability: _Capability) -> None: ...
    def remove(self, capability: _Capability) -> None: ...
    def pop(self) -> str: ...
    def clear(self) -> None: ...
    def isdisjoint(self, other: Iterable[_Capability]) -> bool: ...
    def __contains__(self, capability: object) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __le__(self, other: _SetOfCapabilities) -> bool: ...
    def __lt__(self, other: _SetOfCapabilities) -> bool: ...
    def __ge__(self, other: _SetOfCapabilities) -> bool: ...
    def __gt__(self, other: _SetOfCapabilities) -> bool: ...
    def __or__(self, other: _SetOfCapabilities) -> set[str]: ...
    def __ror__(self, other: _SetOfCapabilities) -> set[str]: ...
    def __and__(self, other: _SetOfCapabilities) -> set[str]: ...
    def __rand__(self, other: _SetOfCapabilities) -> set[str]: ...
    def __xor__(self, other: _SetOfCapabilities) -> set[str]: ...
    def __rxor__(self, other: _SetOfCapabilities) -> set[str]: ...
    def __sub__(self, other: _SetOfCapabilities) -> set[str]: ...
    def __rsub__(self, other: _SetOfCapabilities) -> set[str]: ...
    def __ior__(self, other: _SetOfCapabilities) -> Self: ...
    def __iand__(self, other: _SetOfCapabilities) -> Self: ...
    def __isub__(self, other: _SetOfCapabilities) -> Self: ...
    def __ixor__(self, other: _SetOfCapabilities) -> Self: ...

# Across a change of user

def set_keepcaps(flag: _Flag, /) -> None: ...
def get_keepcaps() -> bool: ...

# Text, files and other processes

class Capabilities:
    def __new__(
        cls,
        permitted: _OneOrMore = (),
        effective: _OneOrMore = (),
        inheritable: _OneOrMore = (),
    ) -> Self: ...
    @property
    def effective(self) -> frozenset[str]: ...
    @property
    def permitted(self) -> frozenset[str]: ...
    @property
    def inheritable(self) -> frozenset[str]: ...
    @classmethod
    def from_text(cls, text: str) -> Self: ...
    @classmethod
    def current(cls) -> Self: ...
    @classmethod
    def of(cls, pid: SupportsIndex) -> Self: ...
    @classmethod
    def from_file(cls, path: StrOrBytesPath | FileDescriptorLike) -> Self | None: ...
    def to_file(
        self, path: StrOrBytesPath | FileDescriptorLike, rootid: SupportsIndex | None = None
    ) -> None: ...
    def apply(self) -> None: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

def remove_file_caps(path: StrOrBytesPath | FileDescriptorLike) -> None: ...

# By number

ALL_CAPS: Final[tuple[int, ...]]
ALL_CAP_NAMES: Final[tuple[str, ...]]
ALL_FLAGS: Final[tuple[int, int, int]]
ALL_FLAG_NAMES: Final[tuple[str, str, str]]

CAP_EFFECTIVE: Final = 0
CAP_PERMITTED: Final = 1
CAP_INHERITABLE: Final = 2
CAP_CHOWN: Final = 0
CAP_DAC_OVERRIDE: Final = 1
CAP_DAC_READ_SEARCH: Final = 2
CAP_FOWNER: Final = 3
CAP_FSETID: Final = 4
CAP_KILL: Final = 5
CAP_SETGID: Final = 6
CAP_SETUID: Final = 7
CAP_SETPCAP: Final = 8
CAP_LINUX_IMMUTABLE: Final = 9
CAP_NET_BIND_SERVICE: Final = 10
CAP_NET_BROADCAST: Final = 11
CAP_NET_ADMIN: Final = 12
CAP_NET_RAW: Final = 13
CAP_IPC_LOCK: Final = 14
CAP_IPC_OWNER: Final = 15
CAP_SYS_MODULE: Final = 16
CAP_SYS_RAWIO: Final = 17
CAP_SYS_CHROOT: Final = 18
CAP_SYS_PTRACE: Final = 19
CAP_SYS_PACCT: Final = 20
CAP_SYS_ADMIN: Final = 21
CAP_SYS_BOOT: Final = 22
CAP_SYS_NICE: Final = 23
CAP_SYS_RESOURCE: Final = 24
CAP_SYS_TIME: Final = 25
CAP_SYS_TTY_CONFIG: Final = 26
CAP_MKNOD: Final = 27
CAP_LEASE: Final = 28
CAP_AUDIT_WRITE: Final = 29
CAP_AUDIT_CONTROL: Final = 30
CAP_SETFCAP: Final = 31
CAP_MAC_OVERRIDE: Final = 32
CAP_MAC_ADMIN: Final = 33
CAP_SYSLOG: Final = 34
CAP_WAKE_ALARM: Final = 35
CAP_BLOCK_SUSPEND: Final = 36
CAP_AUDIT_READ: Final = 37
CAP_PERFMON: Final = 38
CAP_BPF: Final = 39
CAP_CHECKPOINT_RESTORE: Final = 40
CAP_LAST_CAP: Final[int]

def capbset_read(capability: SupportsIndex, /) -> bool: ...
def capbset_drop(capability: SupportsIndex, /) -> None: ...
def get_caps(
    *requests: tuple[_OneOrMore, int | Iterable[int]],
) -> dict[int, dict[int, bool]]: ...
def set_caps(*requests: tuple[_OneOrMore, int | Iterable[int], _Flag]) -> None: ...

# The ambient set, call by call

def cap_ambient_is_set(capability: SupportsIndex, /) -> bool: ...
def cap_ambient_raise(capability: SupportsIndex, /) -> None: ...
def cap_ambient_lower(capability: SupportsIndex, /) -> None: ...
def cap_ambient_clear_all() -> None: ...

# ---- Securebits

securebits: Final[Securebits]

class Securebits:
    noroot: bool
    noroot_locked: bool
    no_setuid_fixup: bool
    no_setuid_fixup_locked: bool
    keep_caps: bool
    keep_caps_locked: bool
    no_cap_ambient_raise: bool
    no_cap_ambient_raise_locked: bool
    exec_restrict_file: bool
    exec_restrict_file_locked: bool
    exec_deny_interactive: bool
    exec_deny_interactive_locked: bool

SECBIT_NOROOT: Final = 1
SECBIT_NOROOT_LOCKED: Final = 2
SECBIT_NO_SETUID_FIXUP: Final = 4
SECBIT_NO_SETUID_FIXUP_LOCKED: Final = 8
SECBIT_KEEP_CAPS: Final = 0x10
SECBIT_KEEP_CAPS_LOCKED: Final = 0x20
SECBIT_NO_CAP_AMBIENT_RAISE: Final = 0x40
SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED: Final = 0x80
SECBIT_EXEC_RESTRICT_FILE: Final = 0x100
SECBIT_EXEC_RESTRICT_FILE_LOCKED: Final = 0x200
SECBIT_EXEC_DENY_INTERACTIVE: Final = 0x400
SECBIT_EXEC_DENY_INTERACTIVE_LOCKED: Final = 0x800
SECURE_NOROOT: Final = 0
SECURE_NOROOT_LOCKED: Final = 1
SECURE_NO_SETUID_FIXUP: Final = 2
SECURE_NO_SETUID_FIXUP_LOCKED: Final = 3
SECURE_KEEP_CAPS: Final = 4
SECURE_KEEP_CAPS_LOCKED: Final = 5
SECURE_NO_CAP_AMBIENT_RAISE: Final = 6
SECURE_NO_CAP_AMBIENT_RAISE_LOCKED: Final = 7
SECURE_EXEC_RESTRICT_FILE: Final = 8
SECURE_EXEC_RESTRICT_FILE_LOCKED: Final = 9
SECURE_EXEC_DENY_INTERACTIVE: Final = 10
SECURE_EXEC_DENY_INTERACTIVE_LOCKED: Final = 11
SECURE_ALL_BITS: Final = 0x555
SECURE_ALL_LOCKS: Final = 0xAAA
SECURE_ALL_UNPRIVILEGED: Final = 0x500

def get_securebits() -> int: ...
def set_securebits(bits: SupportsIndex, /) -> None: ...

# ---- Seccomp and new privileges

def set_no_new_privs(flag: _Flag = True, /) -> None: ...
def get_no_new_privs() -> bool: ...

SECCOMP_MODE_DISABLED: Final = 0
SECCOMP_MODE_STRICT: Final = 1
SECCOMP_MODE_FILTER: Final = 2
SECCOMP_RET_KILL_PROCESS: Final = 0x80000000
SECCOMP_RET_KILL_THREAD: Final = 0
SECCOMP_RET_KILL: Final = 0
SECCOMP_RET_TRAP: Final = 0x30000
SECCOMP_RET_ERRNO: Final = 0x50000
SECCOMP_RET_USER_NOTIF: Final = 0x7FC00000
SECCOMP_RET_TRACE: Final = 0x7FF00000
SECCOMP_RET_LOG: Final = 0x7FFC0000
SECCOMP_RET_ALLOW: Final = 0x7FFF0000
SECCOMP_RET_ACTION: Final = 0x7FFF0000
SECCOMP_RET_DATA: Final = 0xFFFF
SECCOMP_RET_ACTION_FULL: Final = 0xFFFF0000

def set_seccomp(mode: SupportsIndex, program: ReadableBuffer | None = None) -> None: ...
def get_seccomp() -> int: ...

# System calls of foreign programs

SYS_DISPATCH_OFF: Final = 0
SYS_DISPATCH_ON: Final = 1
SYS_DISPATCH_EXCLUSIVE_ON: Final = 1
SYS_DISPATCH_INCLUSIVE_ON: Final = 2
SYSCALL_DISPATCH_FILTER_ALLOW: Final = 0
SYSCALL_DISPATCH_FILTER_BLOCK: Final = 1

def set_syscall_user_dispatch(
    mode: SupportsIndex,
    offset: SupportsIndex = 0,
    length: SupportsIndex = 0,
    selector: WriteableBuffer | None = None,
) -> None: ...

# ---- Memory

# auxv is an address; set_mm_map() also takes the vector itself.
@type_check_only
class _mm_map(NamedTuple):
    start_code: int
    end_code: int
    start_data: int
    end_data: int
    start_brk: int
    brk: int
    start_stack: int
    arg_start: int
    arg_end: int
    env_start: int
    env_end: int
    auxv: int | ReadableBuffer
    auxv_size: int
    exe_fd: int

def get_mm_map() -> _mm_map: ...
def set_mm_map(map: _mm_map, /) -> None: ...
def get_mm_map_size() -> int: ...

SET_MM_START_CODE: Final = 1
SET_MM_END_CODE: Final = 2
SET_MM_START_DATA: Final = 3
SET_MM_END_DATA: Final = 4
SET_MM_START_STACK: Final = 5
SET_MM_START_BRK: Final = 6
SET_MM_BRK: Final = 7
SET_MM_ARG_START: Final = 8
SET_MM_ARG_END: Final = 9
SET_MM_ENV_START: Final = 10
SET_MM_ENV_END: Final = 11
SET_MM_AUXV: Final = 12
SET_MM_EXE_FILE: Final = 13
SET_MM_MAP: Final = 14
SET_MM_MAP_SIZE: Final = 15

def set_mm(field: SupportsIndex, value: SupportsIndex | ReadableBuffer | HasFileno) -> None: ...
def get_auxv() -> dict[int, int]: ...

SET_VMA_ANON_NAME: Final = 0

@overload
def set_vma_anon_name(
    address: SupportsIndex | WriteableBuffer, length: SupportsIndex, name: str | bytes | None
) -> None: ...
@overload
def set_vma_anon_name(address: WriteableBuffer, length: str | bytes | None) -> None: ...
@overload
def set_vma_anon_name(address: WriteableBuffer, *, name: str | bytes | None) -> None: ...

# What may be done with it

MDWE_REFUSE_EXEC_GAIN: Final = 1
MDWE_NO_INHERIT: Final = 2

def set_mdwe(bits: SupportsIndex, /) -> None: ...
def get_mdwe() -> int: ...
def set_memory_merge(flag: _Flag, /) -> None: ...
def get_memory_merge() -> bool: ...

THP_DISABLE_EXCEPT_ADVISED: Final = 2

def set_thp_disable(flag: _Flag, flags: SupportsIndex = 0) -> None: ...
def get_thp_disable() -> int: ...

# ---- Processors

# Speculative execution

SPEC_STORE_BYPASS: Final = 0
SPEC_INDIRECT_BRANCH: Final = 1
SPEC_L1D_FLUSH: Final = 2
SPEC_NOT_AFFECTED: Final = 0
SPEC_PRCTL: Final = 1
SPEC_ENABLE: Final = 2
SPEC_DISABLE: Final = 4
SPEC_FORCE_DISABLE: Final = 8
SPEC_DISABLE_NOEXEC: Final = 0x10

def get_speculation_ctrl(feature: SupportsIndex, /) -> int: ...
def set_speculation_ctrl(feature: SupportsIndex, control: SupportsIndex) -> None: ...

# Control flow

SHADOW_STACK_ENABLE: Final = 1
SHADOW_STACK_WRITE: Final = 2
SHADOW_STACK_PUSH: Final = 4

def set_shadow_stack_status(bits: SupportsIndex, /) -> None: ...
def get_shadow_stack_status() -> int: ...
def lock_shadow_stack_status(bits: SupportsIndex, /) -> None: ...

CFI_BRANCH_LANDING_PADS: Final = 0
CFI_ENABLE: Final = 1
CFI_DISABLE: Final = 2
CFI_LOCK: Final = 4

def set_cfi(feature: SupportsIndex, control: SupportsIndex) -> None: ...
def get_cfi(feature: SupportsIndex, /) -> int: ...

PAC_APIAKEY: Final = 1
PAC_APIBKEY: Final = 2
PAC_APDAKEY: Final = 4
PAC_APDBKEY: Final = 8
PAC_APGAKEY: Final = 0x10

def pac_reset_keys(keys: SupportsIndex, /) -> None: ...
def pac_set_enabled_keys(affected: SupportsIndex, enabled: SupportsIndex) -> None: ...
def pac_get_enabled_keys() -> int: ...

# Vectors

SVE_SET_VL_ONEXEC: Final = 0x40000
SVE_VL_LEN_MASK: Final = 0xFFFF
SVE_VL_INHERIT: Final = 0x20000

def sve_set_vl(bits: SupportsIndex, /) -> int: ...
def sve_get_vl() -> int: ...

SME_SET_VL_ONEXEC: Final = 0x40000
SME_VL_LEN_MASK: Final = 0xFFFF
SME_VL_INHERIT: Final = 0x20000

def sme_set_vl(bits: SupportsIndex, /) -> int: ...
def sme_get_vl() -> int: ...

RISCV_V_VSTATE_CTRL_DEFAULT: Final = 0
RISCV_V_VSTATE_CTRL_OFF: Final = 1
RISCV_V_VSTATE_CTRL_ON: Final = 2
RISCV_V_VSTATE_CTRL_INHERIT: Final = 0x10
RISCV_V_VSTATE_CTRL_CUR_MASK: Final = 3
RISCV_V_VSTATE_CTRL_NEXT_MASK: Final = 0xC
RISCV_V_VSTATE_CTRL_MASK: Final = 0x1F

def riscv_v_set_control(bits: SupportsIndex, /) -> None: ...
def riscv_v_get_control() -> int: ...

# Addresses and instructions

TAGGED_ADDR_ENABLE: Final = 1
MTE_TCF_NONE: Final = 0
MTE_TCF_SYNC: Final = 2
MTE_TCF_ASYNC: Final = 4
MTE_TCF_MASK: Final = 6
MTE_TAG_SHIFT: Final = 3
MTE_TAG_MASK: Final = 0x7FFF8
MTE_TCF_SHIFT: Final = 1
MTE_STORE_ONLY: Final = 0x80000
PMLEN_SHIFT: Final = 24
PMLEN_MASK: Final = 0x7F000000

def set_tagged_addr_ctrl(bits: SupportsIndex, /) -> None: ...
def get_tagged_addr_ctrl() -> int: ...

UNALIGN_NOPRINT: Final = 1
UNALIGN_SIGBUS: Final = 2

def set_unalign(mode: SupportsIndex, /) -> None: ...
def get_unalign() -> int: ...

ENDIAN_BIG: Final = 0
ENDIAN_LITTLE: Final = 1
ENDIAN_PPC_LITTLE: Final = 2

def set_endian(endianness: SupportsIndex, /) -> None: ...
def get_endian() -> int: ...

RISCV_CTX_SW_FENCEI_ON: Final = 0
RISCV_CTX_SW_FENCEI_OFF: Final = 1
RISCV_SCOPE_PER_PROCESS: Final = 0
RISCV_SCOPE_PER_THREAD: Final = 1

def riscv_set_icache_flush_ctx(context: SupportsIndex, scope: SupportsIndex) -> None: ...

PPC_DEXCR_SBHE: Final = 0
PPC_DEXCR_IBRTPD: Final = 1
PPC_DEXCR_SRAPD: Final = 2
PPC_DEXCR_NPHIE: Final = 3
PPC_DEXCR_CTRL_EDITABLE: Final = 1
PPC_DEXCR_CTRL_SET: Final = 2
PPC_DEXCR_CTRL_CLEAR: Final = 4
PPC_DEXCR_CTRL_SET_ONEXEC: Final = 8
PPC_DEXCR_CTRL_CLEAR_ONEXEC: Final = 0x10
PPC_DEXCR_CTRL_MASK: Final = 0x1F

def ppc_set_dexcr(aspect: SupportsIndex, control: SupportsIndex) -> None: ...
def ppc_get_dexcr(aspect: SupportsIndex, /) -> int: ...
def mpx_enable_management() -> None: ...
def mpx_disable_management() -> None: ...

# Floating point

FPEMU_NOPRINT: Final = 1
FPEMU_SIGFPE: Final = 2

def set_fpemu(mode: SupportsIndex, /) -> None: ...
def get_fpemu() -> int: ...

FP_EXC_SW_ENABLE: Final = 0x80
FP_EXC_DIV: Final = 0x10000
FP_EXC_OVF: Final = 0x20000
FP_EXC_UND: Final = 0x40000
FP_EXC_RES: Final = 0x80000
FP_EXC_INV: Final = 0x100000
FP_EXC_DISABLED: Final = 0
FP_EXC_NONRECOV: Final = 1
FP_EXC_ASYNC: Final = 2
FP_EXC_PRECISE: Final = 3

def set_fpexc(mode: SupportsIndex, /) -> None: ...
def get_fpexc() -> int: ...

FP_MODE_FR: Final = 1
FP_MODE_FRE: Final = 2

def set_fp_mode(mode: SupportsIndex, /) -> None: ...
def get_fp_mode() -> int: ...

# ---- Children

# What Popen and launcher() can give a child.
@type_check_only
class _Attributes(TypedDict, total=False):
    pdeathsig: SupportsIndex | None
    no_new_privs: _Flag
    user: _Account | None
    group: _Account | None
    extra_groups: Iterable[_Account] | None
    keep: Iterable[_Capability] | None
    ambient: Iterable[_Capability] | None
    inheritable: Iterable[_Capability] | None
    bounding: Iterable[_Capability] | None
    securebits: SupportsIndex | None
    child_subreaper: _Flag
    timerslack: SupportsIndex | None
    thp_disable: _Flag
    seccomp: ReadableBuffer | None

# What else Popen takes: subprocess's options on Unix, without preexec_fn and those of text.
@type_check_only
class _SubprocessOptions(TypedDict, total=False):
    bufsize: int
    executable: StrOrBytesPath | None
    stdin: _Stream
    stdout: _Stream
    stderr: _Stream
    close_fds: bool
    shell: bool
    cwd: StrOrBytesPath | None
    env: Mapping[str, StrOrBytesPath] | Mapping[bytes, StrOrBytesPath] | None
    restore_signals: bool
    start_new_session: bool
    pass_fds: Collection[int]
    umask: int
    pipesize: int
    process_group: int | None

@type_check_only
class _PopenOptions(_Attributes, _SubprocessOptions, total=False): ...

_Command: TypeAlias = StrOrBytesPath | Sequence[StrOrBytesPath]
_Stream: TypeAlias = int | IO[Any] | None

class Popen(subprocess.Popen[AnyStr]):
    @overload
    def __init__(
        self: Popen[str],
        args: _Command,
        *,
        text: Literal[True],
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: bool | None = None,
        **options: Unpack[_PopenOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[str],
        args: _Command,
        *,
        encoding: str,
        text: bool | None = None,
        errors: str | None = None,
        universal_newlines: bool | None = None,
        **options: Unpack[_PopenOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[str],
        args: _Command,
        *,
        errors: str,
        text: bool | None = None,
        encoding: str | None = None,
        universal_newlines: bool | None = None,
        **options: Unpack[_PopenOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[str],
        args: _Command,
        *,
        universal_newlines: Literal[True],
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        **options: Unpack[_PopenOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[bytes],
        args: _Command,
        *,
        text: Literal[False] | None = None,
        encoding: None = None,
        errors: None = None,
        universal_newlines: Literal[False] | None = None,
        **options: Unpack[_PopenOptions],
    ) -> None: ...
    # Written out here, because mypy's stubtest looks into no TypedDict of an overload.
    @overload
    def __init__(
        self: Popen[Any],
        args: _Command,
        *,
        pdeathsig: SupportsIndex | None = None,
        no_new_privs: _Flag = False,
        user: _Account | None = None,
        group: _Account | None = None,
        extra_groups: Iterable[_Account] | None = None,
        keep: Iterable[_Capability] | None = (),
        ambient: Iterable[_Capability] | None = (),
        inheritable: Iterable[_Capability] | None = None,
        bounding: Iterable[_Capability] | None = None,
        securebits: SupportsIndex | None = None,
        child_subreaper: _Flag = None,
        timerslack: SupportsIndex | None = None,
        thp_disable: _Flag = None,
        seccomp: ReadableBuffer | None = None,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: bool | None = None,
        **options: Unpack[_SubprocessOptions],
    ) -> None: ...

# Processes that something else starts

def launcher(
    *, parent: SupportsIndex | None = ..., **attributes: Unpack[_Attributes]
) -> list[str]: ...

# ---- Options without a function, and python-prctl

# The raw call

def prctl(
    option: SupportsIndex,
    arg2: _RawArgument = 0,
    arg3: _RawArgument = 0,
    arg4: _RawArgument = 0,
    arg5: _RawArgument = 0,
) -> Any: ...
