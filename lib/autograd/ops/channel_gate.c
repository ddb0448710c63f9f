/* SPDX-License-Identifier: MIT */
/* A gate for each channel (Wang et al. 2020, ECA-Net, eq. 5): the means of the channels over the
 * pixels, a convolution of them along the channels, and its logistic function as a factor:
 *
 *     m_c = mean over pixels of x_c     g_c = sigmoid(sum over j of w_j m_{c + j - k/2})
 *     y_c = g_c x_c
 *
 * m is zero outside of the channels. With u for the argument of the sigmoid, backward is
 *
 *     du_c = g_c (1 - g_c) sum over pixels of dy_c x_c     dw_j = sum of du_c m_{c + j - k/2}
 *     dx_c = g_c dy_c + (sum over j of w_j du_{c - j + k/2}) / pixels */
#include <math.h>

#include "autograd/ops.h"
#include "autograd/ops/check_shape.h"
#include "autograd/ops/image_dots.h"
#include "autograd/ops/partition.h"

enum { X, WEIGHT };

typedef struct gate_job {
    const dmi_kernels *kernels;
    dmi_shape shape; /* [n, h, w, c] */
    int32_t taps;
    const float *x, *weight, *dy; /* weight [taps] */
    float *y, *dx;
    float *mean, *gate;   /* [n, c] */
    float *dgate, *dmean; /* [n, c]; dgate becomes du; dmean is divided by the pixels */
    bool add;
} gate_job;

static int32_t gate_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape x = dmi_input_shape(graph, node, X), weight = dmi_input_shape(graph, node, WEIGHT);
    int32_t status =
        dmi_check_shape(graph, node, WEIGHT, "weight", dmi_shape_of(1, 1, 1, weight.c));
    if (status) return status;
    if (weight.c % 2 == 0)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "channel_gate: the kernel has %d taps; their number must be odd",
                        (int)weight.c);
    *output = x;
    return DMI_OK;
}

/* Floats of [n, c]. */
static size_t vector_floats(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape x = dmi_input_shape(graph, node, X);
    return dmi_align_floats((size_t)x.n * (size_t)x.c);
}

static void gate_needs(const dmi_graph *graph, const dmi_node *node, bool train, dmi_needs *needs) {
    needs->saved = 2 * vector_floats(graph, node);
    if (train) needs->backward_work = 2 * vector_floats(graph, node);
    needs->reads = 1u << X | 1u << WEIGHT;
}

static gate_job job_of(const dmi_graph *graph, const dmi_node *node) {
    gate_job job = {.kernels = graph->kernels,
                    .shape = dmi_input_shape(graph, node, X),
                    .taps = dmi_input_shape(graph, node, WEIGHT).c,
                    .x = dmi_input(graph, node, X),
                    .weight = dmi_input(graph, node, WEIGHT),
                    .mean = dmi_saved(graph, node)};
    job.gate = job.mean + vector_floats(graph, node);
    return job;
}

/* ---- gates of an image ---- */

static double pixels_of(const gate_job *job) { return (double)job->shape.h * job->shape.w; }

/* The sum over j of weight_j of[c + side (j - taps / 2)], side being 1 or -1. */
static double convolve(const gate_job *job, const float *of, int32_t c, int32_t side) {
    double sum = 0;
    for (int32_t j = 0; j < job->taps; j++) {
        int64_t at = c + (int64_t)side * (j - job->taps / 2);
        if (at >= 0 && at < job->shape.c) sum += (double)job->weight[j] * of[at];
    }
    return sum;
}

static void gate_task(void *data, int32_t image, int32_t worker) {
    const gate_job *job = data;
    (void)worker;
    size_t at = (size_t)image * (size_t)job->shape.c;
    for (int32_t c = 0; c < job->shape.c; c++)
        job->gate[at + (size_t)c] = (float)(1 / (1 + exp(-convolve(job, job->mean + at, c, 1))));
}

/* dgate becomes du, from which dmean follows. */
static void gate_gradient_task(void *data, int32_t image, int32_t worker) {
    const gate_job *job = data;
    (void)worker;
    size_t channels = (size_t)job->shape.c, at = (size_t)image * channels;
    float *du = job->dgate + at;
    for (size_t c = 0; c < channels; c++) {
        double gate = job->gate[at + c];
        du[c] = (float)(du[c] * gate * (1 - gate));
    }
    for (int32_t c = 0; c < job->shape.c; c++)
        job->dmean[at + (size_t)c] = (float)(convolve(job, du, c, -1) / pixels_of(job));
}

/* dweight [taps]: over images and channels in order. */
static void weight_gradient(const gate_job *job, float *dweight, bool add) {
    int32_t channels = job->shape.c;
    for (int32_t j = 0; j < job->taps; j++) {
        int32_t shift = j - job->taps / 2;
        double sum = 0;
        for (size_t image = 0; image < (size_t)job->shape.n; image++) {
            const float *du = job->dgate + image * (size_t)channels,
                        *mean = job->mean + image * (size_t)channels;
            for (int32_t c = dmi_max(0, -shift); c < channels - dmi_max(0, shift); c++)
                sum += (double)du[c] * mean[c + shift];
        }
        dweight[j] = (float)(add ? dweight[j] + sum : sum);
    }
}

/* ---- pixels ---- */

static void forward_task(void *data, int32_t task, int32_t worker) {
    const gate_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    size_t image = (size_t)(task / dmi_tiles_per_image(job->shape)) * c;
    job->kernels->scale_columns(job->y + at, job->x + at, job->gate + image, NULL, rows, c, false);
}

static void backward_task(void *data, int32_t task, int32_t worker) {
    const gate_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    size_t image = (size_t)(task / dmi_tiles_per_image(job->shape)) * c;
    job->kernels->scale_columns(job->dx + at, job->dy + at, job->gate + image, job->dmean + image,
                                rows, c, job->add);
}

static void gate_forward(dmi_graph *graph, dmi_node *node) {
    gate_job job = job_of(graph, node);
    job.y = dmi_graph_data(graph, node->output);
    dmi_image_dots(graph, job.mean, job.x, NULL, job.shape, 1 / pixels_of(&job));
    dmi_parallel(graph->host->pool, job.shape.n, gate_task, &job);
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), forward_task, &job);
}

static void gate_backward(dmi_graph *graph, dmi_node *node) {
    gate_job job = job_of(graph, node);
    float *dweight = dmi_input_gradient(graph, node, WEIGHT);
    job.dy = dmi_graph_gradient(graph, node->output);
    job.dx = dmi_input_gradient(graph, node, X);
    job.add = node->accumulates[X];
    job.dgate = dmi_backward_work(graph, node);
    job.dmean = job.dgate + vector_floats(graph, node);
    dmi_image_dots(graph, job.dgate, job.dy, job.x, job.shape, 1);
    dmi_parallel(graph->host->pool, job.shape.n, gate_gradient_task, &job);
    if (dweight) weight_gradient(&job, dweight, node->accumulates[WEIGHT]);
    if (job.dx) dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), backward_task, &job);
}

/* A sum and a product for each element. */
static double gate_flop(const dmi_graph *graph, const dmi_node *node) {
    return 2.0 * (double)dmi_shape_count(dmi_input_shape(graph, node, X));
}

static const dmi_op gate_op = {.name = "channel_gate",
                               .infer = gate_infer,
                               .needs = gate_needs,
                               .forward = gate_forward,
                               .backward = gate_backward,
                               .memory_bound = true,
                               .flop = gate_flop};

int32_t dmi_channel_gate(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight) {
    dmi_value inputs[] = {x, weight};
    return dmi_graph_append(graph, out, &gate_op, inputs, 2, NULL);
}
