/* SPDX-License-Identifier: MIT */
/* A schedule's creation, options and end. */
#include "diffusion/schedule.h"

#include <string.h>

#include "core/enums.h"

dm_status dm_schedule_options_init(dm_schedule_options *options, size_t size) {
    return dmi_struct_init(&dmi_struct_schedule_options, options, size);
}

bool dmi_schedule_kind_has_betas(dm_schedule_kind kind) {
    return kind != DM_SCHEDULE_FLOW && kind != DM_SCHEDULE_EDM;
}

bool dmi_schedule_has_betas(const dm_schedule *schedule) {
    return dmi_schedule_kind_has_betas(schedule->options.kind);
}

/* With all timesteps, beta gives the better images (FID 3.2 on CIFAR-10, 4.7 with the posterior's
 * variance); with fewer it leaves noise in them (10.0 and 5.8 with 100 steps, 133 and 18 with 20):
 * Song, Meng and Ermon 2021, table 1. A learned variance is made for few steps and many (Nichol and
 * Dhariwal 2021, sec. 4). */
dm_variance dmi_schedule_default_variance(const dm_schedule *schedule, bool learned_variance,
                                          int32_t steps) {
    if (learned_variance) return DM_VARIANCE_LEARNED;
    return steps == schedule->steps ? DM_VARIANCE_FIXED_LARGE : DM_VARIANCE_FIXED_SMALL;
}

const char *dmi_schedule_name(const dm_schedule *schedule) {
    return dmi_enum_text("dm_schedule_kind", schedule->options.kind);
}

/* ---- for callers that have entered the context ---- */

void dmi_schedule_free(dm_schedule *schedule) {
    if (!schedule) return;
    dmi_host *host = &schedule->context->host;
    dmi_free(host, schedule->beta);
    dmi_free(host, schedule->alpha_cumprod);
    dmi_free(host, schedule);
}

static dm_status schedule_new(dm_schedule **out, dm_context *context,
                              const dm_schedule_options *options) {
    dmi_host *host = &context->host;
    dm_schedule *schedule;
    *out = NULL;
    dm_status status = dmi_alloc_zero(host, &schedule, 1, sizeof *schedule, "schedule");
    if (status) return status;
    schedule->context = context;
    schedule->options = *options;
    schedule->steps = options->timesteps;
    status = dmi_alloc_array(host, &schedule->beta, (size_t)schedule->steps, sizeof(double),
                             "schedule: beta");
    if (!status)
        status = dmi_alloc_array(host, &schedule->alpha_cumprod, (size_t)schedule->steps,
                                 sizeof(double), "schedule: alpha_cumprod");
    if (status) {
        dmi_schedule_free(schedule);
        return status;
    }
    *out = schedule;
    return DM_OK;
}

dm_status dmi_schedule_create(dm_schedule **out, dm_context *context,
                              const dm_schedule_options *options) {
    dm_schedule *schedule = NULL;
    *out = NULL;
    dm_status status = dmi_schedule_check_options(&context->host, options);
    if (!status) status = schedule_new(&schedule, context, options);
    if (!status) status = dmi_schedule_fill(schedule);
    if (status) {
        dmi_schedule_free(schedule);
        return status;
    }
    *out = schedule;
    return DM_OK;
}

static dm_status check_betas(dmi_host *host, const double *betas, size_t count,
                             bool float32_tables) {
    if (!betas) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'betas' is NULL");
    if (count < 1 || count > DMI_TIMESTEPS_MAX)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: the number of betas is %zu; it must be from 1 to %d", count,
                        (int)DMI_TIMESTEPS_MAX);
    for (size_t t = 0; t < count; t++)
        if (!dmi_schedule_is_beta(betas[t], float32_tables))
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "schedule: beta %zu is %g; it must be above 0 and below 1", t,
                            betas[t]);
    return DM_OK;
}

dm_status dmi_schedule_create_from_betas(dm_schedule **out, dm_context *context,
                                         const double *betas, size_t count, bool float32_tables) {
    *out = NULL;
    dm_status status = check_betas(&context->host, betas, count, float32_tables);
    if (status) return status;
    dm_schedule_options options;
    dmi_struct_defaults(&dmi_struct_schedule_options, &options);
    options.kind = DM_SCHEDULE_CUSTOM;
    options.timesteps = (int32_t)count;
    options.float32_tables = float32_tables;
    dm_schedule *schedule;
    status = schedule_new(&schedule, context, &options);
    if (status) return status;
    for (size_t t = 0; t < count; t++)
        schedule->beta[t] = float32_tables ? (double)(float)betas[t] : betas[t];
    dmi_schedule_accumulate(schedule);
    *out = schedule;
    return DM_OK;
}

dm_status dmi_schedule_copy(dm_schedule **out, dm_context *context, const dm_schedule *schedule) {
    dm_schedule *copy;
    *out = NULL;
    dm_status status = schedule_new(&copy, context, &schedule->options);
    if (status) return status;
    memcpy(copy->beta, schedule->beta, (size_t)schedule->steps * sizeof(double));
    memcpy(copy->alpha_cumprod, schedule->alpha_cumprod, (size_t)schedule->steps * sizeof(double));
    *out = copy;
    return DM_OK;
}

/* ---- public ---- */

static dm_status create(dm_schedule **out, dm_context *context,
                        const dm_schedule_options *options) {
    dm_schedule_options full;
    if (!out) return dmi_fail(&context->host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'out' is NULL");
    dm_status status =
        dmi_struct_read_checked(&context->host, &dmi_struct_schedule_options, &full, options);
    return status ? status : dmi_schedule_create(out, context, &full);
}

dm_status dm_schedule_create(dm_schedule **out, dm_context *context,
                             const dm_schedule_options *options) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, create(out, context, options));
}

dm_status dm_schedule_create_from_betas(dm_schedule **out, dm_context *context, const double *betas,
                                        size_t count) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    dm_status status =
        out ? dmi_schedule_create_from_betas(out, context, betas, count, false)
            : dmi_fail(&context->host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'out' is NULL");
    return dmi_leave(context, status);
}

dm_context *dm_schedule_context(const dm_schedule *schedule) {
    return schedule ? schedule->context : NULL;
}

dm_status dm_schedule_get_options(const dm_schedule *schedule, dm_schedule_options *options,
                                  size_t size) {
    if (!schedule) return DM_ERROR_INVALID_ARGUMENT;
    dm_context *context = schedule->context;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, dmi_struct_write(&context->host, &dmi_struct_schedule_options,
                                               options, size, &schedule->options));
}

int32_t dm_schedule_timesteps(const dm_schedule *schedule) {
    return schedule ? schedule->steps : 0;
}

void dm_schedule_destroy(dm_schedule *schedule) {
    if (!schedule) return;
    dm_context *context = schedule->context;
    if (!dmi_enter(context)) return;
    dmi_schedule_free(schedule);
    dmi_leave(context, DM_OK);
}
