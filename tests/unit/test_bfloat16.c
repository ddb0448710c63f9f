/* SPDX-License-Identifier: MIT */
/* Kernels and convolutions on bfloat16: what they store is what those on floats give for the same
 * values, rounded. */
#include "autograd/conv/conv.h"
#include "base/cpu.h"
#include "base/half.h"
#include "support/support.h"

/* A float result whose order of sums may differ by some last bits can be rounded to the next
 * bfloat16: at most one unit, 2^-7 of the value, in few elements. So the norm of the difference is
 * bounded by that of some of them; results that are equal but for rounding differ by none. */
#define ROUNDING 1e-3

static float *floats_of(size_t count, uint64_t seed) {
    float *values = aligned_alloc(DMI_ALIGNMENT, (count / 16 + 1) * DMI_ALIGNMENT);
    ck_assert_ptr_nonnull(values);
    test_fill(values, count, seed, 1);
    return values;
}

/* The values rounded, in place, and as bfloat16. */
static uint16_t *rounded(float *values, size_t count) {
    uint16_t *half = aligned_alloc(DMI_ALIGNMENT, (count / 32 + 1) * DMI_ALIGNMENT);
    ck_assert_ptr_nonnull(half);
    for (size_t i = 0; i < count; i++) {
        half[i] = dmi_float_to_bfloat16(values[i]);
        values[i] = dmi_bfloat16_to_float(half[i]);
    }
    return half;
}

static void check(const char *what, const uint16_t *got, const float *want, size_t count) {
    float *widened = malloc(count * sizeof *widened), *target = malloc(count * sizeof *target);
    ck_assert(widened && target);
    for (size_t i = 0; i < count; i++) {
        widened[i] = dmi_bfloat16_to_float(got[i]);
        target[i] = dmi_bfloat16_to_float(dmi_float_to_bfloat16(want[i]));
    }
    double error = test_error(widened, target, count);
    ck_assert_msg(error <= ROUNDING, "%s: error %.3g above %.3g", what, error, ROUNDING);
    free(widened);
    free(target);
}

/* ---- rows ---- */

/* Every kind of number, against base/half.h, and rows of every width up to some vectors. */
START_TEST(rounding) {
    static const uint32_t special[] = {0,          0x80000000, 0x3f800000, 0x3f808000, 0x3f818000,
                                       0x3f807fff, 0x3f808001, 0x7f7fffff, 0x7f800000, 0xff800000,
                                       0x7f800001, 0x7fc00000, 0xffffffff, 0x00000001, 0x00008000,
                                       0x807fffff, 0x00018000, 0xff7f8000};
    enum { ROWS = 3, WIDTH = 70, STRIDE = 75, COUNT = ROWS * STRIDE };
    static float x[COUNT], back[COUNT];
    static uint16_t half[COUNT];
    const dmi_kernels *k = dmi_kernels_for(_i);
    for (size_t i = 0; i < COUNT; i++) {
        uint32_t bits =
            i < sizeof special / sizeof *special ? special[i] : (uint32_t)(i * 2654435761u);
        memcpy(&x[i], &bits, sizeof bits);
    }
    for (size_t width = 1; width <= WIDTH; width++) {
        memset(half, 0x55, sizeof half);
        memset(back, 0x55, sizeof back);
        k->narrow_rows(half, STRIDE, x, STRIDE, ROWS, width, false);
        k->widen_rows(back, STRIDE, half, STRIDE, ROWS, width);
        for (size_t i = 0; i < COUNT; i++) {
            uint16_t want = i % STRIDE < width ? dmi_float_to_bfloat16(x[i]) : 0x5555;
            uint32_t bits, whole = i % STRIDE < width ? (uint32_t)want << 16 : 0x55555555;
            memcpy(&bits, &back[i], sizeof bits);
            ck_assert_msg(half[i] == want && bits == whole, "element %zu of %zu: %04x, not %04x", i,
                          width, half[i], want);
        }
    }
}
END_TEST

START_TEST(sums_of_rows) {
    enum { ROWS = 77, COLUMNS = 70, COUNT = ROWS * COLUMNS };
    const dmi_kernels *k = dmi_kernels_for(_i);
    float *x = floats_of(COUNT, 1), *y = floats_of(COUNT, 2), *sum = floats_of(COUNT, 3),
          *want = floats_of(COUNT, 3);
    uint16_t *xb = rounded(x, COUNT), *yb = rounded(y, COUNT);
    for (int add = 0; add < 2; add++) {
        k->sum_rows_bf16(sum, xb, ROWS, COLUMNS, add);
        k->sum_rows(want, x, ROWS, COLUMNS, add);
        ck_assert_mem_eq(sum, want, COLUMNS * sizeof *sum);
    }
    k->copy_rows_bf16(yb, COLUMNS, xb, COLUMNS, ROWS, COLUMNS, true);
    k->copy_rows(y, COLUMNS, x, COLUMNS, ROWS, COLUMNS, true);
    check("copy_rows, add", yb, y, COUNT);
    memcpy(want, y, COUNT * sizeof *y);
    k->widen_add(want, xb, COUNT);
    k->add(y, y, x, COUNT);
    ck_assert_mem_eq(want, y, COUNT * sizeof *y);
    k->narrow_rows(xb, COLUMNS, y, COLUMNS, ROWS, COLUMNS, true);
    k->add(y, y, x, COUNT);
    check("narrow_rows, add", xb, y, COUNT);
    k->copy_rows_bf16(yb, COLUMNS, xb, COLUMNS, ROWS, COLUMNS, false);
    ck_assert_mem_eq(yb, xb, COUNT * sizeof *yb);
    float *all[] = {x, y, sum, want};
    for (size_t i = 0; i < 4; i++) free(all[i]);
    free(xb);
    free(yb);
}
END_TEST

/* ---- group norm ---- */

typedef struct norm_case {
    int32_t pixels, group_channels, groups, activation;
    bool add;
} norm_case;

static const norm_case norm_cases[] = {
    {64, 2, 32, DMI_ACTIVATION_SILU, false},  {35, 3, 7, DMI_ACTIVATION_NONE, true},
    {40, 70, 2, DMI_ACTIVATION_GELU, false},  {9, 5, 9, DMI_ACTIVATION_MISH, true},
    {100, 16, 4, DMI_ACTIVATION_RELU, false}, {1, 4, 4, DMI_ACTIVATION_SILU, true},
};
enum { NORM_CASES = sizeof norm_cases / sizeof *norm_cases };

static void norm_case_on(const dmi_kernels *k, const norm_case *c, bool cached) {
    const int32_t channels = c->group_channels * c->groups;
    const size_t n = (size_t)channels, count = n * (size_t)c->pixels;
    float *x = floats_of(count, 1), *dy = floats_of(count, 2), *gain = floats_of(n, 3),
          *offset = floats_of(n, 4), *y = floats_of(count, 5), *dx = floats_of(count, 6),
          *work = floats_of((size_t)c->pixels * (n + 64), 7);
    float mean[2][64], rstd[2][64], *gradients[2][2];
    uint16_t *xb = rounded(x, count), *dyb = rounded(dy, count), *yb = rounded(y, count),
             *dxb = rounded(dx, count);
    for (int i = 0; i < 2; i++) {
        dmi_norm norm = {.x = {.x = {i ? (void *)xb : x},
                               .dx = {i ? (void *)dxb : dx},
                               .add = {c->add},
                               .channels = {channels}},
                         .gain = gain,
                         .offset = offset,
                         .pixels = c->pixels,
                         .group_channels = c->group_channels,
                         .c1 = channels,
                         .activation = c->activation,
                         .non_temporal = true};
        gradients[i][0] = floats_of(n, 8);
        gradients[i][1] = floats_of(n, 9);
        (i ? k->norm_forward_bf16 : k->norm_forward)(i ? (void *)yb : y, mean[i], rstd[i], &norm,
                                                     1e-5f);
        (i ? k->norm_backward_bf16 : k->norm_backward)(gradients[i][0], gradients[i][1],
                                                       i ? (void *)dyb : dy, mean[i], rstd[i],
                                                       &norm, cached ? work : NULL);
    }
    check("norm: y", yb, y, count);
    check("norm: dx", dxb, dx, count);
    for (int i = 0; i < 2; i++) test_close(gradients[1][i], gradients[0][i], n, 1e-6);
    ck_assert_mem_eq(mean[1], mean[0], (size_t)c->groups * sizeof(float));
    float *all[] = {x,
                    dy,
                    gain,
                    offset,
                    y,
                    dx,
                    work,
                    gradients[0][0],
                    gradients[0][1],
                    gradients[1][0],
                    gradients[1][1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    uint16_t *halves[] = {xb, dyb, yb, dxb};
    for (size_t i = 0; i < 4; i++) free(halves[i]);
}

START_TEST(group_norm) {
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++)
        for (int cached = 0; cached < 2; cached++)
            norm_case_on(dmi_kernels_for(isa), &norm_cases[_i], cached);
}
END_TEST

/* ---- convolutions ---- */

typedef struct conv_case {
    int32_t n, h, w, ci, co, kernel;
    bool upsample;
} conv_case;

static const conv_case conv_cases[] = {
    {2, 8, 8, 32, 48, 3, false},  {3, 5, 7, 19, 33, 3, false}, {1, 4, 4, 64, 130, 3, false},
    {2, 3, 5, 40, 20, 3, true},   {5, 4, 3, 18, 70, 3, false}, {2, 8, 8, 32, 48, 1, false},
    {3, 5, 7, 19, 33, 1, false},  {2, 8, 8, 2, 290, 1, false}, {1, 9, 8, 300, 290, 1, false},
    {9, 4, 4, 70, 130, 1, false},
};
enum { CONV_CASES = sizeof conv_cases / sizeof *conv_cases };

/* Exactly as large, for sanitizers, and full of NaN. */
static float *work_of(size_t count) {
    float *work = malloc(count * sizeof *work + 1);
    ck_assert_ptr_nonnull(work);
    memset(work, 0xff, count * sizeof *work);
    return work;
}

/* Forward and both gradients of one case, in one of the types; the results go to y, dx, dw. */
static void convolve(const dmi_graph *g, dmi_conv_shape s, bool bf16, const dmi_epilogue *e,
                     void *y, void *dx, float *dw, const void *x, const void *dy, const float *w) {
    s.bf16 = bf16;
    dmi_conv_processor processor = {.isa = g->kernels->isa, .core = "", .latency = g->latency};
    const dmi_conv_algorithm *a = dmi_conv_select(&processor, &s);
    processor.latency = false;
    const dmi_conv_algorithm *gradients = dmi_conv_select(&processor, &s);
    int32_t threads = dmi_pool_threads(g->host->pool);
    float *prepared = work_of(dmi_prepared_floats(a, g->kernels, &s)),
          *forward = work_of(a->forward_work(g->kernels, &s, threads)),
          *backward = work_of(gradients->backward_work(g->kernels, &s, threads));
    if (a->prepare) a->prepare(g, &s, prepared, w, false);
    a->forward(g, &s, y, x, w, prepared, e, forward);
    gradients->backward_data(g, &s, dx, dy, w, e->add, backward);
    gradients->backward_weight(g, &s, dw, x, dy, e->add, backward);
    free(prepared);
    free(forward);
    free(backward);
}

static void conv_case_on(const dmi_graph *g, const conv_case *c, uint32_t terms) {
    int32_t times = c->upsample ? 2 : 1;
    dmi_conv_shape s = {.n = c->n,
                        .ih = c->h,
                        .iw = c->w,
                        .ci = c->ci,
                        .oh = c->h * times,
                        .ow = c->w * times,
                        .co = c->co,
                        .kernel = c->kernel,
                        .stride = 1,
                        .pad = c->kernel / 2,
                        .upsample = c->upsample};
    size_t nx = (size_t)(s.n * s.ih * s.iw * s.ci), ny = (size_t)(s.n * s.oh * s.ow * s.co),
           nw = (size_t)(s.kernel * s.kernel * s.ci * s.co);
    float *x = floats_of(nx, 1), *dy = floats_of(ny, 2), *w = floats_of(nw, 3),
          *y = floats_of(ny, 4), *dx = floats_of(nx, 5), *residual = floats_of(ny, 6),
          *bias = floats_of((size_t)s.co, 7), *per_image = floats_of((size_t)(s.n * s.co), 8),
          *dw[2] = {floats_of(nw, 9), floats_of(nw, 9)};
    uint16_t *xb = rounded(x, nx), *dyb = rounded(dy, ny), *yb = rounded(y, ny),
             *dxb = rounded(dx, nx), *rb = rounded(residual, ny);
    dmi_epilogue e = {.bias = terms & 1 ? bias : NULL,
                      .per_image = terms & 2 ? per_image : NULL,
                      .residual = terms & 4 ? residual : NULL,
                      .add = terms & 8};
    convolve(g, s, false, &e, y, dx, dw[0], x, dy, w);
    if (e.residual) e.residual = rb;
    convolve(g, s, true, &e, yb, dxb, dw[1], xb, dyb, w);
    check("conv: y", yb, y, ny);
    check("conv: dx", dxb, dx, nx);
    test_close(dw[1], dw[0], nw, 2e-6);
    float *all[] = {x, dy, w, y, dx, residual, bias, per_image, dw[0], dw[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    uint16_t *halves[] = {xb, dyb, yb, dxb, rb};
    for (size_t i = 0; i < 5; i++) free(halves[i]);
}

START_TEST(convolutions) {
    dmi_host *host = test_host_new(2);
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) {
        dmi_graph g = {.host = host, .kernels = dmi_kernels_for(isa)};
        for (uint32_t terms = 0; terms < 16; terms += 5) {
            g.latency = !g.latency;
            conv_case_on(&g, &conv_cases[_i], terms);
        }
    }
    test_host_end(host);
}
END_TEST

Suite *test_bfloat16_suite(void);
Suite *test_bfloat16_suite(void) {
    Suite *suite = suite_create("bfloat16");
    TCase *tests = tcase_create("kernels");
    tcase_set_timeout(tests, 20);
    tcase_add_loop_test(tests, rounding, DMI_ISA_BASE, dmi_cpu_isa() + 1);
    tcase_add_loop_test(tests, sums_of_rows, DMI_ISA_BASE, dmi_cpu_isa() + 1);
    tcase_add_loop_test(tests, group_norm, 0, NORM_CASES);
    tcase_add_loop_test(tests, convolutions, 0, CONV_CASES);
    suite_add_tcase(suite, tests);
    return suite;
}
