/* SPDX-License-Identifier: MIT */
/* Versions, statuses, and the creation, limits and hooks of contexts. */
#include "core/context.h"

#include "support/allocator.h"
#include "support/support.h"

static dm_context_options options_of(int32_t threads) {
    dm_context_options options;
    ck_assert_int_eq(dm_context_options_init(&options, sizeof options), DM_OK);
    options.threads = threads;
    return options;
}

START_TEST(versions_agree) {
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", DM_VERSION_MAJOR, DM_VERSION_MINOR, DM_VERSION_PATCH);
    ck_assert_str_eq(dm_version_string(), text);
    ck_assert_uint_eq(dm_version(),
                      DM_VERSION_MAJOR * 1000000 + DM_VERSION_MINOR * 1000 + DM_VERSION_PATCH);
    const char *info = dm_build_info();
    ck_assert_msg(strstr(info, text) != NULL && strstr(info, "kernels") != NULL, "%s", info);
    ck_assert_ptr_eq(info, dm_build_info());
}
END_TEST

START_TEST(statuses_have_names_and_messages) {
    ck_assert_str_eq(dm_status_name(DM_OK), "DM_OK");
    ck_assert_str_eq(dm_status_name(DM_ERROR_IO), "DM_ERROR_IO");
    ck_assert_str_eq(dm_status_message(DM_ERROR_IO), "input or output failed");
    ck_assert_str_eq(dm_status_name(DM_ERROR_INTERNAL), "DM_ERROR_INTERNAL");
    for (int32_t i = 0; i >= DM_ERROR_INTERNAL; i--)
        for (int32_t k = 0; k > i; k--) {
            ck_assert_str_ne(dm_status_name(i), dm_status_name(k));
            ck_assert_str_ne(dm_status_message(i), dm_status_message(k));
        }
    const int32_t unknown[] = {1, DM_ERROR_INTERNAL - 1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < 4; i++)
        ck_assert_str_eq(dm_status_message(unknown[i]), "unknown status");
}
END_TEST

START_TEST(default_context) {
    dm_context *context;
    ck_assert_int_eq(dm_context_create(&context, NULL, NULL, 0), DM_OK);
    ck_assert_int_ge(dm_context_threads(context), 1);
    ck_assert_str_eq(dm_context_error(context), "");
    ck_assert_ptr_nonnull(context->kernels);
    uint64_t used = 0, peak = 0, allocations = 0;
    ck_assert_int_eq(dm_context_get_memory(context, &used, &peak, &allocations), DM_OK);
    ck_assert_uint_ge(used, sizeof(dm_context));
    ck_assert_uint_ge(peak, used);
    ck_assert_uint_ge(allocations, 1);
    ck_assert_int_eq(dm_context_get_memory(context, NULL, NULL, NULL), DM_OK);
    dm_context_destroy(context);

    dm_context_destroy(NULL);
    ck_assert_str_eq(dm_context_error(NULL), "");
    ck_assert_int_eq(dm_context_threads(NULL), 0);
    ck_assert_int_eq(dm_context_get_memory(NULL, &used, NULL, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_context_create(NULL, NULL, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
}
END_TEST

static void *some_allocate(void *user, size_t size) {
    (void)user;
    return malloc(size);
}

static void some_release(void *user, void *pointer, size_t size) {
    (void)user;
    (void)size;
    free(pointer);
}

START_TEST(options_are_checked) {
    const int32_t bad_threads[] = {-1, INT32_MIN, 257, INT32_MAX};
    dm_context *const stale = (dm_context *)&bad_threads;
    for (size_t i = 0; i < 4; i++) {
        const dm_context_options options = options_of(bad_threads[i]);
        dm_context *context = stale;
        ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
        ck_assert_ptr_null(context);
    }
    for (int i = 0; i < 2; i++) {
        dm_context_options options = options_of(1);
        if (i == 0) options.allocate = some_allocate;
        else options.release = some_release;
        dm_context *context = stale;
        ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
        ck_assert_ptr_null(context);
    }
    dm_context_options uninitialised = {0};
    dm_context *context = stale;
    ck_assert_int_eq(dm_context_create(&context, &uninitialised, NULL, 0),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(context);

    struct {
        dm_context_options known;
        uint64_t later;
    } newer;
    ck_assert_int_eq(dm_context_options_init(&newer.known, sizeof newer), DM_OK);
    newer.known.threads = 1;
    ck_assert_int_eq(dm_context_create(&context, &newer.known, NULL, 0), DM_OK);
    dm_context_destroy(context);
    newer.later = 1;
    ck_assert_int_eq(dm_context_create(&context, &newer.known, NULL, 0),
                     DM_ERROR_UNSUPPORTED_VERSION);
    ck_assert_ptr_null(context);
    ck_assert_int_eq(dm_context_options_init(&newer.known, 3), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_context_options_init(NULL, sizeof newer.known), DM_ERROR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(a_failed_create_gives_a_reason) {
    char message[256] = "before", little[8];
    dm_context *context;
    dm_context_options options = options_of(999);
    ck_assert_int_eq(dm_context_create(&context, &options, message, sizeof message),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_str_eq(message, "context: 'threads' is 999; it must be from 0 to 256");
    ck_assert_int_eq(dm_context_create(&context, &options, little, sizeof little),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_str_eq(little, "context");
    options.threads = 1;
    options.allocate = some_allocate;
    dm_context_create(&context, &options, message, sizeof message);
    ck_assert_ptr_nonnull(strstr(message, "'release' is not"));
    options.allocate = NULL;
    options.memory_limit = 10;
    ck_assert_int_eq(dm_context_create(&context, &options, message, sizeof message),
                     DM_ERROR_LIMIT_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(message, "memory limit"));
    options.memory_limit = sizeof(dm_context) + 200; /* not enough for the pool */
    ck_assert_int_eq(dm_context_create(&context, &options, message, sizeof message),
                     DM_ERROR_LIMIT_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(message, "thread pool"));
    ck_assert_int_eq(dm_context_create(NULL, NULL, message, sizeof message),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_str_eq(message, "context: 'out' is NULL");
    options.memory_limit = 0;
    ck_assert_int_eq(dm_context_create(&context, &options, message, sizeof message), DM_OK);
    ck_assert_str_eq(message, "");
    dm_context_destroy(context);
}
END_TEST

START_TEST(error_text_is_copied) {
    char text[64];
    size_t size = 0;
    dm_context *context = test_context_new(NULL, 0);
    dmi_fail(&context->host, DM_ERROR_IO, "some reason");
    ck_assert_int_eq(dm_context_error_copy(context, text, sizeof text, &size), DM_OK);
    ck_assert_str_eq(text, "some reason");
    ck_assert_uint_eq(size, sizeof "some reason");
    ck_assert_int_eq(dm_context_error_copy(context, text, 5, &size), DM_OK);
    ck_assert_str_eq(text, "some");
    ck_assert_uint_eq(size, sizeof "some reason");
    ck_assert_int_eq(dm_context_error_copy(context, NULL, 0, &size), DM_OK);
    ck_assert_int_eq(dm_context_error_copy(NULL, text, sizeof text, &size),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_str_eq(text, "");
    dm_context_destroy(context);
}
END_TEST

START_TEST(features_are_known) {
    ck_assert_int_eq(dm_feature("no such feature"), 0);
    ck_assert_int_eq(dm_feature(NULL), 0);
    ck_assert_int_eq(dm_feature("blas"), dm_feature("openblas") || dm_feature("blis"));
    if (dm_feature("avx512")) ck_assert_int_eq(dm_feature("avx2"), 1);
}
END_TEST

/* Outside of a callback there is no call to fail. */
START_TEST(callback_fail_needs_a_call) {
    dm_context *context = test_context_new(NULL, 0);
    ck_assert_int_eq(dm_callback_fail(context, "text"), DM_ERROR_WRONG_STATE);
    ck_assert(dmi_enter(context));
    ck_assert(!dmi_enter(context));
    dmi_callback_begin(context);
    ck_assert_int_eq(dmi_callback_result(context, 3, DM_ERROR_CANCELLED, "test: the callback"),
                     DM_ERROR_CANCELLED);
    ck_assert_str_eq(dm_context_error(context), "test: the callback returned 3");
    ck_assert_int_eq(dm_callback_fail(context, "no more paper"), DM_OK);
    ck_assert_int_eq(dmi_callback_result(context, 3, DM_ERROR_CANCELLED, "test: the callback"),
                     DM_ERROR_CALLBACK_FAILED);
    ck_assert_str_eq(dm_context_error(context), "test: the callback failed: no more paper");
    ck_assert_int_eq(dmi_callback_result(context, 0, DM_ERROR_CANCELLED, ""), DM_OK);
    ck_assert_int_eq(dm_callback_fail(context, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dmi_leave(context, DM_ERROR_IO), DM_ERROR_IO);
    ck_assert(dmi_enter(context));
    dmi_leave(context, DM_OK);
    dm_context_destroy(context);
}
END_TEST

/* A text of an earlier error must not be taken for this one's. */
static void check_named(dm_context *context, int32_t status, const char *name) {
    ck_assert_int_eq(status, DM_ERROR_INVALID_ARGUMENT);
    ck_assert_msg(strstr(dm_context_error(context), name) != NULL, "%s, not %s",
                  dm_context_error(context), name);
    dmi_fail(&context->host, DM_ERROR_IO, "an error of before");
}

START_TEST(null_arguments_are_named) {
    const dm_context_options options = options_of(1);
    dm_context *context;
    dm_unet_options small;
    dm_unet *unet;
    float x[1] = {0};
    ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_OK);
    ck_assert_int_eq(dm_unet_options_preset(&small, sizeof small, DM_PRESET_TINY), DM_OK);
    ck_assert_int_eq(dm_unet_create(&unet, context, &small, 1), DM_OK);
    dmi_fail(&context->host, DM_ERROR_IO, "an error of before");
    check_named(context, dm_unet_create(NULL, context, &small, 1), "'out'");
    check_named(context, dm_unet_load(NULL, context, "x", 0), "'out'");
    check_named(context, dm_unet_load_memory(NULL, context, "x", 1, 0), "'out'");
    check_named(context, dm_unet_get_tensor_info(unet, 0, NULL), "'info'");
    check_named(context, dm_unet_get_tensor(unet, "conv_in.bias", NULL, 32), "'values'");
    check_named(context, dm_unet_get_tensor(unet, NULL, x, 1), "'name'");
    check_named(context, dm_unet_forward(unet, NULL, x, 1), "'input'");
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

START_TEST(thread_numbers) {
    const int32_t threads[] = {1, 2, 7, 256};
    for (size_t i = 0; i < 4; i++) {
        const dm_context_options options = options_of(threads[i]);
        dm_context *context;
        ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_OK);
        ck_assert_int_eq(dm_context_threads(context), threads[i]);
        dm_context_destroy(context);
    }
}
END_TEST

/* Runs the bodies from last to first, and counts. */
static void backwards(void *user, int32_t count, void (*body)(void *data, int32_t index),
                      void *data) {
    *(int *)user += count;
    while (count-- > 0) body(data, count);
}

static void mark(void *data, int32_t task, int32_t worker) {
    (void)worker;
    ((int *)data)[task]++;
}

START_TEST(threads_of_the_caller) {
    for (int32_t threads = 0; threads < 4; threads++) {
        int bodies = 0, done[100] = {0};
        dm_context_options options = options_of(threads);
        options.parallel_for = backwards;
        options.parallel_user = &bodies;
        dm_context *context;
        ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_OK);
        if (threads > 0) ck_assert_int_eq(dm_context_threads(context), threads);
        else ck_assert_int_ge(dm_context_threads(context), 1);
        dmi_parallel(context->host.pool, 100, mark, done);
        for (int i = 0; i < 100; i++) ck_assert_int_eq(done[i], 1);
        if (threads > 1) ck_assert_int_gt(bodies, 0);
        ck_assert_int_le(bodies, dm_context_threads(context));
        dm_context_destroy(context);
    }
}
END_TEST

START_TEST(all_memory_is_the_callers) {
    for (int32_t threads = 1; threads < 4; threads++) {
        int64_t refused = 0;
        for (;; refused++) {
            test_allocator allocator = {.fail_at = refused};
            dm_context_options options = options_of(threads);
            test_allocator_use(&allocator, &options);
            dm_context *context = (dm_context *)&options;
            const int32_t status = dm_context_create(&context, &options, NULL, 0);
            if (status == DM_OK) {
                uint64_t allocations;
                dm_context_get_memory(context, NULL, NULL, &allocations);
                ck_assert_uint_eq(allocations, (uint64_t)allocator.calls);
            } else {
                ck_assert_int_eq(status, DM_ERROR_OUT_OF_MEMORY);
                ck_assert_ptr_null(context);
            }
            dm_context_destroy(context);
            ck_assert_int_eq(allocator.live, 0);
            if (status == DM_OK) break;
        }
        ck_assert_int_ge(refused, 2); /* the context and its pool at least */
    }
}
END_TEST

START_TEST(the_limit_holds) {
    dm_context_options options = options_of(1);
    options.memory_limit = 100;
    dm_context *context;
    ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_ERROR_LIMIT_EXCEEDED);
    ck_assert_ptr_null(context);

    options.memory_limit = 1000000;
    ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_OK);
    void *block;
    ck_assert_int_eq(dmi_alloc(&context->host, &block, 999900, "a test"), DM_ERROR_LIMIT_EXCEEDED);
    ck_assert_msg(strstr(dm_context_error(context), "1.0 MB") != NULL, "%s",
                  dm_context_error(context));
    ck_assert_int_eq(dmi_alloc(&context->host, &block, 900000, "a test"), DM_OK);
    uint64_t used, peak;
    dmi_free(&context->host, block);
    dm_context_get_memory(context, &used, &peak, NULL);
    ck_assert_uint_ge(peak, 900000);
    ck_assert_uint_lt(used, 100000);
    dm_context_destroy(context);
}
END_TEST

static void keep(void *user, int32_t level, const char *message) {
    ck_assert_int_eq(level, DM_LOG_WARNING);
    snprintf(user, 256, "%s", message);
}

START_TEST(a_leak_is_logged) {
    char message[256] = "";
    test_allocator allocator = {.fail_at = -1};
    dm_context_options options = options_of(1);
    options.log = keep;
    options.log_user = message;
    test_allocator_use(&allocator, &options);
    for (int leaking = 0; leaking < 2; leaking++) {
        dm_context *context;
        void *block = NULL;
        ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_OK);
        if (leaking) ck_assert_int_eq(dmi_alloc(&context->host, &block, 5, "left"), DM_OK);
        dmi_host host = context->host;
        dm_context_destroy(context);
        ck_assert_int_eq(strstr(message, "still hold") != NULL, leaking);
        if (leaking) dmi_free(&host, block);
        ck_assert_int_eq(allocator.live, 0);
    }
}
END_TEST

Suite *test_context_suite(void);
Suite *test_context_suite(void) {
    Suite *suite = suite_create("context");
    TCase *tcase = tcase_create("context");
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, versions_agree);
    tcase_add_test(tcase, statuses_have_names_and_messages);
    tcase_add_test(tcase, default_context);
    tcase_add_test(tcase, options_are_checked);
    tcase_add_test(tcase, a_failed_create_gives_a_reason);
    tcase_add_test(tcase, error_text_is_copied);
    tcase_add_test(tcase, features_are_known);
    tcase_add_test(tcase, callback_fail_needs_a_call);
    tcase_add_test(tcase, null_arguments_are_named);
    tcase_add_test(tcase, thread_numbers);
    tcase_add_test(tcase, threads_of_the_caller);
    tcase_add_test(tcase, all_memory_is_the_callers);
    tcase_add_test(tcase, the_limit_holds);
    tcase_add_test(tcase, a_leak_is_logged);
    suite_add_tcase(suite, tcase);
    return suite;
}
