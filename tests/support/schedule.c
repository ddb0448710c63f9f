/* SPDX-License-Identifier: MIT */
/* See schedule.h. */
#include "support/schedule.h"

#include "support/support.h"

dm_status linear_schedule(dm_schedule **out, dm_context *context) {
    dm_schedule_options o;
    dm_status status = dm_schedule_options_init(&o, sizeof o);
    o.kind = DM_SCHEDULE_LINEAR;
    return status ? status : dm_schedule_create(out, context, &o);
}

dm_schedule *test_schedule(dm_context *context, int32_t kind, int32_t timesteps) {
    dm_schedule_options o;
    dm_schedule *schedule;
    ck_assert_int_eq(dm_schedule_options_init(&o, sizeof o), DM_OK);
    o.kind = kind;
    o.timesteps = timesteps;
    ck_assert_msg(dm_schedule_create(&schedule, context, &o) == DM_OK, "%s",
                  dm_context_error(context));
    return schedule;
}
