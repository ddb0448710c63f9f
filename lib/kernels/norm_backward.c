/* The gradient of group normalisation (Wu and He 2018) of one picture, with SiLU where it was
 * asked. A span is read once for the sums over the pixels, in float over a block and then in
 * double, and again for dx; what SiLU makes of dy is kept in between where there is room, as its
 * slope costs more than the memory. */
#include "kernels/norm_parts.h"

/* What a pass reads and writes of a strip. The second may read in place of dy, and without SiLU,
 * what the first has kept. */
typedef struct backward {
    const float *x, *dy;
    float *kept, *dx;
    size_t dy_stride, kept_stride;
    double du[WIDTH], product[WIDTH]; /* sums over the pixels of du and of du xhat */
    float m1[WIDTH], m2[WIDTH];       /* the group's means of gain du and of gain du xhat */
} backward;

/* Each channel's constants in registers. */
typedef struct affine_vectors {
    vec mean, rstd, gain, offset;
} affine_vectors;

static inline affine_vectors vectors_at(const affine *a, int32_t c) {
    return (affine_vectors){load(a->mean + c), load(a->rstd + c), load(a->gain + c),
                            load(a->offset + c)};
}

/* xhat of n pixels, and the gradient at u = gain xhat + offset: dy by the slope of SiLU, or dy. */
static inline __attribute__((always_inline)) void through_silu(vec *du, vec *xhat, const float *x,
                                                               size_t stride, const float *dy,
                                                               size_t dy_stride, affine_vectors a,
                                                               int32_t count, const bool with_silu,
                                                               const int n) {
    DMI_SIDE_BY_SIDE xhat[i] = (load_part(x + (size_t)i * stride, count) - a.mean) * a.rstd;
    if (!with_silu) {
        DMI_SIDE_BY_SIDE du[i] = load_part(dy + (size_t)i * dy_stride, count);
        return;
    }
    DMI_SIDE_BY_SIDE du[i] = a.gain * xhat[i] + a.offset;
    silu_slope(du, n);
    DMI_SIDE_BY_SIDE du[i] *= load_part(dy + (size_t)i * dy_stride, count);
}

/* Of n pixels, added to the sums of du and of du xhat; du itself is kept where `keep`. */
static inline __attribute__((always_inline)) void add_gradients(const backward *b, affine_vectors a,
                                                                const strip *s, size_t p, int32_t c,
                                                                int32_t count, const bool with_silu,
                                                                const bool keep, vec *sum,
                                                                vec *product, const int n) {
    const float *x = b->x + p * s->stride + c, *dy = b->dy + p * b->dy_stride + c;
    vec du[ABREAST], xhat[ABREAST];
    DMI_SIDE_BY_SIDE prefetch(x, (BLOCK + (size_t)i) * s->stride);
    DMI_SIDE_BY_SIDE prefetch(dy, (BLOCK + (size_t)i) * b->dy_stride);
    through_silu(du, xhat, x, s->stride, dy, b->dy_stride, a, count, with_silu, n);
    DMI_SIDE_BY_SIDE sum[i] += du[i];
    DMI_SIDE_BY_SIDE product[i] += du[i] * xhat[i];
    if (!keep) return;
    DMI_SIDE_BY_SIDE store_part(b->kept + (p + (size_t)i) * b->kept_stride + c, du[i], count);
}

/* Sums of du and of du xhat over a block, and du itself where `keep`. */
static inline __attribute__((always_inline)) void gradient_sums(backward *b, const affine *a,
                                                                const strip *s, size_t p0,
                                                                size_t p1, int32_t c, int32_t count,
                                                                const bool with_silu,
                                                                const bool keep) {
    affine_vectors constants = vectors_at(a, c);
    vec sum[ABREAST] = {{0}}, product[ABREAST] = {{0}};
    float du_lanes[W], product_lanes[W];
    size_t p = p0;
    for (; p + ABREAST <= p1; p += ABREAST)
        add_gradients(b, constants, s, p, c, count, with_silu, keep, sum, product, ABREAST);
    for (; p < p1; p++)
        add_gradients(b, constants, s, p, c, count, with_silu, keep, sum, product, 1);
    for (int i = 1; i < ABREAST; i++) {
        sum[0] += sum[i];
        product[0] += product[i];
    }
    store(du_lanes, sum[0]);
    store(product_lanes, product[0]);
    for (int32_t i = 0; i < W; i++) b->du[c + i] += du_lanes[i];
    for (int32_t i = 0; i < W; i++) b->product[c + i] += product_lanes[i];
}

static inline __attribute__((always_inline)) void all_gradient_sums(backward *b, const affine *a,
                                                                    const strip *s,
                                                                    const bool with_silu,
                                                                    const bool keep) {
    memset(b->du, 0, sizeof b->du);
    memset(b->product, 0, sizeof b->product);
    for (size_t p0 = 0; p0 < s->pixels; p0 += BLOCK) {
        size_t p1 = block_end(s, p0);
        for (int32_t c = 0; c < s->width; c += W) {
            if (c + W <= s->width) gradient_sums(b, a, s, p0, p1, c, W, with_silu, keep);
            else gradient_sums(b, a, s, p0, p1, c, s->width - c, with_silu, keep);
        }
    }
}

/* What dx = rstd (gain du - m1 - xhat m2) multiplies du and xhat by, and takes off. */
typedef struct gradient_vectors {
    vec by_du, by_xhat, constant;
} gradient_vectors;

/* dx of n pixels. */
static inline __attribute__((always_inline)) void gradient_of(const backward *b, affine_vectors a,
                                                              gradient_vectors g, const strip *s,
                                                              size_t p, int32_t c, int32_t count,
                                                              const bool with_silu, const bool add,
                                                              const bool past, const int n) {
    float *dx = b->dx + p * s->stride + c;
    vec du[ABREAST], xhat[ABREAST];
    if (add) {
        DMI_SIDE_BY_SIDE prefetch(dx, (BLOCK + (size_t)i) * s->stride);
    }
    through_silu(du, xhat, b->x + p * s->stride + c, s->stride, b->dy + p * b->dy_stride + c,
                 b->dy_stride, a, count, with_silu, n);
    DMI_SIDE_BY_SIDE du[i] = du[i] * g.by_du - (xhat[i] * g.by_xhat + g.constant);
    if (add) {
        DMI_SIDE_BY_SIDE du[i] += load_part(dx + (size_t)i * s->stride, count);
    }
    DMI_SIDE_BY_SIDE put(dx + (size_t)i * s->stride, du[i], count, past);
}

static inline __attribute__((always_inline)) void gradient(const backward *b, const affine *a,
                                                           const strip *s, size_t p0, size_t p1,
                                                           int32_t c, int32_t count,
                                                           const bool with_silu, const bool add,
                                                           const bool past) {
    affine_vectors v = vectors_at(a, c);
    gradient_vectors g = {v.gain * v.rstd, load(b->m2 + c) * v.rstd, load(b->m1 + c) * v.rstd};
    size_t p = p0;
    for (; p + ABREAST <= p1; p += ABREAST)
        gradient_of(b, v, g, s, p, c, count, with_silu, add, past, ABREAST);
    for (; p < p1; p++) gradient_of(b, v, g, s, p, c, count, with_silu, add, past, 1);
}

static inline __attribute__((always_inline)) void whole_gradient(const backward *b, const affine *a,
                                                                 const strip *s,
                                                                 const bool with_silu,
                                                                 const bool add, bool past) {
    past = past && is_lines(b->dx, s->stride);
    for (size_t p0 = 0; p0 < s->pixels; p0 += BLOCK) {
        size_t p1 = block_end(s, p0);
        for (int32_t c = 0; c < s->width; c += W) {
            if (c + W > s->width) gradient(b, a, s, p0, p1, c, s->width - c, with_silu, add, false);
            else if (past) gradient(b, a, s, p0, p1, c, W, with_silu, add, true);
            else gradient(b, a, s, p0, p1, c, W, with_silu, add, false);
        }
    }
}

void DMI_KERNEL(norm_backward)(const dmi_norm_x *x, float *dgain, float *doffset, const float *dy,
                               const float *mean, const float *rstd, const float *gain,
                               const float *offset, int32_t pixels, int32_t per_group, int32_t c0,
                               int32_t c1, bool with_silu, bool past, float *kept) {
    const int32_t span = span_channels(per_group);
    const double share = 1.0 / ((double)pixels * per_group);
    int32_t group_of[WIDTH];
    double group_du[WIDTH], group_product[WIDTH];
    affine a;
    backward b;
    strip s;
    for (int32_t s0 = c0; s0 < c1; s0 += span) {
        const int32_t s1 = at_most(s0 + span, c1), g0 = s0 / per_group;
        memset(group_du, 0, sizeof group_du);
        memset(group_product, 0, sizeof group_product);
        b.kept_stride = (size_t)(s1 - s0);
        for (int32_t c = s0; c < s1; c += s.width) {
            s = strip_at(x, (size_t)pixels, c, s1);
            groups_of(group_of, per_group, c - s0);
            affine_of(&a, group_of, mean + g0, rstd + g0, gain + c, offset + c, s.width);
            b.x = x->x[s.part] + s.at;
            b.dy = dy + c;
            b.dy_stride = s.whole_stride;
            b.kept = kept ? kept + (c - s0) : NULL;
            if (with_silu && kept) all_gradient_sums(&b, &a, &s, true, true);
            else if (with_silu) all_gradient_sums(&b, &a, &s, true, false);
            else all_gradient_sums(&b, &a, &s, false, false);
            for (int32_t i = 0; i < s.width; i++) {
                doffset[c + i] = (float)b.du[i];
                dgain[c + i] = (float)b.product[i];
                group_du[group_of[i]] += gain[c + i] * b.du[i];
                group_product[group_of[i]] += gain[c + i] * b.product[i];
            }
        }
        const bool reads_kept = with_silu && kept, again = with_silu && !kept; /* again: from dy */
        for (int32_t c = s0; c < s1; c += s.width) {
            s = strip_at(x, (size_t)pixels, c, s1);
            groups_of(group_of, per_group, c - s0);
            affine_of(&a, group_of, mean + g0, rstd + g0, gain + c, offset + c, s.width);
            memset(b.m1, 0, sizeof b.m1);
            memset(b.m2, 0, sizeof b.m2);
            for (int32_t i = 0; i < s.width; i++) {
                b.m1[i] = (float)(group_du[group_of[i]] * share);
                b.m2[i] = (float)(group_product[group_of[i]] * share);
            }
            b.x = x->x[s.part] + s.at;
            b.dx = x->dx[s.part] + s.at;
            b.dy = reads_kept ? kept + (c - s0) : dy + c;
            b.dy_stride = reads_kept ? b.kept_stride : s.whole_stride;
            const bool add = x->add[s.part];
            /* What is added to has been read into the caches, where the next operation finds it. */
            const bool dx_past = past && !add;
            if (again && add) whole_gradient(&b, &a, &s, true, true, dx_past);
            else if (again) whole_gradient(&b, &a, &s, true, false, dx_past);
            else if (add) whole_gradient(&b, &a, &s, false, true, dx_past);
            else whole_gradient(&b, &a, &s, false, false, dx_past);
        }
    }
    if (past) end_stores_past();
}
