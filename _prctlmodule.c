/*
 * The extension _prctl: a thin wrapper of prctl(2), and of what belongs to it in src/.
 *
 * Every option is a row of src/options.h. by_table() carries out what a row says; the few functions that no row can
 * describe follow it. The module definition closes the file.
 */
#include "src/prctlmodule.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The tables
 */

enum {
#define CAPABILITY(name, number, text) CAP_##name = number,
#include "src/constants.h"
};

/* seccomp(2) */
enum {
    MODE_STRICT = 1,
    MODE_FILTER = 2,
    SECCOMP_SET_MODE_FILTER = 1,
    SECCOMP_FILTER_FLAG_TSYNC = 1,
};

/* How one of arg2 to arg5 comes about. */
enum kind {
    NO_ARGUMENT,
    TRUTH,     /* 0 or 1, by the truth of an object */
    ONLY_TRUE, /* 1; anything false is ValueError */
    CHOICE,    /* a number n with bit n of mask */
    BIT_MASK,  /* bits of mask */
    UNSIGNED,  /* an unsigned long */
    UNSIGNED_INT,
    PROCESS_ID,
    SIGNAL_NUMBER,
    CAPABILITY_0_63,
    CONSTANT,   /* mask itself */
    RESULT,     /* a pointer to where the kernel writes the result */
    ANY_OBJECT, /* for a function that is not by_table */
};

struct parameter {
    enum kind kind;
    const char *name; /* NULL: not an argument of the Python function */
    unsigned long mask;
    const char *choices;
    int optional;
};

#define BIT(number) (1UL << (number))
#define TAKES(...) {__VA_ARGS__}
#define TAKES_NOTHING {{NO_ARGUMENT, NULL, 0, NULL, 0}}
#define FLAG(name) {TRUTH, #name, 0, NULL, 0}
#define TRUE_FLAG(name) {ONLY_TRUE, #name, 0, NULL, 1}
#define ONE_OF2(name, a, b) {CHOICE, #name, BIT(PR_##a) | BIT(PR_##b), #a " or " #b, 0}
#define ONE_OF3(name, a, b, c) {CHOICE, #name, BIT(PR_##a) | BIT(PR_##b) | BIT(PR_##c), #a ", " #b " or " #c, 0}
#define BITS(name, mask, choices) {BIT_MASK, #name, mask, choices, 0}
#define WORD(name) {UNSIGNED, #name, 0, NULL, 0}
#define WORD_OR_0(name) {UNSIGNED, #name, 0, NULL, 1}
#define UNSIGNED_32(name) {UNSIGNED_INT, #name, 0, NULL, 0}
#define PID(name) {PROCESS_ID, #name, 0, NULL, 0}
#define PID_OR_0(name) {PROCESS_ID, #name, 0, NULL, 1}
#define SIGNAL(name) {SIGNAL_NUMBER, #name, 0, NULL, 0}
#define CAPABILITY_NUMBER(name) {CAPABILITY_0_63, #name, 0, NULL, 0}
#define FIXED(number) {CONSTANT, NULL, number, NULL, 0}
#define OUT {RESULT, NULL, 0, NULL, 0}
#define OBJECT(name) {ANY_OBJECT, #name, 0, NULL, 0}
#define OPTIONAL_OBJECT(name) {ANY_OBJECT, #name, 0, NULL, 1}

enum result {
    NOTHING,
    RETURNS_NEW, /* what the change has come to, an int; all that follow read, and change nothing */
    RETURNS_BOOL,
    RETURNS_INT,
    RETURNS_UNSIGNED, /* a call that cannot fail: every value is a result */
    WRITES_INT,
    WRITES_BOOL, /* an int, too */
    WRITES_UNSIGNED,
    WRITES_ULONG,
    WRITES_COOKIE,  /* 64 bits */
    WRITES_ADDRESS, /* 64 bits by a 64-bit kernel, 32 by another, whatever the process is */
    WRITES_NAME,
};

enum scope { THREAD, EVERY_THREAD, PROCESS, ANY };

struct privilege {
    int error;
    int capability;
    const char *text;
};

#define NEEDS(capability, text) {EPERM, capability, text}
#define NEEDS_OR_EACCES(capability, text) {EACCES, capability, text}
#define NO_PRIVILEGE {0, -1, NULL}

#define SLOTS 4 /* arg2 to arg5 */

struct function {
    const char *name;
    int option;
    int is_operation;
    runner run;
    struct parameter takes[SLOTS];
    enum result result;
    struct privilege privilege;
    enum scope scope;
};

/* The runners here; those of memory.c are in the header. */
static PyObject *by_table(const struct function *, PyObject *, PyObject *const *);
static PyObject *set_name(const struct function *, PyObject *, PyObject *const *);
static PyObject *set_seccomp(const struct function *, PyObject *, PyObject *const *);
static PyObject *capbset_read(const struct function *, PyObject *, PyObject *const *);
static PyObject *set_syscall_user_dispatch(const struct function *, PyObject *, PyObject *const *);
static PyObject *timer_create_restore_ids(const struct function *, PyObject *, PyObject *const *);
static PyObject *set_ptracer(const struct function *, PyObject *, PyObject *const *);
static PyObject *get_ptracer(const struct function *, PyObject *, PyObject *const *);

static const struct function functions[] = {
#define OPTION(option, number, function, signature, arity, run, takes, result, privilege, scope, ...) \
    {#function, PR_##option, 0, run, takes, result, privilege, scope},
#define OPERATION(option, function, signature, arity, run, takes, result, privilege, scope, ...) \
    {#function, PR_##option, 1, run, takes, result, privilege, scope},
#include "src/options.h"
};

/* The place of each function in the table. */
enum {
#define OPTION(option, number, function, ...) INDEX_##function,
#define OPERATION(option, function, ...) INDEX_##function,
#include "src/options.h"
};

/*
 * The system call
 */

long
prctl_call(int option, const unsigned long a[SLOTS])
{
    return syscall(SYS_prctl, (long)option, a[0], a[1], a[2], a[3]);
}

/* A refusal names the missing privilege only when the caller lacks it: the same errno has other causes. */
PyObject *
refused(const struct function *function)
{
    int error = errno;
    const struct privilege *privilege = &function->privilege;
    int lacks = privilege->text != NULL && error == privilege->error && !has_effective(privilege->capability);

    return raise_errno(error, lacks ? privilege->text : NULL);
}

/*
 * From Python to C
 */

static int
signal_get(PyObject *object, const char *what, unsigned long *value)
{
    long number = 0;

    if (object != Py_None && signed_get(object, what, &number) < 0)
        return -1;
    if (number < 0 || number > SIGRTMAX) {
        PyErr_Format(PyExc_ValueError, "%s must be 0 to %d, not %ld", what, SIGRTMAX, number);
        return -1;
    }
    *value = (unsigned long)number;
    return 0;
}

/* What the kernel would cut to 32 bits, and take for another value. */
static int
int_get(const struct parameter *parameter, PyObject *object, unsigned long *value)
{
    long number;

    if (parameter->kind == UNSIGNED_INT) {
        if (unsigned_get(object, parameter->name, value) < 0)
            return -1;
    } else {
        if (signed_get(object, parameter->name, &number) < 0)
            return -1;
        if (number < 0) {
            PyErr_Format(PyExc_ValueError, "%s must be 0 or more, not %ld", parameter->name, number);
            return -1;
        }
        *value = (unsigned long)number;
    }
    if (*value > (parameter->kind == UNSIGNED_INT ? UINT_MAX : INT_MAX))
        return overflow(parameter->name, "32 bits"), -1;
    return 0;
}

static int
choice_get(const struct parameter *parameter, PyObject *object, unsigned long *value)
{
    long number;
    int known;

    if (signed_get(object, parameter->name, &number) < 0)
        return -1;
    *value = (unsigned long)number;
    if (parameter->kind == CHOICE)
        known = number >= 0 && number < (long)(CHAR_BIT * sizeof(long)) && (parameter->mask & BIT(number));
    else
        known = (*value & ~parameter->mask) == 0;
    if (!known)
        PyErr_Format(PyExc_ValueError, "%s must be %s, not %ld", parameter->name, parameter->choices, number);
    return known ? 0 : -1;
}

/* One argument of the kernel's; 0, or -1 with an exception. */
static int
convert(const struct parameter *parameter, PyObject *object, unsigned long *value)
{
    int truth;

    if (object == NULL && parameter->kind != ONLY_TRUE && parameter->kind != CONSTANT) {
        *value = 0; /* the default of every optional argument but no_new_privs' flag */
        return 0;
    }
    switch (parameter->kind) {
    case TRUTH:
    case ONLY_TRUE:
        truth = object == NULL ? 1 : PyObject_IsTrue(object);
        if (truth < 0)
            return -1;
        if (!truth && parameter->kind == ONLY_TRUE) {
            PyErr_Format(PyExc_ValueError, "%s must be true: it cannot be unset", parameter->name);
            return -1;
        }
        *value = (unsigned long)truth;
        return 0;
    case CHOICE:
    case BIT_MASK:
        return choice_get(parameter, object, value);
    case UNSIGNED:
        return unsigned_get(object, parameter->name, value);
    case UNSIGNED_INT:
    case PROCESS_ID:
        return int_get(parameter, object, value);
    case SIGNAL_NUMBER:
        return signal_get(object, parameter->name, value);
    case CAPABILITY_0_63: {
        int number = capability_number(object);
        *value = (unsigned long)number;
        return number < 0 ? -1 : 0;
    }
    case CONSTANT:
        *value = parameter->mask;
        return 0;
    case NO_ARGUMENT:
    case RESULT:
    case ANY_OBJECT:
        break;
    }
    return 0;
}

/*
 * The functions
 */

/* What the kernel wrote, at the width of the row: the rest of the zeroed word is as it was, or more than was asked for. */
static PyObject *
written(enum result result, const uint64_t word[2])
{
    char name[17] = {0};
    unsigned long number_long;
    int number;

    memcpy(&number, word, sizeof number);
    memcpy(&number_long, word, sizeof number_long);
    memcpy(name, word, sizeof name - 1);
    switch (result) {
    case WRITES_INT:
        return PyLong_FromLong(number);
    case WRITES_BOOL:
        return PyBool_FromLong(number);
    case WRITES_UNSIGNED:
        return PyLong_FromUnsignedLong((unsigned)number);
    case WRITES_ULONG:
        return PyLong_FromUnsignedLong(number_long);
    case WRITES_COOKIE:
        return PyLong_FromUnsignedLongLong(word[0]);
    case WRITES_ADDRESS:
        /* One half of it is 0 where an address has 32 bits; which one depends on kernel and byte order. */
        return PyLong_FromUnsignedLongLong(sizeof(void *) == 8 ? word[0] : (word[0] >> 32 | (uint32_t)word[0]));
    default:
        return PyUnicode_DecodeFSDefault(name);
    }
}

struct call {
    int option;
    const unsigned long *arguments;
    pid_t caller;
};

static int
call_in_thread(void *argument)
{
    const struct call *call = argument;
    const unsigned long *a = call->arguments;
    int error = prctl_call(call->option, a) == -1 ? errno : 0;

    /* A thread that has dropped it already, and may no longer, is as it shall be. */
    if (error == EPERM && call->option == PR_CAPBSET_DROP && (pid_t)syscall(SYS_gettid) != call->caller &&
        prctl_call(PR_CAPBSET_READ, a) == 0)
        return 0;
    return error;
}

/* Returns what threads_run() does. */
static int
call_in_threads(int option, const unsigned long a[SLOTS])
{
    struct call call = {option, a, (pid_t)syscall(SYS_gettid)};

    return threads_run(call_in_thread, &call);
}

static PyObject *
by_table(const struct function *function, PyObject *Py_UNUSED(module), PyObject *const *arguments)
{
    unsigned long a[SLOTS] = {0};
    uint64_t word[2] = {0};
    long result;

    for (int i = 0; i < SLOTS && function->takes[i].kind != NO_ARGUMENT; i++) {
        const struct parameter *parameter = &function->takes[i];
        if (parameter->kind == RESULT)
            a[i] = (unsigned long)word;
        else if (convert(parameter, parameter->name == NULL ? NULL : *arguments++, &a[i]) < 0)
            return NULL;
    }
    if (function->result <= RETURNS_NEW && audit_prctl(function->option, a, NULL) < 0)
        return NULL;
    /* The GIL stays: none of these calls waits for anything. */
    if (function->scope == EVERY_THREAD && in_all_threads()) {
        int error = call_in_threads(function->option, a);
        if (error < 0)
            return NULL;
        errno = error;
        result = error == 0 ? 0 : -1;
    } else {
        result = prctl_call(function->option, a);
    }
    if (result == -1 && function->result != RETURNS_UNSIGNED)
        return refused(function);

    switch (function->result) {
    case NOTHING:
        Py_RETURN_NONE;
    case RETURNS_BOOL:
        return PyBool_FromLong(result);
    case RETURNS_NEW:
    case RETURNS_INT:
        return PyLong_FromLong(result);
    case RETURNS_UNSIGNED:
        /* syscall(2) has taken the last 4095 values for errors. */
        return PyLong_FromUnsignedLong(result == -1 ? (unsigned long)-errno : (unsigned long)result);
    default:
        return written(function->result, word);
    }
}

static PyObject *
set_name(const struct function *function, PyObject *Py_UNUSED(module), PyObject *const *arguments)
{
    char name[16] = {0};
    struct text text;

    if (text_get(arguments[0], "name", sizeof name - 1, &text) < 0)
        return NULL;
    memcpy(name, text.bytes, text.length);
    text_release(&text);
    if (audit_prctl(PR_SET_NAME, (unsigned long[SLOTS]){0}, (PyObject *[SLOTS]){arguments[0]}) < 0)
        return NULL;
    if (prctl_call(PR_SET_NAME, (unsigned long[SLOTS]){(unsigned long)name}) < 0)
        return refused(function);
    Py_RETURN_NONE;
}

struct securebits_change {
    unsigned long set, clear;
};

static unsigned long
changed_securebits(long bits, const struct securebits_change *change)
{
    return ((unsigned long)bits | change->set) & ~change->clear;
}

/* Of what each thread has. */
static int
change_securebits(void *argument)
{
    const struct securebits_change *change = argument;
    long bits = prctl_call(PR_GET_SECUREBITS, (unsigned long[SLOTS]){0});

    if (bits < 0)
        return errno;
    return prctl_call(PR_SET_SECUREBITS, (unsigned long[SLOTS]){changed_securebits(bits, change)}) < 0 ? errno : 0;
}

/* As prctl(2) with what this thread has. */
static PyObject *
securebits_arguments(void *argument)
{
    long bits = prctl_call(PR_GET_SECUREBITS, (unsigned long[SLOTS]){0});

    if (bits < 0)
        return raise_errno(errno, NULL);
    return Py_BuildValue("ikiii", PR_SET_SECUREBITS, changed_securebits(bits, argument), 0, 0, 0);
}

PyDoc_STRVAR(securebits_change_doc,
"_securebits_change(bits, value, /)\n--\n\nSet or clear some securebits, in every thread inside all_threads().");

static PyObject *
securebits_change(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct securebits_change change = {0};
    unsigned long bits;
    int value, error;

    if (!PyArg_ParseTuple(args, "kp:_securebits_change", &bits, &value))
        return NULL;
    if (value)
        change.set = bits;
    else
        change.clear = bits;
    if (audit("prctl.prctl", securebits_arguments, &change) < 0)
        return NULL;
    error = threads_run(change_securebits, &change);
    if (error > 0) {
        errno = error;
        return refused(&functions[INDEX_set_securebits]);
    }
    return error < 0 ? NULL : Py_NewRef(Py_None);
}

/* The kernel's struct sock_fprog. */
struct program {
    unsigned short length;
    void *instructions;
};

static PyObject *
set_seccomp_filter(const struct function *function, PyObject *bytes)
{
    enum { INSTRUCTION = 8, MOST = 4096 };
    struct program program;
    Py_buffer buffer;
    long result;

    if (bytes == NULL || bytes == Py_None) {
        PyErr_SetString(PyExc_ValueError, "SECCOMP_MODE_FILTER needs a program");
        return NULL;
    }
    if (!PyObject_CheckBuffer(bytes))
        return PyErr_Format(PyExc_TypeError, "program must be bytes-like, not %R", (PyObject *)Py_TYPE(bytes));
    if (PyObject_GetBuffer(bytes, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    if (buffer.len == 0 || buffer.len % INSTRUCTION || buffer.len > MOST * INSTRUCTION) {
        PyErr_Format(PyExc_ValueError, "program must be 1 to %d instructions of %d bytes, not %zd bytes", MOST, INSTRUCTION,
                     buffer.len);
        PyBuffer_Release(&buffer);
        return NULL;
    }
    if (audit_prctl(PR_SET_SECCOMP, (unsigned long[SLOTS]){MODE_FILTER}, (PyObject *[SLOTS]){NULL, bytes}) < 0) {
        PyBuffer_Release(&buffer);
        return NULL;
    }
    program.length = (unsigned short)(buffer.len / INSTRUCTION);
    program.instructions = buffer.buf;
    if (in_all_threads())
        result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    else
        result = prctl_call(PR_SET_SECCOMP, (unsigned long[SLOTS]){MODE_FILTER, (unsigned long)&program});
    if (result < 0)
        refused(function);
    PyBuffer_Release(&buffer);
    if (result > 0) /* no thread has the filter then */
        PyErr_Format(PyExc_RuntimeError, "thread %ld has a filter of its own: the kernel cannot give it this one", result);
    return result == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
set_seccomp(const struct function *function, PyObject *Py_UNUSED(module), PyObject *const *arguments)
{
    long mode;

    if (signed_get(arguments[0], "mode", &mode) < 0)
        return NULL;
    if (mode == MODE_FILTER)
        return set_seccomp_filter(function, arguments[1]);
    if (mode != MODE_STRICT) {
        PyErr_Format(PyExc_ValueError, "mode must be SECCOMP_MODE_STRICT or SECCOMP_MODE_FILTER, not %ld", mode);
        return NULL;
    }
    if (arguments[1] != NULL && arguments[1] != Py_None) {
        PyErr_SetString(PyExc_ValueError, "SECCOMP_MODE_STRICT takes no program");
        return NULL;
    }
    if (in_all_threads()) {
        PyErr_SetString(PyExc_ValueError, "SECCOMP_MODE_STRICT cannot be set for all threads");
        return NULL;
    }
    if (audit_prctl(PR_SET_SECCOMP, (unsigned long[SLOTS]){MODE_STRICT}, NULL) < 0)
        return NULL;
    if (prctl_call(PR_SET_SECCOMP, (unsigned long[SLOTS]){MODE_STRICT}) < 0)
        return refused(function);
    Py_RETURN_NONE;
}

static PyObject *
capbset_read(const struct function *function, PyObject *Py_UNUSED(module), PyObject *const *arguments)
{
    int number = capability_number(arguments[0]);
    long result;

    if (number < 0)
        return NULL;
    result = prctl_call(PR_CAPBSET_READ, (unsigned long[SLOTS]){(unsigned long)number});
    if (result < 0 && errno != EINVAL) /* EINVAL: not on this kernel */
        return refused(function);
    return PyBool_FromLong(result == 1);
}

/* The selector that the kernel reads at each of this thread's system calls. One that a thread still has when it ends is never
 * given back: the thread's last system calls read it, too. */
static _Thread_local Py_buffer selector;

static int
selector_get(PyObject *object, Py_buffer *buffer)
{
    if (writable_get(object, "selector", buffer) < 0)
        return -1;
    if (buffer->len < 1)
        PyErr_SetString(PyExc_ValueError, "selector must have at least one byte");
    else if (*(unsigned char *)buffer->buf > 1)
        PyErr_SetString(PyExc_ValueError, "selector must hold SYSCALL_DISPATCH_FILTER_ALLOW or _BLOCK: others kill");
    else
        return 0;
    PyBuffer_Release(buffer);
    return -1;
}

static PyObject *
set_syscall_user_dispatch(const struct function *function, PyObject *Py_UNUSED(module), PyObject *const *arguments)
{
    unsigned long a[SLOTS] = {0};
    Py_buffer buffer = {0};

    for (int i = 0; i < 3; i++)
        if (convert(&function->takes[i], arguments[i], &a[i]) < 0)
            return NULL;
    if (arguments[3] != NULL && arguments[3] != Py_None) {
        if (selector_get(arguments[3], &buffer) < 0)
            return NULL;
        a[3] = (unsigned long)buffer.buf;
    } else if (a[0] == PR_SYS_DISPATCH_EXCLUSIVE_ON && a[2] == 0) {
        return PyErr_Format(PyExc_ValueError, "without a selector or code to let through, the next system call would kill");
    }
    if (audit_prctl(PR_SET_SYSCALL_USER_DISPATCH, a, (PyObject *[SLOTS]){NULL, NULL, NULL, buffer.obj}) < 0)
        goto error;
    if (prctl_call(PR_SET_SYSCALL_USER_DISPATCH, a) < 0) {
        refused(function);
        goto error;
    }
    if (selector.obj != NULL)
        PyBuffer_Release(&selector);
    selector = buffer;
    Py_RETURN_NONE;

error:
    if (buffer.obj != NULL)
        PyBuffer_Release(&buffer);
    return NULL;
}

static PyObject *
timer_create_restore_ids(const struct function *function, PyObject *Py_UNUSED(module), PyObject *const *arguments)
{
    unsigned long a[SLOTS] = {0};
    long result;

    if (convert(&function->takes[0], arguments[0], &a[0]) < 0)
        return NULL;
    if (a[0] != PR_TIMER_CREATE_RESTORE_IDS_GET && audit_prctl(PR_TIMER_CREATE_RESTORE_IDS, a, NULL) < 0)
        return NULL;
    result = prctl_call(PR_TIMER_CREATE_RESTORE_IDS, a);
    if (result < 0)
        return refused(function);
    return a[0] == PR_TIMER_CREATE_RESTORE_IDS_GET ? PyLong_FromLong(result) : Py_NewRef(Py_None);
}

/* The kernel cannot be asked. A forked child has no tracer of its own: hence the pid of who has set it. */
static struct {
    pid_t owner;
    unsigned long pid;
} ptracer;

/* A pid that fits 32 bits, or PR_SET_PTRACER_ANY as ULONG_MAX or -1. Returns 0, or -1 with an exception. */
static int
ptracer_get(PyObject *object, unsigned long *value)
{
    PyObject *integer = integer_get(object, "pid");
    int overflows = 0;
    long pid;

    if (integer == NULL)
        return -1;
    pid = PyLong_AsLongAndOverflow(integer, &overflows);
    if (overflows > 0) {
        *value = PyLong_AsUnsignedLong(integer);
        overflows = PyErr_Occurred() || *value != ULONG_MAX;
        PyErr_Clear();
        pid = -1;
    }
    Py_DECREF(integer);
    if (pid == -1 && PyErr_Occurred())
        return -1;
    if (overflows > 0 || pid > INT_MAX)
        return overflow("pid", "32 bits"), -1;
    if (overflows < 0 || pid < -1) {
        PyErr_SetString(PyExc_ValueError, "pid must be a process, 0 or SET_PTRACER_ANY");
        return -1;
    }
    *value = (unsigned long)pid;
    return 0;
}

static PyObject *
set_ptracer(const struct function *function, PyObject *Py_UNUSED(module), PyObject *const *arguments)
{
    unsigned long value;

    if (ptracer_get(arguments[0], &value) < 0)
        return NULL;
    if (audit_prctl(PR_SET_PTRACER, (unsigned long[SLOTS]){value}, NULL) < 0)
        return NULL;
    if (prctl_call(PR_SET_PTRACER, (unsigned long[SLOTS]){value}) < 0)
        return refused(function);
    process_lock();
    ptracer.owner = getpid();
    ptracer.pid = value;
    process_unlock();
    Py_RETURN_NONE;
}

static PyObject *
get_ptracer(const struct function *Py_UNUSED(function), PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(arguments))
{
    unsigned long pid;

    process_lock();
    pid = ptracer.owner == getpid() ? ptracer.pid : (unsigned long)getppid();
    process_unlock();
    return PyLong_FromUnsignedLong(pid);
}

/*
 * From CPython's calling conventions to a row
 */

/* How many arguments a function has, and how many it must have. */
static int
count_parameters(const struct function *function, int *required)
{
    int count = 0;

    *required = 0;
    for (int i = 0; i < SLOTS; i++) {
        const struct parameter *parameter = &function->takes[i];
        if (parameter->name == NULL)
            continue;
        count++;
        if (!parameter->optional)
            *required = count;
    }
    return count;
}

static const struct parameter *
parameter_at(const struct function *function, int index)
{
    const struct parameter *parameter = function->takes;

    for (;; parameter++)
        if (parameter->name != NULL && index-- == 0)
            return parameter;
}

static int
bind_keyword(const struct function *function, int count, PyObject *keyword, PyObject *value, PyObject **bound)
{
    for (int i = 0; i < count; i++) {
        if (PyUnicode_CompareWithASCIIString(keyword, parameter_at(function, i)->name) != 0)
            continue;
        if (bound[i] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", function->name, keyword);
            return -1;
        }
        bound[i] = value;
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function->name, keyword);
    return -1;
}

static PyObject *
run_several(const struct function *function, PyObject *module, PyObject *const *arguments, Py_ssize_t given, PyObject *keywords)
{
    PyObject *bound[SLOTS] = {NULL};
    Py_ssize_t named = keywords == NULL ? 0 : PyTuple_Size(keywords);
    int required, count = count_parameters(function, &required);

    if (given > count)
        return PyErr_Format(PyExc_TypeError, "%s() takes at most %d arguments (%zd given)", function->name, count, given);
    if (named > 0 && count == 1)
        return PyErr_Format(PyExc_TypeError, "%s() takes no keyword arguments", function->name);
    for (Py_ssize_t i = 0; i < given; i++)
        bound[i] = arguments[i];
    for (Py_ssize_t i = 0; i < named; i++)
        if (bind_keyword(function, count, PyTuple_GetItem(keywords, i), arguments[given + i], bound) < 0)
            return NULL;
    for (int i = 0; i < required; i++)
        if (bound[i] == NULL)
            return PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'", function->name,
                                parameter_at(function, i)->name);
    return function->run(function, module, bound);
}

#define ROW(name) &functions[INDEX_##name]
#define CALL_NONE(name)                                                                                     \
    static PyObject *call_##name(PyObject *module, PyObject *Py_UNUSED(none))                               \
    {                                                                                                       \
        return functions[INDEX_##name].run(ROW(name), module, NULL);                                        \
    }
#define CALL_ONE(name)                                                                                      \
    static PyObject *call_##name(PyObject *module, PyObject *argument)                                      \
    {                                                                                                       \
        return functions[INDEX_##name].run(ROW(name), module, &argument);                                   \
    }
#define CALL_SEVERAL(name)                                                                                  \
    static PyObject *call_##name(PyObject *module, PyObject *const *arguments, Py_ssize_t given, PyObject *keywords) \
    {                                                                                                       \
        return run_several(ROW(name), module, arguments, given, keywords);                                  \
    }
#define OPTION(option, number, name, signature, arity, ...) CALL_##arity(name)
#define OPERATION(option, name, signature, arity, ...) CALL_##arity(name)
#include "src/options.h"

/*
 * The door to what is not in the table
 */

/* An int as it is, or the address of a buffer. The kernel may write to any buffer: one that is read-only is lent as a copy,
 * and that the kernel has written to it is an error, not a secret. */
struct door {
    unsigned long value;
    Py_buffer buffer;
    void *copy;
};

static int
door_open(PyObject *object, const char *what, struct door *door)
{
    PyObject *integer;
    int overflows = 0;

    if (PyObject_CheckBuffer(object)) {
        if (PyObject_GetBuffer(object, &door->buffer, PyBUF_WRITABLE) == 0) {
            door->value = (unsigned long)door->buffer.buf;
            return 0;
        }
        PyErr_Clear();
        if (PyObject_GetBuffer(object, &door->buffer, PyBUF_SIMPLE) < 0)
            return -1;
        door->copy = PyMem_Malloc((size_t)door->buffer.len + 1);
        if (door->copy == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memcpy(door->copy, door->buffer.buf, (size_t)door->buffer.len);
        ((char *)door->copy)[door->buffer.len] = '\0'; /* as behind every bytes */
        door->value = (unsigned long)door->copy;
        return 0;
    }
    if (!PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be an integer or a buffer, not %R", what, (PyObject *)Py_TYPE(object));
        return -1;
    }
    integer = integer_get(object, what);
    if (integer == NULL)
        return -1;
    door->value = (unsigned long)PyLong_AsLongAndOverflow(integer, &overflows);
    if (overflows > 0)
        door->value = PyLong_AsUnsignedLong(integer);
    Py_DECREF(integer);
    if (overflows < 0 || PyErr_Occurred()) {
        overflow(what, "an unsigned long");
        return -1;
    }
    return 0;
}

/* Returns 0, or -1 with an exception when the kernel wrote to a read-only buffer. */
static int
door_close(struct door *door)
{
    int differs = door->copy != NULL && memcmp(door->copy, door->buffer.buf, (size_t)door->buffer.len) != 0;

    PyMem_Free(door->copy);
    if (door->buffer.obj != NULL)
        PyBuffer_Release(&door->buffer);
    if (differs)
        PyErr_SetString(PyExc_TypeError, "the kernel writes to this buffer: it must be writable");
    return differs ? -1 : 0;
}

/* Whether it is an operation that all_threads() carries out in every thread. */
static int
is_for_every_thread(int option, const unsigned long a[SLOTS])
{
    for (size_t i = 0; i < COUNT(functions); i++)
        if (functions[i].option == option && functions[i].is_operation && functions[i].scope == EVERY_THREAD &&
            functions[i].takes[0].kind == CONSTANT && functions[i].takes[0].mask == a[0])
            return 1;
    return 0;
}

static PyObject *
call_raw(int option, PyObject *const *arguments)
{
    static const char *const names[SLOTS] = {"arg2", "arg3", "arg4", "arg5"};
    struct door doors[SLOTS] = {{0}};
    PyObject *objects[SLOTS];
    unsigned long a[SLOTS];
    long result = -1;
    int error = 0, failed = 0;

    for (int i = 0; i < SLOTS && !failed; i++) {
        if (arguments[i] != NULL && door_open(arguments[i], names[i], &doors[i]) < 0)
            failed = 1;
        a[i] = doors[i].value;
        objects[i] = doors[i].buffer.obj;
    }
    if (!failed && audit_prctl(option, a, objects) < 0)
        failed = 1;
    if (!failed && in_all_threads() && is_for_every_thread(option, a)) {
        error = call_in_threads(option, a);
        failed = error < 0;
        result = error == 0 ? 0 : -1;
    } else if (!failed) {
        result = prctl_call(option, a);
        error = errno;
    }
    for (int i = 0; i < SLOTS; i++)
        if (door_close(&doors[i]) < 0)
            failed = 1;
    if (failed)
        return NULL;
    return result == -1 ? raise_errno(error, NULL) : PyLong_FromLong(result);
}

/* The option of the table with this number. An operation of a family is none, but for python-prctl's form of PR_MCE_KILL. */
static const struct function *
find_function(int option, int given)
{
    for (size_t i = 0; i < COUNT(functions); i++)
        if (functions[i].option == option &&
            (!functions[i].is_operation || (option == PR_MCE_KILL && given == 1)))
            return &functions[i];
    return NULL;
}

static int
is_zero(PyObject *object)
{
    return PyLong_Check(object) && PyLong_AsLong(object) == 0 && !PyErr_Occurred();
}

/* A missing argument is 0, as for python-prctl; one too many may be 0, as C programs write it; and a 0 where the function takes
 * an object if any is none. */
static PyObject *
call_as_function(const struct function *function, PyObject *module, PyObject **arguments, PyObject *zero)
{
    int required, count = count_parameters(function, &required);

    for (int i = 0; i < SLOTS; i++) {
        if (arguments[i] == NULL)
            arguments[i] = zero;
        if (i >= required && i < count && parameter_at(function, i)->kind == ANY_OBJECT && is_zero(arguments[i]))
            arguments[i] = Py_None;
        if (i >= count && !is_zero(arguments[i])) {
            PyErr_Clear();
            return PyErr_Format(PyExc_TypeError, "%s() takes at most %d arguments", function->name, count);
        }
    }
    return run_several(function, module, arguments, count, NULL);
}

PyDoc_STRVAR(prctl_doc,
"prctl(option, arg2=0, arg3=0, arg4=0, arg5=0)\n--\n\n"
"Call prctl(2) by the number of the option.\n"
"\n"
"An *option* of this library's table does exactly what its function does:\n"
"``prctl(PR_GET_NAME)`` is a str. Any other number goes to the kernel as it stands,\n"
"and so do the options whose arg2 is an operation (PR_SET_MM, PR_CAP_AMBIENT,\n"
"PR_SCHED_CORE, PR_FUTEX_HASH, PR_RSEQ_SLICE_EXTENSION, PR_SET_VMA, and PR_MCE_KILL\n"
"with more than one argument): the arguments are then ints, or buffers for pointers,\n"
"and the result is the kernel's, an int. A buffer must be writable where the kernel\n"
"writes (TypeError otherwise). An int is not checked: as a pointer it can destroy\n"
"the process.\n"
"\n"
"OverflowError for an option beyond 32 bits and an argument beyond an unsigned long;\n"
"OSError when the kernel refuses.\n"
"\n"
"Scope: the option's. See prctl(2).");

static PyObject *
call_prctl(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"option", "arg2", "arg3", "arg4", "arg5", NULL};
    PyObject *object, *zero, *result, *arguments[SLOTS] = {NULL};
    const struct function *function;
    long long option;
    int given = SLOTS;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OOOO:prctl", names, &object, &arguments[0], &arguments[1],
                                     &arguments[2], &arguments[3]))
        return NULL;
    object = integer_get(object, "option");
    if (object == NULL)
        return NULL;
    option = PyLong_AsLongLong(object);
    Py_DECREF(object);
    if (option == -1 && PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_OverflowError))
        return NULL;
    if (PyErr_Occurred() || option < INT_MIN || option > UINT_MAX)
        return overflow("option", "32 bits"), NULL;

    while (given > 0 && arguments[given - 1] == NULL)
        given--;
    zero = PyLong_FromLong(0);
    if (zero == NULL)
        return NULL;
    function = find_function((int)option, given);
    result = function == NULL ? call_raw((int)option, arguments) : call_as_function(function, module, arguments, zero);
    Py_DECREF(zero);
    return result;
}

/*
 * The module
 */

#define FLAGS_NONE METH_NOARGS
#define FLAGS_ONE METH_O
#define FLAGS_SEVERAL METH_FASTCALL | METH_KEYWORDS
#define SCOPE_THREAD "Scope: the calling thread."
#define SCOPE_EVERY_THREAD "Scope: the calling thread; every thread inside all_threads()."
#define SCOPE_PROCESS "Scope: the whole process."
#define SCOPE_ANY "Scope: any process."
#define DOC(option, name, signature, scope, since, text) \
    #name signature "\n--\n\n" text "\n\n" SCOPE_##scope " Since Linux " since ".\nSee PR_" #option " in prctl(2)."
#define METHOD(option, name, signature, arity, scope, since, text) \
    {#name, (PyCFunction)(void (*)(void))call_##name, FLAGS_##arity, DOC(option, name, signature, scope, since, text)},

static PyMethodDef option_methods[] = {
#define OPTION(option, number, name, signature, arity, run, takes, result, privilege, scope, since, text) \
    METHOD(option, name, signature, arity, scope, since, text)
#define OPERATION(option, name, signature, arity, run, takes, result, privilege, scope, since, text) \
    METHOD(option, name, signature, arity, scope, since, text)
#include "src/options.h"
    {NULL, NULL, 0, NULL},
};

static PyMethodDef other_methods[] = {
    {"_securebits_change", securebits_change, METH_VARARGS, securebits_change_doc},
    {"prctl", (PyCFunction)(void (*)(void))call_prctl, METH_VARARGS | METH_KEYWORDS, prctl_doc},
    {NULL, NULL, 0, NULL},
};

/* Names in place: a pointer each would be one more thing for the dynamic linker to relocate at every import. */
static const struct {
    char name[40];
    int number;
} options[] = {
#define OPTION(name, number, ...) {"PR_" #name, number},
#define FAMILY(name, number) {"PR_" #name, number},
#define FORMER(name, number) {"PR_" #name, number},
#include "src/options.h"
};

static const struct {
    char name[40];
    unsigned long long number;
} constants[] = {
#define ARGUMENT(name, number) {"PR_" #name, number},
#define CONSTANT(name, number) {#name, number},
#define CAPABILITY(name, number, text) {"CAP_" #name, number},
#include "src/constants.h"
};

/*
 * Functions and constants are made when they are first asked for: to make hundreds of them was most of what an import took, in
 * time and in memory. __getattr__() is for those of _prctl; prctl.py asks _public() for those that it has itself.
 */

enum { PUBLIC_TABLES = 2 };

static PyMethodDef *const tables[] = {
    option_methods, proctitle_methods, sets_methods, other_methods, capability_methods, threads_methods, plan_methods,
};

static PyMethodDef *
find_method(const char *name, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (PyMethodDef *method = tables[i]; method->ml_name != NULL; method++)
            if (strcmp(method->ml_name, name) == 0)
                return method;
    return NULL;
}

/* The name of a constant in prctl: without PR_. NULL for those that would pass for capabilities then. */
static const char *
public_name(const char *name)
{
    if (strncmp(name, "PR_CAP_AMBIENT_", 15) == 0)
        return NULL;
    return strncmp(name, "PR_", 3) == 0 ? name + 3 : name;
}

/* Raises unless that has been done. Returns NULL. */
static PyObject *
no_attribute(const char *module, PyObject *name)
{
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_AttributeError, "module '%s' has no attribute %R", module, name);
    return NULL;
}

/* A name as C has it, or NULL, perhaps with an exception: no name of the tables has a NUL in it, or what UTF-8 cannot say. */
static const char *
name_get(PyObject *name)
{
    Py_ssize_t length;
    const char *utf8 = PyUnicode_AsUTF8AndSize(name, &length);

    if (utf8 != NULL && strlen(utf8) == (size_t)length)
        return utf8;
    if (utf8 == NULL && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
        PyErr_Clear();
    return NULL;
}

static PyObject *
make_function(PyObject *module, PyMethodDef *method)
{
    PyObject *owner = PyModule_GetNameObject(module);
    PyObject *function = owner == NULL ? NULL : PyCFunction_NewEx(method, module, owner);

    Py_XDECREF(owner);
    return function;
}

/* A new object; NULL, perhaps without an exception, when there is none of the name. */
static PyObject *
make(PyObject *module, const char *name)
{
    PyMethodDef *method = find_method(name, COUNT(tables));

    if (method != NULL)
        return make_function(module, method);
    if (strcmp(name, "CAP_LAST_CAP") == 0)
        return PyLong_FromLong(capability_last());
    for (size_t i = 0; i < COUNT(options); i++)
        if (strcmp(options[i].name, name) == 0)
            return PyLong_FromLong(options[i].number);
    for (size_t i = 0; i < COUNT(constants); i++)
        if (strcmp(constants[i].name, name) == 0)
            return PyLong_FromUnsignedLongLong(constants[i].number);
    return NULL;
}

PyDoc_STRVAR(getattr_doc, "__getattr__(name, /)\n--\n\nMake what has not been asked for before, and keep it.");

static PyObject *
module_getattr(PyObject *module, PyObject *name)
{
    const char *c_name = name_get(name);
    PyObject *value = c_name == NULL ? NULL : make(module, c_name);

    if (value == NULL)
        return no_attribute("_prctl", name);
    if (PyDict_SetItem(PyModule_GetDict(module), name, value) < 0)
        Py_CLEAR(value);
    return value;
}

PyDoc_STRVAR(public_doc, "_public(name, /)\n--\n\nReturn what prctl has under this name.");

static PyObject *
module_public(PyObject *module, PyObject *name)
{
    const char *c_name = name_get(name), *public;

    if (c_name == NULL)
        return no_attribute("prctl", name);
    if (find_method(c_name, PUBLIC_TABLES) != NULL || strcmp(c_name, "CAP_LAST_CAP") == 0)
        return PyObject_GetAttr(module, name);
    for (size_t i = 0; i < COUNT(constants); i++)
        if ((public = public_name(constants[i].name)) != NULL && strcmp(public, c_name) == 0)
            return PyLong_FromUnsignedLongLong(constants[i].number);
    return no_attribute("prctl", name);
}

/* Returns 0, or -1 with an exception. */
static int
add_name(PyObject *names, const char *name)
{
    PyObject *text = PyUnicode_FromString(name);
    int result = text == NULL ? -1 : PyDict_SetItem(names, text, Py_None);

    Py_XDECREF(text);
    return result;
}

/* To the keys of a dict, in the order of the tables. */
static int
add_names(PyObject *names, int only_public)
{
    for (size_t i = 0; i < (only_public ? (size_t)PUBLIC_TABLES : COUNT(tables)); i++)
        for (PyMethodDef *method = tables[i]; method->ml_name != NULL; method++)
            if (add_name(names, method->ml_name) < 0)
                return -1;
    for (size_t i = 0; !only_public && i < COUNT(options); i++)
        if (add_name(names, options[i].name) < 0)
            return -1;
    for (size_t i = 0; i < COUNT(constants); i++) {
        const char *name = only_public ? public_name(constants[i].name) : constants[i].name;
        if (name != NULL && add_name(names, name) < 0)
            return -1;
    }
    return add_name(names, "CAP_LAST_CAP");
}

/* others is a dict of further names, or NULL. */
static PyObject *
list_names(int only_public, PyObject *others)
{
    PyObject *names = PyDict_New(), *list = NULL;

    if (names != NULL && add_names(names, only_public) == 0 && (others == NULL || PyDict_Merge(names, others, 0) == 0))
        list = PyDict_Keys(names);
    Py_XDECREF(names);
    return list;
}

PyDoc_STRVAR(dir_doc, "__dir__()\n--\n\nReturn all names, whether made already or not; options before arguments.");

static PyObject *
module_dir(PyObject *module, PyObject *Py_UNUSED(none))
{
    return list_names(0, PyModule_GetDict(module));
}

PyDoc_STRVAR(public_names_doc, "_public_names()\n--\n\nReturn the names that _public() knows.");

static PyObject *
module_public_names(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    return list_names(1, NULL);
}

static PyMethodDef module_methods[] = {
    {"__getattr__", module_getattr, METH_O, getattr_doc},
    {"__dir__", module_dir, METH_NOARGS, dir_doc},
    {"_public", module_public, METH_O, public_doc},
    {"_public_names", module_public_names, METH_NOARGS, public_names_doc},
    {NULL, NULL, 0, NULL},
};

static int
prctl_exec(PyObject *module)
{
    return audit_exec() < 0 || sets_exec(module) < 0 ? -1 : PyModule_AddStringConstant(module, "__version__", PRCTL_VERSION);
}

PyDoc_STRVAR(module_doc, "prctl(2), the capability sets and the process title: what the module prctl is built on.");

/* Slots that a header for the limited API of 3.11 does not know; the interpreter of 3.12 does. */
#ifndef Py_mod_multiple_interpreters
#define Py_mod_multiple_interpreters 3
#endif
#ifndef Py_MOD_PER_INTERPRETER_GIL_SUPPORTED
#define Py_MOD_PER_INTERPRETER_GIL_SUPPORTED ((void *)2)
#endif

static PyModuleDef_Slot slots_3_11[] = {
    {Py_mod_exec, __extension__(void *) prctl_exec},
    {0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, __extension__(void *) prctl_exec},
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition_3_11 = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_prctl",
    .m_doc = module_doc,
    .m_methods = module_methods,
    .m_slots = slots_3_11,
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_prctl",
    .m_doc = module_doc,
    .m_methods = module_methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__prctl(void)
{
    return PyModuleDef_Init(Py_Version >= 0x030C0000 ? &definition : &definition_3_11);
}
