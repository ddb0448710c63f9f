/* SPDX-License-Identifier: MIT */
/* The operations of score networks: resampling, products and sums with constants, division by the
 * noise level, and random Fourier features. */
#include "support/gradient.h"
#include "support/operation.h"

#include "base/cpu.h"

static void done(test_net *net, int32_t status) {
    ck_assert_msg(status == DMI_OK, "%s: %s", net->op->name, net->host->error);
}

static dmi_value image_input(test_net *net) {
    return test_net_input(net, net->op->h, net->op->w, net->op->c, 1);
}

/* ---- resampling ---- */

/* The case's kind is in `kernel`. */
static void build_resample(test_net *net) {
    done(net, dmi_resample(net->graph, &net->output, image_input(net), net->op->kernel));
}

/* Sample i of an axis with zeros after each of its pixels if `up`, outside of it too; -1: zero. */
static int32_t source(int32_t i, int32_t size, bool up) {
    if (up && i % 2) return -1;
    if (up) i /= 2;
    return i >= 0 && i < size ? i : -1;
}

/* By the definition: zeros are inserted if the filter upsamples, `pad` zeros put before, the filter
 * [taps] runs over each position, and each second one is kept if it downsamples. */
static double filtered(const double *image, dmi_shape x, const double *taps, int32_t count,
                       int32_t pad, bool up, int32_t row, int32_t column, int32_t c) {
    double sum = 0;
    for (int32_t i = 0; i < count; i++)
        for (int32_t k = 0; k < count; k++) {
            int32_t r = source((up ? row : 2 * row) - pad + i, x.h, up),
                    q = source((up ? column : 2 * column) - pad + k, x.w, up);
            if (r >= 0 && q >= 0) sum += taps[i] * taps[k] * image[(r * x.w + q) * x.c + c];
        }
    return sum;
}

static void reference_resample(const test_net *net, double *const *v, double *y) {
    static const struct {
        double taps[4];
        int32_t count, pad;
        bool up;
    } kinds[] = {{{0.5, 0.5}, 2, 0, false},
                 {{1, 1}, 2, 1, true},
                 {{1 / 8., 3 / 8., 3 / 8., 1 / 8.}, 4, 1, false},
                 {{1 / 4., 3 / 4., 3 / 4., 1 / 4.}, 4, 2, true}};
    int32_t kind = net->op->kernel;
    bool up = kinds[kind].up;
    dmi_shape x = test_net_shape(net, 0);
    size_t image = dmi_shape_count(x) / (size_t)x.n;
    for (int32_t n = 0; n < x.n; n++)
        for (int32_t row = 0; row < (up ? 2 * x.h : x.h / 2); row++)
            for (int32_t column = 0; column < (up ? 2 * x.w : x.w / 2); column++)
                for (int32_t c = 0; c < x.c; c++)
                    *y++ = filtered(v[0] + (size_t)n * image, x, kinds[kind].taps,
                                    kinds[kind].count, kinds[kind].pad, up, row, column, c);
}

/* A value with two users: the first backward writes its gradient, the second adds to it. */
static void build_resample_twice(test_net *net) {
    dmi_value x = image_input(net), down, up, sum;
    done(net, dmi_resample(net->graph, &down, x, DMI_RESAMPLE_FIR_DOWN));
    done(net, dmi_resample(net->graph, &up, down, DMI_RESAMPLE_FIR_UP));
    done(net, dmi_add_values(net->graph, &sum, up, x));
    done(net, dmi_affine(net->graph, &net->output, sum, 0.5f, 0));
}

static void reference_resample_twice(const test_net *net, double *const *v, double *y) {
    static const double down_taps[] = {1 / 8., 3 / 8., 3 / 8., 1 / 8.},
                        up_taps[] = {1 / 4., 3 / 4., 3 / 4., 1 / 4.};
    dmi_shape x = test_net_shape(net, 0), half = dmi_shape_of(1, x.h / 2, x.w / 2, x.c);
    size_t image = dmi_shape_count(x) / (size_t)x.n;
    double *down = malloc(image * sizeof *down);
    ck_assert_ptr_nonnull(down);
    for (const double *in = v[0]; in < v[0] + (size_t)x.n * image; in += image) {
        for (int32_t i = 0; i < (int32_t)dmi_shape_count(half); i++)
            down[i] = filtered(in, x, down_taps, 4, 1, false, i / x.c / half.w, i / x.c % half.w,
                               i % x.c);
        for (int32_t i = 0; i < (int32_t)image; i++)
            *y++ = 0.5 * (in[i] + filtered(down, half, up_taps, 4, 2, true, i / x.c / x.w,
                                           i / x.c % x.w, i % x.c));
    }
    free(down);
}

/* ---- with constants ---- */

static void build_affine(test_net *net) {
    done(net, dmi_affine(net->graph, &net->output, image_input(net), -1.75f, 0.375f));
}

static void reference_affine(const test_net *net, double *const *v, double *y) {
    for (size_t i = 0; i < test_net_count(net, 0); i++) y[i] = -1.75 * v[0][i] + 0.375;
}

/* ---- of the noise level ---- */

/* A level in [0.5, 1.5). */
static dmi_value level(test_net *net) {
    dmi_value t = test_net_input(net, 1, 1, 1, 1), positive = DMI_NONE;
    done(net, dmi_affine(net->graph, &positive, t, 0.5f, 1));
    return positive;
}

static void build_divide(test_net *net) {
    dmi_value x = image_input(net), t = level(net);
    done(net, dmi_divide_by_time(net->graph, &net->output, x, t));
}

static void reference_divide(const test_net *net, double *const *v, double *y) {
    size_t image = test_net_count(net, 0) / (size_t)net->n;
    for (size_t i = 0; i < test_net_count(net, 0); i++)
        y[i] = v[0][i] / (0.5 * v[1][i / image] + 1);
}

/* The frequencies have no gradient but zero, so they are no parameter here. */
static void build_fourier(test_net *net) {
    dmi_value t = level(net);
    net->setup.frozen |= 1u << 1;
    dmi_value weight = test_net_param(net, dmi_shape_of(1, 1, 1, net->op->c), 0.5f);
    done(net, dmi_fourier(net->graph, &net->output, t, weight));
}

static void reference_fourier(const test_net *net, double *const *v, double *y) {
    int32_t c = net->op->c;
    for (int32_t n = 0; n < net->n; n++)
        for (int32_t k = 0; k < 2 * c; k++) {
            double angle = 2 * acos(-1) * v[1][k % c] * log(0.5 * v[0][n] + 1);
            *y++ = k < c ? sin(angle) : cos(angle);
        }
}

/* clang-format off */
#define RESAMPLE .build = build_resample, .reference = reference_resample
static const test_op cases[] = {
    {.name = "mean", RESAMPLE, .kernel = DMI_RESAMPLE_MEAN, .n = 3, .h = 4, .w = 6, .c = 7},
    {.name = "mean of one", RESAMPLE, .kernel = DMI_RESAMPLE_MEAN, .n = 1, .h = 2, .w = 2, .c = 1},
    {.name = "mean in tasks", RESAMPLE, .kernel = DMI_RESAMPLE_MEAN, .n = 2, .h = 44, .w = 40,
     .c = 41, .samples = 12},
    {.name = "nearest", RESAMPLE, .kernel = DMI_RESAMPLE_NEAREST, .n = 3, .h = 3, .w = 5, .c = 19},
    {.name = "nearest of one", RESAMPLE, .kernel = DMI_RESAMPLE_NEAREST, .n = 1, .h = 1, .w = 1,
     .c = 1},
    {.name = "fir down", RESAMPLE, .kernel = DMI_RESAMPLE_FIR_DOWN, .n = 3, .h = 4, .w = 6,
     .c = 19},
    {.name = "fir down of little", RESAMPLE, .kernel = DMI_RESAMPLE_FIR_DOWN, .n = 2, .h = 2,
     .w = 2, .c = 3},
    {.name = "fir down in tasks", RESAMPLE, .kernel = DMI_RESAMPLE_FIR_DOWN, .n = 2, .h = 44,
     .w = 40, .c = 41, .samples = 12},
    {.name = "fir up", RESAMPLE, .kernel = DMI_RESAMPLE_FIR_UP, .n = 3, .h = 3, .w = 5, .c = 33},
    {.name = "fir up of one", RESAMPLE, .kernel = DMI_RESAMPLE_FIR_UP, .n = 2, .h = 1, .w = 1,
     .c = 5},
    {.name = "fir up in tasks", RESAMPLE, .kernel = DMI_RESAMPLE_FIR_UP, .n = 2, .h = 11, .w = 20,
     .c = 41, .samples = 12},
    {.name = "fir up of a wide row", RESAMPLE, .kernel = DMI_RESAMPLE_FIR_UP, .n = 2, .h = 1,
     .w = 2, .c = 5001, .samples = 12},
    {.name = "fir down and up", .build = build_resample_twice,
     .reference = reference_resample_twice, .n = 2, .h = 6, .w = 4, .c = 5},
    {.name = "affine", .build = build_affine, .reference = reference_affine, .n = 3, .h = 5,
     .w = 3, .c = 7},
    {.name = "affine of several tiles", .build = build_affine, .reference = reference_affine,
     .n = 2, .h = 37, .w = 41, .c = 13},
    {.name = "divide", .build = build_divide, .reference = reference_divide, .n = 3, .h = 5,
     .w = 3, .c = 7},
    {.name = "divide of several tiles", .build = build_divide, .reference = reference_divide,
     .n = 3, .h = 37, .w = 41, .c = 23},
    {.name = "fourier", .build = build_fourier, .reference = reference_fourier, .n = 3, .c = 9},
    {.name = "fourier of one", .build = build_fourier, .reference = reference_fourier, .n = 1,
     .c = 1},
};
/* clang-format on */
enum { CASES = sizeof cases / sizeof *cases };

START_TEST(operation) { test_check_op(&cases[_i]); }
END_TEST

/* ---- recomputed in backward ---- */

/* silu(0.5 silu(x) + 1) / t, enlarged and reduced in between; `upsample`: its passes over memory
 * are recomputed. */
static void build_passes(test_net *net) {
    dmi_graph *g = net->graph;
    dmi_value x = image_input(net), t = level(net), y;
    if (net->op->upsample) g->recompute = DMI_RECOMPUTE_SELECTIVE;
    done(net, dmi_resample(g, &y, x, DMI_RESAMPLE_NEAREST));
    done(net, dmi_silu(g, &y, y));
    done(net, dmi_resample(g, &y, y, DMI_RESAMPLE_MEAN));
    done(net, dmi_affine(g, &y, y, 0.5f, 1));
    done(net, dmi_silu(g, &y, y));
    done(net, dmi_divide_by_time(g, &net->output, y, t));
}

static void reference_passes(const test_net *net, double *const *v, double *y) {
    size_t image = test_net_count(net, 0) / (size_t)net->n;
    for (size_t i = 0; i < test_net_count(net, 0); i++) {
        double inner = 0.5 * v[0][i] / (1 + exp(-v[0][i])) + 1;
        y[i] = inner / (1 + exp(-inner)) / (0.5 * v[1][i / image] + 1);
    }
}

START_TEST(recomputing_changes_no_bit) {
    test_op op = {.name = "passes",
                  .build = build_passes,
                  .reference = reference_passes,
                  .n = 3,
                  .h = 4,
                  .w = 6,
                  .c = 7};
    test_check_op(&op);
    test_net *kept = test_net_new(&op, (test_setup){.isa = dmi_cpu_isa()});
    op.upsample = true;
    test_net *again = test_net_new(&op, (test_setup){.isa = dmi_cpu_isa()});
    int32_t recomputed = 0;
    for (int32_t i = 0; i < again->graph->step_count; i++)
        recomputed += again->graph->steps[i].phase == DMI_PHASE_RECOMPUTE;
    ck_assert_int_eq(recomputed, 6); /* all but the last, and that of the level */
    test_net_run(kept);
    test_net_run(again);
    for (int32_t i = 0; i < 2; i++)
        ck_assert_mem_eq(test_net_gradient(kept, i), test_net_gradient(again, i),
                         test_net_count(kept, i) * sizeof(float));
    test_net_end(kept);
    test_net_end(again);
}
END_TEST

/* ---- Fourier features beyond their gradients ---- */

typedef struct fourier_net {
    dmi_host *host;
    dmi_graph *graph;
    dmi_params params;
    dmi_value t, weight, y;
} fourier_net;

enum { LEVELS = 6, FREQUENCIES = 3 };

static const float frequencies[FREQUENCIES] = {37.25f, -0.75f, 0};

static void fourier_begin(fourier_net *f, const float *levels) {
    int32_t index;
    f->host = test_host_new(1);
    dmi_params_init(&f->params);
    ck_assert_int_eq(dmi_params_add(f->host, &f->params, &index, "weight", 1,
                                    (int64_t[]){FREQUENCIES}, false),
                     DMI_OK);
    ck_assert_int_eq(dmi_graph_create(f->host, &f->graph, dmi_kernels_for(0), &f->params), DMI_OK);
    ck_assert_int_eq(dmi_graph_input(f->graph, &f->t, dmi_shape_of(LEVELS, 1, 1, 1), true), DMI_OK);
    ck_assert_int_eq(dmi_graph_param(f->graph, &f->weight, index), DMI_OK);
    ck_assert_int_eq(dmi_fourier(f->graph, &f->y, f->t, f->weight), DMI_OK);
    ck_assert_int_eq(dmi_params_allocate(f->host, &f->params), DMI_OK);
    ck_assert_int_eq(dmi_params_allocate_gradient(f->host, &f->params), DMI_OK);
    ck_assert_int_eq(dmi_graph_plan(f->graph, &f->y, 1, true), DMI_OK);
    memcpy(dmi_graph_data(f->graph, f->t), levels, LEVELS * sizeof *levels);
    memcpy(dmi_graph_data(f->graph, f->weight), frequencies, sizeof frequencies);
    dmi_graph_forward(f->graph);
}

static void fourier_end(fourier_net *f) {
    dmi_graph_destroy(f->graph);
    dmi_params_free(f->host, &f->params);
    test_host_end(f->host);
}

/* Angles of a thousand radians, rounded to floats where PyTorch rounds them. */
START_TEST(angles_are_floats) {
    static const float levels[LEVELS] = {0.01f, 0.37f, 1, 5.5f, 50, 380};
    fourier_net f;
    fourier_begin(&f, levels);
    const float *y = dmi_graph_data(f.graph, f.y);
    for (int32_t n = 0; n < LEVELS; n++)
        for (int32_t k = 0; k < FREQUENCIES; k++) {
            volatile float angle = logf(levels[n]); /* rounded at each store */
            angle = angle * frequencies[k];
            angle = angle * 2;
            angle = angle * (float)acos(-1);
            float sine = (float)sin((double)angle), cosine = (float)cos((double)angle);
            ck_assert(y[n * 2 * FREQUENCIES + k] == sine);
            ck_assert(y[n * 2 * FREQUENCIES + FREQUENCIES + k] == cosine);
        }
    fourier_end(&f);
}
END_TEST

START_TEST(levels_that_have_no_logarithm_give_nan) {
    static const float levels[LEVELS] = {0, -0.0f, -1, NAN, -INFINITY, 2};
    fourier_net f;
    fourier_begin(&f, levels);
    const float *y = dmi_graph_data(f.graph, f.y);
    for (int32_t i = 0; i < LEVELS * 2 * FREQUENCIES; i++)
        ck_assert(isnan(y[i]) == (i < (LEVELS - 1) * 2 * FREQUENCIES));
    for (int32_t i = 0; i < LEVELS * 2 * FREQUENCIES; i++) dmi_graph_gradient(f.graph, f.y)[i] = 1;
    dmi_graph_backward(f.graph);
    for (int32_t i = 0; i < LEVELS; i++)
        ck_assert(isnan(dmi_graph_gradient(f.graph, f.t)[i]) == (i < LEVELS - 1));
    fourier_end(&f);
}
END_TEST

START_TEST(frequencies_get_a_zero_gradient) {
    static const float levels[LEVELS] = {0.01f, 0.37f, 1, 5.5f, 50, 380};
    fourier_net f;
    fourier_begin(&f, levels);
    float *gradient = dmi_graph_gradient(f.graph, f.weight);
    for (int32_t adds = 0; adds < 2; adds++) {
        for (int32_t k = 0; k < FREQUENCIES; k++) gradient[k] = 7;
        for (int32_t i = 0; i < LEVELS * 2 * FREQUENCIES; i++)
            dmi_graph_gradient(f.graph, f.y)[i] = 1;
        f.graph->add_to_params = adds;
        dmi_graph_backward(f.graph);
        for (int32_t k = 0; k < FREQUENCIES; k++) ck_assert(gradient[k] == (adds ? 7.0f : 0.0f));
    }
    fourier_end(&f);
}
END_TEST

/* ---- refusals ---- */

enum { IMAGE, ODD_HEIGHT, ODD_WIDTH, TALL, NUMBERS, NUMBERS3, TABLE, SHAPES };

static const dmi_shape shapes[SHAPES] = {
    {2, 4, 4, 6}, {2, 3, 4, 6}, {2, 4, 5, 6}, {1, INT32_MAX / 2 + 1, 1, 1},
    {2, 1, 1, 1}, {3, 1, 1, 1}, {1, 1, 2, 6},
};

REFUSE(resample_kind, dmi_resample(g, out, of[IMAGE], 4))
REFUSE(resample_negative, dmi_resample(g, out, of[IMAGE], -1))
REFUSE(mean_odd, dmi_resample(g, out, of[ODD_HEIGHT], DMI_RESAMPLE_MEAN))
REFUSE(fir_odd, dmi_resample(g, out, of[ODD_WIDTH], DMI_RESAMPLE_FIR_DOWN))
REFUSE(up_tall, dmi_resample(g, out, of[TALL], DMI_RESAMPLE_NEAREST))
REFUSE(divide_numbers, dmi_divide_by_time(g, out, of[IMAGE], of[NUMBERS3]))
REFUSE(fourier_image, dmi_fourier(g, out, of[IMAGE], of[NUMBERS]))
REFUSE(fourier_table, dmi_fourier(g, out, of[NUMBERS], of[TABLE]))

static const operation_refusal refusals[] = {
    {DMI_ERROR_INVALID_ARGUMENT, "resample: there is no kind 4", resample_kind},
    {DMI_ERROR_INVALID_ARGUMENT, "resample: there is no kind -1", resample_negative},
    {DMI_ERROR_SHAPE_MISMATCH, "resample: x has 3 x 4 pixels; both must be even", mean_odd},
    {DMI_ERROR_SHAPE_MISMATCH, "resample: x has 4 x 5 pixels; both must be even", fir_odd},
    {DMI_ERROR_LIMIT_EXCEEDED, "resample: x of 1073741824 x 1 pixels is too large", up_tall},
    {DMI_ERROR_SHAPE_MISMATCH, "divide: t is 3 x 1 x 1 x 1; it must be 2 x 1 x 1 x 1",
     divide_numbers},
    {DMI_ERROR_SHAPE_MISMATCH, "fourier: t is 2 x 4 x 4 x 6; it must be 2 x 1 x 1 x 1",
     fourier_image},
    {DMI_ERROR_SHAPE_MISMATCH, "fourier: weight is 1 x 1 x 2 x 6; it must be 1 x 1 x 1 x 6",
     fourier_table},
};
enum { REFUSALS = sizeof refusals / sizeof *refusals };

START_TEST(refusal) { operation_refused(&refusals[_i], shapes, SHAPES); }
END_TEST

Suite *test_resample_suite(void);
Suite *test_resample_suite(void) {
    Suite *suite = suite_create("resample");
    TCase *tcase = tcase_create("resample");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, operation, 0, CASES);
    tcase_add_test(tcase, recomputing_changes_no_bit);
    tcase_add_test(tcase, angles_are_floats);
    tcase_add_test(tcase, levels_that_have_no_logarithm_give_nan);
    tcase_add_test(tcase, frequencies_get_a_zero_gradient);
    tcase_add_loop_test(tcase, refusal, 0, REFUSALS);
    suite_add_tcase(suite, tcase);
    return suite;
}
