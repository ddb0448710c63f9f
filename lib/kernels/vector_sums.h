/* SPDX-License-Identifier: MIT */
/* Sums and maxima over many floats, whose order a compiler may not change by itself: one partial
 * result per lane, the lanes then reduced as a tree. The order follows from the instruction set and
 * the count. */
#ifndef DMI_KERNELS_VECTOR_SUMS_H
#define DMI_KERNELS_VECTOR_SUMS_H

#include <string.h>

#include "kernels/vector.h"

/* One step of the tree: adds the upper half of the lanes to the lower. `half` is a constant, so
 * that a step is one or two instructions. */
static inline void dmi_add_half(float *lanes, const int half) {
    for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
}

static inline float dmi_sum_lanes(vec v) {
    float lanes[W];
    store(lanes, v);
    if (W >= 16) dmi_add_half(lanes, 8);
    if (W >= 8) dmi_add_half(lanes, 4);
    dmi_add_half(lanes, 2);
    return lanes[0] + lanes[1];
}

/* The larger of a and b, lane by lane; a NaN in a is ignored, one in b is kept. */
static inline vec dmi_max_vec(vec a, vec b) {
    typedef int32_t ints __attribute__((vector_size(sizeof(vec))));
    ints above = (ints)(a > b);
    return (vec)((above & (ints)a) | (~above & (ints)b));
}

static inline void dmi_max_half(float *lanes, const int half) {
    for (int i = 0; i < half; i++)
        lanes[i] = lanes[i + half] > lanes[i] ? lanes[i + half] : lanes[i];
}

static inline float dmi_max_lane(vec v) {
    float lanes[W];
    store(lanes, v);
    if (W >= 16) dmi_max_half(lanes, 8);
    if (W >= 8) dmi_max_half(lanes, 4);
    dmi_max_half(lanes, 2);
    return lanes[1] > lanes[0] ? lanes[1] : lanes[0];
}

/* The dot product of a and b, [n]. */
static inline float dmi_dot(const float *a, const float *b, size_t n) {
    vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    size_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W) {
        s0 += load(a + i) * load(b + i);
        s1 += load(a + i + W) * load(b + i + W);
        s2 += load(a + i + 2 * W) * load(b + i + 2 * W);
        s3 += load(a + i + 3 * W) * load(b + i + 3 * W);
    }
    for (; i + W <= n; i += W) s0 += load(a + i) * load(b + i);
    if (i < n) s1 += load_part(a + i, (int32_t)(n - i)) * load_part(b + i, (int32_t)(n - i));
    return dmi_sum_lanes((s0 + s1) + (s2 + s3));
}

/* The sum of x, [n]. */
static inline float dmi_sum(const float *x, size_t n) {
    vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    size_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W) {
        s0 += load(x + i);
        s1 += load(x + i + W);
        s2 += load(x + i + 2 * W);
        s3 += load(x + i + 3 * W);
    }
    for (; i + W <= n; i += W) s0 += load(x + i);
    if (i < n) s1 += load_part(x + i, (int32_t)(n - i));
    return dmi_sum_lanes((s0 + s1) + (s2 + s3));
}

#endif
