/* The U-Net: its life, its graphs and its parameters. The network itself is written down in
 * unet_build.c. */
#include "unet/unet.h"

#include <string.h>

#include "layers/layers.h"
#include "unet/build.h"
#include "unet/options.h"

/* Declares the parameters by building the network once, for one picture. */
static int32_t declare(dm_unet *unet) {
    dmi_graph *graph;
    dmi_unet_graph built;
    int32_t status =
        dmi_graph_create(&unet->context->host, &graph, unet->context->kernels, &unet->params);
    if (status) return status;
    status = dmi_unet_build(graph, &unet->options, 1, false, &built);
    dmi_graph_destroy(graph);
    return status;
}

int32_t dmi_unet_new(dm_unet **out, dm_context *context, const dm_unet_options *options) {
    dm_unet *unet;
    *out = NULL;
    int32_t status = dmi_alloc_zero(&context->host, &unet, 1, sizeof *unet, "unet");
    if (status) return status;
    unet->context = context;
    unet->options = *options;
    dmi_params_init(&unet->params);
    status = declare(unet);
    if (status) {
        dm_unet_destroy(unet);
        return status;
    }
    *out = unet;
    return DM_OK;
}

int32_t dm_unet_create(dm_unet **out, dm_context *context, const dm_unet_options *options,
                       uint64_t seed) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (!out) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: 'out' is NULL");
    dm_unet_options o = dmi_unet_default_options();
    int32_t status = dmi_options_read(host, &o, sizeof o, options, "dm_unet_options");
    if (!status) status = dmi_unet_check_options(host, &o);
    if (status) return status;
    dm_unet *unet;
    status = dmi_unet_new(&unet, context, &o);
    if (status) return status;
    status = dmi_params_allocate(host, &unet->params);
    if (status) {
        dm_unet_destroy(unet);
        return status;
    }
    dmi_params_draw(&unet->params, context->host.pool, context->kernels, seed);
    *out = unet;
    return DM_OK;
}

void dm_unet_destroy(dm_unet *unet) {
    if (!unet) return;
    dmi_host *host = &unet->context->host;
    dmi_unet_graph_destroy(&unet->forward);
    dmi_unet_graph_destroy(&unet->beside);
    dmi_params_free(host, &unet->params);
    dmi_free(host, unet);
}

int32_t dmi_unet_graph_create(dm_unet *unet, dmi_unet_graph *out, int32_t batch, bool train,
                              int32_t recompute) {
    dmi_graph *graph;
    memset(out, 0, sizeof *out);
    int32_t status =
        dmi_graph_create(&unet->context->host, &graph, unet->context->kernels, &unet->params);
    if (status) return status;
    graph->recompute = recompute;
    status = dmi_unet_build(graph, &unet->options, batch, train, out);
    if (!status) status = dmi_graph_plan(graph, &out->output, 1, train);
    if (!status) return DM_OK;
    dmi_graph_destroy(graph);
    memset(out, 0, sizeof *out);
    return status;
}

void dmi_unet_graph_destroy(dmi_unet_graph *graph) {
    dmi_graph_destroy(graph->graph);
    memset(graph, 0, sizeof *graph);
}

int32_t dmi_unet_forward_graph(dm_unet *unet, dmi_unet_graph **out, size_t count) {
    *out = NULL;
    if (count < 1 || count > 65536)
        return dmi_fail(&unet->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: %zu pictures at once; it must be from 1 to 65536", count);
    if (unet->beside.batch == (int32_t)count) {
        *out = &unet->beside;
        return DM_OK;
    }
    if (unet->forward.batch != (int32_t)count) {
        dmi_unet_graph_destroy(&unet->beside);
        dmi_unet_graph_destroy(&unet->forward);
        int32_t status =
            dmi_unet_graph_create(unet, &unet->forward, (int32_t)count, false, DM_RECOMPUTE_NONE);
        if (status) return status;
    }
    *out = &unet->forward;
    return DM_OK;
}

int32_t dmi_unet_forward_graphs(dm_unet *unet, size_t count, size_t beside) {
    dmi_unet_graph *graph;
    if (unet->beside.batch == (int32_t)beside && unet->forward.batch == (int32_t)count)
        return DM_OK;
    dmi_unet_graph_destroy(&unet->beside);
    int32_t status = dmi_unet_forward_graph(unet, &graph, count);
    return status ? status
                  : dmi_unet_graph_create(unet, &unet->beside, (int32_t)beside, false,
                                          DM_RECOMPUTE_NONE);
}

/* A label as the embedding's row: the last one means "no class". */
static int32_t set_label(dm_unet *unet, float *row, const int32_t *labels, size_t i) {
    int32_t classes = unet->options.classes, label = labels ? labels[i] : -1;
    if (label < -1 || label > classes)
        return dmi_fail(&unet->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: label %zu is %d; the network has %d classes (-1 means none)", i,
                        (int)label, (int)classes);
    if (row) *row = (float)(label < 0 ? classes : label);
    return DM_OK;
}

static int32_t run(dm_unet *unet, float *output, const float *x_t, const float *timesteps,
                   size_t stride, const int32_t *labels, size_t count) {
    dmi_unet_graph *f;
    int32_t status = dmi_unet_forward_graph(unet, &f, count);
    if (status) return status;
    if (labels && !unet->options.classes)
        return dmi_fail(&unet->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: labels were given, but the network has no classes");
    float *t = dmi_graph_data(f->graph, f->t), *rows = dmi_graph_data(f->graph, f->labels);
    for (size_t i = 0; i < count; i++) {
        t[i] = timesteps[i * stride];
        if (rows && (status = set_label(unet, &rows[i], labels, i))) return status;
    }
    size_t in = dmi_shape_count(dmi_graph_shape(f->graph, f->x)),
           n = dmi_shape_count(dmi_graph_shape(f->graph, f->output));
    memcpy(dmi_graph_data(f->graph, f->x), x_t, in * sizeof(float));
    dmi_graph_forward(f->graph);
    memcpy(output, dmi_graph_data(f->graph, f->output), n * sizeof(float));
    return DM_OK;
}

int32_t dm_unet_forward(dm_unet *unet, float *output, const float *x_t, const float *timesteps,
                        const int32_t *labels, size_t count) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!output || !x_t || !timesteps)
        return dmi_fail(&unet->context->host, DM_ERROR_INVALID_ARGUMENT, "unet: '%s' is NULL",
                        !output ? "output"
                        : !x_t  ? "x_t"
                                : "timesteps");
    return run(unet, output, x_t, timesteps, 1, labels, count);
}

int32_t dmi_unet_denoise(dm_unet *unet, float *output, const float *x_t, float timestep,
                         const int32_t *labels, size_t count) {
    return run(unet, output, x_t, &timestep, 0, labels, count);
}

int32_t dm_unet_get_options(const dm_unet *unet, dm_unet_options *options, size_t size) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    return dmi_options_write(&unet->context->host, options, size, &unet->options,
                             sizeof unet->options, "dm_unet_options");
}

uint64_t dm_unet_parameter_count(const dm_unet *unet) { return unet ? unet->params.elements : 0; }

size_t dm_unet_tensor_count(const dm_unet *unet) { return unet ? (size_t)unet->params.count : 0; }

int32_t dm_unet_tensor_info(const dm_unet *unet, size_t index, dm_tensor_info *info) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &unet->context->host;
    if (!info) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: 'info' is NULL");
    if (index >= (size_t)unet->params.count)
        return dmi_fail(host, DM_ERROR_NOT_FOUND, "unet: tensor %zu; there are %d", index,
                        (int)unet->params.count);
    const dmi_param *p = &unet->params.items[index];
    dm_tensor_info full = {.struct_size = sizeof full,
                           .rank = p->rank,
                           .elements = p->count,
                           .name = p->name};
    memcpy(full.shape, p->shape, sizeof full.shape);
    return dmi_options_write(host, info, info->struct_size, &full, sizeof full, "dm_tensor_info");
}

/* The parameter of that name, whose number of elements must be `count`; values are where they go to
 * or come from. */
static int32_t find_tensor(const dm_unet *unet, const char *name, const float *values, size_t count,
                           const dmi_param **out) {
    dmi_host *host = &unet->context->host;
    if (!name || !values)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: '%s' is NULL",
                        name ? "values" : "name");
    int32_t index = dmi_params_find(&unet->params, name);
    if (index < 0) return dmi_fail(host, DM_ERROR_NOT_FOUND, "unet: there is no tensor '%s'", name);
    *out = &unet->params.items[index];
    if ((*out)->count == count) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH, "unet: tensor '%s' has %zu elements, not %zu",
                    name, (*out)->count, count);
}

int32_t dm_unet_tensor_get(const dm_unet *unet, const char *name, float *values, size_t count) {
    const dmi_param *p = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    int32_t status = find_tensor(unet, name, values, count, &p);
    if (!status) dmi_params_export(p, unet->params.data, values);
    return status;
}

int32_t dm_unet_tensor_set(dm_unet *unet, const char *name, const float *values, size_t count) {
    const dmi_param *p = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    int32_t status = find_tensor(unet, name, values, count, &p);
    if (status) return status;
    dmi_params_import(p, unet->params.data, values);
    unet->params.version++;
    return DM_OK;
}
