"""Bytes that libFuzzer makes up, for what reads texts, programs, attributes and buffers in C.

libfuzzer.py starts it: one process for each target, with an instrumented _prctl, and libFuzzer
loaded before Python. What would change the process is refused by seccomp filters, behind all
conversions.
"""

import ctypes
import errno
import functools
import os
import struct
import sys
import traceback

import hostile
import support

import _prctl
import prctl

EXPECTED = TypeError, ValueError, OverflowError, OSError, BufferError, hostile.Trick
SHOW = "PRCTL_FUZZ_SHOW" in os.environ  # each call before it is made


def call(name, *arguments):
    """The result of a function, or the exception that it may raise."""
    function = _function(name)
    if SHOW:
        print(f"{name}({', '.join(map(shown, arguments))})", flush=True)
    try:
        return function(*arguments)
    except EXPECTED as error:
        return error
    finally:
        hostile.check_margins()


@functools.cache
def _function(name):
    return eval(name)


def shown(value):
    if isinstance(value, memoryview):
        return f"hostile.lent({len(value)})"
    return repr(value)


class Reader:
    """What is left of an input: bytes, numbers, and choices at its beginning."""

    def __init__(self, data):
        self.data = data

    def take(self, size):
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def number(self, size=8):
        return int.from_bytes(self.take(size), "little")

    def choose(self, choices):
        return choices[self.number(1) % len(choices)]

    def text(self):
        """The rest, as a str or as bytes."""
        if self.number(1) % 2:
            return self.data
        return self.data.decode(errors="surrogateescape")

    def argument(self):
        kind = self.number(1) % 6
        if kind == 0:
            return self.number(1)
        if kind == 1:
            return self.number()
        if kind == 2:
            return hostile.lent(self.number(1))
        if kind == 3:
            return bytearray(self.take(self.number(1)))
        if kind == 4:
            return self.take(self.number(1))
        return hostile.Index(self.number(1))


# ---- The targets: what each does with an input


def text(data):
    """Capabilities as text: what can be read says the same when it is written again."""
    text = data.decode(errors="surrogateescape")
    value = call("prctl.Capabilities.from_text", text)
    if isinstance(value, prctl.Capabilities):
        assert prctl.Capabilities.from_text(str(value)) == value, (text, str(value))


def names(data):
    """Names of a thread, a process, an area, a capability."""
    data = Reader(data)
    function = data.choose(["prctl.set_name", "prctl.set_proctitle", "_prctl._cap_mask", "area"])
    text = data.text()
    if function == "area":
        call("prctl.set_vma_anon_name", AREA, text)
    elif function == "_prctl._cap_mask":
        call(function, [text])
    elif call(function, text) is None:
        limit, read = LIMITS[function]
        kept, whole = os.fsencode(read()), os.fsencode(text)
        assert whole.startswith(kept), (text, kept)
        assert len(whole) - len(kept) <= max(0, len(whole) - limit + 3), (text, kept)


AREA = memoryview(bytearray(8))
LIMITS = {
    "prctl.set_name": (15, prctl.get_name),
    "prctl.set_proctitle": (4095, prctl.get_proctitle),
}


def attribute(data):
    """The extended attribute of a file: libcap reads what somebody has written there."""
    try:
        os.setxattr(FILE, "security.capability", data)
    except OSError:  # the kernel takes only what it understands
        return
    value = call("prctl.Capabilities.from_file", FILE)
    if isinstance(value, prctl.Capabilities):
        call("prctl.Capabilities.to_file", value, FILE)
        assert prctl.Capabilities.from_file(FILE) == value, (data, value)


def paths(data):
    """The names of files, and file descriptors."""
    data = Reader(data)
    function = data.choose(["prctl.Capabilities.from_file", "prctl.remove_file_caps"])
    path = data.choose([data.text, data.argument])()
    if isinstance(path, int) or os.path.dirname(path if isinstance(path, str) else b""):
        return  # not one of this process's own, nor anything else of the machine's
    call(function, path)


def program(data):
    """Programs of seccomp, in every kind of buffer."""
    data = Reader(data)
    kind = data.choose([bytes, bytearray, lambda size: (ctypes.c_char * size)(), hostile.lent])
    mode = data.choose([2, 1, hostile.Index(2), 0])
    size = data.number(2)
    call("prctl.set_seccomp", mode, data.data if kind is bytes and size % 2 else kind(size))


def door(data):
    """The raw door: numbers and buffers of any length for any option."""
    data = Reader(data)
    option = data.choose(OPTIONS)
    arguments = [data.argument() for _ in range(data.number(1) % 5)]
    call("prctl.prctl", option, *arguments)


OPTIONS = sorted({getattr(_prctl, name) for name in dir(_prctl) if name.startswith("PR_")})
OPTIONS += [17, 0x7FFFFF00, -5]


def memory(data):
    """The map of the process's memory."""
    data = Reader(data)
    if data.number(1) % 2:
        call("prctl.set_mm", data.number(1) % 17, data.argument())
    else:
        values = [data.argument() for _ in range(14)]
        values[12] = data.choose([0, 8, 16, values[12]])
        values[13] = data.choose([-1, values[13]])
        call("prctl.set_mm_map", tuple(values))


def lists(data):
    """Lists of capabilities."""
    data = Reader(data)
    function = data.choose(
        ["_prctl.get_caps", "_prctl.set_caps", "prctl.get_caps", "prctl.set_caps"]
    )
    many = [[data.argument() for _ in range(data.number(1) % 4)] for _ in range(data.number(1) % 8)]
    try:
        call(function, *many)
    except KeyError:
        assert function.startswith("prctl."), function


PLANTED = "heap-buffer-overflow", "hostile.Overrun", "SystemError"  # what is said of each


def planted(data):
    """Faults of our own, by which libfuzzer.py knows that it would see another's."""
    if data == b"overrun":
        memory = ctypes.create_string_buffer(8)
        ctypes.memset(ctypes.addressof(memory), 0, 4096)
    if data == b"margin":
        view = hostile.lent(1)
        call(
            "lambda view: ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(view)), 0, 4)",
            view,
        )
    if data == b"exception":
        raise SystemError


TARGETS = {
    f.__name__: f for f in (text, names, attribute, paths, program, door, memory, lists, planted)
}

# What an input may begin with; libFuzzer mutates it.
SEEDS = {
    "text": ["cap_chown,cap_kill=ep", "all=i cap_net_raw-i", "=", "cap_chown=p cap_kill+i", "63=e"],
    "names": ["\0\0name", "\0\1name", "\1\0title é", "\2\0CAP_chown", "\3\0area"],
    "attribute": [
        struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0),
        struct.pack("<6I", 0x03000000, 1 << 13, 0, 1, 0, 1000),
        struct.pack("<3I", 0x01000000, 1, 0),
    ],
    "paths": ["\0\0\0name", "\1\1\2", "\0\0\1name"],
    "program": [b"\0\0\1\0" + hostile.ALLOW, "\1\0\x08\0", "\2\1\x10\0", "\3\2\x08\0"],
    "door": [
        bytes([option, 4, kind, 4] + [kind, 8] * 3) for option in range(80) for kind in (0, 2)
    ],
    "memory": ["\1\x0c\3\x10", "\0" * 40, "\0" + "\1" * 40 + "\3\x10" + "x" * 16],
    "lists": ["\0\3\1\0\1", "\1\2\2\0\1\0\2", "\2\2\2\0\1\0\2"],
    "planted": ["overrun", "margin", "exception"],
}

# ---- libFuzzer


def one_input(address, size):
    data = ctypes.string_at(address, size)
    try:
        TARGET(data)
    except BaseException:
        traceback.print_exc()
        os.abort()
    return 0


# What may be asked of the kernel: no other option but those that read, nor capset(2). Of a family
# the operations that change something are refused.
PERMITTED = {"PR_SET_NAME", "PR_CAPBSET_READ", "PR_SET_VMA", "PR_SET_NO_NEW_PRIVS"}
OPERATIONS = {"PR_SET_MM": range(1, 15), "PR_SCHED_CORE": range(1, 4)}


def refuse_changes():
    """A filter for each, made by the tests' means; the last one is about the filters themselves."""
    options = {
        row["option"]: int(row["number"], 0) & 0xFFFFFFFF for row in support.table("options")
    }
    refused = [("capset",)]
    for option, number in options.items():
        if option in OPERATIONS:
            refused += [("prctl", number, operation) for operation in OPERATIONS[option]]
        elif "_GET" not in option and option not in PERMITTED:
            refused.append(("prctl", number))
    for name, *arguments in sorted(
        refused, key=lambda call: call[1:2] == (options["PR_SET_SECCOMP"],)
    ):
        support.install_filter(support.refuse(name, errno.EPERM, *arguments))


def main(name, *options):
    """Like libFuzzer's own main function, in the working directory that files may be made in."""
    global TARGET
    assert prctl.__version__ == "instrumented"
    TARGET = TARGETS[name]
    open(FILE, "w").close()
    prctl.set_proctitle("fuzz")
    refuse_changes()
    words = [os.fsencode(word) for word in ("fuzz", *options)]
    argv = (ctypes.c_char_p * (len(words) + 1))(*words)
    pointer = ctypes.cast(argv, ctypes.POINTER(ctypes.c_char_p))
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
    run = ctypes.CDLL(None).LLVMFuzzerRunDriver
    run(ctypes.byref(ctypes.c_int(len(words))), ctypes.byref(pointer), prototype(one_input))


FILE = "file"

if __name__ == "__main__":
    main(*sys.argv[1:])
