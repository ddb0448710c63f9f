/* The command line of train_cifar10: every option of the network, the schedule and the trainer. */
#ifndef EXAMPLES_TRAIN_OPTIONS_H
#define EXAMPLES_TRAIN_OPTIONS_H

#include <diffusion.h>

typedef struct train_options {
    char *data, *out, *resume;
    const char *program; /* as it was called */
    dm_unet_options unet;
    dm_schedule_options schedule;
    dm_trainer_options trainer;
    uint64_t steps; /* in all; 0 where epochs says */
    double epochs;
    uint64_t sample_every, save_every; /* steps; 0: only at the end */
    int32_t samples, sample_steps;     /* of a grid; sample_steps 0: the usual number */
    int32_t size;                      /* of built-in pictures; 0: the usual one */
    int32_t threads;
    int32_t labels;        /* 1: the network gets the dataset's classes */
    uint64_t memory_limit; /* bytes */
    int32_t profile;       /* 1: tell at the end where the time of a step went */
} train_options;

/* 0 where the program shall go on. */
int read_train_options(train_options *o, int argc, const char **argv);

#endif
