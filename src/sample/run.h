/* SPDX-License-Identifier: MIT */
/* A run: all images of a request, in batches. The network is planned for one batch size, so all
 * batches have the same; images past the request's end repeat earlier ones. An image depends on its
 * own seed, label and arrays alone, so neither its batch nor the number of threads changes a bit of
 * it. */
#ifndef DM_SRC_SAMPLE_RUN_H
#define DM_SRC_SAMPLE_RUN_H

#include "sample/sampler.h"

typedef struct dmi_run {
    dm_sampler *sampler;
    dm_sampler_request request; /* checked, whole */
    const dmi_sampler_plan *plan;
    float *images;            /* [count, n], the result */
    uint64_t weights_version; /* of a held run: that of the network's parameters at its start */
    int32_t wrap;             /* likewise its tiling */
    dm_precision precision;   /* and its precision */
    float *preview;           /* [count, n]: x_0 of finished batches for a held run, else NULL */

    /* The current batch. */
    size_t first, count; /* its images in the request */
    size_t size;         /* images that go through the model */
    bool batch_begun;
    /* The current segment, which RePaint repeats; without it, all steps. */
    int32_t segment_first, segment_end, repetition;
    int32_t step;              /* of the plan */
    int32_t batch_steps_begun; /* in the current batch, repetitions included. It addresses the
                                  noise that is sampled, 0 being the initial noise */
    int32_t history_count;     /* entries pushed so far */
} dmi_run;

/* What may be wrong with an image after a stage. */
enum {
    DMI_FAULT_NONE = 0,
    DMI_FAULT_OUTPUT = 1,
    DMI_FAULT_NOISE = 2,
    DMI_FAULT_IMAGE = 3,
    DMI_FAULT_GUIDANCE = 4
};

/* request.c: a request of any version, checked. */
dm_status dmi_request_read(const dm_sampler *sampler, dm_sampler_request *full,
                           const dm_sampler_request *request);
/* Refuses an array of images that does not fit the request. */
dm_status dmi_request_check_images(const dm_sampler *sampler, const dm_sampler_request *request,
                                   const float *images, size_t elements);
/* The first step, by `strength`. */
int32_t dmi_request_first_step(const dm_sampler *sampler, const dm_sampler_request *request);

/* run.c: prepares a run whose request, sampler and images are set, with memory for its batches. */
dm_status dmi_run_begin(dmi_run *run, const dmi_sampler_plan *plan);
bool dmi_run_is_done(const dmi_run *run);
/* One step of one batch. */
dm_status dmi_run_step(dmi_run *run);
/* All steps that are left. */
dm_status dmi_run_all(dmi_run *run);
/* Writes the initial noise of all batches to run->images; no step is done. */
dm_status dmi_run_initial_noise(dmi_run *run);
/* Steps left, limited to INT32_MAX. */
int32_t dmi_run_steps_left(const dmi_run *run);
/* At the end of a run: clears the request to cancel if `status` reports it. Returns `status`. */
dm_status dmi_run_clear_cancel(dm_sampler *sampler, dm_status status);
/* Refuses a run on a sampler with a held run. */
dm_status dmi_run_check_idle(const dm_sampler *sampler);

/* batch.c: initializes x, labels, conditions and the generators of the current batch. */
dm_status dmi_run_begin_batch(dmi_run *run);
/* Replaces the kept part of x by the request's image with noise of that level (Lugmayr et al. 2022,
 * eq. 8). Nothing without a mask. */
void dmi_run_keep_masked(const dmi_run *run, dmi_level level);
/* Adds noise to x at level `from`, which takes it to the noisier level `to` (Lugmayr et al. 2022,
 * eq. 9). */
void dmi_run_renoise(const dmi_run *run, dmi_level from, dmi_level to);

/* noise.c: standard normal noise [n] for image i of the batch; `stream` is DMI_STREAM_*. In a
 * task. */
void dmi_run_draw_noise(const dmi_run *run, size_t i, uint32_t stream, float *noise);
/* From the caller's noise source, for all images of the batch. */
dm_status dmi_run_request_noise(const dmi_run *run, float *noise);

/* model.c: evaluates the model on model_input; prediction (and variance) receive the output after
 * guidance. */
dm_status dmi_run_evaluate(const dmi_run *run, const dmi_stage *stage);

/* guide.c: x_0 and eps of the batch as the request's guidance leaves them, x_0 not clipped. */
dm_status dmi_run_guide(dmi_run *run, const dmi_stage *stage);

/* stage.c */
dm_status dmi_run_stage(dmi_run *run, const dmi_stage *stage);
/* The error of the first image with a fault, or DM_OK. */
dm_status dmi_run_first_fault(const dmi_run *run);

#endif
