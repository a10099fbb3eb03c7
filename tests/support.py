"""What the tests share: children to try things in, and oracles that are not ours."""

import atexit
import contextlib
import copyreg
import csv
import ctypes
import errno
import faulthandler
import fcntl
import functools
import inspect
import os
import pathlib
import pickle
import platform
import queue
import re
import resource
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import traceback
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import prctl

ROOT = os.geteuid() == 0
SANITIZED = os.environ.get("PRCTL_SANITIZED", "")  # the kind, under ./dev sanitize
PATIENCE = int(os.environ.get("PRCTL_PATIENCE", "1"))  # times: for a machine that is all emulated
USER = 65534  # the ordinary user that a suite started as root becomes in its children

# The system calls that the tests filter or make, with their numbers.
_MACHINES = "x86_64", "i686", "aarch64", "s390x"
_SYSCALLS = {
    "prctl": (157, 172, 167, 172),
    "getppid": (110, 64, 173, 64),
    "capget": (125, 184, 90, 184),
    "capset": (126, 185, 91, 185),
    "seccomp": (317, 354, 277, 348),
    "perf_event_open": (298, 336, 241, 331),
    "timer_create": (222, 259, 107, 254),
    "brk": (12, 45, 214, 45),
    "clock_gettime": (228, 265, 113, 260),
    "lseek": (8, 140, 62, 19),  # on i686 what libc's lseek() calls: _llseek(2)
    "sched_setscheduler": (144, 156, 119, 156),
    "fsetxattr": (190, 228, 7, 226),
}


def machine():
    """The architecture of this process, which a 32-bit one may have to itself."""
    name = platform.machine()
    return "i686" if name == "x86_64" and sys.maxsize < 2**32 else name


def syscall_number(name):
    """The number of a system call by its name, or the number itself."""
    if isinstance(name, int):
        return name
    if machine() not in _MACHINES:
        pytest.skip(f"no system call numbers for {machine()} in tests/support.py")
    return _SYSCALLS[name][_MACHINES.index(machine())]


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
    seconds *= PATIENCE
    sys.stdout.flush()
    sys.stderr.flush()
    for _ in range(5):
        pid, reader = _fork(function, args, user, seconds)
        with open(reader, "rb", buffering=0) as pipe:
            begun = _read(pipe, 1, 20 * PATIENCE)
            data = _read(pipe, sys.maxsize, seconds + 20) if begun is not None else None
        if data is None:  # nor has its alarm ended it: SIGALRM may be blocked
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        if begun is not None:
            break  # else an emulator's fork() has left it with a lock that nobody has
    if not data:
        raise ChildDied(status)
    succeeded, result = pickle.loads(data)
    if succeeded:
        return result
    raise result


def _fork(function, args, user, seconds):
    """A child that writes a byte at its beginning, then what has come of function(*args)."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            signal.alarm(seconds)
            os.write(writer, b"!")
            answer = _outcome_of_child(function, args, user)
            with open(writer, "wb") as pipe:
                pipe.write(_pickled(answer))
        finally:
            os._exit(0)  # never back into pytest
    os.close(writer)
    return pid, reader


def _read(pipe, size, seconds):
    """So many bytes, or all there are; None when that takes longer."""
    poll, data, end = select.poll(), b"", time.monotonic() + seconds
    poll.register(pipe)
    while len(data) < size and poll.poll(max(0, end - time.monotonic()) * 1000):
        chunk = pipe.read(min(size - len(data), 1 << 16))
        if not chunk:
            return data
        data += chunk
    return data if len(data) == size else None


def _outcome_of_child(function, args, user):
    try:
        if user:
            become_user()
        return True, function(*args)
    except BaseException as error:  # the parent raises it
        error.add_note("in the child:\n" + traceback.format_exc())
        return False, error


# pytest's own outcomes cannot be pickled as they are: their classes have no address.


def _skipped(message):
    return pytest.skip.Exception(message)


def _failed(message):
    return pytest.fail.Exception(message)


copyreg.pickle(pytest.skip.Exception, lambda outcome: (_skipped, (str(outcome),)))
copyreg.pickle(pytest.fail.Exception, lambda outcome: (_failed, (str(outcome),)))


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


def is_running(pid):
    """Whether a process is there and not a zombie."""
    try:
        return status(pid)["State"][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def capability_mask(field):
    """The mask of CapInh, CapPrm, CapEff, CapBnd or CapAmb of the calling thread, from /proc."""
    with open("/proc/thread-self/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1], 16)
    raise LookupError(field)


def cmdline(pid="self"):
    with open(cmdline_path(pid), "rb") as file:
        return file.read()


def cmdline_path(pid="self"):
    """Where the kernel shows it; under the own process's usual name valgrind shows another."""
    if SANITIZED == "valgrind" and pid in ("self", os.getpid()):
        pid = "thread-self"
    return f"/proc/{pid}/cmdline"


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
    return (
        program + _instruction(_RETURN, 0, 0, _ERRNO | errno) + _instruction(_RETURN, 0, 0, _ALLOW)
    )


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


def _fprog(program):
    """The memory of a seccomp program, and the struct sock_fprog that points to it."""
    memory = ctypes.create_string_buffer(program, len(program))
    return memory, bytearray(struct.pack("@HP", len(program) // 8, ctypes.addressof(memory)))


def install_filter(program):
    """Install a seccomp program in this process, and with it no_new_privs; skip without seccomp."""
    kernel_prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    _memory, fprog = _fprog(program)
    try:
        kernel_prctl(22, 2, fprog)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    except OSError as error:
        if error.errno == errno.EINVAL:
            pytest.skip(f"this kernel has no seccomp filters: to libc's prctl(22) it says {error}")
        raise


# Another kernel, or another machine's: by seccomp_unotify(2) one process answers for another.

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
        with contextlib.suppress(OSError):  # no Yama
            kernel_prctl(0x59616D61, 2**64 - 1)  # PR_SET_PTRACER_ANY: under Yama as well
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
    kernel_prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    _memory, fprog = _fprog(program)
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
        error = result if -4096 < result < 0 else 0
        response = number, 0 if error else result, error, 0
    else:
        response = number, 0, 0, _CONTINUE
    fcntl.ioctl(listener, _SEND, struct.pack(_RESPONSE, *response))


# Fresh interpreters, and what they ask of the kernel.

SOURCES = Path(__file__).resolve().parent.parent


def tool(name):
    """The path of a program that is an oracle. Ordinary users do not always have sbin in PATH."""
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    return path or pytest.skip(f"{name} is not installed")


def run(*command, **options):
    """Run a program and return what it prints; AssertionError with its stderr when it fails."""
    options.setdefault("timeout", 600)
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


def fresh_environment(**additions):
    return os.environ | {"PYTHONSAFEPATH": "1"} | additions


def run_python(source, *arguments, **options):
    """Run source with python -c in a fresh interpreter and return what it prints."""
    options.setdefault("env", fresh_environment())
    return run(sys.executable, "-c", source, *arguments, **options)


_STEP = """
import os
def step(name):
    try:
        os.write(-1, name.encode())
    except OSError:
        pass
"""


def traced_steps(source, calls, *, options=(), python=()):
    """Run source in a fresh interpreter under strace; return {step: [its system calls]}.

    source calls step(name) before what it wants to have listed. calls are strace's for -e trace=,
    options more of its options; numbers are not decoded to names.
    """
    strace = tool("strace")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = [strace, "-f", "-qq", "-X", "raw", "-o", str(log), "-e", f"trace=write,{calls}"]
        probe = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
        if probe.returncode:
            pytest.skip(f"strace cannot trace here: {probe.stderr.strip()}")
        run(
            *command,
            *options,
            sys.executable,
            *python,
            "-c",
            _STEP + source,
            env=fresh_environment(),
        )
        return _by_step(log.read_text().splitlines())


def _by_step(lines):
    steps, calls = {}, []
    for line in lines:
        call = line.split(maxsplit=1)[1]  # -f puts the pid before it
        if marker := re.match(r'write\(-1, "(.*)", \d+\)', call):
            calls = steps[marker[1]] = []
        elif not call.startswith(("write(", "+++", "---")):
            calls.append(call)
    return steps


class Index:
    """No int, but as good as one."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value

    def __repr__(self):
        return f"Index({self.value})"


def functions(module):
    """The public functions of a module by name, those loaded on first use included."""
    values = {name: getattr(module, name) for name in dir(module) if name[0] != "_"}
    return {name: value for name, value in values.items() if inspect.isroutine(value)}


def table(name):
    """The rows of one of the tables of the design, as dicts of str."""
    with open(Path(__file__).parent / "data" / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


# ---- What a call has done

_VOLATILE = ("Vm", "Rss", "Huge", "SigQ", "State", "voluntary", "nonvoluntary")
_RETURNED = (3, 7, 13, 21, 27, 30, 34, 39, 42, 66, 68)  # getters of prctl(2) that need no privilege
_WRITTEN = (2, 5, 9, 11, 19, 25, 37)


def errno_or_result(function, *args):
    try:
        return function(*args)
    except OSError as error:
        return f"errno {error.errno}"


def state():
    """Everything about the calling thread and its process that prctl could change."""
    fields = status("thread-self").items()
    state = {key: value for key, value in fields if not key.startswith(_VOLATILE)}
    for path in ("thread-self/comm", "self/cmdline", "self/timerslack_ns"):
        with open(f"/proc/{path}", "rb") as file:
            state[path] = file.read()
    state |= {option: errno_or_result(kernel_prctl, option) for option in _RETURNED}
    state |= {option: errno_or_result(kernel_prctl_out, option) for option in _WRITTEN}
    return state | {"ptracer": prctl.get_ptracer(), "title": prctl.get_proctitle()}


def outcome(function, args, kwargs):
    """The class of a call's error or result, what it says, and what has changed."""
    before = state()
    try:
        result = function(*args, **kwargs)
        name, text = type(result).__name__, ascii(result)
    except BaseException as error:
        name, text = type(error).__name__, str(error)
    after = state()
    return name, text, {key: (old, after[key]) for key, old in before.items() if old != after[key]}


# What the tests compile.


def compile_c(source, output, *flags):
    """Compile C text with the compiler that Python's own build names, or CC; skip without one."""
    words = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    compiler = shutil.which(words[0]) or shutil.which("cc")
    if compiler is None:
        pytest.skip(f"there is no C compiler: neither {words[0]} nor cc")
    file = Path(output).with_suffix(".c")
    file.write_text(source)
    run(compiler, *words[1:], str(file), "-o", str(output), *flags)


def compile_extension(folder, *flags):
    """Compile _prctl, from the sources beside the tests, into a folder and return its path."""
    setup = (SOURCES / "setup.py").read_text()
    sources = re.search(r'"_prctl",\s*sources=\[(.*?)\]', setup, re.DOTALL)[1]
    path = Path(folder, f"_prctl{EXTENSION_SUFFIXES[0]}")
    flags = [*(str(SOURCES / source) for source in re.findall(r'"([^"]+\.c)"', sources)), *flags]
    flags += [python_headers(), "-shared", "-fPIC", "-fvisibility=hidden"]
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        flags += ["-DPy_LIMITED_API=0x030B0000"]
    for variable in ("CPPFLAGS", "LDFLAGS"):
        flags += shlex.split(os.environ.get(variable, ""))
    flags += [f"-l{os.environ.get('PRCTL_LIBCAP', 'cap')}"]
    try:
        compile_c("typedef int nothing;", path, *flags)
    except AssertionError as error:
        if "libcap's headers are missing" in str(error):
            pytest.skip("libcap's headers are not installed")
        raise
    return path


def compile_embedding(source, program):
    """Compile a C program with a Python in it; skip where there is no library of Python's."""
    library, folder = sysconfig.get_config_var("LDVERSION"), sysconfig.get_config_var("LIBDIR")
    flags = [python_headers(), f"-L{folder}", f"-Wl,-rpath,{folder}", f"-lpython{library}"]
    flags += ["-Wl,--export-dynamic", *(sysconfig.get_config_var("LIBS") or "").split(), "-lm"]
    if not list(Path(folder).glob(f"libpython{library}.*")):
        pytest.skip(f"there is no libpython{library} in {folder}")
    compile_c(source, program, *flags)


def embedded_environment():
    """What such a program needs to find the standard library and this one."""
    places = [str(Path(module.__file__).parent) for module in (prctl, prctl._prctl)]
    path = os.pathsep.join([*places, *sys.path])
    return fresh_environment(PYTHONPATH=path, PYTHONHOME=sys.base_prefix)


def python_headers():
    """The compiler's flag for Python.h; skip where it is not installed."""
    folder = sysconfig.get_path("include")
    if not Path(folder, "Python.h").exists():
        pytest.skip(f"there is no Python.h in {folder}")
    return f"-I{folder}"


# What the running kernel, or the emulator in its place, has.

EMULATED = os.environ.get("LD_PRELOAD", "").endswith("/emulated")  # start_again_if_emulated()


def rounds(number):
    """How often a long loop goes round: under an emulator, many times slower, a tenth of it."""
    return number // 10 if EMULATED else number


def needs_kernel(what, option, *arguments):
    """Skip unless the kernel has an option: libc's prctl(), in a child, must not answer EINVAL.

    That is what kernels say to an option that they do not know, and what qemu-user says to most.
    """
    try:
        in_child(kernel_prctl, option, *arguments)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENODEV):
            pytest.skip(f"this kernel has no {what}: to libc's prctl({option}) it says {error}")


@functools.cache
def _folder():
    """A folder for this session that ordinary users can enter, too."""

    def remove():
        if os.getpid() == maker:
            shutil.rmtree(folder)

    maker = os.getpid()
    folder = Path(tempfile.mkdtemp(prefix="prctl-tests-"))
    folder.chmod(0o755)
    atexit.register(remove)
    return folder


@functools.cache
def _compiled(name, *flags):
    """The path of one of the C files here compiled."""
    compile_c(Path(__file__).with_name(f"{name}.c").read_text(), _folder() / name, *flags)
    return _folder() / name


@functools.cache
def missing(feature):
    """What kernel.c says where the kernel, or an emulator, lacks a feature; else nothing."""
    try:
        command = [_compiled("kernel"), feature]
    except pytest.skip.Exception:  # no compiler: then the test itself tells
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), f"{feature}: {done.returncode} {done.stderr}"
    return done.stdout.strip()


def needs_features(*features):
    """Skip unless a C program finds each of them in the kernel: tests/kernel.c has the list."""
    for feature in features:
        if said := missing(feature):
            pytest.skip(f"no {feature} here, by a C program: {said}")


def start_again_if_emulated(config):
    """Run pytest anew, with tests/emulated.c, where an emulator has a thread in each process."""
    alone = len(os.listdir("/proc/self/task")) == threading.active_count()
    if alone or "LD_PRELOAD" in os.environ or not missing("threads"):
        return
    preload = {"LD_PRELOAD": str(_compiled("emulated", "-shared", "-fPIC"))}
    config.pluginmanager.getplugin("capturemanager").suspend_global_capture(in_=True)
    ended = subprocess.call([sys.executable, *sys.orig_argv[1:]], env=os.environ | preload)
    shutil.rmtree(_folder())
    os._exit(ended if ended >= 0 else 128 - ended)


def change_capabilities(field, *, add=0, drop=0):
    """Raise and drop capabilities, as masks, in CapInh, CapPrm or CapEff, without this library."""
    masks = {name: capability_mask(name) for name in ("CapEff", "CapPrm", "CapInh")}
    masks[field] = (masks[field] | add) & ~drop
    words = [mask >> shift & 0xFFFFFFFF for shift in (0, 32) for mask in masks.values()]
    header = bytearray(struct.pack("=Ii", 0x20080522, 0))
    system_call("capset", header, bytearray(struct.pack("=6I", *words)))


def in_thread(function, *args):
    """Call function(*args) in a new thread and return its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*args)))
    thread.start()
    thread.join()
    (result,) = results
    return result


def needs(capability, name):
    """Skip unless the suite has a capability, given as a number."""
    if not capability_mask("CapEff") >> capability & 1:
        pytest.skip(f"the suite runs without {name}")


def error_of(function, *args, **kwargs):
    """The errno, the class and the text of the OSError that a call ends in."""
    try:
        result = function(*args, **kwargs)
    except OSError as error:
        return error.errno, type(error), str(error)
    raise AssertionError(f"no OSError: {result!r}")


def failure(kind, function, *args, **kwargs):
    """The text of the exception of a class that a call must end in, and within a few seconds."""
    start = time.monotonic()
    try:
        result = function(*args, **kwargs)
    except kind as error:
        assert time.monotonic() - start < 5
        return str(error)
    raise AssertionError(f"no {kind.__name__}: {result!r}")


def refused(number, text=""):
    """What error_of() gives for an errno, with an explanation if there is one."""
    kind = type(OSError(number, ""))
    return number, kind, f"[Errno {number}] {os.strerror(number)}" + (f": {text}" if text else "")


def die_quietly():
    """Let a fatal signal leave no traceback in pytest's output, and no core file."""
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def enter_user_namespace():
    """Have every capability, as capget(2) tells, and none that counts outside a user namespace."""
    if _libc.unshare(0x10000000) != 0:  # CLONE_NEWUSER
        pytest.skip(f"no user namespaces here, as in a chroot: {os.strerror(ctypes.get_errno())}")


def mount_proc(options=""):
    """Mount /proc anew, for this process and its children alone."""
    new_mounts, recursive_private = 0x20000, 0x44000
    if (
        _libc.unshare(new_mounts) != 0
        or _libc.mount(b"none", b"/proc", None, recursive_private, None) != 0
        or _libc.mount(b"proc", b"/proc", b"proc", 0, options.encode()) != 0
    ):
        pytest.skip(f"no mount of /proc here: {os.strerror(ctypes.get_errno())}")


def in_user_namespace(function):
    """function(outside) in a user namespace whose ids 0 to 65535 are 100000 and on outside of it.

    outside(pid) is a process's status as one outside sees it, the child's own without pid. The
    child keeps the ids that it has, which have no number inside: they read as 65534. Needs root.
    """

    def serve(asked, answer):
        child = int(os.read(asked, 20))
        for name in "uid_map", "gid_map":
            with open(f"/proc/{child}/{name}", "w") as file:
                file.write("0 100000 65536")
        os.write(answer, b"done")
        while pid := os.read(asked, 20):
            os.write(answer, repr(status(int(pid))).encode())

    def run():
        (asked, ask), (answered, answer) = os.pipe(), os.pipe()
        server = os.fork()
        if server == 0:
            try:
                os.close(ask)
                serve(asked, answer)
            finally:
                os._exit(0)
        os.close(answer)

        def enter():
            enter_user_namespace()
            os.write(ask, b"%d" % os.getpid())
            assert os.read(answered, 4) == b"done"
            return function(outside)

        def outside(pid=None):
            os.write(ask, b"%d" % (pid or os.getpid()))
            return eval(os.read(answered, 65536))

        try:
            return in_child(enter)
        finally:
            os.close(ask)
            os.waitpid(server, 0)

    return in_child(run)


def mapping(address):
    """The entry of /proc/self/smaps that an address is in: a dict of its fields, the line before
    them as "line".
    """
    found = None
    with open("/proc/self/smaps") as file:
        for line in file:
            if header := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
                if found is not None:
                    break
                if int(header[1], 16) <= address < int(header[2], 16):
                    found = {"line": line.strip()}
            elif found is not None:
                key, _, value = line.partition(":")
                found[key] = value.strip()
    return found


class Code:
    """Machine code for this process to call, at a low address if asked for; it returns a long."""

    def __init__(self, code, low=False):
        anonymous_private, fixed = 0x22, 0x100000 if low else 0  # MAP_FIXED_NOREPLACE
        _libc.mmap.restype = ctypes.c_void_p
        self.size = os.sysconf("SC_PAGE_SIZE")
        self.address = _libc.mmap(
            ctypes.c_void_p(0x100000 if low else 0),  # below the program and its heap
            ctypes.c_size_t(self.size),
            3,
            anonymous_private | fixed,
            -1,
            ctypes.c_long(0),
        )
        if self.address == ctypes.c_void_p(-1).value:
            _checked(-1)
        ctypes.memmove(self.address, code, len(code))
        _checked(_libc.mprotect(ctypes.c_void_p(self.address), ctypes.c_size_t(self.size), 5))
        self.call = ctypes.CFUNCTYPE(ctypes.c_long)(self.address)


# ---- Other threads

_SYSCALLS |= {
    "futex": (202, 240, 98, 238),
    "exit": (60, 1, 93, 1),
    "read": (0, 3, 63, 3),
    "rt_sigaction": (13, 174, 134, 174),
    "rt_sigprocmask": (14, 175, 135, 175),
    "getdents64": (217, 220, 61, 220),
    "getgroups": (115, 205, 158, 205),  # those with 32-bit ids
    "setgroups": (116, 206, 159, 206),
    "setresgid": (119, 210, 149, 210),
    "setresuid": (117, 208, 147, 208),
    "rt_tgsigqueueinfo": (297, 335, 240, 330),
    "tgkill": (234, 270, 131, 241),
    "io_uring_setup": (425, 425, 425, 425),
}

LIBC_SIGNAL = 33  # what glibc keeps for setuid(), and musl for pthread_cancel()
ENDS_THE_THREAD, SIGSYS_INSTEAD = 0, 0x00030000  # SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP


class Worker:
    """A thread that calls what it is given, and has been there since before that."""

    def __init__(self, first=None):
        self._calls, self._answers = queue.SimpleQueue(), queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.tid = self.thread.native_id
        if first is not None:
            self(first)

    def _run(self):
        for function, args in iter(self._calls.get, None):
            try:
                self._answers.put((True, function(*args)))
            except BaseException as error:  # who called raises it
                self._answers.put((False, error))

    def begin(self, function, *args):
        """Call function(*args) in the thread, without waiting for it."""
        self._calls.put((function, args))

    def result(self):
        succeeded, result = self._answers.get()
        if succeeded:
            return result
        raise result

    def __call__(self, function, *args):
        self.begin(function, *args)
        return self.result()

    def end(self):
        self._calls.put(None)
        self.thread.join()


class Debugger:
    """Another process that stops a thread, as gdb does."""

    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17

    def __init__(self, tid):
        kernel_prctl(4, 1)  # PR_SET_DUMPABLE: a change of user has made this process untraceable
        with contextlib.suppress(OSError):  # no Yama
            kernel_prctl(0x59616D61, 2**64 - 1)
        here, self._there = os.pipe()
        self._said, say = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._there)
                os.write(say, self._stop(tid))
                os.read(here, 1)
                _libc.ptrace(self.DETACH, tid, None, None)
            finally:
                os._exit(0)
        os.close(say)
        answer = os.read(self._said, 100).decode()
        if answer != "stopped":
            pytest.skip(f"ptrace(2) is refused here: {answer}")

    def _stop(self, tid):
        for request in (self.SEIZE, self.INTERRUPT):
            if _libc.ptrace(request, tid, None, None) != 0:
                return os.strerror(ctypes.get_errno()).encode()
        os.waitpid(tid, 0x40000000)  # __WALL
        return b"stopped"

    def go(self):
        os.write(self._there, b"x")
        os.waitpid(self.pid, 0)

    def go_soon(self, seconds):
        """From another process, while this one may be in the middle of a call."""
        if os.fork() == 0:
            try:
                time.sleep(seconds)
                os.write(self._there, b"x")
            finally:
                os._exit(0)


def thread_ids(pid="self"):
    return sorted(map(int, os.listdir(f"/proc/{pid}/task")))


def of_threads(*fields, pid="self"):
    """{tid: the fields of its status} for every thread; for a single field its text alone."""
    found = {}
    for tid in thread_ids(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            lines = status(pid, tid)
            texts = tuple(" ".join(lines[field].split()) for field in fields)
            found[tid] = texts[0] if len(fields) == 1 else texts
    return found


def in_time(condition, seconds=10):
    """Wait until a condition is true; whether it is."""
    end = time.monotonic() + seconds * PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    return condition()


def block_libc_signal(block=True):
    """Do in the calling thread what libc lets nobody do: block the signal of its setuid()."""
    mask = bytearray((1 << LIBC_SIGNAL - 1).to_bytes(8, sys.byteorder))
    system_call("rt_sigprocmask", 0 if block else 1, mask, 0, 8)


def instead_of(name, action):
    """A seccomp program that takes an action, such as ENDS_THE_THREAD, instead of a system call."""
    program = _instruction(_LOAD, 0, 0, 0) + _instruction(_JUMP_EQUAL, 0, 1, syscall_number(name))
    return program + _instruction(_RETURN, 0, 0, action) + _instruction(_RETURN, 0, 0, _ALLOW)


def traced_threads(source, calls, *, options=()):
    """Run source in a fresh interpreter under strace; return {tid: [its system calls]}.

    Only what lies between step("begin") and step("end") is listed, in the main thread, whose calls
    come first; the other threads have no steps. Numbers are not decoded to names.
    """
    strace = tool("strace")
    with tempfile.TemporaryDirectory() as folder:
        command = [strace, "-ff", "-qq", "-X", "raw", "-o", f"{folder}/log"]
        command += ["-e", "signal=none", "-e", f"trace=write,{calls}", *options]
        probe = subprocess.run(
            [*command[:6], "/dev/null", "true"], capture_output=True, text=True, check=False
        )
        if probe.returncode:
            pytest.skip(f"strace cannot trace here: {probe.stderr.strip()}")
        run(*command, sys.executable, "-c", _STEP + source, env=fresh_environment())
        threads = {}
        for log in sorted(Path(folder).iterdir(), key=lambda log: int(log.suffix[1:])):
            lines = log.read_text().splitlines()
            marks = [i for i, line in enumerate(lines) if line.startswith("write(-1, ")]
            lines = lines[marks[0] + 1 : marks[-1]] if marks else lines
            threads[int(log.suffix[1:])] = [
                line for line in lines if not line.startswith(("write(", "+++", "---"))
            ]
        return threads


def needs_launcher_without_libc():
    """Skip where src/start.h does not know the architecture: libc makes calls of its own."""
    path = pathlib.Path(prctl._prctl.__file__).with_name("_prctl_launcher")
    if re.search(rb"/ld(64)?[-.]", path.read_bytes()):  # the dynamic linker
        pytest.skip(f"on {machine()} the launcher is linked with libc")


def free_privileged_port():
    for port in range(1023, 511, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return pytest.fail("no privileged port is free")
