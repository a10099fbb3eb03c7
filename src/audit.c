/*
 * Python's audit events (PEP 578): what a change is, told to those who watch before it is made.
 *
 * The arguments are made when somebody listens, and only then: without a hook an event costs one call.
 */
#include "prctlmodule.h"

#include <dlfcn.h>

/* The limited API has PySys_Audit() since 3.13 only, but every CPython since 3.8 exports it, and has to now. */
typedef int (*audit_function)(const char *event, const char *format, ...);

static _Atomic(audit_function) python_audit;

int
audit_exec(void)
{
    python_audit = __extension__(audit_function) dlsym(RTLD_DEFAULT, "PySys_Audit");
    if (python_audit != NULL)
        return 0;
    PyErr_SetString(PyExc_ImportError, "this Python has no PySys_Audit()");
    return -1;
}

int
audit(const char *event, PyObject *(*arguments)(void *), void *data)
{
    return python_audit(event, "O&", arguments, data);
}

struct call {
    int option;
    const unsigned long *arguments;
    PyObject *const *objects;
    int heard;
};

static PyObject *
call_argument(const struct call *call, int place)
{
    PyObject *object = call->objects == NULL ? NULL : call->objects[place];

    return object == NULL ? PyLong_FromUnsignedLong(call->arguments[place]) : Py_NewRef(object);
}

static PyObject *
call_arguments(void *data)
{
    struct call *call = data;

    call->heard = 1;
    return Py_BuildValue("iNNNN", call->option, call_argument(call, 0), call_argument(call, 1), call_argument(call, 2),
                         call_argument(call, 3));
}

int
audit_prctl(int option, const unsigned long arguments[4], PyObject *const objects[4])
{
    struct call call = {option, arguments, objects, 0};

    return audit("prctl.prctl", call_arguments, &call) < 0 ? -1 : call.heard;
}

static PyObject *
mask_arguments(void *data)
{
    const uint64_t *masks = data;

    return Py_BuildValue("KKK", (unsigned long long)masks[0], (unsigned long long)masks[1], (unsigned long long)masks[2]);
}

int
audit_capset(uint64_t masks[3])
{
    return audit("prctl.capset", mask_arguments, masks);
}
