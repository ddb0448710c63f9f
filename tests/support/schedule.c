/* See schedule.h. */
#include "support/schedule.h"

#include "support/support.h"

dm_schedule *test_schedule_of(dm_context *context, int32_t kind, int32_t timesteps) {
    dm_schedule_options o;
    dm_schedule *schedule;
    ck_assert_int_eq(dm_schedule_options_init(&o, sizeof o), DM_OK);
    o.kind = kind;
    o.timesteps = timesteps;
    ck_assert_msg(dm_schedule_create(&schedule, context, &o) == DM_OK, "%s",
                  dm_context_error(context));
    return schedule;
}
