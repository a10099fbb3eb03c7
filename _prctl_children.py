"""Children that have the attributes they shall have when their command starts.

A child is started as a small compiled program, the launcher, which makes the system calls of a plan
and then executes the command: nothing of this process runs between fork and exec, so that vfork can
be used and no lock can be held. Loaded when Popen or launcher is first used.
"""

import contextlib
import fcntl
import operator
import os
import signal
import struct
import subprocess
import threading
from collections import namedtuple

import _prctl
import _prctl_operations as operations
import prctl

# What a child can be given: the arguments of Popen and launcher. The last four concern no State.
_Attributes = namedtuple(
    "_Attributes",
    "no_new_privs user group extra_groups keep ambient inheritable bounding securebits seccomp "
    "child_subreaper timerslack thp_disable pdeathsig",
)
_NO_STATE = (False, None, None, None, 0, 0, None, None, None, None)


class _Caller:
    def __repr__(self):
        return "os.getpid()"


_CALLER = _Caller()


class Popen(subprocess.Popen):
    """A subprocess.Popen whose child has certain attributes when its command starts.

    The options of subprocess.Popen are as there, but for *user*, *group* and *extra_groups*, which
    are names or ids as in drop_privileges(), and preexec_fn, which is refused. What is None or
    empty stays as it is in a child of subprocess.

    *pdeathsig*: the signal that the child gets when this process ends; it does not matter which
    thread starts the child, and that it may end earlier. exec clears it if the command is set-uid,
    has file capabilities, or gains capabilities for being executed by uid 0.
    Before Linux 6.16 exec clears it, and what is ambient, also where real and effective ids differ.
    *no_new_privs*: no exec shall give the child privileges.
    *user*, *group*, *extra_groups*: ids, all three of each. With *user* the other two default to
    the account's, and no capability is left, unless *user* is root.
    *keep*: with *user*, the capabilities that the command has nevertheless, through ambient.
    *ambient*: without *user*, capabilities to add to inheritable and ambient.
    *inheritable*: what shall be inheritable, besides those two.
    *bounding*: what to keep of the bounding set.
    *securebits*: the mask, as in set_securebits(). exec clears keep_caps.
    *child_subreaper*, *thp_disable*: flags. *timerslack*: nanoseconds.
    *seccomp*: a BPF program, as in set_seccomp(). It is installed last, so that it must let the
    child execve(), and needs *no_new_privs* or CAP_SYS_ADMIN.

    Before anything starts: ValueError, TypeError, KeyError and OverflowError for arguments that
    are wrong, PermissionError for what the kernel would refuse, naming what is missing. Later the
    OSError of the call that the kernel has refused to the child, naming it, or of a command that
    cannot be executed, as in subprocess. No child and no descriptor is left behind then.

    A process that is not uid 0 hands the child its capabilities through ambient, which is raised
    for that in a new thread: PermissionError where the securebits forbid it. A child that has
    *pdeathsig* and is not started by the main thread itself is started by a new one that stays as
    long as the child does: RuntimeError if this interpreter has no daemon threads.

    Scope: the calling thread, which the child takes after in everything else. Since Linux 3.5, and
    4.3 with *user*. See prctl(2), capabilities(7), and subprocess.
    """

    def __init__(
        self,
        args,
        *,
        pdeathsig=None,
        no_new_privs=False,
        user=None,
        group=None,
        extra_groups=None,
        keep=(),
        ambient=(),
        inheritable=None,
        bounding=None,
        securebits=None,
        child_subreaper=None,
        timerslack=None,
        thp_disable=None,
        seccomp=None,
        **subprocess_options,
    ):
        wanted = _checked(_Attributes(*map(locals().get, _Attributes._fields)))
        if subprocess_options.pop("preexec_fn", None) is not None:
            raise ValueError("prctl.Popen has no preexec_fn: its attributes are there instead")
        file, command = _command(args, subprocess_options)
        raised, lowered, steps = _prepared(wanted, os.getpid())

        def start():
            self._start(file, command, steps, subprocess_options)
            return self.pid

        # The kernel sends the signal when the thread that has started the child ends.
        stay = wanted.pdeathsig and (raised or threading.get_native_id() != os.getpid())
        if raised or stay:
            _in_new_thread(start, raised, lowered, stay)
        else:
            start()
        self.args = args

    def _start(self, file, command, steps, options):
        program, held = _launcher_program()
        reader, writer = _pipe()
        try:
            try:
                orders = [program, *map(_order, steps), *(f"close={fd}" for fd in held)]
                orders += [f"report={writer}", b"exec=" + os.fsencode(file), "--", *command]
                options = options | _descriptors(options, (*held, writer))
                super().__init__(orders, executable=program, **options)
            finally:
                os.close(writer)
            report = os.read(reader, 64)  # nothing: the command has been executed
        finally:
            os.close(reader)
        if report:
            for stream in filter(None, (self.stdin, self.stdout, self.stderr)):
                stream.close()
            self.wait()
            place, number = struct.unpack("ii", report)
            if place > len(steps):
                raise OSError(number, os.strerror(number), file)
            what = operations.describe(steps[place - 1])
            raise OSError(number, f"{os.strerror(number)}: {what}, in the child")


def launcher(
    *,
    parent=_CALLER,
    pdeathsig=None,
    no_new_privs=False,
    user=None,
    group=None,
    extra_groups=None,
    keep=(),
    ambient=(),
    inheritable=None,
    bounding=None,
    securebits=None,
    child_subreaper=None,
    timerslack=None,
    thp_disable=None,
    seccomp=None,
):
    """Return a list of str to put before a command that something else than Popen starts.

    >>> import subprocess
    >>> command = [*prctl.launcher(no_new_privs=True), "grep", "NoNewPrivs", "/proc/self/status"]
    >>> subprocess.check_output(command, text=True).split()
    ['NoNewPrivs:', '1']

    The attributes are those of Popen, and so are the errors for them. The list is for children of
    processes with the ids and capabilities of this thread. Nothing is raised for it: a process
    that is not uid 0 can pass on only what is ambient.

    With *pdeathsig*, the process *parent* must be the parent and still live; None leaves that out,
    for commands that others start. The signal comes when the thread ends that starts the child.

    A step that fails is one line on standard error and exit status 125; an unknown command is 127,
    one that cannot be executed 126. OSError when the launcher's file cannot be reached.

    Scope: the calling thread, which the list is made for. Since Linux as there. See prctl(2) and
    capabilities(7).
    """
    wanted = _checked(_Attributes(*map(locals().get, _Attributes._fields)))
    if parent is _CALLER:
        parent = os.getpid()
    elif parent is not None:
        parent = _number(parent, "parent", 1, (1 << 31) - 1)
    lost, _, steps = _prepared(wanted, parent)
    operations._refuse_if(lost, "exec as another than uid 0 takes away what is not ambient:")
    os.stat(_PATH)
    return _orders(steps)


def _become(command, wanted, parent):
    """Execute a command in place of this process, which then has what is wanted.

    The errors are those of launcher(), before anything has changed, and of executing the launcher.
    """
    raised, _, steps = _prepared(wanted, parent)
    orders = _orders(steps)
    _raise_ambient(raised)
    try:
        os.execv(_PATH, [*orders, *command])
    except OSError as error:
        error.filename = _PATH
        raise


# What is asked for.


def _checked(given):
    """The same as masks, ids, numbers and bytes. All that is wrong with it is found here."""
    keep, ambient, inheritable, bounding = (
        None if names is None else prctl._mask(operations._sequence(names))
        for names in (given.keep, given.ambient, given.inheritable, given.bounding)
    )
    if keep and given.user is None:
        raise ValueError("keep needs user: without a change of user, ambient gives capabilities")
    if ambient and given.user is not None:
        raise ValueError("ambient is for a child without user: with user, keep gives capabilities")
    uid, gid, groups = operations.wished_ids(given.user, given.group, given.extra_groups)
    return _Attributes(
        bool(given.no_new_privs),
        uid,
        gid,
        groups,
        keep or 0,
        ambient or 0,
        inheritable,
        bounding,
        _maybe(_word, given.securebits, "securebits"),
        _maybe(_program, given.seccomp),
        _maybe(bool, given.child_subreaper),
        _maybe(_word, given.timerslack, "timerslack"),
        _maybe(bool, given.thp_disable),
        _maybe(_number, given.pdeathsig, "pdeathsig", 0, signal.SIGRTMAX),
    )


def _maybe(convert, value, *arguments):
    return None if value is None else convert(value, *arguments)


def _number(value, what, least, most):
    number = _index(value, what)
    if not least <= number <= most:
        raise ValueError(f"{what} must be {least} to {most}, not {number}")
    return number


def _word(value, what):
    number = _index(value, what)
    if not 0 <= number < 1 << 8 * struct.calcsize("L"):
        raise OverflowError(f"{what} does not fit an unsigned long")
    return number


def _index(value, what):
    if not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be an int, not {type(value)}")
    return operator.index(value)


def _program(value):
    program = memoryview(value).tobytes()
    if len(program) % 8 or not 8 <= len(program) <= 8 * 4096:
        raise ValueError(
            f"seccomp must be 1 to 4096 instructions of 8 bytes, not {len(program)} bytes"
        )
    return program


# What that means for a child.


def _prepared(wanted, parent):
    """What to raise as ambient around the launcher's start and to lower after it; its steps."""
    if wanted[: len(_NO_STATE)] == _NO_STATE:  # the usual child
        return 0, 0, _plan_of_options(wanted, parent)
    now = operations.current_state()
    raised = _to_raise(now, wanted)
    return raised, raised & ~now.inheritable, _plan(now, raised, wanted, parent)


_SYS_ADMIN = 1 << _prctl.CAP_SYS_ADMIN


def _is_root(state):
    """Whether exec gives capabilities because of uid 0."""
    return 0 in state.uids[:2] and not state.securebits & prctl.SECBIT_NOROOT


def _after_exec(now):
    """The State in which a program without privileges of its own starts: see capabilities(7)."""
    permitted = effective = now.ambient
    if _is_root(now):
        given = now.bounding | now.inheritable
        permitted |= given & now.permitted if now.no_new_privs else given
        if now.uids[1] == 0:
            effective = permitted
    return now._replace(
        uids=(now.uids[0], now.uids[1], now.uids[1]),
        gids=(now.gids[0], now.gids[1], now.gids[1]),
        permitted=permitted,
        effective=effective,
        securebits=now.securebits & ~prctl.SECBIT_KEEP_CAPS,
    )


def _wish(now, started, wanted):
    """The State before the command is executed, for a launcher started by a thread in now.

    What is not asked for is as it would be in a child of subprocess.
    """
    inheritable, ambient = now.inheritable, now.ambient
    if wanted.user is not None:
        inheritable = ambient = 0
    if wanted.inheritable is not None:
        inheritable, ambient = wanted.inheritable, ambient & wanted.inheritable
    given = wanted.keep | wanted.ambient
    wish = started._replace(
        uids=started.uids if wanted.user is None else (wanted.user,) * 3,
        gids=started.gids if wanted.group is None else (wanted.group,) * 3,
        groups=started.groups if wanted.extra_groups is None else wanted.extra_groups,
        inheritable=inheritable | given,
        ambient=ambient | given,
        bounding=started.bounding & (-1 if wanted.bounding is None else wanted.bounding),
        securebits=started.securebits if wanted.securebits is None else wanted.securebits,
        no_new_privs=wanted.no_new_privs,
    )
    if _is_root(started) and _is_root(wish):
        # To take from permitted what exec gives back would be a gain then, and clear pdeathsig.
        return wish._replace(permitted=started.permitted | given)
    # Nothing that is not ambient passes the second exec.
    has = wish.ambient
    if wanted.seccomp and not (wanted.no_new_privs or now.no_new_privs):
        has |= _SYS_ADMIN
    return wish._replace(permitted=has, effective=has)


def _to_raise(now, wanted):
    """What must be ambient, and is not, for the launcher to do its work, as a mask.

    PermissionError when that would not be enough.
    """
    if wanted.seccomp and not (
        wanted.no_new_privs or now.no_new_privs or now.permitted & _SYS_ADMIN
    ):
        raise ValueError("seccomp needs no_new_privs=True or CAP_SYS_ADMIN")
    if _is_root(now):
        return 0
    started = _after_exec(now)
    wish = _wish(now, started, wanted)
    needed = operations.check(started._replace(permitted=now.permitted), wish, _asked(wanted))
    needed |= wish.permitted | (wish.inheritable & ~now.inheritable & now.permitted)
    raised = needed & ~started.permitted
    if raised and now.securebits & prctl.SECBIT_NO_CAP_AMBIENT_RAISE:
        operations._refuse("the securebit no_cap_ambient_raise is set")
    lost = raised & ~now.inheritable & ~now.bounding
    operations._refuse_if(lost, "the bounding set does not have")
    return raised


def _asked(wanted):
    """The ids that are asked for, as fields of State."""
    fields = ("uids", wanted.user), ("gids", wanted.group), ("groups", wanted.extra_groups)
    return [field for field, value in fields if value is not None]


def _plan(now, raised, wanted, parent):
    """What the launcher must do that a thread in now has started with raised added to ambient."""
    started = _after_exec(
        now._replace(inheritable=now.inheritable | raised, ambient=now.ambient | raised)
    )
    wish = _wish(now, started, wanted)
    # no_new_privs is asked for anyway: who starts the launcher may be another process.
    plan = operations.make_plan(started._replace(no_new_privs=False), wish, _asked(wanted))
    plan += _plan_of_options(wanted, parent)
    if wanted.seccomp is not None:
        plan.append(("seccomp", wanted.seccomp))
    return plan


def _plan_of_options(wanted, parent):
    plan = []
    for option, value in (
        (_prctl.PR_SET_CHILD_SUBREAPER, wanted.child_subreaper),
        (_prctl.PR_SET_TIMERSLACK, wanted.timerslack),
        (_prctl.PR_SET_THP_DISABLE, wanted.thp_disable),
        (_prctl.PR_SET_PDEATHSIG, wanted.pdeathsig or None),  # cleared by a change of ids
    ):
        if value is not None:
            plan.append(("prctl", option, int(value)))
    if wanted.pdeathsig and parent is not None:
        plan.append(("parent", parent))
    return plan


# The launcher and its arguments.


def _orders(steps):
    return [_PATH, *map(_order, steps), "--"]


_PATH = os.path.join(os.path.dirname(os.path.abspath(_prctl.__file__)), "_prctl_launcher")

_held = None  # a descriptor of its file, and which file that is


def _launcher_program():
    """What to execute, and the descriptors that this takes."""
    global _held
    there = missing = None
    try:
        there = _identity(os.stat(_PATH))
    except OSError as error:
        missing = error
    if _is_held():
        descriptor, identity = _held
        # Another file may be there by now, with arguments of its own: an upgrade, or a chroot.
        if there != identity and os.path.exists(f"/proc/thread-self/fd/{descriptor}"):
            return f"/proc/self/fd/{descriptor}", (descriptor,)
    elif there:  # not yet, or no more: daemons close whatever is open
        _held = _above_stderr(os.open(_PATH, os.O_PATH | os.O_CLOEXEC)), there
    if missing:
        raise missing
    return _PATH, ()


def _is_held():
    try:
        return _held is not None and _identity(os.fstat(_held[0])) == _held[1]
    except OSError:
        return False


def _identity(status):
    return status.st_dev, status.st_ino


def _above_stderr(descriptor):
    """The same, where subprocess puts nothing else."""
    if descriptor > 2:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(descriptor)


def _pipe():
    reader, writer = os.pipe()
    try:
        return reader, _above_stderr(writer)
    except OSError:
        os.close(reader)
        raise


def _order(step):
    """A step as an argument of the launcher."""
    name, *values = step
    if name == "setgroups":
        (values,) = values
    elif name == "seccomp":
        values = [values[0].hex()]
    elif name == "capset":
        values = map(hex, values)
    return f"{name}={','.join(map(str, values))}"


def _command(args, options):
    """The file to execute and the argv, as subprocess makes them out of args."""
    shell, executable = options.pop("shell", False), options.pop("executable", None)
    if isinstance(args, str | bytes):
        args = [args]
    elif isinstance(args, os.PathLike):
        if shell:
            raise TypeError("path-like args is not allowed when shell is true")
        args = [args]
    else:
        args = list(args)
    if shell:
        args = [executable or "/bin/sh", "-c", *args]
    return args[0] if executable is None else executable, args


def _descriptors(options, needed):
    """The options of subprocess by which the child has the needed descriptors, too."""
    asked = tuple(options.get("pass_fds", ()))
    if asked or options.get("close_fds", True):
        return {"pass_fds": (*asked, *needed)}
    # Were they made inheritable here, what other threads start meanwhile would have them as well.
    for descriptor in map(int, os.listdir("/proc/thread-self/fd")):
        with contextlib.suppress(OSError):  # that of the listing itself is closed
            if descriptor > 2 and os.get_inheritable(descriptor):
                asked += (descriptor,)
    return {"close_fds": True, "pass_fds": (*asked, *needed)}


# Threads that start children.


def _in_new_thread(start, raised, lowered, stay):
    """Call start() in a new thread, which has what this one has, and raised in its ambient set.

    With stay, the thread lives as long as the child whose pid start() returns.
    """
    box, errors, done = [start], [], threading.Event()
    arguments = box, errors, done, raised, lowered, stay
    try:
        threading.Thread(target=_thread, args=arguments, daemon=bool(stay)).start()
    except RuntimeError as error:
        needs = "to stay as long as a child with pdeathsig" if stay else "to raise capabilities in"
        raise RuntimeError(f"prctl.Popen needs a thread {needs}: {error}") from error
    done.wait()
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()


def _thread(box, errors, done, raised, lowered, stay):
    pid = None
    try:
        try:
            _raise_ambient(raised)
            pid = box.pop()()  # no reference to the Popen remains here
        finally:
            # It has no more than its maker while it stays.
            if raised:
                _prctl._cap_change(_AMBIENT, 0, raised)
                _prctl._cap_change(_INHERITABLE, 0, lowered)
    except BaseException as error:  # an audit hook's, too
        errors.append(error)
    done.set()
    if pid is not None and stay and not errors:
        with contextlib.suppress(ChildProcessError):  # reaped already
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _raise_ambient(mask):
    if mask:
        _prctl._cap_change(_INHERITABLE, mask, 0)
        _prctl._cap_change(_AMBIENT, mask, 0)


_INHERITABLE, _AMBIENT = prctl.cap_inheritable._set, prctl.cap_ambient._set

# From now on children can be started, whatever this process will be able to reach.
with contextlib.suppress(OSError):  # raised when one is started
    _launcher_program()
