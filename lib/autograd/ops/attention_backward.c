/* Attention backward (Dao et al. 2022, FlashAttention, appendix B.2 and algorithm 4). For a block
 * of keys and all queries:
 *
 *     s  = q k^T                     p  = exp(scale (s - lse))     (from the log-sum-exp: Dao 2023,
 * FlashAttention-2, 3.1.2) dv = p^T dy                    dp = dy v^T ds = p o (dp - delta) delta =
 * rowsum(dy o y) dq = scale ds k                dk = scale ds^T q
 *
 * Keys are cut into groups, and dq is the sum of the groups' parts in order. Up to FEW_PAIRS pairs
 * of picture and head the groups are tasks, and each group beyond the first has a place for its
 * part; else one task goes through the groups of a pair, and its worker has one place. The sums are
 * the same, so the bits are. */
#include "autograd/ops/attention_parts.h"

enum {
    COLUMNS = DMI_SOFTMAX_COLUMNS,
    QUERIES = DMI_ATTENTION_QUERIES,
    BLOCK_FLOATS = 16384, /* of each of the four parts that a block of keys has in scratch, so that
                             they fit in L2 */
    BLOCK_MOST = 128,
    FEW_PAIRS = 4
};

enum { Q = DMI_ATTENTION_Q, K = DMI_ATTENTION_K, V = DMI_ATTENTION_V };

/* Of one worker: k^T, v^T, dk^T and dv^T of a block of keys, panels one behind another, and a panel
 * of p and of ds. */
typedef struct backward_scratch {
    float *k, *v, *dk, *dv, *p, *ds;
} backward_scratch;

static int32_t block_keys(const dmi_attention_job *job) {
    int32_t keys = BLOCK_FLOATS / job->width / COLUMNS * COLUMNS;
    if (keys < COLUMNS) keys = COLUMNS;
    if (keys > BLOCK_MOST) keys = BLOCK_MOST;
    return dmi_attention_smaller(keys, dmi_attention_panels(job->pixels) * COLUMNS);
}

/* Keys of a group: two groups from 129 pixels on, four from 1024. */
static int32_t group_keys(const dmi_attention_job *job) {
    int32_t groups = job->pixels >= 1024 ? 4 : job->pixels > QUERIES ? 2 : 1;
    return dmi_attention_panels((job->pixels + groups - 1) / groups) * COLUMNS;
}

static int32_t group_count(const dmi_attention_job *job) {
    return (job->pixels + group_keys(job) - 1) / group_keys(job);
}

static bool groups_are_tasks(const dmi_attention_job *job) {
    return group_count(job) > 1 && dmi_attention_pairs(job) <= FEW_PAIRS;
}

static size_t query_floats(const dmi_attention_job *job) {
    return (size_t)dmi_attention_smaller(job->pixels, QUERIES) * COLUMNS;
}

size_t dmi_attention_backward_floats(const dmi_attention_job *job) {
    return 4 * (size_t)block_keys(job) * (size_t)job->width + 2 * query_floats(job);
}

/* A part of dq [pixels, width] for each group beyond the first of each pair, or for each worker. */
size_t dmi_attention_partial_floats(const dmi_attention_job *job, int32_t threads) {
    size_t part = dmi_lines((size_t)job->pixels * (size_t)job->width),
           beyond = (size_t)group_count(job) - 1;
    if (groups_are_tasks(job)) return (size_t)dmi_attention_pairs(job) * beyond * part;
    return beyond ? (size_t)threads * part : 0;
}

static backward_scratch scratch_of(const dmi_attention_job *job, int32_t worker) {
    size_t floats = (size_t)block_keys(job) * (size_t)job->width;
    backward_scratch s = {.k = job->work + (size_t)worker * job->worker_floats};
    s.v = s.k + floats;
    s.dk = s.v + floats;
    s.dv = s.dk + floats;
    s.p = s.dv + floats;
    s.ds = s.p + query_floats(job);
    return s;
}

/* Where a pair's gradient by the queries goes: rows `stride` apart, added where `add`. */
typedef struct query_gradient {
    float *data;
    size_t stride;
    bool add;
} query_gradient;

/* A block of queries and one panel of keys, the first of which is `key`. */
static void attend(const dmi_attention_job *job, const backward_scratch *s, int32_t pair,
                   int32_t row, int32_t key, size_t panel, int32_t keys, query_gradient dq) {
    const dmi_product *product = job->kernels->product;
    int32_t rows = dmi_attention_smaller(job->pixels - row, QUERIES), width = job->width;
    size_t c = (size_t)job->channels, at = dmi_attention_at(job, pair, row),
           saved = (size_t)pair * (size_t)job->pixels;
    const float *q = job->input[Q] + at, *dy = job->dy + at;
    panel *= dmi_attention_panel_floats(job);
    product->multiply(s->p, COLUMNS, q, c, s->k + panel, COLUMNS, rows, COLUMNS, width, false);
    product->multiply(s->ds, COLUMNS, dy, c, s->v + panel, COLUMNS, rows, COLUMNS, width, false);
    job->kernels->softmax_gradient(s->p, s->ds, job->lse + saved + row, job->delta + saved + row,
                                   job->scale, rows);
    if (job->gradient[V])
        product->multiply_transposed(s->dv + panel, COLUMNS, dy, c, s->p, COLUMNS, width, COLUMNS, rows,
                                 row > 0);
    if (job->gradient[K])
        product->multiply_transposed(s->dk + panel, COLUMNS, q, c, s->ds, COLUMNS, width, COLUMNS, rows,
                                 row > 0);
    if (dq.data)
        product->multiply(dq.data + (size_t)row * dq.stride, dq.stride, s->ds, COLUMNS,
                          job->input[K] + dmi_attention_at(job, pair, key), c, rows, width, keys,
                          dq.add);
}

/* The gradient of `keys` keys or values from its panels. */
static void write_gradient(const dmi_attention_job *job, int32_t input, int32_t pair, int32_t key,
                           int32_t keys, const float *panels) {
    if (!job->gradient[input]) return;
    for (int32_t i = 0; i < keys; i += COLUMNS, panels += dmi_attention_panel_floats(job)) {
        float *to = job->gradient[input] + dmi_attention_at(job, pair, key + i);
        job->kernels->panel_to_rows(to, (size_t)job->channels, panels,
                                    dmi_attention_smaller(keys - i, COLUMNS), job->width,
                                    job->adds[input]);
    }
}

static void group_backward(const dmi_attention_job *job, int32_t pair, int32_t group,
                           int32_t worker, query_gradient dq) {
    backward_scratch s = scratch_of(job, worker);
    int32_t begin = group * group_keys(job),
            end = dmi_attention_smaller(begin + group_keys(job), job->pixels);
    for (int32_t key = begin; key < end; key += block_keys(job)) {
        int32_t keys = dmi_attention_smaller(end - key, block_keys(job));
        dmi_attention_turn(job, s.k, job->input[K] + dmi_attention_at(job, pair, key), keys);
        dmi_attention_turn(job, s.v, job->input[V] + dmi_attention_at(job, pair, key), keys);
        for (int32_t row = 0; row < job->pixels; row += QUERIES)
            for (int32_t panel = 0; panel < dmi_attention_panels(keys); panel++) {
                int32_t first = panel * COLUMNS;
                query_gradient part = {dq.data, dq.stride, dq.add || key > begin || panel > 0};
                attend(job, &s, pair, row, key + first, (size_t)panel,
                       dmi_attention_smaller(keys - first, COLUMNS), part);
            }
        write_gradient(job, K, pair, key, keys, s.dk);
        write_gradient(job, V, pair, key, keys, s.dv);
    }
}

/* Of group `group`: the first writes where the gradient shall be, the others into place number
 * `place`. */
static query_gradient target_of(const dmi_attention_job *job, int32_t pair, int32_t group,
                                int32_t place) {
    query_gradient dq = {.stride = (size_t)job->channels, .add = job->adds[Q]};
    if (!job->gradient[Q]) return dq;
    if (group == 0) {
        dq.data = job->gradient[Q] + dmi_attention_at(job, pair, 0);
        return dq;
    }
    size_t part = dmi_lines((size_t)job->pixels * (size_t)job->width);
    return (query_gradient){.data = job->partial + (size_t)place * part,
                            .stride = (size_t)job->width};
}

static void add_part(const dmi_attention_job *job, int32_t pair, int32_t row, int32_t rows,
                     int32_t place) {
    query_gradient part = target_of(job, pair, 1, place);
    if (part.data)
        job->kernels->copy_rows(job->gradient[Q] + dmi_attention_at(job, pair, row),
                                (size_t)job->channels, part.data + (size_t)row * part.stride,
                                part.stride, (size_t)rows, part.stride, true);
}

/* Task: pair. */
static void pair_task(void *data, int32_t pair, int32_t worker) {
    const dmi_attention_job *job = data;
    for (int32_t group = 0; group < group_count(job); group++) {
        group_backward(job, pair, group, worker, target_of(job, pair, group, worker));
        if (group > 0) add_part(job, pair, 0, job->pixels, worker);
    }
}

static int32_t place_of(const dmi_attention_job *job, int32_t pair, int32_t group) {
    return pair * (group_count(job) - 1) + group - 1;
}

/* Task: pair, group of keys. */
static void group_task(void *data, int32_t task, int32_t worker) {
    const dmi_attention_job *job = data;
    int32_t pair = task / group_count(job), group = task % group_count(job);
    group_backward(job, pair, group, worker,
                   target_of(job, pair, group, place_of(job, pair, group)));
}

/* Tasks: pair, block of queries. */
static void delta_task(void *data, int32_t task, int32_t worker) {
    const dmi_attention_job *job = data;
    (void)worker;
    int32_t pair = task / dmi_attention_blocks(job),
            row = task % dmi_attention_blocks(job) * QUERIES;
    size_t at = dmi_attention_at(job, pair, row), c = (size_t)job->channels;
    job->kernels->row_dot(job->delta + (size_t)pair * (size_t)job->pixels + row, job->dy + at, c,
                          job->o + at, c, dmi_attention_smaller(job->pixels - row, QUERIES),
                          job->width);
}

static void sum_task(void *data, int32_t task, int32_t worker) {
    const dmi_attention_job *job = data;
    (void)worker;
    int32_t pair = task / dmi_attention_blocks(job),
            row = task % dmi_attention_blocks(job) * QUERIES;
    for (int32_t group = 1; group < group_count(job); group++)
        add_part(job, pair, row, dmi_attention_smaller(job->pixels - row, QUERIES),
                 place_of(job, pair, group));
}

void dmi_attention_run_backward(dmi_pool *pool, dmi_attention_job *job) {
    int32_t pairs = dmi_attention_pairs(job), blocks = dmi_attention_blocks(job);
    job->worker_floats = dmi_lines(dmi_attention_backward_floats(job));
    dmi_parallel(pool, pairs * blocks, delta_task, job);
    if (!groups_are_tasks(job)) {
        dmi_parallel(pool, pairs, pair_task, job);
        return;
    }
    dmi_parallel(pool, pairs * group_count(job), group_task, job);
    dmi_parallel(pool, pairs * blocks, sum_task, job);
}
