/* SPDX-License-Identifier: MIT */
/* The interface by name: structs, members, enumerations, and options from text. */
#include "support/allocator.h"
#include "support/support.h"

START_TEST(structs_by_name) {
    ck_assert_uint_eq(dm_struct_size("dm_trainer_options"), sizeof(dm_trainer_options));
    ck_assert_uint_eq(dm_struct_size("dm_nothing"), 0);
    ck_assert_uint_eq(dm_struct_size(NULL), 0);
    ck_assert_ptr_null(dm_struct_name(-1));
    ck_assert_ptr_null(dm_struct_name(dm_struct_count()));
    for (int32_t i = 0; i < dm_struct_count(); i++)
        ck_assert_uint_gt(dm_struct_size(dm_struct_name(i)), 0);
}
END_TEST

START_TEST(members_are_described) {
    dm_member_info info;
    ck_assert_int_eq(dm_member_info_init(&info, sizeof info), DM_OK);
    int32_t index = 0;
    for (;; index++) {
        ck_assert_int_eq(dm_struct_member("dm_sampler_options", index, &info), DM_OK);
        if (strcmp(info.name, "solver") == 0) break;
    }
    ck_assert_int_eq(info.type, DM_TYPE_I32);
    ck_assert_uint_eq(info.offset, offsetof(dm_sampler_options, solver));
    ck_assert_uint_eq(info.count, 1);
    ck_assert_uint_eq(info.element_size, 4);
    ck_assert_str_eq(info.enumeration, "dm_solver");
    ck_assert_str_eq(info.default_text, "ddim");
    ck_assert_int_eq(dm_struct_member("dm_sampler_options", -1, &info), DM_ERROR_NOT_FOUND);
    ck_assert_int_eq(dm_struct_member("dm_sampler_options", 999, &info), DM_ERROR_NOT_FOUND);
    ck_assert_int_eq(dm_struct_member("nothing", 0, &info), DM_ERROR_NOT_FOUND);
    ck_assert_int_eq(dm_struct_member("dm_sampler_options", 0, NULL), DM_ERROR_INVALID_ARGUMENT);
    info.struct_size = 0;
    ck_assert_int_eq(dm_struct_member("dm_sampler_options", 0, &info), DM_ERROR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(enumerations_by_name) {
    int32_t value = -99;
    ck_assert_int_eq(dm_enum_value("dm_solver", "ddim", &value), DM_OK);
    ck_assert_int_eq(value, DM_SOLVER_DDIM);
    ck_assert_str_eq(dm_enum_name("dm_solver", DM_SOLVER_DDIM), "ddim");
    ck_assert_ptr_nonnull(dm_enum_help("dm_solver", DM_SOLVER_DDIM));
    ck_assert_ptr_null(dm_enum_name("dm_solver", 99));
    ck_assert_ptr_null(dm_enum_name("dm_nothing", 0));
    ck_assert_int_eq(dm_enum_value("dm_solver", "DDIM", &value), DM_ERROR_NOT_FOUND);
    ck_assert_int_eq(dm_enum_value("dm_solver", NULL, &value), DM_ERROR_NOT_FOUND);
    ck_assert_int_eq(dm_enum_value("dm_solver", "ddim", NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_enum_count("dm_solver"), 17);
    ck_assert_int_eq(dm_enum_count("dm_nothing"), 0);
    ck_assert_int_eq(dm_enum_item("dm_status", 1, &value), DM_OK);
    ck_assert_int_eq(value, DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_enum_item("dm_status", 99, &value), DM_ERROR_NOT_FOUND);
    ck_assert_ptr_null(dm_enum_type_name(dm_enum_type_count()));
    for (int32_t i = 0; i < dm_enum_type_count(); i++) {
        const char *name = dm_enum_type_name(i);
        for (int32_t k = 0; k < dm_enum_count(name); k++) {
            int32_t back;
            ck_assert_int_eq(dm_enum_item(name, k, &value), DM_OK);
            ck_assert_int_eq(dm_enum_value(name, dm_enum_name(name, value), &back), DM_OK);
            ck_assert_int_eq(back, value);
            ck_assert_ptr_nonnull(dm_enum_help(name, value));
        }
    }
}
END_TEST

static const char sampler_options[] = "dm_sampler_options";

START_TEST(options_from_text) {
    dm_context *context = test_context_new(NULL, 0);
    dm_sampler_options o;
    dm_unet_options u;
    char text[32];
    size_t size;
    dm_sampler_options_init(&o, sizeof o);
    dm_unet_options_init(&u, sizeof u);
    ck_assert_int_eq(dm_options_set(context, sampler_options, &o, "solver", "unipc"), DM_OK);
    ck_assert_int_eq(o.solver, DM_SOLVER_UNIPC);
    ck_assert_int_eq(dm_options_set(context, sampler_options, &o, "steps", "12"), DM_OK);
    ck_assert_int_eq(o.steps, 12);
    ck_assert_int_eq(dm_options_set(context, sampler_options, &o, "guidance", "2.5"), DM_OK);
    ck_assert_double_eq(o.guidance, 2.5);
    ck_assert_int_eq(dm_options_set(NULL, "dm_unet_options", &u, "channels", "32,64"), DM_OK);
    ck_assert_int_eq(u.channels[0], 32);
    ck_assert_int_eq(u.channels[1], 64);
    ck_assert_int_eq(u.channels[2], 0);

    ck_assert_int_eq(dm_options_get(context, sampler_options, &o, "solver", text, sizeof text,
                                    &size),
                     DM_OK);
    ck_assert_str_eq(text, "unipc");
    ck_assert_uint_eq(size, sizeof "unipc");
    ck_assert_int_eq(dm_options_get(context, sampler_options, &o, "solver", text, 4, &size), DM_OK);
    ck_assert_str_eq(text, "uni");
    ck_assert_uint_eq(size, sizeof "unipc");
    ck_assert_int_eq(dm_options_get(context, sampler_options, &o, "guidance", text, 32, NULL),
                     DM_OK);
    ck_assert_str_eq(text, "2.5");
    dm_context_destroy(context);
}
END_TEST

START_TEST(bad_options_change_nothing) {
    const struct {
        const char *member, *value;
        int32_t status;
        const char *text;
    } bad[] = {
        {"solver", "newton", DM_ERROR_INVALID_ARGUMENT, "\"newton\"; it must be one of ddpm, ddim"},
        {"solver", "99", DM_ERROR_INVALID_ARGUMENT, "99"},
        {"steps", "0", DM_ERROR_INVALID_ARGUMENT, "'steps' is 0; it must be from 1 to 100000"},
        {"steps", "many", DM_ERROR_INVALID_ARGUMENT, "it must be a 32-bit integer"},
        {"eta", "2", DM_ERROR_INVALID_ARGUMENT, "'eta' is 2; it must be from 0 to 1"},
        {"padding", "1", DM_ERROR_NOT_FOUND, "no member 'padding'"},
        {"struct_size", "1", DM_ERROR_NOT_FOUND, "no member 'struct_size'"},
        {"custom_times", "1,2", DM_ERROR_INVALID_ARGUMENT, "without text"},
        {"steps", NULL, DM_ERROR_INVALID_ARGUMENT, "'value' is NULL"},
        {NULL, "1", DM_ERROR_INVALID_ARGUMENT, "'member' is NULL"},
    };
    dm_context *context = test_context_new(NULL, 0);
    dm_sampler_options o, before;
    dm_sampler_options_init(&o, sizeof o);
    before = o;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int32_t status = dm_options_set(context, sampler_options, &o, bad[i].member, bad[i].value);
        ck_assert_int_eq(status, bad[i].status);
        ck_assert_msg(strstr(dm_context_error(context), bad[i].text) != NULL, "%s",
                      dm_context_error(context));
        ck_assert_mem_eq(&o, &before, sizeof o);
    }
    ck_assert_int_eq(dm_options_set(context, "dm_nothing", &o, "steps", "1"), DM_ERROR_NOT_FOUND);
    o.struct_size = 16; /* an older struct ends before the member */
    ck_assert_int_eq(dm_options_set(context, sampler_options, &o, "spacing", "trailing"),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(dm_context_error(context), "'spacing' lies beyond it"));
    o.struct_size = 0x5a5a5a5a;
    ck_assert_int_eq(dm_options_set(context, sampler_options, &o, "steps", "1"),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(dm_context_error(context), "was the struct initialised"));
    dm_context_destroy(context);
}
END_TEST

Suite *test_names_suite(void);
Suite *test_names_suite(void) {
    Suite *suite = suite_create("names");
    TCase *tcase = tcase_create("names");
    tcase_add_test(tcase, structs_by_name);
    tcase_add_test(tcase, members_are_described);
    tcase_add_test(tcase, enumerations_by_name);
    tcase_add_test(tcase, options_from_text);
    tcase_add_test(tcase, bad_options_change_nothing);
    suite_add_tcase(suite, tcase);
    return suite;
}
