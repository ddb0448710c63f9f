/* SPDX-License-Identifier: MIT */
/* See checkpoint.h. */
#include <float.h>
#include <string.h>

#include "train/checkpoint.h"

/* A block laid out like the parameters, and what its tensors' names begin with. */
typedef struct named_block {
    const char *prefix;
    float *block; /* NULL: not kept */
    bool not_negative;
} named_block;

enum { EMA_BLOCK = 3, BLOCK_COUNT = EMA_BLOCK + DM_EMA_MAX };

/* The blocks of a trainer, with `weights` for the weights. */
static void list_blocks(const dm_trainer *trainer, float *weights,
                        named_block blocks[BLOCK_COUNT]) {
    blocks[0] = (named_block){"", weights, false};
    blocks[1] = (named_block){"adam_m.", trainer->moment1, false};
    blocks[2] = (named_block){"adam_v.", trainer->moment2, true};
    for (int32_t i = 0; i < DM_EMA_MAX; i++)
        blocks[EMA_BLOCK + i] = (named_block){dmi_ema_prefixes[i], trainer->ema[i], false};
}

/* The tensors of loss-aware sampling. */
typedef struct loss_tensor {
    const char *name;
    int32_t rank;
    int64_t shape[2];
    size_t count;
    float *values;
} loss_tensor;

enum { LOSS_TENSORS = 2 };

/* False: no losses are recorded. */
static bool list_losses(const dm_trainer *trainer, loss_tensor tensors[LOSS_TENSORS]) {
    const dmi_timesteps *t = &trainer->timesteps;
    int64_t steps = trainer->schedule->steps;
    tensors[0] = (loss_tensor){"timesteps.losses",
                               2,
                               {steps, DMI_RECORDED_LOSSES},
                               (size_t)steps * DMI_RECORDED_LOSSES,
                               t->losses};
    tensors[1] = (loss_tensor){"timesteps.counts", 1, {steps, 1}, (size_t)steps, t->counts};
    return t->losses != NULL;
}

/* ---- writing ---- */

dm_status dmi_checkpoint_check_finite(const dm_trainer *trainer) {
    named_block blocks[BLOCK_COUNT];
    dm_status status = DM_OK;
    list_blocks(trainer, trainer->unet->weights->params.data, blocks);
    for (size_t i = 0; !status && i < BLOCK_COUNT; i++)
        if (blocks[i].block)
            status =
                dmi_unet_check_finite(trainer->unet, "trainer", blocks[i].prefix, blocks[i].block);
    return status;
}

static void fill_as_stored(const void *layout, const float *values, float *out, size_t count) {
    (void)layout;
    memcpy(out, values, count * sizeof *out);
}

dm_status dmi_checkpoint_write_tensors(dmi_host *host, dmi_safetensors_writer *writer,
                                       const dm_trainer *trainer) {
    named_block blocks[BLOCK_COUNT];
    loss_tensor losses[LOSS_TENSORS];
    dm_status status = DM_OK;
    list_blocks(trainer, trainer->unet->weights->params.data, blocks);
    for (size_t i = 0; !status && i < BLOCK_COUNT; i++)
        if (blocks[i].block)
            status = dmi_unet_write_block(host, writer, trainer->unet, blocks[i].prefix,
                                          blocks[i].block);
    bool recorded = list_losses(trainer, losses);
    for (size_t i = 0; !status && recorded && i < LOSS_TENSORS; i++)
        status = dmi_safetensors_add(host, writer, losses[i].name, losses[i].rank, losses[i].shape,
                                     fill_as_stored, NULL, losses[i].values);
    return status;
}

/* ---- reading ---- */

static dm_status read_loss_tensor(dmi_host *host, const dmi_safetensors *file,
                                  const loss_tensor *tensor) {
    const char *from = dmi_safetensors_from(file);
    const dmi_safetensors_entry *e = dmi_safetensors_find(file, tensor->name);
    if (!e)
        return dmi_fail(host, DM_ERROR_NOT_FOUND,
                        "%s: there is no tensor '%s', which 'timestep_sampling' loss_aware needs",
                        from, tensor->name);
    bool same = !strcmp(e->dtype, "F32") && e->rank == tensor->rank;
    for (int32_t k = 0; same && k < e->rank; k++) same = e->shape[k] == tensor->shape[k];
    if (!same)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "%s: tensor '%s' must be of type F32, with a row for each of %lld "
                        "timesteps",
                        from, tensor->name, (long long)tensor->shape[0]);
    return dmi_safetensors_read(host, file, e, tensor->values);
}

/* Counts become indices of arrays, and losses become probabilities. */
static dm_status check_losses(dmi_host *host, const dmi_safetensors *file,
                              const loss_tensor *losses, const loss_tensor *counts) {
    for (size_t i = 0; i < counts->count; i++) {
        float count = counts->values[i];
        if (!(count >= 0 && count <= DMI_RECORDED_LOSSES && count == (float)(int32_t)count))
            return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                            "%s: timestep %zu has %g recorded losses; it must be 0 to %d",
                            dmi_safetensors_from(file), i, (double)count, DMI_RECORDED_LOSSES);
    }
    for (size_t i = 0; i < losses->count; i++)
        if (!(losses->values[i] >= 0 && losses->values[i] <= FLT_MAX))
            return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: a recorded loss of timestep %zu is %g",
                            dmi_safetensors_from(file), i / DMI_RECORDED_LOSSES,
                            (double)losses->values[i]);
    return DM_OK;
}

/* Whether the file, of a run with other options, has no such EMA: it begins as the weights. */
static bool begins_as_weights(const dmi_safetensors *file, int32_t ema) {
    char name[64];
    return ema >= 0 && !dmi_unet_has_ema(file, ema, name, sizeof name);
}

/* Losses that were recorded for other timesteps, or not at all, begin anew. */
static bool has_losses(const dmi_safetensors *file, const loss_tensor losses[LOSS_TENSORS]) {
    for (size_t i = 0; i < LOSS_TENSORS; i++)
        if (!dmi_safetensors_find(file, losses[i].name)) return false;
    return true;
}

dm_status dmi_checkpoint_read_tensors(dmi_host *host, const dmi_safetensors *file,
                                      const dm_trainer *trainer, bool changed) {
    named_block blocks[BLOCK_COUNT];
    loss_tensor losses[LOSS_TENSORS];
    dm_status status = DM_OK;
    /* Weights go to the gradient's block, so that the network stays as it is if reading fails. */
    list_blocks(trainer, trainer->unet->weights->params.gradient, blocks);
    for (size_t i = 0; !status && i < BLOCK_COUNT; i++) {
        const named_block *b = &blocks[i];
        if (i && !b->block) continue; /* all but the weights may be missing */
        if (changed && begins_as_weights(file, (int32_t)i - EMA_BLOCK)) {
            memcpy(b->block, blocks[0].block,
                   trainer->unet->weights->params.floats * sizeof(float));
            continue;
        }
        status = dmi_unet_check_block(host, file, trainer->unet, b->prefix);
        if (!status)
            status = dmi_unet_read_block(host, file, trainer->unet, b->prefix, b->block,
                                         b->not_negative);
    }
    if (status || !list_losses(trainer, losses)) return status;
    if (changed && !has_losses(file, losses)) return DM_OK;
    for (size_t i = 0; !status && i < LOSS_TENSORS; i++)
        status = read_loss_tensor(host, file, &losses[i]);
    return status ? status : check_losses(host, file, &losses[0], &losses[1]);
}
