/* SPDX-License-Identifier: MIT */
/* Datasets: the generated shapes and images supplied by the caller; CIFAR-10's files are in
 * test_cifar10.c. */
#include "dataset/dataset.h"
#include "support/allocator.h"
#include "support/dataset.h"
#include "support/support.h"

enum { IMAGE = 32 * 32 * 3 };

/* ---- shapes ---- */

static dm_dataset_info info_of(const dm_dataset *dataset) {
    dm_dataset_info info;
    ck_assert_int_eq(dm_dataset_info_init(&info, sizeof info), DM_OK);
    ck_assert_int_eq(dm_dataset_get_info(dataset, &info), DM_OK);
    return info;
}

START_TEST(shapes) {
    dm_context *context = test_context_new(NULL, 0);
    const int32_t sizes[] = {16, 17, 32, 64};
    for (int s = 0; s < 4; s++) {
        const size_t bytes = (size_t)(sizes[s] * sizes[s] * 3);
        uint8_t *first = malloc(bytes), *again = malloc(bytes);
        dm_dataset *dataset, *other;
        ck_assert_int_eq(dm_dataset_create_shapes(&dataset, context, sizes[s], 1000, 7), DM_OK);
        ck_assert_int_eq(dm_dataset_create_shapes(&other, context, sizes[s], UINT64_C(1) << 56, 8),
                         DM_OK);
        const dm_dataset_info info = info_of(dataset);
        ck_assert(info.count == 1000 && info.height == sizes[s] && info.width == sizes[s] &&
                  info.channels == 3 && info.classes == 10);
        for (uint64_t i = 0; i < 40; i++) {
            int32_t label, label_again;
            ck_assert_int_eq(dm_dataset_get_image(dataset, i, first, bytes, &label), DM_OK);
            ck_assert_int_eq(dm_dataset_get_image(dataset, i, again, bytes, &label_again), DM_OK);
            ck_assert_int_eq(label, (int32_t)(i % 10));
            ck_assert_int_eq(label_again, label);
            ck_assert_mem_eq(first, again, bytes);
            ck_assert_int_eq(dm_dataset_get_image(dataset, i + 10, again, bytes, NULL),
                             DM_OK); /* the class again */
            ck_assert_mem_ne(first, again, bytes);
            ck_assert_int_eq(dm_dataset_get_image(other, i, again, bytes, NULL),
                             DM_OK); /* another seed */
            ck_assert_mem_ne(first, again, bytes);
        }
        ck_assert_int_eq(dm_dataset_get_image(other, (UINT64_C(1) << 56) - 1, again, bytes, NULL),
                         DM_OK);
        ck_assert_int_eq(dm_dataset_get_image(dataset, 1000, again, bytes, NULL),
                         DM_ERROR_NOT_FOUND);
        dm_dataset_destroy(dataset);
        dm_dataset_destroy(other);
        free(first);
        free(again);
    }
    dm_context_destroy(context);
}
END_TEST

START_TEST(classes_of_shapes) {
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *dataset;
    ck_assert_int_eq(dm_dataset_create_shapes(&dataset, context, 32, 20000, 3), DM_OK);
    for (int32_t i = 0; i < 10; i++)
        for (int32_t k = 0; k < i; k++)
            ck_assert_str_ne(dm_dataset_class_name(dataset, i), dm_dataset_class_name(dataset, k));
    ck_assert_str_eq(dm_dataset_class_name(dataset, 0), "circle");
    ck_assert_ptr_null(dm_dataset_class_name(dataset, 10));

    /* No shape reaches its image's edge, so each row's first pixel is background; and some pixel
     * differs from it by a quarter of the range at least. */
    for (uint64_t i = 0; i < 20000; i++) {
        uint8_t pixels[IMAGE];
        ck_assert_int_eq(dm_dataset_get_image(dataset, i, pixels, IMAGE, NULL), DM_OK);
        int contrast = 0, at_edge = 0;
        for (int p = 0; p < 1024; p++)
            for (int c = 0; c < 3; c++) {
                const int difference =
                    abs(pixels[p * 3 + c] - pixels[p / 32 * 96 + c]); /* the row's first pixel */
                const bool edge = p < 32 || p >= 992 || p % 32 == 31;
                if (difference > contrast) contrast = difference;
                at_edge += edge && difference != 0;
            }
        ck_assert_msg(at_edge == 0, "image %llu reaches its edge", (unsigned long long)i);
        ck_assert_msg(contrast >= 64, "image %llu has a contrast of %d", (unsigned long long)i,
                      contrast);
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
            dm_dataset_create_shapes(&dataset, context, bad[i].size, bad[i].count, 0);
        ck_assert_int_eq(status, DM_ERROR_INVALID_ARGUMENT);
        ck_assert_ptr_null(dataset);
    }
    dm_context_destroy(context);
}
END_TEST

static int32_t create_shapes(dm_context *context, const void *user) {
    (void)user;
    dm_dataset *dataset;
    const int32_t status = dm_dataset_create_shapes(&dataset, context, 16, 10, 0);
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
    int32_t label;
    ck_assert_int_eq(dataset_from_memory(&dataset, context, own_pixels, labels, 3, 2, 2, 1), DM_OK);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dm_dataset_get_image(dataset, (uint64_t)i, pixels, 4, &label), DM_OK);
        ck_assert_mem_eq(pixels, own_pixels + 4 * i, 4);
        ck_assert_int_eq(label, labels[i]);
    }
    ck_assert_int_eq(info_of(dataset).classes, 5);
    ck_assert_ptr_null(dm_dataset_class_name(dataset, 0));
    ck_assert(dataset->concurrent);
    dm_dataset_destroy(dataset);

    const int32_t *const without[] = {NULL, none};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(dataset_from_memory(&dataset, context, own_pixels, without[i], 3, 2, 2, 1),
                         DM_OK);
        ck_assert_int_eq(dm_dataset_get_image(dataset, 1, pixels, 4, &label), DM_OK);
        ck_assert_int_eq(label, -1);
        ck_assert_int_eq(info_of(dataset).classes, 0);
        dm_dataset_destroy(dataset);
    }
    const int32_t bad_labels[][3] = {{0, 1, -2}, {INT32_MAX, 0, 0}, {INT32_MIN, 0, 0}};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dataset_from_memory(&dataset, context, own_pixels, bad_labels[i], 3, 2, 2,
                                             1),
                         DM_ERROR_INVALID_ARGUMENT);
        ck_assert_ptr_null(dataset);
        ck_assert_ptr_nonnull(strstr(dm_context_error(context), "label"));
    }
    dm_dataset_destroy(NULL);
    dm_dataset_info info = {.struct_size = sizeof info};
    ck_assert_int_eq(dm_dataset_get_info(NULL, &info), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_dataset_get_image(NULL, 0, pixels, 4, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(dm_dataset_class_name(NULL, 0));
    dm_context_destroy(context);
}
END_TEST

/* What the callback returns, and the label that it sets; the image holds its index. */
typedef struct response {
    int32_t status, label;
    bool set_label;
} response;

static int32_t respond(void *user, dm_dataset_item *item) {
    const response *a = user;
    ck_assert_uint_eq(item->pixel_bytes, 4);
    memset(item->pixels, (int)item->index, item->pixel_bytes);
    if (a->set_label) item->label = a->label;
    return a->status;
}

START_TEST(from_callback) {
    dm_context *context = test_context_new(NULL, 0);
    const struct {
        response response;
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
        response a = cases[i].response;
        dm_dataset *dataset;
        uint8_t pixels[4];
        int32_t label = 99;
        ck_assert_int_eq(dataset_from_callback(&dataset, context, respond, &a, 200, 2, 2, 1),
                         DM_OK);
        ck_assert(!dataset->concurrent);
        ck_assert_int_eq(info_of(dataset).classes, 0);
        ck_assert_int_eq(dm_dataset_get_image(dataset, 150, pixels, 4, &label), cases[i].status);
        ck_assert_int_eq(label, cases[i].label);
        if (cases[i].status == DM_OK) ck_assert_int_eq(pixels[3], 150);
        else
            ck_assert_msg(strstr(dm_context_error(context), "image 150") != NULL, "%s",
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
    response a = {0, 0, false};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dm_dataset *dataset = (dm_dataset *)&a;
        ck_assert_int_eq(dataset_from_callback(&dataset, context, respond, &a, bad[i].count,
                                               bad[i].height, bad[i].width, bad[i].channels),
                         DM_ERROR_INVALID_ARGUMENT);
        ck_assert_ptr_null(dataset);
        ck_assert_msg(strstr(dm_context_error(context), bad[i].word) != NULL, "%s",
                      dm_context_error(context));
        dataset = (dm_dataset *)&a;
        ck_assert_int_eq(dataset_from_memory(&dataset, context, own_pixels, NULL, bad[i].count,
                                             bad[i].height, bad[i].width, bad[i].channels),
                         DM_ERROR_INVALID_ARGUMENT);
        ck_assert_ptr_null(dataset);
    }
    dm_dataset *dataset;
    ck_assert_int_eq(dataset_from_callback(&dataset, context, NULL, &a, 1, 2, 2, 1),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dataset_from_memory(&dataset, context, NULL, NULL, 1, 2, 2, 1),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dataset_from_callback(&dataset, NULL, respond, &a, 1, 2, 2, 1),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dataset_from_memory(&dataset, NULL, own_pixels, NULL, 1, 2, 2, 1),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_dataset_create_shapes(&dataset, NULL, 16, 1, 0), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_dataset_load_cifar10(&dataset, NULL, "x", 0), DM_ERROR_INVALID_ARGUMENT);
    /* A callback's images need not all be addressable; an array's must. */
    ck_assert_int_eq(dataset_from_callback(&dataset, context, respond, &a, UINT64_C(1) << 56, 64,
                                           64, 3),
                     DM_OK);
    dm_dataset_destroy(dataset);
    ck_assert_int_eq(dataset_from_memory(&dataset, context, own_pixels, NULL, UINT64_C(1) << 56, 64,
                                         64, 3),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_msg(strstr(dm_context_error(context), "cannot be addressed") != NULL, "%s",
                  dm_context_error(context));
    dm_context_destroy(context);
}
END_TEST

START_TEST(missing_outputs_are_refused) {
    dm_context *context = test_context_new(NULL, 0);
    for (int i = 0; i < 4; i++) {
        int32_t status = 0;
        dmi_fail(&context->host, DM_ERROR_IO, "an error of before");
        if (i == 0) status = dm_dataset_create_shapes(NULL, context, 16, 1, 0);
        if (i == 1) status = dm_dataset_load_cifar10(NULL, context, "x", 0);
        if (i == 2) status = dataset_from_callback(NULL, context, respond, NULL, 1, 2, 2, 1);
        if (i == 3) status = dataset_from_memory(NULL, context, own_pixels, NULL, 1, 2, 2, 1);
        ck_assert_int_eq(status, DM_ERROR_INVALID_ARGUMENT);
        ck_assert_msg(strstr(dm_context_error(context), "'out' is NULL") != NULL, "%d: %s", i,
                      dm_context_error(context));
    }
    dm_context_destroy(context);
}
END_TEST

static int32_t open_memory(dm_context *context, const void *user) {
    dm_dataset *dataset;
    const int32_t status = dataset_from_memory(&dataset, context, user, NULL, 3, 2, 2, 1);
    dm_dataset_destroy(dataset);
    return status;
}

static int32_t open_callback(dm_context *context, const void *user) {
    (void)user;
    dm_dataset *dataset;
    const int32_t status = dataset_from_callback(&dataset, context, respond, NULL, 3, 2, 2, 1);
    dm_dataset_destroy(dataset);
    return status;
}

static int32_t open_copy(dm_context *context, const void *user) {
    const int32_t labels[3] = {0, 1, 2};
    dm_dataset_memory m = {.struct_size = sizeof m,
                           .copy = 1,
                           .count = 3,
                           .height = 2,
                           .width = 2,
                           .channels = 1,
                           .pixel_bytes = 12,
                           .label_count = 3,
                           .pixels = user,
                           .labels = labels};
    dm_dataset *dataset;
    const int32_t status = dm_dataset_create_from_memory(&dataset, context, &m);
    dm_dataset_destroy(dataset);
    return status;
}

START_TEST(every_allocation_may_fail) {
    ck_assert_int_ge(test_every_allocation(create_shapes, NULL), 1);
    ck_assert_int_ge(test_every_allocation(open_memory, own_pixels), 1);
    ck_assert_int_ge(test_every_allocation(open_copy, own_pixels), 4);
    ck_assert_int_ge(test_every_allocation(open_callback, NULL), 1);
}
END_TEST

/* ---- copies, lengths and fingerprints ---- */

START_TEST(copies_outlive_the_arrays) {
    dm_context *context = test_context_new(NULL, 0);
    uint8_t mine[12], pixels[4];
    int32_t labels[3] = {2, 1, 0}, label;
    memcpy(mine, own_pixels, 12);
    for (int32_t copy = 0; copy < 2; copy++) {
        dm_dataset *dataset;
        dm_dataset_memory m;
        ck_assert_int_eq(dm_dataset_memory_init(&m, sizeof m), DM_OK);
        m.copy = copy;
        m.count = 3, m.height = m.width = 2, m.channels = 1;
        m.pixels = mine, m.pixel_bytes = 12;
        m.labels = labels, m.label_count = 3;
        ck_assert_int_eq(dm_dataset_create_from_memory(&dataset, context, &m), DM_OK);
        mine[4] = 77, labels[1] = 0;
        ck_assert_int_eq(dm_dataset_get_image(dataset, 1, pixels, 4, &label), DM_OK);
        ck_assert_int_eq(pixels[0], copy ? own_pixels[4] : 77);
        ck_assert_int_eq(label, copy ? 1 : 0);
        mine[4] = own_pixels[4], labels[1] = 1;
        dm_dataset_destroy(dataset);
    }
    dm_context_destroy(context);
}
END_TEST

START_TEST(lengths_are_checked) {
    dm_context *context = test_context_new(NULL, 0);
    const int32_t labels[3] = {0, 0, 0};
    const struct {
        uint64_t pixel_bytes, label_count;
        const int32_t *labels;
        const char *word;
    } cases[] = {{11, 0, NULL, "'pixel_bytes' is 11"},
                 {13, 0, NULL, "12"},
                 {12, 3, NULL, "'label_count' is 3"},
                 {12, 0, labels, "'label_count' is 0"},
                 {12, 2, labels, "'label_count' is 2"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dm_dataset *dataset = (dm_dataset *)&context;
        dm_dataset_memory m;
        ck_assert_int_eq(dm_dataset_memory_init(&m, sizeof m), DM_OK);
        m.count = 3, m.height = m.width = 2, m.channels = 1;
        m.pixels = own_pixels, m.pixel_bytes = cases[i].pixel_bytes;
        m.labels = cases[i].labels, m.label_count = cases[i].label_count;
        ck_assert_int_eq(dm_dataset_create_from_memory(&dataset, context, &m),
                         DM_ERROR_SHAPE_MISMATCH);
        ck_assert_ptr_null(dataset);
        ck_assert_msg(strstr(dm_context_error(context), cases[i].word) != NULL, "%s",
                      dm_context_error(context));
    }
    dm_context_destroy(context);
}
END_TEST

static uint64_t fingerprint_of(dm_context *context, const uint8_t *pixels, const int32_t *labels,
                               uint64_t count, int32_t height, int32_t width) {
    dm_dataset *dataset;
    ck_assert_int_eq(dataset_from_memory(&dataset, context, pixels, labels, count, height, width,
                                         1),
                     DM_OK);
    const uint64_t fingerprint = info_of(dataset).fingerprint;
    ck_assert_uint_ne(fingerprint, 0);
    dm_dataset_destroy(dataset);
    return fingerprint;
}

/* Of few images all count; of many the first and the last do. */
START_TEST(fingerprints) {
    enum { MANY = 1000 };
    dm_context *context = test_context_new(NULL, 0);
    static uint8_t pixels[4 * MANY];
    int32_t labels[3] = {0, 1, 2};
    const uint64_t plain = fingerprint_of(context, pixels, NULL, 3, 2, 2),
                   labelled = fingerprint_of(context, pixels, labels, 3, 2, 2),
                   many = fingerprint_of(context, pixels, NULL, MANY, 2, 2);
    ck_assert_uint_eq(fingerprint_of(context, pixels, NULL, 3, 2, 2), plain);
    ck_assert_uint_ne(labelled, plain);
    ck_assert_uint_ne(fingerprint_of(context, pixels, NULL, 2, 2, 2), plain);
    ck_assert_uint_ne(fingerprint_of(context, pixels, NULL, 3, 1, 4), plain);
    for (int i = 0; i < 12; i++) {
        pixels[i] = 1;
        ck_assert_uint_ne(fingerprint_of(context, pixels, NULL, 3, 2, 2), plain);
        pixels[i] = 0;
    }
    labels[1] = 0;
    ck_assert_uint_ne(fingerprint_of(context, pixels, labels, 3, 2, 2), labelled);
    pixels[4 * MANY - 1] = 1;
    ck_assert_uint_ne(fingerprint_of(context, pixels, NULL, MANY, 2, 2), many);

    dm_dataset *one, *other;
    const uint64_t parameters[][3] = {{16, 10, 0}, {17, 10, 0}, {16, 11, 0}, {16, 10, 1}};
    ck_assert_int_eq(dm_dataset_create_shapes(&one, context, 16, 10, 0), DM_OK);
    for (size_t i = 0; i < 4; i++) {
        const uint64_t *p = parameters[i];
        ck_assert_int_eq(dm_dataset_create_shapes(&other, context, (int32_t)p[0], p[1], p[2]),
                         DM_OK);
        ck_assert_int_eq(info_of(one).fingerprint == info_of(other).fingerprint, i == 0);
        dm_dataset_destroy(other);
    }
    dm_dataset_destroy(one);

    dm_dataset_callback c;
    ck_assert_int_eq(dm_dataset_callback_init(&c, sizeof c), DM_OK);
    c.count = 3, c.height = c.width = 2, c.channels = 1, c.classes = 9;
    c.read = respond;
    c.fingerprint = 1234;
    ck_assert_int_eq(dm_dataset_create_from_callback(&one, context, &c), DM_OK);
    ck_assert_uint_eq(info_of(one).fingerprint, 1234);
    ck_assert_int_eq(info_of(one).classes, 9);
    dm_dataset_destroy(one);
    dm_context_destroy(context);
}
END_TEST

Suite *test_dataset_suite(void);
Suite *test_dataset_suite(void) {
    Suite *suite = suite_create("dataset");
    TCase *tcase = tcase_create("dataset");
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, shapes);
    tcase_add_test(tcase, classes_of_shapes);
    tcase_add_test(tcase, from_memory);
    tcase_add_test(tcase, from_callback);
    tcase_add_test(tcase, shapes_of_the_callers_own);
    tcase_add_test(tcase, missing_outputs_are_refused);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, copies_outlive_the_arrays);
    tcase_add_test(tcase, lengths_are_checked);
    tcase_add_test(tcase, fingerprints);
    suite_add_tcase(suite, tcase);
    return suite;
}
