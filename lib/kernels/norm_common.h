/* SPDX-License-Identifier: MIT */
/* What group norm's forward and backward share. The channels of a task are processed in spans of
 * whole groups, a span in strips of at most WIDTH channels of one tensor, and a strip in blocks of
 * BLOCK pixels by one vector of channels. */
#ifndef DMI_KERNELS_NORM_COMMON_H
#define DMI_KERNELS_NORM_COMMON_H

#include <string.h>

#include "base/math.h"
#include "kernels/families.h"
#include "kernels/stored.h"
#include "kernels/vector_activation.h"

enum {
    WIDTH = DMI_NORM_SPAN, /* channels of a strip at most */
    VECTOR_MAX = 16,       /* floats of the widest vector of any instruction set */
    BLOCK = 32             /* pixels summed in float; also the distance of prefetches, in pixels */
};

/* Channels of a span: whole groups, at most WIDTH channels, and whole vectors if possible; one
 * group where it is wider than WIDTH. */
static inline int32_t span_channels(int32_t group_channels) {
    int32_t widest = WIDTH / group_channels * group_channels;
    for (int32_t span = widest; span > 0; span -= group_channels) {
        if (span % VECTOR_MAX == 0) return span;
    }
    return widest > 0 ? widest : group_channels;
}

/* All pixels of up to WIDTH channels of one of the two tensors. */
typedef struct strip {
    size_t pixels;
    size_t x_stride;         /* elements from pixel to pixel in the tensor: of x and dx */
    size_t y_stride;         /* the same for both tensors side by side: of y and dy */
    int32_t width;           /* channels */
    int32_t tensor;          /* which of the two */
    size_t channel;          /* the strip's first channel in that tensor */
    int32_t group_of[WIDTH]; /* the group of each channel, counted within the span */
} strip;

/* The strip that begins at channel c of the span s0 to s1 - 1. */
static inline strip strip_at(const dmi_norm *norm, int32_t s0, int32_t s1, int32_t c) {
    const dmi_norm_x *x = &norm->x;
    const int32_t border = x->channels[0], tensor = c >= border;
    const int32_t end = !tensor && s1 > border ? border : s1;
    strip s = {.pixels = (size_t)norm->pixels,
               .x_stride = (size_t)x->channels[tensor],
               .y_stride = (size_t)(x->channels[0] + x->channels[1]),
               .width = dmi_min(WIDTH, end - c),
               .tensor = tensor,
               .channel = (size_t)(tensor ? c - border : c)};
    int32_t group = (c - s0) / norm->group_channels,
            left = norm->group_channels - (c - s0) % norm->group_channels;
    for (int32_t i = 0; i < s.width; i++) {
        s.group_of[i] = group;
        if (--left > 0) continue;
        group++;
        left = norm->group_channels;
    }
    return s;
}

static inline const stored *strip_x(const dmi_norm *norm, const strip *s) {
    return (const stored *)norm->x.x[s->tensor] + s->channel;
}

/* The end of the block of pixels that begins at p0. */
static inline size_t block_end(const strip *s, size_t p0) {
    return p0 + dmi_min_size(s->pixels - p0, BLOCK);
}

/* The constants of each channel of a strip; zeros after its last channel. */
typedef struct channel_constants {
    float mean[WIDTH], rstd[WIDTH], gain[WIDTH], offset[WIDTH];
} channel_constants;

/* Of the strip that begins at channel c; mean and rstd begin at the span's first group. */
static inline void constants_of(channel_constants *k, const dmi_norm *norm, const strip *s,
                                int32_t c, const float *mean, const float *rstd) {
    memset(k, 0, sizeof *k);
    for (int32_t i = 0; i < s->width; i++) {
        k->mean[i] = mean[s->group_of[i]];
        k->rstd[i] = rstd[s->group_of[i]];
        k->gain[i] = norm->gain[c + i];
        k->offset[i] = norm->offset[c + i];
    }
}

/* Whether non-temporal stores can write whole vectors from y on: they must be aligned. */
static inline bool is_aligned(const stored *y, size_t stride) {
    return STORED_LINES && (uintptr_t)y % sizeof(vec) == 0 && stride % W == 0;
}

/* The first `count` elements of a vector; non_temporal only where count is W and y is aligned. */
static inline __attribute__((always_inline)) void store_result(stored *y, vec value, int32_t count,
                                                               bool non_temporal) {
    if (non_temporal) store_stored_streaming(y, value);
    else store_stored_part(y, value, count);
}

#endif
