"""Control of one's own process on Linux: prctl(2), capabilities(7), securebits and the title.

The functions are named after the options of prctl(2): PR_SET_PDEATHSIG is set_pdeathsig(). The
objects cap_effective, cap_permitted, cap_inheritable, cap_ambient and capbset are the five
capability sets of the calling thread, securebits are its secure bits. All of them are live: to
read asks the kernel, to assign tells it.

    import prctl

    prctl.set_name("worker")
    prctl.set_proctitle("webd: worker 1")
    prctl.cap_permitted.limit("net_bind_service")
    with prctl.cap_effective.raised("net_bind_service"):
        ...

What the kernel refuses is the OSError of its errno; so is what the running kernel does not have
(EINVAL). What no kernel would accept is ValueError, a wrong type TypeError, an int that the
kernel's type cannot hold OverflowError: all before the kernel is asked. A call that fails has
changed nothing, unless its documentation says otherwise.
"""

import sys
from _collections_abc import MutableSet, Set
from _thread import get_ident as _get_ident

import _prctl

if not hasattr(_prctl, "_public"):
    raise ImportError(
        f"{_prctl.__file__} is another version's, perhaps left over from python-prctl 1: remove it",
        name="_prctl",
        path=_prctl.__file__,
    )

__version__ = _prctl.__version__

_has, _read, _change = _prctl._cap_has, _prctl._cap_read, _prctl._cap_change
_number, _mask = _prctl._cap_number, _prctl._cap_mask


# Capabilities by name and by number. What has no name yet has its decimal number for one.

_NAMES = _prctl._CAPABILITY_NAMES

ALL_CAPS = tuple(range(_prctl.CAP_LAST_CAP + 1))
ALL_CAP_NAMES = _NAMES[: len(ALL_CAPS)]
ALL_FLAGS = (_prctl.CAP_EFFECTIVE, _prctl.CAP_INHERITABLE, _prctl.CAP_PERMITTED)
ALL_FLAG_NAMES = ("effective", "inheritable", "permitted")

_EVERY = (1 << 64) - 1  # whatever a kernel may have: a mask has no more bits


def _bits(mask):
    return [number for number in range(64) if mask >> number & 1]


def _names(mask):
    return [_NAMES[number] for number in _bits(mask)]


def _operator(compute):
    """A binary operator of masks as one that gives a plain set of names."""

    def operator(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return set(_names(compute(_read(self._set), _mask(other))))

    return operator


def _in_place(compute):
    """An in-place operator: one change for all that it raises and drops."""

    def operator(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        _change(self._set, *compute(_read(self._set), _mask(other)))
        return self

    return operator


def _comparison(compare):
    def comparison(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return compare(set(self), set(other))

    return comparison


def _get_capability(number, self):
    return _has(self._set, number)


def _set_capability(number, self, value):
    mask = 1 << number
    _change(self._set, mask if value else 0, 0 if value else mask)


def _attributes(fget, fset, rows):
    """The properties of (name, number, text), by name: their functions get the number first.

    As methods of the number they are made in a third of the time that closures take.
    """
    fget, fset = fget.__get__, fset.__get__
    return {name: property(fget(number), fset(number), None, text) for name, number, text in rows}


class CapabilitySet:
    """One of the five capability sets of the calling thread, live.

    It has an attribute for each capability, in lower case and without CAP_: reading asks the
    kernel, assigning False drops, assigning True raises. It is also a set of names, a
    collections.abc.MutableSet; operators other than the in-place ones give plain sets.

    Wherever a capability is an argument, it is a str in any case, with or without "cap_", or an
    int from 0 to 63: ValueError for any other, TypeError for another type. One that the running
    kernel does not have is in no set, is dropped without effect and cannot be raised (ValueError).
    What the kernel refuses is PermissionError, and changes nothing.

    Scope: the calling thread. Since Linux 2.6.26, cap_ambient since 4.3. See capabilities(7),
    capget(2) and, for the ambient and the bounding set, PR_CAP_AMBIENT and PR_CAPBSET_DROP in
    prctl(2).
    """

    __slots__ = ("_name", "_set")
    __hash__ = None

    vars().update(
        _attributes(
            _get_capability,
            _set_capability,
            # python-prctl took CAP_LAST_CAP for a capability.
            (
                *zip(_NAMES, range(64), _prctl._CAPABILITY_TEXTS, strict=False),
                ("last_cap", _prctl.CAP_LAST_CAP, "The last capability that the kernel has."),
            ),
        )
    )

    def __init__(self, name, number):
        self._name = name
        self._set = number

    def drop(self, *capabilities):
        """Drop these capabilities.

        Dropping from permitted drops from effective, too, and what leaves permitted or inheritable
        leaves ambient. Dropping from the bounding set needs CAP_SETPCAP.
        """
        _change(self._set, 0, _mask(capabilities))

    def limit(self, *capabilities):
        """Drop every other capability that the running kernel has, named or not."""
        _change(self._set, 0, _EVERY & ~_mask(capabilities))

    def raised(self, *capabilities):
        """Return a context manager that raises these capabilities for a with block.

        At its end those that were not raised before are dropped again, whatever happened inside.
        Nothing is ever raised at the end.
        """
        return _Raised(self._set, _mask(capabilities))

    def add(self, capability):
        """Raise a capability."""
        _change(self._set, 1 << _number(capability), 0)

    def discard(self, capability):
        """Drop a capability."""
        self.drop(capability)

    def remove(self, capability):
        """Drop a capability; KeyError if it is not in the set."""
        if capability not in self:
            raise KeyError(capability)
        self.drop(capability)

    def pop(self):
        """Drop a capability and return its name; KeyError if the set is empty."""
        for name in self:
            self.drop(name)
            return name
        raise KeyError(f"{self._name} is empty")

    def clear(self):
        """Drop all capabilities."""
        self.limit()

    def isdisjoint(self, other):
        """Return whether no capability is in both sets."""
        return not _read(self._set) & _mask(other)

    def __contains__(self, capability):
        return _has(self._set, _number(capability))

    def __iter__(self):
        return iter(_names(_read(self._set)))

    def __len__(self):
        return _read(self._set).bit_count()

    def __repr__(self):
        mask = _read(self._set)
        members = _names(mask)
        others = [name for name in ALL_CAP_NAMES if name not in members]
        if not others:
            shown = "all"
        elif len(others) < len(members):
            shown = "all but " + ", ".join(others)
        else:
            shown = ", ".join(members) or "none"
        return f"<{self._name}: {shown}>"

    __eq__ = _comparison(set.__eq__)
    __le__ = _comparison(set.__le__)
    __lt__ = _comparison(set.__lt__)
    __ge__ = _comparison(set.__ge__)
    __gt__ = _comparison(set.__gt__)

    __or__ = __ror__ = _operator(int.__or__)
    __and__ = __rand__ = _operator(int.__and__)
    __xor__ = __rxor__ = _operator(int.__xor__)
    __sub__ = _operator(lambda mine, other: mine & ~other)
    __rsub__ = _operator(lambda mine, other: other & ~mine)

    # What they raise and what they drop.
    __ior__ = _in_place(lambda mine, other: (other, 0))
    __iand__ = _in_place(lambda mine, other: (0, _EVERY & ~other))
    __isub__ = _in_place(lambda mine, other: (0, other))
    __ixor__ = _in_place(lambda mine, other: (other & ~mine, other & mine))


class _Raised:
    """What CapabilitySet.raised() returns; it may be entered again inside itself, or elsewhere."""

    def __init__(self, number, mask):
        self._set = number
        self._mask = mask
        self._to_drop = {}  # by thread: one mask for each block that it is in

    def __enter__(self):
        missing = self._mask & ~_read(self._set)
        _change(self._set, missing, 0)
        self._to_drop.setdefault(_get_ident(), []).append(missing)

    def __exit__(self, *_):
        _change(self._set, 0, self._to_drop[_get_ident()].pop())


MutableSet.register(CapabilitySet)

# The numbers are those of src/sets.c.
cap_effective = CapabilitySet("cap_effective", 0)
cap_permitted = CapabilitySet("cap_permitted", 1)
cap_inheritable = CapabilitySet("cap_inheritable", 2)
cap_ambient = CapabilitySet("cap_ambient", 3)
capbset = CapabilitySet("capbset", 4)


def _several(value):
    """One, or a sequence of them, as a sequence. A str is one."""
    one = isinstance(value, (str, bytes)) or not hasattr(value, "__iter__")
    return (value,) if one else value


def get_caps(*requests):
    """Return which capabilities the calling thread has: get_caps((caps, flags), ...).

    Each request is a pair of a capability or a sequence of them, and a flag (CAP_EFFECTIVE,
    CAP_PERMITTED, CAP_INHERITABLE) or a sequence of them. The result is a dict of all three flags
    to dicts of capability number to bool. KeyError for an unknown flag, ValueError for an unknown
    capability.

    Scope: the calling thread. Since Linux 2.6.26. See capget(2).
    """
    lists = {flag: [] for flag in range(3)}
    for caps, flags in requests:
        numbers = [_number(cap) for cap in _several(caps)]
        for flag in _several(flags):
            lists[flag].extend(numbers)
    return _prctl.get_caps(*lists.values())


def set_caps(*requests):
    """Raise and drop capabilities, all at once: set_caps((caps, flags, value), ...).

    The pairs are those of get_caps(); a true value raises, a false one drops, and where both are
    asked for the capability is dropped. Dropping from permitted drops from effective, too.
    KeyError and ValueError as there; PermissionError when the kernel refuses, which then has
    changed nothing.

    Scope: the calling thread. Since Linux 2.6.26. See capset(2).
    """
    lists = {(flag, value): [] for value in (True, False) for flag in range(3)}
    for caps, flags, value in requests:
        numbers = [_number(cap) for cap in _several(caps)]
        for flag in _several(flags):
            lists[flag, bool(value)].extend(numbers)
    _prctl.set_caps(*lists.values())


def _get_securebit(bit, self):
    return _prctl.get_securebits() & bit != 0


def _set_securebit(bit, self, value):
    if bit == _prctl.SECBIT_KEEP_CAPS:
        _prctl.set_keepcaps(value)  # needs no privilege
    else:
        _prctl._securebits_change(bit, value)


# In the kernel's order: two bits each, the second being the lock.
_SECUREBITS = (
    ("noroot", "uid 0 gives no capabilities at exec."),
    ("no_setuid_fixup", "Changing user ids leaves the capability sets alone."),
    ("keep_caps", "The permitted set outlives a change from uid 0; exec clears it."),
    ("no_cap_ambient_raise", "Nothing can be added to the ambient set."),
    ("exec_restrict_file", "Interpreters should run only files that the user may execute."),
    ("exec_deny_interactive", "Interpreters should run no commands but those in files."),
)


def _securebit_rows():
    for place, (name, text) in enumerate(_SECUREBITS):
        yield name, 1 << 2 * place, text
        yield f"{name}_locked", 2 << 2 * place, f"{name} cannot be changed any more."


class Securebits:
    """The secure bits of the calling thread, live: a bool attribute for each.

    Assigning needs CAP_SETPCAP (PermissionError), except for keep_caps, which goes through
    set_keepcaps(), and for the exec_* bits with their locks (Linux 6.14). A bit whose lock is set
    cannot be changed any more, and a lock cannot be unset.

    Scope: the calling thread. Since Linux 2.6.26, no_cap_ambient_raise since 4.3, the exec_* bits
    since 6.14. See capabilities(7) and PR_SET_SECUREBITS in prctl(2).
    """

    __slots__ = ()

    vars().update(_attributes(_get_securebit, _set_securebit, _securebit_rows()))

    def __repr__(self):
        names = [name for name in dir(self) if name[0] != "_" and getattr(self, name)]
        return f"<securebits: {', '.join(names) or 'none'}>"


securebits = Securebits()

_LIVE = (
    "cap_effective",
    "cap_permitted",
    "cap_inheritable",
    "cap_ambient",
    "capbset",
    "securebits",
)

# What needs a module of its own, which would make the import several times as long.
_LAZY = {
    "all_threads": "_prctl_operations",
    "drop_privileges": "_prctl_operations",
    "Popen": "_prctl_children",
    "launcher": "_prctl_children",
    "Capabilities": "_prctl_capabilities",
    "remove_file_caps": "_prctl_capabilities",
}


def _load(name):
    try:
        return __import__(_LAZY[name])
    except (ImportError, OSError) as error:
        # Where the traceback module cannot be loaded, either, Python shows messages, but no notes.
        field = "msg" if isinstance(error, ImportError) else "strerror"
        hint = f"prctl.{name} is loaded when it is first named: do that before chroot()"
        setattr(error, field, f"{getattr(error, field)}; {hint}")
        raise


def __getattr__(name):
    """What is made when it is first used: most functions, all constants, the list of names.

    The numbers of the options stay in _prctl, and so do those of PR_CAP_AMBIENT, which would look
    like capabilities here.
    """
    if name == "__all__":
        value = ["ALL_CAPS", "ALL_CAP_NAMES", "ALL_FLAGS", "ALL_FLAG_NAMES", "get_caps", "set_caps"]
        value += (*_LIVE, *_LAZY, *_prctl._public_names())
    elif name in _LAZY:
        value = getattr(_load(name), name)
    elif name == "prctl":  # the raw door: public, but not in __all__
        value = _prctl.prctl
    else:
        value = _prctl._public(name)
    return globals().setdefault(name, value)  # another thread's, if that was first


def __dir__():
    return {*globals(), *sys.modules[__name__].__all__, "prctl"}


class _Module(type(sys)):
    """Refuses to put a plain set in the place of a live one."""

    def __setattr__(self, name, value):
        if name in _LIVE and value is not getattr(self, name):
            raise AttributeError(
                f"prctl.{name} is live and cannot be replaced: use its methods, or -=, &= and |="
            )
        super().__setattr__(name, value)

    def __delattr__(self, name):
        if name in _LIVE:
            raise AttributeError(f"prctl.{name} is live and cannot be deleted")
        super().__delattr__(name)


sys.modules[__name__].__class__ = _Module

if __name__ == "__main__":
    __import__("_prctl_cli").main(sys.argv[1:])
