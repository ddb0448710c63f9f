/* What group norm's forward and backward share. Channels are taken in spans of whole groups, those of a span in strips of at
 * most WIDTH, and a strip by blocks of pixels and W channels at a time. */
#ifndef DMI_KERNELS_NORM_PARTS_H
#define DMI_KERNELS_NORM_PARTS_H

#include <string.h>

#include "kernels/families.h"
#include "kernels/vector_silu.h"

enum {
    WIDTH = DMI_NORM_SPAN, /* channels at a time */
    WHOLE = 16,            /* floats of the widest vector */
    BLOCK = 32             /* pixels summed in float; what is read from main memory is asked for a block ahead */
};

/* Channels of a span: whole groups, at most WIDTH channels and whole vectors if it can be; one group where it is wider. */
static inline int32_t span_channels(int32_t per_group) {
    int32_t most = WIDTH / per_group * per_group;
    for (int32_t span = most; span > 0; span -= per_group) {
        if (span % WHOLE == 0) return span;
    }
    return most > 0 ? most : per_group;
}

/* The group within a span of each channel of it; where a group is wider than WIDTH it is the span's only one. */
static inline void groups_of(int32_t *group, int32_t per_group) {
    for (int32_t i = 0; i < WIDTH; i++) group[i] = i / per_group;
}

static inline int32_t at_most(int32_t a, int32_t b) { return a < b ? a : b; }

/* All pixels of up to WIDTH channels. */
typedef struct strip {
    size_t stride, pixels;
    int32_t width;
} strip;

static inline size_t block_end(const strip *s, size_t p0) { return s->pixels - p0 < BLOCK ? s->pixels : p0 + BLOCK; }

/* Each channel's share of its group's figures. */
typedef struct affine {
    float mean[WIDTH], rstd[WIDTH], gain[WIDTH], offset[WIDTH];
} affine;

/* mean and rstd from the span's first group, gain and offset from the first of the `width` channels. */
static inline void affine_of(affine *a, const int32_t *group_of, const float *mean, const float *rstd, const float *gain,
                      const float *offset, int32_t width) {
    memset(a, 0, sizeof *a);
    for (int32_t c = 0; c < width; c++) {
        a->mean[c] = mean[group_of[c]];
        a->rstd[c] = rstd[group_of[c]];
        a->gain[c] = gain[c];
        a->offset[c] = offset[c];
    }
}

/* Whole vectors can be written past the caches where they are lines. */
static inline bool is_lines(const float *y, size_t stride) { return (uintptr_t)y % sizeof(vec) == 0 && stride % W == 0; }

static inline __attribute__((always_inline)) void put(float *y, vec value, int32_t count, bool past) {
    if (past) store_past(y, value);
    else store_part(y, value, count);
}

#endif
