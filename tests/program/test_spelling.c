/* SPDX-License-Identifier: MIT */
/* Slips of the pen. */
#include "command/spelling.h"

#include "support/support.h"

static const char *const words[] = {"steps",       "sample-every", "samples", "lr",
                                    "lr-schedule", "loss",         "batch"};

static const char *nearest(const char *text, size_t length) {
    return nearest_word(text, length, words, sizeof words / sizeof *words);
}

START_TEST(slips) {
    static const char *const cases[][2] = {{"setps", "steps"},
                                           {"step", "steps"},
                                           {"stepss", "steps"},
                                           {"stops", "steps"},
                                           {"steps", "steps"},
                                           {"smaples", "samples"},
                                           {"lss", "loss"},
                                           {"bacth", "batch"},
                                           {"sampleevery", "sample-every"},
                                           {"lr", "lr"},
                                           {"lr-schedlue", "lr-schedule"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = nearest(cases[i][0], strlen(cases[i][0]));
        ck_assert_msg(got && !strcmp(got, cases[i][1]), "%s: %s", cases[i][0], got ? got : "none");
    }
}
END_TEST

START_TEST(other_words) {
    static const char *const cases[] = {"",
                                        "x",
                                        "rl",
                                        "qqqqq",
                                        "learning",
                                        "st",
                                        "a-word-that-is-much-longer-than-all-of-the-words-above"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(!nearest(cases[i], strlen(cases[i])), "%s", cases[i]);
    ck_assert_str_eq(nearest("steps=5", 5), "steps");
    ck_assert_ptr_null(nearest_word("steps", 5, words, 0));
    static const char *const longer[] = {"0123456789012345678901234567890123456789",
                                         "01234567890123456789012345678901234567890"};
    ck_assert_ptr_eq(nearest_word(longer[0], 40, longer, 2), longer[0]);
    ck_assert_ptr_null(nearest_word(longer[1], 41, longer, 2));
    ck_assert_ptr_null(nearest_word("\xff\xfe\x01", 3, words, 7));
}
END_TEST

Suite *test_spelling_suite(void);
Suite *test_spelling_suite(void) {
    Suite *suite = suite_create("spelling");
    TCase *tests = tcase_create("spelling");
    tcase_add_test(tests, slips);
    tcase_add_test(tests, other_words);
    suite_add_tcase(suite, tests);
    return suite;
}
