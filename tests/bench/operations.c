/* SPDX-License-Identifier: MIT */
/* Convolutions that the U-Net of Ho et al. does not have, forward and backward; the same cases are
 * in peer_operations.py, which runs this program in turn with PyTorch. */
#include <stdio.h>
#include <stdlib.h>

#include "autograd/ops.h"
#include "base/system.h"
#include "bench.h"
#include "core/context.h"

enum { DENSE, DEPTHWISE, TRANSPOSED };

typedef struct operation {
    const char *name;
    int kind;
    int32_t batch, side, in, out, kernel;
} operation;

static const operation operations[] = {
    {"7x7 3 to 128, 64x64, batch 4", DENSE, 4, 64, 3, 128, 7},
    {"7x7 128 to 6, 64x64, batch 4", DENSE, 4, 64, 128, 6, 7},
    {"depthwise 7x7 128, 32x32, batch 8", DEPTHWISE, 8, 32, 128, 128, 7},
    {"depthwise 7x7 256, 16x16, batch 8", DEPTHWISE, 8, 16, 256, 256, 7},
    {"transposed 4x4 128, 16x16, batch 8", TRANSPOSED, 8, 16, 128, 128, 4},
    {"transposed 4x4 256, 8x8, batch 8", TRANSPOSED, 8, 8, 256, 256, 4},
};

static void require(int32_t status, const dm_context *context) { workload_check(status, context); }

/* The operation as a planned graph with gradients of all its inputs. */
static dmi_graph *graph_of(dm_context *context, dmi_params *params, const operation *op,
                           dmi_value *out) {
    dmi_host *host = &context->host;
    int64_t shape[4] = {op->out, op->in, op->kernel, op->kernel},
            bias_shape[4] = {op->out, 1, 1, 1};
    if (op->kind == DEPTHWISE) shape[1] = 1;
    if (op->kind == TRANSPOSED) shape[0] = op->in, shape[1] = op->out;
    int32_t weight_index, bias_index;
    dmi_value x, weight, bias;
    dmi_graph *g;
    dmi_params_init(params);
    require(dmi_params_add(host, params, &weight_index, "w", 4, shape, false), context);
    require(dmi_params_add(host, params, &bias_index, "b", 1, bias_shape, true), context);
    require(dmi_params_allocate(host, params), context);
    require(dmi_params_allocate_gradient(host, params), context);
    require(dmi_graph_create(host, &g, context->kernels, params), context);
    require(dmi_graph_input(g, &x, dmi_shape_of(op->batch, op->side, op->side, op->in), true),
            context);
    require(dmi_graph_param(g, &weight, weight_index), context);
    require(dmi_graph_param(g, &bias, bias_index), context);
    if (op->kind == DENSE)
        require(dmi_conv(g, out, x, weight, bias, DMI_NONE, DMI_NONE, op->kernel, 1, op->kernel / 2,
                         false),
                context);
    else if (op->kind == DEPTHWISE)
        require(dmi_depthwise(g, out, x, weight, bias, op->kernel), context);
    else require(dmi_conv_transposed(g, out, x, weight, bias), context);
    require(dmi_graph_plan(g, out, 1, true), context);
    for (size_t i = 0; i < params->floats; i++)
        params->data[i] = (float)(i * 2654435761u % 1000u) * 1e-4f - 0.05f;
    size_t floats = dmi_shape_count(dmi_graph_shape(g, x));
    for (size_t i = 0; i < floats; i++)
        dmi_graph_data(g, x)[i] = (float)(i * 2246822519u % 1000u) * 1e-3f - 0.5f;
    return g;
}

static double median_of(void (*run)(dmi_graph *), dmi_graph *g, int runs) {
    series times = {.count = 0};
    run(g);
    for (int i = 0; i < runs && i < RUNS_MAX; i++) {
        double start = dmi_seconds();
        run(g);
        times.value[times.count++] = dmi_seconds() - start;
    }
    return summarise(&times).median;
}

/* A line for each operation: milliseconds forward and backward, and its name. */
int operations_main(const bench_options *o) {
    dm_context_options options;
    dm_context *context;
    dm_context_options_init(&options, sizeof options);
    options.threads = o->settings[0].threads;
    workload_check(dm_context_create(&context, &options, NULL, 0), NULL);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        dmi_params params;
        dmi_value out;
        dmi_graph *g = graph_of(context, &params, &operations[i], &out);
        double forward = median_of(dmi_graph_forward, g, o->runs);
        size_t floats = dmi_shape_count(dmi_graph_shape(g, out));
        for (size_t k = 0; k < floats; k++) dmi_graph_gradient(g, out)[k] = 1e-3f;
        double backward = median_of(dmi_graph_backward, g, o->runs);
        printf("%.4f %.4f %s\n", forward * 1e3, backward * 1e3, operations[i].name);
        dmi_graph_destroy(g);
        dmi_params_free(&context->host, &params);
    }
    dm_context_destroy(context);
    return EXIT_SUCCESS;
}
