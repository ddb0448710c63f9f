/* SPDX-License-Identifier: MIT */
/* Betas as PyTorch computes them in float32. Every operation rounds to float; the products of
 * floats that do not are exact in double. */
#include <math.h>

#include "diffusion/schedule.h"

/* torch.linspace: from both ends to the middle, each with one rounding. The sums are exact in
 * double but for steps of less than 2^-29 of an end; fmaf of MinGW-w64 rounds twice. */
static float linspace(float first, float last, int32_t t, int32_t steps) {
    if (steps == 1) return first;
    float step = (last - first) / (float)(steps - 1);
    return (float)(t < steps / 2 ? first + (double)step * t
                                 : last - (double)step * (steps - 1 - t));
}

/* torch.sigmoid's exponential, and torch.sqrt below, may differ from these in the last bit. */
static float sigmoid(float u) {
    float e = (float)exp(-(double)u);
    return 1 / (1 + e);
}

void dmi_schedule_betas_float32(dm_schedule *s) {
    const dm_schedule_options *o = &s->options;
    double factor = dmi_schedule_beta_factor(o), first = factor * o->beta_start,
           last = factor * o->beta_end;
    for (int32_t t = 0; t < s->steps; t++) {
        float beta = (float)s->beta[t]; /* cosine: rounded at the end */
        if (o->kind == DM_SCHEDULE_LINEAR) beta = linspace((float)first, (float)last, t, s->steps);
        if (o->kind == DM_SCHEDULE_SCALED_LINEAR) {
            beta = linspace((float)sqrt(first), (float)sqrt(last), t, s->steps);
            beta = beta * beta;
        }
        if (o->kind == DM_SCHEDULE_SIGMOID) {
            float share = sigmoid(linspace(-DMI_SIGMOID_END, DMI_SIGMOID_END, t, s->steps));
            beta = share * (float)(last - first);
            beta = beta + (float)first;
        }
        s->beta[t] = (double)beta;
    }
}

void dmi_schedule_rescale_float32(dm_schedule *s) {
    float first = sqrtf((float)s->alpha_cumprod[0]),
          last = sqrtf((float)s->alpha_cumprod[s->steps - 1]), range = first - last,
          factor = first / range, before = 1;
    for (int32_t t = 0; t < s->steps; t++) {
        float root = sqrtf((float)s->alpha_cumprod[t]) - last;
        root = root * factor;
        float product = root * root, alpha = before > 0 ? product / before : 0;
        s->beta[t] = (double)(1 - alpha);
        before = product;
    }
    dmi_schedule_accumulate(s);
}
