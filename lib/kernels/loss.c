/* The error of a prediction, squared or as pseudo-Huber loss, and its gradient. */
#include "kernels/double_sums.h"
#include "kernels/families.h"
#include "kernels/vector_math.h"

double DMI_KERNEL(mse)(float *gradient, const float *prediction, const float *target, float factor,
                       size_t n) {
    double lane[DMI_SUM_LANES] = {0};
    float difference[DMI_SUM_LANES];
    for (size_t i = 0; i < n; i += DMI_SUM_LANES) {
        size_t count = n - i < DMI_SUM_LANES ? n - i : DMI_SUM_LANES;
        const float *p = prediction + i, *t = target + i;
        for (size_t l = 0; l < count; l++) difference[l] = p[l] - t[l];
        for (size_t l = 0; l < count; l++) gradient[i + l] = factor * difference[l];
        dmi_add_squares(lane, difference, count);
    }
    return dmi_sum_double_lanes(lane);
}

/* Without the difference of a root and 1, which would lose small errors' digits; in double, where
 * no square overflows. */
double DMI_KERNEL(huber)(float *gradient, const float *prediction, const float *target,
                         float factor, float delta, size_t n) {
    double lane[DMI_SUM_LANES] = {0};
    const double sharp = 1 / (double)delta;
    for (size_t i = 0; i < n; i += DMI_SUM_LANES) {
        size_t count = n - i < DMI_SUM_LANES ? n - i : DMI_SUM_LANES;
        const float *p = prediction + i, *t = target + i;
        for (size_t l = 0; l < count; l++) {
            double d = (double)p[l] - t[l], u = d * sharp, root = sqrt(1 + u * u);
            gradient[i + l] = (float)(factor * d / root);
            lane[l] += 2 * d * d / (1 + root);
        }
    }
    return dmi_sum_double_lanes(lane);
}
