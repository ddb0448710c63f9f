/* SPDX-License-Identifier: MIT */
/* Convolution of kernel 1, 3, 5 or 7: the operation, its shapes, its memory, and the gradients of
 * what is added to its output. The convolution itself is computed by an algorithm of
 * autograd/conv/. */
#include "autograd/conv/conv.h"
#include "autograd/conv/wrap.h"
#include "autograd/ops.h"
#include "autograd/ops/bias_gradient.h"
#include "autograd/ops/check_shape.h"
#include "autograd/ops/partition.h"
#include "autograd/profile_spans.h"
#include "kernels/bf16_product.h"
#include "kernels/gemm.h"

enum { X, WEIGHT, BIAS, PER_IMAGE, RESIDUAL, X2, INPUTS };

/* The convolution of one of the inputs, X or X2, to the output y. */
static dmi_conv_shape shape_of(const dmi_graph *graph, const dmi_node *node, int32_t input,
                               dmi_shape y) {
    dmi_shape x = dmi_input_shape(graph, node, input);
    return (dmi_conv_shape){.n = x.n,
                            .ih = x.h,
                            .iw = x.w,
                            .ci = x.c,
                            .oh = y.h,
                            .ow = y.w,
                            .co = y.c,
                            .kernel = node->attr.conv.kernel,
                            .stride = node->attr.conv.stride,
                            .pad = node->attr.conv.pad,
                            .upsample = node->attr.conv.upsample != 0,
                            .bf16 = node->bf16};
}

static int32_t check_attributes(const dmi_graph *graph, const dmi_node *node) {
    int32_t k = node->attr.conv.kernel, stride = node->attr.conv.stride, pad = node->attr.conv.pad;
    if (k != 1 && k != 3 && k != 5 && k != 7)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "conv: kernel is %d; it must be 1, 3, 5 or 7", (int)k);
    if (stride != 1 && stride != 2)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "conv: stride is %d; it must be 1 or 2", (int)stride);
    if (pad < 0 || pad >= k)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "conv: pad is %d; it must be 0 to %d", (int)pad, (int)k - 1);
    if (node->inputs[X2] != DMI_NONE &&
        (k != 1 || stride != 1 || pad != 0 || node->attr.conv.upsample ||
         node->inputs[X] == node->inputs[X2]))
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "conv: two inputs must differ and have kernel 1 and stride 1");
    return DMI_OK;
}

/* Sets *x to the shape of x, or of [x, x2]; indices and sizes of the products must fit in int32. */
static int32_t input_shape(const dmi_graph *graph, const dmi_node *node, dmi_shape *x) {
    dmi_host *host = graph->host;
    int32_t k = node->attr.conv.kernel;
    *x = dmi_input_shape(graph, node, X);
    if (node->inputs[X2] != DMI_NONE) {
        int32_t c2 = dmi_input_shape(graph, node, X2).c;
        int32_t status = dmi_check_shape(graph, node, X2, "x2", dmi_shape_of(x->n, x->h, x->w, c2));
        if (status) return status;
        if (x->c > INT32_MAX - c2)
            return dmi_fail(host, DMI_ERROR_LIMIT_EXCEEDED, "conv: %d and %d channels are too many",
                            (int)x->c, (int)c2);
        x->c += c2;
    }
    if (x->h > INT32_MAX / 8 / x->w || (size_t)x->c * (size_t)(k * k) > INT32_MAX ||
        x->n > INT32_MAX / (4 * x->h * x->w))
        return dmi_fail(host, DMI_ERROR_LIMIT_EXCEEDED,
                        "conv: %d x %d x %d pixels of %d channels are too many", (int)x->n,
                        (int)x->h, (int)x->w, (int)x->c);
    return DMI_OK;
}

static int32_t conv_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape x, weight = dmi_input_shape(graph, node, WEIGHT);
    int32_t k = node->attr.conv.kernel, stride = node->attr.conv.stride;
    int32_t scale = node->attr.conv.upsample ? 2 : 1;
    int32_t status = check_attributes(graph, node);
    if (!status) status = input_shape(graph, node, &x);
    if (status) return status;
    status = dmi_check_shape(graph, node, WEIGHT, "weight", dmi_shape_of(k, k, x.c, weight.c));
    *output = dmi_shape_of(x.n, dmi_divide_up(x.h * scale, stride),
                           dmi_divide_up(x.w * scale, stride), weight.c);
    if (!status && node->inputs[BIAS] != DMI_NONE)
        status = dmi_check_shape(graph, node, BIAS, "bias", dmi_shape_of(1, 1, 1, weight.c));
    if (!status && node->inputs[PER_IMAGE] != DMI_NONE)
        status =
            dmi_check_shape(graph, node, PER_IMAGE, "per_image", dmi_shape_of(x.n, 1, 1, weight.c));
    if (!status && node->inputs[RESIDUAL] != DMI_NONE)
        status = dmi_check_shape(graph, node, RESIDUAL, "residual", *output);
    return status;
}

/* Forward, or the gradients. In training forward computes what the gradients are of, with weights
 * that are not rounded. A second input has no packed weights of its own. */
static const dmi_conv_algorithm *algorithm_of(const dmi_graph *graph, const dmi_node *node,
                                              const dmi_conv_shape *s, bool gradients, bool train) {
    dmi_conv_processor p = {.isa = graph->kernels->isa, .core = dmi_gemm_core()};
    if (!gradients && !train && graph->bf16_product && node->inputs[X2] == DMI_NONE)
        p.bf16_rate = graph->bf16_product->rate;
    p.latency = graph->latency && !gradients && !train;
    return dmi_conv_select(&p, s);
}

static size_t backward_work(const dmi_graph *graph, const dmi_node *node,
                            const dmi_conv_algorithm *algorithm) {
    dmi_shape y = dmi_graph_shape(graph, node->output);
    int32_t threads = dmi_pool_threads(graph->host->pool);
    size_t work = dmi_image_sums_floats(y);
    for (int32_t i = X; i <= X2; i += X2 - X) {
        if (node->inputs[i] == DMI_NONE) continue;
        dmi_conv_shape s = shape_of(graph, node, i, y);
        work = dmi_max_size(work, algorithm->backward_work(graph->kernels, &s, threads));
        if (node->attr.conv.wrap) work = dmi_max_size(work, dmi_wrap_floats(&s));
    }
    return work;
}

static void conv_needs(const dmi_graph *graph, const dmi_node *node, bool train, dmi_needs *needs) {
    dmi_conv_shape s = shape_of(graph, node, X, dmi_graph_shape(graph, node->output));
    const dmi_conv_algorithm *algorithm = algorithm_of(graph, node, &s, false, train);
    int32_t threads = dmi_pool_threads(graph->host->pool);
    size_t prepared = dmi_align_floats(dmi_prepared_floats(algorithm, graph->kernels, &s));
    const dmi_value_info *weight = &graph->values[node->inputs[WEIGHT]];
    bool is_param = weight->kind == DMI_VALUE_PARAM;
    needs->forward_work = algorithm->forward_work(graph->kernels, &s, threads);
    if (node->inputs[X2] != DMI_NONE) {
        dmi_conv_shape second = shape_of(graph, node, X2, dmi_graph_shape(graph, node->output));
        needs->forward_work =
            dmi_max_size(needs->forward_work,
                         algorithm->forward_work(graph->kernels, &second, threads));
    }
    if (prepared && dmi_caches_weights(graph, train) && (is_param || weight->cached.floats))
        needs->cached = (dmi_weight_key){.param = is_param ? weight->param : weight->cached.param,
                                         .source = is_param ? NULL : weight->cached.algorithm,
                                         .algorithm = algorithm,
                                         .layout = algorithm == &dmi_conv_direct_bf16
                                                       ? (const void *)graph->bf16_product
                                                       : graph->kernels,
                                         .floats = prepared};
    else needs->forward_work += prepared;
    needs->algorithm = algorithm;
    needs->uses_blas = algorithm->uses_blas;
    if (train) {
        needs->gradient_algorithm = algorithm_of(graph, node, &s, true, train);
        needs->backward_work = backward_work(graph, node, needs->gradient_algorithm);
        needs->uses_blas = needs->uses_blas || needs->gradient_algorithm->uses_blas;
    }
    needs->reads = 1u << WEIGHT;
    if (weight->needs_gradient) needs->reads |= 1u << X | 1u << X2;
    needs->gradient_alias = node->inputs[RESIDUAL] == DMI_NONE ? DMI_NONE : RESIDUAL;
}

/* Of a direct convolution; the same for forward and for either gradient. */
static double conv_flop(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape weight = dmi_input_shape(graph, node, WEIGHT);
    return 2.0 * (double)dmi_shape_count(dmi_graph_shape(graph, node->output)) * weight.n *
           weight.h * weight.w;
}

/* Adds the products of the second input, whose kernel of 1 needs no transformed weights. */
static void forward_second(const dmi_graph *graph, const dmi_node *node,
                           const dmi_conv_algorithm *algorithm) {
    dmi_conv_shape s = shape_of(graph, node, X2, dmi_graph_shape(graph, node->output));
    const float *weight = dmi_input(graph, node, WEIGHT);
    weight += (size_t)dmi_input_shape(graph, node, X).c * (size_t)s.co;
    dmi_epilogue epilogue = {.add = true};
    algorithm->forward(graph, &s, dmi_graph_stored(graph, node->output), dmi_input(graph, node, X2),
                       weight, NULL, &epilogue, dmi_forward_work(graph, node));
}

static void conv_forward(dmi_graph *graph, dmi_node *node) {
    dmi_conv_shape s = shape_of(graph, node, X, dmi_graph_shape(graph, node->output));
    const dmi_conv_algorithm *algorithm = node->needs.algorithm;
    size_t prepared_floats = dmi_align_floats(dmi_prepared_floats(algorithm, graph->kernels, &s));
    const float *weight = dmi_input(graph, node, WEIGHT);
    float *work = dmi_forward_work(graph, node), *prepared = NULL;
    bool transformed = false;
    if (node->cached) {
        prepared = dmi_cached_weight_data(node->cached);
        if (dmi_cached_weight_begin(node->cached, graph->params->version)) {
            algorithm->prepare(graph, &s, prepared, weight, true);
            dmi_cached_weight_end(node->cached, graph->params->version);
            transformed = true;
        }
    } else if (prepared_floats) {
        prepared = work;
        work += prepared_floats;
        algorithm->prepare(graph, &s, prepared, weight, false);
        transformed = true;
    }
    if (transformed)
        dmi_span_part(graph, node, algorithm->name, "weights", 0,
                      dmi_graph_floats(graph, node->inputs[WEIGHT]) + prepared_floats);
    dmi_epilogue epilogue = {.bias = dmi_input(graph, node, BIAS),
                             .per_image = dmi_input(graph, node, PER_IMAGE),
                             .residual = dmi_input(graph, node, RESIDUAL)};
    algorithm->forward(graph, &s, dmi_graph_stored(graph, node->output), dmi_input(graph, node, X),
                       weight, prepared, &epilogue, work);
    if (node->attr.conv.wrap)
        dmi_wrap_forward(graph, &s, node->attr.conv.wrap, dmi_graph_stored(graph, node->output),
                         dmi_input(graph, node, X), weight);
    if (node->inputs[X2] != DMI_NONE) forward_second(graph, node, algorithm);
    size_t floats =
        dmi_graph_floats(graph, node->inputs[X]) + dmi_graph_floats(graph, node->inputs[X2]) +
        dmi_graph_floats(graph, node->output) + dmi_graph_floats(graph, node->inputs[RESIDUAL]);
    dmi_span_part(graph, node, algorithm->name, "forward", conv_flop(graph, node), floats);
}

/* The gradients of bias and per_image: sums of dy over pixels, and over images. */
static void backward_sums(dmi_graph *graph, dmi_node *node, const void *dy) {
    float *dbias = dmi_input_gradient(graph, node, BIAS),
          *dper_image = dmi_input_gradient(graph, node, PER_IMAGE);
    if (!dbias && !dper_image) return;
    dmi_shape y = dmi_graph_shape(graph, node->output);
    float *sums = dmi_backward_work(graph, node);
    size_t n = (size_t)y.n, co = (size_t)y.c;
    dmi_image_sums(graph, sums, dy, y, node->bf16);
    if (dbias) graph->kernels->sum_rows(dbias, sums, n, co, node->accumulates[BIAS]);
    if (dper_image)
        graph->kernels->copy_rows(dper_image, co, sums, co, n, co, node->accumulates[PER_IMAGE]);
}

typedef struct copy_job {
    const dmi_kernels *kernels;
    dmi_shape shape; /* [n, oh, ow, co] */
    void *to;
    const void *dy;
    bool add, bf16;
} copy_job;

static void copy_task(void *data, int32_t task, int32_t worker) {
    const copy_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    if (job->bf16)
        job->kernels->copy_rows_bf16((uint16_t *)job->to + at, c, (const uint16_t *)job->dy + at, c,
                                     rows, c, job->add);
    else
        job->kernels->copy_rows((float *)job->to + at, c, (const float *)job->dy + at, c, rows, c,
                                job->add);
}

/* The gradients of one of the inputs, X or X2, and of its rows of the weights, from `row` on. */
static void backward_side(dmi_graph *graph, dmi_node *node, const dmi_conv_algorithm *algorithm,
                          int32_t input, int32_t row) {
    dmi_conv_shape s = shape_of(graph, node, input, dmi_graph_shape(graph, node->output));
    const void *dy = dmi_graph_stored_gradient(graph, node->output);
    void *dx = dmi_input_gradient(graph, node, input);
    const float *weight = dmi_input(graph, node, WEIGHT);
    float *work = dmi_backward_work(graph, node),
          *dweight = dmi_input_gradient(graph, node, WEIGHT);
    int32_t wrap = node->attr.conv.wrap;
    size_t at = (size_t)row * (size_t)s.co, floats = dmi_graph_floats(graph, node->inputs[input]) +
                                                     dmi_graph_floats(graph, node->output);
    double flop = 2.0 * (double)dmi_shape_count(dmi_graph_shape(graph, node->output)) * s.kernel *
                  s.kernel * s.ci;
    if (dweight) {
        algorithm->backward_weight(graph, &s, dweight + at, dmi_input(graph, node, input), dy,
                                   node->accumulates[WEIGHT], work);
        if (wrap) dmi_wrap_weight(graph, &s, wrap, dweight + at, dmi_input(graph, node, input), dy);
        dmi_span_part(graph, node, algorithm->name, "backward weight", flop, floats);
    }
    if (dx) {
        algorithm->backward_data(graph, &s, dx, dy, weight + at, node->accumulates[input], work);
        if (wrap) dmi_wrap_data(graph, &s, wrap, dx, dy, weight + at, work);
        dmi_span_part(graph, node, algorithm->name, "backward data", flop,
                      floats + (node->accumulates[input]
                                    ? dmi_graph_floats(graph, node->inputs[input])
                                    : 0));
    }
}

static void conv_backward(dmi_graph *graph, dmi_node *node) {
    dmi_conv_shape s = shape_of(graph, node, X, dmi_graph_shape(graph, node->output));
    const dmi_conv_algorithm *algorithm = node->needs.gradient_algorithm;
    const void *dy = dmi_graph_stored_gradient(graph, node->output);
    void *dresidual = dmi_input_gradient(graph, node, RESIDUAL);
    size_t y_floats = dmi_graph_floats(graph, node->output);
    backward_sums(graph, node, dy);
    dmi_span_part(graph, node, algorithm->name, "backward bias and time", 0, y_floats);
    backward_side(graph, node, algorithm, X, 0);
    if (node->inputs[X2] != DMI_NONE) backward_side(graph, node, algorithm, X2, s.ci);
    if (dresidual && dresidual != dy) {
        copy_job job = {.kernels = graph->kernels,
                        .shape = dmi_graph_shape(graph, node->output),
                        .to = dresidual,
                        .dy = dy,
                        .add = node->accumulates[RESIDUAL],
                        .bf16 = node->bf16};
        dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), copy_task, &job);
        dmi_span_part(graph, node, algorithm->name, "backward residual", 0,
                      (job.add ? 3 : 2) * y_floats);
    }
}

static const dmi_op conv_op = {.name = "conv",
                               .infer = conv_infer,
                               .needs = conv_needs,
                               .forward = conv_forward,
                               .backward = conv_backward,
                               .own_spans = true,
                               .bf16_inputs = 1u << X | 1u << RESIDUAL | 1u << X2};

/* Appends the convolution, with floats where no algorithm has bfloat16. */
static int32_t append(dmi_graph *graph, dmi_value *out, const dmi_value *inputs,
                      const dmi_attributes *attr) {
    const bool bf16 = graph->bf16;
    dmi_conv_shape s = {.kernel = attr->conv.kernel,
                        .stride = attr->conv.stride,
                        .pad = attr->conv.pad,
                        .upsample = attr->conv.upsample != 0};
    bool valid = inputs[X] >= 0 && inputs[X] < graph->value_count && inputs[WEIGHT] >= 0 &&
                 inputs[WEIGHT] < graph->value_count;
    if (bf16 && valid) {
        s.ci = dmi_graph_shape(graph, inputs[X]).c;
        s.co = dmi_graph_shape(graph, inputs[WEIGHT]).c;
    }
    graph->bf16 = bf16 && !attr->conv.wrap && dmi_conv_has_bf16(&s);
    int32_t status = dmi_graph_append(graph, out, &conv_op, inputs, INPUTS, attr);
    graph->bf16 = bf16;
    return status;
}

int32_t dmi_conv(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight, dmi_value bias,
                 dmi_value per_image, dmi_value residual, int32_t kernel, int32_t stride,
                 int32_t pad, bool upsample) {
    dmi_value inputs[INPUTS] = {x, weight, bias, per_image, residual, DMI_NONE};
    dmi_attributes attr = {
        .conv = {.kernel = kernel, .stride = stride, .pad = pad, .upsample = upsample}};
    if (kernel > 1) attr.conv.wrap = graph->wrap;
    return append(graph, out, inputs, &attr);
}

int32_t dmi_conv_pair(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value x2, dmi_value weight,
                      dmi_value bias, dmi_value residual) {
    dmi_value inputs[INPUTS] = {x, weight, bias, DMI_NONE, residual, x2};
    dmi_attributes attr = {.conv = {.kernel = 1, .stride = 1}};
    return append(graph, out, inputs, &attr);
}
