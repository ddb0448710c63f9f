/* SPDX-License-Identifier: MIT */
/* Names and sizes that the safetensors writer takes or refuses, and files that cannot be read. */
#include "io/safetensors.h"

#include <errno.h>

#include "io/json.h"
#include "support/support.h"
#include "support/system_calls.h"

static void fill(const void *layout, const float *values, float *out, size_t count) {
    (void)layout;
    memcpy(out, values, count * sizeof *out);
}

/* Two texts with the same CRC-32. */
static const char one[] = "yhcbdjwhj", other[] = "cfmwjcitz";
static const float values[2] = {1, 2};
static const int64_t single[1] = {1};

static void add(dmi_host *host, dmi_safetensors_writer *w, const char *name, const float *value) {
    ck_assert_int_eq(dmi_safetensors_add(host, w, name, 1, single, fill, NULL, value), DMI_OK);
}

/* Names are compared by their checksums first; the same checksum does not make them the same. */
START_TEST(names_with_the_same_checksum) {
    dmi_host host = {0};
    dmi_safetensors_writer *w;
    dmi_safetensors *file;
    uint8_t bytes[2000];
    size_t size;
    float value;
    ck_assert_int_eq(dmi_safetensors_begin(&host, &w), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add_metadata(&host, w, one, "1"), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add_metadata(&host, w, other, "2"), DMI_OK);
    add(&host, w, one, &values[0]);
    add(&host, w, other, &values[1]);
    ck_assert_int_eq(dmi_safetensors_write_memory(&host, w, bytes, sizeof bytes, &size), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_parse(&host, &file, bytes, size, "memory"), DMI_OK);
    ck_assert_str_eq(dmi_safetensors_metadata(file, one), "1");
    ck_assert_str_eq(dmi_safetensors_metadata(file, other), "2");
    ck_assert_int_eq(dmi_safetensors_read(&host, file, dmi_safetensors_find(file, other), &value),
                     DMI_OK);
    ck_assert_float_eq(value, 2);
    dmi_safetensors_close(&host, file);
    dmi_safetensors_free(&host, w);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(characters_that_are_escaped) {
    static const char text[] = "\x01\x1f\"\\\b\f\n\r\t/\x7f";
    dmi_host host = {0};
    dmi_safetensors_writer *w;
    dmi_safetensors *file;
    uint8_t bytes[2000];
    size_t size;
    ck_assert_int_eq(dmi_safetensors_begin(&host, &w), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add_metadata(&host, w, text, text), DMI_OK);
    add(&host, w, text, values);
    ck_assert_int_eq(dmi_safetensors_write_memory(&host, w, bytes, sizeof bytes, &size), DMI_OK);
    ck_assert_ptr_nonnull(
        memmem(bytes, size, "\"\\u0001\\u001f\\\"\\\\\\b\\f\\n\\r\\t/\x7f\"", 26));
    ck_assert_int_eq(dmi_safetensors_parse(&host, &file, bytes, size, "memory"), DMI_OK);
    ck_assert_str_eq(dmi_safetensors_metadata(file, text), text);
    ck_assert_ptr_nonnull(dmi_safetensors_find(file, text));
    dmi_safetensors_close(&host, file);
    dmi_safetensors_free(&host, w);
}
END_TEST

START_TEST(keys_and_sizes_refused) {
    dmi_host host = {0};
    dmi_safetensors_writer *w;
    const int64_t size[1] = {(INT64_C(1) << 62) - 1}; /* with another float, 2^64 bytes */
    ck_assert_int_eq(dmi_safetensors_begin(&host, &w), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add_metadata(&host, w, "crc32", "0"),
                     DMI_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(host.error, "'crc32': such keys are those of checksums"));
    ck_assert_int_eq(dmi_safetensors_add_metadata(&host, w, "crc32.a", "0"),
                     DMI_ERROR_INVALID_ARGUMENT);
    add(&host, w, "a", values);
    ck_assert_int_eq(dmi_safetensors_add(&host, w, "b", 1, size, fill, NULL, values),
                     DMI_ERROR_INVALID_ARGUMENT);
    ck_assert_str_eq(host.error, "safetensors: tensor 'b' is larger than a file can be");
    dmi_safetensors_free(&host, w);
    ck_assert_uint_eq(dmi_utf8_length("", 0), 0);
    ck_assert_uint_eq(dmi_utf8_length("a", 1), 1);
}
END_TEST

/* Each read of a file fails once. */
START_TEST(files_that_cannot_be_read) {
    dmi_host host = {0};
    dmi_safetensors_writer *w;
    char path[256];
    snprintf(path, sizeof path, "%s/file", test_folder());
    ck_assert_int_eq(dmi_safetensors_begin(&host, &w), DMI_OK);
    add(&host, w, "a", values);
    ck_assert_int_eq(dmi_safetensors_write(&host, w, path), DMI_OK);
    dmi_safetensors_free(&host, w);
    for (int32_t number = 0; number < 3; number++) {
        dmi_safetensors *file;
        float value;
        test_calls_fail(TEST_PREAD, number, 1, EIO);
        int32_t status = dmi_safetensors_open(&host, &file, path);
        ck_assert_int_eq(status, number < 2 ? DMI_ERROR_IO : DMI_OK);
        if (!status) {
            const dmi_safetensors_entry *entry = dmi_safetensors_at(file, 0);
            ck_assert_int_eq(dmi_safetensors_read(&host, file, entry, &value), DMI_ERROR_IO);
            dmi_safetensors_close(&host, file);
        }
        ck_assert_int_eq(test_calls_end(), 1);
        test_has_reason(host.error, "file: cannot read: ", EIO);
        ck_assert_uint_eq(host.used, 0);
    }
}
END_TEST

Suite *test_safetensors_names_suite(void);
Suite *test_safetensors_names_suite(void) {
    Suite *suite = suite_create("safetensors_names");
    TCase *tests = tcase_create("safetensors_names");
    tcase_add_test(tests, names_with_the_same_checksum);
    tcase_add_test(tests, characters_that_are_escaped);
    tcase_add_test(tests, keys_and_sizes_refused);
    tcase_add_test(tests, files_that_cannot_be_read);
    suite_add_tcase(suite, tests);
    return suite;
}
