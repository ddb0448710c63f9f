/* SPDX-License-Identifier: MIT */
/* See loss.h. */
#include "train/loss.h"

typedef struct loss_job {
    const dmi_loss *loss;
    const dmi_loss_term *terms;
    float *gradient;
    const float *output, *target, *input;
    double *losses;
} loss_job;

/* The sum of the errors of all elements; writes factor / 2 times its gradient. */
static double error_sum(const dmi_loss *l, float *gradient, const float *output,
                        const float *target, double factor) {
    if (l->kind == DM_LOSS_PSEUDO_HUBER)
        return l->kernels->huber(gradient, output, target, (float)factor, (float)l->huber_delta,
                                 l->elements);
    return l->kernels->mse(gradient, output, target, (float)factor, l->elements);
}

/* The squared error of eps, the first half of the output's channels, and the term of the bound,
 * whose gradient reaches the second half only (Nichol and Dhariwal 2021, eq. 16). */
static double hybrid(const loss_job *job, int32_t image, int32_t worker, double factor) {
    const dmi_loss *l = job->loss;
    const dmi_kernels *kernels = l->kernels;
    const dmi_loss_term *term = &job->terms[image];
    size_t n = l->elements, c = l->channels, pixels = n / c, at = (size_t)image * 2 * n;
    float *eps = l->scratch + (size_t)worker * 2 * n, *eps_gradient = eps + n;
    const float *output = job->output + at, *target = job->target + (size_t)image * n;
    float *gradient = job->gradient + at;
    kernels->copy_rows(eps, c, output, 2 * c, pixels, c, false);
    double error =
        error_sum(l, eps_gradient, eps, target, factor * term->weight * term->importance_weight);
    kernels->copy_rows(gradient, 2 * c, eps_gradient, c, pixels, c, false);
    dmi_bound bound = term->bound;
    bound.factor = l->bound_factor * term->importance_weight / l->values;
    const float *input = job->input + (size_t)image * pixels * l->input_channels;
    return term->weight * error + l->bound_factor * kernels->bound(gradient, output, target, input,
                                                                   l->input_channels, &bound,
                                                                   pixels, c);
}

static void image_loss(void *data, int32_t image, int32_t worker) {
    const loss_job *job = data;
    const dmi_loss *l = job->loss;
    const dmi_loss_term *term = &job->terms[image];
    size_t at = (size_t)image * l->elements;
    double factor = 2 / l->values;
    if (l->kind == DM_LOSS_HYBRID) job->losses[image] = hybrid(job, image, worker, factor);
    else
        job->losses[image] =
            term->weight * error_sum(l, job->gradient + at, job->output + at, job->target + at,
                                     factor * term->weight * term->importance_weight);
}

double dmi_loss_run(dmi_pool *pool, const dmi_loss *loss, const dmi_loss_term *terms,
                    float *gradient, const float *output, const float *target, const float *input,
                    double *losses) {
    loss_job job = {.loss = loss,
                    .terms = terms,
                    .gradient = gradient,
                    .output = output,
                    .target = target,
                    .input = input,
                    .losses = losses};
    dmi_parallel(pool, loss->images, image_loss, &job);
    double sum = 0;
    for (int32_t i = 0; i < loss->images; i++) sum += terms[i].importance_weight * losses[i];
    return sum;
}
