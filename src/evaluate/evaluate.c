/* SPDX-License-Identifier: MIT */
/* dm_unet_evaluate: checks, batches and the result. */
#include "evaluate/evaluate.h"

#include <math.h>

#include "diffusion/prediction.h"

dm_status dm_evaluation_options_init(dm_evaluation_options *options, size_t size) {
    return dmi_struct_init(&dmi_struct_evaluation_options, options, size);
}

dm_status dm_evaluation_init(dm_evaluation *evaluation, size_t size) {
    return dmi_struct_init(&dmi_struct_evaluation, evaluation, size);
}

/* ---- checks ---- */

static dm_status check_shapes(const dmi_evaluator *e) {
    const dm_unet_options *u = &e->unet->options;
    const dm_dataset *d = e->dataset;
    if (d->height == u->height && d->width == u->width && d->channels == u->in_channels &&
        u->in_channels == u->out_channels)
        return DM_OK;
    return dmi_fail(&e->context->host, DM_ERROR_SHAPE_MISMATCH,
                    "evaluate: the dataset's images are %d x %d x %d, the network's %d x %d x %d "
                    "in and %d out",
                    (int)d->height, (int)d->width, (int)d->channels, (int)u->height, (int)u->width,
                    (int)u->in_channels, (int)u->out_channels);
}

/* Checks the options and resolves the counts. */
static dm_status prepare(dmi_evaluator *e) {
    dmi_host *host = &e->context->host;
    const dm_unet_options *u = &e->unet->options;
    dm_evaluation_options *o = &e->options;
    int32_t others = e->schedule->steps - 1;
    dm_status status =
        dmi_prediction_refuse_consistency(host, "evaluate", "evaluating", u->prediction);
    if (!status) status = dmi_prediction_check(host, "evaluate", e->schedule, u->prediction);
    if (!status) status = check_shapes(e);
    if (!status)
        status = dmi_dataset_check_conditions(e->dataset, "evaluate", u->condition_channels,
                                              u->condition_size);
    if (status) return status;
    if (o->variance == DM_VARIANCE_AUTO) o->variance = DM_VARIANCE_FIXED_LARGE;
    if (o->variance == DM_VARIANCE_LEARNED && !u->learned_variance)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "evaluate: 'variance' 3 (learned) cannot be combined with a network "
                        "without 'learned_variance'");
    if (o->first >= e->dataset->count)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "evaluate: 'first' is %llu; the dataset has %llu images",
                        (unsigned long long)o->first, (unsigned long long)e->dataset->count);
    if (o->count == 0 || o->count > e->dataset->count - o->first)
        o->count = e->dataset->count - o->first;
    if (o->count < (uint64_t)o->batch_size) o->batch_size = (int32_t)o->count;
    e->evaluations = 1 + (o->timesteps && o->timesteps < others ? o->timesteps : others);
    e->has_bound = dmi_schedule_has_betas(e->schedule);
    return DM_OK;
}

/* ---- memory ---- */

static dm_status allocate(dmi_evaluator *e) {
    dmi_host *host = &e->context->host;
    size_t images = (size_t)e->options.batch_size, n = e->n;
    const struct {
        void *block; /* the address of the pointer */
        size_t per_image, size;
    } all[] = {
        {&e->pixels, n, 1},
        {&e->x_0, n, sizeof(float)},
        {&e->x_t, n, sizeof(float)},
        {&e->noise, n, sizeof(float)},
        {&e->target, n, sizeof(float)},
        {&e->condition_pixels, e->condition_n, 1},
        {&e->condition_image, e->condition_n, sizeof(float)},
        {&e->condition_vector, (size_t)e->unet->options.condition_size, sizeof(float)},
        {&e->input, n * e->in_factor, sizeof(float)},
        {&e->output, n * e->out_factor, sizeof(float)},
        {&e->bound_output, 2 * n, sizeof(float)},
        {&e->scratch, 2 * n, sizeof(float)},
        {&e->x_0_f64, n, sizeof(double)},
        {&e->x_f64, n, sizeof(double)},
        {&e->times, 1, sizeof(double)},
        {&e->labels, 1, sizeof(int32_t)},
        {&e->timesteps, 1, sizeof(int32_t)},
        {&e->statuses, 1, sizeof(dm_status)},
        {&e->terms, 1, sizeof(dmi_image_terms)},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].per_image == 0) continue;
        dm_status status = dmi_alloc_zero(host, all[i].block, images * all[i].per_image,
                                          all[i].size, "evaluate: images");
        if (status) return status;
    }
    /* A fixed variance is beta or the posterior's. */
    for (size_t k = 0; k < 2 * n * images; k++)
        e->bound_output[k] = e->options.variance == DM_VARIANCE_FIXED_LARGE ? 1 : -1;
    return DM_OK;
}

static void release(dmi_evaluator *e) {
    dmi_host *host = &e->context->host;
    void *const blocks[] = {e->pixels,
                            e->x_0,
                            e->x_t,
                            e->noise,
                            e->target,
                            e->input,
                            e->output,
                            e->bound_output,
                            e->scratch,
                            e->x_0_f64,
                            e->x_f64,
                            e->times,
                            e->labels,
                            e->timesteps,
                            e->statuses,
                            e->terms,
                            e->condition_pixels,
                            e->condition_image,
                            e->condition_vector};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) dmi_free(host, blocks[i]);
}

/* ---- batches ---- */

static void noise_task(void *data, int32_t i, int32_t worker) {
    (void)worker;
    dmi_evaluator_add_noise(data, i);
}

static void terms_task(void *data, int32_t i, int32_t worker) {
    (void)worker;
    dmi_evaluator_add_terms(data, i);
}

/* One model evaluation of the batch. The last batch may be smaller: it is filled up with images of
 * the batch before, since the network is planned for one size. */
static dm_status evaluate_batch(dmi_evaluator *e) {
    dmi_pool *pool = e->context->host.pool;
    dmi_parallel(pool, e->count, noise_task, e);
    const int32_t *labels = e->unet->options.classes ? e->labels : NULL;
    const dmi_unet_pass pass = {.count = (size_t)e->options.batch_size,
                                .x = e->input,
                                .times = e->times,
                                .time_stride = 1,
                                .labels = labels,
                                .condition_image = e->condition_image,
                                .condition_vector = e->condition_vector};
    dm_status status = dmi_unet_forward(e->unet, e->output, &pass);
    if (status) return status;
    dmi_parallel(pool, e->count, terms_task, e);
    for (int32_t i = 0; i < e->count; i++)
        if (e->statuses[i])
            return dmi_fail(&e->context->host, DM_ERROR_NOT_FINITE,
                            "evaluate: the network's output is infinite or NaN for image %zu at "
                            "timestep %d",
                            (size_t)e->options.first + e->first + (size_t)i, (int)e->timesteps[i]);
    return DM_OK;
}

/* Adds the batch's images, in order, to the sums of all. */
static void gather(dmi_evaluator *e) {
    for (int32_t i = 0; i < e->count; i++) {
        const dmi_image_terms *t = &e->terms[i];
        double bits = (t->prior + t->steps + t->decoder) / (log(2) * (double)e->n);
        e->bits_sum += bits;
        e->bits_squares += bits * bits;
        e->all.prior += t->prior, e->all.steps += t->steps, e->all.decoder += t->decoder;
        for (int32_t q = 0; q < DMI_QUARTERS; q++)
            e->all.squares[q] += t->squares[q], e->all.weights[q] += t->weights[q];
    }
}

typedef struct progress_callback {
    dm_evaluation_callback function;
    void *user;
} progress_callback;

static dm_status report_progress(dmi_evaluator *e, const progress_callback *callback, uint64_t done,
                                 uint64_t total) {
    if (!callback->function) return DM_OK;
    dmi_callback_begin(e->context);
    int32_t returned = callback->function(callback->user, done, total);
    return dmi_callback_result(e->context, returned, DM_ERROR_CANCELLED,
                               "evaluate: the progress callback");
}

static dm_status run(dmi_evaluator *e, const progress_callback *callback) {
    uint64_t done = 0, total = e->options.count * (uint64_t)e->evaluations;
    size_t batch_size = (size_t)e->options.batch_size;
    dm_status status = DM_OK;
    for (e->first = 0; !status && e->first < e->options.count; e->first += (size_t)e->count) {
        uint64_t left = e->options.count - e->first;
        e->count = (int32_t)(left < batch_size ? left : batch_size);
        status = dmi_evaluator_read(e);
        for (e->evaluation = 0; !status && e->evaluation < e->evaluations; e->evaluation++) {
            status = evaluate_batch(e);
            done += (uint64_t)e->count;
            if (!status) status = report_progress(e, callback, done, total);
        }
        if (!status) gather(e);
    }
    return status;
}

static void write_result(const dmi_evaluator *e, dm_evaluation *r) {
    double count = (double)e->options.count,
           unit = e->has_bound ? 1 / (log(2) * (double)e->n * count) : NAN;
    double mean = e->bits_sum / count,
           variance = count > 1 ? (e->bits_squares - count * mean * mean) / (count - 1) : 0;
    r->images = e->options.count;
    r->prior_bits = unit * e->all.prior;
    r->step_bits = unit * e->all.steps;
    r->decoder_bits = unit * e->all.decoder;
    r->bits = r->prior_bits + r->step_bits + r->decoder_bits;
    r->standard_error = e->has_bound ? sqrt((variance > 0 ? variance : 0) / count) : NAN;
    for (int32_t q = 0; q < DMI_QUARTERS; q++)
        r->loss[q] = e->all.weights[q] > 0 ? e->all.squares[q] / e->all.weights[q] : NAN;
}

/* ---- the public function ---- */

static dm_status evaluate(dmi_evaluator *e, const dm_evaluation_options *options,
                          const progress_callback *callback, dm_evaluation *result) {
    dmi_host *host = &e->context->host;
    dm_evaluation full;
    dmi_struct_defaults(&dmi_struct_evaluation, &full);
    dm_status status = dmi_struct_write_back(host, &dmi_struct_evaluation, result, &full);
    if (!status)
        status =
            dmi_struct_read_checked(host, &dmi_struct_evaluation_options, &e->options, options);
    if (!status) status = prepare(e);
    if (status) return status;
    status = allocate(e);
    if (!status) status = run(e, callback);
    release(e);
    if (status) return status;
    write_result(e, &full);
    return dmi_struct_write_back(host, &dmi_struct_evaluation, result, &full);
}

static dm_status check_pointers(const dm_unet *unet, const dm_schedule *schedule,
                                const dm_dataset *dataset, const dm_evaluation *result) {
    dmi_host *host = &unet->context->host;
    if (!schedule || !dataset || !result)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "evaluate: '%s' is NULL",
                        !schedule  ? "schedule"
                        : !dataset ? "dataset"
                                   : "result");
    if (dataset->context == unet->context) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "evaluate: the dataset is of another context than the network");
}

dm_status dm_unet_evaluate(dm_unet *unet, const dm_schedule *schedule, const dm_dataset *dataset,
                           const dm_evaluation_options *options, dm_evaluation_callback callback,
                           void *user, dm_evaluation *result) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    dm_status status = check_pointers(unet, schedule, dataset, result);
    if (status) return dmi_leave(unet->context, status);
    const dm_unet_options *u = &unet->options;
    dmi_evaluator e = {.context = unet->context,
                       .unet = unet,
                       .schedule = schedule,
                       .dataset = dataset,
                       .n = (size_t)u->height * (size_t)u->width * (size_t)u->in_channels,
                       .channels = (size_t)u->in_channels,
                       .condition_n =
                           (size_t)u->height * (size_t)u->width * (size_t)u->condition_channels,
                       .in_factor = 1 + (size_t)u->self_conditioning,
                       .out_factor = 1 + (size_t)u->learned_variance};
    progress_callback progress = {callback, user};
    return dmi_leave(unet->context, evaluate(&e, options, &progress, result));
}
