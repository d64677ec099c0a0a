/* The heap guard: meters the CPython heap and holds it to a limit.
 *
 * Two hooks see the whole heap: the RAW domain (every block over 512 bytes, and raw users) and the arena allocator of
 * pymalloc (all smaller objects, and the interpreter's own stack). One relaxed counter adds them up, starting from what
 * the process really holds when the guard is installed. docs/design/heap-guard.md argues every rule below; in short:
 *
 *   used <= line            nothing happens, but for the soft limit's flag and alarm
 *   line < used <= end      the reserve. Requests go through; the thread that passed the line gets an exception at its
 *                           next bytecode boundary. Refused (NULL) are only requests that are large by themselves, and
 *                           requests over 512 bytes once three quarters of the reserve are gone
 *   end < used              one C call used the reserve up with tiny requests: the process ends with a message, because
 *                           CPython does not survive the refusal of a tiny request (it loops for ever holding the GIL)
 *
 * Exempt threads (the runtime's own, and failure handlers) may use the reserve and are never told to fail.
 *
 * The hooks run inside the allocator, at times without the GIL: they take no lock, allocate nothing, and run no Python.
 */
#include "_heapguard.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

heap_state heap = {
    .rise_mark = NO_LIMIT,
    .fall_mark = INT64_MIN,
    .line = NO_LIMIT,
    .set_line = NO_LIMIT,
    .end = NO_LIMIT,
    .refuse_mark = NO_LIMIT,
    .soft_high = NO_LIMIT,
    .large_bytes = LARGE_BYTES_MAX,
    .grace_ns = 10LL * 1000000000LL,
    .remedy = "the heap limit",
    .episode = 1,
    .latch = ATOMIC_FLAG_INIT,
    .slots_end = 1,
    .page_bytes = 4096,
    .event_fd = -1,
    .statm_fd = -1,
};

__thread thread_marks marks;

/* install(limit_error, overrun_error) -> None, or the reason why the heap cannot be metered in this interpreter. */
static PyObject *install(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *limit_class, *overrun_class;
    if (!PyArg_ParseTuple(args, "OO:install", &limit_class, &overrun_class)) {
        return NULL;
    }
    if (heap.installed) {
        Py_RETURN_NONE;
    }
    heap.page_bytes = sysconf(_SC_PAGESIZE);
    heap.statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    heap.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (heap.statm_fd < 0 || heap.event_fd < 0 || !create_thread_end_key()) {
        return PyUnicode_FromString("/proc/self/statm, an eventfd or a thread-specific key cannot be had");
    }
    relaxed_store(&heap.soft_crossings, 0);
    relaxed_store(&heap.hard_crossings, 0);
    relaxed_store(&heap.raised_count, 0);
    relaxed_store(&heap.overrun_count, 0);
    relaxed_store(&heap.refused_count, 0);
    relaxed_store(&heap.trim_count, 0);
    heap.baseline = resident_anonymous();
    relaxed_store(&heap.used, heap.baseline);
    relaxed_store(&heap.peak, heap.baseline);
    const char *obstacle = hook_allocators();
    if (obstacle != NULL) {
        return PyUnicode_FromString(obstacle);
    }
    Py_XSETREF(heap.limit_error, Py_NewRef(limit_class));
    Py_XSETREF(heap.overrun_error, Py_NewRef(overrun_class));
    heap.installed = true;
    Py_RETURN_NONE;
}

/* uninstall() -> bool: takes the hooks out; False if something else has hooked above them since, and they must stay. */
static PyObject *uninstall(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (!heap.installed || !unhook_allocators()) {
        return PyBool_FromLong(!heap.installed);
    }
    close(heap.event_fd);
    close(heap.statm_fd);
    heap.event_fd = heap.statm_fd = -1;
    heap.installed = false;
    Py_RETURN_TRUE;
}

/* check() -> bool: do the hooks still see the heap? tracemalloc.stop() puts back what it found when it was started. */
static PyObject *check(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBool_FromLong(heap.installed && meter_works());
}

/* rehook(): puts the RAW hook back on top of whatever is there now. */
static PyObject *rehook(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (heap.installed && !meter_works()) {
        hook_raw();
    }
    Py_RETURN_NONE;
}

/* configure(line, reserve, soft_high, soft_low, grace_s, remedy, report_directory): negative sizes mean no limit. */
static PyObject *configure(PyObject *module, PyObject *args) {
    (void)module;
    long long new_line, reserve, high, low;
    double grace_s;
    const char *new_remedy, *directory;
    if (!PyArg_ParseTuple(args, "LLLLdss:configure", &new_line, &reserve, &high, &low, &grace_s, &new_remedy, &directory)) {
        return NULL;
    }
    if (strlen(directory) >= sizeof heap.report_directory) {
        PyErr_SetString(PyExc_ValueError, "the report directory's path is too long");
        return NULL;
    }
    bool limited = new_line >= 0;
    relaxed_store(&heap.line, NO_LIMIT);
    heap.set_line = limited ? new_line : NO_LIMIT;
    heap.end = limited ? new_line + reserve : NO_LIMIT;
    heap.refuse_mark = limited ? new_line + reserve / 4 * 3 : NO_LIMIT;
    heap.spared_bytes = reserve / 16;
    heap.strike_bytes = reserve / 16;
    heap.patience_end = limited ? new_line + reserve / 2 : NO_LIMIT;
    heap.large_bytes = reserve / 8 < LARGE_BYTES_MAX ? reserve / 8 : LARGE_BYTES_MAX;
    heap.soft_high = high >= 0 ? high : NO_LIMIT;
    heap.soft_low = high >= 0 ? low : 0;
    heap.grace_ns = (int64_t)(grace_s * 1e9);
    strncpy(heap.remedy, new_remedy, sizeof heap.remedy - 1);
    strcpy(heap.report_directory, directory);
    relaxed_store(&heap.line, limited ? new_line : NO_LIMIT);
    while (atomic_flag_test_and_set_explicit(&heap.latch, memory_order_acquire)) {
        sched_yield();
    }
    bool changed = change_flags(used_now());
    atomic_flag_clear_explicit(&heap.latch, memory_order_release);
    if (changed) {
        ring();
    }
    Py_RETURN_NONE;
}

/* after_fork(): in the child. The meter goes on: the child has the parent's heap, and counting native memory as heap by
 * starting again from RssAnon would be wrong. What belongs to the parent's threads and descriptors starts anew. */
static PyObject *after_fork(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    atomic_flag_clear(&heap.latch);
    relaxed_store(&heap.recovering, 0);
    relaxed_store(&heap.unanswered_since_ns, 0);
    relaxed_store(&heap.alarm_started, 0);
    relaxed_store(&heap.peak, used_now());
    if (heap.installed) {
        close(heap.event_fd);
        close(heap.statm_fd);
        heap.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        heap.statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
        heap.baseline = used_now();
    }
    Py_RETURN_NONE;
}

static PyObject *read_used(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLongLong(used_now());
}

static PyObject *read_peak(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLongLong(relaxed_load(&heap.peak));
}

static PyObject *read_baseline(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLongLong(heap.baseline);
}

static PyObject *reset_peak(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    relaxed_store(&heap.peak, used_now());
    Py_RETURN_NONE;
}

static PyObject *over_soft(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBool_FromLong(relaxed_load(&heap.flags) & FLAG_SOFT);
}

static PyObject *over_limit(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBool_FromLong(relaxed_load(&heap.flags) & FLAG_HARD);
}

static PyObject *rss_anon(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLongLong(resident_anonymous());
}

static PyObject *counters(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return Py_BuildValue("{s:L,s:L,s:L,s:L,s:L,s:L}", "soft_crossings", (long long)relaxed_load(&heap.soft_crossings),
                         "limit_crossings", (long long)relaxed_load(&heap.hard_crossings), "raised",
                         (long long)relaxed_load(&heap.raised_count), "overruns", (long long)relaxed_load(&heap.overrun_count),
                         "refused", (long long)relaxed_load(&heap.refused_count), "trims", (long long)relaxed_load(&heap.trim_count));
}

/* last_incident(any_thread) -> (kind, slot, used, request, Python's stacks) of the calling thread since it entered its
 * task, else, if asked for, of whichever thread had the last one; None if there was none. */
static PyObject *read_incident(PyObject *module, PyObject *any_thread) {
    (void)module;
    static const char *const names[] = {"none", "raised", "refused", "array"};
    incident it = marks.last;
    if (it.kind == INCIDENT_NONE && any_thread == Py_True) {
        it = heap.last_incident;
    }
    if (it.kind == INCIDENT_NONE) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("siLLL", names[it.kind], it.slot, (long long)it.used,
                         (long long)it.request, (long long)it.stack);
}

/* wait(timeout_ms) -> bool: until the alarm rings, without the GIL. */
static PyObject *wait_for_alarm(PyObject *module, PyObject *timeout) {
    (void)module;
    long timeout_ms = PyLong_AsLong(timeout);
    if (timeout_ms == -1 && PyErr_Occurred()) {
        return NULL;
    }
    struct pollfd descriptor = {.fd = heap.event_fd, .events = POLLIN};
    int ready;
    Py_BEGIN_ALLOW_THREADS;
    ready = poll(&descriptor, 1, (int)timeout_ms);
    if (ready > 0) {
        uint64_t count;
        ready = read(heap.event_fd, &count, sizeof count) == (ssize_t)sizeof count;
    }
    Py_END_ALLOW_THREADS;
    return PyBool_FromLong(ready > 0);
}

/* ring(): wakes whoever waits. */
static PyObject *ring_alarm(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    ring();
    Py_RETURN_NONE;
}

/* A thread that the first crossing of a soft limit starts, to start the one that waits for the alarm from then on: programs
 * that stay away from their limit get no thread. */
void *alarm_main(void *unused) {
    marks.exempt = marks.home_exempt = 1;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *callback = Py_XNewRef(heap.alarm_callback);
    if (callback != NULL) {
        PyObject *result = PyObject_CallNoArgs(callback);
        if (result == NULL) {
            PyErr_WriteUnraisable(callback);
        }
        Py_XDECREF(result);
        Py_DECREF(callback);
    }
    PyGILState_Release(gil);
    return unused;
}

/* set_alarm(callable or None): called once, on a foreign thread, when the alarm rings for the first time. */
static PyObject *set_alarm(PyObject *module, PyObject *callback) {
    (void)module;
    Py_XSETREF(heap.alarm_callback, callback == Py_None ? NULL : Py_NewRef(callback));
    relaxed_store(&heap.alarm_started, 0);
    Py_RETURN_NONE;
}

static PyObject *trim(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    int released = 0;
    Py_BEGIN_ALLOW_THREADS;
    released = malloc_trim(0);
    Py_END_ALLOW_THREADS;
    return PyBool_FromLong(released);
}

static PyObject *set_arena_max(PyObject *module, PyObject *count) {
    (void)module;
    long value = PyLong_AsLong(count);
    if (value == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyBool_FromLong(mallopt(M_ARENA_MAX, (int)value));
}

static PyMethodDef methods[] = {
    {"install", install, METH_VARARGS, NULL},
    {"uninstall", uninstall, METH_NOARGS, NULL},
    {"check", check, METH_NOARGS, NULL},
    {"rehook", rehook, METH_NOARGS, NULL},
    {"configure", configure, METH_VARARGS, NULL},
    {"after_fork", after_fork, METH_NOARGS, NULL},
    {"used", read_used, METH_NOARGS, NULL},
    {"peak", read_peak, METH_NOARGS, NULL},
    {"baseline", read_baseline, METH_NOARGS, NULL},
    {"reset_peak", reset_peak, METH_NOARGS, NULL},
    {"over_soft", over_soft, METH_NOARGS, NULL},
    {"over_limit", over_limit, METH_NOARGS, NULL},
    {"rss_anon", rss_anon, METH_NOARGS, NULL},
    {"counters", counters, METH_NOARGS, NULL},
    {"last_incident", read_incident, METH_O, NULL},
    {"wait", wait_for_alarm, METH_O, NULL},
    {"ring", ring_alarm, METH_NOARGS, NULL},
    {"set_alarm", set_alarm, METH_O, NULL},
    {"trim", trim, METH_NOARGS, NULL},
    {"set_arena_max", set_arena_max, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static int fill_module(PyObject *module) {
    if (add_region_type() < 0 || PyModule_AddFunctions(module, task_methods) < 0 ||
        PyModule_AddFunctions(module, numpy_methods) < 0 ||
        PyModule_AddIntConstant(module, "EXIT_HEAP_EXHAUSTED", EXIT_HEAP_EXHAUSTED) < 0) {
        return -1;
    }
    return PyModule_AddIntConstant(module, "EXIT_TASK_UNRESPONSIVE", EXIT_TASK_UNRESPONSIVE);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, fill_module},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED}, /* a free-threaded build must not lose that by asking */
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "penstock.memory._heapguard",
    .m_doc = "Meters the CPython heap and holds it to a limit. Owned by penstock.memory._heap_guard.",
    .m_methods = methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__heapguard(void) {
    return PyModuleDef_Init(&module_definition);
}
