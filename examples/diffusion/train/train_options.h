/* SPDX-License-Identifier: MIT */
/* What a training run is told on the command line: the run, the pictures, and every option of the
 * network, the schedule and the trainer. */
#ifndef DIFFUSION_TRAIN_TRAIN_OPTIONS_H
#define DIFFUSION_TRAIN_TRAIN_OPTIONS_H

#include "command/line.h"
#include "data/data_options.h"

typedef struct train_options {
    const char *out;
    const char *resume;  /* the folder of a run, or its checkpoint; NULL for a new run */
    const char *init;    /* file to fine-tune, or NULL */
    const char *teacher; /* of `diffusion distill`: its file, or NULL */
    const char *preset;  /* NULL: by the size of the pictures */
    const char *precision;
    dm_unet_options unet;
    dm_schedule_options schedule;
    dm_trainer_options trainer;
    int64_t steps; /* in total; 0: as `epochs` says */
    double epochs;
    int64_t sample_every, save_every, evaluate_every; /* steps; 0: only at the end, or never */
    double save_minutes;                              /* between checkpoints; 0: any */
    int64_t samples, sample_steps;                    /* of a grid; sample_steps 0: the usual */
    int64_t evaluate_count;                           /* images of an evaluation */
    int64_t threads, memory_mb;
    int force, no_labels, profile, tensorboard, no_pictures;
} train_options;

/* The groups of `diffusion train` and `diffusion distill`, which set *o. */
option_group *train_groups(size_t *count);
option_group *distill_groups(size_t *count);
extern train_options train_values;

/* Checks what does not depend on the data, and creates the context. 0, or REPORTED. */
int check_train_options(const command_line *line, train_options *o, dm_context **context);

#endif
