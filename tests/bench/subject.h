/* SPDX-License-Identifier: MIT */
/* The workload that is measured: DDPM's U-Net in a context of its own, with a training step, a
 * forward pass and a DDIM run. On failure, the library's error text is printed and the program
 * exits. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "diffusion.h"

/* One size at which everything is measured. */
typedef struct setting {
    int base;    /* channels of the first level */
    int batch;   /* images in a training step and a forward pass */
    int size;    /* height and width in pixels */
    int threads; /* 0: one for each processor */
    int images;  /* in a DDIM run */
    int bf16;    /* 1: DM_PRECISION_BF16, training included */
} setting;

typedef struct workload {
    setting set;
    dm_context *context;
    dm_unet *unet;
    dm_schedule *schedule;
    dm_trainer *trainer; /* NULL after workload_end_training */
    dm_sampler *sampler; /* created by the first run */
    float *images, *output, *samples;
    double *times;
} workload;

/* Exits after printing the error text if status is not DM_OK. */
void workload_check(dm_status status, const dm_context *context);
/* A context; exits after printing the error text on failure. */
dm_context *workload_context(const dm_context_options *options);

/* With attention as in DDPM, or without any. */
void workload_create(workload *s, const setting *set, bool attention, bool profile);
void workload_step(workload *s);
/* Destroys the trainer, so that the following is measured as in a program that only samples. */
void workload_end_training(workload *s);
void workload_forward(workload *s);
void workload_ddim(workload *s, int steps);
void workload_destroy(workload *s);

/* GFLOP of a forward pass of the whole batch: two operations for each multiplication of direct
 * convolutions and linear layers, without attention's products. */
double workload_forward_gflop(workload *s);

#endif
