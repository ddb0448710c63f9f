/* SPDX-License-Identifier: MIT */
/* The command line of train_cifar10: the run, and every option of the network, the schedule and the
 * trainer. */
#ifndef EXAMPLES_TRAIN_OPTIONS_H
#define EXAMPLES_TRAIN_OPTIONS_H

#include <diffusion.h>

typedef struct train_options {
    char *data, *out, *resume;
    char *distill;       /* the teacher's file, or NULL */
    const char *program; /* argv[0] */
    dm_unet_options unet;
    dm_schedule_options schedule;
    dm_trainer_options trainer;
    uint64_t steps; /* in total; 0: as `epochs` says */
    double epochs;
    uint64_t sample_every, save_every; /* steps; 0: only at the end */
    int32_t samples, sample_steps;     /* of a grid; sample_steps 0: the usual number */
    int32_t size;                      /* of built-in images; 0: the network's default */
    int32_t labels;                    /* 1: the network has the dataset's classes */
    int32_t profile;                   /* 1: print at the end where the time of a step went */
} train_options;

/* Reads and checks the command line and creates the context. 0, or 1 after printing what is
 * wrong. */
int read_train_options(train_options *o, dm_context **context, int argc, const char **argv);

#endif
