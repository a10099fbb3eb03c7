"""Typical uses of prctl, for type checkers to read and for test_types.py to run in children.

assert_type() stands where the type of a result matters. In mistakes() each line is an error for a
checker, which says so when it finds none to ignore; and it is an exception when it is run.
"""

import contextlib
import mmap
import os
import signal
import struct
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, assert_type

import prctl


def names() -> None:
    prctl.set_name("worker")
    prctl.set_name(b"worker-\xff")
    assert_type(prctl.get_name(), str)
    prctl.set_proctitle("webd: idle")
    prctl.set_proctitle(os.fsencode("webd: idle"))
    assert_type(prctl.get_proctitle(), str)


def attributes() -> None:
    prctl.set_pdeathsig(signal.SIGTERM)
    assert_type(prctl.get_pdeathsig(), int)
    prctl.set_pdeathsig(None)
    prctl.set_dumpable(True)
    prctl.set_dumpable(1)
    assert_type(prctl.get_dumpable(), bool)
    prctl.set_child_subreaper(False)
    assert_type(prctl.get_child_subreaper(), bool)
    prctl.set_timerslack(50_000)
    assert_type(prctl.get_timerslack(), int)
    prctl.set_thp_disable(True, flags=0)
    assert_type(prctl.get_thp_disable(), int)
    with contextlib.suppress(OSError):  # no Yama
        prctl.set_ptracer(prctl.SET_PTRACER_ANY)
    assert_type(prctl.get_ptracer(), int)
    with contextlib.suppress(OSError):  # without CONFIG_MEMORY_FAILURE
        prctl.set_mce_kill(prctl.MCE_KILL_EARLY)
        assert_type(prctl.get_mce_kill(), int)
    with contextlib.suppress(OSError):  # without CONFIG_SCHED_CORE
        assert_type(prctl.sched_core_get(), int)
        prctl.sched_core_create(0, scope=prctl.SCHED_CORE_SCOPE_THREAD)
    with contextlib.suppress(OSError):  # before Linux 6.15
        assert_type(prctl.timer_create_restore_ids(prctl.TIMER_CREATE_RESTORE_IDS_GET), int)
        prctl.timer_create_restore_ids(prctl.TIMER_CREATE_RESTORE_IDS_OFF)
    for control in range(3):
        with contextlib.suppress(OSError):
            assert_type(prctl.timer_create_restore_ids(control), int | None)
    with contextlib.suppress(OSError):
        mode = prctl.get_tsc()
        prctl.set_tsc(mode)
    with contextlib.suppress(OSError):
        state = prctl.get_speculation_ctrl(prctl.SPEC_STORE_BYPASS)
        prctl.set_speculation_ctrl(feature=prctl.SPEC_STORE_BYPASS, control=prctl.SPEC_ENABLE)
        assert_type(bool(state & prctl.SPEC_PRCTL), bool)


def capability_sets() -> None:
    effective = prctl.cap_effective
    assert_type(effective, prctl.CapabilitySet)
    assert_type(effective.net_raw, bool)
    assert_type("net_raw" in effective, bool)
    assert_type(prctl.CAP_NET_RAW in effective, bool)
    assert_type(sorted(effective), list[str])
    assert_type(set(prctl.capbset), set[str])
    assert_type(len(effective), int)
    for name in prctl.cap_permitted:
        assert_type(name, str)
    assert_type(effective == {"net_raw"}, bool)
    assert_type(effective <= prctl.cap_permitted, bool)
    assert_type({"chown"} <= effective, bool)
    assert_type(effective.isdisjoint(["cap_chown", prctl.CAP_KILL]), bool)
    assert_type(effective - {"net_raw"}, set[str])
    assert_type({"net_raw"} - effective, set[str])
    assert_type(effective & prctl.capbset, set[str])
    assert_type(effective | {prctl.CAP_NET_RAW}, set[str])
    assert_type(frozenset({"net_raw"}) ^ effective, set[str])
    assert_type(with_prefix(prctl.capbset), list[str])
    effective.net_raw = False
    effective.drop("kill", "CAP_CHOWN", prctl.CAP_SYS_ADMIN)
    effective.discard(prctl.CAP_MKNOD)
    with contextlib.suppress(KeyError):
        effective.remove(prctl.CAP_MKNOD)
    with contextlib.suppress(PermissionError):
        effective.add(prctl.CAP_KILL)
    effective.limit(*effective)
    with effective.raised(*sorted(effective)) as nothing:
        assert_type(nothing, None)
    prctl.cap_effective -= {"net_raw"}
    prctl.cap_effective &= {"net_raw", prctl.CAP_KILL}
    prctl.cap_ambient.clear()
    prctl.cap_effective.clear()
    with contextlib.suppress(KeyError):
        assert_type(effective.pop(), str)


def with_prefix(names: Collection[str]) -> list[str]:
    return [f"cap_{name}" for name in names]


def capabilities_by_number() -> None:
    assert_type(prctl.get_caps((prctl.CAP_KILL, prctl.CAP_EFFECTIVE)), dict[int, dict[int, bool]])
    both = prctl.ALL_CAPS, [prctl.CAP_EFFECTIVE, prctl.CAP_PERMITTED]
    assert_type(prctl.get_caps(both)[prctl.CAP_PERMITTED][prctl.CAP_LAST_CAP], bool)
    prctl.set_caps((prctl.ALL_CAP_NAMES, prctl.ALL_FLAGS, False), ("kill", [], True))
    assert_type(prctl.ALL_CAPS, tuple[int, ...])
    assert_type(prctl.ALL_CAP_NAMES, tuple[str, ...])
    assert_type(prctl.capbset_read(prctl.CAP_KILL), bool)
    assert_type(prctl.cap_ambient_is_set(prctl.CAP_KILL), bool)
    prctl.cap_ambient_clear_all()


def capabilities_as_values() -> None:
    ping = prctl.Capabilities.from_text("cap_net_raw=ep")
    assert_type(ping, prctl.Capabilities)
    assert_type(ping.effective, frozenset[str])
    same = prctl.Capabilities("net_raw", effective=[prctl.CAP_NET_RAW])
    assert ping == same
    assert hash(ping) == hash(same)
    assert_type(prctl.Capabilities.current(), prctl.Capabilities)
    assert_type(prctl.Capabilities.of(os.getpid()), prctl.Capabilities)
    for path in ("/bin/sh", b"/bin/sh", Path("/bin/sh")):
        assert_type(prctl.Capabilities.from_file(path), prctl.Capabilities | None)
    with open("/proc/self/status") as file:
        assert_type(prctl.Capabilities.from_file(file), prctl.Capabilities | None)
        assert_type(prctl.Capabilities.from_file(file.fileno()), prctl.Capabilities | None)
        with contextlib.suppress(OSError):
            ping.to_file(file, rootid=None)
        with contextlib.suppress(OSError):
            prctl.remove_file_caps(file)
    prctl.Capabilities().apply()


def securebits() -> None:
    assert_type(prctl.securebits, prctl.Securebits)
    assert_type(prctl.securebits.noroot_locked, bool)
    prctl.securebits.keep_caps = True
    assert_type(prctl.get_securebits() & prctl.SECBIT_KEEP_CAPS, int)
    with contextlib.suppress(PermissionError):
        prctl.set_securebits(prctl.SECBIT_NOROOT | prctl.SECBIT_NOROOT_LOCKED)


def privileges() -> None:
    with prctl.all_threads() as nothing:
        assert_type(nothing, None)
        prctl.set_no_new_privs()
    assert_type(prctl.get_no_new_privs(), bool)
    with contextlib.suppress(OSError, KeyError):
        prctl.drop_privileges("nobody", groups=["nogroup", 65534], keep=["net_raw"], ambient=True)
    with contextlib.suppress(OSError):
        prctl.drop_privileges(65534, 65534, groups=[], keep=prctl.cap_ambient, no_new_privs=False)


def seccomp() -> None:
    bpf_ret = 6
    allow = struct.pack("=HBBI", bpf_ret, 0, 0, prctl.SECCOMP_RET_ALLOW)
    prctl.set_no_new_privs()
    prctl.set_seccomp(prctl.SECCOMP_MODE_FILTER, allow)
    prctl.set_seccomp(mode=prctl.SECCOMP_MODE_FILTER, program=memoryview(allow))
    assert_type(prctl.get_seccomp(), int)


def memory() -> None:
    with contextlib.suppress(OSError):  # before Linux 6.3
        prctl.set_mdwe(prctl.MDWE_REFUSE_EXEC_GAIN)
        assert_type(prctl.get_mdwe(), int)
        assert_type(prctl.get_auxv(), dict[int, int])
    area = mmap.mmap(-1, mmap.PAGESIZE)
    with contextlib.suppress(OSError):  # without CONFIG_ANON_VMA_NAME
        prctl.set_vma_anon_name(area, "cache")
        prctl.set_vma_anon_name(area, None)
        prctl.set_vma_anon_name(area, name=b"cache")
        prctl.set_vma_anon_name(area, 100, "cache")
    with contextlib.suppress(OSError):
        prctl.set_vma_anon_name(0, 100, name=None)
    layout = prctl.get_mm_map()
    assert_type(layout.arg_start, int)
    with contextlib.suppress(OSError):  # without CONFIG_CHECKPOINT_RESTORE
        prctl.set_mm_map(layout._replace(arg_end=layout.arg_end, auxv=bytes(16), auxv_size=16))
    with contextlib.suppress(OSError):
        prctl.set_mm(prctl.SET_MM_ARG_END, layout.arg_end)
    with contextlib.suppress(OSError):
        prctl.set_mm(field=prctl.SET_MM_AUXV, value=bytes(16))
    with contextlib.suppress(OSError), open("/bin/sh") as file:
        prctl.set_mm(prctl.SET_MM_EXE_FILE, file)


def system_calls() -> None:
    selector = bytearray([prctl.SYSCALL_DISPATCH_FILTER_ALLOW])
    with contextlib.suppress(OSError):  # not on this architecture
        prctl.set_syscall_user_dispatch(prctl.SYS_DISPATCH_ON, selector=selector)
        prctl.set_syscall_user_dispatch(prctl.SYS_DISPATCH_OFF)


def children() -> None:
    echo = ["/bin/echo", "hello"]
    with prctl.Popen(echo, stdout=subprocess.PIPE) as process:
        assert_type(process, prctl.Popen[bytes])
        assert_type(process.communicate()[0], bytes)
    with prctl.Popen(echo, text=True, stdout=subprocess.PIPE, no_new_privs=True) as process_of_text:
        assert_type(process_of_text, prctl.Popen[str])
        out, _err = process_of_text.communicate()
        assert_type(out, str)
        assert out == "hello\n"
    assert_type(prctl.Popen("true", shell=True, encoding="utf-8"), prctl.Popen[str]).wait()
    assert_type(prctl.Popen(b"true", errors="replace"), prctl.Popen[str]).wait()
    assert_type(prctl.Popen(Path("/bin/true"), universal_newlines=True), prctl.Popen[str]).wait()
    for text in (False, True):
        assert_type(prctl.Popen("true", text=text, timerslack=1), prctl.Popen[Any]).wait()
    process = prctl.Popen(
        ["/bin/sh", "-c", "", b"argument", Path("/")],
        pdeathsig=signal.SIGKILL,
        inheritable=(),
        child_subreaper=True,
        cwd="/",
        env={"LANG": "C"},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert ends(process) == 0
    with contextlib.suppress(OSError, KeyError):
        process = prctl.Popen(
            echo,
            user="nobody",
            group=65534,
            extra_groups=["nogroup", 65534],
            keep=["net_bind_service", prctl.CAP_KILL],
            bounding=prctl.capbset - {"sys_admin"},
            securebits=prctl.SECBIT_NOROOT,
            timerslack=1000,
            thp_disable=True,
        )
        process.wait()
    orders = prctl.launcher(no_new_privs=True, parent=None, ambient=(), pdeathsig=signal.SIGTERM)
    assert_type(orders, list[str])
    assert_type(prctl.launcher(parent=os.getpid(), user=None, seccomp=None), list[str])
    subprocess.run([*orders, "true"], check=True)


def ends(process: subprocess.Popen[bytes]) -> int:
    return process.wait()


def raw() -> None:
    pr_set_name, pr_get_dumpable = 15, 3
    assert_type(prctl.prctl(pr_get_dumpable), Any)
    prctl.prctl(pr_set_name, "raw")
    prctl.prctl(option=pr_set_name, arg2=b"raw", arg3=0)
    assert_type(prctl.__version__, str)


def constants() -> None:
    numbers: list[int] = [prctl.CAP_CHOWN, prctl.SECBIT_NOROOT, prctl.CAP_LAST_CAP]
    assert max(numbers) <= 63
    assert_type(prctl.ALL_FLAG_NAMES, tuple[str, str, str])


def mistakes() -> None:
    wrong(TypeError, lambda: prctl.set_name(5))  # type: ignore[arg-type]
    wrong(TypeError, lambda: prctl.set_name(name="worker"))  # type: ignore[call-arg]
    wrong(TypeError, lambda: prctl.set_pdeathsig("SIGTERM"))  # type: ignore[arg-type]
    wrong(TypeError, lambda: prctl.set_timerslack(0.5))  # type: ignore[arg-type]
    wrong(TypeError, lambda: prctl.get_name(0))  # type: ignore[call-arg]
    wrong(TypeError, lambda: prctl.capbset_drop("kill"))  # type: ignore[arg-type]
    wrong(TypeError, lambda: prctl.cap_effective.drop(["kill"]))  # type: ignore[arg-type]
    wrong(TypeError, lambda: prctl.cap_effective.add(None))  # type: ignore[arg-type]
    wrong(TypeError, lambda: prctl.cap_effective | ["kill"])  # type: ignore[operator]
    wrong(TypeError, lambda: prctl.CapabilitySet())  # type: ignore[call-arg]
    wrong(AttributeError, lambda: prctl.cap_effective.net_rwa)  # type: ignore[attr-defined]
    wrong(AttributeError, lambda: prctl.securebits.no_root)  # type: ignore[attr-defined]
    wrong(AttributeError, lambda: prctl.set_nmae)  # type: ignore[attr-defined]
    wrong(TypeError, lambda: prctl.Capabilities.of("init"))  # type: ignore[arg-type]
    wrong(TypeError, lambda: prctl.Capabilities.from_text(b"=ep"))  # type: ignore[arg-type]
    wrong(TypeError, lambda: prctl.Capabilities.from_file(None))  # type: ignore[arg-type]
    wrong(TypeError, lambda: prctl.get_caps(prctl.CAP_KILL))  # type: ignore[arg-type]
    wrong(TypeError, lambda: prctl.drop_privileges())  # type: ignore[call-arg]
    wrong(TypeError, lambda: prctl.launcher(None))  # type: ignore[call-arg]
    wrong(TypeError, lambda: prctl.launcher(name="worker"))  # type: ignore[call-arg]
    wrong(TypeError, lambda: prctl.Popen("true", timerslack="1"))  # type: ignore[call-overload]
    wrong(TypeError, lambda: prctl.Popen("true", keeps=()))  # type: ignore[call-overload]
    wrong(ValueError, lambda: prctl.Popen("true", preexec_fn=print))  # type: ignore[call-overload]
    wrong(TypeError, lambda: prctl.set_vma_anon_name(0, "name"))  # type: ignore[call-overload]
    wrong(TypeError, lambda: prctl.set_mm_map((1, 2)))  # type: ignore[arg-type]
    wrong(AttributeError, _change)


def wrong(error: type[Exception], call: Callable[[], object]) -> None:
    try:
        call()
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


def _change() -> None:
    prctl.Capabilities().permitted = frozenset()  # type: ignore[misc]


TOPICS = [
    names,
    attributes,
    capability_sets,
    capabilities_by_number,
    capabilities_as_values,
    securebits,
    privileges,
    seccomp,
    memory,
    system_calls,
    children,
    raw,
    constants,
    mistakes,
]
