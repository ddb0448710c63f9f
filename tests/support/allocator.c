/* SPDX-License-Identifier: MIT */
/* See allocator.h. */
#include "support/allocator.h"

#include "support/support.h"

enum { HEAD = 16 };

static void *take(void *user, size_t size) {
    test_allocator *a = user;
    const int64_t number = a->calls++;
    if (number == a->fail_at || (a->lasting && a->fail_at >= 0 && number > a->fail_at)) return NULL;
    unsigned char *block = malloc(size + HEAD);
    ck_assert_ptr_nonnull(block);
    memcpy(block, &size, sizeof size);
    a->live++;
    return block + HEAD;
}

static void give(void *user, void *pointer, size_t size) {
    test_allocator *a = user;
    unsigned char *block = (unsigned char *)pointer - HEAD;
    size_t taken;
    memcpy(&taken, block, sizeof taken);
    ck_assert_msg(taken == size, "a block of %zu bytes was released as one of %zu", taken, size);
    a->live--;
    free(block);
}

void test_allocator_use(test_allocator *allocator, dm_context_options *options) {
    options->allocate = take;
    options->release = give;
    options->allocator_user = allocator;
}

dm_context *test_context_new(test_allocator *allocator, uint64_t memory_limit) {
    dm_context_options options;
    ck_assert_int_eq(dm_context_options_init(&options, sizeof options), DM_OK);
    options.threads = 1;
    options.memory_limit = memory_limit;
    if (allocator != NULL) test_allocator_use(allocator, &options);
    dm_context *context;
    ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_OK);
    return context;
}

void test_keep_warning(void *user, dm_log_level level, const char *message) {
    if (level == DM_LOG_WARNING) snprintf(user, 256, "%s", message);
}

dm_context *test_context_with_log(test_allocator *allocator, int32_t threads, char *warning) {
    dm_context_options options;
    dm_context *context;
    ck_assert_int_eq(dm_context_options_init(&options, sizeof options), DM_OK);
    options.threads = threads;
    options.log = test_keep_warning;
    options.log_user = warning;
    *allocator = (test_allocator){.fail_at = -1};
    test_allocator_use(allocator, &options);
    ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_OK);
    return context;
}

static int64_t refuse_each(test_make make, const void *user, bool lasting) {
    for (int64_t refused = 0;; refused++) {
        test_allocator allocator = {.fail_at = -1, .lasting = lasting};
        dm_context *context = test_context_new(&allocator, 0);
        const int64_t before = allocator.live;
        allocator.calls = 0;
        allocator.fail_at = refused;
        const int32_t status = make(context, user);
        ck_assert_msg(allocator.live == before,
                      "%lld blocks leaked where allocation %lld was refused",
                      (long long)(allocator.live - before), (long long)refused);
        if (status != DM_OK) {
            ck_assert_msg(status == DM_ERROR_OUT_OF_MEMORY,
                          "%s (%s) where allocation %lld was refused", dm_status_name(status),
                          dm_context_error(context), (long long)refused);
            ck_assert_str_ne(dm_context_error(context), "");
        }
        dm_context_destroy(context);
        ck_assert_int_eq(allocator.live, 0);
        if (allocator.calls > refused) continue;
        ck_assert_int_eq(status, DM_OK);
        return allocator.calls;
    }
}

int64_t test_every_allocation(test_make make, const void *user) {
    refuse_each(make, user, false);
    return refuse_each(make, user, true);
}
