/* SPDX-License-Identifier: MIT */
/* dm_unet_set_tiling: a network with it moves its output with its input; held runs, trainers,
 * shares; what it refuses. Against PyTorch: tests/golden/test_unet_torch.c. */
#include "support/allocator.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"
#include "unet/unet.h"

enum { HEIGHT = NETWORK_HEIGHT, WIDTH = NETWORK_WIDTH, C = NETWORK_CHANNELS, N = NETWORK_ELEMENTS };

static dm_context *context;
static network_input in;

static void setup(void) {
    context = test_context_new(NULL, 0);
    network_give(&in);
}
static void teardown(void) { dm_context_destroy(context); }

static dm_unet *new_network(dm_context *own) {
    dm_unet *unet = network_new(own, 1);
    network_randomize(unet, 3);
    return unet;
}

/* to = from, moved by rows and columns around the border. */
static void roll(float *to, const float *from, int32_t rows, int32_t columns) {
    for (int32_t y = 0; y < HEIGHT; y++)
        for (int32_t x = 0; x < WIDTH; x++)
            memcpy(to + ((size_t)((y + rows) % HEIGHT) * WIDTH + (size_t)((x + columns) % WIDTH)) *
                            C,
                   from + ((size_t)y * WIDTH + (size_t)x) * C, C * sizeof *to);
}

/* The relative error of the network's output for a moved input against the moved output. */
static double moved(dm_unet *unet, int32_t rows, int32_t columns) {
    static float x[N], y[N], want[N], got[N];
    roll(x, in.x, rows, columns);
    test_accepted(context, network_forward(unet, y, in.x, in.timesteps, in.labels, 1));
    test_accepted(context, network_forward(unet, got, x, in.timesteps, in.labels, 1));
    roll(want, y, rows, columns);
    return test_error(got, want, N);
}

/* By a multiple of 2, the factor between the levels. */
START_TEST(outputs_move_with_inputs) {
    dm_unet *unet = new_network(context);
    ck_assert(moved(unet, 2, 0) > 1e-2 && moved(unet, 0, 6) > 1e-2);
    test_accepted(context, dm_unet_set_tiling(unet, 1, 0));
    ck_assert(moved(unet, 0, 6) < 1e-5 && moved(unet, 2, 0) > 1e-2);
    test_accepted(context, dm_unet_set_tiling(unet, 0, 1));
    ck_assert(moved(unet, 2, 0) < 1e-5 && moved(unet, 0, 6) > 1e-2);
    test_accepted(context, dm_unet_set_tiling(unet, 1, 1));
    ck_assert(moved(unet, 4, 14) < 1e-5);
    dm_unet_destroy(unet);
}
END_TEST

/* Turned off, the bits are those from before. */
START_TEST(off_is_as_before) {
    static float before[N], with[N], after[N];
    dm_unet *unet = new_network(context);
    test_accepted(context, network_forward(unet, before, in.x, in.timesteps, in.labels, 1));
    test_accepted(context, dm_unet_set_tiling(unet, 1, 1));
    test_accepted(context, network_forward(unet, with, in.x, in.timesteps, in.labels, 1));
    test_accepted(context, dm_unet_set_tiling(unet, 0, 0));
    test_accepted(context, network_forward(unet, after, in.x, in.timesteps, in.labels, 1));
    ck_assert_mem_eq(before, after, sizeof before);
    ck_assert_mem_ne(before, with, sizeof before);
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(batches) {
    static float all[3 * N], one[N];
    dm_unet *unet = new_network(context);
    test_accepted(context, dm_unet_set_tiling(unet, 1, 1));
    test_accepted(context, network_forward(unet, all, in.x, in.timesteps, in.labels, 3));
    test_accepted(context,
                  network_forward(unet, one, in.x + N, in.timesteps + 1, in.labels + 1, 1));
    ck_assert_mem_eq(all + N, one, sizeof one);
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(shares_have_their_own) {
    static float plain[N], tiled[N], shared[N];
    dm_context *other = test_context_new(NULL, 0);
    dm_unet *unet = new_network(context), *share;
    test_accepted(context, network_forward(unet, plain, in.x, in.timesteps, in.labels, 1));
    test_accepted(context, dm_unet_set_tiling(unet, 1, 1));
    test_accepted(other, dm_unet_share(&share, other, unet));
    test_accepted(other, network_forward(share, shared, in.x, in.timesteps, in.labels, 1));
    ck_assert_mem_eq(plain, shared, sizeof plain);
    test_accepted(other, dm_unet_set_tiling(share, 1, 1));
    test_accepted(other, network_forward(share, shared, in.x, in.timesteps, in.labels, 1));
    test_accepted(context, network_forward(unet, tiled, in.x, in.timesteps, in.labels, 1));
    ck_assert_mem_eq(tiled, shared, sizeof tiled);
    dm_unet_destroy(share);
    dm_unet_destroy(unet);
    dm_context_destroy(other);
}
END_TEST

START_TEST(held_runs) {
    static float want[N], got[N];
    dm_unet *unet = new_network(context);
    dm_schedule *schedule;
    dm_sampler *sampler;
    dm_sampler_options o;
    dm_sampler_request r;
    int32_t left = 1;
    test_accepted(context, dm_schedule_create(&schedule, context, NULL));
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    ck_assert_int_eq(dm_sampler_request_init(&r, sizeof r), DM_OK);
    o.steps = 3;
    test_accepted(context, dm_sampler_create(&sampler, unet, schedule, &o));
    test_accepted(context, dm_unet_set_tiling(unet, 1, 0));
    test_accepted(context, dm_sampler_run(sampler, &r, want, N));
    test_accepted(context, dm_sampler_start(sampler, &r));
    test_accepted(context, dm_sampler_step(sampler, &left));
    test_accepted(context, dm_unet_set_tiling(unet, 0, 0));
    test_refused(context, dm_sampler_step(sampler, &left), DM_ERROR_WRONG_STATE,
                 "tiling has changed since dm_sampler_start|dm_sampler_finish");
    test_accepted(context, dm_unet_set_tiling(unet, 1, 0));
    for (left = 1; left;) test_accepted(context, dm_sampler_step(sampler, &left));
    test_accepted(context, dm_sampler_finish(sampler, got, N));
    ck_assert_mem_eq(want, got, sizeof got);
    test_accepted(context, dm_unet_set_tiling(unet, 0, 0));
    test_accepted(context, dm_sampler_run(sampler, &r, got, N));
    ck_assert_mem_ne(want, got, sizeof got);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
}
END_TEST

/* A trainer has the setting of its creation: its steps differ from those without. */
START_TEST(training_keeps_it) {
    const training_setup defaults = training_default();
    training t;
    float *plain;
    training_begin(&t, &defaults);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_require(&t, dm_unet_set_tiling(t.unet, 0, 0)); /* no change */
    training_expect(&t, dm_unet_set_tiling(t.unet, 1, 0), DM_ERROR_WRONG_STATE,
                    "unet: the tiling cannot change|trainer");
    plain = training_weights(&t);
    training_end(&t);
    training_prepare(&t, &defaults);
    training_require(&t, dm_unet_set_tiling(t.unet, 1, 1));
    training_require(&t, dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset,
                                           &defaults.options));
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    ck_assert(!training_unchanged(&t, plain));
    training_end(&t);
    free(plain);
}
END_TEST

START_TEST(refused) {
    dm_unet *unet = new_network(context);
    test_untouched before = test_untouched_begin(context, NULL);
    test_refused(context, dm_unet_set_tiling(unet, 2, 0), DM_ERROR_INVALID_ARGUMENT,
                 "unet: 'horizontal' is 2; it must be from 0 to 1");
    test_refused(context, dm_unet_set_tiling(unet, 0, -1), DM_ERROR_INVALID_ARGUMENT,
                 "unet: 'vertical' is -1; it must be from 0 to 1");
    ck_assert_int_eq(dm_unet_set_tiling(NULL, 0, 0), DM_ERROR_INVALID_ARGUMENT);
    /* Networks whose other operations read beyond the border. */
    unet->options.recipe[0] = DM_PART_CONVNEXT;
    test_refused(context, dm_unet_set_tiling(unet, 1, 0), DM_ERROR_UNSUPPORTED, "'recipe'");
    test_accepted(context, dm_unet_set_tiling(unet, 0, 0));
    unet->options.recipe[0] = DM_PART_END;
    unet->options.up_resample[0] = DM_RESAMPLE_SKIP;
    test_refused(context, dm_unet_set_tiling(unet, 0, 1), DM_ERROR_UNSUPPORTED, "'up_resample'");
    test_untouched_end(&before);
    dm_unet_destroy(unet);
}
END_TEST

Suite *test_tiling_suite(void);
Suite *test_tiling_suite(void) {
    Suite *suite = suite_create("tiling");
    TCase *tests = tcase_create("dm_unet_set_tiling");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, outputs_move_with_inputs);
    tcase_add_test(tests, off_is_as_before);
    tcase_add_test(tests, batches);
    tcase_add_test(tests, shares_have_their_own);
    tcase_add_test(tests, held_runs);
    tcase_add_test(tests, training_keeps_it);
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return suite;
}
