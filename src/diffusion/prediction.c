/* SPDX-License-Identifier: MIT */
/* See prediction.h. The coefficients invert x = signal x_0 + noise eps with what is predicted. */
#include "diffusion/prediction.h"

#include <math.h>

#include "core/enums.h"
#include "diffusion/schedule.h"

/* ---- coefficients ---- */

/* Without a signal x_0 is taken as 0, the middle of its range. */
static dmi_prediction_coefficients eps_coefficients(dmi_level at) {
    dmi_prediction_coefficients c = {.eps_output = 1, .input = 1};
    if (dmi_level_has_signal(at)) c.x0_x = 1 / at.signal, c.x0_output = -at.noise / at.signal;
    return c;
}

/* Without noise, eps is 0. */
static dmi_prediction_coefficients x0_coefficients(dmi_level at) {
    dmi_prediction_coefficients c = {.x0_output = 1, .input = 1};
    if (at.noise > 0) c.eps_x = 1 / at.noise, c.eps_output = -at.signal / at.noise;
    return c;
}

/* Salimans and Ho 2022, appendix D: no division, so stable at both ends. */
static dmi_prediction_coefficients v_coefficients(dmi_level at) {
    return (dmi_prediction_coefficients){.x0_x = at.signal,
                                         .x0_output = -at.noise,
                                         .eps_x = at.noise,
                                         .eps_output = at.signal,
                                         .input = 1};
}

/* Lipman et al. 2023: the output is eps - x_0. */
static dmi_prediction_coefficients flow_coefficients(dmi_level at) {
    double sum = at.signal + at.noise;
    return (dmi_prediction_coefficients){.x0_x = 1 / sum,
                                         .x0_output = -at.noise / sum,
                                         .eps_x = 1 / sum,
                                         .eps_output = at.signal / sum,
                                         .input = 1};
}

/* Karras et al. 2022, table 1, where the signal is 1. */
static dmi_prediction_coefficients edm_coefficients(dmi_level at, double sigma_data) {
    double sigma = dmi_level_sigma(at), data = sigma_data * sigma_data, sum = sigma * sigma + data,
           root = sqrt(sum);
    return (dmi_prediction_coefficients){.x0_x = data / sum / at.signal,
                                         .x0_output = sigma * sigma_data / root,
                                         .eps_x = sigma / sum / at.signal,
                                         .eps_output = -sigma_data / root,
                                         .input = 1 / root / at.signal};
}

dmi_prediction_coefficients dmi_prediction_at(dmi_level level, dm_prediction prediction,
                                              double sigma_data) {
    switch (prediction) {
        case DM_PREDICT_X0: return x0_coefficients(level);
        case DM_PREDICT_V: return v_coefficients(level);
        case DM_PREDICT_FLOW: return flow_coefficients(level);
        case DM_PREDICT_EDM: return edm_coefficients(level, sigma_data);
        default: return eps_coefficients(level);
    }
}

dmi_prediction_coefficients dmi_prediction_rederived(dmi_level level, dm_prediction prediction,
                                                     double sigma_data) {
    dmi_prediction_coefficients c = dmi_prediction_at(level, prediction, sigma_data),
                                from_x0 = x0_coefficients(level);
    c.eps_x = from_x0.eps_x;
    c.eps_output = from_x0.eps_output;
    c.eps_from_x0 = true;
    return c;
}

/* Song et al. 2023, appendix C, with sigma_min for their epsilon and where the signal is 1. */
dmi_prediction_coefficients dmi_prediction_consistent(dmi_level at, double sigma_data,
                                                      double sigma_min) {
    double sigma = dmi_level_sigma(at), above = sigma - sigma_min, data = sigma_data * sigma_data,
           root = sqrt(sigma * sigma + data);
    dmi_prediction_coefficients c = x0_coefficients(at);
    c.x0_x = data / (above * above + data) / at.signal;
    c.x0_output = above * sigma_data / root;
    c.input = 1 / root / at.signal;
    c.eps_from_x0 = true;
    return c;
}

/* ---- targets ---- */

/* Karras et al. 2022, eq. 8: (x_0 - c_skip x) / c_out with table 1's factors, where the signal
 * is 1. Multiplied out, since 1 - c_skip would lose digits at small sigma. */
static dmi_target edm_target(dmi_level level, double sigma_data) {
    double sigma = dmi_level_sigma(level), root = sqrt(sigma * sigma + sigma_data * sigma_data);
    return (dmi_target){.x0_factor = sigma / (sigma_data * root), .eps_factor = -sigma_data / root};
}

dmi_target dmi_prediction_target(dmi_level level, dm_prediction prediction, double sigma_data) {
    switch (prediction) {
        case DM_PREDICT_X0: return (dmi_target){.x0_factor = 1, .eps_factor = 0};
        case DM_PREDICT_V:
            return (dmi_target){.x0_factor = -level.noise, .eps_factor = level.signal};
        case DM_PREDICT_FLOW: return (dmi_target){.x0_factor = -1, .eps_factor = 1};
        case DM_PREDICT_EDM: return edm_target(level, sigma_data);
        default: return (dmi_target){.x0_factor = 0, .eps_factor = 1};
    }
}

/* ---- which schedule takes which prediction ---- */

const char *dmi_prediction_name(dm_prediction prediction) {
    return dmi_enum_text("dm_prediction", prediction);
}

dm_status dmi_prediction_check(dmi_host *host, const char *owner, const dm_schedule *schedule,
                               dm_prediction prediction) {
    dm_schedule_kind kind = schedule->options.kind;
    bool rescaled = schedule->options.zero_terminal_snr != 0;
    const char *why = NULL;
    bool preconditioned = prediction == DM_PREDICT_EDM || prediction == DM_PREDICT_CONSISTENCY;
    if (preconditioned && kind != DM_SCHEDULE_EDM)
        why = "EDM's preconditioning needs the EDM schedule";
    else if (!preconditioned && kind == DM_SCHEDULE_EDM)
        why = "the EDM schedule needs EDM's preconditioning";
    else if (prediction == DM_PREDICT_V && kind == DM_SCHEDULE_FLOW)
        why = "v is defined for schedules with betas";
    else if (prediction == DM_PREDICT_FLOW && kind != DM_SCHEDULE_FLOW)
        why = "a velocity needs the flow schedule";
    else if (prediction == DM_PREDICT_EPS && (kind == DM_SCHEDULE_FLOW || rescaled))
        why = "the last timestep is pure noise, where x_0 cannot be computed from eps";
    if (!why) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "%s: the network's 'prediction' %d (%s) cannot be combined with the schedule's "
                    "'kind' %d (%s)%s: %s",
                    owner, (int)prediction, dmi_prediction_name(prediction), (int)kind,
                    dmi_schedule_name(schedule), rescaled ? " with 'zero_terminal_snr'" : "", why);
}

dm_status dmi_prediction_refuse_consistency(dmi_host *host, const char *owner, const char *what,
                                            dm_prediction prediction) {
    if (prediction != DM_PREDICT_CONSISTENCY) return DM_OK;
    return dmi_fail(host, DM_ERROR_UNSUPPORTED,
                    "%s: %s a network whose 'prediction' is %d (consistency) is not supported by "
                    "this version; it can be sampled",
                    owner, what, (int)prediction);
}

/* ---- one image ---- */

void dmi_output_split(const dmi_kernels *kernels, float *prediction, float *variance,
                      size_t variance_stride, const float *output, size_t output_channels,
                      size_t pixels, size_t channels) {
    kernels->copy_rows(prediction, channels, output, output_channels, pixels, channels, false);
    if (variance)
        kernels->copy_rows(variance, variance_stride, output + channels, output_channels, pixels,
                           channels, false);
}

void dmi_predict_x0(const dmi_kernels *kernels, const dmi_prediction_coefficients *c, double *x_0,
                    const double *x, const float *output, double limit, size_t n) {
    kernels->solver_axpby_clamp(x_0, c->x0_x, x, c->x0_output, output, limit, n);
}

void dmi_predict_eps(const dmi_kernels *kernels, const dmi_prediction_coefficients *c, double *eps,
                     const double *x, const double *x_0, const float *output, size_t n) {
    if (!c->eps_from_x0) {
        kernels->solver_axpby_clamp(eps, c->eps_x, x, c->eps_output, output, INFINITY, n);
        return;
    }
    /* A term with factor 0 is left out: it may be infinite. */
    const double *terms[2];
    double factors[2];
    int32_t count = 0;
    if (c->eps_x != 0) terms[count] = x, factors[count++] = c->eps_x;
    if (c->eps_output != 0) terms[count] = x_0, factors[count++] = c->eps_output;
    kernels->solver_weighted_sum(eps, terms, factors, count, NULL, 0, n);
}
