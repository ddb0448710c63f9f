/* SPDX-License-Identifier: MIT */
/* The noise of a run: addressed by seed and step, from PyTorch's generator, or from the caller. */
#include "base/random.h"
#include "kernels/product.h"
#include "sample/run.h"

/* PyTorch's tensors are [c, h, w]. */
static void draw_torch_noise(const dmi_run *run, size_t i, float *noise) {
    dm_sampler *s = run->sampler;
    dmi_sampler_buffers *b = &s->buffers;
    float *channels_first = b->torch_noise + i * s->elements;
    dmi_torch_randn(&b->torch[i], channels_first, s->elements);
    size_t pixels = s->elements / (size_t)s->channels;
    s->context->kernels->product->transpose(noise, (size_t)s->channels, channels_first, pixels,
                                            s->channels, (int32_t)pixels);
}

void dmi_run_draw_noise(const dmi_run *run, size_t i, uint32_t stream, float *noise) {
    const dm_sampler_request *r = &run->request;
    if (r->random == DM_RANDOM_TORCH) {
        draw_torch_noise(run, i, noise);
        return;
    }
    uint64_t seed = r->seeds ? r->seeds[run->first + i] : r->seed + run->first + i;
    uint64_t noise_index = (uint64_t)run->batch_steps_begun;
    dmi_random at = dmi_random_at(seed, stream, noise_index);
    dmi_random_normal(&at, noise, run->sampler->elements);
}

dm_status dmi_run_request_noise(const dmi_run *run, float *noise) {
    const dm_sampler *s = run->sampler;
    dm_noise_request request;
    dmi_struct_defaults(&dmi_struct_noise_request, &request);
    request.step = run->batch_steps_begun;
    request.first = run->first;
    request.count = run->count;
    request.elements = s->elements;
    dmi_callback_begin(s->context);
    int32_t returned =
        run->request.noise(run->request.noise_user, &request, noise, run->count * s->elements);
    return dmi_callback_result(s->context, returned, DM_ERROR_CALLBACK_FAILED,
                               "sampler: the noise source");
}
