/* SPDX-License-Identifier: MIT */
/* The activation functions and their derivatives in double, by their definitions. */
#ifndef DM_TESTS_ACTIVATION_H
#define DM_TESTS_ACTIVATION_H

#include <math.h>

#include "kernels/kernels.h"

enum { ACTIVATIONS = DMI_ACTIVATION_RELU + 1 };

static inline double naive_sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* The distribution function of the standard normal distribution. */
static inline double naive_normal(double x) { return erfc(-x * sqrt(0.5)) / 2; }

static inline double naive_activation(int32_t activation, double x) {
    switch (activation) {
        case DMI_ACTIVATION_SILU: return x * naive_sigmoid(x);
        case DMI_ACTIVATION_MISH: return x * tanh(log1p(exp(x)));
        case DMI_ACTIVATION_GELU: return x * naive_normal(x);
        case DMI_ACTIVATION_RELU: return x > 0 ? x : 0;
        default: return x;
    }
}

/* The two terms of the derivative, which is *first + *second. */
static inline void naive_slope_terms(int32_t activation, double x, double *first, double *second) {
    double s = naive_sigmoid(x), t = tanh(log1p(exp(x)));
    *first = 1;
    *second = 0;
    if (activation == DMI_ACTIVATION_SILU) {
        *first = s;
        *second = s * x * (1 - s);
    } else if (activation == DMI_ACTIVATION_MISH) {
        *first = t;
        *second = x * (1 - t * t) * s;
    } else if (activation == DMI_ACTIVATION_GELU) {
        *first = naive_normal(x);
        *second = x * 0.3989422804014327 * exp(-x * x / 2);
    } else if (activation == DMI_ACTIVATION_RELU) {
        *first = x > 0;
    }
}

static inline double naive_activation_slope(int32_t activation, double x) {
    double first, second;
    naive_slope_terms(activation, x, &first, &second);
    return first + second;
}

#endif
