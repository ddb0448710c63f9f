/* SPDX-License-Identifier: MIT */
/* Attention forward: blocks of keys with a running softmax (Dao et al. 2022, FlashAttention,
 * algorithm 1; the division by the sum is left to the end, as in Dao 2023,
 * FlashAttention-2, 3.1.1). Scores are computed transposed, s^T = k q^T, one query a column:
 * maximum and sum are taken along columns, and o^T = v^T s^T fills the vectors whatever the width
 * of a head. */
#include "autograd/ops/attention_job.h"

enum { KEYS = 256, COLUMNS = DMI_SOFTMAX_COLUMNS, QUERIES = DMI_ATTENTION_QUERIES };

/* One worker's, for a block of queries: q^T and o^T [panels][width, COLUMNS], each query's maximum
 * and sum [panels, COLUMNS], and one panel of scores [KEYS, COLUMNS]. */
typedef struct forward_scratch {
    float *q, *o, *max, *sum, *scores;
} forward_scratch;

static int32_t scratch_panels(const dmi_attention_job *job) {
    return dmi_attention_panels(dmi_min(job->pixels, QUERIES));
}

static size_t forward_floats(const dmi_attention_job *job) {
    size_t of_panel = 2 * (dmi_attention_panel_floats(job) + COLUMNS);
    return (size_t)scratch_panels(job) * of_panel + (size_t)dmi_min(job->pixels, KEYS) * COLUMNS;
}

static forward_scratch scratch_of(const dmi_attention_job *job, int32_t worker) {
    size_t panels = (size_t)scratch_panels(job), floats = panels * dmi_attention_panel_floats(job);
    forward_scratch s = {.q = job->work + (size_t)worker * job->worker_floats};
    s.o = s.q + floats;
    s.max = s.o + floats;
    s.sum = s.max + panels * COLUMNS;
    s.scores = s.sum + panels * COLUMNS;
    return s;
}

/* One panel of queries attends to `keys` keys and values [keys, width] (row stride channels). */
static void attend(const dmi_attention_job *job, const forward_scratch *s, int32_t panel,
                   const float *k, const float *v, int32_t keys, bool first) {
    const dmi_product *product = job->kernels->product;
    size_t c = (size_t)job->channels, at = (size_t)panel * dmi_attention_panel_floats(job);
    product->multiply(s->scores, COLUMNS, k, c, s->q + at, COLUMNS, keys, COLUMNS, job->width,
                      false);
    job->kernels->softmax_block(s->scores, s->o + at, s->max + (size_t)panel * COLUMNS,
                                s->sum + (size_t)panel * COLUMNS, job->scale, keys, job->width,
                                first);
    product->multiply_transposed(s->o + at, COLUMNS, v, c, s->scores, COLUMNS, job->width, COLUMNS,
                                 keys, !first);
}

/* For each block of queries of each pair. */
static void forward_task(void *data, int32_t task, int32_t worker) {
    const dmi_attention_job *job = data;
    int32_t pair = task / dmi_attention_blocks(job),
            row = task % dmi_attention_blocks(job) * QUERIES;
    int32_t rows = dmi_min(job->pixels - row, QUERIES), panels = dmi_attention_panels(rows);
    forward_scratch s = scratch_of(job, worker);
    dmi_attention_transpose(job, s.q,
                            job->input[DMI_ATTENTION_Q] + dmi_attention_offset(job, pair, row),
                            rows);
    for (int32_t key = 0; key < job->pixels; key += KEYS) {
        size_t at = dmi_attention_offset(job, pair, key);
        int32_t keys = dmi_min(job->pixels - key, KEYS);
        for (int32_t panel = 0; panel < panels; panel++)
            attend(job, &s, panel, job->input[DMI_ATTENTION_K] + at,
                   job->input[DMI_ATTENTION_V] + at, keys, key == 0);
    }
    float *lse = job->lse + (size_t)pair * (size_t)job->pixels + row;
    for (int32_t panel = 0, first = 0; panel < panels; panel++, first += COLUMNS) {
        int32_t queries = dmi_min(rows - first, COLUMNS);
        float *o = s.o + (size_t)panel * dmi_attention_panel_floats(job);
        job->kernels->softmax_finish(o, lse + first, s.max + first, s.sum + first, job->scale,
                                     job->width, queries);
        job->kernels->panel_to_rows(job->y + dmi_attention_offset(job, pair, row + first),
                                    (size_t)job->channels, o, queries, job->width, false);
    }
}

size_t dmi_attention_query_floats(const dmi_attention_job *job) {
    return (size_t)job->images * (size_t)job->heads * (size_t)job->pixels;
}

size_t dmi_attention_forward_work(const dmi_attention_job *job, int32_t threads) {
    return (size_t)threads * dmi_align_floats(forward_floats(job));
}

void dmi_attention_run_forward(dmi_pool *pool, dmi_attention_job *job) {
    job->worker_floats = dmi_align_floats(forward_floats(job));
    dmi_parallel(pool, dmi_attention_pairs(job) * dmi_attention_blocks(job), forward_task, job);
}
