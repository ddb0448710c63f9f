/* SPDX-License-Identifier: MIT */
/* The decay of an exponential moving average (EMA) of the weights: ema = d ema + (1 - d) weights,
 * with a decay d that may change from step to step. */
#ifndef DMI_OPTIM_EMA_H
#define DMI_OPTIM_EMA_H

#include <stdbool.h>
#include <stdint.h>

/* Of one optimizer. */
enum { DMI_EMA_MAX = 4 };

typedef struct dmi_ema {
    double decay; /* d, unless half_life is set */
    bool warmup;  /* d is at most (1 + step) / (10 + step), so that early weights count little */
    double half_life; /* above 0: d = 0.5^(images of a step / half_life) */
    double rampup;    /* above 0: the half-life is at most this times the images processed before */
} dmi_ema;

/* 1 - d in step `step`, counted from 1, which processes `images` images after `before` others. */
double dmi_ema_weight(const dmi_ema *ema, uint64_t step, uint64_t images, uint64_t before);

#endif
