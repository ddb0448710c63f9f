/* SPDX-License-Identifier: MIT */
/* Convolution by Winograd's F(4x4, 3x3): the tasks around kernels/winograd.h. Forward transforms
 * the weights, then computes blocks of tiles; the data gradient is the same with rotated weights;
 * the weight gradient has partial sums for groups of tiles. */
#include "autograd/conv/conv.h"
#include "autograd/conv/partial_sums.h"

typedef struct winograd_job {
    const dmi_winograd *kernel;
    dmi_winograd_shape shape;
    void *to;            /* y [n, h, w, co], dx, dw [groups, 3, 3, ci, co] or u */
    const void *x;       /* [n, h, w, ci]; for the data gradient dy */
    const void *dy;      /* [n, h, w, co] */
    const float *weight; /* [3, 3, ci, co] */
    const float *u;      /* transformed weights [weight_floats] */
    const dmi_epilogue *epilogue;
    bool rotated; /* u is for the data gradient: from weights rotated by 180 degrees */
    bool add;
    float *scratch; /* [workers, scratch_floats] */
    size_t scratch_floats;
    int32_t groups; /* of the weight gradient's tasks, each with partial sums */
} winograd_job;

static bool suits(const dmi_conv_shape *s) {
    return s->kernel == 3 && s->stride == 1 && s->pad == 1 &&
           (s->ci >= DMI_CONV_CHANNELS_MIN || s->co >= DMI_CONV_CHANNELS_MIN);
}

/* The forward convolution, and the convolution of dy that gives dx. */
static dmi_winograd_shape forward_shape(const dmi_conv_shape *s) {
    return (dmi_winograd_shape){
        .n = s->n, .h = s->oh, .w = s->ow, .ci = s->ci, .co = s->co, .upsample = s->upsample};
}

static dmi_winograd_shape data_shape(const dmi_conv_shape *s) {
    return (dmi_winograd_shape){
        .n = s->n, .h = s->oh, .w = s->ow, .ci = s->co, .co = s->ci, .sum2x2 = s->upsample};
}

static size_t worker_floats(const dmi_winograd *kernel, const dmi_winograd_shape *shape) {
    return dmi_align_floats(kernel->block_floats(shape));
}

/* The table for the type of the activations. The weights' functions are the same in both. */
static const dmi_winograd *kernel_of(const dmi_kernels *k, const dmi_conv_shape *s) {
    return s->bf16 ? k->winograd_bf16 : k->winograd;
}

static size_t weight_floats(const dmi_kernels *k, const dmi_conv_shape *s) {
    return k->winograd->weight_floats(s->ci, s->co);
}

static size_t rotated_floats(const dmi_kernels *k, const dmi_conv_shape *s) {
    return dmi_align_floats(k->winograd->weight_floats(s->co, s->ci));
}

static size_t gradient_floats(const dmi_winograd *kernel, const dmi_winograd_shape *shape) {
    return dmi_align_floats(kernel->gradient_floats(shape));
}

static size_t weight_count(const dmi_winograd_shape *shape) {
    return 9 * (size_t)shape->ci * (size_t)shape->co;
}

/* The partial weight gradients, where there is more than one group. */
static size_t partial_floats(const dmi_winograd *kernel, const dmi_winograd_shape *shape) {
    int32_t groups = kernel->gradient_groups(shape);
    return groups > 1 ? dmi_align_floats((size_t)groups * weight_count(shape)) : 0;
}

static size_t forward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    dmi_winograd_shape shape = forward_shape(s);
    return worker_floats(kernel_of(k, s), &shape) * (size_t)threads;
}

static size_t backward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    dmi_winograd_shape forward = forward_shape(s), data = data_shape(s);
    size_t for_data =
        rotated_floats(k, s) + worker_floats(kernel_of(k, s), &data) * (size_t)threads;
    size_t for_weight = partial_floats(kernel_of(k, s), &forward) +
                        gradient_floats(kernel_of(k, s), &forward) * (size_t)threads;
    return dmi_max_size(for_data, for_weight);
}

static void weight_task(void *data, int32_t task, int32_t worker) {
    const winograd_job *job = data;
    const dmi_winograd *kernel = job->kernel;
    (void)worker;
    (job->rotated
         ? kernel->weight_transform_rotated
         : kernel->weight_transform)(job->to, job->weight, job->shape.ci, job->shape.co, task);
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const winograd_job *job = data;
    job->kernel->forward(&job->shape, job->to, job->x, job->u, job->epilogue, task,
                         job->scratch + (size_t)worker * job->scratch_floats);
}

static void gradient_task(void *data, int32_t task, int32_t worker) {
    const winograd_job *job = data;
    size_t group = (size_t)(task / (job->kernel->gradient_tasks(&job->shape) / job->groups));
    float *dw = (float *)job->to + group * weight_count(&job->shape);
    job->kernel->gradient(&job->shape, dw, job->x, job->dy, job->add, task,
                          job->scratch + (size_t)worker * job->scratch_floats);
}

static void prepare(const dmi_graph *graph, const dmi_conv_shape *s, float *prepared,
                    const float *weight, bool locked) {
    winograd_job job = {.kernel = kernel_of(graph->kernels, s),
                        .shape = forward_shape(s),
                        .to = prepared,
                        .weight = weight};
    int32_t tasks = job.kernel->weight_tasks(s->ci, s->co);
    if (locked) dmi_parallel_locked(graph->host->pool, tasks, weight_task, &job);
    else dmi_parallel(graph->host->pool, tasks, weight_task, &job);
}

static void forward(const dmi_graph *graph, const dmi_conv_shape *s, void *y, const void *x,
                    const float *weight, const float *prepared, const dmi_epilogue *epilogue,
                    float *work) {
    (void)weight;
    winograd_job job = {.kernel = kernel_of(graph->kernels, s),
                        .shape = forward_shape(s),
                        .to = y,
                        .x = x,
                        .u = prepared,
                        .epilogue = epilogue,
                        .scratch = work};
    job.shape.non_temporal = graph->train;
    job.shape.workers = dmi_pool_threads(graph->host->pool);
    job.scratch_floats = worker_floats(job.kernel, &job.shape);
    dmi_parallel(graph->host->pool, job.kernel->blocks(&job.shape), forward_task, &job);
}

static void backward_data(const dmi_graph *graph, const dmi_conv_shape *s, void *dx, const void *dy,
                          const float *weight, bool add, float *work) {
    const dmi_winograd *kernel = kernel_of(graph->kernels, s);
    dmi_epilogue epilogue = {.add = add};
    winograd_job rotate = {
        .kernel = kernel, .shape = forward_shape(s), .to = work, .weight = weight, .rotated = true};
    dmi_parallel(graph->host->pool, kernel->rotated_tasks(s->ci, s->co), weight_task, &rotate);
    winograd_job job = {.kernel = kernel,
                        .shape = data_shape(s),
                        .to = dx,
                        .x = dy,
                        .u = work,
                        .epilogue = &epilogue,
                        .scratch = work + rotated_floats(graph->kernels, s)};
    job.shape.non_temporal = true;
    job.shape.workers = dmi_pool_threads(graph->host->pool);
    job.scratch_floats = worker_floats(kernel, &job.shape);
    dmi_parallel(graph->host->pool, kernel->blocks(&job.shape), forward_task, &job);
}

static void backward_weight(const dmi_graph *graph, const dmi_conv_shape *s, float *dw,
                            const void *x, const void *dy, bool add, float *work) {
    const dmi_winograd *kernel = kernel_of(graph->kernels, s);
    winograd_job job = {
        .kernel = kernel, .shape = forward_shape(s), .to = dw, .x = x, .dy = dy, .add = add};
    job.groups = kernel->gradient_groups(&job.shape);
    job.scratch = work + partial_floats(kernel, &job.shape);
    job.scratch_floats = gradient_floats(kernel, &job.shape);
    if (job.groups > 1) job.to = work, job.add = false;
    dmi_parallel(graph->host->pool, kernel->gradient_tasks(&job.shape), gradient_task, &job);
    if (job.groups > 1)
        dmi_sum_partials(graph, dw, work, job.groups, weight_count(&job.shape), add);
}

const dmi_conv_algorithm dmi_conv_winograd = {
    .name = "winograd",
    .suits = suits,
    .weight_floats = weight_floats,
    .forward_work = forward_work,
    .backward_work = backward_work,
    .prepare = prepare,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
};
