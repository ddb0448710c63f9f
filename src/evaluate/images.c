/* SPDX-License-Identifier: MIT */
/* The images of an evaluation: reading, timesteps and noise. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "dataset/labels.h"
#include "diffusion/noising.h"
#include "diffusion/prediction.h"
#include "evaluate/evaluate.h"

/* ---- reading ---- */

static uint64_t image_index(const dmi_evaluator *e, int32_t i) {
    return e->options.first + e->first + (size_t)i;
}

static dm_status read_image(const dmi_evaluator *e, int32_t i) {
    const size_t at = (size_t)i;
    dmi_dataset_image image = {.pixels = e->pixels + at * e->n};
    if (e->condition_pixels) image.condition_image = e->condition_pixels + at * e->condition_n;
    if (e->condition_vector)
        image.condition_vector = e->condition_vector + at * (size_t)e->unet->options.condition_size;
    dm_status status = e->dataset->read(e->dataset, image_index(e, i), &image);
    e->labels[i] = image.label;
    return status;
}

/* L_T: the KL divergence of q(x_T | x_0) and the standard normal distribution. */
static double prior_term(const dmi_evaluator *e, const float *x_0) {
    dmi_level last = dmi_schedule_level(e->schedule, e->schedule->steps - 1);
    double variance = last.noise * last.noise, values = (double)e->n;
    return 0.5 * (values * (variance - 1 - log(variance)) +
                  last.signal * last.signal * e->context->kernels->sum_squares(x_0, e->n));
}

static void read_task(void *data, int32_t i, int32_t worker) {
    dmi_evaluator *e = data;
    const dm_unet_options *u = &e->unet->options;
    size_t at = (size_t)i * e->n;
    (void)worker;
    if (e->dataset->concurrent) e->statuses[i] = read_image(e, i);
    e->context->kernels->from_u8(e->x_0 + at, e->pixels + at, u->height, u->width, u->in_channels,
                                 false);
    if (e->condition_image)
        e->context->kernels->from_u8(e->condition_image + (size_t)i * e->condition_n,
                                     e->condition_pixels + (size_t)i * e->condition_n, u->height,
                                     u->width, u->condition_channels, false);
    e->terms[i] = (dmi_image_terms){0};
    if (e->has_bound) e->terms[i].prior = prior_term(e, e->x_0 + at);
}

dm_status dmi_evaluator_read(dmi_evaluator *e) {
    dmi_host *host = &e->context->host;
    const dmi_label_range range = dmi_unet_label_range(&e->unet->options);
    for (int32_t i = 0; !e->dataset->concurrent && i < e->count; i++) {
        dm_status status = read_image(e, i);
        if (status) return status;
    }
    memset(e->statuses, 0, (size_t)e->count * sizeof *e->statuses);
    dmi_parallel(host->pool, e->count, read_task, e);
    for (int32_t i = 0; i < e->count; i++) {
        if (e->statuses[i]) return e->statuses[i];
        if (!range.classes || !e->options.use_labels) e->labels[i] = -1;
        dm_status status = dmi_dataset_check_label(host, "evaluate", image_index(e, i),
                                                   e->labels[i], range.minimum, range.classes);
        if (!status && e->condition_vector)
            status = dmi_unet_check_condition_of_image(
                e->unet, "evaluate", image_index(e, i),
                e->condition_vector + (size_t)i * (size_t)e->unet->options.condition_size);
        if (status) return status;
    }
    return DM_OK;
}

/* ---- timesteps and noise ---- */

/* Evaluation 0 is timestep 0, whose term varies most; the others are of one stratum each. Strata
 * may differ by one timestep. */
int32_t dmi_evaluator_stratum(const dmi_evaluator *e, int32_t *low) {
    int64_t others = e->schedule->steps - 1, strata = e->evaluations - 1, k = e->evaluation - 1;
    *low = e->evaluation ? (int32_t)(1 + others * k / strata) : 0;
    return e->evaluation ? (int32_t)(1 + others * (k + 1) / strata) - *low : 1;
}

static int32_t choose_timestep(const dmi_evaluator *e, int32_t i) {
    int32_t low, size = dmi_evaluator_stratum(e, &low);
    dmi_random at =
        dmi_random_at(e->options.seed, DMI_STREAM_EVALUATION_TIMESTEP, image_index(e, i));
    return low + (int32_t)dmi_random_below(&at, (uint64_t)e->evaluation, (uint32_t)size);
}

/* Each evaluation of each image has noise of its own. */
static void draw_noise(const dmi_evaluator *e, int32_t i, float *noise) {
    const uint64_t index_mask = (UINT64_C(1) << 56) - 1;
    uint64_t index = image_index(e, i) * (uint64_t)e->evaluations + (uint64_t)e->evaluation;
    dmi_random at = dmi_random_at(e->options.seed, DMI_STREAM_EVALUATION_NOISE, index & index_mask);
    dmi_random_normal(&at, noise, e->n);
}

void dmi_evaluator_add_noise(dmi_evaluator *e, int32_t i) {
    const dmi_kernels *kernels = e->context->kernels;
    const dm_unet_options *u = &e->unet->options;
    size_t n = e->n, at = (size_t)i * n, c = e->channels;
    int32_t t = e->timesteps[i] = choose_timestep(e, i);
    dmi_level level = dmi_schedule_level(e->schedule, t);
    dmi_target target = dmi_prediction_target(level, u->prediction, (double)u->sigma_data);
    double scale = dmi_prediction_at(level, u->prediction, (double)u->sigma_data).input;
    float *noise = e->noise + at, *input = e->input + at * e->in_factor;
    draw_noise(e, i, noise);
    dmi_combine_with_noise(kernels, e->x_t + at, level.signal, e->x_0 + at, level.noise, noise, n);
    dmi_combine_with_noise(kernels, e->target + at, target.x0_factor, e->x_0 + at,
                           target.eps_factor, noise, n);
    if (e->in_factor > 1) dmi_input_without_estimate(kernels, input, e->x_t + at, n / c, c);
    else memcpy(input, e->x_t + at, n * sizeof *input);
    if (scale != 1) kernels->scale(input, input, (float)scale, n * e->in_factor);
    e->times[i] = level.time;
}
