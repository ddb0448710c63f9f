/* See noising.h. */
#include "diffusion/noising.h"

#include <string.h>

void dmi_add_noise(const dmi_kernels *kernels, float *y, double image, const float *x_0,
                   double noise, const float *eps, size_t n) {
    kernels->combine(y, (float)image, x_0, (float)noise, eps, n);
}

void dmi_input_without_estimate(const dmi_kernels *kernels, float *input, const float *x,
                                size_t pixels, size_t channels) {
    memset(input, 0, 2 * pixels * channels * sizeof *input);
    kernels->copy_rows(input, 2 * channels, x, channels, pixels, channels, false);
}
