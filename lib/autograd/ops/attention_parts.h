/* What the passes of attention share: the job, and how it is cut. A head of a picture is a `pair`;
 * its q, k, v and y are [pixels, width] with rows `channels` apart. Cuts depend on pixels and width
 * alone, so a picture's bits depend neither on the others nor on the threads.
 *
 * All is done on panels of DMI_SOFTMAX_COLUMNS columns, which stay in L1 from product to softmax to
 * product. What a product needs turned over is made once for a task, in its worker's scratch: the
 * queries in forward, keys and values in backward. Columns beyond the last pixel are zeros there,
 * and are computed along. */
#ifndef DMI_AUTOGRAD_OPS_ATTENTION_PARTS_H
#define DMI_AUTOGRAD_OPS_ATTENTION_PARTS_H

#include "autograd/graph.h"
#include "kernels/product.h"

enum { DMI_ATTENTION_Q, DMI_ATTENTION_K, DMI_ATTENTION_V };

typedef struct dmi_attention_job {
    const dmi_kernels *kernels;
    int32_t pictures, pixels, channels, heads, width; /* width: channels of a head */
    float scale;
    const float *input[3], *o, *dy;
    float *y, *lse;             /* lse [pictures, heads, pixels] */
    float *gradient[3], *delta; /* delta [pictures, heads, pixels] */
    bool adds[3];
    float *work;    /* of one worker after another, `worker_floats` each */
    float *partial; /* dq of groups of keys beyond the first, see attention_backward.c */
    size_t worker_floats;
} dmi_attention_job;

/* Queries that go through the products together: enough rows to fill the tiles, and few enough that
 * the panels of scores stay in L1. */
enum { DMI_ATTENTION_QUERIES = 128 };

/* Floats: scratch of one worker, whole cache lines, and what backward needs beside the workers. */
size_t dmi_attention_forward_floats(const dmi_attention_job *job);
size_t dmi_attention_backward_floats(const dmi_attention_job *job);
size_t dmi_attention_partial_floats(const dmi_attention_job *job, int32_t threads);

void dmi_attention_run_forward(dmi_pool *pool, dmi_attention_job *job);
void dmi_attention_run_backward(dmi_pool *pool, dmi_attention_job *job);

static inline int32_t dmi_attention_pairs(const dmi_attention_job *job) {
    return job->pictures * job->heads;
}

static inline int32_t dmi_attention_blocks(const dmi_attention_job *job) {
    return (job->pixels + DMI_ATTENTION_QUERIES - 1) / DMI_ATTENTION_QUERIES;
}

static inline int32_t dmi_attention_panels(int32_t columns) {
    return (columns + DMI_SOFTMAX_COLUMNS - 1) / DMI_SOFTMAX_COLUMNS;
}

static inline int32_t dmi_attention_smaller(int32_t a, int32_t b) { return a < b ? a : b; }

/* Floats of a panel [width, columns]. */
static inline size_t dmi_attention_panel_floats(const dmi_attention_job *job) {
    return (size_t)job->width * DMI_SOFTMAX_COLUMNS;
}

/* Where pixel `row` of a pair stands in q, k, v and y. */
static inline size_t dmi_attention_at(const dmi_attention_job *job, int32_t pair, int32_t row) {
    size_t pixel = (size_t)(pair / job->heads) * (size_t)job->pixels + (size_t)row;
    return pixel * (size_t)job->channels + (size_t)(pair % job->heads) * (size_t)job->width;
}

/* `rows` rows of a pair as panels [width, columns], one behind another. */
static inline void dmi_attention_turn(const dmi_attention_job *job, float *panels,
                                      const float *from, int32_t rows) {
    size_t c = (size_t)job->channels, floats = dmi_attention_panel_floats(job);
    for (int32_t row = 0; row < rows; row += DMI_SOFTMAX_COLUMNS, panels += floats) {
        int32_t columns = dmi_attention_smaller(rows - row, DMI_SOFTMAX_COLUMNS);
        job->kernels->rows_to_panel(panels, from + (size_t)row * c, c, columns, job->width);
    }
}

#endif
