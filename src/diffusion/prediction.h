/* SPDX-License-Identifier: MIT */
/* Prediction types (DM_PREDICT_*): what a network's output is, how x_0 and eps follow from it, and
 * which schedule takes which. */
#ifndef DM_SRC_DIFFUSION_PREDICTION_H
#define DM_SRC_DIFFUSION_PREDICTION_H

#include "base/host.h"
#include "diffusion/level.h"
#include "kernels/kernels.h"

/* x_0 = x0_x x + x0_output output and eps = eps_x x + eps_output output; the network's input is
 * input x. */
typedef struct dmi_prediction_coefficients {
    double x0_x, x0_output, eps_x, eps_output;
    double input;     /* c_in of Karras et al. (2022); 1 for other predictions */
    bool eps_from_x0; /* eps = eps_x x + eps_output x_0 instead */
} dmi_prediction_coefficients;

/* The coefficients at a noise level, but for DM_PREDICT_CONSISTENCY. sigma_data belongs to
 * DM_PREDICT_EDM. */
dmi_prediction_coefficients dmi_prediction_at(dmi_level level, dm_prediction prediction,
                                              double sigma_data);
/* The same with eps derived from x_0, for an x_0 that was clipped. */
dmi_prediction_coefficients dmi_prediction_rederived(dmi_level level, dm_prediction prediction,
                                                     double sigma_data);

/* Those of DM_PREDICT_CONSISTENCY, whose x_0 at sigma_min is x itself; eps is derived from x_0. */
dmi_prediction_coefficients dmi_prediction_consistent(dmi_level at, double sigma_data,
                                                      double sigma_min);

/* The network's target is x0_factor x_0 + eps_factor eps. */
typedef struct dmi_target {
    double x0_factor, eps_factor;
} dmi_target;

dmi_target dmi_prediction_target(dmi_level level, dm_prediction prediction, double sigma_data);

/* "v". Static storage. */
const char *dmi_prediction_name(dm_prediction prediction);
/* Refuses DM_PREDICT_CONSISTENCY where a denoiser is needed; `owner` and `what`, "training", go
 * into the message. */
dm_status dmi_prediction_refuse_consistency(dmi_host *host, const char *owner, const char *what,
                                            dm_prediction prediction);
/* Refuses combinations without a meaning: eps where the last timestep has no signal, EDM's schedule
 * with another prediction and the like. `owner` begins the message. */
dm_status dmi_prediction_check(dmi_host *host, const char *owner, const dm_schedule *schedule,
                               dm_prediction prediction);

/* ---- one image of n values ---- */

/* Copies from a network's output [pixels, output_channels] the prediction [pixels, channels] and,
 * if variance is not NULL, the learned variance beside it, to rows of variance_stride floats. */
void dmi_output_split(const dmi_kernels *kernels, float *prediction, float *variance,
                      size_t variance_stride, const float *output, size_t output_channels,
                      size_t pixels, size_t channels);
/* x_0 [n], clipped to [-limit, limit], which may be infinite. */
void dmi_predict_x0(const dmi_kernels *kernels, const dmi_prediction_coefficients *coefficients,
                    double *x_0, const double *x, const float *output, double limit, size_t n);
/* eps [n]; x_0 is read if eps is derived from it, else `output`. eps may be x. */
void dmi_predict_eps(const dmi_kernels *kernels, const dmi_prediction_coefficients *coefficients,
                     double *eps, const double *x, const double *x_0, const float *output,
                     size_t n);

#endif
