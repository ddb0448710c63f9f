/* SPDX-License-Identifier: MIT */
/* Which of the schedule's timesteps are visited. */
#include "diffusion/spacing.h"

#include "sample/sampler.h"

/* dropped: of the timesteps that are spaced, those at the end that are not visited. */
static dm_status leading(dmi_host *host, const dm_sampler_options *o, int32_t total,
                         int32_t dropped, double *timesteps) {
    int32_t ratio = total / (o->steps + dropped), first = (o->steps - 1 + dropped) * ratio;
    int32_t max = total - 1 - first;
    if (o->steps_offset > max)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'steps_offset' is %d; it must be from 0 to %d, since %d leading "
                        "timesteps of %d begin at %d",
                        (int)o->steps_offset, (int)max, (int)o->steps, (int)total, (int)first);
    for (int32_t i = 0; i < o->steps; i++) timesteps[i] = first - i * ratio + o->steps_offset;
    return DM_OK;
}

static void trailing(const dm_sampler_options *o, int32_t total, double *timesteps) {
    for (int32_t i = 0; i < o->steps; i++) timesteps[i] = dmi_trailing_timestep(total, o->steps, i);
}

static void linspace(const dm_sampler_options *o, int32_t total, int32_t dropped,
                     double *timesteps) {
    int32_t last = o->steps - 1 + dropped;
    for (int32_t i = 0; i < o->steps; i++)
        timesteps[i] = last ? dmi_divide_round((int64_t)(total - 1) * (last - i), last) : 0;
}

dm_status dmi_space_timesteps(dmi_host *host, const dm_sampler_options *o, int32_t total,
                              double *timesteps) {
    bool inner = o->spacing == DM_SPACING_LEADING_INNER || o->spacing == DM_SPACING_LINSPACE_INNER;
    bool leads = o->spacing == DM_SPACING_LEADING || o->spacing == DM_SPACING_LEADING_INNER;
    if (o->steps_offset != 0 && !leads)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'steps_offset' %d cannot be combined with 'spacing' %d (%s): "
                        "only leading spacing has an offset",
                        (int)o->steps_offset, (int)o->spacing,
                        dm_enum_name("dm_spacing", o->spacing));
    if (inner && o->steps >= total)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'steps' is %d; with 'spacing' %d (%s) it must be below the "
                        "schedule's %d timesteps",
                        (int)o->steps, (int)o->spacing, dm_enum_name("dm_spacing", o->spacing),
                        (int)total);
    if (leads) return leading(host, o, total, inner, timesteps);
    if (o->spacing == DM_SPACING_TRAILING) trailing(o, total, timesteps);
    else linspace(o, total, inner, timesteps);
    return DM_OK;
}
