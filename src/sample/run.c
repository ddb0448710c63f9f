/* SPDX-License-Identifier: MIT */
/* The steps of a run, one at a time: batches, their segments, and the repetitions of these.
 * dm_sampler_run does them all, dm_sampler_step one, so both give the same bits. */
#include "sample/run.h"

#include <string.h>

/* ---- position ---- */

/* Without RePaint there is one segment, of all steps. */
static void choose_segment(dmi_run *run, int32_t first) {
    const dm_sampler_request *r = &run->request;
    int32_t steps = run->plan->steps,
            length = r->repaint_repetitions > 1 ? r->repaint_jump_length : steps - run->plan->first;
    run->segment_first = run->step = first;
    run->segment_end = steps - first < length ? steps : first + length;
    run->repetition = 0;
}

static void choose_batch(dmi_run *run, size_t first) {
    size_t count = (size_t)run->request.count, left = first < count ? count - first : 0;
    run->first = first;
    run->count = left < run->size ? left : run->size;
    run->batch_begun = false;
    run->batch_steps_begun = 0;
    run->history_count = 0;
    choose_segment(run, run->plan->first);
}

/* Ends the current batch. */
static void finish_batch(dmi_run *run) {
    dm_sampler *s = run->sampler;
    size_t at = run->first * s->elements, floats = run->count * s->elements;
    s->context->kernels->solver_to_f32(run->images + at, 1, s->buffers.x, floats);
    if (run->preview) memcpy(run->preview + at, s->buffers.x_0_f32, floats * sizeof *run->preview);
    choose_batch(run, run->first + run->size);
}

/* At a segment's end: repeats it, goes to the next, or ends the batch. */
static void advance(dmi_run *run) {
    if (run->step < run->segment_end) return;
    if (++run->repetition < run->request.repaint_repetitions) run->step = run->segment_first;
    else if (run->segment_end < run->plan->steps) choose_segment(run, run->segment_end);
    else finish_batch(run);
}

dm_status dmi_run_begin(dmi_run *run, const dmi_sampler_plan *plan) {
    size_t count = (size_t)run->request.count, max = (size_t)run->sampler->options.batch_size;
    size_t batches = (count + max - 1) / max;
    /* Batches of equal size rather than full ones: 17 images at batch_size 16 make 9 and 8. */
    run->plan = plan;
    run->size = (count + batches - 1) / batches;
    choose_batch(run, 0);
    return dmi_sampler_reserve(run->sampler, run->size);
}

bool dmi_run_is_done(const dmi_run *run) { return run->first >= run->request.count; }

/* Steps of one batch. */
static int32_t batch_steps(const dmi_run *run) {
    return (run->plan->steps - run->plan->first) * run->request.repaint_repetitions;
}

int32_t dmi_run_steps_left(const dmi_run *run) {
    if (dmi_run_is_done(run)) return 0;
    uint64_t batches = (run->request.count - run->first + run->size - 1) / run->size;
    uint64_t left = batches * (uint64_t)batch_steps(run) - (uint64_t)run->batch_steps_begun;
    return left < INT32_MAX ? (int32_t)left : INT32_MAX;
}

/* ---- steps ---- */

static dm_status check_cancelled(const dmi_run *run) {
    dm_sampler *s = run->sampler;
    if (!atomic_load(&s->cancelled)) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_CANCELLED,
                    "sampler: cancelled after step %d of %d of images %zu to %zu",
                    (int)run->batch_steps_begun, (int)batch_steps(run), run->first,
                    run->first + run->count - 1);
}

static dm_status report_progress(const dmi_run *run) {
    const dm_sampler *s = run->sampler;
    const dm_sampler_request *r = &run->request;
    if (!r->progress) return DM_OK;
    dm_sampler_progress progress;
    dmi_struct_defaults(&dmi_struct_sampler_progress, &progress);
    progress.step = run->batch_steps_begun;
    progress.steps = batch_steps(run);
    progress.first = run->first;
    progress.count = run->count;
    progress.elements = run->count * s->elements;
    progress.x_t = s->buffers.x_f32;
    progress.x_0 = s->buffers.x_0_f32;
    dmi_callback_begin(s->context);
    int32_t returned = r->progress(r->progress_user, &progress);
    return dmi_callback_result(s->context, returned, DM_ERROR_CANCELLED,
                               "sampler: the progress callback");
}

/* Before the first step of a batch. */
static dm_status begin_steps(dmi_run *run) {
    dm_status status = dmi_run_begin_batch(run);
    if (status) return status;
    run->batch_begun = true;
    dmi_run_keep_masked(run, run->plan->levels[run->step]);
    return check_cancelled(run);
}

dm_status dmi_run_step(dmi_run *run) {
    const dmi_sampler_plan *plan = run->plan;
    dm_status status = run->batch_begun ? DM_OK : begin_steps(run);
    if (status) return status;
    if (run->step == run->segment_first && run->repetition > 0) /* RePaint's resampling jump */
        dmi_run_renoise(run, plan->levels[run->segment_end], plan->levels[run->segment_first]);
    run->batch_steps_begun++;
    for (int32_t k = plan->stage_offsets[run->step];
         !status && k < plan->stage_offsets[run->step + 1]; k++)
        status = dmi_run_stage(run, &plan->stages[k]);
    if (status) return status;
    run->step++;
    dmi_run_keep_masked(run, plan->levels[run->step]);
    status = report_progress(run);
    if (!status) status = check_cancelled(run);
    if (!status) advance(run);
    return status;
}

dm_status dmi_run_all(dmi_run *run) {
    dm_status status = DM_OK;
    while (!status && !dmi_run_is_done(run)) status = dmi_run_step(run);
    return status;
}

dm_status dmi_run_initial_noise(dmi_run *run) {
    dm_status status = DM_OK;
    while (!status && !dmi_run_is_done(run)) {
        status = dmi_run_begin_batch(run);
        if (!status) finish_batch(run);
    }
    return status;
}

/* ---- around a run ---- */

dm_status dmi_run_clear_cancel(dm_sampler *sampler, dm_status status) {
    if (status == DM_ERROR_CANCELLED) atomic_store(&sampler->cancelled, 0);
    return status;
}

dm_status dmi_run_check_idle(const dm_sampler *s) {
    if (!s->held) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_WRONG_STATE,
                    "sampler: a run is held since dm_sampler_start; end it with "
                    "dm_sampler_finish before another");
}
