/* What is measured of ours: DDPM's U-Net in a context of its own, with a training step, a forward
 * pass and a DDIM run as calls. Failures end the program, with the library's text on stderr. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "diffusion.h"

/* One size at which everything is measured. */
typedef struct setting {
    int base;     /* width of the first level */
    int batch;    /* pictures in a training step and a forward pass */
    int size;     /* pixels each way */
    int threads;  /* 0: one for each processor */
    int pictures; /* in a DDIM run */
} setting;

typedef struct subject {
    setting set;
    dm_context *context;
    dm_unet *unet;
    dm_schedule *schedule;
    dm_trainer *trainer; /* NULL again after subject_end_training */
    dm_sampler *sampler; /* made by the first run */
    float *images, *answer, *timesteps, *samples;
} subject;

/* Ends the program where status is not DM_OK. */
void subject_check(int32_t status, const dm_context *context);

/* Attention is as in DDPM, or left out altogether. */
void subject_create(subject *s, const setting *set, bool attention, bool profile);
void subject_step(subject *s);
/* Frees the trainer, so that what follows is measured as in a program that only samples. */
void subject_end_training(subject *s);
void subject_forward(subject *s);
void subject_ddim(subject *s, int steps);
void subject_destroy(subject *s);

/* Two for each multiplication of a convolution or linear layer computed directly, attention's
 * products not counted: what a forward pass of the whole batch takes, in GFLOP. */
double subject_forward_gflop(subject *s);

#endif
