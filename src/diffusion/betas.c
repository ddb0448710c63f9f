/* SPDX-License-Identifier: MIT */
/* Betas and their running product (Ho et al. 2020; Nichol and Dhariwal 2021). Flow and EDM, which
 * have none, get those of the process with betas that differs by a factor of x_t alone. */
#include <math.h>

#include "diffusion/schedule.h"

static const double cosine_offset = 0.008, cosine_beta_max = 0.999;
static const double pi = 3.14159265358979323846;
/* The number of timesteps for which beta_start and beta_end were chosen. */
static const double usual_timesteps = 1000;

/* alpha_cumprod at the last timestep with terminal_signal: float16's least number above 0. */
static const double hardly_any_signal = 1.0 / (1 << 24);

/* torch.cumprod of floats multiplies in double and rounds each element. */
void dmi_schedule_accumulate(dm_schedule *schedule) {
    bool round = schedule->options.float32_tables != 0;
    double product = 1;
    for (int32_t t = 0; t < schedule->steps; t++) {
        double alpha = 1 - schedule->beta[t];
        product *= round ? (double)(float)alpha : alpha;
        schedule->alpha_cumprod[t] = round ? (double)(float)product : product;
    }
}

/* Element t of T in equal steps from first to last. */
static double equal_steps(double first, double last, int32_t t, int32_t steps) {
    return t == 0 ? first : first + (last - first) * t / (steps - 1);
}

double dmi_schedule_beta_factor(const dm_schedule_options *o) {
    return o->scale_betas ? usual_timesteps / o->timesteps : 1;
}

static void linear_betas(double *beta, const dm_schedule_options *o) {
    double factor = dmi_schedule_beta_factor(o);
    for (int32_t t = 0; t < o->timesteps; t++)
        beta[t] = factor * equal_steps(o->beta_start, o->beta_end, t, o->timesteps);
}

static void scaled_linear_betas(double *beta, const dm_schedule_options *o) {
    double factor = dmi_schedule_beta_factor(o);
    for (int32_t t = 0; t < o->timesteps; t++) {
        double root = equal_steps(sqrt(o->beta_start), sqrt(o->beta_end), t, o->timesteps);
        beta[t] = factor * root * root;
    }
}

static void sigmoid_betas(double *beta, const dm_schedule_options *o) {
    double factor = dmi_schedule_beta_factor(o);
    for (int32_t t = 0; t < o->timesteps; t++) {
        double u = equal_steps(-DMI_SIGMOID_END, DMI_SIGMOID_END, t, o->timesteps);
        beta[t] = factor * (o->beta_start + (o->beta_end - o->beta_start) / (1 + exp(-u)));
    }
}

/* Nichol and Dhariwal 2021, eq. 17. */
static double cosine_signal(double u) {
    double c = cos((u + cosine_offset) / (1 + cosine_offset) * pi / 2);
    return c * c;
}

static void cosine_betas(double *beta, const dm_schedule_options *o) {
    double steps = o->timesteps;
    for (int32_t t = 0; t < o->timesteps; t++) {
        double b = 1 - cosine_signal((t + 1) / steps) / cosine_signal(t / steps);
        beta[t] = b < cosine_beta_max ? b : cosine_beta_max;
    }
}

/* The betas of flow and EDM follow from alpha_cumprod: 1 - a_t / a_(t-1). */
static void betas_of_levels(dm_schedule *s) {
    double before = 1;
    for (int32_t t = 0; t < s->steps; t++) {
        dmi_level level = dmi_schedule_level(s, t);
        double signal = level.signal * level.signal, noise = level.noise * level.noise;
        s->alpha_cumprod[t] = signal / (signal + noise);
        s->beta[t] = 1 - s->alpha_cumprod[t] / before;
        before = s->alpha_cumprod[t];
    }
}

/* Lin et al. 2024, algorithm 1: sqrt(a) is shifted so that it ends at 0, and scaled so that it
 * begins where it did. Impossible if alpha_cumprod does not fall, or has reached 0 before the
 * end. */
static dm_status rescale_to_zero_snr(dm_schedule *s) {
    int32_t last = s->steps - 1;
    double first_root = sqrt(s->alpha_cumprod[0]), last_root = sqrt(s->alpha_cumprod[last]),
           before = 1;
    if (!(s->alpha_cumprod[last - 1] > s->alpha_cumprod[last] && first_root > last_root))
        return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'zero_terminal_snr' cannot be combined with these betas: "
                        "alpha_cumprod, %g at timestep 0, is %g at timestep %d and %g at %d; it "
                        "must fall up to the last timestep",
                        s->alpha_cumprod[0], s->alpha_cumprod[last - 1], (int)last - 1,
                        s->alpha_cumprod[last], (int)last);
    if (s->options.float32_tables) {
        dmi_schedule_rescale_float32(s);
        return DM_OK;
    }
    for (int32_t t = 0; t <= last; t++) {
        double root =
            (sqrt(s->alpha_cumprod[t]) - last_root) * first_root / (first_root - last_root);
        s->alpha_cumprod[t] = t == last ? 0 : root * root;
        s->beta[t] = 1 - s->alpha_cumprod[t] / before;
        before = s->alpha_cumprod[t];
    }
    return DM_OK;
}

dm_status dmi_schedule_fill(dm_schedule *s) {
    static void (*const betas_of[])(double *, const dm_schedule_options *) = {
        [DM_SCHEDULE_LINEAR] = linear_betas,
        [DM_SCHEDULE_COSINE] = cosine_betas,
        [DM_SCHEDULE_SCALED_LINEAR] = scaled_linear_betas,
        [DM_SCHEDULE_SIGMOID] = sigmoid_betas,
    };
    if (!dmi_schedule_has_betas(s)) {
        betas_of_levels(s);
        return DM_OK;
    }
    betas_of[s->options.kind](s->beta, &s->options);
    if (s->options.float32_tables) dmi_schedule_betas_float32(s);
    dmi_schedule_accumulate(s);
    dm_status status = s->options.zero_terminal_snr ? rescale_to_zero_snr(s) : DM_OK;
    if (s->options.terminal_signal) s->alpha_cumprod[s->steps - 1] = hardly_any_signal;
    return status;
}
