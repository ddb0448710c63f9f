/* SPDX-License-Identifier: MIT */
/* The convolution algorithms against plain loops in double, in all directions and on every
 * instruction set that the machine has; the Winograd kernels, the convolution's operation in a
 * graph, and that results depend neither on the batch nor on the number of threads. */
#include "autograd/conv/conv.h"
#include "autograd/ops.h"
#include "base/cpu.h"
#include "kernels/gemm.h"
#include "support/support.h"

/* Relative errors (norm of the difference over norm of the result). A chain of n sums in float errs
 * by some sqrt(n) 3e-8: 1e-6 for the longest here, a weight gradient over 3 images. Winograd's
 * points magnify that about four times (see kernels/winograd_points.h, measured up to 1.1e-6 here).
 * A wrong tap, border or channel is an error of 1e-2 and more. */
#define BOUND_IM2COL 1e-6
#define BOUND_WINOGRAD 2e-6

typedef struct conv_case {
    int32_t n, h, w, ci, co, kernel, stride, pad;
    bool upsample;
} conv_case;

static const conv_case cases[] = {
    {1, 8, 8, 16, 16, 3, 1, 1, false},  {2, 5, 7, 24, 30, 3, 1, 1, false},
    {3, 4, 4, 64, 64, 3, 1, 1, false},  {2, 6, 10, 30, 24, 3, 1, 1, false},
    {1, 8, 8, 130, 64, 3, 1, 1, false}, {2, 3, 4, 64, 130, 3, 1, 1, false},
    {1, 1, 1, 16, 33, 3, 1, 1, false},  {2, 4, 4, 24, 16, 3, 1, 1, true},
    {1, 3, 5, 33, 40, 3, 1, 1, true},   {3, 16, 16, 32, 48, 3, 1, 1, false},
    {2, 9, 9, 3, 64, 3, 1, 1, false},   {2, 8, 8, 64, 3, 3, 1, 1, false},
    {2, 8, 8, 24, 24, 3, 2, 1, false},  {3, 8, 8, 64, 30, 3, 2, 0, false},
    {2, 5, 7, 130, 3, 3, 2, 1, false},  {2, 7, 5, 3, 16, 3, 2, 0, false},
    {2, 3, 3, 10, 10, 3, 1, 1, true},   {2, 6, 6, 70, 20, 3, 1, 0, false},
    {3, 5, 7, 64, 130, 1, 1, 0, false}, {2, 16, 20, 130, 24, 1, 1, 0, false},
    {2, 4, 6, 3, 3, 1, 1, 0, false},    {2, 6, 5, 24, 16, 1, 2, 0, false},
    {1, 4, 4, 16, 24, 1, 1, 0, true},   {1, 20, 20, 40, 70, 3, 2, 1, false},
    {2, 9, 11, 3, 40, 7, 1, 3, false},  {3, 5, 4, 20, 9, 7, 1, 3, false},
    {1, 1, 1, 5, 6, 7, 1, 3, false},    {2, 2, 3, 33, 130, 7, 1, 3, false},
    {1, 9, 70, 17, 6, 5, 1, 2, false},  {2, 6, 6, 6, 6, 5, 1, 0, false},
    {3, 5, 9, 40, 3, 7, 1, 3, false},   {3, 9, 6, 16, 6, 5, 1, 1, false},
    {3, 4, 70, 5, 33, 7, 1, 4, false},  {9, 3, 3, 18, 2, 7, 1, 3, false},
    {2, 6, 5, 8, 8, 7, 2, 3, false},    {2, 8, 6, 24, 40, 4, 2, 1, false},
    {3, 5, 7, 19, 33, 3, 1, 1, false},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static const dmi_conv_algorithm *const algorithms[] = {&dmi_conv_winograd, &dmi_conv_product,
                                                       &dmi_conv_row_product, &dmi_conv_im2col,
                                                       &dmi_conv_gathered};
enum { ALGORITHMS = sizeof algorithms / sizeof algorithms[0] };

static double bound_of(const dmi_conv_algorithm *algorithm) {
    return algorithm == &dmi_conv_winograd ? BOUND_WINOGRAD : BOUND_IM2COL;
}

static dmi_conv_shape shape_of(const conv_case *c) {
    int32_t times = c->upsample ? 2 : 1;
    return (dmi_conv_shape){.n = c->n,
                            .ih = c->h,
                            .iw = c->w,
                            .ci = c->ci,
                            .oh = (c->h * times + c->stride - 1) / c->stride,
                            .ow = (c->w * times + c->stride - 1) / c->stride,
                            .co = c->co,
                            .kernel = c->kernel,
                            .stride = c->stride,
                            .pad = c->pad,
                            .upsample = c->upsample};
}

/* ---- the reference ---- */

/* What a step of the loops below does with x[ix], w[iw] and y[iy]. */
typedef void (*accumulate)(double *to, const float *a, const float *b, size_t ix, size_t iw,
                           size_t iy);

static void accumulate_forward(double *y, const float *x, const float *w, size_t ix, size_t iw,
                               size_t iy) {
    y[iy] += (double)x[ix] * w[iw];
}
static void accumulate_data(double *dx, const float *dy, const float *w, size_t ix, size_t iw,
                            size_t iy) {
    dx[ix] += (double)dy[iy] * w[iw];
}
static void accumulate_weight(double *dw, const float *x, const float *dy, size_t ix, size_t iw,
                              size_t iy) {
    dw[iw] += (double)x[ix] * dy[iy];
}

static void convolve(const dmi_conv_shape *s, accumulate function, double *to, const float *a,
                     const float *b) {
    int32_t times = s->upsample ? 2 : 1;
    for (int32_t n = 0; n < s->n; n++)
        for (int32_t oy = 0; oy < s->oh; oy++)
            for (int32_t ox = 0; ox < s->ow; ox++)
                for (int32_t t = 0; t < s->kernel * s->kernel; t++) {
                    int32_t y = oy * s->stride + t / s->kernel - s->pad,
                            x = ox * s->stride + t % s->kernel - s->pad;
                    if (y < 0 || x < 0 || y >= s->ih * times || x >= s->iw * times) continue;
                    size_t ix =
                        ((size_t)(n * s->ih + y / times) * (size_t)s->iw + (size_t)(x / times)) *
                        (size_t)s->ci;
                    size_t iy =
                        ((size_t)(n * s->oh + oy) * (size_t)s->ow + (size_t)ox) * (size_t)s->co;
                    for (size_t i = 0; i < (size_t)s->ci; i++)
                        for (size_t o = 0; o < (size_t)s->co; o++)
                            function(to, a, b, ix + i,
                                     ((size_t)t * (size_t)s->ci + i) * (size_t)s->co + o, iy + o);
                }
}

/* ---- data of one case ---- */

typedef struct fixture {
    dmi_conv_shape s;
    size_t x_count, w_count, y_count;
    float *x, *w, *y, *dy, *bias, *per_image, *residual,
        *before; /* before: the output before it is added to */
    double *want;
} fixture;

static float *filled(size_t count, uint64_t seed) {
    float *values = malloc(count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    test_fill(values, count, seed, 1.0f);
    return values;
}

static size_t largest_of(size_t a, size_t b, size_t c) {
    return a > b ? (a > c ? a : c) : (b > c ? b : c);
}

static fixture fixture_of(const conv_case *c) {
    fixture f = {.s = shape_of(c)};
    f.x_count = (size_t)f.s.n * (size_t)f.s.ih * (size_t)f.s.iw * (size_t)f.s.ci;
    f.w_count = (size_t)f.s.kernel * (size_t)f.s.kernel * (size_t)f.s.ci * (size_t)f.s.co;
    f.y_count = (size_t)f.s.n * (size_t)f.s.oh * (size_t)f.s.ow * (size_t)f.s.co;
    size_t largest = largest_of(f.x_count, f.w_count, f.y_count);
    f.x = filled(f.x_count, 1);
    f.w = filled(f.w_count, 2);
    f.dy = filled(f.y_count, 3);
    f.bias = filled((size_t)f.s.co, 4);
    f.per_image = filled((size_t)f.s.n * (size_t)f.s.co, 5);
    f.residual = filled(f.y_count, 6);
    f.before = filled(largest, 7);
    f.y = filled(largest, 8);
    f.want = calloc(largest, sizeof(double));
    ck_assert_ptr_nonnull(f.want);
    return f;
}

static void fixture_end(fixture *f) {
    float *all[] = {f->x, f->w, f->y, f->dy, f->bias, f->per_image, f->residual, f->before};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
    free(f->want);
}

/* Work memory of the size that the algorithm requests, so that sanitizers see the end, full of NaN.
 */
static float *nan_floats(size_t count) {
    size_t lines = count * sizeof(float) / DMI_ALIGNMENT + 1;
    float *p = aligned_alloc(DMI_ALIGNMENT, lines * DMI_ALIGNMENT);
    ck_assert_ptr_nonnull(p);
    for (size_t i = 0; i < count; i++) p[i] = NAN;
    return p;
}

/* Blocks of aligned_alloc are freed in another way on Windows. */
#ifndef aligned_free
#define aligned_free free
#endif

static void run_forward(dmi_graph *g, const dmi_conv_algorithm *algorithm, const dmi_conv_shape *s,
                        float *y, const float *x, const float *w, const dmi_epilogue *epilogue) {
    float *prepared = nan_floats(dmi_prepared_floats(algorithm, g->kernels, s));
    float *work =
        nan_floats(algorithm->forward_work(g->kernels, s, dmi_pool_threads(g->host->pool)));
    if (algorithm->prepare) algorithm->prepare(g, s, prepared, w, false);
    algorithm->forward(g, s, y, x, w, prepared, epilogue, work);
    aligned_free(prepared);
    aligned_free(work);
}

static void run_data(dmi_graph *g, const dmi_conv_algorithm *algorithm, const dmi_conv_shape *s,
                     float *dx, const float *dy, const float *w, bool add) {
    float *work =
        nan_floats(algorithm->backward_work(g->kernels, s, dmi_pool_threads(g->host->pool)));
    algorithm->backward_data(g, s, dx, dy, w, add, work);
    aligned_free(work);
}

static void run_weight(dmi_graph *g, const dmi_conv_algorithm *algorithm, const dmi_conv_shape *s,
                       float *dw, const float *x, const float *dy, bool add) {
    float *work =
        nan_floats(algorithm->backward_work(g->kernels, s, dmi_pool_threads(g->host->pool)));
    algorithm->backward_weight(g, s, dw, x, dy, add, work);
    aligned_free(work);
}

/* ---- tests of the algorithms ---- */

static void check(const fixture *f, const dmi_graph *g, const dmi_conv_algorithm *algorithm,
                  const char *what, size_t count) {
    double error = test_error_d(f->y, f->want, count);
    ck_assert_msg(error <= bound_of(algorithm),
                  "%s, %s, %s: n %d, %d x %d, %d -> %d, kernel %d, stride %d, pad %d%s: error %.3g "
                  "above %.3g",
                  g->kernels->isa, algorithm->name, what, f->s.n, f->s.ih, f->s.iw, f->s.ci,
                  f->s.co, f->s.kernel, f->s.stride, f->s.pad, f->s.upsample ? ", upsampled" : "",
                  error, bound_of(algorithm));
}

/* Each test runs once for every case, on all instruction sets and with all algorithms that suit the
 * shape. */
typedef void (*algorithm_test)(fixture *f, dmi_graph *g, const dmi_conv_algorithm *algorithm);

static void for_all(const conv_case *c, algorithm_test test) {
    dmi_host *host = test_host_new(2);
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) {
        dmi_graph graph = {.host = host, .kernels = dmi_kernels_for(isa)};
        for (int32_t i = 0; i < ALGORITHMS; i++) {
            fixture f = fixture_of(c);
            dmi_gemm_begin();
            if (algorithms[i]->suits(&f.s)) test(&f, &graph, algorithms[i]);
            dmi_gemm_end();
            fixture_end(&f);
        }
    }
    test_host_end(host);
}

/* All sixteen combinations of what is added. */
static void forward_case(fixture *f, dmi_graph *g, const dmi_conv_algorithm *algorithm) {
    double *plain = calloc(f->y_count, sizeof *plain);
    ck_assert_ptr_nonnull(plain);
    convolve(&f->s, accumulate_forward, plain, f->x, f->w);
    size_t co = (size_t)f->s.co, image_floats = f->y_count / (size_t)f->s.n;
    for (uint32_t which = 0; which < 16; which++) {
        dmi_epilogue e = {.bias = which & 1 ? f->bias : NULL,
                          .per_image = which & 2 ? f->per_image : NULL,
                          .residual = which & 4 ? f->residual : NULL,
                          .add = which & 8};
        for (size_t i = 0; i < f->y_count; i++) {
            double image = e.per_image ? e.per_image[i / image_floats * co + i % co] : 0;
            f->want[i] = plain[i] + (e.bias ? e.bias[i % co] : 0) + image +
                         (e.residual ? f->residual[i] : 0) + (e.add ? f->before[i] : 0);
            f->y[i] = e.add ? f->before[i] : NAN;
        }
        run_forward(g, algorithm, &f->s, f->y, f->x, f->w, &e);
        check(f, g, algorithm, "forward", f->y_count);
    }
    free(plain);
}

static void backward_case(fixture *f, dmi_graph *g, const dmi_conv_algorithm *algorithm,
                          const char *what, size_t count, bool data) {
    double *plain = calloc(count, sizeof *plain);
    ck_assert_ptr_nonnull(plain);
    convolve(&f->s, data ? accumulate_data : accumulate_weight, plain, data ? f->dy : f->x,
             data ? f->w : f->dy);
    for (int add = 0; add < 2; add++) {
        for (size_t i = 0; i < count; i++) {
            f->want[i] = plain[i] + (add ? f->before[i] : 0);
            f->y[i] = add ? f->before[i] : NAN;
        }
        if (data) run_data(g, algorithm, &f->s, f->y, f->dy, f->w, add);
        else run_weight(g, algorithm, &f->s, f->y, f->x, f->dy, add);
        check(f, g, algorithm, what, count);
    }
    free(plain);
}

/* dmi_conv_gathered has no gradients. */
static bool is_trained(const dmi_conv_algorithm *algorithm) {
    return algorithm->backward_data != NULL;
}

static void data_case(fixture *f, dmi_graph *g, const dmi_conv_algorithm *algorithm) {
    if (is_trained(algorithm)) backward_case(f, g, algorithm, "data", f->x_count, true);
}
static void weight_case(fixture *f, dmi_graph *g, const dmi_conv_algorithm *algorithm) {
    if (is_trained(algorithm)) backward_case(f, g, algorithm, "weight", f->w_count, false);
}

/* The last image alone has the bits that it has in the batch, forward and backward data. */
static void batch_case(fixture *f, dmi_graph *g, const dmi_conv_algorithm *algorithm) {
    dmi_conv_shape alone = f->s;
    alone.n = 1;
    size_t last = (size_t)f->s.n - 1, y = f->y_count / (size_t)f->s.n,
           x = f->x_count / (size_t)f->s.n, co = (size_t)f->s.co;
    dmi_epilogue all = {f->bias, f->per_image, f->residual, false};
    dmi_epilogue one = {f->bias, f->per_image + last * co, f->residual + last * y, false};
    run_forward(g, algorithm, &f->s, f->y, f->x, f->w, &all);
    run_forward(g, algorithm, &alone, f->before, f->x + last * x, f->w, &one);
    ck_assert_msg(!memcmp(f->y + last * y, f->before, y * sizeof(float)), "%s, %s: forward",
                  g->kernels->isa, algorithm->name);
    if (!is_trained(algorithm)) return;
    run_data(g, algorithm, &f->s, f->y, f->dy, f->w, false);
    run_data(g, algorithm, &alone, f->before, f->dy + last * y, f->w, false);
    ck_assert_msg(!memcmp(f->y + last * x, f->before, x * sizeof(float)), "%s, %s: data",
                  g->kernels->isa, algorithm->name);
}

static void thread_case_backward(fixture *f, dmi_graph *g, dmi_graph *other,
                                 const dmi_conv_algorithm *algorithm) {
    run_data(g, algorithm, &f->s, f->y, f->dy, f->w, false);
    run_data(other, algorithm, &f->s, f->before, f->dy, f->w, false);
    ck_assert_msg(!memcmp(f->y, f->before, f->x_count * sizeof(float)), "%s, %s: data",
                  g->kernels->isa, algorithm->name);
    run_weight(g, algorithm, &f->s, f->y, f->x, f->dy, false);
    run_weight(other, algorithm, &f->s, f->before, f->x, f->dy, false);
    ck_assert_msg(!memcmp(f->y, f->before, f->w_count * sizeof(float)), "%s, %s: weight",
                  g->kernels->isa, algorithm->name);
}

/* One thread gives the bits of two. */
static void thread_case(fixture *f, dmi_graph *g, const dmi_conv_algorithm *algorithm) {
    dmi_host *single = test_host_new(1);
    dmi_graph other = {.host = single, .kernels = g->kernels};
    dmi_epilogue e = {.bias = f->bias};
    run_forward(g, algorithm, &f->s, f->y, f->x, f->w, &e);
    run_forward(&other, algorithm, &f->s, f->before, f->x, f->w, &e);
    ck_assert_msg(!memcmp(f->y, f->before, f->y_count * sizeof(float)), "%s, %s: forward",
                  g->kernels->isa, algorithm->name);
    if (is_trained(algorithm)) thread_case_backward(f, g, &other, algorithm);
    test_host_end(single);
}

START_TEST(forward) { for_all(&cases[_i], forward_case); }
END_TEST
START_TEST(backward_data) { for_all(&cases[_i], data_case); }
END_TEST
START_TEST(backward_weight) { for_all(&cases[_i], weight_case); }
END_TEST
START_TEST(same_alone_as_in_a_batch) { for_all(&cases[_i], batch_case); }
END_TEST
START_TEST(same_on_any_number_of_threads) { for_all(&cases[_i], thread_case); }
END_TEST

/* Several blocks and several rounds, which the small cases do not reach: against im2col, which they
 * check. */
START_TEST(many_tiles) {
    static const conv_case large = {5, 40, 44, 72, 40, 3, 1, 1, false};
    dmi_host *host = test_host_new(2);
    fixture f = fixture_of(&large);
    dmi_epilogue none = {.add = false};
    dmi_gemm_begin();
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) {
        dmi_graph g = {.host = host, .kernels = dmi_kernels_for(isa)};
        ck_assert(algorithms[0]->suits(&f.s));
        run_forward(&g, &dmi_conv_winograd, &f.s, f.y, f.x, f.w, &none);
        run_forward(&g, &dmi_conv_im2col, &f.s, f.before, f.x, f.w, &none);
        test_close(f.y, f.before, f.y_count, BOUND_WINOGRAD + BOUND_IM2COL);
        run_data(&g, &dmi_conv_winograd, &f.s, f.y, f.dy, f.w, false);
        run_data(&g, &dmi_conv_im2col, &f.s, f.before, f.dy, f.w, false);
        test_close(f.y, f.before, f.x_count, BOUND_WINOGRAD + BOUND_IM2COL);
        run_weight(&g, &dmi_conv_winograd, &f.s, f.y, f.x, f.dy, false);
        run_weight(&g, &dmi_conv_im2col, &f.s, f.before, f.x, f.dy, false);
        test_close(f.y, f.before, f.w_count, BOUND_WINOGRAD + BOUND_IM2COL);
        run_weight(&g, &dmi_conv_winograd, &f.s, f.y, f.x, f.dy,
                   true); /* the groups' sum added to what is there */
        for (size_t i = 0; i < f.w_count; i++) f.before[i] *= 2;
        test_close(f.y, f.before, f.w_count, BOUND_WINOGRAD + BOUND_IM2COL);
        thread_case(&f, &g, &dmi_conv_winograd);
    }
    dmi_gemm_end();
    fixture_end(&f);
    test_host_end(host);
}
END_TEST

typedef struct select_case {
    const char *isa, *core;
    int32_t ci, co, kernel, stride;
    bool upsample;
    const dmi_conv_algorithm *want;
} select_case;

static const select_case select_cases[] = {
    {"base", "Sandybridge", 64, 32, 1, 1, false, &dmi_conv_im2col},
    {"base", "Sandybridge", 64, 64, 3, 2, false, &dmi_conv_im2col},
    {"base", "Sandybridge", 31, 64, 1, 1, false, &dmi_conv_product},
    {"base", "Sandybridge", 64, 31, 1, 1, false, &dmi_conv_product},
    {"base", "Sandybridge", 32, 64, 3, 2, false, &dmi_conv_product},
    {"base", "Sandybridge", 64, 64, 1, 2, false, &dmi_conv_product},
    {"base", "Sandybridge", 64, 64, 3, 1, false, &dmi_conv_winograd},
    {"base", "Sandybridge", 64, 64, 3, 1, true, &dmi_conv_winograd},
    {"base", "Nehalem", 64, 64, 1, 1, false, &dmi_conv_product},
    {"base", "", 64, 64, 1, 1, false, &dmi_conv_product},
    {"v3", "Sandybridge", 64, 64, 1, 1, false, &dmi_conv_product},
    {"v4", "Sandybridge", 64, 64, 3, 2, false, &dmi_conv_product},
    {"v4", "SkylakeX", 8, 8, 3, 1, true, &dmi_conv_im2col},
    {"v4", "SkylakeX", 3, 128, 7, 1, false, &dmi_conv_row_product},
    {"v3", "Haswell", 128, 6, 5, 1, false, &dmi_conv_row_product},
    {"v4", "SkylakeX", 32, 32, 7, 1, false, &dmi_conv_product},
    {"v4", "SkylakeX", 3, 32, 7, 2, false, &dmi_conv_product},
    {"v4", "SkylakeX", 3, 32, 7, 1, true, &dmi_conv_im2col},
    {"v4", "SkylakeX", 3, 3, 3, 1, false, &dmi_conv_product},
};

/* Whatever the batch and the size of the images; in latency mode maps of up to 64 pixels of at
 * least 16 channels are gathered. */
START_TEST(selection) {
    const select_case *c = &select_cases[_i];
    for (int32_t n = 1; n <= 16; n += 15)
        for (int32_t side = 4; side <= 32; side *= 2) {
            conv_case conv = {n,         side,      side,          c->ci,      c->co,
                              c->kernel, c->stride, c->kernel / 2, c->upsample};
            dmi_conv_shape shape = shape_of(&conv);
            dmi_conv_processor processor = {.isa = c->isa, .core = c->core};
            ck_assert_str_eq(dmi_conv_select(&processor, &shape)->name, c->want->name);
            bool small = shape.oh * shape.ow <= 64 && c->ci >= 16 && c->co >= 16 &&
                         dmi_conv_gathered.suits(&shape);
            processor.latency = true;
            ck_assert_str_eq(dmi_conv_select(&processor, &shape)->name,
                             small ? "gathered" : c->want->name);
        }
}
END_TEST

Suite *test_conv_suite(void);
Suite *test_conv_suite(void) {
    Suite *suite = suite_create("conv");
    TCase *tests = tcase_create("algorithms");
    tcase_set_timeout(tests, 20);
    tcase_add_loop_test(tests, forward, 0, CASES);
    tcase_add_loop_test(tests, backward_data, 0, CASES);
    tcase_add_loop_test(tests, backward_weight, 0, CASES);
    tcase_add_loop_test(tests, same_alone_as_in_a_batch, 0, CASES);
    tcase_add_loop_test(tests, same_on_any_number_of_threads, 0, CASES);
    tcase_add_test(tests, many_tiles);
    tcase_add_loop_test(tests, selection, 0, sizeof select_cases / sizeof select_cases[0]);
    suite_add_tcase(suite, tests);
    return suite;
}
