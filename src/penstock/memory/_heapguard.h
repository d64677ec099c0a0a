/* What the two halves of the heap guard share: the meter and its hooks (_heapguard.c), and NumPy's arrays (_heapguard_numpy.c). */
#ifndef PENSTOCK_HEAPGUARD_H
#define PENSTOCK_HEAPGUARD_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define relaxed_load(p) atomic_load_explicit((p), memory_order_relaxed)
#define relaxed_store(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define relaxed_add(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define relaxed_sub(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)

/* True where the calling thread may use the reserve and is never told to fail. */
bool heapguard_thread_is_exempt(void);

/* Raises the mark to `value` if it is higher. Two racing threads may leave the lower of their two values: a peak is a diagnostic. */
static inline void heapguard_raise_mark(_Atomic int64_t *mark, int64_t value) {
    if (unlikely(value > relaxed_load(mark))) {
        relaxed_store(mark, value);
    }
}

/* _heapguard_numpy.c */
PyObject *heapguard_numpy_bind(PyObject *module, PyObject *array_api);
PyObject *heapguard_numpy_install(PyObject *module, PyObject *unused);
PyObject *heapguard_numpy_uninstall(PyObject *module, PyObject *unused);
PyObject *heapguard_numpy_usage(PyObject *module, PyObject *unused);
PyObject *heapguard_numpy_set_limit(PyObject *module, PyObject *limit);
PyObject *heapguard_numpy_reset_peak(PyObject *module, PyObject *unused);

#endif
