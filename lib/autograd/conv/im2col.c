/* Convolution as matrix products (im2col): each output pixel's k x k x ci inputs become a row of a
 * matrix. A product never reaches over two pictures, because BLAS may round rows differently when
 * there are more of them. */
#include "autograd/conv/conv.h"

#include <string.h>

#include "autograd/conv/taps.h"
#include "kernels/gemm.h"

/* Floats of a piece's matrix, so that it stays in L2, and its pixels at most. */
enum { PIECE_FLOATS = 128 * 1024, PIECE_PIXELS = 256 };
/* Channels of a task in backward; below TAP_CHANNELS all taps make one product, whose height would
 * be too small. */
enum { TASK_CHANNELS = 64, TAP_CHANNELS = 32 };
/* The weight gradient's tasks, at least, where groups of pictures can give them. */
enum { TASKS_LEAST = 16, GROUPS_MOST = 8 };

typedef struct im2col_job {
    const dmi_kernels *kernels;
    const dmi_conv_shape *shape;
    float *to; /* y, dx or dw */
    const float *x, *dy, *weight;
    const dmi_epilogue *epilogue;
    bool add;
    float *partial; /* [groups, k, k, ci, co] */
    float *scratch;
    size_t scratch_floats; /* of one worker */
} im2col_job;

static bool suits(const dmi_conv_shape *s) {
    (void)s;
    return true;
}

/* Output pixels of a piece whose rows have `columns` floats. */
static int32_t piece_pixels(const dmi_conv_shape *s, size_t columns) {
    size_t fit = PIECE_FLOATS / columns;
    int32_t pixels = fit > PIECE_PIXELS ? PIECE_PIXELS : (int32_t)fit;
    return dmi_smaller(dmi_larger(pixels, 8), dmi_output_pixels(s));
}

static size_t row_floats(const dmi_conv_shape *s) { return (size_t)dmi_taps(s) * (size_t)s->ci; }

/* ---- one tap of a run of output pixels, all in one picture ---- */

/* matrix (row stride `stride`) = channels c0 to c0+channels-1 of the inputs that `tap` sees from
 * `count` output pixels. */
static void gather(const dmi_kernels *k, const dmi_conv_shape *s, float *matrix, size_t stride,
                   const float *picture, int32_t tap, int32_t c0, int32_t channels, int32_t pixel,
                   int32_t count) {
    size_t ci = (size_t)s->ci, width = (size_t)channels;
    for (int32_t done = 0, length; done < count; done += length) {
        int32_t row = (pixel + done) / s->ow, column = (pixel + done) % s->ow;
        length = dmi_smaller(s->ow - column, count - done);
        dmi_run r = dmi_run_of(s, tap, row, column, length);
        float *to = matrix + (size_t)done * stride;
        for (int32_t i = column; i < column + length; i++)
            if (i < r.first || i >= r.end)
                memset(to + (size_t)(i - column) * stride, 0, width * sizeof *to);
        const float *from =
            picture + (size_t)dmi_larger(r.row, 0) * (size_t)s->iw * ci + (size_t)c0;
        if (s->upsample) {
            for (int32_t i = r.first; i < r.end; i++)
                k->copy_rows(to + (size_t)(i - column) * stride, 0,
                             from + (size_t)((i * s->stride + r.shift) >> 1) * ci, 0, 1, width,
                             false);
        } else if (r.first < r.end) {
            k->copy_rows(to + (size_t)(r.first - column) * stride, stride,
                         from + (size_t)(r.first * s->stride + r.shift) * ci,
                         (size_t)s->stride * ci, (size_t)(r.end - r.first), width, false);
        }
    }
}

/* The adjoint of gather: the matrix is added to the picture. */
static void scatter(const dmi_kernels *k, const dmi_conv_shape *s, const float *matrix,
                    size_t stride, float *picture, int32_t tap, int32_t c0, int32_t channels,
                    int32_t pixel, int32_t count) {
    size_t ci = (size_t)s->ci, width = (size_t)channels;
    for (int32_t done = 0, length; done < count; done += length) {
        int32_t row = (pixel + done) / s->ow, column = (pixel + done) % s->ow;
        length = dmi_smaller(s->ow - column, count - done);
        dmi_run r = dmi_run_of(s, tap, row, column, length);
        if (r.first >= r.end) continue;
        const float *from = matrix + (size_t)done * stride;
        float *to = picture + (size_t)r.row * (size_t)s->iw * ci + (size_t)c0;
        if (s->upsample) {
            for (int32_t i = r.first; i < r.end; i++)
                k->copy_rows(to + (size_t)((i * s->stride + r.shift) >> 1) * ci, 0,
                             from + (size_t)(i - column) * stride, 0, 1, width, true);
        } else {
            k->copy_rows(to + (size_t)(r.first * s->stride + r.shift) * ci, (size_t)s->stride * ci,
                         from + (size_t)(r.first - column) * stride, stride,
                         (size_t)(r.end - r.first), width, true);
        }
    }
}

/* ---- forward: a task is a piece of a picture ---- */

static int32_t forward_pieces(const dmi_conv_shape *s) {
    return dmi_divide_up(dmi_output_pixels(s), piece_pixels(s, row_floats(s)));
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const im2col_job *job = data;
    const dmi_conv_shape *s = job->shape;
    int32_t pieces = forward_pieces(s), n = task / pieces, step = piece_pixels(s, row_floats(s));
    int32_t first = task % pieces * step, pixels = dmi_smaller(dmi_output_pixels(s) - first, step);
    size_t ci = (size_t)s->ci, columns = row_floats(s);
    size_t place = (size_t)n * dmi_output_floats(s) + (size_t)first * (size_t)s->co;
    const float *picture = job->x + (size_t)n * dmi_input_floats(s),
                *matrix = picture + (size_t)first * ci;
    if (!dmi_is_plain(s)) {
        float *gathered = job->scratch + (size_t)worker * job->scratch_floats;
        for (int32_t tap = 0; tap < dmi_taps(s); tap++)
            gather(job->kernels, s, gathered + (size_t)tap * ci, columns, picture, tap, 0, s->ci,
                   first, pixels);
        matrix = gathered;
    }
    bool add = dmi_epilogue_begin(job->kernels, job->epilogue, job->to, n, (size_t)s->co, place,
                                  (size_t)pixels, 0, (size_t)s->co);
    dmi_gemm(job->kernels->product, false, false, pixels, s->co, (int32_t)columns, matrix,
             (int32_t)columns, job->weight, s->co, add, job->to + place, s->co);
}

/* ---- backward to x: a task is a range of channels of a picture; tap by tap ---- */

static int32_t data_ranges(const dmi_conv_shape *s) { return dmi_divide_up(s->ci, TASK_CHANNELS); }
static int32_t data_pixels(const dmi_conv_shape *s) { return piece_pixels(s, TASK_CHANNELS); }

static void data_task(void *data, int32_t task, int32_t worker) {
    const im2col_job *job = data;
    const dmi_conv_shape *s = job->shape;
    int32_t n = task / data_ranges(s), c0 = task % data_ranges(s) * TASK_CHANNELS;
    int32_t channels = dmi_smaller(s->ci - c0, TASK_CHANNELS);
    float *picture = job->to + (size_t)n * dmi_input_floats(s);
    const float *dy = job->dy + (size_t)n * dmi_output_floats(s);
    float *matrix = job->scratch + (size_t)worker * job->scratch_floats;
    if (!job->add && !dmi_is_plain(s))
        for (size_t i = 0; i < (size_t)s->ih * (size_t)s->iw; i++)
            memset(picture + i * (size_t)s->ci + (size_t)c0, 0, (size_t)channels * sizeof *picture);
    for (int32_t first = 0, step = data_pixels(s); first < dmi_output_pixels(s); first += step) {
        int32_t pixels = dmi_smaller(dmi_output_pixels(s) - first, step);
        for (int32_t tap = 0; tap < dmi_taps(s); tap++) {
            const float *weight =
                job->weight + ((size_t)tap * (size_t)s->ci + (size_t)c0) * (size_t)s->co;
            const float *rows = dy + (size_t)first * (size_t)s->co;
            if (dmi_is_plain(s)) {
                dmi_gemm(job->kernels->product, false, true, pixels, channels, s->co, rows, s->co,
                         weight, s->co, job->add,
                         picture + (size_t)first * (size_t)s->ci + (size_t)c0, s->ci);
                continue;
            }
            dmi_gemm(job->kernels->product, false, true, pixels, channels, s->co, rows, s->co,
                     weight, s->co, false, matrix, channels);
            scatter(job->kernels, s, matrix, (size_t)channels, picture, tap, c0, channels, first,
                    pixels);
        }
    }
}

/* ---- weight gradient: a task is a block of dw for a group of pictures, whose sums are added up in
 * order ---- */

typedef struct weight_cut {
    int32_t taps;       /* of a block: one, or all */
    int32_t ranges;     /* of input channels */
    int32_t blocks;     /* of rows of dw */
    int32_t out_ranges; /* of output channels */
    int32_t groups;     /* of pictures */
} weight_cut;

static weight_cut weight_cut_of(const dmi_conv_shape *s) {
    weight_cut c = {.taps = s->ci < TAP_CHANNELS ? dmi_taps(s) : 1,
                    .ranges = dmi_divide_up(s->ci, TASK_CHANNELS),
                    .out_ranges = dmi_divide_up(s->co, TASK_CHANNELS)};
    c.blocks = dmi_taps(s) / c.taps * c.ranges;
    c.groups =
        dmi_smaller(dmi_smaller(dmi_divide_up(TASKS_LEAST, c.blocks * c.out_ranges), GROUPS_MOST),
                    s->n);
    return c;
}

static size_t weight_columns(const dmi_conv_shape *s) {
    return s->ci < TAP_CHANNELS ? row_floats(s) : (size_t)dmi_smaller(s->ci, TASK_CHANNELS);
}

static void weight_task(void *data, int32_t task, int32_t worker) {
    const im2col_job *job = data;
    const dmi_conv_shape *s = job->shape;
    weight_cut c = weight_cut_of(s);
    int32_t out = task % c.out_ranges * TASK_CHANNELS,
            outs = dmi_smaller(s->co - out, TASK_CHANNELS);
    int32_t block = task / c.out_ranges % c.blocks, group = task / c.out_ranges / c.blocks;
    int32_t tap = block / c.ranges * c.taps, c0 = block % c.ranges * TASK_CHANNELS;
    int32_t channels = dmi_smaller(s->ci - c0, TASK_CHANNELS);
    int32_t rows = c.taps * channels, step = piece_pixels(s, weight_columns(s));
    float *matrix = job->scratch + (size_t)worker * job->scratch_floats;
    float *dw = c.groups > 1 ? job->partial + (size_t)group * dmi_weight_count(s) : job->to;
    bool add = c.groups == 1 && job->add;
    for (int32_t n = s->n * group / c.groups; n < s->n * (group + 1) / c.groups; n++) {
        const float *picture = job->x + (size_t)n * dmi_input_floats(s),
                    *dy = job->dy + (size_t)n * dmi_output_floats(s);
        for (int32_t first = 0; first < dmi_output_pixels(s); first += step, add = true) {
            int32_t pixels = dmi_smaller(dmi_output_pixels(s) - first, step);
            const float *a = picture + (size_t)first * (size_t)s->ci + (size_t)c0;
            if (!dmi_is_plain(s)) {
                for (int32_t i = 0; i < c.taps; i++)
                    gather(job->kernels, s, matrix + (size_t)i * (size_t)channels, (size_t)rows,
                           picture, tap + i, c0, channels, first, pixels);
                a = matrix;
            }
            dmi_gemm(job->kernels->product, true, false, rows, outs, pixels, a,
                     dmi_is_plain(s) ? s->ci : rows,
                     dy + (size_t)first * (size_t)s->co + (size_t)out, s->co, add,
                     dw + ((size_t)tap * (size_t)s->ci + (size_t)c0) * (size_t)s->co + (size_t)out,
                     s->co);
        }
    }
}

/* ---- sizes, whole cache lines for each worker ---- */

static size_t forward_floats(const dmi_conv_shape *s) {
    return dmi_is_plain(s) ? 0 : dmi_lines((size_t)piece_pixels(s, row_floats(s)) * row_floats(s));
}

static size_t data_floats(const dmi_conv_shape *s) {
    return dmi_is_plain(s)
               ? 0
               : dmi_lines((size_t)data_pixels(s) * (size_t)dmi_smaller(s->ci, TASK_CHANNELS));
}

static size_t weight_task_floats(const dmi_conv_shape *s) {
    return dmi_is_plain(s)
               ? 0
               : dmi_lines((size_t)piece_pixels(s, weight_columns(s)) * weight_columns(s));
}

static size_t partial_floats(const dmi_conv_shape *s) {
    int32_t groups = weight_cut_of(s).groups;
    return groups > 1 ? dmi_lines((size_t)groups * dmi_weight_count(s)) : 0;
}

static size_t weight_floats(const dmi_kernels *k, const dmi_conv_shape *s) {
    (void)k, (void)s;
    return 0;
}

static size_t forward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k;
    return forward_floats(s) * (size_t)threads;
}

static size_t backward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k;
    size_t data = data_floats(s) * (size_t)threads,
           weight = weight_task_floats(s) * (size_t)threads + partial_floats(s);
    return data > weight ? data : weight;
}

static void prepare(const dmi_graph *graph, const dmi_conv_shape *s, float *prepared,
                    const float *weight) {
    (void)graph, (void)s, (void)prepared, (void)weight;
}

static void forward(const dmi_graph *graph, const dmi_conv_shape *s, float *y, const float *x,
                    const float *weight, const float *prepared, const dmi_epilogue *epilogue,
                    float *work) {
    (void)prepared;
    im2col_job job = {.kernels = graph->kernels,
                      .shape = s,
                      .to = y,
                      .x = x,
                      .weight = weight,
                      .epilogue = epilogue,
                      .scratch = work,
                      .scratch_floats = forward_floats(s)};
    dmi_parallel(graph->host->pool, s->n * forward_pieces(s), forward_task, &job);
}

static void backward_data(const dmi_graph *graph, const dmi_conv_shape *s, float *dx,
                          const float *dy, const float *weight, bool add, float *work) {
    im2col_job job = {.kernels = graph->kernels,
                      .shape = s,
                      .to = dx,
                      .dy = dy,
                      .weight = weight,
                      .add = add,
                      .scratch = work,
                      .scratch_floats = data_floats(s)};
    dmi_parallel(graph->host->pool, s->n * data_ranges(s), data_task, &job);
}

static void backward_weight(const dmi_graph *graph, const dmi_conv_shape *s, float *dw,
                            const float *x, const float *dy, bool add, float *work) {
    weight_cut c = weight_cut_of(s);
    im2col_job job = {.kernels = graph->kernels,
                      .shape = s,
                      .to = dw,
                      .x = x,
                      .dy = dy,
                      .add = add,
                      .partial = work,
                      .scratch = work + partial_floats(s),
                      .scratch_floats = weight_task_floats(s)};
    dmi_parallel(graph->host->pool, c.groups * c.blocks * c.out_ranges, weight_task, &job);
    if (c.groups > 1)
        graph->kernels->sum_rows(dw, job.partial, (size_t)c.groups, dmi_weight_count(s), add);
}

const dmi_conv_way dmi_conv_im2col = {
    .name = "im2col",
    .uses_blas = true,
    .suits = suits,
    .weight_floats = weight_floats,
    .forward_work = forward_work,
    .backward_work = backward_work,
    .prepare = prepare,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
};
