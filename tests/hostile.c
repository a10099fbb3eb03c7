/* Threads that no Python code makes, for tests/test_threads.py: a shared library, loaded with ctypes. */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t
tid(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static void
nap(long microseconds)
{
    struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};

    nanosleep(&time, NULL);
}

/*
 * Threads that sleep for ever. Each function returns the thread's id, or -1.
 */

struct thread {
    int blocks_signals;
    size_t alternate_stack;
    atomic_int tid;
};

/* So many bytes with a page before them that must not be touched. */
static char *
guarded(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
    char *memory = mmap(NULL, page + whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) < 0)
        return NULL;
    return memory + page;
}

static void *
sleep_for_ever(void *argument)
{
    struct thread *thread = argument;
    sigset_t all;

    if (thread->blocks_signals) {
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, NULL);
    }
    if (thread->alternate_stack) {
        stack_t stack = {.ss_sp = guarded(thread->alternate_stack), .ss_size = thread->alternate_stack};
        if (stack.ss_sp == NULL || sigaltstack(&stack, NULL) < 0) {
            thread->tid = -1;
            return NULL;
        }
    }
    thread->tid = tid();
    for (;;)
        pause();
}

static int
make(int blocks_signals, size_t alternate_stack, size_t stack)
{
    struct thread *thread = calloc(1, sizeof *thread);
    pthread_attr_t attributes;
    pthread_t id;

    thread->blocks_signals = blocks_signals;
    thread->alternate_stack = alternate_stack;
    pthread_attr_init(&attributes);
    if (stack && pthread_attr_setstacksize(&attributes, stack) != 0)
        return -1;
    if (pthread_create(&id, &attributes, sleep_for_ever, thread) != 0)
        return -1;
    while (thread->tid == 0)
        nap(100);
    return thread->tid;
}

int
make_sleeping(void)
{
    return make(0, 0, 0);
}

int
make_blocking_every_signal(void)
{
    return make(1, 0, 0);
}

int
make_on_the_smallest_stack(void)
{
    size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN), frame = getauxval(51); /* AT_MINSIGSTKSZ */

    return make(0, 0, least > frame ? least : frame + 4096); /* musl's least has no room for any signal */
}

/* With an alternate stack as small as that of a thread of Rust's: what the kernel demands, or 8 KiB. */
int
make_with_alternate_stack(void)
{
    size_t least = getauxval(51); /* AT_MINSIGSTKSZ, or 0 where the kernel does not say */

    return make(0, least > 8192 ? least : 8192, 0);
}

static int
sleep_in_a_clone(void *argument)
{
    (void)argument;
    for (;;)
        syscall(SYS_rt_sigsuspend, &(unsigned long[2]){0, 0}, 8);
    return 0;
}

/* Without libc's knowledge. It has the thread-local storage of who called. */
int
make_by_clone(void)
{
    size_t size = 256 * 1024;
    char *stack = guarded(size);

    if (stack == NULL)
        return -1;
    return clone(sleep_in_a_clone, stack + size, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
                 NULL);
}

/*
 * A thread with a seccomp program, which makes no other system call than pause(2) once it has it
 */

struct filtered {
    struct sock_fprog program;
    atomic_int tid;
};

static void *
pause_with_a_filter(void *argument)
{
    struct filtered *filtered = argument;
    pid_t id = tid();

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filtered->program, 0, 0) < 0)
        id = -1;
    filtered->tid = id;
    while (pause() < 0)
        ;
    return NULL;
}

int
make_with_filter(const char *instructions, int length)
{
    struct filtered *filtered = calloc(1, sizeof *filtered);
    pthread_t id;

    filtered->program.len = (unsigned short)(length / 8);
    filtered->program.filter = memcpy(malloc((size_t)length), instructions, (size_t)length);
    if (pthread_create(&id, NULL, pause_with_a_filter, filtered) != 0)
        return -1;
    while (filtered->tid == 0)
        nap(100);
    return filtered->tid;
}

/*
 * Threads that block libc's signal by the raw system call, for some milliseconds
 */

/* As the kernel's mask is made: signal 33 is the first of the second half. */
static const unsigned long libc_signal[2] = {sizeof(long) == 8 ? 1UL << (sizeof(long) == 8 ? 32 : 0) : 0, 1};

struct blocking {
    int milliseconds;
    int ends;
    atomic_int tid;
};

static void *
block_for_a_while(void *argument)
{
    struct blocking *blocking = argument;

    syscall(SYS_rt_sigprocmask, SIG_BLOCK, libc_signal, NULL, 8);
    blocking->tid = tid();
    for (int left = blocking->milliseconds; left > 0; left -= 10) /* one long nap would go on while the process is stopped */
        nap((left < 10 ? left : 10) * 1000L);
    if (blocking->ends)
        return NULL;
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, libc_signal, NULL, 8);
    for (;;)
        pause();
}

static int
make_blocking_thread(void *(*function)(void *), int milliseconds, int ends)
{
    struct blocking *blocking = calloc(1, sizeof *blocking);
    pthread_t id;

    blocking->milliseconds = milliseconds;
    blocking->ends = ends;
    if (pthread_create(&id, NULL, function, blocking) != 0)
        return -1;
    pthread_detach(id);
    while (blocking->tid == 0)
        nap(100);
    return blocking->tid;
}

int
make_ending_with_it_pending(int milliseconds)
{
    return make_blocking_thread(block_for_a_while, milliseconds, 1);
}

int
make_blocking_it_for(int milliseconds)
{
    return make_blocking_thread(block_for_a_while, milliseconds, 0);
}

/*
 * A thread that takes libc's signal away from its handler, once
 */

static void *
take_it_away(void *argument)
{
    struct blocking *blocking = argument;

    syscall(SYS_rt_sigprocmask, SIG_BLOCK, libc_signal, NULL, 8);
    blocking->tid = tid();
    while (syscall(SYS_rt_sigtimedwait, libc_signal, NULL, NULL, 8) < 0)
        continue;
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, libc_signal, NULL, 8);
    for (;;)
        pause();
}

int
make_taking_it_away(void)
{
    return make_blocking_thread(take_it_away, 0, 0);
}

/*
 * A thread that waits for a child of vfork(2), with every signal blocked by the raw system call, as posix_spawn() does
 */

static void *
wait_for_a_child(void *argument)
{
    struct blocking *blocking = argument;
    unsigned long mask[2] = {~0UL, ~0UL};
    pid_t child;

    syscall(SYS_rt_sigprocmask, SIG_BLOCK, mask, NULL, 8);
    blocking->tid = tid();
    child = vfork();
    if (child == 0) {
        nap(blocking->milliseconds * 1000L);
        _exit(0);
    }
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, mask, NULL, 8);
    waitpid(child, NULL, 0);
    for (;;)
        pause();
}

int
make_waiting_for_a_child(int milliseconds)
{
    return make_blocking_thread(wait_for_a_child, milliseconds, 0);
}

/*
 * Threads that block libc's signal, and make others as soon as one has come
 */

static atomic_int made;

/* Waits until the thread has blocked it, and counted itself. */
static int
start_maker(void *(*function)(void *), long argument, int before)
{
    pthread_t id;

    made = before;
    if (pthread_create(&id, NULL, function, (void *)argument) != 0)
        return -1;
    while (made == before)
        nap(100);
    return 0;
}

static void *
sleep_unblocked(void *argument)
{
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, libc_signal, NULL, 8);
    made++;
    for (;;)
        pause();
    return argument;
}

static void
wait_for_libc_signal(void)
{
    unsigned long pending[2] = {0, 0};

    while (!(pending[0] & libc_signal[0]) && !(pending[1] & libc_signal[1])) {
        nap(1000);
        syscall(SYS_rt_sigpending, pending, 8);
    }
}

/* Thousands of them fit 32 bits of addresses. */
static int
make_with_a_small_stack(void *(*function)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t id;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    return pthread_create(&id, &attributes, function, argument);
}

static void *
make_many(void *number)
{
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, libc_signal, NULL, 8);
    made++;
    wait_for_libc_signal();
    for (long left = (long)number; left > 0 && make_with_a_small_stack(sleep_unblocked, NULL) == 0; left--)
        continue;
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, libc_signal, NULL, 8);
    for (;;)
        pause();
}

/* One thread makes so many, which do not block it, before it takes the signal itself. */
int
start_making_many(long number)
{
    return start_maker(make_many, number, -1); /* itself is not one of them */
}

static void *
make_the_next(void *left)
{
    int before;

    syscall(SYS_rt_sigprocmask, SIG_BLOCK, libc_signal, NULL, 8);
    before = ++made;
    wait_for_libc_signal();
    if ((long)left > 1 && make_with_a_small_stack(make_the_next, (void *)((long)left - 1)) == 0)
        while (made == before)
            nap(100);
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, libc_signal, NULL, 8);
    for (;;)
        pause();
}

/* Each thread makes the next one before it takes the signal; so many in all. */
int
start_chain(long length)
{
    return start_maker(make_the_next, length, 0);
}

int
count_made(void)
{
    return made;
}

/*
 * Threads that make threads all the while
 */

static atomic_int going_on, made, alive;

static void *
live_shortly(void *argument)
{
    nap((long)(size_t)argument);
    alive--;
    return NULL;
}

static void *
go_on_making(void *argument)
{
    unsigned int seed = (unsigned int)(size_t)argument;
    pthread_attr_t attributes;
    pthread_t id;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (going_on) {
        if (alive > 100) {
            nap(50);
            continue;
        }
        alive++;
        if (pthread_create(&id, &attributes, live_shortly, (void *)(size_t)(rand_r(&seed) % 3000)) == 0)
            made++;
        else
            alive--;
    }
    alive--;
    return NULL;
}

void
start_making(int threads)
{
    pthread_t id;

    going_on = 1;
    for (int i = 0; i < threads; i++) {
        alive++;
        pthread_create(&id, NULL, go_on_making, (void *)(size_t)(i + 1));
        pthread_detach(id);
    }
}

/* Returns how many threads there have been. */
int
stop_making(void)
{
    going_on = 0;
    while (alive > 0)
        nap(1000);
    return made;
}

/*
 * Threads that allocate, so that the break moves all the while
 */

static pthread_t allocating[64];
static int allocating_count;
static atomic_int damaged;

static void *
go_on_allocating(void *argument)
{
    enum { BLOCKS = 64, LARGEST = 100000 };
    unsigned char *blocks[BLOCKS] = {NULL};
    unsigned int seed = (unsigned int)(size_t)argument;
    size_t sizes[BLOCKS] = {0};

    while (going_on) {
        int i = rand_r(&seed) % BLOCKS;
        if (blocks[i] != NULL) {
            if (blocks[i][0] != i || blocks[i][sizes[i] / 2] != i || blocks[i][sizes[i] - 1] != i)
                damaged++;
            free(blocks[i]);
        }
        sizes[i] = 1 + (size_t)rand_r(&seed) % LARGEST;
        blocks[i] = malloc(sizes[i]);
        memset(blocks[i], i, sizes[i]);
    }
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return NULL;
}

void
start_allocating(int threads)
{
    going_on = 1;
    for (int i = 0; i < threads; i++)
        pthread_create(&allocating[allocating_count++], NULL, go_on_allocating, (void *)(size_t)(i + 1));
}

/* Returns how many blocks were not as they had been left. A thread allocates until its very end, hence the join. */
int
stop_allocating(void)
{
    going_on = 0;
    while (allocating_count > 0)
        pthread_join(allocating[--allocating_count], NULL);
    return damaged;
}

/* Whether the kernel's idea of the break is libc's. */
int
break_is_known(void)
{
    return (char *)syscall(SYS_brk, 0) == (char *)sbrk(0);
}

/*
 * setresuid() all the while, by libc, to the ids that are there
 */

static atomic_int setting;
static atomic_long set_count, set_failed;

static void *
go_on_setting(void *argument)
{
    uid_t id = getuid();

    (void)argument;
    while (going_on) {
        if (setresuid(id, id, id) != 0)
            set_failed++;
        set_count++;
    }
    setting--;
    return NULL;
}

void
start_setting(int threads)
{
    pthread_t id;

    going_on = 1;
    for (int i = 0; i < threads; i++) {
        setting++;
        pthread_create(&id, NULL, go_on_setting, NULL);
        pthread_detach(id);
    }
}

long
count_set(void)
{
    return set_count;
}

/* Returns how many calls have failed. */
long
stop_setting(void)
{
    going_on = 0;
    while (setting > 0)
        nap(1000);
    return set_failed;
}

/*
 * A thread that sets a handler of its own for libc's signal, which libc lets nobody do.
 */

enum { LIBC_SIGNAL = 33 };

static void
ignore(int number)
{
    (void)number;
}

static void *
set_handler_soon(void *argument)
{
    void *action[8] = {(void *)ignore}; /* the kernel's struct sigaction: no flags, no mask */

    for (int i = 0; i < 200; i++) /* a signal ends a nap */
        nap(1000);
    syscall(SYS_rt_sigaction, LIBC_SIGNAL, action, NULL, 8);
    return argument;
}

/* Returns the handler that is set in 0.2 seconds. */
void *
start_setting_a_handler(void)
{
    pthread_t id;

    pthread_create(&id, NULL, set_handler_soon, NULL);
    pthread_detach(id);
    return (void *)ignore;
}

/*
 * A thread that sends libc's signal with values of its own, while the library handles it
 */

enum { FOREIGN = 13 };

static atomic_int counted;

static void
count(int number)
{
    (void)number;
    counted++;
}

static _Atomic(void *) handled_before;

static void *
send_while_it_is_handled(void *to)
{
    void *action[8] = {handled_before};
    siginfo_t info;

    while (action[0] == handled_before) {
        nap(1000);
        syscall(SYS_rt_sigaction, LIBC_SIGNAL, NULL, action, 8);
    }
    for (long i = 0; i < FOREIGN; i++) {
        memset(&info, 0, sizeof info);
        info.si_signo = LIBC_SIGNAL;
        info.si_code = SI_QUEUE;
        info.si_pid = getpid();
        info.si_uid = getuid();
        info.si_value.sival_ptr = i == 0 ? NULL : (void *)(-4096 - i); /* the kernel's memory */
        syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)(long)to, LIBC_SIGNAL, &info);
    }
    return NULL;
}

/* Sets SIG_DFL (0), SIG_IGN (1), or a handler that counts (2); that must not be called but by another handler. */
int
start_sending_to(int tid_to, int disposition)
{
    void *action[8] = {disposition == 2 ? (void *)count : (void *)(long)disposition};
    pthread_t id;

    handled_before = action[0];
    if (syscall(SYS_rt_sigaction, LIBC_SIGNAL, action, NULL, 8) < 0)
        return -1;
    if (pthread_create(&id, NULL, send_while_it_is_handled, (void *)(long)tid_to) != 0)
        return -1;
    pthread_detach(id);
    return FOREIGN;
}

int
count_handled(void)
{
    return counted;
}
