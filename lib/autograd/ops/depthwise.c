/* SPDX-License-Identifier: MIT */
/* Depthwise convolution. A task of forward and of the data gradient is one tile of one image, for
 * as many channels as a kernel takes at once; one of the weight gradient is these channels of a
 * group of images. */
#include "autograd/conv/partial_sums.h"
#include "autograd/ops.h"
#include "autograd/ops/bias_gradient.h"
#include "autograd/ops/check_shape.h"

enum { X, WEIGHT, BIAS };

/* Sides of a tile at most. The kernel's copy of its input has up to 6 more rows and columns: 170
 * KiB, which stay in L2. */
enum { TILE_ROWS = 32, TILE_COLUMNS = 64 };

typedef struct depthwise_job {
    const dmi_kernels *kernels;
    dmi_shape shape; /* of x and y [n, h, w, c] */
    int32_t kernel;
    float *result;       /* y, or dx; or dw [kernel, kernel, c] */
    const float *x;      /* what is convolved: x, or dy for the data gradient */
    const float *dy;     /* weight gradient only */
    const float *weight; /* [kernel, kernel, c] */
    const float *bias;   /* [c], or NULL */
    bool rotated, add;
    float *partial; /* [groups, kernel, kernel, c], if there are several groups */
    int32_t groups;
    float *scratch; /* [workers, scratch_floats] */
    size_t scratch_floats;
} depthwise_job;

/* Columns of a tile, whole blocks: a function of the width alone, since the weight gradient adds up
 * tile by tile. The tiles of a row are about equally wide. */
static int32_t tile_columns(dmi_shape s) {
    int32_t tiles = dmi_divide_up(s.w, TILE_COLUMNS);
    return dmi_round_up(dmi_divide_up(s.w, tiles), DMI_DEPTHWISE_BLOCK);
}

static int32_t tiles_across(dmi_shape s) { return dmi_divide_up(s.w, tile_columns(s)); }
static int32_t tile_count(dmi_shape s) { return dmi_divide_up(s.h, TILE_ROWS) * tiles_across(s); }
static int32_t slice_count(dmi_shape s) { return dmi_divide_up(s.c, DMI_DEPTHWISE_CHANNELS); }
static int32_t group_count(dmi_shape s) { return dmi_image_groups(slice_count(s), s.n); }

static size_t image_floats(dmi_shape s) { return (size_t)s.h * (size_t)s.w * (size_t)s.c; }

static size_t weight_floats(dmi_shape s, int32_t kernel) {
    return (size_t)kernel * (size_t)kernel * (size_t)s.c;
}

static size_t partial_floats(dmi_shape s, int32_t kernel) {
    int32_t groups = group_count(s);
    return groups > 1 ? dmi_align_floats((size_t)groups * weight_floats(s, kernel)) : 0;
}

/* Of one worker. */
static size_t scratch_floats(dmi_shape s, int32_t kernel, bool gradient) {
    return dmi_depthwise_floats(dmi_min(s.h, TILE_ROWS), dmi_min(s.w, tile_columns(s)), kernel,
                                gradient);
}

static int32_t depthwise_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape x = dmi_input_shape(graph, node, X);
    int32_t k = node->attr.depthwise.kernel;
    if (k != 3 && k != 5 && k != 7)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "depthwise: kernel is %d; it must be 3, 5 or 7", (int)k);
    if (x.h > INT32_MAX / 8 / x.w || x.n > INT32_MAX / (4 * x.h * x.w))
        return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                        "depthwise: %d x %d x %d pixels are too many", (int)x.n, (int)x.h,
                        (int)x.w);
    int32_t status = dmi_check_shape(graph, node, WEIGHT, "weight", dmi_shape_of(k, k, 1, x.c));
    if (!status && node->inputs[BIAS] != DMI_NONE)
        status = dmi_check_shape(graph, node, BIAS, "bias", dmi_shape_of(1, 1, 1, x.c));
    *output = x;
    return status;
}

static void depthwise_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                            dmi_needs *needs) {
    dmi_shape s = dmi_input_shape(graph, node, X);
    int32_t k = node->attr.depthwise.kernel;
    size_t threads = (size_t)dmi_pool_threads(graph->host->pool);
    needs->forward_work = scratch_floats(s, k, false) * threads;
    if (train)
        needs->backward_work =
            dmi_max_size(partial_floats(s, k) + scratch_floats(s, k, true) * threads,
                         dmi_image_sums_floats(s));
    needs->reads = 1u << WEIGHT;
    if (graph->values[node->inputs[WEIGHT]].needs_gradient) needs->reads |= 1u << X;
}

static double depthwise_flop(const dmi_graph *graph, const dmi_node *node) {
    int32_t k = node->attr.depthwise.kernel;
    return 2.0 * (double)dmi_shape_count(dmi_graph_shape(graph, node->output)) * k * k;
}

/* Channels from *channel on of one slice, and tile `tile` of the image. */
static dmi_depthwise_part part_of(const depthwise_job *job, int32_t slice, int32_t tile,
                                  int32_t *channel) {
    dmi_shape s = job->shape;
    int32_t across = tiles_across(s), row = tile / across * TILE_ROWS,
            column = tile % across * tile_columns(s);
    *channel = slice * DMI_DEPTHWISE_CHANNELS;
    return (dmi_depthwise_part){.h = s.h,
                                .w = s.w,
                                .c = s.c,
                                .kernel = job->kernel,
                                .channels = dmi_min(s.c - *channel, DMI_DEPTHWISE_CHANNELS),
                                .row = row,
                                .rows = dmi_min(s.h - row, TILE_ROWS),
                                .column = column,
                                .columns = dmi_min(s.w - column, tile_columns(s)),
                                .rotated = job->rotated,
                                .add = job->add};
}

static void convolve_task(void *data, int32_t task, int32_t worker) {
    const depthwise_job *job = data;
    int32_t slices = slice_count(job->shape), tiles = tile_count(job->shape), channel;
    dmi_depthwise_part part = part_of(job, task % slices, task / slices % tiles, &channel);
    size_t at = (size_t)(task / slices / tiles) * image_floats(job->shape) + (size_t)channel;
    job->kernels->depthwise_forward(job->result + at, job->x + at, job->weight + channel,
                                    job->bias ? job->bias + channel : NULL, &part,
                                    job->scratch + (size_t)worker * job->scratch_floats);
}

static void convolve(const dmi_graph *graph, depthwise_job *job, float *work) {
    job->scratch = work;
    job->scratch_floats = scratch_floats(job->shape, job->kernel, false);
    dmi_parallel(graph->host->pool, job->shape.n * tile_count(job->shape) * slice_count(job->shape),
                 convolve_task, job);
}

static void weight_task(void *data, int32_t task, int32_t worker) {
    const depthwise_job *job = data;
    int32_t slices = slice_count(job->shape), group = task / slices, groups = job->groups, channel;
    size_t c = (size_t)job->shape.c, image = image_floats(job->shape);
    dmi_depthwise_part part = part_of(job, task % slices, 0, &channel);
    float *dw = groups > 1 ? job->partial + (size_t)group * weight_floats(job->shape, job->kernel)
                           : job->result;
    if (groups > 1 || !job->add)
        for (int32_t tap = 0; tap < job->kernel * job->kernel; tap++)
            for (int32_t i = 0; i < part.channels; i++)
                dw[(size_t)tap * c + (size_t)(channel + i)] = 0;
    int32_t end = job->shape.n * (group + 1) / groups;
    for (int32_t n = job->shape.n * group / groups; n < end; n++)
        for (int32_t tile = 0; tile < tile_count(job->shape); tile++) {
            part = part_of(job, task % slices, tile, &channel);
            size_t at = (size_t)n * image + (size_t)channel;
            job->kernels->depthwise_gradient(dw + channel, job->x + at, job->dy + at, &part,
                                             job->scratch + (size_t)worker * job->scratch_floats);
        }
}

static depthwise_job job_of(const dmi_graph *graph, const dmi_node *node) {
    return (depthwise_job){.kernels = graph->kernels,
                           .shape = dmi_input_shape(graph, node, X),
                           .kernel = node->attr.depthwise.kernel};
}

static void depthwise_forward(dmi_graph *graph, dmi_node *node) {
    depthwise_job job = job_of(graph, node);
    job.result = dmi_graph_data(graph, node->output);
    job.x = dmi_input(graph, node, X);
    job.weight = dmi_input(graph, node, WEIGHT);
    job.bias = dmi_input(graph, node, BIAS);
    convolve(graph, &job, dmi_forward_work(graph, node));
}

static void backward_weight(dmi_graph *graph, dmi_node *node, float *dw, float *work) {
    depthwise_job job = job_of(graph, node);
    job.result = dw;
    job.x = dmi_input(graph, node, X);
    job.dy = dmi_graph_gradient(graph, node->output);
    job.add = node->accumulates[WEIGHT];
    job.groups = group_count(job.shape);
    job.partial = work;
    job.scratch = work + partial_floats(job.shape, job.kernel);
    job.scratch_floats = scratch_floats(job.shape, job.kernel, true);
    dmi_parallel(graph->host->pool, job.groups * slice_count(job.shape), weight_task, &job);
    if (job.groups > 1)
        dmi_sum_partials(graph, dw, job.partial, job.groups, weight_floats(job.shape, job.kernel),
                         job.add);
}

static void depthwise_backward(dmi_graph *graph, dmi_node *node) {
    float *work = dmi_backward_work(graph, node), *dx = dmi_input_gradient(graph, node, X),
          *dw = dmi_input_gradient(graph, node, WEIGHT);
    dmi_bias_gradient(graph, node, BIAS, work);
    if (dw) backward_weight(graph, node, dw, work);
    if (!dx) return;
    depthwise_job job = job_of(graph, node);
    job.result = dx;
    job.x = dmi_graph_gradient(graph, node->output);
    job.weight = dmi_input(graph, node, WEIGHT);
    job.rotated = true;
    job.add = node->accumulates[X];
    convolve(graph, &job, work);
}

static const dmi_op depthwise_op = {.name = "depthwise",
                                    .infer = depthwise_infer,
                                    .needs = depthwise_needs,
                                    .forward = depthwise_forward,
                                    .backward = depthwise_backward,
                                    .flop = depthwise_flop};

int32_t dmi_depthwise(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight,
                      dmi_value bias, int32_t kernel) {
    dmi_value inputs[] = {x, weight, bias};
    dmi_attributes attr = {.depthwise = {.kernel = kernel}};
    return dmi_graph_append(graph, out, &depthwise_op, inputs, 3, &attr);
}
