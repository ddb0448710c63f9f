/* The trainer: its life, and what can be asked of it between steps. */
#include "train/trainer.h"

#include <string.h>

#include "core/options.h"
#include "optim/partition.h"

/* ---- making ---- */

static int32_t check_parts(const dm_unet *unet, const dm_dataset *dataset,
                           const dm_trainer_options *o) {
    dmi_host *host = &unet->context->host;
    const dm_unet_options *u = &unet->options;
    if (unet->trained)
        return dmi_fail(host, DM_ERROR_WRONG_STATE, "trainer: the network has a trainer already");
    if (u->in_channels != u->out_channels)
        return dmi_fail(
            host, DM_ERROR_SHAPE_MISMATCH,
            "trainer: the network has %d channels in and %d out; training needs as many out as in",
            (int)u->in_channels, (int)u->out_channels);
    if (!dataset) return DM_OK;
    if (dataset->context != unet->context)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: the dataset is of another context than the network");
    if (u->classes && o->use_labels && dataset->classes > u->classes)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: the dataset has %d classes, the network %d",
                        (int)dataset->classes, (int)u->classes);
    /* What a program's own reader will give is not known before. */
    if (o->label_dropout > 0 && dataset->concurrent && dataset->classes == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: 'label_dropout' %g and the dataset don't go together: its "
                        "pictures have no labels",
                        o->label_dropout);
    if (dataset->height == u->height && dataset->width == u->width &&
        dataset->channels == u->in_channels)
        return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                    "trainer: the dataset's pictures are %d x %d x %d, the network's %d x %d x %d",
                    (int)dataset->height, (int)dataset->width, (int)dataset->channels,
                    (int)u->height, (int)u->width, (int)u->in_channels);
}

static int32_t create_batch(dm_trainer *trainer, const dm_dataset *dataset) {
    const dm_unet_options *u = &trainer->unet->options;
    const dm_trainer_options *o = &trainer->options;
    trainer->batch = (dmi_batch){
        .context = trainer->context,
        .timesteps = &trainer->timesteps,
        .dataset = dataset,
        .seed = o->seed,
        .count = o->batch_size,
        .height = u->height,
        .width = u->width,
        .channels = u->in_channels,
        .prediction = u->prediction,
        .sigma_data = (double)u->sigma_data,
        .classes = u->classes,
        .flip = o->flip,
        .use_labels = o->use_labels && u->classes > 0,
        .self_conditioning = u->self_conditioning,
        .crop_padding = o->crop_padding,
        .label_dropout = o->label_dropout,
    };
    return dmi_batch_create(&trainer->batch);
}

static int32_t create_timesteps(dm_trainer *trainer) {
    const dm_trainer_options *o = &trainer->options;
    bool log_normal = o->timestep_sampling == DM_TIMESTEPS_LOG_NORMAL;
    trainer->timesteps = (dmi_timesteps){
        .context = trainer->context,
        .schedule = trainer->schedule,
        .sampling = o->timestep_sampling,
        .seed = o->seed,
        .mean = log_normal ? o->log_sigma_mean : o->logit_mean,
        .deviation = log_normal ? o->log_sigma_std : o->logit_std,
    };
    int32_t status = dmi_timesteps_create(&trainer->timesteps);
    if (status || o->timestep_sampling != DM_TIMESTEPS_LOSS_AWARE) return status;
    return dmi_alloc_array(&trainer->context->host, &trainer->noted,
                           (size_t)o->batch_size * (size_t)o->accumulation, sizeof(dmi_noted),
                           "trainer: losses of a step");
}

/* Blocks of the optimiser, laid out like the parameters. */
static int32_t allocate_blocks(dm_trainer *trainer) {
    dmi_host *host = &trainer->context->host;
    const dmi_params *params = &trainer->unet->params;
    size_t floats = params->floats, chunks = (size_t)dmi_flat_tile_count(floats),
           pictures = (size_t)trainer->options.batch_size;
    int32_t status =
        dmi_alloc_zero(host, &trainer->moment1, floats, sizeof(float), "trainer: first moments");
    if (!status)
        status = dmi_alloc_zero(host, &trainer->moment2, floats, sizeof(float),
                                "trainer: second moments");
    if (!status)
        status = dmi_alloc_array(host, &trainer->sums, chunks > pictures ? chunks : pictures,
                                 sizeof(double), "trainer: partial sums");
    if (!status)
        status = dmi_alloc_array(host, &trainer->terms, pictures, sizeof(dmi_loss_term),
                                 "trainer: weights of losses");
    for (int32_t i = 0; !status && i < DMI_EMA_MAX; i++) {
        dmi_ema average;
        if (!dmi_trainer_average(&trainer->options, i, &average)) continue;
        status = dmi_alloc_array(host, &trainer->averages[i], floats, sizeof(float),
                                 "trainer: average of the weights");
        if (!status) memcpy(trainer->averages[i], params->data, floats * sizeof(float));
    }
    return status;
}

int32_t dmi_trainer_new(dm_trainer **out, dm_unet *unet, const dm_schedule *schedule,
                        const dm_dataset *dataset, const dm_trainer_options *options) {
    dmi_host *host = &unet->context->host;
    int32_t status = check_parts(unet, dataset, options);
    if (status) return status;
    dm_trainer *trainer;
    *out = NULL;
    status = dmi_alloc_zero(host, &trainer, 1, sizeof *trainer, "trainer");
    if (status) return status;
    trainer->context = unet->context;
    trainer->unet = unet;
    trainer->options = *options;
    atomic_init(&trainer->cancelled, 0);
    unet->trained = true;
    status = dmi_schedule_copy(&trainer->schedule, unet->context, schedule);
    if (!status) status = dmi_params_allocate_gradient(host, &unet->params);
    if (!status) status = allocate_blocks(trainer);
    if (!status) status = create_timesteps(trainer);
    if (!status) status = create_batch(trainer, dataset);
    if (status) {
        dm_trainer_destroy(trainer);
        return status;
    }
    *out = trainer;
    return DM_OK;
}

int32_t dmi_trainer_plan(dm_trainer *trainer) {
    return dmi_unet_graph_create(trainer->unet, &trainer->train, trainer->options.batch_size, true,
                                 trainer->options.recompute);
}

int32_t dm_trainer_create(dm_trainer **out, dm_unet *unet, const dm_schedule *schedule,
                          const dm_dataset *dataset, const dm_trainer_options *options) {
    if (out) *out = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &unet->context->host;
    if (!out || !schedule)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: '%s' is NULL",
                        out ? "schedule" : "out");
    dm_trainer_options full = dmi_trainer_default_options();
    int32_t status = dmi_options_read(host, &full, sizeof full, options, "dm_trainer_options");
    if (!status) status = dmi_trainer_check_options(host, &full);
    if (!status) status = dmi_trainer_check_model(host, &unet->options, schedule, &full);
    dm_trainer *trainer = NULL;
    if (!status) status = dmi_trainer_new(&trainer, unet, schedule, dataset, &full);
    if (!status) status = dmi_trainer_plan(trainer);
    if (status) {
        dm_trainer_destroy(trainer);
        return status;
    }
    *out = trainer;
    return DM_OK;
}

void dm_trainer_destroy(dm_trainer *trainer) {
    if (!trainer) return;
    dmi_host *host = &trainer->context->host;
    dmi_unet_graph_destroy(&trainer->train);
    dmi_batch_destroy(&trainer->batch);
    for (int32_t i = 0; i < DMI_EMA_MAX; i++) dmi_free(host, trainer->averages[i]);
    dmi_free(host, trainer->noted);
    dmi_timesteps_destroy(&trainer->timesteps);
    dmi_free(host, trainer->terms);
    dmi_free(host, trainer->sums);
    dmi_free(host, trainer->moment2);
    dmi_free(host, trainer->moment1);
    dmi_params_free_gradient(host, &trainer->unet->params);
    dm_schedule_destroy(trainer->schedule);
    trainer->unet->trained = false;
    dmi_free(host, trainer);
}

/* ---- between steps ---- */

int32_t dm_trainer_get_options(const dm_trainer *trainer, dm_trainer_options *options,
                               size_t size) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    return dmi_options_write(&trainer->context->host, options, size, &trainer->options,
                             sizeof trainer->options, "dm_trainer_options");
}

uint64_t dm_trainer_steps_done(const dm_trainer *trainer) {
    return trainer ? trainer->progress.steps : 0;
}

int32_t dm_trainer_set_learning_rate(dm_trainer *trainer, double learning_rate) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    dm_trainer_options changed = trainer->options;
    changed.learning_rate = learning_rate;
    int32_t status = dmi_trainer_check_options(&trainer->context->host, &changed);
    if (!status) trainer->options = changed;
    return status;
}

int32_t dm_trainer_get_average_at(const dm_trainer *trainer, int32_t index, dm_unet *target) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &trainer->context->host;
    int32_t status = dmi_check_range(host, "trainer", "index", index, 0, DMI_EMA_MAX - 1);
    if (status) return status;
    if (!target) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: 'target' is NULL");
    if (target == trainer->unet)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: 'target' is the network that it trains; give it another");
    if (!trainer->averages[index] && index == 0)
        return dmi_fail(
            host, DM_ERROR_WRONG_STATE,
            "trainer: 'average_decay' is 0 and 'average_half_life' too, so no average is kept");
    if (!trainer->averages[index])
        return dmi_fail(host, DM_ERROR_WRONG_STATE,
                        "trainer: 'more_decays[%d]' is 0 and 'more_half_lives[%d]' too, so there "
                        "is no average %d",
                        (int)index - 1, (int)index - 1, (int)index);
    const char *other = dmi_unet_options_difference(&trainer->unet->options, &target->options);
    if (other)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "trainer: 'target' differs in '%s' from the network that is trained; all "
                        "options must be the same",
                        other);
    memcpy(target->params.data, trainer->averages[index], target->params.floats * sizeof(float));
    target->params.version++;
    return DM_OK;
}

int32_t dm_trainer_get_average(const dm_trainer *trainer, dm_unet *target) {
    return dm_trainer_get_average_at(trainer, 0, target);
}
