/* SPDX-License-Identifier: MIT */
/* One training step (Ho et al. 2020, algorithm 1). Nothing here allocates. */
#include <math.h>

#include "base/profile.h"
#include "base/system.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "optim/rate.h"
#include "train/trainer.h"

_Static_assert((int)DMI_DECAY_NONE == DM_RATE_CONSTANT && (int)DMI_DECAY_LINEAR == DM_RATE_LINEAR &&
                   (int)DMI_DECAY_COSINE == DM_RATE_COSINE,
               "the optimizer's values differ from the public ones");

static double next_rate(const dm_trainer *trainer) {
    const dm_trainer_options *o = &trainer->options;
    dmi_rate rate = {.learning_rate = o->learning_rate,
                     .final_rate = o->learning_rate_end_fraction,
                     .warmup_steps = o->warmup_steps,
                     .decay_steps = o->learning_rate_end_step,
                     .decay = o->learning_rate_schedule};
    return dmi_rate_at(&rate, trainer->progress.steps + 1);
}

static uint64_t images_of_step(const dm_trainer_options *o) {
    return (uint64_t)o->batch_size * (uint64_t)o->accumulation;
}

/* An upper bound of the norm of what the moments accumulate: L2 decay adds to the clipped
 * gradient. */
static double norm_for_moments(const dm_trainer *trainer, double norm) {
    const dm_trainer_options *o = &trainer->options;
    const dmi_params *params = &trainer->unet->weights->params;
    double clipped = norm * dmi_clip_factor(norm, o->gradient_clip);
    if (o->optimizer != DM_OPTIMIZER_ADAM || o->weight_decay == 0) return clipped;
    return clipped + o->weight_decay * dmi_flat_norm(trainer->context->host.pool,
                                                     trainer->context->kernels, params->data,
                                                     params->trained_floats, trainer->partial_sums);
}

static size_t ema_count(const dm_trainer *trainer) {
    size_t count = 0;
    for (int32_t i = 0; i < DM_EMA_MAX; i++) count += trainer->ema[i] != NULL;
    return count;
}

static void update_weights(dm_trainer *trainer, double learning_rate, double norm) {
    const dm_trainer_options *o = &trainer->options;
    dmi_params *params = &trainer->unet->weights->params;
    dmi_adamw_blocks blocks = {
        .weights = params->data,
        .moment1 = trainer->moment1,
        .moment2 = trainer->moment2,
        .gradient = params->gradient,
        .floats = params->trained_floats,
    };
    dmi_adamw_settings settings = {
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .eps = o->adam_eps,
        .weight_decay = o->weight_decay,
        .l2 = o->optimizer == DM_OPTIMIZER_ADAM,
    };
    trainer->progress.applied++; /* Adam's own count: dmi_trainer_step counts skipped steps too */
    for (int32_t i = 0; i < DM_EMA_MAX; i++) {
        dmi_ema ema;
        if (!dmi_trainer_ema(o, i, &ema)) continue;
        blocks.emas[i] = trainer->ema[i];
        /* progress.images does not include this step's images yet. */
        blocks.ema_weights[i] = (float)dmi_ema_weight(&ema, trainer->progress.applied,
                                                      images_of_step(o), trainer->progress.images);
    }
    dmi_adamw adamw = dmi_adamw_at(&settings, trainer->progress.applied, learning_rate,
                                   dmi_clip_factor(norm, o->gradient_clip));
    dmi_adamw_step(trainer->context->host.pool, trainer->context->kernels, &blocks, &adamw);
    params->version++;
}

/* Loss-aware sampling uses the losses from the next step on. */
static void keep_losses(dm_trainer *trainer) {
    size_t count = (size_t)images_of_step(&trainer->options);
    for (size_t i = 0; trainer->recorded && i < count; i++)
        dmi_timesteps_record(&trainer->timesteps, trainer->recorded[i].timestep,
                             trainer->recorded[i].loss);
}

static void update_null_class(dm_trainer *trainer) {
    dm_unet *unet = trainer->unet;
    const dm_unet_options *o = &unet->options;
    bool class = dmi_unet_can_leave_class(o), condition = dmi_unet_has_condition(o);
    if (!class && !condition) return;
    bool dropped =
        (!class || trainer->options.label_dropout > 0 || trainer->has_unlabelled) &&
        (!condition || trainer->options.condition_dropout > 0 || trainer->has_unconditioned);
    if (dropped) unet->null_class = DMI_NULL_CLASS_TRAINED;
    else if (unet->null_class == DMI_NULL_CLASS_UNKNOWN)
        unet->null_class = DMI_NULL_CLASS_UNTRAINED;
}

static double epoch_of(const dm_trainer *trainer) {
    const dm_dataset *dataset = trainer->batch.dataset;
    return dataset ? (double)trainer->progress.images / (double)dataset->count : 0;
}

dm_status dmi_trainer_step(dm_trainer *trainer, const dm_train_batch *given,
                           dm_train_stats *stats) {
    dmi_host *host = &trainer->context->host;
    const dmi_params *params = &trainer->unet->weights->params;
    double start = dmi_seconds(), loss, learning_rate = next_rate(trainer);
    dm_status status = dmi_trainer_gradients(trainer, given, &loss);
    if (status) return status;
    dmi_profile_start(host->profile);
    double norm = dmi_flat_norm(host->pool, trainer->context->kernels, params->gradient,
                                params->trained_floats, trainer->partial_sums);
    bool skipped = !isfinite(loss) || !dmi_adamw_accepts_norm(norm_for_moments(trainer, norm));
    dmi_trainer_span(trainer, "gradient norm", 1, params->trained_floats); /* reads the gradient */
    if (!skipped) {
        update_weights(trainer, learning_rate, norm);
        keep_losses(trainer);
        update_null_class(trainer);
        /* The gradient is read; weights, both moments and the EMAs are read and written. */
        dmi_trainer_span(trainer, "adamw", 7 + 2 * ema_count(trainer), params->trained_floats);
    }
    trainer->progress.steps++;
    trainer->progress.images += images_of_step(&trainer->options);
    *stats = (dm_train_stats){
        .struct_size = sizeof *stats,
        .skipped = skipped,
        .step = trainer->progress.steps,
        .images = trainer->progress.images,
        .epoch = epoch_of(trainer),
        .loss = loss,
        .gradient_norm = norm,
        .learning_rate = learning_rate,
        .seconds = dmi_seconds() - start,
    };
    for (int q = 0; q < 4; q++) {
        stats->quarter_images[q] = trainer->quarters.images[q];
        stats->quarter_loss[q] = trainer->quarters.images[q]
                                     ? trainer->quarters.loss[q] / trainer->quarters.images[q]
                                     : 0;
    }
    if (!skipped) return DM_OK;
    return dmi_fail(host, DM_ERROR_NOT_FINITE,
                    "trainer: step %llu was skipped: its loss is %g, the norm of its gradient %g",
                    (unsigned long long)stats->step, loss, norm);
}
