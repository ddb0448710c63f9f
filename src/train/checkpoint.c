/* Checkpoints: one safetensors file with the weights, their average and both moments as tensors,
 * and everything else as metadata. Random numbers and the order of the data follow from the seed
 * and the count of steps, so they need no saving. */
#include <float.h>
#include <string.h>

#include "train/trainer.h"

static const dmi_meta progress_table[] = {
    {"trainer.steps", DMI_META_U64, 1, offsetof(dmi_progress, steps)},
    {"trainer.applied", DMI_META_U64, 1, offsetof(dmi_progress, applied)},
    {"trainer.images", DMI_META_U64, 1, offsetof(dmi_progress, images)},
};
enum { PROGRESS_COUNT = sizeof progress_table / sizeof *progress_table };

/* Of the dataset, where there is one. */
static const dmi_meta count_table[] = {{"dataset.count", DMI_META_U64, 1, 0}};

/* A block laid out like the parameters, and what its tensors' names begin with. */
typedef struct named_block {
    const char *prefix;
    float *block; /* NULL: none is kept */
} named_block;

enum { BLOCK_COUNT = 3 + DMI_EMA_MAX };

/* The blocks of a trainer; the weights are to stand in `weights`. */
static void list_blocks(const dm_trainer *trainer, float *weights,
                        named_block blocks[BLOCK_COUNT]) {
    blocks[0] = (named_block){"", weights};
    blocks[1] = (named_block){"adam_m.", trainer->moment1};
    blocks[2] = (named_block){"adam_v.", trainer->moment2};
    for (int32_t i = 0; i < DMI_EMA_MAX; i++)
        blocks[3 + i] = (named_block){dmi_average_prefixes[i], trainer->averages[i]};
}

/* Tensors that are no network's: the losses that timesteps are drawn by. */
typedef struct loss_tensor {
    const char *name;
    int32_t rank;
    int64_t shape[2];
    size_t count;
    float *values;
} loss_tensor;

enum { LOSS_TENSORS = 2 };

/* False where none are kept. */
static bool list_losses(const dm_trainer *trainer, loss_tensor tensors[LOSS_TENSORS]) {
    const dmi_timesteps *t = &trainer->timesteps;
    int64_t steps = trainer->schedule->steps;
    tensors[0] = (loss_tensor){"timesteps.losses",
                               2,
                               {steps, DMI_LOSSES_KEPT},
                               (size_t)steps * DMI_LOSSES_KEPT,
                               t->losses};
    tensors[1] = (loss_tensor){"timesteps.counts", 1, {steps, 1}, (size_t)steps, t->counts};
    return t->losses != NULL;
}

/* ---- saving ---- */

static void fill_plain(const void *layout, const float *values, float *out, size_t count) {
    (void)layout;
    memcpy(out, values, count * sizeof *out);
}

static int32_t write_losses(dmi_host *host, dmi_safetensors_writer *writer,
                            const dm_trainer *trainer) {
    loss_tensor tensors[LOSS_TENSORS];
    int32_t status = DM_OK;
    bool kept = list_losses(trainer, tensors);
    for (size_t i = 0; kept && !status && i < LOSS_TENSORS; i++)
        status = dmi_safetensors_add(host, writer, tensors[i].name, tensors[i].rank,
                                     tensors[i].shape, fill_plain, NULL, tensors[i].values);
    return status;
}

static int32_t write_metadata(dmi_host *host, dmi_safetensors_writer *writer,
                              const dm_trainer *trainer) {
    const dm_dataset *dataset = trainer->batch.dataset;
    int32_t status = dmi_format_write(host, writer, dmi_format_checkpoint);
    if (!status) status = dmi_unet_write_options(host, writer, &trainer->unet->options);
    if (!status) status = dmi_schedule_write(host, writer, trainer->schedule);
    if (!status) status = dmi_trainer_write_options(host, writer, &trainer->options);
    if (!status)
        status = dmi_meta_write(host, writer, progress_table, PROGRESS_COUNT, &trainer->progress);
    if (!status && dataset) status = dmi_meta_write(host, writer, count_table, 1, &dataset->count);
    return status;
}

int32_t dm_trainer_save(const dm_trainer *trainer, const char *path) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &trainer->context->host;
    if (!path) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: 'path' is NULL");
    named_block blocks[BLOCK_COUNT];
    list_blocks(trainer, trainer->unet->params.data, blocks);
    dmi_safetensors_writer *writer;
    int32_t status = dmi_safetensors_begin(host, &writer);
    if (status) return status;
    status = write_metadata(host, writer, trainer);
    for (size_t i = 0; !status && i < BLOCK_COUNT; i++)
        if (blocks[i].block)
            status = dmi_unet_write_block(host, writer, trainer->unet, blocks[i].prefix,
                                          blocks[i].block);
    if (!status) status = write_losses(host, writer, trainer);
    if (!status) status = dmi_safetensors_write(host, writer, path);
    dmi_safetensors_free(host, writer);
    return status;
}

/* ---- resuming ---- */

/* The order of the data follows from the dataset's size, so another one would go on with another
 * run. */
static int32_t check_dataset(dmi_host *host, const dmi_safetensors *file,
                             const dm_dataset *dataset) {
    uint64_t count;
    if (!dataset || !dmi_safetensors_metadata(file, count_table[0].key)) return DM_OK;
    int32_t status = dmi_meta_read(host, file, count_table, 1, &count);
    if (status || count == dataset->count) return status;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                    "%s: it was trained on a dataset of %llu pictures; this one has %llu",
                    dmi_safetensors_from(file), (unsigned long long)count,
                    (unsigned long long)dataset->count);
}

static int32_t read_progress(dmi_host *host, const dmi_safetensors *file,
                             const dm_trainer_options *options, dmi_progress *out) {
    const char *from = dmi_safetensors_from(file);
    uint64_t images_a_step = (uint64_t)options->batch_size * (uint64_t)options->accumulation;
    *out = (dmi_progress){0};
    int32_t status = dmi_meta_read(host, file, progress_table, PROGRESS_COUNT, out);
    if (status) return status;
    const uint64_t positions = UINT64_C(1) << 56; /* what random numbers can be addressed by */
    if (out->steps <= positions / images_a_step && out->images == out->steps * images_a_step &&
        out->applied <= out->steps)
        return DM_OK;
    return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                    "%s: %llu steps, %llu of them applied, and %llu pictures do not go together at "
                    "%llu pictures a step",
                    from, (unsigned long long)out->steps, (unsigned long long)out->applied,
                    (unsigned long long)out->images, (unsigned long long)images_a_step);
}

static int32_t check_network(dmi_host *host, const dmi_safetensors *file, const dm_unet *unet) {
    dm_unet_options options;
    int32_t status = dmi_unet_read_options(host, file, &options);
    if (status) return status;
    const char *other = dmi_unet_options_difference(&options, &unet->options);
    if (!other) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                    "%s: the network differs in '%s' from the file's; dm_unet_load gives one with "
                    "all options the same",
                    dmi_safetensors_from(file), other);
}

/* Into a trainer just made. The weights wait in the gradients' block until nothing can fail any
 * more. */
static int32_t read_blocks(dmi_host *host, const dmi_safetensors *file, const dm_trainer *trainer) {
    named_block blocks[BLOCK_COUNT];
    list_blocks(trainer, trainer->unet->params.gradient, blocks);
    for (size_t i = 0; i < BLOCK_COUNT; i++) {
        if (!blocks[i].block) continue;
        int32_t status =
            dmi_unet_read_block(host, file, trainer->unet, blocks[i].prefix, blocks[i].block);
        if (status) return status;
    }
    return DM_OK;
}

static int32_t read_loss_tensor(dmi_host *host, const dmi_safetensors *file,
                                const loss_tensor *tensor) {
    const char *from = dmi_safetensors_from(file);
    const dmi_safetensors_entry *e = dmi_safetensors_find(file, tensor->name);
    if (!e)
        return dmi_fail(host, DM_ERROR_NOT_FOUND,
                        "%s: there is no tensor '%s', which 'timestep_sampling' 1 goes on from",
                        from, tensor->name);
    bool same = !strcmp(e->dtype, "F32") && e->rank == tensor->rank;
    for (int32_t k = 0; same && k < e->rank; k++) same = e->shape[k] == tensor->shape[k];
    if (!same)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "%s: tensor '%s' must be of floats, a row for each of %lld timesteps", from,
                        tensor->name, (long long)tensor->shape[0]);
    return dmi_safetensors_read(host, file, e, tensor->values);
}

/* Counts are array places later on, and losses make probabilities. */
static int32_t check_losses(dmi_host *host, const dmi_safetensors *file, const loss_tensor *losses,
                            const loss_tensor *counts) {
    for (size_t i = 0; i < counts->count; i++) {
        float count = counts->values[i];
        if (!(count >= 0 && count <= DMI_LOSSES_KEPT && count == (float)(int32_t)count))
            return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                            "%s: timestep %zu has %g losses; it must be 0 to %d",
                            dmi_safetensors_from(file), i, (double)count, (int)DMI_LOSSES_KEPT);
    }
    for (size_t i = 0; i < losses->count; i++)
        if (!(losses->values[i] >= 0 && losses->values[i] <= FLT_MAX))
            return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: a loss of timestep %zu is %g",
                            dmi_safetensors_from(file), i / DMI_LOSSES_KEPT,
                            (double)losses->values[i]);
    return DM_OK;
}

static int32_t read_losses(dmi_host *host, const dmi_safetensors *file, const dm_trainer *trainer) {
    loss_tensor tensors[LOSS_TENSORS];
    if (!list_losses(trainer, tensors)) return DM_OK;
    int32_t status = DM_OK;
    for (size_t i = 0; !status && i < LOSS_TENSORS; i++)
        status = read_loss_tensor(host, file, &tensors[i]);
    return status ? status : check_losses(host, file, &tensors[0], &tensors[1]);
}

/* The file's trainer without its graph; *out is NULL on failure. */
static int32_t read_trainer(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                            const dmi_safetensors *file) {
    dmi_host *host = &unet->context->host;
    dm_trainer_options options;
    dmi_progress progress;
    int32_t status = dmi_format_check(host, file, true);
    if (!status) status = dmi_trainer_read_options(host, file, &options);
    if (!status) status = read_progress(host, file, &options, &progress);
    if (!status) status = check_network(host, file, unet);
    if (status) return status;
    dm_schedule *schedule;
    status = dmi_schedule_read(&schedule, unet->context, file);
    if (status) return status;
    status = dmi_trainer_check_model(host, &unet->options, schedule, &options);
    if (status)
        status =
            dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: %s", dmi_safetensors_from(file), host->error);
    if (!status) status = dmi_trainer_new(out, unet, schedule, dataset, &options);
    dm_schedule_destroy(schedule);
    if (status) return status;
    (*out)->progress = progress;
    status = check_dataset(host, file, dataset);
    if (!status) status = read_blocks(host, file, *out);
    if (!status) status = read_losses(host, file, *out);
    if (!status) return DM_OK;
    dm_trainer_destroy(*out);
    *out = NULL;
    return status;
}

int32_t dm_trainer_resume(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                          const char *path) {
    if (out) *out = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &unet->context->host;
    if (!out || !path)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: '%s' is NULL",
                        out ? "path" : "out");
    dmi_safetensors *file;
    dm_trainer *trainer = NULL;
    int32_t status = dmi_safetensors_open(host, &file, path);
    if (status) return status;
    status = read_trainer(&trainer, unet, dataset, file);
    dmi_safetensors_close(
        host, file); /* before the graph takes its memory: both at once might pass the limit */
    if (!status) status = dmi_trainer_plan(trainer);
    if (status) {
        dm_trainer_destroy(trainer);
        return status;
    }
    memcpy(unet->params.data, unet->params.gradient, unet->params.floats * sizeof(float));
    unet->params.version++;
    *out = trainer;
    return DM_OK;
}
