/* SPDX-License-Identifier: MIT */
/* See distill.h. Both networks visit the timesteps of DM_SPACING_TRAILING: entry i of N is entry
 * 2 i of 2 N. The teacher's steps are computed as a sampler with DDIM does, in double. */
#include "train/distill.h"

#include <math.h>

#include "dataset/dataset.h"
#include "diffusion/spacing.h"
#include "io/safetensors_file.h"

/* ---- levels ---- */

/* Entry k of the teacher's 2 N steps; entry 2 N is the clean image. */
static dmi_level teacher_level(const dm_trainer *trainer, int32_t k) {
    int32_t steps = 2 * trainer->options.distill_steps;
    if (k == steps) return (dmi_level){.signal = 1};
    return dmi_schedule_level(trainer->schedule,
                              dmi_trailing_timestep(trainer->schedule->steps, steps, k));
}

/* The teacher's entry at which image i of the batch starts. */
static int32_t first_entry(const dm_trainer *trainer, int32_t i) {
    return 2 * dmi_trailing_entry(trainer->schedule->steps, trainer->options.distill_steps,
                                  trainer->batch.levels[i].at.timestep);
}

static dmi_prediction_coefficients teacher_coefficients(const dm_trainer *trainer, dmi_level at) {
    const dm_unet_options *u = &trainer->distillation.teacher->options;
    return dmi_prediction_at(at, u->prediction, (double)u->sigma_data);
}

/* ---- one image ---- */

/* x [elements] as the teacher's input, with its time. */
static void set_input(dm_trainer *trainer, int32_t i, dmi_level at) {
    const dmi_distillation *d = &trainer->distillation;
    size_t n = trainer->batch.elements, offset = (size_t)i * n;
    trainer->context->kernels->solver_to_f32(dmi_graph_data(d->graph.graph, d->graph.x) + offset,
                                             teacher_coefficients(trainer, at).input, d->x + offset,
                                             n);
    float *t = dmi_graph_data(d->graph.graph, d->graph.t);
    t[i] = (float)at.time;
}

static void begin_image(void *data, int32_t i, int32_t worker) {
    dm_trainer *trainer = data;
    const dmi_distillation *d = &trainer->distillation;
    size_t n = trainer->batch.elements, offset = (size_t)i * n;
    (void)worker;
    trainer->context->kernels->solver_weighted_sum(d->x + offset, NULL, NULL, 0,
                                                   trainer->batch.noisy + offset, 1,
                                                   n); /* to double */
    set_input(trainer, i, teacher_level(trainer, first_entry(trainer, i)));
    /* The student's row: the teacher has the same classes or none. */
    float *rows = dmi_graph_data(d->graph.graph, d->graph.labels);
    if (rows) rows[i] = dmi_graph_data(trainer->train.graph, trainer->train.labels)[i];
}

/* DDIM's step from entry k to k + 1 (Song, Meng and Ermon 2021, eq. 12, without noise). */
static void ddim_step(const dm_trainer *trainer, int32_t i, int32_t worker, int32_t k) {
    const dmi_distillation *d = &trainer->distillation;
    const dmi_kernels *kernels = trainer->context->kernels;
    const dm_unet_options *u = &d->teacher->options;
    size_t n = trainer->batch.elements, c = (size_t)u->out_channels,
           outputs = c * (u->learned_variance ? 2 : 1);
    dmi_level from = teacher_level(trainer, k), to = teacher_level(trainer, k + 1);
    dmi_prediction_coefficients coefficients = teacher_coefficients(trainer, from);
    double *x = d->x + (size_t)i * n, *x_0 = d->scratch + (size_t)worker * 2 * n, *eps = x_0 + n;
    float *prediction = trainer->batch.scratch + (size_t)worker * DMI_BATCH_SCRATCH * n;
    const float *output =
        dmi_graph_data(d->graph.graph, d->graph.output) + (size_t)i * (n / c) * outputs;
    dmi_output_split(kernels, prediction, NULL, 0, output, outputs, n / c, c);
    dmi_predict_x0(kernels, &coefficients, x_0, x, prediction,
                   trainer->options.distill_clip ? 1 : INFINITY, n);
    dmi_predict_eps(kernels, &coefficients, eps, x, x_0, prediction, n);
    const double *terms[] = {x_0, eps};
    const double factors[] = {to.signal, to.noise};
    kernels->solver_weighted_sum(x, terms, factors, to.noise > 0 ? 2 : 1, NULL, 0, n);
}

static void first_step(void *data, int32_t i, int32_t worker) {
    dm_trainer *trainer = data;
    int32_t k = first_entry(trainer, i);
    ddim_step(trainer, i, worker, k);
    set_input(trainer, i, teacher_level(trainer, k + 1));
}

/* With x at the level `from` and the teacher's x'' at `to`, one step of DDIM goes from x to x'' if
 * x_0 = (x'' - r x) / (to.signal - r from.signal), r = to.noise / from.noise (Salimans and Ho 2022,
 * appendix G), and eps = (x - from.signal x_0) / from.noise. The target is that of the network's
 * prediction for these, a sum of x'' and x. */
static void second_step(void *data, int32_t i, int32_t worker) {
    dm_trainer *trainer = data;
    const dmi_batch *batch = &trainer->batch;
    const dmi_kernels *kernels = trainer->context->kernels;
    int32_t k = first_entry(trainer, i);
    size_t n = batch->elements, offset = (size_t)i * n;
    ddim_step(trainer, i, worker, k + 1);
    dmi_level from = batch->levels[i].at.level, to = teacher_level(trainer, k + 2);
    dmi_target target = dmi_prediction_target(from, batch->prediction, batch->sigma_data);
    double r = to.noise / from.noise, distance = to.signal - r * from.signal,
           x0_factor = target.x0_factor - target.eps_factor * from.signal / from.noise;
    double *sum = trainer->distillation.scratch + (size_t)worker * 2 * n;
    const double *terms[] = {trainer->distillation.x + offset};
    const double factors[] = {x0_factor / distance};
    kernels->solver_weighted_sum(sum, terms, factors, 1, batch->noisy + offset,
                                 target.eps_factor / from.noise - r * x0_factor / distance, n);
    kernels->solver_to_f32(batch->target + offset, 1, sum, n);
}

void dmi_distill_targets(dm_trainer *trainer) {
    dmi_pool *pool = trainer->context->host.pool;
    int32_t count = trainer->batch.count;
    size_t floats = trainer->batch.elements * (size_t)count;
    dmi_parallel(pool, count, begin_image, trainer);
    dmi_trainer_span(trainer, "teacher", 4, floats);
    dmi_graph_forward(trainer->distillation.graph.graph);
    dmi_parallel(pool, count, first_step, trainer);
    dmi_trainer_span(trainer, "teacher", 6, floats);
    dmi_graph_forward(trainer->distillation.graph.graph);
    dmi_parallel(pool, count, second_step, trainer);
    dmi_trainer_span(trainer, "teacher", 6, floats);
}

/* ---- the teacher ---- */

static dm_status check_size(const dm_trainer *trainer, const dm_unet *teacher) {
    const dm_unet_options *s = &trainer->unet->options, *t = &teacher->options;
    if (s->height == t->height && s->width == t->width && s->in_channels == t->in_channels &&
        s->out_channels == t->out_channels)
        return DM_OK;
    return dmi_fail(&trainer->context->host, DM_ERROR_SHAPE_MISMATCH,
                    "trainer: the teacher's images are %d x %d x %d (%d channels out), the "
                    "network's %d x %d x %d",
                    (int)t->height, (int)t->width, (int)t->in_channels, (int)t->out_channels,
                    (int)s->height, (int)s->width, (int)s->in_channels);
}

static dm_status check_options(const dm_trainer *trainer, const dm_unet *teacher) {
    dmi_host *host = &trainer->context->host;
    const dm_unet_options *s = &trainer->unet->options, *t = &teacher->options;
    if (t->condition_channels || t->condition_size || t->self_conditioning)
        return dmi_fail(host, DM_ERROR_UNSUPPORTED,
                        "trainer: a teacher with %s is not supported by this version",
                        t->self_conditioning ? "'self_conditioning'"
                                             : "a condition image or vector");
    if (t->classes && (t->classes != s->classes || t->null_row != s->null_row))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: the teacher has 'classes' %d and 'null_row' %d, the network %d "
                        "and %d; they must be the same, or the teacher's classes 0",
                        (int)t->classes, (int)t->null_row, (int)s->classes, (int)s->null_row);
    dm_status status =
        dmi_prediction_refuse_consistency(host, "trainer", "distilling", t->prediction);
    if (status) return status;
    status = dmi_prediction_check(host, "trainer: teacher", trainer->schedule, t->prediction);
    return status ? status
                  : dmi_unet_check_schedule(teacher, "trainer: teacher", trainer->schedule);
}

static dm_status check_teacher(const dm_trainer *trainer, const dm_unet *teacher) {
    dmi_host *host = &trainer->context->host;
    if (!teacher) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: 'teacher' is NULL");
    if (!trainer->options.distill_steps)
        return dmi_fail(host, DM_ERROR_WRONG_STATE,
                        "trainer: 'distill_steps' is 0, so it has no teacher");
    if (trainer->distillation.teacher)
        return dmi_fail(host, DM_ERROR_WRONG_STATE, "trainer: it has a teacher already");
    if (teacher->context != trainer->context)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: the teacher must be of the network's context; dm_unet_share "
                        "gives a network of another context there");
    if (teacher == trainer->unet)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: the network cannot be its own teacher, since its weights change; "
                        "load it twice");
    dm_status status = check_size(trainer, teacher);
    return status ? status : check_options(trainer, teacher);
}

static void free_arrays(dm_trainer *trainer) {
    dmi_host *host = &trainer->context->host;
    dmi_free(host, trainer->distillation.scratch);
    dmi_free(host, trainer->distillation.x);
    dmi_free(host, trainer->batch.noisy);
    trainer->distillation = (dmi_distillation){.fingerprint = trainer->distillation.fingerprint};
    trainer->batch.noisy = NULL;
}

/* A hash of the weights, which is not 0. */
static uint64_t fingerprint_of(const dmi_params *params) {
    uint64_t hash = DMI_HASH_START;
    for (int32_t i = 0; i < params->count; i++) {
        const dmi_param *p = &params->items[i];
        uint32_t sum = dmi_checksum(params->data + p->offset, p->count * sizeof *params->data);
        hash = dmi_hash(hash, &sum, sizeof sum);
    }
    return hash ? hash : 1;
}

/* The resumed run goes on with another teacher, as the caller may wish. */
static void compare_teachers(dm_trainer *trainer, const dm_unet *teacher) {
    dmi_distillation *d = &trainer->distillation;
    uint64_t fingerprint = fingerprint_of(&teacher->weights->params);
    if (d->fingerprint && d->fingerprint != fingerprint)
        dmi_log(&trainer->context->host, DM_LOG_WARNING,
                "trainer: it was distilled from another teacher: the fingerprint of that one's "
                "weights is %016llx, of this one's %016llx",
                (unsigned long long)d->fingerprint, (unsigned long long)fingerprint);
    d->fingerprint = fingerprint;
}

static dm_status set_teacher(dm_trainer *trainer, dm_unet *teacher) {
    dmi_host *host = &trainer->context->host;
    dmi_distillation *d = &trainer->distillation;
    dmi_batch *batch = &trainer->batch;
    size_t count = (size_t)batch->count, threads = (size_t)dmi_pool_threads(host->pool);
    dm_status status = check_teacher(trainer, teacher);
    if (status) return status;
    status = dmi_alloc_array(host, &batch->noisy, count * batch->elements, sizeof(float),
                             "trainer: noisy images");
    if (!status)
        status = dmi_alloc_array(host, &d->x, count * batch->elements, sizeof(double),
                                 "trainer: the teacher's images");
    if (!status)
        status = dmi_alloc_array(host, &d->scratch, threads * 2 * batch->elements, sizeof(double),
                                 "trainer: scratch for the teacher");
    if (!status)
        status = dmi_unet_graph_create(teacher, &d->graph, batch->count, false, DM_RECOMPUTE_NONE);
    if (!status && !dmi_unet_weights_share(teacher->weights))
        status = dmi_fail(host, DM_ERROR_WRONG_STATE,
                          "trainer: the teacher has a trainer itself, so its weights change");
    if (status) {
        dmi_unet_graph_destroy(&d->graph);
        free_arrays(trainer);
        return status;
    }
    compare_teachers(trainer, teacher);
    d->teacher = teacher;
    dmi_unet_hold(teacher);
    return DM_OK;
}

void dmi_distillation_end(dm_trainer *trainer) {
    dm_unet *teacher = trainer->distillation.teacher;
    if (!teacher) return;
    dmi_unet_graph_destroy(&trainer->distillation.graph);
    free_arrays(trainer);
    dmi_unet_weights_unshare(teacher->weights);
    dmi_unet_release(teacher);
}

dm_status dm_trainer_set_teacher(dm_trainer *trainer, dm_unet *teacher) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(trainer->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(trainer->context, set_teacher(trainer, teacher));
}
