"""Who may trace a process, in each kernel.yama.ptrace_scope, by what PTRACE_SEIZE answers.

The scope is the whole machine's: it is changed only where PRCTL_OWN_KERNEL says that the kernel is
there for the tests alone, as under ``./dev kernels``. Elsewhere it stays, and what belongs to the
other scopes is skipped.
"""

import ctypes
import errno
import os
from pathlib import Path

import pytest
import support
from support import error_of, in_child, refused

import prctl

pytestmark = pytest.mark.kernel("Yama")

SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
SYS_PTRACE = 19
PTRACE_SEIZE = 0x4206

libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def scope(request):
    wanted, before = str(request.param), SCOPE.read_text().strip()
    if wanted != before:
        if "PRCTL_OWN_KERNEL" not in os.environ:
            pytest.skip(f"kernel.yama.ptrace_scope is {before}, and PRCTL_OWN_KERNEL is not set")
        SCOPE.write_text(wanted)
    yield request.param
    if wanted not in (before, "3"):
        SCOPE.write_text(before)


# From 3 there is no way back.
SCOPES = [0, 1, 2, pytest.param(3, marks=pytest.mark.for_good)]
in_each_scope = pytest.mark.parametrize("scope", SCOPES, indirect=True)


def may_trace(pid):
    """Whether this process may trace another one; the tracing ends with it."""
    if libc.ptrace(PTRACE_SEIZE, pid, ctypes.c_void_p(0), ctypes.c_void_p(0)) == 0:
        return True
    assert ctypes.get_errno() == errno.EPERM
    return False


class Tracee:
    """A child that lets itself be traced by what calls(pid of the chosen one) asks for."""

    def __init__(self, calls):
        (chosen, self._choose), (self._is_ready, ready) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._choose)
                calls(int(os.read(chosen, 20)))
                os.write(ready, b"!")
                os.read(chosen, 1)  # until the parent ends or kills
            finally:
                os._exit(0)
        os.close(ready)

    def choose(self, pid):
        os.write(self._choose, b"%d" % pid)
        assert os.read(self._is_ready, 1) == b"!"

    def end(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


def tracers(calls):
    """Who may trace a process after its calls: its parent, the one that it has chosen, a child of
    that one, and a stranger of the same user.
    """
    support.kernel_prctl(4, 1)  # PR_SET_DUMPABLE: nobody may trace what has changed its user
    tracee = Tracee(calls)

    def chosen():
        tracee.choose(os.getpid())
        return {
            "child of the chosen": in_child(may_trace, tracee.pid),
            "chosen": may_trace(tracee.pid),
        }

    try:
        may = in_child(chosen)
        may["stranger"] = in_child(may_trace, tracee.pid)
        may["parent"] = may_trace(tracee.pid)
    finally:
        tracee.end()
    return {who for who, allowed in may.items() if allowed}


def choose_nobody(pid):
    pass


def choose(pid):
    prctl.set_ptracer(pid)


def choose_in_a_thread(pid):
    support.in_thread(prctl.set_ptracer, pid)


def choose_and_withdraw(pid):
    prctl.set_ptracer(pid)
    prctl.set_ptracer(0)


def let_every_process(pid):
    prctl.set_ptracer(prctl.SET_PTRACER_ANY)


def let_every_process_by_minus_one(pid):
    prctl.set_ptracer(-1)


NOBODY = set()
PARENT = {"parent"}
CHOSEN = PARENT | {"chosen", "child of the chosen"}
EVERYBODY = CHOSEN | {"stranger"}

# What each way allows in scope 1
WAYS = {
    choose_nobody: PARENT,
    choose: CHOSEN,
    choose_in_a_thread: CHOSEN,
    choose_and_withdraw: PARENT,
    let_every_process: EVERYBODY,
    let_every_process_by_minus_one: EVERYBODY,
}


@in_each_scope
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_user_s_process_may_be_traced_by_whom_it_has_chosen_in_scope_1_only(way, scope):
    expected = [EVERYBODY, WAYS[way], NOBODY, NOBODY][scope]
    assert in_child(tracers, way, user=True) == expected


@pytest.mark.usefixtures("root")
@in_each_scope
def test_root_may_trace_whomever_it_likes_but_in_scope_3(scope):
    support.needs(SYS_PTRACE, "CAP_SYS_PTRACE")
    expected = NOBODY if scope == 3 else EVERYBODY
    assert in_child(tracers, choose_nobody) == expected


@in_each_scope
def test_in_every_scope_a_ptracer_is_remembered_and_one_that_is_not_there_is_einval(scope, user):
    def attempt():
        prctl.set_ptracer(1)
        return error_of(prctl.set_ptracer, 2**31 - 1), prctl.get_ptracer()

    assert in_child(attempt, user=user) == (refused(errno.EINVAL), 1)
