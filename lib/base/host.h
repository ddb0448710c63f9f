/* The host: what the engine needs from the program around it. Memory with a limit, a place for the
 * error text, and a log. Everything that can fail takes a host first. */
#ifndef DMI_BASE_HOST_H
#define DMI_BASE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    bool large_pages; /* blocks of our own shall have them where they are large */
    uint64_t limit;   /* bytes; 0: none */
    uint64_t used, peak, allocations;
    struct dmi_pool *pool;       /* the threads, made by dmi_pool_create */
    struct dmi_profile *profile; /* NULL: switched off; see profile.h */
    char error[512];
} dmi_host;

/* Every block starts on this boundary, the width of a cache line and of the widest vector. */
enum { DMI_ALIGNMENT = 64 };

/* size bytes, uninitialised, aligned to DMI_ALIGNMENT; size 0 gives a valid block. `what` names the
 * block in the error text ("unet: 3.2 MB for the plan would pass the limit of 10.0 MB (8.1 MB in
 * use)"). `out` is the address of a pointer to any type, which is NULL on failure. */
int32_t dmi_alloc(dmi_host *host, void *out, size_t size, const char *what);
/* The same for count * element bytes, the product checked. */
int32_t dmi_alloc_array(dmi_host *host, void *out, size_t count, size_t element, const char *what);
/* The same, zeroed. */
int32_t dmi_alloc_zero(dmi_host *host, void *out, size_t count, size_t element, const char *what);
/* NULL is accepted. The size is remembered by the block itself. */
void dmi_free(dmi_host *host, void *pointer);

/* Writes the error text and returns `status`, so that an error is one line: return dmi_fail(h,
 * DMI_ERROR_IO, ...). */
int32_t dmi_fail(dmi_host *host, int32_t status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void dmi_log(dmi_host *host, int32_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Checked arithmetic: false on overflow, and *out is untouched. */
bool dmi_mul(size_t a, size_t b, size_t *out);
bool dmi_add(size_t a, size_t b, size_t *out);

/* Seconds on a clock that never goes back. */
double dmi_seconds(void);

/* What errno says, in words: a string of the system's, or `text` filled. */
const char *dmi_errno_text(int error, char *text, size_t capacity);

#endif
