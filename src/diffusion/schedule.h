/* SPDX-License-Identifier: MIT */
/* A schedule: its betas and their running product in double, or as float32 gives them. It never
 * changes, so objects of other contexts read it without dmi_enter. */
#ifndef DM_SRC_DIFFUSION_SCHEDULE_H
#define DM_SRC_DIFFUSION_SCHEDULE_H

#include "core/context.h"
#include "diffusion/level.h"
#include "io/safetensors.h"

enum { DMI_TIMESTEPS_MAX = 100000 };

struct dm_schedule {
    dm_context *context;
    dm_schedule_options options; /* kind is DM_SCHEDULE_CUSTOM with custom betas */
    int32_t steps;               /* T */
    double *beta;                /* [T] */
    double *alpha_cumprod;       /* [T] */
};

/* The functions below that create or free are for callers that have entered `context`. `options`
 * are whole: dmi_struct_read has filled them in. */
dm_status dmi_schedule_create(dm_schedule **out, dm_context *context,
                              const dm_schedule_options *options);
dm_status dmi_schedule_create_from_betas(dm_schedule **out, dm_context *context,
                                         const double *betas, size_t count, bool float32_tables);
/* A copy in `context`, which may be another than the schedule's, that shares nothing. */
dm_status dmi_schedule_copy(dm_schedule **out, dm_context *context, const dm_schedule *schedule);
void dmi_schedule_free(dm_schedule *schedule);

/* The sigmoid schedule's betas rise as the logistic function from minus this to this. */
enum { DMI_SIGMOID_END = 6 };

/* Whether the process has betas, so that signal^2 + noise^2 = 1. */
bool dmi_schedule_has_betas(const dm_schedule *schedule);
bool dmi_schedule_kind_has_betas(dm_schedule_kind kind);
/* DDPM's variance in that number of steps: DM_VARIANCE_AUTO. */
dm_variance dmi_schedule_default_variance(const dm_schedule *schedule, bool learned_variance,
                                          int32_t steps);
/* "cosine". Static storage. */
const char *dmi_schedule_name(const dm_schedule *schedule);
/* One value of a series, as dm_schedule_get_series gives. */
double dmi_schedule_value(const dm_schedule *schedule, dm_series series, int32_t t);

/* What scale_betas multiplies the betas by; 1 without it. */
double dmi_schedule_beta_factor(const dm_schedule_options *options);
/* schedule_options.c: refuses options that are out of range or contradict each other. */
dm_status dmi_schedule_check_options(dmi_host *host, const dm_schedule_options *options);
/* Above 0 and below 1, after rounding with float32 tables. */
bool dmi_schedule_is_beta(double x, bool float32_tables);
/* betas.c: fills beta and alpha_cumprod as the options say, or alpha_cumprod from the betas. */
dm_status dmi_schedule_fill(dm_schedule *schedule);
void dmi_schedule_accumulate(dm_schedule *schedule);
/* betas_float32.c: the betas of a schedule that has them in double, and with zero_terminal_snr beta
 * and alpha_cumprod. */
void dmi_schedule_betas_float32(dm_schedule *schedule);
void dmi_schedule_rescale_float32(dm_schedule *schedule);

/* schedule_file.c: the format version that a file with this schedule needs. */
int32_t dmi_schedule_format_version(const dm_schedule *schedule);
/* Metadata of a file, keys "schedule.*" (the caller's betas as a JSON list of
 * %.17g numbers), and back. */
dm_status dmi_schedule_write(dmi_host *host, dmi_safetensors_writer *writer,
                             const dm_schedule *schedule);
dm_status dmi_schedule_read(dm_schedule **out, dm_context *context, const dmi_safetensors *file);

#endif
