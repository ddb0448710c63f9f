/* The sampler's insides. */
#ifndef DM_SRC_SAMPLER_H
#define DM_SRC_SAMPLER_H

#include <stdatomic.h>

#include "solver.h"
#include "unet.h"

struct dm_sampler {
    dm_context *context;
    dm_unet *unet;        /* NULL: the caller's denoiser */
    dm_denoiser denoiser;
    void *denoiser_user;
    dm_sampler_options options; /* 'timesteps' is NULL; they are below */
    int32_t height, width, channels;
    size_t elements;            /* of one picture */
    int32_t *timesteps;         /* [steps] */
    dmi_solver_update *updates; /* [steps] */
    atomic_int cancelled;       /* set by dm_sampler_cancel, cleared where DM_ERROR_CANCELLED is returned */

    /* The batch under way; made by the first run that needs so many and kept. */
    size_t capacity;                /* pictures that there is room for */
    float *x, *x_0, *output, *noise; /* [capacity, height, width, channels] each */
    int32_t *labels;                /* [capacity] */
    uint8_t *faults;                /* [capacity] what a task found wrong with its picture */
};

/* Frees the batch's buffers. */
void dmi_sampler_release(dm_sampler *sampler);

#endif
