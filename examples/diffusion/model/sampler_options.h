/* SPDX-License-Identifier: MIT */
/* The options of dm_sampler_options that several commands have. */
#ifndef DIFFUSION_MODEL_SAMPLER_OPTIONS_H
#define DIFFUSION_MODEL_SAMPLER_OPTIONS_H

#include "command/line.h"

/* The options that set *o, which must be initialised. */
option_group sampler_group(dm_sampler_options *o);
/* Refuses options that have no effect. 0, or 1 after printing which. */
int check_sampler_options(const command_line *line, const dm_sampler_options *o);
/* The number of steps that suits a solver, at most `timesteps`. */
int32_t usual_steps(dm_solver solver, int32_t timesteps);

#endif
