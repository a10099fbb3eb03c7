"""What is right although it is not the rule, each with its reason; checked to be needed."""

import errno
from fnmatch import fnmatchcase
from typing import NamedTuple

# What the kernel is made to answer, where EPERM and EIO would not tell all.
ERRNOS = {
    "syscall(SYS_rt_tgsigqueueinfo)": (errno.EAGAIN, errno.EPERM, errno.ESRCH),
    "syscall(SYS_futex)": (errno.EAGAIN, errno.EINTR),
    "mmap": (errno.ENOMEM,),
    "open": (errno.EMFILE,),
    "read": (errno.EIO, errno.EINTR),
    "syscall(SYS_execve)": (
        errno.EPERM,
        errno.EIO,
        errno.E2BIG,
        errno.ENOEXEC,
        errno.ENOMEM,
        errno.EACCES,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    ),
}
USUAL_ERRNOS = (errno.EPERM, errno.EIO)


class Rule(NamedTuple):
    where: str  # "callee < function < its caller < ...", a pattern
    outcomes: str  # one of these with commas between; SAME: as without the failure
    reason: str
    changes: str = ""  # what may have changed nevertheless, a pattern
    error: int = 0  # the errno that it is about; 0 is any

    def holds_for(self, chain, error):
        return self.error in (0, error) and fnmatchcase(chain, self.where)


# What cannot fail, whatever the circumstances: {where: reason}
NEVER = {
    "syscall(SYS_gettid)*": "has no error",
    "syscall(SYS_getppid)*": "has no error",
    "syscall(SYS_brk)*": "answers where the break is, and has no error",
    "syscall(SYS_clock_gettime)*": "has none for CLOCK_MONOTONIC and memory of the caller's",
    "syscall(SYS_futex) < futex < count_and_wake*": "FUTEX_WAKE has none for a word of one's own",
    "syscall(SYS_futex) < futex < let_go*": "FUTEX_WAKE has none for a word of one's own",
    "PyLong_AsLong < all_threads*": "is given 1 and -1",
    "PyLong_As* < door_open*": "is given an int: that it does not fit is all that can be",
    "PyLong_As* < is_zero*": "is given an int: that it does not fit is all that can be",
    "PyLong_As* < ptracer_get*": "is given an int: that it does not fit is all that can be",
}

SAME, USUAL = "SAME", "USUAL"
SOMETIMES = "now and then: "  # begins a reason that need not be needed: threads meet as they like
RULES = [
    # What is done all the same, or once more
    Rule("close*", SAME, "what was read or counted is known by then"),
    Rule("munmap*", SAME, "memory that nobody uses any more"),
    Rule("read*", SAME, "a signal: it is read again", error=errno.EINTR),
    Rule("*prctl_call < ask < kernel_has*", SAME, "a refused question counts as no"),
    # The title: one way after the other, and any of them sets it
    Rule("* < move_with_map < *", SAME, "then one field after the other"),
    Rule(
        "* < use_own_area < title_capacity*",
        SAME,
        "argv itself is the way that is left, and what the command line shows then",
        "self/cmdline",
    ),
    Rule("PyMem_Malloc < read_cmdline*", USUAL, "there is no memory for a copy of argv, either"),
    Rule("* < read_cmdline*", f"{SAME}, MemoryError", "argv itself is at hand"),
    # What only an explanation depends on
    Rule(
        "* < has_effective*",
        SAME,
        "not to know counts as to lack: the kernel has refused it anyway",
    ),
    Rule("*prctl_call < raise_ambient_refused*", SAME, "the kernel's refusal is told without it"),
    Rule("* < ambient_lacks < raise_ambient_refused*", SAME, "the kernel's refusal is told"),
    Rule("*sets_get < change_thread_sets*", SAME, "the kernel's refusal is told without it"),
    Rule("*sets_get < capset_masks*", SAME, "the kernel's refusal is told without it"),
    Rule("* < ambient_lacks*", f"{SAME}, OSError EPERM", "not to know counts as to lack"),
    # Other threads
    Rule("fstat < count_tasks < scan*", SAME, "a count that is not right: the scan is repeated"),
    Rule("* < wait_for_all < *", SAME, "it is waited, and looked, again"),
    Rule("syscall(SYS_futex) < futex < answer*", SAME, SOMETIMES + "it is waited again"),
    Rule("syscall(SYS_rt_tgsigqueueinfo)*", SAME, "the thread has ended", error=errno.ESRCH),
    Rule(
        "syscall(SYS_rt_tgsigqueueinfo)*",
        f"{SAME}, {USUAL}",
        "RLIMIT_SIGPENDING: it is sent again when others have taken theirs",
        "*",
        error=errno.EAGAIN,
    ),
    Rule("readlink < proc_is_ours*", "OSError ESRCH", "the threads cannot be found then"),
    Rule("mmap < make_table*", "OSError ENOMEM", "documented: a thread cannot be reached"),
    # Plans: what _run_plan() returns tells the failure; scenarios and drop_privileges() raise it
    Rule("* < holds_already < *", "OSError EPERM", "not to know counts as not to have", "*"),
    Rule(
        "prctl_call < plan_run < *",
        f"{SAME}, returns, RuntimeError",
        "keep_caps is then switched off, as exec does",
        "*",
    ),
    Rule("syscall(SYS_prctl) < prctl_call < plan_run < *", SAME, "the same", "*"),
    Rule(
        "* < plan_run < *",
        f"returns, {USUAL}, RuntimeError",
        "documented: the steps before it have been taken, elsewhere none or all",
        "*",
    ),
    Rule("PyList_New < run_plan", USUAL, "made before the first step, so that none has been taken"),
    Rule("* < run_plan", USUAL, "documented: the plan has gone as far as it could", "*"),
    Rule("* < answer < handle*", "RuntimeError", "documented: this thread has changed", "*"),
    Rule("* < raise_failures < *", USUAL, "documented: this thread has changed", "*"),
    Rule("* < raise_trouble < *", USUAL, "documented: this thread has changed", "*"),
    Rule(
        "* < change_bounding < *",
        USUAL,
        "the kernel refuses the first capability or none; here it has refused another",
        "CapBnd",
    ),
    Rule("* < broadcast < *", USUAL, "documented: the threads that were reached have changed", "*"),
    Rule("cap_to_name*", "MemoryError", "libcap fails here for want of memory only"),
    Rule("dlsym < audit_exec*", "ImportError", "there is no other reason to find no PySys_Audit()"),
]

# Places that no scenario passes: {str(place): reason}
WRITTEN = "no option here has the kernel write that much: tests/test_door.py pretends one"
UNREACHED = {
    "_prctlmodule.c door_take() PyErr_Format": WRITTEN,
    "src/process.c lock_survives_fork() pthread_atfork": (
        "called once in a process, when its state is first asked for"
    ),
    "src/threads.c wait_awake() syscall(SYS_sched_yield)": (
        SOMETIMES + "all have answered before they are waited for"
    ),
    "src/threads.c remember_without_user_mode() syscall(SYS_tgkill)": (
        "only when the table of 1024 tasks without user mode has another in its first place"
    ),
}

# Lines that have not run, as "file function(): text": {pattern: reason}
ELSEWHERE = "tests/test_threads.py brings it about; no call fails there"
ANSWERED = "tests/test_hostile.py brings it about: a filter that answers in place of the kernel"
LINES = {
    "_prctlmodule.c door_take(): PyErr_Format(PyExc_ValueError*": WRITTEN,
    "_prctlmodule.c ptracer_get(): return -1;": "an int that has another exception than its size",
    "src/capability.c put_file(): explanation = if_invalid;": "a user namespace without that user",
    "src/launcher.c search_path(): return*": "an environment without PATH",
    "src/threads.c answer(): return;": SOMETIMES + "a signal that comes after its time",
    "src/threads.c fail(): return;": SOMETIMES + "two troubles in one broadcast",
    "_prctlmodule.c call_in_thread(): return 0;": ELSEWHERE,
    "_prctlmodule.c convert(): return 0;": "behind a switch that has every kind",
    "src/plan.c audit_step(): return 0;": "behind a switch that has every kind",
    "src/plan.c holds_already(): return 0;": "behind a switch that has every kind",
    "src/plan.c are_same_groups(): continue;": "the kernel keeps a group that it is given twice",
    "src/capability.c get_file(): result = raise_about_file(EINVAL*": (
        "the kernel lets nobody write such an attribute: that of a damaged file system"
    ),
    "src/capability.c record_get(): errno = EINVAL;": "a libcap with another record",
    "src/capability.c set_file(): raise_about_file(EOPNOTSUPP*": "a libcap before 2.26",
    "src/capability.c raise_about_file(): Py_XDECREF(text);": (
        "that errno is ENOMEM; libcap and lstat(2) would have to be out of memory"
    ),
    "src/memory.c mm_map_read(): state = read_stat*": "a main thread that has ended",
    "src/memory.c read_stat(): errno = EPROTO;": "a /proc with another form",
    "src/proctitle.c move_with_map(): map.brk*": SOMETIMES
    + "a thread that moves the break meanwhile",
    "src/proctitle.c read_cmdline()*": "a command line of more than 4096 bytes; musl, without argv",
    "src/proctitle.c remember_argv(): return;": "a program without argv",
    "src/proctitle.c set_proctitle(): return text_release*": "musl, where /proc cannot be read",
    "src/proctitle.c title_capacity(): return 0;": "musl, where /proc cannot be read",
    "src/proctitle.c use_argv()*": "musl, or an argv of one byte, or of more than 4095",
    "src/launcher.c option_name(): return*": "options that the table does not have",
    "src/launcher.c execute_from(): return ENAMETOOLONG;": "a path of more than 4096 bytes",
    "src/threads.c *without_user_mode(): *": "tasks without user mode: " + ELSEWHERE,
    "src/threads.c look_after(): *": "threads that do not answer, each in its way: " + ELSEWHERE,
    "src/threads.c give_up(): *": SOMETIMES + "a thread that ends, or comes, at this very moment",
    "src/threads.c is_ours(): *": SOMETIMES + "a signal that comes after its time, or from others",
    "src/threads.c handle(): *": "signals of libc's own setuid(): " + ELSEWHERE,
    "src/threads.c restore_handler(): return 0;": SOMETIMES + "a signal that is still under way",
    "src/threads.c reach_all(): *": SOMETIMES + "threads that make threads",
    "src/threads.c broadcast(): memset*": SOMETIMES + "threads that make threads",
    "src/threads.c scan(): *": SOMETIMES + "threads that make threads",
    "src/threads.c make_table(): capacity*": "more than 512 threads: " + ELSEWHERE,
    "src/threads.c find_slot(): for*": SOMETIMES + "two tids in one place of the table",
    "src/threads.c send_to(): *": "RLIMIT_SIGPENDING: " + ELSEWHERE,
    "src/threads.c status_has(): return 0;": "a /proc without the field",
    "src/threads.c task_state(): return '?';": "a /proc with another form",
    "src/threads.c read_clock(): if (clock_gettime*": ANSWERED,
    "src/threads.c read_clock(): return ++calls;*": "no clock: " + ELSEWHERE,
    "src/threads.c count_and_wake(): (void)futex*": SOMETIMES + "a sender that already sleeps",
    "src/threads.c wait_for_all(): continue;": SOMETIMES + "a sender that wakes early",
    "src/threads.c wait_for_all(): seen = count;": SOMETIMES + "answers that come slowly",
    "src/threads.c wait_for_all(): last = looked;": SOMETIMES + "answers that come slowly",
    "src/process.c zero_or_error(): errno = EPROTO;": ANSWERED,
    "src/sets.c ask(): errno = EPROTO;": ANSWERED,
}
