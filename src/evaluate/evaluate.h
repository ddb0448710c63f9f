/* SPDX-License-Identifier: MIT */
/* An evaluation: the variational bound of a network over a dataset (Ho et al. 2020, eq. 5; Nichol
 * and Dhariwal 2021), and its error by quarters of the timesteps. Each model evaluation takes one
 * timestep per image of a batch, chosen for each image. */
#ifndef DM_SRC_EVALUATE_EVALUATE_H
#define DM_SRC_EVALUATE_EVALUATE_H

#include "dataset/dataset.h"
#include "diffusion/schedule.h"
#include "unet/unet.h"

enum { DMI_QUARTERS = 4 };

/* Sums of one image, or of all; the bound's terms in nats of the whole image. */
typedef struct dmi_image_terms {
    double prior, decoder, steps;
    double squares[DMI_QUARTERS], weights[DMI_QUARTERS]; /* mean squared errors, weighted, and their
                                                            weights */
} dmi_image_terms;

typedef struct dmi_evaluator {
    dm_context *context;
    dm_unet *unet;
    const dm_schedule *schedule;
    const dm_dataset *dataset;
    dm_evaluation_options options; /* resolved: count and batch_size are what is there */
    size_t n, channels;            /* values and channels of an image */
    size_t condition_n;            /* values of a condition image; 0: the network takes none */
    size_t in_factor, out_factor;  /* channels of the network's input and output, in `channels` */
    int32_t evaluations;           /* of each image: timestep 0 and one of each stratum */
    bool has_bound;
    /* The current batch and model evaluation. */
    size_t first; /* image, counted from options.first */
    int32_t count, evaluation;
    /* [batch_size, ...] */
    uint8_t *pixels;                   /* [n] */
    float *x_0, *x_t, *noise, *target; /* [n] */
    /* Of networks that take them, else NULL. */
    uint8_t *condition_pixels;                 /* [condition_n] */
    float *condition_image, *condition_vector; /* [condition_n], [condition_size] */
    float *input, *output;                     /* [in_factor n], [out_factor n] */
    float *bound_output;     /* [pixels, 2 channels]: eps or x_0, and where the variance
                                lies between posterior (-1) and beta (1) */
    float *scratch;          /* [2 n] */
    double *x_0_f64, *x_f64; /* [n] */
    double *times;
    int32_t *labels, *timesteps;
    dm_status *statuses;
    dmi_image_terms *terms;
    /* All images so far. */
    dmi_image_terms all;
    double bits_sum, bits_squares; /* of the images' bits and of their squares */
} dmi_evaluator;

/* images.c: reads the batch's images and begins their terms. */
dm_status dmi_evaluator_read(dmi_evaluator *evaluator);
/* images.c: timesteps, noise and the network's input of the current evaluation. In a task. */
void dmi_evaluator_add_noise(dmi_evaluator *evaluator, int32_t i);
/* The timesteps that the current evaluation represents: *low and as many as returned. */
int32_t dmi_evaluator_stratum(const dmi_evaluator *evaluator, int32_t *low);
/* terms.c: adds the network's output for image i to its terms. In a task. */
void dmi_evaluator_add_terms(dmi_evaluator *evaluator, int32_t i);

#endif
