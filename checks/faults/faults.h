/*
 * The calls that can fail, and what each of them looks like when it does.
 *
 * The compiler reads this file before every C file of the build that ./dev faults makes, and of no other build. Each call of
 * a function in the table below is then a place: it is listed in a section of the object, counted when it is passed, and
 * fails when faults.c has been told so. A name as a macro with arguments stands for calls only, so that declarations and
 * addresses of the same functions are what they were; the few that do not begin with a name and a parenthesis are at the end.
 */
#ifndef FAULTS_H
#define FAULTS_H

#ifndef FAULTS_IN_PROGRAM
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dlfcn.h>
#include <pthread.h>
#endif

#ifdef FAULTS_LIBCAP /* only where the source includes it: it brings constants that other files have themselves */
#include <sys/capability.h>
#endif

/* What the sources include, so that the headers are read before the names are macros. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct fault_place {
    const char *file;     /* as the compiler was given it: a function of a header is each file's own */
    const char *function;
    const char *callee;
    const char *kind;
    int line;
};

/* Counts the passage. Whether the call is to fail here and now; errno is set then, and left alone otherwise. */
int fault_passes(const struct fault_place *const *entry);

/* What is held, by kind: it must be the same after a call that has failed. */
enum fault_holding { FAULT_MEMORY, FAULT_MAPPING, FAULT_LIBCAP, FAULT_BUFFER, FAULT_LOCK, FAULT_HOLDINGS };
void fault_holds(enum fault_holding what, int more);

/* FAULT(...): the result of the call, or of what stands for its failure. Not a function of the arguments: they are evaluated
 * where the call is, or not at all. */
#define FAULT(type, callee_, kind_, failure, call)                                                              \
    __extension__({                                                                                             \
        static const struct fault_place fault_here = {__BASE_FILE__, __func__, callee_, kind_, __LINE__};       \
        static const struct fault_place *const fault_entry __attribute__((section("faults"), used)) = &fault_here; \
        type fault_result;                                                                                      \
        if (fault_passes(&fault_entry))                                                                         \
            fault_result = (failure);                                                                           \
        else                                                                                                    \
            fault_result = (call);                                                                              \
        fault_result;                                                                                           \
    })

/* The call is made, and what has come of it undone: where it takes references, or gives up what it was given. */
#define FAULT_UNDONE(type, callee_, kind_, undo, call)                                                          \
    __extension__({                                                                                             \
        static const struct fault_place fault_here = {__BASE_FILE__, __func__, callee_, kind_, __LINE__};       \
        static const struct fault_place *const fault_entry __attribute__((section("faults"), used)) = &fault_here; \
        type fault_result = (call);                                                                             \
        if (fault_passes(&fault_entry))                                                                         \
            fault_result = undo(fault_result);                                                                  \
        fault_result;                                                                                           \
    })

/* -1 with the errno that faults.c has been told. */
#define FAULT_ERRNO(type, name, ...) FAULT(type, #name, "errno", -1, (name)(__VA_ARGS__))
/* It fails, but has done it. */
#define FAULT_LATE(type, name, ...) FAULT_UNDONE(type, #name, "errno", fault_late, (name)(__VA_ARGS__))

static inline int __attribute__((unused))
fault_late(int result)
{
    (void)result;
    return -1;
}

#undef syscall
#define syscall(number, ...) FAULT(long, "syscall(" #number ")", "errno", -1, (syscall)(number, ##__VA_ARGS__))

#ifndef FAULTS_IN_PROGRAM

/*
 * The kernel, through libc
 */

#define open(...) FAULT_ERRNO(int, open, __VA_ARGS__)
#define read(...) FAULT_ERRNO(ssize_t, read, __VA_ARGS__)
#define readlink(...) FAULT_ERRNO(ssize_t, readlink, __VA_ARGS__)
#define fstat(...) FAULT_ERRNO(int, fstat, __VA_ARGS__)
#define lstat(...) FAULT_ERRNO(int, lstat, __VA_ARGS__)
#define lseek(...) FAULT_ERRNO(off_t, lseek, __VA_ARGS__)
#define close(...) FAULT_LATE(int, close, __VA_ARGS__)
#define mmap(...) FAULT(void *, "mmap", "errno", MAP_FAILED, fault_mapped((mmap)(__VA_ARGS__)))
#define munmap(...) (fault_holds(FAULT_MAPPING, -1), FAULT_LATE(int, munmap, __VA_ARGS__))

static inline void * __attribute__((unused))
fault_mapped(void *memory)
{
    if (memory != MAP_FAILED)
        fault_holds(FAULT_MAPPING, 1);
    return memory;
}

/*
 * libc
 */

#define dlsym(...) FAULT(void *, "dlsym", "null", NULL, (dlsym)(__VA_ARGS__))
#define pthread_atfork(...) FAULT(int, "pthread_atfork", "number", ENOMEM, (pthread_atfork)(__VA_ARGS__))
#define pthread_mutex_lock(...) (fault_holds(FAULT_LOCK, 1), (pthread_mutex_lock)(__VA_ARGS__))
#define pthread_mutex_unlock(...) (fault_holds(FAULT_LOCK, -1), (pthread_mutex_unlock)(__VA_ARGS__))

/*
 * libcap: NULL or -1 with errno
 */

#define FAULT_CAPS(type, name, ...) \
    FAULT(type, #name, "errno", NULL, __extension__({ type fault_got = (name)(__VA_ARGS__); fault_caps(fault_got); fault_got; }))

static inline void __attribute__((unused))
fault_caps(const void *memory)
{
    if (memory != NULL)
        fault_holds(FAULT_LIBCAP, 1);
}

#define cap_init() FAULT_CAPS(cap_t, cap_init, )
#define cap_get_proc() FAULT_CAPS(cap_t, cap_get_proc, )
#define cap_get_pid(...) FAULT_CAPS(cap_t, cap_get_pid, __VA_ARGS__)
#define cap_get_fd(...) FAULT_CAPS(cap_t, cap_get_fd, __VA_ARGS__)
#define cap_get_file(...) FAULT_CAPS(cap_t, cap_get_file, __VA_ARGS__)
#define cap_copy_int(...) FAULT_CAPS(cap_t, cap_copy_int, __VA_ARGS__)
#define cap_from_text(...) FAULT_CAPS(cap_t, cap_from_text, __VA_ARGS__)
#define cap_to_text(...) FAULT_CAPS(char *, cap_to_text, __VA_ARGS__)
#define cap_to_name(...) FAULT_CAPS(char *, cap_to_name, __VA_ARGS__)
#define cap_copy_ext(...) FAULT_ERRNO(ssize_t, cap_copy_ext, __VA_ARGS__)
#define cap_set_fd(...) FAULT_ERRNO(int, cap_set_fd, __VA_ARGS__)
#define cap_set_file(...) FAULT_ERRNO(int, cap_set_file, __VA_ARGS__)

#define cap_free(memory) (fault_holds(FAULT_LIBCAP, (memory) == NULL ? 0 : -1), (cap_free)(memory))

/*
 * Python: NULL, -1, or 0 for what gives a truth, with MemoryError. What makes an object is called all the same, for it takes
 * references and runs the calls in its arguments; the object is given up.
 */

static inline PyObject * __attribute__((unused))
fault_object(PyObject *object)
{
    Py_XDECREF(object);
    return PyErr_NoMemory();
}

static inline int __attribute__((unused))
fault_int(int result)
{
    PyErr_NoMemory();
    return result;
}

static inline int __attribute__((unused))
fault_steals(PyObject *object)
{
    Py_XDECREF(object);
    return fault_int(-1);
}

static inline void * __attribute__((unused))
fault_allocated(void *memory)
{
    if (memory != NULL)
        fault_holds(FAULT_MEMORY, 1);
    return memory;
}

static inline void __attribute__((unused))
fault_free(void *memory)
{
    if (memory != NULL)
        fault_holds(FAULT_MEMORY, -1);
    PyMem_Free(memory);
}

static inline int __attribute__((unused))
fault_buffer(int result)
{
    if (result == 0)
        fault_holds(FAULT_BUFFER, 1);
    return result;
}

#define FAULT_OBJECT(name, ...) FAULT_UNDONE(PyObject *, #name, "memory", fault_object, (name)(__VA_ARGS__))
#define FAULT_INT(type, name, failure, ...) FAULT(type, #name, "memory", (type)fault_int(failure), (name)(__VA_ARGS__))
#define FAULT_NULL(type, name, ...) FAULT(type, #name, "memory", (fault_int(0), (type)NULL), (name)(__VA_ARGS__))
#define FAULT_VOID(name, ...) FAULT_UNDONE(int, #name, "memory", fault_int, ((name)(__VA_ARGS__), 0))

#define PyMem_Malloc(...) FAULT(void *, "PyMem_Malloc", "null", NULL, fault_allocated((PyMem_Malloc)(__VA_ARGS__)))
#define PyMem_Calloc(...) FAULT(void *, "PyMem_Calloc", "null", NULL, fault_allocated((PyMem_Calloc)(__VA_ARGS__)))
#define PyMem_Free(memory) fault_free(memory)

#define PyByteArray_FromStringAndSize(...) FAULT_OBJECT(PyByteArray_FromStringAndSize, __VA_ARGS__)
#define PyBytes_FromStringAndSize(...) FAULT_OBJECT(PyBytes_FromStringAndSize, __VA_ARGS__)
#define PyCMethod_New(...) FAULT_OBJECT(PyCMethod_New, __VA_ARGS__)
#define PyDict_Keys(...) FAULT_OBJECT(PyDict_Keys, __VA_ARGS__)
#define PyDict_New() FAULT_OBJECT(PyDict_New, )
#define PyImport_ImportModule(...) FAULT_OBJECT(PyImport_ImportModule, __VA_ARGS__)
#define PyIter_Next(...) FAULT_OBJECT(PyIter_Next, __VA_ARGS__)
#define PyList_AsTuple(...) FAULT_OBJECT(PyList_AsTuple, __VA_ARGS__)
#define PyList_New(...) FAULT_OBJECT(PyList_New, __VA_ARGS__)
#define PyLong_FromLong(...) FAULT_OBJECT(PyLong_FromLong, __VA_ARGS__)
#define PyLong_FromUnsignedLong(...) FAULT_OBJECT(PyLong_FromUnsignedLong, __VA_ARGS__)
#define PyLong_FromUnsignedLongLong(...) FAULT_OBJECT(PyLong_FromUnsignedLongLong, __VA_ARGS__)
#define PyModule_GetNameObject(...) FAULT_OBJECT(PyModule_GetNameObject, __VA_ARGS__)
#define PyNumber_Index(...) FAULT_OBJECT(PyNumber_Index, __VA_ARGS__)
#define PyObject_GetAttr(...) FAULT_OBJECT(PyObject_GetAttr, __VA_ARGS__)
#define PyObject_GetAttrString(...) FAULT_OBJECT(PyObject_GetAttrString, __VA_ARGS__)
#define PyObject_GetIter(...) FAULT_OBJECT(PyObject_GetIter, __VA_ARGS__)
#define PyTuple_New(...) FAULT_OBJECT(PyTuple_New, __VA_ARGS__)
#define PyTuple_Pack(...) FAULT_OBJECT(PyTuple_Pack, __VA_ARGS__)
#define PyUnicode_DecodeFSDefault(...) FAULT_OBJECT(PyUnicode_DecodeFSDefault, __VA_ARGS__)
#define PyUnicode_DecodeFSDefaultAndSize(...) FAULT_OBJECT(PyUnicode_DecodeFSDefaultAndSize, __VA_ARGS__)
#define PyUnicode_DecodeLocale(...) FAULT_OBJECT(PyUnicode_DecodeLocale, __VA_ARGS__)
#define PyUnicode_EncodeFSDefault(...) FAULT_OBJECT(PyUnicode_EncodeFSDefault, __VA_ARGS__)
#define PyUnicode_FromFormat(...) FAULT_OBJECT(PyUnicode_FromFormat, __VA_ARGS__)
#define PyUnicode_FromString(...) FAULT_OBJECT(PyUnicode_FromString, __VA_ARGS__)
#define PyUnicode_FromStringAndSize(...) FAULT_OBJECT(PyUnicode_FromStringAndSize, __VA_ARGS__)
#define PyUnicode_Substring(...) FAULT_OBJECT(PyUnicode_Substring, __VA_ARGS__)

/* What is to set an exception sets another one. */
#define PyErr_Format(...) FAULT_OBJECT(PyErr_Format, __VA_ARGS__)
#define PyErr_SetFromErrno(...) FAULT_OBJECT(PyErr_SetFromErrno, __VA_ARGS__)
#define PyErr_SetObject(...) FAULT_VOID(PyErr_SetObject, __VA_ARGS__)
#define PyErr_SetString(...) FAULT_VOID(PyErr_SetString, __VA_ARGS__)

#define PyDict_Merge(...) FAULT_INT(int, PyDict_Merge, -1, __VA_ARGS__)
#define PyDict_SetItem(...) FAULT_INT(int, PyDict_SetItem, -1, __VA_ARGS__)
#define PyList_Append(...) FAULT_INT(int, PyList_Append, -1, __VA_ARGS__)
#define PyLong_AsLong(...) FAULT_INT(long, PyLong_AsLong, -1, __VA_ARGS__)
#define PyLong_AsLongAndOverflow(...) FAULT_INT(long, PyLong_AsLongAndOverflow, -1, __VA_ARGS__)
#define PyLong_AsLongLong(...) FAULT_INT(long long, PyLong_AsLongLong, -1, __VA_ARGS__)
#define PyLong_AsUnsignedLong(...) FAULT_INT(unsigned long, PyLong_AsUnsignedLong, -1, __VA_ARGS__)
#define PyLong_AsUnsignedLongLong(...) FAULT_INT(unsigned long long, PyLong_AsUnsignedLongLong, -1, __VA_ARGS__)
#define PyModule_AddObjectRef(...) FAULT_INT(int, PyModule_AddObjectRef, -1, __VA_ARGS__)
#define PyModule_AddStringConstant(...) FAULT_INT(int, PyModule_AddStringConstant, -1, __VA_ARGS__)
#define PyObject_AsFileDescriptor(...) FAULT_INT(int, PyObject_AsFileDescriptor, -1, __VA_ARGS__)
#define PyObject_IsTrue(...) FAULT_INT(int, PyObject_IsTrue, -1, __VA_ARGS__)
#define PyUnicode_FSConverter(...) FAULT_INT(int, PyUnicode_FSConverter, 0, __VA_ARGS__)
#define PyUnicode_FindChar(...) FAULT_INT(Py_ssize_t, PyUnicode_FindChar, -2, __VA_ARGS__)

#define PyModuleDef_Init(...) FAULT_NULL(PyObject *, PyModuleDef_Init, __VA_ARGS__)
#define PyUnicode_AsUTF8AndSize(...) FAULT_NULL(const char *, PyUnicode_AsUTF8AndSize, __VA_ARGS__)

#define PyList_SetItem(list, place, item) \
    FAULT(int, "PyList_SetItem", "memory", fault_steals(item), (PyList_SetItem)(list, place, item))
#define PyTuple_SetItem(tuple, place, item) \
    FAULT(int, "PyTuple_SetItem", "memory", fault_steals(item), (PyTuple_SetItem)(tuple, place, item))

#define PyObject_GetBuffer(...) \
    FAULT(int, "PyObject_GetBuffer", "memory", fault_int(-1), fault_buffer((PyObject_GetBuffer)(__VA_ARGS__)))
#define PyBuffer_Release(buffer) (fault_holds(FAULT_BUFFER, -1), (PyBuffer_Release)(buffer))

/* Python's headers have macros for these, to say that a length is a Py_ssize_t. */
static __typeof__(Py_BuildValue) *const fault_build __attribute__((unused)) = Py_BuildValue;
static __typeof__(PyObject_CallFunction) *const fault_call __attribute__((unused)) = PyObject_CallFunction;
static __typeof__(PyObject_CallMethod) *const fault_call_method __attribute__((unused)) = PyObject_CallMethod;
static __typeof__(PyArg_ParseTuple) *const fault_parse __attribute__((unused)) = PyArg_ParseTuple;
static __typeof__(PyArg_ParseTupleAndKeywords) *const fault_parse_all __attribute__((unused)) = PyArg_ParseTupleAndKeywords;
#undef Py_BuildValue
#undef PyObject_CallFunction
#undef PyObject_CallMethod
#undef PyArg_ParseTuple
#undef PyArg_ParseTupleAndKeywords
#define FAULT_NAMED(name, function, ...) FAULT_UNDONE(PyObject *, #name, "memory", fault_object, function(__VA_ARGS__))
#define Py_BuildValue(...) FAULT_NAMED(Py_BuildValue, fault_build, __VA_ARGS__)
#define PyObject_CallFunction(...) FAULT_NAMED(PyObject_CallFunction, fault_call, __VA_ARGS__)
#define PyObject_CallMethod(...) FAULT_NAMED(PyObject_CallMethod, fault_call_method, __VA_ARGS__)
#define PyArg_ParseTuple(...) FAULT(int, "PyArg_ParseTuple", "memory", fault_int(0), fault_parse(__VA_ARGS__))
#define PyArg_ParseTupleAndKeywords(...) \
    FAULT(int, "PyArg_ParseTupleAndKeywords", "memory", fault_int(0), fault_parse_all(__VA_ARGS__))

/*
 * What the sources declare or define themselves: FAULT_IS_ makes of the type that their first parameter begins with one
 * argument more, and the third is then the declaration as it stands.
 */

#define FAULT_IS_int ,
#define FAULT_IS_cap_t ,
#define FAULT_THIRD(first, second, third, ...) third
#define FAULT_PICK(...) FAULT_THIRD(__VA_ARGS__)
#define FAULT_UNLESS_DECLARED(first, declaration, call) FAULT_PICK(FAULT_IS_##first, declaration, call, )

#define prctl_call(first, ...) \
    FAULT_UNLESS_DECLARED(first, prctl_call(first, __VA_ARGS__), FAULT_ERRNO(long, prctl_call, first, __VA_ARGS__))
#define cap_set_nsowner(first, ...) \
    FAULT_UNLESS_DECLARED(first, cap_set_nsowner(first, __VA_ARGS__), FAULT_ERRNO(int, cap_set_nsowner, first, __VA_ARGS__))

#endif
#endif
