/* SPDX-License-Identifier: MIT */
/* What a network with conditions draws from: pictures, folders of them, and vectors. */
#include "sample/conditions.h"

#include "picture/model_image.h"
#include "program/folders.h"
#include "program/lines.h"

enum { SIDE = 6, COUNT = 5, ELEMENTS = SIDE * SIDE * 3 };

static given_line g;

static int32_t read_all(conditions *c, int32_t channels, int32_t size, const char *path,
                        const char *vector, const char *part) {
    dm_unet_options u;
    ck_assert_int_eq(dm_unet_options_init(&u, sizeof u), DM_OK);
    u.height = u.width = SIDE;
    u.condition_channels = channels;
    u.condition_size = size;
    accept_line(&g, "sample", "");
    capture err = capture_begin(stderr);
    const int32_t status = read_conditions(c, &g.line, &u, COUNT, path, vector);
    char *message = capture_end(&err);
    ck_assert_msg(!*message == !status && strstr(message, part), "'%s'", message);
    free(message);
    return status;
}

static void refused(int32_t channels, int32_t size, const char *path, const char *vector,
                    const char *part) {
    conditions c;
    ck_assert_int_eq(read_all(&c, channels, size, path, vector, part), REPORTED);
    free_conditions(&c);
    ck_assert(!c.images && !c.vectors);
}

START_TEST(images) {
    conditions c;
    char *folder = test_folder_new();
    float want[2][ELEMENTS];
    write_picture(test_path(folder, "a.png"), 9, 14, 3, 1);
    write_picture(test_path(folder, "b.png"), 8, 8, 3, 2);
    accept_line(&g, "sample", "");
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(read_image(&g.line, test_path(folder, i ? "b.png" : "a.png"), want[i],
                                    SIDE, SIDE, 3),
                         0);
    ck_assert_int_eq(read_all(&c, 3, 0, test_path(folder, "b.png"), NULL, ""), 0);
    for (int i = 0; i < COUNT; i++)
        ck_assert_mem_eq(c.images + i * ELEMENTS, want[1], sizeof want[1]);
    free_conditions(&c);
    /* The pictures of a folder in turn. */
    ck_assert_int_eq(read_all(&c, 3, 0, folder, NULL, ""), 0);
    for (int i = 0; i < COUNT; i++)
        ck_assert_mem_eq(c.images + i * ELEMENTS, want[i % 2], sizeof want[1]);
    dm_sampler_request r = {.count = COUNT};
    set_conditions(&r, &c);
    ck_assert(r.condition_image == c.images && r.condition_image_elements == COUNT * ELEMENTS);
    ck_assert(!r.condition_vector && !r.condition_vector_elements);
    free_conditions(&c);
    write_half_picture(test_path(folder, "c.png"), 20, 20, 1);
    refused(3, 0, folder, NULL, "c.png: ");
    refused(3, 0, test_path(folder, "none.png"), NULL, "none.png: ");
    make_in(folder, "empty");
    refused(3, 0, test_path(folder, "empty"), NULL, "no PNG or JPEG");
    refused(4, 0, folder, NULL, "4 channels");
    free(folder);
}
END_TEST

START_TEST(vectors) {
    static const char *const wrong[] = {"",         "1",      "1,2",   "1,2,3,4", "1,2,x",
                                        "1,,3",     "1,2,3,", "1 2 3", "nan,2,3", "1,inf,3",
                                        "1,2,1e99", ",1,2,3", "1,2,3 "};
    conditions c;
    ck_assert_int_eq(read_all(&c, 0, 3, NULL, "1,-2.5,1e-3", ""), 0);
    ck_assert_uint_eq(c.vector_elements, 3 * COUNT);
    for (int i = 0; i < COUNT; i++)
        ck_assert(c.vectors[3 * i] == 1 && c.vectors[3 * i + 1] == -2.5f &&
                  c.vectors[3 * i + 2] == 1e-3f);
    free_conditions(&c);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refused(0, 3, NULL, wrong[i], "it must be 3 numbers with commas");
}
END_TEST

/* Conditions are given where the network takes them, and only there. */
START_TEST(taken_or_not) {
    conditions c;
    ck_assert_int_eq(read_all(&c, 0, 0, NULL, NULL, ""), 0);
    free_conditions(&c);
    refused(3, 0, NULL, NULL, "--condition is needed");
    refused(0, 3, NULL, NULL, "--vector is needed");
    refused(0, 0, "x.png", NULL, "--condition has no effect");
    refused(0, 0, NULL, "1", "--vector has no effect");
}
END_TEST

Suite *test_sample_conditions_suite(void);
Suite *test_sample_conditions_suite(void) {
    Suite *suite = suite_create("sample_conditions");
    TCase *tests = tcase_create("sample_conditions");
    tcase_add_test(tests, images);
    tcase_add_test(tests, vectors);
    tcase_add_test(tests, taken_or_not);
    suite_add_tcase(suite, tests);
    return suite;
}
