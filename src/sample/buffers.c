/* The memory of a sampler's batches. */
#include <string.h>

#include "sample/sampler.h"
#include "unet/options.h"

void dmi_sampler_release(dm_sampler *s) {
    dmi_host *host = &s->context->host;
    dmi_sampler_buffers *b = &s->buffers;
    void *const blocks[] = {b->x,      b->saved,  b->x_0,      b->eps,   b->scratch, b->input,
                            b->answer, b->output, b->variance, b->noise, b->shown_x, b->shown_x_0,
                            b->drawn,  b->labels, b->faults,   b->torch};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) dmi_free(host, blocks[i]);
    for (int32_t i = 0; i < DMI_MEMORY_MOST; i++) dmi_free(host, b->memory[i]);
    memset(b, 0, sizeof *b);
}

static int32_t allocate(dm_sampler *s, size_t size) {
    dmi_host *host = &s->context->host;
    dmi_sampler_buffers *b = &s->buffers;
    const dm_sampler_options *o = &s->options;
    size_t n = s->elements, halves = o->guidance != 1 ? 2 : 1,
           in = 1 + (size_t)s->self_conditioning;
    size_t out = 1 + (size_t)(s->unet && s->unet->options.learned_variance);
    const struct {
        void *block; /* the address of the pointer */
        size_t each, size;
        const char *what;
    } all[] = {
        {&b->x, n, sizeof(double), "sampler: x_t"},
        {&b->saved, n, sizeof(double), "sampler: x_t as it was"},
        {&b->x_0, n, sizeof(double), "sampler: x_0"},
        {&b->eps, n, sizeof(double), "sampler: eps"},
        {&b->scratch, o->threshold > 0 ? n : 0, sizeof(double), "sampler: scratch"},
        {&b->input, halves * in * n, sizeof(float), "sampler: the network's input"},
        {&b->answer, halves * out * n, sizeof(float), "sampler: the network's output"},
        {&b->output, n, sizeof(float), "sampler: the output"},
        {&b->variance, out > 1 ? n : 0, sizeof(float), "sampler: the learned variance"},
        {&b->noise, n, sizeof(float), "sampler: noise"},
        {&b->shown_x, n, sizeof(float), "sampler: x_t as floats"},
        {&b->shown_x_0, n, sizeof(float), "sampler: x_0 as floats"},
        {&b->drawn, n, sizeof(float), "sampler: noise by channels"},
        {&b->labels, halves, sizeof(int32_t), "sampler: labels"},
        {&b->faults, 1, sizeof(uint8_t), "sampler: faults"},
        {&b->torch, 1, sizeof(dmi_torch), "sampler: generators"},
    };
    int32_t status = DM_OK;
    for (size_t i = 0; !status && i < sizeof all / sizeof *all; i++) {
        size_t count;
        if (all[i].each == 0) continue;
        if (!dmi_mul(size, all[i].each, &count))
            return dmi_fail(host, DM_ERROR_LIMIT_EXCEEDED,
                            "sampler: %zu pictures of %zu values are too large", size, all[i].each);
        status = dmi_alloc_array(host, all[i].block, count, all[i].size, all[i].what);
    }
    for (int32_t i = 0; !status && i < s->solver->memory; i++)
        status = dmi_alloc_array(host, &b->memory[i], size * n, sizeof(double),
                                 "sampler: the solver's memory");
    return status;
}

int32_t dmi_sampler_reserve(dm_sampler *s, size_t size) {
    int32_t status = DM_OK;
    if (s->buffers.capacity < size) {
        dmi_sampler_release(s);
        status = allocate(s, size);
        if (status) {
            dmi_sampler_release(s);
            return status;
        }
        s->buffers.capacity = size;
    }
    /* The network's own memory for so many: the steps then allocate nothing. */
    const dm_sampler_options *o = &s->options;
    dmi_unet_graph *graph;
    if (!s->unet) return status;
    if (o->guidance == 1) return dmi_unet_forward_graph(s->unet, &graph, size);
    bool always = o->guidance_begin == 0 && o->guidance_end == 1;
    return always ? dmi_unet_forward_graph(s->unet, &graph, 2 * size)
                  : dmi_unet_forward_graphs(s->unet, size, 2 * size);
}
