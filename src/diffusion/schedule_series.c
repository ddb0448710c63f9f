/* SPDX-License-Identifier: MIT */
/* Reading a schedule: its series (Ho et al. 2020), its levels, and adding noise. */
#include <math.h>

#include "diffusion/noising.h"
#include "diffusion/schedule.h"

/* The variance whose logarithm stands for that of 0. */
static const double log_variance_min = 1e-20;

static double alpha_cumprod_before(const dm_schedule *s, int32_t t) {
    return t > 0 ? s->alpha_cumprod[t - 1] : 1;
}

static double beta_at(const dm_schedule *s, int32_t t) { return s->beta[t]; }

static double alpha_at(const dm_schedule *s, int32_t t) { return 1 - s->beta[t]; }

static double alpha_cumprod_at(const dm_schedule *s, int32_t t) { return s->alpha_cumprod[t]; }

static double sqrt_alpha_cumprod_at(const dm_schedule *s, int32_t t) {
    return sqrt(s->alpha_cumprod[t]);
}

static double sqrt_one_minus_alpha_cumprod_at(const dm_schedule *s, int32_t t) {
    return sqrt(1 - s->alpha_cumprod[t]);
}

/* Betas below 1e-16 leave alpha_cumprod at 1: x_t is x_0, and the posterior has no variance. */
static double posterior_variance_at(const dm_schedule *s, int32_t t) {
    double noise = 1 - s->alpha_cumprod[t];
    return noise > 0 ? s->beta[t] * (1 - alpha_cumprod_before(s, t)) / noise : 0;
}

static double posterior_log_variance_at(const dm_schedule *s, int32_t t) {
    double variance = posterior_variance_at(s, t > 0 || s->steps == 1 ? t : 1);
    return log(variance > 0 ? variance : log_variance_min);
}

static double posterior_mean_x0_at(const dm_schedule *s, int32_t t) {
    double noise = 1 - s->alpha_cumprod[t];
    return noise > 0 ? sqrt(alpha_cumprod_before(s, t)) * s->beta[t] / noise : 1;
}

static double posterior_mean_xt_at(const dm_schedule *s, int32_t t) {
    double noise = 1 - s->alpha_cumprod[t];
    return noise > 0 ? sqrt(1 - s->beta[t]) * (1 - alpha_cumprod_before(s, t)) / noise : 0;
}

static double snr_at(const dm_schedule *s, int32_t t) {
    dmi_level level = dmi_schedule_level(s, t);
    return level.signal * level.signal / (level.noise * level.noise);
}

static double sigma_at(const dm_schedule *s, int32_t t) {
    return dmi_level_sigma(dmi_schedule_level(s, t));
}

static double signal_at(const dm_schedule *s, int32_t t) { return dmi_schedule_level(s, t).signal; }
static double noise_at(const dm_schedule *s, int32_t t) { return dmi_schedule_level(s, t).noise; }
static double time_at(const dm_schedule *s, int32_t t) { return dmi_schedule_level(s, t).time; }

static double (*const series_at[])(const dm_schedule *s, int32_t t) = {
    [DM_SERIES_BETA] = beta_at,
    [DM_SERIES_ALPHA] = alpha_at,
    [DM_SERIES_ALPHA_CUMPROD] = alpha_cumprod_at,
    [DM_SERIES_ALPHA_CUMPROD_PREV] = alpha_cumprod_before,
    [DM_SERIES_SQRT_ALPHA_CUMPROD] = sqrt_alpha_cumprod_at,
    [DM_SERIES_SQRT_ONE_MINUS_ALPHA_CUMPROD] = sqrt_one_minus_alpha_cumprod_at,
    [DM_SERIES_POSTERIOR_VARIANCE] = posterior_variance_at,
    [DM_SERIES_POSTERIOR_LOG_VARIANCE] = posterior_log_variance_at,
    [DM_SERIES_POSTERIOR_MEAN_X0] = posterior_mean_x0_at,
    [DM_SERIES_POSTERIOR_MEAN_XT] = posterior_mean_xt_at,
    [DM_SERIES_SNR] = snr_at,
    [DM_SERIES_SIGMA] = sigma_at,
    [DM_SERIES_SIGNAL] = signal_at,
    [DM_SERIES_NOISE] = noise_at,
    [DM_SERIES_TIME] = time_at,
};
enum { SERIES_COUNT = sizeof series_at / sizeof series_at[0] };

double dmi_schedule_value(const dm_schedule *schedule, dm_series series, int32_t t) {
    return series_at[series](schedule, t);
}

static dm_status get_series(const dm_schedule *schedule, dm_series series, double *values,
                            size_t count) {
    dmi_host *host = &schedule->context->host;
    dm_status status = dmi_check_range(host, "schedule", "series", series, 0, SERIES_COUNT - 1);
    if (status) return status;
    if (!values) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'values' is NULL");
    if (count != (size_t)schedule->steps)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "schedule: 'count' is %zu; it must be the number of timesteps, %d", count,
                        (int)schedule->steps);
    for (int32_t t = 0; t < schedule->steps; t++) values[t] = series_at[series](schedule, t);
    return DM_OK;
}

dm_status dm_schedule_get_series(const dm_schedule *schedule, dm_series series, double *values,
                                 size_t count) {
    if (!schedule) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(schedule->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(schedule->context, get_series(schedule, series, values, count));
}

static dm_status get_level(const dm_schedule *schedule, double timestep, double *signal,
                           double *noise, double *time) {
    if (!(timestep >= 0 && timestep <= schedule->steps - 1))
        return dmi_fail(&schedule->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'timestep' is %g; it must be from 0 to %d", timestep,
                        (int)schedule->steps - 1);
    dmi_level level = dmi_schedule_level(schedule, timestep);
    if (signal) *signal = level.signal;
    if (noise) *noise = level.noise;
    if (time) *time = level.time;
    return DM_OK;
}

dm_status dm_schedule_get_level(const dm_schedule *schedule, double timestep, double *signal,
                                double *noise, double *time) {
    if (!schedule) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(schedule->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(schedule->context, get_level(schedule, timestep, signal, noise, time));
}

static dm_status check_add_noise(const dm_schedule *schedule, const int32_t *timesteps,
                                 size_t count, size_t elements) {
    dmi_host *host = &schedule->context->host;
    size_t total;
    if (!dmi_mul(count, elements, &total) || !dmi_mul(total, sizeof(float), &total))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: add_noise: %zu images of %zu floats are too many", count,
                        elements);
    for (size_t i = 0; i < count; i++)
        if (timesteps[i] < 0 || timesteps[i] >= schedule->steps)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "schedule: add_noise: timestep %zu is %d; it must be from 0 to %d", i,
                            (int)timesteps[i], (int)schedule->steps - 1);
    return DM_OK;
}

static dm_status add_noise(const dm_schedule *schedule, float *x_t, const float *x_0,
                           const float *noise, const int32_t *timesteps, size_t count,
                           size_t elements) {
    const dm_context *context = schedule->context;
    if (!x_t || !x_0 || !noise || !timesteps)
        return dmi_fail(&schedule->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: add_noise: '%s' is NULL",
                        !x_t     ? "x_t"
                        : !x_0   ? "x_0"
                        : !noise ? "noise"
                                 : "timesteps");
    dm_status status = check_add_noise(schedule, timesteps, count, elements);
    if (status) return status;
    for (size_t i = 0; i < count; i++) {
        dmi_level level = dmi_schedule_level(schedule, timesteps[i]);
        size_t at = i * elements;
        dmi_combine_with_noise(context->kernels, x_t + at, level.signal, x_0 + at, level.noise,
                               noise + at, elements);
    }
    return DM_OK;
}

dm_status dm_schedule_add_noise(const dm_schedule *schedule, float *x_t, const float *x_0,
                                const float *noise, const int32_t *timesteps, size_t count,
                                size_t elements) {
    if (!schedule) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(schedule->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(schedule->context,
                     add_noise(schedule, x_t, x_0, noise, timesteps, count, elements));
}
