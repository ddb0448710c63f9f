/* The run: noise to pictures, batch by batch. A picture depends on its own seed, label and image
 * alone, so neither the batch that it is in nor the number of threads changes a bit of it. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "sample/sampler.h"

/* ---- the beginning ---- */

/* What standard normal noise is multiplied by to be x where there is no picture: a process with
 * betas keeps the variance 1, of which x at the first level lacks the picture's share. */
static double start_factor(const dmi_run *run) {
    const dm_sampler *s = run->sampler;
    bool by_sigma = s->solver->between && s->options.spacing != DM_SPACING_LEADING;
    return dmi_schedule_has_betas(s->schedule) && !by_sigma ? 1 : run->levels[run->step].noise;
}

static void begin_task(void *data, int32_t task, int32_t worker) {
    const dmi_run *run = data;
    const dm_sampler *s = run->sampler;
    const dm_sampler_request *r = run->request;
    const dmi_sampler_buffers *b = &s->buffers;
    const dmi_kernels *kernels = s->context->kernels;
    size_t i = (size_t)task, n = s->elements, at = i * n, given = (run->first + i) * n;
    float *noise = b->noise + at, *x = b->shown_x + at;
    (void)worker;
    if (r->random == DM_RANDOM_TORCH)
        dmi_torch_seed(&b->torch[i],
                       r->seeds ? r->seeds[run->first + i] : r->seed + run->first + i);
    if (!r->start && !r->noise) dmi_run_draw(run, i, DMI_STREAM_SAMPLE, noise);
    if (r->start) memcpy(x, r->start + given, n * sizeof *x);
    else if (r->strength < 1) /* The noise is added to the picture that is begun from. */
        kernels->combine(x, (float)run->levels[run->step].signal, r->image + given,
                         (float)run->levels[run->step].noise, noise, n);
    else kernels->scale(x, noise, (float)start_factor(run), n);
    kernels->solver_weighted_sum(b->x + at, NULL, NULL, 0, x, 1, n);
    memset(b->shown_x_0 + at, 0, n * sizeof *b->shown_x_0);
}

/* x, the labels, and what the network saw before: nothing. */
static int32_t begin(dmi_run *run) {
    dm_sampler *s = run->sampler;
    const dm_sampler_request *r = run->request;
    dmi_sampler_buffers *b = &s->buffers;
    if (r->noise && !r->start) {
        int32_t status = dmi_run_ask_noise(run, b->noise);
        if (status) return status;
    }
    dmi_parallel(s->context->host.pool, (int32_t)run->count, begin_task, run);
    if (!s->context->kernels->all_finite(b->shown_x, run->count * s->elements))
        return dmi_fail(
            &s->context->host, DM_ERROR_NOT_FINITE,
            "sampler: the noise to start from is infinite or not a number in pictures %zu to %zu",
            run->first, run->first + run->count - 1);
    for (size_t i = 0; r->labels && i < run->size; i++)
        b->labels[i] = r->labels[run->first + i % run->count];
    return DM_OK;
}

/* ---- what a mask keeps, and going back ---- */

typedef struct level_job {
    const dmi_run *run;
    dmi_level from, to;
} level_job;

static void keep_task(void *data, int32_t task, int32_t worker) {
    const level_job *job = data;
    const dmi_run *run = job->run;
    const dm_sampler *s = run->sampler;
    const dm_sampler_request *r = run->request;
    size_t i = (size_t)task, n = s->elements, pixels = n / (size_t)s->channels,
           picture = run->first + i;
    float *noise = s->buffers.noise + i * n;
    (void)worker;
    if (job->to.noise > 0) dmi_run_draw(run, i, DMI_STREAM_INPAINT, noise);
    s->context->kernels->solver_inpaint(s->buffers.x + i * n, r->mask + picture * pixels,
                                     r->image + picture * n, job->to.signal, noise, job->to.noise,
                                     pixels, (size_t)s->channels);
    s->context->kernels->solver_to_f32(s->buffers.shown_x + i * n, 1, s->buffers.x + i * n, n);
}

/* What is kept of the request's image takes its place, as noisy as x is at that level (Lugmayr et
 * al. 2022, eq. 8). */
static void keep(const dmi_run *run, dmi_level level) {
    level_job job = {.run = run, .to = level};
    if (run->request->mask)
        dmi_parallel(run->sampler->context->host.pool, (int32_t)run->count, keep_task, &job);
}

static void back_task(void *data, int32_t task, int32_t worker) {
    const level_job *job = data;
    const dm_sampler *s = job->run->sampler;
    const dmi_kernels *kernels = s->context->kernels;
    size_t i = (size_t)task, n = s->elements;
    double *x = s->buffers.x + i * n;
    float *noise = s->buffers.noise + i * n;
    (void)worker;
    dmi_run_draw(job->run, i, DMI_STREAM_RENOISE, noise);
    const double *terms[] = {x};
    /* From what is noise alone there is nothing to carry back. */
    bool any = dmi_level_has_signal(job->from);
    double factor = any ? job->to.signal / job->from.signal : 0;
    double added = any ? sqrt(dmi_variance_between(job->to, job->from)) : job->to.noise;
    kernels->solver_weighted_sum(x, terms, &factor, 1, noise, added, n);
}

/* From the level reached to one that is noisier (Lugmayr et al. 2022, eq. 9). */
static void go_back(const dmi_run *run, dmi_level from, dmi_level to) {
    level_job job = {.run = run, .from = from, .to = to};
    dmi_parallel(run->sampler->context->host.pool, (int32_t)run->count, back_task, &job);
}

/* ---- the steps ---- */

static int32_t check_cancelled(const dmi_run *run) {
    dm_sampler *s = run->sampler;
    if (!atomic_load(&s->cancelled)) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_CANCELLED,
                    "sampler: cancelled after step %d of %d, at picture %zu", (int)run->step,
                    (int)s->options.steps, run->first);
}

static int32_t report(const dmi_run *run, int32_t all) {
    const dm_sampler *s = run->sampler;
    const dm_sampler_request *r = run->request;
    if (!r->progress) return DM_OK;
    int32_t answer = r->progress(r->progress_user, run->visit, all, s->buffers.shown_x,
                                 s->buffers.shown_x_0, run->first, run->count);
    if (!answer) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_CANCELLED,
                    "sampler: the progress callback returned %d after step %d of %d", (int)answer,
                    (int)run->visit, (int)all);
}

/* Steps from..to-1; `all` is how many there are in the whole run. */
static int32_t run_steps(dmi_run *run, int32_t from, int32_t to, int32_t all) {
    int32_t status = DM_OK;
    for (run->step = from; !status && run->step < to;) {
        run->visit++;
        for (int32_t k = run->begins[run->step]; !status && k < run->begins[run->step + 1]; k++)
            status = dmi_run_stage(run, &run->stages[k]);
        if (status) break;
        run->step++;
        keep(run, run->levels[run->step]);
        status = report(run, all);
        if (!status) status = check_cancelled(run);
    }
    return status;
}

/* All of them, in stretches that are gone through several times where the request wants it. */
static int32_t run_all(dmi_run *run, int32_t first) {
    const dm_sampler_request *r = run->request;
    int32_t steps = run->sampler->options.steps,
            jump = r->repaint_times > 1 ? r->repaint_jump : steps - first;
    int32_t all = (steps - first) * r->repaint_times, status = DM_OK;
    for (int32_t from = first, to; !status && from < steps; from = to) {
        to = steps - from < jump ? steps : from + jump;
        for (int32_t time = 0; !status && time < r->repaint_times; time++) {
            if (time > 0) go_back(run, run->levels[to], run->levels[from]);
            status = run_steps(run, from, to, all);
        }
    }
    return status;
}

static int32_t run_batch(dmi_run *run, int32_t first, float *images) {
    dm_sampler *s = run->sampler;
    run->step = first;
    int32_t status = begin(run);
    if (!status && !run->only_begins) {
        keep(run, run->levels[first]);
        status = check_cancelled(run);
        if (!status) status = run_all(run, first);
    }
    if (status) return status;
    size_t floats = run->count * s->elements;
    s->context->kernels->solver_to_f32(images + run->first * s->elements, 1, s->buffers.x, floats);
    return DM_OK;
}

/* Batches of one size, since the network is planned for one. */
int32_t dmi_run_batches(dmi_run *run, int32_t first, float *images) {
    dm_sampler *s = run->sampler;
    size_t count = (size_t)run->request->count, most = (size_t)s->options.batch_size;
    size_t batches = (count + most - 1) / most, size = (count + batches - 1) / batches;
    int32_t status = dmi_sampler_reserve(s, size);
    for (size_t at = 0; !status && at < count; at += size) {
        dmi_run batch = *run;
        batch.first = at;
        batch.size = size;
        batch.count = count - at < size ? count - at : size;
        status = run_batch(&batch, first, images);
    }
    return status;
}

int32_t dmi_run_end(dm_sampler *sampler, int32_t status) {
    if (status == DM_ERROR_CANCELLED) atomic_store(&sampler->cancelled, 0);
    return status;
}

static int32_t sample(dm_sampler *s, const dm_sampler_request *request, bool only_begins,
                      float *images, size_t elements) {
    dm_sampler_request r = dmi_request_defaults;
    int32_t status =
        dmi_options_read(&s->context->host, &r, sizeof r, request, "dm_sampler_request");
    if (!status) status = dmi_request_check(s, &r, images, elements);
    if (status) return status;
    int32_t first = dmi_request_first(s, &r);
    if (s->planned_first != first) dmi_sampler_plan_stages(s, first);
    dmi_run run = {.sampler = s,
                   .request = &r,
                   .stages = s->stages,
                   .begins = s->begins,
                   .levels = s->levels,
                   .only_begins = only_begins};
    return dmi_run_batches(&run, first, images);
}

int32_t dm_sampler_run(dm_sampler *sampler, const dm_sampler_request *request, float *images,
                       size_t elements) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    return dmi_run_end(sampler, sample(sampler, request, false, images, elements));
}

int32_t dm_sampler_begin(dm_sampler *sampler, const dm_sampler_request *request, float *noise,
                         size_t elements) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    return dmi_run_end(sampler, sample(sampler, request, true, noise, elements));
}
