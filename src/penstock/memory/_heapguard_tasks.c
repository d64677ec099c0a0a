/* Which task a thread works for, and whether it may be told to fail. */
#include "_heapguard.h"

#include <string.h>

static PyObject *open_slot(PyObject *module, PyObject *name) {
    (void)module;
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL) {
        return NULL;
    }
    for (int i = 1; i < SLOT_COUNT; i++) {
        if (!heap.slots[i].taken) {
            heap.slots[i].taken = true;
            heap.slots_end = i < heap.slots_end ? heap.slots_end : i + 1;
            relaxed_store(&heap.slots[i].net, 0);
            relaxed_store(&heap.slots[i].peak, 0);
            heap.slots[i].strikes.episode = 0;
            strncpy(heap.slots[i].name, text, NAME_BYTES - 1);
            heap.slots[i].name[NAME_BYTES - 1] = '\0';
            return PyLong_FromLong(i);
        }
    }
    return PyLong_FromLong(0); /* more tasks than slots: the rest shares slot 0 */
}

/* The index of a slot, or -1 with an exception. */
static int slot_index(PyObject *object) {
    long index = PyLong_AsLong(object);
    if (index < 0 || index >= SLOT_COUNT) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "no such slot");
        }
        return -1;
    }
    return (int)index;
}

static PyObject *close_slot(PyObject *module, PyObject *object) {
    (void)module;
    int index = slot_index(object);
    if (index < 0) {
        return NULL;
    }
    if (index > 0) {
        heap.slots[index].taken = false;
    }
    Py_RETURN_NONE;
}

static PyObject *slot_usage(PyObject *module, PyObject *object) {
    (void)module;
    int index = slot_index(object);
    if (index < 0) {
        return NULL;
    }
    long long own = index == marks.slot ? marks.delta : 0;
    return Py_BuildValue("sLL", heap.slots[index].name, (long long)relaxed_load(&heap.slots[index].net) + own,
                         (long long)relaxed_load(&heap.slots[index].peak));
}

/* What was counted so far belongs to the slot that is left; the last chance to tell its task that it passed the line. */
static void change_slot(int slot) {
    if (marks.delta != 0) {
        settle(0, REQUEST_SIZED);
    }
    marks.slot = slot;
}

/* enter(slot): from here on this thread runs the user code of that task. Pairs with leave(); does not nest. */
static PyObject *enter(PyObject *module, PyObject *object) {
    (void)module;
    int index = slot_index(object);
    if (index < 0) {
        return NULL;
    }
    change_slot(index);
    marks.exempt = 0;
    marks.last.kind = INCIDENT_NONE;
    Py_RETURN_NONE;
}

/* leave(): back to the thread's own code. An exception that was on its way is raised here, not somewhere in the runtime. */
static PyObject *leave(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    change_slot(0);
    marks.exempt = marks.home_exempt;
    if (unlikely(marks.exempt && withdraw())) {
        PyErr_SetNone(heap.limit_error);
        return NULL;
    }
    Py_RETURN_NONE;
}

/* mark_system(bool): the calling thread is the runtime's own, exempt outside enter/leave. */
static PyObject *mark_system(PyObject *module, PyObject *value) {
    (void)module;
    int truth = PyObject_IsTrue(value);
    if (truth < 0) {
        return NULL;
    }
    marks.home_exempt = marks.exempt = truth;
    Py_RETURN_NONE;
}

/* begin_recovery() -> the exemption it replaced: the first statement of a failure handler. */
static PyObject *begin_recovery(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    int before = marks.exempt;
    marks.exempt = 1;
    relaxed_add(&heap.recovering, 1);
    withdraw();
    return PyLong_FromLong(before);
}

/* end_recovery(exemption): the failure was answered; what follows is a new start for this thread. */
static PyObject *end_recovery(PyObject *module, PyObject *before) {
    (void)module;
    long exempt = PyLong_AsLong(before);
    if (exempt == -1 && PyErr_Occurred()) {
        return NULL;
    }
    marks.exempt = exempt != 0;
    strike_record fresh = {0, 0, 0};
    marks.strikes = heap.slots[marks.last.slot].strikes = fresh;
    marks.refusals = 0;
    relaxed_sub(&heap.recovering, 1);
    relaxed_store(&heap.unanswered_since_ns, 0);
    relaxed_store(&heap.next_strike, 0);
    Py_RETURN_NONE;
}

static PyObject *call_shielded(PyObject *function, PyObject *const *arguments, Py_ssize_t count) {
    PyObject *error = hold_back();
    int exempt = marks.exempt;
    marks.exempt = 1;
    PyObject *result = PyObject_Vectorcall(function, arguments, (size_t)count, NULL);
    marks.exempt = exempt;
    if (error != NULL) {
        rearm(error);
    }
    return result;
}

static PyMethodDef shielded_call = {"shielded", (PyCFunction)(void (*)(void))call_shielded, METH_FASTCALL, NULL};

/* shielded(function): what calls it with no exception of ours striking inside; one that is on its way waits until it has
 * returned. For what the interpreter calls in the middle of a task and whose exceptions it swallows: gc.callbacks. */
static PyObject *shielded(PyObject *module, PyObject *function) {
    (void)module;
    return PyCFunction_New(&shielded_call, function);
}

/* A context manager that sets the marks of the thread it is entered in and puts them back. In C, because an exception that
 * is on its way would strike at the first instruction of a Python __exit__. */
typedef struct {
    PyObject_HEAD
    int slot; /* -1: leave as it is */
    int exempt;
    int depth;
    int saved_slot, saved_exempt, saved_home;
} region;

static PyObject *region_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    region *r = (region *)self;
    if (r->depth++ > 0) {
        r->depth--;
        PyErr_SetString(PyExc_RuntimeError, "a region is entered once at a time");
        return NULL;
    }
    r->saved_slot = marks.slot;
    r->saved_exempt = marks.exempt;
    r->saved_home = marks.home_exempt;
    change_slot(r->slot >= 0 ? r->slot : marks.slot);
    marks.exempt = marks.home_exempt = r->exempt;
    if (!r->exempt) {
        marks.last.kind = INCIDENT_NONE;
    }
    return Py_NewRef(self);
}

static PyObject *region_exit(PyObject *self, PyObject *args) {
    region *r = (region *)self;
    PyObject *kind = PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : Py_None;
    r->depth--;
    change_slot(r->saved_slot);
    marks.exempt = r->saved_exempt;
    marks.home_exempt = r->saved_home;
    if (marks.exempt && withdraw() && kind == Py_None) {
        PyErr_SetNone(heap.limit_error);
        return NULL;
    }
    Py_RETURN_FALSE;
}

static PyMethodDef region_methods[] = {
    {"__enter__", region_enter, METH_NOARGS, NULL},
    {"__exit__", region_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot region_slots[] = {
    {Py_tp_methods, region_methods},
    {Py_tp_doc, "Marks of one thread, set for the length of a with statement."},
    {0, NULL},
};

static PyType_Spec region_spec = {
    .name = "penstock.memory._heapguard.Region",
    .basicsize = sizeof(region),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = region_slots,
};

static PyTypeObject *region_type;

/* region(slot, exempt): slot -1 keeps the slot. */
static PyObject *make_region(PyObject *module, PyObject *args) {
    (void)module;
    int slot, exempt;
    if (!PyArg_ParseTuple(args, "ip:region", &slot, &exempt)) {
        return NULL;
    }
    if (slot < -1 || slot >= SLOT_COUNT) {
        PyErr_SetString(PyExc_ValueError, "no such slot");
        return NULL;
    }
    region *r = PyObject_New(region, region_type);
    if (r != NULL) {
        r->slot = slot;
        r->exempt = exempt;
        r->depth = 0;
    }
    return (PyObject *)r;
}

int add_region_type(void) {
    region_type = (PyTypeObject *)PyType_FromSpec(&region_spec);
    return region_type == NULL ? -1 : 0;
}

PyMethodDef task_methods[] = {
    {"open_slot", open_slot, METH_O, NULL},
    {"close_slot", close_slot, METH_O, NULL},
    {"slot_usage", slot_usage, METH_O, NULL},
    {"enter", enter, METH_O, NULL},
    {"leave", leave, METH_NOARGS, NULL},
    {"mark_system", mark_system, METH_O, NULL},
    {"begin_recovery", begin_recovery, METH_NOARGS, NULL},
    {"end_recovery", end_recovery, METH_O, NULL},
    {"shielded", shielded, METH_O, NULL},
    {"region", make_region, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
