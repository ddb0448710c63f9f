/* The network and the calls that are measured. The batch is fixed, there is no moving average and
 * no clipping, as on PyTorch's side; timesteps and noise are drawn anew in each step, which
 * PyTorch's side does not do. */
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/graph.h"
#include "unet/unet.h"

void subject_check(int32_t status, const dm_context *context) {
    if (!status) return;
    const char *detail = context ? dm_context_error(context) : dm_status_message(status);
    fprintf(stderr, "bench: %s: %s\n", dm_status_name(status), detail);
    exit(EXIT_FAILURE);
}

static float *floats(size_t count) {
    float *block = calloc(count, sizeof *block);
    if (!block) {
        fprintf(stderr, "bench: out of memory: %zu floats\n", count);
        exit(EXIT_FAILURE);
    }
    return block;
}

void subject_create(subject *s, const setting *set, bool attention, bool profile) {
    dm_context_options c;
    dm_unet_options u;
    dm_trainer_options t;
    memset(s, 0, sizeof *s);
    s->set = *set;
    dm_context_options_init(&c, sizeof c);
    dm_unet_options_init(&u, sizeof u);
    dm_trainer_options_init(&t, sizeof t);
    c.threads = set->threads;
    c.profile = profile;
    u.height = u.width = set->size;
    u.channels[0] = set->base;
    for (int i = 1; i < u.levels; i++) u.channels[i] = 2 * set->base;
    if (!attention) u.mid_attention = u.attention[1] = 0;
    t.batch_size = set->batch;
    t.average_decay = 0;
    t.gradient_clip = 0;
    subject_check(dm_context_create(&s->context, &c), s->context);
    s->set.threads = dm_context_threads(s->context);
    subject_check(dm_unet_create(&s->unet, s->context, &u, 1), s->context);
    subject_check(dm_schedule_create(&s->schedule, s->context, NULL), s->context);
    subject_check(dm_trainer_create(&s->trainer, s->unet, s->schedule, NULL, &t), s->context);
    size_t picture = (size_t)set->size * (size_t)set->size * 3,
           elements = (size_t)set->batch * picture;
    s->images = floats(elements);
    s->timesteps = floats((size_t)set->batch);
    for (size_t i = 0; i < elements; i++) s->images[i] = (float)(i * 37 % 255) / 127.5f - 1;
    for (int i = 0; i < set->batch; i++) s->timesteps[i] = (float)(i * 391 % 1000);
}

void subject_step(subject *s) {
    dm_train_batch batch = {.struct_size = sizeof batch,
                            .count = (uint64_t)s->set.batch,
                            .images = s->images};
    subject_check(dm_trainer_step_batch(s->trainer, &batch, NULL), s->context);
}

void subject_end_training(subject *s) {
    dm_trainer_destroy(s->trainer);
    s->trainer = NULL;
}

void subject_forward(subject *s) {
    if (!s->answer)
        s->answer = floats((size_t)s->set.batch * (size_t)s->set.size * (size_t)s->set.size * 3);
    subject_check(dm_unet_forward(s->unet, s->answer, s->images, s->timesteps, NULL,
                                  (size_t)s->set.batch),
                  s->context);
}

void subject_ddim(subject *s, int steps) {
    dm_sampler_request request;
    dm_sampler_options o;
    size_t elements = (size_t)s->set.pictures * (size_t)s->set.size * (size_t)s->set.size * 3;
    if (!s->samples) s->samples = floats(elements);
    if (s->sampler && dm_sampler_steps(s->sampler) != steps) {
        dm_sampler_destroy(s->sampler);
        s->sampler = NULL;
    }
    if (!s->sampler) {
        dm_sampler_options_init(&o, sizeof o);
        o.solver = DM_SOLVER_DDIM;
        o.steps = steps;
        o.batch_size = s->set.pictures;
        subject_check(dm_sampler_create(&s->sampler, s->unet, s->schedule, &o), s->context);
    }
    dm_sampler_request_init(&request, sizeof request);
    request.count = (uint64_t)s->set.pictures;
    subject_check(dm_sampler_run(s->sampler, &request, s->samples, elements), s->context);
}

void subject_destroy(subject *s) {
    dm_sampler_destroy(s->sampler);
    dm_trainer_destroy(s->trainer);
    dm_schedule_destroy(s->schedule);
    dm_unet_destroy(s->unet);
    dm_context_destroy(s->context);
    free(s->images);
    free(s->answer);
    free(s->timesteps);
    free(s->samples);
    memset(s, 0, sizeof *s);
}

double subject_forward_gflop(subject *s) {
    dmi_unet_graph *f;
    double flop = 0;
    subject_check(dmi_unet_forward_graph(s->unet, &f, (size_t)s->set.batch), s->context);
    for (int32_t i = 0; i < f->graph->node_count; i++) {
        const dmi_node *n = &f->graph->nodes[i];
        if (strcmp(n->op->name, "conv") && strcmp(n->op->name, "linear")) continue;
        dmi_shape w = dmi_graph_shape(f->graph, n->inputs[1]);
        flop +=
            2.0 * (double)dmi_shape_count(dmi_graph_shape(f->graph, n->output)) * w.n * w.h * w.w;
    }
    return 1e-9 * flop;
}
