/* SPDX-License-Identifier: MIT */
/* What `diffusion sample` is told. */
#ifndef DIFFUSION_SAMPLE_SAMPLE_OPTIONS_H
#define DIFFUSION_SAMPLE_SAMPLE_OPTIONS_H

#include "command/line.h"
#include "model/model_options.h"

enum { RUNS_MAX = 16, CLASSES_MAX = 256 };

typedef enum class_choice {
    CLASSES_IN_TURN,
    CLASSES_IN_ROWS,
    CLASSES_NONE,
    CLASSES_LISTED
} class_choice;

typedef struct sample_options {
    const char *out, *animation, *each, *npz;
    const char *classes, *step_list, *image, *mask, *condition, *vector, *tile, *compute;
    int64_t count, columns, scale, between;
    double vary;
    int profile, no_pictures;
    dm_sampler_options sampler;
    dm_sampler_request request; /* random, seed, strength and repaint_repetitions */
    /* What follows from these. */
    int32_t steps[RUNS_MAX]; /* of each run; 0: the usual number for the solver */
    int32_t runs;            /* each samples `count` images of the same seeds */
    class_choice choice;
    int32_t listed[CLASSES_MAX], listed_count;
    int use_strength, use_vary, use_between;
} sample_options;
extern sample_options sample_values;

option_group *sample_groups(size_t *count);
/* Checks what does not depend on the model. 0, or REPORTED. */
int check_sample_options(const command_line *line, sample_options *o);
/* Reads --class, after the model was loaded. 0, or REPORTED. */
int choose_classes(const command_line *line, sample_options *o, const model *m);
/* Sets the number of images and columns where the command line does not: 16 in a square, or a row
 * for each class or run. */
void choose_grid(sample_options *o, int32_t classes);

#endif
