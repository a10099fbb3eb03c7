/*
 * What every file needs: errors, small files of /proc, and the lock of what belongs to the process.
 */
#include "prctlmodule.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

PyObject *
raise_errno(int error, const char *explanation)
{
    PyObject *meaning, *exception;

    /* The kernel's own number for "not supported" leaks out of some options; no user of errno knows it. */
    if (error == 524)
        error = EOPNOTSUPP;
    if (explanation == NULL) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    meaning = PyUnicode_DecodeLocale(strerror(error), "surrogateescape");
    if (meaning == NULL)
        return NULL;
    exception = PyObject_CallFunction(PyExc_OSError, "iN", error, PyUnicode_FromFormat("%U: %s", meaning, explanation));
    Py_DECREF(meaning);
    if (exception != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        Py_DECREF(exception);
    }
    return NULL;
}

int
zero_or_error(long result)
{
    if (result > 0)
        errno = EPROTO;
    return result == 0 ? 0 : -1;
}

ssize_t
read_file(const char *path, char *buffer, size_t size)
{
    size_t length = 0;
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    do {
        got = read(fd, buffer + length, size - length);
        if (got > 0)
            length += (size_t)got;
    } while ((got > 0 && length < size) || (got < 0 && errno == EINTR));
    if (got < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    close(fd);
    return (ssize_t)length;
}

/*
 * What belongs to the process is changed under one lock
 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t lock_once = PTHREAD_ONCE_INIT;

static void
lock_take(void)
{
    (void)pthread_mutex_lock(&lock); /* a default mutex of ours cannot fail */
}

static void
lock_give(void)
{
    (void)pthread_mutex_unlock(&lock);
}

/* A child forked while another thread holds the lock would wait for ever. */
static void
lock_survives_fork(void)
{
    (void)pthread_atfork(lock_take, lock_give, lock_give); /* fails for want of memory only */
}

void
process_lock(void)
{
    (void)pthread_once(&lock_once, lock_survives_fork);
    lock_take();
}

void
process_unlock(void)
{
    lock_give();
}
