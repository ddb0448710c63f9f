/* SPDX-License-Identifier: MIT */
/* Calls that are refused for a missing argument, for shapes that do not agree, or for the state
 * that an object is in, and leave everything as it was. */
#include <errno.h>

#include "support/refusal.h"
#include "support/system_calls.h"
#include "support/training.h"
#include "unet/unet.h"

enum { BAD = DM_ERROR_INVALID_ARGUMENT };

static training t;

static void setup(void) {
    const training_setup setup = training_default();
    training_begin(&t, &setup);
}

static void teardown(void) { training_end(&t); }

START_TEST(missing_arguments) {
    dm_sampler *sampler = (dm_sampler *)&t;
    test_refused(t.context, dm_sampler_create(NULL, t.unet, t.schedule, NULL), BAD,
                 "sampler: 'out' is NULL");
    test_refused(t.context, dm_sampler_create(&sampler, t.unet, NULL, NULL), BAD,
                 "sampler: 'schedule' is NULL");
    ck_assert_ptr_null(sampler);
    test_refused(t.context, dm_trainer_get_step(t.trainer, NULL), BAD, "trainer: 'step' is NULL");
}
END_TEST

/* A network with other channels out than in, as it may serve a program of its own. */
START_TEST(networks_with_other_outputs) {
    dm_unet_options o = t.unet->options;
    dm_unet *unet;
    dm_sampler *sampler;
    dm_trainer *trainer;
    dm_evaluation_options e;
    dm_evaluation result = {.struct_size = sizeof result};
    o.out_channels = o.in_channels + 1;
    test_accepted(t.context, dm_unet_create(&unet, t.context, &o, 1));
    test_untouched before = test_untouched_begin(t.context, NULL);
    test_refused(t.context, dm_sampler_create(&sampler, unet, t.schedule, NULL),
                 DM_ERROR_SHAPE_MISMATCH, "3 channels in and 4 out");
    ck_assert_ptr_null(sampler);
    test_refused(t.context, dm_trainer_create(&trainer, unet, t.schedule, t.dataset, NULL),
                 DM_ERROR_SHAPE_MISMATCH, "'in_channels' 3 and 'out_channels' 4 differ");
    ck_assert_ptr_null(trainer);
    ck_assert_int_eq(dm_evaluation_options_init(&e, sizeof e), DM_OK);
    test_refused(t.context, dm_unet_evaluate(unet, t.schedule, t.dataset, &e, NULL, NULL, &result),
                 DM_ERROR_SHAPE_MISMATCH, "8 x 8 x 3 in and 4 out");
    test_untouched_end(&before);
    dm_unet_destroy(unet);
}
END_TEST

/* The bits of a held run would not be those of a run at once. */
START_TEST(weights_that_change_during_a_run) {
    dm_sampler *sampler;
    dm_sampler_options o;
    dm_sampler_request request;
    int32_t left;
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    ck_assert_int_eq(dm_sampler_request_init(&request, sizeof request), DM_OK);
    o.steps = 3;
    request.count = 1;
    test_accepted(t.context, dm_sampler_create(&sampler, t.unet, t.schedule, &o));
    test_accepted(t.context, dm_sampler_start(sampler, &request));
    test_accepted(t.context, dm_sampler_step(sampler, &left));
    ck_assert_int_eq(left, 2);
    test_accepted(t.context, dm_trainer_step(t.trainer, NULL));
    test_refused(t.context, dm_sampler_step(sampler, &left), DM_ERROR_WRONG_STATE,
                 "weights have changed since dm_sampler_start|dm_sampler_finish");
    test_accepted(t.context, dm_sampler_finish(sampler, NULL, 0));
    test_accepted(t.context, dm_sampler_start(sampler, &request));
    test_accepted(t.context, dm_sampler_step(sampler, &left));
    test_accepted(t.context, dm_sampler_finish(sampler, NULL, 0));
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(animations_of_another_size) {
    uint8_t frames[2 * 4 * 4 * 3] = {0};
    dm_image_animation a;
    char *folder = test_folder_new();
    ck_assert_int_eq(dm_image_animation_init(&a, sizeof a), DM_OK);
    a.frames = 2;
    a.height = a.width = 4;
    a.channels = 3;
    const char *path = test_path(folder, "animation.png");
    test_untouched before = test_untouched_begin(t.context, folder);
    test_refused(t.context, dm_image_write_apng(t.context, path, frames, sizeof frames - 1, &a),
                 DM_ERROR_SHAPE_MISMATCH, "'bytes' is 95; 2 x 4 x 4 x 3 has 96");
    test_untouched_end(&before);
    test_accepted(t.context, dm_image_write_apng(t.context, path, frames, sizeof frames, &a));
    free(folder);
}
END_TEST

/* ---- threads that the system refuses ---- */

START_TEST(threads) {
    for (int32_t number = 0; number < 4; number++) {
        dm_context *context = (dm_context *)&number;
        dm_context_options o;
        char text[256];
        ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
        o.threads = 4;
        test_calls_fail(TEST_PTHREAD_CREATE, number, 1, EAGAIN);
        const dm_status status = dm_context_create(&context, &o, text, sizeof text);
        const int32_t failed = test_calls_end();
        if (number == 3) { /* the calling thread is the fourth */
            ck_assert_int_eq(failed, 0);
            ck_assert_int_eq(status, DM_OK);
            dm_context_destroy(context);
            continue;
        }
        char want[64];
        snprintf(want, sizeof want, "thread %d of 4 could not be started: ", (int)number + 2);
        ck_assert_int_eq(failed, 1);
        ck_assert_int_eq(status, DM_ERROR_THREAD);
        ck_assert_ptr_null(context);
        ck_assert_msg(strstr(text, want) != NULL, "\"%s\" lacks \"%s\"", text, want);
    }
}
END_TEST

Suite *test_refused_calls_suite(void);
Suite *test_refused_calls_suite(void) {
    Suite *suite = suite_create("refused_calls");
    TCase *tests = tcase_create("with a trainer");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, missing_arguments);
    tcase_add_test(tests, networks_with_other_outputs);
    tcase_add_test(tests, weights_that_change_during_a_run);
    tcase_add_test(tests, animations_of_another_size);
    suite_add_tcase(suite, tests);
    tests = tcase_create("threads");
    tcase_add_test(tests, threads);
    suite_add_tcase(suite, tests);
    return suite;
}
