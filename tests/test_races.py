"""What many threads call at once. Without a GIL nothing else orders what they do in the C code.

./dev sanitize runs this file under ThreadSanitizer, which sees what no result shows.
"""

import contextlib
import threading

import pytest
import support
from support import in_child
from test_bad_input import function_of
from test_references import NAMES, good_call

import prctl

pytestmark = pytest.mark.kernel("threads")

THREADS, CALLS = 4, 50


def at_once(*works):
    """Call each function in a thread of its own, all beginning together; their results."""
    barrier, results = threading.Barrier(len(works)), ["an exception"] * len(works)

    def run(place):
        barrier.wait()
        results[place] = works[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def endings(function, args, kwargs):
    """How many calls end, each way once."""
    found = set()
    for _ in range(CALLS):
        try:
            found.add(type(function(*args, **kwargs)).__name__)
        except Exception as error:
            found.add(repr(error))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_function_ends_in_many_threads_as_it_does_in_one(name):
    def call():
        return endings(function_of(name), *good_call(name))

    def compare():
        return at_once(call), at_once(*[call] * THREADS)

    (alone,), together = in_child(compare, seconds=280)
    assert all(found <= alone for found in together)


# What belongs to the process, changed and read in all of them.


def change_titles():
    for number in range(CALLS):
        prctl.set_proctitle(f"title {number}")
        assert prctl.get_proctitle().startswith("title ")


def change_ptracers():
    for pid in range(1, CALLS):
        with contextlib.suppress(OSError):  # no Yama
            prctl.set_ptracer(pid)
        prctl.get_ptracer()


def change_every_thread():
    for _ in range(CALLS):
        with prctl.all_threads():
            prctl.set_no_new_privs()
            prctl.cap_inheritable.clear()
        assert prctl.get_no_new_privs() == 1


def read_maps():
    for _ in range(CALLS):
        assert prctl.get_mm_map()


def make_launchers():
    for number in range(1, CALLS):
        assert str(number) in " ".join(prctl.launcher(timerslack=number))


@pytest.mark.kernel("command line")
def test_what_belongs_to_the_process_is_changed_by_many_threads_at_once(user):
    works = change_titles, change_ptracers, change_every_thread, read_maps, make_launchers

    def change():
        prctl.set_proctitle("title before")
        return at_once(*works * 2)

    assert in_child(change, user=user, seconds=280) == [None] * len(works) * 2


def test_many_threads_load_what_is_loaded_on_first_use():
    support.run_python(
        """
import threading, prctl
names = sorted(set(dir(prctl)))
barrier, found = threading.Barrier(8), []
def load():
    barrier.wait()
    found.append([getattr(prctl, name) for name in names])
threads = [threading.Thread(target=load) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
first, *others = found
assert len(others) == 7
assert all(a is b for other in others for a, b in zip(first, other, strict=True))
"""
    )
