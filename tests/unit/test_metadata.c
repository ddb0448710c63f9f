/* SPDX-License-Identifier: MIT */
/* Numbers that do not depend on the locale, and structs to metadata and back. */
#include "core/metadata.h"

#include <float.h>
#include <locale.h>
#include <unistd.h>

#include "core/tables/table.h"
#include "core/text.h"
#include "support/support.h"

/* Parsed from what was formatted, each value must be the same to the last bit. */
static void check_numbers(void) {
    const double values[] = {0,
                             -0.0,
                             1,
                             -1,
                             0.1,
                             1e-4,
                             0.02,
                             1.0 / 3,
                             1e22,
                             -2.5e-7,
                             123456.5,
                             0.999780092,
                             3.14159265358979,
                             DBL_MAX,
                             DBL_MIN,
                             4.9406564584124654e-324};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[40];
        double back;
        const char *end;
        const size_t length = dmi_format_double(text, sizeof text, values[i], 17);
        ck_assert_uint_eq(length, strlen(text));
        ck_assert_msg(strspn(text, "0123456789.+-e") == length, "%s", text);
        ck_assert(dmi_parse_double(text, &end, &back));
        ck_assert_int_eq(*end, 0);
        ck_assert_msg(memcmp(&back, &values[i], sizeof back) == 0, "%s is %.17g", text, back);
    }
    char text[40];
    ck_assert_uint_eq(dmi_format_double(text, sizeof text, 0.5, 17), 3);
    ck_assert_str_eq(text, "0.5");
    ck_assert_uint_gt(dmi_format_double(text, sizeof text, 1e-4f, 9), 0);
    ck_assert_str_eq(text, "9.99999975e-05");
}

START_TEST(numbers_are_exact) { check_numbers(); }
END_TEST

START_TEST(numbers_do_not_follow_the_locale) {
    const char *const with_comma[] = {"de_DE.UTF-8", "de_DE.utf8",  "de_DE",
                                      "fr_FR.UTF-8", "nl_NL.UTF-8", "pt_BR.UTF-8"};
    for (size_t i = 0; i < sizeof with_comma / sizeof with_comma[0]; i++) {
        if (setlocale(LC_NUMERIC, with_comma[i]) == NULL) continue;
        char text[8];
        snprintf(text, sizeof text, "%.1f", 0.5);
#ifdef __GLIBC__ /* musl has the names of all locales, and always a point */
        ck_assert_str_eq(text, "0,5");
#endif
        check_numbers();
        setlocale(LC_NUMERIC, "C");
    }
}
END_TEST

START_TEST(numbers_that_do_not_fit) {
    char text[8] = "before";
    ck_assert_uint_eq(dmi_format_double(text, sizeof text, 1.0 / 3, 17), 0);
    ck_assert_uint_eq(dmi_format_double(text, 3, 0.5, 17), 0);
    ck_assert_uint_eq(dmi_format_double(text, sizeof text, NAN, 17), 0);
    ck_assert_uint_eq(dmi_format_double(text, sizeof text, INFINITY, 17), 0);
    ck_assert_str_eq(text, "before");
    ck_assert_uint_eq(dmi_format_double(text, 4, 0.5, 17), 3);
}
END_TEST

START_TEST(numbers_are_parsed_strictly) {
    const struct {
        const char *text;
        double value;
        size_t length;
    } good[] = {
        {"1", 1, 1},      {"-2.5", -2.5, 4}, {"+3", 3, 2},        {".5", 0.5, 2},
        {"5.", 5, 2},     {"1e3", 1000, 3},  {"1E-2,7", 0.01, 4}, {"1.5, 2", 1.5, 3},
        {"2e", 2, 1},     {"2e+", 2, 1},     {"1,5", 1, 1},       {"0x10", 0, 1},
        {"1e-400", 0, 6}, {"7]", 7, 1},      {"1.2.3", 1.2, 3},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        double value = -77;
        const char *end = NULL;
        ck_assert_msg(dmi_parse_double(good[i].text, &end, &value), "%s", good[i].text);
        ck_assert_msg(value == good[i].value, "%s is %g", good[i].text, value);
        ck_assert_uint_eq((size_t)(end - good[i].text), good[i].length);
    }
    char long_number[300];
    memset(long_number, '1', sizeof long_number);
    long_number[sizeof long_number - 1] = 0;
    const char *const bad[] = {"",     " 1", "inf", "nan", "-",     "+",      ".",
                               "-.e5", "e5", "x",   ",",   "1e400", "-1e999", long_number};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double value = -77;
        const char *end = "untouched";
        ck_assert_msg(!dmi_parse_double(bad[i], &end, &value), "%s", bad[i]);
        ck_assert(value == -77);
        ck_assert_str_eq(end, "untouched");
    }
}
END_TEST

/* ---- structs ---- */

typedef struct sample {
    uint32_t struct_size;
    int32_t number, list[3], filler;
    uint64_t seed;
    float eps, unnamed; /* the second fills the gap, so that samples compare as bytes */
    double rate, rates[2];
} sample;

#define STRUCT sample
static const dmi_member members[] = {
    ANY(number, NULL, SAVED, "number"),
    ANY(list, NULL, SAVED, "list"),
    ANY(seed, NULL, SAVED, "seed"),
    ANY(eps, NULL, SAVED, "eps"),
    ANY(rate, NULL, SAVED, "rate"),
    ANY(rates, NULL, SAVED, "rates"),
    ANY(unnamed, NULL, TRANSIENT, "not saved"),
};
static DMI_STRUCT(table, "sample", "s");

static const sample original = {
    sizeof(sample), INT32_MIN, {64, -1, INT32_MAX}, 0, UINT64_MAX, 1e-6f, 0, 0.1, {1e-4, 2.0 / 3}};

static int32_t load(dmi_host *host, const dmi_safetensors *file, sample *back) {
    return dmi_struct_load(host, file, &table, back);
}

/* A safetensors file of nothing but `header`; valid until the next call. */
static dmi_safetensors *file_of(dmi_host *host, const char *header) {
    static uint8_t bytes[1024];
    const uint64_t length = strlen(header);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(length >> (8 * i));
    memcpy(bytes + 8, header, length);
    dmi_safetensors *file;
    ck_assert_msg(dmi_safetensors_parse(host, &file, bytes, 8 + length, "a test") == DMI_OK, "%s",
                  host->error);
    return file;
}

START_TEST(a_struct_survives_a_file) {
    dmi_host *host = test_host_new(1);
    char path[256];
    snprintf(path, sizeof path, "%s/meta.safetensors", test_folder());
    dmi_safetensors_writer *writer;
    ck_assert_int_eq(dmi_safetensors_begin(host, &writer), DMI_OK);
    ck_assert_int_eq(dmi_struct_save(host, writer, &table, &original), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_write(host, writer, path), DMI_OK);
    dmi_safetensors_free(host, writer);

    dmi_safetensors *file;
    ck_assert_int_eq(dmi_safetensors_open(host, &file, path), DMI_OK);
    ck_assert_str_eq(dmi_safetensors_metadata(file, "s.list"), "64,-1,2147483647");
    sample back;
    memset(&back, 0, sizeof back);
    ck_assert_int_eq(load(host, file, &back), DMI_OK);
    ck_assert_mem_eq(&back, &original, sizeof back);
    dmi_safetensors_close(host, file);
    unlink(path);
    test_host_end(host);
}
END_TEST

START_TEST(a_missing_key_is_refused) {
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file =
        file_of(host, "{\"__metadata__\":{\"s.number\":\"-5\",\"other\":\"x\"}}");
    sample back = original;
    ck_assert_int_eq(load(host, file, &back), DMI_ERROR_BAD_FORMAT);
    ck_assert_int_eq(back.number, -5);
    ck_assert_str_eq(host->error, "a test: its metadata has no 's.list'");
    dmi_safetensors_close(host, file);
    test_host_end(host);
}
END_TEST

START_TEST(read_errors_are_named) {
    const char *const bad[][2] = {
        {"s.number", ""},
        {"s.number", "x"},
        {"s.number", "1.5"},
        {"s.number", " 1"},
        {"s.number", "+1"},
        {"s.number", "1 "},
        {"s.number", "-"},
        {"s.number", "1,2"},
        {"s.number", "2147483648"},
        {"s.number", "-2147483649"},
        {"s.number", "0x10"},
        {"s.number", "9e9"},
        {"s.number", "99999999999999999999999"},
        {"s.list", "1,2"},
        {"s.list", "1,2,3,4"},
        {"s.list", "1,,3"},
        {"s.list", "1, 2, 3"},
        {"s.list", "[1,2,3]"},
        {"s.seed", "-1"},
        {"s.seed", "x"},
        {"s.seed", "18446744073709551616"},
        {"s.eps", "1e39"},
        {"s.eps", "nan"},
        {"s.rate", "inf"},
        {"s.rate", "1e309"},
        {"s.rate", "0,5"},
        {"s.rates", "0.5"},
    };
    dmi_host *host = test_host_new(1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char header[256];
        snprintf(header, sizeof header, "{\"__metadata__\":{\"%s\":\"%s\"}}", bad[i][0], bad[i][1]);
        dmi_safetensors *file = file_of(host, header);
        sample back = original;
        const dmi_member *member = members;
        while (strcmp(member->name, bad[i][0] + strlen("s.")) != 0) member++;
        const dmi_struct one = {"sample", "s", sizeof(sample), member, 1};
        ck_assert_msg(dmi_struct_load(host, file, &one, &back) == DMI_ERROR_BAD_FORMAT, "%s",
                      header);
        ck_assert_msg(strstr(host->error, bad[i][0]) && strstr(host->error, bad[i][1]), "%s",
                      host->error);
        ck_assert_ptr_nonnull(strstr(host->error, "a test"));
        dmi_safetensors_close(host, file);
    }
    test_host_end(host);
}
END_TEST

#define FORMAT(format, version)                                                                    \
    "{\"__metadata__\":{\"format\":\"libdiffusion." format "\",\"format_version\":\"" version "\"" \
    "}}"

START_TEST(formats_and_versions) {
    const struct {
        const char *header;
        int32_t network, training; /* what comes of either use */
        const char *words;         /* of the second */
    } cases[] = {
        {FORMAT("checkpoint", "1"), DMI_OK, DMI_OK, ""},
        {FORMAT("unet", "1"), DMI_OK, DMI_ERROR_BAD_FORMAT, "without training state"},
        {FORMAT("other", "1"), DMI_ERROR_BAD_FORMAT, DMI_ERROR_BAD_FORMAT, "'libdiffusion.other'"},
        {"{}", DMI_ERROR_BAD_FORMAT, DMI_ERROR_BAD_FORMAT, "'format' is ''"},
        {FORMAT("checkpoint", "2"), DMI_OK, DMI_OK, ""},
        {FORMAT("checkpoint", "3"), DMI_ERROR_UNSUPPORTED_VERSION, DMI_ERROR_UNSUPPORTED_VERSION,
         "format_version is 3"},
        {FORMAT("checkpoint", "0"), DMI_ERROR_BAD_FORMAT, DMI_ERROR_BAD_FORMAT,
         "'format_version' is '0'"},
        {FORMAT("checkpoint", "1 "), DMI_ERROR_BAD_FORMAT, DMI_ERROR_BAD_FORMAT, "'1 '"},
        {FORMAT("checkpoint", " 1"), DMI_ERROR_BAD_FORMAT, DMI_ERROR_BAD_FORMAT, "' 1'"},
        {FORMAT("checkpoint", ""), DMI_ERROR_BAD_FORMAT, DMI_ERROR_BAD_FORMAT, "''"},
        {"{\"__metadata__\":{\"format\":\"libdiffusion.checkpoint\"}}", DMI_ERROR_BAD_FORMAT,
         DMI_ERROR_BAD_FORMAT, "'format_version' is ''"},
    };
    dmi_host *host = test_host_new(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dmi_safetensors *file = file_of(host, cases[i].header);
        ck_assert_msg(dmi_format_check(host, file, false) == cases[i].network, "%s",
                      cases[i].header);
        ck_assert_msg(dmi_format_check(host, file, true) == cases[i].training, "%s",
                      cases[i].header);
        ck_assert_msg(strstr(host->error, cases[i].words) != NULL, "%s", host->error);
        dmi_safetensors_close(host, file);
    }
    test_host_end(host);
}
END_TEST

START_TEST(values_that_are_not_finite_are_refused) {
    dmi_host *host = test_host_new(1);
    sample broken = original;
    broken.rates[1] = NAN;
    dmi_safetensors_writer *writer;
    ck_assert_int_eq(dmi_safetensors_begin(host, &writer), DMI_OK);
    ck_assert_int_eq(dmi_struct_save(host, writer, &table, &broken), DMI_ERROR_INTERNAL);
    dmi_safetensors_free(host, writer);
    test_host_end(host);
}
END_TEST

Suite *test_metadata_suite(void);
Suite *test_metadata_suite(void) {
    Suite *suite = suite_create("metadata");
    TCase *tcase = tcase_create("metadata");
    tcase_add_test(tcase, numbers_are_exact);
    tcase_add_test(tcase, numbers_do_not_follow_the_locale);
    tcase_add_test(tcase, numbers_that_do_not_fit);
    tcase_add_test(tcase, numbers_are_parsed_strictly);
    tcase_add_test(tcase, a_struct_survives_a_file);
    tcase_add_test(tcase, a_missing_key_is_refused);
    tcase_add_test(tcase, formats_and_versions);
    tcase_add_test(tcase, read_errors_are_named);
    tcase_add_test(tcase, values_that_are_not_finite_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
