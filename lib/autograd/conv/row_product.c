/* SPDX-License-Identifier: MIT */
/* Convolution of stride 1 as one matrix product for each row of the kernel and row of the image.
 * The input is first copied with the zeros around it. There the kernel x ci inputs that a pixel
 * reads in one row are consecutive, and those of the next pixel begin ci further on: the matrix of
 * the products is the copy itself, with a row stride of ci, and nothing is gathered.
 *
 * For kernels above 3. With few input channels the products of conv/product.c, of depth ci, spend
 * their time on loading and storing y; here the depth is kernel * ci. */
#include <string.h>

#include "autograd/conv/conv.h"
#include "autograd/conv/partial_sums.h"
#include "autograd/conv/taps.h"
#include "kernels/product.h"

/* A task computes whole rows of y or dx, some TASK_PIXELS, of at most TASK_CHANNELS; or a block of
 * dw, of at most BLOCK_IN by BLOCK_OUT, where a row of the kernel is a matrix [kernel * ci, co]. */
enum { TASK_PIXELS = 64, TASK_CHANNELS = 128, BLOCK_IN = 96, BLOCK_OUT = 128 };
/* With fewer outputs than SPREAD_OUT a product has few columns, and most of its vectors' lanes
 * would be unused. From SPREAD_IN inputs on, which give the products a depth, the columns are then
 * those of all taps of a row of the kernel: see spread_row. */
enum { SPREAD_OUT = 16, SPREAD_IN = 16 };

/* One convolution: forward's, or the one of dy with rotated and transposed weights that gives dx,
 * in which ci and co are exchanged. */
typedef struct row_job {
    const dmi_kernels *kernels;
    int32_t n, h, w, ci, co, kernel;
    int32_t pad;         /* zeros above and left */
    float *padded;       /* [n, h + kernel - 1, w + kernel - 1, ci]: x with its zeros */
    const float *x;      /* [n, h, w, ci] */
    float *result;       /* y [n, h, w, co], or dw [kernel, kernel, ci, co] */
    const float *weight; /* [kernel, kernel, ci, co] */
    const float *dy;     /* [n, h, w, co] */
    const dmi_epilogue *epilogue;
    float *spread;  /* [kernel, ci, kernel * co]: weight, see spread_task; NULL: used as it is */
    float *scratch; /* with that, [workers, spread_floats] */
    bool add;       /* to dw */
    float *partial; /* [groups, kernel, kernel, ci, co] */
} row_job;

static bool suits(const dmi_conv_shape *s) {
    return s->stride == 1 && !s->upsample && s->kernel > 1;
}

static row_job forward_job(const dmi_graph *graph, const dmi_conv_shape *s, const float *x,
                           float *padded) {
    return (row_job){.kernels = graph->kernels,
                     .n = s->n,
                     .h = s->ih,
                     .w = s->iw,
                     .ci = s->ci,
                     .co = s->co,
                     .kernel = s->kernel,
                     .pad = s->pad,
                     .padded = padded,
                     .x = x};
}

static size_t padded_row(const row_job *job) {
    return (size_t)(job->w + job->kernel - 1) * (size_t)job->ci;
}
static int32_t padded_rows(const row_job *job) { return job->h + job->kernel - 1; }

static void pad_task(void *data, int32_t task, int32_t worker) {
    const row_job *job = data;
    (void)worker;
    int32_t row = task % padded_rows(job) - job->pad;
    size_t floats = padded_row(job), ci = (size_t)job->ci, width = (size_t)job->w * ci,
           left = (size_t)job->pad * ci;
    float *to = job->padded + (size_t)task * floats;
    if (row < 0 || row >= job->h) {
        memset(to, 0, floats * sizeof *to);
        return;
    }
    size_t n = (size_t)(task / padded_rows(job));
    memset(to, 0, left * sizeof *to);
    memcpy(to + left, job->x + (n * (size_t)job->h + (size_t)row) * width, width * sizeof *to);
    memset(to + left + width, 0, (floats - left - width) * sizeof *to);
}

static void pad_input(const dmi_graph *graph, row_job *job) {
    dmi_parallel(graph->host->pool, job->n * padded_rows(job), pad_task, job);
}

/* The row of the padded image n that output row `row` reads through row ky of the kernel. */
static const float *input_row(const row_job *job, int32_t n, int32_t row, int32_t ky) {
    return job->padded +
           ((size_t)n * (size_t)padded_rows(job) + (size_t)(row + ky)) * padded_row(job);
}

/* ---- y, and dx ---- */

static int32_t band_rows(const row_job *job) { return dmi_max(TASK_PIXELS / job->w, 1); }
static int32_t bands(const row_job *job) { return dmi_divide_up(job->h, band_rows(job)); }
static int32_t channel_tiles(const row_job *job) { return dmi_divide_up(job->co, TASK_CHANNELS); }

/* ---- few outputs ---- */

static bool is_spread(int32_t ci, int32_t co) { return co < SPREAD_OUT && ci >= SPREAD_IN; }

/* Of one worker: the products of a row [w, kernel * co] and the sums [w + kernel - 1, co]. */
static size_t spread_floats(int32_t w, int32_t kernel, int32_t co) {
    return dmi_align_floats(((size_t)w * (size_t)kernel + (size_t)(w + kernel - 1)) * (size_t)co);
}

/* Row ky of the kernel as the matrix [ci, kernel * co], its columns kx in the opposite order. */
static void spread_task(void *data, int32_t tap, int32_t worker) {
    const row_job *job = data;
    (void)worker;
    size_t k = (size_t)job->kernel, ci = (size_t)job->ci, co = (size_t)job->co,
           ky = (size_t)tap / k, kx = (size_t)tap % k;
    job->kernels->copy_rows(job->spread + ky * ci * k * co + (k - 1 - kx) * co, k * co,
                            job->weight + (size_t)tap * ci * co, co, ci, co, false);
}

/* y [w, co] = (or += where `add`) one row. For each row of the kernel, the pixels of the input row
 * times the spread weights are what each of them adds to the kernel pixels of y around it: to
 * kernel * co consecutive sums, co further on for the next pixel. */
static void spread_row(const row_job *job, float *y, int32_t n, int32_t row, bool add,
                       float *products) {
    size_t k = (size_t)job->kernel, ci = (size_t)job->ci, co = (size_t)job->co, w = (size_t)job->w,
           columns = k * co;
    float *sums = products + w * columns;
    memset(sums, 0, (w + k - 1) * co * sizeof *sums);
    for (int32_t ky = 0; ky < job->kernel; ky++) {
        if (row + ky < job->pad || row + ky - job->pad >= job->h) continue;
        job->kernels->product->multiply(products, columns,
                                        input_row(job, n, row, ky) + (size_t)job->pad * ci, ci,
                                        job->spread + (size_t)ky * ci * columns, columns, job->w,
                                        (int32_t)columns, job->ci, false);
        job->kernels->copy_rows(sums, co, products, columns, w, columns, true);
    }
    job->kernels->copy_rows(y, co, sums + (k - 1 - (size_t)job->pad) * co, co, w, co, add);
}

static void band_task(void *data, int32_t task, int32_t worker) {
    const row_job *job = data;
    int32_t channel = task % channel_tiles(job) * TASK_CHANNELS, band = task / channel_tiles(job);
    int32_t n = band / bands(job), first = band % bands(job) * band_rows(job);
    int32_t channels = dmi_min(job->co - channel, TASK_CHANNELS);
    int32_t end = dmi_min(first + band_rows(job), job->h), depth = job->kernel * job->ci;
    size_t co = (size_t)job->co, width = (size_t)job->w * co;
    dmi_output_tile tile = {.n = n,
                            .offset = ((size_t)n * (size_t)job->h + (size_t)first) * width,
                            .pixels = (size_t)(end - first) * (size_t)job->w,
                            .channel = (size_t)channel,
                            .channels = (size_t)channels};
    bool add = dmi_epilogue_begin(job->kernels, job->epilogue, job->result, co, &tile);
    float *y = job->result + tile.offset + tile.channel;
    if (job->spread) {
        float *scratch =
            job->scratch + (size_t)worker * spread_floats(job->w, job->kernel, job->co);
        for (int32_t row = first; row < end; row++, y += width)
            spread_row(job, y, n, row, add, scratch);
        return;
    }
    for (int32_t row = first; row < end; row++, y += width)
        for (int32_t ky = 0; ky < job->kernel; ky++)
            job->kernels->product->multiply(y, co, input_row(job, n, row, ky), (size_t)job->ci,
                                            job->weight + (size_t)ky * (size_t)depth * co +
                                                tile.channel,
                                            co, job->w, channels, depth, add || ky > 0);
}

/* Floats of what `convolve` needs for few outputs, for both the weights and all workers. */
static size_t convolve_floats(const dmi_conv_shape *s, int32_t ci, int32_t co, int32_t threads) {
    if (!is_spread(ci, co)) return 0;
    return dmi_align_floats(dmi_weight_count(s)) +
           spread_floats(s->iw, s->kernel, co) * (size_t)threads;
}

/* work [convolve_floats] */
static void convolve(const dmi_graph *graph, row_job *job, float *work) {
    pad_input(graph, job);
    if (is_spread(job->ci, job->co)) {
        int32_t taps = job->kernel * job->kernel;
        job->spread = work;
        job->scratch = work + dmi_align_floats((size_t)taps * (size_t)job->ci * (size_t)job->co);
        dmi_parallel(graph->host->pool, taps, spread_task, job);
    }
    dmi_parallel(graph->host->pool, job->n * bands(job) * channel_tiles(job), band_task, job);
}

/* ---- the weights of dx ---- */

typedef struct rotate_job {
    const dmi_kernels *kernels;
    const dmi_conv_shape *shape;
    float *to;           /* [taps, co, ci], the taps in the opposite order */
    const float *weight; /* [taps, ci, co] */
} rotate_job;

static void rotate_task(void *data, int32_t tap, int32_t worker) {
    const rotate_job *job = data;
    const dmi_conv_shape *s = job->shape;
    size_t matrix = (size_t)s->ci * (size_t)s->co;
    (void)worker;
    job->kernels->product->transpose(job->to + (size_t)(dmi_taps(s) - 1 - tap) * matrix,
                                     (size_t)s->ci, job->weight + (size_t)tap * matrix,
                                     (size_t)s->co, s->ci, s->co);
}

/* ---- weight gradient: a task is one block of one row of the kernel for one group of images;
 * groups have partial sums, which are added in order ---- */

static int32_t block_count(const dmi_conv_shape *s) {
    return s->kernel * dmi_divide_up(s->kernel * s->ci, BLOCK_IN) * dmi_divide_up(s->co, BLOCK_OUT);
}

static int32_t group_count(const dmi_conv_shape *s) {
    return dmi_image_groups(block_count(s), s->n);
}

typedef struct weight_job {
    row_job rows;
    int32_t blocks, groups;
} weight_job;

static void weight_task(void *data, int32_t task, int32_t worker) {
    const weight_job *all = data;
    const row_job *job = &all->rows;
    (void)worker;
    int32_t group = task / all->blocks, groups = all->groups, depth = job->kernel * job->ci;
    int32_t out_blocks = dmi_divide_up(job->co, BLOCK_OUT), block = task % all->blocks / out_blocks;
    int32_t in_blocks = dmi_divide_up(depth, BLOCK_IN), ky = block / in_blocks;
    int32_t in = block % in_blocks * BLOCK_IN, out = task % out_blocks * BLOCK_OUT;
    int32_t ins = dmi_min(depth - in, BLOCK_IN), outs = dmi_min(job->co - out, BLOCK_OUT);
    size_t co = (size_t)job->co, kernel_row = (size_t)depth * co;
    float *dw =
        groups > 1 ? job->partial + (size_t)group * (size_t)job->kernel * kernel_row : job->result;
    dw += (size_t)ky * kernel_row + (size_t)in * co + (size_t)out;
    bool add = groups == 1 && job->add;
    for (int32_t n = job->n * group / groups; n < job->n * (group + 1) / groups; n++)
        for (int32_t row = 0; row < job->h; row++, add = true)
            job->kernels->product->multiply_transposed(
                dw, co, input_row(job, n, row, ky) + in, (size_t)job->ci,
                job->dy + ((size_t)n * (size_t)job->h + (size_t)row) * (size_t)job->w * co +
                    (size_t)out,
                co, ins, outs, job->w, add);
}

/* ---- the algorithm ---- */

/* The convolution of dy that gives dx, but for its weights; oh and ow are ih and iw. */
static dmi_conv_shape exchanged(const dmi_conv_shape *s) {
    dmi_conv_shape t = *s;
    t.ci = s->co;
    t.co = s->ci;
    t.pad = s->kernel - 1 - s->pad;
    return t;
}

/* Of an input with its zeros. */
static size_t padded_floats(const dmi_conv_shape *s, int32_t channels) {
    size_t border = (size_t)s->kernel - 1;
    return dmi_align_floats((size_t)s->n * ((size_t)s->ih + border) * ((size_t)s->iw + border) *
                            (size_t)channels);
}

static size_t forward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k;
    return padded_floats(s, s->ci) + convolve_floats(s, s->ci, s->co, threads);
}

static size_t weight_work(const dmi_conv_shape *s) {
    return padded_floats(s, s->ci) + dmi_align_floats((size_t)group_count(s) * dmi_weight_count(s));
}

static size_t backward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k;
    dmi_conv_shape t = exchanged(s);
    size_t weights = dmi_align_floats(dmi_weight_count(s));
    size_t data = padded_floats(&t, t.ci) + weights + convolve_floats(&t, t.ci, t.co, threads);
    size_t weight = is_spread(s->ci, s->co) ? weight_work(&t) + 2 * weights : weight_work(s);
    return dmi_max_size(data, weight);
}

/* work: [padded_floats]; more: [convolve_floats] */
static void forward_with(const dmi_graph *graph, const dmi_conv_shape *s, float *y, const float *x,
                         const float *weight, const dmi_epilogue *epilogue, float *work,
                         float *more) {
    row_job job = forward_job(graph, s, x, work);
    job.result = y;
    job.weight = weight;
    job.epilogue = epilogue;
    convolve(graph, &job, more);
}

static void forward(const dmi_graph *graph, const dmi_conv_shape *s, void *y, const void *x,
                    const float *weight, const float *prepared, const dmi_epilogue *epilogue,
                    float *work) {
    (void)prepared;
    forward_with(graph, s, y, x, weight, epilogue, work, work + padded_floats(s, s->ci));
}

static void rotate(const dmi_graph *graph, const dmi_conv_shape *s, float *to,
                   const float *weight) {
    rotate_job job = {graph->kernels, s, to, weight};
    dmi_parallel(graph->host->pool, dmi_taps(s), rotate_task, &job);
}

static void backward_data(const dmi_graph *graph, const dmi_conv_shape *s, void *dx, const void *dy,
                          const float *weight, bool add, float *work) {
    dmi_epilogue epilogue = {.add = add};
    dmi_conv_shape t = exchanged(s);
    float *rotated = work + padded_floats(&t, t.ci);
    rotate(graph, s, rotated, weight);
    forward_with(graph, &t, dx, dy, rotated, &epilogue, work,
                 rotated + dmi_align_floats(dmi_weight_count(s)));
}

static void add_weight_gradient(const dmi_graph *graph, const dmi_conv_shape *s, float *dw,
                                const float *x, const float *dy, bool add, float *work) {
    weight_job job = {forward_job(graph, s, x, work), block_count(s), group_count(s)};
    job.rows.result = dw;
    job.rows.dy = dy;
    job.rows.add = add;
    job.rows.partial = work + padded_floats(s, s->ci);
    pad_input(graph, &job.rows);
    dmi_parallel(graph->host->pool, job.groups * job.blocks, weight_task, &job);
    if (job.groups > 1)
        dmi_sum_partials(graph, dw, job.rows.partial, job.groups, dmi_weight_count(s), add);
}

/* With few outputs dw is that of the exchanged convolution, whose products have ci columns, rotated
 * and transposed. */
static void backward_weight(const dmi_graph *graph, const dmi_conv_shape *s, float *dw,
                            const void *x, const void *dy, bool add, float *work) {
    if (!is_spread(s->ci, s->co)) {
        add_weight_gradient(graph, s, dw, x, dy, add, work);
        return;
    }
    dmi_conv_shape t = exchanged(s);
    float *exchanged_dw = work + weight_work(&t),
          *rotated = exchanged_dw + dmi_align_floats(dmi_weight_count(s));
    add_weight_gradient(graph, &t, exchanged_dw, dy, x, false, work);
    rotate(graph, &t, add ? rotated : dw, exchanged_dw);
    if (add) dmi_sum_partials(graph, dw, rotated, 1, dmi_weight_count(s), true);
}

const dmi_conv_algorithm dmi_conv_row_product = {
    .name = "row product",
    .suits = suits,
    .forward_work = forward_work,
    .backward_work = backward_work,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
};
