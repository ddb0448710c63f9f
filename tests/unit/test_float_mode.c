/* SPDX-License-Identifier: MIT */
/* The caller's floating-point mode: the threads of a context take it over, it stays as it was, and
 * files hold the same numbers in each. */
#include "base/float_mode.h"

#include <fenv.h>
#include <pthread.h>

#include "support/training.h"

enum { MODES = 4, STEPS = 2 };

static const int directions[MODES] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

/* A parallel loop of the program on two threads of its own, which have other modes. */
typedef struct host_loop {
    void (*body)(void *data, int32_t index);
    void *data;
    int32_t first, count;
    int direction;
    bool changed;
} host_loop;

static void *run_part(void *user) {
    host_loop *part = user;
    fesetround(part->direction);
    for (int32_t i = part->first; i < part->count; i += 2) part->body(part->data, i);
    part->changed = fegetround() != part->direction;
    return NULL;
}

static void parallel_for(void *user, int32_t count, void (*body)(void *data, int32_t index),
                         void *data) {
    host_loop parts[2];
    pthread_t threads[2];
    bool *changed = user;
    for (int i = 0; i < 2; i++) {
        parts[i] = (host_loop){body, data, i, count, i ? FE_DOWNWARD : FE_UPWARD, false};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_part, &parts[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        *changed = *changed || parts[i].changed;
    }
}

/* The weights after a few steps in the mode that is set after the context was created; to be
 * freed. With `path` the run is saved there. */
static float *train(int32_t threads, int direction, const char *path) {
    training t;
    training_setup setup = training_default();
    setup.threads = threads;
    training_begin(&t, &setup);
    ck_assert_int_eq(fesetround(direction), 0);
    const dm_status status = dm_trainer_run(t.trainer, STEPS, NULL, NULL);
    const int after = fegetround();
    const dm_status saved = path ? dm_trainer_save(t.trainer, path) : DM_OK;
    ck_assert_int_eq(fegetround(), direction);
    fesetround(FE_TONEAREST);
    training_require(&t, status);
    training_require(&t, saved);
    ck_assert_int_eq(after, direction);
    float *weights = training_weights(&t);
    training_end(&t);
    return weights;
}

static size_t weight_bytes(void) {
    training t;
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    const size_t bytes = (size_t)dm_unet_parameter_count(t.unet) * sizeof(float);
    training_end(&t);
    return bytes;
}

/* Every number of threads gives the same bits in every mode; modes differ, so that the test sees
 * them. */
START_TEST(threads_take_over_the_mode) {
    const size_t bytes = weight_bytes();
    float *nearest = train(1, FE_TONEAREST, NULL);
    for (int i = 0; i < MODES; i++) {
        float *one = train(1, directions[i], NULL), *three = train(3, directions[i], NULL);
        ck_assert_msg(!memcmp(one, three, bytes), "mode %d: threads differ", i);
        ck_assert_int_eq(!memcmp(one, nearest, bytes), directions[i] == FE_TONEAREST);
        free(one);
        free(three);
    }
    free(nearest);
}
END_TEST

/* Denormals that count as zero, where the processor can. */
START_TEST(flush_to_zero) {
#if defined(__SSE__)
    const dmi_float_mode before = dmi_float_mode_get();
    const size_t bytes = weight_bytes();
    float *weights[2];
    for (int i = 0; i < 2; i++) {
        dmi_float_mode_set(before | 0x8040);
        weights[i] = train(i ? 3 : 1, FE_TONEAREST, NULL);
        ck_assert_uint_eq(dmi_float_mode_get(), before | 0x8040);
        dmi_float_mode_set(before);
    }
    ck_assert(!memcmp(weights[0], weights[1], bytes));
    free(weights[0]);
    free(weights[1]);
#endif
}
END_TEST

START_TEST(threads_of_the_program_keep_theirs) {
    bool changed = false;
    dm_context_options o;
    dm_context *context;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = 2;
    o.parallel_for = parallel_for;
    o.parallel_user = &changed;
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
    dm_unet_options u;
    dm_unet_input in;
    dm_unet *unet;
    static float x[32 * 32 * 3], outputs[2][32 * 32 * 3];
    const double time = 300;
    dm_unet_options_preset(&u, sizeof u, DM_PRESET_TINY);
    u.height = u.width = 32;
    ck_assert_int_eq(dm_unet_create(&unet, context, &u, 1), DM_OK);
    test_fill(x, 32 * 32 * 3, 1, 1);
    dm_unet_input_init(&in, sizeof in);
    in.count = in.time_count = 1;
    in.x = x;
    in.x_elements = 32 * 32 * 3;
    in.times = &time;
    for (int i = 0; i < 2; i++) /* the second time with other threads for each task */
        ck_assert_int_eq(dm_unet_forward(unet, &in, outputs[i], 32 * 32 * 3), DM_OK);
    ck_assert(!changed);
    dm_context *plain;
    dm_unet *copy;
    o.parallel_for = NULL;
    ck_assert_int_eq(dm_context_create(&plain, &o, NULL, 0), DM_OK);
    ck_assert_int_eq(dm_unet_create(&copy, plain, &u, 1), DM_OK);
    static float want[32 * 32 * 3];
    ck_assert_int_eq(dm_unet_forward(copy, &in, want, 32 * 32 * 3), DM_OK);
    ck_assert(!memcmp(want, outputs[0], sizeof want) && !memcmp(want, outputs[1], sizeof want));
    dm_unet_destroy(copy);
    dm_unet_destroy(unet);
    dm_context_destroy(plain);
    dm_context_destroy(context);
}
END_TEST

/* A run goes on from its own file in every mode, and with the same bits. */
START_TEST(runs_resume_in_every_mode) {
    char *folder = test_folder_new(), file[256], again[256];
    const int direction = directions[_i % MODES], later = directions[_i / MODES];
    snprintf(file, sizeof file, "%s", test_path(folder, "file"));
    snprintf(again, sizeof again, "%s", test_path(folder, "again"));
    free(train(1, direction, file));
    training t;
    dm_trainer_options want, got;
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_get_options(t.trainer, &want, sizeof want));
    dm_trainer_destroy(t.trainer);
    fesetround(later);
    dm_status status = dm_trainer_resume(&t.trainer, t.unet, t.dataset, file);
    if (!status) status = dm_trainer_save(t.trainer, again);
    fesetround(FE_TONEAREST);
    training_require(&t, status);
    training_same_files(file, again);
    training_require(&t, dm_trainer_get_options(t.trainer, &got, sizeof got));
    ck_assert_mem_eq(&want, &got, sizeof want);
    training_end(&t);
    free(folder);
}
END_TEST

Suite *test_float_mode_suite(void);
Suite *test_float_mode_suite(void) {
    Suite *suite = suite_create("float_mode");
    TCase *tests = tcase_create("float_mode");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, threads_take_over_the_mode);
    tcase_add_test(tests, flush_to_zero);
    tcase_add_test(tests, threads_of_the_program_keep_theirs);
    tcase_add_loop_test(tests, runs_resume_in_every_mode, 0, MODES * MODES);
    suite_add_tcase(suite, tests);
    return suite;
}
