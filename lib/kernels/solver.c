/* SPDX-License-Identifier: MIT */
/* The sampler's operations on one image of n values. The state is in double, since solvers subtract
 * nearly equal images and EDM's state is up to 80 times the image; the network's input and output
 * are in float. */
#include <math.h>

#include "base/math.h"
#include "kernels/families.h"
#include "kernels/vector_math.h"

void DMI_KERNEL(solver_to_f32)(float *y, double factor, const double *x, size_t n) {
    DMI_ELEMENTWISE
    for (size_t i = 0; i < n; i++) y[i] = (float)(factor * x[i]);
}

/* The comparisons let NaN through, which the sampler looks for afterwards. */
void DMI_KERNEL(solver_axpby_clamp)(double *y, double x_factor, const double *x,
                                    double output_factor, const float *output, double limit,
                                    size_t n) {
    DMI_ELEMENTWISE
    for (size_t i = 0; i < n; i++) {
        double v = x_factor * x[i] + output_factor * output[i];
        v = v > limit ? limit : v;
        y[i] = v < -limit ? -limit : v;
    }
}

void DMI_KERNEL(solver_clamp_normalize)(double *y, double limit, size_t n) {
    DMI_ELEMENTWISE
    for (size_t i = 0; i < n; i++) {
        double v = y[i] > limit ? limit : y[i];
        y[i] = (v < -limit ? -limit : v) / limit;
    }
}

void DMI_KERNEL(solver_weighted_sum)(double *y, const double *const *terms, const double *factors,
                                     int32_t count, const float *z, double z_factor, size_t n) {
    enum { BLOCK = 64 };
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t length = dmi_min_size(n - at, BLOCK);
        double sum[BLOCK] = {0};
        for (int32_t k = 0; k < count; k++) {
            const double *term = terms[k] + at, factor = factors[k];
            for (size_t i = 0; i < length; i++) sum[i] += factor * term[i];
        }
        for (size_t i = 0; z && i < length; i++) sum[i] += z_factor * z[at + i];
        memcpy(y + at, sum, length * sizeof *y);
    }
}

bool DMI_KERNEL(solver_all_finite)(const double *x, size_t n) {
    const uint64_t exponent = UINT64_C(0x7FF) << 52;
    uint64_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bad |= (bits & exponent) == exponent ? 1u : 0u;
    }
    return bad == 0;
}

void DMI_KERNEL(solver_scale_noise)(float *z, const float *output, float range, size_t n) {
    for (size_t i = 0; i < n; i++) z[i] *= expf(0.25f * (output[i] + 1) * range);
}

void DMI_KERNEL(solver_inpaint)(double *x, const float *mask, const float *image, double signal,
                                const float *z, double noise, size_t pixels, size_t channels) {
    for (size_t p = 0; p < pixels; p++) {
        double share = mask[p];
        for (size_t i = p * channels; i < (p + 1) * channels; i++)
            x[i] = share * x[i] + (1 - share) * (signal * image[i] + noise * z[i]);
    }
}

void DMI_KERNEL(moments)(double *mean, double *variance, const float *x, size_t n) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    *mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    *variance = squares / (double)n;
}

/* Hoare's selection: reorders x [n] so that x[k] is what sorting would put there, nothing before it
 * is larger and nothing after it smaller. */
static void select(double *x, size_t n, size_t k) {
    size_t low = 0, high = n - 1;
    while (low < high) {
        double pivot = x[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (x[i] < pivot) i++;
            while (pivot < x[j]) j--;
            if (i >= j) break;
            double swap = x[i];
            x[i++] = x[j], x[j--] = swap;
        }
        /* x[low..j] <= pivot <= x[j+1..high] */
        if (k <= j) high = j;
        else low = j + 1;
    }
}

double DMI_KERNEL(solver_abs_quantile)(double *scratch, const double *x, double share, size_t n) {
    double at = share * (double)(n - 1), fraction = at - floor(at);
    size_t k = (size_t)at;
    for (size_t i = 0; i < n; i++) scratch[i] = fabs(x[i]);
    select(scratch, n, k);
    double value = scratch[k], next = INFINITY;
    if (fraction == 0 || k + 1 == n) return value;
    for (size_t i = k + 1; i < n; i++) next = scratch[i] < next ? scratch[i] : next;
    return value + fraction * (next - value);
}
