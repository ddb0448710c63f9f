/* SPDX-License-Identifier: MIT */
/* See refuse.h. */
#include "refuse.h"

#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* glibc's allocator under the names that a program does not replace. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

enum { SOURCES = 2, HEAD = 16 };

static atomic_int armed; /* 1 + the source between refuse_begin and refuse_end, else 0 */
static int64_t refused_number;
static refuse_trace *trace_out;
static atomic_llong requests, live[SOURCES], wrong_sizes;
static _Thread_local bool tracing; /* backtrace may allocate */

void refuse_begin(refuse_source source, int64_t number, refuse_trace *trace) {
    refused_number = number;
    trace_out = trace;
    trace->count = 0;
    atomic_store(&requests, 0);
    atomic_store(&armed, 1 + (int)source);
}

int64_t refuse_end(void) {
    atomic_store(&armed, 0);
    return atomic_load(&requests);
}

static bool refuses(refuse_source source) {
    if (atomic_load(&armed) != 1 + (int)source || tracing) return false;
    const int64_t number = atomic_fetch_add(&requests, 1);
    if (number != refused_number && refused_number != REFUSE_ALL) return false;
    tracing = true;
    trace_out->count = backtrace(trace_out->frames, REFUSE_FRAMES);
    tracing = false;
    return true;
}

static void *counted(void *block) {
    if (block) atomic_fetch_add(&live[REFUSE_PROCESS], 1);
    return block;
}

static void *no_memory(void) {
    errno = ENOMEM;
    return NULL;
}

/* ---- the process ---- */

void *malloc(size_t size) {
    return refuses(REFUSE_PROCESS) ? no_memory() : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size) {
    return refuses(REFUSE_PROCESS) ? no_memory() : counted(__libc_calloc(count, size));
}

void *realloc(void *block, size_t size) {
    if (!block) return malloc(size);
    if (size == 0) {
        free(block);
        return NULL;
    }
    return refuses(REFUSE_PROCESS) ? no_memory() : __libc_realloc(block, size);
}

void *reallocarray(void *block, size_t count, size_t size) {
    size_t total;
    return __builtin_mul_overflow(count, size, &total) ? no_memory() : realloc(block, total);
}

void *memalign(size_t alignment, size_t size) {
    return refuses(REFUSE_PROCESS) ? no_memory() : counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

void *valloc(size_t size) { return memalign((size_t)sysconf(_SC_PAGESIZE), size); }

int posix_memalign(void **out, size_t alignment, size_t size) {
    const int before = errno;
    void *block = memalign(alignment, size);
    errno = before;
    if (!block) return ENOMEM;
    *out = block;
    return 0;
}

void free(void *block) {
    if (!block) return;
    atomic_fetch_sub(&live[REFUSE_PROCESS], 1);
    __libc_free(block);
}

/* Files are written thousands of times; none must survive a loss of power. */
int fsync(int descriptor) {
    (void)descriptor;
    return 0;
}

/* ---- the hooks ---- */

static void *take(void *user, size_t size) {
    (void)user;
    if (refuses(REFUSE_HOOKS)) return NULL;
    unsigned char *block = __libc_malloc(size + HEAD);
    if (!block) return NULL;
    memcpy(block, &size, sizeof size);
    atomic_fetch_add(&live[REFUSE_HOOKS], 1);
    return block + HEAD;
}

static void give(void *user, void *pointer, size_t size) {
    unsigned char *block = (unsigned char *)pointer - HEAD;
    size_t taken;
    (void)user;
    memcpy(&taken, block, sizeof taken);
    if (taken != size) atomic_fetch_add(&wrong_sizes, 1);
    atomic_fetch_sub(&live[REFUSE_HOOKS], 1);
    __libc_free(block);
}

void refuse_use_hooks(dm_context_options *options) {
    options->allocate = take;
    options->release = give;
}

int64_t refuse_live_hooks(void) { return atomic_load(&live[REFUSE_HOOKS]); }

int64_t refuse_live_process(void) { return atomic_load(&live[REFUSE_PROCESS]); }

int64_t refuse_wrong_sizes(void) { return atomic_load(&wrong_sizes); }
