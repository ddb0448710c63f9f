/* SPDX-License-Identifier: MIT */
/* Transposed convolution of kernel 4, stride 2 and pad 1. It is the data gradient of the
 * convolution of that kernel, stride and pad that goes from y to x, so each of its directions is
 * another one of that convolution: y is its dx, dx is its y, and dw is its dw with x and dy
 * exchanged. PyTorch stores the weights of both alike. */
#include "autograd/conv/product.h"
#include "autograd/ops.h"
#include "autograd/ops/bias_gradient.h"
#include "autograd/ops/check_shape.h"

enum { X, WEIGHT, BIAS };

enum { KERNEL = 4, STRIDE = 2, PAD = 1 };

/* The convolution from y [n, 2h, 2w, co] to x [n, h, w, ci]: its input is y. */
static dmi_conv_shape convolution_of(dmi_shape x, dmi_shape y) {
    return (dmi_conv_shape){.n = x.n,
                            .ih = y.h,
                            .iw = y.w,
                            .ci = y.c,
                            .oh = x.h,
                            .ow = x.w,
                            .co = x.c,
                            .kernel = KERNEL,
                            .stride = STRIDE,
                            .pad = PAD};
}

static dmi_conv_shape shape_of(const dmi_graph *graph, const dmi_node *node) {
    return convolution_of(dmi_input_shape(graph, node, X), dmi_graph_shape(graph, node->output));
}

static int32_t transposed_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape x = dmi_input_shape(graph, node, X), weight = dmi_input_shape(graph, node, WEIGHT);
    if (x.h > INT32_MAX / 32 / x.w || x.n > INT32_MAX / (16 * x.h * x.w) ||
        x.c > INT32_MAX / KERNEL / KERNEL)
        return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                        "conv_transposed: %d x %d x %d pixels of %d channels are too many",
                        (int)x.n, (int)x.h, (int)x.w, (int)x.c);
    if (weight.w > INT32_MAX / KERNEL / KERNEL)
        return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                        "conv_transposed: %d output channels are too many", (int)weight.w);
    int32_t status =
        dmi_check_shape(graph, node, WEIGHT, "weight", dmi_shape_of(KERNEL, KERNEL, weight.w, x.c));
    if (!status && node->inputs[BIAS] != DMI_NONE)
        status = dmi_check_shape(graph, node, BIAS, "bias", dmi_shape_of(1, 1, 1, weight.w));
    *output = dmi_shape_of(x.n, STRIDE * x.h, STRIDE * x.w, weight.w);
    return status;
}

static size_t weight_floats(const dmi_graph *graph, const dmi_node *node) {
    return dmi_align_floats(dmi_shape_count(dmi_input_shape(graph, node, WEIGHT)));
}

/* Forward multiplies by the matrices [ci, co] of the taps, which are transposed once where the
 * weights do not change. */
static void transposed_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                             dmi_needs *needs) {
    dmi_conv_shape s = shape_of(graph, node);
    const dmi_value_info *weight = &graph->values[node->inputs[WEIGHT]];
    if (dmi_caches_weights(graph, train) && weight->kind == DMI_VALUE_PARAM)
        needs->cached = (dmi_weight_key){.param = weight->param,
                                         .algorithm = node->op,
                                         .layout = graph->kernels,
                                         .floats = weight_floats(graph, node)};
    else needs->forward_work = weight_floats(graph, node);
    if (train) {
        int32_t threads = dmi_pool_threads(graph->host->pool);
        size_t work = dmi_conv_product.backward_work(graph->kernels, &s, threads);
        work = dmi_max_size(work, dmi_conv_product.forward_work(graph->kernels, &s, threads));
        dmi_shape y = dmi_graph_shape(graph, node->output);
        needs->backward_work = dmi_max_size(work, dmi_image_sums_floats(y));
    }
    needs->reads = 1u << WEIGHT;
    if (weight->needs_gradient) needs->reads |= 1u << X;
}

static double transposed_flop(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape y = dmi_graph_shape(graph, node->output);
    return 2.0 * (double)dmi_shape_count(dmi_input_shape(graph, node, X)) * KERNEL * KERNEL * y.c;
}

static const float *transposed_weight(const dmi_graph *graph, const dmi_node *node,
                                      const dmi_conv_shape *s) {
    const float *weight = dmi_input(graph, node, WEIGHT);
    if (!node->cached) {
        float *work = dmi_forward_work(graph, node);
        dmi_product_transpose(graph, s, work, weight, false);
        return work;
    }
    float *cached = dmi_cached_weight_data(node->cached);
    if (dmi_cached_weight_begin(node->cached, graph->params->version)) {
        dmi_product_transpose(graph, s, cached, weight, true);
        dmi_cached_weight_end(node->cached, graph->params->version);
    }
    return cached;
}

static void transposed_forward(dmi_graph *graph, dmi_node *node) {
    dmi_conv_shape s = shape_of(graph, node);
    const float *weight = transposed_weight(graph, node, &s);
    dmi_product_data(graph, &s, dmi_graph_data(graph, node->output), dmi_input(graph, node, X),
                     weight, dmi_input(graph, node, BIAS), false);
}

static void transposed_backward(dmi_graph *graph, dmi_node *node) {
    dmi_conv_shape s = shape_of(graph, node);
    const float *dy = dmi_graph_gradient(graph, node->output);
    float *work = dmi_backward_work(graph, node), *dx = dmi_input_gradient(graph, node, X),
          *dw = dmi_input_gradient(graph, node, WEIGHT);
    dmi_bias_gradient(graph, node, BIAS, work);
    if (dw)
        dmi_conv_product.backward_weight(graph, &s, dw, dy, dmi_input(graph, node, X),
                                         node->accumulates[WEIGHT], work);
    dmi_epilogue epilogue = {.add = node->accumulates[X]};
    if (dx)
        dmi_conv_product.forward(graph, &s, dx, dy, dmi_input(graph, node, WEIGHT), NULL, &epilogue,
                                 work);
}

static const dmi_op transposed_op = {.name = "conv_transposed",
                                     .infer = transposed_infer,
                                     .needs = transposed_needs,
                                     .forward = transposed_forward,
                                     .backward = transposed_backward,
                                     .flop = transposed_flop};

int32_t dmi_conv_transposed(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight,
                            dmi_value bias) {
    dmi_value inputs[] = {x, weight, bias};
    return dmi_graph_append(graph, out, &transposed_op, inputs, 3, NULL);
}
