/* SPDX-License-Identifier: MIT */
/* Group norm (Wu and He 2018) of one tensor, or of the concatenated channels of two, with an
 * optional scale or factor and a shift of each image after it (Dhariwal and Nichol 2021, "adaptive
 * group normalization") and an optional activation function. A task computes a range of whole
 * groups of one image. */
#include "autograd/ops.h"
#include "autograd/ops/check_shape.h"

/* SCALE is scale_shift [n, 2c], or with `factor` in the attributes a factor [n, c], which SHIFT
 * [n, c] may follow. */
enum { X, GAMMA, BETA, SCALE, X2, SHIFT, INPUTS };

enum {
    LINE = DMI_ALIGNMENT / (int)sizeof(float),
    TASKS_MIN = 16, /* tasks are made narrower than the kernels' span to have this many */
    DU_FLOATS_MAX = 256 * 1024 /* of a worker's scratch for du: 1 MiB */
};

typedef struct norm_job {
    const dmi_kernels *kernels;
    int32_t pixels, channels, groups, per_group;
    int32_t task_channels, tasks; /* of one image */
    float eps;
    int32_t activation;
    bool non_temporal;          /* y, or dx, is written with non-temporal stores */
    dmi_norm_x x;               /* x and x2 of all images: [n, h, w, channels[i]] */
    const float *gamma, *beta;  /* [c] */
    const float *scale, *shift; /* [n, c] in rows of `stride`, or NULL */
    float base;                 /* the factor is base + scale: 1, or 0 */
    size_t stride, shift_stride;
    bool bf16;              /* x, y and their gradients are */
    void *y;                /* [n, h, w, c] */
    float *mean, *rstd;     /* [n, groups] */
    float *gain, *offset;   /* [n, c]: gamma (base + scale), beta (base + scale) + shift; without
                               scale unused */
    const void *dy;         /* [n, h, w, c] */
    float *dscale, *dshift; /* as scale and shift, or NULL */
    bool adds_dscale, adds_dshift;
    float *dgain, *doffset; /* [n, c] */
    float *du;              /* the gradient before the activation [workers, du_floats], or NULL */
    size_t du_floats;
} norm_job;

static const int32_t sides[2] = {X, X2};

static int32_t norm_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape x = dmi_input_shape(graph, node, X), x2 = dmi_input_shape(graph, node, X2);
    if (node->inputs[X2] != DMI_NONE) {
        int32_t status = dmi_check_shape(graph, node, X2, "x2", dmi_shape_of(x.n, x.h, x.w, x2.c));
        if (status) return status;
        if (node->inputs[X] == node->inputs[X2])
            return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                            "group_norm: x and x2 are the same value, %d", (int)node->inputs[X]);
        if (x.c > INT32_MAX / 2 - x2.c)
            return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                            "group_norm: %d and %d channels are too many", (int)x.c, (int)x2.c);
        x.c += x2.c;
    }
    int32_t groups = node->attr.norm.groups;
    if (groups < 1 || x.c % groups)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "group_norm: %d groups do not divide %d channels", (int)groups, (int)x.c);
    if (!(node->attr.norm.eps >= 0))
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "group_norm: eps is %g; it must not be negative",
                        (double)node->attr.norm.eps);
    if (node->attr.norm.activation < DMI_ACTIVATION_NONE ||
        node->attr.norm.activation > DMI_ACTIVATION_RELU)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "group_norm: activation is %d; it must be one of DMI_ACTIVATION_*",
                        (int)node->attr.norm.activation);
    if (node->inputs[SHIFT] != DMI_NONE && node->inputs[SCALE] == DMI_NONE)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "group_norm: a shift needs a factor");
    if (x.c > INT32_MAX / 2 || x.h > INT32_MAX / x.w)
        return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                        "group_norm: %d x %d pixels of %d channels are too many", (int)x.h,
                        (int)x.w, (int)x.c);
    int32_t status = dmi_check_shape(graph, node, GAMMA, "gamma", dmi_shape_of(1, 1, 1, x.c));
    if (!status) status = dmi_check_shape(graph, node, BETA, "beta", dmi_shape_of(1, 1, 1, x.c));
    if (!status && node->inputs[SCALE] != DMI_NONE)
        status = node->attr.norm.factor
                     ? dmi_check_shape(graph, node, SCALE, "factor", dmi_shape_of(x.n, 1, 1, x.c))
                     : dmi_check_shape(graph, node, SCALE, "scale_shift",
                                       dmi_shape_of(x.n, 1, 1, 2 * x.c));
    if (!status && node->inputs[SHIFT] != DMI_NONE)
        status = dmi_check_shape(graph, node, SHIFT, "shift", dmi_shape_of(x.n, 1, 1, x.c));
    *output = x;
    return status;
}

/* The kernel always computes dx; where x has no gradient it goes to workspace that is not read. */
static bool discards_dx(const dmi_graph *graph, const dmi_node *node, int32_t input) {
    return node->inputs[input] != DMI_NONE && !graph->values[node->inputs[input]].needs_gradient;
}

static size_t discarded_floats(const dmi_graph *graph, const dmi_node *node) {
    size_t floats = 0;
    for (int32_t i = 0; i < 2; i++)
        if (discards_dx(graph, node, sides[i]))
            floats += dmi_shape_count(dmi_input_shape(graph, node, sides[i]));
    return floats;
}

/* Channels of a task: whole groups, and whole cache lines if possible. */
static int32_t task_channels(dmi_shape x, int32_t per_group) {
    int32_t width = DMI_NORM_SPAN;
    while (width > LINE && (int64_t)x.n * x.c < (int64_t)TASKS_MIN * width) width /= 2;
    int32_t run = dmi_round_up(width, per_group);
    for (int32_t whole = run; whole <= 2 * width; whole += per_group)
        if (whole % LINE == 0) return whole;
    return run;
}

/* Floats of the gradient before the activation function that a worker keeps between the two passes
 * of backward, so as not to compute it twice; 0 where they would be too many. */
static size_t du_floats(dmi_shape x, const dmi_node *node) {
    int32_t per_group = x.c / node->attr.norm.groups, wide = dmi_max(per_group, DMI_NORM_SPAN);
    size_t floats = (size_t)x.h * (size_t)x.w * (size_t)wide;
    return node->attr.norm.activation != DMI_ACTIVATION_NONE && floats <= DU_FLOATS_MAX ? floats
                                                                                        : 0;
}

static void norm_needs(const dmi_graph *graph, const dmi_node *node, bool train, dmi_needs *needs) {
    dmi_shape x = dmi_graph_shape(graph, node->output);
    size_t n = (size_t)x.n, c = (size_t)x.c,
           modulated = node->inputs[SCALE] != DMI_NONE ? 2 * n * c : 0;
    needs->saved = 2 * n * (size_t)node->attr.norm.groups;
    needs->forward_work = modulated;
    needs->reads = 1u << X | 1u << GAMMA | 1u << BETA | 1u << SCALE | 1u << X2 | 1u << SHIFT;
    if (!train) return;
    needs->backward_work = modulated + 2 * n * c + discarded_floats(graph, node);
    needs->backward_work += (size_t)dmi_pool_threads(graph->host->pool) * du_floats(x, node);
}

/* *gain, *offset [c]: y = xhat * gain + offset for image n; channels c0 to c1-1 are set. */
static void norm_gain(const norm_job *job, int32_t n, int32_t c0, int32_t c1, const float **gain,
                      const float **offset) {
    *gain = job->gamma;
    *offset = job->beta;
    if (!job->scale) return;
    size_t at = (size_t)n * (size_t)job->channels;
    const float *scale = job->scale + (size_t)n * job->stride;
    float *g = job->gain + at, *o = job->offset + at;
    for (int32_t c = c0; c < c1; c++) {
        g[c] = job->gamma[c] * (job->base + scale[c]);
        o[c] = job->beta[c] * (job->base + scale[c]);
    }
    if (job->shift) {
        const float *shift = job->shift + (size_t)n * job->shift_stride;
        for (int32_t c = c0; c < c1; c++) o[c] += shift[c];
    }
    *gain = g;
    *offset = o;
}

/* Returns the image of a task; *c0 to *c1 - 1: its channels. */
static int32_t norm_range(const norm_job *job, int32_t task, int32_t *c0, int32_t *c1) {
    *c0 = task % job->tasks * job->task_channels;
    *c1 = job->channels - *c0 < job->task_channels ? job->channels : *c0 + job->task_channels;
    return task / job->tasks;
}

/* The norm of image n, channels c0 to c1 - 1; x and dx are [h, w, channels[i]]. */
static dmi_norm image_of(const norm_job *job, int32_t n, int32_t c0, int32_t c1) {
    dmi_norm_x x = job->x;
    for (int32_t i = 0; i < 2 && x.channels[i]; i++) {
        size_t at = (size_t)n * (size_t)job->pixels * (size_t)x.channels[i];
        x.x[i] = dmi_element_const(x.x[i], at, job->bf16);
        if (x.dx[i]) x.dx[i] = dmi_element_at(x.dx[i], at, job->bf16);
    }
    dmi_norm norm = {.x = x,
                     .pixels = job->pixels,
                     .group_channels = job->per_group,
                     .c0 = c0,
                     .c1 = c1,
                     .activation = job->activation,
                     .non_temporal = job->non_temporal};
    norm_gain(job, n, c0, c1, &norm.gain, &norm.offset);
    return norm;
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const norm_job *job = data;
    (void)worker;
    int32_t c0, c1, n = norm_range(job, task, &c0, &c1);
    size_t at = (size_t)n * (size_t)job->pixels * (size_t)job->channels,
           group = (size_t)n * (size_t)job->groups;
    dmi_norm norm = image_of(job, n, c0, c1);
    const dmi_kernels *k = job->kernels;
    (job->bf16 ? k->norm_forward_bf16 : k->norm_forward)(dmi_element_at(job->y, at, job->bf16),
                                                         job->mean + group, job->rstd + group,
                                                         &norm, job->eps);
}

/* From the gradients of gain and offset, those of scale and shift; dgain and doffset become the
 * image's terms of dgamma and dbeta. */
static void scale_shift_backward(const norm_job *job, int32_t n, int32_t c0, int32_t c1) {
    size_t at = (size_t)n * (size_t)job->channels;
    const float *scale = job->scale + (size_t)n * job->stride;
    float *dgain = job->dgain + at, *doffset = job->doffset + at;
    if (job->dscale) {
        float *dscale = job->dscale + (size_t)n * job->stride;
        for (int32_t c = c0; c < c1; c++) {
            float ds = dgain[c] * job->gamma[c] + doffset[c] * job->beta[c];
            dscale[c] = job->adds_dscale ? dscale[c] + ds : ds;
        }
    }
    if (job->dshift) {
        float *dshift = job->dshift + (size_t)n * job->shift_stride;
        for (int32_t c = c0; c < c1; c++)
            dshift[c] = job->adds_dshift ? dshift[c] + doffset[c] : doffset[c];
    }
    for (int32_t c = c0; c < c1; c++) {
        dgain[c] *= job->base + scale[c];
        doffset[c] *= job->base + scale[c];
    }
}

static void backward_task(void *data, int32_t task, int32_t worker) {
    const norm_job *job = data;
    int32_t c0, c1, n = norm_range(job, task, &c0, &c1);
    size_t at = (size_t)n * (size_t)job->pixels * (size_t)job->channels,
           group = (size_t)n * (size_t)job->groups;
    size_t row = (size_t)n * (size_t)job->channels;
    dmi_norm norm = image_of(job, n, c0, c1);
    const dmi_kernels *k = job->kernels;
    (job->bf16 ? k->norm_backward_bf16
               : k->norm_backward)(job->dgain + row, job->doffset + row,
                                   dmi_element_const(job->dy, at, job->bf16), job->mean + group,
                                   job->rstd + group, &norm,
                                   job->du ? job->du + (size_t)worker * job->du_floats : NULL);
    if (job->scale) scale_shift_backward(job, n, c0, c1);
}

/* The members that forward and backward share. work [2 n c]: gain and offset, if there is a scale.
 */
static norm_job norm_job_of(const dmi_graph *graph, const dmi_node *node, float *work) {
    dmi_shape x = dmi_graph_shape(graph, node->output);
    size_t n = (size_t)x.n;
    norm_job job = {.kernels = graph->kernels,
                    .bf16 = node->bf16,
                    .pixels = x.h * x.w,
                    .channels = x.c,
                    .groups = node->attr.norm.groups,
                    .eps = node->attr.norm.eps,
                    .activation = node->attr.norm.activation};
    job.per_group = x.c / job.groups;
    job.task_channels = task_channels(x, job.per_group);
    job.tasks = dmi_divide_up(x.c, job.task_channels);
    /* In training the next reader comes late; sampling finds y in the caches. */
    job.non_temporal = graph->train && dmi_shape_count(x) >= DMI_NON_TEMPORAL_FLOATS;
    for (int32_t i = 0; i < 2; i++) {
        job.x.x[i] = dmi_input(graph, node, sides[i]);
        job.x.channels[i] = dmi_input_shape(graph, node, sides[i]).c;
    }
    job.gamma = dmi_input(graph, node, GAMMA);
    job.beta = dmi_input(graph, node, BETA);
    bool factor = node->attr.norm.factor;
    size_t c = (size_t)x.c;
    job.base = factor ? 0.0f : 1.0f;
    job.stride = factor ? c : 2 * c;
    job.shift_stride = job.stride;
    job.scale = dmi_input(graph, node, SCALE);
    job.shift = factor || !job.scale ? dmi_input(graph, node, SHIFT) : job.scale + c;
    job.mean = dmi_saved(graph, node);
    job.rstd = job.mean + n * (size_t)job.groups;
    job.gain = work;
    job.offset = job.scale ? work + n * c : NULL;
    return job;
}

static void norm_forward(dmi_graph *graph, dmi_node *node) {
    bool modulated = node->inputs[SCALE] != DMI_NONE;
    norm_job job = norm_job_of(graph, node, modulated ? dmi_forward_work(graph, node) : NULL);
    job.y = dmi_graph_stored(graph, node->output);
    dmi_parallel(graph->host->pool, dmi_graph_shape(graph, node->output).n * job.tasks,
                 forward_task, &job);
}

static void norm_backward(dmi_graph *graph, dmi_node *node) {
    float *work = dmi_backward_work(graph, node);
    norm_job job = norm_job_of(graph, node, work);
    dmi_shape x = dmi_graph_shape(graph, node->output);
    size_t n = (size_t)x.n, c = (size_t)job.channels;
    job.dgain = work + (job.scale ? 2 * n * c : 0);
    job.doffset = job.dgain + n * c;
    job.dy = dmi_graph_stored_gradient(graph, node->output);
    float *discarded = job.doffset + n * c;
    for (int32_t i = 0; i < 2; i++) {
        bool discards = discards_dx(graph, node, sides[i]);
        job.x.dx[i] = discards ? discarded : dmi_input_gradient(graph, node, sides[i]);
        job.x.add[i] = !discards && node->accumulates[sides[i]];
        if (discards) discarded += dmi_shape_count(dmi_input_shape(graph, node, sides[i]));
    }
    job.du_floats = du_floats(x, node);
    if (job.du_floats) job.du = discarded;
    job.dscale = dmi_input_gradient(graph, node, SCALE);
    job.adds_dscale = job.adds_dshift = node->accumulates[SCALE];
    job.dshift = job.dscale ? job.dscale + c : NULL;
    if (node->attr.norm.factor) {
        job.dshift = dmi_input_gradient(graph, node, SHIFT);
        job.adds_dshift = node->accumulates[SHIFT];
    }
    dmi_parallel(graph->host->pool, (int32_t)n * job.tasks, backward_task, &job);
    float *dgamma = dmi_input_gradient(graph, node, GAMMA),
          *dbeta = dmi_input_gradient(graph, node, BETA);
    if (dgamma) graph->kernels->sum_rows(dgamma, job.dgain, n, c, node->accumulates[GAMMA]);
    if (dbeta) graph->kernels->sum_rows(dbeta, job.doffset, n, c, node->accumulates[BETA]);
}

static const dmi_op norm_op = {.name = "group_norm",
                               .infer = norm_infer,
                               .needs = norm_needs,
                               .forward = norm_forward,
                               .backward = norm_backward,
                               .memory_bound = true,
                               .bf16_inputs = 1u << X | 1u << X2};

int32_t dmi_group_norm_pair(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value x2,
                            dmi_value gamma, dmi_value beta, dmi_value scale_shift, int32_t groups,
                            float eps, int32_t activation) {
    dmi_value inputs[INPUTS] = {x, gamma, beta, scale_shift, x2, DMI_NONE};
    dmi_attributes attr = {.norm = {.groups = groups, .activation = activation, .eps = eps}};
    return dmi_graph_append(graph, out, &norm_op, inputs, INPUTS, &attr);
}

int32_t dmi_group_norm(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value gamma,
                       dmi_value beta, dmi_value scale_shift, int32_t groups, float eps,
                       int32_t activation) {
    return dmi_group_norm_pair(graph, out, x, DMI_NONE, gamma, beta, scale_shift, groups, eps,
                               activation);
}

int32_t dmi_group_norm_factor(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value gamma,
                              dmi_value beta, dmi_value factor, dmi_value shift, int32_t groups,
                              float eps, int32_t activation) {
    dmi_value inputs[INPUTS] = {x, gamma, beta, factor, DMI_NONE, shift};
    dmi_attributes attr = {
        .norm = {.groups = groups, .activation = activation, .factor = 1, .eps = eps}};
    return dmi_graph_append(graph, out, &norm_op, inputs, INPUTS, &attr);
}
