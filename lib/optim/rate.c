/* SPDX-License-Identifier: MIT */
/* See rate.h. */
#include "optim/rate.h"

#include <math.h>

/* From 1 to 0 as `passed`, the elapsed fraction of the decay, goes from 0 to 1. */
static double remaining(int32_t decay, double passed) {
    const double pi = 3.14159265358979323846;
    if (decay == DMI_DECAY_LINEAR) return 1 - passed;
    return 0.5 * (1 + cos(pi * passed));
}

double dmi_rate_at(const dmi_rate *rate, uint64_t step) {
    if (step < rate->warmup_steps)
        return rate->learning_rate * (double)step / (double)rate->warmup_steps;
    if (rate->decay == DMI_DECAY_NONE) return rate->learning_rate;
    if (step >= rate->decay_steps) return rate->learning_rate * rate->final_rate;
    double passed =
        (double)(step - rate->warmup_steps) / (double)(rate->decay_steps - rate->warmup_steps);
    return rate->learning_rate *
           (rate->final_rate + (1 - rate->final_rate) * remaining(rate->decay, passed));
}
