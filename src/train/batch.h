/* SPDX-License-Identifier: MIT */
/* The inputs of the network in one pass: images, noise levels, noise, x_t and the target. All that
 * is random about an image depends on the seed and on its position in the whole run, so checkpoints
 * need not keep it. */
#ifndef DM_SRC_BATCH_H
#define DM_SRC_BATCH_H

#include "dataset/dataset.h"
#include "diffusion/prediction.h"
#include "train/timesteps.h"
#include "unet/unet.h"

/* The noise level of one image of the batch. */
typedef struct dmi_batch_level {
    dmi_noise_level at;
    dmi_prediction_coefficients coefficients; /* of the network's output there */
} dmi_batch_level;

enum { DMI_BATCH_SCRATCH = 3 };

typedef struct dmi_batch {
    dm_context *context;
    const dmi_timesteps *timesteps;
    const dm_dataset *dataset; /* NULL: every batch is the caller's */
    const dm_unet *unet;
    uint64_t seed;
    int32_t count; /* images */
    int32_t height, width, channels;
    dm_prediction prediction;    /* of the network */
    double sigma_data;           /* likewise */
    dmi_label_range label_range; /* of the network */
    int32_t crop_padding;
    int32_t condition_channels, condition_size; /* of the network */
    double label_dropout, condition_dropout;
    bool flip, use_labels, self_conditioning;
    size_t elements;    /* floats of an image */
    uint8_t *pixels;    /* [count, height, width, channels]; NULL without a dataset */
    uint64_t *indices;  /* [count] of the dataset's images; likewise */
    uint64_t *next;     /* [count] those of the pass after it; NULL if nobody wants to know */
    uint64_t announced; /* the position whose images the dataset was told last, plus 1 */
    int32_t *labels;    /* [count], as the dataset has them; likewise */
    float *scratch;     /* [threads, DMI_BATCH_SCRATCH, elements]: see fill_image */
    float *target;      /* [count, elements] */
    float *noisy;       /* [count, elements] x_t without c_in, or NULL: nobody reads it */
    size_t condition_elements; /* of a condition image */
    uint8_t *condition_pixels; /* [count, condition_elements]; NULL without a dataset */
    float *condition_scratch;  /* [threads, condition_elements]: a condition image before its crop;
                                  NULL without crops */
    dmi_batch_level *levels;   /* [count] */
    bool has_unlabelled;    /* an image of the last pass had no class, or its label was dropped */
    bool has_unconditioned; /* likewise with conditions */
} dmi_batch;

/* Allocates the members from `elements` on; the caller has set the others. */
dm_status dmi_batch_create(dmi_batch *batch);
void dmi_batch_destroy(dmi_batch *batch);

/* Writes x_t (and 0 as previous estimate), times, labels and conditions to the graph's inputs, and
 * targets and levels to the batch, for the images at `position` of the run and after. They are
 * those of `given`, which is checked and has `count`, or the dataset's if that is NULL. Fails if
 * the dataset does, or if it gives a label or a condition that the network does not take. */
dm_status dmi_batch_fill(dmi_batch *batch, const dmi_unet_graph *graph, uint64_t position,
                         const dm_train_batch *given);

/* Self-conditioning (Chen, Zhang and Hinton 2023): whether the pass of that number gives the
 * network its own estimate of x_0. */
bool dmi_batch_self_conditions(const dmi_batch *batch, double rate, uint64_t pass);
/* Puts x_0, clipped to [-1, 1], as the graph's output says, into the graph's input. */
void dmi_batch_set_estimate(const dmi_batch *batch, const dmi_unet_graph *graph,
                            int32_t output_channels);

#endif
