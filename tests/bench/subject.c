/* SPDX-License-Identifier: MIT */
/* The batch is fixed and there is neither EMA nor clipping, as in peer_torch.py; timesteps and
 * noise are new in each step, which peer_torch.py does not do. */
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/graph.h"
#include "unet/unet.h"

void workload_check(dm_status status, const dm_context *context) {
    if (!status) return;
    fprintf(stderr, "bench: %s: %s\n", dm_status_name(status), dm_context_error(context));
    exit(EXIT_FAILURE);
}

dm_context *workload_context(const dm_context_options *options) {
    dm_context *context;
    char error[512];
    if (!dm_context_create(&context, options, error, sizeof error)) return context;
    fprintf(stderr, "bench: %s\n", error);
    exit(EXIT_FAILURE);
}

static void *allocate(size_t count, size_t size) {
    void *block = calloc(count, size);
    if (!block) {
        fprintf(stderr, "bench: out of memory: %zu elements\n", count);
        exit(EXIT_FAILURE);
    }
    return block;
}

/* Of `images` images of a setting. */
static size_t elements_of(const setting *set, int images) {
    return (size_t)images * (size_t)set->size * (size_t)set->size * 3;
}

void workload_create(workload *s, const setting *set, bool attention, bool profile) {
    dm_context_options c;
    dm_unet_options u;
    dm_trainer_options t;
    dm_schedule_options schedule;
    memset(s, 0, sizeof *s);
    s->set = *set;
    dm_context_options_init(&c, sizeof c);
    dm_unet_options_init(&u, sizeof u);
    dm_trainer_options_init(&t, sizeof t);
    dm_schedule_options_init(&schedule, sizeof schedule);
    schedule.kind = DM_SCHEDULE_LINEAR;
    u.prediction = DM_PREDICT_EPS;
    c.threads = set->threads;
    c.profile = profile;
    c.latency = set->batch == 1;
    u.height = u.width = set->size;
    u.channels[0] = set->base;
    for (int i = 1; i < u.levels; i++) u.channels[i] = 2 * set->base;
    if (!attention) u.mid_attention = u.attention[1] = 0;
    if (set->bf16) u.precision = t.precision = DM_PRECISION_BF16;
    t.batch_size = set->batch;
    t.ema_decay[0] = 0;
    t.gradient_clip = 0;
    s->context = workload_context(&c);
    s->set.threads = dm_context_threads(s->context);
    workload_check(dm_unet_create(&s->unet, s->context, &u, 1), s->context);
    workload_check(dm_schedule_create(&s->schedule, s->context, &schedule), s->context);
    workload_check(dm_trainer_create(&s->trainer, s->unet, s->schedule, NULL, &t), s->context);
    size_t elements = elements_of(set, set->batch);
    s->images = allocate(elements, sizeof *s->images);
    s->times = allocate((size_t)set->batch, sizeof *s->times);
    for (size_t i = 0; i < elements; i++) s->images[i] = (float)(i * 37 % 255) / 127.5f - 1;
    for (int i = 0; i < set->batch; i++) s->times[i] = (double)(i * 391 % 1000);
}

void workload_step(workload *s) {
    dm_train_batch batch;
    dm_train_batch_init(&batch, sizeof batch);
    batch.count = (uint64_t)s->set.batch;
    batch.elements = elements_of(&s->set, s->set.batch);
    batch.images = s->images;
    workload_check(dm_trainer_step_batch(s->trainer, &batch, NULL), s->context);
}

void workload_end_training(workload *s) {
    dm_trainer_destroy(s->trainer);
    s->trainer = NULL;
}

void workload_forward(workload *s) {
    dm_unet_input input;
    size_t elements = elements_of(&s->set, s->set.batch);
    if (!s->output) s->output = allocate(elements, sizeof *s->output);
    dm_unet_input_init(&input, sizeof input);
    input.count = (uint64_t)s->set.batch;
    input.x_elements = elements;
    input.time_count = input.count;
    input.x = s->images;
    input.times = s->times;
    workload_check(dm_unet_forward(s->unet, &input, s->output, elements), s->context);
}

void workload_ddim(workload *s, int steps) {
    dm_sampler_request request;
    dm_sampler_options o;
    size_t elements = elements_of(&s->set, s->set.images);
    if (!s->samples) s->samples = allocate(elements, sizeof *s->samples);
    if (s->sampler && dm_sampler_steps(s->sampler) != steps) {
        dm_sampler_destroy(s->sampler);
        s->sampler = NULL;
    }
    if (!s->sampler) {
        dm_sampler_options_init(&o, sizeof o);
        o.solver = DM_SOLVER_DDIM;
        o.spacing = DM_SPACING_TRAILING;
        o.steps = steps;
        o.batch_size = s->set.images;
        workload_check(dm_sampler_create(&s->sampler, s->unet, s->schedule, &o), s->context);
    }
    dm_sampler_request_init(&request, sizeof request);
    request.count = (uint64_t)s->set.images;
    workload_check(dm_sampler_run(s->sampler, &request, s->samples, elements), s->context);
}

void workload_destroy(workload *s) {
    dm_sampler_destroy(s->sampler);
    dm_trainer_destroy(s->trainer);
    dm_schedule_destroy(s->schedule);
    dm_unet_destroy(s->unet);
    dm_context_destroy(s->context);
    free(s->images);
    free(s->output);
    free(s->times);
    free(s->samples);
    memset(s, 0, sizeof *s);
}

double workload_forward_gflop(workload *s) {
    dmi_unet_graph *f;
    double flop = 0;
    workload_check(dmi_unet_forward_graph(s->unet, &f, (size_t)s->set.batch), s->context);
    for (int32_t i = 0; i < f->graph->node_count; i++) {
        const dmi_node *n = &f->graph->nodes[i];
        if (strcmp(n->op->name, "conv") && strcmp(n->op->name, "linear")) continue;
        dmi_shape w = dmi_graph_shape(f->graph, n->inputs[1]);
        flop +=
            2.0 * (double)dmi_shape_count(dmi_graph_shape(f->graph, n->output)) * w.n * w.h * w.w;
    }
    return 1e-9 * flop;
}
