/* What the C files of the extension share. */
#ifndef PRCTLMODULE_H
#define PRCTLMODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/*
 * _prctlmodule.c
 */

/* prctl(2) with all five arguments; a long, since libc's prctl() cuts the result to an int. Sets errno. */
long prctl_call(int option, const unsigned long arguments[4]);

/* Raise the OSError of an errno, with an explanation behind strerror()'s text when there is one. Returns NULL. */
PyObject *raise_errno(int error, const char *explanation);

/* What belongs to the process, not to an interpreter (title, ptracer), is changed under this lock, which survives fork().
 * No Python code runs while it is held. */
void process_lock(void);
void process_unlock(void);

/* Read a small file of /proc. Returns its length, or -1 with errno. */
ssize_t read_file(const char *path, char *buffer, size_t size);

/*
 * convert.c. A function that returns an int returns 0, or -1 with an exception, unless it says otherwise.
 */

/* The bytes of a str, in the file system's encoding, or of a bytes. */
struct text {
    const char *bytes;
    size_t length;
    PyObject *owner; /* keeps the bytes alive: text_release() */
};

/* Cuts to limit bytes, a str between characters. An embedded NUL is ValueError. what names the argument, as below. */
int text_get(PyObject *object, const char *what, size_t limit, struct text *text);
void text_release(struct text *text);

/* An int, or what has __index__: a new reference, or NULL with TypeError. */
PyObject *integer_get(PyObject *object, const char *what);
int signed_get(PyObject *object, const char *what, long *value);
int unsigned_get(PyObject *object, const char *what, unsigned long *value);

/* Raise OverflowError. */
void overflow(const char *what, const char *type);

/* 0 to 63, or -1 with an exception: any other integer is ValueError. */
int capability_number(PyObject *object);

/*
 * capability.c
 */

/* Whether the calling thread has a capability in its effective set; errno is left as it was. */
int has_effective(int capability);

/* The running kernel's, known once capability_exec() has run. */
int capability_last(void);
int capability_exec(PyObject *module);
extern PyMethodDef capability_methods[];

/*
 * proctitle.c
 */
extern PyMethodDef proctitle_methods[];

#endif
