/* SPDX-License-Identifier: MIT */
/* The element type of the activations and gradients that a kernel reads and writes. A file that
 * includes this is compiled twice for each instruction set: for float, and with DMI_BF16 for
 * bfloat16. All arithmetic is that of float; a bfloat16 is rounded to nearest, half to even, when
 * it is stored. Pointers to activations are `void *` in the interfaces of such files. */
#ifndef DMI_KERNELS_STORED_H
#define DMI_KERNELS_STORED_H

#include <string.h>

#include "kernels/bfloat16.h"
#include "kernels/kernels.h"
#include "kernels/vector.h"

/* The name of a kernel of this file: dmi_norm_forward_v4, dmi_norm_forward_bf16_v4. */
#ifdef DMI_BF16
#define DMI_STORED_KERNEL(name) DMI_KERNEL(name##_bf16)
#else
#define DMI_STORED_KERNEL(name) DMI_KERNEL(name)
#endif

#ifndef DMI_BF16

typedef float stored;

/* Whether vectors of stored elements are whole cache lines that non-temporal stores can write. */
enum { STORED_LINES = 1 };

static inline vec load_stored(const stored *p) { return load(p); }
static inline vec load_stored_once(const stored *p) { return load_once(p); }
static inline vec load_stored_part(const stored *p, int32_t count) { return load_part(p, count); }
static inline void store_stored(stored *p, vec v) { store(p, v); }
static inline void store_stored_part(stored *p, vec v, int32_t count) { store_part(p, v, count); }
static inline void store_stored_streaming(stored *p, vec v) { store_streaming(p, v); }

#else

typedef uint16_t stored;

enum { STORED_LINES = 0 };

static inline vec load_stored(const stored *p) { return load_bf16(p); }
static inline vec load_stored_once(const stored *p) { return load_stored(p); }
static inline void store_stored(stored *p, vec v) { store_bf16(p, v); }
static inline void store_stored_streaming(stored *p, vec v) { store_stored(p, v); }

static inline vec load_stored_part(const stored *p, int32_t count) {
    return load_bf16_part(p, count);
}
static inline void store_stored_part(stored *p, vec v, int32_t count) {
    store_bf16_part(p, v, count);
}

#endif

/* Prefetches the cache line at p + count elements, which may lie outside of the array. */
static inline __attribute__((always_inline)) void prefetch_stored(const stored *p, size_t count) {
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): arithmetic on pointers must not leave the array */
    __builtin_prefetch((const void *)((uintptr_t)p + count * sizeof *p));
}

#endif
