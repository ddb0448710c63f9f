/* SPDX-License-Identifier: MIT */
/* The products of bfloat16 by instructions of their own: their kernels on emulations of the
 * instructions, and on the instructions where the processor has them, against sums in double; the
 * bits of those whose emulation is exact; and whole networks that use them. */
#define DMI_EMULATED
#include "kernels/bf16_pairs.h"
#include "kernels/bf16_quads.h"
#include "kernels/bf16_tiles.h"

#include "autograd/conv/conv.h"
#include "base/cpu.h"
#include "core/context.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/support.h"
#include "unet/unet.h"

static const dmi_bf16_product emulated[] = {
    DMI_PAIRS_PRODUCT("emulated pairs"),
    DMI_QUADS_PRODUCT("emulated quads"),
    DMI_TILES_PRODUCT("emulated tiles"),
};

/* The emulations, and then the processor's own, NULL where it has none. */
enum { PRODUCTS = 4 };
static const dmi_bf16_product *product_of(int i) {
    return i < PRODUCTS - 1 ? &emulated[i] : dmi_bf16_product_best();
}

static uint16_t *rounded(size_t count, uint64_t seed) {
    float *values = malloc(count * sizeof *values);
    uint16_t *half = malloc(count * sizeof *half);
    ck_assert(values && half);
    test_fill(values, count, seed, 1);
    for (size_t i = 0; i < count; i++) half[i] = dmi_float_to_bfloat16(values[i]);
    free(values);
    return half;
}

/* b [k, 32], packed in groups. */
static uint16_t *packed(const uint16_t *b, int32_t k, int32_t group) {
    uint16_t *to = malloc((size_t)k * DMI_BF16_COLUMNS * sizeof *to);
    ck_assert_ptr_nonnull(to);
    for (int32_t i = 0; i < k; i++)
        for (int32_t c = 0; c < DMI_BF16_COLUMNS; c++)
            to[(i / group * DMI_BF16_COLUMNS + c) * group + i % group] =
                b[i * DMI_BF16_COLUMNS + c];
    return to;
}

/* A chain of n float sums errs by sqrt(n) 3e-8 of the result's norm, 1e-6 for the longest here. */
START_TEST(against_double) {
    const dmi_bf16_product *product = product_of(_i);
    if (!product) return;
    static const int32_t depths[] = {32, 64, 96, 320};
    for (size_t d = 0; d < sizeof depths / sizeof *depths; d++)
        for (int32_t times = 1; times <= 3; times++) {
            const int32_t k = depths[d], rows = times * product->rows, lda = k + 6, ldc = 40;
            uint16_t *a = rounded((size_t)(rows * lda), 1),
                     *b = rounded((size_t)(k * DMI_BF16_COLUMNS), 2),
                     *panel = packed(b, k, product->group);
            float *c = calloc((size_t)(rows * ldc), sizeof *c),
                  *got = calloc((size_t)(rows * DMI_BF16_COLUMNS), sizeof *got);
            double *want = calloc((size_t)(rows * DMI_BF16_COLUMNS), sizeof *want);
            for (int32_t r = 0; r < rows; r++)
                for (int32_t j = 0; j < DMI_BF16_COLUMNS; j++)
                    for (int32_t i = 0; i < k; i++)
                        want[r * DMI_BF16_COLUMNS + j] +=
                            (double)dmi_widened(a[r * lda + i]) *
                            (double)dmi_widened(b[i * DMI_BF16_COLUMNS + j]);
            if (product->begin) product->begin();
            product->multiply(c, (size_t)ldc, a, (size_t)lda, panel, rows, k);
            if (product->end) product->end();
            for (int32_t r = 0; r < rows; r++) {
                memcpy(got + r * DMI_BF16_COLUMNS, c + r * ldc, DMI_BF16_COLUMNS * sizeof *got);
                for (int32_t j = DMI_BF16_COLUMNS; j < ldc; j++)
                    ck_assert(c[r * ldc + j] == 0); /* not written */
            }
            double error = test_error_d(got, want, (size_t)(rows * DMI_BF16_COLUMNS));
            ck_assert_msg(error <= 1e-6, "%s: k %d, %d rows: error %.3g", product->name, (int)k,
                          (int)rows, error);
            free(a), free(b), free(panel), free(c), free(got), free(want);
        }
}
END_TEST

/* Where the processor has an instruction whose emulation is exact, it gives the same bits. */
START_TEST(emulations_are_exact) {
    const dmi_bf16_product *own = dmi_bf16_product_best(), *other = NULL;
    if (own && !strcmp(own->name, "amx")) other = &emulated[2];
    if (own && !strcmp(own->name, "avx512_bf16")) other = &emulated[0];
    if (!other) return;
    enum { DEPTH = 320, COUNT_A = 64, COUNT = COUNT_A * DMI_BF16_COLUMNS };
    uint16_t *a = rounded(COUNT_A * DEPTH, 1), *b = rounded(DEPTH * DMI_BF16_COLUMNS, 2),
             *panel = packed(b, DEPTH, own->group);
    static float c[2][COUNT];
    const dmi_bf16_product *both[] = {own, other};
    for (int i = 0; i < 2; i++) {
        if (both[i]->begin) both[i]->begin();
        both[i]->multiply(c[i], DMI_BF16_COLUMNS, a, DEPTH, panel, COUNT_A, DEPTH);
        if (both[i]->end) both[i]->end();
    }
    ck_assert_mem_eq(c[0], c[1], sizeof c[0]);
    free(a), free(b), free(panel);
}
END_TEST

typedef struct conv_case {
    int32_t n, h, w, ci, co, kernel, stride, pad;
    bool upsample;
} conv_case;

static const conv_case conv_cases[] = {
    {2, 8, 8, 32, 48, 3, 1, 1, false}, {3, 5, 7, 18, 33, 3, 1, 1, false},
    {7, 4, 4, 64, 30, 3, 1, 1, false}, {2, 3, 5, 40, 20, 3, 1, 1, true},
    {1, 9, 8, 30, 90, 1, 1, 0, false}, {9, 4, 4, 66, 13, 1, 1, 0, false},
    {2, 9, 6, 10, 40, 3, 2, 1, false}, {1, 1, 1, 6, 7, 7, 1, 3, false},
};
enum { CONV_CASES = sizeof conv_cases / sizeof *conv_cases };

static double element(const uint16_t *x, size_t i) { return (double)dmi_widened(x[i]); }

/* One output before it is rounded, with weights rounded to bfloat16. */
static double output_of(const dmi_conv_shape *s, const uint16_t *x, const float *w, int32_t n,
                        int32_t oy, int32_t ox, int32_t out) {
    int32_t times = s->upsample ? 2 : 1;
    double sum = 0;
    for (int32_t t = 0; t < s->kernel * s->kernel; t++) {
        int32_t y = oy * s->stride + t / s->kernel - s->pad,
                c = ox * s->stride + t % s->kernel - s->pad;
        if (y < 0 || c < 0 || y >= s->ih * times || c >= s->iw * times) continue;
        for (int32_t i = 0; i < s->ci; i++)
            sum += element(x, (size_t)(((n * s->ih + y / times) * s->iw + c / times) * s->ci + i)) *
                   (double)dmi_bfloat16_to_float(
                       dmi_float_to_bfloat16(w[(t * s->ci + i) * s->co + out]));
    }
    return sum;
}

static void conv_case_on(const dmi_graph *g, const conv_case *c, uint32_t terms) {
    int32_t times = c->upsample ? 2 : 1;
    dmi_conv_shape s = {.n = c->n,
                        .ih = c->h,
                        .iw = c->w,
                        .ci = c->ci,
                        .oh = dmi_divide_up(c->h * times, c->stride),
                        .ow = dmi_divide_up(c->w * times, c->stride),
                        .co = c->co,
                        .kernel = c->kernel,
                        .stride = c->stride,
                        .pad = c->pad,
                        .upsample = c->upsample,
                        .bf16 = true};
    const dmi_conv_algorithm *a = &dmi_conv_direct_bf16;
    ck_assert(a->suits(&s));
    size_t nx = (size_t)(s.n * s.ih * s.iw * s.ci), ny = (size_t)(s.n * s.oh * s.ow * s.co),
           nw = (size_t)(s.kernel * s.kernel * s.ci * s.co),
           prepared_floats = dmi_prepared_floats(a, g->kernels, &s),
           work_floats = a->forward_work(g->kernels, &s, dmi_pool_threads(g->host->pool));
    uint16_t *x = rounded(nx, 1), *y = rounded(ny, 2), *residual = rounded(ny, 3),
             *before = rounded(ny, 2);
    float *w = malloc(nw * sizeof *w), *bias = malloc((size_t)s.co * sizeof *bias),
          *per_image = malloc((size_t)(s.n * s.co) * sizeof *per_image),
          *prepared = malloc(prepared_floats * sizeof *prepared),
          *work = malloc(work_floats * sizeof *work), *got = malloc(ny * sizeof *got);
    double *want = malloc(ny * sizeof *want);
    test_fill(w, nw, 4, 0.2f);
    test_fill(bias, (size_t)s.co, 5, 1);
    test_fill(per_image, (size_t)(s.n * s.co), 6, 1);
    memset(work, 0xff, work_floats * sizeof *work); /* NaN */
    const dmi_epilogue e = {.bias = terms & 1 ? bias : NULL,
                            .per_image = terms & 2 ? per_image : NULL,
                            .residual = terms & 4 ? residual : NULL,
                            .add = terms & 8};
    a->prepare(g, &s, prepared, w, false);
    a->forward(g, &s, y, x, w, prepared, &e, work);
    for (size_t i = 0; i < ny; i++) {
        int32_t out = (int32_t)(i % (size_t)s.co), pixel = (int32_t)(i / (size_t)s.co),
                n = pixel / (s.oh * s.ow), oy = pixel / s.ow % s.oh, ox = pixel % s.ow;
        want[i] = output_of(&s, x, w, n, oy, ox, out) + (e.bias ? (double)bias[out] : 0) +
                  (e.per_image ? (double)per_image[n * s.co + out] : 0) +
                  (e.residual ? element(residual, i) : 0) + (e.add ? element(before, i) : 0);
        got[i] = dmi_widened(y[i]);
    }
    double error = test_error_d(got, want, ny);
    /* Each output is rounded once, by 2^-8 of it at most and less on average. */
    ck_assert_msg(error <= 0x1p-8, "%s: error %.3g", g->bf16_product->name, error);
    free(x), free(y), free(residual), free(before), free(w), free(bias), free(per_image);
    free(prepared), free(work), free(got), free(want);
}

START_TEST(convolutions) {
    dmi_host *host = test_host_new(2);
    for (int i = 0; i < PRODUCTS; i++) {
        dmi_graph g = {.host = host,
                       .kernels = dmi_kernels_for(dmi_cpu_isa()),
                       .bf16_product = product_of(i)};
        for (uint32_t terms = 0; g.bf16_product && terms < 16; terms += 5)
            conv_case_on(&g, &conv_cases[_i], terms);
    }
    test_host_end(host);
}
END_TEST

/* The same bits for any batch and number of threads, in latency mode and without, and as close to
 * float32 as without these products (test_precision.c). */
START_TEST(networks) {
    static network_input in;
    static float plain[NETWORK_IMAGES][NETWORK_ELEMENTS], want[NETWORK_IMAGES][NETWORK_ELEMENTS],
        got[NETWORK_IMAGES][NETWORK_ELEMENTS];
    if (!product_of(_i / 2)) return;
    network_give(&in);
    for (int32_t threads = 1; threads <= 3; threads++) {
        dm_context_options o;
        dm_context *context;
        ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
        o.threads = threads;
        o.latency = _i % 2;
        ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
        context->bf16_product = product_of(_i / 2);
        dm_unet *unet = network_new(context, 1);
        network_randomize(unet, 4);
        test_accepted(context, network_forward(unet, plain[0], in.x, in.timesteps, in.labels,
                                               NETWORK_IMAGES));
        test_accepted(context, dm_unet_set_precision(unet, DM_PRECISION_BF16));
        for (size_t i = 0; threads == 1 && i < NETWORK_IMAGES; i++)
            test_accepted(context, network_forward(unet, want[i], in.x + i * NETWORK_ELEMENTS,
                                                   in.timesteps + i, in.labels + i, 1));
        test_accepted(context,
                      network_forward(unet, got[0], in.x, in.timesteps, in.labels, NETWORK_IMAGES));
        ck_assert_mem_eq(got, want, sizeof got);
        dm_unet_destroy(unet);
        dm_context_destroy(context);
    }
    double error = test_error(got[0], plain[0], NETWORK_IMAGES * (size_t)NETWORK_ELEMENTS);
    ck_assert_msg(error > 5e-4 && error < 0.015, "error %.3g", error);
}
END_TEST

Suite *test_bf16_product_suite(void);
Suite *test_bf16_product_suite(void) {
    Suite *suite = suite_create("bf16_product");
    TCase *tests = tcase_create("products");
    tcase_set_timeout(tests, 30);
    tcase_add_loop_test(tests, against_double, 0, PRODUCTS);
    tcase_add_test(tests, emulations_are_exact);
    tcase_add_loop_test(tests, convolutions, 0, CONV_CASES);
    tcase_add_loop_test(tests, networks, 0, 2 * PRODUCTS);
    suite_add_tcase(suite, tests);
    return suite;
}
