"""The five capability sets, against /proc, strace, libcap's programs and a model of the kernel."""

import errno
import operator
import os
import re
import signal
import struct
import threading
from collections.abc import MutableSet

import pytest
import support
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import _prctl
import prctl

FIELDS = {
    "cap_effective": "CapEff",
    "cap_permitted": "CapPrm",
    "cap_inheritable": "CapInh",
    "cap_ambient": "CapAmb",
    "capbset": "CapBnd",
}
E, P, I = prctl.CAP_EFFECTIVE, prctl.CAP_PERMITTED, prctl.CAP_INHERITABLE  # noqa: E741
SETS = tuple(FIELDS)
THREAD_SETS = SETS[:3]  # those of capset(2)

# What root has in any container: the tests need no more.
COMMON = ("chown", "fowner", "kill", "setgid", "setuid", "setpcap", "net_bind_service")
BEYOND = range(prctl.CAP_LAST_CAP + 1, 64)  # what this kernel does not have
EDGES = [*BEYOND[:1], *BEYOND[-1:]]


def live(name):
    return getattr(prctl, name)


def mask(*names):
    bits = 0
    for name in names:
        bits |= 1 << getattr(prctl, f"CAP_{name.upper()}")
    return bits


def masks():
    """The five sets of the calling thread, from /proc."""
    return {name: support.capability_mask(field) for name, field in FIELDS.items()}


def changed(before, **sets):
    """The masks of before with some replaced."""
    return before | sets


def brief(value):
    """A name for a test: some numbers are longer than Python prints."""
    return hex(value)[:20] if isinstance(value, int) else repr(value)


# States to start from, made without the library.


def raw_capset(effective, permitted, inheritable):
    words = [
        m >> 32 * half & 0xFFFFFFFF for half in (0, 1) for m in (effective, permitted, inheritable)
    ]
    header = bytearray(struct.pack("=Ii", 0x20080522, 0))
    support.system_call("capset", header, bytearray(struct.pack("=6I", *words)))


def raw_ambient(bits):
    for number in range(64):
        if bits >> number & 1:
            support.kernel_prctl(47, 2, number)  # PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE


def raw_drop_bounding(bits):
    for number in range(64):
        if bits >> number & 1:
            support.kernel_prctl(24, number)  # PR_CAPBSET_DROP


def fill():
    """Every set as full as it can be."""
    now = masks()
    full = now["cap_permitted"] & now["capbset"]
    lacking = mask(*COMMON) & ~full
    if lacking:
        pytest.skip(f"root lacks the capabilities {lacking:#x} in this container")
    raw_capset(full, full, full)
    raw_ambient(full)


def fill_unevenly():
    """No two of the sets alike."""
    fill()
    full = masks()["cap_permitted"]
    permitted = full & ~mask("fowner")
    raw_drop_bounding(mask("setgid"))
    raw_capset(permitted & ~mask("kill"), permitted, permitted & ~mask("setuid"))
    raw_ambient(0)
    support.kernel_prctl(47, 3, prctl.CAP_CHOWN)  # PR_CAP_AMBIENT_LOWER


def become_user_with(*names, ambient=False):
    """Become an ordinary user who kept these capabilities; in all sets but the bounding one."""
    fill()
    support.kernel_prctl(8, 1)  # PR_SET_KEEPCAPS
    support.become_user()
    bits = mask(*names)
    raw_capset(bits, bits, bits)
    if ambient:
        raw_ambient(bits)


def become_partial_user():
    become_user_with("chown", "kill", "net_bind_service", ambient=True)


STATES = {
    "root": fill,
    "root with less": fill_unevenly,
    "user with some": become_partial_user,
    "user": support.become_user,
}


@pytest.fixture(params=STATES)
def state(request):
    """A function for the child to begin with."""
    if request.param != "user" and not support.ROOT:
        pytest.skip("needs root, and the suite runs as an ordinary user")
    return STATES[request.param]


def in_state(state, function, *args):
    def child():
        state()
        return function(*args)

    return support.in_child(child)


def outcome(function, *args):
    """The masks before and after, and the exception's type and text."""
    before, error = masks(), None
    try:
        function(*args)
    except Exception as raised:
        error = raised
    return before, masks(), type(error), str(error)


# ---- What there is


def test_the_last_capability_is_the_running_kernels():
    with open("/proc/sys/kernel/cap_last_cap") as file:
        assert int(file.read()) == prctl.CAP_LAST_CAP


@pytest.mark.parametrize("name", ["last_cap", "CAP_LAST_CAP", "Cap_Last_Cap"])
def test_the_last_capability_has_a_name_of_its_own(name):
    assert prctl._number(name) == prctl.CAP_LAST_CAP


def decode(bits):
    """The names in a mask, by libcap, in the order of the numbers."""
    text = support.run(support.tool("capsh"), f"--decode={bits:016x}").strip().partition("=")[2]
    return [name.removeprefix("cap_") for name in text.split(",") if name]


def test_the_names_of_the_numbers_are_libcaps():
    numbers = range(41)
    assert decode(sum(1 << n for n in numbers)) == [_prctl.cap_to_name(n) for n in numbers]


@pytest.mark.parametrize("number", range(41))
def test_a_constant_is_the_number_of_the_name(number):
    assert getattr(prctl, f"CAP_{_prctl.cap_to_name(number).upper()}") == number


@pytest.mark.parametrize("number", [-1, 5, 2**31 - 1])
def test_a_set_that_there_is_not_has_no_attributes(number):
    nothing = prctl.CapabilitySet("nothing", number)
    with pytest.raises(ValueError, match=f"Unknown set: {number}"):
        nothing.chown  # noqa: B018
    with pytest.raises(ValueError, match=f"Unknown set: {number}"):
        nothing.chown = False


def test_all_caps_are_the_running_kernels():
    assert list(prctl.ALL_CAPS) == list(range(prctl.CAP_LAST_CAP + 1))


def test_all_cap_names_are_in_the_order_of_the_numbers():
    assert list(prctl.ALL_CAP_NAMES) == [_prctl.cap_to_name(n) for n in prctl.ALL_CAPS]


def test_all_flags_are_those_of_the_threads_sets():
    flags = dict(zip(prctl.ALL_FLAG_NAMES, prctl.ALL_FLAGS, strict=True))
    assert flags == {
        "effective": prctl.CAP_EFFECTIVE,
        "inheritable": prctl.CAP_INHERITABLE,
        "permitted": prctl.CAP_PERMITTED,
    }


@pytest.mark.parametrize("number", EDGES)
def test_a_number_without_a_name_is_its_own_name(number):
    assert _prctl.cap_to_name(number) == str(number)


@pytest.mark.parametrize("number", [-1, 64, 2**31, 2**64, -(2**64), 1 << 20000], ids=brief)
def test_no_number_outside_a_mask_has_a_name(number):
    with pytest.raises(ValueError, match="Unknown capability: "):
        _prctl.cap_to_name(number)


@pytest.mark.parametrize("name", prctl.ALL_CAP_NAMES[:41])
def test_an_attribute_has_one_line_of_documentation(name):
    text = getattr(type(prctl.cap_effective), name).__doc__
    assert re.fullmatch(r"\S.{8,}\.", text)


@pytest.mark.parametrize("name", SETS)
def test_another_attribute_cannot_be_read(name):
    with pytest.raises(AttributeError, match="sys_amin"):
        live(name).sys_amin  # noqa: B018


@pytest.mark.parametrize("name", SETS)
def test_another_attribute_cannot_be_written(name):
    with pytest.raises(AttributeError, match="sys_amin"):
        live(name).sys_amin = False


@pytest.mark.parametrize("name", SETS)
def test_an_attribute_cannot_be_deleted(name):
    with pytest.raises(AttributeError):
        del live(name).kill


# ---- Reading


READERS = {
    "attributes": lambda s: [n for n in prctl.ALL_CAP_NAMES if getattr(s, n)],
    "in, with names": lambda s: [n for n in prctl.ALL_CAP_NAMES if n in s],
    "in, with numbers": lambda s: [_prctl.cap_to_name(n) for n in range(64) if n in s],
    "iteration": list,
    "set": lambda s: sorted(set(s), key=prctl.ALL_CAP_NAMES.index),
    "union": lambda s: sorted(set() | s, key=prctl.ALL_CAP_NAMES.index),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("name", SETS)
def test_a_set_reads_as_proc_says(name, read, state):
    def both():
        return read(live(name)), masks()[name]

    names, bits = in_state(state, both)
    assert names == decode(bits)


@pytest.mark.parametrize("name", SETS)
def test_the_length_is_that_of_proc(name, state):
    def both():
        return len(live(name)), masks()[name].bit_count()

    length, bits = in_state(state, both)
    assert length == bits


def test_an_attribute_is_a_bool(state):
    def types():
        return {type(getattr(live(name), cap)) for name in SETS for cap in COMMON}

    assert in_state(state, types) == {bool}


def text_form(text):
    """libcap's text form, "=ep cap_kill-e", as the sets of names that are e, p and i."""
    sets = {flag: set() for flag in "epi"}
    for clause in text.split():
        names, actions = re.fullmatch(r"([a-z0-9_,]*)((?:[-+=][epi]*)+)", clause).groups()
        every = names in ("", "all")
        members = set(prctl.ALL_CAP_NAMES if every else re.findall(r"cap_(\w+)|\b(\d+)", names))
        members = {m if isinstance(m, str) else m[0] or m[1] for m in members}
        for sign, flags in re.findall(r"([-+=])([epi]*)", actions):
            for flag in sets:
                if sign != "+" and (flag in flags) == (sign == "-"):
                    sets[flag] -= members
                if sign != "-" and flag in flags:
                    sets[flag] |= members
    return sets


def test_the_threads_sets_are_those_that_getpcaps_shows(state):
    getpcaps = support.tool("getpcaps")

    def both():
        text = support.run(getpcaps, str(os.getpid())).partition(": ")[2]
        ours = [set(live(name)) for name in THREAD_SETS]
        return ours, [text_form(text)[flag] for flag in "epi"]

    ours, theirs = in_state(state, both)
    assert ours == theirs


def listed(text, title):
    """The names behind a title in what setpriv or capsh prints."""
    line = re.search(rf"^{title} ?[:=] ?(.*)$", text, re.MULTILINE)[1]
    return {name.removeprefix("cap_") for name in line.split(",")} - {"", "[none]"}


LISTS = [
    ("cap_inheritable", ["setpriv", "--dump"], "Inheritable capabilities"),
    ("cap_ambient", ["setpriv", "--dump"], "Ambient capabilities"),
    ("capbset", ["setpriv", "--dump"], "Capability bounding set"),
    ("cap_ambient", ["capsh", "--print"], "Ambient set"),
    ("capbset", ["capsh", "--print"], "Bounding set"),
]


@pytest.mark.parametrize(
    ("name", "command", "title"), LISTS, ids=[f"{name}-{c[0]}" for name, c, _ in LISTS]
)
def test_an_executed_program_shows_the_set(name, command, title, state):
    program = support.tool(command[0])

    def both():
        return set(live(name)), listed(support.run(program, *command[1:]), title)

    ours, theirs = in_state(state, both)
    assert ours == theirs


def test_a_set_is_the_calling_threads(root):
    def drop_in_a_thread():
        thread = threading.Thread(target=prctl.cap_effective.drop, args=("kill",))
        thread.start()
        thread.join()
        return "kill" in prctl.cap_effective

    assert in_state(fill, drop_in_a_thread)


# ---- Dropping

DROPPED = ("chown", "kill", "net_bind_service")
OTHERS = [name for name in prctl.ALL_CAP_NAMES if name not in DROPPED]


def set_attributes(capabilities, value):
    for cap in DROPPED:
        setattr(capabilities, cap, value)


def in_place(operate):
    """An in-place operator as a function, which must give the set itself back."""

    def function(capabilities, others):
        assert operate(capabilities, others) is capabilities

    return function


DROPS = {
    "drop": lambda s: s.drop(*DROPPED),
    "drop by number": lambda s: s.drop(prctl.CAP_CHOWN, prctl.CAP_KILL, prctl.CAP_NET_BIND_SERVICE),
    "drop in mixed spelling": lambda s: s.drop("CAP_CHOWN", "Kill", "cap_Net_Bind_Service"),
    "drop twice": lambda s: s.drop(*DROPPED, *DROPPED),
    "attributes": lambda s: set_attributes(s, False),
    "falsy attributes": lambda s: set_attributes(s, 0),
    "limit": lambda s: s.limit(*OTHERS),
    "limit by number": lambda s: s.limit(*map(list(prctl.ALL_CAP_NAMES).index, OTHERS)),
    "discard": lambda s: [s.discard(name) for name in DROPPED],
    "remove": lambda s: [s.remove(name) for name in DROPPED],
    "-=": lambda s: in_place(operator.isub)(s, set(DROPPED)),
    "&=": lambda s: in_place(operator.iand)(s, set(OTHERS)),
    "^=": lambda s: in_place(operator.ixor)(s, set(DROPPED)),
}


def after_drop(before, name, bits):
    """What capabilities(7) says is left."""
    after = changed(before, **{name: before[name] & ~bits})
    after["cap_effective"] &= after["cap_permitted"]
    after["cap_ambient"] &= after["cap_permitted"] & after["cap_inheritable"]
    return after


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
@pytest.mark.parametrize("name", SETS)
def test_dropping_takes_these_and_no_others(name, drop, root):
    before, after, *error = in_state(fill, outcome, drop, live(name))
    assert (after, error) == (after_drop(before, name, mask(*DROPPED)), [type(None), "None"])


CLEARS = {
    "limit": lambda s: s.limit(),
    "clear": lambda s: s.clear(),
    "&=": lambda s: in_place(operator.iand)(s, set()),
    "-= itself": lambda s: in_place(operator.isub)(s, s),
    "^= itself": lambda s: in_place(operator.ixor)(s, s),
    "pop": lambda s: [s.pop() for _ in range(len(s))],
}


@pytest.mark.parametrize("clear", CLEARS.values(), ids=CLEARS)
@pytest.mark.parametrize("name", SETS)
def test_clearing_leaves_nothing(name, clear, root):
    before, after, *error = in_state(fill, outcome, clear, live(name))
    assert (after, error) == (after_drop(before, name, ~0), [type(None), "None"])


@pytest.mark.parametrize("name", [*THREAD_SETS, "cap_ambient"])
def test_a_user_may_drop_what_they_have(name, root):
    before, after, *_ = in_state(become_partial_user, outcome, live(name).drop, "kill")
    assert after == after_drop(before, name, mask("kill"))


@pytest.mark.parametrize("name", [*THREAD_SETS, "cap_ambient"])
def test_dropping_what_is_not_there_is_no_error(name):
    before, after, *error = in_state(support.become_user, outcome, live(name).limit)
    assert (after, error) == (before, [type(None), "None"])


@pytest.mark.parametrize("number", EDGES)
@pytest.mark.parametrize("name", SETS)
def test_dropping_what_the_kernel_does_not_have_is_no_error(name, number, user):
    assert support.in_child(lambda: live(name).drop(number), user=user) is None


@pytest.mark.parametrize("name", SETS)
def test_limiting_to_what_the_kernel_does_not_have_leaves_nothing(name, root):
    before, after, *_ = in_state(fill, outcome, live(name).limit, *BEYOND)
    assert after == after_drop(before, name, ~0)


@pytest.mark.parametrize("name", SETS)
def test_removing_what_is_not_there_is_a_key_error(name, root):
    def remove_twice():
        live(name).remove("kill")
        return outcome(live(name).remove, "kill")

    before, after, error, _ = in_state(fill, remove_twice)
    assert (after, error) == (before, KeyError)


@pytest.mark.parametrize("name", THREAD_SETS)
def test_popping_from_an_empty_set_is_a_key_error(name):
    assert in_state(support.become_user, outcome, live(name).pop)[2] is KeyError


def test_pop_returns_what_it_drops(root):
    def pop():
        before = set(prctl.cap_effective)
        popped = prctl.cap_effective.pop()
        return popped, before - prctl.cap_effective

    popped, gone = in_state(fill, pop)
    assert {popped} == gone


# ---- Raising

RAISES = {
    "attributes": lambda s: set_attributes(s, True),
    "truthy attributes": lambda s: set_attributes(s, "yes"),
    "add": lambda s: [s.add(name) for name in DROPPED],
    "add by number": lambda s: [s.add(getattr(prctl, f"CAP_{n.upper()}")) for n in DROPPED],
    "|=": lambda s: in_place(operator.ior)(s, set(DROPPED)),
    "|= with what is there": lambda s: in_place(operator.ior)(s, {*DROPPED, "setgid"}),
    "^=": lambda s: in_place(operator.ixor)(s, set(DROPPED)),
    "|= another live set": lambda s: in_place(operator.ior)(s, prctl.cap_permitted),
}


def lower_for_raising():
    """Full sets, without what is raised in the effective, the inheritable and the ambient one."""
    fill()
    full = masks()["cap_permitted"]
    left = full & ~mask(*DROPPED)
    raw_capset(left, full, left)


@pytest.mark.parametrize("raise_them", RAISES.values(), ids=RAISES)
@pytest.mark.parametrize("name", ["cap_effective", "cap_inheritable"])
def test_raising_adds_these_and_no_others(name, raise_them, root):
    before, after, *error = in_state(lower_for_raising, outcome, raise_them, live(name))
    expected = changed(before, **{name: before[name] | mask(*DROPPED)})
    assert (after, error) == (expected, [type(None), "None"])


@pytest.mark.parametrize("raise_them", RAISES.values(), ids=RAISES)
def test_raising_in_ambient_adds_these_and_no_others(raise_them, root):
    def raise_in_ambient():
        full = masks()["cap_permitted"]
        raw_capset(full, full, full)
        return outcome(raise_them, prctl.cap_ambient)

    before, after, *error = in_state(lower_for_raising, raise_in_ambient)
    expected = changed(before, cap_ambient=before["cap_ambient"] | mask(*DROPPED))
    assert (after, error) == (expected, [type(None), "None"])


@pytest.mark.parametrize("name", [*THREAD_SETS, "cap_ambient"])
def test_raising_what_is_there_is_no_error(name, root):
    before, after, *error = in_state(fill, outcome, live(name).add, "kill")
    assert (after, error) == (before, [type(None), "None"])


@pytest.mark.parametrize("number", EDGES)
@pytest.mark.parametrize("name", SETS)
def test_what_the_kernel_does_not_have_cannot_be_raised(name, number, user):
    assert support.in_child(outcome, live(name).add, number, user=user)[2] is ValueError


@pytest.mark.parametrize("number", EDGES)
@pytest.mark.parametrize("name", SETS)
def test_what_the_kernel_does_not_have_is_in_no_set(name, number):
    assert number not in live(name)


# ---- Refusals: what they say, and that they change nothing


def assign(name, capability, value):
    return lambda: setattr(live(name), capability, value)


def no_setpcap():
    fill()
    full = masks()["cap_permitted"]
    raw_capset(full & ~mask("setpcap"), full, full & ~mask("kill"))


def bounded():
    fill()
    full = masks()["cap_permitted"]
    left = full & ~mask("kill")
    raw_drop_bounding(mask("kill"))
    raw_capset(left, left, left)


def not_inheritable():
    fill()
    full = masks()["cap_permitted"]
    raw_capset(full, full, full & ~mask("kill"))


def lacking():
    fill()
    left = masks()["cap_permitted"] & ~mask("kill")
    raw_capset(left, left, left)


def ambient_locked():
    fill()
    support.kernel_prctl(47, 3, prctl.CAP_KILL)
    support.kernel_prctl(28, 1 << 6)  # SECBIT_NO_CAP_AMBIENT_RAISE


def filtered():
    fill()
    support.kernel_prctl(47, 3, prctl.CAP_KILL)
    for option in 24, 47:  # PR_CAPBSET_DROP, PR_CAP_AMBIENT
        support.install_filter(support.refuse("prctl", 1, option))


def filtered_securebits():
    filtered()
    support.install_filter(support.refuse("prctl", 1, 27))  # PR_GET_SECUREBITS


# The state, what is tried, what the message names and what it must not name.
REFUSALS = {
    "effective": (lacking, assign("cap_effective", "kill", True), "kill", "SETPCAP"),
    "effective, one of two": (
        lacking,
        lambda: operator.ior(prctl.cap_effective, {"kill", "chown"}),
        "kill",
        "chown",
    ),
    "permitted": (lacking, assign("cap_permitted", "kill", True), "kill", "SETPCAP"),
    "permitted, and dropping": (
        lacking,
        lambda: operator.ixor(prctl.cap_permitted, {"kill", "chown"}),
        "kill",
        "chown",
    ),
    "inheritable without CAP_SETPCAP": (
        lambda: become_user_with("chown"),
        assign("cap_inheritable", "kill", True),
        "CAP_SETPCAP.*kill",
        "chown",
    ),
    "inheritable beyond the bounding set": (
        bounded,
        assign("cap_inheritable", "kill", True),
        "bounding.*kill",
        "SETPCAP",
    ),
    "ambient without inheritable": (
        not_inheritable,
        assign("cap_ambient", "kill", True),
        "inheritable.*kill",
        "SETPCAP",
    ),
    "ambient without permitted": (
        lacking,
        assign("cap_ambient", "kill", True),
        "permitted.*kill",
        "SETPCAP",
    ),
    "ambient, one of two": (
        not_inheritable,
        lambda: operator.ior(prctl.cap_ambient, {"chown", "kill"}),
        "inheritable.*kill",
        "chown",
    ),
    "ambient, under the securebit": (
        ambient_locked,
        assign("cap_ambient", "kill", True),
        "no_cap_ambient_raise",
        "SETPCAP",
    ),
    "ambient, under the securebit, and dropping": (
        ambient_locked,
        lambda: operator.ixor(prctl.cap_ambient, {"chown", "kill"}),
        "no_cap_ambient_raise",
        "SETPCAP",
    ),
    "ambient, for another reason": (
        filtered,
        assign("cap_ambient", "kill", True),
        "Operation not permitted",
        "no_cap_ambient_raise is set",
    ),
    "ambient, for a reason that cannot be asked for": (
        filtered_securebits,
        assign("cap_ambient", "kill", True),
        "Operation not permitted",
        "no_cap_ambient_raise is set",
    ),
    "bounding": (no_setpcap, assign("capbset", "kill", False), "CAP_SETPCAP", "kill"),
    "bounding, all": (no_setpcap, prctl.capbset.clear, "CAP_SETPCAP", "chown"),
    "bounding, for another reason": (
        filtered,
        assign("capbset", "kill", False),
        "Operation not permitted",
        "SETPCAP",
    ),
    "set_caps": (
        lacking,
        lambda: prctl.set_caps(("kill", E, True), ("chown", (E, P, I), False)),
        "kill",
        "chown",
    ),
}


def explained(state, attempt):
    def child():
        state()
        before = masks()
        try:
            attempt()
        except PermissionError as error:
            return before, masks(), error.errno, str(error)

    return support.in_child(child)


@pytest.mark.parametrize(("state", "attempt", "named", "_"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_what_is_missing(state, attempt, named, _, root):
    _, _, errno, message = explained(state, attempt)
    assert errno == 1
    assert re.search(named, message)


@pytest.mark.parametrize(("state", "attempt", "_", "unnamed"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_does_not_say_what_is_not_missing(state, attempt, _, unnamed, root):
    assert not re.search(unnamed, explained(state, attempt)[3])


@pytest.mark.parametrize(("state", "attempt", "_", "__"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_changes_nothing(state, attempt, _, __, root):
    before, after, *_ = explained(state, attempt)
    assert after == before


def test_a_user_cannot_drop_from_the_bounding_set():
    def drop():
        return outcome(prctl.capbset.limit)

    before, after, error, message = in_state(support.become_user, drop)
    if before["capbset"] == 0:
        pytest.skip("this container has an empty bounding set")
    assert (after, error) == (before, PermissionError)
    assert message.endswith("dropping from the bounding set needs CAP_SETPCAP")


BOUNDING_RAISES = {
    "attribute": assign("capbset", "kill", True),
    "add": lambda: prctl.capbset.add("kill"),
    "|=": lambda: operator.ior(prctl.capbset, {"kill"}),
    "raised": lambda: prctl.capbset.raised("kill").__enter__(),
}


@pytest.mark.parametrize("attempt", BOUNDING_RAISES.values(), ids=BOUNDING_RAISES)
def test_nothing_can_be_raised_in_the_bounding_set(attempt, root):
    def child():
        raw_drop_bounding(mask("kill"))
        return outcome(attempt)

    before, after, error, _ = in_state(fill, child)
    assert (after, error) == (before, ValueError)


def test_a_true_attribute_of_the_bounding_set_cannot_be_set_true_either():
    held = next(iter(prctl.capbset), None)
    if held is None:
        pytest.skip("this container has an empty bounding set")
    assert support.in_child(outcome, assign("capbset", held, True))[2] is ValueError


# ---- How a capability is given

SPELLINGS = ["kill", "KILL", "Kill", "cap_kill", "CAP_KILL", "Cap_Kill", 5, prctl.CAP_KILL]


class Name(str):
    """What a program may have made of str."""


@pytest.mark.parametrize("spelling", [*SPELLINGS, support.Index(5), Name("CAP_KILL")], ids=str)
def test_a_capability_is_given_by_name_or_number(spelling, root):
    before, after, *_ = in_state(fill, outcome, prctl.cap_effective.drop, spelling)
    assert after == after_drop(before, "cap_effective", mask("kill"))


UNKNOWN = [
    *(
        "",
        "kil",
        "kill ",
        "cap_",
        "cap_cap_kill",
        "cap-kill",
        "0",
        "5",
        "-1",
        "64",
        "caf\xe9",
        "\udcff",
    ),
    *("k\u0131ll", "\uff4bill", "kill\0"),
    *(-1, 64, 1023, 2**31, 2**32 + 5, 2**63, 2**64 + 5, -(2**64), 10**5000),
]
WRONG_TYPES = [None, 5.0, b"kill", bytearray(b"\5"), ["kill"], ("kill",), {"kill"}, object, 5j]
TAKES_ONE = {
    "in": lambda s, cap: cap in s,
    "drop": lambda s, cap: s.drop(cap),
    "drop, behind a good one": lambda s, cap: s.drop("kill", cap),
    "limit": lambda s, cap: s.limit(cap),
    "limit, behind a good one": lambda s, cap: s.limit("kill", cap),
    "add": lambda s, cap: s.add(cap),
    "discard": lambda s, cap: s.discard(cap),
    "remove": lambda s, cap: s.remove(cap),
    "raised": lambda s, cap: s.raised(cap),
}


def mistaken(attempt, values):
    """For each value: the exception's type, its text's beginning, and whether anything changed."""
    answers = []
    for value in values:
        for name in SETS:
            before, after, error, message = outcome(attempt, live(name), value)
            answers.append((error, message.startswith("Unknown capability: "), before == after))
    return set(answers)


@pytest.mark.parametrize("attempt", TAKES_ONE.values(), ids=TAKES_ONE)
def test_an_unknown_capability_is_a_value_error(attempt, user):
    found = support.in_child(mistaken, attempt, UNKNOWN, user=user)
    assert found == {(ValueError, True, True)}


@pytest.mark.parametrize("attempt", TAKES_ONE.values(), ids=TAKES_ONE)
def test_a_capability_of_a_wrong_type_is_a_type_error(attempt, user):
    found = support.in_child(mistaken, attempt, WRONG_TYPES, user=user)
    assert found == {(TypeError, False, True)}


def test_the_message_shows_the_unknown_capability():
    with pytest.raises(ValueError, match=r"^Unknown capability: net_row$"):
        prctl.cap_effective.drop("net_row")


def test_a_kelvin_sign_is_not_the_letter_k(root):
    before, after, error, _ = in_state(fill, outcome, prctl.cap_effective.drop, "\u212aill")
    assert (after, error) == (before, ValueError)


# ---- Like any set


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_a_mutable_set(name):
    assert isinstance(live(name), MutableSet)


@pytest.mark.parametrize("name", SETS)
def test_a_set_cannot_be_hashed(name):
    with pytest.raises(TypeError, match="unhashable"):
        hash(live(name))


BINARY = {"|": operator.or_, "&": operator.and_, "^": operator.xor, "-": operator.sub}
COMPARISONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}
some_names = st.sets(st.sampled_from(prctl.ALL_CAP_NAMES))
kinds = st.sampled_from([set, frozenset, dict.fromkeys])


def as_kind(names, kind):
    made = kind(names)
    return made.keys() if isinstance(made, dict) else made


@pytest.mark.parametrize("operate", BINARY.values(), ids=BINARY)
@given(names=some_names, kind=kinds)
def test_an_operator_gives_what_it_gives_for_plain_sets(operate, names, kind):
    plain = set(prctl.capbset)
    assert operate(prctl.capbset, as_kind(names, kind)) == operate(plain, names)


@pytest.mark.parametrize("operate", BINARY.values(), ids=BINARY)
@given(names=some_names, kind=kinds)
def test_an_operator_takes_the_live_set_on_the_right(operate, names, kind):
    plain = set(prctl.capbset)
    assert operate(as_kind(names, kind), prctl.capbset) == operate(names, plain)


@pytest.mark.parametrize("kind", [set, frozenset])
@pytest.mark.parametrize("operate", BINARY.values(), ids=BINARY)
def test_an_operator_gives_a_plain_set(operate, kind):
    some = kind({"kill"})
    results = [operate(prctl.capbset, some), operate(some, prctl.capbset)]
    assert [type(result) for result in results] == [set, set]


@pytest.mark.parametrize("operate", BINARY.values(), ids=BINARY)
def test_an_operator_takes_two_live_sets(operate, state):
    def both():
        one, other = prctl.capbset, prctl.cap_effective
        return operate(one, other), operate(set(one), set(other))

    ours, plain = in_state(state, both)
    assert ours == plain


@pytest.mark.parametrize("operate", [*BINARY.values()], ids=[*BINARY])
def test_an_operator_changes_nothing(operate, root):
    before, after, *_ = in_state(fill, outcome, operate, prctl.cap_effective, {"kill"})
    assert after == before


@pytest.mark.parametrize("compare", COMPARISONS.values(), ids=COMPARISONS)
@given(names=some_names, kind=kinds, whole=st.booleans())
def test_a_comparison_gives_what_it_gives_for_plain_sets(compare, names, kind, whole):
    plain = set(prctl.capbset)
    other = plain if whole else names
    found = (
        compare(prctl.capbset, as_kind(other, kind)),
        compare(as_kind(other, kind), prctl.capbset),
    )
    assert found == (compare(plain, other), compare(other, plain))


@given(names=some_names)
def test_disjoint_sets_are_told(names):
    assert prctl.capbset.isdisjoint(names) == set(prctl.capbset).isdisjoint(names)


def test_nothing_is_read_behind_an_unknown_capability():
    names = iter(["kill", "nonsense", "chown"])
    with pytest.raises(ValueError, match="nonsense"):
        prctl.capbset.isdisjoint(names)
    assert list(names) == ["chown"]


@pytest.mark.parametrize("other", [["kill"], "kill", 5, None], ids=repr)
@pytest.mark.parametrize("operate", [*BINARY.values(), operator.le, operator.isub])
def test_an_operator_takes_nothing_but_sets(operate, other):
    with pytest.raises(TypeError):
        operate(prctl.capbset, other)


@pytest.mark.parametrize("other", [["kill"], "kill", 5, None], ids=repr)
def test_nothing_but_a_set_is_equal(other):
    assert prctl.capbset != other


# ---- raised()


def held(*names):
    return [name in prctl.cap_effective for name in names]


def with_nothing_effective():
    fill()
    full = masks()["cap_permitted"]
    raw_capset(0, full, full)


def nothing_effective(function):
    return in_state(with_nothing_effective, function)


def test_raised_raises_for_the_block(root):
    def block():
        with prctl.cap_effective.raised("kill", prctl.CAP_CHOWN):
            return decode(masks()["cap_effective"])

    assert nothing_effective(block) == ["chown", "kill"]


def test_raised_drops_behind_the_block(root):
    def block():
        with prctl.cap_effective.raised("kill", prctl.CAP_CHOWN):
            pass
        return masks()["cap_effective"]

    assert nothing_effective(block) == 0


def test_raised_drops_when_an_exception_leaves_the_block(root):
    def block():
        with pytest.raises(LookupError), prctl.cap_effective.raised("kill"):
            raise LookupError
        return masks()["cap_effective"]

    assert nothing_effective(block) == 0


def test_raised_leaves_what_was_raised_before(root):
    def block():
        with prctl.cap_effective.raised("kill", "chown"):
            pass
        return decode(masks()["cap_effective"] & mask("kill", "chown", "setuid"))

    assert in_state(fill, block) == ["chown", "kill", "setuid"]


def test_nested_blocks_restore_each_their_own(root):
    def block():
        seen = []
        with prctl.cap_effective.raised("kill"):
            with prctl.cap_effective.raised("kill", "chown"):
                seen.append(held("kill", "chown"))
            seen.append(held("kill", "chown"))
        return [*seen, held("kill", "chown")]

    assert nothing_effective(block) == [[True, True], [True, False], [False, False]]


def test_one_object_can_be_entered_inside_itself(root):
    def block():
        kill, seen = prctl.cap_effective.raised("kill"), []
        with kill:
            with kill:
                seen += held("kill")
            seen += held("kill")
        return seen + held("kill")

    assert nothing_effective(block) == [True, True, False]


def test_one_object_can_be_entered_again(root):
    def block():
        kill, seen = prctl.cap_effective.raised("kill"), []
        for _ in range(2):
            with kill:
                seen += held("kill")
            seen += held("kill")
        return seen

    assert nothing_effective(block) == [True, False, True, False]


def test_one_object_serves_several_threads(root):
    """A capability set belongs to a thread, and so must what a block has to restore."""

    def block():
        kill, left = prctl.cap_effective.raised("kill"), []
        both_inside, first_out = threading.Barrier(2), threading.Event()

        def first():
            with kill:
                both_inside.wait(10)
            left.extend(held("kill"))
            first_out.set()

        def second():
            prctl.cap_effective.add("kill")  # which this thread had before its block
            with kill:
                both_inside.wait(10)
                first_out.wait(10)
            left.extend(held("kill"))

        threads = [threading.Thread(target=first), threading.Thread(target=second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return left

    assert nothing_effective(block) == [False, True]


def test_nothing_is_raised_behind_the_block(root):
    def block():
        with prctl.cap_effective.raised("chown"):
            prctl.cap_effective.clear()
        return masks()["cap_effective"]

    assert in_state(fill, block) == 0


def test_leaving_the_block_succeeds_when_permitted_has_lost_it(root):
    def block():
        with prctl.cap_effective.raised("kill"):
            prctl.cap_permitted.drop("kill")
        return masks()["cap_effective"]

    assert nothing_effective(block) == 0


def test_a_block_that_cannot_be_entered_does_not_run(user):
    def block():
        if user is False:
            lacking()
        ran = []
        with pytest.raises(PermissionError), prctl.cap_effective.raised("kill", "chown"):
            ran.append(True)
        return ran

    assert support.in_child(block, user=user) == []


def test_a_block_that_cannot_be_entered_changes_nothing(root):
    def block():
        raw_capset(0, masks()["cap_permitted"], 0)
        before = masks()
        with pytest.raises(PermissionError), prctl.cap_effective.raised("chown", "kill"):
            pass
        return before, masks()

    before, after = in_state(lacking, block)
    assert after == before


def test_an_object_that_failed_to_enter_can_be_used_again(root):
    def block():
        kill, full = prctl.cap_ambient.raised("kill"), masks()["cap_permitted"]
        with pytest.raises(PermissionError), kill:
            pass
        raw_capset(full, full, full)
        with kill:
            inside = "kill" in prctl.cap_ambient
        return inside, "kill" in prctl.cap_ambient

    assert in_state(not_inheritable, block) == (True, False)


@pytest.mark.parametrize("name", ["cap_inheritable", "cap_ambient"])
def test_raised_works_on_the_other_sets(name, root):
    def block():
        live(name).drop("kill")
        before = masks()[name]
        with live(name).raised("kill"):
            inside = masks()[name]
        return inside == before | mask("kill"), masks()[name] == before

    assert in_state(fill, block) == (True, True)


def test_what_the_kernel_does_not_have_cannot_be_raised_for_a_block():
    if not BEYOND:
        pytest.skip("this kernel has all capabilities that a mask can hold")
    with pytest.raises(ValueError, match="kernel"), prctl.cap_effective.raised(63):
        pass


# ---- repr


def shown(name, *held):
    raw = mask(*held)
    raw_capset(raw, masks()["cap_permitted"], raw)
    return repr(live(name))


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ((), "<cap_effective: none>"),
        (("kill",), "<cap_effective: kill>"),
        (("kill", "chown"), "<cap_effective: chown, kill>"),
    ],
)
def test_a_small_set_shows_its_members(members, text, root):
    assert in_state(fill, shown, "cap_effective", *members) == text


@pytest.mark.parametrize("dropped", [("kill",), ("kill", "chown")])
def test_a_large_set_shows_what_it_lacks(dropped, root):
    def show():
        prctl.capbset.drop(*dropped)
        return repr(prctl.capbset), decode(~masks()["capbset"] & (1 << len(prctl.ALL_CAPS)) - 1)

    text, lacking = in_state(fill, show)
    if 2 * len(lacking) >= len(prctl.ALL_CAPS):
        pytest.skip("root has few capabilities in this container")
    assert text == f"<capbset: all but {', '.join(lacking)}>"


def test_a_full_set_shows_all():
    answers = {23: (1, {})}  # PR_CAPBSET_READ
    assert support.in_pretended_kernel(answers, repr, prctl.capbset) == "<capbset: all>"


@pytest.mark.parametrize("name", SETS)
def test_the_repr_begins_with_the_name(name):
    assert repr(live(name)).startswith(f"<{name}: ")


# ---- get_caps() and set_caps()


def test_get_caps_answers_for_each_flag(state):
    def both():
        answer = prctl.get_caps((["kill", prctl.CAP_CHOWN], prctl.ALL_FLAGS))
        return answer, [masks()[name] for name in THREAD_SETS]

    answer, found = in_state(state, both)
    flags = (prctl.CAP_EFFECTIVE, prctl.CAP_PERMITTED, prctl.CAP_INHERITABLE)
    expected = {
        flag: {n: bool(bits >> n & 1) for n in (prctl.CAP_KILL, prctl.CAP_CHOWN)}
        for flag, bits in zip(flags, found, strict=True)
    }
    assert answer == expected


# The requests, and the capabilities that are answered for each flag.
GET_CAPS = {
    "nothing": ([], [], [], []),
    "one, one": ([("kill", E)], [5], [], []),
    "a sequence, one": ([(["kill", "CAP_CHOWN"], P)], [], [0, 5], []),
    "one, a sequence": ([(5, (E, I))], [5], [], [5]),
    "several": ([("kill", E), ("chown", [E, P])], [0, 5], [0], []),
    "no capability": ([([], prctl.ALL_FLAGS)], [], [], []),
    "no flag": ([("kill", [])], [], [], []),
    "sets": ([({"kill", 0}, {E})], [0, 5], [], []),
    "not on this kernel": ([(63, E)], [63], [], []),
}


@pytest.mark.parametrize(("requests", "e", "p", "i"), GET_CAPS.values(), ids=GET_CAPS)
def test_get_caps_answers_what_was_asked(requests, e, p, i):
    answer = prctl.get_caps(*requests)
    assert {flag: sorted(caps) for flag, caps in answer.items()} == {E: e, P: p, I: i}


def test_get_caps_takes_iterators():
    assert set(prctl.get_caps((iter(["kill", 0]), iter([E, P])))[P]) == {0, 5}


@pytest.mark.parametrize("flag", [3, -1, "effective", "CAP_EFFECTIVE", None, 2**100], ids=repr)
def test_an_unknown_flag_is_a_key_error(flag):
    with pytest.raises(KeyError):
        prctl.get_caps(("kill", flag))


@pytest.mark.parametrize("flag", [3, -1, "effective", None], ids=repr)
def test_setting_an_unknown_flag_is_a_key_error(flag, user):
    attempt = (["kill"], [E, flag], False)
    before, after, error, _ = support.in_child(outcome, prctl.set_caps, attempt, user=user)
    assert (after, error) == (before, KeyError)


@pytest.mark.parametrize("capability", UNKNOWN, ids=brief)
def test_set_caps_knows_the_same_capabilities(capability, user):
    attempt = ([capability], prctl.ALL_FLAGS, False)
    before, after, error, _ = support.in_child(outcome, prctl.set_caps, attempt, user=user)
    assert (after, error) == (before, ValueError)


@pytest.mark.parametrize("capability", [None, 5.0, [["kill"]]], ids=repr)
def test_set_caps_takes_capabilities_of_the_same_types(capability, user):
    attempt = (capability, prctl.ALL_FLAGS, False)
    before, after, error, _ = support.in_child(outcome, prctl.set_caps, attempt, user=user)
    assert (after, error) == (before, TypeError)


# The requests, and what they do to the full sets: what leaves effective, permitted, inheritable.
SET_CAPS = {
    "nothing": ([], [], [], []),
    "one": ([("kill", E, False)], ["kill"], [], []),
    "sequences": ([(["kill", 0], [E, I], 0)], ["chown", "kill"], [], ["chown", "kill"]),
    "permitted": ([("kill", P, False)], ["kill"], ["kill"], []),
    "several": ([("kill", E, False), ("chown", I, False)], ["kill"], [], ["chown"]),
    "raise and drop": ([("kill", E, True), ("kill", E, False)], ["kill"], [], []),
    "drop and raise": ([("kill", E, False), ("kill", E, True)], ["kill"], [], []),
    "raise what is there": ([(["kill", "chown"], prctl.ALL_FLAGS, True)], [], [], []),
    "not on this kernel": ([(list(BEYOND), prctl.ALL_FLAGS, False)], [], [], []),
    "raise in effective, drop from permitted": (
        [("kill", E, True), ("kill", P, False)],
        ["kill"],
        ["kill"],
        [],
    ),
}


@pytest.mark.parametrize(("requests", "e", "p", "i"), SET_CAPS.values(), ids=SET_CAPS)
def test_set_caps_does_what_was_asked(requests, e, p, i, root):
    before, after, *error = in_state(fill, outcome, prctl.set_caps, *requests)
    expected = changed(
        before,
        cap_effective=before["cap_effective"] & ~mask(*e),
        cap_permitted=before["cap_permitted"] & ~mask(*p),
        cap_inheritable=before["cap_inheritable"] & ~mask(*i),
        cap_ambient=before["cap_ambient"] & ~mask(*p, *i),
    )
    assert (after, error) == (expected, [type(None), "None"])


def test_set_caps_raises(root):
    before, after, *_ = in_state(
        lower_for_raising, outcome, prctl.set_caps, (DROPPED, (E, I), "a true value")
    )
    assert after["cap_effective"] == after["cap_inheritable"] == before["cap_permitted"]


@pytest.mark.parametrize("number", EDGES)
def test_set_caps_cannot_raise_what_the_kernel_does_not_have(number, user):
    before, after, error, _ = support.in_child(
        outcome, prctl.set_caps, ("kill", E, False), (number, E, True), user=user
    )
    assert (after, error) == (before, ValueError)


# ---- _prctl.get_caps() and _prctl.set_caps()

NOTHING = ([], [], [])


def test_the_low_get_caps_answers_for_each_list(root):
    def get():
        return _prctl.get_caps([prctl.CAP_KILL], [prctl.CAP_CHOWN], [])

    assert in_state(fill, get) == {E: {prctl.CAP_KILL: True}, P: {prctl.CAP_CHOWN: True}, I: {}}


def test_the_low_get_caps_needs_only_the_first_list():
    assert set(_prctl.get_caps([])) == {E, P, I}


def test_the_low_get_caps_passes_over_what_no_mask_can_hold():
    assert set(_prctl.get_caps(range(1024))[E]) == set(range(64))


@pytest.mark.parametrize("place", range(3))
def test_the_low_set_caps_drops_what_a_list_names(place, root):
    lists = [[] for _ in range(6)]
    lists[3 + place] = [prctl.CAP_KILL, prctl.CAP_CHOWN]
    before, after, *_ = in_state(fill, outcome, _prctl.set_caps, *lists)
    assert after == after_drop(before, THREAD_SETS[place], mask("kill", "chown"))


@pytest.mark.parametrize("place", [0, 2])
def test_the_low_set_caps_raises_what_a_list_names(place, root):
    lists = [[], [], []]
    lists[place] = [prctl.CAP_KILL, prctl.CAP_CHOWN]
    before, after, *_ = in_state(lower_for_raising, outcome, _prctl.set_caps, *lists)
    name = THREAD_SETS[place]
    assert after == changed(before, **{name: before[name] | mask("kill", "chown")})


def test_the_low_set_caps_drops_by_numbers_up_to_1023(root):
    keep = [prctl.CAP_KILL]
    drop = [n for n in range(1024) if n not in keep]
    before, after, *_ = in_state(fill, outcome, _prctl.set_caps, *NOTHING, drop, drop, drop)
    left = dict.fromkeys([*THREAD_SETS, "cap_ambient"], mask("kill"))
    assert after == before | left


LOW_VALUE_ERRORS = {
    "1024": [*NOTHING, [5, 1024]],
    "-1": [*NOTHING, [], [-1]],
    "2**64": [*NOTHING, [], [], [2**64]],
    "2**32 + 5": [*NOTHING, [2**32 + 5]],
    "raising what the kernel does not have": [[63]],
}
LOW_TYPE_ERRORS = {
    "a name": [*NOTHING, ["kill"]],
    "a str": ["kill"],
    "None": [*NOTHING, None],
    "a number": [5],
    "a float": [*NOTHING, [5.0]],
    "no list": [],
    "seven lists": [[]] * 7,
}


@pytest.mark.parametrize("lists", LOW_VALUE_ERRORS.values(), ids=LOW_VALUE_ERRORS)
def test_the_low_set_caps_refuses_other_numbers(lists, user):
    before, after, error, _ = support.in_child(outcome, _prctl.set_caps, *lists, user=user)
    assert (after, error) == (before, ValueError)


@pytest.mark.parametrize("lists", LOW_TYPE_ERRORS.values(), ids=LOW_TYPE_ERRORS)
def test_the_low_set_caps_refuses_other_types(lists, user):
    before, after, error, _ = support.in_child(outcome, _prctl.set_caps, *lists, user=user)
    assert (after, error) == (before, TypeError)


@pytest.mark.parametrize("numbers", [[1024], [-1], [2**64]], ids=repr)
def test_the_low_get_caps_refuses_other_numbers(numbers):
    with pytest.raises(ValueError, match="Unknown capability: "):
        _prctl.get_caps([], numbers)


# ---- What the kernel is asked

STEPS = """
import prctl
E, P, I = prctl.CAP_EFFECTIVE, prctl.CAP_PERMITTED, prctl.CAP_INHERITABLE
steps = {
    "read effective": lambda: prctl.cap_effective.kill,
    "read permitted": lambda: "kill" in prctl.cap_permitted,
    "read ambient": lambda: prctl.cap_ambient.kill,
    "read bounding": lambda: prctl.capbset.kill,
    "list inheritable": lambda: set(prctl.cap_inheritable),
    "raise": lambda: setattr(prctl.cap_inheritable, "kill", True),
    "get_caps": lambda: prctl.get_caps((prctl.ALL_CAPS, prctl.ALL_FLAGS)),
    "drop one": lambda: prctl.cap_effective.drop("kill"),
    "drop several": lambda: prctl.cap_effective.drop("chown", "setgid", "setuid"),
    "set_caps": lambda: prctl.set_caps(("fowner", prctl.ALL_FLAGS, False), ("kill", I, False)),
    "unknown": lambda: prctl.cap_effective.drop("nonsense"),
    "bounding true": lambda: setattr(prctl.capbset, "kill", True),
    "limit bounding": lambda: prctl.capbset.limit("kill"),
    "limit effective": lambda: prctl.cap_effective.limit("kill", "setpcap"),
    "limit permitted": lambda: prctl.cap_permitted.limit("kill", 39),
    "limit inheritable": lambda: prctl.cap_inheritable.limit("kill"),
    "clear permitted": lambda: prctl.cap_permitted.clear(),
    "clear ambient": lambda: prctl.cap_ambient.clear(),
    "list ambient of nothing": lambda: set(prctl.cap_ambient),
}
for name, function in steps.items():
    step(name)
    try:
        function()
    except (PermissionError, ValueError):
        pass
"""


@pytest.fixture(scope="module")
def steps():
    return support.traced_steps(STEPS, "capget,capset,prctl")


def call_names(calls):
    return [call.partition("(")[0] for call in calls]


def capset_masks(call):
    """effective, permitted and inheritable of a capset() line; strace shows low|high."""
    found = re.findall(r"(?:effective|permitted|inheritable)=([^,}]*)", call)
    words = [[int(word, 0) for word in text.split("|")] for text in found]
    return [low + (high[0] << 32 if high else 0) for low, *high in words]


COUNTS = {
    "read effective": ["capget"],
    "read permitted": ["capget"],
    "read ambient": ["prctl"],
    "read bounding": ["prctl"],
    "list inheritable": ["capget"],
    "get_caps": ["capget"],
    "drop one": ["capget", "capset"],
    "drop several": ["capget", "capset"],
    "set_caps": ["capget", "capset"],
    "limit effective": ["capget", "capset"],
    "limit permitted": ["capget", "capset"],
    "limit inheritable": ["capget", "capset"],
    "clear permitted": ["capget", "capset"],
    "list ambient of nothing": ["capget", "prctl"],
    "unknown": [],
    "bounding true": [],
}


@pytest.mark.parametrize(("step", "expected"), COUNTS.items(), ids=COUNTS)
def test_an_operation_costs_these_system_calls(step, expected, steps):
    assert call_names(steps[step]) == expected


def test_raising_costs_two_system_calls(root, steps):
    assert call_names(steps["raise"]) == ["capget", "capset"]


def dropped_numbers(calls):
    """What PR_CAPBSET_DROP, 24, was asked for."""
    found = [re.match(r"prctl\(0x18, (\w+)", call) for call in calls]
    return [int(call[1], 0) for call in found if call]


LIMITED = {
    "limit effective": (0, ["kill", "setpcap"]),
    "limit permitted": (1, ["kill", "bpf"]),
    "limit inheritable": (2, ["kill"]),
    "clear permitted": (1, []),
}


@pytest.mark.parametrize(("step", "place", "kept"), [(s, *v) for s, v in LIMITED.items()])
def test_limit_asks_for_nothing_but_what_is_kept(step, place, kept, steps):
    [call] = [call for call in steps[step] if call.startswith("capset")]
    assert capset_masks(call)[place] & ~mask(*kept) == 0


def test_limiting_the_bounding_set_drops_each_other_up_to_the_kernels_last(root, steps):
    if not support.capability_mask("CapEff") & mask("setpcap"):
        pytest.skip("root lacks CAP_SETPCAP in this container")
    others = support.capability_mask("CapBnd") & ~mask("kill")
    expected = [n for n in range(64) if others >> n & 1]
    assert dropped_numbers(steps["limit bounding"]) == expected


def test_clearing_ambient_is_one_call(steps):
    assert call_names(steps["clear ambient"]).count("prctl") == 1


# ---- A newer kernel, whose capabilities have no names yet: strace lets it have all 64

NEWER = """
import prctl
step("constants")
print(prctl.CAP_LAST_CAP, len(prctl.ALL_CAPS), *prctl.ALL_CAP_NAMES[-3:])
step("read")
print(*sorted(prctl.capbset)[:2])
step("limit")
prctl.capbset.limit("kill", 42, "63")
step("drop")
prctl.capbset.drop(41)
"""


@pytest.fixture(scope="module")
def newer_steps():
    return support.traced_steps(NEWER, "prctl", options=["-e", "inject=prctl:retval=1"])


def test_limit_drops_capabilities_that_have_no_name(newer_steps):
    expected = [n for n in range(64) if n not in (prctl.CAP_KILL, 42, 63)]
    assert dropped_numbers(newer_steps["limit"]) == expected


def test_a_capability_that_has_no_name_can_be_dropped(newer_steps):
    assert dropped_numbers(newer_steps["drop"]) == [41]


NEWER_SETS = """
import prctl
print(sorted(prctl.cap_permitted)[:3])
step("limit")
prctl.cap_permitted.limit("kill", 42)
step("drop")
prctl.cap_permitted.drop(41)
step("raise")
prctl.cap_inheritable.add(41)
"""


@pytest.fixture(scope="module")
def newer_set_steps():
    if "poke_exit" not in support.run(support.tool("strace"), "--help"):
        pytest.skip("this strace cannot write to memory: that needs 5.11")
    options = ["-e", "inject=prctl:retval=1", "-e", "inject=capset:retval=0"]
    options += ["-e", f"inject=capget:retval=0:poke_exit=@arg2={'ff' * 24}"]
    return support.traced_steps(NEWER_SETS, "prctl,capget,capset", options=options)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("limit", [mask("kill") | 1 << 42] * 2),
        ("drop", [2**64 - 1 & ~(1 << 41)] * 2),
        ("raise", [2**64 - 1] * 2),
    ],
)
def test_a_mask_holds_capabilities_that_have_no_name(step, expected, newer_set_steps):
    [call] = [call for call in newer_set_steps[step] if call.startswith("capset")]
    assert capset_masks(call)[:2] == expected


# ---- Any sequence of changes, against a model

POOL = ("chown", "kill", "setgid", "setpcap", "net_bind_service", "bpf")
ACTIONS = ("drop", "limit", "raise", "toggle")
changes = st.lists(
    st.tuples(st.sampled_from(SETS), st.sampled_from(ACTIONS), st.sets(st.sampled_from(POOL))),
    min_size=1,
    max_size=12,
)


class Model:
    """The rules of capabilities(7) on five ints."""

    def __init__(self, sets):
        self.sets = dict(sets)

    def change(self, name, action, bits):
        have = self.sets[name]
        add, drop = {
            "drop": (0, bits),
            "limit": (0, ~bits),
            "raise": (bits, 0),
            "toggle": (bits & ~have, bits & have),
        }[action]
        error = self.refusal(name, add, drop & have)
        if error is None:
            self.sets[name] = (have | add) & ~drop
            self.sets["cap_effective"] &= self.sets["cap_permitted"]
            self.sets["cap_ambient"] &= self.sets["cap_permitted"] & self.sets["cap_inheritable"]
        return error

    def refusal(self, name, add, drop):
        permitted, inheritable = self.sets["cap_permitted"], self.sets["cap_inheritable"]
        privileged = self.sets["cap_effective"] & mask("setpcap")
        added = add & ~self.sets[name]
        if name == "capbset" and add:
            return ValueError
        refused = {
            "cap_effective": added & ~permitted,
            "cap_permitted": added,
            "cap_inheritable": added & ~self.sets["capbset"]
            or (added & ~permitted and not privileged),
            "cap_ambient": add & ~(permitted & inheritable),
            "capbset": drop and not privileged,
        }
        return PermissionError if refused[name] else None


def apply(name, action, names):
    capabilities = live(name)
    match action:
        case "drop":
            capabilities.drop(*names)
        case "limit":
            capabilities.limit(*names)
        case "raise":
            capabilities |= names
        case "toggle":
            capabilities ^= names


def first_difference(state, sequence):
    """Carry out a sequence beside the model, and say where they part."""
    state()
    model = Model(masks())
    for name, action, names in sequence:
        expected = model.change(name, action, mask(*names))
        _, after, error, _ = outcome(apply, name, action, names)
        if (error, after) != (expected or type(None), model.sets):
            return f"{action} {names} in {name}: {error}, {after}, not {expected}, {model.sets}"
    return None


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=changes)
def test_any_sequence_of_changes_ends_as_the_manual_says(state, sequence):
    assert support.in_child(first_difference, state, sequence) is None


# ---- A daemon's day


def test_a_daemon_keeps_the_one_capability_it_needs(root):
    def daemon():
        prctl.cap_inheritable.clear()
        prctl.capbset.limit("net_bind_service")
        prctl.cap_permitted.limit("net_bind_service", "setuid", "setgid", "setpcap")
        prctl.set_keepcaps(True)
        support.become_user()
        prctl.cap_permitted.limit("net_bind_service")
        prctl.cap_effective.net_bind_service = True
        return masks(), support.status()["Uid"].split()

    bits = mask("net_bind_service")
    sets, uids = in_state(fill, daemon)
    assert set(uids) == {str(support.USER)}
    assert sets == dict.fromkeys(SETS, bits) | {"cap_inheritable": 0, "cap_ambient": 0}


def test_ambient_capabilities_reach_an_executed_program(root):
    def daemon():
        prctl.set_keepcaps(True)
        support.become_user()
        prctl.cap_inheritable.add("net_bind_service")
        prctl.cap_ambient.add("net_bind_service")
        return support.run("/bin/cat", "/proc/self/status")

    shown = in_state(fill, daemon)
    assert (
        re.search(r"^CapEff:\s*(\w+)", shown, re.MULTILINE)[1] == f"{mask('net_bind_service'):016x}"
    )


def test_a_daemon_without_capabilities_cannot_come_back(root):
    def daemon():
        support.become_user()
        try:
            prctl.cap_permitted.setuid = True
        except PermissionError:
            return masks()["cap_permitted"]

    assert in_state(fill, daemon) == 0


# ---- Answers that are not the kernel's: a filter's, or those of its handler of SIGSYS


@pytest.mark.kernel("seccomp filters")
def test_an_answer_without_sets_gives_none_that_were_in_memory(user):
    def read():
        support.install_filter(support.refuse("capget", 0))
        return [set(getattr(prctl, name)) for name in SETS[:3]]

    assert support.in_child(read, user=user) == [set()] * 3


FALSE_ANSWERS = {
    "reading": ("capget", lambda: set(prctl.cap_effective)),
    "dropping": ("capset", prctl.cap_effective.clear),
    "dropping from permitted": ("capset", prctl.cap_permitted.clear),
    "reading the bounding set": ("prctl", lambda: set(prctl.capbset)),
    "dropping from ambient": ("prctl", prctl.cap_ambient.clear),
    "dropping from the bounding set": ("prctl", prctl.capbset.clear),
    "no_new_privs": ("prctl", lambda: prctl.set_no_new_privs()),
    "no_new_privs everywhere": ("prctl", lambda: everywhere(prctl.set_no_new_privs)),
    "securebits": ("prctl", lambda: setattr(prctl.securebits, "noroot", True)),
    "a name": ("prctl", lambda: prctl.set_name("name")),
}


all_threads = prctl.all_threads  # loaded now: some children cannot read the installation


def everywhere(function):
    with all_threads():
        function()


@pytest.mark.kernel("seccomp filters")
@pytest.mark.parametrize("name", FALSE_ANSWERS)
def test_what_a_handler_answers_instead_of_the_kernel_does_not_pass_for_done(name, user):
    call, attempt = FALSE_ANSWERS[name]

    def run():
        signal.signal(signal.SIGSYS, lambda *_: None)
        support.install_filter(support.instead_of(call, support.SIGSYS_INSTEAD))
        return support.error_of(attempt)

    number, kind, text = support.in_child(run, user=user)
    assert (number, kind) == (errno.EPROTO, OSError)
    assert text.startswith(f"[Errno {errno.EPROTO}]")
