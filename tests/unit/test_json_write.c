/* SPDX-License-Identifier: MIT */
/* The JSON writer: layout, escapes, the shortest numbers, and what fails. */
#include "io/json_write.h"

#include <float.h>
#include <math.h>

#include "core/context.h"
#include "io/json.h"
#include "support/allocator.h"
#include "support/support.h"
#include "support/training.h"

static const char want[] = "{\n"
                           "  \"none\": {},\n"
                           "  \"text\": \"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\xc3\xa9\",\n"
                           "  \"list\": [\n"
                           "    0.1,\n"
                           "    1.0,\n"
                           "    -2.5e-300,\n"
                           "    1.7976931348623157e+308,\n"
                           "    0.1,\n"
                           "    3.4028235e+38,\n"
                           "    null\n"
                           "  ],\n"
                           "  \"whole\": -9223372036854775808,\n"
                           "  \"yes\": true,\n"
                           "  \"no\": false,\n"
                           "  \"null\": null\n"
                           "}\n";

static void write_all(dmi_json_writer *w) {
    dmi_json_write_open(w, NULL, '{');
    dmi_json_write_open(w, "none", '{');
    dmi_json_write_close(w, '}');
    dmi_json_write_string(w, "text", "a\"\\\b\f\n\r\t\x01\x1f\xc3\xa9");
    dmi_json_write_open(w, "list", '[');
    dmi_json_write_double(w, NULL, 0.1);
    dmi_json_write_double(w, NULL, 1);
    dmi_json_write_double(w, NULL, -2.5e-300);
    dmi_json_write_double(w, NULL, DBL_MAX);
    dmi_json_write_float(w, NULL, 0.1f);
    dmi_json_write_float(w, NULL, FLT_MAX);
    dmi_json_write_double(w, NULL, NAN);
    dmi_json_write_close(w, ']');
    dmi_json_write_integer(w, "whole", INT64_MIN);
    dmi_json_write_bool(w, "yes", true);
    dmi_json_write_bool(w, "no", false);
    dmi_json_write_null(w, "null");
    dmi_json_write_close(w, '}');
}

START_TEST(layout) {
    dmi_host *host = test_host_new(1);
    char *folder = test_folder_new();
    dmi_json_writer w;
    dmi_file_writer *file;
    dmi_json json;
    size_t size;
    ck_assert_int_eq(dmi_file_begin(host, &file, test_path(folder, "a.json")), DMI_OK);
    dmi_json_write_begin(&w, host);
    write_all(&w);
    ck_assert_int_eq(dmi_json_write_file(&w, file), DMI_OK);
    ck_assert_int_eq(dmi_file_commit(host, file), DMI_OK);
    uint8_t *bytes = training_read_file(test_path(folder, "a.json"), &size);
    ck_assert_uint_eq(size, sizeof want - 1);
    ck_assert_mem_eq(bytes, want, size);
    dmi_json_begin(&json, (char *)bytes, size);
    ck_assert(dmi_json_skip(&json) && dmi_json_end(&json));
    free(bytes);
    free(folder);
    test_host_end(host);
}
END_TEST

/* The first refused allocation stays, whatever is written after it, and nothing gets to the file.
 */
START_TEST(memory_is_refused) {
    char *folder = test_folder_new();
    test_allocator allocator = {.fail_at = -1};
    dm_context *context = test_context_new(&allocator, 0);
    dmi_host *host = &context->host;
    dmi_json_writer w;
    dmi_file_writer *file;
    ck_assert_int_eq(dmi_file_begin(host, &file, test_path(folder, "a.json")), DMI_OK);
    dmi_json_write_begin(&w, host);
    dmi_json_write_open(&w, NULL, '[');
    allocator.fail_at = allocator.calls;
    allocator.lasting = true;
    for (int i = 0; i < 10000; i++) dmi_json_write_integer(&w, NULL, i);
    dmi_json_write_close(&w, ']');
    ck_assert_int_eq(dmi_json_write_file(&w, file), DMI_ERROR_OUT_OF_MEMORY);
    dmi_file_abandon(host, file);
    dm_context_destroy(context);
    free(folder);
}
END_TEST

Suite *test_json_write_suite(void);
Suite *test_json_write_suite(void) {
    Suite *suite = suite_create("json_write");
    TCase *tests = tcase_create("json_write");
    tcase_add_test(tests, layout);
    tcase_add_test(tests, memory_is_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
