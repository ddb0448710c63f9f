/* SPDX-License-Identifier: MIT */
/* dm_unet_input_gradient: against differences of dm_unet_forward, beside other passes and trainers,
 * on shares, and what it refuses. Against PyTorch: tests/golden/test_unet_torch.c. */
#include "core/context.h"
#include "support/allocator.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"
#include "unet/unet.h"

enum { MAX = 2 * NETWORK_IMAGES * NETWORK_ELEMENTS };

static dm_context *context;

static dm_context *context_of(int32_t threads) {
    dm_context_options o;
    dm_context *made;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = threads;
    ck_assert_int_eq(dm_context_create(&made, &o, NULL, 0), DM_OK);
    return made;
}

static void setup(void) { context = context_of(2); }
static void teardown(void) { dm_context_destroy(context); }

/* The arrays of a call, with the right sizes for `count` images. */
typedef struct pass {
    dm_unet_input input;
    float x[MAX], dy[MAX], y[MAX], dx[MAX];
    double times[NETWORK_IMAGES];
    int32_t labels[NETWORK_IMAGES];
    size_t in, out;
} pass;

static void prepare(pass *p, const dm_unet *unet, size_t count) {
    static network_input given;
    network_give(&given);
    const dm_unet_options *o = &unet->options;
    size_t pixels = (size_t)o->height * (size_t)o->width;
    ck_assert_int_eq(dm_unet_input_init(&p->input, sizeof p->input), DM_OK);
    p->in = count * pixels * (size_t)o->in_channels * (o->self_conditioning ? 2 : 1);
    p->out = count * pixels * (size_t)o->out_channels * (o->learned_variance ? 2 : 1);
    test_fill(p->x, p->in, 1, 1);
    test_fill(p->dy, p->out, 2, 1);
    for (size_t i = 0; i < count; i++) p->times[i] = given.timesteps[i];
    memcpy(p->labels, given.labels, sizeof p->labels);
    p->input.count = p->input.time_count = count;
    p->input.x_elements = p->in;
    p->input.x = p->x;
    p->input.times = p->times;
    p->input.labels = o->classes ? p->labels : NULL;
    p->input.label_count = o->classes ? count : 0;
}

static dm_status gradient(dm_unet *unet, pass *p) {
    return dm_unet_input_gradient(unet, &p->input, p->dy, p->out, p->y, p->dx, p->in);
}

static dm_status forward(dm_unet *unet, pass *p, float *y) {
    return dm_unet_forward(unet, &p->input, y, p->out);
}

static double dot(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

static dm_unet_options options_of(int32_t kind) {
    dm_unet_options o = network_options();
    if (kind == 1) {
        o.time_embedding = DM_TIME_ADD, o.learned_variance = 1, o.classes = 0;
        o.prediction = DM_PREDICT_EPS;
    }
    if (kind == 2) o.time_embedding = DM_TIME_ADD_OUTPUT, o.self_conditioning = 1;
    if (kind == 3) o.downsample_padding = DM_PAD_BOTTOM_RIGHT, o.mid_attention = 1, o.dropout = 0;
    return o;
}

/* The slope of sum dy y along random directions, and along the gradient itself. Differences of
 * floats and the third derivative each err by some 1e-4 here. */
START_TEST(differences) {
    static pass p;
    static float moved[MAX], plus[MAX], minus[MAX], direction[MAX];
    const float step = 4e-3f;
    dm_unet_options o = options_of(_i);
    dm_unet *unet;
    test_accepted(context, dm_unet_create(&unet, context, &o, 1));
    network_randomize(unet, 3);
    prepare(&p, unet, 2);
    test_accepted(context, gradient(unet, &p));
    test_accepted(context, forward(unet, &p, plus));
    ck_assert_mem_eq(plus, p.y, p.out * sizeof *plus);
    double norm = sqrt(dot(p.dx, p.dx, p.in));
    ck_assert(norm > 0.1 && isfinite(norm));
    for (int k = 0; k < 4; k++) {
        test_fill(direction, p.in, 10 + (uint64_t)k, 1);
        for (size_t i = 0; k == 3 && i < p.in; i++)
            direction[i] = (float)(p.dx[i] / norm * sqrt((double)p.in / 3));
        p.input.x = moved;
        for (size_t i = 0; i < p.in; i++) moved[i] = p.x[i] + step * direction[i];
        test_accepted(context, forward(unet, &p, plus));
        for (size_t i = 0; i < p.in; i++) moved[i] = p.x[i] - step * direction[i];
        test_accepted(context, forward(unet, &p, minus));
        double slope = (dot(plus, p.dy, p.out) - dot(minus, p.dy, p.out)) / (2 * (double)step);
        double want = dot(p.dx, direction, p.in),
               scale = norm * sqrt(dot(direction, direction, p.in));
        /* A random direction's slope is some sqrt(elements) below the product of the norms. */
        ck_assert_msg(fabs(slope - want) <= 2e-3 * scale / (k == 3 ? 1 : sqrt((double)p.in)),
                      "options %d, direction %d: slope %.6g, gradient %.6g, scale %.3g", _i, k,
                      slope, want, scale);
    }
    dm_unet_destroy(unet);
}
END_TEST

/* An image alone has the bits that it has in a batch, with any number of threads. */
START_TEST(batches_and_threads) {
    static pass all, one;
    for (int32_t threads = 1; threads <= 3; threads++) {
        dm_context *own = context_of(threads);
        dm_unet *unet = network_new(own, 1);
        network_randomize(unet, 3);
        prepare(&one, unet, 3);
        test_accepted(own, gradient(unet, &one));
        if (threads == 1) all = one;
        ck_assert_mem_eq(all.dx, one.dx, all.in * sizeof(float));
        prepare(&one, unet, 1);
        memcpy(one.x, all.x + one.in, one.in * sizeof(float));
        memcpy(one.dy, all.dy + one.out, one.out * sizeof(float));
        one.times[0] = all.times[1];
        one.labels[0] = all.labels[1];
        test_accepted(own, gradient(unet, &one));
        ck_assert_mem_eq(all.dx + one.in, one.dx, one.in * sizeof(float));
        dm_unet_destroy(unet);
        dm_context_destroy(own);
    }
}
END_TEST

/* It keeps its plan beside those of forward passes; none replaces the other. */
START_TEST(plans_stay) {
    static pass p;
    static float y[MAX];
    dm_unet *unet = network_new(context, 1);
    prepare(&p, unet, 2);
    test_accepted(context, forward(unet, &p, y));
    test_accepted(context, gradient(unet, &p));
    uint64_t allocations = context->host.allocations;
    for (int k = 0; k < 2; k++) {
        test_accepted(context, forward(unet, &p, y));
        test_accepted(context,
                      dm_unet_input_gradient(unet, &p.input, p.dy, p.out, NULL, p.dx, p.in));
    }
    ck_assert_uint_eq(context->host.allocations, allocations);
    ck_assert_mem_eq(p.y, y, p.out * sizeof *y);
    /* Another count replaces its own plan alone. */
    static pass three;
    prepare(&three, unet, 3);
    test_accepted(context, gradient(unet, &three));
    allocations = context->host.allocations;
    test_accepted(context, forward(unet, &p, y));
    ck_assert_uint_eq(context->host.allocations, allocations);
    ck_assert_mem_eq(three.dx, p.dx, p.in * sizeof *y);
    dm_unet_destroy(unet);
}
END_TEST

/* New weights are seen, although transformed weights are kept. */
START_TEST(weights_that_change) {
    static pass p, q;
    dm_unet *unet = network_new(context, 1);
    network_randomize(unet, 3);
    prepare(&p, unet, 1);
    prepare(&q, unet, 1);
    test_accepted(context, gradient(unet, &p));
    network_randomize(unet, 4);
    test_accepted(context, gradient(unet, &q));
    ck_assert_mem_ne(p.dx, q.dx, p.in * sizeof(float));
    network_randomize(unet, 3);
    test_accepted(context, gradient(unet, &q));
    ck_assert_mem_eq(p.dx, q.dx, p.in * sizeof(float));
    ck_assert_mem_eq(p.y, q.y, p.out * sizeof(float));
    dm_unet_destroy(unet);
}
END_TEST

/* The output may take the place of its gradient, and the input's gradient that of the input. */
START_TEST(arrays_in_place) {
    static pass p, q;
    dm_unet *unet = network_new(context, 1);
    network_randomize(unet, 3);
    prepare(&p, unet, 2);
    q = p;
    q.input.x = q.x;
    q.input.times = q.times;
    if (q.input.labels) q.input.labels = q.labels;
    test_accepted(context, gradient(unet, &p));
    test_accepted(context, dm_unet_input_gradient(unet, &q.input, q.dy, q.out, q.dy, q.x, q.in));
    ck_assert_mem_eq(q.dy, p.y, p.out * sizeof(float));
    ck_assert_mem_eq(q.x, p.dx, p.in * sizeof(float));
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(shares) {
    static pass p, q;
    dm_context *other = context_of(1);
    dm_unet *unet = network_new(context, 1), *share;
    network_randomize(unet, 3);
    test_accepted(other, dm_unet_share(&share, other, unet));
    prepare(&p, unet, 2);
    prepare(&q, share, 2);
    test_accepted(context, gradient(unet, &p));
    test_accepted(other, gradient(share, &q));
    ck_assert_mem_eq(p.dx, q.dx, p.in * sizeof(float));
    ck_assert_ptr_null(unet->weights->params.gradient);
    dm_unet_destroy(share);
    dm_unet_destroy(unet);
    dm_context_destroy(other);
}
END_TEST

/* A trainer's steps are the same with it in between. */
START_TEST(beside_a_trainer) {
    float *want = NULL;
    static pass p;
    for (int k = 0; k < 2; k++) {
        const training_setup defaults = training_default();
        training t;
        training_begin(&t, &defaults);
        for (int step = 0; step < 3; step++) {
            training_require(&t, dm_trainer_step(t.trainer, NULL));
            prepare(&p, t.unet, 2);
            if (k) training_require(&t, gradient(t.unet, &p));
        }
        if (k) ck_assert(training_unchanged(&t, want));
        else want = training_weights(&t);
        training_end(&t);
    }
    free(want);
}
END_TEST

START_TEST(refused) {
    static pass p;
    const int32_t bad = DM_ERROR_INVALID_ARGUMENT, shape = DM_ERROR_SHAPE_MISMATCH;
    dm_unet *unet = network_new(context, 1);
    prepare(&p, unet, 1);
    test_untouched before = test_untouched_begin(context, NULL);
#define GRADIENT(in, dy, out_size, dx, in_size)                                                    \
    dm_unet_input_gradient(unet, in, dy, out_size, NULL, dx, in_size)
    test_refused(context, GRADIENT(NULL, p.dy, p.out, p.dx, p.in), bad, "'input' is NULL");
    test_refused(context, GRADIENT(&p.input, NULL, p.out, p.dx, p.in), bad,
                 "'output_gradient' is NULL");
    test_refused(context, GRADIENT(&p.input, p.dy, p.out, NULL, p.in), bad,
                 "'input_gradient' is NULL");
    test_refused(context, GRADIENT(&p.input, p.dy, p.out - 1, p.dx, p.in), shape,
                 "'output_elements' is 719; it must be 720");
    test_refused(context, GRADIENT(&p.input, p.dy, p.out, p.dx, p.in + 1), shape,
                 "'input_elements' is 721; it must be 720");
    p.input.count = 0;
    test_refused(context, GRADIENT(&p.input, p.dy, p.out, p.dx, p.in), bad, "'count' is 0");
    p.input.count = 1;
    p.labels[0] = NETWORK_CLASSES;
    test_refused(context, GRADIENT(&p.input, p.dy, p.out, p.dx, p.in), bad, "label 0 is 4");
    p.labels[0] = 0;
    p.times[0] = NAN;
    test_refused(context, GRADIENT(&p.input, p.dy, p.out, p.dx, p.in), bad, "time 0");
    ck_assert_int_eq(dm_unet_input_gradient(NULL, &p.input, p.dy, p.out, NULL, p.dx, p.in), bad);
    test_untouched_end(&before);
    dm_unet_destroy(unet);
}
END_TEST

Suite *test_input_gradient_suite(void);
Suite *test_input_gradient_suite(void) {
    Suite *suite = suite_create("input_gradient");
    TCase *tests = tcase_create("dm_unet_input_gradient");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, differences, 0, 4);
    tcase_add_test(tests, batches_and_threads);
    tcase_add_test(tests, plans_stay);
    tcase_add_test(tests, weights_that_change);
    tcase_add_test(tests, arrays_in_place);
    tcase_add_test(tests, shares);
    tcase_add_test(tests, beside_a_trainer);
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return suite;
}
