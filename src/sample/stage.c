/* One stage of a solver for a batch: the question to the network, and the sums that follow from its
 * answer. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "sample/sampler.h"

typedef struct stage_job {
    dmi_run *run;
    const dmi_stage *stage;
    dmi_reading reading;
} stage_job;

/* `of` sums up into y: the terms whose factor is not 0, in their order. */
static void add_up(const dmi_run *run, size_t i, const dmi_sum *of, double *y, const float *noise) {
    const dm_sampler *s = run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    size_t at = i * s->elements;
    const double *const all[] = {[DMI_X] = b->x + at,
                                 [DMI_SAVED] = b->saved + at,
                                 [DMI_X0] = b->x_0 + at,
                                 [DMI_EPS] = b->eps + at};
    const double *terms[DMI_TERMS];
    double factors[DMI_TERMS];
    int32_t count = 0;
    for (int32_t k = 0; k < DMI_TERMS; k++) {
        if (of->of[k] == 0) continue;
        /* The memory is a ring; `remembered` stages have been written to it. */
        terms[count] =
            k < DMI_MEMORY
                ? all[k]
                : b->memory[(run->remembered - 1 - (k - DMI_MEMORY)) % s->solver->memory] + at;
        factors[count++] = of->of[k];
    }
    s->context->kernels->solver_weighted_sum(y, terms, factors, count, noise, of->noise, s->elements);
}

/* ---- before the question ---- */

static void input_task(void *data, int32_t task, int32_t worker) {
    const stage_job *job = data;
    const dm_sampler *s = job->run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    const dmi_kernels *kernels = s->context->kernels;
    size_t i = (size_t)task, n = s->elements, c = (size_t)s->channels;
    double *x = b->x + i * n;
    float *noise = b->noise + i * n;
    (void)worker;
    if (job->stage->before_noise != 0) {
        if (!job->run->request->noise) dmi_run_draw(job->run, i, DMI_STREAM_SAMPLE, noise);
        dmi_sum before = {.of = {[DMI_X] = job->stage->before_x},
                          .noise = job->stage->before_noise};
        add_up(job->run, i, &before, x, noise);
    }
    if (!s->self_conditioning) {
        kernels->solver_to_f32(b->input + i * n, job->reading.input, x, n);
        return;
    }
    float *shown = b->shown_x + i * n, *input = b->input + i * 2 * n;
    kernels->solver_to_f32(shown, job->reading.input, x, n);
    kernels->copy_rows(input, 2 * c, shown, c, n / c, c, false);
    kernels->copy_rows(input + c, 2 * c, b->shown_x_0 + i * n, c, n / c, c, false);
}

/* Pictures that are there for the network's sake alone. */
static void fill_up(const dmi_run *run) {
    const dm_sampler *s = run->sampler;
    size_t floats = s->elements * (1 + (size_t)s->self_conditioning);
    float *input = s->buffers.input;
    for (size_t i = run->count; s->unet && i < run->size; i++)
        memcpy(input + i * floats, input + (i - run->count) * floats, floats * sizeof *input);
}

/* ---- after it ---- */

static void read_x_0(const stage_job *job, size_t i) {
    const dm_sampler *s = job->run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    const dm_sampler_options *o = &s->options;
    const dmi_kernels *kernels = s->context->kernels;
    size_t n = s->elements, at = i * n;
    double limit = o->clip && !(o->threshold > 0) ? 1 : INFINITY;
    kernels->solver_axpby_clamp(b->x_0 + at, job->reading.x0_x, b->x + at, job->reading.x0_output,
                         b->output + at, limit, n);
    if (!(o->threshold > 0)) return;
    limit = kernels->solver_abs_quantile(b->scratch + at, b->x_0 + at, o->threshold, n);
    limit = limit < 1 ? 1 : limit > o->threshold_max ? o->threshold_max : limit;
    kernels->solver_clamp_normalize(b->x_0 + at, limit, n);
}

static void read_eps(const stage_job *job, size_t i) {
    const dm_sampler *s = job->run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    const dmi_reading *r = &job->reading;
    size_t n = s->elements, at = i * n;
    if (r->eps_of_x0)
        add_up(job->run, i, &(dmi_sum){.of = {[DMI_X] = r->eps_x, [DMI_X0] = r->eps_output}},
               b->eps + at, NULL);
    else
        s->context->kernels->solver_axpby_clamp(b->eps + at, r->eps_x, b->x + at, r->eps_output,
                                         b->output + at, INFINITY, n);
}

/* Noise of the step: false where the caller's is not finite. */
static bool noise_of_move(const stage_job *job, size_t i) {
    const dm_sampler *s = job->run->sampler;
    const dmi_kernels *kernels = s->context->kernels;
    float *noise = s->buffers.noise + i * s->elements;
    if (!job->run->request->noise) dmi_run_draw(job->run, i, DMI_STREAM_SAMPLE, noise);
    else if (!kernels->all_finite(noise, s->elements)) return false;
    if (job->stage->noise_range != 0)
        kernels->solver_scale_noise(noise, s->buffers.variance + i * s->elements,
                               (float)job->stage->noise_range, s->elements);
    return true;
}

static void answer_task(void *data, int32_t task, int32_t worker) {
    const stage_job *job = data;
    const dmi_stage *stage = job->stage;
    dmi_run *run = job->run;
    const dm_sampler *s = run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    const dmi_kernels *kernels = s->context->kernels;
    size_t i = (size_t)task, n = s->elements, at = i * n;
    bool noisy = stage->move.noise != 0;
    (void)worker;
    b->faults[i] = DMI_FAULT_OUTPUT;
    if (!kernels->all_finite(b->output + at, n)) return;
    b->faults[i] = DMI_FAULT_NOISE;
    if (noisy && !noise_of_move(job, i)) return;
    read_x_0(job, i);
    read_eps(job, i);
    if (stage->corrects) add_up(run, i, &stage->correct, b->x + at, NULL);
    if (stage->saves) memcpy(b->saved + at, b->x + at, n * sizeof *b->saved);
    add_up(run, i, &stage->move, b->x + at, noisy ? b->noise + at : NULL);
    if (stage->remembers) {
        dmi_sum seen = {.of = {[DMI_X0] = stage->remember[0], [DMI_EPS] = stage->remember[1]}};
        add_up(run, i, &seen, b->memory[run->remembered % s->solver->memory] + at, NULL);
    }
    kernels->solver_to_f32(b->shown_x + at, 1, b->x + at, n);
    kernels->solver_to_f32(b->shown_x_0 + at, 1, b->x_0 + at, n);
    b->faults[i] = kernels->all_finite(b->shown_x + at, n) ? DMI_FAULT_NONE : DMI_FAULT_PICTURE;
}

static int32_t first_fault(const dmi_run *run) {
    static const char *const what[] = {[DMI_FAULT_OUTPUT] = "the network's output",
                                       [DMI_FAULT_NOISE] = "the noise",
                                       [DMI_FAULT_PICTURE] = "the picture"};
    const dm_sampler *s = run->sampler;
    for (size_t i = 0; i < run->count; i++)
        if (s->buffers.faults[i] != DMI_FAULT_NONE)
            return dmi_fail(&s->context->host, DM_ERROR_NOT_FINITE,
                            "sampler: %s is infinite or not a number in picture %zu at step %d of "
                            "%d (timestep %g)",
                            what[s->buffers.faults[i]], run->first + i, (int)run->step + 1,
                            (int)s->options.steps, s->timesteps[run->step]);
    return DM_OK;
}

int32_t dmi_run_stage(dmi_run *run, const dmi_stage *stage) {
    dm_sampler *s = run->sampler;
    dmi_pool *pool = s->context->host.pool;
    stage_job job = {.run = run, .stage = stage, .reading = dmi_sampler_reading(s, stage)};
    bool asks = run->request->noise && (stage->before_noise != 0 || stage->move.noise != 0);
    int32_t status = asks ? dmi_run_ask_noise(run, s->buffers.noise) : DM_OK;
    if (status) return status;
    dmi_parallel(pool, (int32_t)run->count, input_task, &job);
    fill_up(run);
    status = dmi_run_predict(run, stage);
    if (status) return status;
    dmi_parallel(pool, (int32_t)run->count, answer_task, &job);
    run->remembered += stage->remembers;
    return first_fault(run);
}
