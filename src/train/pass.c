/* The gradients of a step: passes forward and backward over parts of its pictures (Ho et al. 2020,
 * algorithm 1). Nothing here allocates. */
#include <math.h>

#include "base/profile.h"
#include "train/trainer.h"
#include "unet/options.h"

/* The part of the caller's batch for one pass. */
static dm_train_batch part_of(const dm_train_batch *given, const dmi_batch *batch, int32_t pass) {
    dm_train_batch part = *given;
    size_t at = (size_t)pass * (size_t)batch->count;
    part.images += at * batch->elements;
    if (part.labels) part.labels += at;
    if (part.noise) part.noise += at * batch->elements;
    if (part.timesteps) part.timesteps += at;
    return part;
}

void dmi_trainer_lap(const dm_trainer *trainer, const char *name, size_t blocks, size_t floats) {
    dmi_work work = {.name = name, .bytes = (double)blocks * (double)floats * sizeof(float)};
    dmi_profile_span(trainer->context->host.profile, &work);
}

/* What the losses of the pass's pictures are made of. */
static void set_terms(dm_trainer *trainer) {
    const dm_trainer_options *o = &trainer->options;
    const dmi_batch *batch = &trainer->batch;
    for (int32_t i = 0; i < batch->count; i++) {
        const dmi_drawn *drawn = &batch->drawn[i];
        dmi_loss_term *term = &trainer->terms[i];
        term->weight =
            dmi_loss_weight(o, trainer->schedule, drawn->level, drawn->timestep, batch->prediction);
        term->importance = drawn->importance;
        if (o->loss == DM_LOSS_HYBRID)
            term->bound = dmi_loss_bound(trainer->schedule, drawn->timestep);
    }
}

/* Loss and gradient of the graph's output; *sum grows by the loss of all elements. */
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
        .pictures = batch->count,
        .elements = batch->elements,
        .channels = (size_t)batch->channels,
        .input_channels = (size_t)dmi_unet_channels_in(&trainer->unet->options),
        .scratch = batch->scratch, /* of no use to the batch before the next pass */
    };
    set_terms(trainer);
    *sum += dmi_loss_run(trainer->context->host.pool, &loss, trainer->terms,
                         dmi_graph_gradient(train->graph, train->output),
                         dmi_graph_data(train->graph, train->output), batch->target,
                         dmi_graph_data(train->graph, train->x), trainer->sums);
}

/* What is to be remembered of the pass where the step is not refused. */
static void note_losses(dm_trainer *trainer, int32_t pass) {
    const dmi_batch *batch = &trainer->batch;
    for (int32_t i = 0; trainer->noted && i < batch->count; i++)
        trainer->noted[(size_t)pass * (size_t)batch->count + (size_t)i] =
            (dmi_noted){.timestep = batch->drawn[i].timestep,
                        .loss = trainer->sums[i] / (double)batch->elements};
}

static int32_t run_pass(dm_trainer *trainer, int32_t pass, const dm_train_batch *given,
                        double *sum) {
    const dm_trainer_options *o = &trainer->options;
    dmi_batch *batch = &trainer->batch;
    dmi_graph *graph = trainer->train.graph;
    uint64_t number = trainer->progress.steps * (uint64_t)o->accumulation + (uint64_t)pass;
    size_t floats = batch->elements * (size_t)batch->count;
    dmi_profile_start(trainer->context->host.profile);
    int32_t status =
        dmi_batch_draw(batch, &trainer->train, number * (uint64_t)o->batch_size, given);
    if (status) return status;
    dmi_trainer_lap(trainer, "batch", 3, floats);
    graph->dropout_seed = o->seed;
    graph->dropout_step = number;
    graph->add_to_params = pass > 0;
    if (dmi_batch_looks_twice(batch, o->self_conditioning_rate, number)) {
        dmi_graph_forward(graph); /* with the dropout of the second time */
        dmi_batch_show(batch, &trainer->train, dmi_unet_channels_out(&trainer->unet->options));
        dmi_trainer_lap(trainer, "self-conditioning", 3, floats);
    }
    dmi_graph_forward(graph);
    compute_loss(trainer, sum);
    note_losses(trainer, pass);
    dmi_trainer_lap(trainer, "loss", 3, floats);
    dmi_graph_backward(graph);
    return DM_OK;
}

int32_t dmi_trainer_gradients(dm_trainer *trainer, const dm_train_batch *given, double *loss) {
    const dmi_batch *batch = &trainer->batch;
    int32_t passes = trainer->options.accumulation;
    double sum = 0;
    dmi_timesteps_begin(&trainer->timesteps);
    for (int32_t pass = 0; pass < passes; pass++) {
        dm_train_batch part = {0};
        if (given) part = part_of(given, batch, pass);
        int32_t status = run_pass(trainer, pass, given ? &part : NULL, &sum);
        if (status) return status;
    }
    *loss = sum / ((double)batch->elements * batch->count * passes);
    return DM_OK;
}
