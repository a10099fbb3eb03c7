/*
 * libcap's part: the text form, the capabilities of files and those of other processes.
 *
 * Python has the three sets as 64-bit masks, in libcap's order: effective, permitted, inheritable.
 */
#include "prctlmodule.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/stat.h>

/* Since libcap 2.26; NULL where an older one is linked, whose header may not have it. */
extern int cap_set_nsowner(cap_t caps, uid_t rootid) __attribute__((weak));

enum { SETS = 3 };

/* Leaves errno as it was. */
static void
release(void *libcaps)
{
    int error = errno;

    (void)cap_free(libcaps); /* fails only for what libcap has not allocated */
    errno = error;
}

/*
 * Masks and libcap's cap_t. The record of cap_copy_ext(3), persistent and the same on every machine, holds all 64 bits
 * of a set: byte by byte, and in each byte's place one of each set. cap_set_flag(3) of an older libcap passes over what
 * that one has no name for, and says nothing.
 */

enum { RECORD_HEADER = 5, RECORD_BYTES = 8, RECORD_SIZE = RECORD_HEADER + RECORD_BYTES * SETS };

/* 0, or -1 with errno. */
static int
record_get(cap_t caps, unsigned char record[RECORD_SIZE])
{
    ssize_t length = cap_copy_ext(record, caps, RECORD_SIZE);

    if (length == RECORD_SIZE && record[RECORD_HEADER - 1] == RECORD_BYTES)
        return 0;
    if (length >= 0)
        errno = EINVAL;
    return -1;
}

/* 0, or -1 with errno. */
static int
masks_get(cap_t caps, uint64_t masks[SETS])
{
    unsigned char record[RECORD_SIZE];

    if (record_get(caps, record) < 0)
        return -1;
    memset(masks, 0, sizeof(uint64_t[SETS]));
    for (int i = 0; i < RECORD_BYTES * SETS; i++)
        masks[i % SETS] |= (uint64_t)record[RECORD_HEADER + i] << 8 * (i / SETS);
    return 0;
}

/* NULL with errno. */
static cap_t
caps_from_masks(const uint64_t masks[SETS])
{
    unsigned char record[RECORD_SIZE];
    cap_t empty = cap_init();
    int result;

    if (empty == NULL)
        return NULL;
    result = record_get(empty, record);
    release(empty);
    if (result < 0)
        return NULL;
    for (int i = 0; i < RECORD_BYTES * SETS; i++)
        record[RECORD_HEADER + i] = (unsigned char)(masks[i % SETS] >> 8 * (i / SETS));
    return cap_copy_int(record);
}

/* Raise what an errno of libcap's own deserves. Returns NULL. */
static PyObject *
raise_libcap(int error)
{
    return error == ENOMEM ? PyErr_NoMemory() : raise_errno(error, NULL);
}

static PyObject *
tuple_from_masks(const uint64_t masks[SETS])
{
    return Py_BuildValue("KKK", (unsigned long long)masks[0], (unsigned long long)masks[1],
                         (unsigned long long)masks[2]);
}

/* Frees caps. NULL is the failure of errno. */
static PyObject *
tuple_from_caps(cap_t caps)
{
    uint64_t masks[SETS];
    int result;

    if (caps == NULL)
        return raise_libcap(errno);
    result = masks_get(caps, masks);
    release(caps);
    return result < 0 ? raise_libcap(errno) : tuple_from_masks(masks);
}

/*
 * Text
 */

/* What "all" stands for beyond what the kernel has: nothing, but libcap has not always asked the kernel. */
static int
excess_of_all(uint64_t *excess)
{
    uint64_t masks[SETS], beyond = ~(uint64_t)0 << capability_last() << 1;
    cap_t caps = cap_from_text("all=p");
    int result;

    if (caps == NULL)
        return -1;
    result = masks_get(caps, masks);
    release(caps);
    *excess = masks[CAP_PERMITTED] & beyond;
    return result;
}

/* 0, or -1 with errno. */
static int
masks_from_text(const char *text, uint64_t masks[SETS])
{
    uint64_t excess;
    cap_t caps = cap_from_text(text);
    int result;

    if (caps == NULL)
        return -1;
    result = masks_get(caps, masks);
    release(caps);
    if (result < 0 || excess_of_all(&excess) < 0)
        return -1;
    for (int set = 0; set < SETS; set++)
        if ((masks[set] & excess) == excess)
            masks[set] &= ~excess;
    return 0;
}

PyDoc_STRVAR(from_text_doc, "_cap_from_text(text, /)\n--\n\nReturn the three masks of libcap's text form.");

static PyObject *
from_text(PyObject *Py_UNUSED(module), PyObject *argument)
{
    uint64_t masks[SETS];
    const char *text;
    Py_ssize_t length;

    if (!PyUnicode_Check(argument))
        return PyErr_Format(PyExc_TypeError, "text must be str, not %R", (PyObject *)Py_TYPE(argument));
    text = PyUnicode_AsUTF8AndSize(argument, &length);
    if (text == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            return NULL;
        PyErr_Clear(); /* a surrogate */
    } else if (strlen(text) != (size_t)length) {
        PyErr_SetString(PyExc_ValueError, "embedded null character in text");
        return NULL;
    } else if (length == PyUnicode_GetLength(argument)) { /* ASCII: libcap hands each char to isspace() as it stands */
        if (masks_from_text(text, masks) == 0)
            return tuple_from_masks(masks);
        if (errno != EINVAL)
            return raise_libcap(errno);
    }
    return PyErr_Format(PyExc_ValueError, "Not libcap's text form of capabilities: %.200R", argument);
}

PyDoc_STRVAR(to_text_doc,
"_cap_to_text(effective, permitted, inheritable, /)\n--\n\nReturn libcap's text form of three masks.");

static PyObject *
to_text(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long long e, p, i;
    PyObject *result;
    char *text;
    cap_t caps;

    if (!PyArg_ParseTuple(args, "KKK:_cap_to_text", &e, &p, &i))
        return NULL;
    caps = caps_from_masks((uint64_t[SETS]){e, p, i});
    if (caps == NULL)
        return raise_libcap(errno);
    text = cap_to_text(caps, NULL);
    release(caps);
    if (text == NULL)
        return raise_libcap(errno);
    result = PyUnicode_FromString(text);
    release(text);
    return result;
}

/*
 * Processes
 */

PyDoc_STRVAR(get_proc_doc, "_cap_get_proc()\n--\n\nReturn the three masks of the calling thread.");

static PyObject *
get_proc(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return tuple_from_caps(cap_get_proc());
}

PyDoc_STRVAR(get_pid_doc, "_cap_get_pid(pid, /)\n--\n\nReturn the three masks of a process or thread.");

static PyObject *
get_pid(PyObject *Py_UNUSED(module), PyObject *argument)
{
    long pid;

    if (signed_get(argument, "pid", &pid) < 0)
        return NULL;
    if (pid <= 0) /* 0 would be the caller */
        return PyErr_Format(PyExc_ValueError, "pid must be 1 or more, not %ld", pid);
    if (pid > INT_MAX)
        return overflow("pid", "32 bits"), NULL;
    return tuple_from_caps(cap_get_pid((pid_t)pid));
}

/*
 * Files
 */

struct file {
    const char *path; /* NULL: fd */
    int fd;
    PyObject *owner;  /* keeps the path alive: file_release() */
    PyObject *shown;  /* in exceptions: the path as it was given, or the number */
};

static void
file_release(struct file *file)
{
    Py_CLEAR(file->owner);
    Py_CLEAR(file->shown);
}

/* 0, or -1 with an exception. */
static int
file_get(PyObject *object, struct file *file)
{
    *file = (struct file){.fd = -1};
    if (PyLong_Check(object) || PyObject_HasAttrString(object, "fileno")) {
        file->fd = PyObject_AsFileDescriptor(object);
        file->shown = file->fd < 0 ? NULL : PyLong_FromLong(file->fd);
        return file->shown == NULL ? -1 : 0;
    }
    if (!PyUnicode_Check(object) && !PyBytes_Check(object) && !PyObject_HasAttrString(object, "__fspath__")) {
        PyErr_Format(PyExc_TypeError, "path must be str, bytes, os.PathLike or a file descriptor, not %R",
                     (PyObject *)Py_TYPE(object));
        return -1;
    }
    if (!PyUnicode_FSConverter(object, &file->owner))
        return -1;
    file->path = PyBytes_AsString(file->owner);
    file->shown = Py_NewRef(object);
    return 0;
}

/* Raise the OSError of an errno, with an explanation unless that is NULL, and the file's name. Returns NULL. */
static PyObject *
raise_about_file(int error, const char *explanation, const struct file *file)
{
    PyObject *text = PyUnicode_DecodeLocale(strerror(error), "surrogateescape"), *exception = NULL;

    if (error == ENOMEM) {
        Py_XDECREF(text);
        return PyErr_NoMemory();
    }
    if (text != NULL && explanation != NULL) {
        PyObject *meaning = text;
        text = PyUnicode_FromFormat("%U: %s", meaning, explanation);
        Py_DECREF(meaning);
    }
    if (text != NULL)
        exception = PyObject_CallFunction(PyExc_OSError, "iOO", error, text, file->shown);
    if (exception != NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_XDECREF(text);
    Py_XDECREF(exception);
    return NULL;
}

PyDoc_STRVAR(get_file_doc,
"_cap_get_file(path, /)\n--\n\nReturn the three masks of a file, or None if it has no capabilities.");

static PyObject *
get_file(PyObject *Py_UNUSED(module), PyObject *argument)
{
    struct file file;
    PyObject *result;
    cap_t caps;
    int error;

    if (file_get(argument, &file) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    errno = 0;
    caps = file.path == NULL ? cap_get_fd(file.fd) : cap_get_file(file.path);
    error = errno;
    Py_END_ALLOW_THREADS
    if (caps != NULL)
        result = tuple_from_caps(caps);
    else if (error == ENODATA || error == EOPNOTSUPP) /* the kernel takes both for none when it executes a file */
        result = Py_NewRef(Py_None);
    else if (error == 0) /* libcap says no more about an attribute that has the wrong length or version */
        result = raise_about_file(EINVAL, "libcap cannot read its security.capability", &file);
    else
        result = raise_about_file(error, NULL, &file);
    file_release(&file);
    return result;
}

/* 0, or an errno and perhaps an explanation. libcap refuses the same types, but some versions open the file to find
 * out, and would wait for ever for the writer of a FIFO. */
static int
check_type(const struct file *file, const char **explanation)
{
    struct stat status;

    if ((file->path == NULL ? fstat(file->fd, &status) : lstat(file->path, &status)) < 0)
        return errno;
    if (S_ISREG(status.st_mode))
        return 0;
    *explanation = S_ISLNK(status.st_mode) ? "a symbolic link" : "not a regular file";
    return EINVAL;
}

/* Change the capabilities of a file, or remove them when caps is NULL. */
static PyObject *
put_file(const struct file *file, cap_t caps, const char *if_invalid)
{
    const char *explanation = NULL;
    int error;

    Py_BEGIN_ALLOW_THREADS
    error = check_type(file, &explanation);
    if (error == 0 && (file->path == NULL ? cap_set_fd(file->fd, caps) : cap_set_file(file->path, caps)) < 0) {
        error = errno;
        if (error == EPERM && !has_effective(CAP_SETFCAP))
            explanation = "changing the capabilities of a file needs CAP_SETFCAP";
        else if (error == EINVAL)
            explanation = if_invalid;
        else if (error == ENODATA)
            explanation = "the file has no capabilities";
    }
    Py_END_ALLOW_THREADS
    return error ? raise_about_file(error, explanation, file) : Py_NewRef(Py_None);
}

/* 0, or -1 with an exception. */
static int
rootid_get(PyObject *object, uid_t *rootid)
{
    unsigned long number = 0;

    if (object != Py_None && unsigned_get(object, "rootid", &number) < 0)
        return -1;
    *rootid = (uid_t)number;
    if (*rootid != number)
        return overflow("rootid", "32 bits"), -1;
    if (*rootid == (uid_t)-1) {
        PyErr_Format(PyExc_ValueError, "rootid must be 0 to %lu, not %lu", number - 1, number);
        return -1;
    }
    return 0;
}

/* For the event: what is to be done to which file. */
struct file_change {
    const struct file *file;
    const uint64_t *masks; /* NULL: they are removed */
    uid_t rootid;
};

static PyObject *
file_arguments(void *argument)
{
    const struct file_change *change = argument;
    const uint64_t *masks = change->masks;
    PyObject *file = change->file->path == NULL ? PyLong_FromLong(change->file->fd)
                                                : PyUnicode_DecodeFSDefault(change->file->path);

    if (masks == NULL)
        return Py_BuildValue("(N)", file);
    return Py_BuildValue("NKKKI", file, (unsigned long long)masks[0], (unsigned long long)masks[1],
                         (unsigned long long)masks[2], change->rootid);
}

PyDoc_STRVAR(set_file_doc,
"_cap_set_file(path, effective, permitted, inheritable, rootid, /)\n--\n\n"
"Give a file the capabilities of three masks, for the namespace of a root user unless rootid is None or 0.");

static PyObject *
set_file(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *path, *root, *result = NULL;
    unsigned long long e, p, i;
    uint64_t masks[SETS];
    struct file_change change;
    struct file file;
    uid_t rootid;
    cap_t caps;

    if (!PyArg_ParseTuple(args, "OKKKO:_cap_set_file", &path, &e, &p, &i, &root) || rootid_get(root, &rootid) < 0 ||
        file_get(path, &file) < 0)
        return NULL;
    masks[0] = e;
    masks[1] = p;
    masks[2] = i;
    change = (struct file_change){&file, masks, rootid};
    caps = caps_from_masks(masks);
    if (caps == NULL)
        raise_libcap(errno);
    else if (rootid != 0 && cap_set_nsowner == NULL)
        raise_about_file(EOPNOTSUPP, "libcap before 2.26 knows no rootid", &file);
    else if (rootid != 0 && cap_set_nsowner(caps, rootid) < 0)
        raise_libcap(errno);
    else if (audit("prctl.cap_set_file", file_arguments, &change) == 0)
        result = put_file(&file, caps, rootid == 0 ? NULL : "rootid must be a user that this user namespace has");
    release(caps);
    file_release(&file);
    return result;
}

PyDoc_STRVAR(remove_file_doc, "_cap_remove_file(path, /)\n--\n\nTake a file's capabilities away.");

static PyObject *
remove_file(PyObject *Py_UNUSED(module), PyObject *argument)
{
    struct file file;
    struct file_change change = {&file, NULL, 0};
    PyObject *result = NULL;

    if (file_get(argument, &file) < 0)
        return NULL;
    if (audit("prctl.cap_remove_file", file_arguments, &change) == 0)
        result = put_file(&file, NULL, NULL);
    file_release(&file);
    return result;
}

PyMethodDef capability_methods[] = {
    {"_cap_from_text", from_text, METH_O, from_text_doc},
    {"_cap_to_text", to_text, METH_VARARGS, to_text_doc},
    {"_cap_get_proc", get_proc, METH_NOARGS, get_proc_doc},
    {"_cap_get_pid", get_pid, METH_O, get_pid_doc},
    {"_cap_get_file", get_file, METH_O, get_file_doc},
    {"_cap_set_file", set_file, METH_VARARGS, set_file_doc},
    {"_cap_remove_file", remove_file, METH_O, remove_file_doc},
    {NULL, NULL, 0, NULL},
};
