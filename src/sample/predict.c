/* What the network makes of a batch: asked once, or with guidance for both halves in one batch. */
#include <math.h>
#include <string.h>

#include "sample/sampler.h"

/* Whether the question of a stage is within the interval. */
static bool is_guided(const dm_sampler *s, const dmi_stage *stage) {
    const dm_sampler_options *o = &s->options;
    double t = dmi_schedule_has_betas(s->schedule)
                   ? stage->at.time
                   : dmi_schedule_timestep_of_sigma(s->schedule, dmi_level_sigma(stage->at));
    double at = t / s->schedule->steps;
    return o->guidance != 1 && at >= o->guidance_begin && at <= o->guidance_end;
}

/* The half without a class behind the one with it: pictures `size` and after. */
static void double_up(const dmi_run *run, size_t size) {
    dmi_sampler_buffers *b = &run->sampler->buffers;
    size_t floats = run->sampler->elements * (1 + (size_t)run->sampler->self_conditioning);
    memcpy(b->input + size * floats, b->input, size * floats * sizeof(float));
    for (size_t i = 0; i < size; i++) b->labels[size + i] = -1;
}

static int32_t ask(const dmi_run *run, double time, size_t size) {
    dm_sampler *s = run->sampler;
    dmi_sampler_buffers *b = &s->buffers;
    const int32_t *labels = run->request->labels ? b->labels : NULL;
    if (s->unet) return dmi_unet_denoise(s->unet, b->answer, b->input, (float)time, labels, size);
    int32_t answer =
        s->denoiser(s->denoiser_user, b->answer, b->input, (float)time, labels, size, s->elements);
    if (!answer) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_CALLBACK_FAILED,
                    "sampler: the denoiser returned %d at step %d of %d", (int)answer,
                    (int)run->step + 1, (int)s->options.steps);
}

typedef struct guide_job {
    const dmi_run *run;
    size_t size; /* of the half with the class */
    bool guided;
} guide_job;

/* Ho and Salimans 2022, eq. 6, with their w + 1; Lin et al. 2024, eq. 15 and 16. output may be
 * `with`. */
static void guide(const dm_sampler *s, float *output, const float *with, const float *without) {
    const dmi_kernels *kernels = s->context->kernels;
    const dm_sampler_options *o = &s->options;
    size_t n = s->elements;
    double mean, wanted, is;
    if (o->guidance_rescale > 0) kernels->moments(&mean, &wanted, with, n);
    kernels->combine(output, (float)o->guidance, with, (float)(1 - o->guidance), without, n);
    if (!(o->guidance_rescale > 0)) return;
    kernels->moments(&mean, &is, output, n);
    if (is > 0)
        kernels->scale(output, output,
                       (float)(o->guidance_rescale * sqrt(wanted / is) + 1 - o->guidance_rescale),
                       n);
}

/* Picture i's part of the answer: the prediction, and the variance at its side where the network
 * has learned one. */
static void part_task(void *data, int32_t task, int32_t worker) {
    const guide_job *job = data;
    const dm_sampler *s = job->run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    size_t i = (size_t)task, n = s->elements, c = (size_t)s->channels, wide = b->variance ? 2 : 1;
    float *output = b->output + i * n;
    (void)worker;
    const float *with = b->answer + i * wide * n;
    if (!b->variance) {
        if (job->guided) guide(s, output, with, b->answer + (job->size + i) * n);
        else memcpy(output, with, n * sizeof *output);
        return;
    }
    const dmi_kernels *kernels = s->context->kernels;
    float *without = b->variance + i * n; /* for a while */
    kernels->copy_rows(output, c, with, 2 * c, n / c, c, false);
    if (job->guided) {
        kernels->copy_rows(without, c, b->answer + (job->size + i) * 2 * n, 2 * c, n / c, c, false);
        guide(s, output, output, without);
    }
    kernels->copy_rows(without, c, with + c, 2 * c, n / c, c, false);
}

int32_t dmi_run_predict(const dmi_run *run, const dmi_stage *stage) {
    dm_sampler *s = run->sampler;
    guide_job job = {.run = run,
                     .size = s->unet ? run->size : run->count,
                     .guided = is_guided(s, stage)};
    if (job.guided) double_up(run, job.size);
    int32_t status = ask(run, stage->at.time, job.guided ? 2 * job.size : job.size);
    if (!status) dmi_parallel(s->context->host.pool, (int32_t)run->count, part_task, &job);
    return status;
}
