/* Targets and weights of the loss at a level of noise. Where the literature gives a weight for the
 * error of x_0 or of eps, it is carried over to what the network predicts by dmi_reading: an error
 * d of the output is x0_output d in x_0 and eps_output d in eps. */
#include <math.h>

#include "train/loss.h"

/* Karras et al. 2022, eq. 8: (x_0 - c_skip x) / c_out with table 1's factors, where the signal
 * is 1. Multiplied out, since 1 - c_skip would lose digits at small sigma. */
static dmi_mixture edm_target(dmi_level level, double sigma_data) {
    double sigma = dmi_level_sigma(level), root = sqrt(sigma * sigma + sigma_data * sigma_data);
    return (dmi_mixture){.image = sigma / (sigma_data * root), .noise = -sigma_data / root};
}

dmi_mixture dmi_loss_target(dmi_level level, int32_t prediction, double sigma_data) {
    switch (prediction) {
        case DM_PREDICT_X0: return (dmi_mixture){.image = 1, .noise = 0};
        case DM_PREDICT_V: return (dmi_mixture){.image = -level.noise, .noise = level.signal};
        case DM_PREDICT_FLOW: return (dmi_mixture){.image = -1, .noise = 1};
        case DM_PREDICT_EDM: return edm_target(level, sigma_data);
        default: return (dmi_mixture){.image = 0, .noise = 1};
    }
}

/* Hang et al. 2023, sec. 3.4: of eps min(SNR, g) / SNR, of x_0 min(SNR, g), of v min(SNR, g) / (SNR
 * + 1), of a flow's velocity min(SNR, g) noise^2. Without a signal, an error of eps has the first
 * one's limit, 1. */
static double min_snr(double snr, double most, dmi_level level, int32_t prediction) {
    if (prediction == DM_PREDICT_EPS) return snr > most ? most / snr : 1;
    double of_x_0 = dmi_reading_at(level, prediction, 1).x0_output;
    return fmin(snr, most) * of_x_0 * of_x_0;
}

/* Choi et al. 2022. */
static double p2(double snr, double k, double gamma, dmi_level level, int32_t prediction) {
    double of_eps = dmi_reading_at(level, prediction, 1).eps_output;
    return of_eps * of_eps * pow(k + snr, -gamma);
}

/* Ho et al. 2020, eq. 12, with sigma_t^2 = beta_t, as they sample: beta_t / (2 alpha_t (1 -
 * a_t)). */
static double bound_weight(const dm_schedule *schedule, dmi_level level, int32_t t) {
    double beta = schedule->beta[t], noise = level.noise * level.noise;
    return noise > 0 ? beta / (2 * (1 - beta) * noise) : 0;
}

double dmi_loss_weight(const dm_trainer_options *o, const dm_schedule *schedule, dmi_level level,
                       int32_t t, int32_t prediction) {
    double snr = level.signal * level.signal / (level.noise * level.noise);
    switch (o->loss_weight) {
        case DM_LOSS_WEIGHT_MIN_SNR: return min_snr(snr, o->min_snr_gamma, level, prediction);
        case DM_LOSS_WEIGHT_P2: return p2(snr, o->p2_k, o->p2_gamma, level, prediction);
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
