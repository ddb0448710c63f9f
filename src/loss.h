/* The loss of Ho et al. (2020, eq. 14) for each thing that the network may predict: the mean squared error between its
 * output and a target that is, like x_t itself, a mixture of picture and noise. */
#ifndef DM_SRC_LOSS_H
#define DM_SRC_LOSS_H

#include "base/pool.h"
#include "kernels/kernels.h"

/* image * x_0 + noise * eps */
typedef struct dmi_mixture {
    float image, noise;
} dmi_mixture;

/* x_t (eq. 4). */
dmi_mixture dmi_loss_noised(double alpha_cumprod);
/* What the network shall predict from it; `prediction` is DM_PREDICT_*. */
dmi_mixture dmi_loss_target(int32_t prediction, double alpha_cumprod);

/* The sum of (output - target)^2 over pictures [pictures, elements]; gradient = factor * (output - target). sums holds one
 * value for each picture, added up in their order. */
double dmi_loss_squares(dmi_pool *pool, const dmi_kernels *kernels, float *gradient, const float *output,
                        const float *target, float factor, int32_t pictures, size_t elements, double *sums);

#endif
