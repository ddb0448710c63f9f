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
} setting;

typedef struct subject {
    setting set;
    dm_context *context;
    dm_unet *unet;
    dm_schedule *schedule;
    dm_trainer *trainer; /* NULL after subject_end_training */
    dm_sampler *sampler; /* created by the first run */
    float *images, *output, *samples;
    double *times;
} subject;

/* Exits after printing the error text if status is not DM_OK. */
void subject_check(dm_status status, const dm_context *context);
/* A context; exits after printing the error text on failure. */
dm_context *subject_context(const dm_context_options *options);

/* With attention as in DDPM, or without any. */
void subject_create(subject *s, const setting *set, bool attention, bool profile);
void subject_step(subject *s);
/* Destroys the trainer, so that the following is measured as in a program that only samples. */
void subject_end_training(subject *s);
void subject_forward(subject *s);
void subject_ddim(subject *s, int steps);
void subject_destroy(subject *s);

/* GFLOP of a forward pass of the whole batch: two operations for each multiplication of direct
 * convolutions and linear layers, without attention's products. */
double subject_forward_gflop(subject *s);

#endif
