/* A step of training (Ho et al. 2020, algorithm 1), and runs of many. Nothing here allocates. */
#include <math.h>

#include "base/profile.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "optim/rate.h"
#include "train/trainer.h"

enum { REFUSED_MOST = 10 };

/* ---- the weights ---- */

static double next_rate(const dm_trainer *trainer) {
    const dm_trainer_options *o = &trainer->options;
    dmi_rate rate = {.learning_rate = o->learning_rate,
                     .final_rate = o->final_rate,
                     .warmup_steps = o->warmup_steps,
                     .decay_steps = o->decay_steps,
                     .decay = o->decay};
    return dmi_rate_at(&rate, trainer->progress.steps + 1);
}

static uint64_t pictures_of_step(const dm_trainer_options *o) {
    return (uint64_t)o->batch_size * (uint64_t)o->accumulation;
}

/* The norm of what goes into the moments, at most: L2 adds to the clipped gradients. */
static double norm_of_moments(const dm_trainer *trainer, double norm) {
    const dm_trainer_options *o = &trainer->options;
    const dmi_params *params = &trainer->unet->params;
    double clipped = norm * dmi_clip_factor(norm, o->gradient_clip);
    if (o->optimizer != DM_OPTIMIZER_ADAM || o->weight_decay == 0) return clipped;
    return clipped + o->weight_decay * dmi_gradient_norm(trainer->context->host.pool,
                                                         trainer->context->kernels, params->data,
                                                         params->floats, trainer->sums);
}

/* Averages that are kept. */
static size_t averages_of(const dm_trainer *trainer) {
    size_t count = 0;
    for (int32_t i = 0; i < DMI_EMA_MAX; i++) count += trainer->averages[i] != NULL;
    return count;
}

static void update_weights(dm_trainer *trainer, double learning_rate, double norm) {
    const dm_trainer_options *o = &trainer->options;
    dmi_params *params = &trainer->unet->params;
    dmi_adamw_blocks blocks = {
        .weights = params->data,
        .moment1 = trainer->moment1,
        .moment2 = trainer->moment2,
        .gradient = params->gradient,
        .floats = params->floats,
    };
    dmi_adamw_settings settings = {
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .eps = o->adam_eps,
        .weight_decay = o->weight_decay,
        .l2 = o->optimizer == DM_OPTIMIZER_ADAM,
    };
    trainer->progress.applied++;
    for (int32_t i = 0; i < DMI_EMA_MAX; i++) {
        dmi_ema average;
        if (!dmi_trainer_average(o, i, &average)) continue;
        blocks.emas[i] = trainer->averages[i];
        blocks.ema_weights[i] =
            (float)dmi_ema_weight(&average, trainer->progress.applied, pictures_of_step(o),
                                     trainer->progress.images);
    }
    dmi_adamw step = dmi_adamw_at(&settings, trainer->progress.applied, learning_rate,
                                  dmi_clip_factor(norm, o->gradient_clip));
    dmi_adamw_step(trainer->context->host.pool, trainer->context->kernels, &blocks, &step);
    params->version++;
}

/* The losses of a step that was not refused, of which timesteps are drawn from now on. */
static void keep_losses(dm_trainer *trainer) {
    const dm_trainer_options *o = &trainer->options;
    size_t count = (size_t)pictures_of_step(o);
    for (size_t i = 0; trainer->noted && i < count; i++)
        dmi_timesteps_note(&trainer->timesteps, trainer->noted[i].timestep, trainer->noted[i].loss);
}

static double epoch_of(const dm_trainer *trainer) {
    const dm_dataset *dataset = trainer->batch.dataset;
    return dataset ? (double)trainer->progress.images / (double)dataset->count : 0;
}

/* One step. Where its data cannot be had it is as if it had never begun; where its result is not
 * finite, or too large for the moments, it is counted but changes no weight. */
static int32_t run_step(dm_trainer *trainer, const dm_train_batch *given, dm_train_stats *stats) {
    dmi_host *host = &trainer->context->host;
    const dmi_params *params = &trainer->unet->params;
    double start = dmi_seconds(), loss, learning_rate = next_rate(trainer);
    int32_t status = dmi_trainer_gradients(trainer, given, &loss);
    if (status) return status;
    dmi_profile_start(host->profile);
    double norm = dmi_gradient_norm(host->pool, trainer->context->kernels, params->gradient,
                                    params->floats, trainer->sums);
    bool refused = !isfinite(loss) || !dmi_adamw_takes(norm_of_moments(trainer, norm));
    dmi_trainer_lap(trainer, "gradient norm", 1, params->floats);
    if (!refused) {
        update_weights(trainer, learning_rate, norm);
        keep_losses(trainer);
        dmi_trainer_lap(trainer, "adamw", 7 + 2 * averages_of(trainer), params->floats);
    }
    trainer->progress.steps++;
    trainer->progress.images += pictures_of_step(&trainer->options);
    *stats = (dm_train_stats){
        .struct_size = sizeof *stats,
        .refused = refused,
        .step = trainer->progress.steps,
        .images = trainer->progress.images,
        .epoch = epoch_of(trainer),
        .loss = loss,
        .gradient_norm = norm,
        .learning_rate = learning_rate,
        .seconds = dmi_seconds() - start,
    };
    if (!refused) return DM_OK;
    return dmi_fail(host, DM_ERROR_NOT_FINITE,
                    "trainer: step %llu was refused: its loss is %g, the norm of its gradients %g",
                    (unsigned long long)stats->step, loss, norm);
}

/* ---- cancelling ---- */

static int32_t check_cancelled(const dm_trainer *trainer) {
    if (!atomic_load(&trainer->cancelled)) return DM_OK;
    return dmi_fail(&trainer->context->host, DM_ERROR_CANCELLED,
                    "trainer: cancelled after step %llu",
                    (unsigned long long)trainer->progress.steps);
}

/* A cancel stands until a call has told of it. */
static int32_t end_call(dm_trainer *trainer, int32_t status) {
    if (status == DM_ERROR_CANCELLED) atomic_store(&trainer->cancelled, 0);
    return status;
}

/* ---- single steps ---- */

static int32_t write_stats(dmi_host *host, dm_train_stats *stats, const dm_train_stats *full) {
    if (!stats) return DM_OK;
    return dmi_options_write(host, stats, stats->struct_size, full, sizeof *full, "dm_train_stats");
}

/* A step whose stats the caller gets, zeroed where it fails. A struct_size that was never set is
 * found before. */
static int32_t step_with_stats(dm_trainer *trainer, const dm_train_batch *given,
                               dm_train_stats *stats) {
    dmi_host *host = &trainer->context->host;
    dm_train_stats full = {0};
    int32_t status = write_stats(host, stats, &full);
    if (!status) status = check_cancelled(trainer);
    if (status) return status;
    status = run_step(trainer, given, &full);
    write_stats(host, stats, &full);
    return status;
}

static int32_t check_dataset(const dm_trainer *trainer) {
    if (trainer->batch.dataset) return DM_OK;
    return dmi_fail(
        &trainer->context->host, DM_ERROR_WRONG_STATE,
        "trainer: it was made without a dataset; only dm_trainer_step_batch can be used");
}

int32_t dm_trainer_step(dm_trainer *trainer, dm_train_stats *stats) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    int32_t status = check_dataset(trainer);
    if (!status) status = step_with_stats(trainer, NULL, stats);
    return end_call(trainer, status);
}

static int32_t check_values(dmi_host *host, const char *name, const int32_t *values, uint64_t count,
                            int32_t least, int32_t most) {
    for (uint64_t i = 0; values && i < count; i++)
        if (values[i] < least || values[i] > most)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "dm_train_batch: %s %llu is %d; it must be from %d to %d", name,
                            (unsigned long long)i, (int)values[i], (int)least, (int)most);
    return DM_OK;
}

static int32_t check_batch(const dm_trainer *trainer, const dm_train_batch *batch) {
    dmi_host *host = &trainer->context->host;
    const dm_trainer_options *o = &trainer->options;
    uint64_t count = (uint64_t)o->batch_size * (uint64_t)o->accumulation;
    if (batch->reserved != 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "dm_train_batch: 'reserved' is %d; it must be 0", (int)batch->reserved);
    if (batch->count != count)
        return dmi_fail(
            host, DM_ERROR_SHAPE_MISMATCH,
            "dm_train_batch: 'count' is %llu; it must be batch_size * accumulation = %llu",
            (unsigned long long)batch->count, (unsigned long long)count);
    if (!batch->images)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dm_train_batch: 'images' is NULL");
    if (batch->labels && trainer->batch.classes == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "dm_train_batch: 'labels' are given, but the network has no classes");
    int32_t status = check_values(host, "label", batch->labels, count, -1, trainer->batch.classes);
    if (status) return status;
    return check_values(host, "timestep", batch->timesteps, count, 0, trainer->schedule->steps - 1);
}

int32_t dm_trainer_step_batch(dm_trainer *trainer, const dm_train_batch *batch,
                              dm_train_stats *stats) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &trainer->context->host;
    if (!batch) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: 'batch' is NULL");
    dm_train_batch full = {.struct_size = sizeof full};
    int32_t status = dmi_options_read(host, &full, sizeof full, batch, "dm_train_batch");
    if (!status) status = check_batch(trainer, &full);
    if (!status) status = step_with_stats(trainer, &full, stats);
    return end_call(trainer, status);
}

/* ---- runs ---- */

/* One step of a run and its report. *refused counts the refused ones in a row. */
static int32_t step_of_run(dm_trainer *trainer, dm_train_callback callback, void *user,
                           int32_t *refused) {
    dmi_host *host = &trainer->context->host;
    dm_train_stats stats = {0};
    int32_t status = run_step(trainer, NULL, &stats);
    if (status && status != DM_ERROR_NOT_FINITE) return status;
    *refused = stats.refused ? *refused + 1 : 0;
    int32_t answer = callback ? callback(user, &stats) : 0;
    if (answer)
        return dmi_fail(host, DM_ERROR_CANCELLED,
                        "trainer: the callback answered %d after step %llu", (int)answer,
                        (unsigned long long)stats.step);
    if (*refused < REFUSED_MOST) return DM_OK;
    return dmi_fail(host, DM_ERROR_NOT_FINITE,
                    "trainer: %d steps in a row were refused; the last is step %llu: its loss is "
                    "%g, the norm of its "
                    "gradients %g. A lower 'learning_rate' often helps",
                    (int)*refused, (unsigned long long)stats.step, stats.loss, stats.gradient_norm);
}

int32_t dm_trainer_run(dm_trainer *trainer, uint64_t steps, dm_train_callback callback,
                       void *user) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    int32_t status = check_dataset(trainer), refused = 0;
    if (!status && trainer->progress.steps < steps) status = check_cancelled(trainer);
    while (!status && trainer->progress.steps < steps) {
        status = step_of_run(trainer, callback, user, &refused);
        if (!status) status = check_cancelled(trainer);
    }
    return end_call(trainer, status);
}

void dm_trainer_cancel(dm_trainer *trainer) {
    if (trainer) atomic_store(&trainer->cancelled, 1);
}
