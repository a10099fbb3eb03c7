"""What prctl makes of several calls: changes in every thread, plans, dropping privileges.

Loaded when one of its names is first used.
"""

import errno
import operator
import os
import pwd
from collections import namedtuple

import _prctl
import prctl


class _AllThreads:
    __slots__ = ()

    def __enter__(self):
        _prctl._all_threads(1)

    def __exit__(self, *_):
        _prctl._all_threads(-1)


def all_threads():
    """Return a context manager: inside, changes of this thread are made in every thread.

    That holds for the attributes that belong to a thread: the capability sets, the securebits,
    no_new_privs, seccomp filters and whatever else says so in its documentation. Every thread of
    the process has its turn, however it was made and whatever signals it blocks. The change is
    made here first; if the kernel refuses it, no other thread has tried. Dropping takes from what
    each thread has. Blocks nest; what other threads do themselves stays theirs.

    Inside the block, a call raises RuntimeError naming the threads when others answer differently,
    or do not answer: stopped ones, and ones that have blocked the signal that libc keeps for this;
    the rest of the threads have changed then. OSError when the signal cannot be sent (EAGAIN with
    RLIMIT_SIGPENDING used up) or /proc is missing. System calls that a signal interrupts for good,
    such as poll(2), are interrupted; Python's own start again.

    Scope: the whole process. Since Linux 2.6.31. See capabilities(7) and nptl(7).
    """
    return _AllThreads()


# Plans: lists of system calls in the right order, from what holds and what shall hold.

State = namedtuple(
    "State",
    "uids gids groups effective permitted inheritable ambient bounding securebits no_new_privs",
)
State.__doc__ = """What a thread is and may do: ids as (real, effective, saved), sets as masks."""

_SETGID, _SETUID, _SETPCAP = (1 << prctl._number(name) for name in ("setgid", "setuid", "setpcap"))

_UNPRIVILEGED_SECUREBITS = 0xF00  # SECURE_ALL_UNPRIVILEGED of Linux 6.14


def current_state():
    """The State of the calling thread."""
    ids = os.getresuid(), os.getresgid(), sorted(set(os.getgroups()))
    sets = map(_prctl._cap_read, range(5))
    return State(*ids, *sets, _prctl.get_securebits(), _prctl.get_no_new_privs())


def make_plan(now, wish, asked, everywhere=False):
    """The system calls that lead from one State to another, as a list of tuples.

    What holds already is left out; not so the ids in asked, fields of State, which may only look
    the same; nor anything with everywhere, where it may not hold in other threads.
    PermissionError when the kernel would refuse one of them; nothing has been tried then.
    """
    keeps_caps = _keeps_caps(now, wish, everywhere)
    needed = check(now, wish, asked, everywhere)
    sets_uids = "uids" in asked or wish.uids != now.uids
    sets_gids = "gids" in asked or wish.gids != now.gids
    sets_groups = everywhere or wish.groups != now.groups
    if "groups" in asked and now.permitted & _SETGID:  # without it, even the same are refused
        sets_groups = True
        needed |= _SETGID
    plan = []
    bounding = now.bounding
    if everywhere:
        bounding = (1 << len(prctl.ALL_CAPS)) - 1
        needed |= now.permitted & (_SETGID | _SETUID | _SETPCAP)
    # All that takes a capability comes first, while there still is every one.
    first = now.effective | needed, now.permitted, now.inheritable | wish.inheritable
    if everywhere or first != (now.effective, now.permitted, now.inheritable):
        plan.append(("capset", *first))
    for number in prctl._bits(bounding & ~wish.bounding):
        plan.append(("prctl", _prctl.PR_CAPBSET_DROP, number))
    if sets_groups:
        plan.append(("setgroups", wish.groups))
    if sets_gids:
        plan.append(("setresgid", *wish.gids))
    if keeps_caps:
        plan.append(("prctl", _prctl.PR_SET_KEEPCAPS, 1))
    if sets_uids:
        plan.append(("setresuid", *wish.uids))
    # The change of ids may have cleared every set but the inheritable and the bounding one.
    last = wish.effective, wish.permitted, wish.inheritable
    for_securebits = _SETPCAP if _needs_setpcap(now, wish) else 0
    if plan or last != first:
        plan.append(("capset", last[0] | for_securebits, last[1] | for_securebits, last[2]))
    if _sets_ambient(now, wish, everywhere):
        plan.append(("prctl", _prctl.PR_CAP_AMBIENT, _prctl.PR_CAP_AMBIENT_CLEAR_ALL))
        for number in prctl._bits(wish.ambient):
            plan.append(("prctl", _prctl.PR_CAP_AMBIENT, _prctl.PR_CAP_AMBIENT_RAISE, number))
    if keeps_caps:
        plan.append(("prctl", _prctl.PR_SET_KEEPCAPS, 0))
    if wish.securebits != now.securebits:
        plan.append(("prctl", _prctl.PR_SET_SECUREBITS, wish.securebits))
    if for_securebits & ~wish.effective:
        plan.append(("capset", *last))
    if wish.no_new_privs and (everywhere or not now.no_new_privs):
        plan.append(("prctl", _prctl.PR_SET_NO_NEW_PRIVS, 1))
    return plan


def _needs_setpcap(now, wish):
    """Whether securebits change that need it; the exec_* ones and their locks do not."""
    return (now.securebits ^ wish.securebits) & ~_UNPRIVILEGED_SECUREBITS


def _keeps_caps(now, wish, everywhere):
    """Whether the kernel must be told not to clear permitted when no uid is 0 any more."""
    wanted = wish.permitted or _needs_setpcap(now, wish)
    if not wanted or now.securebits & prctl.SECBIT_NO_SETUID_FIXUP:
        return False
    is_told = now.securebits & prctl.SECBIT_KEEP_CAPS
    return everywhere or (0 in now.uids and 0 not in wish.uids and not is_told)


def _sets_ambient(now, wish, everywhere):
    """Whether ambient is made anew: a change of uids may clear it."""
    return everywhere or wish.ambient != now.ambient or wish.uids != now.uids


def check(now, wish, asked, everywhere=False):
    """The capabilities that the plan needs, as a mask; PermissionError if it cannot succeed.

    Where uids and gids in asked only look the same, the kernel refuses them to who may not change
    them. Of groups it does not say whether they are the same.
    """
    needed = 0
    raised = wish.inheritable & ~now.inheritable

    def need(capability, action):
        nonlocal needed
        if not now.permitted & capability:
            name = prctl._names(capability)[0].upper()
            _refuse(f"{action} needs CAP_{name}")
        needed |= capability

    maps = _id_maps(asked)
    unclear = [f for f, ranges in maps.items() if _may_be_others(f, getattr(wish, f), ranges)]
    if wish.groups != now.groups or "groups" in unclear:
        need(_SETGID, "changing the supplementary groups")
        if _read("/proc/self/setgroups") == "deny":
            _refuse("the user namespace does not let the supplementary groups be changed")
    if not set(wish.gids) <= set(now.gids):
        need(_SETGID, "changing the group")
    elif "gids" in unclear:
        needed |= now.permitted & _SETGID
    if not set(wish.uids) <= set(now.uids):
        need(_SETUID, "changing the user")
    elif "uids" in unclear:
        needed |= now.permitted & _SETUID
    if now.bounding & ~wish.bounding:
        need(_SETPCAP, "dropping from the bounding set")
    if _needs_setpcap(now, wish):
        need(_SETPCAP, "changing securebits")
    _refuse_if(wish.permitted & ~now.permitted, "the permitted set does not have")
    if raised & ~now.permitted:
        need(_SETPCAP, "making inheritable what permitted does not have")
    for field, ranges in maps.items():
        _refuse_unmapped(field, getattr(wish, field), ranges)
    _refuse_if(raised & ~now.bounding, "the bounding set does not have")
    changed = now.securebits ^ wish.securebits
    if now.securebits & prctl.SECURE_ALL_LOCKS & (changed | changed << 1):
        _refuse("securebits to be changed are locked")
    raises_ambient = wish.ambient and _sets_ambient(now, wish, everywhere)
    if raises_ambient and now.securebits & prctl.SECBIT_NO_CAP_AMBIENT_RAISE:
        _refuse("the securebit no_cap_ambient_raise is set")
    kept = now.securebits & (prctl.SECBIT_KEEP_CAPS | prctl.SECBIT_KEEP_CAPS_LOCKED)
    if _keeps_caps(now, wish, everywhere) and kept == prctl.SECBIT_KEEP_CAPS_LOCKED:
        _refuse(
            "the securebit keep_caps is locked, so capabilities cannot outlive the change of user"
        )
    return needed


def _refuse(why):
    raise PermissionError(errno.EPERM, f"{os.strerror(errno.EPERM)}: {why}")


def _refuse_if(mask, why):
    if mask:
        _refuse(f"{why} {', '.join(prctl._names(mask))}")


def contents(path):
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _read(path):
    """The text of a file of /proc; empty where the kernel does not have it."""
    try:
        return contents(path).decode().strip()
    except FileNotFoundError:
        return ""


# Ids in a user namespace: see user_namespaces(7).

_KINDS = {"uids": "uid", "gids": "gid", "groups": "gid"}
_EVERY_ID = [(0, (1 << 32) - 1)]


def _id_maps(fields):
    """For each field the ids that the namespace has, as pairs of the first and how many."""
    maps = {kind: _id_map(f"/proc/self/{kind}_map") for kind in {_KINDS[f] for f in fields}}
    return {field: maps[_KINDS[field]] for field in fields}


def _id_map(path):
    try:
        lines = [map(int, line.split()) for line in contents(path).splitlines()]
    except FileNotFoundError:  # the kernel has no user namespaces
        return _EVERY_ID
    return [(first, count) for first, _, count in lines]


def _refuse_unmapped(field, ids, ranges):
    for number in sorted(set(ids)):
        if not any(first <= number < first + count for first, count in ranges):
            _refuse(f"the user namespace has no {_KINDS[field]} {number}")


def _may_be_others(field, ids, ranges):
    """Whether one of the ids is that as which all read that the namespace has no number for."""
    if ranges == _EVERY_ID:
        return False
    overflow = _read(f"/proc/sys/kernel/overflow{_KINDS[field]}")
    return overflow != "" and int(overflow) in ids


# Dropping privileges.


def drop_privileges(user, group=None, *, groups=None, keep=(), ambient=False, no_new_privs=True):
    """Become an ordinary user in every thread, with nothing left but the capabilities in *keep*.

    *user* is a name or a uid, *group* a name or a gid (default: the account's), *groups* the
    supplementary groups (names and gids; default: the account's). *keep* are capabilities as in
    CapabilitySet: they stay in permitted and effective, and with *ambient* in inheritable and
    ambient too, so that they survive exec. Everything else leaves all five sets; *no_new_privs* is
    set unless it is false. keep_caps and the other securebits end as they were.

    Names come first: KeyError for an unknown user or group, and for a uid without an account when
    there is no group; TypeError, ValueError and OverflowError for what is no id, ValueError for uid
    0. Then comes the permission: PermissionError, naming what is missing, when it cannot succeed.
    Without CAP_SETPCAP the bounding set stays, which no_new_privs makes harmless: with
    no_new_privs=False that is a PermissionError. OSError and RuntimeError when a thread cannot be
    reached, see all_threads(). Up to here nothing has changed.

    Then the calls are made in this thread, and if all succeed in the others, which have been held
    still. An OSError says which call was refused here: this thread has then made those before it,
    no other has made any. At last /proc/self/task is read: RuntimeError names the threads that
    are not as they should be; the others are. After either, end the process.

    Scope: the whole process. Since Linux 4.10. See capabilities(7) and credentials(7).
    """
    wish = _wish(user, group, groups, prctl._mask(_sequence(keep)), ambient, no_new_privs)
    while True:
        now = current_state()
        try:
            wish_here, plan = _plan_to_drop(now, wish)
            break
        except PermissionError:
            if now == current_state():
                raise
            # Another thread has dropped between two looks at this one: it is half of both.
    failures = _prctl._run_plan(plan)
    if failures:
        _raise_failures(failures, plan)
    _verify(wish_here)


def _plan_to_drop(now, wish):
    """The wish as far as it can be had, and the plan. PermissionError where that is too little."""
    if not now.permitted & _SETPCAP:
        if not wish.no_new_privs and now.bounding & ~wish.bounding:
            _refuse("dropping from the bounding set needs CAP_SETPCAP; or set no_new_privs")
        wish = wish._replace(bounding=prctl._EVERY)
    wish = wish._replace(securebits=now.securebits)
    return wish, make_plan(now, wish, ("uids", "gids", "groups"), everywhere=True)


def _raise_failures(failures, plan):
    """The OSError of this thread, which comes alone, or a RuntimeError that names the others."""
    tid, error, step = failures[0]
    if tid == 0:
        raise OSError(
            error,
            f"{os.strerror(error)}: {describe(plan[step])}, call {step + 1} of {len(plan)}; "
            "this thread has made those before it, no other thread any",
        )
    shown = [
        f"thread {tid}: [Errno {error}] {os.strerror(error)}: {describe(plan[step])}"
        for tid, error, step in failures
    ]
    raise RuntimeError("privileges are not dropped: " + "; ".join(shown))


def describe(step):
    """A step as the call that it is."""
    name, *arguments = step
    if name == "prctl":
        names = (n for n in _prctl.__dir__() if n.startswith("PR_"))  # options before arguments
        option = next(n for n in names if getattr(_prctl, n) == arguments[0])
        return f"prctl({', '.join([option, *map(str, arguments[1:])])})"
    if name == "seccomp":
        return f"prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, {len(arguments[0])} bytes)"
    if name == "parent":
        return f"getppid(), which must still be {arguments[0]}"
    if name == "capset":
        return f"capset({', '.join(map(hex, arguments))})"
    return f"{name}({', '.join(map(str, arguments))})"


def _wish(user, group, groups, keep, ambient, no_new_privs):
    """The State to reach, as far as the arguments tell. All names are looked up here."""
    uid, gid, gids = wished_ids(user, group, groups)
    if uid is None:
        raise TypeError("user must be a str or an int, not None")
    if uid == 0:
        raise ValueError("user must not be uid 0: it would have everything back at the next exec")
    kept = keep if ambient else 0
    ids = (uid,) * 3, (gid,) * 3, gids
    return State(*ids, keep, keep, kept, kept, keep, None, no_new_privs)


def wished_ids(user, group, groups):
    """The uid, the gid and the list of gids to have; None for what shall stay as it is."""
    uid = gid = account = None
    if user is not None:
        account = _account(user)
        uid = account.pw_uid if account else _id(user, "user")
    if group is not None:
        gid = _gid(group)
    elif account:
        gid = account.pw_gid
    elif user is not None:
        raise KeyError(f"uid {uid} has no account: group must be given")
    if groups is not None:
        groups = map(_gid, _sequence(groups))
    elif account:
        groups = os.getgrouplist(account.pw_name, gid)
    elif user is not None:
        groups = ()
    groups = groups if groups is None else sorted(set(groups))
    if groups is not None and len(groups) > 65536:
        raise ValueError("groups must be at most 65536")
    return uid, gid, groups


def _sequence(value):
    return (value,) if isinstance(value, str) else value


def _account(user):
    """The account of a name or a uid; None for a uid without one."""
    if isinstance(user, str):
        return pwd.getpwnam(user)
    try:
        return pwd.getpwuid(_id(user, "user"))
    except KeyError:
        return None


def _gid(group):
    if not isinstance(group, str):
        return _id(group, "group")
    import grp  # a file of its own, which a daemon may no longer be able to read

    return grp.getgrnam(group).gr_gid


def _id(value, what):
    """A uid or gid. The last one of 32 bits means "leave it" to the kernel."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be a str or an int, not {type(value)}")
    number = operator.index(value)
    if not 0 <= number < 1 << 32:
        raise OverflowError(f"{what} does not fit 32 bits")
    if number == (1 << 32) - 1:
        raise ValueError(f"{what} {number} is no id")
    return number


def _verify(wish):
    """RuntimeError unless /proc says of every thread that it is as wished."""
    expected = {
        "Uid": [*wish.uids, wish.uids[1]],
        "Gid": [*wish.gids, wish.gids[1]],
        "CapInh": [f"{wish.inheritable:016x}"],
        "CapPrm": [f"{wish.permitted:016x}"],
        "CapEff": [f"{wish.effective:016x}"],
        "CapAmb": [f"{wish.ambient:016x}"],
    }
    if wish.no_new_privs:
        expected["NoNewPrivs"] = [1]
    expected = {name: " ".join(map(str, values)) for name, values in expected.items()}
    # The lines that most threads have: only the others' are looked at one by one.
    usual = {f"{name}: {values}".replace(" ", "\t").encode() for name, values in expected.items()}
    usual.add(f"CapBnd:\t{wish.bounding:016x}".encode())
    usual.add(f"Groups:\t{' '.join(map(str, wish.groups))} ".encode())
    wrong = []
    for tid in os.listdir("/proc/self/task"):
        folder = f"/proc/self/task/{tid}"
        try:
            status = contents(f"{folder}/status")
            if usual.issubset(status.split(b"\n")):
                continue
            differences = list(_differences(status_fields(status), expected, wish))
            if differences and not runs_no_code(folder):
                wrong += (f"thread {tid}: {difference}" for difference in differences)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
    if wrong:
        raise RuntimeError("privileges are not dropped: " + "; ".join(wrong))


def _differences(found, expected, wish):
    for name, value in expected.items():
        if found.get(name) != value:
            yield f"{name} is {found.get(name)}, not {value}"
    if {*map(int, found["Groups"].split())} != set(wish.groups):
        yield f"Groups is {found['Groups']}, not {wish.groups}"
    if int(found["CapBnd"], 16) & ~wish.bounding:  # it may have had less before
        yield f"CapBnd is {found['CapBnd']}"


def status_fields(status):
    """The fields of proc_pid_status(5), by name."""
    lines = status.decode(errors="surrogateescape").split("\n")
    return {name: " ".join(value.split()) for name, _, value in (x.partition(":") for x in lines)}


def runs_no_code(folder):
    """Whether a thread is dead, or a worker of the kernel's: by its folder in /proc."""
    state, *fields = contents(f"{folder}/stat").rpartition(b")")[2].split()
    return state in b"ZX" or int(fields[5]) & (_PF_IO_WORKER | _PF_USER_WORKER)


_PF_IO_WORKER, _PF_USER_WORKER = 0x10, 0x4000
