/* SPDX-License-Identifier: MIT */
/* Memory with a limit, error texts and the log. Layout of a block: what the allocator gave
 * begins with padding up to the alignment, then a block_header, then the caller's bytes. */
#include "base/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/system.h"

/* Immediately before the caller's bytes. */
typedef struct block_header {
    void *raw;   /* what the allocator gave */
    size_t size; /* of that, in bytes */
} block_header;

enum { OVERHEAD = DMI_ALIGNMENT - 1 + sizeof(block_header) };

static uint64_t load_count(const _Atomic uint64_t *count) {
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* "512 bytes", "3.2 MB": units of 1000, as memory limits are written. */
static const char *human_size(char *text, size_t capacity, uint64_t bytes) {
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) {
        snprintf(text, capacity, "%d bytes", (int)bytes);
        return text;
    }
    double value = (double)bytes / 1000.0;
    size_t unit = 0;
    while (value >= 999.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000.0;
        unit++;
    }
    snprintf(text, capacity, "%.1f %s", value, units[unit]);
    return text;
}

static int32_t fail_limit(dmi_host *reporter, const dmi_host *host, uint64_t size,
                          const char *what) {
    char wanted[32], limit[32], used[32];
    return dmi_fail(reporter, DMI_ERROR_LIMIT_EXCEEDED,
                    "%s: %s would exceed the memory limit of %s (%s in use)", what,
                    human_size(wanted, sizeof wanted, size),
                    human_size(limit, sizeof limit, host->limit),
                    human_size(used, sizeof used, load_count(&host->used)));
}

static int32_t fail_memory(dmi_host *reporter, const dmi_host *host, uint64_t size,
                           const char *what) {
    char wanted[32], used[32];
    return dmi_fail(reporter, DMI_ERROR_OUT_OF_MEMORY, "%s: no memory for %s (%s in use)", what,
                    human_size(wanted, sizeof wanted, size),
                    human_size(used, sizeof used, load_count(&host->used)));
}

/* A step passes over all of its arena and would wait for page tables. */
static void use_large_pages(void *raw, size_t size) {
    const size_t size_min = (size_t)4 << 20;
    if (size >= size_min) dmi_system_use_large_pages(raw, size);
}

/* From the host's allocator or malloc; *zeroed: the memory is known to be zero, and was not
 * touched. */
static void *allocate_raw(dmi_host *host, size_t size, bool zero, bool *zeroed) {
    *zeroed = zero && !host->allocate;
    if (host->allocate) return host->allocate(host->allocator_user, size);
    void *raw = zero ? calloc(1, size) : malloc(size);
    if (raw && host->large_pages) use_large_pages(raw, size);
    return raw;
}

/* `out` is the address of a pointer of any type; copying bytes keeps strict aliasing. */
static void set_pointer(void *out, void *block) { memcpy(out, &block, sizeof block); }

/* Adds a block to `used` and returns whether the limit allows it; *used is the new sum. */
static bool reserve(dmi_host *host, uint64_t size, uint64_t *used) {
    uint64_t before = load_count(&host->used);
    do {
        if (host->limit && (before > host->limit || size > host->limit - before)) return false;
        *used = before + size;
    } while (!atomic_compare_exchange_weak_explicit(&host->used, &before, *used,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void unreserve(dmi_host *host, uint64_t size) {
    atomic_fetch_sub_explicit(&host->used, size, memory_order_relaxed);
}

static void raise_peak(dmi_host *host, uint64_t used) {
    uint64_t peak = load_count(&host->peak);
    while (used > peak &&
           !atomic_compare_exchange_weak_explicit(&host->peak, &peak, used, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

static int32_t allocate(dmi_host *host, dmi_host *reporter, void *out, size_t size, bool zero,
                        const char *what) {
    set_pointer(out, NULL);
    size_t total;
    if (!dmi_add(size, OVERHEAD, &total)) return fail_memory(reporter, host, size, what);
    uint64_t used;
    if (!reserve(host, total, &used)) return fail_limit(reporter, host, total, what);
    bool zeroed;
    void *raw = allocate_raw(host, total, zero, &zeroed);
    if (!raw) {
        unreserve(host, total);
        return fail_memory(reporter, host, total, what);
    }
    raise_peak(host, used);
    atomic_fetch_add_explicit(&host->allocations, 1, memory_order_relaxed);

    size_t excess = (size_t)((uintptr_t)raw + OVERHEAD) % DMI_ALIGNMENT;
    unsigned char *block = (unsigned char *)raw + OVERHEAD - excess;
    const block_header header = {raw, total};
    memcpy(block - sizeof header, &header, sizeof header);
    if (zero && !zeroed) memset(block, 0, size);
    set_pointer(out, block);
    return DMI_OK;
}

int32_t dmi_alloc(dmi_host *host, void *out, size_t size, const char *what) {
    return allocate(host, host, out, size, false, what);
}

static int32_t allocate_array(dmi_host *host, dmi_host *reporter, void *out, size_t count,
                              size_t element, bool zero, const char *what) {
    size_t size;
    set_pointer(out, NULL);
    if (!dmi_mul(count, element, &size))
        return dmi_fail(reporter, DMI_ERROR_OUT_OF_MEMORY,
                        "%s: %zu elements of %zu bytes are more than can be addressed", what, count,
                        element);
    return allocate(host, reporter, out, size, zero, what);
}

int32_t dmi_alloc_array(dmi_host *host, void *out, size_t count, size_t element, const char *what) {
    return allocate_array(host, host, out, count, element, false, what);
}

int32_t dmi_alloc_zero(dmi_host *host, void *out, size_t count, size_t element, const char *what) {
    return allocate_array(host, host, out, count, element, true, what);
}

int32_t dmi_alloc_for(dmi_host *owner, dmi_host *reporter, void *out, size_t count, size_t element,
                      const char *what) {
    return allocate_array(owner, reporter, out, count, element, false, what);
}

int32_t dmi_reserve(dmi_host *host, void *array, size_t *capacity, size_t count, size_t element,
                    const char *what) {
    enum { COUNT_MIN = 64 };
    void *before, *after;
    if (count <= *capacity) return DMI_OK;
    size_t larger = *capacity > SIZE_MAX / 2 ? count : 2 * *capacity;
    if (larger < count) larger = count;
    if (larger < COUNT_MIN) larger = COUNT_MIN;
    memcpy(&before, array, sizeof before);
    int32_t status = dmi_alloc_array(host, array, larger, element, what);
    if (status && larger > count) {
        larger = count;
        status = dmi_alloc_array(host, array, larger, element, what);
    }
    if (status) {
        set_pointer(array, before);
        return status;
    }
    memcpy(&after, array, sizeof after);
    if (before) memcpy(after, before, *capacity * element);
    *capacity = larger;
    dmi_free(host, before);
    return DMI_OK;
}

void dmi_free(dmi_host *host, void *pointer) {
    if (!pointer) return;
    block_header header;
    memcpy(&header, (unsigned char *)pointer - sizeof header, sizeof header);
    if (host->release) host->release(host->allocator_user, header.raw, header.size);
    else free(header.raw);
    unreserve(host, header.size);
}

#undef dmi_fail /* a macro in static analysis */
int32_t dmi_fail(dmi_host *host, int32_t status, const char *format, ...) {
    char text[sizeof host->error]; /* a copy, since the old text may be among the arguments */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(host->error, text, sizeof text);
    return status;
}

void dmi_log(dmi_host *host, int32_t level, const char *format, ...) {
    if (!host->log) return;
    char text[sizeof host->error];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    host->log(host->log_user, level, text);
}
