/*
 * The memory of the process as the kernel describes it: the map, names of mappings, the auxiliary vector.
 */
#include "prctlmodule.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From proc_pid_stat(5) and brk(2): nothing else tells it all without privilege. Returns the state, or -1 with errno. */
static int
read_stat(const char *path, struct mm_map *map)
{
    char stat[2048];
    ssize_t length = read_file(path, stat, sizeof stat - 1);
    uint64_t field[53] = {0};
    char *next, state;

    if (length < 0)
        return -1;
    stat[length] = '\0';
    next = strrchr(stat, ')'); /* the name may hold blanks and parentheses itself */
    if (next == NULL || strlen(next) < 4) {
        errno = EPROTO;
        return -1;
    }
    state = next[2]; /* field 3 */
    next += 3;
    for (int number = 4; number <= 52; number++) {
        char *end;
        field[number] = strtoull(next, &end, 10);
        if (end == next) {
            errno = EPROTO;
            return -1;
        }
        next = end;
    }
    *map = (struct mm_map){
        .start_code = field[26],
        .end_code = field[27],
        .start_stack = field[28],
        .start_data = field[45],
        .end_data = field[46],
        .start_brk = field[47],
        .brk = (unsigned long)syscall(SYS_brk, 0),
        .arg_start = field[48],
        .arg_end = field[49],
        .env_start = field[50],
        .env_end = field[51],
        .exe_fd = UINT32_MAX, /* leave the executable alone */
    };
    return state;
}

int
mm_map_read(struct mm_map *map)
{
    int state = read_stat("/proc/self/stat", map);

    /* A main thread that has ended has no memory to show. Nor does an emulator's: then the other file is about the emulator. */
    if (state == 'Z')
        state = read_stat("/proc/thread-self/stat", map);
    return state < 0 ? -1 : 0;
}

int
mm_map_write(const struct mm_map *map)
{
    return zero_or_error(prctl_call(PR_SET_MM, (unsigned long[4]){PR_SET_MM_MAP, (unsigned long)map, sizeof *map}));
}

/*
 * PR_SET_MM, field by field
 */

static PyObject *
set_mm_auxv(const struct function *function, PyObject *bytes)
{
    unsigned long a[4] = {PR_SET_MM_AUXV};
    Py_buffer buffer;
    PyObject *result = NULL;

    if (PyObject_GetBuffer(bytes, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    a[1] = (unsigned long)buffer.buf;
    a[2] = (unsigned long)buffer.len;
    if (audit_prctl(PR_SET_MM, a, (PyObject *[4]){NULL, bytes}) >= 0)
        result = prctl_call(PR_SET_MM, a) < 0 ? refused(function) : Py_NewRef(Py_None);
    PyBuffer_Release(&buffer);
    return result;
}

PyObject *
set_mm(const struct function *function, PyObject *Py_UNUSED(module), PyObject *const *arguments)
{
    unsigned long value;
    long field;

    if (signed_get(arguments[0], "field", &field) < 0)
        return NULL;
    if (field == PR_SET_MM_AUXV)
        return set_mm_auxv(function, arguments[1]);
    if (field == PR_SET_MM_EXE_FILE) {
        int descriptor = PyObject_AsFileDescriptor(arguments[1]);
        if (descriptor < 0)
            return NULL;
        value = (unsigned long)descriptor;
    } else if (field < PR_SET_MM_START_CODE || field > PR_SET_MM_ENV_END) {
        return PyErr_Format(PyExc_ValueError, "field must be SET_MM_START_CODE to SET_MM_EXE_FILE, not %ld", field);
    } else if (unsigned_get(arguments[1], "value", &value) < 0) {
        return NULL;
    }
    if (audit_prctl(PR_SET_MM, (unsigned long[4]){(unsigned long)field, value}, NULL) < 0)
        return NULL;
    if (prctl_call(PR_SET_MM, (unsigned long[4]){(unsigned long)field, value}) < 0)
        return refused(function);
    Py_RETURN_NONE;
}

/*
 * PR_SET_MM_MAP. The fields of the named tuple are those of the kernel's structure.
 */

enum { ADDRESSES = 11, AUXV = 11, AUXV_SIZE, EXE_FD, FIELDS };

static const char *const field_names[FIELDS] = {
    "start_code", "end_code", "start_data", "end_data", "start_brk", "brk",       "start_stack",
    "arg_start",  "arg_end",  "env_start",  "env_end",  "auxv",      "auxv_size", "exe_fd",
};

/* The class of the named tuple is made at the first call and kept by the module: another thread's, if that was first. */
static PyObject *
map_class(PyObject *module)
{
    PyObject *collections, *class, *names, *kept;

    class = PyObject_GetAttrString(module, "_mm_map");
    if (class != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError))
        return class;
    PyErr_Clear();
    collections = PyImport_ImportModule("collections");
    if (collections == NULL)
        return NULL;
    names = PyTuple_New(FIELDS);
    for (int i = 0; names != NULL && i < FIELDS; i++) {
        PyObject *name = PyUnicode_FromString(field_names[i]);
        if (name == NULL || PyTuple_SetItem(names, i, name) < 0)
            Py_CLEAR(names);
    }
    class = names == NULL ? NULL : PyObject_CallMethod(collections, "namedtuple", "sO", "mm_map", names);
    Py_XDECREF(names);
    Py_DECREF(collections);
    kept = class == NULL ? NULL : PyObject_CallMethod(PyModule_GetDict(module), "setdefault", "sO", "_mm_map", class);
    Py_XDECREF(class);
    return kept;
}

PyObject *
get_mm_map(const struct function *Py_UNUSED(function), PyObject *module, PyObject *const *Py_UNUSED(arguments))
{
    PyObject *class, *result;
    struct mm_map map;

    if (mm_map_read(&map) < 0)
        return raise_errno(errno, "/proc/self/stat");
    class = map_class(module);
    if (class == NULL)
        return NULL;
    result = PyObject_CallFunction(class, "KKKKKKKKKKKKIi", map.start_code, map.end_code, map.start_data, map.end_data,
                                   map.start_brk, map.brk, map.start_stack, map.arg_start, map.arg_end, map.env_start,
                                   map.env_end, map.auxv, map.auxv_size, (int)map.exe_fd);
    Py_DECREF(class);
    return result;
}

/* An unsigned field of at most limit. */
static int
field_get(PyObject *tuple, int field, unsigned long long limit, uint64_t *value)
{
    PyObject *integer = integer_get(PyTuple_GetItem(tuple, field), field_names[field]);

    if (integer == NULL)
        return -1;
    *value = PyLong_AsUnsignedLongLong(integer);
    Py_DECREF(integer);
    if (!PyErr_Occurred() && *value <= limit)
        return 0;
    if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_OverflowError))
        overflow(field_names[field], limit == UINT32_MAX ? "32 bits" : "64 bits");
    return -1;
}

/* A descriptor, or -1: the executable stays. */
static int
exe_fd_get(PyObject *object, uint32_t *descriptor)
{
    long number;

    if (signed_get(object, "exe_fd", &number) < 0)
        return -1;
    if (number > INT_MAX)
        return overflow("exe_fd", "an int"), -1;
    if (number < -1) {
        PyErr_Format(PyExc_ValueError, "exe_fd must be a descriptor or -1, not %ld", number);
        return -1;
    }
    *descriptor = (uint32_t)number;
    return 0;
}

/* auxv may be bytes-like; buffer is filled then, for the caller to release. */
static int
map_from_tuple(PyObject *tuple, struct mm_map *map, Py_buffer *buffer)
{
    uint64_t address[ADDRESSES], size;
    PyObject *auxv = PyTuple_GetItem(tuple, AUXV);

    for (int i = 0; i < ADDRESSES; i++)
        if (field_get(tuple, i, UINT64_MAX, &address[i]) < 0)
            return -1;
    memcpy(map, address, sizeof address); /* they come first, in the same order */
    if (field_get(tuple, AUXV_SIZE, UINT32_MAX, &size) < 0 || exe_fd_get(PyTuple_GetItem(tuple, EXE_FD), &map->exe_fd) < 0)
        return -1;
    map->auxv_size = (uint32_t)size;
    if (!PyObject_CheckBuffer(auxv))
        return field_get(tuple, AUXV, UINT64_MAX, &map->auxv);
    if (PyObject_GetBuffer(auxv, buffer, PyBUF_SIMPLE) < 0)
        return -1;
    map->auxv = (unsigned long)buffer->buf;
    if (size <= (size_t)buffer->len)
        return 0;
    PyErr_Format(PyExc_ValueError, "auxv_size is beyond the %zd bytes of auxv", buffer->len);
    return -1;
}

PyObject *
set_mm_map(const struct function *function, PyObject *Py_UNUSED(module), PyObject *const *arguments)
{
    const unsigned long a[4] = {PR_SET_MM_MAP, 0, sizeof(struct mm_map)};
    struct mm_map map = {0};
    Py_buffer buffer = {0};
    int result = -1;

    if (!PyTuple_Check(arguments[0]) || PyTuple_Size(arguments[0]) != FIELDS)
        return PyErr_Format(PyExc_TypeError, "map must be a tuple as get_mm_map() gives, not %R",
                            (PyObject *)Py_TYPE(arguments[0]));
    if (map_from_tuple(arguments[0], &map, &buffer) == 0 && audit_prctl(PR_SET_MM, a, (PyObject *[4]){NULL, arguments[0]}) >= 0) {
        result = mm_map_write(&map);
        if (result < 0 && map.exe_fd != UINT32_MAX)
            refused(function);
        else if (result < 0)
            raise_errno(errno, NULL); /* the rest needs no privilege */
    }
    if (buffer.obj != NULL)
        PyBuffer_Release(&buffer);
    if (result < 0)
        return NULL;
    Py_RETURN_NONE;
}

/*
 * PR_SET_VMA_ANON_NAME
 */

/* The kernel keeps 80 bytes with the NUL, and refuses the same characters. */
static int
vma_name_get(PyObject *object, struct text *text)
{
    enum { MOST = 79 };

    if (text_get(object, "name", MOST + 1, text) < 0)
        return -1;
    for (size_t i = 0; i < text->length && i <= MOST; i++) {
        unsigned char c = (unsigned char)text->bytes[i];
        if (i < MOST && c > 0x1f && c < 0x7f && strchr("[]\\$`", c) == NULL)
            continue;
        PyErr_SetString(PyExc_ValueError, "name must be at most 79 printable ASCII characters, none of [ ] \\ $ and backtick");
        text_release(text);
        return -1;
    }
    return 0;
}

/* address and length as two integers, or as one buffer: then its memory, or as much of it as length says. */
static int
area_get(PyObject *address, PyObject *length, Py_buffer *buffer, unsigned long area[2])
{
    if (!PyObject_CheckBuffer(address)) {
        if (length == NULL)
            return PyErr_SetString(PyExc_TypeError, "set_vma_anon_name() missing required argument 'length'"), -1;
        return unsigned_get(address, "address", &area[0]) < 0 ? -1 : unsigned_get(length, "length", &area[1]);
    }
    if (writable_get(address, "address", buffer) < 0)
        return -1;
    area[0] = (unsigned long)buffer->buf;
    area[1] = (unsigned long)buffer->len;
    if (length == NULL)
        return 0;
    if (unsigned_get(length, "length", &area[1]) < 0)
        return -1;
    if (area[1] > (unsigned long)buffer->len) {
        PyErr_Format(PyExc_ValueError, "length is beyond the %zd bytes of the buffer", buffer->len);
        return -1;
    }
    return 0;
}

PyObject *
set_vma_anon_name(const struct function *function, PyObject *Py_UNUSED(module), PyObject *const *arguments)
{
    /* set_vma_anon_name(buffer, name) has its name in the second place. */
    int is_short = arguments[2] == NULL && PyObject_CheckBuffer(arguments[0]);
    PyObject *name = arguments[is_short ? 1 : 2];
    struct text text = {0};
    Py_buffer buffer = {0};
    unsigned long area[2];
    char copy[80] = "";
    PyObject *result = NULL;

    if (name == NULL)
        return PyErr_Format(PyExc_TypeError, "set_vma_anon_name() missing required argument 'name'");
    if (name != Py_None) {
        if (vma_name_get(name, &text) < 0)
            return NULL;
        memcpy(copy, text.bytes, text.length);
        text_release(&text);
    }
    if (area_get(arguments[0], is_short ? NULL : arguments[1], &buffer, area) == 0) {
        unsigned long a[4] = {PR_SET_VMA_ANON_NAME, area[0], area[1], name == Py_None ? 0 : (unsigned long)copy};
        PyObject *shown = name == Py_None ? NULL : name;
        if (audit_prctl(PR_SET_VMA, a, (PyObject *[4]){NULL, buffer.obj, NULL, shown}) >= 0)
            result = prctl_call(PR_SET_VMA, a) < 0 ? refused(function) : Py_NewRef(Py_None);
    }
    if (buffer.obj != NULL)
        PyBuffer_Release(&buffer);
    return result;
}

/*
 * PR_GET_AUXV
 */

PyObject *
get_auxv(const struct function *function, PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(arguments))
{
    unsigned long vector[512]; /* kernels have some 50 */
    PyObject *dict;

    /* The kernel answers the length of its whole array, and fills it with AT_NULL (0) behind the last entry. */
    if (prctl_call(PR_GET_AUXV, (unsigned long[4]){(unsigned long)vector, sizeof vector}) < 0)
        return refused(function);
    vector[COUNT(vector) - 2] = 0;
    dict = PyDict_New();
    for (size_t i = 0; dict != NULL && vector[i] != 0; i += 2) {
        PyObject *key = PyLong_FromUnsignedLong(vector[i]);
        PyObject *value = PyLong_FromUnsignedLong(vector[i + 1]);
        if (key == NULL || value == NULL || PyDict_SetItem(dict, key, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}
