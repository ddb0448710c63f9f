/* See adamw.h. */
#include "optim/adamw.h"

#include <math.h>

#include "optim/chunks.h"

typedef struct adamw_job {
    const dmi_kernels *kernels;
    const dmi_adamw_blocks *blocks;
    const dmi_adamw *step;
} adamw_job;

/* 1 / (1 - beta^step) for the beta that the kernel uses, which is rounded to a float: with beta2 =
 * 0.999 the two would differ by 5e-5 in 1 - beta. */
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

bool dmi_adamw_takes(double norm) {
    const double most = 1e18; /* its square is 1e36; a float holds 3.4e38 */
    return norm <= most;
}

static void step_chunk(void *data, int32_t chunk, int32_t worker) {
    const adamw_job *job = data;
    const dmi_adamw_blocks *b = job->blocks;
    size_t at = (size_t)chunk * DMI_CHUNK;
    (void)worker;
    size_t n = dmi_chunk_size(b->floats, chunk);
    job->kernels->adamw(b->weights + at, b->moment1 + at, b->moment2 + at,
                        b->averages[0] ? b->averages[0] + at : NULL, b->gradient + at, job->step,
                        n);
    /* Further averages, while the weights are in the cache. */
    for (int32_t i = 1; i < DMI_AVERAGES; i++)
        if (b->averages[i])
            job->kernels->ema(b->averages[i] + at, b->weights + at, b->average_fresh[i], n);
}

void dmi_adamw_step(dmi_pool *pool, const dmi_kernels *kernels, const dmi_adamw_blocks *blocks,
                    const dmi_adamw *step) {
    dmi_adamw own = *step;
    if (blocks->averages[0]) own.ema_weight = blocks->average_fresh[0];
    adamw_job job = {.kernels = kernels, .blocks = blocks, .step = &own};
    dmi_parallel(pool, dmi_chunk_count(blocks->floats), step_chunk, &job);
}
