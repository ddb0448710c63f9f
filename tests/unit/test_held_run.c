/* SPDX-License-Identifier: MIT */
/* Held runs: the bits of dm_sampler_run, other calls in between, previews, and what is refused. */
#include "support/sampling.h"

enum { COUNT = 7, TOTAL = COUNT * ELEMENTS, BATCHES = 3 };

static const int32_t labels[COUNT] = {3, 1, -1, 0, 5, 2, 2};

/* Three batches of 3, 3 and 1 images. */
static dm_sampler_options in_batches(int32_t solver) {
    dm_sampler_options o = test_sampler_options(solver, STEPS, DM_SPACING_TRAILING);
    o.batch_size = 3;
    return o;
}

static dm_sampler_request labelled_request(void) {
    dm_sampler_request r = test_sampler_request(COUNT);
    r.seed = 40;
    r.labels = labels;
    return r;
}

/* All steps of a held run that was started; `between` may be NULL. Returns their number. */
static int32_t step_all(dm_sampler *sampler, void (*between)(int32_t left)) {
    int32_t left = INT32_MAX, steps = 0;
    while (left) {
        int32_t before = left;
        ok(dm_sampler_step(sampler, &left));
        if (steps) ck_assert_int_eq(left, before - 1);
        steps++;
        if (between) between(left);
    }
    return steps;
}

static void check_same(dm_sampler *sampler, dm_sampler_request *r, int32_t steps) {
    float want[TOTAL], got[TOTAL];
    ok(dm_sampler_run(sampler, test_counted(sampler, r), want, TOTAL));
    ok(dm_sampler_start(sampler, r));
    ck_assert_int_eq(step_all(sampler, NULL), steps);
    ok(dm_sampler_finish(sampler, got, TOTAL));
    ck_assert_mem_eq(got, want, sizeof got);
}

START_TEST(same_bits_as_a_run) {
    if (test_solver_is_special(_i)) return;
    dm_sampler_options o = in_batches(_i);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = labelled_request();
    check_same(sampler, &r, BATCHES * STEPS);
    r.random = DM_RANDOM_TORCH;
    check_same(sampler, &r, BATCHES * STEPS);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(same_bits_when_edited) {
    float image[TOTAL], mask[COUNT * SIDE * SIDE];
    for (int i = 0; i < TOTAL; i++) image[i] = (float)(i % 7) / 4 - 0.7f;
    for (int i = 0; i < COUNT * SIDE * SIDE; i++) mask[i] = (float)(i % 3) / 2;
    dm_sampler_options o = in_batches(DM_SOLVER_DDPM);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = labelled_request();
    r.image = image;
    r.strength = 0.5;
    check_same(sampler, &r, BATCHES * STEPS / 2);
    r.strength = 1;
    r.mask = mask;
    r.repaint_repetitions = 3;
    r.repaint_jump_length = 5;
    check_same(sampler, &r, 3 * BATCHES * STEPS);
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- other calls in between ---- */

static dm_unet *shared_unet;
static dm_sampler *other_sampler;

/* The same network with other batch sizes, and other calls in the context. */
static void disturb(int32_t left) {
    static float images[5 * 16 * 16 * 3];
    dm_sampler_request r = test_sampler_request(1 + (uint64_t)left % 5);
    const int32_t five[5] = {0, 1, 2, 3, 0};
    r.labels = five;
    ok(dm_sampler_run(other_sampler, test_counted(other_sampler, &r), images, r.count * 768));
    double a[1000];
    ok(dm_schedule_get_series(schedule, DM_SERIES_ALPHA_CUMPROD, a, 1000));
    uint64_t used;
    ok(dm_context_get_memory(context, &used, NULL, NULL));
}

START_TEST(other_calls_between_steps_change_nothing) {
    enum { IMAGES = 5, FLOATS = IMAGES * 16 * 16 * 3 };
    static float want[FLOATS], got[FLOATS];
    dm_unet_options u;
    ok(dm_unet_options_preset(&u, sizeof u, DM_PRESET_TINY));
    u.height = u.width = 16;
    u.classes = 4;
    ok(dm_unet_create(&shared_unet, context, &u, 3));
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DPMPP, 3, DM_SPACING_TRAILING);
    ok(dm_sampler_create(&other_sampler, shared_unet, schedule, &o));
    o.guidance = 3;
    o.guidance_begin = 0.5;
    o.batch_size = 2;
    dm_sampler *sampler;
    ok(dm_sampler_create(&sampler, shared_unet, schedule, &o));
    dm_sampler_request r = test_sampler_request(IMAGES);
    const int32_t of_images[IMAGES] = {1, 2, 0, 3, 1};
    r.labels = of_images;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), want, FLOATS));
    ok(dm_sampler_start(sampler, &r));
    ck_assert_int_eq(step_all(sampler, disturb), 3 * 3);
    ok(dm_sampler_finish(sampler, got, FLOATS));
    ck_assert_mem_eq(got, want, sizeof got);
    dm_sampler_destroy(sampler);
    dm_sampler_destroy(other_sampler);
    dm_unet_destroy(shared_unet);
}
END_TEST

START_TEST(steps_allocate_nothing) {
    dm_sampler_options o = in_batches(DM_SOLVER_UNIPC);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = labelled_request();
    float images[TOTAL];
    ok(dm_sampler_start(sampler, test_counted(sampler, &r)));
    uint64_t before = context->host.allocations;
    step_all(sampler, NULL);
    ok(dm_sampler_get_preview(sampler, images, TOTAL));
    ok(dm_sampler_finish(sampler, images, TOTAL));
    ck_assert_uint_eq(context->host.allocations, before);
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- previews ---- */

/* x_0 of each batch's last step, as progress shows it. */
static int32_t keep_x_0(void *user, const dm_sampler_progress *p) {
    memcpy((float *)user + p->first * ELEMENTS, p->x_0, p->elements * sizeof(float));
    return 0;
}

START_TEST(previews) {
    dm_sampler_options o = in_batches(DM_SOLVER_DDPM);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = labelled_request();
    float seen[TOTAL] = {0}, preview[TOTAL];
    int32_t left = 1;
    r.progress = keep_x_0;
    r.progress_user = seen;
    ok(dm_sampler_start(sampler, test_counted(sampler, &r)));
    ok(dm_sampler_get_preview(sampler, preview, TOTAL));
    ck_assert_mem_eq(preview, seen, sizeof seen);
    while (left) {
        ok(dm_sampler_step(sampler, &left));
        ok(dm_sampler_get_preview(sampler, preview, TOTAL));
        ck_assert_mem_eq(preview, seen, sizeof seen);
    }
    ck_assert_mem_ne(preview + TOTAL - ELEMENTS, (float[ELEMENTS]){0}, ELEMENTS * sizeof(float));
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_get_preview(sampler, preview, 5), "'elements' is 5");
    ok(dm_sampler_finish(sampler, NULL, 0));
    fails(DM_ERROR_WRONG_STATE, dm_sampler_get_preview(sampler, preview, TOTAL), "no run is held");
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- the order of calls ---- */

START_TEST(one_run_at_a_time) {
    dm_sampler_options o = in_batches(DM_SOLVER_DDIM);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = labelled_request(), edited = labelled_request();
    float images[TOTAL] = {0};
    int32_t left = 7;
    edited.image = images;
    fails(DM_ERROR_WRONG_STATE, dm_sampler_step(sampler, &left), "no run is held");
    ck_assert_int_eq(left, 0);
    fails(DM_ERROR_WRONG_STATE, dm_sampler_finish(sampler, NULL, 0), "no run is held");
    ok(dm_sampler_start(sampler, test_counted(sampler, &r)));
    fails(DM_ERROR_WRONG_STATE, dm_sampler_start(sampler, &r), "a run is held");
    fails(DM_ERROR_WRONG_STATE, dm_sampler_run(sampler, &r, images, TOTAL), "a run is held");
    fails(DM_ERROR_WRONG_STATE, dm_sampler_initial_noise(sampler, &r, images, TOTAL),
          "a run is held");
    fails(DM_ERROR_WRONG_STATE,
          dm_sampler_invert(sampler, test_counted(sampler, &edited), images, TOTAL),
          "a run is held");
    fails(DM_ERROR_WRONG_STATE, dm_sampler_finish(sampler, images, TOTAL), "24 steps left");
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_finish(sampler, images, 1), "'elements' is 1");
    ok(dm_sampler_step(sampler, &left));
    ck_assert_int_eq(left, 23);
    step_all(sampler, NULL);
    fails(DM_ERROR_WRONG_STATE, dm_sampler_step(sampler, &left), "no steps left");
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_finish(sampler, NULL, TOTAL), "'images' is NULL");
    ok(dm_sampler_finish(sampler, images, TOTAL));
    ok(dm_sampler_run(sampler, &r, images, TOTAL));
    /* A sampler may be destroyed with its held run. */
    ok(dm_sampler_start(sampler, &r));
    dm_sampler_destroy(sampler);
    ck_assert_int_eq(dm_sampler_start(NULL, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_sampler_step(NULL, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_sampler_finish(NULL, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(cancelled_between_steps) {
    dm_sampler_options o = in_batches(DM_SOLVER_DDIM);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = labelled_request();
    float images[TOTAL];
    ok(dm_sampler_start(sampler, test_counted(sampler, &r)));
    ok(dm_sampler_step(sampler, NULL));
    dm_sampler_cancel(sampler);
    fails(DM_ERROR_CANCELLED, dm_sampler_step(sampler, NULL), "cancelled after step");
    fails(DM_ERROR_WRONG_STATE, dm_sampler_finish(sampler, NULL, 0), "no run is held");
    ok(dm_sampler_run(sampler, &r, images, TOTAL));
    dm_sampler_destroy(sampler);
}
END_TEST

static int32_t fails_at(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    int32_t *left = user;
    if (--*left < 0) {
        ck_assert_int_eq(dm_callback_fail(context, "the model is gone"), DM_OK);
        return 3;
    }
    return test_wave(NULL, input, output, size);
}

START_TEST(a_failed_step_ends_the_run) {
    dm_sampler_options o = in_batches(DM_SOLVER_DDIM);
    int32_t calls = 2;
    dm_sampler *sampler = test_sampler_of(fails_at, &calls, DM_PREDICT_V, &o);
    dm_sampler_request r = labelled_request();
    ok(dm_sampler_start(sampler, test_counted(sampler, &r)));
    ok(dm_sampler_step(sampler, NULL));
    ok(dm_sampler_step(sampler, NULL));
    fails(DM_ERROR_CALLBACK_FAILED, dm_sampler_step(sampler, NULL),
          "sampler: the denoiser failed: the model is gone");
    fails(DM_ERROR_WRONG_STATE, dm_sampler_step(sampler, NULL), "no run is held");
    dm_sampler_destroy(sampler);
}
END_TEST

Suite *test_held_run_suite(void);

Suite *test_held_run_suite(void) {
    Suite *suite = suite_create("held_run");
    TCase *tcase = tcase_create("held_run");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, same_bits_as_a_run, 0, test_solver_count());
    tcase_add_test(tcase, same_bits_when_edited);
    tcase_add_test(tcase, other_calls_between_steps_change_nothing);
    tcase_add_test(tcase, steps_allocate_nothing);
    tcase_add_test(tcase, previews);
    tcase_add_test(tcase, one_run_at_a_time);
    tcase_add_test(tcase, cancelled_between_steps);
    tcase_add_test(tcase, a_failed_step_ends_the_run);
    suite_add_tcase(suite, tcase);
    return suite;
}
