/* Convolution as a product for every tap of the kernel and run of pixels, read and written where
 * they stand: for kernel 1 and for stride 2, which Winograd does not do. Nothing is copied but the
 * weights, turned over for the data gradient. */
#include "autograd/conv/conv.h"

#include <string.h>

#include "autograd/conv/partition.h"
#include "autograd/conv/taps.h"
#include "kernels/product.h"

/* A task's pixels and channels: its part of x and of y stays in L2. Of dw, a task has a block of
 * both kinds of channels. */
enum { TASK_PIXELS = 64, TASK_CHANNELS = 128, BLOCK_IN = 64, BLOCK_OUT = 128 };
/* The weight gradient's tasks, at least, where groups of pictures can give them. */
enum { TASKS_LEAST = 16, GROUPS_MOST = 8 };

typedef struct product_job {
    const dmi_kernels *kernels;
    const dmi_conv_shape *shape;
    float *to; /* y, dx or dw */
    const float *x, *dy;
    const float *weight; /* for the data gradient [taps][co][ci] */
    const dmi_epilogue *epilogue;
    bool add;
    float *partial; /* [groups][taps][ci][co] */
} product_job;

static bool suits(const dmi_conv_shape *s) { return !s->upsample; }

/* Pixels cut into tasks: a picture's, in order. */
static int32_t pieces_of(int32_t pixels) { return dmi_divide_up(pixels, TASK_PIXELS); }
static int32_t ranges_of(int32_t channels) { return dmi_divide_up(channels, TASK_CHANNELS); }

/* The piece and range of a task. */
typedef struct task_place {
    int32_t n, pixel, pixels, channel, channels;
} task_place;

static task_place place_of(int32_t task, int32_t pixels, int32_t channels) {
    int32_t range = task % ranges_of(channels),
            piece = task / ranges_of(channels) % pieces_of(pixels);
    task_place p = {.n = task / ranges_of(channels) / pieces_of(pixels),
                    .pixel = piece * TASK_PIXELS,
                    .channel = range * TASK_CHANNELS};
    p.pixels = dmi_smaller(pixels - p.pixel, TASK_PIXELS);
    p.channels = dmi_smaller(channels - p.channel, TASK_CHANNELS);
    return p;
}

/* ---- forward: for each row of output pixels, the runs that the taps see ---- */

/* Kernel 1: one product, which adds bias and residual as it writes. */
static void forward_plain(const product_job *job, const task_place *p, const float *x,
                          size_t place) {
    const dmi_conv_shape *s = job->shape;
    const dmi_epilogue *e = job->epilogue;
    size_t co = (size_t)s->co, c0 = (size_t)p->channel;
    float *y = job->to + place + c0;
    dmi_product_addend start = {.stride = co};
    if (e->per_image || e->add) {
        bool begun = dmi_epilogue_begin(job->kernels, e, job->to, p->n, co, place,
                                        (size_t)p->pixels, c0, (size_t)p->channels);
        start.matrix = begun ? y : NULL;
    } else {
        start.bias = e->bias ? e->bias + c0 : NULL;
        start.matrix = e->residual ? e->residual + place + c0 : NULL;
    }
    job->kernels->product->multiply_add(y, co, x, (size_t)s->ci, job->weight + c0, co, p->pixels,
                                        p->channels, s->ci, &start);
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const product_job *job = data;
    const dmi_conv_shape *s = job->shape;
    (void)worker;
    task_place p = place_of(task, dmi_output_pixels(s), s->co);
    size_t ci = (size_t)s->ci, co = (size_t)s->co, c0 = (size_t)p.channel;
    size_t place = (size_t)p.n * dmi_output_floats(s) + (size_t)p.pixel * co;
    const float *picture = job->x + (size_t)p.n * dmi_input_floats(s);
    if (dmi_is_plain(s)) {
        forward_plain(job, &p, picture + (size_t)p.pixel * ci, place);
        return;
    }
    bool begun = dmi_epilogue_begin(job->kernels, job->epilogue, job->to, p.n, co, place,
                                    (size_t)p.pixels, c0, (size_t)p.channels);
    for (int32_t i = 0; i < p.pixels && !begun; i++)
        memset(job->to + place + (size_t)i * co + c0, 0, (size_t)p.channels * sizeof(float));
    for (int32_t done = 0, length; done < p.pixels; done += length) {
        int32_t row = (p.pixel + done) / s->ow, column = (p.pixel + done) % s->ow;
        length = dmi_smaller(s->ow - column, p.pixels - done);
        for (int32_t tap = 0; tap < dmi_taps(s); tap++) {
            dmi_run r = dmi_run_of(s, tap, row, column, length);
            if (r.first == r.end) continue;
            const float *from =
                picture +
                ((size_t)r.row * (size_t)s->iw + (size_t)(r.first * s->stride + r.shift)) * ci;
            job->kernels->product->multiply(job->to + place +
                                                (size_t)(done + r.first - column) * co + c0,
                                            co, from, (size_t)s->stride * ci,
                                            job->weight + (size_t)tap * ci * co + c0, co,
                                            r.end - r.first, p.channels, s->ci, true);
        }
    }
}

/* ---- backward to x: for each row of input pixels, the output pixels that saw it through a tap
 * ---- */

typedef struct turn_job {
    const dmi_kernels *kernels;
    const dmi_conv_shape *shape;
    float *to;
    const float *weight;
} turn_job;

static void turn_task(void *data, int32_t tap, int32_t worker) {
    const turn_job *job = data;
    size_t ci = (size_t)job->shape->ci, co = (size_t)job->shape->co, at = (size_t)tap * ci * co;
    (void)worker;
    job->kernels->product->transpose(job->to + at, ci, job->weight + at, co, job->shape->ci,
                                     job->shape->co);
}

/* The output columns first to end-1 that see input columns from `column` to column + columns - 1
 * through column `kx` of the kernel. */
static void columns_seeing(const dmi_conv_shape *s, int32_t kx, int32_t column, int32_t columns,
                           int32_t *first, int32_t *end) {
    int32_t low = column + s->pad - kx, high = column + columns + s->pad - kx;
    *first = low > 0 ? dmi_divide_up(low, s->stride) : 0;
    *end = high > 0 ? dmi_smaller(dmi_divide_up(high, s->stride), s->ow) : 0;
}

static void data_task(void *data, int32_t task, int32_t worker) {
    const product_job *job = data;
    const dmi_conv_shape *s = job->shape;
    dmi_multiply *multiply = job->kernels->product->multiply;
    (void)worker;
    task_place p = place_of(task, s->ih * s->iw, s->ci);
    size_t ci = (size_t)s->ci, co = (size_t)s->co, c0 = (size_t)p.channel;
    float *to = job->to + (size_t)p.n * dmi_input_floats(s) + (size_t)p.pixel * ci + c0;
    const float *picture = job->dy + (size_t)p.n * dmi_output_floats(s);
    if (dmi_is_plain(s)) {
        multiply(to, ci, picture + (size_t)p.pixel * co, co, job->weight + c0, ci, p.pixels,
                 p.channels, s->co, job->add);
        return;
    }
    for (int32_t i = 0; i < p.pixels && !job->add; i++)
        memset(to + (size_t)i * ci, 0, (size_t)p.channels * sizeof *to);
    for (int32_t done = 0, length; done < p.pixels; done += length) {
        int32_t row = (p.pixel + done) / s->iw, column = (p.pixel + done) % s->iw;
        length = dmi_smaller(s->iw - column, p.pixels - done);
        for (int32_t tap = 0; tap < dmi_taps(s); tap++) {
            int32_t kx = tap % s->kernel, y = row + s->pad - tap / s->kernel, first, end;
            if (y < 0 || y % s->stride || y / s->stride >= s->oh) continue;
            columns_seeing(s, kx, column, length, &first, &end);
            if (first >= end) continue;
            float *run = to + (size_t)(done + first * s->stride + kx - s->pad - column) * ci;
            const float *from =
                picture + ((size_t)(y / s->stride) * (size_t)s->ow + (size_t)first) * co;
            multiply(run, (size_t)s->stride * ci, from, co,
                     job->weight + (size_t)tap * ci * co + c0, ci, end - first, p.channels, s->co,
                     true);
        }
    }
}

/* ---- weight gradient: a task is a block of one tap's matrix for a group of pictures; groups are
 * added up in order ---- */

static int32_t blocks_of(const dmi_conv_shape *s) {
    return dmi_taps(s) * dmi_divide_up(s->ci, BLOCK_IN) * dmi_divide_up(s->co, BLOCK_OUT);
}

static int32_t groups_of(const dmi_conv_shape *s) {
    return dmi_smaller(dmi_smaller(dmi_divide_up(TASKS_LEAST, blocks_of(s)), GROUPS_MOST), s->n);
}

static void weight_task(void *data, int32_t task, int32_t worker) {
    const product_job *job = data;
    const dmi_conv_shape *s = job->shape;
    dmi_multiply *multiply = job->kernels->product->multiply_transposed;
    (void)worker;
    int32_t out_blocks = dmi_divide_up(s->co, BLOCK_OUT),
            in_blocks = dmi_divide_up(s->ci, BLOCK_IN);
    int32_t group = task / blocks_of(s), groups = groups_of(s),
            tap = task / out_blocks / in_blocks % dmi_taps(s);
    int32_t in = task / out_blocks % in_blocks * BLOCK_IN, ins = dmi_smaller(s->ci - in, BLOCK_IN);
    int32_t out = task % out_blocks * BLOCK_OUT, outs = dmi_smaller(s->co - out, BLOCK_OUT);
    size_t ci = (size_t)s->ci, co = (size_t)s->co;
    float *dw = groups > 1 ? job->partial + (size_t)group * dmi_weight_count(s) : job->to;
    dw += ((size_t)tap * ci + (size_t)in) * co + (size_t)out;
    for (int32_t i = 0; i < ins && (groups > 1 || !job->add); i++)
        memset(dw + (size_t)i * co, 0, (size_t)outs * sizeof *dw);
    int32_t first = s->n * group / groups, end = s->n * (group + 1) / groups;
    const float *x = job->x + (size_t)first * dmi_input_floats(s) + in;
    const float *dy = job->dy + (size_t)first * dmi_output_floats(s) + out;
    if (dmi_is_plain(s)) {
        multiply(dw, co, x, ci, dy, co, ins, outs, (end - first) * dmi_output_pixels(s), true);
        return;
    }
    for (int32_t n = first; n < end; n++, x += dmi_input_floats(s), dy += dmi_output_floats(s)) {
        for (int32_t row = 0; row < s->oh; row++) {
            dmi_run r = dmi_run_of(s, tap, row, 0, s->ow);
            if (r.first == r.end) continue;
            multiply(dw, co,
                     x + ((size_t)r.row * (size_t)s->iw + (size_t)(r.first * s->stride + r.shift)) *
                             ci,
                     (size_t)s->stride * ci,
                     dy + ((size_t)row * (size_t)s->ow + (size_t)r.first) * co, co, ins, outs,
                     r.end - r.first, true);
        }
    }
}

/* ---- the way ---- */

static size_t weight_floats(const dmi_kernels *k, const dmi_conv_shape *s) {
    (void)k, (void)s;
    return 0;
}

static size_t forward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k, (void)s, (void)threads;
    return 0;
}

static size_t backward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k, (void)threads;
    return (groups_of(s) > 1 ? (size_t)groups_of(s) : 1) * dmi_weight_count(s);
}

static void prepare(const dmi_graph *graph, const dmi_conv_shape *s, float *prepared,
                    const float *weight) {
    (void)graph, (void)s, (void)prepared, (void)weight;
}

static void forward(const dmi_graph *graph, const dmi_conv_shape *s, float *y, const float *x,
                    const float *weight, const float *prepared, const dmi_epilogue *epilogue,
                    float *work) {
    (void)prepared, (void)work;
    product_job job = {.kernels = graph->kernels,
                       .shape = s,
                       .to = y,
                       .x = x,
                       .weight = weight,
                       .epilogue = epilogue};
    dmi_parallel(graph->host->pool, s->n * pieces_of(dmi_output_pixels(s)) * ranges_of(s->co),
                 forward_task, &job);
}

static void backward_data(const dmi_graph *graph, const dmi_conv_shape *s, float *dx,
                          const float *dy, const float *weight, bool add, float *work) {
    turn_job turn = {.kernels = graph->kernels, .shape = s, .to = work, .weight = weight};
    dmi_parallel(graph->host->pool, dmi_taps(s), turn_task, &turn);
    product_job job = {
        .kernels = graph->kernels, .shape = s, .to = dx, .dy = dy, .weight = work, .add = add};
    dmi_parallel(graph->host->pool, s->n * pieces_of(s->ih * s->iw) * ranges_of(s->ci), data_task,
                 &job);
}

static void backward_weight(const dmi_graph *graph, const dmi_conv_shape *s, float *dw,
                            const float *x, const float *dy, bool add, float *work) {
    int32_t groups = groups_of(s);
    product_job job = {.kernels = graph->kernels,
                       .shape = s,
                       .to = dw,
                       .x = x,
                       .dy = dy,
                       .add = add,
                       .partial = work};
    dmi_parallel(graph->host->pool, groups * blocks_of(s), weight_task, &job);
    if (groups > 1) dmi_sum_parts(graph, dw, work, groups, dmi_weight_count(s), add);
}

const dmi_conv_way dmi_conv_product = {
    .name = "product",
    .suits = suits,
    .weight_floats = weight_floats,
    .forward_work = forward_work,
    .backward_work = backward_work,
    .prepare = prepare,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
};
