/* See timesteps.h. */
#include "train/timesteps.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/random.h"

/* Nichol and Dhariwal's: so much of the probability is shared by all timesteps alike. */
static const double uniform_share = 0.001;

int32_t dmi_timesteps_create(dmi_timesteps *s) {
    if (s->sampling != DM_TIMESTEPS_LOSS_AWARE) return DM_OK;
    dmi_host *host = &s->context->host;
    size_t steps = (size_t)s->schedule->steps;
    int32_t status = dmi_alloc_zero(host, &s->losses, steps * DMI_LOSSES_KEPT, sizeof(float),
                                    "trainer: losses of timesteps");
    if (!status)
        status =
            dmi_alloc_zero(host, &s->counts, steps, sizeof(float), "trainer: counts of losses");
    if (!status)
        status =
            dmi_alloc_zero(host, &s->shares, steps, sizeof(double), "trainer: shares of timesteps");
    if (!status)
        status = dmi_alloc_zero(host, &s->below, steps, sizeof(double), "trainer: sums of shares");
    return status;
}

void dmi_timesteps_destroy(dmi_timesteps *s) {
    if (!s->context) return;
    dmi_host *host = &s->context->host;
    dmi_free(host, s->below);
    dmi_free(host, s->shares);
    dmi_free(host, s->counts);
    dmi_free(host, s->losses);
}

/* ---- by their losses (Nichol and Dhariwal 2021, sec. 3.3, as improved-diffusion has it) ---- */

/* The root of the mean square of a timestep's losses. */
static double size_of_losses(const dmi_timesteps *s, int32_t t) {
    const float *losses = s->losses + (size_t)t * DMI_LOSSES_KEPT;
    double squares = 0;
    for (int32_t i = 0; i < DMI_LOSSES_KEPT; i++) squares += (double)losses[i] * losses[i];
    return sqrt(squares / DMI_LOSSES_KEPT);
}

void dmi_timesteps_begin(dmi_timesteps *s) {
    if (!s->losses) return;
    int32_t steps = s->schedule->steps;
    double all = 0, sum = 0;
    s->warm = true;
    for (int32_t t = 0; t < steps; t++) {
        s->warm = s->warm && s->counts[t] == DMI_LOSSES_KEPT;
        s->shares[t] = size_of_losses(s, t);
        all += s->shares[t];
    }
    s->warm = s->warm && all > 0;
    if (!s->warm) return;
    for (int32_t t = 0; t < steps; t++) {
        s->shares[t] = (1 - uniform_share) * s->shares[t] / all + uniform_share / steps;
        s->below[t] = sum += s->shares[t];
    }
}

void dmi_timesteps_note(dmi_timesteps *s, int32_t timestep, double loss) {
    if (!s->losses) return;
    float *losses = s->losses + (size_t)timestep * DMI_LOSSES_KEPT, *count = &s->counts[timestep];
    if (*count == DMI_LOSSES_KEPT)
        memmove(losses, losses + 1, (DMI_LOSSES_KEPT - 1) * sizeof *losses);
    else *count += 1;
    losses[(size_t)*count - 1] = (float)fmin(fmax(loss, 0), (double)FLT_MAX);
}

/* The timestep at a share of the way from 0 to 1: the first whose sum lies above. */
static int32_t timestep_at(const dmi_timesteps *s, double share) {
    int32_t low = 0, high = s->schedule->steps - 1;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (s->below[middle] > share) high = middle;
        else low = middle + 1;
    }
    return low;
}

/* ---- drawing ---- */

dmi_drawn_level dmi_timesteps_given(const dmi_timesteps *s, int32_t timestep) {
    return (dmi_drawn_level){.level = dmi_schedule_level(s->schedule, timestep),
                             .timestep = timestep,
                             .importance = 1};
}

/* In [0, 1), with 53 bits. */
static double draw_share(const dmi_random *at) {
    uint32_t bits[2];
    dmi_random_bits(at, bits, 2);
    return (double)(((uint64_t)bits[0] << 32 | bits[1]) >> 11) * 0x1p-53;
}

static double draw_normal(const dmi_timesteps *s, const dmi_random *at) {
    float normal;
    dmi_random_normal(at, &normal, 1);
    return s->mean + s->deviation * (double)normal;
}

dmi_drawn_level dmi_timesteps_draw(const dmi_timesteps *s, uint64_t position) {
    dmi_random at = dmi_random_at(s->seed, DMI_STREAM_TIMESTEP, position);
    int32_t steps = s->schedule->steps;
    dmi_drawn_level drawn = {.timestep = DMI_TIMESTEP_BETWEEN, .importance = 1};
    if (s->sampling == DM_TIMESTEPS_LOGIT_NORMAL) {
        /* Timestep t stands at the share (t + 1) / T of the way. */
        drawn.level = dmi_schedule_level(s->schedule, steps / (1 + exp(-draw_normal(s, &at))) - 1);
        return drawn;
    }
    if (s->sampling == DM_TIMESTEPS_LOG_NORMAL) {
        drawn.level = dmi_schedule_level_of_sigma(s->schedule, exp(draw_normal(s, &at)));
        return drawn;
    }
    if (!s->warm) return dmi_timesteps_given(s, (int32_t)dmi_random_below(&at, 0, (uint32_t)steps));
    drawn = dmi_timesteps_given(s, timestep_at(s, draw_share(&at)));
    drawn.importance = 1 / (steps * s->shares[drawn.timestep]);
    return drawn;
}
