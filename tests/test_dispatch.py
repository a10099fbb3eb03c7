"""set_syscall_user_dispatch(): which calls end in SIGSYS, and whose the selector is meanwhile.

Most tests let all code through but one page, far below everything else, whose machine code makes a
single system call: so the interpreter goes on, and a handler in Python counts the SIGSYS.
"""

import array
import ctypes
import errno
import gc
import mmap
import os
import signal
import struct
import sys
import threading
import weakref

import pytest
import support
from support import error_of, in_child, kernel_prctl, needs_kernel, refused

import _prctl
import prctl

ULONG_MAX = 2 ** (8 * struct.calcsize("L")) - 1
OFF, ON = prctl.SYS_DISPATCH_OFF, prctl.SYS_DISPATCH_EXCLUSIVE_ON
INCLUSIVE = prctl.SYS_DISPATCH_INCLUSIVE_ON
ALLOW, BLOCK = prctl.SYSCALL_DISPATCH_FILTER_ALLOW, prctl.SYSCALL_DISPATCH_FILTER_BLOCK
OPTION = 59
EINVAL = refused(errno.EINVAL)


@pytest.fixture
def dispatch():
    needs_kernel("PR_SET_SYSCALL_USER_DISPATCH", OPTION, OFF)


@pytest.fixture
def inclusive():
    needs_kernel("PR_SYS_DISPATCH_INCLUSIVE_ON (Linux 6.17)", OPTION, INCLUSIVE, 4096, 4096)


class Selector(bytearray):
    """One that can tell whether anything still holds it."""


GETPPID = {  # the system call, and a return
    "x86_64": bytes.fromhex("b86e0000000f05c3"),
    "i686": bytes.fromhex("b840000000cd80c3"),
}


class Page(support.Code):
    """The page far below everything else. Where dispatch is on, its call is caught instead."""

    def __init__(self):
        if support.machine() not in GETPPID:
            pytest.skip(f"no machine code for {support.machine()} in tests/test_dispatch.py")
        super().__init__(GETPPID[support.machine()], low=True)
        self.rest = self.address + self.size, ULONG_MAX - self.address - self.size
        self.signals = 0
        signal.signal(signal.SIGSYS, self._count)

    def _count(self, *_):
        self.signals += 1

    def is_caught(self):
        before = self.signals
        result = self.call()
        if self.signals > before:
            return True
        assert result == os.getppid()
        return False

    def is_caught_in_thread(self):
        """Of another thread: the handler runs in the main one."""
        before = self.signals
        thread = threading.Thread(target=self.call)
        thread.start()
        thread.join()
        return self.signals > before


pytestmark = pytest.mark.usefixtures("dispatch")

# ---- Which calls


def test_any_call_kills_while_the_selector_says_so(user):
    def block():
        support.die_quietly()
        selector = bytearray(1)
        prctl.set_syscall_user_dispatch(ON, selector=selector)
        os.getppid()
        selector[0] = BLOCK
        os.getppid()

    with pytest.raises(support.ChildDied) as died:
        in_child(block, user=user)
    assert died.value.signal == signal.SIGSYS


def test_a_selector_that_becomes_another_value_kills():
    def block():
        support.die_quietly()
        selector = bytearray(1)
        prctl.set_syscall_user_dispatch(ON, selector=selector)
        selector[0] = 2
        os.getppid()

    with pytest.raises(support.ChildDied) as died:
        in_child(block)
    assert died.value.signal == signal.SIGSYS


def test_calls_go_through_while_the_selector_says_so(user):
    def allow():
        prctl.set_syscall_user_dispatch(ON, selector=bytearray(1))
        return os.getppid(), prctl.get_name() != ""

    assert in_child(allow, user=user) == (os.getpid(), True)


def test_calls_from_the_region_go_through_and_others_are_caught(user):
    def catch():
        page = Page()
        selector = bytearray(1)
        answers = [page.is_caught()]
        prctl.set_syscall_user_dispatch(ON, *page.rest, selector)
        for state in (ALLOW, BLOCK, ALLOW, BLOCK):
            selector[0] = state
            answers.append(page.is_caught())
        prctl.set_syscall_user_dispatch(OFF)
        return [*answers, page.is_caught()]

    assert in_child(catch, user=user) == [False, False, True, False, True, False]


def test_a_selector_may_say_block_from_the_beginning():
    def catch():
        page = Page()
        prctl.set_syscall_user_dispatch(ON, *page.rest, bytearray([BLOCK]))
        return page.is_caught()

    assert in_child(catch) is True


def test_without_a_selector_all_but_the_region_is_caught():
    def catch():
        page = Page()
        prctl.set_syscall_user_dispatch(mode=ON, length=page.rest[1], offset=page.rest[0])
        return page.is_caught(), os.getppid()

    assert in_child(catch) == (True, os.getpid())


@pytest.mark.usefixtures("inclusive")
@pytest.mark.parametrize("selected", [False, True])
def test_inclusive_dispatch_catches_the_region_alone(selected):
    def catch():
        page = Page()
        selector = bytearray(1)
        region = page.address, page.size
        prctl.set_syscall_user_dispatch(INCLUSIVE, *region, selector if selected else None)
        answers = [page.is_caught()]
        selector[0] = BLOCK
        return [*answers, page.is_caught(), os.getppid()]

    assert in_child(catch) == [not selected, True, os.getpid()]


def test_the_first_byte_of_a_larger_selector_counts():
    def catch():
        page = Page()
        selector = bytearray([ALLOW, BLOCK, 2, 255])
        prctl.set_syscall_user_dispatch(ON, *page.rest, selector)
        answers = [page.is_caught()]
        selector[0] = BLOCK
        return [*answers, page.is_caught()]

    assert in_child(catch) == [False, True]


SELECTORS = {
    "bytearray": lambda: bytearray(1),
    "memoryview": lambda: memoryview(bytearray(9))[3:],
    "mmap": lambda: mmap.mmap(-1, 1),
    "array": lambda: array.array("B", [0]),
    "ctypes": lambda: (ctypes.c_uint8 * 1)(),
}


@pytest.mark.parametrize("kind", SELECTORS)
def test_any_writable_buffer_is_a_selector(kind):
    def catch():
        page = Page()
        selector = SELECTORS[kind]()
        prctl.set_syscall_user_dispatch(ON, *page.rest, selector)
        answers = [page.is_caught()]
        selector[0] = b"\x01" if kind == "memoryview" and selector.format == "c" else BLOCK
        return [*answers, page.is_caught()]

    assert in_child(catch) == [False, True]


def test_dispatch_is_the_thread_s():
    def catch():
        page = Page()

        def turn_on():
            prctl.set_syscall_user_dispatch(ON, *page.rest, bytearray([BLOCK]))
            page.call()

        thread = threading.Thread(target=turn_on)
        thread.start()
        thread.join()
        in_thread = page.signals
        return in_thread, page.is_caught(), page.is_caught_in_thread()

    assert in_child(catch) == (1, False, False)


def test_a_thread_started_by_one_with_dispatch_has_none():
    def catch():
        page = Page()
        prctl.set_syscall_user_dispatch(ON, *page.rest, bytearray([BLOCK]))
        return page.is_caught_in_thread(), page.is_caught()

    assert in_child(catch) == (False, True)


def test_fork_turns_dispatch_off():
    def catch():
        page = Page()
        prctl.set_syscall_user_dispatch(ON, *page.rest, bytearray([BLOCK]))
        return in_child(page.is_caught), page.is_caught()

    assert in_child(catch) == (False, True)


def test_the_door_is_the_function():
    def catch():
        page = Page()
        selector = Selector([BLOCK])
        alive = weakref.ref(selector)
        prctl.prctl(_prctl.PR_SET_SYSCALL_USER_DISPATCH, ON, *page.rest, selector)
        del selector
        answers = [page.is_caught(), alive() is not None]
        prctl.prctl(_prctl.PR_SET_SYSCALL_USER_DISPATCH, OFF)
        return [*answers, page.is_caught(), alive() is not None]

    assert in_child(catch) == [True, True, False, False]


# ---- Whose the selector is


def alive_after(*steps):
    """Whether a selector that only dispatch holds is alive, after turning it on and each step."""

    def run():
        selector = Selector(1)
        alive = weakref.ref(selector)
        prctl.set_syscall_user_dispatch(ON, selector=selector)
        del selector
        gc.collect()
        answers = [alive() is not None]
        for step in steps:
            step()
            gc.collect()
            answers.append(alive() is not None)
        return answers

    return in_child(run)


def turn_off():
    prctl.set_syscall_user_dispatch(OFF)


def test_the_selector_lives_until_dispatch_is_off():
    assert alive_after(lambda: None, turn_off, turn_off) == [True, True, False, False]


def test_the_selector_lives_until_another_takes_its_place():
    def replace():
        prctl.set_syscall_user_dispatch(ON, selector=bytearray(1))

    assert alive_after(replace, replace, turn_off) == [True, False, False, False]


def test_the_selector_lives_until_a_region_takes_its_place():
    def replace():
        page = Page()
        prctl.set_syscall_user_dispatch(ON, *page.rest)

    assert alive_after(replace) == [True, False]


FAILURES = [  # none of them is taken, by the library or by the kernel
    (OFF, 0, 8),
    (OFF, 8),
    (OFF, 0, 0, bytearray(1)),
    (ON, 8, 0, bytearray(1)),
    (INCLUSIVE, 0, 0, bytearray(1)),
    (3, 0, 0, bytearray(1)),
    (ON,),
    (ON, 0, 0, b"\0"),
    (ON, 0, 0, bytearray()),
    (ON, 0, 0, bytearray([2])),
]


@pytest.mark.parametrize("args", FAILURES, ids=str)
def test_a_call_that_fails_leaves_dispatch_and_its_selector(args):
    def fail():
        page = Page()
        selector = Selector([BLOCK])
        alive = weakref.ref(selector)
        prctl.set_syscall_user_dispatch(ON, *page.rest, selector)
        del selector
        with pytest.raises((OSError, ValueError, TypeError)):
            prctl.set_syscall_user_dispatch(*args)
        gc.collect()
        caught, held = page.is_caught(), alive() is not None
        turn_off()
        return caught, held, alive() is not None

    assert in_child(fail) == (True, True, False)


@pytest.mark.parametrize("args", [(OFF, 0, 0), (ON, 8, 0)], ids=str)
def test_the_buffer_of_a_call_that_fails_is_free(args):
    def fail():
        selector = bytearray(1)
        count = sys.getrefcount(selector)
        error = error_of(prctl.set_syscall_user_dispatch, *args, selector)
        selector.extend(b"more")
        return error, sys.getrefcount(selector) - count

    assert in_child(fail) == (EINVAL, 0)


def test_the_selector_has_its_size_while_dispatch_is_on():
    def resize():
        selector = bytearray(1)
        prctl.set_syscall_user_dispatch(ON, selector=selector)
        with pytest.raises(BufferError):
            selector.extend(b"more")
        turn_off()
        selector.extend(b"more")
        prctl.set_syscall_user_dispatch(ON, selector=selector)
        with pytest.raises(BufferError):
            selector.clear()
        return bytes(selector)

    assert in_child(resize) == b"\0more"


def test_each_thread_has_a_selector_of_its_own():
    def turn_on_and_off():
        selectors = [Selector(1)]
        alive = [weakref.ref(selectors[0])]
        prctl.set_syscall_user_dispatch(ON, selector=selectors[0])

        def in_thread():
            selectors.append(Selector(1))  # without a GIL an object ends in the thread that made it
            alive.append(weakref.ref(selectors[1]))
            prctl.set_syscall_user_dispatch(ON, selector=selectors[1])
            selectors.clear()
            answers.append([each() is not None for each in alive])
            turn_off()
            answers.append([each() is not None for each in alive])

        answers = []
        thread = threading.Thread(target=in_thread)
        thread.start()
        thread.join()
        turn_off()
        answers.append([each() is not None for each in alive])
        return answers

    assert in_child(turn_on_and_off) == [[True, True], [True, False], [False, False]]


def test_the_selector_of_a_thread_that_ended_stays_for_good():
    """Its last system calls, after the last Python code, read it as well."""

    def end():
        selector = Selector(1)
        alive = weakref.ref(selector)
        thread = threading.Thread(
            target=prctl.set_syscall_user_dispatch, args=(ON,), kwargs={"selector": selector}
        )
        thread.start()
        thread.join()
        del selector, thread
        gc.collect()
        return alive() is not None

    assert in_child(end) is True


def test_a_program_may_end_with_dispatch_on():
    source = "import prctl; prctl.set_syscall_user_dispatch(1, selector=bytearray(1)); print('end')"
    assert support.run_python(source) == "end\n"


def test_a_fork_holds_the_selector_until_it_turns_dispatch_off():
    def fork():
        selector = bytearray(1)
        prctl.set_syscall_user_dispatch(ON, selector=selector)

        def be_child():
            with pytest.raises(BufferError):
                selector.extend(b"more")
            turn_off()
            selector.extend(b"more")
            return bytes(selector)

        return in_child(be_child), bytes(selector)

    assert in_child(fork) == (b"\0more", b"\0")


def test_turning_dispatch_on_and_off_leaves_nothing_behind():
    def loop():
        selectors = bytearray(1), bytes(2)
        counts = [sys.getrefcount(each) for each in selectors]
        for _ in range(2000):
            prctl.set_syscall_user_dispatch(ON, selector=selectors[0])
            prctl.set_syscall_user_dispatch(ON, 0, 0, selectors[0])
            for args in ((ON, 8, 0, selectors[0]), (ON, 0, 0, selectors[1])):
                with pytest.raises((OSError, TypeError)):
                    prctl.set_syscall_user_dispatch(*args)
            turn_off()
        del args
        return counts, [sys.getrefcount(each) for each in selectors]

    before, after = in_child(loop)
    assert after == before


# ---- What the kernel does not take


@pytest.mark.parametrize(
    "args",
    [(OFF, 1), (OFF, 0, 1), (OFF, 0, 0, bytearray(1)), (ON, 8, 0, bytearray(1)), (INCLUSIVE, 8)],
    ids=str,
)
def test_arguments_that_go_with_no_mode_are_einval(args, user):
    def attempt():
        error = error_of(prctl.set_syscall_user_dispatch, *args)
        return error, os.getppid()

    assert in_child(attempt, user=user) == (EINVAL, os.getpid())


def test_turning_off_what_is_off_is_nothing(user):
    assert in_child(prctl.set_syscall_user_dispatch, OFF, user=user) is None


def test_what_the_library_turned_on_is_what_the_kernel_turns_off():
    def catch():
        page = Page()
        prctl.set_syscall_user_dispatch(ON, *page.rest, bytearray([BLOCK]))
        answers = [page.is_caught()]
        kernel_prctl(OPTION, OFF)
        return [*answers, page.is_caught()]

    assert in_child(catch) == [True, False]
