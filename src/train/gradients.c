/* SPDX-License-Identifier: MIT */
/* The gradient of a step: forward and backward passes over its images (Ho et al. 2020, algorithm
 * 1). Nothing here allocates. */
#include <math.h>

#include "base/profile.h"
#include "diffusion/loss_weight.h"
#include "train/distill.h"
#include "unet/options.h"

/* The images of the caller's batch for one pass. */
static dm_train_batch images_of_pass(const dm_train_batch *given, const dmi_batch *batch,
                                     int32_t pass) {
    dm_train_batch images = *given;
    size_t at = (size_t)pass * (size_t)batch->count;
    images.images += at * batch->elements;
    if (images.labels) images.labels += at;
    if (images.noise) images.noise += at * batch->elements;
    if (images.timesteps) images.timesteps += at;
    if (images.condition_image) images.condition_image += at * batch->condition_elements;
    if (images.condition_vector) images.condition_vector += at * (size_t)batch->condition_size;
    return images;
}

void dmi_trainer_span(const dm_trainer *trainer, const char *name, size_t blocks, size_t floats) {
    dmi_work work = {.name = name, .bytes = (double)blocks * (double)floats * sizeof(float)};
    dmi_profile_span(trainer->context->host.profile, &work);
}

/* Weights and bounds of the losses of the pass. */
static void set_terms(dm_trainer *trainer) {
    const dm_trainer_options *o = &trainer->options;
    const dmi_batch *batch = &trainer->batch;
    for (int32_t i = 0; i < batch->count; i++) {
        const dmi_noise_level *at = &batch->levels[i].at;
        dmi_loss_term *term = &trainer->terms[i];
        term->weight =
            dmi_loss_weight(o, trainer->schedule, at->level, at->timestep, batch->prediction);
        term->importance_weight = at->weight;
        if (o->loss == DM_LOSS_HYBRID)
            term->bound = dmi_loss_bound(trainer->schedule, at->timestep);
    }
}

/* The gradient of the graph's output; adds the loss of all elements to *sum. */
static void compute_loss(dm_trainer *trainer, double *sum) {
    const dm_trainer_options *o = &trainer->options;
    const dmi_batch *batch = &trainer->batch;
    const dmi_unet_graph *train = &trainer->train;
    dmi_loss loss = {
        .kernels = trainer->context->kernels,
        .kind = o->loss,
        .huber_delta = o->huber_delta,
        .bound_factor = o->bound_lambda * trainer->schedule->steps / log(2),
        .values = (double)batch->elements * batch->count * o->accumulation,
        .images = batch->count,
        .elements = batch->elements,
        .channels = (size_t)batch->channels,
        .input_channels = (size_t)dmi_unet_channels_in(&trainer->unet->options),
        .scratch = batch->scratch, /* the batch does not need it until the next pass */
    };
    set_terms(trainer);
    *sum += dmi_loss_run(trainer->context->host.pool, &loss, trainer->terms,
                         dmi_graph_gradient(train->graph, train->output),
                         dmi_graph_data(train->graph, train->output), batch->target,
                         dmi_graph_data(train->graph, train->x), trainer->partial_sums);
}

/* Keeps the losses of the pass until the step is applied, and adds them to those of the quarters of
 * the timesteps. */
static void record_losses(dm_trainer *trainer, int32_t pass) {
    const dmi_batch *batch = &trainer->batch;
    const int64_t steps = trainer->schedule->steps;
    for (int32_t i = 0; i < batch->count; i++) {
        const int32_t timestep = batch->levels[i].at.timestep;
        const double loss = trainer->partial_sums[i] / (double)batch->elements;
        if (trainer->recorded)
            trainer->recorded[(size_t)pass * (size_t)batch->count + (size_t)i] =
                (dmi_recorded_loss){.timestep = timestep, .loss = loss};
        if (timestep == DMI_TIMESTEP_NONE) continue;
        trainer->quarters.loss[4 * (int64_t)timestep / steps] += loss;
        trainer->quarters.images[4 * (int64_t)timestep / steps]++;
    }
}

static dm_status run_pass(dm_trainer *trainer, int32_t pass, const dm_train_batch *given,
                          double *sum) {
    const dm_trainer_options *o = &trainer->options;
    dmi_batch *batch = &trainer->batch;
    dmi_graph *graph = trainer->train.graph;
    uint64_t number = trainer->progress.steps * (uint64_t)o->accumulation + (uint64_t)pass;
    uint64_t position = trainer->progress.images + (uint64_t)pass * (uint64_t)o->batch_size;
    size_t floats = batch->elements * (size_t)batch->count;
    dmi_profile_start(trainer->context->host.profile);
    dm_status status = dmi_batch_fill(batch, &trainer->train, position, given);
    if (status) return status;
    trainer->has_unlabelled = trainer->has_unlabelled || batch->has_unlabelled;
    trainer->has_unconditioned = trainer->has_unconditioned || batch->has_unconditioned;
    dmi_trainer_span(trainer, "batch", 3, floats);
    if (o->distill_steps) dmi_distill_targets(trainer);
    graph->dropout_seed = o->seed;
    graph->dropout_step = number;
    graph->add_to_params = pass > 0;
    if (dmi_batch_self_conditions(batch, o->self_conditioning_rate, number)) {
        dmi_graph_forward(graph); /* same dropout as the second pass */
        dmi_batch_set_estimate(batch, &trainer->train,
                               dmi_unet_channels_out(&trainer->unet->options));
        dmi_trainer_span(trainer, "self-conditioning", 3, floats);
    }
    dmi_graph_forward(graph);
    compute_loss(trainer, sum);
    record_losses(trainer, pass);
    dmi_trainer_span(trainer, "loss", 3, floats);
    dmi_graph_backward(graph);
    return DM_OK;
}

dm_status dmi_trainer_gradients(dm_trainer *trainer, const dm_train_batch *given, double *loss) {
    const dmi_batch *batch = &trainer->batch;
    int32_t passes = trainer->options.accumulation;
    double sum = 0;
    trainer->has_unlabelled = trainer->has_unconditioned = false;
    trainer->quarters = (dmi_quarter_losses){0};
    dmi_timesteps_begin(&trainer->timesteps);
    for (int32_t pass = 0; pass < passes; pass++) {
        dm_train_batch images = {0};
        if (given) images = images_of_pass(given, batch, pass);
        dm_status status = run_pass(trainer, pass, given ? &images : NULL, &sum);
        if (status) return status;
    }
    *loss = sum / ((double)batch->elements * batch->count * passes);
    return DM_OK;
}
