/* SPDX-License-Identifier: MIT */
/* The gradient of group normalisation (Wu and He 2018) of one image, with the activation function f
 * that follows it. With xhat = (x - mean) rstd, u = gain xhat + offset and du = dy f'(u),
 *
 *   doffset = sum du,  dgain = sum du xhat    over the pixels of each channel,
 *   dx = rstd (gain du - m1 - xhat m2)        m1, m2: the group's means of gain du, gain du xhat.
 *
 * As in norm_common.h, the channels of a task are processed in spans of whole groups, a span in
 * strips of at most WIDTH channels of one tensor, and a strip in blocks of BLOCK pixels by one
 * vector of channels. Each span is read twice: once for the sums over the pixels, in float within a
 * block of pixels and in double across blocks, and once more for dx. Where there is room, du is
 * cached in between, since a derivative costs more than the memory traffic.
 *
 * Functions of n pixels take as many vectors of channels, n at most INTERLEAVE; DMI_EACH_VECTOR
 * before a statement is the loop over them, for i from 0 to n - 1. */
#include "kernels/norm_common.h"

/* How a strip is processed. It is passed as constants to functions that are always inlined, so
 * that each call is compiled for its mode and no test is left in a loop. */
typedef struct backward_mode {
    int32_t activation; /* du is computed by its derivative, or read where it is NONE */
    bool from_cache;    /* du is read from the cache, which is made of floats */
    bool cache;         /* sums: du is stored into the cache */
    bool add;           /* dx: dx += instead of dx = */
    bool non_temporal;  /* dx: non-temporal stores */
} backward_mode;

/* The strip that is processed. `dy` is what du is computed or read from: dy, or the cache of du. */
typedef struct backward_strip {
    const stored *x;
    const void *dy;
    float *cached;
    stored *dx;
    size_t dy_stride, cached_stride;           /* x and dx: strip.x_stride */
    double sum_du[WIDTH], sum_product[WIDTH];  /* over the pixels: of du and of du * xhat */
    float mean_du[WIDTH], mean_product[WIDTH]; /* m1 and m2, of each channel's group */
} backward_strip;

/* The constants of one vector of channels, or of its first `count`, in registers. */
typedef struct constant_vectors {
    vec mean, rstd, gain, offset;
    int32_t count;
} constant_vectors;

static inline constant_vectors vectors_at(const channel_constants *k, int32_t c, int32_t count) {
    return (constant_vectors){load(k->mean + c), load(k->rstd + c), load(k->gain + c),
                              load(k->offset + c), count};
}

/* The first `count` elements of dy, from `at` on. */
static inline __attribute__((always_inline)) vec load_dy(const void *dy, size_t at, int32_t count,
                                                         const bool from_cache) {
    return from_cache ? load_part((const float *)dy + at, count)
                      : load_stored_part((const stored *)dy + at, count);
}

/* xhat and du of n pixels, one vector of channels each; dy from `at` on. */
static inline __attribute__((always_inline)) void load_pixels(
    vec *du, vec *xhat, const stored *x, size_t x_stride, const void *dy, size_t at,
    size_t dy_stride, const constant_vectors k, const backward_mode mode, const int n) {
    DMI_EACH_VECTOR xhat[i] =
        (load_stored_part(x + (size_t)i * x_stride, k.count) - k.mean) * k.rstd;
    if (mode.activation == DMI_ACTIVATION_NONE) {
        DMI_EACH_VECTOR du[i] = load_dy(dy, at + (size_t)i * dy_stride, k.count, mode.from_cache);
        return;
    }
    /* du holds u, then f'(u), then du: further arrays make gcc spill more registers. */
    DMI_EACH_VECTOR du[i] = k.gain * xhat[i] + k.offset;
    activate_derivative(du, mode.activation, n);
    DMI_EACH_VECTOR du[i] *= load_dy(dy, at + (size_t)i * dy_stride, k.count, false);
}

/* ---- first pass: sums over the pixels ---- */

/* Adds n pixels from pixel p on, channels from c on, to the sums of du and of du * xhat. */
static inline __attribute__((always_inline)) void sum_pixels(
    vec *sum_du, vec *sum_product, const backward_strip *b, const strip *s,
    const constant_vectors k, size_t p, int32_t c, const backward_mode mode, const int n) {
    const stored *x = b->x + p * s->x_stride + c;
    const size_t at = p * b->dy_stride + (size_t)c;
    vec du[INTERLEAVE], xhat[INTERLEAVE];
    DMI_EACH_VECTOR prefetch_stored(x, (BLOCK + (size_t)i) * s->x_stride);
    DMI_EACH_VECTOR prefetch_stored(b->dy, at + (BLOCK + (size_t)i) * b->dy_stride);
    load_pixels(du, xhat, x, s->x_stride, b->dy, at, b->dy_stride, k, mode, n);
    DMI_EACH_VECTOR sum_du[i] += du[i];
    DMI_EACH_VECTOR sum_product[i] += du[i] * xhat[i];
    if (!mode.cache) return;
    float *cached = b->cached + p * b->cached_stride + c;
    DMI_EACH_VECTOR store_part(cached + (size_t)i * b->cached_stride, du[i], k.count);
}

/* Of the block of pixels p0 to p1 - 1 and the channels c to c + count - 1. */
static inline __attribute__((always_inline)) void sum_block(backward_strip *b, const strip *s,
                                                            const channel_constants *constants,
                                                            size_t p0, size_t p1, int32_t c,
                                                            int32_t count,
                                                            const backward_mode mode) {
    const constant_vectors k = vectors_at(constants, c, count);
    vec sum_du[INTERLEAVE] = {{0}}, sum_product[INTERLEAVE] = {{0}};
    float du_lanes[W], product_lanes[W];
    size_t p = p0;
    for (; p + INTERLEAVE <= p1; p += INTERLEAVE)
        sum_pixels(sum_du, sum_product, b, s, k, p, c, mode, INTERLEAVE);
    for (; p < p1; p++) sum_pixels(sum_du, sum_product, b, s, k, p, c, mode, 1);
    for (int i = 1; i < INTERLEAVE; i++) {
        sum_du[0] += sum_du[i];
        sum_product[0] += sum_product[i];
    }
    store(du_lanes, sum_du[0]);
    store(product_lanes, sum_product[0]);
    for (int32_t i = 0; i < W; i++) b->sum_du[c + i] += du_lanes[i];
    for (int32_t i = 0; i < W; i++) b->sum_product[c + i] += product_lanes[i];
}

static inline __attribute__((always_inline)) void sum_strip(backward_strip *b, const strip *s,
                                                            const channel_constants *constants,
                                                            const backward_mode mode) {
    for (size_t p0 = 0; p0 < s->pixels; p0 += BLOCK) {
        size_t p1 = block_end(s, p0);
        for (int32_t c = 0; c < s->width; c += W) {
            if (c + W <= s->width) sum_block(b, s, constants, p0, p1, c, W, mode);
            else sum_block(b, s, constants, p0, p1, c, s->width - c, mode);
        }
    }
}

static inline __attribute__((always_inline)) void sum_strip_of(backward_strip *b, const strip *s,
                                                               const channel_constants *constants,
                                                               const int32_t activation) {
    if (b->cached) {
        sum_strip(b, s, constants, (backward_mode){.activation = activation, .cache = true});
        return;
    }
    sum_strip(b, s, constants, (backward_mode){.activation = activation});
}

static void sum_activated(backward_strip *b, const strip *s, const channel_constants *constants,
                          int32_t activation) {
    switch (activation) {
        case DMI_ACTIVATION_SILU: sum_strip_of(b, s, constants, DMI_ACTIVATION_SILU); break;
        case DMI_ACTIVATION_MISH: sum_strip_of(b, s, constants, DMI_ACTIVATION_MISH); break;
        case DMI_ACTIVATION_GELU: sum_strip_of(b, s, constants, DMI_ACTIVATION_GELU); break;
        case DMI_ACTIVATION_RELU: sum_strip_of(b, s, constants, DMI_ACTIVATION_RELU); break;
        default: sum_strip(b, s, constants, (backward_mode){0});
    }
}

/* ---- second pass: dx ---- */

/* dx = du * du_factor - (xhat * xhat_factor + constant). */
typedef struct gradient_vectors {
    vec du_factor, xhat_factor, constant;
} gradient_vectors;

/* dx of n pixels from pixel p on, channels from c on. */
static inline __attribute__((always_inline)) void gradient_pixels(
    const backward_strip *b, const strip *s, const constant_vectors k, const gradient_vectors g,
    size_t p, int32_t c, const backward_mode mode, const int n) {
    stored *dx = b->dx + p * s->x_stride + c;
    const stored *x = b->x + p * s->x_stride + c;
    vec du[INTERLEAVE], xhat[INTERLEAVE];
    if (mode.add) {
        DMI_EACH_VECTOR prefetch_stored(dx, (BLOCK + (size_t)i) * s->x_stride);
    }
    load_pixels(du, xhat, x, s->x_stride, b->dy, p * b->dy_stride + (size_t)c, b->dy_stride, k,
                mode, n);
    /* du becomes dx in place, for the same reason. */
    DMI_EACH_VECTOR du[i] = du[i] * g.du_factor - (xhat[i] * g.xhat_factor + g.constant);
    if (mode.add) {
        DMI_EACH_VECTOR du[i] += load_stored_part(dx + (size_t)i * s->x_stride, k.count);
    }
    DMI_EACH_VECTOR store_result(dx + (size_t)i * s->x_stride, du[i], k.count, mode.non_temporal);
}

/* Of the block of pixels p0 to p1 - 1 and the channels c to c + count - 1. */
static inline __attribute__((always_inline)) void gradient_block(
    const backward_strip *b, const strip *s, const channel_constants *constants, size_t p0,
    size_t p1, int32_t c, int32_t count, const backward_mode mode) {
    const constant_vectors k = vectors_at(constants, c, count);
    const gradient_vectors g = {k.gain * k.rstd, load(b->mean_product + c) * k.rstd,
                                load(b->mean_du + c) * k.rstd};
    size_t p = p0;
    for (; p + INTERLEAVE <= p1; p += INTERLEAVE)
        gradient_pixels(b, s, k, g, p, c, mode, INTERLEAVE);
    for (; p < p1; p++) gradient_pixels(b, s, k, g, p, c, mode, 1);
}

static inline __attribute__((always_inline)) void gradient_strip(
    const backward_strip *b, const strip *s, const channel_constants *constants,
    const int32_t activation, const bool from_cache, const bool add, bool non_temporal) {
    const backward_mode cached_stores = {.activation = activation,
                                         .from_cache = from_cache,
                                         .add = add},
                        streaming_stores = {.activation = activation,
                                            .from_cache = from_cache,
                                            .add = add,
                                            .non_temporal = true};
    non_temporal = non_temporal && is_aligned(b->dx, s->x_stride);
    for (size_t p0 = 0; p0 < s->pixels; p0 += BLOCK) {
        size_t p1 = block_end(s, p0);
        for (int32_t c = 0; c < s->width; c += W) {
            if (c + W > s->width)
                gradient_block(b, s, constants, p0, p1, c, s->width - c, cached_stores);
            else if (non_temporal) gradient_block(b, s, constants, p0, p1, c, W, streaming_stores);
            else gradient_block(b, s, constants, p0, p1, c, W, cached_stores);
        }
    }
}

static inline __attribute__((always_inline)) void gradient_strip_of(
    const backward_strip *b, const strip *s, const channel_constants *constants,
    const int32_t activation, const bool from_cache, bool add, bool non_temporal) {
    if (add) gradient_strip(b, s, constants, activation, from_cache, true, non_temporal);
    else gradient_strip(b, s, constants, activation, from_cache, false, non_temporal);
}

static void gradient_activated(const backward_strip *b, const strip *s, const channel_constants *k,
                               int32_t activation, bool from_cache, bool add, bool streams) {
    if (from_cache) {
        gradient_strip_of(b, s, k, DMI_ACTIVATION_NONE, true, add, streams);
        return;
    }
    switch (activation) {
        case DMI_ACTIVATION_SILU:
            gradient_strip_of(b, s, k, DMI_ACTIVATION_SILU, false, add, streams);
            break;
        case DMI_ACTIVATION_MISH:
            gradient_strip_of(b, s, k, DMI_ACTIVATION_MISH, false, add, streams);
            break;
        case DMI_ACTIVATION_GELU:
            gradient_strip_of(b, s, k, DMI_ACTIVATION_GELU, false, add, streams);
            break;
        case DMI_ACTIVATION_RELU:
            gradient_strip_of(b, s, k, DMI_ACTIVATION_RELU, false, add, streams);
            break;
        default: gradient_strip_of(b, s, k, DMI_ACTIVATION_NONE, false, add, streams);
    }
}

/* ---- both passes over a span ---- */

/* Sums of each group of a span: of gain du and of gain du xhat. */
typedef struct group_gradients {
    double du[WIDTH], product[WIDTH];
} group_gradients;

/* What a span's passes read besides the norm itself. */
typedef struct span_input {
    int32_t s0, s1;           /* the span's channels, s0 to s1 - 1 */
    const stored *dy;         /* [pixels, channels] */
    const float *mean, *rstd; /* from the span's first group on */
    float *cached;            /* [pixels, s1 - s0], or NULL */
} span_input;

static void sum_span(float *dgain, float *doffset, group_gradients *groups, const dmi_norm *norm,
                     const span_input *in) {
    memset(groups, 0, sizeof *groups);
    int32_t width;
    for (int32_t c = in->s0; c < in->s1; c += width) {
        const strip s = strip_at(norm, in->s0, in->s1, c);
        channel_constants constants;
        backward_strip b = {.x = strip_x(norm, &s),
                            .dy = in->dy + c,
                            .dy_stride = s.y_stride,
                            .cached = in->cached ? in->cached + (c - in->s0) : NULL,
                            .cached_stride = (size_t)(in->s1 - in->s0)};
        width = s.width;
        constants_of(&constants, norm, &s, c, in->mean, in->rstd);
        sum_activated(&b, &s, &constants, norm->activation);
        for (int32_t i = 0; i < width; i++) {
            doffset[c + i] = (float)b.sum_du[i];
            dgain[c + i] = (float)b.sum_product[i];
            groups->du[s.group_of[i]] += norm->gain[c + i] * b.sum_du[i];
            groups->product[s.group_of[i]] += norm->gain[c + i] * b.sum_product[i];
        }
    }
}

static void gradient_span(const dmi_norm *norm, const group_gradients *groups,
                          const span_input *in) {
    const double one_over_count = 1.0 / ((double)norm->pixels * norm->group_channels);
    const bool from_cache = norm->activation != DMI_ACTIVATION_NONE && in->cached;
    const int32_t activation = from_cache ? DMI_ACTIVATION_NONE : norm->activation;
    int32_t width;
    for (int32_t c = in->s0; c < in->s1; c += width) {
        const strip s = strip_at(norm, in->s0, in->s1, c);
        channel_constants constants;
        backward_strip b = {.x = strip_x(norm, &s),
                            .dx = (stored *)norm->x.dx[s.tensor] + s.channel,
                            .dy =
                                from_cache ? (const void *)(in->cached + (c - in->s0)) : in->dy + c,
                            .dy_stride = from_cache ? (size_t)(in->s1 - in->s0) : s.y_stride};
        width = s.width;
        constants_of(&constants, norm, &s, c, in->mean, in->rstd);
        for (int32_t i = 0; i < width; i++) {
            b.mean_du[i] = (float)(groups->du[s.group_of[i]] * one_over_count);
            b.mean_product[i] = (float)(groups->product[s.group_of[i]] * one_over_count);
        }
        /* No streaming store with +=: dx is in the processor's caches already. */
        const bool add = norm->x.add[s.tensor], non_temporal = norm->non_temporal && !add;
        gradient_activated(&b, &s, &constants, activation, from_cache, add, non_temporal);
    }
}

void DMI_STORED_KERNEL(norm_backward)(float *dgain, float *doffset, const void *dy,
                                      const float *mean, const float *rstd, const dmi_norm *norm,
                                      float *cached) {
    const int32_t span = span_channels(norm->group_channels);
    for (int32_t s0 = norm->c0, s1; s0 < norm->c1; s0 = s1) {
        const int32_t g0 = s0 / norm->group_channels;
        s1 = dmi_min(s0 + span, norm->c1);
        const span_input in = {s0, s1, dy, mean + g0, rstd + g0, cached};
        group_gradients groups;
        sum_span(dgain, doffset, &groups, norm, &in);
        gradient_span(norm, &groups, &in);
    }
    if (norm->non_temporal) end_streaming();
}
