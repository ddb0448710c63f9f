/* SPDX-License-Identifier: MIT */
/* Schedules in one line. */
#ifndef DM_TESTS_SCHEDULE_H
#define DM_TESTS_SCHEDULE_H

#include "diffusion.h"

/* The linear schedule of Ho et al. (2020) with 1000 timesteps. */
dm_status linear_schedule(dm_schedule **out, dm_context *context);

/* One of that kind, with defaults but for the number of timesteps; failure fails the test. */
dm_schedule *test_schedule(dm_context *context, int32_t kind, int32_t timesteps);

#endif
