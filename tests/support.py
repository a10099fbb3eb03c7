"""What the tests share: children to try things in, and oracles that are not ours."""

import os
import pickle
import platform
import signal
import struct
import sys
import traceback

import pytest

ROOT = os.geteuid() == 0
USER = 65534  # the ordinary user that a suite started as root becomes in its children

# Each system call that the tests filter, by machine.
_SYSCALLS = {
    "x86_64": {"prctl": 157, "getppid": 110, "capset": 126},
    "i686": {"prctl": 172, "getppid": 64, "capset": 185},
    "aarch64": {"prctl": 167, "getppid": 173, "capset": 91},
    "s390x": {"prctl": 172, "getppid": 64, "capset": 185},
}


def machine():
    """The architecture of this process, which a 32-bit one may have to itself."""
    name = platform.machine()
    return "i686" if name == "x86_64" and sys.maxsize < 2**32 else name


def syscall_number(name):
    numbers = _SYSCALLS.get(machine())
    if numbers is None:
        pytest.skip(f"no system call numbers for {machine()} in tests/support.py")
    return numbers[name]


class ChildDied(Exception):
    """A child ended by a signal, or without an answer."""

    def __init__(self, status):
        super().__init__(status)
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None

    def __str__(self):
        return f"signal {self.signal}" if self.signal else f"wait status {self.args[0]}"


def become_user():
    """Become an ordinary user, as a login would; nothing when the suite runs as one already."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)


def in_child(function, *args, user=False, seconds=60):
    """Call function(*args) in a forked child and return its result, or raise its exception.

    With user=True the child is an ordinary user. It does not exec: another user may not be able to
    run the interpreter.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.alarm(seconds)
        try:
            if user:
                become_user()
            answer = True, function(*args)
        except BaseException as error:  # the parent raises it
            error.add_note("in the child:\n" + traceback.format_exc())
            answer = False, error
        with open(writer, "wb") as pipe:
            pipe.write(_pickled(answer))
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    status = os.waitpid(pid, 0)[1]
    if not data:
        raise ChildDied(status)
    succeeded, result = pickle.loads(data)
    if succeeded:
        return result
    raise result


def _pickled(answer):
    try:
        return pickle.dumps(answer)
    except Exception as error:
        return pickle.dumps((False, AssertionError(f"{answer!r} cannot be pickled: {error}")))


def status(pid="self", tid=None):
    """/proc/PID/status as a dict of str; that of one thread when tid is given."""
    path = f"/proc/{pid}/status" if tid is None else f"/proc/{pid}/task/{tid}/status"
    with open(path, errors="surrogateescape") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}


def capability_mask(field):
    """The mask of CapInh, CapPrm, CapEff, CapBnd or CapAmb of the calling thread, from /proc."""
    with open("/proc/thread-self/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1], 16)
    raise LookupError(field)


def cmdline(pid="self"):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


# BPF for seccomp: just enough to refuse one call.

_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


def _instruction(code, jt, jf, k):
    return struct.pack("=HBBI", code, jt, jf, k)


def refuse(name, errno, *arguments):
    """A seccomp program that answers errno to one system call, all others being allowed.

    arguments are compared with the call's first ones (32 bits of each); None matches anything.
    errno 0 makes the call succeed without being carried out.
    """
    low = 4 if sys.byteorder == "big" else 0
    tests = [(0, syscall_number(name))]  # offsets in struct seccomp_data
    tests += [(16 + 8 * i + low, value) for i, value in enumerate(arguments) if value is not None]
    program = b""
    for place, (offset, value) in enumerate(tests):
        to_allow = 2 * (len(tests) - place - 1) + 1
        program += _instruction(_LOAD, 0, 0, offset)
        program += _instruction(_JUMP_EQUAL, 0, to_allow, value)
    return program + _instruction(_RETURN, 0, 0, _ERRNO | errno) + _instruction(_RETURN, 0, 0, _ALLOW)
