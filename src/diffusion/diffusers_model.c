/* SPDX-License-Identifier: MIT */
/* Which scheduler_config.json a path means, and what it says about the network. */
#include <string.h>

#include "diffusion/diffusers.h"
#include "io/path.h"

dm_status dmi_diffusers_find_scheduler(dmi_host *host, char **out, const char *path) {
    static const char *const names[] = {"scheduler/scheduler_config.json", "scheduler_config.json"};
    *out = NULL;
    if (!dmi_path_is_folder(path)) return dmi_path_join(host, out, "", path);
    bool has = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        dm_status status = dmi_path_has_file(host, path, names[i], &has);
        if (status) return status;
        if (has) return dmi_path_join(host, out, path, names[i]);
    }
    return dmi_fail(host, DM_ERROR_NOT_FOUND,
                    "%s: it has neither scheduler_config.json nor scheduler/scheduler_config.json",
                    path);
}

const char *dmi_diffusers_class(dmi_config *c) {
    const char *name = dmi_config_text(c, "_class_name", "");
    return name ? name : "";
}

void dmi_diffusers_get_model(dmi_config *c, dmi_diffusers_model *out) {
    static const char key[] = "prediction_type";
    const char *name = dmi_diffusers_class(c);
    bool is_flow = !strncmp(name, "FlowMatch", strlen("FlowMatch"));
    bool is_edm = !strncmp(name, "EDM", strlen("EDM"));
    bool is_consistency = !strcmp(name, "CMStochasticIterativeScheduler");
    *out = (dmi_diffusers_model){.prediction = DM_PREDICT_FLOW, .sigma_data = 0.5};
    if (is_flow) return;
    if (is_edm || is_consistency)
        out->sigma_data = dmi_config_double(c, "sigma_data", 0.5, 1e-3, 1e3);
    if (is_consistency) {
        out->prediction = DM_PREDICT_CONSISTENCY;
        return;
    }
    out->prediction = dmi_config_choice(c, key, "epsilon", dmi_diffusers_predictions);
    if (is_edm && out->prediction != DM_PREDICT_EPS)
        dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key, "with EDM it must be epsilon");
    if (is_edm) out->prediction = DM_PREDICT_EDM;
    const char *variance = dmi_config_text(c, "variance_type", NULL);
    out->learned_variance = variance && !strncmp(variance, "learned", strlen("learned"));
}

dm_status dmi_diffusers_read_model(dmi_host *host, dmi_diffusers_model *out, const char *path,
                                   bool needs_prediction) {
    dmi_config config;
    dm_status status = dmi_config_read(host, &config, path);
    if (status) return status;
    dmi_diffusers_get_model(&config, out);
    /* Classes have defaults of their own. */
    if (needs_prediction && !dmi_diffusers_find_class(dmi_diffusers_class(&config)) &&
        !dmi_config_find(&config, "prediction_type"))
        dmi_config_refuse(&config, DM_ERROR_UNSUPPORTED, "_class_name",
                          "what networks for this scheduler predict is not known; 'prediction' of "
                          "dm_diffusers_options can say it");
    status = config.status;
    dmi_config_free(&config);
    return status;
}
