/* SPDX-License-Identifier: MIT */
/* The squared error or pseudo-Huber loss of a prediction, and its gradient. */
#include "base/math.h"
#include "kernels/double_sums.h"
#include "kernels/families.h"
#include "kernels/vector_math.h"

double DMI_KERNEL(mse)(float *gradient, const float *prediction, const float *target, float factor,
                       size_t n) {
    double lane[DMI_SUM_LANES] = {0};
    float difference[DMI_SUM_LANES];
    for (size_t i = 0; i < n; i += DMI_SUM_LANES) {
        size_t count = dmi_min_size(n - i, DMI_SUM_LANES);
        const float *p = prediction + i, *t = target + i;
        for (size_t l = 0; l < count; l++) difference[l] = p[l] - t[l];
        for (size_t l = 0; l < count; l++) gradient[i + l] = factor * difference[l];
        dmi_add_squares(lane, difference, count);
    }
    return dmi_sum_double_lanes(lane);
}

/* The textbook form delta^2 (r - 1) would cancel the digits of small errors; in double no square
 * overflows. */
double DMI_KERNEL(huber)(float *gradient, const float *prediction, const float *target,
                         float factor, float delta, size_t n) {
    double lane[DMI_SUM_LANES] = {0};
    const double inverse = 1 / (double)delta;
    for (size_t i = 0; i < n; i += DMI_SUM_LANES) {
        size_t count = dmi_min_size(n - i, DMI_SUM_LANES);
        const float *p = prediction + i, *t = target + i;
        for (size_t l = 0; l < count; l++) {
            double d = (double)p[l] - t[l], u = d * inverse, root = sqrt(1 + u * u);
            gradient[i + l] = (float)(factor * d / root);
            lane[l] += 2 * d * d / (1 + root);
        }
    }
    return dmi_sum_double_lanes(lane);
}
