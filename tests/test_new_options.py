"""What the options beyond python-prctl's do, as far as this machine's kernel has them.

The order is that of src/options.h. What the kernel lacks is compared with what it says to libc, and
what it would answer elsewhere comes from a pretended kernel; tests/test_every_option.py shows that
it was asked with the right arguments. The memory map is in tests/test_memory.py, the dispatch of
system calls in tests/test_dispatch.py.
"""

import ctypes
import errno
import mmap
import os
import platform
import signal
import struct
import threading

import pytest
import support
from support import (
    error_of,
    in_child,
    in_pretended_kernel,
    in_thread,
    kernel_prctl,
    needs_kernel,
    refused,
)

import _prctl
import prctl

LONG = struct.calcsize("L")
ULONG_MAX = 2 ** (8 * LONG) - 1
WIDE = 0x1122334455667788 & ULONG_MAX >> 1  # more than an int where a long is
PATTERN = struct.pack("=Q", 0x8877665544332211)
EPERM = refused(errno.EPERM)


# ---- What this kernel has or has not: the answer is the kernel's own

# The function, its arguments, and what libc asks: an option, and arg2 to arg5 if they are not the
# same. None of them changes more than the child that asks; of a getter the result counts.
OUT = "out"  # somewhere to write to
ASKED = [
    ("get_thp_disable", (), 42),
    ("set_thp_disable", (False, 2), 41, 0, 2),
    ("set_thp_disable", (True, 4), 41, 1, 4),
    ("mpx_enable_management", (), 43),
    ("mpx_disable_management", (), 44),
    ("set_fp_mode", (WIDE,), 45),
    ("get_fp_mode", (), 46),
    ("cap_ambient_is_set", (0,), 47, 1, 0),
    ("cap_ambient_is_set", (63,), 47, 1, 63),
    ("cap_ambient_raise", (63,), 47, 2, 63),
    ("cap_ambient_lower", (63,), 47, 3, 63),
    ("sve_set_vl", (17,), 50),
    ("sve_set_vl", (16,), 50),
    ("sve_get_vl", (), 51),
    ("get_speculation_ctrl", (prctl.SPEC_STORE_BYPASS,), 52),
    ("get_speculation_ctrl", (prctl.SPEC_INDIRECT_BRANCH,), 52),
    ("get_speculation_ctrl", (prctl.SPEC_L1D_FLUSH,), 52),
    ("get_speculation_ctrl", (77,), 52),
    ("get_speculation_ctrl", (ULONG_MAX,), 52),
    ("set_speculation_ctrl", (77, 4), 53),
    ("pac_reset_keys", (prctl.PAC_APGAKEY,), 54),
    ("set_tagged_addr_ctrl", (ULONG_MAX,), 55),
    ("set_tagged_addr_ctrl", (0,), 55),
    ("get_tagged_addr_ctrl", (), 56),
    ("set_syscall_user_dispatch", (0, 1, 0), 59),
    ("set_syscall_user_dispatch", (2, 0, 0), 59),
    ("pac_set_enabled_keys", (0, 1), 60),
    ("pac_get_enabled_keys", (), 61),
    ("sched_core_create", (0, 3), 62, 1, 0, 3),
    ("sched_core_create", (2**31 - 1,), 62, 1, 2**31 - 1),
    ("sched_core_share_to", (2**31 - 1,), 62, 2, 2**31 - 1),
    ("sched_core_share_from", (2**31 - 1,), 62, 3, 2**31 - 1),
    ("sme_set_vl", (17,), 63),
    ("sme_get_vl", (), 64),
    ("set_mdwe", (prctl.MDWE_NO_INHERIT,), 65),
    ("set_mdwe", (4,), 65),
    ("set_mdwe", (1 << 8 * LONG - 1 | 1,), 65),
    ("get_mdwe", (), 66),
    ("set_memory_merge", (True,), 67),
    ("get_memory_merge", (), 68),
    ("riscv_v_set_control", (ULONG_MAX,), 69),
    ("riscv_v_get_control", (), 70),
    ("riscv_set_icache_flush_ctx", (2, 2), 71),
    ("ppc_get_dexcr", (77,), 72),
    ("ppc_set_dexcr", (77, 0), 73),
    ("get_shadow_stack_status", (), 74, OUT),
    ("set_shadow_stack_status", (ULONG_MAX,), 75),
    ("lock_shadow_stack_status", (0,), 76),
    ("timer_create_restore_ids", (prctl.TIMER_CREATE_RESTORE_IDS_GET,), 77),
    ("futex_hash_get_slots", (), 78, 2),
    ("futex_hash_set_slots", (0xFFFFFFFF,), 78, 1, 0xFFFFFFFF),
    ("get_rseq_slice_extension", (), 79, 1),
    ("set_rseq_slice_extension", (WIDE,), 79, 2, WIDE),
    ("get_cfi", (0,), 80, 0, OUT),
    ("set_cfi", (77, 0), 81),
]


@pytest.mark.parametrize(("name", "args", "option", "asked"), [(*r[:3], r[3:]) for r in ASKED])
def test_the_answer_of_the_kernel_is_the_answer(name, args, option, asked, user):
    def ask(function, *args):
        result = support.errno_or_result(function, *args)
        return 0 if result is None else result

    ours = in_child(ask, getattr(prctl, name), *args, user=user)
    memory = bytearray(16)
    words = [memory if word is OUT else word for word in asked or args]
    libc = in_child(ask, kernel_prctl, option, *words, user=user)
    if memory in words and libc == 0:  # ours is what was written
        assert isinstance(ours, int)
    elif libc == f"errno {ENOTSUPP}":
        assert ours == f"errno {errno.EOPNOTSUPP}"
    else:
        assert ours == libc


@pytest.mark.skipif(support.machine() not in ("x86_64", "i686"), reason="other machines have some")
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("set_fp_mode", (prctl.FP_MODE_FR,)),
        ("get_fp_mode", ()),
        ("sve_set_vl", (16,)),
        ("sve_get_vl", ()),
        ("pac_reset_keys", (0,)),
        ("pac_set_enabled_keys", (1, 1)),
        ("pac_get_enabled_keys", ()),
        ("set_tagged_addr_ctrl", (prctl.TAGGED_ADDR_ENABLE,)),
        ("get_tagged_addr_ctrl", ()),
        ("sme_set_vl", (16,)),
        ("sme_get_vl", ()),
        ("riscv_v_set_control", (prctl.RISCV_V_VSTATE_CTRL_ON,)),
        ("riscv_v_get_control", ()),
        ("riscv_set_icache_flush_ctx", (0, 0)),
        ("ppc_get_dexcr", (prctl.PPC_DEXCR_SBHE,)),
        ("ppc_set_dexcr", (prctl.PPC_DEXCR_SBHE, prctl.PPC_DEXCR_CTRL_SET)),
        ("get_shadow_stack_status", ()),
        ("set_shadow_stack_status", (prctl.SHADOW_STACK_ENABLE,)),
        ("lock_shadow_stack_status", (0,)),
        ("get_cfi", (prctl.CFI_BRANCH_LANDING_PADS,)),
        ("set_cfi", (prctl.CFI_BRANCH_LANDING_PADS, prctl.CFI_ENABLE)),
    ],
)
def test_what_only_other_architectures_have_is_einval_on_x86(name, args, user):
    expected = refused(errno.EINVAL)
    assert in_child(error_of, getattr(prctl, name), *args, user=user) == expected


# What a kernel that has the option returns or writes: a function, its arguments, the option, its
# result, the argument that points to somewhere and what is written there, and what comes of it.
ONES = b"\xff" * 8
ADDRESS = 0x7F1122334455 & ULONG_MAX
PRETENDED = [
    ("get_thp_disable", (), 42, 3, {}, 3),
    ("get_fp_mode", (), 46, 3, {}, 3),
    ("cap_ambient_is_set", (5,), 47, 1, {}, True),
    ("cap_ambient_is_set", (5,), 47, 0, {}, False),
    ("cap_ambient_raise", (5,), 47, 0, {}, None),
    ("sve_set_vl", (256 | prctl.SVE_VL_INHERIT,), 50, 0x20100, {}, 0x20100),
    ("sve_get_vl", (), 51, 0x20100, {}, 0x20100),
    ("get_speculation_ctrl", (1,), 52, 9, {}, 9),
    ("get_tagged_addr_ctrl", (), 56, WIDE, {}, WIDE),
    ("get_io_flusher", (), 58, 1, {}, True),
    ("get_io_flusher", (), 58, 0, {}, False),
    ("set_io_flusher", (True,), 57, 0, {}, None),
    ("pac_get_enabled_keys", (), 61, 15, {}, 15),
    ("sched_core_get", (), 62, 0, {5: bytes(8)}, 0),
    ("sched_core_get", (1,), 62, 0, {5: PATTERN}, 0x8877665544332211),
    ("sched_core_get", (1,), 62, 0, {5: ONES}, 2**64 - 1),
    ("sched_core_create", (), 62, 0, {}, None),
    ("sched_core_share_to", (1,), 62, 0, {}, None),
    ("sched_core_share_from", (1,), 62, 0, {}, None),
    ("sme_set_vl", (256,), 63, 256, {}, 256),
    ("sme_get_vl", (), 64, 0x20040, {}, 0x20040),
    ("get_mdwe", (), 66, 3, {}, 3),
    ("get_memory_merge", (), 68, 1, {}, True),
    ("riscv_v_get_control", (), 70, 0x1A, {}, 0x1A),
    ("ppc_get_dexcr", (3,), 72, 0x15, {}, 0x15),
    ("get_shadow_stack_status", (), 74, 0, {2: struct.pack("@L", 7) + ONES}, 7),
    ("get_shadow_stack_status", (), 74, 0, {2: ONES}, ULONG_MAX),
    ("timer_create_restore_ids", (2,), 77, 1, {}, 1),
    ("timer_create_restore_ids", (2,), 77, 0, {}, 0),
    ("timer_create_restore_ids", (1,), 77, 0, {}, None),
    ("futex_hash_get_slots", (), 78, 4096, {}, 4096),
    ("get_rseq_slice_extension", (), 79, 1, {}, 1),
    ("set_rseq_slice_extension", (1,), 79, 0, {}, None),
    ("get_cfi", (0,), 80, 0, {3: struct.pack("@L", WIDE)}, WIDE),
    ("set_cfi", (0, 1), 81, 0, {}, None),
    ("get_mm_map_size", (), 35, 0, {3: struct.pack("@I", 104)}, 104),
    # 64 bits by a 64-bit kernel even to a 32-bit process, 32 by another
    ("get_tid_address", (), 40, 0, {2: struct.pack("@Q", ADDRESS)}, ADDRESS),
    ("get_tid_address", (), 40, 0, {2: struct.pack("@P", ADDRESS)}, ADDRESS),
]


@pytest.mark.parametrize(("name", "args", "option", "result", "written", "expected"), PRETENDED)
def test_the_result_is_the_kernel_s_as_wide_as_it_is(name, args, option, result, written, expected):
    got = in_pretended_kernel({option: (result, written)}, getattr(prctl, name), *args)
    assert (got, type(got)) == (expected, type(expected))


ENOTSUPP = 524  # in the kernel only: no libc has a text for it


@pytest.mark.parametrize(
    ("function", "args", "option"),
    [
        (prctl.set_rseq_slice_extension, (1,), 79),
        (prctl.get_rseq_slice_extension, (), 79),
        (prctl.set_fp_mode, (1,), 45),
        (prctl.set_vma_anon_name, (0, 0, None), 0x53564D41),
        (prctl.prctl, (_prctl.PR_RSEQ_SLICE_EXTENSION, 2, 1), 79),
        (prctl.prctl, (0x7FFFFF00,), 0x7FFFFF00),
    ],
)
def test_the_kernel_s_own_number_for_not_supported_is_eopnotsupp(function, args, option):
    def attempt():
        support.install_filter(support.refuse("prctl", ENOTSUPP, option))
        return error_of(function, *args)

    assert in_child(attempt) == refused(errno.EOPNOTSUPP)


def test_a_refusal_that_has_nothing_to_do_with_the_privilege_does_not_name_it():
    """An aspect that cannot be edited is EPERM, and CAP_SYS_ADMIN is for clearing another one."""

    def attempt():
        support.install_filter(support.refuse("prctl", errno.EPERM, 73))
        return error_of(prctl.ppc_set_dexcr, prctl.PPC_DEXCR_SBHE, prctl.PPC_DEXCR_CTRL_SET)

    assert in_child(attempt, user=True) == EPERM


# ---- Whose attribute it is

CHANGES = [  # a change, how it shows, and what kernels that have it may call themselves
    ("set_thp_disable", (True,), "get_thp_disable", (), 42),
    ("set_mdwe", (1,), "get_mdwe", (), 66),
    ("set_memory_merge", (True,), "get_memory_merge", (), 68),
    ("timer_create_restore_ids", (1,), "timer_create_restore_ids", (2,), 77),
    ("futex_hash_set_slots", (32,), "futex_hash_get_slots", (), 78),
]


@pytest.mark.parametrize(("setter", "args", "getter", "asked", "option"), CHANGES)
def test_a_change_of_the_process_in_one_thread_reaches_the_others(
    setter, args, getter, asked, option, user
):
    needs_kernel(setter, option, 2 if option > 70 else 0)

    def change():
        before = getattr(prctl, getter)(*asked)
        assert in_thread(getattr(prctl, setter), *args) is None
        return before, getattr(prctl, getter)(*asked)

    assert in_child(change, user=user) == (0, args[0])


# ---- PR_GET_TID_ADDRESS


@pytest.mark.parametrize("way", [lambda f: f(), in_thread])
def test_the_tid_address_is_the_kernel_s(way, user):
    needs_kernel("CONFIG_CHECKPOINT_RESTORE", 40, bytearray(8))

    def look():
        address = prctl.get_tid_address()
        asked = support.kernel_prctl_out(40, 8)
        held = ctypes.c_int.from_address(address).value if address else None
        return address, asked, held, threading.get_native_id()

    address, asked, held, tid = in_child(way, look, user=user)
    assert address == asked
    # musl has another use for it; glibc, too, since 2.43, in the threads that it has made.
    libc, version = platform.libc_ver()
    if libc == "glibc" and way is in_thread and tuple(map(int, version.split("."))) >= (2, 43):
        assert held != 0
    elif libc == "glibc":
        assert held == tid


# ---- PR_SET_THP_DISABLE

ADVISED = prctl.THP_DISABLE_EXCEPT_ADVISED


@pytest.fixture
def thp():
    needs_kernel("PR_SET_THP_DISABLE", 42)
    if in_child(support.status).get("THP_enabled") != "1":
        pytest.skip("THP_enabled of /proc/self/status is not 1 here")


@pytest.fixture
def thp_advised(thp):
    needs_kernel("THP_DISABLE_EXCEPT_ADVISED (Linux 6.18)", 41, 1, ADVISED)


def thp_enabled():
    return support.status()["THP_enabled"]


@pytest.mark.usefixtures("thp")
def test_huge_pages_are_kept_from_the_process_and_allowed_again(user):
    def change():
        states = [(prctl.get_thp_disable(), thp_enabled())]
        for flag in (True, False):
            prctl.set_thp_disable(flag)
            states.append((prctl.get_thp_disable(), thp_enabled()))
        return states

    assert in_child(change, user=user) == [(0, "1"), (1, "0"), (0, "1")]


@pytest.mark.usefixtures("thp_advised")
def test_huge_pages_may_be_kept_from_the_process_except_where_advised(user):
    def change():
        prctl.set_thp_disable(True, ADVISED)
        states = [(prctl.get_thp_disable(), kernel_prctl(42), thp_enabled())]
        prctl.set_thp_disable(False)
        return [*states, prctl.get_thp_disable()]

    assert in_child(change, user=user) == [(3, 3, "1"), 0]


@pytest.mark.usefixtures("thp_advised")
@pytest.mark.parametrize(("flags", "eligible"), [((True,), "0"), ((True, ADVISED), "1")])
def test_advised_memory_is_eligible_for_huge_pages_unless_kept_from_all(flags, eligible):
    def look():
        memory = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_HUGEPAGE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        before = support.mapping(address)["THPeligible"]
        prctl.set_thp_disable(*flags)
        return before, support.mapping(address)["THPeligible"]

    before, after = in_child(look)
    if before != "1":
        pytest.skip("this machine has no huge pages for advised memory")
    assert after == eligible


@pytest.mark.usefixtures("thp")
def test_a_fork_and_a_program_go_without_huge_pages_too():
    def change():
        prctl.set_thp_disable(True)
        show = "import prctl; print(prctl.get_thp_disable())"
        return in_child(prctl.get_thp_disable), support.run_python(show)

    assert in_child(change) == (1, "1\n")


# ---- The ambient set

SETPCAP, NET_RAW, CHOWN = prctl.CAP_SETPCAP, prctl.CAP_NET_RAW, prctl.CAP_CHOWN


def ambient():
    """The ambient set as /proc has it, and what cap_ambient_is_set() says of each capability."""
    said = [number for number in prctl.ALL_CAPS if prctl.cap_ambient_is_set(number)]
    return support.capability_mask("CapAmb"), sum(1 << number for number in said)


@pytest.mark.usefixtures("root")
def test_the_ambient_set_is_what_was_raised_and_not_lowered():
    def change():
        support.change_capabilities("CapInh", add=1 << NET_RAW | 1 << CHOWN | 1 << SETPCAP)
        masks = [ambient()]
        for step, *args in (
            (prctl.cap_ambient_raise, NET_RAW),
            (prctl.cap_ambient_raise, CHOWN),
            (prctl.cap_ambient_raise, CHOWN),
            (prctl.cap_ambient_lower, NET_RAW),
            (prctl.cap_ambient_lower, NET_RAW),
            (prctl.cap_ambient_raise, SETPCAP),
            (prctl.cap_ambient_clear_all,),
        ):
            assert step(*args) is None
            masks.append(ambient())
        return masks

    raw, own, setpcap = 1 << NET_RAW, 1 << CHOWN, 1 << SETPCAP
    expected = [0, raw, raw | own, raw | own, own, own, own | setpcap, 0]
    assert in_child(change) == [(mask, mask) for mask in expected]


@pytest.mark.usefixtures("root")
def test_the_ambient_set_is_the_thread_s():
    def change():
        support.change_capabilities("CapInh", add=1 << CHOWN)

        def raise_and_look():
            prctl.cap_ambient_raise(CHOWN)
            return prctl.cap_ambient_is_set(CHOWN)

        return in_thread(raise_and_look), prctl.cap_ambient_is_set(CHOWN)

    assert in_child(change) == (True, False)


@pytest.mark.usefixtures("root")
def test_what_is_not_inheritable_cannot_become_ambient():
    def attempt():
        support.change_capabilities("CapInh", add=1 << CHOWN)
        return error_of(prctl.cap_ambient_raise, NET_RAW), ambient()

    assert in_child(attempt) == (EPERM, (0, 0))


@pytest.mark.usefixtures("root")
def test_the_securebit_keeps_anything_from_becoming_ambient():
    def attempt():
        support.change_capabilities("CapInh", add=1 << CHOWN)
        kernel_prctl(28, prctl.SECBIT_NO_CAP_AMBIENT_RAISE)
        return error_of(prctl.cap_ambient_raise, CHOWN), ambient()

    assert in_child(attempt) == (EPERM, (0, 0))


def test_a_user_has_nothing_to_make_ambient():
    def attempt():
        assert (prctl.cap_ambient_lower(CHOWN), prctl.cap_ambient_clear_all()) == (None, None)
        return error_of(prctl.cap_ambient_raise, CHOWN), ambient()

    assert in_child(attempt, user=True) == (EPERM, (0, 0))


# ---- PR_SVE_SET_VL and PR_SME_SET_VL: arm64, whose emulator has both

RETURN = 0xD65F03C0
VECTORS = {  # the options, and the instruction that reads the length into the first register
    "sve": (50, 51, 0x04BF5020),
    "sme": (63, 64, 0x04BF5820),
}


@pytest.mark.parametrize("name", VECTORS)
def test_the_length_of_the_vectors_is_what_the_processor_says(name):
    setter, getter, instruction = VECTORS[name]
    needs_kernel(name.upper(), getter)
    set_vl, get_vl = (getattr(prctl, f"{name}_{verb}_vl") for verb in ("set", "get"))

    def change(length):
        code = support.Code(struct.pack("<II", instruction, RETURN))
        result = set_vl(length)
        return result, get_vl(), kernel_prctl(getter), code.call()

    shortest = in_child(kernel_prctl, setter, 16)
    longest = in_child(kernel_prctl, setter, 8192)
    assert shortest < longest
    for length in (shortest, longest):
        assert in_child(change, length) == (length,) * 4
    assert in_child(change, 8192) == (longest,) * 4


@pytest.mark.parametrize("name", VECTORS)
def test_the_length_of_the_vectors_comes_with_its_flags(name):
    setter, getter, _ = VECTORS[name]
    needs_kernel(name.upper(), getter)
    set_vl, get_vl = (getattr(prctl, f"{name}_{verb}_vl") for verb in ("set", "get"))
    inherit = getattr(prctl, f"{name.upper()}_VL_INHERIT")
    length = in_child(kernel_prctl, setter, 16)
    needs_kernel(f"{name.upper()}_VL_INHERIT", setter, length | inherit)

    def change():
        return set_vl(length | inherit), get_vl(), kernel_prctl(getter)

    asked = in_child(kernel_prctl, setter, length | inherit)
    assert in_child(change) == (asked,) * 3


# ---- PR_PAC_RESET_KEYS and PR_SET_TAGGED_ADDR_CTRL: arm64, whose emulator has both


def machine_code(*instructions, takes=()):
    """A function of arm64's instructions, which takes and returns what is in the first register."""
    code = support.Code(struct.pack(f"<{len(instructions) + 1}I", *instructions, RETURN))
    function = ctypes.CFUNCTYPE(ctypes.c_long, *takes)(code.address)
    function.code = code
    return function


def test_a_key_that_is_reset_signs_pointers_differently():
    if support.machine() != "aarch64":
        pytest.skip("pointers are signed on arm64 only")
    needs_kernel("PAC", 54, prctl.PAC_APDAKEY)
    move_number, sign_with_data_key_a = 0xD2824680, 0xDAC12BE0

    def change():
        sign = machine_code(move_number, sign_with_data_key_a)
        first = sign()
        prctl.pac_reset_keys(prctl.PAC_APGAKEY)
        second = sign()
        signed = set()
        for _ in range(20):  # a signature may have as few as 7 bits
            prctl.pac_reset_keys(prctl.PAC_APDAKEY)
            signed.add(sign())
        return first == second, len(signed) > 1

    assert in_child(change) == (True, True)


TAG = 1 << 56


@pytest.fixture
def tags():
    if support.machine() != "aarch64":
        pytest.skip("the tag of an address is its highest byte on arm64 only")
    needs_kernel("PR_SET_TAGGED_ADDR_CTRL", 55, prctl.TAGGED_ADDR_ENABLE)


@pytest.mark.usefixtures("tags")
def test_the_kernel_takes_tagged_addresses_while_it_is_told_to(user):
    libc = ctypes.CDLL(None, use_errno=True)
    text = ctypes.create_string_buffer(b"tagged")
    tagged = ctypes.c_void_p(ctypes.addressof(text) | 5 * TAG)

    def write():
        reader, writer = os.pipe()
        if libc.write(writer, tagged, ctypes.c_size_t(6)) < 0:
            return ctypes.get_errno()
        return os.read(reader, 6)

    def change():
        found = [(prctl.get_tagged_addr_ctrl(), write())]
        for control in (prctl.TAGGED_ADDR_ENABLE, 0):
            prctl.set_tagged_addr_ctrl(control)
            found.append((prctl.get_tagged_addr_ctrl(), write()))
        return found

    expected = [(0, errno.EFAULT), (prctl.TAGGED_ADDR_ENABLE, b"tagged"), (0, errno.EFAULT)]
    assert in_child(change, user=user) == expected


@pytest.mark.usefixtures("tags")
@pytest.mark.parametrize("tag", [3, 4])
def test_memory_with_a_tag_is_read_with_that_tag_alone(tag):
    control = prctl.TAGGED_ADDR_ENABLE | prctl.MTE_TCF_SYNC | prctl.MTE_TAG_MASK
    needs_kernel("MTE", 55, control)
    store_tag, load, prot_mte = 0xD9200800, 0xF9400000, 0x20
    takes_address = (ctypes.c_void_p,)

    def read():
        support.die_quietly()
        prctl.set_tagged_addr_ctrl(control)
        assert prctl.get_tagged_addr_ctrl() == kernel_prctl(56) == control
        access = mmap.PROT_READ | mmap.PROT_WRITE | prot_mte
        memory = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, access)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        machine_code(store_tag, takes=takes_address)(address | 3 * TAG)
        return machine_code(load, takes=takes_address)(address | tag * TAG)

    if tag == 3:
        assert in_child(read) == 0
    else:
        with pytest.raises(support.ChildDied) as died:
            in_child(read)
        assert died.value.signal == signal.SIGSEGV


# ---- Speculation

FEATURES = {  # the field of /proc/self/status, and its words for each answer; the rest is default
    prctl.SPEC_STORE_BYPASS: (
        "Speculation_Store_Bypass",
        {
            0: "not vulnerable",
            9: "thread force mitigated",
            5: "thread mitigated",
            17: "thread mitigated",
            3: "thread vulnerable",
            4: "globally mitigated",
        },
        "vulnerable",
    ),
    prctl.SPEC_INDIRECT_BRANCH: (
        "SpeculationIndirectBranch",
        {
            0: "not affected",
            9: "conditional force disabled",
            5: "conditional disabled",
            3: "conditional enabled",
            2: "always enabled",
            4: "always disabled",
        },
        "unknown",
    ),
}


def speculation(feature):
    """What is got, and the words that /proc has for it, and is to have."""
    answer = prctl.get_speculation_ctrl(feature)
    field, words, default = FEATURES[feature]
    expected = words.get(answer, default)
    # That of indirect branches is younger than the option: Linux 5.10 does not have it.
    return answer, support.status("thread-self").get(field, expected), expected


@pytest.mark.parametrize("feature", FEATURES)
def test_speculation_is_what_proc_shows(feature, user):
    needs_kernel("PR_GET_SPECULATION_CTRL", 52, feature)
    if FEATURES[feature][0] not in support.status():
        pytest.skip(f"this kernel's /proc/PID/status has no {FEATURES[feature][0]}")
    _, shown, expected = in_child(speculation, feature, user=user)
    assert shown == expected


UNCONTROLLABLE = {prctl.SPEC_STORE_BYPASS: errno.ENXIO}


@pytest.mark.parametrize("feature", FEATURES)
def test_speculation_is_controlled_or_refused_as_the_manual_says(feature, user):
    needs_kernel("PR_GET_SPECULATION_CTRL", 52, feature)

    def change():
        before = speculation(feature)
        if not before[0] & prctl.SPEC_PRCTL:
            error = error_of(prctl.set_speculation_ctrl, feature, prctl.SPEC_DISABLE)
            return error, speculation(feature) == before
        states = []
        for control in (prctl.SPEC_DISABLE, prctl.SPEC_ENABLE, prctl.SPEC_FORCE_DISABLE):
            prctl.set_speculation_ctrl(feature, control)
            answer, shown, expected = speculation(feature)
            states.append(answer == prctl.SPEC_PRCTL | control and shown == expected)
        return error_of(prctl.set_speculation_ctrl, feature, prctl.SPEC_ENABLE), all(states)

    controllable = in_child(prctl.get_speculation_ctrl, feature) & prctl.SPEC_PRCTL
    number = errno.EPERM if controllable else UNCONTROLLABLE.get(feature, errno.EPERM)
    assert in_child(change, user=user) == (refused(number), True)


def test_a_control_that_a_feature_lacks_is_erange():
    if in_child(support.errno_or_result, prctl.get_speculation_ctrl, 1) not in (2, 3, 5):
        pytest.skip("this machine does not speculate at indirect branches, or always")
    feature = prctl.SPEC_INDIRECT_BRANCH
    attempt = error_of, prctl.set_speculation_ctrl, feature, prctl.SPEC_DISABLE_NOEXEC
    assert in_child(*attempt) == refused(errno.ERANGE)


# ---- PR_SET_IO_FLUSHER

SYS_RESOURCE = 24
NEEDED = "I/O flushers need CAP_SYS_RESOURCE"
FLUSHER = [("set_io_flusher", (True,)), ("set_io_flusher", (False,)), ("get_io_flusher", ())]


def thread_flags():
    with open("/proc/thread-self/stat") as file:
        return int(file.read().rpartition(")")[2].split()[6])


@pytest.fixture
def io_flusher():
    needs_kernel("PR_SET_IO_FLUSHER (Linux 5.6)", 58)


@pytest.mark.usefixtures("io_flusher")
@pytest.mark.parametrize(("name", "args"), FLUSHER)
def test_an_io_flusher_without_the_capability_is_told_which(name, args, user):
    if not user and support.capability_mask("CapEff") >> SYS_RESOURCE & 1:
        pytest.skip("root has CAP_SYS_RESOURCE here")

    def attempt():
        before = thread_flags()
        return error_of(getattr(prctl, name), *args), thread_flags() == before

    assert in_child(attempt, user=user) == (refused(errno.EPERM, NEEDED), True)


@pytest.mark.usefixtures("io_flusher")
@pytest.mark.parametrize(("name", "args"), FLUSHER)
def test_an_io_flusher_with_the_capability_where_it_does_not_count_is_told_none(name, args):
    def attempt():
        support.enter_user_namespace()
        assert support.capability_mask("CapEff") >> SYS_RESOURCE & 1
        return error_of(getattr(prctl, name), *args)

    assert in_child(attempt, user=True) == EPERM


@pytest.mark.usefixtures("root", "io_flusher")
def test_an_io_flusher_is_in_the_thread_s_flags():
    support.needs(SYS_RESOURCE, "CAP_SYS_RESOURCE")
    io_flags = 0x00180000  # PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE

    def change():
        states = []
        for flag in (True, False):
            prctl.set_io_flusher(flag)
            states.append((prctl.get_io_flusher(), thread_flags() & io_flags))
        return states

    assert in_child(change) == [(True, io_flags), (False, 0)]


# ---- PR_SCHED_CORE


def test_a_cookie_comes_with_the_fork_and_is_shared():
    needs_kernel("CONFIG_SCHED_CORE, or no two threads on a core", 62, 0, 0, 0, bytearray(8))

    def change():
        cookies = [prctl.sched_core_get()]
        prctl.sched_core_create()
        cookies.append(prctl.sched_core_get())
        cookies.append(in_child(prctl.sched_core_get))
        cookies.append(in_child(lambda: prctl.sched_core_get(os.getppid())))

        def create_and_take_over():
            prctl.sched_core_create()
            own = prctl.sched_core_get()
            prctl.sched_core_share_from(os.getppid())
            return own, prctl.sched_core_get()

        return [*cookies, *in_child(create_and_take_over)]

    none, own, inherited, parents, others, taken = in_child(change)
    assert (none, own, own, own) == (0, inherited, parents, taken)
    assert others not in (0, own)


# ---- PR_SET_MDWE

RWX = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC


@pytest.fixture
def mdwe():
    needs_kernel("PR_SET_MDWE (Linux 6.3)", 66)


def executable_writes():
    """What comes of mapping memory writable and executable, and of making writable memory so."""
    answers = []
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=RWX).close()
        answers.append("mapped")
    except PermissionError as error:
        answers.append(error.errno)
    libc = ctypes.CDLL(None, use_errno=True)
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    refused = libc.mprotect(address, ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_EXEC)
    return *answers, ctypes.get_errno() if refused else "mapped"


@pytest.mark.usefixtures("mdwe")
def test_memory_is_written_or_executed_not_both(user):
    def change():
        before = executable_writes()
        prctl.set_mdwe(prctl.MDWE_REFUSE_EXEC_GAIN)
        return before, executable_writes(), prctl.get_mdwe(), kernel_prctl(66)

    assert in_child(change, user=user) == (("mapped",) * 2, (errno.EACCES,) * 2, 1, 1)


@pytest.mark.usefixtures("mdwe")
@pytest.mark.parametrize(("bits", "inherited"), [(1, 1), (3, 0)])
def test_a_fork_is_as_strict_unless_told_otherwise(bits, inherited):
    if bits & prctl.MDWE_NO_INHERIT:
        needs_kernel("MDWE_NO_INHERIT (Linux 6.6)", 65, bits)

    def change():
        prctl.set_mdwe(bits)
        return prctl.get_mdwe(), in_child(prctl.get_mdwe), in_child(executable_writes)

    found = (errno.EACCES,) * 2 if inherited else ("mapped",) * 2
    assert in_child(change) == (bits, inherited, found)


@pytest.mark.usefixtures("mdwe")
def test_a_program_is_as_strict():
    def change():
        prctl.set_mdwe(1)
        return support.run_python("import prctl; print(prctl.get_mdwe())")

    assert in_child(change) == "1\n"


@pytest.mark.usefixtures("mdwe")
@pytest.mark.parametrize(("first", "then"), [(1, 0), (1, 3), (3, 1), (3, 0)])
def test_what_is_strict_cannot_be_changed(first, then, user):
    needs_kernel("MDWE_NO_INHERIT (Linux 6.6)", 65, 3)

    def change():
        prctl.set_mdwe(first)
        prctl.set_mdwe(first)
        return error_of(prctl.set_mdwe, then), prctl.get_mdwe()

    assert in_child(change, user=user) == (EPERM, first)


# ---- PR_SET_MEMORY_MERGE


def is_mergeable():
    """Whether the kernel may merge a mapping made now, by smaps."""
    memory = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return "mg" in support.mapping(address)["VmFlags"].split()


@pytest.fixture
def ksm():
    needs_kernel("CONFIG_KSM and PR_SET_MEMORY_MERGE (Linux 6.4)", 68)


@pytest.mark.usefixtures("ksm")
def test_all_memory_may_be_merged_and_again_not(user):
    def change():
        states = [(prctl.get_memory_merge(), is_mergeable())]
        for flag in (True, False):
            prctl.set_memory_merge(flag)
            states.append((prctl.get_memory_merge(), is_mergeable()))
        return states

    assert in_child(change, user=user) == [(False, False), (True, True), (False, False)]


@pytest.mark.usefixtures("ksm")
def test_a_fork_and_a_program_may_be_merged_too():
    def change():
        prctl.set_memory_merge(True)
        show = "import prctl; print(prctl.get_memory_merge())"
        return in_child(prctl.get_memory_merge), in_child(is_mergeable), support.run_python(show)

    assert in_child(change) == (True, True, "True\n")


# ---- PR_TIMER_CREATE_RESTORE_IDS

ON, OFF = prctl.TIMER_CREATE_RESTORE_IDS_ON, prctl.TIMER_CREATE_RESTORE_IDS_OFF
GET = prctl.TIMER_CREATE_RESTORE_IDS_GET


@pytest.fixture
def restore_ids():
    needs_kernel("PR_TIMER_CREATE_RESTORE_IDS (Linux 6.15)", 77, GET)


def timer(number):
    """The id of a new timer that asks for this one."""
    monotonic = 1
    memory = bytearray(struct.pack("@i", number))
    support.system_call("timer_create", monotonic, 0, memory)
    return struct.unpack("@i", memory)[0]


@pytest.mark.usefixtures("restore_ids")
def test_a_timer_has_the_id_that_it_asks_for_while_it_may(user):
    def create():
        ids = [timer(1111)]
        states = [prctl.timer_create_restore_ids(GET)]
        for control in (ON, OFF):
            assert prctl.timer_create_restore_ids(control) is None
            states.append(prctl.timer_create_restore_ids(GET))
            ids.append(timer(2222 + control))
        return states, [number in (1111, 2222, 2223) for number in ids], ids[1]

    expected = [0, 1, 0], [False, True, False], 2223
    assert in_child(create, user=user) == expected


@pytest.mark.usefixtures("restore_ids")
def test_a_fork_and_a_program_get_the_ids_of_the_kernel():
    def change():
        prctl.timer_create_restore_ids(ON)
        show = f"import prctl; print(prctl.timer_create_restore_ids({GET}))"
        return in_child(prctl.timer_create_restore_ids, GET), support.run_python(show)

    assert in_child(change) == (0, "0\n")


# ---- PR_FUTEX_HASH


@pytest.fixture
def futex_hash():
    needs_kernel("PR_FUTEX_HASH (Linux 6.17)", 78, 2)


def slots():
    return prctl.futex_hash_get_slots(), kernel_prctl(78, 2)


@pytest.mark.usefixtures("futex_hash")
def test_the_table_of_futexes_has_the_slots_asked_for(user):
    def change():
        sizes = []
        for number in (2, 16, 1024, 4):
            assert prctl.futex_hash_set_slots(number) is None
            sizes.append(slots())
        return sizes

    assert in_child(change, user=user) == [(2, 2), (16, 16), (1024, 1024), (4, 4)]


@pytest.mark.usefixtures("futex_hash")
@pytest.mark.parametrize("number", [1, 3, 24, 0xFFFFFFFF])
def test_a_number_of_slots_that_is_no_power_of_two_is_einval(number, user):
    def change():
        prctl.futex_hash_set_slots(16)
        return error_of(prctl.futex_hash_set_slots, number), slots()

    assert in_child(change, user=user) == (refused(errno.EINVAL), (16, 16))


@pytest.mark.usefixtures("futex_hash")
def test_the_table_of_all_processes_is_for_good():
    def change():
        prctl.futex_hash_set_slots(0)
        return slots(), error_of(prctl.futex_hash_set_slots, 16), slots()

    assert in_child(change) == ((0, 0), refused(errno.EBUSY), (0, 0))


@pytest.mark.usefixtures("futex_hash")
def test_a_fork_and_a_program_have_no_table_yet():
    def change():
        prctl.futex_hash_set_slots(16)
        show = "import prctl; print(prctl.futex_hash_get_slots())"
        return in_child(prctl.futex_hash_get_slots), support.run_python(show)

    assert in_child(change) == (0, "0\n")
