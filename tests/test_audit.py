"""The audit events: one before each change, with what it is; a hook that raises stops the change.

A hook cannot be taken away again: all of this happens in child processes.
"""

import os
import sys
from pathlib import Path

import pytest
import support
from support import Worker, in_child
from test_module import KINDS, run_interpreters
from test_strace import NUMBERS, POINTER, ROWS

import prctl

AMBIENT, DROP, SECUREBITS, SECCOMP = 47, 24, 28, 22  # PR_CAP_AMBIENT and so on
ALLOW_ALL = support.refuse("getppid", 0)[-8:]  # the last instruction of any filter


class Refused(Exception):
    """What a hook raises."""


def listen():
    """The list that the library's events will be in."""
    events = []
    sys.addaudithook(lambda name, args: name[:6] == "prctl." and events.append((name, *args)))
    return events


def refuse(which=1):
    """Have a hook raise Refused at the library's events, from a certain one on."""
    events = listen()

    def hook(name, _):
        if name.startswith("prctl.") and len(events) >= which:
            raise Refused(name)

    sys.addaudithook(hook)
    return events


def is_refused(function):
    try:
        function()
    except Refused:
        return True
    return False


def prctl_event(*arguments):
    return ("prctl.prctl", *arguments, *[0] * (5 - len(arguments)))


# ---- Every row of the table

READING = {  # operations that only read
    ("PR_CAP_AMBIENT", 1),
    ("PR_SET_MM", 15),
    ("PR_SCHED_CORE", 0),
    ("PR_TIMER_CREATE_RESTORE_IDS", 2),
    ("PR_FUTEX_HASH", 2),
    ("PR_RSEQ_SLICE_EXTENSION", 1),
}


def only_reads(row):
    call, option, *arguments = row
    if isinstance(option, int) or call.startswith("prctl(35, "):  # nobody knows what these do
        return False
    return "_GET" in option or option == "PR_CAPBSET_READ" or (option, *arguments[:1]) in READING


def expected_events(row):
    """The arguments as the kernel gets them, and objects for addresses."""
    _, option, *arguments = row
    if only_reads(row):
        return []
    return [prctl_event(NUMBERS.get(option, option), *arguments)]


def shown(name, option, *arguments):
    described = [value if isinstance(value, int) else POINTER for value in arguments]
    return name, option & 0xFFFFFFFF, *described


EACH_ROW = pytest.mark.parametrize(
    ("place", "row"), list(enumerate(ROWS)), ids=[row[0] for row in ROWS]
)


@pytest.fixture(scope="module")
def events():
    """The events of each row, where every prctl(2) succeeds without being carried out."""

    def call_all():
        heard, found = listen(), []
        support.install_filter(support.refuse("prctl", 0))
        for row in ROWS:
            heard.clear()
            eval("prctl." + row[0])
            found.append([shown(*event) for event in heard])
        return found

    return in_child(call_all)


@EACH_ROW
def test_what_changes_something_has_an_event_and_what_reads_has_none(place, row, events):
    assert events[place] == expected_events(row)


SOURCE = """
import prctl, sys
prctl.set_no_new_privs()
prctl.set_seccomp(2, PROGRAM)
class Refused(Exception):
    pass
def hook(name, arguments):
    if name.startswith("prctl."):
        raise Refused
sys.addaudithook(hook)
for number, call in enumerate(CALLS):
    step(str(number))
    try:
        eval("prctl." + call)
    except Refused:
        step(f"{number} refused")
step("end")
"""


@pytest.fixture(scope="module")
def refused_trace():
    """What strace saw of each row where a hook refuses all."""
    program, calls = support.refuse("prctl", 0), [row[0] for row in ROWS]
    return support.traced_steps(f"PROGRAM = {program!r}\nCALLS = {calls}\n{SOURCE}", "prctl")


@EACH_ROW
def test_a_hook_that_raises_comes_before_the_system_call(place, row, refused_trace):
    changes = not only_reads(row)
    assert len(refused_trace[str(place)]) == (0 if changes else 1)
    assert (f"{place} refused" in refused_trace) == changes


# ---- The functions, as root and as an ordinary user

CHOWN, NET_RAW = 1 << 0, 1 << 13


def in_all_threads(function):
    with prctl.all_threads():
        function()


def drop_an_attribute():
    prctl.cap_effective.net_raw = False


def set_a_securebit():
    prctl.securebits.no_cap_ambient_raise = True


def filter_calls():
    prctl.set_no_new_privs()
    prctl.set_seccomp(2, ALLOW_ALL)


def capset_event(change):
    """That of the three masks which change() makes of the thread's."""
    return lambda: ("prctl.capset", *change(*map(support.capability_mask, FIELDS)))


FIELDS = "CapEff", "CapPrm", "CapInh"

# Changes, and their events.
FOR_ALL = {
    "a name": (lambda: prctl.set_name("n\xe4me"), prctl_event(15, "n\xe4me")),
    "a title": (lambda: prctl.set_proctitle(b"title"), ("prctl.set_proctitle", b"title")),
    "a flag": (lambda: prctl.set_keepcaps(True), prctl_event(8, 1)),
    "a filter": (filter_calls, prctl_event(38, 1), prctl_event(SECCOMP, 2, ALLOW_ALL)),
    "the raw door": (lambda: prctl.prctl(AMBIENT, 4), prctl_event(AMBIENT, 4)),
    "all threads": (lambda: in_all_threads(prctl.set_no_new_privs), prctl_event(38, 1)),
    "permitted": (prctl.cap_permitted.clear, capset_event(lambda e, p, i: (0, 0, i))),
    "three sets": (prctl.Capabilities().apply, ("prctl.capset", 0, 0, 0)),
    "ambient": (
        lambda: prctl.cap_ambient.drop("net_raw", "chown"),
        prctl_event(AMBIENT, 3, 0),
        prctl_event(AMBIENT, 3, 13),
    ),
    "all of ambient": (prctl.cap_ambient.clear, prctl_event(AMBIENT, 4)),
}
FOR_ROOT = {
    "bounding": (
        lambda: prctl.capbset.drop("net_raw", "chown"),
        prctl_event(DROP, 0),
        prctl_event(DROP, 13),
    ),
    "raised in ambient": (lambda: prctl.cap_ambient.add("chown"), prctl_event(AMBIENT, 2, 0)),
    "effective": (drop_an_attribute, capset_event(lambda e, p, i: (e & ~NET_RAW, p, i))),
    "set_caps": (
        lambda: prctl.set_caps(("net_raw", 1, False), ("chown", 2, False)),
        capset_event(lambda e, p, i: (e & ~NET_RAW, p & ~NET_RAW, i & ~CHOWN)),
    ),
    "a securebit": (set_a_securebit, prctl_event(SECUREBITS, 0x40)),
}


def begin(user):
    """As root with a capability in inheritable, which may become ambient."""
    if user:
        support.become_user()
    else:
        support.change_capabilities("CapInh", add=CHOWN)


EMULATED = {"a filter": pytest.mark.kernel("seccomp filters")}


@pytest.fixture(
    params=[pytest.param(name, marks=EMULATED.get(name, ())) for name in (*FOR_ALL, *FOR_ROOT)]
)
def change(request, user):
    if user and request.param in FOR_ROOT:
        pytest.skip("an ordinary user may not")
    return (FOR_ALL | FOR_ROOT)[request.param]


def test_each_change_has_its_events(change, user):
    def make():
        begin(user)
        function, *expected = change
        expected = [event() if callable(event) else event for event in expected]
        heard = listen()
        function()
        return heard, expected

    heard, expected = in_child(make)
    assert heard == expected


def test_nothing_changes_when_a_hook_raises(change, user):
    def make():
        begin(user)
        before = support.state()
        refuse()
        return is_refused(change[0]), before, support.state()

    refused, before, after = in_child(make)
    assert refused
    assert after == before


def test_a_hook_that_refuses_the_fifth_of_several_events_has_stopped_all(root):
    def make():
        before = support.state()
        heard = refuse(5)
        refused = is_refused(prctl.capbset.clear)
        return refused, [event[2] for event in heard], before == support.state()

    assert in_child(make) == (True, [0, 1, 2, 3, 4], True)


def test_all_threads_has_its_event_in_the_calling_thread_only(user):
    def make():
        begin(user)
        threads = [Worker() for _ in range(3)]
        callers = []
        sys.addaudithook(
            lambda name, _: name == "prctl.prctl" and callers.append(support.threading.get_ident())
        )
        in_all_threads(prctl.set_no_new_privs)
        changed = {*support.of_threads("NoNewPrivs").values()}
        return len(threads), callers == [support.threading.get_ident()], changed

    assert in_child(make) == (3, True, {"1"})


def test_a_hook_can_ask_the_library_and_sees_what_was_before(user):
    def make():
        begin(user)
        prctl.set_proctitle("old")
        seen = []

        def hook(name, args):
            if name == "prctl.set_proctitle" and args == ("new",):
                seen.append((prctl.get_proctitle(), prctl.get_ptracer() == os.getppid()))
                prctl.set_proctitle("by the hook")

        sys.addaudithook(hook)
        prctl.set_proctitle("new")
        return seen, prctl.get_proctitle()

    assert in_child(make) == ([("old", True)], "new")


# ---- Plans

PLAN = """
import prctl, sys
def hook(name, arguments):
    if name.startswith("prctl."):
        step(f"{name[6:]} {arguments}")
sys.addaudithook(hook)
prctl.drop_privileges(65534, 65533, groups=[5, 4], keep=["net_raw"], ambient=True)
"""


def test_the_events_of_drop_privileges_are_its_calls_and_come_before_the_first(root):
    calls = "prctl,capset,setgroups,setresgid,setresuid"
    calls += ",?setgroups32,?setresgid32,?setresuid32"  # where the others have 16 bits for an id
    steps = support.traced_steps(PLAN, calls, options=["-s", "99", "-e", "raw=prctl"])
    *earlier, last = steps.values()
    assert [*filter(None, earlier)] == []
    made = [call.partition("(") for call in last if not call.startswith("prctl(0x7,")]
    told = [step.partition(" ") for step in steps]
    assert [name for name, _, _ in told] == [name.removesuffix("32") for name, _, _ in made]
    for (name, _, event), (_, _, call) in zip(told, made, strict=True):
        if name == "prctl":
            words = call.partition(")")[0].split(", ")
            assert event == str(tuple(int(word, 0) for word in words))
    assert "setgroups ([4, 5],)" in steps
    assert "setresgid (65533, 65533, 65533)" in steps
    assert "setresuid (65534, 65534, 65534)" in steps
    assert f"capset {(NET_RAW,) * 3}" in steps


@pytest.mark.parametrize("name", ["setgroups", "setresgid", "setresuid", "capset", "prctl"])
def test_a_hook_that_refuses_one_step_stops_the_whole_plan(name, root):
    def make():
        before = support.state()

        def hook(event, args):
            if event == f"prctl.{name}" and args[0] != DROP:
                raise Refused

        sys.addaudithook(hook)
        refused = is_refused(lambda: prctl.drop_privileges(65534, 65534, groups=[]))
        return refused, before == support.state()

    assert in_child(make) == (True, True)


# ---- Files


@pytest.fixture(params=[str, os.fsencode, Path, lambda path: os.open(path, os.O_RDONLY)])
def file(request, tmp_path):
    (tmp_path / "file").touch()
    return request.param(str(tmp_path / "file"))


def xattr(path):
    try:
        return os.getxattr(path, "security.capability")
    except OSError as error:
        return error.errno


CAPABILITIES = prctl.Capabilities("net_raw", ["net_raw", "chown"], "chown")


def test_changing_a_file_has_its_event(file, root):
    path = file if isinstance(file, int) else os.fsdecode(file)
    support.needs(31, "CAP_SETFCAP")

    def make():
        heard = listen()
        CAPABILITIES.to_file(file)
        CAPABILITIES.to_file(file, rootid=1000)
        prctl.remove_file_caps(file)
        return heard

    masks = NET_RAW | CHOWN, NET_RAW, CHOWN
    events = [("prctl.cap_set_file", path, *masks, rootid) for rootid in (0, 1000)]
    assert in_child(make) == [*events, ("prctl.cap_remove_file", path)]


def test_a_file_stays_as_it_was_when_a_hook_raises(file, user):
    def make():
        refuse()
        before = xattr(file)
        refused = [
            is_refused(lambda: CAPABILITIES.to_file(file)),
            is_refused(lambda: prctl.remove_file_caps(file)),
        ]
        return refused, xattr(file) == before

    assert in_child(make, user=user) == ([True, True], True)


# ---- Children


def test_popen_has_the_event_of_subprocess(user):
    def make():
        begin(user)
        ours, commands = listen(), []
        sys.addaudithook(
            lambda name, args: name == "subprocess.Popen" and commands.append(args[1][-1])
        )
        prctl.Popen(["true"], no_new_privs=True).wait()
        return ours, commands

    assert in_child(make) == ([], ["true"])


@pytest.mark.parametrize("which", [1, 2, 3, 4])
def test_a_hook_that_raises_in_a_thread_of_popen_does_not_leave_it_waiting(which, root):
    def make():
        prctl.drop_privileges(support.USER, support.USER, groups=[], keep=["net_raw"])
        heard = refuse(which)
        refused = is_refused(lambda: prctl.Popen(["true"], ambient=["net_raw"]))
        return refused, len(heard) >= which

    assert in_child(make) == (True, True)


# ---- Interpreters


@KINDS
def test_an_interpreter_has_hooks_of_its_own(own_gil):
    other = """
import prctl, sys
heard = []
sys.addaudithook(lambda name, args: name.startswith("prctl.") and heard.append(name))
prctl.set_name("other")
assert heard == ["prctl.prctl"], heard
"""
    source = f"""
import prctl
heard = []
sys.addaudithook(lambda name, args: name.startswith("prctl.") and heard.append(args))
run(create({own_gil}), {other!r})
prctl.set_name("main")
print(heard)
"""
    assert run_interpreters(source) == "[(15, 'main', 0, 0, 0)]\n"


# ---- What a refused call leaves behind


def lend(buffer):
    """Calls that borrow the memory of a buffer."""
    size = len(buffer)
    return {
        "set_seccomp": lambda: prctl.set_seccomp(2, buffer),
        "set_syscall_user_dispatch": lambda: prctl.set_syscall_user_dispatch(1, 0, size, buffer),
        "set_mm": lambda: prctl.set_mm(12, buffer),
        "set_mm_map": lambda: prctl.set_mm_map(
            prctl.get_mm_map()._replace(auxv=buffer, auxv_size=size)
        ),
        "set_vma_anon_name": lambda: prctl.set_vma_anon_name(buffer, "name"),
        "prctl": lambda: prctl.prctl(AMBIENT, buffer),
    }


@pytest.mark.kernel("stat addresses")
@pytest.mark.parametrize("name", lend(b""))
def test_a_refused_call_gives_the_buffer_back(name):
    def make():
        buffer = bytearray(8)
        refuse()
        refused = is_refused(lend(buffer)[name])
        buffer.append(0)  # BufferError while it is lent
        return refused

    assert in_child(make)


@pytest.mark.kernel("stat addresses")
def test_a_refused_call_keeps_no_reference_to_what_it_was_given(tmp_path):
    path, title, buffer = str(tmp_path), b"a title of its own", bytearray(8)
    calls = [lambda: prctl.set_proctitle(title), lambda: prctl.set_name(title)]
    calls += [lambda: prctl.remove_file_caps(path), *lend(buffer).values()]
    calls += [lambda: CAPABILITIES.to_file(path)]

    def counts():
        return [sys.getrefcount(given) for given in (path, title, buffer)]

    def make():
        def hook(name, _):
            if name.startswith("prctl."):
                raise Refused

        sys.addaudithook(hook)
        before = counts()
        refused = [is_refused(call) for call in calls for _ in range(20)]
        return all(refused), before, counts()

    refused, before, after = in_child(make)
    assert refused
    assert after == before
