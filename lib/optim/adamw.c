/* SPDX-License-Identifier: MIT */
/* See adamw.h. */
#include "optim/adamw.h"

#include <math.h>

#include "optim/partition.h"

typedef struct adamw_job {
    const dmi_kernels *kernels;
    const dmi_adamw_blocks *blocks;
    const dmi_adamw *adamw;
} adamw_job;

/* The bias correction 1 / (1 - beta^step), of beta rounded to a float as the kernel uses it: for
 * beta2 = 0.999 rounding changes 1 - beta by a factor of 1 + 5e-5. */
static float correction(float beta, uint64_t step) {
    return (float)(1 / (1 - pow((double)beta, (double)step)));
}

dmi_adamw dmi_adamw_at(const dmi_adamw_settings *settings, uint64_t step, double rate,
                       double scale) {
    float beta1 = (float)settings->beta1, beta2 = (float)settings->beta2;
    return (dmi_adamw){
        .rate = (float)rate,
        .beta1 = beta1,
        .beta2 = beta2,
        .correction1 = correction(beta1, step),
        .correction2 = correction(beta2, step),
        .eps = (float)settings->eps,
        .decay = settings->l2 ? 0 : (float)settings->weight_decay,
        .l2 = settings->l2 ? (float)settings->weight_decay : 0,
        .gradient_scale = (float)scale,
        .ema_weight = 0,
        .first = step == 1,
    };
}

bool dmi_adamw_accepts_norm(double norm) {
    const double norm_max = 1e18; /* its square is 1e36; a float holds 3.4e38 */
    return norm <= norm_max;
}

static void step_tile(void *data, int32_t tile, int32_t worker) {
    const adamw_job *job = data;
    const dmi_adamw_blocks *b = job->blocks;
    size_t at = (size_t)tile * DMI_FLAT_TILE;
    (void)worker;
    size_t n = dmi_flat_tile_size(b->floats, tile);
    job->kernels->adamw(b->weights + at, b->moment1 + at, b->moment2 + at,
                        b->emas[0] ? b->emas[0] + at : NULL, b->gradient + at, job->adamw, n);
    /* Further EMAs, while the weights are in the cache. */
    for (int32_t i = 1; i < DMI_EMA_MAX; i++)
        if (b->emas[i]) job->kernels->ema(b->emas[i] + at, b->weights + at, b->ema_weights[i], n);
}

void dmi_adamw_step(dmi_pool *pool, const dmi_kernels *kernels, const dmi_adamw_blocks *blocks,
                    const dmi_adamw *adamw) {
    dmi_adamw with_ema = *adamw;
    if (blocks->emas[0]) with_ema.ema_weight = blocks->ema_weights[0];
    adamw_job job = {.kernels = kernels, .blocks = blocks, .adamw = &with_ema};
    dmi_parallel(pool, dmi_flat_tile_count(blocks->floats), step_tile, &job);
}
