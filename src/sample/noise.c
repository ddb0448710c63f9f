/* Where a run's noise comes from: addressed by picture and step, from PyTorch's generator, or from
 * the caller. */
#include "base/random.h"
#include "kernels/product.h"
#include "sample/sampler.h"

/* PyTorch's tensors are [c, h, w]. */
static void draw_as_torch(const dmi_run *run, size_t i, float *noise) {
    dm_sampler *s = run->sampler;
    dmi_sampler_buffers *b = &s->buffers;
    float *drawn = b->drawn + i * s->elements;
    dmi_torch_randn(&b->torch[i], drawn, s->elements);
    size_t pixels = s->elements / (size_t)s->channels;
    s->context->kernels->product->transpose(noise, (size_t)s->channels, drawn, pixels, s->channels,
                                            (int32_t)pixels);
}

void dmi_run_draw(const dmi_run *run, size_t i, uint32_t stream, float *noise) {
    if (run->request->random == DM_RANDOM_TORCH) {
        draw_as_torch(run, i, noise);
        return;
    }
    const dm_sampler_request *r = run->request;
    uint64_t seed = r->seeds ? r->seeds[run->first + i] : r->seed + run->first + i;
    dmi_random at = dmi_random_at(seed, stream, (uint64_t)run->visit);
    dmi_random_normal(&at, noise, run->sampler->elements);
}

int32_t dmi_run_ask_noise(const dmi_run *run, float *noise) {
    const dm_sampler *s = run->sampler;
    int32_t answer = run->request->noise(run->request->noise_user, run->visit, noise, run->first,
                                         run->count, s->elements);
    if (!answer) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_CALLBACK_FAILED,
                    "sampler: the noise source returned %d at step %d of %d", (int)answer,
                    (int)run->visit, (int)s->options.steps);
}
