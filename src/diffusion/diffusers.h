/* SPDX-License-Identifier: MIT */
/* The schedulers of diffusers: scheduler_config.json as a schedule and options of a sampler, and
 * back. */
#ifndef DM_SRC_DIFFUSION_DIFFUSERS_H
#define DM_SRC_DIFFUSION_DIFFUSERS_H

#include "core/config.h"
#include "diffusion/schedule.h"
#include "io/json_write.h"

/* What a scheduler says about the network. */
typedef struct dmi_diffusers_model {
    dm_prediction prediction;
    bool learned_variance; /* the output has the variance beside the prediction */
    double sigma_data;     /* with DM_PREDICT_EDM */
} dmi_diffusers_model;

/* The path of the scheduler_config.json of a pipeline's or scheduler's folder, or `path` itself
 * where it is no folder; *out must be freed with dmi_free. */
dm_status dmi_diffusers_find_scheduler(dmi_host *host, char **out, const char *path);
/* Reads only these keys of a scheduler_config.json. With needs_prediction a scheduler that is not
 * supported must have its prediction_type. */
dm_status dmi_diffusers_read_model(dmi_host *host, dmi_diffusers_model *out, const char *path,
                                   bool needs_prediction);
/* The same keys of an open config. */
void dmi_diffusers_get_model(dmi_config *config, dmi_diffusers_model *out);

/* "DDIMScheduler"; "" where the file does not say it. */
const char *dmi_diffusers_class(dmi_config *config);

/* ---- diffusers_classes.c: which keys a scheduler has, and their defaults ---- */

enum {
    DMI_HAS_CLIP = 1 << 0,         /* clip_sample, clip_sample_range */
    DMI_HAS_THRESHOLD = 1 << 1,    /* thresholding, dynamic_thresholding_ratio, sample_max_value */
    DMI_HAS_SPACING = 1 << 2,      /* timestep_spacing, steps_offset */
    DMI_HAS_ZERO_SNR = 1 << 3,     /* rescale_betas_zero_snr */
    DMI_HAS_ALPHA_ONE = 1 << 4,    /* set_alpha_to_one */
    DMI_HAS_FINAL_SIGMAS = 1 << 5, /* final_sigmas_type */
    DMI_HAS_GRIDS = 1 << 6,        /* use_karras_sigmas, use_exponential_sigmas, ... */
    DMI_HAS_ORDER = 1 << 7,        /* solver_order, lower_order_final */
    DMI_HAS_FLOW = 1 << 8,         /* use_flow_sigmas, flow_shift */
    DMI_IS_EDM = 1 << 9,           /* sigma_min, sigma_max, rho, sigma_schedule; no betas */
    DMI_IS_FLOW_MATCH = 1 << 10,   /* shift; no betas */
    DMI_ENDS_AT_FIRST_LEVEL = 1 << 11, /* always final_alpha_one 0 */
    DMI_CLIPS_DEFAULT = 1 << 12,       /* default of clip_sample */
    DMI_ALPHA_ONE_DEFAULT = 1 << 13,
    DMI_LOWER_ORDER_DEFAULT = 1 << 14,
    DMI_INNER_SPACING = 1 << 15,  /* timesteps are those of steps + 1, without the last */
    DMI_IS_CONSISTENCY = 1 << 16, /* sigma_min, sigma_max, rho, s_noise, clip_denoised; no betas */
    DMI_HAS_VARIANCE = 1 << 17,   /* variance_type: splits an output of twice the channels */
    DMI_HAS_SIGMOID = 1 << 18,    /* beta_schedule sigmoid */
    DMI_LACKS_X0 = 1 << 19        /* no prediction_type sample */
};

typedef struct dmi_diffusers_scheduler {
    const char *name; /* "DDIMScheduler" */
    dm_solver solver; /* DM_SOLVER_PNDM also for PLMS, DM_SOLVER_DPMPP also for its SDE */
    uint32_t has;     /* DMI_HAS_* and the others */
    double beta_start, beta_end;
    const char *spacing; /* default of timestep_spacing */
} dmi_diffusers_scheduler;

/* NULL: not supported. */
const dmi_diffusers_scheduler *dmi_diffusers_find_class(const char *name);
/* The class that does what a solver does on such a schedule, or NULL. */
const dmi_diffusers_scheduler *dmi_diffusers_class_of(dm_solver solver, dm_schedule_kind kind);
/* Marks the keys of other schedulers as known: diffusers ignores them. */
void dmi_diffusers_ignore_keys(dmi_config *config);

extern const dmi_config_name dmi_diffusers_betas[], dmi_diffusers_predictions[];

/* ---- diffusers_read.c, diffusers_write.c ---- */

/* A config as a schedule and, unless NULL, options of a sampler (all of which must be set before).
 * compatible: that of dm_diffusers_options. */
dm_status dmi_diffusers_read_scheduler(dm_schedule **out, dm_context *context, dmi_config *config,
                                       bool compatible, dm_sampler_options *sampler);
/* Writes the scheduler_config.json of a schedule and whole options of a sampler, for a network of
 * that prediction, with sigma_data for DM_PREDICT_EDM. With file NULL only checks; otherwise the
 * file is still to be committed. *name is the class. */
dm_status dmi_diffusers_write_scheduler(dmi_host *host, dmi_file_writer *file,
                                        const dm_schedule *schedule,
                                        const dm_sampler_options *sampler,
                                        const dmi_diffusers_model *model, const char **name);

#endif
