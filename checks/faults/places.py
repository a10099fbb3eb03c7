"""The places of the build, and what faults.c does with them."""

import bisect
import ctypes
import functools
import subprocess
from collections import Counter
from typing import NamedTuple

import building

CONTEXT = 3  # passages of a place that differ in that many functions are told from each other


class Place(NamedTuple):
    """A call that can fail, under a name that outlives changes elsewhere in the file."""

    file: str
    function: str
    callee: str
    ordinal: int  # among the same calls of the function
    kind: str  # of failure: see faults.h
    line: int

    def __str__(self):
        ordinal = f" {self.ordinal}" if self.ordinal > 1 else ""
        return f"{self.file} {self.function}() {self.callee}{ordinal}"


def _numbered(rows):
    """Places from (file, function, callee, kind, line), by the order of their lines."""
    rows = list(rows)
    order = sorted(range(len(rows)), key=lambda number: (rows[number][4], number))
    seen, places = Counter(), [None] * len(rows)
    for number in order:
        file, function, callee, kind, line = rows[number]
        seen[file, function, callee] += 1
        ordinal = seen[file, function, callee]
        places[number] = Place(file, function, callee, ordinal, kind, line)
    return places


class _CPlace(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("file", "function", "callee", "kind")),
        ("line", ctypes.c_int),
    )


class _CPassage(ctypes.Structure):
    _fields_ = (("place", ctypes.c_size_t), ("callers", ctypes.c_size_t * 10))


class Extension:
    """The extension's places, to be counted and made to fail in this process."""

    HOLDINGS = "memory", "mappings", "libcap's memory", "buffers", "locks"

    def __init__(self):
        self._library = library = ctypes.CDLL(str(building.LIBRARY))
        library.fault_at.restype = ctypes.POINTER(_CPlace)
        library.fault_count.restype = ctypes.c_size_t
        library.fault_log.restype = ctypes.c_size_t
        library.fault_holdings.restype = ctypes.c_void_p
        rows = [library.fault_at(ctypes.c_size_t(i))[0] for i in range(library.fault_count())]
        self.places = _numbered(
            (
                row.file.decode(),
                row.function.decode(),
                row.callee.decode(),
                row.kind.decode(),
                row.line,
            )
            for row in rows
        )
        held = ctypes.c_long * len(self.HOLDINGS)
        self._holdings = held.from_address(library.fault_holdings())
        self._functions = _functions(building.LIBRARY)

    def begin(self, armed=()):
        """Count from now on; let each (place, passage, errno, its function's caller) fail."""
        self._library.fault_begin()
        for which, (place, passage, error, caller) in enumerate(armed):
            place, caller = ctypes.c_size_t(place), ctypes.c_size_t(caller)
            self._library.fault_arm(which, place, passage, error, caller)

    def end(self):
        """How many have failed."""
        return self._library.fault_end()

    def passages(self):
        """{(place, functions it is in, from the inside): [(passage, caller, more of those)]}"""
        first = ctypes.POINTER(_CPassage)()
        count = self._library.fault_log(ctypes.byref(first))
        before, found = Counter(), {}
        for passage in first[:count]:
            chain = self._chain(tuple(passage.callers))
            key = passage.place, chain[:CONTEXT]
            found.setdefault(key, []).append((before[passage.place], passage.callers[1], chain))
            before[passage.place] += 1
        return found

    @functools.cache  # noqa: B019  there is one
    def _chain(self, addresses):
        starts, names = self._functions
        found = [names[bisect.bisect(starts, address) - 1] for address in addresses if address]
        if found and found[-1].startswith("call_") and found[-1] != "call_prctl":
            found.pop()  # of a row, as its macro has made it
        return tuple(found)

    def holdings(self):
        return dict(zip(self.HOLDINGS, self._holdings, strict=True))


def _functions(binary):
    """The addresses of its functions, and their names."""
    listed = subprocess.run(["nm", binary], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    found = sorted((int(row[0], 16), row[2]) for row in rows if len(row) == 3 and row[1] in "tT")
    return [address for address, _ in found], [name for _, name in found]


def of_launcher():
    listed = subprocess.run(
        [building.LAUNCHER],
        env={"PRCTL_FAULTS": "list"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = (line.split("\t") for line in listed.splitlines())
    return _numbered((*row[:4], int(row[4])) for row in rows)
