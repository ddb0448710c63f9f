/* Clipping by the norm of all gradients together (Pascanu, Mikolov and Bengio 2013, algorithm
 * 1). */
#ifndef DMI_OPTIM_CLIP_H
#define DMI_OPTIM_CLIP_H

#include "base/pool.h"
#include "kernels/kernels.h"

/* The Euclidean norm of gradient [floats], in double; sums holds dmi_chunk_count(floats) values.
 * Squares of floats do not overflow a double, so the norm is finite exactly where every gradient
 * is. */
double dmi_gradient_norm(dmi_pool *pool, const dmi_kernels *kernels, const float *gradient,
                         size_t floats, double *sums);

/* What the gradients are multiplied with so that their norm is at most `largest`; 1 where that is
 * 0. */
double dmi_clip_factor(double norm, double largest);

#endif
