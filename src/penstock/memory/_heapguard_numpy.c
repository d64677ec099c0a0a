/* NumPy's arrays: a data-memory handler (NEP 49) that counts, and refuses what would pass the off-heap budget.
 *
 * Built without NumPy's headers: the two functions used and the handler's layout are part of NumPy's stable binary
 * interface since 1.22, and the table that holds them is found at run time. The handler wraps the one it replaces, so
 * NumPy's own block cache and huge-page advice stay in force. Blocks are counted by what malloc gave for them: NumPy's
 * realloc does not tell the old size.
 */
#include "_heapguard.h"

#include <malloc.h>
#include <string.h>

/* Positions in NumPy's table of C functions (numpy/__multiarray_api.h), and the first feature version that has them. */
enum { API_FEATURE_VERSION = 211, API_SET_HANDLER = 304, API_GET_HANDLER = 305, FEATURE_VERSION_NEP49 = 0x0f };

#define CAPSULE_NAME "mem_handler"

typedef struct {
    void *ctx;
    void *(*malloc)(void *ctx, size_t size);
    void *(*calloc)(void *ctx, size_t nelem, size_t elsize);
    void *(*realloc)(void *ctx, void *ptr, size_t new_size);
    void (*free)(void *ctx, void *ptr, size_t size);
} data_allocator;

typedef struct {
    char name[127];
    uint8_t version;
    data_allocator allocator;
} data_handler;

static void **numpy_api;
static PyObject *guarding_capsule; /* owned for the life of the process: arrays keep using it */
static PyObject *wrapped_capsule;  /* likewise: it owns `wrapped` */
static data_handler *wrapped;

static _Atomic int64_t array_bytes;
static _Atomic int64_t array_bytes_peak;
static _Atomic int64_t array_bytes_limit = INT64_MAX;
static _Atomic int64_t refusals;

static bool refused(size_t size) {
    if (likely(size < (size_t)INT64_MAX && relaxed_load(&array_bytes) <= relaxed_load(&array_bytes_limit) - (int64_t)size)) {
        return false;
    }
    if (marks.exempt) {
        return false;
    }
    relaxed_add(&refusals, 1);
    note_incident(INCIDENT_ARRAY, relaxed_load(&array_bytes), (int64_t)size);
    return true;
}

static void *counted(void *block) {
    if (block != NULL) {
        int64_t size = (int64_t)malloc_usable_size(block);
        raise_mark(&array_bytes_peak, relaxed_add(&array_bytes, size) + size);
    }
    return block;
}

static void *array_malloc(void *ctx, size_t size) {
    return refused(size) ? NULL : counted(wrapped->allocator.malloc(ctx, size));
}

static void *array_calloc(void *ctx, size_t nelem, size_t elsize) {
    size_t size;
    if (__builtin_mul_overflow(nelem, elsize, &size) || refused(size)) {
        return NULL;
    }
    return counted(wrapped->allocator.calloc(ctx, nelem, elsize));
}

static void *array_realloc(void *ctx, void *block, size_t size) {
    size_t before = block == NULL ? 0 : malloc_usable_size(block);
    if (size > before && refused(size - before)) {
        return NULL;
    }
    void *moved = wrapped->allocator.realloc(ctx, block, size);
    if (moved != NULL) {
        relaxed_sub(&array_bytes, (int64_t)before);
        counted(moved);
    }
    return moved;
}

static void array_free(void *ctx, void *block, size_t size) {
    if (block != NULL) {
        relaxed_sub(&array_bytes, (int64_t)malloc_usable_size(block));
    }
    wrapped->allocator.free(ctx, block, size);
}

static data_handler guarding = {"penstock", 1, {NULL, array_malloc, array_calloc, array_realloc, array_free}};

static PyObject *get_handler(void) {
    return ((PyObject * (*)(void)) numpy_api[API_GET_HANDLER])();
}

static PyObject *set_handler(PyObject *capsule) {
    return ((PyObject * (*)(PyObject *)) numpy_api[API_SET_HANDLER])(capsule);
}

/* numpy_bind(capsule): learns where NumPy is. Raises when it is too old, or its handler is not one that can be wrapped. */
static PyObject *numpy_bind(PyObject *module, PyObject *array_api) {
    (void)module;
    if (guarding_capsule != NULL) {
        Py_RETURN_NONE;
    }
    void **api = PyCapsule_GetPointer(array_api, NULL);
    if (api == NULL) {
        return NULL;
    }
    unsigned int feature_version = ((unsigned int (*)(void))api[API_FEATURE_VERSION])();
    if (feature_version < FEATURE_VERSION_NEP49) {
        PyErr_SetString(PyExc_NotImplementedError, "NumPy before 1.22 has no data-memory handlers");
        return NULL;
    }
    numpy_api = api;
    PyObject *current = get_handler();
    if (current == NULL) {
        return NULL;
    }
    data_handler *handler = PyCapsule_GetPointer(current, CAPSULE_NAME);
    if (handler == NULL) {
        Py_DECREF(current);
        return NULL;
    }
    if (handler->version != 1) {
        Py_DECREF(current);
        PyErr_SetString(PyExc_NotImplementedError, "NumPy's data-memory handler has an unknown version");
        return NULL;
    }
    void *probe = handler->allocator.malloc(handler->allocator.ctx, 4000);
    size_t usable = probe == NULL ? 0 : malloc_usable_size(probe);
    if (probe != NULL) {
        handler->allocator.free(handler->allocator.ctx, probe, 4000);
    }
    if (usable < 4000 || usable > 8192) {
        Py_DECREF(current);
        PyErr_SetString(PyExc_NotImplementedError, "NumPy's present data-memory handler does not use malloc");
        return NULL;
    }
    wrapped_capsule = current;
    wrapped = handler;
    guarding.allocator.ctx = handler->allocator.ctx;
    guarding_capsule = PyCapsule_New(&guarding, CAPSULE_NAME, NULL);
    if (guarding_capsule == NULL) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Sets `capsule` in this thread's context if the present handler is `expected`; a handler someone else set is left alone. */
static PyObject *exchange(data_handler *expected, PyObject *capsule) {
    PyObject *current = get_handler();
    if (current == NULL) {
        return NULL;
    }
    bool is_expected = PyCapsule_GetPointer(current, CAPSULE_NAME) == (void *)expected;
    Py_DECREF(current);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (is_expected) {
        PyObject *previous = set_handler(capsule);
        if (previous == NULL) {
            return NULL;
        }
        Py_DECREF(previous);
    }
    return PyBool_FromLong(is_expected);
}

/* numpy_install(): the handler is a context variable, so this is for the calling thread (and what copies its context). */
static PyObject *numpy_install(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (guarding_capsule == NULL) {
        Py_RETURN_FALSE;
    }
    return exchange(wrapped, guarding_capsule);
}

/* numpy_uninstall(): the calling thread's next arrays are not counted any more; those that exist stay counted until freed. */
static PyObject *numpy_uninstall(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (guarding_capsule == NULL) {
        Py_RETURN_FALSE;
    }
    return exchange(&guarding, wrapped_capsule);
}

/* numpy_usage() -> (used, peak, refused requests). */
static PyObject *numpy_usage(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return Py_BuildValue("LLL", (long long)relaxed_load(&array_bytes), (long long)relaxed_load(&array_bytes_peak),
                         (long long)relaxed_load(&refusals));
}

/* numpy_set_limit(bytes): negative means no limit. */
static PyObject *numpy_set_limit(PyObject *module, PyObject *limit) {
    (void)module;
    long long value = PyLong_AsLongLong(limit);
    if (value == -1 && PyErr_Occurred()) {
        return NULL;
    }
    relaxed_store(&array_bytes_limit, value < 0 ? INT64_MAX : value);
    Py_RETURN_NONE;
}

static PyObject *numpy_reset_peak(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    relaxed_store(&array_bytes_peak, relaxed_load(&array_bytes));
    Py_RETURN_NONE;
}

PyMethodDef numpy_methods[] = {
    {"numpy_bind", numpy_bind, METH_O, NULL},
    {"numpy_install", numpy_install, METH_NOARGS, NULL},
    {"numpy_uninstall", numpy_uninstall, METH_NOARGS, NULL},
    {"numpy_usage", numpy_usage, METH_NOARGS, NULL},
    {"numpy_set_limit", numpy_set_limit, METH_O, NULL},
    {"numpy_reset_peak", numpy_reset_peak, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
