/* The forward process on one image, on the kernels. */
#ifndef DM_SRC_DIFFUSION_NOISING_H
#define DM_SRC_DIFFUSION_NOISING_H

#include "kernels/kernels.h"

/* y = image x_0 + noise eps, each [n]: x_t with a level's signal and noise, and the targets that
 * are such sums (dmi_target). y may be x_0 or eps. */
void dmi_add_noise(const dmi_kernels *kernels, float *y, double image, const float *x_0,
                   double noise, const float *eps, size_t n);
/* The input of a self-conditioned network without a previous estimate: input [pixels, 2 channels]
 * gets x [pixels, channels] and 0. */
void dmi_input_without_estimate(const dmi_kernels *kernels, float *input, const float *x,
                                size_t pixels, size_t channels);

#endif
