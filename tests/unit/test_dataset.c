/* Datasets: the built-in pictures and the caller's own; CIFAR-10's files are in test_cifar10.c. */
#include "dataset/dataset.h"

#include "support/allocator.h"
#include "support/support.h"

enum { PICTURE = 32 * 32 * 3 };

/* ---- built-in pictures ---- */

START_TEST(builtin_pictures) {
    dm_context *context = test_context_new(NULL, 0);
    const int32_t sizes[] = {16, 17, 32, 64};
    for (int s = 0; s < 4; s++) {
        const size_t bytes = (size_t)(sizes[s] * sizes[s] * 3);
        uint8_t *first = malloc(bytes), *again = malloc(bytes);
        dm_dataset *dataset, *other;
        ck_assert_int_eq(dm_dataset_open_builtin(&dataset, context, sizes[s], 1000, 7), DM_OK);
        ck_assert_int_eq(dm_dataset_open_builtin(&other, context, sizes[s], UINT64_C(1) << 56, 8),
                         DM_OK);
        uint64_t count;
        int32_t height, width, channels, classes;
        dm_dataset_size(dataset, &count, &height, &width, &channels, &classes);
        ck_assert(count == 1000 && height == sizes[s] && width == sizes[s] && channels == 3 &&
                  classes == 10);
        for (uint64_t i = 0; i < 40; i++) {
            int32_t label, label_again;
            ck_assert_int_eq(dm_dataset_get(dataset, i, first, bytes, &label), DM_OK);
            ck_assert_int_eq(dm_dataset_get(dataset, i, again, bytes, &label_again), DM_OK);
            ck_assert_int_eq(label, (int32_t)(i % 10));
            ck_assert_int_eq(label_again, label);
            ck_assert_mem_eq(first, again, bytes);
            ck_assert_int_eq(dm_dataset_get(dataset, i + 10, again, bytes, NULL),
                             DM_OK); /* the class again */
            ck_assert_mem_ne(first, again, bytes);
            ck_assert_int_eq(dm_dataset_get(other, i, again, bytes, NULL),
                             DM_OK); /* another seed */
            ck_assert_mem_ne(first, again, bytes);
        }
        ck_assert_int_eq(dm_dataset_get(other, (UINT64_C(1) << 56) - 1, again, bytes, NULL), DM_OK);
        ck_assert_int_eq(dm_dataset_get(dataset, 1000, again, bytes, NULL), DM_ERROR_NOT_FOUND);
        dm_dataset_destroy(dataset);
        dm_dataset_destroy(other);
        free(first);
        free(again);
    }
    dm_context_destroy(context);
}
END_TEST

START_TEST(builtin_classes) {
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *dataset;
    ck_assert_int_eq(dm_dataset_open_builtin(&dataset, context, 32, 20000, 3), DM_OK);
    for (int32_t i = 0; i < 10; i++)
        for (int32_t k = 0; k < i; k++)
            ck_assert_str_ne(dm_dataset_class_name(dataset, i), dm_dataset_class_name(dataset, k));
    ck_assert_str_eq(dm_dataset_class_name(dataset, 0), "circle");
    ck_assert_ptr_null(dm_dataset_class_name(dataset, 10));

    /* No shape reaches its picture's edge, so each row's first pixel is ground; and some pixel
     * stands out from it by a quarter of the range at least. */
    for (uint64_t i = 0; i < 20000; i++) {
        uint8_t pixels[PICTURE];
        ck_assert_int_eq(dm_dataset_get(dataset, i, pixels, PICTURE, NULL), DM_OK);
        int most = 0, at_edge = 0;
        for (int p = 0; p < 1024; p++)
            for (int c = 0; c < 3; c++) {
                const int difference =
                    abs(pixels[p * 3 + c] - pixels[p / 32 * 96 + c]); /* the row's first pixel */
                const bool edge = p < 32 || p >= 992 || p % 32 == 31;
                if (difference > most) most = difference;
                at_edge += edge && difference != 0;
            }
        ck_assert_msg(at_edge == 0, "picture %llu reaches its edge", (unsigned long long)i);
        ck_assert_msg(most >= 64, "picture %llu has a contrast of %d", (unsigned long long)i, most);
    }
    dm_dataset_destroy(dataset);

    const struct {
        int32_t size;
        uint64_t count;
    } bad[] = {{15, 1},
               {65, 1},
               {-1, 1},
               {0, 1},
               {INT32_MIN, 1},
               {16, 0},
               {16, (UINT64_C(1) << 56) + 1},
               {16, UINT64_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dataset = (dm_dataset *)&context;
        const int32_t status =
            dm_dataset_open_builtin(&dataset, context, bad[i].size, bad[i].count, 0);
        ck_assert_int_eq(status, DM_ERROR_INVALID_ARGUMENT);
        ck_assert_ptr_null(dataset);
    }
    dm_context_destroy(context);
}
END_TEST

static int32_t open_builtin(dm_context *context, const void *user) {
    (void)user;
    dm_dataset *dataset;
    const int32_t status = dm_dataset_open_builtin(&dataset, context, 16, 10, 0);
    dm_dataset_destroy(dataset);
    return status;
}

/* ---- the caller's own ---- */

static const uint8_t own_pixels[3 * 2 * 2 * 1] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

START_TEST(from_memory) {
    dm_context *context = test_context_new(NULL, 0);
    const int32_t labels[3] = {4, -1, 0}, none[3] = {-1, -1, -1};
    dm_dataset *dataset;
    uint8_t pixels[4];
    int32_t label, classes;
    ck_assert_int_eq(dm_dataset_from_memory(&dataset, context, own_pixels, labels, 3, 2, 2, 1),
                     DM_OK);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dm_dataset_get(dataset, (uint64_t)i, pixels, 4, &label), DM_OK);
        ck_assert_mem_eq(pixels, own_pixels + 4 * i, 4);
        ck_assert_int_eq(label, labels[i]);
    }
    dm_dataset_size(dataset, NULL, NULL, NULL, NULL, &classes);
    ck_assert_int_eq(classes, 5);
    ck_assert_ptr_null(dm_dataset_class_name(dataset, 0));
    ck_assert(dataset->concurrent);
    dm_dataset_destroy(dataset);

    const int32_t *const without[] = {NULL, none};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(dm_dataset_from_memory(&dataset, context, own_pixels, without[i], 3, 2, 2,
                                                1),
                         DM_OK);
        ck_assert_int_eq(dm_dataset_get(dataset, 1, pixels, 4, &label), DM_OK);
        ck_assert_int_eq(label, -1);
        dm_dataset_size(dataset, NULL, NULL, NULL, NULL, &classes);
        ck_assert_int_eq(classes, 0);
        dm_dataset_destroy(dataset);
    }
    const int32_t bad_labels[][3] = {{0, 1, -2}, {INT32_MAX, 0, 0}, {INT32_MIN, 0, 0}};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dm_dataset_from_memory(&dataset, context, own_pixels, bad_labels[i], 3, 2,
                                                2, 1),
                         DM_ERROR_INVALID_ARGUMENT);
        ck_assert_ptr_null(dataset);
        ck_assert_ptr_nonnull(strstr(dm_context_error(context), "label"));
    }
    dm_dataset_destroy(NULL);
    ck_assert_int_eq(dm_dataset_size(NULL, NULL, NULL, NULL, NULL, &classes),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_dataset_get(NULL, 0, pixels, 4, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(dm_dataset_class_name(NULL, 0));
    dm_context_destroy(context);
}
END_TEST

/* Answers with the state's value; the picture holds its index, the label is what the state says. */
typedef struct answer {
    int32_t status, label;
    bool set_label;
} answer;

static int32_t give_answer(void *user, uint64_t index, uint8_t *pixels, int32_t *label) {
    const answer *a = user;
    memset(pixels, (int)index, 4);
    if (a->set_label) *label = a->label;
    return a->status;
}

START_TEST(from_callback) {
    dm_context *context = test_context_new(NULL, 0);
    const struct {
        answer answer;
        int32_t status, label;
    } cases[] = {
        {{0, 3, true}, DM_OK, 3},
        {{0, 3, false}, DM_OK, -1},
        {{0, -1, true}, DM_OK, -1},
        {{0, -2, true}, DM_ERROR_INVALID_ARGUMENT, 99},
        {{7, 3, true}, DM_ERROR_CALLBACK_FAILED, 99},
        {{-1, 3, true}, DM_ERROR_CALLBACK_FAILED, 99},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        answer a = cases[i].answer;
        dm_dataset *dataset;
        uint8_t pixels[4];
        int32_t label = 99, classes = 99;
        ck_assert_int_eq(dm_dataset_from_callback(&dataset, context, give_answer, &a, 200, 2, 2, 1),
                         DM_OK);
        ck_assert(!dataset->concurrent);
        dm_dataset_size(dataset, NULL, NULL, NULL, NULL, &classes);
        ck_assert_int_eq(classes, 0);
        ck_assert_int_eq(dm_dataset_get(dataset, 150, pixels, 4, &label), cases[i].status);
        ck_assert_int_eq(label, cases[i].label);
        if (cases[i].status == DM_OK) ck_assert_int_eq(pixels[3], 150);
        else
            ck_assert_msg(strstr(dm_context_error(context), "picture 150") != NULL, "%s",
                          dm_context_error(context));
        dm_dataset_destroy(dataset);
    }
    dm_context_destroy(context);
}
END_TEST

START_TEST(shapes_of_the_callers_own) {
    dm_context *context = test_context_new(NULL, 0);
    const struct {
        uint64_t count;
        int32_t height, width, channels;
        const char *word;
    } bad[] = {
        {0, 2, 2, 1, "'count' is 0"},
        {3, 0, 2, 1, "'height' is 0"},
        {3, 2, -1, 1, "'width' is -1"},
        {3, 2, 2, 0, "'channels'"},
        {3, 2, 2, 65, "'channels'"},
        {3, 65537, 2, 1, "'height'"},
        {3, 2, INT32_MAX, 1, "'width'"},
        {UINT64_MAX, 2, 2, 1, "'count'"},
        {(UINT64_C(1) << 56) + 1, 2, 2, 1, "'count'"},
    };
    answer a = {0, 0, false};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dm_dataset *dataset = (dm_dataset *)&a;
        ck_assert_int_eq(dm_dataset_from_callback(&dataset, context, give_answer, &a, bad[i].count,
                                                  bad[i].height, bad[i].width, bad[i].channels),
                         DM_ERROR_INVALID_ARGUMENT);
        ck_assert_ptr_null(dataset);
        ck_assert_msg(strstr(dm_context_error(context), bad[i].word) != NULL, "%s",
                      dm_context_error(context));
        dataset = (dm_dataset *)&a;
        ck_assert_int_eq(dm_dataset_from_memory(&dataset, context, own_pixels, NULL, bad[i].count,
                                                bad[i].height, bad[i].width, bad[i].channels),
                         DM_ERROR_INVALID_ARGUMENT);
        ck_assert_ptr_null(dataset);
    }
    dm_dataset *dataset;
    ck_assert_int_eq(dm_dataset_from_callback(&dataset, context, NULL, &a, 1, 2, 2, 1),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_dataset_from_memory(&dataset, context, NULL, NULL, 1, 2, 2, 1),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_dataset_from_callback(&dataset, NULL, give_answer, &a, 1, 2, 2, 1),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_dataset_from_memory(&dataset, NULL, own_pixels, NULL, 1, 2, 2, 1),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_dataset_open_builtin(&dataset, NULL, 16, 1, 0), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_dataset_open_cifar10(&dataset, NULL, "x", 0), DM_ERROR_INVALID_ARGUMENT);
    /* A callback's pictures need not all be addressable; an array's must. */
    ck_assert_int_eq(dm_dataset_from_callback(&dataset, context, give_answer, &a, UINT64_C(1) << 56,
                                              64, 64, 3),
                     DM_OK);
    dm_dataset_destroy(dataset);
    ck_assert_int_eq(dm_dataset_from_memory(&dataset, context, own_pixels, NULL, UINT64_C(1) << 56,
                                            64, 64, 3),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_msg(strstr(dm_context_error(context), "cannot be addressed") != NULL, "%s",
                  dm_context_error(context));
    dm_context_destroy(context);
}
END_TEST

START_TEST(nowhere_to_put_them) {
    dm_context *context = test_context_new(NULL, 0);
    for (int i = 0; i < 4; i++) {
        int32_t status = 0;
        dmi_fail(&context->host, DM_ERROR_IO, "an error of before");
        if (i == 0) status = dm_dataset_open_builtin(NULL, context, 16, 1, 0);
        if (i == 1) status = dm_dataset_open_cifar10(NULL, context, "x", 0);
        if (i == 2) status = dm_dataset_from_callback(NULL, context, give_answer, NULL, 1, 2, 2, 1);
        if (i == 3) status = dm_dataset_from_memory(NULL, context, own_pixels, NULL, 1, 2, 2, 1);
        ck_assert_int_eq(status, DM_ERROR_INVALID_ARGUMENT);
        ck_assert_msg(strstr(dm_context_error(context), "'out' is NULL") != NULL, "%d: %s", i,
                      dm_context_error(context));
    }
    dm_context_destroy(context);
}
END_TEST

static int32_t open_memory(dm_context *context, const void *user) {
    dm_dataset *dataset;
    const int32_t status = dm_dataset_from_memory(&dataset, context, user, NULL, 3, 2, 2, 1);
    dm_dataset_destroy(dataset);
    return status;
}

static int32_t open_callback(dm_context *context, const void *user) {
    (void)user;
    dm_dataset *dataset;
    const int32_t status =
        dm_dataset_from_callback(&dataset, context, give_answer, NULL, 3, 2, 2, 1);
    dm_dataset_destroy(dataset);
    return status;
}

START_TEST(others_without_memory) {
    ck_assert_int_ge(test_every_allocation(open_builtin, NULL), 1);
    ck_assert_int_ge(test_every_allocation(open_memory, own_pixels), 1);
    ck_assert_int_ge(test_every_allocation(open_callback, NULL), 1);
}
END_TEST

Suite *test_dataset_suite(void);
Suite *test_dataset_suite(void) {
    Suite *suite = suite_create("dataset");
    TCase *tcase = tcase_create("dataset");
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, builtin_pictures);
    tcase_add_test(tcase, builtin_classes);
    tcase_add_test(tcase, from_memory);
    tcase_add_test(tcase, from_callback);
    tcase_add_test(tcase, shapes_of_the_callers_own);
    tcase_add_test(tcase, nowhere_to_put_them);
    tcase_add_test(tcase, others_without_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}
