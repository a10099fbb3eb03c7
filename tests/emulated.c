/*
 * For LD_PRELOAD where an emulator runs every process of the suite, qemu-user for one.
 *
 * It has a thread of its own in each process. The program did not make that thread, no signal of the program's reaches it,
 * and nothing that the program does changes it; but it stands in /proc/self/task with the others. Here it is left out of
 * that directory, so that what the library does to the threads of a program can be seen.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char hidden[16]; /* the emulator's thread */

/* What comes behind this library, with the type of what it stands before. */
#define NEXT(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

static int
lists_threads(int descriptor)
{
    char link[64], path[64] = "";

    snprintf(link, sizeof link, "/proc/thread-self/fd/%d", descriptor); /* the main thread may have ended */
    return readlink(link, path, sizeof path - 1) > 5 && strcmp(path + strlen(path) - 5, "/task") == 0;
}

#define READDIR(function, entry)                                                      \
    struct entry *function(DIR *directory)                                            \
    {                                                                                 \
        static __typeof__(&function) next;                                            \
        struct entry *found;                                                          \
                                                                                      \
        if (next == NULL)                                                             \
            next = NEXT(function);                                                    \
        found = next(directory);                                                      \
        if (found == NULL || strcmp(found->d_name, hidden) != 0)                      \
            return found;                                                             \
        return lists_threads(dirfd(directory)) ? next(directory) : found;             \
    }
READDIR(readdir, dirent)
#ifdef __GLIBC__ /* elsewhere files are large anyway */
READDIR(readdir64, dirent64)
#endif

/* The number of links counts the threads, too. */
#define FSTAT(function, stat)                                                         \
    int function(int descriptor, struct stat *status)                                 \
    {                                                                                 \
        static __typeof__(&function) next;                                            \
        int result;                                                                   \
                                                                                      \
        if (next == NULL)                                                             \
            next = NEXT(function);                                                    \
        result = next(descriptor, status);                                            \
        if (result == 0 && S_ISDIR(status->st_mode) && lists_threads(descriptor))     \
            status->st_nlink -= hidden[0] != '\0';                                    \
        return result;                                                                \
    }
FSTAT(fstat, stat)
#ifdef __GLIBC__
FSTAT(fstat64, stat64)
#endif

/* getdents64(2): u64, s64, u16 size, u8, name. */
static long
without_hidden(char *entries, long length)
{
    unsigned short size;

    for (long place = 0; place < length; place += size) {
        memcpy(&size, entries + place + 16, sizeof size);
        if (strcmp(entries + place + 19, hidden) == 0) {
            memmove(entries + place, entries + place + size, (size_t)(length - place - size));
            return length - size;
        }
    }
    return length;
}

long
syscall(long number, ...)
{
    static long (*next)(long, ...);
    long a[6], result;
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (next == NULL)
        next = NEXT(syscall);
    result = next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return number == SYS_getdents64 && result > 0 && lists_threads((int)a[0]) ? without_hidden((char *)a[1], result) : result;
}

/* At the start of a process the program has one thread, and so it has in a fork. */
static void
find(void)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;

    hidden[0] = '\0';
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != gettid())
            snprintf(hidden, sizeof hidden, "%.15s", entry->d_name);
    if (directory != NULL)
        closedir(directory);
}

__attribute__((constructor)) static void
begin(void)
{
    find();
    pthread_atfork(NULL, NULL, find);
}
