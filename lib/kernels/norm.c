/* SPDX-License-Identifier: MIT */
/* Group normalisation (Wu and He 2018) of one image, with an optional activation function. A
 * span is read once for its sums, mostly from main memory, and again, mostly from L2, for the
 * result. The sums run down the pixels of each channel: within a block of pixels in float about the
 * block's mean, across blocks and across a group's channels in double. So a group's bits depend
 * neither on the span nor on the range of channels, and a large mean does not absorb small
 * deviations. */
#include <math.h>

#include "kernels/norm_common.h"

/* Sums over the pixels of each channel of a strip. */
typedef struct channel_sums {
    double near[WIDTH];   /* a value near the channel's mean */
    double total[WIDTH];  /* sum of x */
    double square[WIDTH]; /* sum of (x - near)^2 */
} channel_sums;

/* x [rows][count] (row stride), count at most W: the rounded mean of each column, and the sums of x
 * - mean and of its square. */
static inline __attribute__((always_inline)) void block_sums(const stored *x, size_t stride,
                                                             size_t rows, int32_t count, vec *mean,
                                                             vec *deviation, vec *square) {
    vec sum = {0}, d0 = {0}, d1 = {0}, q0 = {0}, q1 = {0};
    size_t p = 0;
    for (; p + 4 <= rows; p += 4) {
        const stored *a = x + p * stride, *b = a + stride, *c = b + stride, *d = c + stride;
        prefetch_stored(a, BLOCK * stride);
        prefetch_stored(b, BLOCK * stride);
        prefetch_stored(c, BLOCK * stride);
        prefetch_stored(d, BLOCK * stride);
        sum += (load_stored_part(a, count) + load_stored_part(b, count)) +
               (load_stored_part(c, count) + load_stored_part(d, count));
    }
    for (; p < rows; p++) sum += load_stored_part(x + p * stride, count);
    vec m = sum * (1.0f / (float)rows);
    for (p = 0; p + 2 <= rows; p += 2) {
        vec a = load_stored_part(x + p * stride, count) - m,
            b = load_stored_part(x + (p + 1) * stride, count) - m;
        d0 += a;
        q0 += a * a;
        d1 += b;
        q1 += b * b;
    }
    if (p < rows) {
        vec a = load_stored_part(x + p * stride, count) - m;
        d0 += a;
        q0 += a * a;
    }
    *mean = m;
    *deviation = d0 + d1;
    *square = q0 + q1;
}

/* Not inlined: gcc would then spill the registers of its inner loops, for 10 % of the whole kernel.
 */
static __attribute__((noinline)) void statistics(channel_sums *sums, const stored *x,
                                                 const strip *s) {
    memset(sums, 0, sizeof *sums);
    for (size_t p0 = 0; p0 < s->pixels; p0 += BLOCK) {
        size_t rows = block_end(s, p0) - p0;
        for (int32_t c = 0; c < s->width; c += W) {
            const stored *at = x + p0 * s->x_stride + c;
            vec mean, deviation, square;
            if (c + W <= s->width) block_sums(at, s->x_stride, rows, W, &mean, &deviation, &square);
            else block_sums(at, s->x_stride, rows, s->width - c, &mean, &deviation, &square);
            double *near = sums->near + c, *total = sums->total + c, *squares = sums->square + c,
                   n = (double)rows;
            float m[W], d[W], q[W];
            store(m, mean);
            store(d, deviation);
            store(q, square);
            if (p0 == 0) {
                for (int32_t i = 0; i < W; i++) near[i] = m[i];
            }
            for (int32_t i = 0; i < W; i++) {
                double off = m[i] - near[i];
                total[i] += n * m[i] + d[i];
                squares[i] += q[i] + off * (2.0 * d[i] + n * off);
            }
        }
    }
}

/* Sums over the pixels and channels of each group of a span. */
typedef struct group_sums {
    double near[WIDTH];   /* the group's first value */
    double total[WIDTH];  /* sum of x - near */
    double square[WIDTH]; /* sum of (x - near)^2 */
} group_sums;

static void add_to_groups(group_sums *groups, const channel_sums *sums, const strip *s) {
    const double pixels = (double)s->pixels;
    for (int32_t i = 0; i < s->width; i++) {
        int32_t g = s->group_of[i];
        double off = sums->near[i] - groups->near[g],
               total = sums->total[i] - pixels * sums->near[i];
        groups->total[g] += total + pixels * off;
        groups->square[g] += sums->square[i] + off * (2.0 * total + pixels * off);
    }
}

/* x of the first pixel, channel c. */
static float first_pixel(const dmi_norm *norm, int32_t c) {
    const dmi_norm_x *x = &norm->x;
    const stored *at = c < x->channels[0] ? (const stored *)x->x[0] + c
                                          : (const stored *)x->x[1] + (c - x->channels[0]);
    return load_stored_part(at, 1)[0];
}

/* mean and rstd of each group of the span s0 to s1 - 1. */
static void span_statistics(float *mean, float *rstd, const dmi_norm *norm, int32_t s0, int32_t s1,
                            float eps) {
    const int32_t count = (s1 - s0) / norm->group_channels;
    const double one_over_count = 1.0 / ((double)norm->pixels * norm->group_channels);
    channel_sums sums;
    group_sums groups;
    memset(&groups, 0, sizeof groups);
    for (int32_t g = 0; g < count; g++)
        groups.near[g] = first_pixel(norm, s0 + g * norm->group_channels);
    int32_t width;
    for (int32_t c = s0; c < s1; c += width) {
        const strip s = strip_at(norm, s0, s1, c);
        width = s.width;
        statistics(&sums, strip_x(norm, &s), &s);
        add_to_groups(&groups, &sums, &s);
    }
    for (int32_t g = 0; g < count; g++) {
        double off = groups.total[g] * one_over_count,
               variance = groups.square[g] * one_over_count - off * off;
        mean[g] = (float)(groups.near[g] + off);
        rstd[g] = (float)(1.0 / sqrt((variance < 0 ? 0 : variance) + eps));
    }
}

/* How a strip is normalised; constants wherever it is passed, so that no test is left in a loop. */
typedef struct apply_mode {
    int32_t activation;
    bool non_temporal;
} apply_mode;

/* One vector of channels, or its first `count`, in registers. */
typedef struct apply_vectors {
    vec mean, scale, offset;
    int32_t count;
} apply_vectors;

/* y of n pixels. The mean is subtracted first: folded into the offset, a large mean would lose the
 * digits of small deviations. */
static inline __attribute__((always_inline)) void apply_pixels(stored *y, size_t y_stride,
                                                               const stored *x, size_t x_stride,
                                                               const apply_vectors v,
                                                               const apply_mode mode, const int n) {
    vec u[INTERLEAVE];
    DMI_EACH_VECTOR u[i] =
        (load_stored_part(x + (size_t)i * x_stride, v.count) - v.mean) * v.scale + v.offset;
    activate(u, mode.activation, n);
    DMI_EACH_VECTOR store_result(y + (size_t)i * y_stride, u[i], v.count, mode.non_temporal);
}

/* y of `rows` pixels and the channels c to c + count - 1 of a strip. */
static inline __attribute__((always_inline)) void apply_block(
    stored *y, const stored *x, size_t rows, const channel_constants *k, const strip *s, int32_t c,
    int32_t count, const apply_mode mode) {
    const size_t y_stride = s->y_stride, x_stride = s->x_stride;
    const apply_vectors v = {load(k->mean + c), load(k->gain + c) * load(k->rstd + c),
                             load(k->offset + c), count};
    size_t p = 0;
    y += c;
    x += c;
    for (; p + INTERLEAVE <= rows; p += INTERLEAVE)
        apply_pixels(y + p * y_stride, y_stride, x + p * x_stride, x_stride, v, mode, INTERLEAVE);
    for (; p < rows; p++)
        apply_pixels(y + p * y_stride, y_stride, x + p * x_stride, x_stride, v, mode, 1);
}

static inline __attribute__((always_inline)) void apply_strip(stored *y, const stored *x,
                                                              const channel_constants *k,
                                                              const strip *s,
                                                              const int32_t activation,
                                                              bool non_temporal) {
    const apply_mode cached_stores = {.activation = activation},
                     streaming_stores = {.activation = activation, .non_temporal = true};
    non_temporal = non_temporal && is_aligned(y, s->y_stride);
    for (size_t p0 = 0; p0 < s->pixels; p0 += BLOCK) {
        size_t rows = block_end(s, p0) - p0;
        stored *to = y + p0 * s->y_stride;
        const stored *from = x + p0 * s->x_stride;
        for (int32_t c = 0; c < s->width; c += W) {
            if (c + W > s->width) apply_block(to, from, rows, k, s, c, s->width - c, cached_stores);
            else if (non_temporal) apply_block(to, from, rows, k, s, c, W, streaming_stores);
            else apply_block(to, from, rows, k, s, c, W, cached_stores);
        }
    }
}

static void apply_activated(stored *y, const stored *x, const channel_constants *k, const strip *s,
                            const dmi_norm *norm) {
    const bool non_temporal = norm->non_temporal;
    switch (norm->activation) {
        case DMI_ACTIVATION_SILU: apply_strip(y, x, k, s, DMI_ACTIVATION_SILU, non_temporal); break;
        case DMI_ACTIVATION_MISH: apply_strip(y, x, k, s, DMI_ACTIVATION_MISH, non_temporal); break;
        case DMI_ACTIVATION_GELU: apply_strip(y, x, k, s, DMI_ACTIVATION_GELU, non_temporal); break;
        case DMI_ACTIVATION_RELU: apply_strip(y, x, k, s, DMI_ACTIVATION_RELU, non_temporal); break;
        default: apply_strip(y, x, k, s, DMI_ACTIVATION_NONE, non_temporal);
    }
}

void DMI_STORED_KERNEL(norm_forward)(void *y, float *mean, float *rstd, const dmi_norm *norm,
                                     float eps) {
    const int32_t span = span_channels(norm->group_channels);
    for (int32_t s0 = norm->c0, s1; s0 < norm->c1; s0 = s1) {
        const int32_t g0 = s0 / norm->group_channels;
        s1 = dmi_min(s0 + span, norm->c1);
        span_statistics(mean + g0, rstd + g0, norm, s0, s1, eps);
        for (int32_t c = s0, width; c < s1; c += width) {
            channel_constants k;
            const strip s = strip_at(norm, s0, s1, c);
            width = s.width;
            constants_of(&k, norm, &s, c, mean + g0, rstd + g0);
            apply_activated((stored *)y + c, strip_x(norm, &s), &k, &s, norm);
        }
    }
    if (norm->non_temporal) end_streaming();
}
