/*
 * Carrying out a plan in every thread, all of them stopped before the first step.
 */
#include "prctlmodule.h"

#include "plan.h"

#include <sys/mman.h>

struct plan {
    size_t count;
    struct step steps[];
};

/*
 * In each thread, perhaps in a signal handler
 */

/* Both are sorted, by the kernel and by the plan; a group may be there twice. */
static int
are_same_groups(const gid_t *now, long count, const struct step *step)
{
    size_t place = 0;

    for (long i = 0; i < count; i++) {
        if (i > 0 && now[i] == now[i - 1])
            continue;
        if (place == step->groups.count || now[i] != step->groups.list[place++])
            return 0;
    }
    return place == step->groups.count;
}

/* There may be 65536 of them: too many for a handler's stack, and the memory of a thread's own variables may come from malloc. */
static int
same_groups(const struct step *step)
{
    long count = syscall(PLAN_GETGROUPS, 0, NULL);
    size_t size = (size_t)(count + 1) * sizeof(gid_t);
    gid_t *now;
    int same;

    if (count < 0)
        return 0;
    now = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (now == MAP_FAILED)
        return 0;
    count = syscall(PLAN_GETGROUPS, count, now);
    same = count >= 0 && are_same_groups(now, count, step);
    (void)munmap(now, size);
    return same;
}

/* A thread that has less than the others, and may do less, has perhaps already what the step is for; of capabilities it takes
 * what it may have. */
static int
holds_already(const struct step *step)
{
    switch (step->kind) {
    case STEP_SETGROUPS:
        return same_groups(step);
    case STEP_SETRESGID:
    case STEP_SETRESUID:
        return 0; /* the kernel refuses no one the ids that he has: these are others, which only read the same */
    case STEP_PRCTL:
        if (step->call[0] == PR_CAPBSET_DROP)
            return prctl_call(PR_CAPBSET_READ, (unsigned long[4]){step->call[1]}) == 0;
        if (step->call[0] == PR_SET_KEEPCAPS) /* refused when locked, even if it is the same */
            return prctl_call(PR_GET_KEEPCAPS, (unsigned long[4]){0}) == (long)step->call[1];
        return 0;
    case STEP_CAPSET:
        return sets_set_within(step->sets) == 0;
    }
    return 0;
}

/* Returns 0, or an errno with the number of the step above it. */
enum { ERRNO_BITS = 12 };

static int
plan_run(void *argument)
{
    const struct plan *plan = argument;
    long keepcaps = prctl_call(PR_GET_KEEPCAPS, (unsigned long[4]){0});

    for (size_t i = 0; i < plan->count; i++) {
        struct step step = plan->steps[i];
        int error;
        if (step.kind == STEP_PRCTL && step.call[0] == PR_SET_KEEPCAPS && step.call[1] == 0)
            step.call[1] = keepcaps == 1; /* as it was in this thread */
        error = step_run(&step);
        if (error != 0 && !holds_already(&step))
            return error | (int)(i << ERRNO_BITS);
    }
    return 0;
}

/*
 * From a list of tuples: ("setresuid", real, effective, saved), ...
 */

static void
plan_free(struct plan *plan)
{
    for (size_t i = 0; plan != NULL && i < plan->count; i++)
        if (plan->steps[i].kind == STEP_SETGROUPS)
            PyMem_Free((void *)(uintptr_t)plan->steps[i].groups.list);
    PyMem_Free(plan);
}

static int
groups_from_list(PyObject *tuple, struct step *step)
{
    const char *skipped;
    PyObject *list;
    gid_t *groups;
    Py_ssize_t count;

    if (!PyArg_ParseTuple(tuple, "sO!", &skipped, &PyList_Type, &list))
        return -1;
    count = PyList_Size(list);
    groups = PyMem_Malloc((size_t)(count + 1) * sizeof *groups);
    if (groups == NULL)
        return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < count; i++)
        groups[i] = (gid_t)PyLong_AsUnsignedLong(PyList_GetItem(list, i));
    if (PyErr_Occurred()) {
        PyMem_Free(groups);
        return -1;
    }
    step->kind = STEP_SETGROUPS;
    step->groups.count = (size_t)count;
    step->groups.list = groups;
    return 0;
}

static int
step_from_tuple(PyObject *tuple, struct step *step)
{
    PyObject *first = PyTuple_Check(tuple) ? PyTuple_GetItem(tuple, 0) : NULL;
    const char *name = first == NULL ? NULL : PyUnicode_AsUTF8AndSize(first, NULL), *skipped;

    if (name == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a step must be a tuple");
        return -1;
    }
    if (strcmp(name, "setgroups") == 0)
        return groups_from_list(tuple, step);
    if (strcmp(name, "setresgid") == 0 || strcmp(name, "setresuid") == 0) {
        unsigned int *ids = (unsigned int *)step->ids;
        step->kind = name[6] == 'g' ? STEP_SETRESGID : STEP_SETRESUID;
        return PyArg_ParseTuple(tuple, "sIII", &skipped, &ids[0], &ids[1], &ids[2]) ? 0 : -1;
    }
    if (strcmp(name, "capset") == 0) {
        unsigned long long sets[3];
        step->kind = STEP_CAPSET;
        if (!PyArg_ParseTuple(tuple, "sKKK", &skipped, &sets[0], &sets[1], &sets[2]))
            return -1;
        for (int i = 0; i < 3; i++)
            step->sets[i] = sets[i];
        return 0;
    }
    if (strcmp(name, "prctl") == 0) {
        unsigned long *call = step->call;
        step->kind = STEP_PRCTL;
        return PyArg_ParseTuple(tuple, "sk|kkkk", &skipped, &call[0], &call[1], &call[2], &call[3], &call[4]) ? 0 : -1;
    }
    PyErr_Format(PyExc_ValueError, "Unknown step: %s", name);
    return -1;
}

static struct plan *
plan_from_list(PyObject *list)
{
    size_t count = (size_t)PyList_Size(list);
    struct plan *plan = PyMem_Calloc(1, sizeof *plan + count * sizeof plan->steps[0]);

    if (plan == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (; plan->count < count; plan->count++)
        if (step_from_tuple(PyList_GetItem(list, (Py_ssize_t)plan->count), &plan->steps[plan->count]) < 0) {
            plan_free(plan);
            return NULL;
        }
    return plan;
}

/*
 * Telling it
 */

static PyObject *
ids_arguments(void *step_of_ids)
{
    const uid_t *ids = ((struct step *)step_of_ids)->ids;

    return Py_BuildValue("III", ids[0], ids[1], ids[2]);
}

static PyObject *
groups_arguments(void *step_of_groups)
{
    const struct step *step = step_of_groups;
    PyObject *list = PyList_New((Py_ssize_t)step->groups.count);

    for (size_t i = 0; list != NULL && i < step->groups.count; i++) {
        PyObject *group = PyLong_FromUnsignedLong(step->groups.list[i]);
        if (group == NULL || PyList_SetItem(list, (Py_ssize_t)i, group) < 0)
            Py_CLEAR(list);
    }
    return Py_BuildValue("(N)", list);
}

static int
audit_step(struct step *step)
{
    switch (step->kind) {
    case STEP_SETGROUPS:
        return audit("prctl.setgroups", groups_arguments, step);
    case STEP_SETRESGID:
        return audit("prctl.setresgid", ids_arguments, step);
    case STEP_SETRESUID:
        return audit("prctl.setresuid", ids_arguments, step);
    case STEP_CAPSET:
        return audit_capset(step->sets);
    case STEP_PRCTL:
        return audit_prctl((int)step->call[0], step->call + 1, NULL);
    }
    return 0;
}

/* All of it before the first step, so that a hook which refuses one refuses the whole. */
static int
audit_plan(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (audit_step(&plan->steps[i]) < 0)
            return -1;
    return 0;
}

PyDoc_STRVAR(run_plan_doc,
"_run_plan(steps, /)\n--\n\n"
"Carry out a list of steps in every thread, this one first.\n"
"\n"
"Returns a list of (tid, errno, number of the step) of threads that have failed; tid 0 is this thread, and the others\n"
"have not begun then. RuntimeError and OSError as in all_threads(), but before any step, when a thread cannot be reached.");

static PyObject *
run_plan(PyObject *Py_UNUSED(module), PyObject *steps)
{
    struct thread_failure failures[16];
    struct plan *plan;
    PyObject *list;
    int count;

    if (!PyList_Check(steps)) {
        PyErr_SetString(PyExc_TypeError, "steps must be a list");
        return NULL;
    }
    plan = plan_from_list(steps);
    if (plan == NULL)
        return NULL;
    count = audit_plan(plan) < 0 ? -1 : threads_run_held(plan_run, plan, failures, COUNT(failures));
    plan_free(plan);
    if (count < 0)
        return NULL;
    list = PyList_New(count);
    for (int i = 0; list != NULL && i < count; i++) {
        int error = failures[i].error;
        PyObject *item = Py_BuildValue("iii", (int)failures[i].tid, error & ((1 << ERRNO_BITS) - 1), error >> ERRNO_BITS);
        if (item == NULL || PyList_SetItem(list, i, item) < 0)
            Py_CLEAR(list);
    }
    return list;
}

PyMethodDef plan_methods[] = {
    {"_run_plan", run_plan, METH_O, run_plan_doc},
    {NULL, NULL, 0, NULL},
};
