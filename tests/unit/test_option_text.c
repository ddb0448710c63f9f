/* SPDX-License-Identifier: MIT */
/* Options as text at the edges: what has no text, what does not fit, and arguments that are
 * missing. */
#include <pthread.h>

#include "core/enums.h"
#include "core/structs.h"
#include "core/text.h"
#include "support/allocator.h"
#include "support/denoiser.h"
#include "support/refusal.h"
#include "support/schedule.h"
#include "support/support.h"

START_TEST(doubles) {
    char text[DMI_NUMBER_SIZE];
    ck_assert_uint_eq(dmi_format_double(text, sizeof text, 0.5, 17), 3);
    ck_assert_str_eq(text, "0.5");
    ck_assert_uint_eq(dmi_format_double(text, sizeof text, 0.5, 0), 0);
    ck_assert_uint_eq(dmi_format_double(text, sizeof text, 0.5, 18), 0);
    ck_assert_uint_eq(dmi_format_double(text, sizeof text, INFINITY, 17), 0);
    ck_assert_uint_eq(dmi_format_double(text, 3, 0.5, 17), 0);
    ck_assert_uint_eq(dmi_format_double(text, 4, 0.5, 17), 3);
    /* Longer than any number that is written. */
    char digits[200];
    const char *end;
    double value = 7;
    memset(digits, '0', sizeof digits - 1);
    digits[sizeof digits - 1] = 0;
    ck_assert(!dmi_parse_double(digits, &end, &value));
    ck_assert_double_eq(value, 7);
}
END_TEST

/* A member of its own struct, at its start. */
static dmi_member member_of(dm_member_type type, uint32_t size, uint32_t count) {
    return (dmi_member){.name = "m", .type = type, .count = count, .element_size = size};
}

START_TEST(members_of_double) {
    const double values[] = {0.1, 1.0 / 3, 1e300, -5e-324};
    const char *const texts[] = {"0.1", "0.3333333333333333", "1e+300", "-5e-324"};
    const dmi_member m = member_of(DM_TYPE_F64, sizeof(double), 1);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[DMI_TEXT_SIZE];
        double back;
        ck_assert(dmi_member_format(&m, &values[i], true, text, sizeof text));
        ck_assert_str_eq(text, texts[i]);
        ck_assert(dmi_member_parse(&m, &back, text, true));
        ck_assert_mem_eq(&back, &values[i], sizeof back);
    }
    char text[DMI_TEXT_SIZE];
    const double none = (double)NAN;
    ck_assert(!dmi_member_format(&m, &none, true, text, sizeof text));
}
END_TEST

START_TEST(texts_that_do_not_fit) {
    const int32_t values[2] = {12, 345};
    const dmi_member m = member_of(DM_TYPE_I32, sizeof(int32_t), 2);
    char text[16];
    ck_assert(dmi_member_format(&m, values, true, text, 7));
    ck_assert_str_eq(text, "12,345");
    for (size_t size = 0; size < 7; size++) {
        memset(text, 'x', sizeof text);
        ck_assert(!dmi_member_format(&m, values, true, text, size));
        ck_assert_int_eq(text[size], 'x');
    }
    const double number = 0.1;
    const dmi_member d = member_of(DM_TYPE_F64, sizeof(double), 1);
    ck_assert(!dmi_member_format(&d, &number, true, text, 3));
}
END_TEST

START_TEST(members_without_text) {
    void *pointer = NULL;
    char text[16];
    const dmi_member m = member_of(DM_TYPE_POINTER, sizeof pointer, 1);
    ck_assert(!dmi_member_has_text(&m));
    ck_assert_str_eq(dmi_member_kind(&m), "no text");
    ck_assert(!dmi_member_format(&m, &pointer, true, text, sizeof text));
    ck_assert(!dmi_member_parse(&m, &pointer, "0", true));
    ck_assert_ptr_null(pointer);
}
END_TEST

/* A value that its enumeration does not name is a number. */
START_TEST(values_without_a_name) {
    dm_sampler_options o;
    char text[32];
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    o.solver = 99;
    ck_assert_int_eq(dm_options_get(NULL, "dm_sampler_options", &o, "solver", text, sizeof text,
                                    NULL),
                     DM_OK);
    ck_assert_str_eq(text, "99");
    ck_assert_str_eq(dmi_enum_text("dm_solver", 99), "unknown");
    ck_assert_str_eq(dmi_enum_text("dm_solver", DM_SOLVER_DDIM), "ddim");
    int32_t value = -7;
    ck_assert_int_eq(dm_enum_item("dm_solver", 0, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_enum_item("dm_nothing", 0, &value), DM_ERROR_NOT_FOUND);
    ck_assert_int_eq(dm_enum_item("dm_solver", -1, &value), DM_ERROR_NOT_FOUND);
    ck_assert_int_eq(value, -7);
}
END_TEST

static const char trainer[] = "dm_trainer_options";

START_TEST(arguments_refused) {
    dm_context *context = test_context_new(NULL, 0);
    dm_trainer_options o;
    const int32_t bad = DM_ERROR_INVALID_ARGUMENT;
    ck_assert_int_eq(dm_trainer_options_init(&o, sizeof o), DM_OK);
    const dm_trainer_options before = o;
#define SET(name, options, member, value, want, words)                                             \
    test_refused(context, dm_options_set(context, name, options, member, value), want, words)
    SET(NULL, &o, "seed", "1", bad, "is NULL");
    SET(trainer, NULL, "seed", "1", bad, "'options' is NULL");
    SET(trainer, &o, NULL, "1", bad, "'member' is NULL");
    SET(trainer, &o, "seed", NULL, bad, "'value' is NULL");
    SET("dm_nothing", &o, "seed", "1", DM_ERROR_NOT_FOUND, "no struct 'dm_nothing'");
    SET(trainer, &o, "sead", "1", DM_ERROR_NOT_FOUND, "no member 'sead'");
    SET(trainer, &o, "struct_size", "1", DM_ERROR_NOT_FOUND, "no member 'struct_size'");
    SET(trainer, &o, "ema_decay", "0.9,x", bad, "must be a list of at most|each a number");
    SET(trainer, &o, "seed", "x", bad, "'seed' is \"x\"; it must be an integer from 0");
    SET(trainer, &o, "loss", "x", bad, "must be one of mse, pseudo_huber, hybrid");
    SET(trainer, &o, "loss", "a_name_that_is_longer_than_any_number_and_any_name_there_is", bad,
        "must be one of mse");
    /* Words that the member cannot be are not offered. */
    dm_unet_options u;
    ck_assert_int_eq(dm_unet_options_init(&u, sizeof u), DM_OK);
    SET("dm_unet_options", &u, "prediction", "x", bad, "\"x\"; it must be one of eps, x0, v");
#undef SET
    ck_assert_mem_eq(&o, &before, sizeof o);

    /* Reading leaves an empty text where it fails. */
    char text[16] = "before";
    size_t size = 99;
    o.learning_rate = INFINITY;
    test_refused(context, dm_options_get(context, trainer, &o, "learning_rate", text, 16, &size),
                 bad, "'learning_rate' has no text: it is not finite");
    ck_assert_str_eq(text, "");
    ck_assert_uint_eq(size, 0);
    test_refused(context, dm_options_get(context, trainer, &o, "sead", text, 16, &size),
                 DM_ERROR_NOT_FOUND, "no member 'sead'");
    ck_assert_int_eq(dm_options_get(NULL, trainer, &o, "sead", text, 16, &size),
                     DM_ERROR_NOT_FOUND);
    dm_sampler_options s;
    ck_assert_int_eq(dm_sampler_options_init(&s, sizeof s), DM_OK);
    test_refused(context,
                 dm_options_get(context, "dm_sampler_options", &s, "custom_times", text, 16, NULL),
                 bad, "'custom_times' is a member without text");
    /* Without room only the size is found. */
    o.seed = 12345;
    strcpy(text, "before");
    ck_assert_int_eq(dm_options_get(NULL, trainer, &o, "seed", text, 0, &size), DM_OK);
    ck_assert_str_eq(text, "before");
    ck_assert_uint_eq(size, 6);
    dm_context_destroy(context);
}
END_TEST

START_TEST(sizes_and_ranges) {
    dmi_host host = {0};
    ck_assert_int_eq(dmi_struct_check_size(&host, &dmi_struct_trainer_options, 42),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(host.error, "'struct_size' is 42"));
    ck_assert_ptr_null(dmi_struct_find_member(&dmi_struct_trainer_options, NULL));
    ck_assert_ptr_null(dmi_struct_find_member(&dmi_struct_trainer_options, "sead"));
    ck_assert_int_eq(dmi_check_range(&host, "owner", "name", 2, 2, 2), DM_OK);
    ck_assert_int_eq(dmi_check_range(&host, "owner", "name", 3, 2, 2), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_str_eq(host.error, "owner: 'name' is 3; it must be 2");
    ck_assert_int_eq(dmi_check_range(&host, "owner", "name", 3, 1, 2), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_str_eq(host.error, "owner: 'name' is 3; it must be from 1 to 2");
}
END_TEST

/* ---- during another thread's call ---- */

typedef struct other_thread {
    dm_context *context;
    dm_status set, get, load, load_memory;
    char text[16];
} other_thread;

static void *use_context(void *user) {
    other_thread *other = user;
    dm_trainer_options o;
    dm_schedule *schedule;
    ck_assert_int_eq(dm_trainer_options_init(&o, sizeof o), DM_OK);
    strcpy(other->text, "before");
    other->set = dm_options_set(other->context, trainer, &o, "seed", "1");
    other->get = dm_options_get(other->context, trainer, &o, "seed", other->text, 16, NULL);
    other->load = dm_schedule_load(&schedule, other->context, "none");
    other->load_memory = dm_schedule_load_memory(&schedule, other->context, "", 0);
    return NULL;
}

static int32_t evaluate(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    pthread_t thread;
    (void)input;
    memset(output, 0, size * sizeof *output);
    ck_assert_int_eq(pthread_create(&thread, NULL, use_context, user), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return 0;
}

START_TEST(while_the_context_is_in_use) {
    dm_context *context = test_context_new(NULL, 0);
    dm_schedule *schedule = test_schedule(context, DM_SCHEDULE_LINEAR, 10);
    other_thread other = {.context = context};
    dm_sampler *sampler;
    dm_sampler_options o;
    dm_sampler_request request;
    float images[4];
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    ck_assert_int_eq(dm_sampler_request_init(&request, sizeof request), DM_OK);
    o.steps = 1;
    request.count = 1;
    test_accepted(context, dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                                           test_denoiser(evaluate, &other,
                                                                         DM_PREDICT_EPS, 2, 2, 1),
                                                           &o));
    test_accepted(context, dm_sampler_run(sampler, &request, images, 4));
    ck_assert_int_eq(other.set, DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(other.get, DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(other.load, DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(other.load_memory, DM_ERROR_WRONG_STATE);
    ck_assert_str_eq(other.text, "");
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
}
END_TEST

Suite *test_option_text_suite(void);
Suite *test_option_text_suite(void) {
    Suite *suite = suite_create("option_text");
    TCase *tests = tcase_create("option_text");
    tcase_add_test(tests, doubles);
    tcase_add_test(tests, members_of_double);
    tcase_add_test(tests, texts_that_do_not_fit);
    tcase_add_test(tests, members_without_text);
    tcase_add_test(tests, values_without_a_name);
    tcase_add_test(tests, arguments_refused);
    tcase_add_test(tests, sizes_and_ranges);
    tcase_add_test(tests, while_the_context_is_in_use);
    suite_add_tcase(suite, tests);
    return suite;
}
