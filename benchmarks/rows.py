"""What is measured: a row for each call, with its limit and its peers."""

import platform
from typing import NamedTuple

# An environment and the module that is imported in it. The first is this library's.
MODULES = {
    "prctl": "prctl",
    "python-prctl": "prctl",
    "pyprctl": "pyprctl",
    "setproctitle": "setproctitle",
    "empty": "empty",
}
LIMIT, BY_ATTRIBUTE = "limit", "prctl.name"


class Row(NamedTuple):
    name: str  # on the command line
    what: str
    at_most: float
    of: str  # what at_most refers to: LIMIT, or PEER for the best one
    statements: dict  # by label: (environment, statement); environment C for a name of limit.c
    how: str = "loop"  # or "thread", for each time; "once" and those of import in a new process
    setup: str = ""
    calls: int = 1  # in a statement; C makes one
    clock: str = "perf_counter"  # of the module time
    needs_root: bool = False


PEER = "peer"
OLD = ("python-prctl",)
BOTH = ("python-prctl", "pyprctl")


def row(name, at_most, template, limit, peers=OLD, *, what="", of=LIMIT, others=(), **options):
    """A row of calls: the same statement in every environment but those of others."""
    statement = template.format("")
    statements = {
        "prctl": ("prctl", statement),
        BY_ATTRIBUTE: ("prctl", template.format("prctl.")),
        LIMIT: ("C", limit),
        **{peer: (peer, statement) for peer in peers},
        **{peer: (peer, other) for peer, other in dict(others).items()},
    }
    # Time of the processor, which others on the machine do not lengthen.
    what = what or statement
    return Row(name, what, at_most, of, statements, clock="thread_time", **options)


def importing(name, what, at_most):
    statements = {
        "prctl": ("prctl", "import prctl"),
        LIMIT: ("empty", "import empty"),
        **{peer: (peer, f"import {MODULES[peer]}") for peer in (*BOTH, "setproctitle")},
    }
    return Row(name, what, at_most, PEER, statements, how=name)


def all_threads(threads, statement, at_most):
    name = statement.partition("(")[0]
    what = f"{name}(), {threads} thread{'s' * (threads > 1)}"
    statements = {
        "prctl": ("prctl", f"with all_threads(): {statement}"),
        LIMIT: ("C", f"setresuid {threads}"),
    }
    # One thread is interrupted by nobody, least of all by libc.
    at_most = at_most if threads >= 16 else None
    return Row(f"{name}-{threads}", what, at_most, LIMIT, statements, setup=f"threads({threads})")


def drop_privileges(threads):
    statements = {
        "prctl": ("prctl", "drop_privileges(65534, 65534, groups=[])"),
        LIMIT: ("C", f"drop_privileges {threads}"),
    }
    what = f"drop_privileges(), {threads} thread{'s' * (threads > 1)}"
    return Row(
        f"drop_privileges-{threads}",
        what,
        1.5,
        LIMIT,
        statements,
        how="once",
        setup=f"threads({threads})",
        needs_root=True,
    )


def popen(name, what, gib):
    command = '["/bin/true"]'
    statements = {
        "prctl": ("prctl", f"Popen({command}, pdeathsig=SIGTERM).wait()"),
        LIMIT: ("prctl", f"subprocess.Popen({command}).wait()"),
        "preexec_fn": ("prctl", f"subprocess.Popen({command}, preexec_fn=ask).wait()"),
    }
    setup = "import subprocess; from signal import SIGTERM; ask = lambda: set_pdeathsig(SIGTERM)"
    setup += f"; memory = resident({gib})" * bool(gib)
    at_most = 1.2 if platform.machine() in ("x86_64", "aarch64") else 2.2  # see src/start.h
    return Row(name, what, at_most, LIMIT, statements, setup=setup)


def table(gib):
    """All rows; gib is the memory of the process with much of it."""
    return [
        row("get_dumpable", 1.35, "{}get_dumpable()", "get_dumpable", BOTH),
        row("set_name", 1.4, '{}set_name("abc")', "set_name", BOTH),
        row("get_name", 1.5, "{}get_name()", "get_name", BOTH),
        row("has_capability", 1.8, "{}cap_effective.sys_admin", "capget", BOTH),
        row(
            "change_capability",
            1.4,
            "{0}cap_effective.chown = False; {0}cap_effective.chown = True",
            "capget_capset",
            BOTH,
            what="cap_effective.chown = …",
            calls=2,
            needs_root=True,
        ),
        row(
            "limit_effective",
            2,
            '{}cap_effective.limit("sys_admin", "setpcap")',
            "capget_capset",
            what="cap_effective.limit(two)",
            others={"pyprctl": "cap_effective.limit(Cap.SYS_ADMIN, Cap.SETPCAP)"},
            needs_root=True,
        ),
        row(
            "limit_bounding",
            1.3,
            "{}capbset.limit()",
            "capbset_drop",
            BOTH,
            how="thread",
            needs_root=True,
        ),
        row(
            "set_proctitle",
            0.6,
            '{}set_proctitle("worker: idle")',
            "memcpy",
            of=PEER,
            others={"setproctitle": 'setproctitle("worker: idle")'},
        ),
        importing("import", "import prctl", 0.6),
        importing("resident", "import prctl, resident memory", 0.8),
        importing("private", "import prctl, private memory", 0.8),
        *(all_threads(threads, "set_no_new_privs()", 1.2) for threads in THREADS),
        *(all_threads(threads, 'cap_effective.drop("sys_boot")', 1.2) for threads in THREADS),
        drop_privileges(1),
        drop_privileges(64),
        popen("popen", "Popen(pdeathsig=…)", 0),
        popen("popen-resident", f"Popen(pdeathsig=…), {gib:g} GiB resident", gib),
    ]


THREADS = (1, 16, 64, 256, 1000)
