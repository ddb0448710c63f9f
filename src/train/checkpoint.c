/* SPDX-License-Identifier: MIT */
/* Checkpoints: one safetensors file with weights, EMAs, moments and recorded losses as tensors, and
 * everything else as metadata. Random numbers and the order of the data follow from the seed and
 * the number of steps. */
#include "train/checkpoint.h"

#include "core/metadata.h"
#include "unet/options.h"

/* ---- saving ---- */

/* Collects what the file has; *out must be freed. */
static dm_status prepare_save(dmi_host *host, const dm_trainer *trainer,
                              dmi_safetensors_writer **out) {
    *out = NULL;
    dm_status status = dmi_checkpoint_check_finite(trainer);
    if (!status) status = dmi_safetensors_begin(host, out);
    if (!status) status = dmi_checkpoint_write_metadata(host, *out, trainer);
    if (!status) status = dmi_checkpoint_write_tensors(host, *out, trainer);
    return status;
}

static dm_status save(const dm_trainer *trainer, const char *path) {
    dmi_host *host = &trainer->context->host;
    if (!path) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: 'path' is NULL");
    dmi_safetensors_writer *writer;
    dm_status status = prepare_save(host, trainer, &writer);
    if (!status) status = dmi_safetensors_write(host, writer, path);
    dmi_safetensors_free(host, writer);
    return status;
}

dm_status dm_trainer_save(const dm_trainer *trainer, const char *path) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(trainer->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(trainer->context, save(trainer, path));
}

static dm_status save_memory(const dm_trainer *trainer, void *buffer, size_t capacity,
                             size_t *size) {
    dmi_host *host = &trainer->context->host;
    if (!size) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: 'size' is NULL");
    dmi_safetensors_writer *writer;
    dm_status status = prepare_save(host, trainer, &writer);
    if (!status) status = dmi_safetensors_write_memory(host, writer, buffer, capacity, size);
    dmi_safetensors_free(host, writer);
    return status;
}

dm_status dm_trainer_save_memory(const dm_trainer *trainer, void *buffer, size_t capacity,
                                 size_t *size) {
    if (size) *size = 0;
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(trainer->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(trainer->context, save_memory(trainer, buffer, capacity, size));
}

/* ---- resuming ---- */

static dm_status check_network(dmi_host *host, const dmi_safetensors *file, const dm_unet *unet,
                               int32_t *null_class) {
    dm_unet_options options;
    dm_status status = dmi_unet_read_metadata(host, file, &options, null_class);
    if (status) return status;
    const char *other = dmi_unet_options_difference(&options, &unet->options);
    if (!other) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                    "%s: the network differs in '%s' from the file's; dm_unet_load gives one with "
                    "the same options",
                    dmi_safetensors_from(file), other);
}

/* Replaces the file's options by the caller's. */
static dm_status change_options(dmi_host *host, const dmi_safetensors *file,
                                dm_trainer_options *options, const dm_trainer_options *changed) {
    const int32_t distill_steps = options->distill_steps;
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_trainer_options, options, changed);
    if (!status) status = dmi_trainer_check_options(host, options);
    if (status || options->distill_steps == distill_steps) return status;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "trainer: 'distill_steps' is %d; %s was trained with %d, which must stay",
                    (int)options->distill_steps, dmi_safetensors_from(file), (int)distill_steps);
}

/* Reads what a trainer starts with, and begins with it. Closes the file. */
static dm_status resume_from(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                             dmi_safetensors *file, const dm_trainer_options *changed) {
    dmi_host *host = &unet->context->host;
    dm_trainer_options options;
    dmi_class_names names = {0};
    dmi_trainer_start start = {.unet = unet,
                               .dataset = dataset,
                               .options = &options,
                               .class_names = &names,
                               .file = file,
                               .changed = changed != NULL};
    dm_status status = dmi_format_check(host, file, true);
    if (!status) status = dmi_struct_load(host, file, &dmi_struct_trainer_options, &options);
    if (!status) status = dmi_blame_file(host, file, dmi_trainer_check_options(host, &options));
    if (!status && changed) status = change_options(host, file, &options, changed);
    if (!status) status = check_network(host, file, unet, &start.null_class);
    if (!status) status = dmi_class_names_read(host, file, &names, unet->options.classes);
    if (!status) status = dmi_schedule_read(&start.schedule, unet->context, file);
    if (!status) {
        status = dmi_trainer_check_model(host, &unet->options, start.schedule, &options);
        if (!changed) status = dmi_blame_file(host, file, status);
    }
    if (!status) {
        status = dmi_trainer_begin(out, &start);
    } else {
        dmi_schedule_free(start.schedule);
        dmi_safetensors_close(host, file);
    }
    dmi_class_names_free(host, &names);
    return status;
}

static dm_status check_arguments(dmi_host *host, dm_trainer **out, const void *source,
                                 const char *name) {
    if (out && source) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: '%s' is NULL", out ? name : "out");
}

static dm_status resume(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                        const char *path, const dm_trainer_options *changed) {
    dmi_host *host = &unet->context->host;
    dmi_safetensors *file;
    dm_status status = check_arguments(host, out, path, "path");
    if (!status) status = dmi_safetensors_open(host, &file, path);
    return status ? status : resume_from(out, unet, dataset, file, changed);
}

dm_status dm_trainer_resume(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                            const char *path) {
    if (out) *out = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, resume(out, unet, dataset, path, NULL));
}

dm_status dm_trainer_resume_changed(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                                    const char *path, const dm_trainer_options *options) {
    if (out) *out = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    dm_status status = check_arguments(&unet->context->host, out, options, "options");
    if (!status) status = resume(out, unet, dataset, path, options);
    return dmi_leave(unet->context, status);
}

static dm_status resume_memory(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                               const void *bytes, size_t size) {
    dmi_host *host = &unet->context->host;
    dmi_safetensors *file;
    dm_status status = check_arguments(host, out, bytes, "bytes");
    if (!status) status = dmi_safetensors_parse(host, &file, bytes, size, "memory");
    return status ? status : resume_from(out, unet, dataset, file, NULL);
}

dm_status dm_trainer_resume_memory(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                                   const void *bytes, size_t size) {
    if (out) *out = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, resume_memory(out, unet, dataset, bytes, size));
}
