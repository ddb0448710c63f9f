/* AdamW (Loshchilov and Hutter 2019, algorithm 2) and the moving average of the weights, in one sweep over the flat
 * blocks. */
#ifndef DMI_OPTIM_ADAMW_H
#define DMI_OPTIM_ADAMW_H

#include "base/pool.h"
#include "kernels/kernels.h"

/* The blocks, `floats` each and laid out alike. */
typedef struct dmi_adamw_blocks {
    float *weights;
    float *moment1, *moment2;
    float *average; /* NULL: none */
    const float *gradient;
    size_t floats;
} dmi_adamw_blocks;

typedef struct dmi_adamw_settings {
    double beta1, beta2, eps, weight_decay;
    double average_decay;
    bool average_warmup; /* the average's decay is at most (1 + step) / (10 + step), so that early weights are forgotten */
} dmi_adamw_settings;

/* What the kernel needs for step `step`, counted from 1; the gradients are multiplied with `scale`. */
dmi_adamw dmi_adamw_at(const dmi_adamw_settings *settings, uint64_t step, double rate, double scale);

/* Whether gradients of this norm, already scaled, can be taken: their squares must stay within a float, since a second
 * moment that became infinite would hold its weight for ever. False for what is not finite. */
bool dmi_adamw_takes(double norm);

/* The step over all blocks. */
void dmi_adamw_step(dmi_pool *pool, const dmi_kernels *kernels, const dmi_adamw_blocks *blocks, const dmi_adamw *step);

#endif
