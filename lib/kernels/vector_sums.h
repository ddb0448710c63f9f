/* Sums and maxima over many floats, which a compiler may not reorder by itself: one partial result
 * a lane, the lanes then combined as a tree. The order is fixed by the instruction set and the
 * count, so the bits depend on the terms alone. */
#ifndef DMI_KERNELS_VECTOR_SUMS_H
#define DMI_KERNELS_VECTOR_SUMS_H

#include <string.h>

#include "kernels/vector.h"

/* The upper half of the lanes joins the lower: with constant halves each step is one instruction or
 * two. */
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

/* a where a > b, else b: a lane of a that is not a number is passed over. */
static inline vec dmi_larger(vec a, vec b) {
    typedef int32_t ints __attribute__((vector_size(sizeof(vec))));
    ints above = (ints)(a > b);
    return (vec)((above & (ints)a) | (~above & (ints)b));
}

static inline void dmi_larger_half(float *lanes, const int half) {
    for (int i = 0; i < half; i++)
        lanes[i] = lanes[i + half] > lanes[i] ? lanes[i + half] : lanes[i];
}

static inline float dmi_largest_lane(vec v) {
    float lanes[W];
    store(lanes, v);
    if (W >= 16) dmi_larger_half(lanes, 8);
    if (W >= 8) dmi_larger_half(lanes, 4);
    dmi_larger_half(lanes, 2);
    return lanes[1] > lanes[0] ? lanes[1] : lanes[0];
}

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
