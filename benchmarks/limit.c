/*
 * The limit: what the rows of the benchmark come down to, in a loop of C.
 *
 *     limit NAME [THREADS]
 *
 * For each line of standard input, a 0 and how often, it answers with the nanoseconds that one takes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <pwd.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define USER 65534

static void
check(long result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static double
now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/*
 * Single calls
 */

static struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
static struct __user_cap_data_struct data[2];
static int last_capability;

static void
get_dumpable(void)
{
    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static void
set_name(void)
{
    prctl(PR_SET_NAME, "abc", 0, 0, 0);
}

static void
get_name(void)
{
    char name[16];

    prctl(PR_GET_NAME, name, 0, 0, 0);
}

static void
capget(void)
{
    syscall(SYS_capget, &header, data);
}

static void
capget_capset(void)
{
    capget();
    data[0].effective ^= 1; /* chown */
    check(syscall(SYS_capset, &header, data), "capset");
}

static void
drop_all(void)
{
    for (int number = 0; number <= last_capability; number++)
        check(prctl(PR_CAPBSET_DROP, number, 0, 0, 0), "PR_CAPBSET_DROP");
}

static void
copy_title(void)
{
    static char page[4096];
    const char *title = "worker: idle";

    __asm__ volatile("" : "+r"(title)); /* the compiler shall not know how long it is */
    memcpy(page, title, strlen(title) + 1);
    __asm__ volatile("" : : "r"(page) : "memory");
}

/*
 * Threads
 */

static pthread_t others[1024];
static long number_of_others;

static void *
wait_for_ever(void *argument)
{
    sem_t never;

    sem_init(&never, 0, 0);
    while (sem_wait(&never) < 0)
        ;
    return argument;
}

static void
make_threads(long count)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    for (number_of_others = 0; number_of_others < count - 1; number_of_others++)
        if (pthread_create(&others[number_of_others], &attributes, wait_for_ever, NULL) != 0) {
            fputs("cannot make so many threads\n", stderr);
            exit(1);
        }
    usleep(20000); /* until all of them wait */
}

/* libc interrupts every thread for this. */
static void
set_all_ids(void)
{
    uid_t uid = geteuid();

    check(setresuid(uid, uid, uid), "setresuid");
}

/*
 * What drop_privileges() does: it reads what holds, every thread is interrupted and makes the calls of the plan, and /proc says
 * what has come of it. That the handler may use barriers is because nothing but sem_wait() is interrupted.
 */

static pthread_barrier_t start, end;

static void
drop_in_thread(void)
{
    struct __user_cap_data_struct none[2] = {{0}};

    prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0);
    capget();
    check(syscall(SYS_capset, &header, data), "capset");
    drop_all();
    check(syscall(SYS_setgroups, 0, NULL), "setgroups");
    check(syscall(SYS_setresgid, USER, USER, USER), "setresgid");
    check(syscall(SYS_setresuid, USER, USER, USER), "setresuid");
    check(syscall(SYS_capset, &header, none), "capset");
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void
take_part(int signal)
{
    (void)signal;
    pthread_barrier_wait(&start);
    drop_in_thread();
    pthread_barrier_wait(&end);
}

static void
read_file(const char *path)
{
    char text[8192];
    int file = open(path, O_RDONLY | O_CLOEXEC);

    check(file, path);
    while (read(file, text, sizeof text) > 0)
        ;
    close(file);
}

static void
read_state(void)
{
    uid_t ids[3];

    getpwuid(USER);
    getresuid(&ids[0], &ids[1], &ids[2]);
    getresgid(&ids[0], &ids[1], &ids[2]);
    getgroups(0, NULL);
    capget();
    for (int number = 0; number <= last_capability; number++) {
        prctl(PR_CAPBSET_READ, number, 0, 0, 0);
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, number, 0, 0);
    }
    prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    read_file("/proc/self/uid_map");
    read_file("/proc/self/gid_map");
}

static void
read_result(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    char path[320];

    check(tasks == NULL ? -1 : 0, "/proc/self/task");
    while ((task = readdir(tasks)) != NULL) {
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        read_file(path);
    }
    closedir(tasks);
}

static void
drop_privileges(void)
{
    read_state();
    for (long i = 0; i < number_of_others; i++)
        check(-pthread_kill(others[i], SIGUSR1), "pthread_kill");
    take_part(0);
    read_result();
}

static void
prepare_drop(long threads)
{
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    pthread_barrier_init(&end, NULL, (unsigned)threads);
    signal(SIGUSR1, take_part);
    make_threads(threads);
}

/*
 * Measuring: in time of the processor, which others on the machine do not lengthen, unless threads work together
 */

struct loop {
    const char *name;
    void (*call)(void);
    void (*prepare)(long threads);
    clockid_t clock;
    enum { MANY_TIMES, ONCE_IN_A_THREAD, ONCE_IN_A_PROCESS } how;
};

static double
time_loop(const struct loop *loop, long number)
{
    double begin = now(loop->clock);

    for (long i = 0; i < number; i++)
        loop->call();
    return now(loop->clock) - begin;
}

struct task {
    const struct loop *loop;
    double taken;
};

static void *
time_task(void *argument)
{
    struct task *task = argument;

    task->taken = time_loop(task->loop, 1);
    return NULL;
}

static double
time_in_thread(const struct loop *loop)
{
    struct task task = {loop, 0};
    pthread_t thread;

    if (pthread_create(&thread, NULL, time_task, &task) != 0)
        exit(1);
    pthread_join(thread, NULL);
    return task.taken;
}

static double
time_in_process(const struct loop *loop, long threads)
{
    int pipes[2], status;
    double taken;

    check(pipe(pipes), "pipe");
    if (fork() == 0) {
        loop->prepare(threads);
        taken = time_loop(loop, 1);
        check(write(pipes[1], &taken, sizeof taken), "write");
        _exit(0);
    }
    close(pipes[1]);
    if (read(pipes[0], &taken, sizeof taken) != sizeof taken)
        exit(1);
    close(pipes[0]);
    wait(&status);
    return taken;
}

static const struct loop loops[] = {
    {"get_dumpable", get_dumpable, make_threads, CLOCK_THREAD_CPUTIME_ID, MANY_TIMES},
    {"set_name", set_name, make_threads, CLOCK_THREAD_CPUTIME_ID, MANY_TIMES},
    {"get_name", get_name, make_threads, CLOCK_THREAD_CPUTIME_ID, MANY_TIMES},
    {"capget", capget, make_threads, CLOCK_THREAD_CPUTIME_ID, MANY_TIMES},
    {"capget_capset", capget_capset, make_threads, CLOCK_THREAD_CPUTIME_ID, MANY_TIMES},
    {"memcpy", copy_title, make_threads, CLOCK_THREAD_CPUTIME_ID, MANY_TIMES},
    {"capbset_drop", drop_all, make_threads, CLOCK_THREAD_CPUTIME_ID, ONCE_IN_A_THREAD},
    {"setresuid", set_all_ids, make_threads, CLOCK_MONOTONIC, MANY_TIMES},
    {"drop_privileges", drop_privileges, prepare_drop, CLOCK_MONOTONIC, ONCE_IN_A_PROCESS},
};

int
main(int argc, char **argv)
{
    const struct loop *loop = loops, *last = loops + sizeof loops / sizeof loops[0];
    long threads = argc > 2 ? atol(argv[2]) : 1, number;

    while (loop < last && (argc < 2 || strcmp(loop->name, argv[1]) != 0))
        loop++;
    if (loop == last) {
        fputs("usage: limit NAME [THREADS]\n", stderr);
        return 2;
    }
    while (prctl(PR_CAPBSET_READ, last_capability + 1, 0, 0, 0) >= 0)
        last_capability++;
    if (loop->how == MANY_TIMES)
        loop->prepare(threads);
    while (scanf("%*d %ld", &number) == 1) {
        double taken = loop->how == MANY_TIMES ? time_loop(loop, number) : 0;
        for (long i = 0; loop->how != MANY_TIMES && i < number; i++)
            taken += loop->how == ONCE_IN_A_THREAD ? time_in_thread(loop) : time_in_process(loop, threads);
        printf("%f\n", taken / (double)number);
        fflush(stdout);
    }
    return 0;
}
