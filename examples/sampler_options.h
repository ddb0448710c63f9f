/* SPDX-License-Identifier: MIT */
/* The command-line options of dm_sampler_options that several examples have. */
#ifndef EXAMPLES_SAMPLER_OPTIONS_H
#define EXAMPLES_SAMPLER_OPTIONS_H

#include "member_options.h"

/* Fills *m with the options for *o, which must be initialised. One *m in a program. */
void sampler_options_init(member_options *m, dm_sampler_options *o);
/* Refuses options that have no effect. 0, or 1 after printing which. */
int check_sampler_options(const char *program, int argc, const char **argv,
                          const dm_sampler_options *o);
/* The number of steps that suits a solver, at most `timesteps`. */
int32_t usual_steps(dm_solver solver, int32_t timesteps);

#endif
