/* SPDX-License-Identifier: MIT */
/* The forward process on one image, on the kernels. */
#ifndef DM_SRC_DIFFUSION_NOISING_H
#define DM_SRC_DIFFUSION_NOISING_H

#include "kernels/kernels.h"

/* y = signal_factor x_0 + noise_factor eps, each [n]. With a level's signal and noise it adds noise
 * to x_0, which gives x_t (Ho et al. 2020, eq. 4); with the factors of dmi_target it gives the
 * network's target. y may be x_0 or eps. */
void dmi_combine_with_noise(const dmi_kernels *kernels, float *y, double signal_factor,
                            const float *x_0, double noise_factor, const float *eps, size_t n);
/* The input of a self-conditioned network without a previous estimate: input [pixels, 2 channels]
 * gets x [pixels, channels] and 0. */
void dmi_input_without_estimate(const dmi_kernels *kernels, float *input, const float *x,
                                size_t pixels, size_t channels);

#endif
