"""What prctl makes of several calls. Loaded when one of its names is first used."""

import _prctl


class _AllThreads:
    __slots__ = ()

    def __enter__(self):
        _prctl._all_threads(1)

    def __exit__(self, *_):
        _prctl._all_threads(-1)


def all_threads():
    """Return a context manager: inside, changes of this thread are made in every thread.

    That holds for the attributes that belong to a thread: the capability sets, the securebits,
    no_new_privs, seccomp filters and whatever else says so in its documentation. Every thread of
    the process has its turn, however it was made and whatever signals it blocks. The change is
    made here first; if the kernel refuses it, no other thread has tried. Dropping takes from what
    each thread has. Blocks nest; what other threads do themselves stays theirs.

    Inside the block, a call raises RuntimeError naming the threads when others answer differently,
    or do not answer: stopped ones, and ones that have blocked the signal that libc keeps for this;
    the rest of the threads have changed then. OSError when the signal cannot be sent (EAGAIN with
    RLIMIT_SIGPENDING used up) or /proc is missing. System calls that a signal interrupts for good,
    such as poll(2), are interrupted; Python's own start again.

    Scope: the whole process. See capabilities(7) and nptl(7).
    """
    return _AllThreads()
