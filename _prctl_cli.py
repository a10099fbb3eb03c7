"""python -m prctl: shows what a process has, and becomes a command that shall have it.

docs/command.rst is its manual. Loaded by prctl.py when that is executed, never by an import.
"""

import argparse
import contextlib
import errno
import grp
import itertools
import json
import os
import pwd
import signal
import sys
import unicodedata

import _prctl_children as children
import _prctl_operations as operations
import prctl

_FAILED, _USAGE, _REFUSED, _CANNOT_EXECUTE = 1, 2, 125, 126  # exit statuses


def main(arguments):
    """Do what the arguments say; it ends the process, or executes a command in its place."""
    parent = os.getppid()
    # Python ignores or catches them: a command shall not, nor this one at the end of a pipe.
    for number in signal.SIGPIPE, signal.SIGXFSZ:
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if arguments[:1] == ["exec"]:
        _execute(arguments[1:], parent)
    else:
        _show(arguments)


def _fail(status, message):
    text = f"prctl: {_printable(message)}\n"
    with contextlib.suppress(OSError):  # nobody is left to be told
        os.write(2, text.encode(sys.getfilesystemencoding(), "backslashreplace"))
    sys.exit(status)


def _write(text):
    try:
        with open(1, "w", errors="backslashreplace", closefd=False) as output:
            output.write(text)
    except OSError as error:
        _fail(_FAILED, f"standard output: {error.strerror}")


class _Parser(argparse.ArgumentParser):
    def __init__(self, prog, **options):
        super().__init__(prog, allow_abbrev=False, **options)

    def error(self, message):
        _fail(_USAGE, f"{message}; see {self.prog} --help")

    def print_help(self, file=None):
        _write(self.format_help())


# exec.


def _execute(arguments, parent):
    """Execute a command in place of this process, with the attributes that the options name."""
    parser = _exec_parser()
    options, command = _split(parser, arguments)
    try:
        wanted = children._checked(children._Attributes(**options))
    except (ValueError, OverflowError) as error:
        parser.error(str(error))
    except KeyError as error:
        _fail(_REFUSED, error.args[0])
    _take_back_locale()
    try:
        children._become(command, wanted, parent)
    except ValueError as error:  # a capability that this kernel does not have
        parser.error(str(error))
    except OSError as error:
        if error.errno == errno.E2BIG:
            _fail(_CANNOT_EXECUTE, f"{command[0]}: {error.strerror}")
        place = f"{error.filename}: " if error.filename else ""
        _fail(_REFUSED, place + error.strerror)


def _exec_parser():
    parser = _Parser(
        "python -m prctl exec",
        usage="%(prog)s [OPTION]... [--] COMMAND [ARGUMENT]...",
        description="Become COMMAND, with certain attributes. CAPS, GROUPS and BITS are names with "
        "commas between them, or nothing: --bounding= keeps none. Options of CAPS may be repeated.",
        epilog="The exit status is 2 for bad usage, 125 if something is refused, 126 if COMMAND "
        "cannot be executed, 127 if it is not found, otherwise COMMAND's.",
    )

    def option(name, kind, text, metavar, **more):
        parser.add_argument(name, type=kind, metavar=metavar, help=text, **more)

    def capabilities(name, text, **more):
        option(name, _capabilities, text, "CAPS", action="extend", **more)

    def flag(name, text):
        parser.add_argument(name, action="store_const", const=True, help=text)

    option("--user", _user, "user to become, a name or an id", "USER")
    option("--group", _group, "group, instead of the account's", "GROUP")
    option("--groups", _groups, "supplementary groups, likewise", "GROUPS", dest="extra_groups")
    capabilities("--keep", "capabilities for COMMAND, whatever the user is", default=[])
    capabilities("--ambient", "add to inheritable and ambient, without --user", default=[])
    capabilities("--inheritable", "what shall be inheritable besides")
    capabilities("--bounding", "what to keep of the bounding set")
    option("--securebits", _securebits, "secure bits, in place of those that are set", "BITS")
    flag("--no-new-privs", "no exec shall give privileges any more")
    option("--pdeathsig", _signal, "signal to get when the parent ends, a name or a number", "SIG")
    option("--timerslack", int, "timer slack in nanoseconds", "NS")
    flag("--child-subreaper", "adopt the orphans among the descendants")
    flag("--thp-disable", "no transparent huge pages")
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _split(parser, arguments):
    """The attributes, by the names of launcher(), and the command. Its own "--" stay in it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = vars(parser.parse_args(arguments[:end]))
    command = options.pop("command")
    command += arguments[end:] if command else arguments[end + 1 :]
    if not command:
        parser.error("no COMMAND is given")
    if options["user"] is None:  # exec itself takes what is not ambient
        options["ambient"] = options["ambient"] + options["keep"]
        options["keep"] = []
    return options | {"seccomp": None}, command


def _take_back_locale():
    """Undo the only change that Python makes to the environment: LC_CTYPE in the C locale."""
    given = _read("/proc/self/environ")
    if given is not None and not any(line.startswith(b"LC_CTYPE=") for line in given.split(b"\0")):
        os.environ.pop("LC_CTYPE", None)


# What the options take: a name that cannot be is bad usage, one that this machine lacks is not.


def _words(text):
    return [word for word in text.split(",") if word]


def _wrong(message):
    raise argparse.ArgumentTypeError(message)


def _capabilities(text):
    names = _words(text)
    try:
        prctl._mask(names)
    except ValueError as error:
        _wrong(str(error))
    return names


def _securebits(text):
    known = {name: getattr(prctl, f"SECBIT_{name.upper()}") for name in _SECUREBITS}
    bits = 0
    for word in _words(text):
        bits |= known.get(word.lower()) or _wrong(f"Unknown securebit: {word}")
    return bits


def _signal(text):
    name = text.upper()
    for known in name, f"SIG{name}":
        if known in signal.Signals.__members__:
            return signal.Signals[known]
    if text.isascii() and text.isdigit() and 1 <= int(text) <= signal.SIGRTMAX:
        return int(text)
    return _wrong(f"Unknown signal: {text}")


def _id(what, lookup, text):
    """A name, or the id that a text is if it is no name: see chown(1)."""
    try:
        lookup(text)
    except KeyError:
        if text.isascii() and text.isdigit():
            return int(text)
        _fail(_REFUSED, f"unknown {what}: {text}")
    return text


def _user(text):
    return _id("user", pwd.getpwnam, text)


def _group(text):
    return _id("group", grp.getgrnam, text)


def _groups(text):
    return [_group(word) for word in _words(text)]


# What a process has.


def _show(arguments):
    parser = _Parser(
        "python -m prctl",
        usage="%(prog)s [--json] [--all] [PID]\n       %(prog)s exec [OPTION]... [--] COMMAND ...",
        description="Show the attributes of a process. Without PID, those that this command has "
        "been given by who started it. What may not be read is shown as such.",
    )
    parser.add_argument("pid", nargs="?", type=_pid, metavar="PID", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one object, for programs")
    parser.add_argument("--all", action="store_true", help="a row for every capability")
    options = parser.parse_args(arguments)
    pid = options.pid or os.getpid()
    try:
        found = _attributes(pid)
    except ProcessLookupError:
        _fail(_FAILED, f"there is no process {pid}")
    _write(json.dumps(found, indent=2) + "\n" if options.json else _page(found, options.all))


def _pid(text):
    if text.isascii() and text.isdigit() and 1 <= int(text) < 1 << 31:
        return int(text)
    return _wrong(f"no process id: {text}")


def _attributes(pid):
    """The attributes of a process, by their names in prctl; None for what may not be read.

    Another process's are those that /proc tells. ProcessLookupError when there is none.
    """
    folder = f"/proc/{pid}"
    if pid == os.getpid():
        asked = {name: _asked(name) for name in _ASKED}
    else:
        timerslack = _converted(int, _read(f"{folder}/timerslack_ns"))
        asked = dict.fromkeys(_ASKED) | {"timerslack": timerslack}
    texts = {"name": _name(folder), "title": _converted(_title, _read(f"{folder}/cmdline"))}
    tids = _thread_ids(folder)
    told = _told(_status(pid))  # after those: what has a status now was there all the time
    threads = {
        "threads": _converted(len, tids),
        "differing_threads": _converted(lambda tids: _differing(pid, tids, told), tids),
    }
    return {"pid": pid} | texts | told | asked | threads


_ASKED = ("dumpable", "securebits", "pdeathsig", "timerslack", "child_subreaper", "thp_disable")


def _asked(name):
    try:
        value = getattr(prctl, f"get_{name}")()
    except OSError:  # not on this kernel
        return None
    return _securebit_names(value) if name == "securebits" else value


def _securebit_names(bits):
    """Like capabilities, what has no name yet has its number."""
    known = dict(enumerate(_SECUREBITS))
    return [known.get(number, str(number)) for number in prctl._bits(bits)]


_SECUREBITS = [name + lock for name, _ in prctl._SECUREBITS for lock in ("", "_locked")]


def _read(path):
    """The bytes of a file of /proc; None when they may not be read, or are not there."""
    try:
        return operations.contents(path)
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        return None


def _converted(convert, value):
    return None if value is None else convert(value)


def _name(folder):
    return _converted(lambda text: os.fsdecode(text[:-1]), _read(f"{folder}/comm"))


def _title(text):
    return os.fsdecode(text.rstrip(b"\0").replace(b"\0", b" "))


def _status(pid):
    """The fields of its status; none when it may not be read."""
    try:
        return operations.status_fields(operations.contents(f"/proc/{pid}/status"))
    except PermissionError:
        return {}
    except FileNotFoundError:
        with contextlib.suppress(PermissionError):
            os.kill(pid, 0)  # it may be hidden: see hidepid in proc(5)
        return {}


def _ids(text):
    return dict(zip(("real", "effective", "saved", "fs"), map(int, text.split()), strict=True))


def _set(text):
    return sorted(prctl._names(int(text, 16)))


# What /proc tells of a thread: the field of its status, and what that is here.
_TOLD = {
    "tgid": ("Tgid", int),
    "uid": ("Uid", _ids),
    "gid": ("Gid", _ids),
    "groups": ("Groups", lambda text: sorted(map(int, text.split()))),
    "no_new_privs": ("NoNewPrivs", lambda text: text == "1"),
    "seccomp": ("Seccomp", int),
    "seccomp_filters": ("Seccomp_filters", int),
    "cap_effective": ("CapEff", _set),
    "cap_permitted": ("CapPrm", _set),
    "cap_inheritable": ("CapInh", _set),
    "cap_ambient": ("CapAmb", _set),
    "capbset": ("CapBnd", _set),
}


def _told(fields):
    return {
        name: _converted(convert, fields.get(field)) for name, (field, convert) in _TOLD.items()
    }


def _thread_ids(folder):
    try:
        return sorted(map(int, os.listdir(f"{folder}/task")))
    except (PermissionError, FileNotFoundError):
        return None


def _differing(pid, tids, told):
    """The threads that have something else than told: each with what it has instead."""
    differ = []
    for tid in tids:
        folder = f"/proc/{pid}/task/{tid}"
        try:
            told_of_it = _told(operations.status_fields(operations.contents(f"{folder}/status")))
            others = {name: value for name, value in told_of_it.items() if value != told[name]}
            if others and not operations.runs_no_code(folder):
                differ.append({"tid": tid, "name": _name(folder)} | others)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
    return differ


# The page for a person: lines of parts, each a text and how it looks.

_COLUMNS, _LABEL = 80, 19  # of the page, and of the names on its left
_BOLD, _DIM, _RED, _GREEN = "1", "2", "31", "32"


def _page(found, every_row):
    hidden = _SETS if found["tgid"] != found["pid"] else (*_SETS, "tgid")
    blocks = [
        _entries({name: found[name] for name in _SHOWN if name not in hidden}),
        _table([found[name] for name in _SETS], every_row),
        *map(_thread, _alike(found["differing_threads"] or ())),
    ]
    coloured = _has_colours()
    blocks = ("".join(_line(parts, coloured) + "\n" for parts in block) for block in blocks)
    return "\n".join(blocks)


def _has_colours():
    return (
        os.isatty(1)
        and not os.environ.get("NO_COLOR")  # no-color.org
        and os.environ.get("TERM") not in (None, "", "dumb")
    )


def _line(parts, coloured):
    return "".join(f"\33[{look}m{text}\33[m" if look and coloured else text for text, look in parts)


def _entries(values):
    """Attributes, each behind its name."""
    for name, value in values.items():
        text = "not readable" if value is None else _SHOWN[name](value) or "none"
        alarming = value and name == "differing_threads"
        yield from _entry(name, text, _RED if alarming else _DIM if value is None else "")


def _entry(name, text, look=""):
    for line in _filled(text, _COLUMNS - _LABEL):
        yield (name.ljust(_LABEL), _BOLD), (line, look)
        name = ""


def _filled(text, columns):
    """The text in lines, which end at spaces where there are some."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and _width(f"{lines[-1]} {word}") > columns:
            lines.append(word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return [piece for line in lines for piece in _broken(line, columns)]


def _broken(line, columns):
    start = width = 0
    for place, character in enumerate(line):
        width += _width(character)
        if width > columns:
            yield line[start:place]
            start, width = place, _width(character)
    yield line[start:]


def _width(text):
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)


def _printable(text):
    """The same for a terminal: a process may have anything in its title."""
    text = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# How each attribute is shown: a text, empty if there is none.


def _flag(value):
    return "yes" if value else "no"


def _text(text):
    shown = _printable(text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} ..."


_LONGEST = 240


def _one_of(names):
    """The name of a number, which may be one that a later kernel has added."""
    return lambda number: names.get(number, str(number))


def _signal_shown(number):
    names = {value: name for name, value in signal.Signals.__members__.items()}
    return f"{number} ({names[number]})" if number in names else str(number or "")


def _with_name(lookup):
    def shown(number):
        try:
            return f"{number}({_printable(lookup(number)[0])})"
        except KeyError:
            return str(number)

    return shown


_user_shown, _group_shown = _with_name(pwd.getpwuid), _with_name(grp.getgrgid)


def _four(shown):
    """Which of the four ids is which."""

    def text(ids):
        kinds = itertools.groupby(ids, ids.get)
        return ", ".join(f"{'/'.join(which)} {shown(number)}" for number, which in kinds)

    return text


def _capabilities_shown(names):
    missing = [name for name in sorted(prctl.ALL_CAP_NAMES) if name not in names]
    if not missing:
        return "all"
    return ", ".join(names) if len(names) <= len(missing) else f"all but {', '.join(missing)}"


_SETS = ("cap_effective", "cap_permitted", "cap_inheritable", "cap_ambient", "capbset")
_SHOWN = {
    "pid": str,
    "tgid": str,  # another number only for a thread
    "name": _text,
    "title": _text,
    "uid": _four(_user_shown),
    "gid": _four(_group_shown),
    "groups": lambda gids: ", ".join(map(_group_shown, gids)),
    "no_new_privs": _flag,
    "seccomp": _one_of({0: "off", 1: "strict", 2: "filter"}),
    "seccomp_filters": str,
    "dumpable": _flag,
    "securebits": ", ".join,
    "pdeathsig": _signal_shown,
    "timerslack": "{} ns".format,
    "child_subreaper": _flag,
    "thp_disable": _one_of({0: "no", 1: "yes", 3: "except advised"}),
    "threads": str,
    "differing_threads": lambda threads: f"{len(threads)}, see below" if threads else "",
} | dict.fromkeys(_SETS, _capabilities_shown)


# The table of capabilities.

_HEADS = "effective", "permitted", "inheritable", "ambient", "bounding"
_LOOKS = {"x": _GREEN, "-": _DIM, "?": _DIM}


def _table(sets, every_row):
    """A row for each capability that the process has, a column for each set.

    Those that it does not have are listed by name, unless they shall have rows as well.
    """
    yield _row("capabilities", _HEADS)
    yield _row("in the set", map(_how_many, sets))
    others = {"x": [], "-": [], "?": []}
    for name in sorted(prctl.ALL_CAP_NAMES):
        marks = ["?" if each is None else "x" if name in each else "-" for each in sets]
        if every_row or "x" in marks[:4]:
            yield _row(name, marks)
        else:
            others[marks[4]].append(name)
    for label, mark in (("bounding only", "x"), ("in no set", "-")):
        if others[mark]:
            yield from _entry(label, _capabilities_shown(others[mark]))
    if None in sets:
        yield from _entry("?", "not readable", _DIM)


def _how_many(names):
    if names is None:
        return "?"
    everything = len(prctl.ALL_CAP_NAMES)
    return {0: "none", everything: "all"}.get(len(names), f"{len(names)} of {everything}")


def _row(label, cells):
    parts = [(label.ljust(_LABEL), _BOLD)]
    for cell, head in zip(cells, _HEADS, strict=True):
        parts.append((cell.center(len(head) + 3), _BOLD if cell == head else _LOOKS.get(cell, "")))
    text, look = parts.pop()
    return *parts, (text.rstrip(), look)


# Threads that differ.


def _alike(threads):
    """The threads that have the same, and what that is: a list of pairs."""
    groups = []
    for thread in threads:
        has = {name: value for name, value in thread.items() if name not in ("tid", "name")}
        for known, members in groups:
            if known == has:
                members.append(thread)
                break
        else:
            groups.append((has, [thread]))
    return groups


def _thread(group):
    """What some threads have in place of what is shown above."""
    has, members = group
    who = [f"{thread['tid']} ({_printable(thread['name'] or '?')})" for thread in members]
    yield from _entry("threads with", ", ".join(who), _RED)
    yield from _entries(has)
