/* SPDX-License-Identifier: MIT */
/* See noising.h. */
#include "diffusion/noising.h"

#include <string.h>

void dmi_combine_with_noise(const dmi_kernels *kernels, float *y, double signal_factor,
                            const float *x_0, double noise_factor, const float *eps, size_t n) {
    kernels->combine(y, (float)signal_factor, x_0, (float)noise_factor, eps, n);
}

void dmi_input_without_estimate(const dmi_kernels *kernels, float *input, const float *x,
                                size_t pixels, size_t channels) {
    memset(input, 0, 2 * pixels * channels * sizeof *input);
    kernels->copy_rows(input, 2 * channels, x, channels, pixels, channels, false);
}
