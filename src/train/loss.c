/* See loss.h. */
#include "train/loss.h"

typedef struct loss_job {
    const dmi_loss *loss;
    const dmi_loss_term *terms;
    float *gradient;
    const float *output, *target, *input;
    double *losses;
} loss_job;

/* The sum of an error that is made of n elements, and its gradient. */
static double error_sum(const dmi_loss *l, float *gradient, const float *output,
                        const float *target, double factor) {
    if (l->kind == DM_LOSS_HUBER)
        return l->kernels->huber(gradient, output, target, (float)factor, (float)l->huber_delta,
                                 l->elements);
    return l->kernels->mse(gradient, output, target, (float)factor, l->elements);
}

/* L_simple on the first half of the output's channels, and the bound's term, whose gradient goes to
 * the second half alone (Nichol and Dhariwal 2021, eq. 16). */
static double hybrid(const loss_job *job, int32_t picture, int32_t worker, double factor) {
    const dmi_loss *l = job->loss;
    const dmi_kernels *kernels = l->kernels;
    const dmi_loss_term *term = &job->terms[picture];
    size_t n = l->elements, c = l->channels, pixels = n / c, at = (size_t)picture * 2 * n;
    float *eps = l->scratch + (size_t)worker * 2 * n, *eps_gradient = eps + n;
    const float *output = job->output + at, *target = job->target + (size_t)picture * n;
    float *gradient = job->gradient + at;
    kernels->copy_rows(eps, c, output, 2 * c, pixels, c, false);
    double error =
        error_sum(l, eps_gradient, eps, target, factor * term->weight * term->importance);
    kernels->copy_rows(gradient, 2 * c, eps_gradient, c, pixels, c, false);
    dmi_bound bound = term->bound;
    bound.factor = l->bound_factor * term->importance / l->values;
    const float *input = job->input + (size_t)picture * pixels * l->input_channels;
    return term->weight * error + l->bound_factor * kernels->bound(gradient, output, target, input,
                                                                   l->input_channels, &bound,
                                                                   pixels, c);
}

static void picture_loss(void *data, int32_t picture, int32_t worker) {
    const loss_job *job = data;
    const dmi_loss *l = job->loss;
    const dmi_loss_term *term = &job->terms[picture];
    size_t at = (size_t)picture * l->elements;
    double factor = 2 / l->values;
    if (l->kind == DM_LOSS_HYBRID) job->losses[picture] = hybrid(job, picture, worker, factor);
    else
        job->losses[picture] =
            term->weight * error_sum(l, job->gradient + at, job->output + at, job->target + at,
                                     factor * term->weight * term->importance);
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
    dmi_parallel(pool, loss->pictures, picture_loss, &job);
    double sum = 0;
    for (int32_t i = 0; i < loss->pictures; i++) sum += terms[i].importance * losses[i];
    return sum;
}
