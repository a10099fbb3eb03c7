"""Whether the table of faults.h has every function of others that the sources call."""

import re
import subprocess

import building

# Those that cannot fail, or whose failure nobody can tell from an answer.
CANNOT_FAIL = {
    "take and give what is there": """PyEval_RestoreThread PyEval_SaveThread PyBuffer_Release
        PyErr_Clear PyErr_ExceptionMatches PyErr_Occurred PyErr_NoMemory PyMem_Free _Py_Dealloc
        PyModule_GetDict PyType_GetFlags PyIndex_Check PyObject_CheckBuffer PyBool_FromLong
        _Py_IncRef _Py_DecRef Py_IncRef Py_DecRef _Py_NewRef Py_GetConstantBorrowed""",
    "answer 0 for a failure": "PyObject_HasAttrString",
    "fail for an object of another type, or an item that is not there": """PyByteArray_AsString
        PyByteArray_Size PyBytes_AsString PyBytes_Size PyList_GetItem PyList_Size PyTuple_GetItem
        PyTuple_Size PyUnicode_GetLength PyUnicode_CompareWithASCIIString""",
    "only read and write memory": """memchr memcmp memcpy memset strchr strcmp strcpy strerror
        strlen strncmp strnlen strrchr strstr atoi strtol strtoull __isoc23_strtol
        __isoc23_strtoull __ctype_tolower_loc tolower PyOS_snprintf __errno_location
        __libc_current_sigrtmax __tls_get_addr __stack_chk_fail memmove __memcpy_chk""",
    "have no error, as they are called here": """getpid getppid getuid sysconf sbrk pthread_once
        clock_gettime pthread_mutex_lock pthread_mutex_unlock""",
    "frees what libcap has allocated": "cap_free",
}
OWN = re.compile(r"fault_|__sanitizer_cov_trace_pc|__start_faults|_GLOBAL_OFFSET_TABLE_|Py_Version")
DATA = re.compile(r"PyExc_|_Py_(None|True|False)Struct|Py[A-Za-z]+_Type$|environ$")


def unknown_calls(objects):
    """A sentence for each function that is neither in the table nor known not to fail."""
    table = (building.HERE / "faults.h").read_text()
    known = set(re.findall(r"^#define (\w+)\(", table, re.MULTILINE))
    known |= {name for names in CANNOT_FAIL.values() for name in names.split()}
    needed, made = set(), set()
    for file in objects:
        listed = subprocess.run(["nm", file], capture_output=True, text=True, check=True).stdout
        for line in listed.splitlines():
            kind, name = line.split()[-2:]
            (needed if kind in "Uw" else made).add(name)
    for name in sorted(needed - made):
        if not (_plain(name) in known or OWN.match(name) or DATA.match(name)):
            yield f"neither in faults.h nor among those that cannot fail: {name}()"


def _plain(name):
    """As the sources have it: open64() is open(), and Python's headers rename five functions."""
    name = re.sub(r"^_(Py\w+)_SizeT$", r"\1", name)
    return re.sub(r"(?<=[a-z])64$", "", name)
