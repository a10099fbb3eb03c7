"""What the tests share: children to try things in, and oracles that are not ours."""

import ctypes
import errno
import fcntl
import os
import pickle
import platform
import select
import signal
import socket
import struct
import sys
import traceback

import pytest

ROOT = os.geteuid() == 0
USER = 65534  # the ordinary user that a suite started as root becomes in its children

# Each system call that the tests filter, by machine.
_SYSCALLS = {
    "x86_64": {"prctl": 157, "getppid": 110, "capset": 126, "seccomp": 317, "perf_event_open": 298},
    "i686": {"prctl": 172, "getppid": 64, "capset": 185, "seccomp": 354, "perf_event_open": 336},
    "aarch64": {"prctl": 167, "getppid": 173, "capset": 91, "seccomp": 277, "perf_event_open": 241},
    "s390x": {"prctl": 172, "getppid": 64, "capset": 185, "seccomp": 348, "perf_event_open": 331},
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


# The kernel without the library under test between it and the test.

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _c_argument(argument):
    if isinstance(argument, bytearray):
        return (ctypes.c_char * len(argument)).from_buffer(argument)
    return argument if isinstance(argument, bytes) else ctypes.c_ulong(argument)


def _checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def kernel_prctl(option, *arguments):
    """libc's prctl() with ints, or buffers for pointers: its result, or OSError."""
    arguments += (0,) * (4 - len(arguments))
    return _checked(_libc.prctl(option, *map(_c_argument, arguments)))


def kernel_prctl_out(option, size=4):
    """What an option writes where arg2 points, as an unsigned number of size bytes."""
    memory = bytearray(16)
    kernel_prctl(option, memory)
    return int.from_bytes(memory[:size], sys.byteorder)


def system_call(name, *arguments):
    number = ctypes.c_long(syscall_number(name))
    return _checked(_libc.syscall(number, *map(_c_argument, arguments)))


# Another kernel, or another machine's: seccomp_unotify(2) lets a process answer prctl(2) for another.

_NOTIFICATION, _RESPONSE = "=QIIiIQ6Q", "=QqiI"  # struct seccomp_notif and seccomp_notif_resp
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_*
_USER_NOTIF, _NEW_LISTENER, _CONTINUE = 0x7FC00000, 1 << 3, 1


def in_pretended_kernel(answers, function, *args):
    """in_child(function, *args), where answers stand for what the kernel does at some options.

    answers: {option: (result, {number: bytes})}; a negative result is -errno, the bytes are written
    where that argument (2 to 5) points. Other options are the real kernel's.
    """

    def pretend():
        kernel_prctl(4, 1)  # PR_SET_DUMPABLE: the other process may write to this one's memory,
        try:
            kernel_prctl(0x59616D61, 2**64 - 1)  # PR_SET_PTRACER_ANY: under Yama as well
        except OSError:
            pass
        here, there = socket.socketpair()
        answerer = os.fork()
        if answerer == 0:
            try:
                here.close()
                _answer(there, answers)
            finally:
                os._exit(0)
        there.close()
        with here:
            listener = _listen()
            socket.send_fds(here, [str(os.getpid()).encode()], [listener])
            os.close(listener)
            here.recv(1)
            result = function(*args)
        os.waitpid(answerer, 0)
        return result

    return in_child(pretend)


def _listen():
    program = _instruction(_LOAD, 0, 0, 0)
    program += _instruction(_JUMP_EQUAL, 0, 1, syscall_number("prctl"))
    program += _instruction(_RETURN, 0, 0, _USER_NOTIF) + _instruction(_RETURN, 0, 0, _ALLOW)
    instructions = bytearray(program)
    memory = _c_argument(instructions)
    fprog = bytearray(struct.pack("@HP", len(program) // 8, ctypes.addressof(memory)))
    kernel_prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    try:
        return system_call("seccomp", 1, _NEW_LISTENER, fprog)  # SECCOMP_SET_MODE_FILTER
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EBUSY):
            pytest.skip(f"this kernel or container has no seccomp_unotify(2): {error}")
        raise


def _answer(channel, answers):
    pid, (listener,), _, _ = socket.recv_fds(channel, 16, 1)
    poll = select.poll()
    poll.register(channel)
    poll.register(listener, select.POLLIN)
    channel.send(b"!")
    while True:
        events = dict(poll.poll())
        if events.get(channel.fileno(), 0) & select.POLLHUP:
            return
        if events.get(listener, 0) & select.POLLIN:
            _answer_once(int(pid), listener, answers)


def _answer_once(pid, listener, answers):
    notification = bytearray(struct.calcsize(_NOTIFICATION))
    fcntl.ioctl(listener, _RECEIVE, notification)
    number, _, _, _, _, _, option, *arguments = struct.unpack(_NOTIFICATION, notification)
    if option in answers:
        result, written = answers[option]
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            for argument, data in written.items():
                memory.seek(arguments[argument - 2])
                memory.write(data)
        response = number, max(result, 0), min(result, 0), 0
    else:
        response = number, 0, 0, _CONTINUE
    fcntl.ioctl(listener, _SEND, struct.pack(_RESPONSE, *response))
