/* SPDX-License-Identifier: MIT */
/* Forward passes: the graphs of a network that are kept for them, and dm_unet_forward. */
#include <math.h>
#include <string.h>

#include "unet/build.h"
#include "unet/options.h"
#include "unet/unet.h"

enum { COUNT_MAX = 65536 };

/* ---- graphs ---- */

dm_status dmi_unet_graph_create(dm_unet *unet, dmi_unet_graph *out, int32_t batch, bool train,
                                int32_t recompute) {
    dmi_graph *graph;
    memset(out, 0, sizeof *out);
    dm_status status = dmi_graph_create(&unet->context->host, &graph, unet->context->kernels,
                                        &unet->weights->params);
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

dm_status dmi_unet_forward_graph(dm_unet *unet, dmi_unet_graph **out, size_t count) {
    *out = NULL;
    if (count < 1 || count > COUNT_MAX)
        return dmi_fail(&unet->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: a batch of %zu images; it must be from 1 to %d", count, COUNT_MAX);
    if (unet->second.batch == (int32_t)count) {
        *out = &unet->second;
        return DM_OK;
    }
    if (unet->forward.batch != (int32_t)count) {
        dmi_unet_graph_destroy(&unet->second);
        dmi_unet_graph_destroy(&unet->forward);
        dm_status status =
            dmi_unet_graph_create(unet, &unet->forward, (int32_t)count, false, DM_RECOMPUTE_NONE);
        if (status) return status;
    }
    *out = &unet->forward;
    return DM_OK;
}

dm_status dmi_unet_forward_graphs(dm_unet *unet, size_t count, size_t second) {
    dmi_unet_graph *graph;
    if (unet->second.batch == (int32_t)second && unet->forward.batch == (int32_t)count)
        return DM_OK;
    dmi_unet_graph_destroy(&unet->second);
    dm_status status = dmi_unet_forward_graph(unet, &graph, count);
    if (status) return status;
    return dmi_unet_graph_create(unet, &unet->second, (int32_t)second, false, DM_RECOMPUTE_NONE);
}

/* ---- passes ---- */

/* Image i gets times[i * stride]. */
static dm_status run(dm_unet *unet, float *output, const float *x, const double *times,
                     size_t stride, const int32_t *labels, size_t count) {
    dmi_unet_graph *f;
    dm_status status = dmi_unet_forward_graph(unet, &f, count);
    if (!status)
        status = dmi_unet_check_labels(&unet->context->host, "unet", labels, count,
                                       unet->options.classes);
    if (status) return status;
    float *t = dmi_graph_data(f->graph, f->t), *rows = dmi_graph_data(f->graph, f->labels);
    for (size_t i = 0; i < count; i++) {
        t[i] = (float)times[i * stride];
        if (rows) rows[i] = dmi_unet_label_row(labels ? labels[i] : -1, unet->options.classes);
    }
    size_t in = dmi_shape_count(dmi_graph_shape(f->graph, f->x)),
           n = dmi_shape_count(dmi_graph_shape(f->graph, f->output));
    memcpy(dmi_graph_data(f->graph, f->x), x, in * sizeof(float));
    dmi_graph_forward(f->graph);
    memcpy(output, dmi_graph_data(f->graph, f->output), n * sizeof(float));
    return DM_OK;
}

dm_status dmi_unet_forward(dm_unet *unet, float *output, const float *x, const double *times,
                           const int32_t *labels, size_t count) {
    return run(unet, output, x, times, 1, labels, count);
}

dm_status dmi_unet_denoise(dm_unet *unet, float *output, const float *x, double time,
                           const int32_t *labels, size_t count) {
    return run(unet, output, x, &time, 0, labels, count);
}

dm_status dmi_unet_check_labels(dmi_host *host, const char *owner, const int32_t *labels,
                                uint64_t count, int32_t classes) {
    if (!labels) return DM_OK;
    if (!classes)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: 'labels' are given, but the network has no classes", owner);
    for (uint64_t i = 0; i < count; i++)
        if (labels[i] < -1 || labels[i] >= classes)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "%s: label %llu is %d; it must be from -1 (no class) to %d", owner,
                            (unsigned long long)i, (int)labels[i], (int)classes - 1);
    return DM_OK;
}

/* ---- the public function ---- */

static dm_status check_size(dmi_host *host, const char *name, uint64_t value, uint64_t want) {
    if (value == want) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH, "unet: '%s' is %llu; it must be %llu", name,
                    (unsigned long long)value, (unsigned long long)want);
}

static dm_status check_input(const dm_unet *unet, const dm_unet_input *input, const float *output,
                             size_t elements) {
    dmi_host *host = &unet->context->host;
    const dm_unet_options *o = &unet->options;
    if (!output || !input->x || !input->times)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: '%s' is NULL",
                        !output     ? "output"
                        : !input->x ? "x"
                                    : "times");
    if (input->count < 1 || input->count > COUNT_MAX)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'count' is %llu; it must be from 1 to %d",
                        (unsigned long long)input->count, COUNT_MAX);
    uint64_t pixels = input->count * (uint64_t)o->height * (uint64_t)o->width;
    dm_status status = check_size(host, "x_elements", input->x_elements,
                                  pixels * (uint64_t)dmi_unet_channels_in(o));
    if (!status) status = check_size(host, "time_count", input->time_count, input->count);
    if (!status)
        status =
            check_size(host, "label_count", input->label_count, input->labels ? input->count : 0);
    if (!status)
        status =
            check_size(host, "elements", elements, pixels * (uint64_t)dmi_unet_channels_out(o));
    for (uint64_t i = 0; !status && i < input->count; i++)
        if (!isfinite((float)input->times[i]))
            status = dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                              "unet: time %llu is %g; it must be a finite float",
                              (unsigned long long)i, input->times[i]);
    return status;
}

static dm_status forward(dm_unet *unet, const dm_unet_input *input, float *output,
                         size_t elements) {
    dmi_host *host = &unet->context->host;
    dm_unet_input full;
    if (!input) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: 'input' is NULL");
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_unet_input, &full, input);
    if (!status) status = check_input(unet, &full, output, elements);
    if (status) return status;
    return dmi_unet_forward(unet, output, full.x, full.times, full.labels, (size_t)full.count);
}

dm_status dm_unet_forward(dm_unet *unet, const dm_unet_input *input, float *output,
                          size_t elements) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, forward(unet, input, output, elements));
}

dm_status dm_unet_input_init(dm_unet_input *input, size_t size) {
    return dmi_struct_init(&dmi_struct_unet_input, input, size);
}
