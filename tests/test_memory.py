"""The memory of the process as the kernel describes it: its map, the auxiliary vector, and names of
mappings, against stat, cmdline, environ, exe, auxv and smaps of /proc/self.
"""

import collections
import contextlib
import ctypes
import errno
import functools
import mmap
import os
import re
import struct
import sys
import threading

import pytest
import support
from support import error_of, in_child, in_pretended_kernel, needs_kernel, refused

import _prctl
import prctl

LONG = struct.calcsize("L")
ULONG_MAX = 2 ** (8 * LONG) - 1
SET_MM, SET_VMA, GET_AUXV = 35, 0x53564D41, 0x41555856
SYS_ADMIN, SYS_RESOURCE, CHECKPOINT_RESTORE = 21, 24, 40
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
EINVAL = refused(errno.EINVAL)

libc = ctypes.CDLL(None, use_errno=True)
libc.sbrk.restype = libc.mmap.restype = ctypes.c_void_p
libc.getauxval.restype = ctypes.c_ulong


def address_of(buffer):
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def in_pages(data, _kept=[]):  # noqa: B006
    """The address of a copy in memory that stays for good."""
    pages = 1 + len(data) // mmap.PAGESIZE
    memory = mmap.mmap(-1, pages * mmap.PAGESIZE, flags=PRIVATE)
    memory.write(data)
    _kept.append(memory)
    return address_of(memory)


# ---- get_mm_map()

# The fields of the kernel's struct prctl_mm_map, and where /proc/PID/stat has them
FIELDS = {
    "start_code": 26,
    "end_code": 27,
    "start_data": 45,
    "end_data": 46,
    "start_brk": 47,
    "brk": None,
    "start_stack": 28,
    "arg_start": 48,
    "arg_end": 49,
    "env_start": 50,
    "env_end": 51,
}


def stat(path="/proc/self/stat"):
    """The fields of FIELDS, brk by sbrk(2)."""
    with open(path, errors="surrogateescape") as file:
        fields = file.read().rpartition(")")[2].split()
    found = {name: int(fields[place - 3]) for name, place in FIELDS.items() if place}
    return found | {"brk": libc.sbrk(0)}


def got():
    return prctl.get_mm_map()._asdict()


@pytest.fixture
def in_stat():
    with open("/proc/self/stat") as file:
        count = len(file.read().rpartition(")")[2].split()) + 2
    if count < 52:
        pytest.skip(f"/proc/self/stat has {count} fields, 52 since Linux 3.5: an emulator's")


LEAVES_THE_REST = {"auxv": 0, "auxv_size": 0, "exe_fd": -1}


@pytest.mark.usefixtures("in_stat")
def test_the_map_is_what_proc_shows(user):
    def look():
        return stat(), got(), stat()

    before, map, after = in_child(look, user=user)
    if map["brk"] != after["brk"]:  # the interpreter wanted memory meanwhile
        after = before
    assert map == after | LEAVES_THE_REST


@pytest.mark.usefixtures("in_stat")
def test_the_map_has_the_fields_of_the_kernel_s_structure_in_its_order():
    map = prctl.get_mm_map()
    assert map._fields == (*FIELDS, "auxv", "auxv_size", "exe_fd")
    assert type(map) is type(prctl.get_mm_map())
    assert repr(map).startswith("mm_map(start_code=")


@pytest.mark.usefixtures("in_stat")
def test_the_map_has_one_class_also_when_two_threads_ask_for_the_first_at_once():
    def run():
        def make(*args):
            collections.namedtuple = namedtuple
            maps.append(prctl.get_mm_map())  # as another thread would
            return namedtuple(*args)

        vars(_prctl).pop("_mm_map", None)
        namedtuple, collections.namedtuple = collections.namedtuple, make
        maps = []
        maps += [prctl.get_mm_map(), prctl.get_mm_map()]
        return len(maps), len({type(map) for map in maps})

    assert in_child(run) == (3, 1)


@pytest.mark.usefixtures("in_stat")
@pytest.mark.parametrize("name", ["a) R 1 2 3", ") (", "x\n) S 0", ")))))))))))))))"])
def test_the_name_of_the_process_does_not_get_into_its_map(name):
    def look():
        before = got()
        support.kernel_prctl(15, bytearray(name.encode() + b"\0"))  # PR_SET_NAME
        return before, got()

    before, after = in_child(look)
    assert before | {"brk": 0} == after | {"brk": 0}


@pytest.mark.usefixtures("in_stat")
def test_the_map_is_there_after_the_main_thread_has_ended():
    """Its stat is that of a zombie then, and shows no memory."""

    def look():
        reader, writer = os.pipe()
        before = got()

        def outlive():
            while "Z" not in support.status("self", main)["State"]:
                pass
            os.write(writer, repr(got()).encode())
            os._exit(0)

        child = os.fork()
        if child == 0:
            main = os.getpid()
            threading.Thread(target=outlive).start()
            exit_thread = {"x86_64": 60, "i686": 1, "aarch64": 93, "s390x": 1}[support.machine()]
            libc.syscall(ctypes.c_long(exit_thread), 0)
        os.close(writer)
        with open(reader) as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        return before, eval(answer)

    before, after = in_child(look)
    assert before | {"brk": 0} == after | {"brk": 0}


@pytest.mark.usefixtures("in_stat", "root")
def test_without_proc_there_is_no_map(tmp_path):
    def look():
        os.chroot(tmp_path)
        return error_of(prctl.get_mm_map)

    assert in_child(look) == refused(errno.ENOENT, "/proc/self/stat")


WHOLE = b"1 (x) S" + b" 1" * 49
DAMAGED = {
    "empty": b"",
    "without a name": b"1 x S",
    "the name alone": b"1 (x)",
    "no number": b"1 (x) S",
    "a number too few": WHOLE[:-2],
    "no numbers": b"1 (x) S" + b" ?" * 49,
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_stat_that_no_kernel_writes_is_an_error(text, tmp_path, root):
    path = tmp_path / "proc/self/stat"
    path.parent.mkdir(parents=True)

    def look():
        os.chroot(tmp_path)
        found = []
        for content in WHOLE, text:  # the first leaves something for the second to mistake
            with open("/proc/self/stat", "wb") as file:
                file.write(content)
            try:
                found.append(prctl.get_mm_map().start_code)
            except OSError as error:
                found.append(error.errno)
        return found

    assert in_child(look) == [1, errno.EPROTO]


@pytest.fixture
def checkpoint_restore():
    needs_kernel("CONFIG_CHECKPOINT_RESTORE", SET_MM, 15, bytearray(4))


@pytest.mark.usefixtures("checkpoint_restore")
def test_the_kernel_s_structure_has_104_bytes(user):
    assert in_child(prctl.get_mm_map_size, user=user) == 104


# ---- set_mm_map()


@functools.cache
def kernel_tells_auxv():
    answer = in_child(support.errno_or_result, support.kernel_prctl, GET_AUXV, bytearray(8), 8)
    return LONG == 8 and answer != f"errno {errno.EINVAL}"  # as before Linux 6.4


def state():
    return got(), support.cmdline(), prctl.get_auxv() if kernel_tells_auxv() else None


def with_map(**fields):
    """set_mm_map() with today's map but for some fields."""
    return prctl.set_mm_map(prctl.get_mm_map()._replace(**fields))


@pytest.mark.usefixtures("checkpoint_restore")
def test_setting_the_map_that_there_is_changes_nothing(user):
    def change():
        map = prctl.get_mm_map()
        before = state()
        results = prctl.set_mm_map(map), prctl.set_mm_map(tuple(map))
        return results, before, state()

    results, before, after = in_child(change, user=user)
    assert (results, after) == ((None, None), before)


@pytest.mark.usefixtures("checkpoint_restore")
def test_the_command_line_ends_where_the_map_says(user):
    def change():
        whole = support.cmdline()
        first = whole.index(b"\0") + 1
        with_map(arg_end=prctl.get_mm_map().arg_start + first)
        return whole[:first], support.cmdline(), stat()["arg_end"] - stat()["arg_start"]

    expected, shown, length = in_child(change, user=user)
    assert (shown, length) == (expected, len(expected))


@pytest.mark.usefixtures("checkpoint_restore")
def test_the_command_line_and_the_environment_may_be_anywhere(user):
    def change():
        arguments = in_pages(b"new\0command line\0")
        environment = in_pages(b"A=1\0")
        with_map(
            arg_start=arguments,
            arg_end=arguments + 17,
            env_start=environment,
            env_end=environment + 4,
        )
        shown = support.cmdline()
        try:
            with open("/proc/self/environ", "rb") as file:
                return shown, file.read()
        except PermissionError:  # a process that changed its user cannot be read
            return shown, b"A=1\0"

    assert in_child(change, user=user) == (b"new\0command line\0", b"A=1\0")


# Every field of the map that has an address, and another address for it that the kernel takes.
MOVES = {
    "start_code": -16,
    "end_code": 16,
    "start_data": -16,
    "end_data": 16,
    "start_stack": -16,
    "arg_start": -1,
    "arg_end": 1,
    "env_start": -1,
    "env_end": 1,
}


@pytest.mark.usefixtures("checkpoint_restore")
@pytest.mark.parametrize(("field", "by"), MOVES.items())
def test_a_field_goes_where_it_belongs(field, by, user):
    def change():
        before = stat()
        with_map(**{field: before[field] + by})
        return before, stat(), got()

    before, after, map = in_child(change, user=user)
    expected = before | {field: before[field] + by} | {"brk": after["brk"]}
    assert (after, map) == (expected, expected | LEAVES_THE_REST)


BAD = [
    *({field: 2**64 - 1} for field in FIELDS),
    *({field: 0} for field in FIELDS),
    {"end_code": -1},
    {"end_data": -1},
    {"brk": -1},
    {"arg_end": -1},
    {"env_end": -1},
    {"auxv_size": 16},
    {"auxv": bytes(1 << 16), "auxv_size": 1 << 16},
]
STARTS = {
    "end_code": "start_code",
    "end_data": "start_data",
    "brk": "start_brk",
    "arg_end": "arg_start",
    "env_end": "env_start",
}


@pytest.mark.usefixtures("checkpoint_restore")
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_map_that_cannot_be_is_einval_and_changes_nothing(bad, user):
    with open("/proc/sys/vm/mmap_min_addr") as file:
        if 0 in bad.values() and int(file.read()) == 0:
            pytest.skip("vm.mmap_min_addr is 0 here")

    def attempt():
        before = state()
        map = prctl.get_mm_map()
        fields = {
            key: getattr(map, STARTS[key]) - 1 if value == -1 else value
            for key, value in bad.items()
        }
        return error_of(with_map, **fields), before == state()

    assert in_child(attempt, user=user) == (EINVAL, True)


@pytest.mark.usefixtures("checkpoint_restore")
def test_code_must_have_a_length():
    def attempt():
        return error_of(with_map, end_code=prctl.get_mm_map().start_code)

    assert in_child(attempt) == EINVAL


@pytest.mark.usefixtures("checkpoint_restore")
def test_a_vector_at_an_address_that_cannot_be_read_is_efault():
    attempt = error_of, lambda: with_map(auxv=8, auxv_size=2 * LONG)
    assert in_child(*attempt) == refused(errno.EFAULT)


SOME_MAP = dict.fromkeys(FIELDS, 1 << 20) | LEAVES_THE_REST
NO_VALUES = [
    *(({field: bad}, TypeError, field) for field in FIELDS for bad in ("x", None, 1.0)),
    *(({field: bad}, OverflowError, field) for field in FIELDS for bad in (-1, 2**64, -(2**64))),
    ({"auxv": -1}, OverflowError, "auxv"),
    ({"auxv": 2**64}, OverflowError, "auxv"),
    ({"auxv_size": 2**32}, OverflowError, "auxv_size does not fit 32 bits"),
    ({"start_code": 2**64}, OverflowError, "start_code does not fit 64 bits"),
    ({"auxv_size": 2**32, "exe_fd": 3}, OverflowError, "auxv_size"),
    ({"auxv": b"x" * 16, "auxv_size": 17}, ValueError, "16 bytes"),
    ({"auxv": b"", "auxv_size": 1}, ValueError, "0 bytes"),
]


@pytest.mark.parametrize(("bad", "error", "words"), NO_VALUES)
def test_what_no_field_can_hold_is_refused_before_the_kernel_is_asked(bad, error, words):
    def attempt():
        return support.outcome(prctl.set_mm_map, (tuple((SOME_MAP | bad).values()),), {})

    kind, text, changed = in_child(attempt)
    assert (kind, changed) == (error.__name__, {})
    assert words in text


# ---- The auxiliary vector

PAIR = struct.Struct("@LL")
AT_PHDR, AT_PAGESZ, AT_ENTRY, AT_RANDOM, AT_HWCAP2 = 3, 6, 9, 25, 26


def vector(path="/proc/self/auxv"):
    """The auxiliary vector as /proc has it, up to AT_NULL."""
    with open(path, "rb") as file:
        data = file.read()
    return data[: len(data) // PAIR.size * PAIR.size]


def pairs(data):
    found = {}
    for key, value in PAIR.iter_unpack(data):
        if key == 0:
            break
        found[key] = value
    return found


@pytest.fixture
def get_auxv():
    needs_kernel("PR_GET_AUXV (Linux 6.4)", GET_AUXV, bytearray(8), 8)


@pytest.mark.usefixtures("get_auxv")
def test_the_vector_is_what_proc_shows(user):
    expected = pairs(vector())  # not for a process that has changed its user to read
    found = in_child(prctl.get_auxv, user=user)
    assert found == expected
    for key in (AT_PHDR, AT_PAGESZ, AT_ENTRY, AT_RANDOM):
        assert found[key] == libc.getauxval(ctypes.c_ulong(key))


ENTRY = PAIR.pack(77, ULONG_MAX)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (PAIR.pack(0, 0) + ENTRY, {}),
        (PAIR.pack(0, 5) + ENTRY, {}),
        (ENTRY + PAIR.pack(ULONG_MAX, 0) + PAIR.pack(0, 0), {77: ULONG_MAX, ULONG_MAX: 0}),
        (b"".join(PAIR.pack(key, key) for key in range(1, 257)), range(1, 256)),
    ],
)
def test_a_vector_of_another_kernel_ends_at_its_null_or_the_memory_for_it(written, expected):
    answers = {GET_AUXV: (len(written), {2: written})}
    expected = expected if isinstance(expected, dict) else {key: key for key in expected}
    assert in_pretended_kernel(answers, prctl.get_auxv) == expected


def new_vector():
    """The vector with another AT_HWCAP2, to be known by."""
    old = vector()
    words = [
        (key, 0x1234567 if key == AT_HWCAP2 else value) for key, value in PAIR.iter_unpack(old)
    ]
    return b"".join(PAIR.pack(*pair) for pair in words)


@pytest.mark.usefixtures("checkpoint_restore")
@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, lambda data: memoryview(data).cast("L"), in_pages]
)
def test_a_new_vector_may_be_bytes_or_an_address(kind):
    def change():
        new = new_vector()
        with_map(auxv=kind(new), auxv_size=len(new))
        return new, vector()

    new, shown = in_child(change)
    assert pairs(shown) == pairs(new)
    assert pairs(shown)[AT_HWCAP2] == 0x1234567


@pytest.mark.usefixtures("checkpoint_restore", "get_auxv")
def test_get_auxv_is_the_vector_of_today(user):
    new = new_vector()

    def change():
        with_map(auxv=new, auxv_size=len(new))
        return prctl.get_auxv()

    assert in_child(change, user=user) == pairs(new)


@pytest.mark.usefixtures("checkpoint_restore")
def test_of_the_bytes_of_a_vector_those_of_its_size_count():
    def change():
        new = ENTRY + PAIR.pack(78, 5)
        with_map(auxv=new, auxv_size=PAIR.size)
        return pairs(vector())

    assert in_child(change) == {77: ULONG_MAX}


def test_the_buffer_of_a_vector_is_free_after_the_call(user):
    def attempt():
        memory = bytearray(1 << 16)
        count = sys.getrefcount(memory)
        for size in (1 << 16, (1 << 16) + 1):
            with pytest.raises((OSError, ValueError)):
                with_map(auxv=memory, auxv_size=size)
        memory.clear()
        return sys.getrefcount(memory) - count

    assert in_child(attempt, user=user) == 0


# ---- The executable

EXECUTABLE = os.path.realpath("/bin/sh")
NEEDS_PRIVILEGE = "changing the executable needs CAP_CHECKPOINT_RESTORE"


def forget_the_executable():
    """Put copies in the place of all that is mapped of the executable: the kernel wants it gone."""
    executable = os.readlink("/proc/self/exe")
    with open("/proc/self/maps") as file:
        lines = [line.split() for line in file]
    for line in lines:
        if line[-1] != executable:
            continue
        start, end = (int(word, 16) for word in line[0].split("-"))
        size, anywhere, all = ctypes.c_size_t(end - start), ctypes.c_void_p(0), 7
        protection = sum(bit for bit, letter in ((1, "r"), (2, "w"), (4, "x")) if letter in line[1])
        copy = ctypes.c_void_p(libc.mmap(anywhere, size, all, 0x22, -1, ctypes.c_long(0)))
        ctypes.memmove(copy, start, end - start)
        assert libc.mremap(copy, size, size, 3, ctypes.c_void_p(start)) != -1
        assert libc.mprotect(ctypes.c_void_p(start), size, protection) == 0


def become_another_program():
    forget_the_executable()
    with open(EXECUTABLE, "rb") as file:
        with_map(exe_fd=file.fileno())
    return os.readlink("/proc/self/exe")


@pytest.mark.usefixtures("checkpoint_restore", "root")
@pytest.mark.parametrize("lacking", [SYS_ADMIN, CHECKPOINT_RESTORE])
def test_the_executable_can_be_changed_with_either_privilege(lacking):
    support.needs(SYS_ADMIN, "CAP_SYS_ADMIN")
    support.needs(CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE")

    def change():
        support.change_capabilities("CapEff", drop=1 << lacking)
        return become_another_program()

    assert in_child(change) == EXECUTABLE


@pytest.mark.usefixtures("checkpoint_restore")
def test_a_user_can_change_the_executable_in_a_user_namespace():
    def change():
        support.enter_user_namespace()
        return become_another_program()

    assert in_child(change, user=True) == EXECUTABLE


@pytest.mark.usefixtures("checkpoint_restore")
def test_a_user_is_told_what_changing_the_executable_needs():
    def attempt():
        before = state()
        with open(EXECUTABLE, "rb") as file:
            return error_of(with_map, exe_fd=file.fileno()), before == state()

    assert in_child(attempt, user=True) == (refused(errno.EPERM, NEEDS_PRIVILEGE), True)


@pytest.mark.usefixtures("checkpoint_restore", "root")
@pytest.mark.parametrize(
    ("path", "number"),
    [(EXECUTABLE, errno.EBUSY), (__file__, errno.EACCES), ("/", errno.EACCES)],
)
@pytest.mark.parametrize("lacking", [SYS_RESOURCE, SYS_ADMIN, CHECKPOINT_RESTORE])
def test_a_file_that_cannot_be_the_executable_is_the_file_s_fault(path, number, lacking):
    """Either privilege will do, so neither is missing."""
    support.needs(SYS_ADMIN, "CAP_SYS_ADMIN")
    support.needs(CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE")

    def attempt():
        support.change_capabilities("CapEff", drop=1 << lacking)
        descriptor = os.open(path, os.O_RDONLY)
        before = state()
        return error_of(with_map, exe_fd=descriptor), before == state()

    assert in_child(attempt) == (refused(number), True)


@pytest.mark.usefixtures("checkpoint_restore", "root")
def test_a_closed_descriptor_cannot_be_the_executable():
    assert in_child(error_of, lambda: with_map(exe_fd=9999)) == refused(errno.EBADF)


# ---- set_mm()

NEEDS_RESOURCE = refused(errno.EPERM, "changing the memory map by field needs CAP_SYS_RESOURCE")


class File:
    def fileno(self):
        return 0


BY_FIELD = {
    **{getattr(prctl, f"SET_MM_{name.upper()}"): name for name in FIELDS},
    prctl.SET_MM_AUXV: PAIR.pack(0, 0),
    prctl.SET_MM_EXE_FILE: File(),
}


@pytest.fixture
def set_mm():
    if in_child(support.errno_or_result, support.kernel_prctl, SET_MM, 1, 1) == "errno 22":
        support.needs(SYS_RESOURCE, "CAP_SYS_RESOURCE, and prctl(PR_SET_MM) says EINVAL to libc")


def attempt_by_field(field):
    before = state()
    value = BY_FIELD[field]
    value = stat()[value] if isinstance(value, str) else value
    return error_of(prctl.set_mm, field, value), before[1:] == state()[1:]


@pytest.mark.usefixtures("set_mm")
@pytest.mark.parametrize("field", BY_FIELD)
def test_without_the_capability_no_field_can_be_set_and_the_message_names_it(field, user):
    if not user and support.capability_mask("CapEff") >> SYS_RESOURCE & 1:
        pytest.skip("root has CAP_SYS_RESOURCE here")
    assert in_child(attempt_by_field, field, user=user) == (NEEDS_RESOURCE, True)


@pytest.mark.usefixtures("set_mm")
@pytest.mark.parametrize("field", BY_FIELD)
def test_with_the_capability_where_it_does_not_count_the_message_names_none(field):
    def attempt():
        support.enter_user_namespace()
        assert support.capability_mask("CapEff") >> SYS_RESOURCE & 1
        return attempt_by_field(field)

    assert in_child(attempt, user=True) == (refused(errno.EPERM), True)


@pytest.mark.usefixtures("root", "set_mm")
def test_a_field_can_be_set_with_the_capability():
    support.needs(SYS_RESOURCE, "CAP_SYS_RESOURCE")

    def change():
        memory = in_pages(b"one\0two\0")
        start = prctl.get_mm_map().arg_start
        if start < memory:
            prctl.set_mm(prctl.SET_MM_ARG_END, memory + 8)
            prctl.set_mm(prctl.SET_MM_ARG_START, memory)
        else:
            prctl.set_mm(prctl.SET_MM_ARG_START, memory)
            prctl.set_mm(prctl.SET_MM_ARG_END, memory + 8)
        # With its null: Linux 5.10 keeps what there was behind a shorter vector.
        prctl.set_mm(prctl.SET_MM_AUXV, ENTRY + PAIR.pack(0, 0))
        return support.cmdline(), pairs(vector())

    assert in_child(change) == (b"one\0two\0", {77: ULONG_MAX})


# How far each field moves: the kernel wants the starts before their ends.
MOVES = {name: -1 if name.startswith("end") or name.endswith("end") else 1 for name in FIELDS}
MOVES |= {"start_brk": -mmap.PAGESIZE, "brk": mmap.PAGESIZE, "start_stack": -16}


@pytest.mark.usefixtures("root", "set_mm", "in_stat")
@pytest.mark.parametrize("name", MOVES)
def test_a_field_moves_alone_with_the_capability(name):
    support.needs(SYS_RESOURCE, "CAP_SYS_RESOURCE")

    def addresses():
        return stat() | {"brk": support.system_call("brk", 0)}

    def change():
        field = getattr(prctl, f"SET_MM_{name.upper()}")
        before = addresses()
        prctl.set_mm(field, before[name] + MOVES[name])
        after = addresses()
        return {field: after[field] - before[field] for field in before}

    assert in_child(change) == dict.fromkeys(MOVES, 0) | {name: MOVES[name]}


@pytest.mark.usefixtures("root", "set_mm")
@pytest.mark.parametrize("address", [0, 1, ULONG_MAX])
def test_with_the_capability_an_address_that_no_process_has_is_einval(address):
    support.needs(SYS_RESOURCE, "CAP_SYS_RESOURCE")

    def attempt():
        before = got()
        return error_of(prctl.set_mm, prctl.SET_MM_ARG_START, address), before == got()

    assert in_child(attempt) == (EINVAL, True)


@pytest.mark.usefixtures("root", "set_mm")
def test_with_the_capability_the_executable_can_be_changed():
    support.needs(SYS_RESOURCE, "CAP_SYS_RESOURCE")

    def change():
        before = os.readlink("/proc/self/exe")
        with open(EXECUTABLE, "rb") as file:
            busy = error_of(prctl.set_mm, prctl.SET_MM_EXE_FILE, file)
            forget_the_executable()
            prctl.set_mm(prctl.SET_MM_EXE_FILE, file)
        return before != EXECUTABLE, busy, os.readlink("/proc/self/exe")

    assert in_child(change) == (True, refused(errno.EBUSY), EXECUTABLE)


def test_strace_sees_every_field_and_its_value():
    calls = [(35, field, 0x11220000 + field) for field in range(1, 12)] + [(35, 13, 77)]
    source = f"import prctl\nfor _, field, value in {calls}:\n"
    source += " step(str(field))\n try: prctl.set_mm(field, value)\n except OSError: pass"
    steps = support.traced_steps(source, "prctl", options=("-e", "raw=prctl"))
    seen = [line.partition(")")[0] for _, field, _ in calls for line in steps[str(field)]]
    assert seen == ["prctl(" + ", ".join(map(hex_of, (*call, 0, 0))) for call in calls]


def hex_of(number):
    return hex(number) if number else "0"


# ---- set_vma_anon_name()

NAMES = [
    ("plain", '"plain"'),
    (b"bytes, too", '"bytes, too"'),
    ("x" * 79, f'"{"x" * 79}"'),
    ("!\"#%&'()*+,-./:;<=>?@^_{|}~ ", '"!\\"#%&\'()*+,-./:;<=>?@^_{|}~ "'),
    ("", '""'),
    (None, "NULL"),
]


def test_strace_reads_the_name_of_a_mapping():
    source = f"import prctl\nfor number, name in enumerate({[name for name, _ in NAMES]}):\n"
    source += " step(str(number))\n try: prctl.set_vma_anon_name(0x11220000, 0x3000, name)\n"
    source += " except OSError: pass"
    steps = support.traced_steps(source, "prctl", options=("-s", "100"))
    seen = [
        line.rpartition(") =")[0] for number in range(len(NAMES)) for line in steps[str(number)]
    ]
    head = "prctl(0x53564d41, 0, 0x11220000, 12288, "
    assert seen == [head + shown for _, shown in NAMES]


@pytest.fixture
def vma_names():
    needs_kernel("CONFIG_ANON_VMA_NAME", SET_VMA, 0, 0x10000, 0, bytearray(b"x\0"))


def name_of(address):
    found = re.search(r"\[anon:(.*)\]$", support.mapping(address)["line"])
    return found and found[1]


@pytest.mark.usefixtures("vma_names")
def test_the_name_of_a_mapping_is_in_proc(user):
    def change():
        memory = mmap.mmap(-1, 4 * mmap.PAGESIZE, flags=PRIVATE)
        address = address_of(memory)
        names = [name_of(address)]
        for args in (
            (address, 2 * mmap.PAGESIZE, "first half"),
            (memory, b"all of it"),
            (memory, mmap.PAGESIZE, "a page"),
            (memory, None),
        ):
            assert prctl.set_vma_anon_name(*args) is None
            names.append((name_of(address), name_of(address + 3 * mmap.PAGESIZE)))
        return names

    assert in_child(change, user=user) == [
        None,
        ("first half", None),
        ("all of it", "all of it"),
        ("a page", "all of it"),
        (None, None),
    ]


@pytest.mark.usefixtures("vma_names")
def test_what_cannot_have_a_name_is_the_kernel_s_answer(tmp_path):
    def attempt():
        memory = mmap.mmap(-1, 3 * mmap.PAGESIZE, flags=PRIVATE)
        address = address_of(memory)
        file = (tmp_path / "file").open("wb+")
        file.truncate(mmap.PAGESIZE)
        mapped = address_of(mmap.mmap(file.fileno(), mmap.PAGESIZE))
        libc.munmap(ctypes.c_void_p(address + mmap.PAGESIZE), ctypes.c_size_t(mmap.PAGESIZE))
        return (
            error_of(prctl.set_vma_anon_name, address + 1, mmap.PAGESIZE, "x"),
            error_of(prctl.set_vma_anon_name, mapped, mmap.PAGESIZE, "x"),
            error_of(prctl.set_vma_anon_name, address, 3 * mmap.PAGESIZE, "rest"),
            name_of(address),
            name_of(address + 2 * mmap.PAGESIZE),
        )

    expected = map(refused, (errno.EINVAL, errno.EBADF, errno.ENOMEM))
    assert in_child(attempt) == (*expected, "rest", "rest")


def test_without_the_kernel_s_support_a_name_is_einval(user):
    def attempt():
        memory = mmap.mmap(-1, mmap.PAGESIZE)
        libc = support.errno_or_result(
            support.kernel_prctl, SET_VMA, 0, address_of(memory), mmap.PAGESIZE, bytearray(b"x\0")
        )
        if libc == 0:
            return EINVAL
        return error_of(prctl.set_vma_anon_name, memory, "x")

    assert in_child(attempt, user=user) == EINVAL


BUFFERS = {
    "mmap": lambda: mmap.mmap(-1, 2 * mmap.PAGESIZE),
    "bytearray": lambda: bytearray(77),
    "memoryview": lambda: memoryview(bytearray(77)),
    "ctypes": lambda: ctypes.create_string_buffer(77),
    "nothing": lambda: bytearray(),
}


@pytest.mark.parametrize("kind", BUFFERS)
@pytest.mark.parametrize("result", [0, -errno.ENOMEM])
def test_a_writable_buffer_may_stand_for_address_and_length_and_is_free_afterwards(kind, result):
    def name():
        memory = BUFFERS[kind]()
        count = sys.getrefcount(memory)
        for args in (("x",), (None,), (0, "x")):
            support.errno_or_result(prctl.set_vma_anon_name, memory, *args)
        with contextlib.suppress(OSError):
            prctl.set_vma_anon_name(address=memory, name="x")
        if isinstance(memory, bytearray):
            memory.extend(b"more")
        elif hasattr(memory, "close"):
            memory.close()
        return sys.getrefcount(memory) - count

    assert in_pretended_kernel({SET_VMA: (result, {})}, name) == 0


def test_a_name_that_the_kernel_takes_gives_nothing():
    def name():
        return [
            prctl.set_vma_anon_name(0x10000, 0x1000, "x" * 79),
            prctl.set_vma_anon_name(ULONG_MAX, ULONG_MAX, name=None),
            prctl.set_vma_anon_name(name=b"x", address=0, length=0),
            prctl.set_vma_anon_name(bytearray(16), length=16, name="x"),
        ]

    assert in_pretended_kernel({SET_VMA: (0, {})}, name) == [None] * 4


RESERVED = ["[", "]", "\\", "$", "`"]
NO_CHARACTERS = [*RESERVED, *map(chr, range(1, 32)), "\x7f", "\x80", "é", "€", "😀", "\udcff"]
NO_NAMES = [*(f"a{character}b" for character in NO_CHARACTERS), "x" * 80, b"x" * 100000, "é" * 40]


def test_a_name_that_no_kernel_takes_is_a_value_error_and_leaves_the_buffer_free():
    def attempt():
        memory, taken = bytearray(16), []
        for name in NO_NAMES:
            kind, text, changed = support.outcome(prctl.set_vma_anon_name, (memory, name), {})
            if (kind, "79 printable ASCII" in text, changed) != ("ValueError", True, {}):
                taken.append(name)
        with pytest.raises(ValueError, match="16 bytes"):
            prctl.set_vma_anon_name(memory, 17, "x")
        memory.clear()  # BufferError if it were still held
        return taken

    assert in_child(attempt) == []
