/*
 * The process title: what ps shows and /proc/PID/cmdline holds.
 *
 * The kernel reads the command line from [arg_start, arg_end) of the process's memory map, and when the byte before arg_end
 * is not NUL it answers the string at arg_start up to its first NUL instead. So the first call maps an area of our own and
 * moves arg_start and arg_end there; every later call is a copy. The original argv and the environment are never touched,
 * unless the kernel refuses both ways of moving: then argv itself is overwritten.
 */
#include "prctlmodule.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel shows a page of the title, whatever the size of a page: the least there is leaves 4095 bytes and the NUL. */
#define TITLE_MAX 4095

/* Where the title lives; under process_lock(). */
static struct {
    char *area;       /* NULL until the first call */
    size_t capacity;  /* the longest title */
    char *marker;     /* the byte before arg_end */
    int marker_may_be_nul; /* argv is the area: the longest title ends in the marker's place */
    int is_set;       /* there is a title in the area */
} title;

/* The original argv as one piece of memory: the strings that follow each other without a gap. */
static struct {
    char *start, *end;
} argv_area;

#ifdef __GLIBC__
/* glibc hands a constructor the program's own argc and argv, a dlopened library's too; musl does not. */
__attribute__((constructor)) static void
remember_argv(int argc, char **argv, char **Py_UNUSED(envp))
{
    if (argv[0] == NULL) /* a program without arguments, or one that has changed them */
        return;
    argv_area.start = argv_area.end = argv[0];
    for (int i = 0; i < argc && argv[i] == argv_area.end; i++)
        argv_area.end += strlen(argv[i]) + 1;
}
#endif

static int
set_field(unsigned long field, unsigned long value)
{
    return zero_or_error(prctl_call(PR_SET_MM, (unsigned long[4]){field, value}));
}

/* The whole map at once (Linux 3.18 with CONFIG_CHECKPOINT_RESTORE): needs no privilege. */
static int
move_with_map(struct mm_map map, unsigned long start, unsigned long end)
{
    map.arg_start = start;
    map.arg_end = end;
    if (mm_map_write(&map) < 0)
        return -1;
    /* A thread that could not be held may have moved the break since it was read. libc knows where it is: tell the kernel again.
     * Should that fail, the heap no longer grows by brk, and malloc goes on with mmap. */
    if (!threads_stand_still() && map.brk != (unsigned long)sbrk(0)) {
        map.brk = (unsigned long)sbrk(0);
        (void)mm_map_write(&map);
    }
    return 0;
}

/* One end after the other: needs CAP_SYS_RESOURCE. arg_start must never be behind arg_end, so the order matters. */
static int
move_by_field(const struct mm_map *map, unsigned long start, unsigned long end)
{
    int up = start > map->arg_end;
    unsigned long first = up ? PR_SET_MM_ARG_END : PR_SET_MM_ARG_START;
    unsigned long second = up ? PR_SET_MM_ARG_START : PR_SET_MM_ARG_END;

    if (set_field(first, up ? end : start) < 0)
        return -1;
    if (set_field(second, up ? start : end) < 0) {
        int error = errno;
        (void)set_field(first, (unsigned long)(up ? map->arg_end : map->arg_start));
        errno = error;
        return -1;
    }
    return 0;
}

/* Where [arg_start, arg_end) is to be. */
struct place {
    unsigned long start, end;
    int kernel_takes_maps;
};

/* Returns 0 or an errno. */
static int
move(void *argument)
{
    const struct place *to = argument;
    struct mm_map map;

    if (mm_map_read(&map) < 0)
        return errno;
    if (to->kernel_takes_maps && move_with_map(map, to->start, to->end) == 0)
        return 0;
    return move_by_field(&map, to->start, to->end) < 0 ? errno : 0;
}

/* Whether the whole map can be set: if not, the other threads need not stand still, as those of an emulator's own never do. */
static int
kernel_takes_maps(void)
{
    unsigned int size;

    return prctl_call(PR_SET_MM, (unsigned long[4]){PR_SET_MM_MAP_SIZE, (unsigned long)&size}) == 0;
}

/* An area of our own: a page for the title, then the byte before arg_end. */
static int
use_own_area(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *area = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct place to = {(unsigned long)area, (unsigned long)(area + page + 1), kernel_takes_maps()};
    int error;

    if (area == MAP_FAILED)
        return -1;
    area[page] = '.';
    error = to.kernel_takes_maps ? threads_hold_still(move, &to) : move(&to);
    if (error) {
        (void)munmap(area, 2 * page);
        errno = error;
        return -1;
    }
    title.area = area;
    title.capacity = TITLE_MAX;
    title.marker = area + page;
    return 0;
}

/* The last way: overwrite the original argv. Where libc does not tell where it is, the kernel's numbers are taken. */
static int
use_argv(void)
{
    if (argv_area.start == NULL) {
        struct mm_map map;
        if (mm_map_read(&map) < 0)
            return -1;
        argv_area.start = (char *)(uintptr_t)map.arg_start;
        argv_area.end = (char *)(uintptr_t)map.arg_end;
    }
    if (argv_area.end - argv_area.start < 2) {
        errno = ENOTSUP;
        return -1;
    }
    title.area = argv_area.start;
    title.capacity = (size_t)(argv_area.end - argv_area.start) - 1;
    if (title.capacity > TITLE_MAX) /* others may write there, too */
        title.capacity = TITLE_MAX;
    title.marker = argv_area.end - 1;
    title.marker_may_be_nul = 1;
    return 0;
}

/* How long a title may be: finds a place for it at the first call. 0 with errno when there is none. */
static size_t
title_capacity(void)
{
    if (title.area == NULL && use_own_area() < 0 && use_argv() < 0)
        return 0;
    return title.capacity;
}

static void
title_copy(const struct text *text)
{
    memcpy(title.area, text->bytes, text->length);
    title.area[text->length] = '\0';
    title.is_set = 1;
    /* When argv is the area, the kernel must not show what is left of the arguments behind the title. */
    if (title.marker_may_be_nul && title.area + text->length < title.marker)
        *title.marker = '.';
}

PyDoc_STRVAR(set_proctitle_doc,
"set_proctitle(title, /)\n--\n\n"
"Set the title of the process: what ``ps aux``, ``top -c`` and ``/proc/PID/cmdline`` show.\n"
"\n"
"*title* is a str or bytes, at most 4095 bytes long; a longer one is cut, a str\n"
"between characters. The empty title is allowed. ``sys.argv``, the environment and\n"
"the C argv stay as they are. No privilege is needed. The first call moves the\n"
"command line in the kernel's map of the process (PR_SET_MM_MAP, Linux 3.18 with\n"
"CONFIG_CHECKPOINT_RESTORE); later calls make no system call. Where the kernel\n"
"refuses that, PR_SET_MM_ARG_START is tried (CAP_SYS_RESOURCE), and then argv itself\n"
"is overwritten, and the title cut to its length.\n"
"\n"
"TypeError for other types, ValueError for an embedded NUL, OSError when there is no\n"
"way to set a title; the old title then stands.\n"
"\n"
"Scope: the whole process; a forked child starts with its parent's title. See\n"
"proc_pid_cmdline(5) and PR_SET_MM in prctl(2).");

static PyObject *
title_arguments(void *title_given)
{
    return PyTuple_Pack(1, (PyObject *)title_given);
}

static PyObject *
set_proctitle(PyObject *Py_UNUSED(module), PyObject *object)
{
    struct text text;
    size_t capacity;
    int error;

    if (text_get(object, "title", TITLE_MAX, &text) < 0)
        return NULL;
    if (audit("prctl.set_proctitle", title_arguments, object) < 0)
        return text_release(&text), NULL;
    process_lock();
    capacity = title_capacity();
    error = errno;
    if (capacity > 0 && text.length <= capacity)
        title_copy(&text);
    process_unlock();
    if (capacity == 0)
        return text_release(&text), raise_errno(error, "neither can arg_start be moved nor argv be found");
    if (text.length > capacity) { /* argv is shorter than the title: cut again, between characters */
        text_release(&text);
        if (text_get(object, "title", capacity, &text) < 0)
            return NULL;
        process_lock();
        title_copy(&text);
        process_unlock();
    }
    text_release(&text);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(get_proctitle_doc,
"get_proctitle()\n--\n\n"
"Return the title of the process as a str (``os.fsdecode``).\n"
"\n"
"It is what set_proctitle() set, or else the original command line with a space\n"
"between the arguments. OSError when no title is set and /proc cannot be read (musl).\n"
"\n"
"Scope: the whole process. See proc_pid_cmdline(5).");

/* The command line as the kernel has it, the arguments ending in NUL each. A bytearray, or NULL with an exception. */
static PyObject *
read_cmdline(void)
{
    size_t size = 4096;

    for (;;) {
        char *buffer = PyMem_Malloc(size);
        PyObject *result;
        ssize_t length;
        int error;

        if (buffer == NULL)
            return PyErr_NoMemory();
        length = read_file("/proc/self/cmdline", buffer, size);
        error = errno;
        if (length >= 0 && (size_t)length < size) {
            result = PyByteArray_FromStringAndSize(buffer, (Py_ssize_t)length);
            PyMem_Free(buffer);
            return result;
        }
        PyMem_Free(buffer);
        if (length < 0 && argv_area.start != NULL)
            return PyByteArray_FromStringAndSize(argv_area.start, argv_area.end - argv_area.start);
        if (length < 0)
            return raise_errno(error, "/proc/self/cmdline");
        size *= 2;
    }
}

/* Join NUL-terminated arguments with spaces. Steals cmdline. */
static PyObject *
join_arguments(PyObject *cmdline)
{
    PyObject *result;
    char *bytes;
    Py_ssize_t length;

    if (cmdline == NULL)
        return NULL;
    bytes = PyByteArray_AsString(cmdline);
    length = PyByteArray_Size(cmdline);
    if (length > 0 && bytes[length - 1] == '\0')
        length--;
    for (Py_ssize_t i = 0; i < length; i++)
        if (bytes[i] == '\0')
            bytes[i] = ' ';
    result = PyUnicode_DecodeFSDefaultAndSize(bytes, length);
    Py_DECREF(cmdline);
    return result;
}

static PyObject *
get_proctitle(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    char copy[TITLE_MAX];
    size_t length = 0;
    int is_set;

    process_lock();
    is_set = title.is_set;
    if (is_set) {
        length = strnlen(title.area, title.capacity);
        memcpy(copy, title.area, length);
    }
    process_unlock();
    if (is_set)
        return PyUnicode_DecodeFSDefaultAndSize(copy, (Py_ssize_t)length);
    return join_arguments(read_cmdline());
}

PyMethodDef proctitle_methods[] = {
    {"set_proctitle", set_proctitle, METH_O, set_proctitle_doc},
    {"get_proctitle", get_proctitle, METH_NOARGS, get_proctitle_doc},
    {NULL, NULL, 0, NULL},
};
