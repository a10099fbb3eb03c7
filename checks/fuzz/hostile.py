"""Objects that no function expects. The arguments of calls.py are expressions with these names."""

import contextlib
import gc
import struct
import sys

import prctl

ALLOW = struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000)  # a seccomp program that lets everything through


class Trick(Exception):
    """What an object of ours raises: it must come out as it is."""


class Index:
    """No int, but as good as one."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value

    def __repr__(self):
        return f"hostile.Index({self.value})"


# ---- What a special method of ours does before it answers

victims = []  # the containers among the arguments of the call that is being made


def _raises():
    raise Trick


def _empties():
    for victim in victims:
        with contextlib.suppress(BufferError):  # lent to somebody
            victim.clear()


def _reenters():
    with contextlib.suppress(OSError):
        prctl.set_name("inner")
        prctl.get_caps(("chown", [0, 1, 2]))
        prctl.cap_effective.drop("mac_admin")
        prctl.prctl(0x7FFFFFFF, bytearray(8))


_DEEDS = {
    "raises": _raises,
    "empties": _empties,
    "reenters": _reenters,
    "collects": gc.collect,
    "lies": lambda: None,
}
_ANSWERS = {
    "__index__": 0,
    "__int__": 0,
    "__float__": 0.0,
    "__bool__": True,
    "__len__": 1,
    "__eq__": True,
    "__hash__": 1,
    "__str__": "chown",
    "__repr__": "chown",
    "__fspath__": "chown",
    "__contains__": True,
    "__class__": str,
    "fileno": 0,
}
_MADE = {
    "__getitem__": [0].__getitem__,  # a sequence without an end is one for list(), too
    "__iter__": ["chown"].__iter__,
    "__buffer__": lambda flags: memoryview(bytearray(8)),
}
METHODS = (*_ANSWERS, *_MADE, "__del__", "__release_buffer__", "__getattribute__")
DEEDS = (*_DEEDS,)


def hostile(value=None, **deeds):
    """Something like value, but some special methods do a deed: hostile(5, __eq__="raises")."""
    base = object if value is None else type(value)
    methods = {name: _method(name, deed) for name, deed in deeds.items()}
    if "__class__" in methods:
        methods["__class__"] = property(methods["__class__"])
    played = type("hostile", (base,), methods)
    return played() if value is None else played(value)


def _method(name, deed):
    def method(self, *args):
        _DEEDS[deed]()
        answer = _MADE[name](*args) if name in _MADE else _ANSWERS.get(name)
        if deed == "lies":
            return victims
        return object.__getattribute__(self, *args) if name == "__getattribute__" else answer

    return method


def listen(deed):
    """An audit hook, for the rest of the process's life."""
    busy = False

    def hook(event, _):
        nonlocal busy
        if event.startswith("prctl.") and not busy:
            busy = True
            try:
                _DEEDS[deed]()
            finally:
                busy = False

    sys.addaudithook(hook)


# ---- Memory


class Overrun(Exception):
    """Somebody has written beside the memory that was lent."""


_MARGIN = 64
_lent = []


def lent(size):
    """A buffer with a margin on both sides, which check_margins() looks at."""
    memory = bytearray(b"\xa5" * (size + 2 * _MARGIN))
    _lent.append(memory)
    return memoryview(memory)[_MARGIN : _MARGIN + size]


def check_margins():
    for memory in _lent:
        if {*memory[:_MARGIN], *memory[-_MARGIN:]} != {0xA5}:
            raise Overrun(f"{len(memory) - 2 * _MARGIN} bytes were lent")
    _lent.clear()


def released():
    view = memoryview(bytearray(8))
    view.release()
    return view


# ---- Containers


def recursive(kind=list):
    container = kind()
    if kind is list:
        container.append(container)
    else:
        container["chown"] = container
    return container


def nested(depth):
    container = []
    for _ in range(depth):
        container = [container]
    return container
