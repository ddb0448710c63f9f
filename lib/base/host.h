/* SPDX-License-Identifier: MIT */
/* The host: what the engine needs from the program around it. Memory with a limit, a buffer for the
 * error text, and a log. Everything that can fail takes a host first. */
#ifndef DMI_BASE_HOST_H
#define DMI_BASE_HOST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/checked.h"
#include "base/status.h"

#ifdef __FAST_MATH__
#error "-ffast-math and -Ofast remove NaN, infinities and the order of sums: build without them"
#endif

struct dmi_pool;
struct dmi_profile;

typedef struct dmi_host {
    void *(*allocate)(void *user, size_t size); /* NULL: malloc */
    void (*release)(void *user, void *pointer, size_t size);
    void *allocator_user;
    void (*log)(void *user, int32_t level, const char *message); /* may be NULL */
    void *log_user;
    bool large_pages; /* request them for large blocks from malloc */
    uint64_t limit;   /* of `used`, in bytes; 0: none */
    /* Atomic, since objects that contexts share are allocated and freed on their owner's host by
     * other threads too. */
    _Atomic uint64_t used;        /* bytes, those of the allocator's blocks */
    _Atomic uint64_t peak;        /* the largest `used` */
    _Atomic uint64_t allocations; /* blocks allocated so far */
    struct dmi_pool *pool;        /* the threads; see pool.h */
    struct dmi_profile *profile;  /* NULL: off; see profile.h */
    char error[512];
} dmi_host;

/* The alignment of every block, in bytes: a cache line and the widest vector. */
enum { DMI_ALIGNMENT = 64 };

/* Allocates `size` bytes, uninitialised and aligned to DMI_ALIGNMENT; size 0 gives a valid block.
 * `what` names the block in the error text ("unet: the plan: 3.2 MB would exceed the memory limit
 * of 10.0 MB (8.1 MB in use)"). `out` is the address of a pointer to any type, which is NULL on
 * failure.
 *
 * Several threads may allocate and free on one host at once, if its allocator allows it, and the
 * limit stays exact; but a failure writes host->error without a lock, so threads other than that of
 * the host's current call use dmi_alloc_for. */
int32_t dmi_alloc(dmi_host *host, void *out, size_t size, const char *what);
/* The same for count * element bytes, the product checked. */
int32_t dmi_alloc_array(dmi_host *host, void *out, size_t count, size_t element, const char *what);
/* The same, zeroed. */
int32_t dmi_alloc_zero(dmi_host *host, void *out, size_t count, size_t element, const char *what);
/* dmi_alloc_array from the memory of `owner`, which counts and limits it; a failure is reported to
 * `reporter`. */
int32_t dmi_alloc_for(dmi_host *owner, dmi_host *reporter, void *out, size_t count, size_t element,
                      const char *what);
/* Gives the array room for `count` elements: if its `*capacity` is less, it moves to a block of
 * twice the size or, if memory is short, of just that room. `array` is the address of the pointer,
 * which may be NULL with capacity 0, and is unchanged on failure. */
int32_t dmi_reserve(dmi_host *host, void *array, size_t *capacity, size_t count, size_t element,
                    const char *what);
/* NULL is accepted. */
void dmi_free(dmi_host *host, void *pointer);

/* The format that the compiler checks; MinGW-w64 has one of Windows besides. */
#if defined(__MINGW32__)
#define DMI_PRINTF gnu_printf
#else
#define DMI_PRINTF printf
#endif

/* Writes the error text and returns `status`: return dmi_fail(host, DMI_ERROR_IO, ...). */
int32_t dmi_fail(dmi_host *host, int32_t status, const char *format, ...)
    __attribute__((format(DMI_PRINTF, 3, 4)));
#ifdef DMI_ANALYSIS
/* Static analysis sees one file at a time: this tells it that `status` is not 0, so that what the
 * function would have written is not used. */
static inline int32_t dmi_not_ok(int32_t status) {
    if (status == DMI_OK) __builtin_unreachable();
    return status;
}
#define dmi_fail(host, ...) dmi_not_ok(dmi_fail(host, __VA_ARGS__))
#endif
void dmi_log(dmi_host *host, int32_t level, const char *format, ...)
    __attribute__((format(DMI_PRINTF, 3, 4)));

#endif
