/* SPDX-License-Identifier: MIT */
/* The page about a run: its parts, escaped text, and files that are missing or cannot be read. */
#include "report/report.h"

#include <sys/stat.h>
#include <unistd.h>

#include "program/report_files.h"
#include "report/page.h"

static char *write_report(const char *folder, const report_options *options, const char *unread) {
    char error[2048];
    const char *path = test_path(folder, "report.html");
    ck_assert_msg(!report_write(path, folder, options, error, sizeof error), "%s", error);
    if (*unread) ck_assert_ptr_nonnull(strstr(error, unread));
    else ck_assert_str_eq(error, "");
    ck_assert_int_ne(access(test_path(folder, "report.html.part"), F_OK), 0);
    return read_text(path);
}

static size_t occurrences(const char *text, const char *part) {
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) count++;
    return count;
}

START_TEST(missing_files) {
    char *folder = test_folder_new();
    const report_options options = {.running = 1,
                                    .step = 1234567,
                                    .steps = 2000000,
                                    .seconds_left = NAN,
                                    .images_per_second = -1,
                                    .loss = NAN};
    char *page = write_report(folder, &options, "");
    ck_assert_ptr_nonnull(strstr(page, "<dd>1,234,567 <small>of 2,000,000</small></dd>"));
    ck_assert_ptr_nonnull(strstr(page, "61.7%"));
    ck_assert(strstr(page, "\"running\":true") && strstr(page, "<body class=\"running\">"));
    ck_assert_ptr_nonnull(strstr(page, "\"curves\":{}"));
    ck_assert_ptr_nonnull(strstr(page, "\"grids\":[]"));
    ck_assert(!strstr(page, "time left") && !strstr(page, "pictures a second"));
    ck_assert(!strstr(page, "nan") && !strstr(page, "{{") && !strstr(page, "<img"));
    free(page);
    free(folder);
}
END_TEST

START_TEST(escaped_text) {
    char *folder = test_folder_new();
    const report_fact facts[] = {{"Data", "<b>&\"'", "</script><script>alert(1)</script>"},
                                 {"<i>", "x", NULL},
                                 {"Data", "again", "{{data}}"},
                                 {NULL, NULL, "y"}};
    const report_options options = {.title = "</title>&", .facts = facts, .fact_count = 4};
    write_text(test_path(folder, "loss.csv"), "step,</script>,loss\n1,2,1e308\n1,3,1e308\n2,,4\n");
    char *page = write_report(folder, &options, "");
    ck_assert_uint_eq(occurrences(page, "<title>&lt;/title&gt;&amp;</title>"), 1);
    ck_assert_ptr_nonnull(strstr(page, "<dt>&lt;b&gt;&amp;&quot;&#39;</dt>"));
    ck_assert_ptr_nonnull(strstr(page, "&lt;/script&gt;&lt;script&gt;alert(1)"));
    ck_assert_ptr_nonnull(strstr(page, "<dd>{{data}}</dd>"));
    ck_assert_uint_eq(occurrences(page, "</script>"), 2);
    ck_assert_uint_eq(occurrences(page, "<h2>Data</h2>"), 1);
    ck_assert_uint_eq(occurrences(page, "<h2>&lt;i&gt;</h2>"), 1);
    ck_assert_ptr_nonnull(strstr(page, "\"loss\":{\"points\":2,\"step\":[1,2],\"mean\":[null,4]"));
    ck_assert_ptr_null(strstr(page, ":inf"));
    free(page);
    free(folder);
}
END_TEST

START_TEST(grids_in_the_page) {
    char *folder = test_folder_new();
    const report_options options = {.title = "t"};
    for (unsigned i = 1; i <= 3; i++) write_grid(folder, i * 1000, 9000);
    char *page = write_report(folder, &options, "");
    ck_assert_uint_eq(occurrences(page, "data:image/png;base64,iVBORw0KGgo"), 3);
    ck_assert_ptr_nonnull(strstr(page, "alt=\"samples after 3000 steps\""));
    ck_assert_ptr_nonnull(strstr(page, "\n{\"step\":3000}]}"));
    free(page);
    free(folder);
}
END_TEST

START_TEST(unreadable_files) {
    char error[2048], *folder = test_folder_new();
    const report_options options = {.title = "t"};
    ck_assert_int_eq(mkdir(test_path(folder, "loss.csv"), 0700), 0);
    write_text(test_path(folder, "evaluation.csv"), "step,distance\n10,5\n");
    char *page = write_report(folder, &options, "loss.csv: ");
    ck_assert(strstr(page, "Left out: ") && strstr(page, "\"distance\":{\"points\":1"));
    free(page);
    /* A page that cannot be written: the reason, and nothing is left. */
    ck_assert_int_eq(mkdir(test_path(folder, "page.html"), 0700), 0);
    const char *path = test_path(folder, "page.html");
    ck_assert_int_eq(report_write(path, folder, &options, error, sizeof error), 1);
    ck_assert_ptr_nonnull(strstr(error, path));
    ck_assert_int_ne(access(test_path(folder, "page.html.part"), F_OK), 0);
    path = test_path(folder, "none/page.html");
    ck_assert_int_eq(report_write(path, folder, &options, error, sizeof error), 1);
    char *longer = malloc(5001);
    ck_assert_ptr_nonnull(longer);
    memset(longer, 'x', 5000);
    longer[5000] = 0;
    ck_assert_int_eq(report_write(longer, folder, &options, error, sizeof error), 1);
    free(longer);
    free(folder);
}
END_TEST

/* What embed.sh makes is what is in the files. */
START_TEST(embedded_files) {
    char *css = read_text("examples/diffusion/report/page.css");
    char *script = read_text("examples/diffusion/report/page_curves.js");
    ck_assert_str_eq(report_page_css, css);
    ck_assert_str_eq(report_page_curves_js, script);
    free(css);
    free(script);
}
END_TEST

Suite *test_report_suite(void);
Suite *test_report_suite(void) {
    Suite *suite = suite_create("report");
    TCase *tests = tcase_create("report");
    tcase_add_test(tests, missing_files);
    tcase_add_test(tests, escaped_text);
    tcase_add_test(tests, grids_in_the_page);
    tcase_add_test(tests, unreadable_files);
    tcase_add_test(tests, embedded_files);
    suite_add_tcase(suite, tests);
    return suite;
}
