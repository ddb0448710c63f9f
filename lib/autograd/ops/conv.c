/* Convolution of kernel 1 or 3: the operation. How it is computed is a way, see autograd/conv.h;
 * here are its shapes, its memory, and the gradients of what is added to its output. */
#include "autograd/conv/conv.h"
#include "autograd/laps.h"
#include "autograd/ops.h"
#include "autograd/ops/expect.h"
#include "autograd/ops/pieces.h"
#include "kernels/gemm.h"

enum { X, WEIGHT, BIAS, PER_IMAGE, RESIDUAL, X2, INPUTS };

/* Of the convolution of one of the inputs, X or X2. */
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
                            .upsample = node->attr.conv.upsample != 0};
}

static int32_t conv_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_host *host = graph->host;
    dmi_shape x = dmi_input_shape(graph, node, X), weight = dmi_input_shape(graph, node, WEIGHT);
    int32_t k = node->attr.conv.kernel, stride = node->attr.conv.stride, pad = node->attr.conv.pad;
    int32_t times = node->attr.conv.upsample ? 2 : 1;
    if (k != 1 && k != 3)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "conv: kernel is %d; it must be 1 or 3",
                        (int)k);
    if (stride != 1 && stride != 2)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "conv: stride is %d; it must be 1 or 2",
                        (int)stride);
    if (pad < 0 || pad >= k)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "conv: pad is %d; it must be 0 to %d",
                        (int)pad, (int)k - 1);
    if (node->inputs[X2] != DMI_NONE) {
        dmi_shape x2 = dmi_input_shape(graph, node, X2);
        if (k != 1 || stride != 1 || pad != 0 || times != 1 || node->inputs[X] == node->inputs[X2])
            return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                            "conv: two inputs must differ and have kernel 1 and stride 1");
        int32_t status = dmi_expect_shape(graph, node, X2, "x2", dmi_shape_of(x.n, x.h, x.w, x2.c));
        if (status) return status;
        if (x.c > INT32_MAX - x2.c)
            return dmi_fail(host, DMI_ERROR_LIMIT_EXCEEDED, "conv: %d and %d channels are too many",
                            (int)x.c, (int)x2.c);
        x.c += x2.c;
    }
    if (x.h > INT32_MAX / 8 / x.w || (size_t)x.c * (size_t)(k * k) > INT32_MAX ||
        x.n > INT32_MAX / (4 * x.h * x.w))
        return dmi_fail(host, DMI_ERROR_LIMIT_EXCEEDED,
                        "conv: %d x %d x %d pixels of %d channels are too many", (int)x.n, (int)x.h,
                        (int)x.w, (int)x.c);
    int32_t status =
        dmi_expect_shape(graph, node, WEIGHT, "weight", dmi_shape_of(k, k, x.c, weight.c));
    *output = dmi_shape_of(x.n, (x.h * times + stride - 1) / stride,
                           (x.w * times + stride - 1) / stride, weight.c);
    if (!status && node->inputs[BIAS] != DMI_NONE)
        status = dmi_expect_shape(graph, node, BIAS, "bias", dmi_shape_of(1, 1, 1, weight.c));
    if (!status && node->inputs[PER_IMAGE] != DMI_NONE)
        status = dmi_expect_shape(graph, node, PER_IMAGE, "per_image",
                                  dmi_shape_of(x.n, 1, 1, weight.c));
    if (!status && node->inputs[RESIDUAL] != DMI_NONE)
        status = dmi_expect_shape(graph, node, RESIDUAL, "residual", *output);
    return status;
}

/* Sums of dy over the pixels of each picture [n, co]. */
static size_t sum_floats(const dmi_conv_shape *s) {
    return dmi_lines((size_t)s->n * (size_t)s->co);
}

static void conv_needs(const dmi_graph *graph, const dmi_node *node, bool train, dmi_needs *needs) {
    dmi_conv_shape s = shape_of(graph, node, X, dmi_graph_shape(graph, node->output));
    const dmi_conv_way *way = dmi_conv_select(graph->kernels->isa, dmi_gemm_core(), &s);
    int32_t threads = dmi_pool_threads(graph->host->pool);
    size_t prepared = dmi_lines(way->weight_floats(graph->kernels, &s));
    needs->forward_work = way->forward_work(graph->kernels, &s, threads) + (train ? prepared : 0);
    needs->kept = train ? 0 : prepared;
    if (train) {
        size_t work = way->backward_work(graph->kernels, &s, threads);
        needs->backward_work = work > sum_floats(&s) ? work : sum_floats(&s);
        if (node->inputs[X2] != DMI_NONE) {
            s = shape_of(graph, node, X2, dmi_graph_shape(graph, node->output));
            work = way->backward_work(graph->kernels, &s, threads);
            if (work > needs->backward_work) needs->backward_work = work;
        }
    }
    needs->way = way;
    needs->uses_blas = way->uses_blas;
    needs->reads = 1u << X | 1u << WEIGHT | 1u << X2;
    needs->passes = node->inputs[RESIDUAL] == DMI_NONE ? DMI_NONE : RESIDUAL;
}

/* Of a direct convolution, forward or to either gradient. */
static double conv_flop(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape weight = dmi_input_shape(graph, node, WEIGHT);
    return 2.0 * (double)dmi_shape_count(dmi_graph_shape(graph, node->output)) * weight.n *
           weight.h * weight.w;
}

static size_t floats_of(const dmi_graph *graph, dmi_value value) {
    return dmi_shape_count(dmi_graph_shape(graph, value));
}

/* The second input's products are added to the first's. Kernel 1 needs its weights as they are. */
static void forward_second(const dmi_graph *graph, const dmi_node *node, const dmi_conv_way *way) {
    dmi_conv_shape s = shape_of(graph, node, X2, dmi_graph_shape(graph, node->output));
    const float *weight =
        dmi_input(graph, node, WEIGHT) + (size_t)dmi_input_shape(graph, node, X).c * (size_t)s.co;
    dmi_epilogue epilogue = {.add = true};
    way->forward(graph, &s, dmi_graph_data(graph, node->output), dmi_input(graph, node, X2), weight,
                 NULL, &epilogue, dmi_forward_work(graph, node));
}

static void conv_forward(dmi_graph *graph, dmi_node *node) {
    dmi_conv_shape s = shape_of(graph, node, X, dmi_graph_shape(graph, node->output));
    const dmi_conv_way *way = node->needs.way;
    size_t prepared_floats = dmi_lines(way->weight_floats(graph->kernels, &s));
    const float *weight = dmi_input(graph, node, WEIGHT);
    float *work = dmi_forward_work(graph, node), *prepared = NULL;
    if (prepared_floats && graph->train) {
        prepared = work;
        work += prepared_floats;
        way->prepare(graph, &s, prepared, weight);
    } else if (prepared_floats) {
        prepared = dmi_kept(graph, node);
        if (node->kept_version != graph->params->version) way->prepare(graph, &s, prepared, weight);
        node->kept_version = graph->params->version;
    }
    if (prepared)
        dmi_lap_part(graph, node, way->name, "weights", 0,
                     floats_of(graph, node->inputs[WEIGHT]) + prepared_floats);
    dmi_epilogue epilogue = {.bias = dmi_input(graph, node, BIAS),
                             .per_image = dmi_input(graph, node, PER_IMAGE),
                             .residual = dmi_input(graph, node, RESIDUAL)};
    way->forward(graph, &s, dmi_graph_data(graph, node->output), dmi_input(graph, node, X), weight,
                 prepared, &epilogue, work);
    if (node->inputs[X2] != DMI_NONE) forward_second(graph, node, way);
    size_t floats = floats_of(graph, node->inputs[X]) + floats_of(graph, node->inputs[X2]) +
                    floats_of(graph, node->output) + floats_of(graph, node->inputs[RESIDUAL]);
    dmi_lap_part(graph, node, way->name, "forward", conv_flop(graph, node), floats);
}

typedef struct sum_job {
    const dmi_kernels *kernels;
    float *to;
    const float *dy;
    size_t pixels, co;
    bool add;
} sum_job;

static void sum_task(void *data, int32_t task, int32_t worker) {
    const sum_job *job = data;
    (void)worker;
    job->kernels->sum_rows(job->to + (size_t)task * job->co,
                           job->dy + (size_t)task * job->pixels * job->co, job->pixels, job->co,
                           job->add);
}

static void backward_sums(dmi_graph *graph, dmi_node *node, const dmi_conv_shape *s,
                          const float *dy) {
    float *dbias = dmi_input_gradient(graph, node, BIAS),
          *dper_image = dmi_input_gradient(graph, node, PER_IMAGE);
    if (!dbias && !dper_image) return;
    size_t n = (size_t)s->n, co = (size_t)s->co;
    sum_job job = {.kernels = graph->kernels,
                   .to = dmi_backward_work(graph, node),
                   .dy = dy,
                   .pixels = (size_t)s->oh * (size_t)s->ow,
                   .co = co};
    dmi_parallel(graph->host->pool, s->n, sum_task, &job);
    if (dbias) graph->kernels->sum_rows(dbias, job.to, n, co, node->adds[BIAS]);
    if (dper_image)
        graph->kernels->copy_rows(dper_image, co, job.to, co, n, co, node->adds[PER_IMAGE]);
}

typedef struct pass_job {
    const dmi_kernels *kernels;
    dmi_shape shape;
    float *to;
    const float *dy;
    bool add;
} pass_job;

static void pass_task(void *data, int32_t task, int32_t worker) {
    const pass_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_piece(job->shape, task, &rows) * c;
    job->kernels->copy_rows(job->to + at, c, job->dy + at, c, rows, c, job->add);
}

/* To the weights and to one of the inputs, whose rows of the weights begin at `row`. */
static void backward_side(dmi_graph *graph, dmi_node *node, const dmi_conv_way *way, int32_t input,
                          int32_t row) {
    dmi_conv_shape s = shape_of(graph, node, input, dmi_graph_shape(graph, node->output));
    const float *dy = dmi_graph_gradient(graph, node->output);
    float *work = dmi_backward_work(graph, node), *dx = dmi_input_gradient(graph, node, input);
    float *dweight = dmi_input_gradient(graph, node, WEIGHT);
    size_t at = (size_t)row * (size_t)s.co,
           floats = floats_of(graph, node->inputs[input]) + floats_of(graph, node->output);
    double flop = 2.0 * (double)floats_of(graph, node->output) * s.kernel * s.kernel * s.ci;
    if (dweight) {
        way->backward_weight(graph, &s, dweight + at, dmi_input(graph, node, input), dy,
                             node->adds[WEIGHT], work);
        dmi_lap_part(graph, node, way->name, "to weights", flop, floats);
    }
    if (dx) {
        way->backward_data(graph, &s, dx, dy, dmi_input(graph, node, WEIGHT) + at,
                           node->adds[input], work);
        dmi_lap_part(graph, node, way->name, "to x", flop,
                     floats + (node->adds[input] ? floats_of(graph, node->inputs[input]) : 0));
    }
}

static void conv_backward(dmi_graph *graph, dmi_node *node) {
    dmi_conv_shape s = shape_of(graph, node, X, dmi_graph_shape(graph, node->output));
    const dmi_conv_way *way = node->needs.way;
    const float *dy = dmi_graph_gradient(graph, node->output);
    float *dresidual = dmi_input_gradient(graph, node, RESIDUAL);
    size_t y_floats = floats_of(graph, node->output);
    backward_sums(graph, node, &s, dy);
    dmi_lap_part(graph, node, way->name, "to bias and time", 0, y_floats);
    backward_side(graph, node, way, X, 0);
    if (node->inputs[X2] != DMI_NONE) backward_side(graph, node, way, X2, s.ci);
    if (dresidual && dresidual != dy) {
        pass_job job = {.kernels = graph->kernels,
                        .shape = dmi_graph_shape(graph, node->output),
                        .to = dresidual,
                        .dy = dy,
                        .add = node->adds[RESIDUAL]};
        dmi_parallel(graph->host->pool, dmi_piece_count(job.shape), pass_task, &job);
        dmi_lap_part(graph, node, way->name, "to residual", 0, (job.add ? 3 : 2) * y_floats);
    }
}

static const dmi_op conv_op = {.name = "conv",
                               .infer = conv_infer,
                               .needs = conv_needs,
                               .forward = conv_forward,
                               .backward = conv_backward,
                               .own_laps = true};

int32_t dmi_conv(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight, dmi_value bias,
                 dmi_value per_image, dmi_value residual, int32_t kernel, int32_t stride,
                 int32_t pad, bool upsample) {
    dmi_value inputs[INPUTS] = {x, weight, bias, per_image, residual, DMI_NONE};
    dmi_attributes attr = {
        .conv = {.kernel = kernel, .stride = stride, .pad = pad, .upsample = upsample}};
    return dmi_graph_append(graph, out, &conv_op, inputs, INPUTS, &attr);
}

int32_t dmi_conv_pair(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value x2, dmi_value weight,
                      dmi_value bias, dmi_value residual) {
    dmi_value inputs[INPUTS] = {x, weight, bias, DMI_NONE, residual, x2};
    dmi_attributes attr = {.conv = {.kernel = 1, .stride = 1}};
    return dmi_graph_append(graph, out, &conv_op, inputs, INPUTS, &attr);
}
