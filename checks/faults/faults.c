/*
 * What the build of ./dev faults is linked with: the count of each place's passages, the places that shall fail, and which
 * pieces of code have run. In the extension Python tells it, through ctypes; in the launcher the environment does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

struct fault_place {
    const char *file, *function, *callee, *kind;
    int line;
};

/* The linker's, for a section whose name is one of C's, and for the file as it is mapped. */
extern const struct fault_place *const __start_faults[] __attribute__((visibility("hidden")));
extern const struct fault_place *const __stop_faults[] __attribute__((visibility("hidden")));
extern const char __ehdr_start __attribute__((visibility("hidden")));

/* MOST places, and two armed at once: the second where only a first failure leads. */
enum { MOST = 4096, ARMED = 2, HOLDINGS = 8, CALLERS = 10 };

static atomic_uint passages[MOST];
static atomic_long holdings[HOLDINGS];
static struct armed {
    size_t place; /* 1 more than its number: 0 is none */
    unsigned passage;
    int error;
    size_t caller; /* where the function of the place must have been called; 0 is anywhere */
    atomic_uint failed;
} armed[ARMED];

/* The passages since fault_begin(), in their order, each with who has called it: addresses in the file, from the inside. */
static struct passage {
    size_t place;
    size_t callers[CALLERS];
} log[MOST * 4];
static atomic_size_t logged;

PUBLIC size_t
fault_count(void)
{
    return (size_t)(__stop_faults - __start_faults);
}

PUBLIC const struct fault_place *
fault_at(size_t place)
{
    return __start_faults[place];
}

/* Returns how many there are, and no more of them than there is room for. */
PUBLIC size_t
fault_log(const struct passage **first)
{
    size_t count = atomic_load(&logged);

    *first = log;
    return count < sizeof log / sizeof log[0] ? count : sizeof log / sizeof log[0];
}

PUBLIC const atomic_long *
fault_holdings(void)
{
    return holdings;
}

/* Counts from now on, and lets the place fail at its passage of that number; 0 is the first. */
PUBLIC void
fault_begin(void)
{
    memset(armed, 0, sizeof armed);
    memset(passages, 0, sizeof passages);
    memset(log, 0, atomic_load(&logged) < sizeof log / sizeof log[0] ? atomic_load(&logged) * sizeof log[0] : sizeof log);
    atomic_store(&logged, 0);
}

PUBLIC void
fault_arm(int which, size_t place, unsigned passage, int error, size_t caller)
{
    armed[which].place = place + 1;
    armed[which].passage = passage;
    armed[which].error = error;
    armed[which].caller = caller;
    atomic_store(&armed[which].failed, 0);
}

/* For each byte of the file as it is mapped, whether its code has run; in a file that all processes share. */
static unsigned char *code;
static size_t code_size;

/* How many of the armed have failed; none is armed any more. */
PUBLIC int
fault_end(void)
{
    int failed = 0;

    for (int i = 0; i < ARMED; i++) {
        failed += atomic_load(&armed[i].failed) != 0;
        armed[i].place = 0;
    }
    return failed;
}

/* Frame by frame, as code without optimisation leaves them, until one is not this file's. */
static inline __attribute__((always_inline)) void
find_callers(size_t callers[CALLERS])
{
    void **frame = __builtin_frame_address(0);

    for (int i = 0; i < CALLERS; i++) {
        size_t offset = (size_t)((char *)frame[1] - &__ehdr_start);
        void **next = frame[0];
        if (offset >= code_size)
            return;
        callers[i] = offset;
        if (next <= frame || (size_t)((char *)next - (char *)frame) > 1 << 16)
            return;
        frame = next;
    }
}

void
fault_holds(int what, int more)
{
    atomic_fetch_add(&holdings[what], more);
}

static int log_file = -1;

/* A signal handler may call it. Never inlined: find_callers() begins at its frame. */
__attribute__((noinline)) int
fault_passes(const struct fault_place *const *entry)
{
    size_t place = (size_t)(entry - __start_faults);
    unsigned before = atomic_fetch_add(&passages[place], 1);
    size_t line = atomic_fetch_add(&logged, 1);
    struct passage here = {.place = place};
    int fails = 0;

    find_callers(here.callers);
    if (line < sizeof log / sizeof log[0])
        log[line] = here;

    if (log_file >= 0) {
        int error = errno;
        unsigned short number = (unsigned short)place;
        (void)!write(log_file, &number, sizeof number);
        errno = error;
    }
    for (int i = 0; i < ARMED; i++)
        if (armed[i].place == place + 1 && armed[i].passage == before &&
            (armed[i].caller == 0 || armed[i].caller == here.callers[1])) {
            atomic_store(&armed[i].failed, 1);
            errno = armed[i].error;
            fails = 1;
        }
    return fails;
}

/* Called at the beginning of each piece of code without a branch. */
void
__sanitizer_cov_trace_pc(void)
{
    size_t offset = (size_t)((const char *)__builtin_return_address(0) - &__ehdr_start);

    if (offset < code_size)
        code[offset] = 1;
}

/* "LOG PLACE PASSAGE ERRNO": where the passages are written, two bytes each, and what is to fail. */
__attribute__((constructor(101))) static void
begin(void)
{
    int file = open(FAULTS_CODE, O_RDWR | O_CLOEXEC);
    off_t size = file < 0 ? 0 : lseek(file, 0, SEEK_END);

    if (size > 0) {
        void *memory = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (memory != MAP_FAILED) {
            code = memory;
            code_size = (size_t)size;
        }
    }
    if (file >= 0)
        (void)close(file);
#ifdef FAULTS_IN_PROGRAM
    const char *told = getenv("PRCTL_FAULTS");
    char path[256];
    long place;
    unsigned passage;
    int error;
    if (told != NULL && sscanf(told, "%255s %ld %u %d", path, &place, &passage, &error) == 4) {
        log_file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (place >= 0)
            fault_arm(0, (size_t)place, passage, error, 0);
    }
    if (told != NULL && strcmp(told, "list") == 0) {
        for (size_t i = 0; i < fault_count(); i++)
            printf("%s\t%s\t%s\t%s\t%d\n", fault_at(i)->file, fault_at(i)->function, fault_at(i)->callee, fault_at(i)->kind,
                   fault_at(i)->line);
        exit(0);
    }
#endif
}
