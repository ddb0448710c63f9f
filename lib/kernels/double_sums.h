/* SPDX-License-Identifier: MIT */
/* Sums in double over a fixed number of lanes, which are reduced as a tree at the end. */
#ifndef DMI_KERNELS_DOUBLE_SUMS_H
#define DMI_KERNELS_DOUBLE_SUMS_H

#include <stddef.h>

enum { DMI_SUM_LANES = 64 };

/* lane[l] += x[l]^2, count at most DMI_SUM_LANES. */
static inline void dmi_add_squares(double *restrict lane, const float *restrict x, size_t count) {
    for (size_t l = 0; l < count; l++) {
        double value = x[l];
        lane[l] += value * value;
    }
}

/* The sum of the lanes, [DMI_SUM_LANES], which are overwritten. */
static inline double dmi_sum_double_lanes(double *lane) {
    for (size_t half = DMI_SUM_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
    }
    return lane[0];
}

#endif
