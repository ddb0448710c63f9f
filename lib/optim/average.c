/* See average.h. */
#include "optim/average.h"

#include <math.h>

/* Karras et al. 2022, as their training loop has it: d = 0.5^(pictures / half-life), the half-life
 * ramped up by the pictures so far. As 1 - d, which has all its digits however near d is to 1. */
static double by_half_life(const dmi_average *a, uint64_t pictures, uint64_t before) {
    double half_life =
        a->rampup > 0 ? fmin(a->half_life, a->rampup * (double)before) : a->half_life;
    return half_life > 0 ? -expm1(-log(2) * (double)pictures / half_life) : 1;
}

double dmi_average_fresh(const dmi_average *a, uint64_t step, uint64_t pictures, uint64_t before) {
    if (a->half_life > 0) return by_half_life(a, pictures, before);
    return a->warmup ? fmax(1 - a->decay, 9 / (10 + (double)step)) : 1 - a->decay;
}
