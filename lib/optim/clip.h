/* Clipping by the global gradient norm (Pascanu, Mikolov and Bengio 2013, algorithm 1). */
#ifndef DMI_OPTIM_CLIP_H
#define DMI_OPTIM_CLIP_H

#include "base/pool.h"
#include "kernels/kernels.h"

/* The Euclidean norm of gradient [floats], in double; sums [dmi_flat_tile_count(floats)] is
 * scratch. Squares of floats do not overflow a double, so the norm is finite if and only if every
 * gradient is. */
double dmi_gradient_norm(dmi_pool *pool, const dmi_kernels *kernels, const float *gradient,
                         size_t floats, double *sums);

/* The factor that makes the norm norm_max at most; norm_max 0: no clipping. */
double dmi_clip_factor(double norm, double norm_max);

#endif
