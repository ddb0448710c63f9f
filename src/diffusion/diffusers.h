/* SPDX-License-Identifier: MIT */
/* The schedulers of diffusers: scheduler_config.json as a schedule and options of a sampler, and
 * back. */
#ifndef DM_SRC_DIFFUSION_DIFFUSERS_H
#define DM_SRC_DIFFUSION_DIFFUSERS_H

#include "core/config.h"
#include "diffusion/schedule.h"

/* What a scheduler says about the network. */
typedef struct dmi_diffusers_model {
    dm_prediction prediction;
    bool learned_variance; /* the output has the variance beside the prediction */
    double sigma_data;     /* with DM_PREDICT_EDM */
} dmi_diffusers_model;

/* The path of the scheduler_config.json of a pipeline's or scheduler's folder, or `path` itself
 * where it is no folder; *out must be freed with dmi_free. */
dm_status dmi_diffusers_find_scheduler(dmi_host *host, char **out, const char *path);
/* Reads only these keys of a scheduler_config.json. */
dm_status dmi_diffusers_read_model(dmi_host *host, dmi_diffusers_model *out, const char *path);
/* The same keys of an open config. */
void dmi_diffusers_get_model(dmi_config *config, dmi_diffusers_model *out);

/* "DDIMScheduler"; "" where the file does not say it. */
const char *dmi_diffusers_class(dmi_config *config);

#endif
