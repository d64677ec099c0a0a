/* What happens at the limits: the soft limit's flag and alarm, the exception at the next bytecode boundary, refusals. */
#include "_heapguard.h"

#include <pthread.h>
#include <unistd.h>

/* The calling thread's state if it holds the GIL, else NULL. */
PyThreadState *thread_state_with_gil(void) {
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked();
#elif PY_VERSION_HEX >= 0x030C0000
    return _PyThreadState_UncheckedGet();
#else
    /* 3.11 answers with whoever holds the GIL. */
    PyThreadState *holder = _PyThreadState_UncheckedGet();
    return holder != NULL && holder == PyGILState_GetThisThreadState() ? holder : NULL;
#endif
}

/* PyThreadState_SetAsyncExc takes the lock of the list of threads. A request made while the same thread holds that lock
 * (sys._current_frames() of 3.11 to 3.13, creating a subinterpreter) would wait for itself for ever. For its own thread
 * state the hook needs no list: it sets the same field, and wakes the interpreter as SetAsyncExc does. */
#if PY_VERSION_HEX < 0x030D0000
extern void _PyEval_SignalAsyncExc(PyInterpreterState *interp) __attribute__((weak));

bool learn_to_raise(void) {
    return _PyEval_SignalAsyncExc != NULL;
}

static void wake_interpreter(PyThreadState *state) {
    _PyEval_SignalAsyncExc(state->interp);
}
#else
static uintptr_t async_exception_bit;

/* Learns which bit of the eval breaker SetAsyncExc sets, by letting it do so for an exception that is withdrawn at once.
 * Another thread may set its own bits meanwhile: then it is the bit of 3.13 and 3.14, if that one is set. */
bool learn_to_raise(void) {
    const uintptr_t known_bit = 1 << 3;
    PyThreadState *state = PyThreadState_Get();
    uintptr_t *breaker = (uintptr_t *)&state->eval_breaker;
    if (state->async_exc != NULL) {
        return false;
    }
    uintptr_t before = __atomic_load_n(breaker, __ATOMIC_RELAXED);
    PyThreadState_SetAsyncExc(state->thread_id, PyExc_MemoryError);
    uintptr_t after = __atomic_load_n(breaker, __ATOMIC_RELAXED);
    PyThreadState_SetAsyncExc(state->thread_id, NULL);
    uintptr_t gained = after & ~before;
    if (gained != 0 && (gained & (gained - 1)) == 0) {
        async_exception_bit = gained;
    } else if (after & known_bit) {
        async_exception_bit = known_bit;
    }
    return async_exception_bit != 0;
}

static void wake_interpreter(PyThreadState *state) {
    __atomic_or_fetch((uintptr_t *)&state->eval_breaker, async_exception_bit, __ATOMIC_SEQ_CST);
}
#endif

static bool is_ours(PyObject *error) {
    return error != NULL && (error == heap.limit_error || error == heap.overrun_error);
}

/* Takes back an exception of ours that has not been raised yet; true if there was one. Needs the GIL. */
bool withdraw(void) {
    PyThreadState *state = thread_state_with_gil();
    if (state == NULL || !is_ours(state->async_exc)) {
        return false;
    }
    PyObject *error = state->async_exc;
    state->async_exc = NULL;
    Py_DECREF(error);
    return true;
}

/* Takes back an exception of ours and returns it, borrowed, for `rearm`; NULL if there was none. Needs the GIL. */
PyObject *hold_back(void) {
    PyThreadState *state = thread_state_with_gil();
    PyObject *error = state == NULL || !is_ours(state->async_exc) ? NULL : state->async_exc;
    withdraw();
    return error;
}

/* Puts back what `hold_back` took: it is raised at this thread's next bytecode boundary. */
void rearm(PyObject *error) {
    PyThreadState *state = thread_state_with_gil();
    if (is_ours(error) && state != NULL && state->async_exc == NULL) {
        state->async_exc = Py_NewRef(error);
        wake_interpreter(state);
    }
}

void note_incident(enum incident_kind kind, int64_t held, int64_t request) {
    incident now = {kind, marks.slot, held, request, relaxed_load(&heap.stack_bytes)};
    marks.last = now;
    heap.last_incident = now;
}

/* The record of the calling thread's task, or of the thread itself, for this episode. */
static strike_record *own_strikes(void) {
    strike_record *own = marks.slot != 0 ? &heap.slots[marks.slot].strikes : &marks.strikes;
    uint64_t current = relaxed_load(&heap.episode);
    if (own->episode != current) {
        strike_record fresh = {0, current, 0};
        *own = fresh;
    }
    return own;
}

/* One more time that the task is told; ends the process if nobody answered for too long. */
static void strike(strike_record *own, int64_t held, int64_t request) {
    own->count++;
    /* Half as far each time: a handler needs room once, a task that goes on must not use the reserve up. */
    own->next = held + (heap.strike_bytes >> (own->count < 8 ? own->count - 1 : 7));
    relaxed_store(&heap.next_strike, held + 2 * heap.strike_bytes);
    if (relaxed_load(&heap.recovering) == 0) {
        int64_t now = now_ns(), since = 0;
        if (!atomic_compare_exchange_strong(&heap.unanswered_since_ns, &since, now) && now - since > heap.grace_ns) {
            end_process(EXIT_TASK_UNRESPONSIVE, held, request);
        }
    }
}

/* Has the calling thread, which has a strike, raise at its next bytecode boundary: at first what programs may catch. */
static void raise_in_this_thread(PyThreadState *state, bool may_catch, int64_t held, int64_t request) {
    PyObject *error = may_catch ? heap.limit_error : heap.overrun_error;
    relaxed_add(may_catch ? &heap.raised_count : &heap.overrun_count, 1);
    note_incident(INCIDENT_RAISED, held, request);
    Py_INCREF(error);
    state->async_exc = error;
    wake_interpreter(state);
}

static int find_largest_slot(void) {
    int largest = 0;
    int64_t most = 0;
    for (int i = 1; i < heap.slots_end; i++) {
        if (heap.slots[i].taken && relaxed_load(&heap.slots[i].net) > most) {
            most = relaxed_load(&heap.slots[i].net);
            largest = i;
        }
    }
    return largest;
}

/* A small task that happens to allocate while another has filled the heap is let into the reserve, a little. */
static bool is_spared(void) {
    if (marks.slot == 0) {
        return false;
    }
    task_slot *own = &heap.slots[marks.slot];
    int64_t net = relaxed_load(&own->net) + marks.delta;
    if (own->episode != relaxed_load(&heap.episode)) {
        own->episode = relaxed_load(&heap.episode);
        own->episode_net = net;
    }
    if (net - own->episode_net > heap.spared_bytes) {
        return false;
    }
    int blamed = relaxed_load(&heap.largest_slot);
    if (net >= relaxed_load(&heap.slots[blamed].net) / 4) {
        blamed = find_largest_slot(); /* who was to blame may have failed since */
        relaxed_store(&heap.largest_slot, blamed);
    }
    return blamed != marks.slot && net < relaxed_load(&heap.slots[blamed].net) / 4;
}

/* Whoever was told is handling it, perhaps without giving anything back, and needs memory to do so: the same task is not
 * told again before the heap has grown by a sixteenth of the reserve. Threads outside of tasks wait for one another, an
 * eighth: one of them may be carrying the other's answer. A deep recursion cannot wait so long: each frame needs room to
 * be unwound. The mark follows the heap down. */
static bool is_too_soon(strike_record *own, int64_t held, enum request_kind kind) {
    if (held > heap.patience_end) {
        return false;
    }
    int64_t patience = marks.slot != 0 ? heap.strike_bytes : 2 * heap.strike_bytes;
    int64_t next = marks.slot != 0 ? own->next : relaxed_load(&heap.next_strike);
    if (held + patience < next) {
        next = held + patience;
        own->next = next;
        relaxed_store(&heap.next_strike, next);
    }
    return held < (kind == REQUEST_STACK ? next - patience / 8 * 7 : next);
}

static void tell_this_thread(int64_t held, int64_t request, enum request_kind kind) {
    PyThreadState *state = thread_state_with_gil();
    if (state == NULL || heap.limit_error == NULL) {
        return;
    }
    if (state->async_exc != NULL) {
        wake_interpreter(state); /* 3.11 and 3.12 forget the signal when another thread takes its own exception */
        return;
    }
    strike_record *own = own_strikes();
    if (is_too_soon(own, held, kind) || is_spared()) {
        return;
    }
    strike(own, held, request);
    if (own->count > 1 && held > heap.patience_end) {
        own->count += LIMIT_STRIKES; /* there is no room for a third and fourth time */
    }
    raise_in_this_thread(state, own->count <= LIMIT_STRIKES, held, request);
}

void ring(void) {
    uint64_t one = 1;
    if (heap.event_fd >= 0 && write(heap.event_fd, &one, sizeof one) < 0) {
        return; /* the counter is full: the alarm is ringing already */
    }
    if (heap.alarm_callback != NULL && atomic_exchange(&heap.alarm_started, 1) == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, alarm_main, NULL) == 0) {
            pthread_detach(thread);
        }
    }
}

/* Below this the overrun is over. */
static int64_t fall_line(void) {
    int64_t hard = relaxed_load(&heap.line);
    return hard - hard / 64;
}

/* Under the latch: the flags and marks that belong to `held`. True if the alarm has to ring. */
bool change_flags(int64_t held) {
    int before = relaxed_load(&heap.flags), after = before;
    int64_t hard = relaxed_load(&heap.line);
    if (held > heap.soft_high) {
        after |= FLAG_SOFT;
    } else if (held < heap.soft_low) {
        after &= ~FLAG_SOFT;
    }
    if (held > hard) {
        after |= FLAG_HARD;
    } else if (held < fall_line()) {
        after &= ~FLAG_HARD;
    }
    int gained = after & ~before;
    if (gained & FLAG_SOFT) {
        relaxed_add(&heap.soft_crossings, 1);
    }
    if (gained & FLAG_HARD) {
        relaxed_add(&heap.hard_crossings, 1);
        relaxed_add(&heap.episode, 1);
        relaxed_store(&heap.largest_slot, find_largest_slot());
        relaxed_store(&heap.next_strike, 0);
    }
    if (!(after & FLAG_HARD)) {
        relaxed_store(&heap.unanswered_since_ns, 0);
    }
    relaxed_store(&heap.flags, after);
    relaxed_store(&heap.rise_mark, after & FLAG_SOFT ? hard : (heap.soft_high < hard ? heap.soft_high : hard));
    relaxed_store(&heap.fall_mark, after & FLAG_HARD ? fall_line() : (after & FLAG_SOFT ? heap.soft_low : INT64_MIN));
    return gained != 0;
}

void update_flags(int64_t held) {
    if (!atomic_flag_test_and_set_explicit(&heap.latch, memory_order_acquire)) {
        bool changed = change_flags(held);
        atomic_flag_clear_explicit(&heap.latch, memory_order_release);
        if (changed) {
            ring();
        }
    }
}

static void risen(int64_t held, int64_t request, enum request_kind kind) {
    if (relaxed_load(&heap.ending)) {
        return;
    }
    update_flags(held);
    if (held <= relaxed_load(&heap.line)) {
        return;
    }
    if (held > heap.end && kind != REQUEST_NONE && kind != REQUEST_SIZED) {
        end_process(EXIT_HEAP_EXHAUSTED, held, request);
    }
    if (!marks.exempt && kind != REQUEST_NONE && kind != REQUEST_TINY) {
        tell_this_thread(held, request, kind);
    }
}

/* ---- settling --------------------------------------------------------------------------------------------------- */

static pthread_key_t thread_end_key;

static int64_t add_to_used(int64_t delta) {
    int64_t held = relaxed_add(&heap.used, delta) + delta;
    if (marks.slot != 0) {
        /* A slot is one thread's at a time: no locked instruction is needed. */
        task_slot *slot = &heap.slots[marks.slot];
        int64_t net = relaxed_load(&slot->net) + delta;
        relaxed_store(&slot->net, net);
        raise_mark(&slot->peak, net);
    }
    raise_mark(&heap.peak, held);
    return held;
}

/* At a thread's end: what it has not told yet. What it frees after this is told at once. */
static void end_of_thread(void *unused) {
    (void)unused;
    marks.window = 0;
    marks.ended = true;
    add_to_used(marks.delta);
    marks.delta = 0;
}

bool create_thread_end_key(void) {
    static bool created;
    created = created || pthread_key_create(&thread_end_key, end_of_thread) == 0;
    return created;
}

/* Adds what the calling thread has counted to the total, and acts on where that is now. */
void settle(int64_t request, enum request_kind kind) {
    int64_t delta = marks.delta;
    marks.delta = 0;
    if (marks.window == 0 && !marks.ended) {
        marks.window = WINDOW_BYTES;
        pthread_setspecific(thread_end_key, &marks);
    }
    int64_t held = add_to_used(delta);
    if (delta > 0 && unlikely(held > relaxed_load(&heap.rise_mark))) {
        risen(held, request, kind);
    } else if (delta < 0 && unlikely(held < relaxed_load(&heap.fall_mark))) {
        update_flags(held);
    }
}

/* The total, exact for what the calling thread did. Does not settle: whoever reads it often would take the occasion to act
 * on a limit away from the next request. */
int64_t used_now(void) {
    return relaxed_load(&heap.used) + marks.delta;
}

/* Once a second at most: a program may ask for ever. */
static void ring_for_refusal(void) {
    static _Atomic int64_t next_ns;
    int64_t now = now_ns();
    if (now >= relaxed_load(&next_ns)) {
        relaxed_store(&next_ns, now + 1000000000LL);
        ring();
    }
}

/* Counts the calling thread's refusals while the heap stays nearly full. */
static bool is_asking_for_ever(int64_t held) {
    int64_t current = relaxed_load(&heap.soft_crossings);
    if (marks.soft_episode != current) {
        marks.soft_episode = current;
        marks.refusals = 0;
    }
    return held > fall_line() / 8 * 7 && ++marks.refusals > REFUSALS_MAX;
}

/* May a task use the last quarter of the reserve? */
static bool may_pass(int64_t growth) {
    return growth < heap.large_bytes && is_spared();
}

/* A request over 512 bytes that would pass the line by growing the heap by `growth`: is it to be refused? */
bool is_refused(int64_t growth) {
    if (relaxed_load(&heap.ending)) {
        return false;
    }
    int64_t held = relaxed_load(&heap.used) + marks.delta;
    if (held + growth <= relaxed_load(&heap.line)) {
        return false;
    }
    if (held + growth <= heap.refuse_mark ? growth < heap.large_bytes || marks.exempt
                                          : held + growth <= heap.end && (marks.exempt || may_pass(growth))) {
        return false;
    }
    relaxed_add(&heap.refused_count, 1);
    ring_for_refusal();
    note_incident(INCIDENT_REFUSED, held, growth);
    /* The refusal is the failure: a second exception would strike in the code that handles it. */
    bool was_told = withdraw();
    PyThreadState *state = thread_state_with_gil();
    if (marks.exempt || state == NULL || heap.limit_error == NULL) {
        return true;
    }
    strike_record *own = own_strikes();
    if (held > relaxed_load(&heap.line)) {
        if (!was_told) {
            strike(own, held, growth);
        }
    } else if (is_asking_for_ever(held)) {
        own->count = LIMIT_STRIKES + 1;
    } else {
        return true;
    }
    if (own->count > LIMIT_STRIKES && state->async_exc == NULL) {
        raise_in_this_thread(state, false, held, growth); /* it catches every refusal, and asks again */
    }
    return true;
}
