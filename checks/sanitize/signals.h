/*
 * For src/threads.c under ThreadSanitizer, which knows of a signal's handler, and of what orders it, only when libc's sigaction()
 * has set it; and libc refuses the signal that the library uses. So here it is another one, and goes through libc.
 */
#ifdef PRCTL_VERSION /* in the extension, not in the launcher */
#define _GNU_SOURCE
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIGNAL_SEEN (SIGRTMAX - 1)

/* The kernel's struct sigaction; SA_RESTORER is libc's affair. */
struct seen_action {
    uintptr_t handler;
    unsigned long flags;
    void (*restorer)(void);
    unsigned char mask[8];
};

static inline long
sigaction_seen(const struct seen_action *new, struct seen_action *old)
{
    struct sigaction action, before;

    if (new != NULL) {
        memset(&action, 0, sizeof action);
        action.sa_sigaction = (void (*)(int, siginfo_t *, void *))new->handler;
        action.sa_flags = (int)(new->flags & ~0x04000000ul);
        memcpy(&action.sa_mask, new->mask, sizeof new->mask);
    }
    if (sigaction(SIGNAL_SEEN, new == NULL ? NULL : &action, &before) < 0)
        return -1;
    if (old != NULL) {
        memset(old, 0, sizeof *old);
        old->handler = (uintptr_t)before.sa_sigaction;
        old->flags = (unsigned long)before.sa_flags;
        memcpy(old->mask, &before.sa_mask, sizeof old->mask);
    }
    return 0;
}

static inline long
syscall_seen(long number, ...)
{
    long arguments[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_rt_sigaction)
        return sigaction_seen((const struct seen_action *)arguments[1], (struct seen_action *)arguments[2]);
    if (number == SYS_rt_tgsigqueueinfo) {
        ((siginfo_t *)arguments[3])->si_signo = SIGNAL_SEEN;
        arguments[2] = SIGNAL_SEEN;
    }
    return syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

#define syscall syscall_seen
#endif
