/* SPDX-License-Identifier: MIT */
/* What a checkpoint holds beside tensors: options, schedule, progress, the data and the teacher, as
 * metadata. */
#include "train/checkpoint.h"

#include "core/metadata.h"
#include "unet/options.h"

/* What is kept besides options and schedule; the dataset if there is one. */
typedef struct progress_state {
    uint32_t struct_size, padding;
    uint64_t steps, applied, images, base_steps, base_images;
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
#define NUMBER(s, m, how)                                                                          \
    {                                                                                              \
        .name = #m, .type = DM_TYPE_U64, .offset = offsetof(s, m), .count = 1,                     \
        .element_size = sizeof(uint64_t), .saved = (how)                                           \
    }
#define U64(s, m) NUMBER(s, m, DMI_SAVED)
#define U64_IF_SET(s, m) NUMBER(s, m, DMI_SAVED_IF_SET)

static const dmi_member progress_members[] = {STRUCT_SIZE,
                                              U64(progress_state, steps),
                                              U64(progress_state, applied),
                                              U64(progress_state, images),
                                              U64_IF_SET(progress_state, base_steps),
                                              U64_IF_SET(progress_state, base_images)};
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

dm_status dmi_checkpoint_write_metadata(dmi_host *host, dmi_safetensors_writer *writer,
                                        const dm_trainer *trainer) {
    const dm_dataset *dataset = trainer->batch.dataset;
    const progress_state progress = {.steps = trainer->progress.steps,
                                     .applied = trainer->progress.applied,
                                     .images = trainer->progress.images,
                                     .base_steps = trainer->progress.base_steps,
                                     .base_images = trainer->progress.base_images};
    int32_t version =
        dmi_max(dmi_struct_format_version(&dmi_struct_unet_options, &trainer->unet->options),
                dmi_struct_format_version(&dmi_struct_trainer_options, &trainer->options));
    version = dmi_max(version, dmi_schedule_format_version(trainer->schedule));
    version = dmi_max(version, dmi_struct_format_version(&progress_struct, &progress));
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

/* ---- resuming ---- */

/* The order of the data follows from the dataset's size, so with another size the run could not
 * continue as if it had never stopped. */
static dm_status check_dataset(dmi_host *host, const dmi_safetensors *file,
                               const dm_dataset *dataset, bool changed) {
    dataset_state data;
    const char *from = dmi_safetensors_from(file);
    if (!dataset || !dmi_safetensors_metadata(file, "dataset.count")) return DM_OK;
    dm_status status = dmi_struct_load(host, file, &dataset_struct, &data);
    if (status) return status;
    if (data.count != dataset->count && changed)
        dmi_log(host, DM_LOG_WARNING,
                "%s: it was trained on a dataset of %llu images; this one has %llu", from,
                (unsigned long long)data.count, (unsigned long long)dataset->count);
    else if (data.count != dataset->count)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "%s: it was trained on a dataset of %llu images; this one has %llu", from,
                        (unsigned long long)data.count, (unsigned long long)dataset->count);
    else if (data.fingerprint && dataset->fingerprint && data.fingerprint != dataset->fingerprint)
        dmi_log(host, DM_LOG_WARNING,
                "%s: it was trained on another dataset: its fingerprint is %016llx, this one's "
                "%016llx",
                from, (unsigned long long)data.fingerprint,
                (unsigned long long)dataset->fingerprint);
    return DM_OK;
}

static uint64_t images_per_step(const dm_trainer_options *options) {
    return (uint64_t)options->batch_size * (uint64_t)options->accumulation;
}

/* Whether the steps since the base account for the images since then. */
static bool is_consistent(const dmi_progress *p, uint64_t per_step) {
    const uint64_t positions = UINT64_C(1) << 56; /* the limit of dmi_random_at's index */
    if (p->images > positions || p->steps > p->images || p->applied > p->steps) return false;
    if (p->base_steps > p->steps || p->base_images > p->images) return false;
    if (p->base_steps > p->base_images || (p->base_images && !p->base_steps)) return false;
    const uint64_t steps = p->steps - p->base_steps, images = p->images - p->base_images;
    return images % per_step == 0 && images / per_step == steps;
}

/* *per_step: the images of a step of the file's options. */
static dm_status read_progress(dmi_host *host, const dmi_safetensors *file, dmi_progress *out,
                               uint64_t *per_step) {
    dm_trainer_options options;
    progress_state s;
    dm_status status = dmi_struct_load(host, file, &dmi_struct_trainer_options, &options);
    if (!status) status = dmi_struct_load(host, file, &progress_struct, &s);
    if (status) return status;
    *per_step = images_per_step(&options);
    *out = (dmi_progress){.steps = s.steps,
                          .applied = s.applied,
                          .images = s.images,
                          .base_steps = s.base_steps,
                          .base_images = s.base_images};
    if (is_consistent(out, *per_step)) return DM_OK;
    return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                    "%s: %llu steps, %llu of them applied, contradict %llu images at %llu images "
                    "per step",
                    dmi_safetensors_from(file), (unsigned long long)s.steps,
                    (unsigned long long)s.applied, (unsigned long long)s.images,
                    (unsigned long long)*per_step);
}

/* The teacher itself comes later, by dm_trainer_set_teacher. */
static dm_status read_teacher(dmi_host *host, const dmi_safetensors *file, uint64_t *fingerprint) {
    teacher_state teacher;
    if (!dmi_safetensors_metadata(file, "teacher.fingerprint")) return DM_OK;
    dm_status status = dmi_struct_load(host, file, &teacher_struct, &teacher);
    *fingerprint = teacher.fingerprint;
    return status;
}

dm_status dmi_checkpoint_restore(dm_trainer *trainer, const dmi_safetensors *file, bool changed) {
    dmi_host *host = &trainer->context->host;
    dmi_progress *progress = &trainer->progress;
    uint64_t per_step = 0;
    dm_status status = read_progress(host, file, progress, &per_step);
    if (!status && images_per_step(&trainer->options) != per_step) {
        progress->base_steps = progress->steps;
        progress->base_images = progress->images;
    }
    if (!status) status = check_dataset(host, file, trainer->batch.dataset, changed);
    if (!status) status = read_teacher(host, file, &trainer->distillation.fingerprint);
    return status ? status : dmi_checkpoint_read_tensors(host, file, trainer, changed);
}

/* ---- looking into a file ---- */

static int32_t emas_of(const dmi_safetensors *file) {
    char name[64];
    int32_t emas = 0;
    for (int32_t i = 0; i < DM_EMA_MAX; i++)
        if (dmi_unet_has_ema(file, i, name, sizeof name)) emas |= 1 << i;
    return emas;
}

static dm_status read_dataset(dmi_host *host, const dmi_safetensors *file,
                              dm_checkpoint_info *info) {
    dataset_state data;
    if (!dmi_safetensors_metadata(file, "dataset.count")) return DM_OK;
    dm_status status = dmi_struct_load(host, file, &dataset_struct, &data);
    info->dataset_count = data.count;
    info->dataset_fingerprint = data.fingerprint;
    return status;
}

static dm_status read_info(dmi_host *host, const dmi_safetensors *file, dm_checkpoint_info *info) {
    dm_unet_options options;
    int32_t null_class;
    dmi_progress progress;
    uint64_t per_step;
    dm_status status = dmi_format_check(host, file, false);
    if (!status) status = dmi_unet_read_metadata(host, file, &options, &null_class);
    if (status) return status;
    info->null_class = null_class == DMI_NULL_CLASS_TRAINED;
    info->format_version = dmi_format_version(file);
    if (!dmi_safetensors_metadata(file, "progress.steps")) return DM_OK;
    status = read_progress(host, file, &progress, &per_step);
    if (!status) status = read_dataset(host, file, info);
    if (status) return status;
    info->training = 1;
    info->step = progress.steps;
    info->images = progress.images;
    info->emas = emas_of(file);
    return DM_OK;
}

static dm_status load_info(dm_context *context, const char *path, dm_trainer_options *options,
                           dm_checkpoint_info *info) {
    dmi_host *host = &context->host;
    dmi_safetensors *file;
    dm_trainer_options o;
    dm_checkpoint_info i;
    if (!path) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "checkpoint: 'path' is NULL");
    dm_status status = dmi_safetensors_open(host, &file, path);
    if (status) return status;
    dmi_struct_defaults(&dmi_struct_checkpoint_info, &i);
    status = read_info(host, file, &i);
    if (!status && options) status = dmi_format_check(host, file, true);
    if (!status && options) status = dmi_struct_load(host, file, &dmi_struct_trainer_options, &o);
    dmi_safetensors_close(host, file);
    if (!status && options)
        status = dmi_struct_write_back(host, &dmi_struct_trainer_options, options, &o);
    if (!status && info)
        status = dmi_struct_write_back(host, &dmi_struct_checkpoint_info, info, &i);
    return status;
}

dm_status dm_checkpoint_info_init(dm_checkpoint_info *info, size_t size) {
    return dmi_struct_init(&dmi_struct_checkpoint_info, info, size);
}

dm_status dm_checkpoint_load_info(dm_context *context, const char *path,
                                  dm_trainer_options *options, dm_checkpoint_info *info) {
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, load_info(context, path, options, info));
}
