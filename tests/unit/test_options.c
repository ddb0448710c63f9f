/* Option structs of older, equal and newer versions. */
#include "core/context.h"
#include "support/support.h"

typedef struct small {
    uint32_t struct_size;
    int32_t a;
} small;

typedef struct current {
    uint32_t struct_size;
    int32_t a, b;
    float c;
} current;

typedef struct large {
    uint32_t struct_size;
    int32_t a, b;
    float c;
    int32_t d[3];
} large;

static const current defaults = {sizeof(current), 1, 2, 3};

START_TEST(null_gives_the_defaults) {
    dmi_host host = {0};
    current target = defaults;
    ck_assert_int_eq(dmi_options_read(&host, &target, sizeof target, NULL, "dm_some_options"),
                     DM_OK);
    ck_assert_mem_eq(&target, &defaults, sizeof target);
}
END_TEST

START_TEST(equal_size_is_copied) {
    dmi_host host = {0};
    current target = defaults, given = {sizeof given, 5, 6, 7};
    ck_assert_int_eq(dmi_options_read(&host, &target, sizeof target, &given, "dm_some_options"),
                     DM_OK);
    ck_assert_mem_eq(&target, &given, sizeof target);
}
END_TEST

START_TEST(older_struct_keeps_later_defaults) {
    dmi_host host = {0};
    current target = defaults;
    const small given = {sizeof given, 9};
    ck_assert_int_eq(dmi_options_read(&host, &target, sizeof target, &given, "dm_some_options"),
                     DM_OK);
    ck_assert_uint_eq(target.struct_size, sizeof target);
    ck_assert_int_eq(target.a, 9);
    ck_assert_int_eq(target.b, 2);
    ck_assert_float_eq(target.c, 3);
}
END_TEST

START_TEST(newer_struct_is_read_while_its_rest_is_zero) {
    dmi_host host = {0};
    current target = defaults;
    large given = {sizeof given, 5, 6, 7, {0, 0, 0}};
    ck_assert_int_eq(dmi_options_read(&host, &target, sizeof target, &given, "dm_some_options"),
                     DM_OK);
    ck_assert_int_eq(target.a, 5);
    ck_assert_float_eq(target.c, 7);
    ck_assert_uint_eq(target.struct_size, sizeof target);

    ((uint8_t *)&given)[sizeof given - 1] = 1;
    target = defaults;
    ck_assert_int_eq(dmi_options_read(&host, &target, sizeof target, &given, "dm_some_options"),
                     DM_ERROR_UNSUPPORTED_VERSION);
    ck_assert_msg(strstr(host.error, "dm_some_options") != NULL, "%s", host.error);
    ck_assert_mem_eq(&target, &defaults, sizeof target);
}
END_TEST

START_TEST(impossible_sizes_are_refused) {
    dmi_host host = {0};
    const uint32_t sizes[] = {0, 1, 3, 6, 15, 5000, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        current target = defaults, given = {sizes[i], 5, 6, 7};
        ck_assert_int_eq(dmi_options_read(&host, &target, sizeof target, &given, "dm_some_options"),
                         DM_ERROR_INVALID_ARGUMENT);
        ck_assert_msg(strstr(host.error, "did you call dm_some_options_init?") != NULL, "%s",
                      host.error);
        ck_assert_mem_eq(&target, &defaults, sizeof target);
    }
    const current given = {0, 0, 0, 0};
    current target;
    ck_assert_int_eq(dmi_options_read(&host, &target, sizeof target, &given, "dm_train_batch"),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_msg(strstr(host.error, "sizeof(dm_train_batch)") != NULL, "%s", host.error);
    /* There may be no context yet. */
    ck_assert_int_eq(dmi_options_read(NULL, &target, sizeof target, &given, "dm_x_options"),
                     DM_ERROR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(writing_fits_any_size) {
    dmi_host host = {0};
    const current full = {0, 5, 6, 7};

    small older[2] = {{1, 1}, {77, 77}};
    ck_assert_int_eq(dmi_options_write(&host, older, sizeof older[0], &full, sizeof full,
                                       "dm_x_options"),
                     DM_OK);
    ck_assert_uint_eq(older[0].struct_size, sizeof(small));
    ck_assert_int_eq(older[0].a, 5);
    ck_assert_uint_eq(older[1].struct_size, 77); /* not a byte beyond */
    ck_assert_int_eq(older[1].a, 77);

    large newer;
    memset(&newer, 0xff, sizeof newer);
    ck_assert_int_eq(dmi_options_write(NULL, &newer, sizeof newer, &full, sizeof full,
                                       "dm_x_options"),
                     DM_OK);
    ck_assert_uint_eq(newer.struct_size, sizeof newer);
    ck_assert_float_eq(newer.c, 7);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(newer.d[i], 0);

    uint32_t only_size = 0;
    ck_assert_int_eq(dmi_options_write(&host, &only_size, sizeof only_size, &full, sizeof full,
                                       "dm_x_options"),
                     DM_OK);
    ck_assert_uint_eq(only_size, sizeof only_size);
    ck_assert_int_eq(dmi_options_write(&host, &only_size, 3, &full, sizeof full, "dm_x_options"),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dmi_options_write(NULL, &only_size, 0, &full, sizeof full, "dm_x_options"),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dmi_options_write(&host, NULL, 16, &full, sizeof full, "dm_x_options"),
                     DM_ERROR_INVALID_ARGUMENT);
}
END_TEST

Suite *test_options_suite(void);
Suite *test_options_suite(void) {
    Suite *suite = suite_create("options");
    TCase *tcase = tcase_create("options");
    tcase_add_test(tcase, null_gives_the_defaults);
    tcase_add_test(tcase, equal_size_is_copied);
    tcase_add_test(tcase, older_struct_keeps_later_defaults);
    tcase_add_test(tcase, newer_struct_is_read_while_its_rest_is_zero);
    tcase_add_test(tcase, impossible_sizes_are_refused);
    tcase_add_test(tcase, writing_fits_any_size);
    suite_add_tcase(suite, tcase);
    return suite;
}
