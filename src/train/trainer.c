/* SPDX-License-Identifier: MIT */
/* Creation and destruction of a trainer, and what can be done between steps. */
#include "train/distill.h"

#include <string.h>

#include "optim/partition.h"

/* ---- create ---- */

static dm_status check_conditions(const dm_unet *unet, const dm_dataset *dataset,
                                  const dm_trainer_options *o) {
    const dm_unet_options *u = &unet->options;
    dm_status status =
        dmi_dataset_check_conditions(dataset, "trainer", u->condition_channels, u->condition_size);
    if (status || !u->condition_size || dataset->vector_invariant) return status;
    if (!o->flip && !o->crop_padding) return DM_OK;
    return dmi_fail(
        &unet->context->host, DM_ERROR_INVALID_ARGUMENT,
        "trainer: '%s' %d cannot be combined with the dataset, whose 'vector_invariant' "
        "is 0: its condition vectors may say where something is in the image",
        o->flip ? "flip" : "crop_padding", (int)(o->flip ? o->flip : o->crop_padding));
}

static dm_status check_dataset(const dm_unet *unet, const dm_dataset *dataset,
                               const dm_trainer_options *o) {
    dmi_host *host = &unet->context->host;
    const dm_unet_options *u = &unet->options;
    if (dataset->context != unet->context)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: the dataset must be of the network's context");
    if (u->classes && o->use_labels && dataset->classes > u->classes)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: the dataset has %d classes, the network %d",
                        (int)dataset->classes, (int)u->classes);
    /* A callback may give labels although it announced no classes. */
    if (o->label_dropout > 0 && dataset->concurrent && dataset->classes == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: 'label_dropout' %g cannot be combined with the dataset: its "
                        "images have no labels",
                        o->label_dropout);
    if (dataset->height == u->height && dataset->width == u->width &&
        dataset->channels == u->in_channels)
        return check_conditions(unet, dataset, o);
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                    "trainer: the dataset's images are %d x %d x %d, the network's %d x %d x %d",
                    (int)dataset->height, (int)dataset->width, (int)dataset->channels,
                    (int)u->height, (int)u->width, (int)u->in_channels);
}

static dm_status check_parts(const dmi_trainer_start *start) {
    const dm_unet_options *u = &start->unet->options;
    if (u->in_channels != u->out_channels)
        return dmi_fail(&start->unet->context->host, DM_ERROR_SHAPE_MISMATCH,
                        "trainer: the network's 'in_channels' %d and 'out_channels' %d differ; "
                        "training needs them equal",
                        (int)u->in_channels, (int)u->out_channels);
    dm_status status = dmi_unet_check_schedule(start->unet, "trainer", start->schedule);
    if (status) return status;
    return start->dataset ? check_dataset(start->unet, start->dataset, start->options) : DM_OK;
}

static dm_status create_batch(dm_trainer *trainer, const dm_dataset *dataset) {
    const dm_unet_options *u = &trainer->unet->options;
    const dm_trainer_options *o = &trainer->options;
    trainer->batch = (dmi_batch){
        .context = trainer->context,
        .timesteps = &trainer->timesteps,
        .dataset = dataset,
        .unet = trainer->unet,
        .seed = o->seed,
        .count = o->batch_size,
        .height = u->height,
        .width = u->width,
        .channels = u->in_channels,
        .prediction = u->prediction,
        .sigma_data = (double)u->sigma_data,
        .label_range = dmi_unet_label_range(u),
        .flip = o->flip,
        .use_labels = o->use_labels && u->classes > 0,
        .self_conditioning = u->self_conditioning,
        .crop_padding = o->crop_padding,
        .label_dropout = o->label_dropout,
        .condition_channels = u->condition_channels,
        .condition_size = u->condition_size,
        .condition_dropout = o->condition_dropout,
    };
    return dmi_batch_create(&trainer->batch);
}

static dm_status create_timesteps(dm_trainer *trainer) {
    const dm_trainer_options *o = &trainer->options;
    bool log_normal = o->timestep_sampling == DM_TIMESTEPS_LOG_NORMAL;
    trainer->timesteps = (dmi_timesteps){
        .context = trainer->context,
        .schedule = trainer->schedule,
        .sampling = o->timestep_sampling,
        .visited = o->distill_steps,
        .seed = o->seed,
        .mean = log_normal ? o->log_sigma_mean : o->logit_mean,
        .deviation = log_normal ? o->log_sigma_std : o->logit_std,
    };
    dm_status status = dmi_timesteps_create(&trainer->timesteps);
    if (status || o->timestep_sampling != DM_TIMESTEPS_LOSS_AWARE) return status;
    return dmi_alloc_array(&trainer->context->host, &trainer->recorded,
                           (size_t)o->batch_size * (size_t)o->accumulation,
                           sizeof(dmi_recorded_loss), "trainer: losses of a step");
}

/* Blocks of the optimizer, laid out like the parameters. */
static dm_status allocate_blocks(dm_trainer *trainer) {
    dmi_host *host = &trainer->context->host;
    dmi_params *params = &trainer->unet->weights->params;
    size_t floats = params->floats, tiles = (size_t)dmi_flat_tile_count(floats),
           images = (size_t)trainer->options.batch_size;
    dm_status status = dmi_params_allocate_gradient(host, params);
    if (!status)
        status = dmi_alloc_zero(host, &trainer->moment1, floats, sizeof(float),
                                "trainer: first moments");
    if (!status)
        status = dmi_alloc_zero(host, &trainer->moment2, floats, sizeof(float),
                                "trainer: second moments");
    if (!status)
        status = dmi_alloc_array(host, &trainer->partial_sums, tiles > images ? tiles : images,
                                 sizeof(double), "trainer: partial sums");
    if (!status)
        status = dmi_alloc_array(host, &trainer->terms, images, sizeof(dmi_loss_term),
                                 "trainer: terms of the loss");
    for (int32_t i = 0; !status && i < DM_EMA_MAX; i++) {
        dmi_ema ema;
        if (!dmi_trainer_ema(&trainer->options, i, &ema)) continue;
        status = dmi_alloc_array(host, &trainer->ema[i], floats, sizeof(float), "trainer: an EMA");
        if (!status) memcpy(trainer->ema[i], params->data, floats * sizeof(float));
    }
    return status;
}

/* Everything but the graph, at step 0. Locks the network's weights. *out may be set on failure, and
 * must be freed then too. */
static dm_status new_trainer(dm_trainer **out, const dmi_trainer_start *start) {
    dm_unet *unet = start->unet;
    dmi_host *host = &unet->context->host;
    dm_trainer *trainer;
    *out = NULL;
    dm_status status = dmi_unet_lock(unet, "trainer");
    if (status) return status;
    status = dmi_alloc_zero(host, &trainer, 1, sizeof *trainer, "trainer");
    if (status) {
        dmi_unet_unlock(unet);
        return status;
    }
    unet->trained = true;
    dmi_unet_hold(unet);
    trainer->schedule = start->schedule;
    trainer->context = unet->context;
    trainer->unet = unet;
    trainer->options = *start->options;
    atomic_init(&trainer->cancelled, 0);
    status = allocate_blocks(trainer);
    if (!status) status = create_timesteps(trainer);
    if (!status) status = create_batch(trainer, start->dataset);
    *out = trainer;
    return status;
}

/* A network without names of its classes gets those of the file, or of the data. */
static dm_status adopt_class_names(const dmi_trainer_start *start) {
    dm_unet *unet = start->unet;
    const dm_dataset *dataset = start->dataset;
    dmi_host *host = &unet->context->host;
    if (unet->class_names.names) return DM_OK;
    if (start->class_names && start->class_names->names)
        return dmi_class_names_set(host, "trainer", &unet->class_names, start->class_names->names,
                                   start->class_names->count);
    if (!dataset || !dataset->class_names || dataset->classes != unet->options.classes)
        return DM_OK;
    return dmi_class_names_set(host, "trainer", &unet->class_names, dataset->class_names,
                               (size_t)dataset->classes);
}

dm_status dmi_trainer_begin(dm_trainer **out, const dmi_trainer_start *start) {
    dm_unet *unet = start->unet;
    dmi_params *params = &unet->weights->params;
    dm_trainer *trainer = NULL;
    dm_status status = check_parts(start);
    if (!status) status = new_trainer(&trainer, start);
    if (!trainer) dmi_schedule_free(start->schedule);
    if (!status && start->file)
        status = dmi_checkpoint_restore(trainer, start->file, start->changed);
    /* Before the graph, so that the memory limit need not hold both. */
    if (start->file) dmi_safetensors_close(&unet->context->host, start->file);
    if (!status)
        status = dmi_unet_training_graph(unet, &trainer->train, start->options->batch_size,
                                         start->options->recompute, start->options->precision);
    if (!status) status = adopt_class_names(start);
    if (status) {
        dmi_trainer_free(trainer);
        return status;
    }
    if (start->file) {
        memcpy(params->data, params->gradient, params->floats * sizeof(float));
        params->version++;
    }
    unet->null_class = start->null_class;
    *out = trainer;
    return DM_OK;
}

static dm_status create(dm_trainer **out, dm_unet *unet, const dm_schedule *schedule,
                        const dm_dataset *dataset, const dm_trainer_options *options) {
    dmi_host *host = &unet->context->host;
    if (!out || !schedule)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: '%s' is NULL",
                        out ? "schedule" : "out");
    dm_trainer_options o;
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_trainer_options, &o, options);
    if (!status) status = dmi_trainer_check_options(host, &o);
    if (!status) status = dmi_trainer_check_model(host, &unet->options, schedule, &o);
    if (status) return status;
    dmi_trainer_start start = {.unet = unet,
                               .dataset = dataset,
                               .options = &o,
                               .null_class = unet->null_class};
    status = dmi_schedule_copy(&start.schedule, unet->context, schedule);
    return status ? status : dmi_trainer_begin(out, &start);
}

dm_status dm_trainer_create(dm_trainer **out, dm_unet *unet, const dm_schedule *schedule,
                            const dm_dataset *dataset, const dm_trainer_options *options) {
    if (out) *out = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, create(out, unet, schedule, dataset, options));
}

/* ---- destroy ---- */

void dmi_trainer_free(dm_trainer *trainer) {
    if (!trainer) return;
    dmi_host *host = &trainer->context->host;
    dmi_distillation_end(trainer);
    dmi_unet_graph_destroy(&trainer->train);
    dmi_batch_destroy(&trainer->batch);
    for (int32_t i = 0; i < DM_EMA_MAX; i++) dmi_free(host, trainer->ema[i]);
    dmi_free(host, trainer->recorded);
    dmi_timesteps_destroy(&trainer->timesteps);
    dmi_free(host, trainer->terms);
    dmi_free(host, trainer->partial_sums);
    dmi_free(host, trainer->moment2);
    dmi_free(host, trainer->moment1);
    dmi_params_free_gradient(host, &trainer->unet->weights->params);
    dmi_schedule_free(trainer->schedule);
    trainer->unet->trained = false;
    dmi_unet_unlock(trainer->unet);
    dmi_unet_release(trainer->unet);
    dmi_free(host, trainer);
}

void dm_trainer_destroy(dm_trainer *trainer) {
    if (!trainer) return;
    dm_context *context = trainer->context;
    if (!dmi_enter(context)) return;
    dmi_context_hold(context); /* which may be destroyed when the network releases it */
    dmi_trainer_free(trainer);
    dmi_leave(context, DM_OK);
    dmi_context_release(context);
}

/* ---- between steps ---- */

dm_context *dm_trainer_context(const dm_trainer *trainer) {
    return trainer ? trainer->context : NULL;
}

dm_status dm_trainer_get_options(const dm_trainer *trainer, dm_trainer_options *options,
                                 size_t size) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(trainer->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(trainer->context,
                     dmi_struct_write(&trainer->context->host, &dmi_struct_trainer_options, options,
                                      size, &trainer->options));
}

static dm_status get_step(const dm_trainer *trainer, uint64_t *step) {
    if (!step)
        return dmi_fail(&trainer->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: 'step' is NULL");
    *step = trainer->progress.steps;
    return DM_OK;
}

dm_status dm_trainer_get_step(const dm_trainer *trainer, uint64_t *step) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(trainer->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(trainer->context, get_step(trainer, step));
}

static dm_status set_learning_rate(dm_trainer *trainer, double learning_rate) {
    dmi_host *host = &trainer->context->host;
    dm_trainer_options changed = trainer->options;
    changed.learning_rate = learning_rate;
    dm_status status = dmi_struct_check(host, &dmi_struct_trainer_options, &changed);
    if (!status) status = dmi_trainer_check_options(host, &changed);
    if (!status) trainer->options = changed;
    return status;
}

dm_status dm_trainer_set_learning_rate(dm_trainer *trainer, double learning_rate) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(trainer->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(trainer->context, set_learning_rate(trainer, learning_rate));
}
