/* The end of the process at its heap's limit: a message and a report made without the heap, from inside the allocator. */
#include "_heapguard.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <frameobject.h>
#include <time.h>
#include <unistd.h>

int64_t now_ns(void) {
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
int64_t resident_anonymous(void) {
    char text[128];
    ssize_t n = pread(heap.statm_fd, text, sizeof text - 1, 0);
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
    return (fields[1] - fields[2]) * heap.page_bytes;
}

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
    if (heap.report_directory[0] == '\0') {
        return;
    }
    message path = {.length = 0};
    put_text(&path, heap.report_directory);
    put_text(&path, "/heap-end-");
    put_number(&path, getpid());
    put_text(&path, ".json");
    path.text[path.length] = '\0';
    mkdir(heap.report_directory, 0777); /* made when the first report is written; mostly it is there, or its parent is */
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
    put_field(&m, "heap_limit_bytes", heap.end);
    put_field(&m, "heap_line_bytes", heap.set_line);
    put_field(&m, "reserve_bytes", heap.end - heap.set_line);
    put_field(&m, "request_bytes", request);
    put_field(&m, "python_stacks_bytes", relaxed_load(&heap.stack_bytes));
    put_field(&m, "rss_anon_bytes", resident_anonymous());
    put_text(&m, ", \"task\": ");
    put_quoted(&m, heap.slots[marks.slot].name);
    put_field(&m, "task_net_bytes", relaxed_load(&heap.slots[marks.slot].net));
    put_text(&m, ", \"option\": ");
    put_quoted(&m, heap.remedy);
    put_text(&m, "}\n");
    write_out(fd, &m);
    close(fd);
    message said = {.length = 0};
    put_text(&said, "Report: ");
    put_text(&said, path.text);
    put_text(&said, "\n");
    write_out(STDERR_FILENO, &said);
}

/* Ends the process from inside the allocator: only write(2), mkdir(2), open(2) and _exit(2), nothing that allocates. */
void end_process(int code, int64_t held, int64_t request) {
    if (atomic_exchange(&heap.ending, 1) != 0) {
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
    put_mebibytes(&m, heap.end);
    put_text(&m, " (reserve of ");
    put_mebibytes(&m, heap.end - heap.set_line);
    put_text(&m, " included)");
    if (marks.slot != 0) {
        put_text(&m, ", in task ");
        put_quoted(&m, heap.slots[marks.slot].name);
    }
    if (code == EXIT_HEAP_EXHAUSTED) {
        put_text(&m, ". One call made more small objects than the reserve holds, without a point where it could be stopped: "
                     "build the objects in a Python loop or in portions, or raise ");
    } else {
        put_text(&m, ". MemoryError was raised, the program caught it, and the heap stayed over its limit: "
                     "let the error pass or drop what was built, or raise ");
    }
    put_text(&m, heap.remedy);
    put_text(&m, ".\n");
    write_out(STDERR_FILENO, &m);
    write_end_report(code, code == EXIT_HEAP_EXHAUSTED ? "heap-exhausted" : "task-unresponsive", held, request);
    PyThreadState *state = thread_state_with_gil();
    if (state != NULL) {
        write_python_stack(STDERR_FILENO, state);
    }
    _exit(code);
}
