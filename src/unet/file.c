/* SPDX-License-Identifier: MIT */
/* Networks in safetensors files: tensors under their names, options as metadata. */
#include <stdio.h>
#include <string.h>

#include "core/metadata.h"
#include "diffusion/schedule.h"
#include "io/path.h"
#include "unet/diffusers.h"
#include "unet/options.h"
#include "unet/unet.h"

/* ---- metadata ---- */

/* What files keep of a network besides its options. */
typedef struct unet_state {
    uint32_t struct_size;
    int32_t null_class; /* DMI_NULL_CLASS_* */
} unet_state;

static const dmi_member state_members[] = {
    {.name = "struct_size",
     .type = DM_TYPE_U32,
     .offset = offsetof(unet_state, struct_size),
     .count = 1,
     .element_size = sizeof(uint32_t)},
    {.name = "null_class",
     .type = DM_TYPE_I32,
     .offset = offsetof(unet_state, null_class),
     .count = 1,
     .element_size = sizeof(int32_t),
     .minimum = DMI_NULL_CLASS_UNKNOWN,
     .maximum = DMI_NULL_CLASS_UNTRAINED,
     .saved = DMI_SAVED},
};
static const dmi_struct state_struct = {"unet_state", "unet", sizeof(unet_state), state_members,
                                        sizeof state_members / sizeof *state_members};

dm_status dmi_unet_write_metadata(dmi_host *host, dmi_safetensors_writer *writer,
                                  const dm_unet *unet) {
    const unet_state state = {.struct_size = sizeof state, .null_class = unet->null_class};
    dm_status status = dmi_struct_save(host, writer, &dmi_struct_unet_options, &unet->options);
    if (!status) status = dmi_struct_save(host, writer, &state_struct, &state);
    return status ? status : dmi_class_names_write(host, writer, &unet->class_names);
}

dm_status dmi_unet_read_metadata(dmi_host *host, const dmi_safetensors *file,
                                 dm_unet_options *options, int32_t *null_class) {
    unet_state state;
    dm_status status = dmi_struct_load(host, file, &dmi_struct_unet_options, options);
    if (!status) status = dmi_struct_load(host, file, &state_struct, &state);
    if (status) return status;
    *null_class = state.null_class;
    return dmi_blame_file(host, file, dmi_unet_check_options(host, options));
}

/* ---- saving ---- */

_Static_assert((int)DM_PRECISION_F32 == DMI_SAFETENSORS_F32 &&
                   (int)DM_PRECISION_F16 == DMI_SAFETENSORS_F16 &&
                   (int)DM_PRECISION_BF16 == DMI_SAFETENSORS_BF16,
               "the writer's values differ from the public ones");

dm_status dmi_unet_check_precision(dmi_host *host, dm_precision precision) {
    return dmi_check_range(host, "unet", "precision", precision, DM_PRECISION_F32,
                           DM_PRECISION_BF16);
}

/* Collects what a network's file has; *out must be freed. */
static dm_status prepare_save(dmi_host *host, const dm_unet *unet, const dm_schedule *schedule,
                              dm_precision precision, dmi_safetensors_writer **out) {
    dmi_safetensors_writer *writer;
    *out = NULL;
    dm_status status = dmi_unet_check_precision(host, precision);
    if (!status) status = dmi_unet_check_finite(unet, "unet", "", unet->weights->params.data);
    if (!status) status = dmi_safetensors_begin(host, &writer);
    if (status) return status;
    dmi_safetensors_set_type(writer, (dmi_safetensors_type)precision);
    int32_t version = dmi_struct_format_version(&dmi_struct_unet_options, &unet->options);
    if (schedule) version = dmi_max(version, dmi_schedule_format_version(schedule));
    status = dmi_format_write(host, writer, dmi_format_unet, version);
    if (!status) status = dmi_unet_write_metadata(host, writer, unet);
    if (!status && schedule) status = dmi_schedule_write(host, writer, schedule);
    if (!status) status = dmi_unet_write_block(host, writer, unet, "", unet->weights->params.data);
    *out = writer;
    return status;
}

static dm_status save(const dm_unet *unet, const dm_schedule *schedule, const char *path,
                      dm_precision precision) {
    dmi_host *host = &unet->context->host;
    if (!path) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: 'path' is NULL");
    dmi_safetensors_writer *writer;
    dm_status status = prepare_save(host, unet, schedule, precision, &writer);
    if (!status) status = dmi_safetensors_write(host, writer, path);
    dmi_safetensors_free(host, writer);
    return status;
}

dm_status dm_unet_save_as(const dm_unet *unet, const dm_schedule *schedule, const char *path,
                          dm_precision precision) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, save(unet, schedule, path, precision));
}

dm_status dm_unet_save(const dm_unet *unet, const dm_schedule *schedule, const char *path) {
    return dm_unet_save_as(unet, schedule, path, DM_PRECISION_F32);
}

static dm_status save_memory(const dm_unet *unet, const dm_schedule *schedule, void *buffer,
                             size_t capacity, size_t *size, dm_precision precision) {
    dmi_host *host = &unet->context->host;
    if (!size) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: 'size' is NULL");
    dmi_safetensors_writer *writer;
    dm_status status = prepare_save(host, unet, schedule, precision, &writer);
    if (!status) status = dmi_safetensors_write_memory(host, writer, buffer, capacity, size);
    dmi_safetensors_free(host, writer);
    return status;
}

dm_status dm_unet_save_memory_as(const dm_unet *unet, const dm_schedule *schedule, void *buffer,
                                 size_t capacity, size_t *size, dm_precision precision) {
    if (size) *size = 0;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, save_memory(unet, schedule, buffer, capacity, size, precision));
}

dm_status dm_unet_save_memory(const dm_unet *unet, const dm_schedule *schedule, void *buffer,
                              size_t capacity, size_t *size) {
    return dm_unet_save_memory_as(unet, schedule, buffer, capacity, size, DM_PRECISION_F32);
}

/* ---- loading ---- */

bool dmi_unet_has_ema(const dmi_safetensors *file, int32_t index, char *name, size_t size) {
    snprintf(name, size, "%sconv_in.weight", dmi_ema_prefixes[index]);
    return dmi_safetensors_find(file, name) != NULL;
}

/* *prefix is that of the weights that were chosen. */
static dm_status choose_weights(dmi_host *host, const dmi_safetensors *file, dm_weights weights,
                                const char **prefix) {
    char name[64];
    *prefix = "";
    if (weights == DM_WEIGHTS_TRAINED) return DM_OK;
    if (weights == DM_WEIGHTS_DEFAULT) {
        for (int32_t i = DM_EMA_MAX - 1; i >= 0; i--)
            if (dmi_unet_has_ema(file, i, name, sizeof name)) *prefix = dmi_ema_prefixes[i];
        return DM_OK;
    }
    int32_t index = weights - DM_WEIGHTS_EMA;
    *prefix = dmi_ema_prefixes[index];
    if (dmi_unet_has_ema(file, index, name, sizeof name)) return DM_OK;
    return dmi_fail(host, DM_ERROR_NOT_FOUND, "%s: it has no EMA %d: there is no tensor '%s'",
                    dmi_safetensors_from(file), (int)index, name);
}

/* The network in an open file. */
static dm_status read_network(dm_unet **out, dm_context *context, const dmi_safetensors *file,
                              dm_weights weights) {
    dmi_host *host = &context->host;
    dm_unet_options options;
    int32_t null_class;
    const char *prefix;
    dm_status status = dmi_format_check(host, file, false);
    if (!status) status = dmi_unet_read_metadata(host, file, &options, &null_class);
    if (!status) status = choose_weights(host, file, weights, &prefix);
    if (status) return status;
    dm_unet *unet;
    status = dmi_unet_new(&unet, context, &options);
    if (status) return status;
    dmi_params *params = &unet->weights->params;
    /* Checked before the memory that malicious options may request is allocated: the file must have
     * all of the tensors. */
    status = dmi_unet_check_block(host, file, unet, prefix);
    if (!status) status = dmi_params_allocate(host, params);
    if (!status) status = dmi_unet_read_block(host, file, unet, prefix, params->data, false);
    if (!status) status = dmi_class_names_read(host, file, &unet->class_names, options.classes);
    if (status) {
        dmi_unet_free(unet);
        return status;
    }
    params->version++;
    unet->null_class = null_class;
    *out = unet;
    return DM_OK;
}

static dm_status check_load(dmi_host *host, dm_unet **out, const void *source, const char *name,
                            dm_weights weights) {
    if (!out || !source)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: '%s' is NULL", out ? name : "out");
    if (weights >= DM_WEIGHTS_DEFAULT && weights < DM_WEIGHTS_EMA + DM_EMA_MAX) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "unet: 'weights' is %d; it must be DM_WEIGHTS_DEFAULT (0), DM_WEIGHTS_TRAINED "
                    "(1), or DM_WEIGHTS_EMA (2) plus 0 to %d",
                    (int)weights, DM_EMA_MAX - 1);
}

/* Whether a file without this library's metadata is one of diffusers: its config.json is beside
 * it. */
static dm_status is_diffusers(dmi_host *host, const dmi_safetensors *file, const char *path,
                              bool *is) {
    char *config;
    const char *format = dmi_safetensors_metadata(file, "format");
    *is = false;
    if (format && !strncmp(format, "libdiffusion.", strlen("libdiffusion."))) return DM_OK;
    dm_status status = dmi_path_beside(host, &config, path, "config.json");
    if (status) return status;
    *is = dmi_path_is_file(config);
    dmi_free(host, config);
    return DM_OK;
}

static dm_status load_diffusers(dm_unet **out, dm_context *context, const char *path,
                                dm_weights weights) {
    dm_diffusers_options options;
    if (weights >= DM_WEIGHTS_EMA)
        return dmi_fail(&context->host, DM_ERROR_NOT_FOUND,
                        "%s: it has no EMA %d: networks of diffusers have one set of weights", path,
                        (int)(weights - DM_WEIGHTS_EMA));
    dmi_struct_defaults(&dmi_struct_diffusers_options, &options);
    return dmi_diffusers_load(out, context, path, &options);
}

static dm_status load(dm_unet **out, dm_context *context, const char *path, dm_weights weights) {
    dmi_host *host = &context->host;
    dmi_safetensors *file;
    bool foreign = false;
    dm_status status = check_load(host, out, path, "path", weights);
    if (!status && (dmi_path_is_folder(path) || dmi_path_ends_with(path, DMI_SHARD_INDEX)))
        return load_diffusers(out, context, path, weights);
    if (!status) status = dmi_safetensors_open(host, &file, path);
    /* Which says that a folder is wanted. */
    if (status == DM_ERROR_BAD_FORMAT && dmi_path_ends_with(path, ".json"))
        return load_diffusers(out, context, path, weights);
    if (status) return status;
    status = is_diffusers(host, file, path, &foreign);
    if (!status && !foreign) status = read_network(out, context, file, weights);
    dmi_safetensors_close(host, file);
    return status || !foreign ? status : load_diffusers(out, context, path, weights);
}

dm_status dm_unet_load(dm_unet **out, dm_context *context, const char *path, dm_weights weights) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, load(out, context, path, weights));
}

static dm_status load_memory(dm_unet **out, dm_context *context, const void *bytes, size_t size,
                             dm_weights weights) {
    dmi_host *host = &context->host;
    dmi_safetensors *file;
    dm_status status = check_load(host, out, bytes, "bytes", weights);
    if (!status) status = dmi_safetensors_parse(host, &file, bytes, size, "memory");
    if (status) return status;
    status = read_network(out, context, file, weights);
    dmi_safetensors_close(host, file);
    return status;
}

dm_status dm_unet_load_memory(dm_unet **out, dm_context *context, const void *bytes, size_t size,
                              dm_weights weights) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, load_memory(out, context, bytes, size, weights));
}
