/* SPDX-License-Identifier: MIT */
/* Texts of others: names of files and classes on a terminal, and as words of a shell. */
#include "console/output.h"

#include "program/lines.h"

/* What a terminal would obey, and what is no UTF-8, becomes '?', byte by byte. */
START_TEST(foreign_texts) {
    static const char *const cases[][2] = {
        {"", ""},
        {"cat 1.png", "cat 1.png"},
        {"a\x1b[2Jb\n\x7f", "a?[2Jb??"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xe9.txt", "?.txt"},
        {"\xc2\x9b", "??"}, /* CSI in one byte */
        {"\xc2\xa9", "\xc2\xa9"},
        {"\xe2\x82\xac", "\xe2\x82\xac"},
        {"\xe2\x82", "??"},
        {"\xf0\x9f\x90\x88", "\xf0\x9f\x90\x88"},
        {"\xf0\x9f\x90", "???"},
        {"\xf8\x88\x80\x80\x80", "?????"},
        {"\x80", "?"},
        {"\xc0\xaf", "??"},
        {"\xe0\x80\xaf", "???"},
        {"\xed\xa0\x80", "???"},
        {"\xf0\x80\x80\x80", "????"},
        {"\xf4\x90\x80\x80", "????"},
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        capture out = capture_begin(stderr);
        print_foreign(stderr, cases[i][0]);
        char *printed = capture_end(&out);
        ck_assert_str_eq(printed, cases[i][1]);
        ck_assert_int_eq(is_printable(cases[i][0]), !strcmp(cases[i][0], cases[i][1]));
        free(printed);
    }
}
END_TEST

START_TEST(words_of_a_shell) {
    static const char *const cases[][2] = {
        {"runs/photos", "runs/photos"},
        {"", "''"},
        {"my photos", "'my photos'"},
        {"it's", "'it'\\''s'"},
        {"$HOME;ls", "'$HOME;ls'"},
        {"gr\xc3\xbc\xc3\x9f", "'gr\xc3\xbc\xc3\x9f'"},
        {"~/a*", "'~/a*'"},
    };
    char word[SHELL_WORD_SIZE], text[OUTPUT_PATH_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_str_eq(shell_word(cases[i][0], word), cases[i][1]);
    memset(text, '\'', sizeof text - 1);
    text[sizeof text - 1] = 0;
    ck_assert_ptr_eq(shell_word(text, word), text);
}
END_TEST

Suite *test_output_suite(void);
Suite *test_output_suite(void) {
    Suite *suite = suite_create("output");
    TCase *tests = tcase_create("output");
    tcase_add_test(tests, foreign_texts);
    tcase_add_test(tests, words_of_a_shell);
    suite_add_tcase(suite, tests);
    return suite;
}
