/* SPDX-License-Identifier: MIT */
/* What attention's forward and backward share: the job and its partition. A `pair` is one head of
 * one image; its q, k, v and y are matrices [pixels, width] with a row stride of `channels`. The
 * partition depends on pixels and width only, so an image's bits depend neither on its batch nor on
 * the threads.
 *
 * All is computed on panels of DMI_SOFTMAX_COLUMNS columns, which stay in L1 from product to
 * softmax to product. An operand that a product needs transposed is transposed once for each task,
 * into the worker's scratch: the queries in forward, keys and values in backward. A panel's columns
 * beyond the last pixel are zero, and are computed like the others. */
#ifndef DMI_AUTOGRAD_OPS_ATTENTION_JOB_H
#define DMI_AUTOGRAD_OPS_ATTENTION_JOB_H

#include "autograd/graph.h"
#include "kernels/product.h"

enum { DMI_ATTENTION_Q, DMI_ATTENTION_K, DMI_ATTENTION_V };

typedef struct dmi_attention_job {
    const dmi_kernels *kernels;
    int32_t images, pixels, channels, heads;
    int32_t width;              /* channels of a head */
    float scale;                /* of the scores */
    const float *input[3];      /* q, k, v [images, pixels, channels] */
    float *y;                   /* forward: the output [images, pixels, channels] */
    float *lse;                 /* log-sum-exp of each query's scores [images, heads, pixels] */
    const float *o, *dy;        /* backward: y and its gradient [images, pixels, channels] */
    float *gradient[3], *delta; /* dq, dk, dv or NULL; delta [images, heads, pixels] */
    bool accumulates[3];        /* the gradient is added to */
    float *work;                /* [workers, worker_floats] */
    float *partial;             /* partial sums of dq, see attention_backward.c */
    size_t worker_floats;
} dmi_attention_job;

/* Queries of a block, which go through the products together: enough rows to fill the tiles, few
 * enough for the panels of scores to stay in L1. */
enum { DMI_ATTENTION_QUERIES = 128 };

/* Sizes in floats of lse, and of what forward and backward need at `work`. */
size_t dmi_attention_query_floats(const dmi_attention_job *job);
size_t dmi_attention_forward_work(const dmi_attention_job *job, int32_t threads);
size_t dmi_attention_backward_work(const dmi_attention_job *job, int32_t threads);

/* The caller sets all members of the job but worker_floats, and for backward partial and delta,
 * which are part of `work`. */
void dmi_attention_run_forward(dmi_pool *pool, dmi_attention_job *job);
void dmi_attention_run_backward(dmi_pool *pool, dmi_attention_job *job);

/* Checks that the inputs q, k and v of a node differ, and have one shape whose pixels can be
 * counted. */
int32_t dmi_attention_check(const dmi_graph *graph, const dmi_node *node);

static inline int32_t dmi_attention_pairs(const dmi_attention_job *job) {
    return job->images * job->heads;
}

/* Blocks of queries of a pair. */
static inline int32_t dmi_attention_blocks(const dmi_attention_job *job) {
    return dmi_divide_up(job->pixels, DMI_ATTENTION_QUERIES);
}

static inline int32_t dmi_attention_panels(int32_t columns) {
    return dmi_divide_up(columns, DMI_SOFTMAX_COLUMNS);
}

/* Floats of a panel [width, columns]. */
static inline size_t dmi_attention_panel_floats(const dmi_attention_job *job) {
    return (size_t)job->width * DMI_SOFTMAX_COLUMNS;
}

/* The offset of pixel `row` of a pair in q, k, v and y. */
static inline size_t dmi_attention_offset(const dmi_attention_job *job, int32_t pair, int32_t row) {
    size_t pixel = (size_t)(pair / job->heads) * (size_t)job->pixels + (size_t)row;
    return pixel * (size_t)job->channels + (size_t)(pair % job->heads) * (size_t)job->width;
}

/* panels [panels][width, columns] = `rows` rows of a pair, from [rows, width], transposed. */
static inline void dmi_attention_transpose(const dmi_attention_job *job, float *panels,
                                           const float *from, int32_t rows) {
    size_t c = (size_t)job->channels, floats = dmi_attention_panel_floats(job);
    for (int32_t row = 0; row < rows; row += DMI_SOFTMAX_COLUMNS, panels += floats) {
        int32_t columns = dmi_min(rows - row, DMI_SOFTMAX_COLUMNS);
        job->kernels->rows_to_panel(panels, from + (size_t)row * c, c, columns, job->width);
    }
}

#endif
