"""Programs written for python-prctl, in the ways its manual documents, run unchanged.

Each is a whole program for a fresh interpreter: it checks what it sees, and fails by an exception.
"""

import os
import textwrap

import pytest
import support

BOTH = {
    "the name of the process": """
        import prctl
        prctl.set_name("python-prctl")
        assert prctl.get_name() == "python-prctl"
        prctl.set_name("a name that is longer than fifteen")
        assert prctl.get_name() == "a name that is "
        with open("/proc/self/comm") as comm:
            assert comm.read() == "a name that is \\n"
    """,
    "the name, through the extension": """
        import _prctl
        from _prctl import PR_GET_NAME, PR_SET_NAME
        _prctl.prctl(PR_SET_NAME, "through")
        assert _prctl.prctl(PR_GET_NAME) == "through"
        import prctl
        prctl.prctl(PR_SET_NAME, "again")
        assert prctl.get_name() == "again"
    """,
    "the title": """
        import prctl
        prctl.set_proctitle("my daemon: idle")
        with open("/proc/self/cmdline") as cmdline:
            assert cmdline.read().rstrip("\\0") == "my daemon: idle"
    """,
    "the title, through the extension": """
        import _prctl
        _prctl.set_proctitle("my daemon: idle")
        with open("/proc/self/cmdline") as cmdline:
            assert cmdline.read().rstrip("\\0") == "my daemon: idle"
    """,
    "the death of the parent": """
        import prctl, signal
        assert prctl.get_pdeathsig() == 0
        prctl.set_pdeathsig(signal.SIGINT)
        assert prctl.get_pdeathsig() == signal.SIGINT
        prctl.set_pdeathsig(0)
        assert prctl.get_pdeathsig() == 0
    """,
    "a child that dies with its parent": """
        import os, prctl, signal, subprocess, sys
        sleeper = subprocess.Popen(
            ["sleep", "60"], preexec_fn=lambda: prctl.set_pdeathsig(signal.SIGKILL)
        )
        sleeper.kill()
        sleeper.wait()
    """,
    "core dumps": """
        import prctl
        for flag in False, True, 0, 1:
            prctl.set_dumpable(flag)
            assert prctl.get_dumpable() == flag
    """,
    "a subreaper": """
        import prctl
        prctl.set_child_subreaper(True)
        assert prctl.get_child_subreaper()
        prctl.set_child_subreaper(0)
        assert not prctl.get_child_subreaper()
    """,
    "capabilities kept across setuid": """
        import prctl
        prctl.set_keepcaps(True)
        assert prctl.get_keepcaps() == True
        assert prctl.securebits.keep_caps
        prctl.securebits.keep_caps = False
        assert not prctl.get_keepcaps()
    """,
    "machine checks": """
        import prctl
        for policy in prctl.MCE_KILL_EARLY, prctl.MCE_KILL_LATE, prctl.MCE_KILL_DEFAULT:
            prctl.set_mce_kill(policy)
            assert prctl.get_mce_kill() == policy
    """,
    "machine checks, through the extension": """
        import _prctl
        _prctl.prctl(_prctl.PR_SET_MCE_KILL, _prctl.PR_MCE_KILL_EARLY)
        assert _prctl.prctl(_prctl.PR_GET_MCE_KILL) == _prctl.PR_MCE_KILL_EARLY
        _prctl.prctl(_prctl.PR_MCE_KILL, _prctl.PR_MCE_KILL_LATE)
        assert _prctl.prctl(_prctl.PR_MCE_KILL_GET) == _prctl.PR_MCE_KILL_LATE
    """,
    "no new privileges": """
        import prctl
        assert prctl.get_no_new_privs() in (True, False)
        prctl.set_no_new_privs(1)
        assert prctl.get_no_new_privs()
        try:
            prctl.set_no_new_privs(0)
        except (ValueError, OSError):
            pass
        else:
            raise AssertionError("unset")
    """,
    "a tracer": """
        import os, prctl
        assert prctl.get_ptracer() == os.getppid()
        try:
            prctl.set_ptracer(os.getpid())
        except OSError:
            pass  # a kernel without Yama
        else:
            assert prctl.get_ptracer() == os.getpid()
            prctl.set_ptracer(prctl.SET_PTRACER_ANY)
            assert prctl.get_ptracer() == prctl.SET_PTRACER_ANY
            prctl.set_ptracer(0)
    """,
    "strict seccomp": """
        import os, prctl, signal
        assert prctl.get_seccomp() == 0
        pid = os.fork()
        if pid == 0:
            prctl.set_seccomp(True)
            os.getpid(); os.open("/dev/null", os.O_RDONLY)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    """,
    "timer slack": """
        import prctl
        before = prctl.get_timerslack()
        prctl.set_timerslack(before * 2)
        assert prctl.get_timerslack() == before * 2
        prctl.set_timerslack(0)
        assert prctl.get_timerslack() == before
    """,
    "statistical timing": """
        import prctl
        assert prctl.get_timing() == prctl.TIMING_STATISTICAL
        prctl.set_timing(prctl.TIMING_STATISTICAL)
        try:
            prctl.set_timing(prctl.TIMING_TIMESTAMP)
        except OSError:
            pass
        else:
            raise AssertionError("no kernel takes it")
    """,
    "what this machine may not have": """
        import prctl
        attempts = [
            (prctl.get_endian, prctl.set_endian, prctl.ENDIAN_LITTLE),
            (prctl.get_fpemu, prctl.set_fpemu, prctl.FPEMU_NOPRINT),
            (prctl.get_fpexc, prctl.set_fpexc, prctl.FP_EXC_SW_ENABLE),
            (prctl.get_unalign, prctl.set_unalign, prctl.UNALIGN_NOPRINT),
            (prctl.get_tsc, prctl.set_tsc, prctl.TSC_ENABLE),
        ]
        for get, put, value in attempts:
            try:
                put(value)
                assert get() == value
            except OSError:
                pass
    """,
    "the bounding set, read": """
        import prctl
        for number in prctl.ALL_CAPS:
            name = prctl.ALL_CAP_NAMES[prctl.ALL_CAPS.index(number)]
            assert prctl.capbset_read(number) == getattr(prctl.capbset, name)
    """,
    "the bounding set cannot be raised": """
        import prctl
        try:
            prctl.capbset.kill = True
        except ValueError:
            pass
        else:
            raise AssertionError("raised")
        try:
            prctl.capbset.no_such_capability
        except AttributeError:
            pass
        else:
            raise AssertionError("read")
    """,
    "securebits, read": """
        import prctl
        assert prctl.get_securebits() == 0
        names = "noroot", "no_setuid_fixup", "keep_caps"
        for name in names:
            assert getattr(prctl.securebits, name) is False
            assert getattr(prctl.securebits, name + "_locked") is False
    """,
    "get_caps()": """
        import prctl
        caps = prctl.get_caps(
            (prctl.CAP_KILL, (prctl.CAP_EFFECTIVE, prctl.CAP_INHERITABLE, prctl.CAP_PERMITTED)),
            ((prctl.CAP_SYS_ADMIN, prctl.CAP_CHOWN), prctl.CAP_EFFECTIVE),
            (prctl.ALL_CAPS, prctl.CAP_PERMITTED),
        )
        assert set(caps) == set(prctl.ALL_FLAGS)
        assert set(caps[prctl.CAP_EFFECTIVE]) == {
            prctl.CAP_KILL, prctl.CAP_SYS_ADMIN, prctl.CAP_CHOWN
        }
        assert set(caps[prctl.CAP_INHERITABLE]) == {prctl.CAP_KILL}
        assert set(caps[prctl.CAP_PERMITTED]) == set(prctl.ALL_CAPS)
        assert caps[prctl.CAP_EFFECTIVE][prctl.CAP_KILL] == prctl.cap_effective.kill
        for cap, flag in ("bogus", prctl.CAP_EFFECTIVE), (4000, prctl.CAP_EFFECTIVE):
            try:
                prctl.get_caps((cap, flag))
            except ValueError:
                pass
            else:
                raise AssertionError("known")
        try:
            prctl.get_caps((prctl.CAP_KILL, 5))
        except KeyError:
            pass
        else:
            raise AssertionError("known")
    """,
    "the numbers of flags": """
        import prctl
        flags = prctl.CAP_EFFECTIVE, prctl.CAP_PERMITTED, prctl.CAP_INHERITABLE
        assert flags == (0, 1, 2)
        names = [name.lower() for name in prctl.ALL_FLAG_NAMES]
        assert names == ["effective", "inheritable", "permitted"]
    """,
    "names of capabilities": """
        import _prctl, prctl
        assert _prctl.cap_to_name(prctl.CAP_NET_RAW) == "net_raw"
        assert "sys_admin" in prctl.ALL_CAP_NAMES
        assert [_prctl.cap_to_name(cap) for cap in prctl.ALL_CAPS] == list(prctl.ALL_CAP_NAMES)
    """,
    "whoever may not": """
        import prctl
        prctl.cap_effective.limit()
        for attempt in (
            lambda: setattr(prctl.securebits, "noroot", True),
            lambda: setattr(prctl.capbset, "kill", False),
            lambda: prctl.capbset_drop(prctl.CAP_KILL),
            lambda: prctl.set_securebits(prctl.SECBIT_NOROOT),
        ):
            try:
                attempt()
            except OSError:
                pass
            else:
                raise AssertionError("done without the capability")
    """,
}

ROOTS = {
    "a web server's drop": """
        import os, prctl, socket
        listener = socket.create_server(("127.0.0.1", 0))
        prctl.securebits.keep_caps = True
        prctl.capbset.limit(prctl.CAP_NET_BIND_SERVICE)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        prctl.cap_permitted.limit(prctl.CAP_NET_BIND_SERVICE)
        prctl.cap_effective.net_bind_service = True
        prctl.set_no_new_privs(1)
        assert prctl.cap_effective.net_bind_service and not prctl.cap_effective.kill
        assert prctl.cap_permitted.net_bind_service and not prctl.cap_permitted.setuid
        with open("/proc/self/status") as status:
            fields = dict(line.split(":\\t", 1) for line in status)
        assert int(fields["CapPrm"], 16) == int(fields["CapBnd"], 16) == 1 << 10
    """,
    "a drop without the setuid fix-up": """
        import os, prctl
        keep = prctl.CAP_NET_BIND_SERVICE, prctl.CAP_SETUID
        prctl.securebits.keep_caps = True
        prctl.securebits.no_setuid_fixup = True
        prctl.capbset.limit(*keep)
        try:
            prctl.cap_permitted.limit(*keep)
        except PermissionError:
            pass
        prctl.cap_effective.limit(*keep)
        os.setuid(65534)
        assert prctl.cap_permitted.net_bind_service
        assert prctl.cap_effective.net_bind_service
        prctl.cap_effective.drop("setuid")
        prctl.cap_permitted.drop("setuid")
        assert not prctl.cap_permitted.setuid
    """,
    "capabilities by setattr": """
        import os, prctl
        prctl.set_keepcaps(True)
        os.setuid(65534)
        for name in "NET_BIND_SERVICE", "KILL":
            setattr(prctl.cap_permitted, name.lower(), True)
            setattr(prctl.cap_effective, name.lower(), True)
        assert prctl.cap_effective.kill and not prctl.cap_effective.chown
    """,
    "every capability but one": """
        import prctl
        caps = list(prctl.ALL_CAPS)
        caps.remove(prctl.CAP_KILL)
        prctl.cap_effective.limit(*caps)
        assert not prctl.cap_effective.kill and prctl.cap_effective.chown
        prctl.capbset.limit(*caps)
        assert not prctl.capbset.kill and prctl.capbset.chown
    """,
    "every capability, to drop": """
        import prctl
        prctl.cap_effective.drop(*prctl.ALL_CAPS)
        prctl.cap_permitted.drop(*prctl.ALL_CAP_NAMES)
        assert prctl.get_caps((prctl.ALL_CAPS, prctl.ALL_FLAGS)) == {
            flag: dict.fromkeys(prctl.ALL_CAPS, False) for flag in range(3)
        }
    """,
    "the last capability, taken for one": """
        import prctl
        prctl.cap_effective.drop(prctl.CAP_LAST_CAP)
        assert prctl.get_caps((prctl.CAP_LAST_CAP, prctl.CAP_EFFECTIVE))[0] == {
            prctl.CAP_LAST_CAP: False
        }
    """,
    "the bounding set, dropped": """
        import prctl
        prctl.capbset_drop(prctl.CAP_SETFCAP)
        assert not prctl.capbset_read(prctl.CAP_SETFCAP)
        prctl.capbset.kill = False
        assert prctl.capbset.kill is False and prctl.capbset.chown is True
        prctl.capbset.drop("setgid", prctl.CAP_SETGID)
        assert not prctl.capbset.setgid
    """,
    "set_caps()": """
        import prctl
        both = prctl.CAP_EFFECTIVE, prctl.CAP_PERMITTED
        prctl.set_caps(
            (prctl.CAP_FOWNER, both, False), (prctl.CAP_KILL, prctl.CAP_EFFECTIVE, False)
        )
        assert not prctl.cap_permitted.fowner and not prctl.cap_effective.kill
        prctl.set_caps((prctl.CAP_KILL, prctl.CAP_EFFECTIVE, True))
        assert prctl.cap_effective.kill
        prctl.set_caps(((prctl.CAP_KILL, "chown"), prctl.CAP_INHERITABLE, True))
        assert prctl.cap_inheritable.kill and prctl.cap_inheritable.chown
        try:
            prctl.set_caps((prctl.CAP_FOWNER, prctl.CAP_PERMITTED, True))
        except PermissionError:
            pass
        else:
            raise AssertionError("raised")
    """,
    "numbers up to 1023": """
        import _prctl, prctl
        keep = {prctl.CAP_SETUID, prctl.CAP_SETGID, prctl.CAP_CHOWN, prctl.CAP_KILL}
        drop = list(set(range(1024)).difference(keep))
        _prctl.set_caps([], [], [], drop, drop, drop)
        with open("/proc/self/status") as status:
            fields = dict(line.split(":\\t", 1) for line in status)
        wanted = sum(1 << cap for cap in keep)
        assert int(fields["CapPrm"], 16) == int(fields["CapEff"], 16) == wanted
        _prctl.set_caps([], [], [], [], [], list(range(1024)))
    """,
    "one capability at a time": """
        import _prctl, prctl
        for cap in range(prctl.CAP_LAST_CAP + 1):
            if cap not in (prctl.CAP_SETUID, prctl.CAP_SETGID):
                _prctl.set_caps([], [], [], [cap], [cap], [cap])
        assert prctl.cap_effective.setuid and not prctl.cap_effective.kill
        prctl.cap_effective.limit(prctl.CAP_SETUID)
        prctl.cap_inheritable.limit(prctl.CAP_SETUID)
        prctl.cap_permitted.limit(prctl.CAP_SETUID)
        assert _prctl.get_caps([prctl.CAP_SETUID], [prctl.CAP_SETGID], []) == {
            prctl.CAP_EFFECTIVE: {prctl.CAP_SETUID: True},
            prctl.CAP_PERMITTED: {prctl.CAP_SETGID: False},
            prctl.CAP_INHERITABLE: {},
        }
    """,
    "securebits": """
        import prctl
        prctl.set_securebits(prctl.SECBIT_KEEP_CAPS)
        assert prctl.get_securebits() == prctl.SECBIT_KEEP_CAPS
        prctl.securebits.noroot = True
        assert prctl.securebits.noroot is True and prctl.securebits.no_setuid_fixup is False
        prctl.securebits.noroot_locked = True
        try:
            prctl.securebits.noroot = False
        except OSError:
            pass
        else:
            raise AssertionError("unlocked")
    """,
    "seccomp with a filter": """
        import os, prctl, struct
        allow = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
        prctl.set_no_new_privs(True)
        prctl.set_seccomp(prctl.SECCOMP_MODE_FILTER, allow)
        assert prctl.get_seccomp() == prctl.SECCOMP_MODE_FILTER
    """,
}


FEATURES = {  # of tests/kernel.c, what a program takes for granted
    "the title": "command line",
    "the title, through the extension": "command line",
    "a subreaper": "subreaper",
    "strict seccomp": "strict seccomp",
    "seccomp with a filter": "seccomp filters",
}


def programs(table):
    rows = [
        pytest.param(program, id=name, marks=pytest.mark.kernel(FEATURES[name]))
        if name in FEATURES
        else pytest.param(program, id=name)
        for name, program in table.items()
    ]
    return pytest.mark.parametrize("program", rows)


@programs(BOTH)
def test_a_program_of_any_user_runs_unchanged(program):
    support.run_python(textwrap.dedent(program))


@programs(BOTH)
def test_a_program_runs_unchanged_as_another_user(program, root):
    code = compile(textwrap.dedent(program), "<program>", "exec")

    def child():
        support.kernel_prctl(4, 1)  # PR_SET_DUMPABLE, as after an exec: /proc/self is the user's
        exec(code, {})

    support.in_child(child, user=True)


@programs(ROOTS)
def test_a_program_of_root_runs_unchanged(program, root):
    needed = (0, 3, 5, 6, 7, 8, 10, 31)  # chown, fowner, kill, setgid, setuid, setpcap, ...
    if lacking := [n for n in needed if not support.capability_mask("CapEff") >> n & 1]:
        pytest.skip(f"root lacks the capabilities {lacking} in this container")
    if os.path.exists("/proc/self/setgroups"):
        with open("/proc/self/setgroups") as file:
            if file.read().strip() == "deny":
                pytest.skip("this user namespace denies setgroups()")
    support.run_python(textwrap.dedent(program))
