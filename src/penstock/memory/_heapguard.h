/* What the parts of the heap guard share. docs/design/heap-guard.md argues the rules.
 *
 *   _heapguard.c          the Python module: installing, reading, the alarm, the C library's allocator
 *   _heapguard_hooks.c    the hooks in CPython's allocators, and whether they work in this interpreter
 *   _heapguard_limit.c    what happens when a limit is passed
 *   _heapguard_end.c      how the process ends when nothing else helps
 *   _heapguard_tasks.c    which task a thread works for
 *   _heapguard_numpy.c    NumPy's arrays
 */
#ifndef PENSTOCK_HEAPGUARD_H
#define PENSTOCK_HEAPGUARD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
#define WINDOW_BYTES ((int64_t)1 << 16)
#define STACK_FREE_BYTES ((int64_t)1 << 20)
#define UNWINDING_FACTOR 2

enum { FLAG_SOFT = 1, FLAG_HARD = 2 };
enum request_kind { REQUEST_NONE, REQUEST_TINY, REQUEST_SIZED, REQUEST_ARENA, REQUEST_STACK };
enum incident_kind { INCIDENT_NONE, INCIDENT_RAISED, INCIDENT_REFUSED, INCIDENT_ARRAY };


#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define relaxed_load(p) atomic_load_explicit((p), memory_order_relaxed)
#define relaxed_store(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define relaxed_add(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define relaxed_sub(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)

/* How often somebody was told in an episode, and where the heap has to be for the next time. */
typedef struct {
    unsigned int count;
    uint64_t episode;
    int64_t next;
} strike_record;

typedef struct {
    _Atomic int64_t net; /* bytes this slot's threads took minus bytes they gave back, whoever took those */
    _Atomic int64_t peak;
    int64_t episode_net; /* `net` when the slot's code first grew the heap in this episode */
    uint64_t episode;
    strike_record strikes; /* the task's, whichever thread runs it */
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
    int64_t delta;  /* counted, but not yet settled with heap.used */
    int64_t window; /* how large that may become; 0 before the thread's first request, and after its end */
    int slot;
    int exempt;
    int home_exempt;
    strike_record strikes; /* outside of tasks */
    unsigned int refusals;
    bool ended;
    int64_t soft_episode;
    incident last;
} thread_marks;

/* The state of the one guard a process has. */
typedef struct {
    /* Written whenever a thread settles what it has counted: every 64 KiB. */
    _Atomic int64_t used;
    _Atomic int64_t peak;

    /* Read by the hooks, seldom written. */
    __attribute__((aligned(64))) _Atomic int64_t rise_mark; /* an increase beyond this takes the slow path */
    bool has_glibc_headers;
    int debug_offset; /* bytes PYTHONMALLOC=debug puts before a block */
    _Atomic int64_t fall_mark;   /* a decrease below this takes the slow path */
    _Atomic int64_t line;        /* tasks fail above it: set_line less what unwinding would take */
    _Atomic int64_t stack_bytes; /* Python's stacks, a part of `used` */
    _Atomic int flags;

    /* Changed by configure() only, under the GIL. */
    int64_t set_line;     /* the limit less its reserve */
    int64_t end;          /* set_line + reserve: the process ends above it */
    int64_t refuse_mark;  /* sized requests are refused above it */
    int64_t soft_high;
    int64_t soft_low;
    int64_t large_bytes;  /* a request that is refused for its own size */
    int64_t spared_bytes; /* what a task may take of the reserve when another is to blame */
    int64_t strike_bytes; /* what the heap may grow by after an exception before the same task's next one */
    int64_t patience_end; /* above it nobody is waited for any more */
    int64_t grace_ns;
    char remedy[NAME_BYTES];
    char report_directory[1024];

    _Atomic uint64_t episode;            /* counts the times the line was passed */
    _Atomic int largest_slot;            /* which held most when it was last passed */
    _Atomic int64_t unanswered_since_ns; /* first exception of the episode that no handler has answered; 0 = none */
    _Atomic int64_t next_strike;         /* nobody outside of tasks is told below it: who was told last is at it */
    _Atomic int recovering;              /* handlers at work */
    atomic_flag latch;                   /* one thread changes the flags; others go on */
    _Atomic int ending;

    _Atomic int64_t soft_crossings, hard_crossings, raised_count, overrun_count, refused_count, trim_count;
    incident last_incident; /* written racily: a diagnostic */

    task_slot slots[SLOT_COUNT];
    int slots_end; /* no slot from here on was ever taken */

    PyMemAllocatorEx raw_base;
    PyObjectArenaAllocator arena_base;
    _Atomic int64_t arena_requests;
    int64_t baseline;
    int64_t page_bytes;
    bool installed;

    PyObject *limit_error;   /* HeapLimitError: a MemoryError */
    PyObject *overrun_error; /* HeapOverrun: a BaseException */
    PyObject *alarm_callback;
    _Atomic int alarm_started;
    int event_fd;
    int statm_fd;
} heap_state;

#pragma GCC visibility push(hidden)

extern heap_state heap;

#ifdef __GLIBC__
/* Small and fixed: fits the loader's surplus of static TLS, and costs one instruction instead of a call. */
extern __thread thread_marks marks __attribute__((tls_model("initial-exec")));
#else
extern __thread thread_marks marks;
#endif

/* Raises the mark to `value` if it is higher. Two racing threads may leave the lower of their two values: a peak is a
 * diagnostic. */
static inline void raise_mark(_Atomic int64_t *mark, int64_t value) {
    if (unlikely(value > relaxed_load(mark))) {
        relaxed_store(mark, value);
    }
}

/* _heapguard_end.c */
int64_t now_ns(void);
int64_t resident_anonymous(void);
void end_process(int code, int64_t held, int64_t request);

/* _heapguard_limit.c */
PyThreadState *thread_state_with_gil(void);
void __attribute__((cold)) settle(int64_t request, enum request_kind kind);
int64_t used_now(void);
bool learn_to_raise(void);
bool withdraw(void);
PyObject *hold_back(void);
void rearm(PyObject *error);
void ring(void);
void update_flags(int64_t held);
bool change_flags(int64_t held);
bool create_thread_end_key(void);
bool __attribute__((cold)) is_refused(int64_t growth);
void note_incident(enum incident_kind kind, int64_t held, int64_t request);

/* _heapguard_hooks.c */
const char *hook_allocators(void);
bool unhook_allocators(void);
void hook_raw(void);
bool meter_works(void);

/* _heapguard.c: the thread that the first crossing of a soft limit starts */
void *alarm_main(void *unused);

/* _heapguard_tasks.c */
extern PyMethodDef task_methods[];
int add_region_type(void);

/* _heapguard_numpy.c */
extern PyMethodDef numpy_methods[];

#pragma GCC visibility pop

#endif
