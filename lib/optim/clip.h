/* SPDX-License-Identifier: MIT */
/* Clipping by the global gradient norm (Pascanu, Mikolov and Bengio 2013, algorithm 1). */
#ifndef DMI_OPTIM_CLIP_H
#define DMI_OPTIM_CLIP_H

#include "base/pool.h"
#include "kernels/kernels.h"

/* The Euclidean norm, in double, of a flat block: values [floats], gradients or weights; sums
 * [dmi_flat_tile_count(floats)] is scratch. Squares of floats do not overflow a double, so the norm
 * is finite if and only if every value is. */
double dmi_flat_norm(dmi_pool *pool, const dmi_kernels *kernels, const float *values, size_t floats,
                     double *sums);

/* The factor that makes the norm norm_max at most; norm_max 0: no clipping. */
double dmi_clip_factor(double norm, double norm_max);

#endif
