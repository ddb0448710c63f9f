/* SPDX-License-Identifier: MIT */
/* One stage of a solver for a batch: the model evaluation, and the sums that follow from it. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "sample/run.h"

typedef struct stage_job {
    dmi_run *run;
    const dmi_stage *stage;
    dmi_prediction_coefficients coefficients;
} stage_job;

/* Entry k of the history, 0 being the latest and -1 the one to be written next. */
static double *history_entry(const dmi_run *run, int32_t k) {
    const dm_sampler *s = run->sampler;
    return s->buffers.history[(run->history_count - 1 - k) % s->solver->history_size];
}

/* y = `sum` of image i, leaving out terms whose factor is 0. y may be one of the terms. */
static void apply_sum(const dmi_run *run, size_t i, const dmi_sum *sum, double *y,
                      const float *noise) {
    const dm_sampler *s = run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    size_t at = i * s->elements;
    const double *const current[] = {[DMI_X] = b->x + at,
                                     [DMI_SAVED_X] = b->saved_x + at,
                                     [DMI_X0] = b->x_0 + at,
                                     [DMI_EPS] = b->eps + at};
    const double *terms[DMI_TERMS];
    double factors[DMI_TERMS];
    int32_t count = 0;
    for (int32_t k = 0; k < DMI_TERMS; k++) {
        if (sum->factors[k] == 0) continue;
        terms[count] = k < DMI_HISTORY ? current[k] : history_entry(run, k - DMI_HISTORY) + at;
        factors[count++] = sum->factors[k];
    }
    s->context->kernels->solver_weighted_sum(y, terms, factors, count, noise, sum->noise,
                                             s->elements);
}

/* Draws the noise of image i; the caller's is there already, and false if it is not finite. */
static bool fill_noise(const stage_job *job, size_t i) {
    const dm_sampler *s = job->run->sampler;
    float *noise = s->buffers.noise + i * s->elements;
    if (job->run->request.noise) return s->context->kernels->all_finite(noise, s->elements);
    dmi_run_draw_noise(job->run, i, DMI_STREAM_SAMPLE, noise);
    return true;
}

/* ---- before the evaluation ---- */

static void add_churn(const stage_job *job, size_t i) {
    const dm_sampler *s = job->run->sampler;
    const float *noise = s->buffers.noise + i * s->elements;
    dmi_sum churn = {.factors = {[DMI_X] = job->stage->churn_x}, .noise = job->stage->churn_noise};
    apply_sum(job->run, i, &churn, s->buffers.x + i * s->elements, noise);
}

static void input_task(void *data, int32_t task, int32_t worker) {
    const stage_job *job = data;
    const dm_sampler *s = job->run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    const dmi_kernels *kernels = s->context->kernels;
    size_t i = (size_t)task, n = s->elements, c = (size_t)s->channels;
    const double *x = b->x + i * n;
    (void)worker;
    b->faults[i] = DMI_FAULT_NONE;
    if (job->stage->churn_noise != 0) {
        b->faults[i] = fill_noise(job, i) ? DMI_FAULT_NONE : DMI_FAULT_NOISE;
        if (b->faults[i]) return;
        add_churn(job, i);
    }
    if (!s->self_conditioning) {
        kernels->solver_to_f32(b->model_input + i * n, job->coefficients.input, x, n);
        return;
    }
    float *scaled = b->x_f32 + i * n, *input = b->model_input + i * 2 * n;
    kernels->solver_to_f32(scaled, job->coefficients.input, x, n);
    kernels->copy_rows(input, 2 * c, scaled, c, n / c, c, false);
    kernels->copy_rows(input + c, 2 * c, b->x_0_f32 + i * n, c, n / c, c, false);
}

/* The network always gets `size` images; those past `count` repeat earlier ones. The caller's
 * denoiser gets `count`. */
static void pad_batch(const dmi_run *run) {
    const dm_sampler *s = run->sampler;
    if (!s->unet) return;
    size_t floats = s->elements * (1 + (size_t)s->self_conditioning);
    float *input = s->buffers.model_input;
    for (size_t i = run->count; i < run->size; i++)
        memcpy(input + i * floats, input + (i - run->count) * floats, floats * sizeof *input);
}

/* ---- after it ---- */

/* x_0, from the model's output or from the guidance, clipped to +-clip_range or by dynamic
 * thresholding (Saharia et al. 2022, sec. 2.3): clipped to the quantile of its absolute values, and
 * divided by that. */
static void predict_x0(const stage_job *job, size_t i) {
    const dm_sampler *s = job->run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    const dm_sampler_options *o = &s->options;
    const dmi_kernels *kernels = s->context->kernels;
    size_t n = s->elements, at = i * n;
    bool thresholds = o->threshold > 0;
    double limit = o->clip && !thresholds ? o->clip_range : INFINITY;
    if (job->run->request.guide)
        kernels->solver_axpby_clamp(b->x_0 + at, 1, b->x_0 + at, 0, b->prediction + at, limit, n);
    else
        dmi_predict_x0(kernels, &job->coefficients, b->x_0 + at, b->x + at, b->prediction + at,
                       limit, n);
    if (!thresholds) return;
    limit = kernels->solver_abs_quantile(b->quantile_scratch + at, b->x_0 + at, o->threshold, n);
    limit = fmin(fmax(limit, 1), o->threshold_max);
    kernels->solver_clamp_normalize(b->x_0 + at, limit, n);
}

/* The noise of the update; false if the caller's is not finite. */
static bool update_noise(const stage_job *job, size_t i) {
    const dm_sampler *s = job->run->sampler;
    const dmi_kernels *kernels = s->context->kernels;
    float *noise = s->buffers.noise + i * s->elements;
    if (!fill_noise(job, i)) return false;
    if (job->stage->learned_log_range != 0)
        kernels->solver_scale_noise(noise, s->buffers.variance + i * s->elements,
                                    (float)job->stage->learned_log_range, s->elements);
    return true;
}

static void update_task(void *data, int32_t task, int32_t worker) {
    const stage_job *job = data;
    const dmi_stage *stage = job->stage;
    dmi_run *run = job->run;
    const dm_sampler *s = run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    const dmi_kernels *kernels = s->context->kernels;
    size_t i = (size_t)task, n = s->elements, at = i * n;
    bool noisy = stage->update.noise != 0;
    (void)worker;
    /* faults[i] names what is wrong if the task returns early. */
    b->faults[i] = DMI_FAULT_OUTPUT;
    if (!kernels->all_finite(b->prediction + at, n)) return;
    b->faults[i] = DMI_FAULT_NOISE;
    if (noisy && !update_noise(job, i)) return;
    predict_x0(job, i);
    if (!run->request.guide || job->coefficients.eps_from_x0)
        dmi_predict_eps(kernels, &job->coefficients, b->eps + at, b->x + at, b->x_0 + at,
                        b->prediction + at, n);
    if (stage->has_corrector) apply_sum(run, i, &stage->corrector, b->x + at, NULL);
    if (stage->saves_x) memcpy(b->saved_x + at, b->x + at, n * sizeof *b->saved_x);
    apply_sum(run, i, &stage->update, b->x + at, noisy ? b->noise + at : NULL);
    if (stage->pushes_history) {
        dmi_sum entry = {.factors = {[DMI_X0] = stage->history_x0, [DMI_EPS] = stage->history_eps}};
        apply_sum(run, i, &entry, history_entry(run, -1) + at, NULL);
    }
    kernels->solver_to_f32(b->x_f32 + at, 1, b->x + at, n);
    kernels->solver_to_f32(b->x_0_f32 + at, 1, b->x_0 + at, n);
    b->faults[i] = kernels->all_finite(b->x_f32 + at, n) ? DMI_FAULT_NONE : DMI_FAULT_IMAGE;
}

dm_status dmi_run_first_fault(const dmi_run *run) {
    static const char *const what[] = {[DMI_FAULT_OUTPUT] = "the model's output",
                                       [DMI_FAULT_NOISE] = "the noise",
                                       [DMI_FAULT_IMAGE] = "the image",
                                       [DMI_FAULT_GUIDANCE] = "the guidance's x_0 or eps"};
    const dm_sampler *s = run->sampler;
    for (size_t i = 0; i < run->count; i++)
        if (s->buffers.faults[i] != DMI_FAULT_NONE)
            return dmi_fail(&s->context->host, DM_ERROR_NOT_FINITE,
                            "sampler: %s is infinite or NaN for image %zu at step %d of %d "
                            "(timestep %g)",
                            what[s->buffers.faults[i]], run->first + i, (int)run->step + 1,
                            (int)run->plan->steps, run->plan->timesteps[run->step]);
    return DM_OK;
}

dm_status dmi_run_stage(dmi_run *run, const dmi_stage *stage) {
    dm_sampler *s = run->sampler;
    dmi_pool *pool = s->context->host.pool;
    stage_job job = {.run = run,
                     .stage = stage,
                     .coefficients = dmi_sampler_coefficients(s, stage)};
    bool noisy = stage->churn_noise != 0 || stage->update.noise != 0;
    dm_status status =
        noisy && run->request.noise ? dmi_run_request_noise(run, s->buffers.noise) : DM_OK;
    if (status) return status;
    dmi_parallel(pool, (int32_t)run->count, input_task, &job);
    status = dmi_run_first_fault(run);
    if (status) return status;
    pad_batch(run);
    status = dmi_run_evaluate(run, stage);
    if (!status && run->request.guide) status = dmi_run_guide(run, stage);
    if (status) return status;
    dmi_parallel(pool, (int32_t)run->count, update_task, &job);
    run->history_count += stage->pushes_history;
    return dmi_run_first_fault(run);
}
