/* The least that an extension can be: half of what the import of prctl is measured against. */
#include <Python.h>

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_empty"};

PyMODINIT_FUNC
PyInit__empty(void)
{
    return PyModuleDef_Init(&definition);
}
