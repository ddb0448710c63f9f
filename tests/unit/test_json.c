/* SPDX-License-Identifier: MIT */
/* The JSON reader: what it accepts, what it refuses and where, and decoded strings. */
#include "io/json.h"

#include <math.h>

#include "support/support.h"

enum { TEXT_MAX = 256 };

/* Whether the reader skips the text, which is copied to a block of exactly its size, so that a
 * memory checker reports a read past its end. *at: where reading ended. */
static bool accepts(const char *text, size_t length, size_t *at) {
    char *copy = malloc(length ? length : 1);
    dmi_json json;
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, length);
    dmi_json_begin(&json, copy, length);
    const bool good = dmi_json_skip(&json) && dmi_json_end(&json);
    ck_assert_int_eq(good, json.error == NULL);
    *at = json.at;
    free(copy);
    return good;
}

static const char *const valid[] = {
    "{}",
    "[]",
    " [ ] ",
    "0",
    "-0",
    "12",
    "-1.5e+10",
    "1E5",
    "1e-5",
    "0.25",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u00e4\\uD834\\uDD1E\"",
    "\"\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"", /* the edges */
    "\"\xc3\xa4\xe2\x82\xac\xf0\x9d\x84\x9e\x7f\"",
    "[1,2,[3,{\"a\":[]}],\"x\"]",
    "{\"a\":1,\"b\":{\"c\":null},\"d\":[{},[]]}\n",
    "\t\r\n{ \"a\" : [ 1 , 2 ] }",
};

/* And the byte at which the error is. */
static const struct {
    const char *text;
    size_t at;
} invalid[] = {
    {"", 0},
    {" ", 1},
    {"{", 1},
    {"[", 1},
    {"}", 0},
    {"]", 0},
    {"{]", 1},
    {"[}", 1},
    {"[1 2]", 3},
    {"[1,]", 3},
    {"[,1]", 1},
    {"{\"a\"}", 4},
    {"{\"a\" 1}", 5},
    {"{\"a\":}", 5},
    {"{\"a\":1,}", 7},
    {"{\"a\":1 \"b\":2}", 7},
    {"{a:1}", 1},
    {"{1:1}", 1},
    {"{null:1}", 1},
    {"[1]]", 3},
    {"1 2", 2},
    {"01", 1},
    {"-", 1},
    {"+1", 0},
    {".5", 0},
    {"1.", 2},
    {"1.e5", 2},
    {"1e", 2},
    {"1e+", 3},
    {"0x10", 1},
    {"NaN", 0},
    {"nul", 0},
    {"tru", 0},
    {"trux", 0},
    {"nil, null", 0},
    {"True", 0},
    {"'a'", 0},
    {"\"", 1},
    {"\"a", 2},
    {"\"\\\"", 3},
    {"\"\\x\"", 2},
    {"\"\\u12\"", 5},
    {"\"\\u000g\"", 6},
    {"\"\\u0000\"", 7},
    {"\"\\ud834\"", 7},
    {"\"\\ud834\\n\"", 8},
    {"\"\\ud834\\u0041\"", 13},
    {"\"\\udd1e\"", 7},
    {"\"a\nb\"", 2},
    {"\"\x1f\"", 1},
    {"\"\x80\"", 1},
    {"\"\xc0\x80\"", 1},
    {"\"\xc3\"", 1},
    {"\"\xe0\x80\x80\"", 1},
    {"\"\xed\xa0\x80\"", 1},
    {"\"\xf0\x80\x80\x80\"", 1},
    {"\"\xf4\x90\x80\x80\"", 1},
    {"\"\xf5\x80\x80\x80\"", 1},
    {"\"\xff\"", 1},
};

START_TEST(grammar) {
    size_t at;
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
        const size_t length = strlen(valid[i]);
        ck_assert_msg(accepts(valid[i], length, &at), "%s is refused at %zu", valid[i], at);
        /* Without its last bytes it is none, unless they are blanks or a number ends earlier. */
        for (size_t less = 0; less < length; less++)
            if (accepts(valid[i], less, &at))
                ck_assert_msg(strchr("-0123456789", *valid[i]) || strchr(" \n", valid[i][less]),
                              "%.*s is accepted", (int)less, valid[i]);
    }
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        ck_assert_msg(!accepts(invalid[i].text, strlen(invalid[i].text), &at), "%s is accepted",
                      invalid[i].text);
        ck_assert_msg(at == invalid[i].at, "%s is refused at %zu", invalid[i].text, at);
    }
    ck_assert(!accepts("[1,\0]", 5, &at)); /* a zero is a byte like others */
    ck_assert(!accepts("\"\0\"", 3, &at));
}
END_TEST

START_TEST(strings) {
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"x\\u0041y\\u00E4z\\u20aC\"", "xAy\xc3\xa4z\xe2\x82\xac"},
        {"\"\\ud834\\udd1e!\"", "\xf0\x9d\x84\x9e!"},
        {"\"\\udbff\\udfff\\ud800\\udc00\"", "\xf4\x8f\xbf\xbf\xf0\x90\x80\x80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[TEXT_MAX];
        const char *got;
        dmi_json json;
        strcpy(text, cases[i].text);
        dmi_json_begin(&json, text, strlen(text));
        ck_assert_int_eq(dmi_json_peek(&json), '"');
        ck_assert(dmi_json_string(&json, &got));
        ck_assert_str_eq(got, cases[i].want);
        ck_assert(dmi_json_end(&json));
    }
}
END_TEST

START_TEST(integers) {
    static const struct {
        const char *text;
        bool good;
        int64_t want;
    } cases[] = {
        {"0", true, 0},
        {"-7", true, -7},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775807", true, -INT64_MAX},
        {"9223372036854775808", false, 0},
        {"99999999999999999999999", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"\"1\"", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[TEXT_MAX];
        int64_t got = -1;
        dmi_json json;
        strcpy(text, cases[i].text);
        dmi_json_begin(&json, text, strlen(text));
        ck_assert_msg(dmi_json_integer(&json, &got) == cases[i].good, "%s", text);
        if (cases[i].good) ck_assert_int_eq(got, cases[i].want);
        else ck_assert_ptr_nonnull(json.error);
    }
}
END_TEST

START_TEST(doubles) {
    static const struct {
        const char *text;
        bool good;
        double want;
    } cases[] = {
        {"0", true, 0},
        {"-0.0", true, -0.0},
        {"1e-05", true, 1e-5},
        {"0.1", true, 0.1},
        {" -12.5E+1", true, -125},
        {"2.2250738585072014e-308", true, 0x1p-1022},
        {"1.7976931348623157e308", true, 0x1.fffffffffffffp1023},
        {"9007199254740993", true, 9007199254740992},
        {"1e309", false, 0},
        {"-1e999", false, 0},
        {"01", true, 0}, /* the number ends after its zero */
        {".5", false, 0},
        {"1.", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
        {"Infinity", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[TEXT_MAX];
        double got = -1;
        dmi_json json;
        strcpy(text, cases[i].text);
        dmi_json_begin(&json, text, strlen(text));
        ck_assert_msg(dmi_json_double(&json, &got) == cases[i].good, "%s", text);
        if (cases[i].good) ck_assert_msg(got == cases[i].want, "%s is %g", text, got);
        else ck_assert_ptr_nonnull(json.error);
    }
    /* 100 characters are read, 101 are not. */
    for (size_t length = 100; length <= 101; length++) {
        char text[TEXT_MAX];
        double got;
        dmi_json json;
        memset(text, '3', length);
        text[1] = '.';
        dmi_json_begin(&json, text, length);
        ck_assert_int_eq(dmi_json_double(&json, &got), length == 100);
        if (length == 100) ck_assert(got == 10.0 / 3);
    }
}
END_TEST

START_TEST(words) {
    char text[] = "[true, false ,null,-Infinity,Infinity, NaN,-1,trux]";
    dmi_json json;
    bool value = false;
    double number = 0;
    dmi_json_begin(&json, text, strlen(text));
    ck_assert(dmi_json_array(&json) && dmi_json_element(&json));
    ck_assert(dmi_json_bool(&json, &value) && value && dmi_json_element(&json));
    ck_assert(dmi_json_bool(&json, &value) && !value && dmi_json_element(&json));
    ck_assert(!dmi_json_not_finite(&json, &number));
    ck_assert(dmi_json_null(&json) && dmi_json_element(&json));
    ck_assert(dmi_json_not_finite(&json, &number) && isinf(number) && number < 0);
    ck_assert(dmi_json_element(&json) && dmi_json_not_finite(&json, &number) && number > 1e308);
    ck_assert(dmi_json_element(&json) && dmi_json_not_finite(&json, &number) && isnan(number));
    ck_assert(dmi_json_element(&json) && !dmi_json_not_finite(&json, &number));
    ck_assert(dmi_json_double(&json, &number) && number == -1 && dmi_json_element(&json));
    ck_assert(!dmi_json_bool(&json, &value));
    ck_assert(!dmi_json_double(&json, &number)); /* after an error */
    for (int c = 1; c < 256; c++) {
        char other[] = {(char)c, 0};
        dmi_json_begin(&json, other, 1);
        ck_assert(!dmi_json_bool(&json, &value));
    }
    ck_assert(!dmi_json_null(&json) && !dmi_json_not_finite(&json, &number));
    char other[] = "0";
    dmi_json_begin(&json, other, 1);
    ck_assert(!dmi_json_null(&json));
    ck_assert_str_eq(json.error, "null is expected");
}
END_TEST

/* Members and elements in their order; values of other kinds are skipped. */
START_TEST(members) {
    char text[] = " {\"a\" : [1, 2,3 ], \"b\":{}, \"c\":[[],{\"x\":[true]}], \"d\":\"e\"} ";
    dmi_json json;
    const char *key, *value;
    int64_t number, sum = 0;
    dmi_json_begin(&json, text, strlen(text));
    ck_assert(dmi_json_object(&json));
    ck_assert(dmi_json_key(&json, &key));
    ck_assert_str_eq(key, "a");
    ck_assert(dmi_json_array(&json));
    while (dmi_json_element(&json)) {
        ck_assert(dmi_json_integer(&json, &number));
        sum = 10 * sum + number;
    }
    ck_assert_int_eq(sum, 123);
    ck_assert(dmi_json_key(&json, &key));
    ck_assert_str_eq(key, "b");
    ck_assert(dmi_json_object(&json));
    ck_assert(!dmi_json_key(&json, &key));
    ck_assert(dmi_json_key(&json, &key));
    ck_assert_str_eq(key, "c");
    ck_assert(dmi_json_skip(&json));
    ck_assert(dmi_json_key(&json, &key));
    ck_assert(dmi_json_string(&json, &value));
    ck_assert_str_eq(value, "e");
    ck_assert(!dmi_json_key(&json, &key));
    ck_assert(dmi_json_end(&json));
    ck_assert_int_eq(json.depth, 0);
}
END_TEST

/* After the first error nothing is read, and the error stays. */
START_TEST(errors_stay) {
    char text[] = "[1,x,\"a\",2]";
    dmi_json json;
    const char *string;
    int64_t number;
    dmi_json_begin(&json, text, strlen(text));
    ck_assert(dmi_json_array(&json) && dmi_json_element(&json));
    ck_assert(dmi_json_integer(&json, &number) && dmi_json_element(&json));
    ck_assert(!dmi_json_integer(&json, &number));
    const char *error = json.error;
    const size_t at = json.at;
    ck_assert(!dmi_json_element(&json) && !dmi_json_array(&json) && !dmi_json_object(&json));
    ck_assert(!dmi_json_key(&json, &string) && !dmi_json_string(&json, &string));
    ck_assert(!dmi_json_integer(&json, &number) && !dmi_json_skip(&json) && !dmi_json_end(&json));
    ck_assert_int_eq(dmi_json_peek(&json), 0);
    ck_assert_ptr_eq(json.error, error);
    ck_assert_uint_eq(json.at, at);
}
END_TEST

/* Arrays within arrays: DMI_JSON_DEPTH_MAX of them, and no more; a text of 8 MB takes no time that
 * grows with the square of its length. */
START_TEST(depth) {
    enum { LONG = 8000000 };
    char text[2 * DMI_JSON_DEPTH_MAX + 3] = "";
    size_t at;
    for (size_t levels = 1; levels <= DMI_JSON_DEPTH_MAX + 1; levels++) {
        memset(text, '[', levels);
        memset(text + levels, ']', levels);
        ck_assert_int_eq(accepts(text, 2 * levels, &at), levels <= DMI_JSON_DEPTH_MAX);
    }
    char *large = malloc(LONG);
    ck_assert_ptr_nonnull(large);
    memset(large, '[', LONG);
    ck_assert(!accepts(large, LONG, &at));
    for (size_t i = 0; i < LONG; i++) large[i] = i % 2 ? '1' : ',';
    large[0] = '[', large[LONG - 1] = ']';
    ck_assert(!accepts(large, LONG, &at));
    large[LONG - 2] = ' ';
    ck_assert(accepts(large, LONG, &at));
    memset(large, 'a', LONG);
    large[0] = large[LONG - 1] = '"';
    ck_assert(accepts(large, LONG, &at));
    free(large);
}
END_TEST

Suite *test_json_suite(void);
Suite *test_json_suite(void) {
    Suite *suite = suite_create("json");
    TCase *tests = tcase_create("json");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, grammar);
    tcase_add_test(tests, strings);
    tcase_add_test(tests, integers);
    tcase_add_test(tests, doubles);
    tcase_add_test(tests, words);
    tcase_add_test(tests, members);
    tcase_add_test(tests, errors_stay);
    tcase_add_test(tests, depth);
    suite_add_tcase(suite, tests);
    return suite;
}
