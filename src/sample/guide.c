/* SPDX-License-Identifier: MIT */
/* Guidance by the caller's function: x_0 and eps before clipping, the call, and what is derived
 * anew from what it changed. */
#include <math.h>

#include "sample/run.h"

enum { AS_THEY_ARE = 0, EPS_FROM_X0 = 1, X0_FROM_EPS = 2 };

typedef struct guide_job {
    dmi_run *run;
    const dmi_stage *stage;
    dmi_prediction_coefficients coefficients; /* without clipping */
    int32_t rederive;
} guide_job;

/* x_0, eps and, as floats, x_t of one image. */
static void predict_task(void *data, int32_t task, int32_t worker) {
    const guide_job *job = data;
    const dm_sampler *s = job->run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    const dmi_kernels *kernels = s->context->kernels;
    size_t i = (size_t)task, n = s->elements, at = i * n;
    (void)worker;
    b->faults[i] = DMI_FAULT_OUTPUT;
    if (!kernels->all_finite(b->prediction + at, n)) return;
    dmi_predict_x0(kernels, &job->coefficients, b->x_0 + at, b->x + at, b->prediction + at,
                   INFINITY, n);
    dmi_predict_eps(kernels, &job->coefficients, b->eps + at, b->x + at, b->x_0 + at,
                    b->prediction + at, n);
    kernels->solver_to_f32(b->x_f32 + at, 1, b->x + at, n);
    b->faults[i] = DMI_FAULT_NONE;
}

/* From x = signal x_0 + noise eps, where that has an answer. */
static void rederive(const guide_job *job, const dmi_kernels *kernels, const double *x, double *x_0,
                     double *eps, size_t n) {
    dmi_level at = job->stage->at;
    bool to_eps = job->rederive == EPS_FROM_X0;
    if (job->rederive == AS_THEY_ARE) return;
    if (to_eps ? at.noise <= 0 : !dmi_level_has_signal(at)) return;
    double known = to_eps ? at.signal : at.noise, wanted = to_eps ? at.noise : at.signal;
    const double *terms[] = {x, to_eps ? x_0 : eps};
    const double factors[] = {1 / wanted, -known / wanted};
    kernels->solver_weighted_sum(to_eps ? eps : x_0, terms, factors, 2, NULL, 0, n);
}

static void result_task(void *data, int32_t task, int32_t worker) {
    const guide_job *job = data;
    const dm_sampler *s = job->run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    size_t i = (size_t)task, n = s->elements, at = i * n;
    (void)worker;
    const dmi_kernels *kernels = s->context->kernels;
    rederive(job, kernels, b->x + at, b->x_0 + at, b->eps + at, n);
    bool finite =
        kernels->solver_all_finite(b->x_0 + at, n) && kernels->solver_all_finite(b->eps + at, n);
    b->faults[i] = finite ? DMI_FAULT_NONE : DMI_FAULT_GUIDANCE;
}

/* Sets *rederive to what the callback wishes. */
static dm_status call(const dmi_run *run, const dmi_stage *stage, int32_t *rederive) {
    const dm_sampler *s = run->sampler;
    const dm_sampler_request *r = &run->request;
    dm_guidance_step step;
    dmi_struct_defaults(&dmi_struct_guidance_step, &step);
    step.first = run->first;
    step.count = run->count;
    step.elements = run->count * s->elements;
    step.timestep = stage->timestep;
    step.time = stage->at.time;
    step.signal = stage->at.signal;
    step.noise = stage->at.noise;
    step.x = s->buffers.x_f32;
    step.labels = r->labels ? s->buffers.labels : NULL;
    step.x_0 = s->buffers.x_0;
    step.eps = s->buffers.eps;
    dmi_callback_begin(s->context);
    int32_t returned = r->guide(r->guide_user, &step);
    dm_status status = dmi_callback_result(s->context, returned, DM_ERROR_CALLBACK_FAILED,
                                           "sampler: the guidance callback");
    *rederive = step.rederive;
    if (status) return status;
    return dmi_check_range(&s->context->host, "sampler: the guidance callback", "rederive",
                           step.rederive, AS_THEY_ARE, X0_FROM_EPS);
}

dm_status dmi_run_guide(dmi_run *run, const dmi_stage *stage) {
    const dm_sampler *s = run->sampler;
    dmi_pool *pool = s->context->host.pool;
    guide_job job = {.run = run,
                     .stage = stage,
                     .coefficients = dmi_prediction_at(stage->at, s->prediction, s->sigma_data)};
    dmi_parallel(pool, (int32_t)run->count, predict_task, &job);
    dm_status status = dmi_run_first_fault(run);
    if (!status) status = call(run, stage, &job.rederive);
    if (status) return status;
    dmi_parallel(pool, (int32_t)run->count, result_task, &job);
    return dmi_run_first_fault(run);
}
