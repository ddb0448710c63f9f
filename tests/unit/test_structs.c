/* SPDX-License-Identifier: MIT */
/* Structs by their tables: older, equal and newer versions, defaults, ranges and differences. */
#include "core/structs.h"

#include "core/enums.h"
#include "core/tables/table.h"
#include "core/text.h"
#include "support/support.h"

typedef struct small {
    uint32_t struct_size;
    int32_t a, b;
    float c;
} small;

typedef struct current {
    uint32_t struct_size;
    int32_t a, b;
    float c;
    double d[2];
    int32_t solver, padding;
    const float *pointer;
    void *user;
} current;

typedef struct large {
    current known;
    int32_t later[2];
} large;

#define STRUCT current
static const dmi_member members[] = {
    SIZE_MEMBER,
    NUMBER(a, "1", -5, 5, SAVED, "a"),
    FLAG(b, "1", SAVED, "b"),
    NUMBER(c, "3.5", ABOVE_ZERO, 10, SAVED, "c"),
    NUMBER(d, "0.1,0.2", 0, BELOW_ONE, SAVED, "d"),
    ENUM(solver, dm_solver, "heun", TRANSIENT, "solver"),
    PADDING(padding),
    FIELD(pointer, "pointer"),
    FIELD(user, "user"),
};
static DMI_STRUCT(table, "dm_some_options", "some");

static current defaults_of(void) {
    current values;
    dmi_struct_defaults(&table, &values);
    return values;
}

START_TEST(defaults_come_from_the_table) {
    const current values = defaults_of();
    ck_assert_uint_eq(values.struct_size, sizeof values);
    ck_assert_int_eq(values.a, 1);
    ck_assert_int_eq(values.b, 1);
    ck_assert_float_eq(values.c, 3.5f);
    ck_assert_double_eq(values.d[0], 0.1);
    ck_assert_double_eq(values.d[1], 0.2);
    ck_assert_int_eq(values.solver, DM_SOLVER_HEUN);
    ck_assert_int_eq(values.padding, 0);
    ck_assert_ptr_null(values.pointer);
}
END_TEST

START_TEST(null_gives_the_defaults) {
    dmi_host host = {0};
    current values;
    const current defaults = defaults_of();
    ck_assert_int_eq(dmi_struct_read(&host, &table, &values, NULL), DM_OK);
    ck_assert_mem_eq(&values, &defaults, sizeof values);
}
END_TEST

START_TEST(equal_size_is_copied) {
    dmi_host host = {0};
    current values, given = defaults_of();
    given.a = 5, given.c = 7, given.user = &given;
    ck_assert_int_eq(dmi_struct_read(&host, &table, &values, &given), DM_OK);
    ck_assert_mem_eq(&values, &given, sizeof values);
}
END_TEST

START_TEST(older_struct_keeps_later_defaults) {
    dmi_host host = {0};
    current values;
    const small given = {sizeof given, 4, 1, 2};
    ck_assert_int_eq(dmi_struct_read(&host, &table, &values, &given), DM_OK);
    ck_assert_uint_eq(values.struct_size, sizeof values);
    ck_assert_int_eq(values.a, 4);
    ck_assert_float_eq(values.c, 2);
    ck_assert_double_eq(values.d[0], 0.1);
    ck_assert_int_eq(values.solver, DM_SOLVER_HEUN);
}
END_TEST

START_TEST(newer_struct_is_read_while_its_rest_is_zero) {
    dmi_host host = {0};
    current values;
    large given = {.known = defaults_of()};
    given.known.struct_size = sizeof given;
    given.known.a = -3;
    ck_assert_int_eq(dmi_struct_read(&host, &table, &values, &given), DM_OK);
    ck_assert_int_eq(values.a, -3);
    ck_assert_uint_eq(values.struct_size, sizeof values);

    ((uint8_t *)&given)[sizeof given - 1] = 1;
    ck_assert_int_eq(dmi_struct_read(&host, &table, &values, &given), DM_ERROR_UNSUPPORTED_VERSION);
    ck_assert_msg(strstr(host.error, "dm_some_options") != NULL, "%s", host.error);
}
END_TEST

START_TEST(impossible_sizes_are_refused) {
    dmi_host host = {0};
    /* The last two cut a double and a pointer in two. */
    const uint32_t sizes[] = {0,
                              1,
                              3,
                              6,
                              15,
                              5000,
                              0x7fffffff,
                              0xffffffff,
                              offsetof(current, d) + 4,
                              offsetof(current, pointer) + 4};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        current values, given = defaults_of();
        if (sizeof(void *) == 4 && i == 9) continue;
        given.struct_size = sizes[i];
        ck_assert_int_eq(dmi_struct_read(&host, &table, &values, &given),
                         DM_ERROR_INVALID_ARGUMENT);
        ck_assert_msg(strstr(host.error, "was the struct initialised") != NULL, "%s", host.error);
    }
}
END_TEST

START_TEST(writing_fits_any_size) {
    dmi_host host = {0};
    current full = defaults_of();
    full.a = 5;

    small older[2] = {{1, 1, 1, 1}, {77, 77, 77, 77}};
    ck_assert_int_eq(dmi_struct_write(&host, &table, older, sizeof older[0], &full), DM_OK);
    ck_assert_uint_eq(older[0].struct_size, sizeof(small));
    ck_assert_int_eq(older[0].a, 5);
    ck_assert_uint_eq(older[1].struct_size, 77); /* not a byte beyond */
    ck_assert_int_eq(older[1].a, 77);

    large newer;
    memset(&newer, 0xff, sizeof newer);
    ck_assert_int_eq(dmi_struct_write(&host, &table, &newer, sizeof newer, &full), DM_OK);
    ck_assert_uint_eq(newer.known.struct_size, sizeof newer);
    ck_assert_float_eq(newer.known.c, 3.5f);
    ck_assert_int_eq(newer.later[0], 0);
    ck_assert_int_eq(newer.later[1], 0);

    uint32_t only_size = 0;
    for (size_t size = 0; size < 16; size++) /* that of a pointer among them */
        ck_assert_int_eq(dmi_struct_write(&host, &table, &only_size, size, &full),
                         DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dmi_struct_write(&host, &table, NULL, 16, &full), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dmi_struct_write_back(&host, &table, NULL, &full), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dmi_struct_write_back(&host, &table, &older[0], &full), DM_OK);
}
END_TEST

static void check_refused(const current *values, const char *text) {
    dmi_host host = {0};
    ck_assert_int_eq(dmi_struct_check(&host, &table, values), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_str_eq(host.error, text);
}

START_TEST(values_out_of_range_are_named) {
    dmi_host host = {0};
    current o = defaults_of();
    ck_assert_int_eq(dmi_struct_check(&host, &table, &o), DM_OK);
    o.a = 6;
    check_refused(&o, "some: 'a' is 6; it must be from -5 to 5");
    o = defaults_of(), o.b = 2;
    check_refused(&o, "some: 'b' is 2; it must be from 0 to 1");
    o = defaults_of(), o.c = 0;
    check_refused(&o, "some: 'c' is 0; it must be above 0 and at most 10");
    o = defaults_of(), o.c = NAN;
    check_refused(&o, "some: 'c' is NaN; it must be above 0 and at most 10");
    o = defaults_of(), o.d[1] = 1;
    check_refused(&o, "some: 'd[1]' is 1; it must be from 0 to 0.99999994");
    o = defaults_of(), o.d[0] = INFINITY;
    check_refused(&o, "some: 'd[0]' is not finite; it must be from 0 to 0.99999994");
    o = defaults_of(), o.padding = 1;
    check_refused(&o, "dm_some_options: 'padding' is set; it must be 0");
    o = defaults_of(), o.solver = 99;
    ck_assert_int_eq(dmi_struct_check(&host, &table, &o), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_msg(strstr(host.error, "'solver' is 99; it must be one of 0 (ddpm), 1 (ddim)"), "%s",
                  host.error);
}
END_TEST

START_TEST(differences_are_of_saved_members) {
    const current a = defaults_of();
    current b = a;
    ck_assert_ptr_null(dmi_struct_difference(&table, &a, &b));
    b.solver = DM_SOLVER_DDPM;
    ck_assert_ptr_null(dmi_struct_difference(&table, &a, &b));
    b.d[1] = 0.5;
    ck_assert_str_eq(dmi_struct_difference(&table, &a, &b)->name, "d");
}
END_TEST

START_TEST(members_as_text) {
    current o = defaults_of();
    char text[64];
    const dmi_member *d = dmi_struct_find_member(&table, "d");
    const dmi_member *solver = dmi_struct_find_member(&table, "solver");
    ck_assert(dmi_member_format(d, &o, true, text, sizeof text));
    ck_assert_str_eq(text, "0.1,0.2");
    ck_assert(dmi_member_format(solver, &o, true, text, sizeof text));
    ck_assert_str_eq(text, "heun");
    ck_assert(dmi_member_format(solver, &o, false, text, sizeof text));
    ck_assert_str_eq(text, "6");
    ck_assert(!dmi_member_format(d, &o, true, text, 5)); /* no room */
    ck_assert(!dmi_member_format(dmi_struct_find_member(&table, "pointer"), &o, true, text, 64));

    ck_assert(dmi_member_parse(d, &o, "0.25", false));
    ck_assert_double_eq(o.d[0], 0.25);
    ck_assert_double_eq(o.d[1], 0); /* missing entries become 0 */
    ck_assert(!dmi_member_parse(d, &o, "0.25", true));
    ck_assert(!dmi_member_parse(d, &o, "1,2,3", false));
    ck_assert(!dmi_member_parse(d, &o, "", false));
    ck_assert(dmi_member_parse(solver, &o, "unipc", false));
    ck_assert_int_eq(o.solver, DM_SOLVER_UNIPC);
    ck_assert(!dmi_member_parse(solver, &o, "unipc ", false));
}
END_TEST

/* The public tables: each default is within its range, and each struct fits the buffers. */
START_TEST(public_tables_are_consistent) {
    uint64_t buffer[128];
    dmi_host host = {0};
    ck_assert_int_gt(dmi_struct_total(), 20);
    for (int32_t i = 0; i < dmi_struct_total(); i++) {
        const dmi_struct *of = dmi_struct_at(i);
        size_t end = 0;
        ck_assert_uint_le(of->size, sizeof buffer);
        ck_assert_uint_eq(of->size % 8, 0);
        dmi_struct_defaults(of, buffer);
        ck_assert_ptr_eq(dmi_struct_find(of->name), of);
        for (int32_t k = 0; k < of->count; k++) {
            const dmi_member *m = &of->members[k];
            ck_assert_msg(m->offset == end, "%s.%s: a gap before it", of->name, m->name);
            end = m->offset + (size_t)m->count * m->element_size;
            if (m->default_text)
                ck_assert_msg(dmi_struct_check_member(&host, of, m, buffer) == DM_OK, "%s",
                              host.error);
            if (m->enumeration) ck_assert_ptr_nonnull(dmi_enum_find(m->enumeration));
            ck_assert_msg(m->help[strlen(m->help) - 1] == '.', "%s.%s", of->name, m->name);
        }
        ck_assert_msg(end == of->size, "%s: its table ends before the struct", of->name);
    }
}
END_TEST

Suite *test_structs_suite(void);
Suite *test_structs_suite(void) {
    Suite *suite = suite_create("structs");
    TCase *tcase = tcase_create("structs");
    tcase_add_test(tcase, defaults_come_from_the_table);
    tcase_add_test(tcase, null_gives_the_defaults);
    tcase_add_test(tcase, equal_size_is_copied);
    tcase_add_test(tcase, older_struct_keeps_later_defaults);
    tcase_add_test(tcase, newer_struct_is_read_while_its_rest_is_zero);
    tcase_add_test(tcase, impossible_sizes_are_refused);
    tcase_add_test(tcase, writing_fits_any_size);
    tcase_add_test(tcase, values_out_of_range_are_named);
    tcase_add_test(tcase, differences_are_of_saved_members);
    tcase_add_test(tcase, members_as_text);
    tcase_add_test(tcase, public_tables_are_consistent);
    suite_add_tcase(suite, tcase);
    return suite;
}
