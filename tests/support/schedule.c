/* See schedule.h. */
#include "support/schedule.h"

dm_status linear_schedule(dm_schedule **out, dm_context *context) {
    dm_schedule_options o;
    dm_status status = dm_schedule_options_init(&o, sizeof o);
    o.kind = DM_SCHEDULE_LINEAR;
    return status ? status : dm_schedule_create(out, context, &o);
}
