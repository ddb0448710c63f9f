/* Which of the schedule's timesteps a sampler visits. */
#ifndef DM_SRC_SPACING_H
#define DM_SRC_SPACING_H

#include "core/context.h"

/* Fills timesteps [options->steps] for T = total timesteps, the noisiest first, strictly falling.
 * Checks 'steps', 'spacing', 'steps_offset' and 'timesteps'; the caller has checked that steps is 1
 * to total. */
int32_t dmi_spacing(dmi_host *host, const dm_sampler_options *options, int32_t total,
                    int32_t *timesteps);

#endif
