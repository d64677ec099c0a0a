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
#define _GNU_SOURCE
#include "_heapguard.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <frameobject.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if PY_VERSION_HEX < 0x030B0000
#error "the heap guard needs CPython 3.11 or later"
#endif

enum {
    TINY_BYTES = 512,      /* pymalloc's own largest request: what it serves from arenas is never refused */
    HEADER_BYTES = 8,      /* glibc's per block */
    NAME_BYTES = 96,
    SLOT_COUNT = 1024,     /* slot 0: whatever no task owns */
    LIMIT_STRIKES = 3,     /* catchable MemoryErrors before the exception that `except Exception` does not catch */
    REFUSALS_MAX = 1000,   /* the same for refused requests of a heap that is nearly full: a loop that asks for ever */
    PROBE_ARENA_BLOCKS = 1 << 16,
    EXIT_HEAP_EXHAUSTED = 84,
    EXIT_TASK_UNRESPONSIVE = 85,
};
#define NO_LIMIT (INT64_MAX / 4)
#define LARGE_BYTES_MAX ((int64_t)1 << 20)
#define STACK_CHUNK_MAX ((size_t)1 << 18) /* smaller requests to the arena allocator are chunks of Python's own stack */
#define MAPPED_BYTES_MIN ((size_t)1 << 25) /* glibc's DEFAULT_MMAP_THRESHOLD_MAX */
#define STACK_FREE_BYTES ((int64_t)1 << 20)
#define UNWINDING_FACTOR 2

enum { FLAG_SOFT = 1, FLAG_HARD = 2 };
enum request_kind { REQUEST_TINY, REQUEST_SIZED, REQUEST_ARENA };
enum { INCIDENT_NONE, INCIDENT_RAISED, INCIDENT_REFUSED };

typedef struct {
    _Atomic int64_t net; /* bytes this slot's threads took minus bytes they gave back, whoever took those */
    _Atomic int64_t peak;
    int64_t episode_net; /* `net` when the slot's code first grew the heap in this episode */
    uint64_t episode;
    char name[NAME_BYTES];
    bool taken;
} __attribute__((aligned(64))) task_slot;

typedef struct {
    int kind;
    int slot;
    int64_t used;
    int64_t request;
    int64_t stack;
} incident;

/* The marks of one thread; only that thread touches them. */
typedef struct {
    int slot;
    int exempt;
    int home_exempt;
    unsigned int strikes;
    unsigned int refusals;
    uint64_t episode;
    int64_t soft_episode;
    incident last;
} thread_marks;

#ifdef __GLIBC__
/* Small and fixed: fits the loader's surplus of static TLS, and costs one instruction instead of a call. */
static __thread thread_marks marks __attribute__((tls_model("initial-exec")));
#else
static __thread thread_marks marks;
#endif

/* Read and written by every hook. */
static _Atomic int64_t used;
static _Atomic int64_t peak;
static _Atomic int64_t rise_mark = NO_LIMIT;   /* an increase beyond this takes the slow path */
static _Atomic int64_t fall_mark = INT64_MIN;  /* a decrease below this takes the slow path */
static _Atomic int64_t line = NO_LIMIT;        /* tasks fail above it: set_line less what unwinding would take */
static _Atomic int64_t stack_bytes;            /* Python's stacks, a part of `used` */
static _Atomic int flags;

/* Changed by configure() only, under the GIL. */
static int64_t set_line = NO_LIMIT;   /* the limit less its reserve */
static int64_t end = NO_LIMIT;        /* set_line + reserve: the process ends above it */
static int64_t refuse_mark = NO_LIMIT;/* sized requests are refused above it */
static int64_t soft_high = NO_LIMIT;
static int64_t soft_low = 0;
static int64_t large_bytes = LARGE_BYTES_MAX;
static int64_t spared_bytes = 0;      /* what a task may take of the reserve when another is to blame */
static int64_t grace_ns = 10LL * 1000000000LL;
static char remedy[NAME_BYTES] = "the heap limit";
static char report_directory[1024];

static _Atomic uint64_t episode = 1;        /* counts the times the line was passed */
static _Atomic int largest_slot;            /* which held most when it was last passed */
static _Atomic int64_t unanswered_since_ns; /* first exception of the episode that no handler has answered; 0 = none */
static _Atomic int recovering;              /* handlers at work */
static atomic_flag latch = ATOMIC_FLAG_INIT;/* one thread changes the flags; others go on */
static _Atomic int ending;

static _Atomic int64_t soft_crossings, hard_crossings, raised_count, overrun_count, refused_count, trim_count;
static incident last_incident; /* written racily: a diagnostic */

static task_slot slots[SLOT_COUNT];
static int slots_end = 1; /* no slot from here on was ever taken */

static PyMemAllocatorEx raw_base;
static PyObjectArenaAllocator arena_base;
static int64_t baseline;
static bool installed;
static bool has_glibc_headers;
static int debug_offset; /* bytes PYTHONMALLOC=debug puts before a block */
static _Atomic int64_t arena_requests;

static PyObject *limit_error;   /* HeapLimitError: a MemoryError */
static PyObject *overrun_error; /* HeapOverrun: a BaseException */
static PyObject *alarm_callback;
static _Atomic int alarm_started;
static int event_fd = -1;
static int statm_fd = -1;
static int64_t page_bytes = 4096;

/* ---- time, text, /proc ------------------------------------------------------------------------------------------ */

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* A message built without the heap. */
typedef struct {
    char text[2048];
    size_t length;
} message;

static void put_text(message *m, const char *text) {
    while (*text != '\0' && m->length < sizeof m->text - 1) {
        m->text[m->length++] = *text++;
    }
}

static void put_number(message *m, int64_t value) {
    char digits[24];
    int n = sizeof digits - 1;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    digits[n] = '\0';
    do {
        digits[--n] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0) {
        digits[--n] = '-';
    }
    put_text(m, digits + n);
}

static void put_mebibytes(message *m, int64_t bytes) {
    put_number(m, bytes >> 20);
    put_text(m, ".");
    put_number(m, ((bytes & 0xfffff) * 10) >> 20);
    put_text(m, " MiB");
}

/* Task names come from programs: what would break a JSON string is replaced. */
static void put_quoted(message *m, const char *text) {
    put_text(m, "\"");
    for (; *text != '\0'; text++) {
        char one[2] = {*text == '"' || *text == '\\' || (unsigned char)*text < 0x20 ? '_' : *text, '\0'};
        put_text(m, one);
    }
    put_text(m, "\"");
}

static void put_field(message *m, const char *name, int64_t value) {
    put_text(m, ", \"");
    put_text(m, name);
    put_text(m, "\": ");
    put_number(m, value);
}

static void write_out(int fd, const message *m) {
    size_t done = 0;
    while (done < m->length) {
        ssize_t n = write(fd, m->text + done, m->length - done);
        if (n < 0 && errno != EINTR) {
            return;
        }
        done += n > 0 ? (size_t)n : 0;
    }
}

/* RssAnon as statm has it: resident minus shared. Negative when /proc cannot be read. */
static int64_t resident_anonymous(void) {
    char text[128];
    ssize_t n = pread(statm_fd, text, sizeof text - 1, 0);
    if (n <= 0) {
        return -1;
    }
    text[n] = '\0';
    int64_t fields[3] = {0, 0, 0};
    const char *at = text;
    for (int i = 0; i < 3; i++) {
        while (*at >= '0' && *at <= '9') {
            fields[i] = fields[i] * 10 + (*at++ - '0');
        }
        at += *at == ' ';
    }
    return (fields[1] - fields[2]) * page_bytes;
}

/* ---- the end of the process ------------------------------------------------------------------------------------- */

static PyThreadState *thread_state_with_gil(void);

#if PY_VERSION_HEX < 0x030D0000
extern void _Py_DumpTraceback(int fd, PyThreadState *tstate) __attribute__((weak));

static void write_python_stack(int fd, PyThreadState *state) {
    if (_Py_DumpTraceback != NULL) {
        _Py_DumpTraceback(fd, state);
    }
}
#else
/* 3.13 hides its signal-safe dump. The hooks let everything through by now, so frames may be allocated. */
static void write_python_stack(int fd, PyThreadState *state) {
    PyGC_Disable();
    message m = {.length = 0};
    put_text(&m, "Stack (most recent call first):\n");
    PyFrameObject *frame = PyThreadState_GetFrame(state);
    for (int depth = 0; frame != NULL && depth < 20; depth++) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        const char *file = PyUnicode_AsUTF8(code->co_filename);
        const char *name = PyUnicode_AsUTF8(code->co_name);
        put_text(&m, "  File \"");
        put_text(&m, file == NULL ? "?" : file);
        put_text(&m, "\", line ");
        put_number(&m, PyFrame_GetLineNumber(frame));
        put_text(&m, " in ");
        put_text(&m, name == NULL ? "?" : name);
        put_text(&m, "\n");
        frame = PyFrame_GetBack(frame);
    }
    write_out(fd, &m);
}
#endif

static void write_end_report(int code, const char *kind, int64_t held, int64_t request) {
    if (report_directory[0] == '\0') {
        return;
    }
    message path = {.length = 0};
    put_text(&path, report_directory);
    put_text(&path, "/heap-end-");
    put_number(&path, getpid());
    put_text(&path, ".json");
    path.text[path.length] = '\0';
    int fd = open(path.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return;
    }
    message m = {.length = 0};
    put_text(&m, "{\"kind\": ");
    put_quoted(&m, kind);
    put_field(&m, "exit_code", code);
    put_field(&m, "pid", getpid());
    put_field(&m, "heap_used_bytes", held);
    put_field(&m, "heap_limit_bytes", end);
    put_field(&m, "heap_line_bytes", set_line);
    put_field(&m, "reserve_bytes", end - set_line);
    put_field(&m, "request_bytes", request);
    put_field(&m, "rss_anon_bytes", resident_anonymous());
    put_text(&m, ", \"task\": ");
    put_quoted(&m, slots[marks.slot].name);
    put_field(&m, "task_net_bytes", relaxed_load(&slots[marks.slot].net));
    put_text(&m, ", \"option\": ");
    put_quoted(&m, remedy);
    put_text(&m, "}\n");
    write_out(fd, &m);
    close(fd);
}

/* Ends the process from inside the allocator: only write(2), open(2) and _exit(2), nothing that allocates. */
static void end_process(int code, int64_t held, int64_t request) {
    if (atomic_exchange(&ending, 1) != 0) {
        for (;;) {
            pause(); /* another thread is writing the message */
        }
    }
    message m = {.length = 0};
    put_text(&m, "\npenstock heap guard: process ");
    put_number(&m, getpid());
    put_text(&m, " ends with exit code ");
    put_number(&m, code);
    put_text(&m, ": the heap holds ");
    put_mebibytes(&m, held);
    put_text(&m, ", its limit is ");
    put_mebibytes(&m, end);
    put_text(&m, " (reserve of ");
    put_mebibytes(&m, end - set_line);
    put_text(&m, " included)");
    if (marks.slot != 0) {
        put_text(&m, ", in task ");
        put_quoted(&m, slots[marks.slot].name);
    }
    if (code == EXIT_HEAP_EXHAUSTED) {
        put_text(&m, ". One call made more small objects than the reserve holds, without a point where it could be stopped: "
                     "build the objects in a Python loop or in portions, or raise ");
    } else {
        put_text(&m, ". MemoryError was raised, the program caught it, and the heap stayed over its limit: "
                     "let the error pass or drop what was built, or raise ");
    }
    put_text(&m, remedy);
    put_text(&m, ".\n");
    write_out(STDERR_FILENO, &m);
    write_end_report(code, code == EXIT_HEAP_EXHAUSTED ? "heap-exhausted" : "task-unresponsive", held, request);
    PyThreadState *state = thread_state_with_gil();
    if (state != NULL) {
        write_python_stack(STDERR_FILENO, state);
    }
    _exit(code);
}

/* ---- the exception at the next bytecode boundary ---------------------------------------------------------------- */

/* The calling thread's state if it holds the GIL, else NULL. */
static PyThreadState *thread_state_with_gil(void) {
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

static bool learn_to_raise(void) {
    return _PyEval_SignalAsyncExc != NULL;
}

static void wake_interpreter(PyThreadState *state) {
    _PyEval_SignalAsyncExc(state->interp);
}
#else
static uintptr_t async_exception_bit;

/* Learns which bit of the eval breaker SetAsyncExc sets, by letting it do so for an exception that is withdrawn at once.
 * Another thread may set its own bits meanwhile: then it is the bit of 3.13 and 3.14, if that one is set. */
static bool learn_to_raise(void) {
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
    return error != NULL && (error == limit_error || error == overrun_error);
}

/* Takes back an exception of ours that has not been raised yet; true if there was one. Needs the GIL. */
static bool withdraw(void) {
    PyThreadState *state = thread_state_with_gil();
    if (state == NULL || !is_ours(state->async_exc)) {
        return false;
    }
    PyObject *error = state->async_exc;
    state->async_exc = NULL;
    Py_DECREF(error);
    return true;
}

static void note_incident(int kind, int64_t held, int64_t request) {
    incident now = {kind, marks.slot, held, request, relaxed_load(&stack_bytes)};
    marks.last = now;
    last_incident = now;
}

/* One more time that the calling thread is told; ends the process if nobody answered for too long. */
static void strike(int64_t held, int64_t request) {
    uint64_t current = relaxed_load(&episode);
    if (marks.episode != current) {
        marks.episode = current;
        marks.strikes = 0;
    }
    marks.strikes++;
    if (relaxed_load(&recovering) == 0) {
        int64_t now = now_ns(), since = 0;
        if (!atomic_compare_exchange_strong(&unanswered_since_ns, &since, now) && now - since > grace_ns) {
            end_process(EXIT_TASK_UNRESPONSIVE, held, request);
        }
    }
}

/* Has the calling thread, which has a strike, raise at its next bytecode boundary: at first what programs may catch. */
static void raise_in_this_thread(PyThreadState *state, int64_t held, int64_t request) {
    PyObject *error = marks.strikes > LIMIT_STRIKES ? overrun_error : limit_error;
    relaxed_add(error == limit_error ? &raised_count : &overrun_count, 1);
    note_incident(INCIDENT_RAISED, held, request);
    Py_INCREF(error);
    state->async_exc = error;
    wake_interpreter(state);
}

/* A small task that happens to allocate while another has filled the heap is let into the reserve, a little. */
static bool is_spared(void) {
    int blamed = relaxed_load(&largest_slot);
    task_slot *own = &slots[marks.slot];
    if (marks.slot == 0 || blamed == 0 || blamed == marks.slot) {
        return false;
    }
    int64_t net = relaxed_load(&own->net);
    if (own->episode != relaxed_load(&episode)) {
        own->episode = relaxed_load(&episode);
        own->episode_net = net;
    }
    return net - own->episode_net <= spared_bytes && net < relaxed_load(&slots[blamed].net) / 4;
}

static void tell_this_thread(int64_t held, int64_t request) {
    PyThreadState *state = thread_state_with_gil();
    if (state == NULL || limit_error == NULL || is_spared()) {
        return;
    }
    if (state->async_exc != NULL) {
        wake_interpreter(state); /* 3.11 and 3.12 forget the signal when another thread takes its own exception */
        return;
    }
    strike(held, request);
    raise_in_this_thread(state, held, request);
}

/* ---- slow paths ------------------------------------------------------------------------------------------------- */

static void *alarm_main(void *unused);

static void ring(void) {
    uint64_t one = 1;
    if (event_fd >= 0 && write(event_fd, &one, sizeof one) < 0) {
        return; /* the counter is full: the alarm is ringing already */
    }
    if (alarm_callback != NULL && atomic_exchange(&alarm_started, 1) == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, alarm_main, NULL) == 0) {
            pthread_detach(thread);
        }
    }
}

static int find_largest_slot(void) {
    int largest = 0;
    int64_t most = 0;
    for (int i = 1; i < slots_end; i++) {
        if (slots[i].taken && relaxed_load(&slots[i].net) > most) {
            most = relaxed_load(&slots[i].net);
            largest = i;
        }
    }
    return largest;
}

/* Below this the overrun is over. */
static int64_t fall_line(void) {
    int64_t hard = relaxed_load(&line);
    return hard - hard / 64;
}

/* Under the latch: the flags and marks that belong to `held`. True if the alarm has to ring. */
static bool change_flags(int64_t held) {
    int before = relaxed_load(&flags), after = before;
    int64_t hard = relaxed_load(&line);
    if (held > soft_high) {
        after |= FLAG_SOFT;
    } else if (held < soft_low) {
        after &= ~FLAG_SOFT;
    }
    if (held > hard) {
        after |= FLAG_HARD;
    } else if (held < fall_line()) {
        after &= ~FLAG_HARD;
    }
    int gained = after & ~before;
    if (gained & FLAG_SOFT) {
        relaxed_add(&soft_crossings, 1);
    }
    if (gained & FLAG_HARD) {
        relaxed_add(&hard_crossings, 1);
        relaxed_add(&episode, 1);
        relaxed_store(&largest_slot, find_largest_slot());
    }
    if (!(after & FLAG_HARD)) {
        relaxed_store(&unanswered_since_ns, 0);
    }
    relaxed_store(&flags, after);
    relaxed_store(&rise_mark, after & FLAG_SOFT ? hard : (soft_high < hard ? soft_high : hard));
    relaxed_store(&fall_mark, after & FLAG_HARD ? fall_line() : (after & FLAG_SOFT ? soft_low : INT64_MIN));
    return gained != 0;
}

static void update_flags(int64_t held) {
    if (!atomic_flag_test_and_set_explicit(&latch, memory_order_acquire)) {
        bool changed = change_flags(held);
        atomic_flag_clear_explicit(&latch, memory_order_release);
        if (changed) {
            ring();
        }
    }
}

static void __attribute__((noinline, cold)) risen(int64_t held, int64_t request, enum request_kind kind) {
    if (relaxed_load(&ending)) {
        return;
    }
    update_flags(held);
    if (held <= relaxed_load(&line)) {
        return;
    }
    if (held > end && kind != REQUEST_SIZED) {
        end_process(EXIT_HEAP_EXHAUSTED, held, request);
    }
    if (!marks.exempt && kind != REQUEST_TINY) {
        tell_this_thread(held, request);
    }
}

static void __attribute__((noinline, cold)) fallen(int64_t held) {
    update_flags(held);
}

/* Counts the calling thread's refusals while the heap stays nearly full. */
static bool is_asking_for_ever(int64_t held) {
    int64_t current = relaxed_load(&soft_crossings);
    if (marks.soft_episode != current) {
        marks.soft_episode = current;
        marks.refusals = 0;
    }
    return held > fall_line() / 8 * 7 && ++marks.refusals > REFUSALS_MAX;
}

/* A request over 512 bytes that would pass the line by growing the heap by `growth`: is it to be refused? */
static bool __attribute__((noinline, cold)) is_refused(int64_t growth) {
    if (relaxed_load(&ending)) {
        return false;
    }
    int64_t held = relaxed_load(&used);
    if (marks.exempt ? held + growth <= end : growth < large_bytes && held + growth <= refuse_mark) {
        return false;
    }
    relaxed_add(&refused_count, 1);
    note_incident(INCIDENT_REFUSED, held, growth);
    withdraw(); /* the refusal is the failure: a second exception would strike in the code that handles it */
    PyThreadState *state = thread_state_with_gil();
    if (marks.exempt || state == NULL || limit_error == NULL) {
        return true;
    }
    if (held > relaxed_load(&line)) {
        strike(held, growth);
    } else if (is_asking_for_ever(held)) {
        marks.strikes = LIMIT_STRIKES + 1;
    } else {
        return true;
    }
    if (marks.strikes > LIMIT_STRIKES && state->async_exc == NULL) {
        raise_in_this_thread(state, held, growth); /* it catches every refusal, and asks again */
    }
    return true;
}

bool heapguard_thread_is_exempt(void) {
    return marks.exempt != 0;
}

/* ---- hooks ------------------------------------------------------------------------------------------------------ */

static inline size_t block_bytes(void *block) {
    return malloc_usable_size((char *)block - debug_offset) + HEADER_BYTES;
}

static inline void grown(int64_t bytes, int64_t request, enum request_kind kind) {
    int64_t held = relaxed_add(&used, bytes) + bytes;
    if (marks.slot != 0) {
        /* A slot is one thread's at a time: no locked instruction is needed. */
        task_slot *slot = &slots[marks.slot];
        int64_t net = relaxed_load(&slot->net) + bytes;
        relaxed_store(&slot->net, net);
        heapguard_raise_mark(&slot->peak, net);
    }
    heapguard_raise_mark(&peak, held);
    if (unlikely(held > relaxed_load(&rise_mark))) {
        risen(held, request, kind);
    }
}

static inline void shrunk(int64_t bytes) {
    int64_t held = relaxed_sub(&used, bytes) - bytes;
    if (marks.slot != 0) {
        task_slot *slot = &slots[marks.slot];
        relaxed_store(&slot->net, relaxed_load(&slot->net) - bytes);
    }
    if (unlikely(held < relaxed_load(&fall_mark))) {
        fallen(held);
    }
}

static inline bool would_be_refused(size_t growth) {
    return unlikely(relaxed_load(&used) + (int64_t)growth > relaxed_load(&line)) && is_refused((int64_t)growth);
}

/* glibc keeps freed blocks of up to 128 KiB, and larger ones once some were freed; the meter does not count them, the
 * process still holds them. Before the heap grows by an arena or a large block on top of them they go back: otherwise a
 * heap that changes from blocks to objects would take twice its limit. Rare enough: once an arena, and it acts only while
 * the process holds more than the line. */
static void return_free_blocks(int64_t growth) {
    static _Atomic int64_t next_check_ns;
    if (set_line == NO_LIMIT || resident_anonymous() + growth <= set_line) {
        return;
    }
    int64_t start = now_ns();
    if (start < relaxed_load(&next_check_ns)) {
        return;
    }
    int64_t keepable = set_line / 32;
#if defined(__GLIBC_PREREQ) && __GLIBC_PREREQ(2, 33)
    if ((int64_t)mallinfo2().fordblks > keepable) {
        malloc_trim(0);
        relaxed_add(&trim_count, 1);
    }
#else
    (void)keepable;
    malloc_trim(0);
    relaxed_add(&trim_count, 1);
#endif
    int64_t stop = now_ns();
    relaxed_store(&next_check_ns, stop + 10 * (stop - start) + 5000000);
}

static void *raw_malloc(void *ctx, size_t size) {
    if (size > TINY_BYTES && would_be_refused(size)) {
        return NULL;
    }
    if (unlikely(size >= (size_t)LARGE_BYTES_MAX)) {
        return_free_blocks((int64_t)size);
    }
    void *block = raw_base.malloc(ctx, size);
    if (likely(block != NULL)) {
        grown((int64_t)block_bytes(block), (int64_t)size, size > TINY_BYTES ? REQUEST_SIZED : REQUEST_TINY);
    }
    return block;
}

static void *raw_calloc(void *ctx, size_t count, size_t each) {
    size_t size;
    if (__builtin_mul_overflow(count, each, &size)) {
        return NULL;
    }
    if (size > TINY_BYTES && would_be_refused(size)) {
        return NULL;
    }
    if (unlikely(size >= (size_t)LARGE_BYTES_MAX)) {
        return_free_blocks((int64_t)size);
    }
    void *block = raw_base.calloc(ctx, count, each);
    if (likely(block != NULL)) {
        grown((int64_t)block_bytes(block), (int64_t)size, size > TINY_BYTES ? REQUEST_SIZED : REQUEST_TINY);
    }
    return block;
}

/* glibc's header: is the block a mapping of its own, which realloc grows by remapping? */
static bool is_mapped(void *block) {
    return (((size_t *)block)[-1] & 2) != 0;
}

/* Another malloc may be preloaded, whose blocks have no such header. */
static bool malloc_is_glibcs(void) {
#ifdef __GLIBC__
    Dl_info where;
    if (dladdr((void *)(uintptr_t)malloc_usable_size, &where) == 0 || where.dli_fname == NULL) {
        return false;
    }
    const char *slash = strrchr(where.dli_fname, '/');
    return strncmp(slash == NULL ? where.dli_fname : slash + 1, "libc.so", 7) == 0;
#else
    return false;
#endif
}

/* realloc of a block that glibc has to copy holds both for a moment: twice a heap's largest block, past any limit. Near
 * the limit a very large block is moved here instead, giving back the pages of the old one as they are copied. At that
 * size the new block is a mapping of its own, so a block is moved but once. NULL: let realloc do it. */
static void *moved_by_pieces(void *ctx, void *block, size_t before, size_t size) {
    const size_t piece = 1 << 20;
    if (!has_glibc_headers || is_mapped(block) || set_line == NO_LIMIT ||
        resident_anonymous() + (int64_t)size <= set_line) {
        return NULL;
    }
    char *moved = raw_base.malloc(ctx, size);
    if (moved == NULL) {
        return NULL;
    }
    char *old = block;
    size_t length = before - HEADER_BYTES;
    size_t mask = (size_t)page_bytes - 1;
    char *returned = (char *)(((uintptr_t)old + mask) & ~mask);
    for (size_t at = 0; at < length; at += piece) {
        size_t n = length - at < piece ? length - at : piece;
        memcpy(moved + at, old + at, n);
        char *copied = (char *)((uintptr_t)(old + at + n) & ~mask);
        if (copied > returned) {
            madvise(returned, (size_t)(copied - returned), MADV_DONTNEED);
            returned = copied;
        }
    }
    raw_base.free(ctx, block);
    return moved;
}

static void *raw_realloc(void *ctx, void *block, size_t size) {
    if (block == NULL) {
        return raw_malloc(ctx, size);
    }
    size_t before = block_bytes(block);
    if (size > TINY_BYTES && size > before && would_be_refused(size - before)) {
        return NULL;
    }
    if (unlikely(size >= (size_t)LARGE_BYTES_MAX && size > before)) {
        return_free_blocks((int64_t)(size - before));
    }
    void *moved = NULL;
    if (unlikely(size >= MAPPED_BYTES_MIN && size > before)) {
        moved = moved_by_pieces(ctx, block, before, size);
    }
    if (moved == NULL) {
        moved = raw_base.realloc(ctx, block, size);
    }
    if (likely(moved != NULL)) {
        size_t after = block_bytes(moved);
        if (after > before) {
            grown((int64_t)(after - before), (int64_t)size, size > TINY_BYTES ? REQUEST_SIZED : REQUEST_TINY);
        } else if (after < before) {
            shrunk((int64_t)(before - after));
        }
    }
    return moved;
}

static void raw_free(void *ctx, void *block) {
    if (block != NULL) {
        shrunk((int64_t)block_bytes(block));
        raw_base.free(ctx, block);
    }
}

/* An exception that unwinds Python's stack keeps every frame in its traceback, as objects of more than twice the size. A
 * deep recursion has to be told while there is room for them: a stack counts three times against the line. */
static void count_stack(int64_t bytes) {
    int64_t deep = relaxed_add(&stack_bytes, bytes) + bytes - STACK_FREE_BYTES;
    if (unlikely(set_line != NO_LIMIT && (deep > 0 || relaxed_load(&line) != set_line))) {
        relaxed_store(&line, set_line - (deep > 0 ? UNWINDING_FACTOR * deep : 0));
        update_flags(relaxed_load(&used));
    }
}

static void *arena_alloc(void *ctx, size_t size) {
    void *arena = arena_base.alloc(ctx, size);
    if (likely(arena != NULL)) {
        if (size < STACK_CHUNK_MAX) {
            count_stack((int64_t)size);
        } else {
            relaxed_add(&arena_requests, 1);
            return_free_blocks(0);
        }
        grown((int64_t)size, (int64_t)size, REQUEST_ARENA);
    }
    return arena;
}

static void arena_free(void *ctx, void *arena, size_t size) {
    arena_base.free(ctx, arena, size);
    if (size < STACK_CHUNK_MAX) {
        count_stack(-(int64_t)size);
    }
    shrunk((int64_t)size);
}

/* ---- installing ------------------------------------------------------------------------------------------------- */

static void hook_arenas(void) {
    PyObject_GetArenaAllocator(&arena_base);
    PyObjectArenaAllocator hooked = {arena_base.ctx, arena_alloc, arena_free};
    PyObject_SetArenaAllocator(&hooked);
}

static void unhook_arenas(void) {
    PyObject_SetArenaAllocator(&arena_base);
}

static void hook_raw(void) {
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &raw_base);
    /* The base's own ctx: threads without the GIL may see old functions with the new ctx, or the reverse. */
    PyMemAllocatorEx hooked = {raw_base.ctx, raw_malloc, raw_calloc, raw_realloc, raw_free};
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &hooked);
}

/* Are objects made by pymalloc? Makes small ones until an arena is asked for: one or two MiB are enough. */
static bool objects_use_arenas(void) {
    int64_t before = relaxed_load(&arena_requests);
    void **chain = NULL;
    for (int i = 0; i < PROBE_ARENA_BLOCKS && relaxed_load(&arena_requests) == before; i++) {
        void **block = PyObject_Malloc(TINY_BYTES - 64);
        if (block == NULL) {
            break;
        }
        *block = chain;
        chain = block;
    }
    while (chain != NULL) {
        void **next = *chain;
        PyObject_Free(chain);
        chain = next;
    }
    return relaxed_load(&arena_requests) != before;
}

/* PYTHONMALLOC=debug (and python -X dev) puts a size, the domain's letter and guard bytes before each block. */
static int find_debug_offset(const unsigned char *block) {
    for (int i = 1; i < 8; i++) {
        if (block[-i] != 0xfd) {
            return 0;
        }
    }
    return block[-8] == 'r' ? 16 : 0;
}

static bool raw_blocks_are_mallocs(void) {
    PyMemAllocatorEx raw;
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &raw);
    void *block = raw.malloc(raw.ctx, 1000);
    if (block == NULL) {
        return false;
    }
    debug_offset = find_debug_offset(block);
    has_glibc_headers = debug_offset == 0 && malloc_is_glibcs();
    size_t usable = malloc_usable_size((char *)block - debug_offset);
    raw.free(raw.ctx, block);
    return usable >= 1000 && usable <= 2048;
}

static bool meter_sees(void *(*allocate)(size_t), void (*release)(void *)) {
    const int64_t size = 100000;
    int64_t before = relaxed_load(&used);
    void *block = allocate((size_t)size);
    int64_t gained = relaxed_load(&used) - before;
    release(block);
    return gained >= size && gained < 2 * size;
}

static bool meter_works(void) {
    return meter_sees(PyMem_RawMalloc, PyMem_RawFree) && meter_sees(PyObject_Malloc, PyObject_Free) &&
           meter_sees(PyMem_Malloc, PyMem_Free);
}

/* Why the heap cannot be metered here, or NULL after the hooks are in place. */
static const char *hook_allocators(void) {
#ifdef Py_GIL_DISABLED
    return "this is a free-threaded build, whose objects come from mimalloc";
#else
    hook_arenas();
    if (!objects_use_arenas()) {
        unhook_arenas();
        return "objects are not allocated by pymalloc (PYTHONMALLOC, or a build without it)";
    }
    if (!raw_blocks_are_mallocs()) {
        unhook_arenas();
        return "raw memory does not come from the C library's malloc";
    }
    if (!learn_to_raise()) {
        unhook_arenas();
        return "this CPython offers no way to raise an exception from inside the allocator";
    }
    hook_raw();
    if (!meter_works()) {
        PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &raw_base);
        unhook_arenas();
        return "a probe allocation was not seen by the hooks";
    }
    return NULL;
#endif
}

/* install(limit_error, overrun_error) -> None, or the reason why the heap cannot be metered in this interpreter. */
static PyObject *install(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *limit_class, *overrun_class;
    if (!PyArg_ParseTuple(args, "OO:install", &limit_class, &overrun_class)) {
        return NULL;
    }
    if (installed) {
        Py_RETURN_NONE;
    }
    page_bytes = sysconf(_SC_PAGESIZE);
    statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (statm_fd < 0 || event_fd < 0) {
        return PyUnicode_FromString("/proc/self/statm or an eventfd cannot be opened");
    }
    baseline = resident_anonymous();
    relaxed_store(&used, baseline);
    relaxed_store(&peak, baseline);
    const char *obstacle = hook_allocators();
    if (obstacle != NULL) {
        return PyUnicode_FromString(obstacle);
    }
    Py_XSETREF(limit_error, Py_NewRef(limit_class));
    Py_XSETREF(overrun_error, Py_NewRef(overrun_class));
    installed = true;
    Py_RETURN_NONE;
}

/* uninstall() -> bool: takes the hooks out; False if something else has hooked above them since, and they must stay. */
static PyObject *uninstall(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyMemAllocatorEx raw;
    PyObjectArenaAllocator arenas;
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &raw);
    PyObject_GetArenaAllocator(&arenas);
    if (!installed || raw.malloc != raw_malloc || arenas.alloc != arena_alloc) {
        return PyBool_FromLong(!installed);
    }
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &raw_base);
    unhook_arenas();
    close(event_fd);
    close(statm_fd);
    event_fd = statm_fd = -1;
    installed = false;
    Py_RETURN_TRUE;
}

/* check() -> bool: do the hooks still see the heap? tracemalloc.stop() puts back what it found when it was started. */
static PyObject *check(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBool_FromLong(installed && meter_works());
}

/* rehook(): puts the RAW hook back on top of whatever is there now. */
static PyObject *rehook(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (installed && !meter_works()) {
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
    if (strlen(directory) >= sizeof report_directory) {
        PyErr_SetString(PyExc_ValueError, "the report directory's path is too long");
        return NULL;
    }
    bool limited = new_line >= 0;
    relaxed_store(&line, NO_LIMIT);
    set_line = limited ? new_line : NO_LIMIT;
    end = limited ? new_line + reserve : NO_LIMIT;
    refuse_mark = limited ? new_line + reserve / 4 * 3 : NO_LIMIT;
    spared_bytes = reserve / 16;
    large_bytes = reserve / 8 < LARGE_BYTES_MAX ? reserve / 8 : LARGE_BYTES_MAX;
    soft_high = high >= 0 ? high : NO_LIMIT;
    soft_low = high >= 0 ? low : 0;
    grace_ns = (int64_t)(grace_s * 1e9);
    strncpy(remedy, new_remedy, sizeof remedy - 1);
    strcpy(report_directory, directory);
    relaxed_store(&line, limited ? new_line : NO_LIMIT);
    while (atomic_flag_test_and_set_explicit(&latch, memory_order_acquire)) {
        sched_yield();
    }
    bool changed = change_flags(relaxed_load(&used));
    atomic_flag_clear_explicit(&latch, memory_order_release);
    if (changed) {
        ring();
    }
    Py_RETURN_NONE;
}

/* after_fork(): in the child. The meter goes on: the child has the parent's heap, and counting native memory as heap by
 * starting again from RssAnon would be wrong. What belongs to the parent's threads and descriptors starts anew. */
static PyObject *after_fork(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    atomic_flag_clear(&latch);
    relaxed_store(&recovering, 0);
    relaxed_store(&unanswered_since_ns, 0);
    relaxed_store(&alarm_started, 0);
    relaxed_store(&peak, relaxed_load(&used));
    if (installed) {
        close(event_fd);
        close(statm_fd);
        event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
        baseline = relaxed_load(&used);
    }
    Py_RETURN_NONE;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static PyObject *read_used(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLongLong(relaxed_load(&used));
}

static PyObject *read_peak(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLongLong(relaxed_load(&peak));
}

static PyObject *read_baseline(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLongLong(baseline);
}

static PyObject *reset_peak(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    relaxed_store(&peak, relaxed_load(&used));
    Py_RETURN_NONE;
}

static PyObject *over_soft(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBool_FromLong(relaxed_load(&flags) & FLAG_SOFT);
}

static PyObject *over_limit(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBool_FromLong(relaxed_load(&flags) & FLAG_HARD);
}

static PyObject *rss_anon(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLongLong(resident_anonymous());
}

static PyObject *counters(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return Py_BuildValue("{s:L,s:L,s:L,s:L,s:L,s:L}", "soft_crossings", (long long)relaxed_load(&soft_crossings),
                         "limit_crossings", (long long)relaxed_load(&hard_crossings), "raised",
                         (long long)relaxed_load(&raised_count), "overruns", (long long)relaxed_load(&overrun_count),
                         "refused", (long long)relaxed_load(&refused_count), "trims", (long long)relaxed_load(&trim_count));
}

/* last_incident() -> (kind, slot, used, request, Python's stacks) of this thread, else of any; None if there was none. */
static PyObject *read_incident(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    incident it = marks.last.kind != INCIDENT_NONE ? marks.last : last_incident;
    if (it.kind == INCIDENT_NONE) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("siLLL", it.kind == INCIDENT_RAISED ? "raised" : "refused", it.slot, (long long)it.used,
                         (long long)it.request, (long long)it.stack);
}

/* ---- threads and tasks ------------------------------------------------------------------------------------------ */

static PyObject *open_slot(PyObject *module, PyObject *name) {
    (void)module;
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL) {
        return NULL;
    }
    for (int i = 1; i < SLOT_COUNT; i++) {
        if (!slots[i].taken) {
            slots[i].taken = true;
            slots_end = i < slots_end ? slots_end : i + 1;
            relaxed_store(&slots[i].net, 0);
            relaxed_store(&slots[i].peak, 0);
            strncpy(slots[i].name, text, NAME_BYTES - 1);
            slots[i].name[NAME_BYTES - 1] = '\0';
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
        slots[index].taken = false;
    }
    Py_RETURN_NONE;
}

static PyObject *slot_usage(PyObject *module, PyObject *object) {
    (void)module;
    int index = slot_index(object);
    if (index < 0) {
        return NULL;
    }
    return Py_BuildValue("sLL", slots[index].name, (long long)relaxed_load(&slots[index].net),
                         (long long)relaxed_load(&slots[index].peak));
}

/* enter(slot): from here on this thread runs the user code of that task. Pairs with leave(); does not nest. */
static PyObject *enter(PyObject *module, PyObject *object) {
    (void)module;
    int index = slot_index(object);
    if (index < 0) {
        return NULL;
    }
    marks.slot = index;
    marks.exempt = 0;
    Py_RETURN_NONE;
}

/* leave(): back to the thread's own code. An exception that was on its way is raised here, not somewhere in the runtime. */
static PyObject *leave(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    marks.slot = 0;
    marks.exempt = marks.home_exempt;
    if (unlikely(marks.exempt && withdraw())) {
        PyErr_SetNone(limit_error);
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
    relaxed_add(&recovering, 1);
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
    marks.strikes = marks.refusals = 0;
    relaxed_sub(&recovering, 1);
    relaxed_store(&unanswered_since_ns, 0);
    Py_RETURN_NONE;
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
    if (r->slot >= 0) {
        marks.slot = r->slot;
    }
    marks.exempt = marks.home_exempt = r->exempt;
    return Py_NewRef(self);
}

static PyObject *region_exit(PyObject *self, PyObject *args) {
    region *r = (region *)self;
    PyObject *kind = PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : Py_None;
    r->depth--;
    marks.slot = r->saved_slot;
    marks.exempt = r->saved_exempt;
    marks.home_exempt = r->saved_home;
    if (marks.exempt && withdraw() && kind == Py_None) {
        PyErr_SetNone(limit_error);
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

/* ---- the alarm -------------------------------------------------------------------------------------------------- */

/* wait(timeout_ms) -> bool: until the alarm rings, without the GIL. */
static PyObject *wait_for_alarm(PyObject *module, PyObject *timeout) {
    (void)module;
    long timeout_ms = PyLong_AsLong(timeout);
    if (timeout_ms == -1 && PyErr_Occurred()) {
        return NULL;
    }
    struct pollfd descriptor = {.fd = event_fd, .events = POLLIN};
    int ready;
    Py_BEGIN_ALLOW_THREADS;
    ready = poll(&descriptor, 1, (int)timeout_ms);
    if (ready > 0) {
        uint64_t count;
        ready = read(event_fd, &count, sizeof count) == (ssize_t)sizeof count;
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

/* The thread that the first crossing of a soft limit starts: programs that stay away from their limit get no thread. */
static void *alarm_main(void *unused) {
    marks.exempt = marks.home_exempt = 1;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *callback = Py_XNewRef(alarm_callback);
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

/* set_alarm(callable or None): runs on a thread of its own from the first time the alarm rings. */
static PyObject *set_alarm(PyObject *module, PyObject *callback) {
    (void)module;
    Py_XSETREF(alarm_callback, callback == Py_None ? NULL : Py_NewRef(callback));
    relaxed_store(&alarm_started, 0);
    Py_RETURN_NONE;
}

/* ---- the C library's allocator ---------------------------------------------------------------------------------- */

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

/* ---- the module ------------------------------------------------------------------------------------------------- */

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
    {"last_incident", read_incident, METH_NOARGS, NULL},
    {"open_slot", open_slot, METH_O, NULL},
    {"close_slot", close_slot, METH_O, NULL},
    {"slot_usage", slot_usage, METH_O, NULL},
    {"enter", enter, METH_O, NULL},
    {"leave", leave, METH_NOARGS, NULL},
    {"mark_system", mark_system, METH_O, NULL},
    {"begin_recovery", begin_recovery, METH_NOARGS, NULL},
    {"end_recovery", end_recovery, METH_O, NULL},
    {"region", make_region, METH_VARARGS, NULL},
    {"wait", wait_for_alarm, METH_O, NULL},
    {"ring", ring_alarm, METH_NOARGS, NULL},
    {"set_alarm", set_alarm, METH_O, NULL},
    {"trim", trim, METH_NOARGS, NULL},
    {"set_arena_max", set_arena_max, METH_O, NULL},
    {"numpy_bind", heapguard_numpy_bind, METH_O, NULL},
    {"numpy_install", heapguard_numpy_install, METH_NOARGS, NULL},
    {"numpy_uninstall", heapguard_numpy_uninstall, METH_NOARGS, NULL},
    {"numpy_usage", heapguard_numpy_usage, METH_NOARGS, NULL},
    {"numpy_set_limit", heapguard_numpy_set_limit, METH_O, NULL},
    {"numpy_reset_peak", heapguard_numpy_reset_peak, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int fill_module(PyObject *module) {
    region_type = (PyTypeObject *)PyType_FromSpec(&region_spec);
    if (region_type == NULL || PyModule_AddIntConstant(module, "EXIT_HEAP_EXHAUSTED", EXIT_HEAP_EXHAUSTED) < 0) {
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
