/* SPDX-License-Identifier: MIT */
/* The memory of a sampler's batches. */
#include <string.h>

#include "sample/sampler.h"

void dmi_sampler_release(dm_sampler *s) {
    dmi_host *host = &s->context->host;
    dmi_sampler_buffers *b = &s->buffers;
    void *const blocks[] = {b->x,
                            b->saved_x,
                            b->x_0,
                            b->eps,
                            b->quantile_scratch,
                            b->model_input,
                            b->model_output,
                            b->prediction,
                            b->variance,
                            b->noise,
                            b->x_f32,
                            b->x_0_f32,
                            b->labels,
                            b->faults,
                            b->torch_noise,
                            b->torch,
                            b->condition_image,
                            b->condition_vector};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) dmi_free(host, blocks[i]);
    for (int32_t i = 0; i < DMI_HISTORY_MAX; i++) dmi_free(host, b->history[i]);
    memset(b, 0, sizeof *b);
}

static dm_status allocate(dm_sampler *s, size_t images) {
    dmi_host *host = &s->context->host;
    dmi_sampler_buffers *b = &s->buffers;
    const dm_sampler_options *o = &s->options;
    size_t n = s->elements, batches = o->guidance != 1 ? 2 : 1,
           in = 1 + (size_t)s->self_conditioning, out = 1 + (size_t)s->learned_variance;
    const struct {
        void *block; /* the address of the pointer */
        size_t per_image, size;
        const char *what;
    } all[] = {
        {&b->x, n, sizeof(double), "sampler: x_t"},
        {&b->saved_x, n, sizeof(double), "sampler: saved x_t"},
        {&b->x_0, n, sizeof(double), "sampler: x_0"},
        {&b->eps, n, sizeof(double), "sampler: eps"},
        {&b->quantile_scratch, o->threshold > 0 ? n : 0, sizeof(double), "sampler: quantiles"},
        {&b->model_input, batches * in * n, sizeof(float), "sampler: model input"},
        {&b->model_output, batches * out * n, sizeof(float), "sampler: model output"},
        {&b->prediction, n, sizeof(float), "sampler: prediction"},
        {&b->variance, out > 1 ? n : 0, sizeof(float), "sampler: learned variance"},
        {&b->noise, n, sizeof(float), "sampler: noise"},
        {&b->x_f32, n, sizeof(float), "sampler: x_t as floats"},
        {&b->x_0_f32, n, sizeof(float), "sampler: x_0 as floats"},
        {&b->torch_noise, n, sizeof(float), "sampler: noise, channels first"},
        {&b->labels, batches, sizeof(int32_t), "sampler: labels"},
        {&b->condition_image, batches * s->image_condition, sizeof(float),
         "sampler: condition images"},
        {&b->condition_vector, batches * s->vector_condition, sizeof(float),
         "sampler: condition vectors"},
        {&b->faults, 1, sizeof(uint8_t), "sampler: faults"},
        {&b->torch, 1, sizeof(dmi_torch), "sampler: generators"},
    };
    dm_status status = DM_OK;
    for (size_t i = 0; !status && i < sizeof all / sizeof *all; i++) {
        size_t count;
        if (all[i].per_image == 0) continue;
        if (!dmi_mul(images, all[i].per_image, &count))
            return dmi_fail(host, DM_ERROR_LIMIT_EXCEEDED,
                            "sampler: %zu images of %zu values are too large", images,
                            all[i].per_image);
        status = dmi_alloc_array(host, all[i].block, count, all[i].size, all[i].what);
    }
    for (int32_t i = 0; !status && i < s->solver->history_size; i++)
        status =
            dmi_alloc_array(host, &b->history[i], images * n, sizeof(double), "sampler: history");
    return status;
}

dm_status dmi_sampler_reserve_model(dm_sampler *s, size_t images) {
    const dm_sampler_options *o = &s->options;
    dmi_unet_graph *graph;
    if (!s->unet) return DM_OK;
    if (o->guidance == 1) return dmi_unet_forward_graph(s->unet, &graph, images);
    bool always_guided = o->guidance_begin == 0 && o->guidance_end == 1;
    return always_guided ? dmi_unet_forward_graph(s->unet, &graph, 2 * images)
                         : dmi_unet_forward_graphs(s->unet, images, 2 * images);
}

dm_status dmi_sampler_reserve(dm_sampler *s, size_t images) {
    if (s->buffers.capacity < images) {
        dmi_sampler_release(s);
        dm_status status = allocate(s, images);
        if (status) {
            dmi_sampler_release(s);
            return status;
        }
        s->buffers.capacity = images;
    }
    return dmi_sampler_reserve_model(s, images);
}
