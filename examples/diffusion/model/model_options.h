/* SPDX-License-Identifier: MIT */
/* The options of commands that work with a model: which weights, and on how many threads. */
#ifndef DIFFUSION_MODEL_MODEL_OPTIONS_H
#define DIFFUSION_MODEL_MODEL_OPTIONS_H

#include "command/line.h"
#include "model/model.h"

typedef struct model_options {
    const char *path; /* NULL: the installed model */
    const char *weights;
    int64_t threads;
} model_options;
extern model_options model_values;

/* The options that set model_values, which becomes the defaults. */
option_group model_group(void);
/* The model that the options and the command's first word name. Returns a status or REPORTED. */
int32_t load_chosen_model(model *out, dm_context *context, const command_line *line);
/* Sets the sampler's options, in `values`, to those that suit the model, then those that were
 * given; `steps`, 0 for what suits the solver. 0, or REPORTED. */
int32_t set_sampler_options(const command_line *line, dm_context *context, const model *m,
                            dm_sampler_options *values, int64_t steps);

#endif
