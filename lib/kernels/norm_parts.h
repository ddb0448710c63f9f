/* What group norm's forward and backward share. Channels are taken in spans of whole groups, those
 * of a span in strips of at most WIDTH, and a strip by blocks of pixels and W channels at a
 * time. */
#ifndef DMI_KERNELS_NORM_PARTS_H
#define DMI_KERNELS_NORM_PARTS_H

#include <string.h>

#include "kernels/families.h"
#include "kernels/vector_silu.h"

enum {
    WIDTH = DMI_NORM_SPAN, /* channels at a time */
    WHOLE = 16,            /* floats of the widest vector */
    BLOCK =
        32 /* pixels summed in float; what is read from main memory is asked for a block ahead */
};

/* Channels of a span: whole groups, at most WIDTH channels and whole vectors if it can be; one
 * group where it is wider. */
static inline int32_t span_channels(int32_t per_group) {
    int32_t most = WIDTH / per_group * per_group;
    for (int32_t span = most; span > 0; span -= per_group) {
        if (span % WHOLE == 0) return span;
    }
    return most > 0 ? most : per_group;
}

/* The group within a span of each channel of a strip that begins at the span's channel `first`. */
static inline void groups_of(int32_t *group, int32_t per_group, int32_t first) {
    for (int32_t i = 0; i < WIDTH; i++) group[i] = (first + i) / per_group;
}

static inline int32_t at_most(int32_t a, int32_t b) { return a < b ? a : b; }

/* All pixels of up to WIDTH channels, which are of one of the two tensors. */
typedef struct strip {
    size_t stride, pixels; /* of the tensor */
    size_t whole_stride;   /* of both side by side: of y and of dy */
    int32_t width, part;   /* part: which of the two */
    size_t at;             /* the first channel's place in it */
} strip;

static inline int32_t channels_of(const dmi_norm_x *x) { return x->channels[0] + x->channels[1]; }

/* The strip that begins at channel c of a span that ends before s1. */
static inline strip strip_at(const dmi_norm_x *x, size_t pixels, int32_t c, int32_t s1) {
    int32_t border = x->channels[0], part = c >= border, end = !part && s1 > border ? border : s1;
    return (strip){.stride = (size_t)x->channels[part],
                   .pixels = pixels,
                   .whole_stride = (size_t)channels_of(x),
                   .width = at_most(WIDTH, end - c),
                   .part = part,
                   .at = (size_t)(part ? c - border : c)};
}

static inline size_t block_end(const strip *s, size_t p0) {
    return s->pixels - p0 < BLOCK ? s->pixels : p0 + BLOCK;
}

/* Each channel's share of its group's figures. */
typedef struct affine {
    float mean[WIDTH], rstd[WIDTH], gain[WIDTH], offset[WIDTH];
} affine;

/* mean and rstd from the span's first group, gain and offset from the first of the `width`
 * channels. */
static inline void affine_of(affine *a, const int32_t *group_of, const float *mean,
                             const float *rstd, const float *gain, const float *offset,
                             int32_t width) {
    memset(a, 0, sizeof *a);
    for (int32_t c = 0; c < width; c++) {
        a->mean[c] = mean[group_of[c]];
        a->rstd[c] = rstd[group_of[c]];
        a->gain[c] = gain[c];
        a->offset[c] = offset[c];
    }
}

/* Whole vectors can be written past the caches where they are lines. */
static inline bool is_lines(const float *y, size_t stride) {
    return (uintptr_t)y % sizeof(vec) == 0 && stride % W == 0;
}

static inline __attribute__((always_inline)) void put(float *y, vec value, int32_t count,
                                                      bool past) {
    if (past) store_past(y, value);
    else store_part(y, value, count);
}

#endif
