/*
 * For src/memory.c under valgrind, which keeps a break of its own for the program: the kernel never hears of it, and takes no
 * memory map that has it. The kernel's own break is where it has been since the start.
 */
#ifdef PRCTL_VERSION /* in the extension, not in the launcher */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <valgrind/valgrind.h>

static inline long
kernel_break(void)
{
    enum { START_BRK = 47 }; /* in proc_pid_stat(5) */
    char stat[4096];
    int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(file, stat, sizeof stat - 1);
    char *next;

    (void)close(file);
    stat[length < 0 ? 0 : length] = '\0';
    next = strrchr(stat, ')');
    for (int field = 2; next != NULL && field < START_BRK; field++)
        next = strchr(next + 1, ' ');
    return next == NULL ? -1 : (long)strtoul(next, NULL, 10);
}

#define FIRST(first, ...) first
#define syscall(...) \
    (FIRST(__VA_ARGS__, 0) == SYS_brk && RUNNING_ON_VALGRIND ? kernel_break() : syscall(__VA_ARGS__))
#endif
