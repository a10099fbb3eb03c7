/*
 * From Python objects to C: text and integers, with the error that each kind of bad value deserves.
 */
#include "prctlmodule.h"

#include <string.h>

void
text_release(struct text *text)
{
    Py_CLEAR(text->owner);
}

/* The longest beginning of a str that has at most limit bytes when encoded. */
static PyObject *
encode_beginning(PyObject *string, size_t limit)
{
    Py_ssize_t fits = 0, tried = (Py_ssize_t)limit; /* a character has at least one byte */
    Py_ssize_t too_long = tried + 1;
    PyObject *best = PyBytes_FromStringAndSize(NULL, 0);

    while (best != NULL && too_long - fits > 1) {
        PyObject *beginning = PyUnicode_Substring(string, 0, tried);
        PyObject *encoded = beginning == NULL ? NULL : PyUnicode_EncodeFSDefault(beginning);

        Py_XDECREF(beginning);
        if (encoded == NULL) {
            Py_CLEAR(best);
        } else if ((size_t)PyBytes_Size(encoded) <= limit) {
            fits = tried;
            Py_DECREF(best);
            best = encoded;
        } else {
            too_long = tried;
            Py_DECREF(encoded);
        }
        tried = fits + (too_long - fits) / 2;
    }
    return best;
}

static int
text_from_str(PyObject *string, const char *what, size_t limit, struct text *text)
{
    Py_ssize_t length, characters = PyUnicode_GetLength(string);
    int has_nul;

    text->bytes = PyUnicode_AsUTF8AndSize(string, &length);
    if (text->bytes != NULL) {
        has_nul = memchr(text->bytes, '\0', (size_t)length) != NULL;
    } else {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            return -1;
        PyErr_Clear(); /* surrogates: bytes that os.fsdecode() could not decode */
        has_nul = PyUnicode_FindChar(string, 0, 0, characters, 1) != -1;
        if (PyErr_Occurred())
            return -1;
    }
    if (has_nul) {
        PyErr_Format(PyExc_ValueError, "embedded null character in %s", what);
        return -1;
    }
    /* ASCII is the same in every encoding that a file system can have, and can be cut anywhere. */
    if (text->bytes != NULL && length == characters) {
        text->owner = Py_NewRef(string);
        text->length = (size_t)length < limit ? (size_t)length : limit;
        return 0;
    }
    text->owner = (size_t)characters <= limit ? PyUnicode_EncodeFSDefault(string) : NULL;
    if (text->owner != NULL && (size_t)PyBytes_Size(text->owner) > limit)
        Py_CLEAR(text->owner);
    if (text->owner == NULL && !PyErr_Occurred())
        text->owner = encode_beginning(string, limit);
    if (text->owner == NULL)
        return -1;
    text->bytes = PyBytes_AsString(text->owner);
    text->length = (size_t)PyBytes_Size(text->owner);
    return 0;
}

int
text_get(PyObject *object, const char *what, size_t limit, struct text *text)
{
    if (PyUnicode_Check(object))
        return text_from_str(object, what, limit, text);
    if (!PyBytes_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be str or bytes, not %R", what, (PyObject *)Py_TYPE(object));
        return -1;
    }
    text->bytes = PyBytes_AsString(object);
    text->length = (size_t)PyBytes_Size(object);
    if (memchr(text->bytes, '\0', text->length) != NULL) {
        PyErr_Format(PyExc_ValueError, "embedded null byte in %s", what);
        return -1;
    }
    if (text->length > limit)
        text->length = limit;
    text->owner = Py_NewRef(object);
    return 0;
}

PyObject *
integer_get(PyObject *object, const char *what)
{
    PyObject *integer;

    if (PyLong_Check(object))
        return Py_NewRef(object);
    integer = PyNumber_Index(object);
    if (integer == NULL && PyErr_ExceptionMatches(PyExc_TypeError))
        PyErr_Format(PyExc_TypeError, "%s must be an integer, not %R", what, (PyObject *)Py_TYPE(object));
    return integer;
}

void
overflow(const char *what, const char *type)
{
    PyErr_Format(PyExc_OverflowError, "%s does not fit %s", what, type);
}

int
unsigned_get(PyObject *object, const char *what, unsigned long *value)
{
    PyObject *integer = integer_get(object, what);

    if (integer == NULL)
        return -1;
    *value = PyLong_AsUnsignedLong(integer);
    Py_DECREF(integer);
    if (*value == (unsigned long)-1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError))
            overflow(what, "an unsigned long");
        return -1;
    }
    return 0;
}

int
signed_get(PyObject *object, const char *what, long *value)
{
    PyObject *integer = integer_get(object, what);
    int overflows = 0;

    if (integer == NULL)
        return -1;
    *value = PyLong_AsLongAndOverflow(integer, &overflows);
    Py_DECREF(integer);
    if (overflows)
        overflow(what, "a long");
    return *value == -1 && PyErr_Occurred() ? -1 : 0; /* what overflows is -1, too */
}

int
capability_number(PyObject *object)
{
    PyObject *integer = integer_get(object, "capability");
    int overflows = 0;
    long value;

    if (integer == NULL)
        return -1;
    value = PyLong_AsLongAndOverflow(integer, &overflows);
    Py_DECREF(integer);
    if (overflows)
        PyErr_SetString(PyExc_ValueError, "Unknown capability: a number of more than 64 bits");
    else if (value == -1 && PyErr_Occurred())
        return -1;
    else if (value < 0 || value > 63)
        PyErr_Format(PyExc_ValueError, "Unknown capability: %ld", value);
    else
        return (int)value;
    return -1;
}

int
writable_get(PyObject *object, const char *what, Py_buffer *buffer)
{
    if (PyObject_GetBuffer(object, buffer, PyBUF_WRITABLE) == 0)
        return 0;
    if (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_BufferError))
        PyErr_Format(PyExc_TypeError, "%s must be a writable buffer, not %R", what, (PyObject *)Py_TYPE(object));
    return -1;
}
