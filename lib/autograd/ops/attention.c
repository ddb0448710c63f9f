/* Attention over the pixels of each picture, softmax(q k^T / sqrt(d)) v with d = c / heads (Vaswani et al. 2017, eq. 1).
 * Scores exist only for a block of query rows at a time; forward keeps their log-sum-exp, from which backward makes the
 * same block again (Dao et al. 2022, FlashAttention, appendix B.2: dS = P o (dP - rowsum(dO o O))). */
#include "autograd/ops.h"

#include <math.h>

#include "autograd/ops/expect.h"
#include "kernels/gemm.h"

enum { Q, K, V };

typedef struct attention_job {
    const dmi_kernels *kernels;
    int32_t pixels, channels, heads, width; /* width: channels of a head */
    int32_t rows, blocks;                   /* query rows of a block; blocks of a picture */
    float scale;
    const float *input[3], *o, *dy;
    float *y, *lse;                         /* lse [n, heads, pixels] */
    float *gradient[3];
    bool adds[3];
    float *work;                            /* of one worker after another, `worker_floats` each */
    size_t worker_floats;
} attention_job;

static int32_t attention_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape q = dmi_input_shape(graph, node, Q);
    int32_t heads = node->attr.attention.heads;
    if (heads < 1 || q.c % heads)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT, "attention: %d heads do not divide %d channels", (int)heads,
                        (int)q.c);
    if (q.w < 1 || q.h > INT32_MAX / q.w)
        return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED, "attention: %d x %d pixels are too many", (int)q.h, (int)q.w);
    if (node->inputs[Q] == node->inputs[K] || node->inputs[Q] == node->inputs[V] || node->inputs[K] == node->inputs[V])
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "attention: q, k and v are values %d, %d and %d; they must differ, as their gradients grow together",
                        (int)node->inputs[Q], (int)node->inputs[K], (int)node->inputs[V]);
    int32_t status = dmi_expect_shape(graph, node, K, "k", q);
    if (!status) status = dmi_expect_shape(graph, node, V, "v", q);
    *output = q;
    return status;
}

/* Query rows of a block: 256 KiB of scores, so that they stay in L2 between the products and the softmax, but no fewer
 * than a product can use well. */
static int32_t block_rows(int32_t pixels) {
    int32_t rows = 65536 / pixels;
    if (rows > 128) rows = 128;
    if (rows < 32) rows = 32;
    return rows < pixels ? rows : pixels;
}

/* Scratch of one worker, whole cache lines: a block of scores; in backward another of their gradient, and delta. */
static size_t worker_floats(int32_t pixels, bool backward) {
    size_t rows = (size_t)block_rows(pixels), scores = rows * (size_t)pixels;
    return dmi_lines(backward ? 2 * scores + rows : scores);
}

static void attention_needs(const dmi_graph *graph, const dmi_node *node, bool train, dmi_needs *needs) {
    dmi_shape q = dmi_input_shape(graph, node, Q);
    size_t threads = (size_t)dmi_pool_threads(graph->host->pool);
    needs->saved = (size_t)q.n * (size_t)node->attr.attention.heads * (size_t)q.h * (size_t)q.w;
    needs->forward_work = threads * worker_floats(q.h * q.w, false);
    if (train) needs->backward_work = threads * worker_floats(q.h * q.w, true);
    needs->reads = 1u << Q | 1u << K | 1u << V | DMI_READS_OUTPUT;
}

/* The score block s = q k^T, before scale and softmax, of `rows` queries at q. */
static void score(const attention_job *job, float *s, const float *q, const float *k, int32_t rows) {
    dmi_gemm(false, true, rows, job->pixels, job->width, q, job->channels, k, job->channels, false, s, job->pixels);
}

/* Task: picture, head, block of query rows. */
static void forward_task(void *data, int32_t task, int32_t worker) {
    const attention_job *job = data;
    int32_t row = task % job->blocks * job->rows, head = task / job->blocks % job->heads;
    size_t picture = (size_t)(task / job->blocks / job->heads), pixels = (size_t)job->pixels, c = (size_t)job->channels;
    int32_t rows = job->pixels - row < job->rows ? job->pixels - row : job->rows;
    size_t start = picture * pixels * c + (size_t)head * (size_t)job->width, block = start + (size_t)row * c;
    float *s = job->work + (size_t)worker * job->worker_floats;
    float *lse = job->lse + (picture * (size_t)job->heads + (size_t)head) * pixels + row;
    score(job, s, job->input[Q] + block, job->input[K] + start, rows);
    job->kernels->softmax_rows(s, lse, job->scale, rows, job->pixels);
    dmi_gemm(false, false, rows, job->width, job->pixels, s, job->pixels, job->input[V] + start, job->channels, false,
             job->y + block, job->channels);
}

/* Task: picture, head. Its query blocks in order, as each adds to the gradients of all keys and values. */
static void backward_task(void *data, int32_t task, int32_t worker) {
    const attention_job *job = data;
    const int32_t c = job->channels, d = job->width, pixels = job->pixels;
    size_t picture = (size_t)(task / job->heads), head = (size_t)(task % job->heads);
    size_t start = picture * (size_t)pixels * (size_t)c + head * (size_t)d;
    const float *k = job->input[K] + start, *v = job->input[V] + start;
    const float *lse = job->lse + (size_t)task * (size_t)pixels;
    float *p = job->work + (size_t)worker * job->worker_floats;
    float *dp = p + (size_t)job->rows * (size_t)pixels, *delta = dp + (size_t)job->rows * (size_t)pixels;
    for (int32_t row = 0; row < pixels; row += job->rows) {
        int32_t rows = pixels - row < job->rows ? pixels - row : job->rows;
        size_t block = start + (size_t)row * (size_t)c;
        const float *q = job->input[Q] + block, *dy = job->dy + block;
        score(job, p, q, k, rows);
        job->kernels->softmax_again(p, lse + row, job->scale, rows, pixels);
        if (job->gradient[V])
            dmi_gemm(true, false, pixels, d, rows, p, pixels, dy, c, row > 0 || job->adds[V], job->gradient[V] + start, c);
        if (!job->gradient[Q] && !job->gradient[K]) continue;
        job->kernels->row_dot(delta, dy, (size_t)c, job->o + block, (size_t)c, rows, d);
        dmi_gemm(false, true, rows, pixels, d, dy, c, v, c, false, dp, pixels);
        job->kernels->softmax_backward(dp, p, delta, job->scale, rows, pixels);
        if (job->gradient[Q])
            dmi_gemm(false, false, rows, d, pixels, dp, pixels, k, c, job->adds[Q], job->gradient[Q] + block, c);
        if (job->gradient[K])
            dmi_gemm(true, false, pixels, d, rows, dp, pixels, q, c, row > 0 || job->adds[K], job->gradient[K] + start, c);
    }
}

static attention_job attention_job_of(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape q = dmi_input_shape(graph, node, Q);
    attention_job job = {.kernels = graph->kernels, .pixels = q.h * q.w, .channels = q.c,
                         .heads = node->attr.attention.heads, .lse = dmi_saved(graph, node)};
    job.width = job.channels / job.heads;
    job.rows = block_rows(job.pixels);
    job.blocks = (job.pixels + job.rows - 1) / job.rows;
    job.scale = (float)(1.0 / sqrt((double)job.width));
    for (int32_t i = Q; i <= V; i++) job.input[i] = dmi_input(graph, node, i);
    return job;
}

static void attention_forward(dmi_graph *graph, dmi_node *node) {
    attention_job job = attention_job_of(graph, node);
    job.y = dmi_graph_data(graph, node->output);
    job.work = dmi_forward_work(graph, node);
    job.worker_floats = worker_floats(job.pixels, false);
    dmi_parallel(graph->host->pool, dmi_input_shape(graph, node, Q).n * job.heads * job.blocks, forward_task, &job);
}

static void attention_backward(dmi_graph *graph, dmi_node *node) {
    attention_job job = attention_job_of(graph, node);
    job.o = dmi_graph_data(graph, node->output);
    job.dy = dmi_graph_gradient(graph, node->output);
    for (int32_t i = Q; i <= V; i++) {
        job.gradient[i] = dmi_input_gradient(graph, node, i);
        job.adds[i] = node->adds[i];
    }
    job.work = dmi_backward_work(graph, node);
    job.worker_floats = worker_floats(job.pixels, true);
    dmi_parallel(graph->host->pool, dmi_input_shape(graph, node, Q).n * job.heads, backward_task, &job);
}

/* Two products of the pixels with one another, for each channel. */
static double attention_flop(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape q = dmi_input_shape(graph, node, Q);
    return 4.0 * (double)dmi_shape_count(q) * q.h * q.w;
}

static const dmi_op attention_op = {.name = "attention", .infer = attention_infer, .needs = attention_needs,
    .forward = attention_forward, .backward = attention_backward, .flop = attention_flop};

int32_t dmi_attention(dmi_graph *graph, dmi_value *out, dmi_value q, dmi_value k, dmi_value v, int32_t heads) {
    dmi_value inputs[] = {q, k, v};
    dmi_attributes attr = {.attention = {.heads = heads}};
    return dmi_graph_append(graph, out, &attention_op, inputs, 3, &attr);
}
