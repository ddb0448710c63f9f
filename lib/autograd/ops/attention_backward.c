/* SPDX-License-Identifier: MIT */
/* Attention backward (Dao et al. 2022, FlashAttention, appendix B.2 and algorithm 4). For each
 * block of keys and all queries, with the scores recomputed from the log-sum-exp lse (Dao 2023,
 * FlashAttention-2, 3.1.2):
 *
 *     s  = q k^T            p  = exp(scale (s - lse))
 *     dp = dy v^T           ds = scale p o (dp - delta),  delta = rowsum(dy o y)
 *     dv = p^T dy           dk = ds^T q                   dq = ds k
 *
 * dq is a sum over keys. The keys of a pair are split into groups, each with a partial sum of dq;
 * the first group's is written to dq itself, and the others' are added to it in order. With few
 * pairs each group is a task with a partial sum of its own; else one task computes the groups of a
 * pair in turn, and the partial sum is the worker's. The sums are the same in both cases, bit for
 * bit. */
#include "autograd/ops/attention_job.h"

enum {
    COLUMNS = DMI_SOFTMAX_COLUMNS,
    QUERIES = DMI_ATTENTION_QUERIES,
    BLOCK_FLOATS = 16384, /* of k, v, dk and dv of a block of keys, so that the four fit in L2 */
    BLOCK_KEYS_MAX = 128,
    FEW_PAIRS = 4 /* up to here groups are tasks */
};

enum { Q = DMI_ATTENTION_Q, K = DMI_ATTENTION_K, V = DMI_ATTENTION_V };

/* ---- partition of the keys ---- */

/* Keys of a block, whole panels. */
static int32_t block_keys(const dmi_attention_job *job) {
    int32_t keys = BLOCK_FLOATS / job->width / COLUMNS * COLUMNS;
    keys = dmi_min(dmi_max(keys, COLUMNS), BLOCK_KEYS_MAX);
    return dmi_min(keys, dmi_round_up(job->pixels, COLUMNS));
}

/* Keys of a group, whole panels: two groups from 129 pixels on, four from 1024. */
static int32_t group_keys(const dmi_attention_job *job) {
    int32_t groups = job->pixels >= 1024 ? 4 : job->pixels > QUERIES ? 2 : 1;
    return dmi_round_up(dmi_divide_up(job->pixels, groups), COLUMNS);
}

static int32_t group_count(const dmi_attention_job *job) {
    return dmi_divide_up(job->pixels, group_keys(job));
}

static bool groups_are_tasks(const dmi_attention_job *job) {
    return group_count(job) > 1 && dmi_attention_pairs(job) <= FEW_PAIRS;
}

/* ---- memory ---- */

/* One worker's: k^T, v^T, dk^T and dv^T of a block of keys, each [panels][width, COLUMNS], and a
 * panel of p and of ds, each [QUERIES, COLUMNS]. */
typedef struct backward_scratch {
    float *k, *v, *dk, *dv, *p, *ds;
} backward_scratch;

static size_t block_floats(const dmi_attention_job *job) {
    return (size_t)block_keys(job) * (size_t)job->width;
}

static size_t score_floats(const dmi_attention_job *job) {
    return (size_t)dmi_min(job->pixels, QUERIES) * COLUMNS;
}

static size_t backward_floats(const dmi_attention_job *job) {
    return 4 * block_floats(job) + 2 * score_floats(job);
}

static backward_scratch scratch_of(const dmi_attention_job *job, int32_t worker) {
    backward_scratch s = {.k = job->work + (size_t)worker * job->worker_floats};
    s.v = s.k + block_floats(job);
    s.dk = s.v + block_floats(job);
    s.dv = s.dk + block_floats(job);
    s.p = s.dv + block_floats(job);
    s.ds = s.p + score_floats(job);
    return s;
}

/* A partial sum of dq [pixels, width]. */
static size_t partial_sum_floats(const dmi_attention_job *job) {
    return dmi_align_floats((size_t)job->pixels * (size_t)job->width);
}

/* One partial sum for each group after the first of each pair, or one for each worker. */
static size_t partial_floats(const dmi_attention_job *job, int32_t threads) {
    size_t after_first = (size_t)group_count(job) - 1, floats = partial_sum_floats(job);
    if (groups_are_tasks(job)) return (size_t)dmi_attention_pairs(job) * after_first * floats;
    return after_first ? (size_t)threads * floats : 0;
}

static size_t scratch_floats(const dmi_attention_job *job, int32_t threads) {
    return (size_t)threads * dmi_align_floats(backward_floats(job));
}

size_t dmi_attention_backward_work(const dmi_attention_job *job, int32_t threads) {
    return scratch_floats(job, threads) + partial_floats(job, threads) +
           dmi_align_floats(dmi_attention_query_floats(job));
}

/* ---- one block of keys ---- */

/* Where a pair's dq [pixels, width] is written, or added to; data NULL: it is not computed. */
typedef struct query_gradient {
    float *data;
    size_t stride; /* of rows */
    bool add;
} query_gradient;

/* One panel of the keys in scratch: its first key, how many it has, and the panel's number. */
typedef struct key_panel {
    int32_t first, keys, panel;
} key_panel;

/* The block of queries from `row` on with one panel of keys. The panel's dk and dv are written by
 * the first block of queries and added to by the others. */
static void attend(const dmi_attention_job *job, const backward_scratch *s, int32_t pair,
                   int32_t row, key_panel panel, query_gradient dq) {
    const dmi_product *product = job->kernels->product;
    int32_t rows = dmi_min(job->pixels - row, QUERIES), width = job->width;
    size_t c = (size_t)job->channels, offset = dmi_attention_offset(job, pair, row);
    size_t query = (size_t)pair * (size_t)job->pixels + (size_t)row; /* in lse and delta */
    size_t at = (size_t)panel.panel * dmi_attention_panel_floats(job);
    const float *q = job->input[Q] + offset, *dy = job->dy + offset;
    product->multiply(s->p, COLUMNS, q, c, s->k + at, COLUMNS, rows, COLUMNS, width, false);
    product->multiply(s->ds, COLUMNS, dy, c, s->v + at, COLUMNS, rows, COLUMNS, width, false);
    job->kernels->softmax_gradient(s->p, s->ds, job->lse + query, job->delta + query, job->scale,
                                   rows);
    if (job->gradient[V])
        product->multiply_transposed(s->dv + at, COLUMNS, dy, c, s->p, COLUMNS, width, COLUMNS,
                                     rows, row > 0);
    if (job->gradient[K])
        product->multiply_transposed(s->dk + at, COLUMNS, q, c, s->ds, COLUMNS, width, COLUMNS,
                                     rows, row > 0);
    if (dq.data)
        product->multiply(dq.data + (size_t)row * dq.stride, dq.stride, s->ds, COLUMNS,
                          job->input[K] + dmi_attention_offset(job, pair, panel.first), c, rows,
                          width, panel.keys, dq.add);
}

/* dk or dv of `keys` keys from `key` on, from its panels [panels][width, COLUMNS]. */
static void write_gradient(const dmi_attention_job *job, int32_t input, int32_t pair, int32_t key,
                           int32_t keys, const float *panels) {
    if (!job->gradient[input]) return;
    for (int32_t i = 0; i < keys; i += COLUMNS, panels += dmi_attention_panel_floats(job)) {
        float *to = job->gradient[input] + dmi_attention_offset(job, pair, key + i);
        job->kernels->panel_to_rows(to, (size_t)job->channels, panels, dmi_min(keys - i, COLUMNS),
                                    job->width, job->accumulates[input]);
    }
}

/* Gradients of one group's keys and values, and its partial sum of dq. */
static void group_backward(const dmi_attention_job *job, int32_t pair, int32_t group,
                           int32_t worker, query_gradient dq) {
    backward_scratch s = scratch_of(job, worker);
    int32_t begin = group * group_keys(job), end = dmi_min(begin + group_keys(job), job->pixels);
    for (int32_t key = begin; key < end; key += block_keys(job)) {
        int32_t keys = dmi_min(end - key, block_keys(job));
        size_t offset = dmi_attention_offset(job, pair, key);
        dmi_attention_transpose(job, s.k, job->input[K] + offset, keys);
        dmi_attention_transpose(job, s.v, job->input[V] + offset, keys);
        for (int32_t row = 0; row < job->pixels; row += QUERIES)
            for (int32_t i = 0; i < dmi_attention_panels(keys); i++) {
                key_panel panel = {.first = key + i * COLUMNS,
                                   .keys = dmi_min(keys - i * COLUMNS, COLUMNS),
                                   .panel = i};
                query_gradient sum = {dq.data, dq.stride, dq.add || key > begin || i > 0};
                attend(job, &s, pair, row, panel, sum);
            }
        write_gradient(job, K, pair, key, keys, s.dk);
        write_gradient(job, V, pair, key, keys, s.dv);
    }
}

/* ---- partial sums of dq ---- */

/* The number of the partial sum of a group after the first, where groups are tasks. */
static int32_t partial_of(const dmi_attention_job *job, int32_t pair, int32_t group) {
    return pair * (group_count(job) - 1) + group - 1;
}

/* Where a group's sum goes: the first group's to dq itself, another's to partial sum `partial`. */
static query_gradient target_of(const dmi_attention_job *job, int32_t pair, int32_t group,
                                int32_t partial) {
    if (!job->gradient[Q]) return (query_gradient){.data = NULL};
    if (group == 0)
        return (query_gradient){.data = job->gradient[Q] + dmi_attention_offset(job, pair, 0),
                                .stride = (size_t)job->channels,
                                .add = job->accumulates[Q]};
    return (query_gradient){.data = job->partial + (size_t)partial * partial_sum_floats(job),
                            .stride = (size_t)job->width};
}

/* Rows `row` to row + rows - 1 of dq += those of a partial sum. */
static void add_partial(const dmi_attention_job *job, int32_t pair, int32_t row, int32_t rows,
                        int32_t partial) {
    query_gradient sum = target_of(job, pair, 1, partial);
    if (!sum.data) return;
    job->kernels->copy_rows(job->gradient[Q] + dmi_attention_offset(job, pair, row),
                            (size_t)job->channels, sum.data + (size_t)row * sum.stride, sum.stride,
                            (size_t)rows, sum.stride, true);
}

/* ---- tasks ---- */

/* A block of queries of a pair. */
typedef struct query_block {
    int32_t pair, row, rows;
} query_block;

static query_block query_block_of(const dmi_attention_job *job, int32_t task) {
    query_block b = {.pair = task / dmi_attention_blocks(job),
                     .row = task % dmi_attention_blocks(job) * QUERIES};
    b.rows = dmi_min(job->pixels - b.row, QUERIES);
    return b;
}

/* For each block of queries: delta = rowsum(dy o y). */
static void delta_task(void *data, int32_t task, int32_t worker) {
    const dmi_attention_job *job = data;
    (void)worker;
    query_block b = query_block_of(job, task);
    size_t offset = dmi_attention_offset(job, b.pair, b.row), c = (size_t)job->channels;
    job->kernels->row_dot(job->delta + (size_t)b.pair * (size_t)job->pixels + b.row,
                          job->dy + offset, c, job->o + offset, c, b.rows, job->width);
}

/* For each pair: its groups in turn. */
static void pair_task(void *data, int32_t pair, int32_t worker) {
    const dmi_attention_job *job = data;
    for (int32_t group = 0; group < group_count(job); group++) {
        group_backward(job, pair, group, worker, target_of(job, pair, group, worker));
        if (group > 0) add_partial(job, pair, 0, job->pixels, worker);
    }
}

/* For each group of each pair. */
static void group_task(void *data, int32_t task, int32_t worker) {
    const dmi_attention_job *job = data;
    int32_t pair = task / group_count(job), group = task % group_count(job);
    query_gradient dq = target_of(job, pair, group, partial_of(job, pair, group));
    group_backward(job, pair, group, worker, dq);
}

/* For each block of queries, after group_task: dq += the partial sums, in order. */
static void sum_task(void *data, int32_t task, int32_t worker) {
    const dmi_attention_job *job = data;
    (void)worker;
    query_block b = query_block_of(job, task);
    for (int32_t group = 1; group < group_count(job); group++)
        add_partial(job, b.pair, b.row, b.rows, partial_of(job, b.pair, group));
}

void dmi_attention_run_backward(dmi_pool *pool, dmi_attention_job *job) {
    int32_t pairs = dmi_attention_pairs(job), blocks = dmi_attention_blocks(job);
    int32_t threads = dmi_pool_threads(pool);
    job->worker_floats = dmi_align_floats(backward_floats(job));
    job->partial = job->work + scratch_floats(job, threads);
    job->delta = job->partial + partial_floats(job, threads);
    dmi_parallel(pool, pairs * blocks, delta_task, job);
    if (!groups_are_tasks(job)) {
        dmi_parallel(pool, pairs, pair_task, job);
        return;
    }
    dmi_parallel(pool, pairs * group_count(job), group_task, job);
    dmi_parallel(pool, pairs * blocks, sum_task, job);
}
