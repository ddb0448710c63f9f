/* The forward process: betas, their running product, and the series that follow from the two (Ho et al. 2020;
 * Nichol and Dhariwal 2021). Everything is computed and kept in double. */
#include "schedule.h"

#include <math.h>
#include <string.h>

static const double cosine_offset = 0.008, cosine_beta_most = 0.999;
/* What stands for a variance of 0 where a logarithm is asked for. */
static const double variance_least = 1e-20;
static const double pi = 3.14159265358979323846;

static const dm_schedule_options defaults = {
    .struct_size = sizeof(dm_schedule_options),
    .kind = DM_SCHEDULE_LINEAR,
    .timesteps = 1000,
    .beta_start = 1e-4,
    .beta_end = 0.02,
};

int32_t dm_schedule_options_init(dm_schedule_options *options, size_t size) {
    return dmi_options_write(NULL, options, size, &defaults, sizeof defaults, "dm_schedule_options");
}

/* ---- making ---- */

static int32_t schedule_new(dm_schedule **out, dm_context *context, const dm_schedule_options *options) {
    dmi_host *host = &context->host;
    dm_schedule *schedule;
    int32_t status = dmi_alloc_zero(host, (void **)&schedule, 1, sizeof *schedule, "schedule");
    if (status) return status;
    schedule->context = context;
    schedule->options = *options;
    schedule->steps = options->timesteps;
    status = dmi_alloc_array(host, (void **)&schedule->beta, (size_t)schedule->steps, sizeof(double), "schedule: beta");
    if (!status)
        status = dmi_alloc_array(host, (void **)&schedule->alpha_cumprod, (size_t)schedule->steps, sizeof(double),
                                 "schedule: alpha_cumprod");
    if (status) {
        dm_schedule_destroy(schedule);
        return status;
    }
    *out = schedule;
    return DM_OK;
}

static void accumulate(dm_schedule *schedule) {
    double product = 1;
    for (int32_t t = 0; t < schedule->steps; t++) {
        product *= 1 - schedule->beta[t];
        schedule->alpha_cumprod[t] = product;
    }
}

static void linear_betas(double *beta, const dm_schedule_options *o) {
    beta[0] = o->beta_start;
    for (int32_t t = 1; t < o->timesteps; t++)
        beta[t] = o->beta_start + (o->beta_end - o->beta_start) * t / (o->timesteps - 1);
}

/* Nichol and Dhariwal 2021, eq. 17. */
static double cosine_signal(double u) {
    double c = cos((u + cosine_offset) / (1 + cosine_offset) * pi / 2);
    return c * c;
}

static void cosine_betas(double *beta, const dm_schedule_options *o) {
    double steps = o->timesteps;
    for (int32_t t = 0; t < o->timesteps; t++) {
        double b = 1 - cosine_signal((t + 1) / steps) / cosine_signal(t / steps);
        beta[t] = b < cosine_beta_most ? b : cosine_beta_most;
    }
}

/* Written so that what is not a number fails too. */
static bool inside_unit(double x) {
    return x > 0 && x < 1;
}

static int32_t check_options(dmi_host *host, const dm_schedule_options *o) {
    if (o->kind != DM_SCHEDULE_LINEAR && o->kind != DM_SCHEDULE_COSINE)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'kind' is %d; it must be 0 (linear) or 1 (cosine)",
                        (int)o->kind);
    if (o->timesteps < 1 || o->timesteps > DMI_SCHEDULE_STEPS_MOST)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'timesteps' is %d; it must be 1 to %d",
                        (int)o->timesteps, (int)DMI_SCHEDULE_STEPS_MOST);
    if (o->reserved != 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'reserved' is %d; it must be 0", (int)o->reserved);
    if (o->kind == DM_SCHEDULE_COSINE) return DM_OK;
    if (!inside_unit(o->beta_start))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'beta_start' is %g; it must be above 0 and below 1",
                        o->beta_start);
    if (!inside_unit(o->beta_end))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'beta_end' is %g; it must be above 0 and below 1",
                        o->beta_end);
    return DM_OK;
}

int32_t dm_schedule_create(dm_schedule **out, dm_context *context, const dm_schedule_options *options) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (!out) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'out' is NULL");
    dm_schedule_options full = defaults;
    int32_t status = dmi_options_read(host, &full, sizeof full, options, "dm_schedule_options");
    if (!status) status = check_options(host, &full);
    dm_schedule *schedule;
    if (!status) status = schedule_new(&schedule, context, &full);
    if (status) return status;
    if (full.kind == DM_SCHEDULE_LINEAR) linear_betas(schedule->beta, &full);
    else cosine_betas(schedule->beta, &full);
    accumulate(schedule);
    *out = schedule;
    return DM_OK;
}

int32_t dm_schedule_create_from_betas(dm_schedule **out, dm_context *context, const double *betas, size_t count) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (!out) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'out' is NULL");
    if (!betas) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'betas' is NULL");
    if (count < 1 || count > DMI_SCHEDULE_STEPS_MOST)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: the count of betas is %zu; it must be 1 to %d", count,
                        (int)DMI_SCHEDULE_STEPS_MOST);
    for (size_t t = 0; t < count; t++)
        if (!inside_unit(betas[t]))
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: beta %zu is %g; it must be above 0 and below 1", t,
                            betas[t]);
    dm_schedule_options options = {
        .struct_size = sizeof options, .kind = DMI_SCHEDULE_CUSTOM, .timesteps = (int32_t)count};
    dm_schedule *schedule;
    int32_t status = schedule_new(&schedule, context, &options);
    if (status) return status;
    memcpy(schedule->beta, betas, count * sizeof *betas);
    accumulate(schedule);
    *out = schedule;
    return DM_OK;
}

int32_t dmi_schedule_copy(dm_schedule **out, dm_context *context, const dm_schedule *schedule) {
    *out = NULL;
    dm_schedule *copy;
    int32_t status = schedule_new(&copy, context, &schedule->options);
    if (status) return status;
    memcpy(copy->beta, schedule->beta, (size_t)schedule->steps * sizeof(double));
    memcpy(copy->alpha_cumprod, schedule->alpha_cumprod, (size_t)schedule->steps * sizeof(double));
    *out = copy;
    return DM_OK;
}

void dm_schedule_destroy(dm_schedule *schedule) {
    if (!schedule) return;
    dmi_host *host = &schedule->context->host;
    dmi_free(host, schedule->beta);
    dmi_free(host, schedule->alpha_cumprod);
    dmi_free(host, schedule);
}

/* ---- reading ---- */

int32_t dm_schedule_steps(const dm_schedule *schedule) {
    return schedule ? schedule->steps : 0;
}

static double alpha_cumprod_before(const dm_schedule *s, int32_t t) {
    return t > 0 ? s->alpha_cumprod[t - 1] : 1;
}

static double beta_at(const dm_schedule *s, int32_t t) {
    return s->beta[t];
}

static double alpha_at(const dm_schedule *s, int32_t t) {
    return 1 - s->beta[t];
}

static double alpha_cumprod_at(const dm_schedule *s, int32_t t) {
    return s->alpha_cumprod[t];
}

static double sqrt_alpha_cumprod_at(const dm_schedule *s, int32_t t) {
    return sqrt(s->alpha_cumprod[t]);
}

static double sqrt_one_minus_alpha_cumprod_at(const dm_schedule *s, int32_t t) {
    return sqrt(1 - s->alpha_cumprod[t]);
}

/* Betas below 1e-16 leave alpha_cumprod at 1; then x_t is x_0 already, and the posterior is that one point. */
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
    return s->alpha_cumprod[t] / (1 - s->alpha_cumprod[t]);
}

static double sigma_at(const dm_schedule *s, int32_t t) {
    return sqrt((1 - s->alpha_cumprod[t]) / s->alpha_cumprod[t]);
}

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
};
enum { SERIES_COUNT = sizeof series_at / sizeof series_at[0] };

int32_t dm_schedule_get(const dm_schedule *schedule, int32_t series, double *values, size_t count) {
    if (!schedule) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &schedule->context->host;
    if (series < 0 || series >= SERIES_COUNT)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'series' is %d; it must be 0 to %d", (int)series,
                        (int)SERIES_COUNT - 1);
    if (!values) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'values' is NULL");
    if (count != (size_t)schedule->steps)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH, "schedule: 'count' is %zu; it must be the number of timesteps, %d",
                        count, (int)schedule->steps);
    for (int32_t t = 0; t < schedule->steps; t++) values[t] = series_at[series](schedule, t);
    return DM_OK;
}

/* On the calling thread alone: a schedule may be shared between threads, while the context's pool may not. */
int32_t dm_schedule_add_noise(const dm_schedule *schedule, float *x_t, const float *x_start, const float *noise,
                              const int32_t *timesteps, size_t count, size_t elements) {
    if (!schedule) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &schedule->context->host;
    if (!x_t || !x_start || !noise || !timesteps)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: add_noise: '%s' is NULL",
                        !x_t ? "x_t" : !x_start ? "x_start" : !noise ? "noise" : "timesteps");
    size_t total;
    if (!dmi_mul(count, elements, &total) || !dmi_mul(total, sizeof(float), &total))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: add_noise: %zu pictures of %zu floats are too many",
                        count, elements);
    for (size_t i = 0; i < count; i++)
        if (timesteps[i] < 0 || timesteps[i] >= schedule->steps)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: add_noise: timestep %zu is %d; it must be 0 to %d",
                            i, (int)timesteps[i], (int)schedule->steps - 1);
    for (size_t i = 0; i < count; i++) {
        float signal = (float)sqrt_alpha_cumprod_at(schedule, timesteps[i]);
        float share = (float)sqrt_one_minus_alpha_cumprod_at(schedule, timesteps[i]);
        size_t at = i * elements;
        schedule->context->kernels->combine(x_t + at, signal, x_start + at, share, noise + at, elements);
    }
    return DM_OK;
}
