/* SPDX-License-Identifier: MIT */
/* Writing a pipeline's folder for diffusers: network, scheduler, and at last the index that makes
 * it one. All files are written before the first of them replaces one that was there. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/system.h"
#include "core/enums.h"
#include "diffusion/diffusers.h"
#include "io/file_error.h"
#include "io/path.h"
#include "unet/diffusers.h"
#include "unet/options.h"

/* ---- what cannot be written ---- */

static dm_status refuse(dmi_host *host, const char *option, const char *reason) {
    return dmi_fail(host, DM_ERROR_UNSUPPORTED, "diffusers: 'unet.%s' %s", option, reason);
}

static dm_status check_level(dmi_host *host, const dm_unet_options *o, int32_t level) {
    bool last = level == o->levels - 1;
    if (o->blocks[level] != o->blocks[0])
        return refuse(host, "blocks", "differ between levels, which UNet2DModel does not have");
    if (!dmi_diffusers_block_of(true, o->down_resample[level], o->attention[level], last))
        return refuse(host, "down_resample", "has a level that UNet2DModel does not have");
    if (!dmi_diffusers_block_of(false, o->up_resample[level], dmi_unet_up_attention(o, level),
                                level == 0))
        return refuse(host, "up_resample", "has a level that UNet2DModel does not have");
    return DM_OK;
}

static dm_status check_condition(dmi_host *host, const dm_unet_options *o) {
    if (o->condition_size && o->condition_embedding == DM_CONDITION_LINEAR)
        return refuse(host, "condition_embedding", "is linear, which UNet2DModel does not have");
    if (o->condition_size && o->classes)
        return refuse(host, "condition_size",
                      "and 'classes' are set, and UNet2DModel has only one of them");
    return DM_OK;
}

static dm_status check_norms(dmi_host *host, const dm_unet_options *o) {
    bool none = o->mid_norm_groups == 0, scale_shift = o->time_embedding == DM_TIME_SCALE_SHIFT;
    if (o->mid_block && o->mid_attention && none && !scale_shift)
        return refuse(host, "mid_norm_groups",
                      "is 0, which UNet2DModel has only with 'time_embedding' scale_shift");
    return DM_OK;
}

static dm_status check_network(dmi_host *host, const dm_unet_options *o) {
    dm_status status = DM_OK;
    if (o->recipe[0]) return refuse(host, "recipe", "is set, which UNet2DModel does not have");
    if (o->self_conditioning)
        return refuse(host, "self_conditioning", "is 1, which UNet2DModel does not have");
    if (o->time_embedding == DM_TIME_ADD_OUTPUT)
        return refuse(host, "time_embedding", "is add_output, which UNet2DModel does not have");
    if (o->learned_variance && o->in_channels != o->out_channels)
        return refuse(host, "learned_variance",
                      "is 1 with 'out_channels' that are not 'in_channels'; diffusers' schedulers "
                      "tell it by twice the channels");
    for (int32_t level = 0; !status && level < o->levels; level++)
        status = check_level(host, o, level);
    if (!status) status = check_condition(host, o);
    if (!status && o->center_input && o->condition_channels)
        status = refuse(host, "center_input",
                        "is 1 with 'condition_channels', which UNet2DModel would centre too");
    return status ? status : check_norms(host, o);
}

/* ---- config.json ---- */

/* The one type that all blocks with attention need, "conv" or "resnet"; NULL: they need both. */
static const char *shared_type(const dm_unet_options *o, bool down) {
    bool conv = false, resnet = false;
    for (int32_t i = 0; i < o->levels; i++) {
        dm_resample resample = down ? o->down_resample[i] : o->up_resample[i];
        bool attention = down ? o->attention[i] : dmi_unet_up_attention(o, i);
        bool resamples = down ? i < o->levels - 1 : i > 0;
        if (!attention || !resamples) continue;
        conv = conv || resample == DM_RESAMPLE_CONV;
        resnet = resnet || resample == DM_RESAMPLE_RESNET;
    }
    return conv && resnet ? NULL : resnet ? "resnet" : "conv";
}

static void write_blocks(dmi_json_writer *j, const dm_unet_options *o) {
    dmi_json_write_open(j, "down_block_types", '[');
    for (int32_t i = 0; i < o->levels; i++)
        dmi_json_write_string(j, NULL,
                              dmi_diffusers_block_of(true, o->down_resample[i], o->attention[i],
                                                     i == o->levels - 1)
                                  ->name);
    dmi_json_write_close(j, ']');
    dmi_json_write_open(j, "up_block_types", '[');
    for (int32_t i = o->levels - 1; i >= 0; i--)
        dmi_json_write_string(j, NULL,
                              dmi_diffusers_block_of(false, o->up_resample[i],
                                                     dmi_unet_up_attention(o, i), i == 0)
                                  ->name);
    dmi_json_write_close(j, ']');
    dmi_json_write_open(j, "block_out_channels", '[');
    for (int32_t i = 0; i < o->levels; i++) dmi_json_write_integer(j, NULL, o->channels[i]);
    dmi_json_write_close(j, ']');
    dmi_json_write_integer(j, "layers_per_block", o->blocks[0]);
    dmi_json_write_string(j, "downsample_type", shared_type(o, true));
    dmi_json_write_string(j, "upsample_type", shared_type(o, false));
    dmi_json_write_integer(j, "downsample_padding", o->downsample_padding == DM_PAD_ALL);
}

static void write_optional(dmi_json_writer *j, const char *key, int32_t value) {
    if (value > 0) dmi_json_write_integer(j, key, value);
    else dmi_json_write_null(j, key);
}

static void write_norms(dmi_json_writer *j, const dm_unet_options *o) {
    int32_t mid = o->mid_norm_groups;
    /* null means none with scale_shift. */
    if (mid < 0 && o->time_embedding == DM_TIME_SCALE_SHIFT)
        mid = dmi_unet_groups(o, false, o->channels[o->levels - 1]);
    write_optional(j, "norm_num_groups", o->norm_groups);
    write_optional(j, "attn_norm_num_groups", mid);
    dmi_json_write_float(j, "norm_eps", o->norm_eps);
    dmi_json_write_string(j, "resnet_time_scale_shift",
                          dmi_diffusers_name(dmi_diffusers_time_embeddings, o->time_embedding));
}

static void write_time(dmi_json_writer *j, const dm_unet_options *o) {
    bool learned = o->time_features == DM_TIME_LEARNED;
    float shift = o->time_frequency_shift;
    dmi_json_write_string(j, "time_embedding_type",
                          dmi_diffusers_name(dmi_diffusers_time_features, o->time_features));
    write_optional(j, "time_embedding_dim", o->time_channels);
    if (shift == (float)(int32_t)shift) dmi_json_write_integer(j, "freq_shift", (int32_t)shift);
    else dmi_json_write_float(j, "freq_shift", shift);
    dmi_json_write_bool(j, "flip_sin_to_cos", o->time_cos_first != 0);
    write_optional(j, "num_train_timesteps", learned ? o->time_steps : 0);
}

static void write_classes(dmi_json_writer *j, const dm_unet_options *o) {
    if (o->condition_size)
        dmi_json_write_string(j, "class_embed_type",
                              o->condition_embedding == DM_CONDITION_TIME ? "timestep"
                                                                          : "identity");
    else dmi_json_write_null(j, "class_embed_type");
    write_optional(j, "num_class_embeds", o->classes ? o->classes + o->null_row : 0);
}

static dm_status write_config(dmi_host *host, dmi_file_writer *file, const dm_unet_options *o) {
    dmi_json_writer j;
    dmi_json_write_begin(&j, host);
    dmi_json_write_open(&j, NULL, '{');
    dmi_json_write_string(&j, "_class_name", "UNet2DModel");
    if (o->height == o->width) {
        dmi_json_write_integer(&j, "sample_size", o->height);
    } else {
        dmi_json_write_open(&j, "sample_size", '[');
        dmi_json_write_integer(&j, NULL, o->height);
        dmi_json_write_integer(&j, NULL, o->width);
        dmi_json_write_close(&j, ']');
    }
    dmi_json_write_integer(&j, "in_channels", o->in_channels + o->condition_channels);
    dmi_json_write_integer(&j, "out_channels", dmi_unet_channels_out(o));
    dmi_json_write_bool(&j, "center_input_sample", o->center_input != 0);
    dmi_json_write_string(&j, "act_fn",
                          dmi_diffusers_name(dmi_diffusers_activations, o->activation));
    dmi_json_write_float(&j, "dropout", o->dropout);
    write_optional(&j, "attention_head_dim", o->attention_head_size);
    write_blocks(&j, o);
    write_norms(&j, o);
    if (o->mid_block) dmi_json_write_string(&j, "mid_block_type", "UNetMidBlock2D");
    else dmi_json_write_null(&j, "mid_block_type");
    dmi_json_write_bool(&j, "add_attention", o->mid_attention != 0);
    dmi_json_write_float(&j, "mid_block_scale_factor", o->mid_scale);
    write_time(&j, o);
    write_classes(&j, o);
    dmi_json_write_close(&j, '}');
    return dmi_json_write_file(&j, file);
}

/* ---- files ---- */

static dm_status write_tensors(dmi_host *host, const dm_unet *unet, dmi_file_writer *file,
                               dm_precision precision) {
    dmi_safetensors_writer *writer;
    const float *values = unet->weights->params.data;
    dm_status status = dmi_safetensors_begin(host, &writer);
    if (status) return status;
    dmi_safetensors_set_type(writer, (dmi_safetensors_type)precision);
    status = dmi_safetensors_add_metadata(host, writer, "format", "pt");
    if (!status) status = dmi_unet_write_block(host, writer, unet, "", values);
    if (!status) status = dmi_safetensors_write_file(host, writer, file);
    dmi_safetensors_free(host, writer);
    return status;
}

static dm_status write_index(dmi_host *host, dmi_file_writer *file, const char *pipeline,
                             const char *scheduler) {
    const char *const components[2][2] = {{"scheduler", scheduler}, {"unet", "UNet2DModel"}};
    dmi_json_writer j;
    dmi_json_write_begin(&j, host);
    dmi_json_write_open(&j, NULL, '{');
    dmi_json_write_string(&j, "_class_name", pipeline);
    for (int32_t i = 0; i < 2; i++) {
        dmi_json_write_open(&j, components[i][0], '[');
        dmi_json_write_string(&j, NULL, "diffusers");
        dmi_json_write_string(&j, NULL, components[i][1]);
        dmi_json_write_close(&j, ']');
    }
    dmi_json_write_close(&j, '}');
    return dmi_json_write_file(&j, file);
}

/* Beside such an index of other weights those to be written would not be read. */
static dm_status check_no_shards(dmi_host *host, const char *path) {
    if (!dmi_path_is_file(path)) return DM_OK;
    return dmi_fail(host, DM_ERROR_IO,
                    "%s: cannot write beside it: this index says that the weights are in its "
                    "shards; it must be removed before",
                    path);
}

static dm_status make_folder(dmi_host *host, const char *path) {
    if (dmi_system_make_folder(path)) return DM_OK;
    return dmi_fail_errno(host, errno, "create this folder", path);
}

/* Files in the order in which they are committed, then folders, and a file that must not be. */
enum { TENSORS, CONFIG, SCHEDULER_CONFIG, INDEX, FILES, UNET = FILES, SCHEDULER, SHARDS, PATHS };

/* Paths within the folder, each to be freed. */
static dm_status make_paths(dmi_host *host, char *paths[PATHS], const char *folder) {
    static const char *const names[] = {
        [TENSORS] = "unet/diffusion_pytorch_model.safetensors",
        [CONFIG] = "unet/config.json",
        [SCHEDULER_CONFIG] = "scheduler/scheduler_config.json",
        [INDEX] = "model_index.json",
        [UNET] = "unet",
        [SCHEDULER] = "scheduler",
        [SHARDS] = "unet/diffusion_pytorch_model.safetensors.index.json",
    };
    dm_status status = DM_OK;
    for (int32_t i = 0; !status && i < PATHS; i++)
        status = dmi_path_join(host, &paths[i], folder, names[i]);
    return status;
}

typedef struct request {
    const dm_unet *unet;
    const dm_schedule *schedule;
    const dm_sampler_options *sampler;
    dmi_diffusers_model model;
    dm_precision precision;
} request;

static const char *pipeline_of(dm_solver solver) {
    if (solver == DM_SOLVER_DDIM) return "DDIMPipeline";
    return solver == DM_SOLVER_CONSISTENCY ? "ConsistencyModelPipeline" : "DDPMPipeline";
}

/* Writes all files under temporary names. */
static dm_status write_files(dmi_host *host, const request *r, dmi_file_writer *files[FILES]) {
    const char *scheduler;
    dm_status status = write_tensors(host, r->unet, files[TENSORS], r->precision);
    if (!status) status = write_config(host, files[CONFIG], &r->unet->options);
    if (!status)
        status = dmi_diffusers_write_scheduler(host, files[SCHEDULER_CONFIG], r->schedule,
                                               r->sampler, &r->model, &scheduler);
    if (status) return status;
    return write_index(host, files[INDEX], pipeline_of(r->sampler->solver), scheduler);
}

/* A pipeline that was there stays whole unless all of the new one could be written: then only
 * renaming is left. */
static dm_status write_all(dmi_host *host, const request *r, const char *folder,
                           char *paths[PATHS]) {
    const char *scheduler;
    dmi_file_writer *files[FILES] = {NULL};
    dm_status status =
        dmi_diffusers_write_scheduler(host, NULL, r->schedule, r->sampler, &r->model, &scheduler);
    if (!status) status = make_paths(host, paths, folder);
    if (!status) status = check_no_shards(host, paths[SHARDS]);
    if (!status) status = make_folder(host, folder);
    if (!status) status = make_folder(host, paths[UNET]);
    if (!status) status = make_folder(host, paths[SCHEDULER]);
    for (int32_t i = 0; !status && i < FILES; i++)
        status = dmi_file_begin(host, &files[i], paths[i]);
    if (!status) status = write_files(host, r, files);
    for (int32_t i = 0; i < FILES; i++) {
        if (!status) status = dmi_file_commit(host, files[i]);
        else dmi_file_abandon(host, files[i]);
    }
    return status;
}

static dm_status save(const dm_unet *unet, const dm_schedule *schedule,
                      const dm_sampler_options *sampler, const char *folder,
                      dm_precision precision) {
    dmi_host *host = &unet->context->host;
    const dm_unet_options *u = &unet->options;
    dm_sampler_options o;
    char *paths[PATHS] = {NULL};
    if (!schedule || !folder)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "diffusers: '%s' is NULL",
                        schedule ? "folder" : "schedule");
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_sampler_options, &o, sampler);
    if (!sampler) {
        o.solver = DM_SOLVER_DDPM;
        o.steps = schedule->steps;
    }
    if (!status) status = dmi_unet_check_precision(host, precision);
    if (!status) status = check_network(host, u);
    if (!status && !shared_type(u, true))
        status = refuse(host, "down_resample", "of levels with attention must all be the same");
    if (!status && !shared_type(u, false))
        status = refuse(host, "up_resample", "of levels with attention must all be the same");
    if (!status) status = dmi_unet_check_finite(unet, "unet", "", unet->weights->params.data);
    if (status) return status;
    const request r = {unet,
                       schedule,
                       &o,
                       {u->prediction, u->learned_variance != 0, (double)u->sigma_data},
                       precision};
    status = write_all(host, &r, folder, paths);
    for (int32_t i = 0; i < PATHS; i++) dmi_free(host, paths[i]);
    return status;
}

dm_status dm_unet_save_diffusers(const dm_unet *unet, const dm_schedule *schedule,
                                 const dm_sampler_options *sampler, const char *folder,
                                 dm_precision precision) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, save(unet, schedule, sampler, folder, precision));
}
