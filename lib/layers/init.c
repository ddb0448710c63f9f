/* SPDX-License-Identifier: MIT */
/* Weight initialization (Ho et al. 2020: variance scaling, fan average, uniform). The values of a
 * parameter depend only on the seed and the parameter's index, so each is a task. */
#include "layers/layers.h"

#include <math.h>

#include "base/random.h"

/* The bound of the uniform distribution; fan in and fan out include the taps of the kernel. */
static float fan_average_bound(const dmi_param *p) {
    double taps = (double)p->shape[2] * (double)p->shape[3];
    return (float)sqrt(6.0 / (taps * (double)(p->shape[0] + p->shape[1])));
}

static float fan_in_bound(const dmi_param *p) {
    double fan_in = p->rank == 1 ? (double)p->shape[0] : (double)p->count / (double)p->shape[0];
    return (float)(1 / sqrt(fan_in));
}

/* w [count] = bound * uniform in [-1, 1): the numbers of dmi_random_uniform, many at a time. */
static void draw_uniform(const dmi_kernels *kernels, float *w, size_t count, const dmi_random *at,
                         float bound) {
    enum { WORDS = 1024 }; /* of whole blocks of 4 */
    uint32_t words[WORDS];
    for (size_t done = 0; done < count; done += WORDS) {
        size_t wanted = count - done < WORDS ? count - done : WORDS;
        uint64_t block = ((uint64_t)at->counter[1] << 32 | at->counter[0]) + done / 4;
        const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), at->counter[2],
                                     at->counter[3]};
        kernels->random_words(words, at->key, counter, (wanted + 3) / 4);
        for (size_t i = 0; i < wanted; i++)
            w[done + i] = bound * (2 * ((float)(int32_t)(words[i] >> 8) * 0x1p-24f) - 1);
    }
}

typedef struct draw_job {
    const dmi_kernels *kernels;
    dmi_params *params;
    uint64_t seed;
} draw_job;

static void draw_task(void *data, int32_t task, int32_t worker) {
    const draw_job *job = data;
    (void)worker;
    const dmi_param *p = &job->params->items[task];
    float *w = job->params->data + p->offset;
    dmi_random at = dmi_random_at(job->seed, DMI_STREAM_INIT, (uint64_t)task);
    switch (p->init) {
        case DMI_INIT_FAN_AVERAGE:
            draw_uniform(job->kernels, w, p->count, &at, fan_average_bound(p));
            break;
        case DMI_INIT_PRACTICALLY_ZERO:
            draw_uniform(job->kernels, w, p->count, &at, 1e-5f * fan_average_bound(p));
            break;
        case DMI_INIT_FAN_IN: draw_uniform(job->kernels, w, p->count, &at, fan_in_bound(p)); break;
        case DMI_INIT_FAN_IN_BIAS:
            draw_uniform(job->kernels, w, p->count, &at, fan_in_bound(p - 1));
            break;
        case DMI_INIT_ROWS:
            draw_uniform(job->kernels, w, p->count, &at, (float)(1 / sqrt((double)p->shape[0])));
            break;
        case DMI_INIT_NORMAL: dmi_random_normal(&at, w, p->count); break;
        case DMI_INIT_FREQUENCIES:
            dmi_random_normal(&at, w, p->count);
            for (size_t k = 0; k < p->count; k++) w[k] *= 16;
            break;
        default:
            for (size_t k = 0; k < p->count; k++) w[k] = p->init == DMI_INIT_ONES ? 1.0f : 0.0f;
    }
}

void dmi_params_draw(dmi_params *params, dmi_pool *pool, const dmi_kernels *kernels,
                     uint64_t seed) {
    draw_job job = {.kernels = kernels, .params = params, .seed = seed};
    dmi_parallel(pool, params->count, draw_task, &job);
    params->version++;
}
