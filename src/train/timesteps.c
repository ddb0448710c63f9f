/* SPDX-License-Identifier: MIT */
/* See timesteps.h. */
#include "train/timesteps.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "diffusion/spacing.h"

/* The share of the uniform distribution in the probabilities, so that every timestep stays possible
 * (Nichol and Dhariwal 2021, as in improved-diffusion). */
static const double uniform_share = 0.001;

dm_status dmi_timesteps_create(dmi_timesteps *s) {
    if (s->sampling != DM_TIMESTEPS_LOSS_AWARE) return DM_OK;
    dmi_host *host = &s->context->host;
    size_t steps = (size_t)s->schedule->steps;
    dm_status status = dmi_alloc_zero(host, &s->losses, steps * DMI_RECORDED_LOSSES, sizeof(float),
                                      "trainer: recorded losses");
    if (!status)
        status = dmi_alloc_zero(host, &s->counts, steps, sizeof(float),
                                "trainer: counts of recorded losses");
    if (!status)
        status = dmi_alloc_zero(host, &s->probabilities, steps, sizeof(double),
                                "trainer: probabilities of timesteps");
    if (!status)
        status = dmi_alloc_zero(host, &s->cumulative, steps, sizeof(double),
                                "trainer: cumulative probabilities");
    return status;
}

void dmi_timesteps_destroy(dmi_timesteps *s) {
    if (!s->context) return;
    dmi_host *host = &s->context->host;
    dmi_free(host, s->cumulative);
    dmi_free(host, s->probabilities);
    dmi_free(host, s->counts);
    dmi_free(host, s->losses);
}

/* ---- loss-aware sampling (Nichol and Dhariwal 2021, sec. 3.3, as in improved-diffusion) ---- */

/* The root mean square of a timestep's recorded losses. */
static double rms_of_losses(const dmi_timesteps *s, int32_t t) {
    const float *losses = s->losses + (size_t)t * DMI_RECORDED_LOSSES;
    double squares = 0;
    for (int32_t i = 0; i < DMI_RECORDED_LOSSES; i++) squares += (double)losses[i] * losses[i];
    return sqrt(squares / DMI_RECORDED_LOSSES);
}

void dmi_timesteps_begin(dmi_timesteps *s) {
    if (!s->losses) return;
    int32_t steps = s->schedule->steps;
    double rms_sum = 0, cumulative = 0;
    s->warm = true;
    for (int32_t t = 0; t < steps; t++) {
        s->warm = s->warm && s->counts[t] == DMI_RECORDED_LOSSES;
        s->probabilities[t] = rms_of_losses(s, t); /* in proportion; normalized below */
        rms_sum += s->probabilities[t];
    }
    s->warm = s->warm && rms_sum > 0;
    if (!s->warm) return;
    for (int32_t t = 0; t < steps; t++) {
        s->probabilities[t] =
            (1 - uniform_share) * s->probabilities[t] / rms_sum + uniform_share / steps;
        s->cumulative[t] = cumulative += s->probabilities[t];
    }
}

void dmi_timesteps_record(dmi_timesteps *s, int32_t timestep, double loss) {
    if (!s->losses) return;
    float *losses = s->losses + (size_t)timestep * DMI_RECORDED_LOSSES,
          *count = &s->counts[timestep];
    if (*count == DMI_RECORDED_LOSSES)
        memmove(losses, losses + 1, (DMI_RECORDED_LOSSES - 1) * sizeof *losses);
    else *count += 1;
    losses[(size_t)*count - 1] = (float)fmin(fmax(loss, 0), (double)FLT_MAX);
}

/* The inverse of the cumulative distribution at u in [0, 1): the first timestep whose cumulative
 * probability exceeds u, by bisection. */
static int32_t timestep_at(const dmi_timesteps *s, double u) {
    int32_t low = 0, high = s->schedule->steps - 1;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (s->cumulative[middle] > u) high = middle;
        else low = middle + 1;
    }
    return low;
}

/* ---- sampling ---- */

dmi_noise_level dmi_timesteps_given(const dmi_timesteps *s, int32_t timestep) {
    return (dmi_noise_level){.level = dmi_schedule_level(s->schedule, timestep),
                             .timestep = timestep,
                             .weight = 1};
}

/* Uniform in [0, 1), with 53 bits. */
static double draw_uniform(const dmi_random *at) {
    uint32_t bits[2];
    dmi_random_bits(at, bits, 2);
    return (double)(((uint64_t)bits[0] << 32 | bits[1]) >> 11) * 0x1p-53;
}

static double draw_normal(const dmi_timesteps *s, const dmi_random *at) {
    float normal;
    dmi_random_normal(at, &normal, 1);
    return s->mean + s->deviation * (double)normal;
}

dmi_noise_level dmi_timesteps_draw(const dmi_timesteps *s, uint64_t position) {
    dmi_random at = dmi_random_at(s->seed, DMI_STREAM_TIMESTEP, position);
    int32_t steps = s->schedule->steps;
    dmi_noise_level result = {.timestep = DMI_TIMESTEP_NONE, .weight = 1};
    if (s->sampling == DM_TIMESTEPS_LOGIT_NORMAL) {
        /* The logistic function of a normal variable is (t + 1) / T. */
        result.level = dmi_schedule_level(s->schedule, steps / (1 + exp(-draw_normal(s, &at))) - 1);
        return result;
    }
    if (s->sampling == DM_TIMESTEPS_LOG_NORMAL) {
        result.level = dmi_schedule_level_of_sigma(s->schedule, exp(draw_normal(s, &at)));
        return result;
    }
    if (s->visited) {
        int32_t entry = (int32_t)dmi_random_below(&at, 0, (uint32_t)s->visited);
        return dmi_timesteps_given(s, dmi_trailing_timestep(steps, s->visited, entry));
    }
    /* Uniform timesteps, also as the start of loss-aware sampling. */
    if (!s->warm) return dmi_timesteps_given(s, (int32_t)dmi_random_below(&at, 0, (uint32_t)steps));
    result = dmi_timesteps_given(s, timestep_at(s, draw_uniform(&at)));
    result.weight = 1 / (steps * s->probabilities[result.timestep]);
    return result;
}
