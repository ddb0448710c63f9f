/* See average.h. */
#include "optim/average.h"

#include <math.h>

/* Karras et al. 2022, as their training loop has it: 0.5^(pictures / half-life), the half-life ramped up by the pictures so far. */
static double by_half_life(const dmi_average *a, uint64_t pictures, uint64_t before) {
    double half_life = a->rampup > 0 ? fmin(a->half_life, a->rampup * (double)before) : a->half_life;
    return half_life > 0 ? exp2(-(double)pictures / half_life) : 0;
}

double dmi_average_decay(const dmi_average *a, uint64_t step, uint64_t pictures, uint64_t before) {
    if (a->half_life > 0) return by_half_life(a, pictures, before);
    return a->warmup ? fmin(a->decay, (1 + (double)step) / (10 + (double)step)) : a->decay;
}
