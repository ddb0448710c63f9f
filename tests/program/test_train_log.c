/* SPDX-License-Identifier: MIT */
/* loss.csv: the rows that a resumed run takes over, and the running mean that continues. */
#include "train/train_log.h"

#include "program/report_files.h"

static const char rows[] = "step,loss\n1,0.5,x\n2,0.25,x\n\nwords\n3,1,x\n4,0.125";

START_TEST(rows_of_the_run_before) {
    char *folder = test_folder_new(), text[256] = "";
    output csv;
    write_text(test_path(folder, "before.csv"), rows);
    char *path = strdup(test_path(folder, "after.csv"));
    ck_assert(path &&
              !continue_rows(&csv, "test", path, test_path(folder, "before.csv"), "title", 3));
    output_print(&csv, "4,2\n");
    ck_assert_int_eq(output_close(&csv, "test"), 0);
    FILE *file = fopen(path, "r");
    ck_assert(file && fread(text, 1, sizeof text - 1, file) > 0 && !fclose(file));
    ck_assert_str_eq(text, "title\n1,0.5,x\n2,0.25,x\n3,1,x\n4,2\n");
    free(path);
    free(folder);
}
END_TEST

START_TEST(mean_of_the_run_before) {
    char *folder = test_folder_new();
    double sum, weight;
    write_text(test_path(folder, "loss.csv"), rows);
    train_log_mean(test_path(folder, "loss.csv"), 0.5, &sum, &weight);
    /* 0.5 / 2, then the mean with each new loss; exact in binary. */
    ck_assert_double_eq(sum, (((0.25 / 2 + 0.25 / 2) / 2 + 1.0 / 2) / 2) + 0.125 / 2);
    ck_assert_double_eq(weight, 1 - 0.0625);
    train_log_mean(test_path(folder, "none"), 0.5, &sum, &weight);
    ck_assert(sum == 0 && weight == 0);
    free(folder);
}
END_TEST

Suite *test_train_log_suite(void);
Suite *test_train_log_suite(void) {
    Suite *suite = suite_create("train_log");
    TCase *tests = tcase_create("train_log");
    tcase_add_test(tests, rows_of_the_run_before);
    tcase_add_test(tests, mean_of_the_run_before);
    suite_add_tcase(suite, tests);
    return suite;
}
