/* AdamW (Loshchilov and Hutter 2019, algorithm 2), or Adam with L2, and the moving averages of the
 * weights, in one sweep over the flat blocks. */
#ifndef DMI_OPTIM_ADAMW_H
#define DMI_OPTIM_ADAMW_H

#include "base/pool.h"
#include "kernels/kernels.h"
#include "optim/average.h"

/* The blocks, `floats` each and laid out alike. */
typedef struct dmi_adamw_blocks {
    float *weights;
    float *moment1, *moment2;
    float *averages[DMI_AVERAGES];     /* NULL: none */
    float average_fresh[DMI_AVERAGES]; /* the weights' shares in this step */
    float *gradient;                   /* of no use afterwards */
    size_t floats;
} dmi_adamw_blocks;

typedef struct dmi_adamw_settings {
    double beta1, beta2, eps, weight_decay;
    bool l2; /* weight_decay times the weights is added to the gradients, scaled; else it is
                decoupled */
} dmi_adamw_settings;

/* What the kernel needs for step `step`, counted from 1; the gradients are multiplied with `scale`.
 * Averages are the blocks'. */
dmi_adamw dmi_adamw_at(const dmi_adamw_settings *settings, uint64_t step, double rate,
                       double scale);

/* Whether gradients of this norm, already scaled, can be taken: their squares must stay within a
 * float, since a second moment that became infinite would hold its weight for ever. False for what
 * is not finite. */
bool dmi_adamw_takes(double norm);

/* The step over all blocks. */
void dmi_adamw_step(dmi_pool *pool, const dmi_kernels *kernels, const dmi_adamw_blocks *blocks,
                    const dmi_adamw *step);

#endif
