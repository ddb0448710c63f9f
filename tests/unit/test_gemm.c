/* SPDX-License-Identifier: MIT */
/* Products by BLAS and by our own kernels, against plain loops in double; and that BLAS is touched
 * only where a graph uses it. */
#include "autograd/ops.h"
#include "base/cpu.h"
#include "diffusion.h"
#include "kernels/gemm.h"
#include "kernels/product.h"
#include "support/support.h"

/* Norm of the difference over norm of the result: some sqrt(k) 3e-8, 5e-7 for the deepest product
 * here. */
#define BOUND 1e-6

typedef struct product_case {
    int32_t rows, columns, k;
    bool ta, tb;
} product_case;

static const product_case cases[] = {
    {1, 1, 1, false, false},     {12, 32, 40, false, false}, {13, 64, 128, false, false},
    {25, 33, 129, false, false}, {7, 5, 300, false, false},  {64, 130, 64, false, false},
    {3, 100, 17, true, false},   {24, 64, 128, true, false}, {70, 31, 150, true, false},
    {1, 96, 260, true, false},   {20, 30, 40, false, true},  {11, 9, 5, true, true},
    {70, 70, 300, false, true},  {13, 130, 140, true, true},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* Strides larger than the rows: what lies between must stay as it is. */
enum { GAP = 3 };

typedef struct fixture {
    float *a, *b, *c, *before;
    double *want;
    size_t lda, ldb, ldc, c_count;
} fixture;

static float *filled(size_t count, uint64_t seed) {
    float *values = malloc(count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    test_fill(values, count, seed, 1.0f);
    return values;
}

static fixture fixture_of(const product_case *p, bool add) {
    size_t m = (size_t)p->rows, n = (size_t)p->columns, k = (size_t)p->k;
    fixture f = {.lda = (p->ta ? m : k) + GAP, .ldb = (p->tb ? k : n) + GAP, .ldc = n + GAP};
    f.c_count = m * f.ldc;
    f.a = filled((p->ta ? k : m) * f.lda, 1);
    f.b = filled((p->tb ? n : k) * f.ldb, 2);
    f.c = filled(f.c_count, 3);
    f.before = filled(f.c_count, 3);
    f.want = calloc(f.c_count, sizeof(double));
    ck_assert_ptr_nonnull(f.want);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < f.ldc; j++) {
            double sum = add || j >= n ? f.c[i * f.ldc + j] : 0;
            for (size_t l = 0; l < k && j < n; l++)
                sum += (double)f.a[p->ta ? l * f.lda + i : i * f.lda + l] *
                       f.b[p->tb ? j * f.ldb + l : l * f.ldb + j];
            f.want[i * f.ldc + j] = sum;
        }
    }
    return f;
}

static void fixture_check(fixture *f, const product_case *p, const char *what) {
    double error = test_error_d(f->c, f->want, f->c_count);
    ck_assert_msg(error <= BOUND, "%s: %d x %d x %d: error %.3g", what, p->rows, p->columns, p->k,
                  error);
    for (size_t i = 0; i < f->c_count; i++)
        if (i % f->ldc >= (size_t)p->columns)
            ck_assert_msg(f->c[i] == f->before[i], "%s wrote between its rows", what);
    free(f->a), free(f->b), free(f->c), free(f->before), free(f->want);
}

START_TEST(blas_follows_the_loop) {
    const product_case *p = &cases[_i];
    dmi_gemm_begin();
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++)
        for (int add = 0; add < 2; add++) {
            fixture f = fixture_of(p, add);
            dmi_gemm(dmi_kernels_for(isa)->product, p->ta, p->tb, p->rows, p->columns, p->k, f.a,
                     (int32_t)f.lda, f.b, (int32_t)f.ldb, add, f.c, (int32_t)f.ldc);
            fixture_check(&f, p, dmi_gemm_name());
        }
    dmi_gemm_end();
}
END_TEST

START_TEST(own_product_follows_the_loop) {
    const product_case *p = &cases[_i];
    if (p->tb) return;
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) {
        const dmi_product *product = dmi_kernels_for(isa)->product;
        for (int add = 0; add < 2; add++) {
            fixture f = fixture_of(p, add);
            dmi_multiply *multiply = p->ta ? product->multiply_transposed : product->multiply;
            multiply(f.c, f.ldc, f.a, f.lda, f.b, f.ldb, p->rows, p->columns, p->k, add);
            fixture_check(&f, p, dmi_kernels_for(isa)->isa);
        }
    }
}
END_TEST

/* A row has the same bits alone as among others, wherever it is. */
START_TEST(rows_are_independent) {
    enum { ROWS = 29, COLUMNS = 40, K = 200 };
    float *a = filled(ROWS * K, 1), *b = filled(K * COLUMNS, 2), *c = filled(ROWS * COLUMNS, 3),
          alone[COLUMNS];
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) {
        const dmi_product *product = dmi_kernels_for(isa)->product;
        product->multiply(c, COLUMNS, a, K, b, COLUMNS, ROWS, COLUMNS, K, false);
        for (int32_t i = 0; i < ROWS; i++) {
            product->multiply(alone, COLUMNS, a + i * K, K, b, COLUMNS, 1, COLUMNS, K, false);
            ck_assert_msg(!memcmp(alone, c + i * COLUMNS, sizeof alone), "%s: row %d",
                          dmi_kernels_for(isa)->isa, (int)i);
        }
    }
    free(a), free(b), free(c);
}
END_TEST

START_TEST(transpose) {
    enum { ROWS = 13, COLUMNS = 22 };
    float *a = filled(ROWS * COLUMNS, 1), b[COLUMNS * ROWS];
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) {
        dmi_kernels_for(isa)->product->transpose(b, ROWS, a, COLUMNS, ROWS, COLUMNS);
        for (int32_t i = 0; i < ROWS; i++)
            for (int32_t j = 0; j < COLUMNS; j++)
                ck_assert_msg(b[j * ROWS + i] == a[i * COLUMNS + j], "(%d, %d)", (int)i, (int)j);
    }
    free(a);
}
END_TEST

/* ---- a graph of one convolution ---- */

typedef struct one_conv {
    dmi_host host;
    dmi_params params;
    dmi_graph *graph;
    dmi_value x, weight, y;
} one_conv;

/* Channels and upsampling for which the convolution is im2col, or one of the library's own. */
static void one_conv_begin(one_conv *c, bool im2col, dmi_parallel_for parallel_for, void *user) {
    enum { N = 2, SIDE = 16 };
    int32_t channels = im2col ? 4 : 16, status;
    memset(c, 0, sizeof *c);
    dmi_params_init(&c->params);
    status = dmi_pool_create(&c->host, 2, parallel_for, user);
    if (!status)
        status = dmi_graph_create(&c->host, &c->graph, dmi_kernels_for(dmi_cpu_isa()), &c->params);
    if (!status)
        status = dmi_graph_input(c->graph, &c->x, dmi_shape_of(N, SIDE, SIDE, channels), false);
    if (!status)
        status =
            dmi_graph_input(c->graph, &c->weight, dmi_shape_of(3, 3, channels, channels), false);
    if (!status)
        status =
            dmi_conv(c->graph, &c->y, c->x, c->weight, DMI_NONE, DMI_NONE, DMI_NONE, 3, 1, 1, true);
    if (!status) status = dmi_graph_plan(c->graph, &c->y, 1, false);
    ck_assert_msg(status == DMI_OK, "%s", c->host.error);
    test_fill(dmi_graph_data(c->graph, c->x), N * SIDE * SIDE * (size_t)channels, 1, 1);
    test_fill(dmi_graph_data(c->graph, c->weight), 9 * (size_t)(channels * channels), 2, 1);
}

static void one_conv_end(one_conv *c) {
    dmi_graph_destroy(c->graph);
    dmi_params_free(&c->host, &c->params);
    dmi_pool_destroy(&c->host);
    ck_assert_uint_eq(c->host.used, 0);
}

START_TEST(a_plan_knows_whether_it_uses_blas) {
    for (int im2col = 0; im2col < 2; im2col++) {
        one_conv c;
        one_conv_begin(&c, im2col, NULL, NULL);
        ck_assert_int_eq(c.graph->uses_blas, im2col);
        one_conv_end(&c);
    }
}
END_TEST

/* ---- BLAS's own threads ---- */

#if defined(DMI_BLAS_NONE)

START_TEST(build_without_blas) {
    ck_assert_str_eq(dmi_gemm_name(), "no BLAS");
    ck_assert_msg(strstr(dm_build_info(), ", no BLAS, ") != NULL, "%s", dm_build_info());
}
END_TEST

#else

#if defined(DMI_BLAS_OPENBLAS)
int openblas_get_num_threads(void);
void openblas_set_num_threads(int threads);
static int blas_threads(void) { return openblas_get_num_threads(); }
static void set_blas_threads(int threads) { openblas_set_num_threads(threads); }
#else
int64_t bli_thread_get_num_threads(void);
void bli_thread_set_num_threads(int64_t threads);
static int blas_threads(void) { return (int)bli_thread_get_num_threads(); }
static void set_blas_threads(int threads) { bli_thread_set_num_threads(threads); }
#endif

/* One between begin and end, however often they nest, and as before afterwards. A sequential BLAS
 * has one before as well. */
START_TEST(blas_uses_one_thread) {
    set_blas_threads(2);
    int before = blas_threads();
    dmi_gemm_begin();
    ck_assert_int_eq(blas_threads(), 1);
    dmi_gemm_begin();
    dmi_gemm_end();
    ck_assert_int_eq(blas_threads(), 1);
    dmi_gemm_end();
    ck_assert_int_eq(blas_threads(), before);
}
END_TEST

static void note_blas_threads(void *user, int32_t count, void (*body)(void *data, int32_t index),
                              void *data) {
    *(int *)user = blas_threads();
    for (int32_t i = 0; i < count; i++) body(data, i);
}

/* A run of a graph sets BLAS's threads only where a node of it calls BLAS. */
START_TEST(only_a_graph_that_uses_blas_sets_its_threads) {
    set_blas_threads(2);
    int before = blas_threads();
    for (int im2col = 0; im2col < 2; im2col++) {
        one_conv c;
        int during = 0;
        one_conv_begin(&c, im2col, note_blas_threads, &during);
        dmi_graph_forward(c.graph);
        ck_assert_int_eq(during, im2col ? 1 : before);
        ck_assert_int_eq(blas_threads(), before);
        one_conv_end(&c);
    }
}
END_TEST

START_TEST(has_a_name) {
    ck_assert_msg(strstr(dm_build_info(), dmi_gemm_name()) != NULL, "%s", dm_build_info());
    ck_assert_int_gt((int)strlen(dmi_gemm_version()), 0);
}
END_TEST

#endif

Suite *test_gemm_suite(void);
Suite *test_gemm_suite(void) {
    Suite *suite = suite_create("gemm");
    TCase *products = tcase_create("products");
    tcase_add_loop_test(products, blas_follows_the_loop, 0, CASES);
    tcase_add_loop_test(products, own_product_follows_the_loop, 0, CASES);
    tcase_add_test(products, rows_are_independent);
    tcase_add_test(products, transpose);
    tcase_add_test(products, a_plan_knows_whether_it_uses_blas);
#if defined(DMI_BLAS_NONE)
    tcase_add_test(products, build_without_blas);
#else
    tcase_add_test(products, blas_uses_one_thread);
    tcase_add_test(products, only_a_graph_that_uses_blas_sets_its_threads);
    tcase_add_test(products, has_a_name);
#endif
    suite_add_tcase(suite, products);
    return suite;
}
