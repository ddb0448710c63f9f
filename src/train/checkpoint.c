/* SPDX-License-Identifier: MIT */
/* Checkpoints: one safetensors file with weights, EMAs, moments and recorded losses as tensors, and
 * everything else as metadata. Random numbers and the order of the data follow from the seed and
 * the number of steps. */
#include "train/checkpoint.h"

#include "core/metadata.h"
#include "unet/options.h"

/* ---- metadata ---- */

/* What is kept besides options and schedule; the dataset if there is one. */
typedef struct progress_state {
    uint32_t struct_size, padding;
    uint64_t steps, applied, images;
} progress_state;

typedef struct dataset_state {
    uint32_t struct_size, padding;
    uint64_t count, fingerprint;
} dataset_state;

typedef struct teacher_state {
    uint32_t struct_size, padding;
    uint64_t fingerprint;
} teacher_state;

#define STRUCT_SIZE                                                                                \
    { .name = "struct_size", .type = DM_TYPE_U32, .count = 1, .element_size = sizeof(uint32_t) }
#define U64(s, m)                                                                                  \
    {                                                                                              \
        .name = #m, .type = DM_TYPE_U64, .offset = offsetof(s, m), .count = 1,                     \
        .element_size = sizeof(uint64_t), .saved = DMI_SAVED                                       \
    }

static const dmi_member progress_members[] = {STRUCT_SIZE, U64(progress_state, steps),
                                              U64(progress_state, applied),
                                              U64(progress_state, images)};
static const dmi_member dataset_members[] = {STRUCT_SIZE, U64(dataset_state, count),
                                             U64(dataset_state, fingerprint)};
static const dmi_member teacher_members[] = {STRUCT_SIZE, U64(teacher_state, fingerprint)};
static const dmi_struct progress_struct = {"progress_state", "progress", sizeof(progress_state),
                                           progress_members,
                                           sizeof progress_members / sizeof *progress_members};
static const dmi_struct dataset_struct = {"dataset_state", "dataset", sizeof(dataset_state),
                                          dataset_members,
                                          sizeof dataset_members / sizeof *dataset_members};
static const dmi_struct teacher_struct = {"teacher_state", "teacher", sizeof(teacher_state),
                                          teacher_members,
                                          sizeof teacher_members / sizeof *teacher_members};

/* ---- saving ---- */

static dm_status write_metadata(dmi_host *host, dmi_safetensors_writer *writer,
                                const dm_trainer *trainer) {
    const dm_dataset *dataset = trainer->batch.dataset;
    const progress_state progress = {.steps = trainer->progress.steps,
                                     .applied = trainer->progress.applied,
                                     .images = trainer->progress.images};
    int32_t version =
        dmi_max(dmi_struct_format_version(&dmi_struct_unet_options, &trainer->unet->options),
                dmi_struct_format_version(&dmi_struct_trainer_options, &trainer->options));
    version = dmi_max(version, dmi_schedule_format_version(trainer->schedule));
    dm_status status = dmi_format_write(host, writer, dmi_format_checkpoint, version);
    if (!status) status = dmi_unet_write_metadata(host, writer, trainer->unet);
    if (!status) status = dmi_schedule_write(host, writer, trainer->schedule);
    if (!status)
        status = dmi_struct_save(host, writer, &dmi_struct_trainer_options, &trainer->options);
    if (!status) status = dmi_struct_save(host, writer, &progress_struct, &progress);
    const teacher_state teacher = {.fingerprint = trainer->distillation.fingerprint};
    if (!status && teacher.fingerprint)
        status = dmi_struct_save(host, writer, &teacher_struct, &teacher);
    if (status || !dataset) return status;
    const dataset_state data = {.count = dataset->count, .fingerprint = dataset->fingerprint};
    return dmi_struct_save(host, writer, &dataset_struct, &data);
}

/* Collects what the file has; *out must be freed. */
static dm_status prepare_save(dmi_host *host, const dm_trainer *trainer,
                              dmi_safetensors_writer **out) {
    *out = NULL;
    dm_status status = dmi_checkpoint_check_finite(trainer);
    if (!status) status = dmi_safetensors_begin(host, out);
    if (!status) status = write_metadata(host, *out, trainer);
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

/* The order of the data follows from the dataset's size, so with another size the run could not
 * continue as if it had never stopped. */
static dm_status check_dataset(dmi_host *host, const dmi_safetensors *file,
                               const dm_dataset *dataset) {
    dataset_state data;
    const char *from = dmi_safetensors_from(file);
    if (!dataset || !dmi_safetensors_metadata(file, "dataset.count")) return DM_OK;
    dm_status status = dmi_struct_load(host, file, &dataset_struct, &data);
    if (status) return status;
    if (data.count != dataset->count)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "%s: it was trained on a dataset of %llu images; this one has %llu", from,
                        (unsigned long long)data.count, (unsigned long long)dataset->count);
    if (data.fingerprint && dataset->fingerprint && data.fingerprint != dataset->fingerprint)
        dmi_log(host, DM_LOG_WARNING,
                "%s: it was trained on another dataset: its fingerprint is %016llx, this one's "
                "%016llx",
                from, (unsigned long long)data.fingerprint,
                (unsigned long long)dataset->fingerprint);
    return DM_OK;
}

static dm_status read_progress(dmi_host *host, const dmi_safetensors *file,
                               const dm_trainer_options *options, dmi_progress *out) {
    const uint64_t per_step = (uint64_t)options->batch_size * (uint64_t)options->accumulation;
    const uint64_t positions = UINT64_C(1) << 56; /* the limit of dmi_random_at's index */
    progress_state s;
    dm_status status = dmi_struct_load(host, file, &progress_struct, &s);
    if (status) return status;
    *out = (dmi_progress){.steps = s.steps, .applied = s.applied, .images = s.images};
    if (s.steps <= positions / per_step && s.images == s.steps * per_step && s.applied <= s.steps)
        return DM_OK;
    return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                    "%s: %llu steps, %llu of them applied, contradict %llu images at %llu images "
                    "per step",
                    dmi_safetensors_from(file), (unsigned long long)s.steps,
                    (unsigned long long)s.applied, (unsigned long long)s.images,
                    (unsigned long long)per_step);
}

/* The teacher itself comes later, by dm_trainer_set_teacher. */
static dm_status read_teacher(dmi_host *host, const dmi_safetensors *file, uint64_t *fingerprint) {
    teacher_state teacher;
    if (!dmi_safetensors_metadata(file, "teacher.fingerprint")) return DM_OK;
    dm_status status = dmi_struct_load(host, file, &teacher_struct, &teacher);
    *fingerprint = teacher.fingerprint;
    return status;
}

dm_status dmi_checkpoint_restore(dm_trainer *trainer, const dmi_safetensors *file) {
    dmi_host *host = &trainer->context->host;
    dm_status status = read_progress(host, file, &trainer->options, &trainer->progress);
    if (!status) status = check_dataset(host, file, trainer->batch.dataset);
    if (!status) status = read_teacher(host, file, &trainer->distillation.fingerprint);
    return status ? status : dmi_checkpoint_read_tensors(host, file, trainer);
}

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

/* Reads what a trainer starts with, and begins with it. Closes the file. */
static dm_status resume_from(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                             dmi_safetensors *file) {
    dmi_host *host = &unet->context->host;
    dm_trainer_options options;
    dmi_trainer_start start = {.unet = unet, .dataset = dataset, .options = &options, .file = file};
    dm_status status = dmi_format_check(host, file, true);
    if (!status) status = dmi_struct_load(host, file, &dmi_struct_trainer_options, &options);
    if (!status) status = dmi_blame_file(host, file, dmi_trainer_check_options(host, &options));
    if (!status) status = check_network(host, file, unet, &start.null_class);
    if (!status) status = dmi_schedule_read(&start.schedule, unet->context, file);
    if (!status)
        status =
            dmi_blame_file(host, file,
                           dmi_trainer_check_model(host, &unet->options, start.schedule, &options));
    if (!status) return dmi_trainer_begin(out, &start);
    dmi_schedule_free(start.schedule);
    dmi_safetensors_close(host, file);
    return status;
}

static dm_status check_arguments(dmi_host *host, dm_trainer **out, const void *source,
                                 const char *name) {
    if (out && source) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: '%s' is NULL", out ? name : "out");
}

static dm_status resume(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                        const char *path) {
    dmi_host *host = &unet->context->host;
    dmi_safetensors *file;
    dm_status status = check_arguments(host, out, path, "path");
    if (!status) status = dmi_safetensors_open(host, &file, path);
    return status ? status : resume_from(out, unet, dataset, file);
}

dm_status dm_trainer_resume(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                            const char *path) {
    if (out) *out = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, resume(out, unet, dataset, path));
}

static dm_status resume_memory(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                               const void *bytes, size_t size) {
    dmi_host *host = &unet->context->host;
    dmi_safetensors *file;
    dm_status status = check_arguments(host, out, bytes, "bytes");
    if (!status) status = dmi_safetensors_parse(host, &file, bytes, size, "memory");
    return status ? status : resume_from(out, unet, dataset, file);
}

dm_status dm_trainer_resume_memory(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                                   const void *bytes, size_t size) {
    if (out) *out = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, resume_memory(out, unet, dataset, bytes, size));
}
