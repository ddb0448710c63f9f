/* SPDX-License-Identifier: MIT */
/* See ema.h. The update itself is in kernels/adamw.c. */
#include "optim/ema.h"

#include <math.h>

/* Karras et al. 2022, as in their training loop. Computed as 1 - d, which keeps all digits however
 * close d is to 1. */
static double weight_by_half_life(const dmi_ema *ema, uint64_t images, uint64_t before) {
    double half_life =
        ema->rampup > 0 ? fmin(ema->half_life, ema->rampup * (double)before) : ema->half_life;
    return half_life > 0 ? -expm1(-log(2) * (double)images / half_life) : 1;
}

double dmi_ema_weight(const dmi_ema *ema, uint64_t step, uint64_t images, uint64_t before) {
    if (ema->half_life > 0) return weight_by_half_life(ema, images, before);
    return ema->warmup ? fmax(1 - ema->decay, 9 / (10 + (double)step)) : 1 - ema->decay;
}
