/*
 * The five capability sets of a thread as 64-bit masks, one bit a capability.
 */
#include "prctlmodule.h"

#include "capset.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The sets of a thread in libcap's order of flags, then the two that only prctl(2) reaches. */
enum set { EFFECTIVE, PERMITTED, INHERITABLE, AMBIENT, BOUNDING, SETS };

static const struct {
    const char *name;
    const char *text;
} capabilities[] = {
#define CAPABILITY(name, number, text) [number] = {#name, text},
#include "constants.h"
};

enum { SECBIT_NO_CAP_AMBIENT_RAISE = 0x40 };

#define MASK(capability) ((uint64_t)1 << (capability))

/* The three sets of the calling thread. */
struct sets {
    uint64_t mask[3];
};

static int
sets_get(struct sets *sets)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}}; /* a filter may answer 0 in place of the kernel */

    if (zero_or_error(syscall(SYS_capget, &header, data)) < 0)
        return -1;
    sets->mask[EFFECTIVE] = data[0].effective | (uint64_t)data[1].effective << 32;
    sets->mask[PERMITTED] = data[0].permitted | (uint64_t)data[1].permitted << 32;
    sets->mask[INHERITABLE] = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
    return 0;
}

static int
sets_set(const struct sets *sets)
{
    return zero_or_error(capset_by_masks(sets->mask));
}

int
sets_set_within(const uint64_t wished[3])
{
    struct sets sets;

    if (sets_get(&sets) < 0)
        return -1;
    sets.mask[EFFECTIVE] = wished[EFFECTIVE] & sets.mask[PERMITTED];
    sets.mask[INHERITABLE] = wished[INHERITABLE] & (sets.mask[INHERITABLE] | sets.mask[PERMITTED]);
    sets.mask[PERMITTED] &= wished[PERMITTED];
    sets.mask[EFFECTIVE] &= sets.mask[PERMITTED];
    return sets_set(&sets);
}

int
has_effective(int capability)
{
    struct sets sets;
    int error = errno;
    int has = sets_get(&sets) == 0 && (sets.mask[EFFECTIVE] & MASK(capability));

    errno = error;
    return has;
}

/*
 * The last capability of the running kernel
 */

static _Atomic int last_capability;

/* 1, 0, or -1 with errno: the kernel's answer to a question. Another number is a SIGSYS handler's, as in zero_or_error(). */
static int
ask(int option, const unsigned long a[4])
{
    long result = prctl_call(option, a);

    if (result > 1)
        errno = EPROTO;
    return result == 0 || result == 1 ? (int)result : -1;
}

static int
kernel_has(int number)
{
    return ask(PR_CAPBSET_READ, (unsigned long[4]){(unsigned long)number}) >= 0;
}

/* The kernel tells for each number whether it has it. /proc is asked only where a filter refuses the question: it costs ten
 * times as much, and may be missing. -1 with errno when neither answers. */
static int
find_last_capability(void)
{
    int last = (int)COUNT(capabilities) - 1; /* most kernels have just those of the table */
    char text[16] = "";

    while (last < 63 && kernel_has(last + 1))
        last++;
    while (last >= 0 && !kernel_has(last))
        last--;
    if (last >= 0)
        return last;
    if (read_file("/proc/sys/kernel/cap_last_cap", text, sizeof text - 1) <= 0)
        return -1;
    last = atoi(text);
    return last < 64 ? last : 63; /* the masks of capget(2) end there */
}

static uint64_t
kernel_mask(void)
{
    return ~(uint64_t)0 >> (63 - last_capability);
}

/*
 * Names
 */

/* The name without cap_. libcap may have one for what the kernel has and our table lacks. Else the decimal number. */
static PyObject *
capability_name(int number)
{
    char name[32];
    char *known;
    PyObject *result;
    size_t i;

    if ((size_t)number < COUNT(capabilities)) {
        const char *constant = capabilities[number].name;
        for (i = 0; constant[i] != '\0' && i < sizeof name - 1; i++)
            name[i] = (char)tolower((unsigned char)constant[i]);
        return PyUnicode_FromStringAndSize(name, (Py_ssize_t)i);
    }
    if (number > last_capability)
        return PyUnicode_FromFormat("%d", number);
    known = cap_to_name(number);
    if (known == NULL)
        return PyErr_NoMemory();
    result = PyUnicode_FromString(strncmp(known, "cap_", 4) == 0 ? known + 4 : known);
    (void)cap_free(known); /* fails only for what libcap has not allocated */
    return result;
}

/* The number of a name in any case, with or without cap_; -1 when there is none, -2 with an exception. */
static int
number_of_name(PyObject *text)
{
    char name[32];
    Py_ssize_t length;
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &length), *bare = name;

    if (utf8 == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            return -2;
        PyErr_Clear();
        return -1;
    }
    if ((size_t)length >= sizeof name || strlen(utf8) != (size_t)length)
        return -1;
    for (Py_ssize_t i = 0; i <= length; i++)
        name[i] = utf8[i] >= 'a' && utf8[i] <= 'z' ? (char)(utf8[i] - 'a' + 'A') : utf8[i];
    if (strncmp(name, "CAP_", 4) == 0)
        bare += 4;
    for (size_t i = 0; i < COUNT(capabilities); i++)
        if (strcmp(bare, capabilities[i].name) == 0)
            return (int)i;
    if (strcmp(bare, "LAST_CAP") == 0) /* python-prctl took CAP_LAST_CAP for one */
        return last_capability;
    for (int number = COUNT(capabilities); number < 64; number++) {
        PyObject *other = capability_name(number), *upper;
        int same;
        if (other == NULL)
            return -2;
        upper = PyObject_CallMethod(other, "upper", NULL);
        Py_DECREF(other);
        if (upper == NULL)
            return -2;
        same = PyUnicode_CompareWithASCIIString(upper, bare) == 0;
        Py_DECREF(upper);
        if (same)
            return number;
    }
    return -1;
}

/* A capability given as a name or as a number; -1 with an exception. */
static int
capability_get(PyObject *object)
{
    int number;

    if (!PyUnicode_Check(object))
        return capability_number(object);
    number = number_of_name(object);
    if (number == -1)
        PyErr_Format(PyExc_ValueError, "Unknown capability: %U", object);
    return number < 0 ? -1 : number;
}

/* "permitted does not have net_raw, sys_admin", or NULL with an exception. */
static PyObject *
name_capabilities(const char *what, uint64_t mask)
{
    PyObject *text = PyUnicode_FromString(what);

    for (int number = 0; text != NULL && number < 64; number++) {
        PyObject *name, *longer;
        if (!(mask & MASK(number)))
            continue;
        name = capability_name(number);
        longer = name == NULL ? NULL : PyUnicode_FromFormat(mask & (MASK(number) - 1) ? "%U, %U" : "%U %U", text, name);
        Py_XDECREF(name);
        Py_DECREF(text);
        text = longer;
    }
    return text;
}

/* Raise an exception about capabilities; error is 0 for ValueError. Returns -1. */
static int
raise_about(int error, const char *what, uint64_t mask)
{
    PyObject *text = name_capabilities(what, mask);

    if (text == NULL)
        return -1;
    if (error) {
        const char *utf8 = PyUnicode_AsUTF8AndSize(text, NULL);
        if (utf8 != NULL)
            raise_errno(error, utf8);
    } else {
        PyErr_SetObject(PyExc_ValueError, text);
    }
    Py_DECREF(text);
    return -1;
}

/*
 * Reading a set
 */

/* 1, 0, or -1 with errno. A capability that the kernel does not have is in no set. */
static int
set_has(enum set set, int number)
{
    struct sets sets;
    long result;

    if (number > last_capability)
        return 0;
    if (set == AMBIENT)
        return ask(PR_CAP_AMBIENT, (unsigned long[4]){PR_CAP_AMBIENT_IS_SET, (unsigned long)number});
    if (set == BOUNDING)
        return ask(PR_CAPBSET_READ, (unsigned long[4]){(unsigned long)number});
    result = sets_get(&sets);
    return result < 0 ? -1 : (sets.mask[set] & MASK(number)) != 0;
}

static int
set_read(enum set set, uint64_t *mask)
{
    struct sets sets;
    uint64_t possible = kernel_mask();

    *mask = 0;
    if (set != BOUNDING && sets_get(&sets) < 0)
        return -1;
    if (set < AMBIENT) {
        *mask = sets.mask[set];
        return 0;
    }
    if (set == AMBIENT) /* what both do not have is not there; one question remains, to know that the kernel answers it */
        possible &= (sets.mask[PERMITTED] & sets.mask[INHERITABLE]) | 1;
    for (int number = 0; number <= last_capability; number++) {
        int has = possible & MASK(number) ? set_has(set, number) : 0;
        if (has < 0)
            return -1;
        if (has)
            *mask |= MASK(number);
    }
    return 0;
}

/*
 * Changing a set: first what a thread does, perhaps in a signal handler
 */

struct change {
    struct sets add, drop;   /* of the thread's three sets */
    uint64_t raise, lower;   /* of the ambient or the bounding set */
};

static void
sets_change(const struct sets *old, const struct change *change, struct sets *new)
{
    for (int set = EFFECTIVE; set <= INHERITABLE; set++)
        new->mask[set] = (old->mask[set] | change->add.mask[set]) & ~change->drop.mask[set];
    new->mask[EFFECTIVE] &= ~change->drop.mask[PERMITTED]; /* the kernel demands it */
}

/* One capget and one capset. */
static int
change_sets(void *argument)
{
    struct sets old, new;

    if (sets_get(&old) < 0)
        return errno;
    sets_change(&old, argument, &new);
    return sets_set(&new) < 0 ? errno : 0;
}

static int
call_ambient(unsigned long operation, uint64_t mask)
{
    for (int number = 0; number <= last_capability; number++) {
        unsigned long a[4] = {operation, (unsigned long)number};
        if ((mask & MASK(number)) && zero_or_error(prctl_call(PR_CAP_AMBIENT, a)) < 0)
            return errno;
    }
    return 0;
}

/* What permitted and inheritable do not both have. */
static uint64_t
ambient_lacks(uint64_t mask)
{
    struct sets sets;

    return sets_get(&sets) < 0 ? mask : mask & ~(sets.mask[PERMITTED] & sets.mask[INHERITABLE]);
}

/* What can fail comes first: all that the kernel asks of the raised ones is known before the first is. */
static int
change_ambient(void *argument)
{
    const struct change *change = argument;
    int error;

    if (ambient_lacks(change->raise))
        return EPERM;
    error = call_ambient(PR_CAP_AMBIENT_RAISE, change->raise);
    if (error)
        return error;
    if ((change->lower & kernel_mask()) == kernel_mask())
        return zero_or_error(prctl_call(PR_CAP_AMBIENT, (unsigned long[4]){PR_CAP_AMBIENT_CLEAR_ALL})) < 0 ? errno : 0;
    return call_ambient(PR_CAP_AMBIENT_LOWER, change->lower);
}

/* One call for each that is there: the kernel refuses the first of them, or none. */
static int
change_bounding(void *argument)
{
    const struct change *change = argument;

    for (int number = 0; number <= last_capability; number++) {
        int has = (change->lower & MASK(number)) ? set_has(BOUNDING, number) : 0;
        if (has < 0 || (has && prctl_call(PR_CAPBSET_DROP, (unsigned long[4]){(unsigned long)number}) < 0))
            return errno;
    }
    return 0;
}

/*
 * Then what the calling thread makes of it. All return 0, or -1 with an exception.
 */

/* Which of capset(2)'s rules the wished sets break. */
static int
raise_sets_refused(int error, const struct sets *old, const struct sets *wished)
{
    const uint64_t *had = old->mask, *wish = wished->mask;
    uint64_t added = wish[INHERITABLE] & ~had[INHERITABLE];

    if (error != EPERM)
        return raise_errno(error, NULL), -1;
    if (wish[PERMITTED] & ~had[PERMITTED])
        return raise_about(error, "permitted can only lose, and does not have", wish[PERMITTED] & ~had[PERMITTED]);
    if (wish[EFFECTIVE] & ~wish[PERMITTED])
        return raise_about(error, "permitted does not have", wish[EFFECTIVE] & ~wish[PERMITTED]);
    if ((added & ~had[PERMITTED]) && !has_effective(CAP_SETPCAP))
        return raise_about(error, "what permitted does not have needs CAP_SETPCAP to become inheritable:",
                           added & ~had[PERMITTED]);
    if (added)
        return raise_about(error, "the bounding set may lack", added);
    return raise_errno(error, NULL), -1;
}

static int
raise_ambient_refused(int error, uint64_t raised)
{
    uint64_t lacking = ambient_lacks(raised);
    long bits = prctl_call(PR_GET_SECUREBITS, (unsigned long[4]){0});

    if (error == EPERM && lacking)
        return raise_about(error, "permitted and inheritable do not both have", lacking);
    if (error == EPERM && bits > 0 && (bits & SECBIT_NO_CAP_AMBIENT_RAISE))
        return raise_errno(error, "the securebit no_cap_ambient_raise is set"), -1;
    return raise_errno(error, NULL), -1;
}

static int
raise_bounding_refused(int error)
{
    int lacks = error == EPERM && !has_effective(CAP_SETPCAP);

    return raise_errno(error, lacks ? "dropping from the bounding set needs CAP_SETPCAP" : NULL), -1;
}

/* As capset(2) with what this thread has. */
static PyObject *
change_arguments(void *change)
{
    struct sets old, wished;

    if (sets_get(&old) < 0)
        return raise_errno(errno, NULL);
    sets_change(&old, change, &wished);
    return Py_BuildValue("KKK", (unsigned long long)wished.mask[EFFECTIVE], (unsigned long long)wished.mask[PERMITTED],
                         (unsigned long long)wished.mask[INHERITABLE]);
}

static int
change_thread_sets(struct change *change)
{
    struct sets old, wished;
    int error;

    if (audit("prctl.capset", change_arguments, change) < 0)
        return -1;
    error = threads_run(change_sets, change);
    if (error <= 0)
        return error;
    if (sets_get(&old) < 0)
        return raise_errno(error, NULL), -1;
    sets_change(&old, change, &wished);
    return raise_sets_refused(error, &old, &wished);
}

/* One event for each capability, as prctl(2) is called with it; operation is for PR_CAP_AMBIENT. */
static int
audit_each(int option, unsigned long operation, uint64_t mask)
{
    for (int number = 0; number <= last_capability; number++) {
        unsigned long ambient[4] = {operation, (unsigned long)number}, bounding[4] = {(unsigned long)number};
        int heard = mask & MASK(number) ? audit_prctl(option, option == PR_CAP_AMBIENT ? ambient : bounding, NULL) : 1;
        if (heard <= 0) /* if nobody listens, the others need not be told, either */
            return heard;
    }
    return 0;
}

/* In the order of change_ambient(). */
static int
audit_ambient(const struct change *change)
{
    if (audit_each(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, change->raise) < 0)
        return -1;
    if ((change->lower & kernel_mask()) == kernel_mask())
        return audit_prctl(PR_CAP_AMBIENT, (unsigned long[4]){PR_CAP_AMBIENT_CLEAR_ALL}, NULL);
    return audit_each(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, change->lower);
}

static int
check_raised(uint64_t add)
{
    if (add & ~kernel_mask())
        return raise_about(0, "This kernel does not have the capability", add & ~kernel_mask());
    return 0;
}

static int
change_set(enum set set, uint64_t add, uint64_t drop)
{
    struct change change = {.raise = add, .lower = drop};
    int error;

    if (set == BOUNDING && add) {
        PyErr_SetString(PyExc_ValueError, "Capabilities can only be dropped from the bounding set, not raised in it");
        return -1;
    }
    if (check_raised(add) < 0)
        return -1;
    if (set == AMBIENT) {
        if (audit_ambient(&change) < 0)
            return -1;
        error = threads_run(change_ambient, &change);
        return error > 0 ? raise_ambient_refused(error, add) : error;
    }
    if (set == BOUNDING) {
        if (audit_each(PR_CAPBSET_DROP, 0, change.lower) < 0)
            return -1;
        error = threads_run(change_bounding, &change);
        return error > 0 ? raise_bounding_refused(error) : error;
    }
    change.add.mask[set] = add;
    change.drop.mask[set] = drop;
    return change_thread_sets(&change);
}

/*
 * The functions that prctl.py builds the objects on
 */

static int
get_set(PyObject *object, enum set *set)
{
    long number = PyLong_AsLong(object);

    if (number >= 0 && number < SETS) {
        *set = (enum set)number;
        return 0;
    }
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "Unknown set: %ld", number);
    return -1;
}

static int
wrong_count(const char *name, Py_ssize_t expected, Py_ssize_t given)
{
    if (expected != given)
        PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments (%zd given)", name, expected, given);
    return expected != given;
}

PyDoc_STRVAR(cap_number_doc,
"_cap_number(capability, /)\n--\n\nReturn the number of a capability that is given as a name or as a number.");

static PyObject *
cap_number(PyObject *Py_UNUSED(module), PyObject *argument)
{
    int number = capability_get(argument);

    return number < 0 ? NULL : PyLong_FromLong(number);
}

PyDoc_STRVAR(cap_mask_doc, "_cap_mask(capabilities, /)\n--\n\nReturn the capabilities of an iterable as a mask.");

static PyObject *
cap_mask(PyObject *Py_UNUSED(module), PyObject *argument)
{
    PyObject *iterator = PyObject_GetIter(argument), *item;
    uint64_t mask = 0;

    if (iterator == NULL)
        return NULL;
    while ((item = PyIter_Next(iterator)) != NULL) {
        int number = capability_get(item);
        Py_DECREF(item);
        if (number < 0)
            break;
        mask |= MASK(number);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(mask);
}

PyDoc_STRVAR(cap_has_doc,
"_cap_has(set, capability, /)\n--\n\n"
"Return whether a set (0 effective, 1 permitted, 2 inheritable, 3 ambient, 4 bounding) has a capability.");

static PyObject *
cap_has(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t given)
{
    enum set set;
    int number, has;

    if (wrong_count("_cap_has", 2, given) || get_set(arguments[0], &set) < 0)
        return NULL;
    number = capability_number(arguments[1]);
    if (number < 0)
        return NULL;
    has = set_has(set, number);
    return has < 0 ? raise_errno(errno, NULL) : PyBool_FromLong(has);
}

PyDoc_STRVAR(cap_read_doc, "_cap_read(set, /)\n--\n\nReturn a set as a mask.");

static PyObject *
cap_read(PyObject *Py_UNUSED(module), PyObject *argument)
{
    enum set set;
    uint64_t mask;

    if (get_set(argument, &set) < 0)
        return NULL;
    if (set_read(set, &mask) < 0)
        return raise_errno(errno, NULL);
    return PyLong_FromUnsignedLongLong(mask);
}

PyDoc_STRVAR(cap_change_doc,
"_cap_change(set, add, drop, /)\n--\n\nRaise and lower the capabilities of two masks in a set; drop wins.");

static PyObject *
cap_change(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t given)
{
    enum set set;
    uint64_t add, drop;

    if (wrong_count("_cap_change", 3, given) || get_set(arguments[0], &set) < 0)
        return NULL;
    add = PyLong_AsUnsignedLongLong(arguments[1]);
    if (PyErr_Occurred())
        return NULL;
    drop = PyLong_AsUnsignedLongLong(arguments[2]);
    if (PyErr_Occurred() || change_set(set, add & ~drop, drop) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static int
put_sets(void *argument)
{
    return sets_set(argument) < 0 ? errno : 0;
}

PyDoc_STRVAR(capset_doc,
"_capset(effective, permitted, inheritable, /)\n--\n\n"
"Set the three sets of the calling thread to three masks; in every thread inside all_threads().");

static PyObject *
capset_masks(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t given)
{
    struct sets old, sets;
    int error;

    if (wrong_count("_capset", 3, given))
        return NULL;
    for (int set = EFFECTIVE; set <= INHERITABLE; set++) {
        sets.mask[set] = PyLong_AsUnsignedLongLong(arguments[set]);
        if (PyErr_Occurred() || check_raised(sets.mask[set]) < 0)
            return NULL;
    }
    if (audit_capset(sets.mask) < 0)
        return NULL;
    error = threads_run(put_sets, &sets);
    if (error > 0 && sets_get(&old) == 0)
        return raise_sets_refused(error, &old, &sets), NULL;
    if (error > 0)
        return raise_errno(error, NULL);
    return error < 0 ? NULL : Py_NewRef(Py_None);
}

/*
 * python-prctl's functions of the same names
 */

PyDoc_STRVAR(cap_to_name_doc,
"cap_to_name(capability, /)\n--\n\n"
"Return the name of a capability number, without ``cap_``: a str.\n"
"\n"
"One that has no name is its decimal number. ValueError outside 0 to 63.\n"
"See cap_to_name(3).");

static PyObject *
py_cap_to_name(PyObject *Py_UNUSED(module), PyObject *argument)
{
    int number = capability_number(argument);

    return number < 0 ? NULL : capability_name(number);
}

/* The next number of an iterator: 0 to 63, -1 at the end, -2 with an exception. Programs count up to 1023 to be sure to have
 * dropped all: what no mask can hold is passed over. */
static int
next_number(PyObject *iterator)
{
    PyObject *item;

    while ((item = PyIter_Next(iterator)) != NULL) {
        long number = PyLong_AsLong(item);
        Py_DECREF(item);
        if (number == -1 && PyErr_Occurred()) {
            if (PyErr_ExceptionMatches(PyExc_OverflowError))
                PyErr_SetString(PyExc_ValueError, "Unknown capability: a number of more than 64 bits");
            return -2;
        }
        if (number < 0 || number > 1023) {
            PyErr_Format(PyExc_ValueError, "Unknown capability: %ld", number);
            return -2;
        }
        if (number < 64)
            return (int)number;
    }
    return PyErr_Occurred() ? -2 : -1;
}

static int
mask_from_list(PyObject *list, uint64_t *mask)
{
    PyObject *iterator;
    int number;

    *mask = 0;
    if (list == NULL)
        return 0;
    iterator = PyObject_GetIter(list);
    if (iterator == NULL)
        return -1;
    while ((number = next_number(iterator)) >= 0)
        *mask |= MASK(number);
    Py_DECREF(iterator);
    return number == -1 ? 0 : -1;
}

/* {capability: whether mask has it} for a list of numbers */
static PyObject *
dict_from_list(PyObject *list, uint64_t mask)
{
    PyObject *dict = PyDict_New(), *iterator = NULL;
    int number;

    if (dict == NULL || list == NULL)
        return dict;
    iterator = PyObject_GetIter(list);
    while (iterator != NULL && (number = next_number(iterator)) >= 0) {
        PyObject *key = PyLong_FromLong(number);
        int failed = key == NULL || PyDict_SetItem(dict, key, mask & MASK(number) ? Py_True : Py_False) < 0;
        Py_XDECREF(key);
        if (failed)
            break;
    }
    Py_XDECREF(iterator);
    if (PyErr_Occurred())
        Py_CLEAR(dict);
    return dict;
}

PyDoc_STRVAR(get_caps_doc,
"get_caps(effective, permitted=[], inheritable=[], /)\n--\n\n"
"Return which of the listed capability numbers the calling thread has.\n"
"\n"
"A dict of CAP_EFFECTIVE, CAP_PERMITTED and CAP_INHERITABLE to dicts of number to\n"
"bool. Numbers from 64 to 1023 are passed over; beyond is ValueError. See capget(2).");

static PyObject *
get_caps(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *lists[3] = {NULL}, *result;
    struct sets sets;

    if (!PyArg_ParseTuple(args, "O|OO:get_caps", &lists[0], &lists[1], &lists[2]))
        return NULL;
    if (sets_get(&sets) < 0)
        return raise_errno(errno, NULL);
    result = PyDict_New();
    for (int set = EFFECTIVE; result != NULL && set <= INHERITABLE; set++) {
        PyObject *key = PyLong_FromLong(set);
        PyObject *dict = dict_from_list(lists[set], sets.mask[set]);
        if (key == NULL || dict == NULL || PyDict_SetItem(result, key, dict) < 0)
            Py_CLEAR(result);
        Py_XDECREF(key);
        Py_XDECREF(dict);
    }
    return result;
}

PyDoc_STRVAR(set_caps_doc,
"set_caps(effective, permitted=[], inheritable=[],\n"
"         not_effective=[], not_permitted=[], not_inheritable=[], /)\n--\n\n"
"Raise the capability numbers of the first three lists and drop those of the others.\n"
"\n"
"One capset(2) for all; what is in both lists of a set is dropped, and what is dropped\n"
"from permitted is dropped from effective. Numbers from 64 to 1023 are passed over;\n"
"beyond is ValueError, and so is raising what the kernel does not have.\n"
"PermissionError when the thread may not have what is raised: nothing has changed then.");

static PyObject *
set_caps(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *lists[6] = {NULL};
    struct change change = {0};

    if (!PyArg_ParseTuple(args, "O|OOOOO:set_caps", &lists[0], &lists[1], &lists[2], &lists[3], &lists[4], &lists[5]))
        return NULL;
    for (int set = EFFECTIVE; set <= INHERITABLE; set++)
        if (mask_from_list(lists[set], &change.add.mask[set]) < 0 ||
            mask_from_list(lists[3 + set], &change.drop.mask[set]) < 0 ||
            check_raised(change.add.mask[set] & ~change.drop.mask[set]) < 0)
            return NULL;
    if (change_thread_sets(&change) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyMethodDef sets_methods[] = {
    {"_cap_number", cap_number, METH_O, cap_number_doc},
    {"_cap_mask", cap_mask, METH_O, cap_mask_doc},
    {"_cap_has", (PyCFunction)(void (*)(void))cap_has, METH_FASTCALL, cap_has_doc},
    {"_cap_read", cap_read, METH_O, cap_read_doc},
    {"_cap_change", (PyCFunction)(void (*)(void))cap_change, METH_FASTCALL, cap_change_doc},
    {"_capset", (PyCFunction)(void (*)(void))capset_masks, METH_FASTCALL, capset_doc},
    {"cap_to_name", py_cap_to_name, METH_O, cap_to_name_doc},
    {"get_caps", get_caps, METH_VARARGS, get_caps_doc},
    {"set_caps", set_caps, METH_VARARGS, set_caps_doc},
    {NULL, NULL, 0, NULL},
};

int
capability_last(void)
{
    return last_capability;
}

/* The names of all 64 that a mask can hold. */
static PyObject *
all_names(void)
{
    PyObject *names = PyTuple_New(64);

    for (int number = 0; names != NULL && number < 64; number++) {
        PyObject *name = capability_name(number);
        if (name == NULL || PyTuple_SetItem(names, number, name) < 0)
            Py_CLEAR(names);
    }
    return names;
}

/* The docstrings of those in our table. */
static PyObject *
all_texts(void)
{
    PyObject *texts = PyTuple_New(COUNT(capabilities));

    for (size_t i = 0; texts != NULL && i < COUNT(capabilities); i++) {
        PyObject *text = PyUnicode_FromString(capabilities[i].text);
        if (text == NULL || PyTuple_SetItem(texts, (Py_ssize_t)i, text) < 0)
            Py_CLEAR(texts);
    }
    return texts;
}

/* Steals value; NULL, with an exception, fails. */
static int
add_object(PyObject *module, const char *name, PyObject *value)
{
    int result = PyModule_AddObjectRef(module, name, value);

    Py_XDECREF(value);
    return result;
}

/* What prctl.py makes the attributes of: _CAPABILITY_NAMES and _CAPABILITY_TEXTS, in the order of the numbers. */
int
sets_exec(PyObject *module)
{
    int last = find_last_capability();

    if (last < 0)
        return raise_errno(errno, "cannot tell the last capability"), -1;
    last_capability = last;
    if (add_object(module, "_CAPABILITY_NAMES", all_names()) < 0)
        return -1;
    return add_object(module, "_CAPABILITY_TEXTS", all_texts());
}
