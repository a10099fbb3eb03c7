/*
 * What tests take for granted of the kernel, asked in C, with neither Python nor our library between.
 *
 *   kernel FEATURE
 *
 * ends with 0 where the kernel does it. Where it does not, or where what stands between is an emulator that does not, it
 * says what happened instead and ends with 1. The tests that name the feature are skipped then.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef PR_SET_MM_MAP_SIZE /* before Linux 3.18 */
#define PR_SET_MM_MAP_SIZE 15
#endif

static char **arguments;
static char text[512];

/* Each feature is a function that returns NULL or what is wrong. */

static const char *
refused(const char *call)
{
    snprintf(text, sizeof text, "%s is refused: %s", call, strerror(errno));
    return text;
}

static const char *
subreaper(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? NULL : refused("PR_SET_CHILD_SUBREAPER");
}

static const char *
seccomp_filters(void)
{
    struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    struct sock_fprog program = {1, &allow};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return refused("PR_SET_NO_NEW_PRIVS");
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? NULL : refused("SECCOMP_MODE_FILTER");
}

static const char *
strict_seccomp(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
            _exit(errno);
        syscall(SYS_getppid);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        return NULL;
    errno = WEXITSTATUS(status);
    return errno ? refused("SECCOMP_MODE_STRICT") : "SECCOMP_MODE_STRICT forbids nothing";
}

static const char *
tsc(void)
{
    return prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0) == 0 ? NULL : refused("PR_SET_TSC");
}

static const char *
long_timer_slack(void)
{
    unsigned long slack = 1UL << 31 | 5;

    if (prctl(PR_SET_TIMERSLACK, slack, 0, 0, 0) < 0)
        return refused("PR_SET_TIMERSLACK");
    return (unsigned long)syscall(SYS_prctl, PR_GET_TIMERSLACK) == slack ? NULL : "PR_GET_TIMERSLACK is cut to an int";
}

static const char *
perf_events(void)
{
    return prctl(PR_TASK_PERF_EVENTS_DISABLE, 0, 0, 0, 0) == 0 ? NULL : refused("PR_TASK_PERF_EVENTS_DISABLE");
}

static const char *
last_signal(void)
{
    return prctl(PR_SET_PDEATHSIG, SIGRTMAX, 0, 0, 0) == 0 ? NULL : refused("PR_SET_PDEATHSIG with SIGRTMAX");
}

/* A process that has made no thread has one. */
static const char *
threads_of(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    int count = 0;

    if (directory == NULL)
        return refused(path);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(directory);
    if (count == 1)
        return NULL;
    snprintf(text, sizeof text, "%s has %d threads in a process that has made none", path, count);
    return text;
}

static const char *
threads(void)
{
    return threads_of("/proc/self/task");
}

static const char *
threads_of_a_child(void)
{
    char path[64];
    const char *wrong;
    int begun[2];
    pid_t pid = pipe(begun) == 0 ? fork() : -1;

    if (pid == 0) {
        alarm(30);
        (void)!write(begun[1], "!", 1);
        for (;;)
            pause();
    }
    if (pid < 0 || read(begun[0], path, 1) != 1)
        return refused("fork()");
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    wrong = threads_of(path);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return wrong;
}

/* The command line is what the process has at argv. */
static const char *
command_line(void)
{
    char first = 0;
    FILE *file = fopen("/proc/self/cmdline", "rb");

    arguments[0][0] = '~';
    if (file == NULL || fread(&first, 1, 1, file) != 1)
        return refused("/proc/self/cmdline");
    return first == '~' ? NULL : "/proc/self/cmdline does not follow argv";
}

/* Where that is, by proc_pid_stat(5). */
static const char *
stat_addresses(void)
{
    FILE *file = fopen("/proc/self/stat", "r");
    unsigned long start = 0;
    char c;

    while (file != NULL && fscanf(file, "%c", &c) == 1 && c != ')')
        ;
    for (int field = 3; file != NULL && field < 48; field++)
        if (fscanf(file, "%*s") < 0)
            break;
    if (file == NULL || fscanf(file, "%lu", &start) != 1)
        return "/proc/self/stat ends before it says where argv is";
    return start == (unsigned long)arguments[0] ? NULL : "/proc/self/stat does not say where argv is";
}

static const char *
memory_map(void)
{
    unsigned int size;

    return prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) == 0 ? NULL : refused("PR_SET_MM_MAP_SIZE");
}

static const char *
yama(void)
{
    return prctl(PR_SET_PTRACER, 0, 0, 0, 0) == 0 ? NULL : refused("PR_SET_PTRACER");
}

/* What a program is told to be called. */
static const char *
first_argument(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        execl("/bin/sh", "called", "-c", "test \"$0\" = called", (char *)NULL);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    return status == 0 ? NULL : "execve() does not hand on argv[0]";
}

/* Whether /proc shows that the signal is blocked which libc keeps for itself. */
static const char *
blocked_signals(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    unsigned long mask[8 / sizeof(long)] = {0};
    unsigned long long shown = 0;
    int bit = SIGRTMIN - 2;
    char line[256];

    mask[bit / (8 * sizeof(long))] = 1UL << bit % (8 * sizeof(long));
    if (syscall(SYS_rt_sigprocmask, SIG_BLOCK, mask, NULL, sizeof mask) < 0)
        return refused("rt_sigprocmask()");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "SigBlk: %llx", &shown) == 1)
            break;
    return shown >> bit & 1 ? NULL : "/proc/self/status does not show a blocked signal";
}

/* What a file gives to the program that is in it; for a copy of this one, run by an ordinary user. */
static const char *
file_capabilities(void)
{
    static const unsigned char kill_permitted_and_effective[20] = {1, 0, 0, 2, 1 << 5};
    static const char copy[] = "./capable";
    char command[4096];
    pid_t pid;
    int status;

    *strrchr(arguments[0], '/') = '\0';
    snprintf(command, sizeof command, "cd '%s' && cp kernel %s", arguments[0], copy);
    if (system(command) != 0 || chdir(arguments[0]) < 0 ||
        setxattr(copy, "security.capability", kill_permitted_and_effective, 20, 0) < 0)
        return refused("security.capability");
    if ((pid = fork()) == 0) {
        if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
            _exit(errno);
        close(1);
        execl(copy, copy, "effective", (char *)NULL);
        _exit(errno);
    }
    waitpid(pid, &status, 0);
    return status == 0 ? NULL : "execve() does not obey the capabilities of a file";
}

/* That it takes CAP_SETFCAP to remove them. Not before Linux 6.11 where BPF is among the security modules, without SELinux or
 * Smack: the answer of its hook stands for the kernel's own check. */
static const char *
guarded_file_capabilities(void)
{
    static const unsigned char none[20] = {0, 0, 0, 2};
    static const char copy[] = "./guarded";
    pid_t pid;
    int status;

    *strrchr(arguments[0], '/') = '\0';
    if (chdir(arguments[0]) < 0 || close(creat(copy, 0644)) < 0 || chown(copy, 65534, 65534) < 0 ||
        setxattr(copy, "security.capability", none, 20, 0) < 0)
        return refused("security.capability");
    if ((pid = fork()) == 0) {
        if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
            _exit(2);
        _exit(removexattr(copy, "security.capability") < 0 && errno == EPERM);
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status) == 1 ? NULL : "the capabilities of a file can be removed without CAP_SETFCAP";
}

/* For file_capabilities(): what this process has. */
static const char *
effective(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    return syscall(SYS_capget, &header, data) == 0 && data[0].effective == 1 << 5 ? NULL : "other capabilities";
}

static const struct {
    const char *name;
    const char *(*ask)(void);
} features[] = {
    {"subreaper", subreaper},
    {"seccomp filters", seccomp_filters},
    {"strict seccomp", strict_seccomp},
    {"tsc", tsc},
    {"long timer slack", long_timer_slack},
    {"perf events", perf_events},
    {"SIGRTMAX", last_signal},
    {"threads", threads},
    {"threads of a child", threads_of_a_child},
    {"command line", command_line},
    {"stat addresses", stat_addresses},
    {"memory map", memory_map},
    {"Yama", yama},
    {"first argument", first_argument},
    {"blocked signals", blocked_signals},
    {"file capabilities", file_capabilities},
    {"guarded file capabilities", guarded_file_capabilities},
    {"effective", effective},
};

int
main(int argc, char **argv)
{
    arguments = argv;
    alarm(30);
    for (size_t i = 0; argc == 2 && i < sizeof features / sizeof *features; i++)
        if (strcmp(argv[1], features[i].name) == 0) {
            const char *wrong = features[i].ask();
            if (wrong != NULL)
                puts(wrong);
            return wrong != NULL;
        }
    fprintf(stderr, "%s: there is no feature of this name\n", argc > 1 ? argv[1] : "");
    return 2;
}
