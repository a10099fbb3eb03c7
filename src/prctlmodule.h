/* What the C files of the extension share. */
#ifndef PRCTLMODULE_H
#define PRCTLMODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

/* Here, where no code is that would not compile without: one message is all there is to read. */
#if !__has_include(<sys/capability.h>)
#error "libcap's headers are missing: install libcap-dev (Debian, Ubuntu), libcap-devel (Fedora) or libcap-dev (Alpine)"
#endif

/* PR_ names from our own tables, whatever the kernel headers have. */
enum {
#define OPTION(name, number, ...) PR_##name = number,
#define FAMILY(name, number) PR_##name = number,
#define FORMER(name, number) PR_##name = number,
#include "options.h"
};

enum {
#define ARGUMENT(name, number) PR_##name = number,
#include "constants.h"
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/*
 * _prctlmodule.c
 */

/* prctl(2) with all five arguments; a long, since libc's prctl() cuts the result to an int. Sets errno. */
long prctl_call(int option, const unsigned long arguments[4]);

/* A row of options.h, and a function that carries one out. arguments are objects in the order of the row; those that the
 * caller has left out are NULL. */
struct function;
typedef PyObject *(*runner)(const struct function *function, PyObject *module, PyObject *const *arguments);

/* Raise the OSError of errno, naming the privilege of the row if the caller lacks it. Returns NULL. */
PyObject *refused(const struct function *function);

/*
 * process.c
 */

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

/* A buffer that the kernel may write to: TypeError for any other. */
int writable_get(PyObject *object, const char *what, Py_buffer *buffer);

/* Raise OverflowError. */
void overflow(const char *what, const char *type);

/* 0 to 63, or -1 with an exception: any other integer is ValueError. */
int capability_number(PyObject *object);

/*
 * audit.c: one event before each change, in the calling thread, and not under process_lock(). Return 0, or -1 with the
 * exception of a hook: then nothing may change.
 */

/* arguments makes the tuple of the event's arguments from data, if anybody listens. */
int audit(const char *event, PyObject *(*arguments)(void *), void *data);

/* "prctl.prctl". Where an argument is an address, objects has what lies there; objects and what is in it may be NULL. Returns
 * 1, not 0, if anybody listens. */
int audit_prctl(int option, const unsigned long arguments[4], PyObject *const objects[4]);

/* "prctl.capset": effective, permitted, inheritable. */
int audit_capset(uint64_t masks[3]);

int audit_exec(void);

/*
 * sets.c
 */

/* Whether the calling thread has a capability in its effective set; errno is left as it was. */
int has_effective(int capability);

/* Set the thread's effective, permitted and inheritable set to what it may have of the wished ones. For signal handlers, too.
 * Returns 0, or -1 with errno. */
int sets_set_within(const uint64_t wished[3]);

/* The running kernel's, known once sets_exec() has run. */
int capability_last(void);
int sets_exec(PyObject *module);
extern PyMethodDef sets_methods[];

/*
 * capability.c
 */
extern PyMethodDef capability_methods[];

/*
 * threads.c
 */

/* What a thread does, in a signal handler: system calls only. Returns 0, or an errno; threads_run_held() passes on whatever
 * it is. */
typedef int (*thread_function)(void *argument);

/* Whether the calling thread is in a block of all_threads(). */
int in_all_threads(void);

/* Run the function here or, in such a block, here and then at once in every other thread. Returns 0; or the errno that it has
 * answered here, which no other thread has tried then; or -1 with an exception that says what has happened elsewhere. */
int threads_run(thread_function function, void *argument);

/* A thread and what the function has answered there; tid 0 is the calling thread, which comes alone. */
struct thread_failure {
    pid_t tid;
    int error;
};

/* The same for every thread whatever the block, and with all of them stopped before the first one does anything: if one cannot
 * be reached, nothing has changed. Returns how many failures it has filled in, or -1 with an exception. */
int threads_run_held(thread_function function, void *argument, struct thread_failure *failures, int most);

/* Run the function here while the other threads stand still, as far as they can be made to. Needs process_lock(). */
int threads_hold_still(thread_function function, void *argument);
/* Whether they do; for the function. */
int threads_stand_still(void);

extern PyMethodDef threads_methods[];

/*
 * plan.c
 */
extern PyMethodDef plan_methods[];

/*
 * memory.c
 */

/* The kernel's struct prctl_mm_map: 104 bytes on every architecture, hence no pointer and no natural padding. */
struct mm_map {
    uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
    uint64_t arg_start, arg_end, env_start, env_end;
    uint64_t auxv;
    uint32_t auxv_size, exe_fd;
};

/* The map as it stands, with auxv_size and exe_fd such that setting it leaves vector and executable alone. Both return 0, or
 * -1 with errno. */
int mm_map_read(struct mm_map *map);
int mm_map_write(const struct mm_map *map);

PyObject *set_mm(const struct function *, PyObject *, PyObject *const *);
PyObject *set_mm_map(const struct function *, PyObject *, PyObject *const *);
PyObject *get_mm_map(const struct function *, PyObject *, PyObject *const *);
PyObject *set_vma_anon_name(const struct function *, PyObject *, PyObject *const *);
PyObject *get_auxv(const struct function *, PyObject *, PyObject *const *);

/*
 * proctitle.c
 */
extern PyMethodDef proctitle_methods[];

#endif
