/* What is read of a schedule: its series (Ho et al. 2020), and pictures with noise added. */
#include <math.h>

#include "diffusion/schedule.h"

/* What stands for a variance of 0 where a logarithm is asked for. */
static const double variance_least = 1e-20;

int32_t dm_schedule_steps(const dm_schedule *schedule) { return schedule ? schedule->steps : 0; }

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

/* Betas below 1e-16 leave alpha_cumprod at 1; then x_t is x_0 already, and the posterior is that
 * one point. */
static double posterior_variance_at(const dm_schedule *s, int32_t t) {
    double noise = 1 - s->alpha_cumprod[t];
    return noise > 0 ? s->beta[t] * (1 - alpha_cumprod_before(s, t)) / noise : 0;
}

static double posterior_log_variance_at(const dm_schedule *s, int32_t t) {
    double variance = posterior_variance_at(s, t > 0 || s->steps == 1 ? t : 1);
    return log(variance > 0 ? variance : variance_least);
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

double dmi_schedule_value(const dm_schedule *schedule, int32_t series, int32_t t) {
    return series_at[series](schedule, t);
}

int32_t dm_schedule_get(const dm_schedule *schedule, int32_t series, double *values, size_t count) {
    if (!schedule) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &schedule->context->host;
    if (series < 0 || series >= SERIES_COUNT)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'series' is %d; it must be 0 to %d", (int)series,
                        (int)SERIES_COUNT - 1);
    if (!values) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'values' is NULL");
    if (count != (size_t)schedule->steps)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "schedule: 'count' is %zu; it must be the number of timesteps, %d", count,
                        (int)schedule->steps);
    for (int32_t t = 0; t < schedule->steps; t++) values[t] = series_at[series](schedule, t);
    return DM_OK;
}

/* On the calling thread alone: a schedule may be shared between threads, while the context's pool
 * may not. */
int32_t dm_schedule_add_noise(const dm_schedule *schedule, float *x_t, const float *x_start,
                              const float *noise, const int32_t *timesteps, size_t count,
                              size_t elements) {
    if (!schedule) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &schedule->context->host;
    if (!x_t || !x_start || !noise || !timesteps)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: add_noise: '%s' is NULL",
                        !x_t       ? "x_t"
                        : !x_start ? "x_start"
                        : !noise   ? "noise"
                                   : "timesteps");
    size_t total;
    if (!dmi_mul(count, elements, &total) || !dmi_mul(total, sizeof(float), &total))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: add_noise: %zu pictures of %zu floats are too many", count,
                        elements);
    for (size_t i = 0; i < count; i++)
        if (timesteps[i] < 0 || timesteps[i] >= schedule->steps)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "schedule: add_noise: timestep %zu is %d; it must be 0 to %d", i,
                            (int)timesteps[i], (int)schedule->steps - 1);
    for (size_t i = 0; i < count; i++) {
        dmi_level level = dmi_schedule_level(schedule, timesteps[i]);
        size_t at = i * elements;
        schedule->context->kernels->combine(x_t + at, (float)level.signal, x_start + at,
                                            (float)level.noise, noise + at, elements);
    }
    return DM_OK;
}
