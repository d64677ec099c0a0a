/* The hooks in CPython's allocators: counting, and the few requests that are refused or moved. */
#include "_heapguard.h"

#include <dlfcn.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>

/* glibc's header: the size of the whole chunk, and in its low bits whether it is a mapping of its own. */
static inline size_t header_of(void *block) {
    return ((size_t *)block)[-1];
}

enum { HEADER_MAPPED = 2, HEADER_FLAGS = 7 };

/* What a block takes. malloc_usable_size also looks at the chunk behind the block, which is seldom in the cache: half of
 * what counting a block costs. */
static inline size_t block_bytes(void *block) {
    if (likely(heap.has_glibc_headers)) {
        return header_of(block) & ~(size_t)HEADER_FLAGS;
    }
    return malloc_usable_size((char *)block - heap.debug_offset) + HEADER_BYTES;
}

/* A thread counts for itself and settles when it has 64 KiB to tell: a locked instruction a block would cost a tenth of
 * the time that a block takes. */
static inline void count(int64_t bytes, int64_t request, enum request_kind kind) {
    int64_t delta = marks.delta + bytes;
    marks.delta = delta;
    if (unlikely((uint64_t)(delta + marks.window) > 2 * (uint64_t)marks.window)) {
        settle(request, kind);
    }
}

static inline bool would_be_refused(size_t growth) {
    return unlikely(growth >= (size_t)WINDOW_BYTES || (relaxed_load(&heap.flags) & FLAG_HARD)) &&
           is_refused((int64_t)growth);
}

/* glibc keeps freed blocks of up to 128 KiB, and larger ones once some were freed; the meter does not count them, the
 * process still holds them. Before the heap grows by an arena or a large block on top of them they go back: otherwise a
 * heap that changes from blocks to objects would take twice its limit. Rare enough: once an arena, and it acts only while
 * the process holds more than the line. */
static void return_free_blocks(int64_t growth) {
    static _Atomic int64_t next_check_ns;
    if (heap.set_line == NO_LIMIT || resident_anonymous() + growth <= heap.set_line) {
        return;
    }
    int64_t start = now_ns();
    if (start < relaxed_load(&next_check_ns)) {
        return;
    }
    int64_t keepable = heap.set_line / 32;
#if defined(__GLIBC_PREREQ) && __GLIBC_PREREQ(2, 33)
    if ((int64_t)mallinfo2().fordblks > keepable) {
        malloc_trim(0);
        relaxed_add(&heap.trim_count, 1);
    }
#else
    (void)keepable;
    malloc_trim(0);
    relaxed_add(&heap.trim_count, 1);
#endif
    int64_t stop = now_ns();
    relaxed_store(&next_check_ns, stop + 2 * (stop - start) + 2000000);
}

static void *raw_malloc(void *ctx, size_t size) {
    if (size > TINY_BYTES && would_be_refused(size)) {
        return NULL;
    }
    if (unlikely(size >= (size_t)LARGE_BYTES_MAX)) {
        return_free_blocks((int64_t)size);
    }
    void *block = heap.raw_base.malloc(ctx, size);
    if (likely(block != NULL)) {
        count((int64_t)block_bytes(block), (int64_t)size, size > TINY_BYTES ? REQUEST_SIZED : REQUEST_TINY);
    }
    return block;
}

static void *raw_calloc(void *ctx, size_t number, size_t each) {
    size_t size;
    if (__builtin_mul_overflow(number, each, &size)) {
        return NULL;
    }
    if (size > TINY_BYTES && would_be_refused(size)) {
        return NULL;
    }
    if (unlikely(size >= (size_t)LARGE_BYTES_MAX)) {
        return_free_blocks((int64_t)size);
    }
    void *block = heap.raw_base.calloc(ctx, number, each);
    if (likely(block != NULL)) {
        count((int64_t)block_bytes(block), (int64_t)size, size > TINY_BYTES ? REQUEST_SIZED : REQUEST_TINY);
    }
    return block;
}

/* realloc of a block that glibc has to copy holds both for a moment: twice a heap's largest block, past any limit. Near
 * the limit a very large block is moved here instead, giving back the pages of the old one as they are copied. At that
 * size the new block is a mapping of its own, so a block is moved but once. NULL: let realloc do it. */
static void *moved_by_pieces(void *ctx, void *block, size_t before, size_t size) {
    const size_t piece = 1 << 20;
    if (!heap.has_glibc_headers || (header_of(block) & HEADER_MAPPED) || heap.set_line == NO_LIMIT ||
        resident_anonymous() + (int64_t)size <= heap.set_line) {
        return NULL;
    }
    char *moved = heap.raw_base.malloc(ctx, size);
    if (moved == NULL) {
        return NULL;
    }
    char *old = block;
    size_t length = before - HEADER_BYTES; /* not a mapping, so what can be used of it */
    size_t mask = (size_t)heap.page_bytes - 1;
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
    heap.raw_base.free(ctx, block);
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
        moved = heap.raw_base.realloc(ctx, block, size);
    }
    if (likely(moved != NULL)) {
        size_t after = block_bytes(moved);
        if (after > before) {
            count((int64_t)(after - before), (int64_t)size, size > TINY_BYTES ? REQUEST_SIZED : REQUEST_TINY);
        } else if (after < before) {
            count(-(int64_t)(before - after), 0, REQUEST_NONE);
        }
    }
    return moved;
}

static void raw_free(void *ctx, void *block) {
    if (block != NULL) {
        count(-(int64_t)block_bytes(block), 0, REQUEST_NONE);
        heap.raw_base.free(ctx, block);
    }
}

/* An exception that unwinds Python's stack keeps every frame in its traceback, as objects of about twice the size. A
 * deep recursion has to be told while there is room for them: a stack counts three times against the line. */
static void count_stack(int64_t bytes) {
    int64_t deep = relaxed_add(&heap.stack_bytes, bytes) + bytes - STACK_FREE_BYTES;
    if (unlikely(heap.set_line != NO_LIMIT && (deep > 0 || relaxed_load(&heap.line) != heap.set_line))) {
        relaxed_store(&heap.line, heap.set_line - (deep > 0 ? UNWINDING_FACTOR * deep : 0));
        update_flags(used_now());
    }
}

static void *arena_alloc(void *ctx, size_t size) {
    void *arena = heap.arena_base.alloc(ctx, size);
    if (likely(arena != NULL)) {
        if (size < STACK_CHUNK_MAX) {
            count_stack((int64_t)size);
            marks.delta += (int64_t)size;
            settle((int64_t)size, REQUEST_STACK); /* at once: unwinding will take three times as much */
        } else {
            relaxed_add(&heap.arena_requests, 1);
            return_free_blocks(0);
            count((int64_t)size, (int64_t)size, REQUEST_ARENA);
        }
    }
    return arena;
}

static void arena_free(void *ctx, void *arena, size_t size) {
    heap.arena_base.free(ctx, arena, size);
    if (size < STACK_CHUNK_MAX) {
        count_stack(-(int64_t)size);
    }
    count(-(int64_t)size, 0, REQUEST_NONE);
}

static void hook_arenas(void) {
    PyObject_GetArenaAllocator(&heap.arena_base);
    PyObjectArenaAllocator hooked = {heap.arena_base.ctx, arena_alloc, arena_free};
    PyObject_SetArenaAllocator(&hooked);
}

static void unhook_arenas(void) {
    PyObject_SetArenaAllocator(&heap.arena_base);
}

/* Puts the RAW hook on top of whatever is there, unless it is the hook itself. */
void hook_raw(void) {
    PyMemAllocatorEx top;
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &top);
    if (top.malloc == raw_malloc) {
        return;
    }
    heap.raw_base = top;
    /* The base's own ctx: threads without the GIL may see old functions with the new ctx, or the reverse. */
    PyMemAllocatorEx hooked = {heap.raw_base.ctx, raw_malloc, raw_calloc, raw_realloc, raw_free};
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &hooked);
}

/* Are objects made by pymalloc? Makes small ones until an arena is asked for: one or two MiB are enough. */
static bool objects_use_arenas(void) {
    int64_t before = relaxed_load(&heap.arena_requests);
    void **chain = NULL;
    for (int i = 0; i < PROBE_ARENA_BLOCKS && relaxed_load(&heap.arena_requests) == before; i++) {
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
    return relaxed_load(&heap.arena_requests) != before;
}

extern const char *_PyMem_GetCurrentAllocatorName(void) __attribute__((weak));

/* PYTHONMALLOC=debug (and python -X dev) puts a size, the domain's letter and guard bytes before each block. Where CPython
 * does not name its allocator, the guard bytes tell. */
static int find_debug_offset(const unsigned char *block) {
    const char *name = _PyMem_GetCurrentAllocatorName != NULL ? _PyMem_GetCurrentAllocatorName() : NULL;
    if (name != NULL) {
        return strstr(name, "debug") != NULL ? 16 : 0;
    }
    for (int i = 1; i < 8; i++) {
        if (block[-i] != 0xfd) {
            return 0;
        }
    }
    return block[-8] == 'r' ? 16 : 0;
}

/* Another malloc may be preloaded, whose blocks have no such header; or a glibc of the future may differ. */
static bool headers_are_glibcs(void) {
#ifdef __GLIBC__
    Dl_info where;
    if (dladdr((void *)(uintptr_t)malloc_usable_size, &where) == 0 || where.dli_fname == NULL) {
        return false;
    }
    const char *slash = strrchr(where.dli_fname, '/');
    if (strncmp(slash == NULL ? where.dli_fname : slash + 1, "libc.so", 7) != 0) {
        return false;
    }
    static const size_t sizes[] = {24, 1000, 100000, 50 << 20};
    bool agree = true;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *block = PyMem_RawMalloc(sizes[i]);
        if (block != NULL) {
            bool mapped = (header_of(block) & HEADER_MAPPED) != 0;
            size_t chunk = header_of(block) & ~(size_t)HEADER_FLAGS;
            agree = agree && chunk == malloc_usable_size(block) + HEADER_BYTES * (mapped ? 2 : 1);
        }
        PyMem_RawFree(block);
    }
    return agree;
#else
    return false;
#endif
}

static bool raw_blocks_are_mallocs(void) {
    PyMemAllocatorEx raw;
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &raw);
    void *block = raw.malloc(raw.ctx, 1000);
    if (block == NULL) {
        return false;
    }
    heap.debug_offset = find_debug_offset(block);
    heap.has_glibc_headers = heap.debug_offset == 0 && headers_are_glibcs();
    size_t usable = malloc_usable_size((char *)block - heap.debug_offset);
    raw.free(raw.ctx, block);
    return usable >= 1000 && usable <= 2048;
}

/* Threads without the GIL may allocate or free meanwhile: one try of a few has to agree. */
static bool meter_sees(void *(*allocate)(size_t), void (*release)(void *)) {
    const int64_t size = 100000;
    for (int attempt = 0; attempt < 5; attempt++) {
        int64_t before = used_now();
        void *block = allocate((size_t)size);
        int64_t gained = used_now() - before;
        release(block);
        if (gained >= size && gained < 2 * size) {
            return true;
        }
    }
    return false;
}

bool meter_works(void) {
    return meter_sees(PyMem_RawMalloc, PyMem_RawFree) && meter_sees(PyObject_Malloc, PyObject_Free) &&
           meter_sees(PyMem_Malloc, PyMem_Free);
}

/* Why the heap cannot be metered here, or NULL after the hooks are in place. */
const char *hook_allocators(void) {
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
        PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &heap.raw_base);
        unhook_arenas();
        return "a probe allocation was not seen by the hooks";
    }
    return NULL;
#endif
}

/* False if something else has hooked above since, and the hooks must stay. */
bool unhook_allocators(void) {
    PyMemAllocatorEx raw;
    PyObjectArenaAllocator arenas;
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &raw);
    PyObject_GetArenaAllocator(&arenas);
    if (raw.malloc != raw_malloc || arenas.alloc != arena_alloc) {
        return false;
    }
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &heap.raw_base);
    unhook_arenas();
    return true;
}
