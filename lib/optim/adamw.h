/* SPDX-License-Identifier: MIT */
/* AdamW (Loshchilov and Hutter 2019, algorithm 2), or Adam with L2 regularization, and the EMAs of
 * the weights, in one pass over the flat blocks. */
#ifndef DMI_OPTIM_ADAMW_H
#define DMI_OPTIM_ADAMW_H

#include "base/pool.h"
#include "kernels/kernels.h"
#include "optim/ema.h"

/* The first `floats` floats of blocks in the layout of dmi_params: those that are trained. */
typedef struct dmi_adamw_blocks {
    float *weights;
    float *moment1, *moment2;
    float *emas[DMI_EMA_MAX];       /* NULL: none */
    float ema_weights[DMI_EMA_MAX]; /* dmi_ema_weight of this step */
    float *gradient;                /* overwritten */
    size_t floats;
} dmi_adamw_blocks;

typedef struct dmi_adamw_settings {
    double beta1, beta2, eps, weight_decay;
    bool l2; /* weight_decay * weights is added to the scaled gradients; false: decoupled */
} dmi_adamw_settings;

/* The kernel's parameters for step `step`, counted from 1; the gradients are multiplied with
 * `scale`. dmi_adamw_step adds the weight of the EMA. */
dmi_adamw dmi_adamw_at(const dmi_adamw_settings *settings, uint64_t step, double rate,
                       double scale);

/* Whether a step may use gradients of this norm, already scaled: their squares must be finite
 * floats, since an infinite second moment would stop its weight for ever. False for NaN. */
bool dmi_adamw_accepts_norm(double norm);

/* One step over all blocks, in tasks of one tile. */
void dmi_adamw_step(dmi_pool *pool, const dmi_kernels *kernels, const dmi_adamw_blocks *blocks,
                    const dmi_adamw *adamw);

#endif
