/*
 * A plan: a list of system calls in the right order, which Python has thought out. The extension carries it out in every
 * thread, the launcher in a child; both in places where nothing but system calls is allowed.
 */
#ifndef PLAN_H
#define PLAN_H

#include "capset.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Where the numbers without 32 have 16-bit ids. */
#ifdef SYS_setresuid32
#define PLAN_SETGROUPS SYS_setgroups32
#define PLAN_GETGROUPS SYS_getgroups32
#define PLAN_SETRESGID SYS_setresgid32
#define PLAN_SETRESUID SYS_setresuid32
#else
#define PLAN_SETGROUPS SYS_setgroups
#define PLAN_GETGROUPS SYS_getgroups
#define PLAN_SETRESGID SYS_setresgid
#define PLAN_SETRESUID SYS_setresuid
#endif

enum step_kind { STEP_SETGROUPS, STEP_SETRESGID, STEP_SETRESUID, STEP_CAPSET, STEP_PRCTL };

struct step {
    enum step_kind kind;
    union {
        struct {
            size_t count;
            const gid_t *list;
        } groups;
        uid_t ids[3];          /* real, effective, saved; uids and gids are the same type */
        uint64_t sets[3];      /* effective, permitted, inheritable */
        unsigned long call[5]; /* option, arg2 to arg5 */
    };
};

/* Returns 0 or an errno. */
static int
step_run(const struct step *step)
{
    long result = -1;

    switch (step->kind) {
    case STEP_SETGROUPS:
        result = syscall(PLAN_SETGROUPS, step->groups.count, step->groups.list);
        break;
    case STEP_SETRESGID:
        result = syscall(PLAN_SETRESGID, step->ids[0], step->ids[1], step->ids[2]);
        break;
    case STEP_SETRESUID:
        result = syscall(PLAN_SETRESUID, step->ids[0], step->ids[1], step->ids[2]);
        break;
    case STEP_CAPSET:
        result = capset_by_masks(step->sets);
        break;
    case STEP_PRCTL:
        result = syscall(SYS_prctl, step->call[0], step->call[1], step->call[2], step->call[3], step->call[4]);
        break;
    }
    return result == 0 ? 0 : result == -1 ? errno : EPROTO; /* see zero_or_error() in prctlmodule.h */
}

#endif
