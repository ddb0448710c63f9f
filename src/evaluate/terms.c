/* SPDX-License-Identifier: MIT */
/* The terms of one image: squared errors, and the variational bound. */
#include <math.h>

#include "diffusion/loss_weight.h"
#include "diffusion/prediction.h"
#include "evaluate/evaluate.h"

/* Writes the predicted x_0, clipped if the options say so, or the eps that follows from it to the
 * first half of bound_output's rows. */
static void write_bound_output(dmi_evaluator *e, size_t i, const float *prediction, dmi_level level,
                               bool as_x0) {
    const dmi_kernels *kernels = e->context->kernels;
    const dm_unet_options *u = &e->unet->options;
    size_t n = e->n, at = i * n, c = e->channels;
    double *x_0 = e->x_0_f64 + at, *x = e->x_f64 + at;
    float *x_0_or_eps = e->scratch + 2 * at;
    dmi_prediction_coefficients coefficients =
        dmi_prediction_rederived(level, u->prediction, (double)u->sigma_data);
    kernels->solver_weighted_sum(x, NULL, NULL, 0, e->x_t + at, 1, n);
    dmi_predict_x0(kernels, &coefficients, x_0, x, prediction, e->options.clip ? 1 : INFINITY, n);
    double *eps = x; /* takes its place */
    if (!as_x0) dmi_predict_eps(kernels, &coefficients, eps, x, x_0, prediction, n);
    kernels->solver_to_f32(x_0_or_eps, 1, as_x0 ? x_0 : eps, n);
    kernels->copy_rows(e->bound_output + 2 * at, 2 * c, x_0_or_eps, c, n / c, c, false);
}

/* Adds the term of timestep t times `weight`, or sets the decoder's. */
static void add_bound(dmi_evaluator *e, size_t i, const float *prediction, int32_t t,
                      double weight) {
    dmi_bound bound = dmi_loss_bound(e->schedule, t);
    dmi_level level = dmi_schedule_level(e->schedule, t);
    size_t n = e->n, at = i * n;
    /* Where x_t is pure noise, no eps follows from x_0; the error of the mean is that of x_0 times
     * its factor (eq. 7). */
    bool as_x0 = t > 0 && !dmi_level_has_signal(level);
    const float *truth = as_x0 ? e->x_0 : e->noise;
    if (as_x0) bound.error = dmi_schedule_value(e->schedule, DM_SERIES_POSTERIOR_MEAN_X0, t);
    bound.factor = 0; /* no gradient */
    /* The last step's variance is the posterior's in place of beta, which would widen the decoder
     * distribution; Ho et al. and Nichol and Dhariwal compute their values so. */
    if (t == 0 && e->options.variance == DM_VARIANCE_FIXED_LARGE) bound.high = bound.low;
    write_bound_output(e, i, prediction, level, as_x0);
    double nats =
        e->context->kernels->bound(e->scratch + 2 * at, e->bound_output + 2 * at, truth + at,
                                   e->x_t + at, e->channels, &bound, n / e->channels, e->channels);
    if (e->evaluation == 0) e->terms[i].decoder = nats;
    else e->terms[i].steps += weight * nats;
}

void dmi_evaluator_add_terms(dmi_evaluator *e, int32_t image) {
    const dmi_kernels *kernels = e->context->kernels;
    size_t i = (size_t)image, n = e->n, at = i * n, c = e->channels;
    int32_t t = e->timesteps[i], low;
    double weight = dmi_evaluator_stratum(e, &low); /* t represents this many timesteps */
    bool learned = e->options.variance == DM_VARIANCE_LEARNED;
    const float *output = e->output + at * e->out_factor;
    float *prediction = e->input + at * e->in_factor; /* free again: the network has read it */
    dmi_output_split(kernels, prediction, learned ? e->bound_output + 2 * at + c : NULL, 2 * c,
                     output, e->out_factor * c, n / c, c);
    e->statuses[i] = kernels->all_finite(output, n * e->out_factor) ? DM_OK : DM_ERROR_NOT_FINITE;
    int32_t quarter = (int32_t)((int64_t)t * DMI_QUARTERS / e->schedule->steps);
    double squares = kernels->mse(e->scratch + 2 * at, prediction, e->target + at, 0, n);
    e->terms[i].squares[quarter] += weight * squares / (double)n;
    e->terms[i].weights[quarter] += weight;
    if (e->has_bound) add_bound(e, i, prediction, t, weight);
}
