/* SPDX-License-Identifier: MIT */
/* The loss of the network's output and its gradient, image by image. */
#ifndef DM_SRC_LOSS_H
#define DM_SRC_LOSS_H

#include "base/pool.h"
#include "diffusion.h"
#include "kernels/kernels.h"

/* What the loss of one image needs besides output and target. */
typedef struct dmi_loss_term {
    double weight;            /* of the error (dmi_loss_weight) */
    double importance_weight; /* of the error and the bound (dmi_noise_level.weight) */
    dmi_bound bound;          /* hybrid loss: the term of the bound, without its factor */
} dmi_loss_term;

typedef struct dmi_loss {
    const dmi_kernels *kernels;
    dm_loss kind;
    double huber_delta;
    double bound_factor; /* of the bound's terms, which are nats of a whole image */
    double values;       /* floats of all images of the step, over which loss and gradient are
                            means */
    int32_t images;
    size_t elements;       /* of the target of one image */
    size_t channels;       /* of the target; with a hybrid loss the output has twice as many */
    size_t input_channels; /* of the network's input, x_t's first */
    float *scratch;        /* [threads, 2, elements] for a hybrid loss */
} dmi_loss;

/* Writes gradient [like output], and to losses [images] the sum of each image's weighted loss over
 * its elements. Returns their sum with the importance weights, in order; divided by loss->values it
 * is the loss. input [images, pixels, input_channels] is read by a hybrid loss only. */
double dmi_loss_run(dmi_pool *pool, const dmi_loss *loss, const dmi_loss_term *terms,
                    float *gradient, const float *output, const float *target, const float *input,
                    double *losses);

#endif
