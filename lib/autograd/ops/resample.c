/* SPDX-License-Identifier: MIT */
/* Halving and doubling of an image's sides: by mean and by repetition, or with the binomial filter
 * (1, 3, 3, 1) of the FIR networks (Karras et al. 2019; Song et al. 2021). Backward is the adjoint,
 * which for each of these filters is one that resamples the other way. */
#include "autograd/ops.h"
#include "autograd/ops/partition.h"
#include "base/math.h"

enum { KINDS = DMI_RESAMPLE_FIR_UP + 1, FORWARD = 0, ADJOINT = 1 };

/* Upsampling by (1, 3, 3, 1) / 4 of an image with zeros between its pixels: output 2 i has the taps
 * 1 and 3 of pixels i - 1 and i, output 2 i + 1 has 3 and 1 of i and i + 1. */
static const dmi_resample_filter filters[KINDS][2] = {
    [DMI_RESAMPLE_MEAN] = {{false, 2, {0, 0}, {{0.5f, 0.5f}}}, {true, 1, {0, 0}, {{0.5f}, {0.5f}}}},
    [DMI_RESAMPLE_NEAREST] = {{true, 1, {0, 0}, {{1}, {1}}}, {false, 2, {0, 0}, {{1, 1}}}},
    [DMI_RESAMPLE_FIR_DOWN] = {{false, 4, {-1, 0}, {{0.125f, 0.375f, 0.375f, 0.125f}}},
                               {true, 2, {-1, 0}, {{0.125f, 0.375f}, {0.375f, 0.125f}}}},
    [DMI_RESAMPLE_FIR_UP] = {{true, 2, {-1, 0}, {{0.25f, 0.75f}, {0.75f, 0.25f}}},
                             {false, 4, {-1, 0}, {{0.25f, 0.75f, 0.75f, 0.25f}}}},
};

typedef struct resample_job {
    const dmi_kernels *kernels;
    const dmi_resample_filter *filter;
    dmi_shape in, out; /* of x and y */
    const float *x;    /* forward: x; backward: dy */
    float *y;          /* forward: y; backward: dx */
    int32_t rows;      /* of y, of one task */
    int32_t tasks;     /* of one image */
    bool add;
} resample_job;

static int32_t resample_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape x = dmi_input_shape(graph, node, 0);
    int32_t kind = node->attr.resample.kind;
    if (kind < 0 || kind >= KINDS)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT, "resample: there is no kind %d",
                        (int)kind);
    if (filters[kind][FORWARD].up) {
        if (x.h > INT32_MAX / 2 || x.w > INT32_MAX / 2)
            return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                            "resample: x of %d x %d pixels is too large", (int)x.h, (int)x.w);
        *output = dmi_shape_of(x.n, 2 * x.h, 2 * x.w, x.c);
        return DMI_OK;
    }
    if (x.h % 2 || x.w % 2)
        return dmi_fail(graph->host, DMI_ERROR_SHAPE_MISMATCH,
                        "resample: x has %d x %d pixels; both must be even", (int)x.h, (int)x.w);
    *output = dmi_shape_of(x.n, x.h / 2, x.w / 2, x.c);
    return DMI_OK;
}

static void resample_task(void *data, int32_t task, int32_t worker) {
    const resample_job *job = data;
    const dmi_shape *in = &job->in, *out = &job->out;
    size_t image = (size_t)(task / job->tasks);
    int32_t row0 = task % job->tasks * job->rows, row1 = row0 + dmi_min(out->h - row0, job->rows);
    (void)worker;
    job->kernels->resample(job->y +
                               image * dmi_shape_count(dmi_shape_of(1, out->h, out->w, out->c)),
                           job->x + image * dmi_shape_count(dmi_shape_of(1, in->h, in->w, in->c)),
                           job->filter, in->h, in->w, in->c, row0, row1, job->add);
}

static void run(const dmi_graph *graph, resample_job *job) {
    size_t rows = DMI_TILE_FLOATS / ((size_t)job->out.w * (size_t)job->out.c);
    job->kernels = graph->kernels;
    job->rows = (int32_t)dmi_min_size(rows ? rows : 1, (size_t)job->out.h);
    job->tasks = dmi_divide_up(job->out.h, job->rows);
    dmi_parallel(graph->host->pool, job->out.n * job->tasks, resample_task, job);
}

static void resample_forward(dmi_graph *graph, dmi_node *node) {
    resample_job job = {.filter = &filters[node->attr.resample.kind][FORWARD],
                        .in = dmi_input_shape(graph, node, 0),
                        .out = dmi_graph_shape(graph, node->output),
                        .x = dmi_input(graph, node, 0),
                        .y = dmi_graph_data(graph, node->output)};
    run(graph, &job);
}

static void resample_backward(dmi_graph *graph, dmi_node *node) {
    resample_job job = {.filter = &filters[node->attr.resample.kind][ADJOINT],
                        .in = dmi_graph_shape(graph, node->output),
                        .out = dmi_input_shape(graph, node, 0),
                        .x = dmi_graph_gradient(graph, node->output),
                        .y = dmi_input_gradient(graph, node, 0),
                        .add = node->accumulates[0]};
    if (job.y) run(graph, &job);
}

static const dmi_op resample_op = {.name = "resample",
                                   .infer = resample_infer,
                                   .forward = resample_forward,
                                   .backward = resample_backward,
                                   .memory_bound = true};

int32_t dmi_resample(dmi_graph *graph, dmi_value *out, dmi_value x, int32_t kind) {
    dmi_attributes attr = {.resample = {.kind = kind}};
    return dmi_graph_append(graph, out, &resample_op, &x, 1, &attr);
}
