/* SPDX-License-Identifier: MIT */
/* Rules for a schedule's options. Ranges that hold for all kinds are in the struct's table. */
#include "core/enums.h"
#include "diffusion/schedule.h"

bool dmi_schedule_is_beta(double x, bool float32_tables) {
    if (float32_tables) x = (double)(float)x;
    return x > 0 && x < 1;
}

static bool uses_beta_range(dm_schedule_kind kind) {
    return kind == DM_SCHEDULE_LINEAR || kind == DM_SCHEDULE_SCALED_LINEAR ||
           kind == DM_SCHEDULE_SIGMOID;
}

static dm_status check_beta_range(dmi_host *host, const dm_schedule_options *o) {
    double factor = dmi_schedule_beta_factor(o);
    if (dmi_schedule_is_beta(factor * o->beta_start, o->float32_tables) &&
        dmi_schedule_is_beta(factor * o->beta_end, o->float32_tables))
        return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "schedule: 'scale_betas' with %d 'timesteps' multiplies the betas by %g, to %g "
                    "and %g; they must stay below 1",
                    (int)o->timesteps, factor, factor * o->beta_start, factor * o->beta_end);
}

static dm_status check_edm(dmi_host *host, const dm_schedule_options *o) {
    if (o->sigma_max > o->sigma_min) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "schedule: 'sigma_max' is %g; it must be above 'sigma_min' (%g)", o->sigma_max,
                    o->sigma_min);
}

static dm_status check_combinations(dmi_host *host, const dm_schedule_options *o,
                                    const char *kind) {
    bool has_betas = dmi_schedule_kind_has_betas(o->kind);
    if (o->zero_terminal_snr && o->timesteps < 2)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'zero_terminal_snr' cannot be combined with 'timesteps' %d: "
                        "rescaling needs at least 2",
                        (int)o->timesteps);
    if (o->zero_terminal_snr && !has_betas)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'zero_terminal_snr' cannot be combined with 'kind' %d (%s): "
                        "only schedules with betas are rescaled",
                        (int)o->kind, kind);
    if (o->terminal_signal && !o->zero_terminal_snr)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'terminal_signal' cannot be combined with 'zero_terminal_snr' "
                        "0: without it the last timestep has a signal");
    if (o->float32_tables && !has_betas)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'float32_tables' cannot be combined with 'kind' %d (%s): only "
                        "schedules with betas have tables",
                        (int)o->kind, kind);
    if (o->scale_betas && !uses_beta_range(o->kind))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'scale_betas' cannot be combined with 'kind' %d (%s): it has no "
                        "beta_start and beta_end",
                        (int)o->kind, kind);
    return DM_OK;
}

dm_status dmi_schedule_check_options(dmi_host *host, const dm_schedule_options *o) {
    if (o->kind == DM_SCHEDULE_CUSTOM)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'kind' is %d (custom); dm_schedule_create_from_betas creates "
                        "such schedules",
                        (int)o->kind);
    dm_status status = check_combinations(host, o, dmi_enum_text("dm_schedule_kind", o->kind));
    if (status) return status;
    if (o->kind == DM_SCHEDULE_EDM) return check_edm(host, o);
    return uses_beta_range(o->kind) ? check_beta_range(host, o) : DM_OK;
}
