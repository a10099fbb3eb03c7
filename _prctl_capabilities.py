"""Capabilities as values: libcap's text form, files, processes. Loaded when first used."""

import _prctl
import prctl


def _names_of(place, text):
    """The attribute of one of the three sets."""

    def fget(self):
        return frozenset(prctl._names(self._masks[place]))

    return property(fget, None, None, text)


class Capabilities:
    """Three sets of capabilities, as a process or a file has them: an immutable, hashable value.

    Each argument is a capability or an iterable of them: a str in any case, with or without
    "cap_", or an int from 0 to 63. ValueError for any other, TypeError for another type. Values are
    equal when all three sets are.

    str() is libcap's text form, as getcap(8) and getpcaps(8) print it, and from_text() reads it.
    Nothing about a process or a file changes before apply() or to_file(). The names are those of
    ALL_CAP_NAMES; what has no name on the running kernel is its decimal number.

    Scope: the calling thread for current() and apply(), any process for of(), and files. Since
    Linux 2.6.26. See cap_from_text(3), cap_get_proc(3), cap_get_file(3) and capabilities(7).
    """

    __module__ = "prctl"
    __slots__ = ("_masks",)

    # In libcap's order.
    effective = _names_of(0, "The effective set: a frozenset of names.")
    permitted = _names_of(1, "The permitted set: a frozenset of names.")
    inheritable = _names_of(2, "The inheritable set: a frozenset of names.")

    def __new__(cls, permitted=(), effective=(), inheritable=()):
        sets = effective, permitted, inheritable
        return cls._from_masks(tuple(prctl._mask(prctl._several(each)) for each in sets))

    @classmethod
    def _from_masks(cls, masks):
        self = object.__new__(cls)
        object.__setattr__(self, "_masks", masks)
        return self

    @classmethod
    def from_text(cls, text):
        """Return what a text says: "cap_net_raw,cap_chown=ep", as setcap(8) takes it.

        Names need their "cap_", in any case; numbers up to 63 stand for themselves, "all" or no
        name at all for every capability of the running kernel. The empty text is the empty value.
        ValueError for what libcap refuses and for a NUL, TypeError for what is no str.

        See cap_from_text(3).
        """
        return cls._from_masks(_prctl._cap_from_text(text))

    @classmethod
    def current(cls):
        """Return the three sets of the calling thread. See cap_get_proc(3)."""
        return cls._from_masks(_prctl._cap_get_proc())

    @classmethod
    def of(cls, pid):
        """Return the three sets of another process.

        They are those of its main thread; *pid* may be the id of another thread as well. It needs
        no privilege. ProcessLookupError when there is none, ValueError below 1, OverflowError for
        what does not fit 32 bits.

        See cap_get_pid(3).
        """
        return cls._from_masks(_prctl._cap_get_pid(pid))

    @classmethod
    def from_file(cls, path):
        """Return the capabilities of a file, or None if it has none.

        *path* is a str, bytes or os.PathLike, of which symbolic links are followed, or a file
        descriptor or an object with fileno(). It needs no privilege beyond reaching the file. In a
        file, effective is one bit: all of permitted and inheritable are effective, or nothing is. A
        file with empty sets is not one without: set-user-ID root, it gives no capabilities.

        The root user of a version 3 attribute is not part of the value, so that to_file() without
        rootid gives the file's copy capabilities outside of that user's namespaces, too. getcap -n
        shows it; os.getxattr(path, "security.capability")[20:] holds it, in little-endian order,
        and is empty for version 2. OSError with EOVERFLOW when the calling process's user namespace
        does not have that user.

        Since Linux 2.6.24. See cap_get_file(3) and capabilities(7).
        """
        masks = _prctl._cap_get_file(path)
        return None if masks is None else cls._from_masks(masks)

    def to_file(self, path, rootid=None):
        """Give a file these capabilities, in place of those that it had.

        *path* is that of from_file(), but must lead to a regular file: OSError with EINVAL for a
        symbolic link, which nobody follows, and any other type. A descriptor may be open for
        reading only. In a file, effective is one bit: ValueError, before anything else, unless it
        is empty or all of permitted and inheritable. Capabilities that the running kernel does not
        have are written like the others.

        With a *rootid*, the attribute is of version 3 (Linux 4.14; libcap 2.26, else OSError with
        EOPNOTSUPP): it counts only in user namespaces whose root is this user, and in those below.
        It is a user id as the calling process sees it: OverflowError for what does not fit 32 bits,
        ValueError for the last of those, 4294967295, OSError with EINVAL for one that its user
        namespace does not have. With 0, or without, it is of version 2, which the kernel makes one
        of version 3 when the process is in another user namespace than the file system.

        CAP_SETFCAP is needed: PermissionError. Writing to the file, or changing its owner, removes
        its capabilities.

        Since Linux 2.6.24. See cap_set_file(3), setcap(8) and capabilities(7).
        """
        effective, permitted, inheritable = self._masks
        if effective not in (0, permitted | inheritable):
            raise ValueError(
                "In a file, effective must be empty or all of permitted and inheritable: "
                f"{str(self)!r}"
            )
        _prctl._cap_set_file(path, *self._masks, rootid)

    def apply(self):
        """Make these the three sets of the calling thread, in one capset(2).

        PermissionError when the thread may not have them, ValueError for a capability that the
        running kernel does not have; nothing has changed then. What leaves permitted or inheritable
        leaves ambient, too.

        Scope: the calling thread; inside all_threads() every thread gets these very sets, which is
        a RuntimeError if one of them may not have them.

        See capset(2) and capabilities(7).
        """
        _prctl._capset(*self._masks)

    def __str__(self):
        return _prctl._cap_to_text(*self._masks)

    def __repr__(self):
        return f"prctl.{type(self).__qualname__}.from_text({str(self)!r})"

    def __eq__(self, other):
        if not isinstance(other, Capabilities):
            return NotImplemented
        return self._masks == other._masks

    def __hash__(self):
        return hash(self._masks)

    def __setattr__(self, name, value):
        raise AttributeError(f"Capabilities cannot be changed: {name}")

    def __delattr__(self, name):
        raise AttributeError(f"Capabilities cannot be changed: {name}")

    def __reduce__(self):
        # By number: a capability without a name may have got one where the pickle is read.
        effective, permitted, inheritable = (
            tuple(number for number in range(64) if mask >> number & 1) for mask in self._masks
        )
        return type(self), (permitted, effective, inheritable)


def remove_file_caps(path):
    """Take the capabilities of a file away, as setcap -r does.

    *path* is that of Capabilities.to_file(), with the same errors: a regular file, and no symbolic
    link. OSError with ENODATA when the file has no capabilities. CAP_SETFCAP is needed:
    PermissionError. Some kernels before 6.11 let anyone remove them: those with BPF among their
    security modules, but neither SELinux nor Smack; Debian 12's is one.

    Scope: any process that executes the file from then on. Since Linux 2.6.24. See
    cap_set_file(3) and setcap(8).
    """
    _prctl._cap_remove_file(path)


remove_file_caps.__module__ = "prctl"
