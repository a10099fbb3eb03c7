"""What is called: each scenario prepares what it needs in a child, and returns the call."""

import errno
import importlib.util
import mmap
import os
import sys
import tempfile
from typing import NamedTuple

import support
import test_bad_input as bad

import _prctl
import prctl


class Scenario(NamedTuple):
    name: str
    prepare: object  # returns a function and its arguments
    user: bool = False  # as an ordinary user
    repeats: bool = True  # calling it again makes sense
    steady: bool = True  # it passes each place as often as before
    thorough: bool = True  # every place is made to fail in it, whatever the others have had


WRITTEN = []


def scenario(function=None, **options):
    """Add a function to the scenarios."""
    if function is None:
        return lambda function: scenario(function, **options)
    WRITTEN.append(Scenario(function.__name__, function, **options))
    return function


def calls(**prepare):
    """Add scenarios that are no more than a call."""
    WRITTEN.extend(map(Scenario, prepare.keys(), prepare.values()))


# ---- From the table of the suite: each function with good arguments, and what no function takes


def _good(name):
    kinds = {key: kind for key, kind in bad.TABLE[name].items() if key != bad.OPTIONAL}
    return bad.function_of(name), *(kind["good"] for kind in kinds.values())


def _as_if_the_kernel_had_it(name):
    def prepare():
        support.install_filter(support.refuse("prctl", 0, bad.NUMBERS[f"PR_{name.upper()}"]))
        return _good(name)

    return prepare


def good():
    for name in bad.TABLE:
        yield Scenario(name, lambda name=name: _good(name))
        if f"PR_{name.upper()}" in bad.NUMBERS:
            yield Scenario(f"{name}, as if the kernel had it", _as_if_the_kernel_had_it(name))


def wrong():
    for row in bad.ROWS:
        name, args, kwargs, *_ = row.values
        if not kwargs:
            call = (bad.function_of(name), *args)
            yield Scenario(row.id or str(row.values), lambda call=call: call, thorough=False)


# ---- The door


CHOWN, NET_RAW = 0, 13

calls(
    door_with_buffers=lambda: (prctl.prctl, 0x7FFFFFF0, bytearray(8), b"x" * 8),
    door_to_a_row_that_takes_nothing=lambda: (prctl.prctl, _prctl.PR_GET_CHILD_SUBREAPER, bytes(8)),
    door_that_writes_to_a_read_only_buffer=lambda: (
        prctl.prctl,
        _prctl.PR_SET_MM,
        _prctl.PR_SET_MM_MAP_SIZE,
        bytes(4),
    ),
    door_with_a_buffer_that_is_not_copied=lambda: (
        prctl.prctl,
        _prctl.PR_SET_MM,
        _prctl.PR_SET_MM_MAP_SIZE,
        bytearray(64),
    ),
    door_that_succeeds=lambda: (
        prctl.prctl,
        _prctl.PR_CAP_AMBIENT,
        _prctl.PR_CAP_AMBIENT_IS_SET,
        0,
        0,
        0,
    ),
    door_to_a_row=lambda: (prctl.prctl, _prctl.PR_SET_KEEPCAPS, 0, 0),
    door_to_a_row_with_too_many=lambda: (prctl.prctl, _prctl.PR_SET_KEEPCAPS, 0, 1),
    door_to_a_row_without_an_object=lambda: (prctl.prctl, _prctl.PR_SET_SECCOMP, 2, 0),
)


# ---- The rows and what no row can say


def keywords(function, **kwargs):
    def call():
        return function(**kwargs)

    return (call,)


calls(
    keyword_twice=lambda: (lambda: prctl.set_thp_disable(1, flag=1),),
    keyword_unknown=lambda: keywords(prctl.set_thp_disable, nonsense=1),
    keyword_missing=lambda: keywords(prctl.set_thp_disable, flags=1),
    keyword_given=lambda: keywords(prctl.set_thp_disable, flag=0),
    name_beyond_ascii=lambda: (prctl.set_name, "größer als fünfzehn Bytes"),
    name_of_undecodable_bytes=lambda: (prctl.set_name, "\udcff" * 20),
    mm_auxv=lambda: (prctl.set_mm, prctl.SET_MM_AUXV, bytes(16)),
    name_of_a_mapping=lambda: (prctl.set_vma_anon_name, mmap.mmap(-1, 4096), "name"),
    name_of_an_address=lambda: (prctl.set_vma_anon_name, 0x1000, 4096, "name"),
    ptracer_is_any=lambda: (prctl.set_ptracer, prctl.SET_PTRACER_ANY),
    ptracer_by_number=lambda: (prctl.set_ptracer, -1),
    keyword_for_the_only_argument=lambda: keywords(prctl.set_no_new_privs, flag=1),
    name_of_an_address_without_a_length=lambda: keywords(
        prctl.set_vma_anon_name, address=4096, name="x"
    ),
    name_of_a_part_of_a_mapping=lambda: (
        prctl.set_vma_anon_name,
        mmap.mmap(-1, 8192),
        4096,
        "name",
    ),
)


@scenario
def mm_executable():
    file = os.open("/proc/self/exe", os.O_RDONLY)
    return prctl.set_mm, prctl.SET_MM_EXE_FILE, file


@scenario
def mm_map_with_a_vector():
    size = prctl.get_mm_map()
    return prctl.set_mm_map, size._replace(auxv=bytes(16), auxv_size=16)


@scenario
def mm_map_with_an_executable():
    file = os.open("/proc/self/exe", os.O_RDONLY)
    return prctl.set_mm_map, prctl.get_mm_map()._replace(exe_fd=file)


@scenario
def seccomp_strict_but_refused():
    support.install_filter(support.refuse("prctl", errno.EINVAL, _prctl.PR_SET_SECCOMP))
    return prctl.set_seccomp, 1


@scenario(repeats=False)
def seccomp_filter():
    prctl.set_no_new_privs()
    return prctl.set_seccomp, 2, support.refuse("getppid", errno.EPERM)


@scenario(repeats=False)
def seccomp_filter_in_every_thread():
    support.Worker()
    prctl.set_no_new_privs()
    return everywhere(prctl.set_seccomp, 2, support.refuse("getppid", errno.EPERM))


@scenario
def dispatch_on_and_off():
    def switch():
        prctl.set_syscall_user_dispatch(1, 0, 2**47, memory)
        prctl.set_syscall_user_dispatch(0)

    memory = bytearray(1)
    return (switch,)


# ---- The module


calls(
    attribute_made=lambda: (_prctl.__getattr__, "get_dumpable"),
    attribute_option=lambda: (_prctl.__getattr__, "PR_GET_DUMPABLE"),
    attribute_constant=lambda: (_prctl.__getattr__, "SECBIT_NOROOT"),
    attribute_last_capability=lambda: (_prctl.__getattr__, "CAP_LAST_CAP"),
    attribute_missing=lambda: (_prctl.__getattr__, "nonsense"),
    attribute_that_no_c_name_can_be=lambda: (_prctl.__getattr__, "\ud800"),
    public_function=lambda: (_prctl._public, "set_mm_map"),
    public_constant=lambda: (_prctl._public, "CAP_CHOWN"),
    public_missing=lambda: (_prctl._public, "PR_GET_NAME"),
    public_not_a_c_name=lambda: (_prctl._public, "\0"),
    names=lambda: (_prctl.__dir__,),
    public_names=lambda: (_prctl._public_names,),
    module_imported=lambda: (import_anew,),
)


def import_anew():
    module = importlib.util.module_from_spec(_prctl.__spec__)
    _prctl.__loader__.exec_module(module)


def warm_up():
    """Let Python keep all that it keeps for later when modules are made: it is no leak."""
    for _ in range(800):
        import_anew()


@scenario
def module_imported_where_the_bounding_set_cannot_be_read():
    support.install_filter(support.refuse("prctl", errno.ENOSYS, _prctl.PR_CAPBSET_READ))
    return (import_anew,)


# ---- With an audit hook


def heard(function, *args):
    sys.addaudithook(lambda event, args: repr(args))  # that of something half made would crash
    return function, *args


calls(
    heard_flag=lambda: heard(prctl.set_keepcaps, 0),
    heard_name=lambda: heard(prctl.set_name, "heard"),
    heard_title=lambda: heard(prctl.set_proctitle, "heard"),
    heard_securebit=lambda: heard(_prctl._securebits_change, 0, 1),
    heard_set=lambda: heard(prctl.cap_inheritable.drop, "chown"),
    heard_ambient=lambda: heard(prctl.cap_ambient.drop, "chown"),
    heard_bounding=lambda: heard(prctl.capbset.drop, 63),
    heard_three_sets=lambda: heard(_prctl._capset, *_prctl._cap_get_proc()),
)


@scenario
def heard_plan():
    state = os.getresuid(), os.getresgid()
    masks = _prctl._cap_get_proc()
    steps = [
        ("setgroups", [1, 2]),
        ("setresgid", *state[1]),
        ("setresuid", *state[0]),
        ("capset", *masks),
        ("prctl", _prctl.PR_SET_KEEPCAPS, 0),
    ]
    return heard(run_plan, steps)


def refused(event_name, function, *args):
    def hook(event, args):
        if event == event_name:
            raise ZeroDivisionError

    sys.addaudithook(hook)
    return function, *args


calls(
    refused_by_a_hook=lambda: refused("prctl.capset", _prctl._cap_change, 2, 0, 1),
    refused_dispatch=lambda: refused(
        "prctl.prctl", prctl.set_syscall_user_dispatch, 1, 0, 2**47, bytearray(1)
    ),
    refused_row=lambda: refused("prctl.prctl", prctl.set_keepcaps, 0),
    refused_securebit=lambda: refused("prctl.prctl", _prctl._securebits_change, 1, 1),
    refused_strict=lambda: refused("prctl.prctl", prctl.set_seccomp, 1),
    refused_filter=lambda: refused("prctl.prctl", prctl.set_seccomp, 2, bytes(8)),
    refused_name=lambda: refused("prctl.prctl", prctl.set_name, "refused"),
    refused_title=lambda: refused("prctl.set_proctitle", prctl.set_proctitle, "refused"),
    refused_door=lambda: refused("prctl.prctl", prctl.prctl, 0x7FFFFFF0),
    refused_memory_map=lambda: refused("prctl.prctl", prctl.set_mm, 1, 0),
    refused_ambient=lambda: refused("prctl.prctl", prctl.cap_ambient.clear),
    refused_bounding=lambda: refused("prctl.prctl", prctl.capbset.drop, "chown"),
    refused_ptracer=lambda: refused("prctl.prctl", prctl.set_ptracer, 0),
    refused_timer_ids=lambda: refused("prctl.prctl", prctl.timer_create_restore_ids, 0),
)


@scenario
def refused_ambient_raise():
    prctl.cap_inheritable.add("chown")
    return refused("prctl.prctl", prctl.cap_ambient.add, "chown")


# ---- Capability sets


SETS = ("cap_effective", "cap_permitted", "cap_inheritable", "cap_ambient", "capbset")


def _of_each_set():
    def add(name, what, prepare, **options):
        WRITTEN.append(Scenario(f"{name}: {what}", prepare, **options))

    for name in SETS:
        live = getattr(prctl, name)
        add(name, "read", lambda live=live: (repr, live))
        add(name, "asked", lambda live=live: (live.__contains__, "chown"))
        add(name, "asked by number", lambda live=live: (live.__contains__, 63))
        add(name, "asked by an attribute", lambda live=live: (getattr, live, "chown"))
        add(name, "dropped", lambda live=live: (live.drop, "net_raw"))
        add(name, "raised", lambda live=live: (live.add, "net_raw"))
        add(name, "cleared", lambda live=live: (live.clear,))
        add(name, "raised beyond the kernel's", lambda live=live: (live.add, 63))
        add(name, "raised by a user", lambda live=live: (live.add, "chown"), user=True)
        add(name, "dropped by a user", lambda live=live: (live.drop, "chown"), user=True)


_of_each_set()


def raise_ambient(*names):
    prctl.cap_inheritable.limit()
    prctl.cap_inheritable |= set(names)
    prctl.cap_ambient |= set(names)


@scenario
def ambient_raised():
    prctl.cap_inheritable |= {"chown", "kill"}
    return prctl.cap_ambient.__ior__, {"chown", "kill"}


@scenario
def ambient_raised_against_the_securebit():
    prctl.cap_inheritable.add("chown")
    prctl.securebits.no_cap_ambient_raise = True
    return prctl.cap_ambient.add, "chown"


@scenario
def ambient_lowered():
    raise_ambient("chown", "kill")
    return prctl.cap_ambient.drop, "chown", "kill"


@scenario
def ambient_read():
    raise_ambient("chown", "kill")
    return list, prctl.cap_ambient


@scenario
def permitted_raised_in_vain():
    prctl.cap_permitted.drop("net_raw", "kill")
    return prctl.cap_permitted.__ior__, {"net_raw", "kill"}


@scenario
def effective_raised_in_vain():
    prctl.cap_permitted.drop("net_raw", "kill")
    return prctl.cap_effective.__ior__, {"net_raw", "kill"}


@scenario
def inheritable_raised_in_vain():
    prctl.cap_permitted.drop("net_raw", "kill")
    prctl.cap_effective.drop("setpcap")
    return prctl.cap_inheritable.__ior__, {"net_raw", "kill"}


@scenario
def inheritable_raised_against_the_bounding_set():
    prctl.capbset.drop("net_raw")
    prctl.cap_permitted.drop("net_raw")
    prctl.cap_inheritable.drop("net_raw")
    return prctl.cap_inheritable.add, "net_raw"


@scenario
def effective_raised():
    prctl.cap_effective.drop("net_raw")
    return prctl.cap_effective.add, "net_raw"


@scenario
def bounding_dropped_without_privilege():
    prctl.cap_effective.drop("setpcap")
    return prctl.capbset.drop, "net_raw"


calls(
    capability_by_a_name_nobody_knows=lambda: (_prctl._cap_number, "nonsense"),
    capability_by_a_decimal_name=lambda: (_prctl._cap_number, "63"),
    capability_by_a_surrogate=lambda: (_prctl._cap_number, "\ud800"),
    capabilities_as_a_mask=lambda: (_prctl._cap_mask, ["chown", 5, "CAP_KILL"]),
    private_set_unknown=lambda: (_prctl._cap_read, 7),
    private_wrong_count=lambda: (_prctl._cap_has, 1),
    private_change=lambda: (_prctl._cap_change, 2, 1, 1 << 13),
    three_sets=lambda: (_prctl._capset, *_prctl._cap_get_proc()),
    caps_asked=lambda: (_prctl.get_caps, [0, 1], [5], []),
    caps_set=lambda: (_prctl.set_caps, [0], [0], [0], [13], [], [13]),
    names_of_numbers=lambda: (lambda: [_prctl.cap_to_name(number) for number in (0, 41, 63)],),
    capability_without_a_name_is_refused=lambda: (prctl.capbset.add, 5),
    last_capability_by_name=lambda: (_prctl._cap_number, "last_cap"),
    capability_whose_name_is_too_long=lambda: (_prctl._cap_number, "x" * 40),
    set_that_needs_another_kernel=lambda: (_prctl._capset, 1 << 63, 0, 0),
    private_sets_of_the_wrong_count=lambda: (_prctl._capset, 1),
    lists_of_capabilities_left_out=lambda: (_prctl.set_caps, []),
)


@scenario
def three_sets_in_vain():
    prctl.cap_permitted.drop("net_raw")
    return _prctl._capset, 1 << NET_RAW, 1 << NET_RAW, 0


@scenario
def ambient_unknown_to_the_kernel():
    prctl.cap_inheritable.add("chown")
    return prctl.cap_ambient.__ior__, {"chown"}


# ---- libcap


# A child ends without removing its own.
FILES = tempfile.TemporaryDirectory(prefix="prctl-faults-", dir="/tmp")


def temporary_file():
    return tempfile.NamedTemporaryFile(dir=FILES.name)


calls(
    text_read=lambda: (_prctl._cap_from_text, "cap_chown,cap_kill=ep"),
    text_refused=lambda: (_prctl._cap_from_text, "nonsense"),
    text_with_a_nul=lambda: (_prctl._cap_from_text, "a\0"),
    text_beyond_ascii=lambda: (_prctl._cap_from_text, "é\ud800"),
    text_of_another_type=lambda: (_prctl._cap_from_text, 5),
    text_written=lambda: (_prctl._cap_to_text, 1, 3, 2),
    sets_of_this_thread=lambda: (_prctl._cap_get_proc,),
    sets_of_a_process=lambda: (_prctl._cap_get_pid, 1),
    sets_of_no_process=lambda: (_prctl._cap_get_pid, 0),
    file_read=lambda: (_prctl._cap_get_file, "/bin/true"),
    file_read_by_descriptor=lambda: (_prctl._cap_get_file, temporary_file()),
    file_not_there=lambda: (_prctl._cap_get_file, b"/nonsense"),
    file_with_a_root_that_is_none=lambda: (_prctl._cap_set_file, "/", 1, 1, 0, 2**32 - 1),
    file_with_a_root_beyond_32_bits=lambda: (_prctl._cap_set_file, "/", 1, 1, 0, 2**32),
    file_that_is_a_folder=lambda: (_prctl._cap_set_file, "/", 1, 1, 0, None),
    file_that_is_a_link=lambda: (_prctl._cap_set_file, "/proc/self/exe", 1, 1, 0, None),
    file_that_is_none=lambda: (_prctl._cap_get_file, 5.0),
    sets_of_a_process_beyond_32_bits=lambda: (_prctl._cap_get_pid, 2**31),
)


@scenario
def file_with_an_attribute_that_libcap_cannot_read():
    file = temporary_file()
    os.setxattr(file.name, "security.capability", (0x02000000).to_bytes(4, "little") + bytes(16))
    return (lambda: (file, _prctl._cap_get_file(file.name))[1],)


@scenario
def file_changed():
    file = temporary_file()
    _prctl._cap_set_file(file.name, 1, 1, 0, None)
    return (lambda: _prctl._cap_set_file(file.name, 1, 1, 0, None),)


@scenario
def file_changed_by_descriptor_and_heard():
    file = temporary_file()
    function, *args = heard(_prctl._cap_set_file, file.fileno(), 1, 1, 0, 1000)
    return (lambda: (file, function(*args))[1],)


@scenario
def file_changed_and_heard():
    file = temporary_file()
    function, *args = heard(_prctl._cap_set_file, file.name, 1, 1, 0, None)
    return (lambda: (file, function(*args))[1],)


@scenario
def file_changed_without_privilege():
    file = temporary_file()
    prctl.cap_effective.drop("setfcap")
    return (lambda: _prctl._cap_set_file(file.name, 1, 1, 0, None),)


@scenario
def file_without_capabilities_to_remove():
    file = temporary_file()
    return (lambda: _prctl._cap_remove_file(file.name),)


@scenario
def file_removed_and_heard():
    file = temporary_file()
    return heard(lambda: _prctl._cap_remove_file(file.name))


@scenario
def file_with_a_root_of_its_own():
    file = temporary_file()
    return (lambda: (file, _prctl._cap_set_file(file.name, 1, 1, 0, 1000))[1],)


# ---- The title


@scenario
def title_by_one_field_after_the_other():
    support.install_filter(
        support.refuse("prctl", errno.EINVAL, _prctl.PR_SET_MM, _prctl.PR_SET_MM_MAP_SIZE)
    )
    return prctl.set_proctitle, "title"


@scenario
def title_by_fields_as_if_they_could_be_set():
    for error, *field in (0,), (errno.EINVAL, _prctl.PR_SET_MM_MAP_SIZE):
        support.install_filter(support.refuse("prctl", error, _prctl.PR_SET_MM, *field))
    return prctl.set_proctitle, "title"


@scenario
def title_in_argv():
    support.install_filter(support.refuse("prctl", errno.EPERM, _prctl.PR_SET_MM))
    return prctl.set_proctitle, "title"


@scenario
def title_in_argv_that_is_cut():
    support.install_filter(support.refuse("prctl", errno.EPERM, _prctl.PR_SET_MM))
    return prctl.set_proctitle, "ä" * 2000


@scenario
def title_with_other_threads():
    worker = support.Worker()
    return (lambda: (worker, prctl.set_proctitle("title"))[1],)


@scenario
def title_asked_after_it_was_set():
    prctl.set_proctitle("title")
    return (prctl.get_proctitle,)


@scenario
def title_set_again():
    prctl.set_proctitle("title")
    return prctl.set_proctitle, "other"


calls(
    title_for_the_first_time=lambda: (prctl.set_proctitle, "title"),
    title_that_is_too_long_as_bytes=lambda: (prctl.set_proctitle, "ä" * 4000),
)


# ---- Every thread


def everywhere(function, *args):
    def call():
        with prctl.all_threads():
            return function(*args)

    return (call,)


def with_another_thread(prepare=None):
    worker = support.Worker()
    if prepare is not None:
        worker(prepare)
    return worker


@scenario
def every_thread_flag():
    with_another_thread()
    return everywhere(prctl.set_keepcaps, 0)


@scenario
def every_thread_by_the_door():
    with_another_thread()
    return everywhere(prctl.prctl, _prctl.PR_CAP_AMBIENT, _prctl.PR_CAP_AMBIENT_LOWER, 5, 0, 0)


@scenario
def every_thread_bounding():
    with_another_thread()
    return everywhere(prctl.capbset_drop, 13)


@scenario
def every_thread_bounding_where_another_may_not():
    with_another_thread(lambda: prctl.cap_effective.drop("setpcap"))
    return everywhere(prctl.capbset_drop, 13)


@scenario
def every_thread_sets():
    with_another_thread()
    return everywhere(prctl.cap_inheritable.drop, "chown")


@scenario
def every_thread_ambient():
    with_another_thread()
    return everywhere(prctl.cap_ambient.clear)


@scenario
def every_thread_bounding_set():
    with_another_thread()
    return everywhere(prctl.capbset.drop, "net_raw")


@scenario
def every_thread_securebit():
    with_another_thread()
    return everywhere(setattr, prctl.securebits, "noroot", False)


calls(
    every_thread_alone=lambda: everywhere(prctl.set_keepcaps, 0),
    block_left_without_one=lambda: (_prctl._all_threads, -1),
    seccomp_strict_everywhere=lambda: everywhere(prctl.set_seccomp, 1),
    private_block_of_another_type=lambda: (_prctl._all_threads, "x"),
)


@scenario
def every_thread_but_in_vain():
    with_another_thread(lambda: prctl.cap_permitted.drop("net_raw"))
    prctl.cap_effective.drop("net_raw")
    return everywhere(prctl.cap_effective.add, "net_raw")


@scenario(repeats=False, steady=False)  # it takes a second
def every_thread_one_stopped():
    worker = with_another_thread(support.block_libc_signal)
    return (*everywhere(prctl.set_keepcaps, 0), worker)[:1]


@scenario
def seccomp_filter_where_a_thread_has_its_own():
    prctl.set_no_new_privs()
    program = support.refuse("getppid", errno.EPERM)
    with_another_thread(lambda: prctl.set_seccomp(2, program))
    return everywhere(prctl.set_seccomp, 2, program)


@scenario
def door_for_every_thread_to_what_is_for_one():
    with_another_thread()
    return everywhere(prctl.prctl, 0x7FFFFFF0)


# ---- Plans


def plan_of(*steps):
    return run_plan, list(steps)


def run_plan(steps):
    """What the plan answers is made an exception: nothing may be forgotten."""
    for _, error, _ in _prctl._run_plan(steps):
        raise OSError(error, os.strerror(error))


@scenario(repeats=False)
def plan_of_everything():
    with_another_thread()
    everything = _prctl._cap_get_proc()
    return plan_of(
        ("capset", *everything),
        ("prctl", _prctl.PR_CAPBSET_DROP, 13),
        ("setgroups", [65534]),
        ("setresgid", 65534, 65534, 65534),
        ("prctl", _prctl.PR_SET_KEEPCAPS, 1),
        ("setresuid", 65534, 65534, 65534),
        ("capset", 0, 0, 0),
        ("prctl", _prctl.PR_SET_KEEPCAPS, 0),
        ("prctl", _prctl.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    )


calls(
    plan_that_is_none=lambda: (_prctl._run_plan, 5),
    plan_with_a_step_that_is_none=lambda: plan_of(5),
    plan_with_an_unknown_step=lambda: plan_of(("setgroups", [1]), ("nonsense", 1)),
    plan_that_is_refused=lambda: plan_of(("prctl", 0x7FFFFFF0, 1, 2, 3, 4)),
)


@scenario(repeats=False)
def plan_where_a_thread_holds_it_already():
    def lose():
        prctl.capbset.drop("net_raw")
        prctl.cap_effective.limit()
        prctl.cap_permitted.limit()

    support.kernel_prctl(8, 0)
    os.setgroups([5, 6])
    with_another_thread(lose)
    return plan_of(
        ("prctl", _prctl.PR_CAPBSET_DROP, 13),
        ("setgroups", [5, 6]),
        ("prctl", _prctl.PR_SET_KEEPCAPS, 0),
        ("capset", 0, 1, 0),
    )


@scenario(repeats=False)
def privileges_dropped():
    with_another_thread()
    return (
        lambda: prctl.drop_privileges(65534, 65534, groups=[65534], keep=["net_raw"], ambient=True),
    )


@scenario(repeats=False)
def plan_where_keep_caps_is_locked_elsewhere():
    with_another_thread(lambda: setattr(prctl.securebits, "keep_caps_locked", True))
    return plan_of(("prctl", _prctl.PR_SET_KEEPCAPS, 0))


@scenario(repeats=False)
def privileges_dropped_by_name():
    return (lambda: prctl.drop_privileges("nobody"),)


@scenario(repeats=False)
def plan_where_groups_differ():
    os.setgroups([5])
    with_another_thread(lambda: prctl.cap_permitted.limit())
    return plan_of(("setgroups", [7, 8]))


@scenario(repeats=False)
def plan_where_the_ids_cannot_be_had():
    with_another_thread(lambda: prctl.cap_permitted.limit())
    return plan_of(("setresuid", 5, 5, 5))


@scenario
def refused_plan():
    return refused("prctl.setgroups", *plan_of(("setgroups", [1, 2])))


# ---- What needs another kernel


@scenario
def cookie_as_if_the_kernel_had_it():
    support.install_filter(support.refuse("prctl", 0, bad.NUMBERS["PR_SCHED_CORE"]))
    return prctl.sched_core_get, 0


@scenario
def module_imported_where_the_kernel_has_more_capabilities():
    support.install_filter(support.refuse("prctl", 0, _prctl.PR_CAPBSET_READ))
    return (import_anew,)


@scenario
def number_that_only_the_kernel_has():
    support.install_filter(support.refuse("prctl", 524, _prctl.PR_GET_KEEPCAPS))
    return (prctl.get_keepcaps,)
