/* The schedules of tests. */
#ifndef DM_TESTS_SCHEDULE_H
#define DM_TESTS_SCHEDULE_H

#include "diffusion.h"

/* The defaults, but for these; fails the test where it cannot be made. */
dm_schedule *test_schedule_of(dm_context *context, int32_t kind, int32_t timesteps);

#endif
