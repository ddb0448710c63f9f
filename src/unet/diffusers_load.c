/* SPDX-License-Identifier: MIT */
/* Loading a network of diffusers: which files a path means, then options, then tensors. */
#include <stdio.h>
#include <string.h>

#include "diffusion/diffusers.h"
#include "io/path.h"
#include "unet/diffusers.h"
#include "unet/options.h"

/* Paths, each NULL or to be freed. */
typedef struct locations {
    char *config, *tensors;
    char *scheduler; /* NULL: none */
    char *unet;      /* the folder of a pipeline's network */
} locations;

static void free_locations(dmi_host *host, locations *l) {
    dmi_free(host, l->config);
    dmi_free(host, l->tensors);
    dmi_free(host, l->scheduler);
    dmi_free(host, l->unet);
}

/* "unet": ["diffusers", "UNet2DModel"]: the second, or NULL where there is no such list. */
static const char *class_of(const dmi_config *config, const dmi_config_value *value) {
    if (!value || value->kind != DMI_CONFIG_LIST || value->count != 2) return NULL;
    return config->elements[value->first + 1].text;
}

/* The pipeline's network must be a UNet2DModel, and it must have nothing else but a scheduler: with
 * a "vqvae", what the network draws is no image. */
static dm_status check_pipeline(dmi_host *host, const char *path) {
    static const char network[] = "unet";
    dmi_config config;
    dm_status status = dmi_config_read(host, &config, path);
    if (status) return status;
    const char *name = class_of(&config, dmi_config_find(&config, network));
    if (!name || strcmp(name, "UNet2DModel") != 0)
        dmi_config_refuse(&config, DM_ERROR_UNSUPPORTED, network,
                          "only pipelines with a UNet2DModel are supported");
    for (size_t i = 0; i < config.pair_count; i++) {
        const char *key = config.pairs[i].key;
        if (strcmp(key, network) != 0 && strcmp(key, "scheduler") != 0 &&
            class_of(&config, &config.pairs[i].value))
            dmi_config_refuse(&config, DM_ERROR_UNSUPPORTED, key,
                              "only pipelines of a unet and a scheduler are supported");
    }
    status = config.status;
    dmi_config_free(&config);
    return status;
}

/* Says what there is in place of the tensors. */
static dm_status refuse_model(dmi_host *host, const char *folder) {
    static const char half[] = "diffusion_pytorch_model.fp16.safetensors";
    static const char pickled[] = "diffusion_pytorch_model.bin";
    bool has_half = false, has_pickled = false;
    dm_status status = dmi_path_has_file(host, folder, half, &has_half);
    if (!status) status = dmi_path_has_file(host, folder, pickled, &has_pickled);
    if (status) return status;
    if (has_half)
        return dmi_fail(host, DM_ERROR_NOT_FOUND,
                        "%s: its tensors are in %s: give the path of that file", folder, half);
    if (has_pickled)
        return dmi_fail(host, DM_ERROR_UNSUPPORTED,
                        "%s: its tensors are in %s, which may run code; save them as safetensors",
                        folder, pickled);
    return dmi_fail(host, DM_ERROR_NOT_FOUND,
                    "%s: it has neither diffusion_pytorch_model.safetensors nor "
                    "diffusion_pytorch_model.safetensors.index.json",
                    folder);
}

static dm_status locate_model(dmi_host *host, locations *l, const char *folder) {
    /* Where both are there, diffusers reads the shards. */
    static const char *const names[] = {"diffusion_pytorch_model.safetensors.index.json",
                                        "diffusion_pytorch_model.safetensors"};
    bool has = false;
    dm_status status = dmi_path_join(host, &l->config, folder, "config.json");
    for (size_t i = 0; !status && !has && i < sizeof names / sizeof *names; i++) {
        status = dmi_path_has_file(host, folder, names[i], &has);
        if (!status && has) status = dmi_path_join(host, &l->tensors, folder, names[i]);
    }
    return status || has ? status : refuse_model(host, folder);
}

/* The scheduler says what the network predicts, unless the caller does. */
static dm_status locate_scheduler(dmi_host *host, locations *l, const char *folder, bool needed) {
    dm_status status = dmi_diffusers_find_scheduler(host, &l->scheduler, folder);
    if (status != DM_ERROR_NOT_FOUND) return status;
    if (!needed) return DM_OK;
    return dmi_fail(host, status,
                    "%s: there is no scheduler/scheduler_config.json, which says what the network "
                    "predicts; 'prediction' of dm_diffusers_options can say it",
                    folder);
}

/* Its parts are in folders of their own or, as early ones were published, beside its index. */
static dm_status locate_pipeline(dmi_host *host, locations *l, const char *folder,
                                 bool needs_scheduler) {
    char *index;
    dm_status status = dmi_path_join(host, &index, folder, "model_index.json");
    if (status) return status;
    status = check_pipeline(host, index);
    dmi_free(host, index);
    if (!status) status = locate_scheduler(host, l, folder, needs_scheduler);
    if (!status) status = dmi_path_join(host, &l->unet, folder, "unet");
    return status ? status : locate_model(host, l, dmi_path_is_folder(l->unet) ? l->unet : folder);
}

static dm_status locate(dmi_host *host, locations *l, const char *path, bool needs_scheduler) {
    bool has_index = false, has_config = false;
    if (dmi_path_ends_with(path, ".json") && !dmi_path_ends_with(path, DMI_SHARD_INDEX))
        return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                        "%s: it has no tensors: give the path of its folder", path);
    if (!dmi_path_is_folder(path)) {
        dm_status status = dmi_path_beside(host, &l->config, path, "config.json");
        return status ? status : dmi_path_join(host, &l->tensors, "", path);
    }
    dm_status status = dmi_path_has_file(host, path, "model_index.json", &has_index);
    if (!status && has_index) return locate_pipeline(host, l, path, needs_scheduler);
    if (!status) status = dmi_path_has_file(host, path, "config.json", &has_config);
    if (status) return status;
    if (has_config) return locate_model(host, l, path);
    return dmi_fail(host, DM_ERROR_NOT_FOUND,
                    "%s: this folder has neither model_index.json nor config.json", path);
}

/* ---- options ---- */

static void apply_model(dm_unet_options *o, const dmi_diffusers_model *model) {
    o->prediction = model->prediction;
    o->sigma_data = (float)model->sigma_data;
    if (!model->learned_variance || o->out_channels != 2 * o->in_channels) return;
    o->out_channels = o->in_channels;
    o->learned_variance = 1;
}

static dm_status read_options(dmi_host *host, const locations *l,
                              const dm_diffusers_options *options, dm_unet_options *o) {
    dmi_config config;
    dmi_diffusers_model model = {.prediction = DM_PREDICT_EPS, .sigma_data = 0.5};
    dm_status status = dmi_config_read(host, &config, l->config);
    if (status) return status;
    status = dmi_diffusers_read_options(&config, options, o);
    dmi_config_free(&config);
    if (!status && l->scheduler)
        status = dmi_diffusers_read_model(host, &model, l->scheduler,
                                          options->prediction == DM_PREDICT_ANY);
    if (status) return status;
    if (options->prediction != DM_PREDICT_ANY) model.prediction = options->prediction;
    apply_model(o, &model);
    status = dmi_struct_check(host, &dmi_struct_unet_options, o);
    if (!status) status = dmi_unet_check_options(host, o);
    if (status != DM_ERROR_INVALID_ARGUMENT) return status;
    return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: %.400s", l->config, host->error);
}

/* ---- the network ---- */

static dm_status read_network(dm_unet **out, dm_context *context, const dm_unet_options *o,
                              const char *path) {
    dmi_host *host = &context->host;
    dmi_diffusers_tensors tensors;
    dm_unet *unet;
    dm_status status = dmi_diffusers_open(host, &tensors, path);
    if (status) return status;
    status = dmi_unet_new(&unet, context, o);
    if (!status) {
        /* Before the memory that a malicious config may request is allocated. */
        status = dmi_diffusers_check(host, &tensors, unet);
        if (!status) status = dmi_params_allocate(host, &unet->weights->params);
        if (!status) status = dmi_diffusers_read(host, &tensors, unet);
        unet->weights->params.version++;
        if (status) dmi_unet_free(unet);
        else *out = unet;
    }
    dmi_diffusers_close(host, &tensors);
    return status;
}

dm_status dmi_diffusers_load(dm_unet **out, dm_context *context, const char *path,
                             const dm_diffusers_options *options) {
    dmi_host *host = &context->host;
    locations l = {0};
    dm_unet_options o;
    dm_status status = locate(host, &l, path, options->prediction == DM_PREDICT_ANY);
    if (!status) status = read_options(host, &l, options, &o);
    if (!status) status = read_network(out, context, &o, l.tensors);
    free_locations(host, &l);
    return status;
}

static dm_status load(dm_unet **out, dm_context *context, const char *path,
                      const dm_diffusers_options *options) {
    dmi_host *host = &context->host;
    dm_diffusers_options o;
    if (!out || !path)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: '%s' is NULL",
                        out ? "path" : "out");
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_diffusers_options, &o, options);
    return status ? status : dmi_diffusers_load(out, context, path, &o);
}

dm_status dm_unet_load_diffusers(dm_unet **out, dm_context *context, const char *path,
                                 const dm_diffusers_options *options) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, load(out, context, path, options));
}

dm_status dm_diffusers_options_init(dm_diffusers_options *options, size_t size) {
    return dmi_struct_init(&dmi_struct_diffusers_options, options, size);
}
