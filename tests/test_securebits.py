"""The secure bits, against prctl(2) itself, capsh, setpriv, and their effects."""

import re

import pytest
import support

import prctl

# From capabilities(7) and linux/securebits.h: not the library's own numbers.
BITS = {
    "noroot": 0,
    "no_setuid_fixup": 2,
    "keep_caps": 4,
    "no_cap_ambient_raise": 6,
    "exec_restrict_file": 8,
    "exec_deny_interactive": 10,
}
LOCKS = {f"{name}_locked": place + 1 for name, place in BITS.items()}
PRIVILEGED = [name for name in BITS if not name.startswith("exec_")]
EXEC = [name for name in BITS if name.startswith("exec_")]
GET, SET = 27, 28  # PR_GET_SECUREBITS, PR_SET_SECUREBITS


def raw_get():
    return support.kernel_prctl(GET)


def raw_set(*names):
    support.kernel_prctl(SET, sum(1 << (BITS | LOCKS)[name] for name in names))


def kernel_knows_exec_bits():
    def knows():
        try:
            raw_set("exec_restrict_file")
        except OSError:
            return False
        return True

    return support.in_child(knows, user=True)


def needs(*names):
    """Skip where the kernel lacks a bit, or root the capability to change it."""
    if any(name.startswith("exec_") for name in names):
        if not kernel_knows_exec_bits():
            pytest.skip("this kernel has no exec_* securebits: Linux 6.14 has")
    elif not support.capability_mask("CapEff") >> 8 & 1:
        pytest.skip("root lacks CAP_SETPCAP in this container")


def values():
    return {name: getattr(prctl.securebits, name) for name in BITS | LOCKS}


def outcome(function, *args):
    """The bits before and after, and the exception."""
    before, error = raw_get(), None
    try:
        function(*args)
    except Exception as raised:
        error = raised
    return before, raw_get(), type(error), str(error)


def assign(name, value):
    setattr(prctl.securebits, name, value)


def in_state(names, function, *args, user=False):
    def child():
        raw_set(*names)
        if user:
            support.become_user()
        return function(*args)

    return support.in_child(child)


# ---- Reading


@pytest.mark.parametrize("name", [*BITS, *LOCKS])
def test_an_attribute_is_true_when_its_bit_is_set(name, root):
    needs(name)
    assert in_state([name], values) == dict.fromkeys(BITS | LOCKS, False) | {name: True}


def test_the_attributes_of_an_ordinary_process_are_false(user):
    assert support.in_child(values, user=user) == dict.fromkeys(BITS | LOCKS, False)


def test_get_securebits_gives_the_mask(root):
    needs()
    names = ("noroot", "noroot_locked", "keep_caps", "no_cap_ambient_raise_locked")
    assert in_state(names, prctl.get_securebits) == 0b10010011


@pytest.mark.parametrize("name", [*BITS, *LOCKS])
def test_a_constant_is_the_bit(name):
    assert getattr(prctl, f"SECBIT_{name.upper()}") == 1 << (BITS | LOCKS)[name]


@pytest.mark.parametrize("name", [*BITS, *LOCKS])
def test_a_number_constant_is_the_place(name):
    assert getattr(prctl, f"SECURE_{name.upper()}") == (BITS | LOCKS)[name]


SHOWN = [(), ("noroot",), ("noroot", "noroot_locked", "no_setuid_fixup")]


@pytest.mark.parametrize("names", SHOWN)
def test_capsh_shows_the_same_in_an_executed_program(names, root):
    needs()
    capsh = support.tool("capsh")

    def both():
        prctl.set_securebits(sum(1 << (BITS | LOCKS)[name] for name in names))
        shown = support.run(capsh, "--print")
        return prctl.get_securebits(), int(
            re.search(r"^Securebits: 0*\d*/(0x\w+)", shown, re.M)[1], 16
        )

    ours, theirs = support.in_child(both)
    assert ours == theirs


@pytest.mark.parametrize("names", SHOWN)
def test_setpriv_shows_the_same_in_an_executed_program(names, root):
    needs()
    setpriv = support.tool("setpriv")

    def both():
        for name in names:
            assign(name, True)
        shown = re.search(r"^Securebits: (.*)$", support.run(setpriv, "--dump"), re.M)[1]
        return shown.split(",")

    assert sorted(support.in_child(both)) == sorted(names or ["[none]"])


# ---- Changing


@pytest.mark.parametrize("name", [*BITS, *LOCKS])
def test_setting_an_attribute_sets_its_bit_and_no_other(name, root):
    needs(name)
    before, after, *_ = support.in_child(outcome, assign, name, True)
    assert after == before | 1 << (BITS | LOCKS)[name]


@pytest.mark.parametrize("name", BITS)
def test_unsetting_an_attribute_unsets_its_bit_and_no_other(name, root):
    needs(name)
    every = EXEC if name in EXEC else PRIVILEGED
    before, after, *_ = in_state(every, outcome, assign, name, False)
    assert after == before & ~(1 << BITS[name])


@pytest.mark.parametrize(("value", "expected"), [("yes", 1), (2, 1), ([], 0), (None, 0), (0.0, 0)])
def test_a_value_is_taken_by_its_truth(value, expected, root):
    needs()
    assert support.in_child(outcome, assign, "noroot", value)[1] == expected


@pytest.mark.parametrize("name", BITS)
def test_a_locked_bit_cannot_be_changed(name, root):
    needs(name)
    before, after, error, _ = in_state([name, f"{name}_locked"], outcome, assign, name, False)
    assert (after, error) == (before, PermissionError)


@pytest.mark.parametrize("name", BITS)
def test_a_bit_locked_at_zero_cannot_be_set(name, root):
    needs(name)
    before, after, error, _ = in_state([f"{name}_locked"], outcome, assign, name, True)
    assert (after, error) == (before, PermissionError)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_cannot_be_unset(name, root):
    needs(name)
    before, after, error, _ = in_state([name], outcome, assign, name, False)
    assert (after, error) == (before, PermissionError)


def test_the_refusal_of_a_locked_bit_does_not_blame_a_privilege(root):
    needs()
    message = in_state(["noroot_locked"], outcome, assign, "noroot", True)[3]
    assert "CAP_SETPCAP" not in message


@pytest.mark.parametrize("name", [name for name in PRIVILEGED if name != "keep_caps"])
def test_a_user_cannot_set_a_bit(name):
    before, after, error, _ = support.in_child(outcome, assign, name, True, user=True)
    assert (after, error) == (before, PermissionError)


@pytest.mark.parametrize("name", [f"{name}_locked" for name in PRIVILEGED])
def test_a_user_cannot_lock_a_bit(name):
    before, after, error, _ = support.in_child(outcome, assign, name, True, user=True)
    assert (after, error) == (before, PermissionError)


def test_the_refusal_names_the_privilege_that_is_missing():
    message = support.in_child(outcome, assign, "noroot", True, user=True)[3]
    assert message == "[Errno 1] Operation not permitted: changing securebits needs CAP_SETPCAP"


@pytest.mark.parametrize("value", [True, False])
def test_keep_caps_needs_no_privilege(value):
    def there_and_back():
        support.kernel_prctl(8, not value)  # PR_SET_KEEPCAPS
        assign("keep_caps", value)
        return support.kernel_prctl(7)

    assert support.in_child(there_and_back, user=True) == value


def test_keep_caps_is_the_flag_of_set_keepcaps(user):
    def both():
        prctl.set_keepcaps(True)
        first = prctl.securebits.keep_caps
        prctl.securebits.keep_caps = False
        return first, prctl.get_keepcaps()

    assert support.in_child(both, user=user) == (True, False)


@pytest.mark.parametrize("name", [*EXEC, *(f"{name}_locked" for name in EXEC)])
def test_a_user_may_set_the_bits_about_executing(name):
    needs(name)
    before, after, *_ = support.in_child(outcome, assign, name, True, user=True)
    assert after == before | 1 << (BITS | LOCKS)[name]


@pytest.mark.parametrize("name", EXEC)
def test_a_user_may_set_them_beside_those_of_root(name, root):
    needs(name)
    needs()
    before, after, *_ = in_state(["no_cap_ambient_raise"], outcome, assign, name, True, user=True)
    assert after == before | 1 << BITS[name]


# ---- What is no bit


def test_an_unknown_attribute_cannot_be_read():
    with pytest.raises(AttributeError, match="no_root"):
        prctl.securebits.no_root  # noqa: B018


def test_an_unknown_attribute_cannot_be_written():
    with pytest.raises(AttributeError, match="no_root"):
        prctl.securebits.no_root = True


@pytest.mark.parametrize("name", [*BITS, *LOCKS])
def test_an_attribute_cannot_be_deleted(name):
    with pytest.raises(AttributeError):
        delattr(prctl.securebits, name)


@pytest.mark.parametrize("name", [*BITS, *LOCKS])
def test_an_attribute_has_one_line_of_documentation(name):
    assert re.fullmatch(r"\S.{8,}\.", getattr(type(prctl.securebits), name).__doc__)


@pytest.mark.parametrize(
    ("names", "text"),
    [((), "<securebits: none>"), (("noroot_locked",), "<securebits: noroot_locked>")],
)
def test_the_repr_shows_what_is_set(names, text, root):
    needs()
    assert in_state(names, repr, prctl.securebits) == text


def test_the_repr_of_several_names_each(root):
    needs()
    names = ("keep_caps", "noroot", "noroot_locked")
    shown = in_state(names, repr, prctl.securebits)
    assert sorted(re.findall(r"\w+", shown.partition(":")[2])) == sorted(names)


# ---- What they do


def capabilities(field):
    return support.capability_mask(field)


def test_keep_caps_keeps_permitted_across_a_change_of_user(root):
    def change():
        before = capabilities("CapPrm")
        prctl.securebits.keep_caps = True
        support.become_user()
        return capabilities("CapPrm") == before, capabilities("CapEff")

    assert support.in_child(change) == (True, 0)


def test_no_setuid_fixup_keeps_effective_too(root):
    needs()

    def change():
        before = capabilities("CapEff")
        prctl.securebits.no_setuid_fixup = True
        support.become_user()
        return capabilities("CapEff") == before

    assert support.in_child(change)


def test_noroot_lets_root_execute_without_capabilities(root):
    needs()

    def execute():
        prctl.securebits.noroot = True
        shown = support.run("/bin/cat", "/proc/self/status")
        return int(re.search(r"^CapEff:\s*(\w+)", shown, re.M)[1], 16)

    assert support.in_child(execute) == 0


def test_no_cap_ambient_raise_forbids_raising(root):
    needs()

    def raise_one():
        prctl.cap_inheritable.add("setpcap")
        prctl.securebits.no_cap_ambient_raise = True
        with pytest.raises(PermissionError, match="no_cap_ambient_raise"):
            prctl.cap_ambient.add("setpcap")
        return capabilities("CapAmb")

    assert support.in_child(raise_one) == 0
