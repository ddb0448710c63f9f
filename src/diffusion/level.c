/* SPDX-License-Identifier: MIT */
/* Noise levels of a schedule: at whole timesteps, between them, and by sigma = noise / signal. */
#include "diffusion/level.h"

#include <math.h>

#include "diffusion/schedule.h"

static const double signal_min = 1e-30;

double dmi_level_sigma(dmi_level level) { return level.noise / level.signal; }

double dmi_level_lambda(dmi_level level) { return log(level.signal) - log(level.noise); }

bool dmi_level_has_signal(dmi_level level) { return level.signal >= signal_min; }

double dmi_variance_between(dmi_level noisier, dmi_level cleaner) {
    double ratio = noisier.signal / cleaner.signal;
    /* Rounding may go below 0 where the levels are equal. */
    return fmax(noisier.noise * noisier.noise - ratio * ratio * cleaner.noise * cleaner.noise, 0);
}

/* Of a timestep of a schedule with betas. */
static double sigma_of(double alpha_cumprod) { return sqrt((1 - alpha_cumprod) / alpha_cumprod); }

/* signal^2 + noise^2 = 1, as with betas. */
static dmi_level variance_preserving_level(double sigma, double time) {
    double signal = 1 / sqrt(1 + sigma * sigma);
    return (dmi_level){.signal = signal, .noise = isinf(sigma) ? 1 : sigma * signal, .time = time};
}

/* signal + noise = 1; the time is noise as a fraction of T. Neither is computed as 1 minus the
 * other, which would cancel near 1. */
static dmi_level flow_level(const dm_schedule *s, double signal, double noise) {
    return (dmi_level){.signal = signal, .noise = noise, .time = noise * s->steps};
}

/* The time is c_noise of Karras et al. 2022, table 1, times `time_scale`. */
static dmi_level edm_level(const dm_schedule *s, double sigma) {
    double scale = s->options.time_scale > 0 ? s->options.time_scale : 1;
    return (dmi_level){.signal = 1, .noise = sigma, .time = scale * (log(sigma) / 4)};
}

/* Karras et al. 2022, eq. 5, with t counted from the clean end. */
static double edm_sigma(const dm_schedule *s, double t) {
    const dm_schedule_options *o = &s->options;
    if (s->steps == 1) return o->sigma_max;
    double low = pow(o->sigma_min, 1 / o->rho), high = pow(o->sigma_max, 1 / o->rho);
    return pow(low + t / (s->steps - 1) * (high - low), o->rho);
}

dmi_level dmi_schedule_level(const dm_schedule *s, double t) {
    if (s->options.kind == DM_SCHEDULE_FLOW) {
        /* Esser et al. 2024, eq. 23: noise = shift u / (1 + (shift - 1) u). */
        double u = (t + 1) / s->steps, shift = s->options.flow_shift;
        double sum = (1 - u) + shift * u;
        return flow_level(s, (1 - u) / sum, u < 1 ? shift * u / sum : 1);
    }
    if (s->options.kind == DM_SCHEDULE_EDM) return edm_level(s, edm_sigma(s, t));
    int32_t below = (int32_t)t;
    double fraction = t - below, a = s->alpha_cumprod[below];
    if (fraction == 0) return (dmi_level){.signal = sqrt(a), .noise = sqrt(1 - a), .time = t};
    return variance_preserving_level((1 - fraction) * sigma_of(a) +
                                         fraction * sigma_of(s->alpha_cumprod[below + 1]),
                                     t);
}

/* By bisection: sigma grows with t. */
static double timestep_by_bisection(const dm_schedule *s, double sigma) {
    enum { ITERATIONS = 60 };
    double low = 0, high = s->steps - 1;
    for (int32_t i = 0; i < ITERATIONS; i++) {
        double middle = (low + high) / 2;
        if (dmi_level_sigma(dmi_schedule_level(s, middle)) <= sigma) low = middle;
        else high = middle;
    }
    return low;
}

double dmi_schedule_timestep_of_sigma(const dm_schedule *s, double sigma) {
    if (!dmi_schedule_has_betas(s)) return timestep_by_bisection(s, sigma);
    int32_t low = 0, high = s->steps - 1;
    if (sigma <= sigma_of(s->alpha_cumprod[low])) return low;
    if (sigma >= sigma_of(s->alpha_cumprod[high])) return high;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (sigma_of(s->alpha_cumprod[middle]) <= sigma) low = middle;
        else high = middle;
    }
    double log_low = log(sigma_of(s->alpha_cumprod[low])),
           log_high = log(sigma_of(s->alpha_cumprod[high]));
    /* Betas may be so small that neighbours are equal, and the last sigma may be infinite. */
    if (!(log_high > log_low && isfinite(log_low))) return low;
    return low + (log(sigma) - log_low) / (log_high - log_low);
}

dmi_level dmi_schedule_level_of_sigma(const dm_schedule *s, double sigma) {
    if (s->options.kind == DM_SCHEDULE_FLOW)
        return flow_level(s, 1 / (1 + sigma), isinf(sigma) ? 1 : sigma / (1 + sigma));
    if (s->options.kind == DM_SCHEDULE_EDM) return edm_level(s, sigma);
    return variance_preserving_level(sigma, dmi_schedule_timestep_of_sigma(s, sigma));
}
