/* SPDX-License-Identifier: MIT */
/* See loss_weight.h. Where the literature gives a weight for the error of x_0 or of eps, it is
 * converted to the network's prediction: an error d of the output is an error x0_output d of x_0
 * and eps_output d of eps. */
#include "diffusion/loss_weight.h"

#include <math.h>

#include "diffusion/prediction.h"
#include "diffusion/schedule.h"

/* Hang et al. 2023, sec. 3.4: min(SNR, g) / SNR for eps, min(SNR, g) for x_0, min(SNR, g) / (SNR +
 * 1) for v, min(SNR, g) noise^2 for a flow's velocity. Without a signal, eps has the limit, 1. */
static double min_snr(double snr, double gamma, dmi_level level, dm_prediction prediction) {
    if (prediction == DM_PREDICT_EPS) return snr > gamma ? gamma / snr : 1;
    double factor = dmi_prediction_at(level, prediction, 1).x0_output;
    return fmin(snr, gamma) * factor * factor;
}

/* Choi et al. 2022. */
static double p2(double snr, double k, double gamma, dmi_level level, dm_prediction prediction) {
    double factor = dmi_prediction_at(level, prediction, 1).eps_output;
    return factor * factor * pow(k + snr, -gamma);
}

/* Salimans and Ho 2022, sec. 4: max(SNR, 1) for x_0, max(1, 1 / SNR) for eps, max(signal^2,
 * noise^2) for v. Without noise, v and a flow's velocity have the limit, 1; x_0 has none. */
static double truncated_snr(double snr, dmi_level level, dm_prediction prediction) {
    if (prediction == DM_PREDICT_EPS) return snr < 1 ? 1 / snr : 1;
    if (!(level.noise > 0)) return 1;
    double factor = dmi_prediction_at(level, prediction, 1).x0_output;
    return fmax(snr, 1) * factor * factor;
}

/* Ho et al. 2020, eq. 12, with sigma_t^2 = beta_t: beta_t / (2 alpha_t (1 - a_t)). */
static double bound_weight(const dm_schedule *schedule, dmi_level level, int32_t t) {
    double beta = schedule->beta[t], noise = level.noise * level.noise;
    return noise > 0 ? beta / (2 * (1 - beta) * noise) : 0;
}

double dmi_loss_weight(const dm_trainer_options *o, const dm_schedule *schedule, dmi_level level,
                       int32_t t, dm_prediction prediction) {
    double snr = level.signal * level.signal / (level.noise * level.noise);
    switch (o->loss_weight) {
        case DM_LOSS_WEIGHT_MIN_SNR: return min_snr(snr, o->min_snr_gamma, level, prediction);
        case DM_LOSS_WEIGHT_P2: return p2(snr, o->p2_k, o->p2_gamma, level, prediction);
        case DM_LOSS_WEIGHT_TRUNCATED_SNR: return truncated_snr(snr, level, prediction);
        case DM_LOSS_WEIGHT_BOUND: return bound_weight(schedule, level, t);
        default: return 1;
    }
}

/* The posterior's mean (eq. 7) differs from the network's by sqrt(a_prev) beta / (1 - a) times the
 * difference in x_0, which is noise / signal times that in eps: together beta / (sqrt(alpha)
 * noise). */
dmi_bound dmi_loss_bound(const dm_schedule *schedule, int32_t t) {
    dmi_level level = dmi_schedule_level(schedule, t);
    double beta = schedule->beta[t];
    return (dmi_bound){
        .low = dmi_schedule_value(schedule, DM_SERIES_POSTERIOR_LOG_VARIANCE, t),
        .high = log(beta),
        .error = level.noise > 0 ? beta / (sqrt(1 - beta) * level.noise) : 0,
        .signal = level.signal,
        .noise = level.noise,
        .decoder = t == 0,
    };
}
