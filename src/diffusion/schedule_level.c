/* Levels of noise on a schedule's way, at whole timesteps, between them, and by sigma = noise /
 * signal. */
#include <math.h>

#include "diffusion/schedule.h"

double dmi_level_sigma(dmi_level level) { return level.noise / level.signal; }

static double sigma_of(double alpha_cumprod) { return sqrt((1 - alpha_cumprod) / alpha_cumprod); }

/* Of signal^2 + noise^2 = 1. */
static dmi_level with_betas(double sigma, double time) {
    double signal = 1 / sqrt(1 + sigma * sigma);
    return (dmi_level){.signal = signal, .noise = isinf(sigma) ? 1 : sigma * signal, .time = time};
}

/* signal + noise = 1. Neither is made of the other, which near 1 would leave rounding alone of
 * it. */
static dmi_level flow_level(const dm_schedule *s, double signal, double noise) {
    return (dmi_level){.signal = signal, .noise = noise, .time = noise * s->steps};
}

static dmi_level edm_level(double sigma) {
    return (dmi_level){.signal = 1, .noise = sigma, .time = log(sigma) / 4};
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
        double u = (t + 1) / s->steps, shift = s->options.flow_shift;
        double all = (1 - u) + shift * u;
        return flow_level(s, (1 - u) / all, u < 1 ? shift * u / all : 1);
    }
    if (s->options.kind == DM_SCHEDULE_EDM) return edm_level(edm_sigma(s, t));
    int32_t below = (int32_t)t;
    double part = t - below, a = s->alpha_cumprod[below];
    if (part == 0) return (dmi_level){.signal = sqrt(a), .noise = sqrt(1 - a), .time = t};
    return with_betas((1 - part) * sigma_of(a) + part * sigma_of(s->alpha_cumprod[below + 1]), t);
}

/* By halves, since sigma grows with t. */
static double timestep_between_ends(const dm_schedule *s, double sigma) {
    enum { HALVES = 60 };
    double low = 0, high = s->steps - 1;
    for (int32_t i = 0; i < HALVES; i++) {
        double middle = (low + high) / 2;
        if (dmi_level_sigma(dmi_schedule_level(s, middle)) <= sigma) low = middle;
        else high = middle;
    }
    return low;
}

double dmi_schedule_timestep_of_sigma(const dm_schedule *s, double sigma) {
    if (!dmi_schedule_has_betas(s)) return timestep_between_ends(s, sigma);
    int32_t low = 0, high = s->steps - 1;
    if (sigma <= sigma_of(s->alpha_cumprod[low])) return low;
    if (sigma >= sigma_of(s->alpha_cumprod[high])) return high;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (sigma_of(s->alpha_cumprod[middle]) <= sigma) low = middle;
        else high = middle;
    }
    double below = log(sigma_of(s->alpha_cumprod[low])),
           above = log(sigma_of(s->alpha_cumprod[high]));
    /* Betas may be so small that neighbours are equal, and the last sigma may be infinite. */
    return above > below && isfinite(below) ? low + (log(sigma) - below) / (above - below) : low;
}

dmi_level dmi_schedule_level_of_sigma(const dm_schedule *s, double sigma) {
    if (s->options.kind == DM_SCHEDULE_FLOW)
        return flow_level(s, 1 / (1 + sigma), isinf(sigma) ? 1 : sigma / (1 + sigma));
    if (s->options.kind == DM_SCHEDULE_EDM) return edm_level(sigma);
    return with_betas(sigma, dmi_schedule_timestep_of_sigma(s, sigma));
}

const char *dmi_prediction_name(int32_t prediction) {
    static const char *const names[] = {[DM_PREDICT_EPS] = "eps",
                                        [DM_PREDICT_X0] = "x0",
                                        [DM_PREDICT_V] = "v",
                                        [DM_PREDICT_FLOW] = "flow",
                                        [DM_PREDICT_EDM] = "edm"};
    return names[prediction];
}

const char *dmi_schedule_name(const dm_schedule *schedule) {
    static const char *const names[] = {[DM_SCHEDULE_LINEAR] = "linear",
                                        [DM_SCHEDULE_COSINE] = "cosine",
                                        [DM_SCHEDULE_SCALED_LINEAR] = "scaled linear",
                                        [DM_SCHEDULE_SIGMOID] = "sigmoid",
                                        [DM_SCHEDULE_FLOW] = "flow",
                                        [DM_SCHEDULE_EDM] = "EDM"};
    return schedule->options.kind == DMI_SCHEDULE_CUSTOM ? "the caller's betas"
                                                         : names[schedule->options.kind];
}

int32_t dmi_schedule_check_prediction(dmi_host *host, const char *owner,
                                      const dm_schedule *schedule, int32_t prediction) {
    int32_t kind = schedule->options.kind;
    const char *why = NULL;
    if (prediction == DM_PREDICT_EDM && kind != DM_SCHEDULE_EDM)
        why = "EDM's preconditioning needs EDM's schedule";
    else if (prediction != DM_PREDICT_EDM && kind == DM_SCHEDULE_EDM)
        why = "EDM's schedule needs EDM's preconditioning";
    else if (prediction == DM_PREDICT_V && kind == DM_SCHEDULE_FLOW)
        why = "v is defined for schedules with betas";
    else if (prediction == DM_PREDICT_FLOW && kind != DM_SCHEDULE_FLOW)
        why = "a velocity needs the flow schedule";
    else if (prediction == DM_PREDICT_EPS &&
             (kind == DM_SCHEDULE_FLOW || schedule->options.zero_terminal_snr))
        why = "at the last timestep, which is noise alone, eps says nothing about x_0";
    if (!why) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "%s: the network's 'prediction' %d (%s) and the schedule's 'kind' %d (%s)%s "
                    "don't go together: %s",
                    owner, (int)prediction, dmi_prediction_name(prediction), (int)kind,
                    dmi_schedule_name(schedule),
                    schedule->options.zero_terminal_snr ? " with 'zero_terminal_snr'" : "", why);
}
