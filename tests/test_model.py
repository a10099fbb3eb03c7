"""The five sets against a model of capabilities(7), through random histories of a child."""

import functools
import os
import pickle
import subprocess

import support
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from model import Refused, Thread

import prctl

USERS = (0, 1, support.USER)
# Few, so that histories meet the same ones again; and those that the rules themselves ask for.
NUMBERS = [prctl.CAP_CHOWN, prctl.CAP_SETUID, prctl.CAP_SETPCAP, prctl.CAP_NET_RAW]
EVERY = (1 << prctl.CAP_LAST_CAP + 1) - 1

# What is lost does not come back: a history that loses much at once has an end before it is one.
number = st.sampled_from(NUMBERS)
numbers = st.lists(number, unique=True, max_size=2)


def mask(numbers):
    return sum(1 << number for number in numbers)


def read_thread(status, securebits):
    return Thread(
        tuple(map(int, status["Uid"].split()[:3])),
        *(int(status[f"Cap{name}"], 16) for name in ("Eff", "Prm", "Inh", "Amb", "Bnd")),
        securebits,
        status["NoNewPrivs"] == "1",
    )


def own_thread():
    return read_thread(support.status("thread-self"), support.kernel_prctl(27))


def thread_after_exec():
    """What a program that this thread would execute has: its status, and no way to securebits."""
    shown = subprocess.run(["cat", "/proc/self/status"], capture_output=True, check=True).stdout
    fields = (line.partition(":")[::2] for line in shown.decode().splitlines())
    return read_thread({name: value.strip() for name, value in fields}, None)


@functools.cache
def is_before_6_16():
    """Asked of the kernel, which may have the change backported."""

    def run():
        support.kernel_prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
        os.setresuid(0, 1, 0)
        return thread_after_exec().uids[1] == 0

    return support.ROOT and support.in_child(run)


class Child:
    """A process that does what it is told, step by step."""

    def __init__(self, user):
        self._orders, ours = os.pipe()
        theirs, self._answers = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(ours)
                os.close(theirs)
                if user:
                    support.become_user()
                self._obey()
            finally:
                os._exit(0)
        os.close(self._orders)
        os.close(self._answers)
        self._to, self._from = os.fdopen(ours, "wb"), os.fdopen(theirs, "rb")

    def _obey(self):
        with open(self._orders, "rb") as orders, open(self._answers, "wb") as answers:
            while True:
                name, arguments = pickle.load(orders)
                try:
                    answer = ACTIONS[name](*arguments)
                except Exception as error:
                    answer = error
                pickle.dump(answer, answers)
                answers.flush()

    def __call__(self, name, *arguments):
        """The answer, or the exception in place of it."""
        pickle.dump((name, arguments), self._to)
        self._to.flush()
        return pickle.load(self._from)

    def end(self):
        self._to.close()
        self._from.close()
        os.waitpid(self.pid, 0)


def drop(name, *numbers):
    getattr(prctl, name).drop(*numbers)


def limit(name, *numbers):
    getattr(prctl, name).limit(*numbers)


def add(name, number):
    getattr(prctl, name).add(number)


ACTIONS = {
    "drop": drop,
    "limit": limit,
    "add": add,
    "set_securebits": prctl.set_securebits,
    "set_keepcaps": prctl.set_keepcaps,
    "set_no_new_privs": prctl.set_no_new_privs,
    "setresuid": os.setresuid,
    "own_thread": own_thread,
    "thread_after_exec": thread_after_exec,
}


def lowered(thread, name, lost):
    """As drop() and limit() promise: nothing is asked of the kernel that holds already."""
    masks = {field: getattr(thread, field) for field in ("effective", "permitted", "inheritable")}
    if name == "ambient":
        return thread.drop_ambient(lost)
    if name == "bounding":
        return thread.drop_bounding(lost) if thread.bounding & lost else thread
    masks[name] &= ~lost
    masks["effective"] &= masks["permitted"]
    return thread.capset(**masks)


def raised(thread, name, capability):
    masks = {field: getattr(thread, field) for field in ("effective", "permitted", "inheritable")}
    if name == "ambient":
        return thread.raise_ambient(capability)
    masks[name] |= capability
    return thread.capset(**masks)


LIVE = {
    "effective": "cap_effective",
    "permitted": "cap_permitted",
    "inheritable": "cap_inheritable",
    "ambient": "cap_ambient",
    "bounding": "capbset",
}
name = st.sampled_from(sorted(LIVE))


securebits = st.sets(st.sampled_from([1, 4, 16, 64])).map(sum)
uids = st.tuples(*[st.sampled_from(USERS)] * 3)


class History(RuleBasedStateMachine):
    child = None

    def both(self, change, *order):
        """The model changes and the child is told to: both succeed or both refuse."""
        try:
            after, refused = change(), False
        except Refused:
            after, refused = self.thread, True
        answer = self.child(*order)
        expected = PermissionError if refused else type(None)
        assert isinstance(answer, expected), f"{order}: {answer!r}, after {self.thread}"
        self.thread = after

    @initialize(user=st.booleans(), uids=uids, inherits=st.booleans())
    def start(self, user, uids, inherits):
        self.child = Child(user)
        self.thread = self.child("own_thread")
        if inherits:
            for number in NUMBERS:
                self.add("inheritable", number)
                self.add("ambient", number)
        if uids[0]:  # as a user who has kept what root had
            self.set_keepcaps(True)
            self.setresuid(uids)
            self.add_all_effective()

    def add_all_effective(self):
        for number in NUMBERS:
            self.add("effective", number)

    @rule(name=name, numbers=numbers)
    def drop(self, name, numbers):
        self.both(lambda: lowered(self.thread, name, mask(numbers)), "drop", LIVE[name], *numbers)

    @rule(name=name, numbers=numbers)
    def limit(self, name, numbers):
        kept = set(NUMBERS) - set(numbers)
        lost = EVERY & ~mask(kept)
        self.both(lambda: lowered(self.thread, name, lost), "limit", LIVE[name], *kept)

    @rule(name=st.sampled_from(sorted({*LIVE} - {"bounding"})), number=number)
    def add(self, name, number):
        self.both(lambda: raised(self.thread, name, 1 << number), "add", LIVE[name], number)

    @rule(bits=securebits, locks=st.just(0) | securebits)
    def set_securebits(self, bits, locks):
        bits |= locks << 1
        self.both(lambda: self.thread.set_securebits(bits), "set_securebits", bits)

    @rule(value=st.booleans())
    def set_keepcaps(self, value):
        self.both(lambda: self.thread.set_keepcaps(value), "set_keepcaps", value)

    @rule()
    def set_no_new_privs(self):
        self.both(self.thread.set_no_new_privs, "set_no_new_privs")

    @rule(uids=uids)
    def setresuid(self, uids):
        self.both(lambda: self.thread.setresuid(*uids), "setresuid", *uids)

    @invariant()
    def the_kernel_says_the_same(self):
        assert self.child("own_thread") == self.thread

    @rule()
    def a_program_has_what_the_model_says(self):
        found = self.child("thread_after_exec")
        expected = self.thread.exec(is_before_6_16())
        assert found == replace_securebits(expected), f"executed by {self.thread}"

    def teardown(self):
        if self.child:
            self.child.end()


def replace_securebits(thread):
    return Thread(**vars(thread) | {"securebits": None})


History.TestCase.settings = settings(
    max_examples=2000 if os.environ.get("PRCTL_LONG_TESTS") else 250,
    stateful_step_count=40,
    deadline=None,
    derandomize=not os.environ.get("PRCTL_LONG_TESTS"),
    suppress_health_check=list(HealthCheck),
)
TestHistories = History.TestCase
