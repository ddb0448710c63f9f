/* SPDX-License-Identifier: MIT */
/* The options of dm_sampler_options that several commands have. */
#ifndef DIFFUSION_MODEL_SAMPLER_OPTIONS_H
#define DIFFUSION_MODEL_SAMPLER_OPTIONS_H

#include "command/line.h"

/* The options that set *o, which must be initialised. */
option_group sampler_group(dm_sampler_options *o);
/* Refuses options that have no effect. 0, or 1 after printing which. */
int check_sampler_options(const command_line *line, const dm_sampler_options *o);
/* What draws well with a network, for what the user does not choose: solver, steps, guidance where
 * the network was trained without classes too (`guided`), and DDIM's own steps of a network that
 * was distilled to `distill_steps`; 0: it was not. *o must be initialised. */
void choose_sampler(dm_sampler_options *o, const dm_unet_options *u, int32_t timesteps,
                    int32_t distill_steps, int guided);
/* The number of steps that suits a solver, at most `timesteps`. */
int32_t usual_steps(dm_solver solver, int32_t timesteps);

#endif
