/* Group normalisation (Wu and He 2018) of one picture, with SiLU where asked. A span is read once
 * for its sums, mostly from main memory, and again, mostly from L2, for the result. The sums run
 * down the pixels of each channel, in float about the mean of each block and from block to block in
 * double, and are added up over a group's channels in double. So a group's bits depend neither on
 * the span nor on the channels asked for, and a large mean does not swamp what is small beside
 * it. */
#include <math.h>

#include "kernels/norm_parts.h"

/* Sums of each channel; `near` is a value near its mean. */
typedef struct channel_sums {
    double near[WIDTH], total[WIDTH],
        square[WIDTH]; /* total and square: the sums of x and of (x - near)^2 */
} channel_sums;

/* Of `rows` pixels of W channels, or the first `count`: the rounded mean, and the sums of x - mean
 * and its square. */
static inline __attribute__((always_inline)) void block_sums(const float *x, size_t stride,
                                                             size_t rows, int32_t count, vec *mean,
                                                             vec *deviation, vec *square) {
    vec sum = {0}, d0 = {0}, d1 = {0}, q0 = {0}, q1 = {0};
    size_t p = 0;
    for (; p + 4 <= rows; p += 4) {
        const float *a = x + p * stride, *b = a + stride, *c = b + stride, *d = c + stride;
        prefetch(a, BLOCK * stride);
        prefetch(b, BLOCK * stride);
        prefetch(c, BLOCK * stride);
        prefetch(d, BLOCK * stride);
        sum += (load_part(a, count) + load_part(b, count)) +
               (load_part(c, count) + load_part(d, count));
    }
    for (; p < rows; p++) sum += load_part(x + p * stride, count);
    vec m = sum * (1.0f / (float)rows);
    for (p = 0; p + 2 <= rows; p += 2) {
        vec a = load_part(x + p * stride, count) - m,
            b = load_part(x + (p + 1) * stride, count) - m;
        d0 += a;
        q0 += a * a;
        d1 += b;
        q1 += b * b;
    }
    if (p < rows) {
        vec a = load_part(x + p * stride, count) - m;
        d0 += a;
        q0 += a * a;
    }
    *mean = m;
    *deviation = d0 + d1;
    *square = q0 + q1;
}

static void statistics(channel_sums *sums, const float *x, const strip *s) {
    memset(sums, 0, sizeof *sums);
    for (size_t p0 = 0; p0 < s->pixels; p0 += BLOCK) {
        size_t rows = block_end(s, p0) - p0;
        for (int32_t c = 0; c < s->width; c += W) {
            const float *at = x + p0 * s->stride + c;
            vec mean, deviation, square;
            if (c + W <= s->width) block_sums(at, s->stride, rows, W, &mean, &deviation, &square);
            else block_sums(at, s->stride, rows, s->width - c, &mean, &deviation, &square);
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

/* Sums of each group of a span, about its first value. */
typedef struct group_sums {
    double near[WIDTH], total[WIDTH],
        square[WIDTH]; /* total and square: the sums of x - near and of its square */
} group_sums;

static void add_to_groups(group_sums *groups, const channel_sums *sums, const int32_t *group_of,
                          double pixels, int32_t width) {
    for (int32_t i = 0; i < width; i++) {
        int32_t g = group_of[i];
        double off = sums->near[i] - groups->near[g],
               total = sums->total[i] - pixels * sums->near[i];
        groups->total[g] += total + pixels * off;
        groups->square[g] += sums->square[i] + off * (2.0 * total + pixels * off);
    }
}

/* y of n pixels. The mean is taken off first, for a mean folded into the offset would lose what is
 * small beside it. */
static inline __attribute__((always_inline)) void apply_to(float *y, size_t y_stride,
                                                           const float *x, size_t stride, vec mean,
                                                           vec scale, vec offset, int32_t count,
                                                           const bool with_silu, const bool past,
                                                           const int n) {
    vec u[ABREAST];
    DMI_SIDE_BY_SIDE u[i] = (load_part(x + (size_t)i * stride, count) - mean) * scale + offset;
    if (with_silu) silu(u, n);
    DMI_SIDE_BY_SIDE put(y + (size_t)i * y_stride, u[i], count, past);
}

static inline __attribute__((always_inline)) void apply(float *y, size_t y_stride, const float *x,
                                                        const affine *a, size_t stride, size_t rows,
                                                        int32_t c, int32_t count,
                                                        const bool with_silu, const bool past) {
    vec mean = load(a->mean + c), scale = load(a->gain + c) * load(a->rstd + c),
        offset = load(a->offset + c);
    size_t p = 0;
    y += c;
    x += c;
    for (; p + ABREAST <= rows; p += ABREAST)
        apply_to(y + p * y_stride, y_stride, x + p * stride, stride, mean, scale, offset, count,
                 with_silu, past, ABREAST);
    for (; p < rows; p++)
        apply_to(y + p * y_stride, y_stride, x + p * stride, stride, mean, scale, offset, count,
                 with_silu, past, 1);
}

static inline __attribute__((always_inline)) void apply_all(float *y, const float *x,
                                                            const affine *a, const strip *s,
                                                            const bool with_silu, bool past) {
    const size_t y_stride = s->whole_stride, x_stride = s->stride;
    past = past && is_lines(y, y_stride);
    for (size_t p0 = 0; p0 < s->pixels; p0 += BLOCK) {
        size_t rows = block_end(s, p0) - p0;
        float *to = y + p0 * y_stride;
        const float *from = x + p0 * x_stride;
        for (int32_t c = 0; c < s->width; c += W) {
            if (c + W > s->width)
                apply(to, y_stride, from, a, x_stride, rows, c, s->width - c, with_silu, false);
            else if (past) apply(to, y_stride, from, a, x_stride, rows, c, W, with_silu, true);
            else apply(to, y_stride, from, a, x_stride, rows, c, W, with_silu, false);
        }
    }
}

void DMI_KERNEL(norm_forward)(float *y, float *mean, float *rstd, const dmi_norm_x *x,
                              const float *gain, const float *offset, int32_t pixels,
                              int32_t per_group, int32_t c0, int32_t c1, float eps, bool with_silu,
                              bool past) {
    const int32_t span = span_channels(per_group);
    const double share = 1.0 / ((double)pixels * per_group);
    int32_t group_of[WIDTH];
    channel_sums sums;
    group_sums groups;
    affine a;
    strip s;
    for (int32_t s0 = c0; s0 < c1; s0 += span) {
        const int32_t s1 = at_most(s0 + span, c1), g0 = s0 / per_group,
                      count = (s1 - s0) / per_group;
        memset(&groups, 0, sizeof groups);
        for (int32_t g = 0; g < count; g++) {
            s = strip_at(x, 1, s0 + g * per_group, s1);
            groups.near[g] = x->x[s.part][s.at];
        }
        for (int32_t c = s0; c < s1; c += s.width) {
            s = strip_at(x, (size_t)pixels, c, s1);
            groups_of(group_of, per_group, c - s0);
            statistics(&sums, x->x[s.part] + s.at, &s);
            add_to_groups(&groups, &sums, group_of, pixels, s.width);
        }
        for (int32_t g = 0; g < count; g++) {
            double off = groups.total[g] * share, variance = groups.square[g] * share - off * off;
            mean[g0 + g] = (float)(groups.near[g] + off);
            rstd[g0 + g] = (float)(1.0 / sqrt((variance < 0 ? 0 : variance) + eps));
        }
        for (int32_t c = s0; c < s1; c += s.width) {
            s = strip_at(x, (size_t)pixels, c, s1);
            groups_of(group_of, per_group, c - s0);
            affine_of(&a, group_of, mean + g0, rstd + g0, gain + c, offset + c, s.width);
            if (with_silu) apply_all(y + c, x->x[s.part] + s.at, &a, &s, true, past);
            else apply_all(y + c, x->x[s.part] + s.at, &a, &s, false, past);
        }
    }
    if (past) end_stores_past();
}
