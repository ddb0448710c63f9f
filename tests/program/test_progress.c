/* SPDX-License-Identifier: MIT */
/* The line of progress: never longer than the terminal, and what is left out of it first. */
#include "console/progress.h"

#include "console/terminal.h"
#include "program/lines.h"

enum { SIZE = 512 };

static const char detail[] = "loss 0.0312  812 images/s  epoch 3.25  1.2 GB";
static const char *const parts[] = {"loss 0.0312", "812 images/s", "epoch 3.25", "1.2 GB"};
enum { PARTS = sizeof parts / sizeof *parts };

START_TEST(fits_in_every_width) {
    const progress p = {.label = "training", .total = 12345678};
    char text[SIZE];
    size_t most = 0, bars = 0;
    for (int width = 1; width <= 200; width++) {
        progress_text(&p, 2345678, detail, 8000, width, text, sizeof text);
        ck_assert_msg(strlen(text) < (size_t)width, "%d: '%s'", width, text);
        size_t shown = 0;
        while (shown < PARTS && strstr(text, parts[shown])) shown++;
        for (size_t k = shown; k < PARTS; k++)
            ck_assert_msg(!strstr(text, parts[k]), "%d: '%s'", width, text);
        ck_assert_uint_ge(shown + 1, most); /* it may be one less where the bar begins */
        if (shown > most) most = shown;
        bars += strchr(text, '[') != NULL;
        if (width >= 60)
            ck_assert_msg(!strncmp(text, "training 18% ", 13) &&
                              strstr(text, " 2345678/12345678  2 h 13 min left"),
                          "%d: '%s'", width, text);
    }
    ck_assert_uint_eq(most, PARTS);
    ck_assert_uint_gt(bars, 130);
    ck_assert_ptr_nonnull(strstr(text, "[######..........................] "));
}
END_TEST

/* What is not known is left out, and counts past the end are no error. */
START_TEST(edges) {
    const progress p = {.label = "x", .total = 10}, empty = {.label = "x"},
                   huge = {.label = "x", .total = UINT64_MAX};
    char text[SIZE];
    progress_text(&p, 0, "", -1, 30, text, sizeof text);
    ck_assert_str_eq(text, "x 0% [.................] 0/10");
    progress_text(&p, 10, "", 0, 30, text, sizeof text);
    progress_text(&p, 12, "a", -1, 80, text, sizeof text);
    ck_assert(strstr(text, "12/10  a") && !strchr(text, '.'));
    progress_text(&empty, 0, "", -1, 40, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "x 100% "));
    progress_text(&huge, UINT64_MAX, detail, 1e15, 200, text, sizeof text);
    ck_assert_uint_lt(strlen(text), 200);
    progress_text(&p, 5, detail, 1, 200, text, 20);
    ck_assert_uint_lt(strlen(text), 20);
    progress_text(&p, 5, detail, 1, 0, text, sizeof text);
    progress_text(&p, 5, "  ", 1, 80, text, sizeof text);
}
END_TEST

START_TEST(durations) {
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{0, "0 s"},          {59.4, "59 s"},       {59.6, "1 min 00 s"},
                 {200, "3 min 20 s"}, {3600, "1 h 00 min"}, {359999, "99 h 59 min"},
                 {360000, "4 days"}};
    char text[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_str_eq(duration(cases[i].seconds, text), cases[i].text);
}
END_TEST

START_TEST(time_left) {
    progress p = {.label = "x", .first = 100, .total = 200, .began = seconds_now() - 10};
    ck_assert_double_eq_tol(progress_left(&p, 150), 10, 0.5);
    ck_assert_double_eq_tol(progress_left(&p, 120), 40, 1);
    ck_assert(progress_left(&p, 100) < 0 && progress_left(&p, 50) < 0);
    ck_assert(progress_left(&p, 200) == 0 && progress_left(&p, 201) == 0);
}
END_TEST

/* Without a terminal a line every ten seconds, and the last one. */
START_TEST(lines_of_a_file) {
    progress p;
    capture err = capture_begin(stderr);
    progress_begin(&p, "x", 0, 10);
    for (uint64_t i = 1; i <= 10; i++) progress_update(&p, i, "a");
    progress_clear(&p);
    const double seconds = progress_end(&p);
    char *text = capture_end(&err);
    ck_assert(seconds >= 0 && seconds < 5);
    ck_assert_msg(!strncmp(text, "x 10% [###", 10) && strstr(text, "] 1/10  "), "%s", text);
    ck_assert_msg(strstr(text, "x 100% [####") && !strstr(text, " 2/10"), "%s", text);
    ck_assert(!strchr(text, '\r') && !strchr(text, '\033'));
    free(text);
}
END_TEST

START_TEST(width_without_a_terminal) {
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    static const char *const odd[] = {"0", "-5", "x", "", "10000000", "99999999999999999999"};
    setenv("COLUMNS", "123", 1);
    ck_assert_int_eq(terminal_width(file), 123);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        setenv("COLUMNS", odd[i], 1);
        ck_assert_int_eq(terminal_width(file), 80);
    }
    unsetenv("COLUMNS");
    ck_assert_int_eq(terminal_width(file), 80);
    fclose(file);
}
END_TEST

Suite *test_progress_suite(void);
Suite *test_progress_suite(void) {
    Suite *suite = suite_create("progress");
    TCase *tests = tcase_create("progress");
    tcase_add_test(tests, fits_in_every_width);
    tcase_add_test(tests, edges);
    tcase_add_test(tests, durations);
    tcase_add_test(tests, time_left);
    tcase_add_test(tests, lines_of_a_file);
    tcase_add_test(tests, width_without_a_terminal);
    suite_add_tcase(suite, tests);
    return suite;
}
