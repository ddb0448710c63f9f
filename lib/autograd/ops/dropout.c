/* SPDX-License-Identifier: MIT */
/* Inverted dropout (Srivastava et al. 2014): scaled in training, so that inference needs nothing.
 * The mask is a function of seed, step, node and element, so backward recomputes it and nothing is
 * saved. */
#include <string.h>

#include "autograd/ops.h"
#include "base/random.h"

/* Elements of a tile, each with a random word in its worker's scratch; a multiple of 4, the words
 * of a Philox block. */
enum { TILE = 4096 };

typedef struct dropout_job {
    const dmi_kernels *kernels;
    dmi_random sequence;
    uint32_t threshold; /* a word below it zeroes its element */
    float factor;       /* 1 / (1 - rate) */
    size_t image;       /* floats of an image */
    int32_t tiles;      /* of an image, one a task */
    const void *x;      /* forward: x; backward: dy */
    void *y;            /* forward: y; backward: dx */
    bool add;
    bool bf16;   /* x and y are */
    float *work; /* [workers, 2, TILE]: words, and a tile of floats where bf16 */
} dropout_job;

static int32_t dropout_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    float rate = node->attr.dropout.rate;
    if (!(rate >= 0 && rate < 1))
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "dropout: rate is %g; it must be at least 0 and below 1", (double)rate);
    *output = dmi_input_shape(graph, node, 0);
    return DMI_OK;
}

static void dropout_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                          dmi_needs *needs) {
    (void)node;
    if (!train) return;
    size_t threads = (size_t)dmi_pool_threads(graph->host->pool);
    needs->forward_work = needs->backward_work = 2 * threads * TILE;
}

/* The number of elements of a tile; *at: the first. */
static size_t tile_of(const dropout_job *job, int32_t task, size_t *at) {
    size_t first = (size_t)(task % job->tiles) * TILE;
    *at = (size_t)(task / job->tiles) * job->image + first;
    return dmi_min_size(job->image - first, TILE);
}

/* Philox is addressed by block, so a tile generates its words without those before it. */
static void dropout_task(void *data, int32_t task, int32_t worker) {
    const dropout_job *job = data;
    size_t at, count = tile_of(job, task, &at);
    float *work = job->work + (size_t)worker * 2 * TILE, *tile = work + TILE;
    uint32_t *words = (uint32_t *)work;
    uint64_t block = (uint64_t)task * (TILE / 4);
    const uint32_t *index = job->sequence.counter + 2;
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), index[0], index[1]};
    job->kernels->random_words(words, job->sequence.key, counter, (count + 3) / 4);
    const dmi_kernels *k = job->kernels;
    if (!job->bf16) {
        k->dropout((float *)job->y + at, (const float *)job->x + at, words, job->threshold,
                   job->factor, count, job->add);
        return;
    }
    k->widen_rows(tile, count, (const uint16_t *)job->x + at, count, 1, count);
    k->dropout(tile, tile, words, job->threshold, job->factor, count, false);
    k->narrow_rows((uint16_t *)job->y + at, count, tile, count, 1, count, job->add);
}

static void copy_task(void *data, int32_t task, int32_t worker) {
    const dropout_job *job = data;
    (void)worker;
    size_t at, count = tile_of(job, task, &at), size = dmi_element_size(job->bf16);
    memcpy((char *)job->y + at * size, (const char *)job->x + at * size, count * size);
}

static dropout_job dropout_job_of(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape shape = dmi_input_shape(graph, node, 0);
    double rate = (double)node->attr.dropout.rate;
    /* A sequence of its own for each of 2^16 nodes and 2^40 steps. */
    uint64_t index =
        (graph->dropout_step & 0xFFFFFFFFFFu) << 16 | ((uint64_t)node->attr.dropout.node & 0xFFFFu);
    dropout_job job = {.kernels = graph->kernels,
                       .bf16 = node->bf16,
                       .image = (size_t)shape.h * (size_t)shape.w * (size_t)shape.c,
                       .sequence = dmi_random_at(graph->dropout_seed, DMI_STREAM_DROPOUT, index),
                       .threshold = (uint32_t)(rate * 4294967296.0),
                       .factor = (float)(1 / (1 - rate))};
    job.tiles = (int32_t)(dmi_divide_up_size(job.image, TILE));
    return job;
}

static void dropout_forward(dmi_graph *graph, dmi_node *node) {
    dropout_job job = dropout_job_of(graph, node);
    job.x = dmi_input(graph, node, 0);
    job.y = dmi_graph_stored(graph, node->output);
    if (graph->train) job.work = dmi_forward_work(graph, node);
    dmi_parallel(graph->host->pool, dmi_input_shape(graph, node, 0).n * job.tiles,
                 graph->train ? dropout_task : copy_task, &job);
}

static void dropout_backward(dmi_graph *graph, dmi_node *node) {
    dropout_job job = dropout_job_of(graph, node);
    job.x = dmi_graph_stored_gradient(graph, node->output);
    job.y = dmi_input_gradient(graph, node, 0);
    job.add = node->accumulates[0];
    job.work = dmi_backward_work(graph, node);
    if (job.y)
        dmi_parallel(graph->host->pool, dmi_input_shape(graph, node, 0).n * job.tiles, dropout_task,
                     &job);
}

static const dmi_op dropout_op = {.name = "dropout",
                                  .infer = dropout_infer,
                                  .needs = dropout_needs,
                                  .forward = dropout_forward,
                                  .backward = dropout_backward,
                                  .memory_bound = true,
                                  .bf16_inputs = 1};

int32_t dmi_dropout(dmi_graph *graph, dmi_value *out, dmi_value x, float rate) {
    dmi_attributes attr = {
        .dropout = {.rate = rate, .node = graph->node_count - graph->cast_count}};
    if (rate == 0) {
        *out = x;
        return DMI_OK;
    }
    return dmi_graph_append(graph, out, &dropout_op, &x, 1, &attr);
}
