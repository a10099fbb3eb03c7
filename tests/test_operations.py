"""drop_privileges(): everything or, beforehand, nothing; in every thread; and verified.

What holds afterwards is read from /proc/self/task/*/status, from outside, or after exec. An order
of system calls is compared with what strace saw of each thread.
"""

import ctypes
import errno
import os
import pwd
import re
import resource
import subprocess

import pytest
import support
from support import USER, Worker, error_of, in_child, install_filter, kernel_prctl, of_threads

import prctl

pytestmark = pytest.mark.kernel("threads")

drop_privileges = prctl.drop_privileges  # loaded now: some children cannot read the installation
import _prctl_operations as operations  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
NET_RAW, SETGID, SETUID, SETPCAP = 13, 6, 7, 8
GONE = "0" * 16
FIELDS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
NUMBERS = {"user": USER, "group": USER, "groups": []}


def hexadecimal(*capabilities):
    return f"{sum(1 << capability for capability in capabilities):016x}"


def four(number):
    return " ".join([str(number)] * 4)


def expected(uid=USER, gid=USER, groups=(), **fields):
    """What the status of a thread must say: nothing is left, unless fields say otherwise."""
    found = dict.fromkeys(FIELDS, GONE) | {"Uid": four(uid), "Gid": four(gid), "NoNewPrivs": "1"}
    found["Groups"] = " ".join(map(str, groups))
    return tuple((found | fields).values())


def everything(workers=()):
    """What all threads are and may do."""
    return (
        of_threads(*FIELDS, "Seccomp"),
        [worker(prctl.get_securebits) for worker in workers],
        prctl.get_securebits(),
    )


# ---- It refuses before anything has changed. Each: what was done before, the arguments that differ
# from those of an ordinary call, the exception, and what its text must say.


def lacking(*capabilities, securebits=0):
    def prepare(workers):
        if securebits:
            prctl.set_securebits(securebits)
        for thread in (lambda f, *a: f(*a), *workers):
            thread(prctl.cap_permitted.drop, *capabilities)

    return prepare


def with_securebits(bits):
    def prepare(workers):
        with prctl.all_threads():
            prctl.set_securebits(bits)

    return prepare


def with_bounding_set(*capabilities):
    def prepare(workers):
        with prctl.all_threads():
            prctl.capbset.limit(*capabilities)

    return prepare


def with_a_thread_that_cannot_be_reached(workers):
    workers[0](support.block_libc_signal)


def without_room_for_signals(workers):
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))


def with_nothing_to_do(workers):
    pass


def without_proc(workers):
    os.chroot("/dev")


def as_user_with(*capabilities):
    """An ordinary user in every thread, with these capabilities in permitted and effective."""

    def prepare(workers):
        mask = sum(1 << capability for capability in capabilities)
        os.setgroups([])
        for thread in (lambda f, *a: f(*a), *workers):
            thread(kernel_prctl, 8, 1)  # PR_SET_KEEPCAPS
        os.setresgid(1, 1, 1)
        os.setresuid(1, 1, 1)
        for thread in (lambda f, *a: f(*a), *workers):
            thread(prctl._prctl._capset, mask, mask, 0)
            thread(kernel_prctl, 8, 0)

    return prepare


def as_user_with_ambient_and_no_more(workers):
    as_user_with(NET_RAW, SETPCAP)(workers)
    with prctl.all_threads():
        prctl.cap_inheritable.add("net_raw")
        prctl.cap_ambient.add("net_raw")
        prctl.set_securebits(NO_CAP_AMBIENT_RAISE)


KEEP_CAPS_LOCKED, NO_CAP_AMBIENT_RAISE, NO_SETUID_FIXUP, NOROOT = 1 << 5, 1 << 6, 1 << 2, 1
NO_USER = "no-such-user-of-prctl"
FREE_UID = next(n for n in range(40000, 60000) if n not in {e.pw_uid for e in pwd.getpwall()})

REFUSALS = {
    # Arguments that are wrong for everybody
    "an unknown user": (None, {"user": NO_USER}, KeyError, NO_USER),
    "an empty user": (None, {"user": ""}, KeyError, ""),
    "a number as str": (None, {"user": "65534"}, KeyError, "65534"),
    "an unknown group": (None, {"group": NO_USER}, KeyError, NO_USER),
    "an unknown supplementary group": (None, {"groups": ["root", NO_USER]}, KeyError, NO_USER),
    "a uid without account or group": (
        None,
        {"user": FREE_UID, "group": None},
        KeyError,
        f"uid {FREE_UID} has no account",
    ),
    "root": (None, {"user": "root"}, ValueError, "uid 0"),
    "uid 0": (None, {"user": 0}, ValueError, "uid 0"),
    "uid -1": (None, {"user": -1}, OverflowError, "user"),
    "uid 2**32-1": (None, {"user": 2**32 - 1}, ValueError, "user"),
    "uid 2**32": (None, {"user": 2**32}, OverflowError, "user"),
    "a huge uid": (None, {"user": 10**100}, OverflowError, "user"),
    "gid -1": (None, {"group": -1}, OverflowError, "group"),
    "gid 2**32-1": (None, {"group": 2**32 - 1}, ValueError, "group"),
    "a huge gid": (None, {"group": 2**70}, OverflowError, "group"),
    "supplementary gid 2**32-1": (None, {"groups": [2**32 - 1]}, ValueError, "group"),
    "supplementary gid -1": (None, {"groups": [1, -1]}, OverflowError, "group"),
    "more groups than there can be": (
        None,
        {"groups": range(100000, 165537)},
        (ValueError, OSError),
        "groups",
    ),
    "no user": (None, {"user": None}, TypeError, "user"),
    "user as float": (None, {"user": 1.0}, TypeError, "user"),
    "user as bool": (None, {"user": True}, TypeError, "user"),
    "user as bytes": (None, {"user": b"nobody"}, TypeError, "user"),
    "user as list": (None, {"user": ["nobody"]}, TypeError, "user"),
    "user with a NUL": (None, {"user": "no\0body"}, ValueError, "null"),
    "group as float": (None, {"group": 1.5}, TypeError, "group"),
    "group as bool": (None, {"group": False}, TypeError, "group"),
    "group as bytes": (None, {"group": b"root"}, TypeError, "group"),
    "groups as int": (None, {"groups": 5}, TypeError, ""),
    "groups with None": (None, {"groups": [None]}, TypeError, "group"),
    "groups as bool": (None, {"groups": True}, TypeError, ""),
    "keep as int": (None, {"keep": NET_RAW}, TypeError, ""),
    "keep as None": (None, {"keep": None}, TypeError, ""),
    "keep as bytes": (None, {"keep": b"net_raw"}, (TypeError, ValueError), ""),
    "keep with None": (None, {"keep": [None]}, TypeError, ""),
    "keep with float": (None, {"keep": [13.0]}, TypeError, ""),
    "keep of an unknown name": (None, {"keep": ["net_raw", "fly"]}, ValueError, "fly"),
    "keep of a list of names as str": (None, {"keep": "net_raw,chown"}, ValueError, "net_raw,"),
    "keep of -1": (None, {"keep": [-1]}, ValueError, "-1"),
    "keep of 64": (None, {"keep": [64]}, ValueError, "64"),
    "keep of a huge number": (None, {"keep": [10**50]}, ValueError, ""),
    "keep of what the kernel has not": (None, {"keep": [63]}, (ValueError, OSError), "63"),
    "keep with a list": (None, {"keep": [["net_raw"]]}, TypeError, ""),
    # What the kernel would refuse
    "no CAP_SETUID": (lacking("setuid"), {}, PermissionError, "CAP_SETUID"),
    "no CAP_SETGID": (lacking("setgid"), {}, PermissionError, "CAP_SETGID"),
    "no CAP_SETGID, groups alone": (
        lacking("setgid"),
        {"group": 0, "groups": [5]},
        PermissionError,
        "CAP_SETGID",
    ),
    "no CAP_SETPCAP and no_new_privs=False": (
        lacking("setpcap"),
        {"no_new_privs": False},
        PermissionError,
        "CAP_SETPCAP",
    ),
    "keep of what is not there": (
        lacking("net_raw"),
        {"keep": ["chown", "net_raw"]},
        PermissionError,
        "net_raw",
    ),
    "ambient of what the bounding set has not": (
        with_bounding_set("chown"),
        {"keep": ["chown", "net_raw"], "ambient": True},
        PermissionError,
        "net_raw",
    ),
    "keep_caps is locked": (
        with_securebits(KEEP_CAPS_LOCKED),
        {"keep": ["net_raw"]},
        PermissionError,
        "keep_caps",
    ),
    "ambient must not be raised": (
        with_securebits(NO_CAP_AMBIENT_RAISE),
        {"keep": ["net_raw"], "ambient": True},
        PermissionError,
        "no_cap_ambient_raise",
    ),
    "ambient must not be raised, and is the same": (
        as_user_with_ambient_and_no_more,
        {"user": 1, "group": 1, "keep": ["net_raw"], "ambient": True},
        PermissionError,
        "no_cap_ambient_raise",
    ),
    "a user with CAP_SETUID alone": (
        as_user_with(SETUID),
        {},
        PermissionError,
        "CAP_SETGID",
    ),
    "a user with CAP_SETGID alone": (
        as_user_with(SETGID),
        {},
        PermissionError,
        "CAP_SETUID",
    ),
    "a user with both, and no_new_privs=False": (
        as_user_with(SETUID, SETGID),
        {"no_new_privs": False},
        PermissionError,
        "CAP_SETPCAP",
    ),
    # What the threads do not let happen
    "a thread that blocks the signal": (
        with_a_thread_that_cannot_be_reached,
        {},
        RuntimeError,
        "has blocked",
    ),
    "no room for signals": (without_room_for_signals, {}, BlockingIOError, "RLIMIT_SIGPENDING"),
    "no /proc": (without_proc, {}, FileNotFoundError, "/proc"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_it_refuses_before_anything_has_changed(name, root):
    prepare, arguments, kind, text = REFUSALS[name]
    if text == "has blocked":
        support.needs_features("blocked signals")

    def run():
        workers = [Worker() for _ in range(3)]
        proc = os.open("/proc/self/task", os.O_RDONLY)
        if prepare:
            prepare(workers)
        os.fchdir(proc)
        before = read_all(workers)
        try:
            drop_privileges(**NUMBERS | arguments)
        except Exception as error:
            os.fchdir(proc)
            return type(error), str(error), before == read_all(workers)

    def read_all(workers):
        """everything(), even where /proc is no longer to be found."""
        found = []
        for tid in sorted(os.listdir(".")):
            with open(f"{tid}/status") as file:
                lines = (line.partition(":") for line in file)
                found.append([tid, *(value for key, _, value in lines if key in FIELDS)])
        return found, [worker(prctl.get_securebits) for worker in workers], prctl.get_securebits()

    raised, said, is_unchanged = in_child(run)
    assert issubclass(raised, kind), said
    assert text in said
    assert is_unchanged
    assert len(said) < 500


def test_an_ordinary_user_may_not_become_another():
    def run():
        worker = Worker()
        before = everything([worker])
        answer = error_of(drop_privileges, 1, 1, groups=os.getgroups())
        return answer, before == everything([worker])

    answer, is_unchanged = in_child(run, user=True)
    assert answer == support.refused(errno.EPERM, "changing the group needs CAP_SETGID")
    assert is_unchanged


def test_an_ordinary_user_may_give_up_what_is_left():
    def run():
        Worker()
        ids = os.getresuid(), os.getresgid(), os.getgroups()
        drop_privileges(os.getuid(), os.getgid(), groups=os.getgroups())
        return ids == (os.getresuid(), os.getresgid(), os.getgroups()), of_threads("NoNewPrivs")

    same, found = in_child(run, user=True)
    assert same
    assert list(found.values()) == ["1", "1"]


def test_an_ordinary_user_who_is_twice_in_a_group_may_do_so_too(root):
    """As in containers, whose lists of groups nobody has sorted out."""

    def run():
        Worker()
        os.setgroups([7, 7, 8])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        drop_privileges(USER, USER, groups=os.getgroups())
        return list(of_threads("NoNewPrivs").values())

    assert in_child(run) == ["1", "1"]


# ---- It does everything, in every thread. Each: what was done before, the arguments that differ
# from those of an ordinary call, and what each thread's status then says besides.

KEPT = {"CapPrm": hexadecimal(NET_RAW), "CapEff": hexadecimal(NET_RAW)}
KEEP = KEPT | {"CapBnd": hexadecimal(NET_RAW)}
AMBIENT = KEEP | {"CapInh": hexadecimal(NET_RAW), "CapAmb": hexadecimal(NET_RAW)}
BOUNDING = support.status()["CapBnd"]


def with_less_in_one_thread(workers):
    workers[0](prctl.cap_permitted.drop, "sys_time", "chown")
    workers[1](prctl.cap_effective.drop, "kill")
    workers[2](prctl.capbset.drop, "sys_time")


def with_less_here(change, *arguments):
    """This thread has already some of what is to come, the others have not."""

    def prepare(workers):
        change(*arguments)

    return prepare


def with_more_in_one_thread(workers):
    def raise_some():
        prctl.cap_inheritable.add("kill")
        prctl.cap_ambient.add("kill")

    workers[0](raise_some)


def with_another_id_in_one_thread(workers):
    workers[0](support.system_call, "setresgid", 7, 7, 7)


def with_other_groups_in_one_thread(workers):
    number, memory = support.syscall_number("setgroups"), (ctypes.c_uint32 * 2)(8, 9)
    assert workers[0](LIBC.syscall, ctypes.c_long(number), ctypes.c_long(2), memory) == 0


def with_the_ids_here(workers):
    """glibc's setresuid() can do this when it has missed the other threads."""
    kernel_prctl(8, 1)
    number = support.syscall_number("setgroups")
    LIBC.syscall(ctypes.c_long(number), ctypes.c_long(0), None)
    support.system_call("setresgid", USER, USER, USER)
    support.system_call("setresuid", USER, USER, USER)
    kernel_prctl(8, 0)
    prctl.set_caps((prctl.ALL_CAPS, prctl.CAP_EFFECTIVE, False))
    prctl.set_caps(([SETUID, SETGID, SETPCAP], prctl.CAP_EFFECTIVE, True))


SUCCESSES = {
    "everything": (None, {}, {}),
    "keep": (None, {"keep": ["net_raw"]}, KEEP),
    "keep as str": (None, {"keep": "CAP_NET_RAW"}, KEEP),
    "keep as numbers": (None, {"keep": (NET_RAW,)}, KEEP),
    "keep as set": (None, {"keep": {prctl.CAP_NET_RAW, "net_raw"}}, KEEP),
    "keep as generator": (None, {"keep": (name for name in ["net_raw"])}, KEEP),
    "keep and ambient": (None, {"keep": ["net_raw"], "ambient": True}, AMBIENT),
    "ambient of nothing": (None, {"ambient": True}, {}),
    "no_new_privs=False": (None, {"no_new_privs": False}, {"NoNewPrivs": "0"}),
    "keep of all": (
        None,
        {"keep": prctl.cap_permitted},
        dict.fromkeys(("CapPrm", "CapEff", "CapBnd"), support.status()["CapPrm"]),
    ),
    "groups as numbers": (None, {"groups": [9, 7, 7, 8]}, {"Groups": "7 8 9"}),
    "groups as names": (None, {"groups": ["root", 7]}, {"Groups": "0 7"}),
    "a group as name": (None, {"groups": "root"}, {"Groups": "0"}),
    "groups as generator": (None, {"groups": iter([7])}, {"Groups": "7"}),
    "many groups": (
        None,
        {"groups": range(100000, 103000)},
        {"Groups": " ".join(map(str, range(100000, 103000)))},
    ),
    "group as name": (None, {"group": "root"}, {"Gid": four(0)}),
    "ids without names": (
        None,
        {"user": FREE_UID, "group": FREE_UID},
        {"Uid": four(FREE_UID), "Gid": four(FREE_UID)},
    ),
    "the last id": (
        None,
        {"user": 2**32 - 2, "group": 2**32 - 2},
        {"Uid": four(2**32 - 2), "Gid": four(2**32 - 2)},
    ),
    "a second time": (with_less_here(lambda: drop_privileges(**NUMBERS)), {}, {}),
    "no CAP_SETPCAP": (lacking("setpcap"), {"keep": ["net_raw"]}, KEEP | {"CapBnd": BOUNDING}),
    "CAP_SETUID not effective": (
        with_less_here(prctl.cap_effective.clear),
        {"keep": ["net_raw"]},
        KEEP,
    ),
    "a bounding set with less": (with_bounding_set("net_raw", "chown"), {"keep": [13]}, KEEP),
    "an empty bounding set": (with_bounding_set(), {}, {}),
    "an empty bounding set, and keep": (
        with_bounding_set(),
        {"keep": ["net_raw"]},
        KEEP | {"CapBnd": GONE},
    ),
    "noroot": (with_securebits(NOROOT * 3), {"keep": [NET_RAW]}, KEEP),
    "no_setuid_fixup": (with_securebits(NO_SETUID_FIXUP * 3), {"keep": [NET_RAW]}, KEEP),
    "no_setuid_fixup, nothing kept": (with_securebits(NO_SETUID_FIXUP), {}, {}),
    "no_setuid_fixup and ambient": (
        with_securebits(NO_SETUID_FIXUP),
        {"keep": [NET_RAW], "ambient": True},
        AMBIENT,
    ),
    "keep_caps locked, nothing kept": (with_securebits(KEEP_CAPS_LOCKED), {}, {}),
    "keep_caps set and locked": (with_securebits(0x30), {"keep": [NET_RAW]}, KEEP),
    "keep_caps set": (with_securebits(0x10), {"keep": [NET_RAW]}, KEEP),
    "no_cap_ambient_raise": (with_securebits(0xC0), {"keep": [NET_RAW]}, KEEP),
    "all locked": (with_securebits(0xAA), {}, {}),
    "one thread with less": (with_less_in_one_thread, {"keep": [NET_RAW]}, KEEP),
    "one thread with less, ambient": (
        with_less_in_one_thread,
        {"keep": [NET_RAW], "ambient": True},
        AMBIENT,
    ),
    "one thread with more": (with_more_in_one_thread, {}, {}),
    "one thread with another gid": (with_another_id_in_one_thread, {}, {}),
    "one thread with other groups": (with_other_groups_in_one_thread, {}, {}),
    "a group twice": (with_less_here(os.setgroups, [7, 7]), {"groups": [7]}, {"Groups": "7"}),
    "an fsuid of its own": (with_less_here(LIBC.setfsuid, 5), {}, {}),
    "inside a block": (
        with_less_here(lambda: prctl.all_threads().__enter__()),
        {"keep": [NET_RAW]},
        KEEP,
    ),
    "no_new_privs here alone": (with_less_here(prctl.set_no_new_privs), {}, {}),
    "no bounding set here alone": (with_less_here(prctl.capbset.limit), {}, {}),
    "keep_caps here alone": (
        with_less_here(prctl.set_keepcaps, True),
        {"keep": [NET_RAW]},
        KEEP,
    ),
    "the ids here alone": (with_the_ids_here, {}, {}),
    "a user with CAP_SETUID and CAP_SETGID": (
        as_user_with(SETUID, SETGID),
        {},
        {"CapBnd": BOUNDING},
    ),
    "a user with CAP_SETUID, CAP_SETGID and more": (
        as_user_with(SETUID, SETGID, NET_RAW),
        {"keep": [NET_RAW]},
        KEEP | {"CapBnd": BOUNDING},
    ),
    "a user with CAP_SETUID, CAP_SETGID and ambient": (
        as_user_with(SETUID, SETGID, NET_RAW),
        {"keep": [NET_RAW], "ambient": True},
        AMBIENT | {"CapBnd": BOUNDING},
    ),
    "a user with CAP_SETPCAP, too": (
        as_user_with(SETUID, SETGID, SETPCAP),
        {"no_new_privs": False},
        {"NoNewPrivs": "0"},
    ),
}


@pytest.mark.parametrize("name", SUCCESSES)
def test_it_does_everything_in_every_thread(name, root):
    prepare, arguments, fields = SUCCESSES[name]

    def run():
        workers = [Worker() for _ in range(3)]
        if prepare:
            prepare(workers)
        before = [worker(prctl.get_securebits) for worker in workers]
        drop_privileges(**NUMBERS | arguments)
        found, after, _ = everything(workers)
        return found, before == after

    found, securebits_are_the_same = in_child(run)
    assert {status[: len(FIELDS)] for status in found.values()} == {expected(**fields)}
    assert len(found) == 4
    assert securebits_are_the_same


def test_securebits_of_this_thread_end_as_they_were(root):
    def run(bits):
        prctl.set_securebits(bits)
        drop_privileges(**NUMBERS, keep=[NET_RAW])
        return prctl.get_securebits()

    for bits in (0, 1, 4, 0x10, 0x30, 0xAF, 0xBF):
        if bits & 0x30 == 0x20:
            continue
        keeps = in_child(run, bits)
        assert keeps == bits


def test_uid_0_cannot_be_had_back(root):
    def run():
        Worker()
        drop_privileges(**NUMBERS, keep=["net_raw"])
        return [error_of(call, 0)[0] for call in (os.setuid, os.seteuid, os.setgid, os.setegid)]

    assert in_child(run) == [errno.EPERM] * 4


def test_names_are_the_accounts_with_its_group_and_groups(root):
    account, groups = next(
        (
            (entry, sorted(set(os.getgrouplist(entry.pw_name, entry.pw_gid))))
            for entry in pwd.getpwall()
            if entry.pw_uid and len(set(os.getgrouplist(entry.pw_name, entry.pw_gid))) > 1
        ),
        (None, None),
    )
    if account is None:
        pytest.skip("no account of this machine is in a supplementary group")

    def run(user, **arguments):
        Worker()
        os.setgroups([12345])
        drop_privileges(user, **arguments)
        return set(of_threads(*FIELDS).values())

    wanted = {expected(account.pw_uid, account.pw_gid, groups)}
    assert in_child(run, account.pw_name) == wanted
    assert in_child(run, account.pw_uid) == wanted
    assert {status[2] for status in in_child(lambda: run(account.pw_name, groups=()))} == {""}
    others = sorted(set(os.getgrouplist(account.pw_name, 777)))
    assert in_child(lambda: run(account.pw_name, group=777)) == {
        expected(account.pw_uid, 777, others)
    }


def test_a_bare_uid_with_a_group_has_no_supplementary_groups(root):
    def run():
        os.setgroups([12345])
        drop_privileges(FREE_UID, 777)
        return set(of_threads(*FIELDS).values())

    assert in_child(run) == {expected(FREE_UID, 777)}


def test_numbers_may_be_any_index(root):
    user = support.Index(USER)

    def run():
        drop_privileges(user, user, groups=[user])
        return set(of_threads(*FIELDS).values())

    assert in_child(run) == {expected(groups=[USER])}


# ---- After exec, as the kernel and the tools of others see it


@pytest.mark.parametrize("ambient", [True, False], ids=["ambient", "not ambient"])
def test_capabilities_survive_exec_with_ambient_alone(ambient, root):
    def run():
        Worker()
        drop_privileges(**NUMBERS, keep=["net_raw"], ambient=ambient)
        return subprocess.check_output(["cat", "/proc/self/status"], text=True)

    text = in_child(run)
    lines = (line.partition(":") for line in text.splitlines())
    found = {key: value.strip() for key, _, value in lines}
    kept = hexadecimal(NET_RAW) if ambient else GONE
    assert [found[key] for key in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [kept] * 4
    assert found["CapBnd"] == hexadecimal(NET_RAW)
    assert found["NoNewPrivs"] == "1"
    assert found["Uid"].split() == [str(USER)] * 4


def test_setpriv_agrees(root):
    setpriv = support.tool("setpriv")

    def run():
        Worker()
        drop_privileges(USER, USER, groups=[7, 8], keep=["net_raw"], ambient=True)
        return subprocess.check_output([setpriv, "--dump"], text=True)

    text = in_child(run)
    for line in (
        f"uid: {USER}",
        f"euid: {USER}",
        f"gid: {USER}",
        f"egid: {USER}",
        "Supplementary groups: 7,8",
        "no_new_privs: 1",
        "Inheritable capabilities: net_raw",
        "Ambient capabilities: net_raw",
        "Capability bounding set: net_raw",
    ):
        assert line in text.replace("[none]", "")
    assert re.search(r"Securebits: *(\[none\])?\n", text)


# ---- What a plan has


def plan_to(*asked, now=None, everywhere=False, **wish):
    """The plan that leads from what root is, changed by now, to the fields of wish."""
    everything = (1 << len(prctl.ALL_CAPS)) - 1
    ids = {"uids": (0, 0, 0), "gids": (0, 0, 0), "groups": []}
    sets = {"effective": everything, "permitted": everything, "bounding": everything}
    rest = {"inheritable": 0, "ambient": 0, "securebits": 0, "no_new_privs": False}
    state = operations.State(**ids | sets | rest | (now or {}))
    return operations.make_plan(state, state._replace(**wish), asked, everywhere)


@pytest.mark.parametrize("field", ["uids", "gids", "groups"])
def test_ids_that_differ_are_set_whether_they_are_asked_for_or_not(field):
    step = {"uids": ("setresuid", 5, 6, 7), "gids": ("setresgid", 5, 6, 7)}.get(
        field, ("setgroups", (5, 6, 7))
    )
    assert step in plan_to(**{field: (5, 6, 7)})


@pytest.mark.parametrize(
    ("field", "call"), [("uids", "setresuid"), ("gids", "setresgid"), ("groups", "setgroups")]
)
def test_ids_that_look_the_same_are_set_if_they_are_asked_for(field, call):
    assert [step[0] for step in plan_to(field)][:1] == [call]
    assert plan_to() == []


def test_groups_are_set_in_every_thread_by_who_may_not_change_them_too():
    nothing = {"effective": 0, "permitted": 0}
    assert ("setgroups", []) in plan_to("groups", now=nothing, everywhere=True)
    assert ("setgroups", []) not in plan_to("groups", now=nothing)


SET_KEEPCAPS, CLEAR_KEEPCAPS = ("prctl", 8, 1), ("prctl", 8, 0)  # PR_SET_KEEPCAPS
LESS = {"uids": (USER,) * 3, "effective": 0, "permitted": 0}


def test_what_securebits_need_outlives_the_change_of_user_and_goes_behind_them():
    plan = plan_to("uids", securebits=NOROOT, **LESS)
    until_then = 1 << SETPCAP
    assert plan == [
        SET_KEEPCAPS,
        ("setresuid", *LESS["uids"]),
        ("capset", until_then, until_then, 0),
        ("prctl", 47, 4),  # PR_CAP_AMBIENT_CLEAR_ALL
        CLEAR_KEEPCAPS,
        ("prctl", 28, 1),  # PR_SET_SECUREBITS
        ("capset", 0, 0, 0),
    ]


@pytest.mark.parametrize(("securebits", "expected"), [(0, True), (NO_SETUID_FIXUP, False)])
def test_keep_caps_is_set_unless_no_setuid_fixup_keeps_them_anyway(securebits, expected):
    kept = {"effective": 1 << NET_RAW, "permitted": 1 << NET_RAW}
    plan = plan_to("uids", now={"securebits": securebits}, **LESS | kept)
    assert (SET_KEEPCAPS in plan, CLEAR_KEEPCAPS in plan) == (expected, expected)


# ---- The order of the calls


def as_seen(step):
    """A step of a plan as the name and the numbers that strace must show."""
    name, *arguments = step
    if name == "prctl":
        return "prctl", *arguments, *[0] * (5 - len(arguments))
    if name == "setgroups":
        return "setgroups", len(arguments[0]), *arguments[0]
    return name, *arguments


def parsed(line):
    """A line of strace's as such a tuple."""
    name, _, rest = line.partition("(")
    name = name.removesuffix("32")  # where the plain one has ids of 16 bits
    rest = rest.rpartition(") ")[0]
    if name == "capset":
        sets = re.findall(r"(?:effective|permitted|inheritable)=([^,}]+)", rest)
        return name, *(low_and_high(words.split("|")) for words in sets)
    return name, *(int(word, 0) for word in re.findall(r"0x[0-9a-f]+|\d+", rest))


def low_and_high(words):
    """strace shows a mask of 64 bits as 0xLOW|0xHIGH; one word may also be the low one alone."""
    numbers = [int(word, 0) for word in words]
    return numbers[0] | (numbers[1] << 32 if len(numbers) == 2 else 0)


ORDERS = {
    "nothing kept": {},
    "kept": {"keep": ["net_raw"]},
    "ambient": {"keep": ["net_raw"], "ambient": True, "groups": [7, 8]},
    "no_new_privs=False": {"no_new_privs": False},
}


@pytest.mark.parametrize("name", ORDERS)
def test_each_thread_makes_just_the_planned_calls_in_their_order(name, root):
    arguments = NUMBERS | ORDERS[name]
    source = f"""
import os, threading
import prctl, _prctl, _prctl_operations as operations
for _ in range(2):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
plans, run_plan = [], _prctl._run_plan
_prctl._run_plan = lambda plan: plans.append(plan) or run_plan(plan)
step("begin")
prctl.drop_privileges(**{arguments!r})
step("end")
print(plans[0])
sys = __import__("sys"); sys.stdout.flush()
os._exit(0)
"""
    calls = "prctl,capset,/^set(groups|resgid|resuid|gid|uid)(32)?$"
    planned = in_child(plan_of, arguments)
    main, *others = support.traced_threads(source, calls, options=["-e", "raw=prctl"]).values()
    reading = {7, 23, 27, 39, 47, 15, 0x53564D41}  # what only looks, or names threads and memory
    for thread in main, *others:
        seen = [parsed(line) for line in thread]
        seen = [call for call in seen if not (call[0] == "prctl" and call[1] in reading)]
        seen_ambient = [parsed(line) for line in thread]
        seen_ambient = [call for call in seen_ambient if call[:2] == ("prctl", 47) and call[2] > 1]
        wanted = [as_seen(step) for step in planned]
        assert seen == [call for call in wanted if call[:2] != ("prctl", 47)]
        assert seen_ambient == [call for call in wanted if call[:2] == ("prctl", 47)]
    assert len(others) == 2


def plan_of(arguments):
    plans, run_plan = [], prctl._prctl._run_plan

    def note(plan):
        plans.append(plan)
        return run_plan(plan)

    operations._prctl._run_plan = note
    drop_privileges(**arguments)
    return plans[0]


def test_what_can_fail_comes_before_what_cannot_be_undone(root):
    """The ids are changed while every capability is there, no_new_privs comes last."""
    plan = in_child(plan_of, NUMBERS | {"keep": ["net_raw"], "groups": [7]})
    calls = [operations.describe(step) for step in plan]
    order = ["setgroups", "setresgid", "prctl(PR_SET_KEEPCAPS, 1", "setresuid", "capset(0x2000,"]
    places = [[call.startswith(start) for call in calls].index(True) for start in order]
    assert places == sorted(places)
    assert calls[-1] == "prctl(PR_SET_NO_NEW_PRIVS, 1)"


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (("setgroups", [1, 2]), "setgroups([1, 2])"),
        (("setresgid", 1, 2, 3), "setresgid(1, 2, 3)"),
        (("setresuid", 1, 2, 3), "setresuid(1, 2, 3)"),
        (("capset", 1, 2, 1 << 40), "capset(0x1, 0x2, 0x10000000000)"),
        (("prctl", 24, 13), "prctl(PR_CAPBSET_DROP, 13)"),
        (("prctl", 38, 1), "prctl(PR_SET_NO_NEW_PRIVS, 1)"),
        (("seccomp", b"12345678"), "prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 8 bytes)"),
        (("parent", 7), "getppid(), which must still be 7"),
    ],
)
def test_a_step_is_described_as_the_call_that_it_is(step, text):
    assert operations.describe(step) == text


BAD_PLANS = [
    (None, TypeError),
    ((), TypeError),
    ([None], TypeError),
    ([()], (TypeError, IndexError)),
    ([[]], TypeError),
    ([(1,)], TypeError),
    ([("setuid", 1)], ValueError),
    ([("setresuid",)], TypeError),
    ([("setresuid", 1, 2)], TypeError),
    ([("setresuid", 1, 2, "3")], TypeError),
    ([("setgroups", (1,))], TypeError),
    ([("setgroups", [-1])], OverflowError),
    ([("setgroups", ["x"])], TypeError),
    ([("capset", 1, 2)], TypeError),
    ([("prctl",)], TypeError),
    ([("prctl", 1, 2, 3, 4, 5, 6)], TypeError),
    ([("prctl", 39), ("setresuid",)], TypeError),
]


@pytest.mark.parametrize("place", range(len(BAD_PLANS)))
def test_a_plan_that_is_none_is_refused_before_its_first_step(place):
    plan, kind = BAD_PLANS[place]
    with pytest.raises(kind):
        prctl._prctl._run_plan(plan)


# ---- What can still go wrong on the way


def snapshot_of_others():
    return {tid: found for tid, found in of_threads(*FIELDS).items() if tid != os.getpid()}


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize(
    ("name", "error", "called"),
    [
        ("setgroups", errno.EPERM, "setgroups([7])"),
        ("setresgid", errno.EINVAL, f"setresgid({USER}, {USER}, {USER})"),
        ("setresuid", errno.EAGAIN, f"setresuid({USER}, {USER}, {USER})"),
        ("setresuid", errno.EINVAL, f"setresuid({USER}, {USER}, {USER})"),
        ("capset", errno.EPERM, "capset("),
    ],
)
def test_a_call_that_the_kernel_refuses_is_named_and_no_other_thread_has_begun(
    name, error, called, root
):
    def run():
        for _ in range(3):
            Worker()
        refusal = support.refuse(name, error)
        with prctl.all_threads():
            prctl.set_seccomp(prctl.SECCOMP_MODE_FILTER, refusal)
        before = snapshot_of_others()
        answer = error_of(drop_privileges, USER, USER, groups=[7], keep=["net_raw"])
        return answer, before == snapshot_of_others(), of_threads(*FIELDS)[os.getpid()]

    (number, kind, text), others_are_unchanged, here = in_child(run)
    assert number == error
    assert kind is type(OSError(error, ""))
    assert called in text
    assert re.search(r"call \d+ of \d+", text)
    assert others_are_unchanged
    uid, gid, groups = here[:3]
    done = ["capset", "setgroups", "setresgid", "setresuid"].index(name)
    assert (groups == "7") is (done > 1)
    assert (gid == four(USER)) is (done > 2)
    assert uid == four(0)


@pytest.mark.parametrize("name", ["setgroups", "setresgid", "setresuid", "capset"])
def test_a_call_that_only_seems_to_succeed_is_found_out(name, root):
    def run():
        worker = Worker()
        worker(install_filter, support.refuse(name, 0))
        text = support.failure(
            RuntimeError, drop_privileges, USER, USER, groups=[7], keep=["net_raw"]
        )
        return worker.tid, text, of_threads("Uid")

    tid, text, uids = in_child(run)
    assert f"thread {tid}" in text
    assert f"thread {min(uids)}:" not in text
    if name != "setresuid":
        assert set(uids.values()) == {four(USER)}


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize(
    ("call", "text"),
    [
        ((24, NET_RAW), f"CapBnd is {hexadecimal(NET_RAW)}"),  # PR_CAPBSET_DROP
        ((38,), "NoNewPrivs is 0, not 1"),  # PR_SET_NO_NEW_PRIVS
    ],
)
def test_a_prctl_that_only_seems_to_succeed_is_found_out(call, text, root):
    def run():
        worker = Worker()
        program = support.refuse("prctl", 0, *call)
        worker(prctl.set_seccomp, prctl.SECCOMP_MODE_FILTER, program)
        text = support.failure(RuntimeError, drop_privileges, **NUMBERS)
        return worker.tid, text

    tid, error = in_child(run)
    assert error.endswith(f"thread {tid}: {text}")


@pytest.mark.kernel("seccomp filters")
def test_a_call_that_only_seems_to_succeed_in_every_thread_is_found_out(root):
    def run():
        Worker()
        with prctl.all_threads():
            prctl.set_seccomp(prctl.SECCOMP_MODE_FILTER, support.refuse("setresuid", 0))
        text = support.failure(RuntimeError, drop_privileges, **NUMBERS)
        return text, os.getpid()

    text, pid = in_child(run)
    assert f"thread {pid}: Uid is {four(0)}, not {four(USER)}" in text
    assert text.count("Uid is") == 2


def test_a_thread_that_cannot_make_a_call_is_named_with_the_call(root):
    def run():
        worker, other = Worker(), Worker()
        worker(install_filter, support.refuse("setresuid", errno.EPERM))
        text = support.failure(RuntimeError, drop_privileges, **NUMBERS)
        return worker.tid, other.tid, text, of_threads("Uid")

    tid, other, text, uids = in_child(run)
    assert f"thread {tid}: [Errno {errno.EPERM}]" in text
    assert uids[tid] == four(0)
    assert uids[other] == four(USER)
    assert "setresuid" in text  # each refusal says which step


def test_a_thread_that_has_given_up_its_capabilities_alone_is_named(root):
    def run():
        worker = Worker()
        worker(prctl.cap_permitted.clear)
        text = support.failure(RuntimeError, drop_privileges, **NUMBERS)
        return worker.tid, text

    tid, text = in_child(run)
    assert f"thread {tid}: [Errno {errno.EPERM}]" in text


def test_threads_that_are_made_all_the_while_are_all_dropped(root, tmp_path):
    path = tmp_path / "hostile.so"
    source = (support.SOURCES / "tests" / "hostile.c").read_text()
    support.compile_c(source, path, "-shared", "-fPIC", "-pthread")
    hostile = ctypes.CDLL(str(path))

    def run():
        hostile.start_making(6)
        drop_privileges(**NUMBERS)
        found = set(of_threads(*FIELDS).values())
        hostile.stop_making()
        return found

    for _ in range(10):
        assert in_child(run) == {expected()}


def test_a_look_at_the_thread_while_another_drops_is_looked_at_again(root):
    """Its gid is that of before, its capabilities are those of afterwards."""

    def run():
        looks = []

        def look():
            looks.append(now())
            return looks[0]._replace(gids=(0, 0, 0)) if len(looks) == 1 else looks[-1]

        drop_privileges(**NUMBERS)
        now, operations.current_state = operations.current_state, look
        drop_privileges(**NUMBERS)
        return len(looks), set(of_threads(*FIELDS).values())

    looks, found = in_child(run)
    assert looks == 3
    assert found == {expected()}


def test_python_threads_that_call_it_at_once_all_succeed(root):
    def run():
        workers = [Worker() for _ in range(4)]
        for worker in workers:
            worker.begin(lambda: drop_privileges(**NUMBERS))
        for worker in workers:
            worker.result()
        return set(of_threads(*FIELDS).values())

    assert in_child(run) == {expected()}


@pytest.mark.parametrize(
    ("state", "flags", "expected"),
    [
        ("S", 0x400040, False),
        ("S", 0x400010, True),  # PF_IO_WORKER: io_uring's
        ("S", 0x404000, True),  # PF_USER_WORKER: vhost's
        ("R", 0x400010, True),
        ("Z", 0x400040, True),
        ("X", 0x400040, True),
    ],
)
def test_who_runs_no_code_needs_no_drop(state, flags, expected, tmp_path):
    (tmp_path / "stat").write_text(f"7 (a) S 16 (b) {state} 1 7 7 0 -1 {flags} 16 16 16\n")
    assert bool(operations.runs_no_code(tmp_path)) is expected


# ---- User namespaces


def enter_namespace_of_one_id():
    """As unshare -Ur does."""
    uid, gid = os.getuid(), os.getgid()
    support.enter_user_namespace()
    kernel_prctl(4, 1)  # PR_SET_DUMPABLE: or the files are root's after a change of user
    maps = ("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")
    for name, text in maps:
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"groups": [0]}, "does not let the supplementary groups be changed"),
        ({"groups": os.getgroups, "group": 0}, f"the user namespace has no uid {USER}"),
        ({"groups": os.getgroups}, f"the user namespace has no uid {USER}"),
    ],
    ids=["groups", "uid", "uid and gid"],
)
def test_a_namespace_of_one_id_refuses_before_anything_has_changed(arguments, text):
    def run():
        enter_namespace_of_one_id()
        worker = Worker()
        before = everything([worker])
        values = {key: value() if callable(value) else value for key, value in arguments.items()}
        answer = error_of(drop_privileges, **NUMBERS | values)
        return answer, before == everything([worker])

    answer, is_unchanged = in_child(run, user=True)
    assert answer[:2] == (errno.EPERM, PermissionError)
    assert text in answer[2]
    assert is_unchanged


def test_a_namespace_without_ids_refuses_before_anything_has_changed(user):
    def run():
        support.enter_user_namespace()
        worker = Worker()
        before = everything([worker])
        answer = error_of(drop_privileges, **NUMBERS)
        return answer, before == everything([worker])

    answer, is_unchanged = in_child(run, user=user)
    assert answer == support.refused(errno.EPERM, f"the user namespace has no uid {USER}")
    assert is_unchanged


def test_in_a_namespace_with_a_full_map_it_works(root):
    def run(outside):
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        Worker()
        drop_privileges(USER, USER, groups=[7], keep=["net_raw"])
        return set(of_threads(*FIELDS).values()), outside()

    inside, outside = support.in_user_namespace(run)
    assert inside == {expected(groups=[7], **KEEP)}
    assert outside["Uid"].split() == [str(100000 + USER)] * 4
    assert outside["Gid"].split() == [str(100000 + USER)] * 4
    assert outside["Groups"] == "100007"


def test_ids_that_only_look_like_those_wished_for_are_changed_all_the_same(root):
    """What a namespace has no number for reads as 65534, nobody: root of the host, for one."""

    def run(outside):
        Worker()
        before = outside
        drop_privileges(65534, 65534, groups=[65534])
        return os.getresuid(), before()

    inside, outside = support.in_user_namespace(run)
    assert inside == (65534,) * 3
    assert outside["Uid"].split() == ["165534"] * 4
    assert outside["Gid"].split() == ["165534"] * 4


def test_groups_that_only_look_like_those_wished_for_are_changed_all_the_same(root):
    def run(outside):
        Worker()
        drop_privileges(65534, 65534, groups=[65534])
        return outside()

    def with_groups_of_the_host():
        os.setgroups([27])
        return support.in_user_namespace(run)

    assert in_child(with_groups_of_the_host)["Groups"] == "165534"


@pytest.mark.parametrize("what", ["user", "groups"])
def test_ids_that_only_look_like_those_wished_for_are_refused_without_privilege(what, root):
    def run(outside):
        prctl.cap_permitted.clear()
        if what == "user":
            return error_of(drop_privileges, 65534, 65534, groups=[])
        return error_of(drop_privileges, 65534, 65534, groups=[65534])

    def with_groups():
        os.setgroups([27] if what == "groups" else [])
        return support.in_user_namespace(run)

    number, kind, text = in_child(with_groups)
    assert (number, kind) == (errno.EPERM, PermissionError)
    assert ("setresgid" if what == "user" else "supplementary groups") in text
