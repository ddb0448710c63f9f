/* Which of the schedule's timesteps a sampler visits. Integers throughout, so that no rounding
 * error decides a tie. */
#include "sample/spacing.h"

/* n / d rounded to the nearest integer, half to even. */
static int32_t divide_round(int64_t n, int64_t d) {
    int64_t quotient = n / d, twice = 2 * (n % d);
    return (int32_t)(quotient + (twice > d || (twice == d && quotient % 2 == 1)));
}

static int32_t leading(dmi_host *host, const dm_sampler_options *o, int32_t total,
                       int32_t *timesteps) {
    int32_t ratio = total / o->steps, most = total - 1 - (o->steps - 1) * ratio;
    if (o->steps_offset < 0 || o->steps_offset > most)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'steps_offset' is %d; it must be 0 to %d, since %d leading "
                        "timesteps of %d begin at %d",
                        (int)o->steps_offset, (int)most, (int)o->steps, (int)total,
                        (int)((o->steps - 1) * ratio));
    for (int32_t i = 0; i < o->steps; i++)
        timesteps[i] = (o->steps - 1 - i) * ratio + o->steps_offset;
    return DM_OK;
}

static int32_t trailing(dmi_host *host, const dm_sampler_options *o, int32_t total,
                        int32_t *timesteps) {
    (void)host;
    for (int32_t i = 0; i < o->steps; i++)
        timesteps[i] = divide_round((int64_t)total * (o->steps - i), o->steps) - 1;
    return DM_OK;
}

static int32_t linspace(dmi_host *host, const dm_sampler_options *o, int32_t total,
                        int32_t *timesteps) {
    (void)host;
    timesteps[o->steps - 1] = 0;
    for (int32_t i = 0; i < o->steps - 1; i++)
        timesteps[i] = divide_round((int64_t)(total - 1) * (o->steps - 1 - i), o->steps - 1);
    return DM_OK;
}

static int32_t custom(dmi_host *host, const dm_sampler_options *o, int32_t total,
                      int32_t *timesteps) {
    if (!o->timesteps)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'timesteps' is NULL; custom spacing needs %d of them",
                        (int)o->steps);
    for (int32_t i = 0; i < o->steps; i++) {
        int32_t t = o->timesteps[i];
        if (t < 0 || t >= total)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "sampler: timestep %d of the list is %d; it must be 0 to %d", (int)i,
                            (int)t, (int)total - 1);
        if (i > 0 && t >= o->timesteps[i - 1])
            return dmi_fail(
                host, DM_ERROR_INVALID_ARGUMENT,
                "sampler: timestep %d of the list is %d, after %d; the list must fall strictly",
                (int)i, (int)t, (int)o->timesteps[i - 1]);
        timesteps[i] = t;
    }
    return DM_OK;
}

static int32_t (*const spacings[])(dmi_host *, const dm_sampler_options *, int32_t, int32_t *) = {
    [DM_SPACING_LEADING] = leading,
    [DM_SPACING_TRAILING] = trailing,
    [DM_SPACING_LINSPACE] = linspace,
    [DM_SPACING_CUSTOM] = custom,
};
enum { SPACING_COUNT = sizeof spacings / sizeof spacings[0] };

int32_t dmi_spacing(dmi_host *host, const dm_sampler_options *o, int32_t total,
                    int32_t *timesteps) {
    if (o->spacing < 0 || o->spacing >= SPACING_COUNT)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'spacing' is %d; it must be 0 to %d", (int)o->spacing,
                        (int)SPACING_COUNT - 1);
    if (o->steps_offset != 0 && o->spacing != DM_SPACING_LEADING)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'steps_offset' is %d; only leading spacing has one",
                        (int)o->steps_offset);
    if (o->timesteps && o->spacing != DM_SPACING_CUSTOM)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'timesteps' are given, but 'spacing' is %d; set it to 3 (custom)",
                        (int)o->spacing);
    return spacings[o->spacing](host, o, total, timesteps);
}
