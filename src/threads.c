/*
 * Running a function in every thread of the process.
 *
 * Capabilities, securebits, no_new_privs and the like belong to a thread, and the kernel has no call that changes those of
 * another one. So each thread is sent a signal, and does it itself in the handler: as libc does for setuid(), with a signal
 * that libc keeps to itself and that cannot be blocked through it. The handler that was there before is put back afterwards
 * and gets, meanwhile, whatever is not ours.
 *
 * While other threads stand in the handler they may hold any lock of libc's: from the first signal to the last answer the
 * sender makes system calls only, and allocates nothing.
 */
#include "prctlmodule.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* glibc's for setuid(), musl's for pthread_cancel(). Not 34, musl's own for setuid(): it sets the handler anew for each call
 * and takes it away afterwards, so that the two would lose each other's signals. */
#define THREAD_SIGNAL 33

/*
 * The kernel's own sigaction(2), since libc's refuses the signal
 */

struct kernel_action {
#ifdef __mips__
    unsigned int flags;
    uintptr_t handler;
    unsigned char mask[16];
#else
    uintptr_t handler;
    unsigned long flags;
#if !defined __riscv && !defined __loongarch__
    void (*restorer)(void);
#endif
    unsigned char mask[8];
#endif
};

#ifdef __x86_64__
/* Everywhere else the kernel knows itself how to come back from a handler. */
#define KERNEL_SA_RESTORER 0x04000000
void prctl_restorer(void) __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".type prctl_restorer, @function\n"
        "prctl_restorer:\n"
        "\tmov $15, %eax\n" /* rt_sigreturn */
        "\tsyscall\n"
        ".size prctl_restorer, .-prctl_restorer\n");
#endif

static int
signal_action(const struct kernel_action *new, struct kernel_action *old)
{
    return (int)syscall(SYS_rt_sigaction, THREAD_SIGNAL, new, old, sizeof new->mask);
}

/*
 * What sender and handlers share; changed under process_lock()
 */

enum state { FREE, SENT, TAKEN, DONE };
enum go { WAIT, RUN, LEAVE };

struct slot {
    pid_t tid;
    atomic_int state;
    int error;
};

static struct {
    pid_t pid;
    uid_t uid;
    struct slot *slots; /* a hash table by tid; never unmapped, for a late signal points into it */
    size_t capacity;    /* a power of two */
    size_t used;
    pid_t sender;
    thread_function function;
    void *argument;
    atomic_int go;       /* futex: what those in the handler wait for */
    atomic_int taken;    /* futex: how many have come to the handler */
    atomic_int finished; /* futex: how many have left it, or never will come */
    atomic_int expected; /* the number at which to wake the sender */
    atomic_int failed;   /* how many functions did not answer 0 */
    int sent;
    int is_under_way; /* a signal may be that nobody waits for any more */
    struct kernel_action previous;
} all;

/* Where all.slots were before the table grew. */
static struct {
    struct slot *slots;
    size_t capacity;
} former[8];

/* Returns 0, or -1 with errno. The kernel's own timespec: libc's may be wider. */
static long
futex(atomic_int *word, int operation, int value, long milliseconds)
{
    const long timeout[2] = {milliseconds / 1000, milliseconds % 1000 * 1000000};

    return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, milliseconds < 0 ? NULL : timeout, NULL, 0);
}

static void
count_and_wake(atomic_int *counter)
{
    if (atomic_fetch_add(counter, 1) + 1 == atomic_load(&all.expected))
        (void)futex(counter, FUTEX_WAKE, 1, -1);
}

/*
 * The handler
 */

static int
is_within(const void *pointer, const struct slot *slots, size_t capacity)
{
    uintptr_t offset = (uintptr_t)pointer - (uintptr_t)slots;

    return slots != NULL && (uintptr_t)pointer >= (uintptr_t)slots && offset < capacity * sizeof *slots &&
           offset % sizeof *slots == 0;
}

/* Whether this library has sent the signal, now or ever. */
static int
is_ours(const siginfo_t *info)
{
    if (info->si_code != SI_QUEUE || info->si_pid != all.pid)
        return 0;
    if (is_within(info->si_value.sival_ptr, all.slots, all.capacity))
        return 1;
    for (size_t i = 0; i < COUNT(former); i++)
        if (is_within(info->si_value.sival_ptr, former[i].slots, former[i].capacity))
            return 1;
    return 0;
}

/* A signal that comes late finds its slot in another state, or another thread's. The state is looked at first: it is what the
 * sender writes last. */
static void
answer(struct slot *slot)
{
    int sent = SENT, go;

    if (!is_within(slot, all.slots, all.capacity) || atomic_load(&slot->state) != SENT ||
        slot->tid != (pid_t)syscall(SYS_gettid) || !atomic_compare_exchange_strong(&slot->state, &sent, TAKEN))
        return;
    count_and_wake(&all.taken);
    while ((go = atomic_load(&all.go)) == WAIT)
        (void)futex(&all.go, FUTEX_WAIT, WAIT, -1);
    if (go == RUN && (slot->error = all.function(all.argument)) != 0)
        atomic_fetch_add(&all.failed, 1);
    atomic_store(&slot->state, DONE);
    count_and_wake(&all.finished);
}

static void
handle(int number, siginfo_t *info, void *context)
{
    int error = errno;

    if (is_ours(info))
        answer(info->si_value.sival_ptr);
    else if (all.previous.handler != (uintptr_t)SIG_DFL && all.previous.handler != (uintptr_t)SIG_IGN)
        ((void (*)(int, siginfo_t *, void *))all.previous.handler)(number, info, context);
    errno = error;
}

static const int not_blocked[] = {
    /* What the handler's own instructions may bring about, a filter's SIGSYS above all: it would kill if it were blocked. */
    SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS,
#ifndef __GLIBC__
    34, /* a thread in musl's setuid() has all signals blocked until every other has taken this one */
#endif
};

static int
install_handler(void)
{
    struct kernel_action action = {.handler = (uintptr_t)handle, .flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    struct kernel_action old;
    unsigned long mask[sizeof action.mask / sizeof(unsigned long)]; /* as the kernel's is made */

#ifdef KERNEL_SA_RESTORER
    action.flags |= KERNEL_SA_RESTORER;
    action.restorer = prctl_restorer;
#endif
    memset(mask, 0xff, sizeof mask);
    for (size_t i = 0; i < COUNT(not_blocked); i++) {
        size_t bit = (size_t)not_blocked[i] - 1, width = 8 * sizeof mask[0];
        mask[bit / width] &= ~(1UL << bit % width);
    }
    memcpy(action.mask, mask, sizeof mask);
    if (signal_action(NULL, &old) < 0)
        return -1;
    if (old.handler != (uintptr_t)handle)
        all.previous = old;
    else
        all.is_under_way = 1; /* it was left there: restore_handler() */
    return signal_action(&action, NULL);
}

/* A signal that is still under way would end the process where nothing handles it: then ours stays. So does a handler that
 * another thread has put there meanwhile, as musl does at the first pthread_cancel(). */
static int
restore_handler(void)
{
    struct kernel_action current;

    if (all.is_under_way && all.previous.handler == (uintptr_t)SIG_DFL)
        return 0;
    if (signal_action(NULL, &current) < 0)
        return -1;
    return current.handler == (uintptr_t)handle ? signal_action(&all.previous, NULL) : 0;
}

/*
 * The threads there are
 */

/* In milliseconds. Where it begins is of no matter, nor that it wraps around: only differences count. */
static unsigned long
read_clock(void)
{
    static unsigned long calls; /* under process_lock() */
    struct timespec time;
#ifdef SYS_clock_gettime
    unsigned long raw[2]; /* not from the vDSO: set_tsc() may have shut off what that reads */

    if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, raw) == 0)
        return raw[0] * 1000 + raw[1] / 1000000;
#endif
    /* A filter refuses that; or the architecture, or libc, has no time of 32 bits. The vDSO has this clock whatever the
     * machine's is; where it cannot read that one, it would make the call that is refused. */
    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &time) < 0)
        return ++calls; /* no clock at all: what is waited for takes longer then, but not for ever */
    return (unsigned long)time.tv_sec * 1000 + (unsigned long)time.tv_nsec / 1000000;
}

/* The same of the time in which this process has run: while all of it is stopped or frozen, nobody can answer. */
static unsigned long
now(void)
{
    enum { LONGEST = 100 }; /* from one call to the next; the sender sleeps for 10 at most */
    static unsigned long last, time; /* under process_lock() */
    unsigned long clock = read_clock(), passed = clock - last;

    last = clock;
    return time += passed < LONGEST ? passed : LONGEST;
}

static struct slot *
find_slot(pid_t tid)
{
    size_t place = (size_t)tid * 2654435761u;

    for (;; place++) {
        struct slot *slot = &all.slots[place & (all.capacity - 1)];
        if (slot->tid == tid || slot->tid == 0)
            return slot;
    }
}

/* A table for so many threads, and as many again. Returns 0, or -1 with errno. */
static int
make_table(size_t threads)
{
    size_t capacity = 4096;
    struct slot *slots;

    while (capacity < threads * 8)
        capacity *= 2;
    if (all.capacity >= capacity) {
        memset(all.slots, 0, all.capacity * sizeof *all.slots);
        all.used = 0;
        return 0;
    }
    slots = mmap(NULL, capacity * sizeof *slots, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED)
        return -1;
    for (size_t i = 0; i < COUNT(former); i++)
        if (former[i].slots == NULL) {
            former[i].slots = all.slots;
            former[i].capacity = all.capacity;
            break;
        }
    all.slots = slots;
    all.capacity = capacity;
    all.used = 0;
    return 0;
}

/* Why a broadcast could not reach every thread; the first reason counts. error is 0 where no errno says it. */
static struct trouble {
    int happened;
    int error;
    pid_t tid;
    const char *why;
} trouble;

static void
fail(int error, pid_t tid, const char *why)
{
    if (trouble.happened)
        return;
    trouble.happened = 1;
    trouble.error = error;
    trouble.tid = tid;
    trouble.why = why;
}

/* A task that will never answer counts as if it had, unless it comes to the handler at this moment. */
static void
give_up(struct slot *slot)
{
    int sent = SENT;

    if (atomic_compare_exchange_strong(&slot->state, &sent, DONE)) {
        atomic_fetch_add(&all.taken, 1);
        atomic_fetch_add(&all.finished, 1);
    } else if (sent == TAKEN && atomic_compare_exchange_strong(&slot->state, &sent, DONE)) {
        atomic_fetch_add(&all.finished, 1);
    }
}

/* Tasks that have no user mode to come back to: io_uring's and vhost's workers, and a main thread that has ended. They are
 * remembered, for each signal that they do not take stays queued. */
static pid_t without_user_mode[1024];
static size_t remembered; /* no place from here on has ever been used */

/* /proc/self/task/TID/NAME, read without snprintf(): nothing of libc's that could lock. */
static ssize_t
read_task(pid_t tid, const char *name, char *buffer, size_t size)
{
    char path[64] = "/proc/self/task/", digits[16];
    size_t length = strlen(path), count = 0;
    ssize_t got;

    for (; tid > 0; tid /= 10)
        digits[count++] = (char)('0' + tid % 10);
    while (count > 0)
        path[length++] = digits[--count];
    path[length++] = '/';
    strcpy(path + length, name);
    got = read_file(path, buffer, size - 1);
    buffer[got < 0 ? 0 : got] = '\0';
    return got;
}

/* The state of a task, as in proc_pid_stat(5); 'X' when it is gone, 'W' for one without user mode. */
static char
task_state(pid_t tid)
{
    enum { PF_IO_WORKER = 0x10, PF_USER_WORKER = 0x4000, FLAGS = 9 };
    char stat[512];
    unsigned long flags = 0;
    char *next, state;
    int field = 3;

    if (read_task(tid, "stat", stat, sizeof stat) <= 0)
        return errno == ENOENT || errno == ESRCH ? 'X' : '?';
    if ((next = strrchr(stat, ')')) == NULL)
        return '?';
    next += 2;
    state = *next;
    for (; *next != '\0' && field < FLAGS; next++)
        field += *next == ' ';
    for (; *next >= '0' && *next <= '9'; next++)
        flags = flags * 10 + (unsigned long)(*next - '0');
    return flags & (PF_IO_WORKER | PF_USER_WORKER) || state == 'Z' ? 'W' : state;
}

/* Whether the signal is in a set of proc_pid_status(5), such as "SigBlk:\t". */
static int
status_has(const char *status, const char *set)
{
    const char *hex = strstr(status, set);
    unsigned long long mask = 0;

    if (hex == NULL)
        return 0;
    for (hex += strlen(set); *hex != '\n' && *hex != '\0'; hex++)
        mask = mask << 4 | (unsigned long long)(*hex <= '9' ? *hex - '0' : *hex - 'a' + 10);
    return mask >> (THREAD_SIGNAL - 1) & 1;
}

static int
is_without_user_mode(pid_t tid)
{
    for (size_t i = 0; i < remembered; i++)
        if (without_user_mode[i] == tid) {
            if (task_state(tid) == 'W')
                return 1;
            without_user_mode[i] = 0; /* another task has the number by now */
        }
    return 0;
}

static void
remember_without_user_mode(pid_t tid)
{
    for (size_t i = 0; i < COUNT(without_user_mode); i++)
        if (without_user_mode[i] == 0 ||
            (syscall(SYS_tgkill, all.pid, without_user_mode[i], 0) < 0 && errno == ESRCH)) {
            without_user_mode[i] = tid;
            if (remembered <= i)
                remembered = i + 1;
            return;
        }
}

/*
 * Sending and waiting
 */

enum {
    LOOK_AFTER = 1,        /* ms without an answer until the sender looks for the reason */
    REFUSAL = 1000,        /* ms until a thread that blocks the signal, or is stopped, counts as one that never answers */
    PATIENCE = 10000,      /* ms until any thread does */
    SEND_AGAIN_AFTER = 100, /* ms until a signal that is neither pending nor answered is lost */
    YIELDS = 50            /* times that the sender lets others run, without an answer, until it sleeps */
};

static int
send_signal(struct slot *slot)
{
    siginfo_t info;

    memset(&info, 0, sizeof info);
    info.si_signo = THREAD_SIGNAL;
    info.si_code = SI_QUEUE;
    info.si_pid = all.pid;
    info.si_uid = all.uid;
    info.si_value.sival_ptr = slot;
    return zero_or_error(syscall(SYS_rt_tgsigqueueinfo, all.pid, slot->tid, THREAD_SIGNAL, &info));
}

/* Waited so long, and so long when it was looked after before. */
static void
look_after(struct slot *slot, unsigned long waited, unsigned long before)
{
    static char status[1 << 20]; /* its groups are before what is looked for; under process_lock() */
    char state;

    if (syscall(SYS_tgkill, all.pid, slot->tid, 0) < 0 && errno == ESRCH) {
        give_up(slot); /* it has ended with the signal pending, or in the handler, by a filter of its own */
        return;
    }
    state = task_state(slot->tid);
    if (state == '?' && waited >= REFUSAL && atomic_load(&slot->state) == SENT)
        fail(errno, slot->tid, "does not answer, and cannot be looked for in /proc");
    if (state == 'W' || state == 'X') {
        if (state == 'W')
            remember_without_user_mode(slot->tid);
        give_up(slot);
        return;
    }
    if (atomic_load(&slot->state) != SENT)
        return; /* it is in the handler: it will come out of it */
    if (waited < SEND_AGAIN_AFTER || read_task(slot->tid, "status", status, sizeof status) <= 0)
        return;
    if (state == 't') {
        if (waited >= REFUSAL)
            fail(0, slot->tid, "is stopped"); /* by a debugger: else the sender would be, too */
    } else if (status_has(status, "SigBlk:\t")) {
        /* For a moment libc blocks the signal itself: when it starts a thread or, in the kernel all the while, a process. */
        if (waited >= REFUSAL && state == 'S')
            fail(0, slot->tid, "has blocked the signal that libc keeps for this");
    } else if (!status_has(status, "SigPnd:\t") && waited / SEND_AGAIN_AFTER != before / SEND_AGAIN_AFTER) {
        all.is_under_way = 1; /* somebody else has taken it, it seems; should it come twice, the second is ignored */
        (void)send_signal(slot);
    }
    if (waited >= PATIENCE)
        fail(0, slot->tid, "does not answer");
}

/* The answers are a few microseconds away: to sleep, with a timer, and to be woken would take longer than they do. */
static void
wait_awake(atomic_int *counter)
{
    int count, last = -1;

    for (int yields = 0; yields < YIELDS && (count = atomic_load(counter)) < all.sent; yields++) {
        if (count != last)
            yields = 0;
        last = count;
        (void)syscall(SYS_sched_yield);
    }
}

/* Wait until all that were sent a signal have come (all.taken) or gone (all.finished). */
static void
wait_for_all(atomic_int *counter)
{
    unsigned long last, looked; /* when an answer has come last, and when a look has been due */
    int count, seen;

    wait_awake(counter);
    seen = atomic_load(counter);
    last = looked = now();
    atomic_store(&all.expected, all.sent);
    while ((count = atomic_load(counter)) < all.sent) {
        unsigned long before = looked, pause = before - last < 10 ? LOOK_AFTER : 10;
        (void)futex(counter, FUTEX_WAIT, count, (long)pause);
        if (now() - before < pause) /* answers and other signals wake, too */
            continue;
        looked = now();
        count = atomic_load(counter);
        if (count != seen) { /* they come, though slowly: to look at each would take longer */
            seen = count;
            last = looked;
            continue;
        }
        for (size_t i = 0; i < all.capacity; i++)
            if (atomic_load(&all.slots[i].state) == SENT || atomic_load(&all.slots[i].state) == TAKEN) {
                look_after(&all.slots[i], now() - last, before - last);
                if (trouble.happened && atomic_load(&all.slots[i].state) == SENT) {
                    all.is_under_way = 1;
                    give_up(&all.slots[i]);
                }
            }
    }
    atomic_store(&all.expected, -1);
}

/* Returns 0, or an errno. */
static int
try_to_send(struct slot *slot)
{
    int error;

    atomic_store(&slot->state, SENT);
    if (send_signal(slot) == 0) {
        all.sent++;
        return 0;
    }
    error = errno;
    atomic_store(&slot->state, DONE);
    return error;
}

static void
send_to(struct slot *slot, pid_t tid)
{
    int error;

    slot->tid = tid;
    atomic_store(&slot->state, DONE);
    all.used++;
    if (is_without_user_mode(tid))
        return;
    error = try_to_send(slot);
    if (error == EAGAIN && atomic_load(&all.taken) < all.sent) { /* RLIMIT_SIGPENDING: let the others take theirs */
        wait_for_all(&all.taken);
        error = try_to_send(slot);
    }
    if (error == EAGAIN)
        fail(error, tid, "cannot be sent a signal (RLIMIT_SIGPENDING)");
    else if (error != 0 && error != ESRCH) /* ESRCH: it has ended */
        fail(error, tid, "cannot be sent a signal");
}

/* How many tasks there are: the links of the directory beyond those of every directory. */
static long
count_tasks(int directory)
{
    struct stat status;

    return fstat(directory, &status) < 0 ? -1 : (long)status.st_nlink - 2;
}

static pid_t
parse_tid(const char *name)
{
    pid_t tid = 0;

    for (; *name >= '0' && *name <= '9'; name++)
        tid = tid * 10 + (*name - '0');
    return tid; /* 0 for . and .. */
}

/* Send to every task that is new. Returns whether there was none, and none can have been passed over in the listing. */
static int
scan(int directory)
{
    static char entries[32768]; /* under process_lock() */
    long before = count_tasks(directory), listed = 0, found = 0, length;

    if (lseek(directory, 0, SEEK_SET) < 0) {
        fail(errno, 0, "/proc/self/task");
        return 1;
    }
    while ((length = syscall(SYS_getdents64, directory, entries, sizeof entries)) > 0) {
        for (long place = 0; place < length;) {
            unsigned short size;
            pid_t tid = parse_tid(entries + place + 19); /* struct linux_dirent64: u64, s64, u16 size, u8, name */
            struct slot *slot;
            memcpy(&size, entries + place + 16, sizeof size);
            place += size;
            listed += tid != 0;
            if (tid == 0 || tid == all.sender || (slot = find_slot(tid))->tid == tid)
                continue;
            found++;
            if (all.used > all.capacity / 4 * 3)
                fail(EAGAIN, tid, "is one of too many that come and go");
            if (trouble.happened)
                return 1;
            send_to(slot, tid);
        }
    }
    if (length < 0)
        fail(errno, 0, "/proc/self/task");
    return trouble.happened || (found == 0 && listed == before && listed == count_tasks(directory));
}

/*
 * A broadcast
 */

enum how { AT_ONCE, HELD, HELD_STILL };

/* Reach every thread: a thread made by one that had been reached is like it, one made before is found by the next scan.
 * Returns 0 when so many scans have not been enough. */
static int
reach_all(int directory, atomic_int *counter, int scans)
{
    unsigned long start = now();

    for (int scanned = 1; !scan(directory); scanned++) {
        if (now() - start > PATIENCE)
            fail(EAGAIN, 0, "threads come and go too fast to be counted");
        wait_for_all(counter);
        if (scanned == scans)
            return 0;
        if (scanned == 1)
            start = now(); /* those that were there at first may have taken as long as they liked */
    }
    wait_for_all(counter);
    return 1;
}

static void
let_go(enum go go)
{
    atomic_store(&all.go, (int)go);
    (void)futex(&all.go, FUTEX_WAKE, INT_MAX, -1);
    wait_for_all(&all.finished);
}

/* Returns what the function has answered here; what went wrong elsewhere is in trouble and all.failed. */
static int
broadcast(int directory, enum how how)
{
    int error = 0, again = 0, is_handled;

    /* Here first: what this thread may not do, the others are not asked to. */
    if (how == AT_ONCE && (error = all.function(all.argument)) != 0)
        return error;
    atomic_store(&all.go, how == AT_ONCE ? RUN : WAIT);
    is_handled = install_handler() == 0;
    if (!is_handled) {
        fail(errno, 0, "the signal cannot be handled");
    } else {
        if (how == AT_ONCE && !reach_all(directory, &all.finished, 3)) {
            /* Threads that make threads have to be held for the others to be counted. */
            memset(all.slots, 0, all.capacity * sizeof *all.slots);
            all.used = 0;
            atomic_store(&all.failed, 0); /* they are asked again */
            atomic_store(&all.go, WAIT);
            again = 1;
        }
        if (how != AT_ONCE || again)
            (void)reach_all(directory, &all.taken, 0);
    }
    if (how == HELD_STILL || (how == HELD && !trouble.happened))
        error = all.function(all.argument);
    let_go((how == HELD || again) && !trouble.happened && error == 0 ? RUN : LEAVE);
    if (is_handled && restore_handler() < 0) /* else what was there before may not even be known */
        fail(errno, 0, "the handler of the signal cannot be put back");
    return error;
}

/* The /proc of another PID namespace has other numbers for the threads. */
static int
proc_is_ours(void)
{
    char link[32] = "";
    ssize_t length = readlink("/proc/self", link, sizeof link - 1);

    return length > 0 && parse_tid(link) == all.pid;
}

/* Needs process_lock(). */
static int
run_everywhere(thread_function function, void *argument, enum how how)
{
    int error = 0, directory = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long threads = directory < 0 ? -1 : count_tasks(directory);

    memset(&trouble, 0, sizeof trouble);
    all.pid = getpid();
    all.uid = getuid();
    if (threads > 1 && !proc_is_ours()) {
        threads = -1;
        errno = ESRCH;
    }
    all.sender = (pid_t)syscall(SYS_gettid);
    all.function = function;
    all.argument = argument;
    all.sent = all.is_under_way = 0;
    atomic_store(&all.taken, 0);
    atomic_store(&all.finished, 0);
    atomic_store(&all.failed, 0);
    if (threads < 0)
        fail(errno, 0, "the threads cannot be counted without a /proc/self/task of this PID namespace");
    else if (threads > 1 && make_table((size_t)threads) < 0)
        fail(errno, 0, "no memory for the list of threads");
    if (threads > 1 && !trouble.happened)
        error = broadcast(directory, how);
    else if (!trouble.happened || how == HELD_STILL)
        error = function(argument);
    if (directory >= 0)
        (void)close(directory);
    return error;
}

/*
 * What the rest of the extension uses
 */

static _Thread_local int depth;

int
in_all_threads(void)
{
    return depth > 0;
}

/* What has gone wrong elsewhere, copied so that Python code can run without the lock. */
struct report {
    struct trouble trouble;
    int failed;
    struct thread_failure first[16];
};

static void
report_get(struct report *report)
{
    int count = 0;

    report->trouble = trouble;
    report->failed = atomic_load(&all.failed);
    for (size_t i = 0; report->failed && i < all.capacity && count < (int)COUNT(report->first); i++)
        if (all.slots[i].error != 0) {
            report->first[count].tid = all.slots[i].tid;
            report->first[count++].error = all.slots[i].error;
        }
}

static void
raise_trouble(const struct trouble *about)
{
    char why[256];

    if (about->tid == 0)
        PyOS_snprintf(why, sizeof why, "%s", about->why);
    else
        PyOS_snprintf(why, sizeof why, "thread %d %s", (int)about->tid, about->why);
    if (about->error)
        raise_errno(about->error, why);
    else
        PyErr_Format(PyExc_RuntimeError, "not carried out in every thread: %s", why);
}

/* RuntimeError: "... thread 4711: Operation not permitted, thread 4712: ..." */
static void
raise_failures(const struct report *report)
{
    PyObject *text = PyUnicode_FromFormat("%d other threads have failed:", report->failed);

    for (int i = 0; text != NULL && i < report->failed && i < (int)COUNT(report->first); i++) {
        const struct thread_failure *failure = &report->first[i];
        PyObject *longer = PyUnicode_FromFormat("%U%s thread %d: [Errno %d] %s", text, i ? "," : "", (int)failure->tid,
                                                failure->error, strerror(failure->error));
        Py_DECREF(text);
        text = longer;
    }
    if (text != NULL)
        PyErr_SetObject(PyExc_RuntimeError, text);
    Py_XDECREF(text);
}

/* Returns what run_everywhere() does, or -1 with the exception of a thread that could not be reached. */
static int
run_and_report(thread_function function, void *argument, enum how how, struct report *report)
{
    int error;

    process_lock();
    error = run_everywhere(function, argument, how);
    report_get(report);
    process_unlock();
    if (error == 0 && report->trouble.happened)
        return raise_trouble(&report->trouble), -1;
    return error;
}

int
threads_run(thread_function function, void *argument)
{
    struct report report;
    int error;

    if (!in_all_threads())
        return function(argument);
    error = run_and_report(function, argument, AT_ONCE, &report);
    if (error == 0 && report.failed)
        return raise_failures(&report), -1;
    return error;
}

int
threads_run_held(thread_function function, void *argument, struct thread_failure *failures, int most)
{
    struct report report;
    int count, error = run_and_report(function, argument, HELD, &report);

    if (error < 0)
        return -1;
    if (error > 0) {
        failures[0] = (struct thread_failure){0, error};
        return 1;
    }
    for (count = 0; count < report.failed && count < most && count < (int)COUNT(report.first); count++)
        failures[count] = report.first[count];
    return count;
}

int
threads_hold_still(thread_function function, void *argument)
{
    return run_everywhere(function, argument, HELD_STILL);
}

int
threads_stand_still(void)
{
    return !trouble.happened;
}

PyDoc_STRVAR(all_threads_doc,
"_all_threads(change, /)\n--\n\n"
"Enter (1) or leave (-1) a block of all_threads() in the calling thread.");

static PyObject *
all_threads(PyObject *Py_UNUSED(module), PyObject *argument)
{
    long change = PyLong_AsLong(argument);

    if (change == -1 && PyErr_Occurred())
        return NULL;
    if ((change != 1 && change != -1) || depth + change < 0)
        return PyErr_Format(PyExc_ValueError, "not 1, nor -1 inside a block: %ld", change);
    depth += (int)change;
    Py_RETURN_NONE;
}

PyMethodDef threads_methods[] = {
    {"_all_threads", all_threads, METH_O, all_threads_doc},
    {NULL, NULL, 0, NULL},
};
