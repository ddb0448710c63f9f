/* SPDX-License-Identifier: MIT */
/* settings.txt of a run: what is written is read again, and what is given goes before it. */
#include "train/settings.h"

#include "program/lines.h"
#include "program/report_files.h"
#include "train/train_options.h"

static given_line g;

/* Reads the file for a command line; returns what was printed, to be freed. */
static char *read_again(const char *words, const char *path, int want) {
    forget_settings(&g);
    accept_line(&g, "train", words);
    capture err = capture_begin(stderr);
    const int got = read_settings(&g.line, path);
    char *message = capture_end(&err);
    ck_assert_msg(got == want, "%s", message);
    return message;
}

START_TEST(written_and_read) {
    char *path = strdup(test_path(test_folder(), "settings.txt"));
    accept_line(&g, "train",
                "--data a=b/c --size 24x40 --crop random --grey --steps 123 --save-minutes 0.1 "
                "--tensorboard --cache 7 --lr 0.5 --out elsewhere --threads 3");
    ck_assert_int_eq(write_settings(&g.line, path), 0);
    char *text = read_text(path);
    ck_assert(is_settings(path) && !is_settings(test_path(test_folder(), "none")));
    ck_assert(strstr(text, "data=a=b/c\n") && strstr(text, "grey=1\n"));
    ck_assert(!strstr(text, "lr=") && !strstr(text, "out=") && !strstr(text, "threads="));
    ck_assert_ptr_null(strstr(text, "no-labels"));
    free(text);
    free(read_again("", path, 0));
    ck_assert_str_eq(data_values.path, "a=b/c");
    ck_assert_str_eq(data_values.size, "24x40");
    ck_assert_str_eq(data_values.crop, "random");
    ck_assert(data_values.grey && data_values.memory_mb == 7 && train_values.steps == 123);
    ck_assert(train_values.save_minutes == 0.1 && train_values.tensorboard);
    ck_assert(!train_values.no_labels && !train_values.out);
    ck_assert(!command_line_given(&g.line, "steps"));
    /* What is given stays. */
    free(read_again("--steps 9 --size 32", path, 0));
    ck_assert(train_values.steps == 9 && data_values.grey);
    ck_assert_str_eq(data_values.size, "32");
    free(path);
    forget_settings(&g);
}
END_TEST

START_TEST(odd_files) {
    char *path = strdup(test_path(test_folder(), "settings.txt"));
    free(read_again("", path, 0));
    write_text(path, "");
    free(read_again("", path, 0));
    ck_assert(!is_settings(path));
    write_text(path, "#steps=3\nno equals\n=\nunknown=3\nlr=3\nout=x\ngrey=0\n\nsteps=77");
    free(read_again("", path, 0));
    ck_assert(train_values.steps == 77 && !data_values.grey && !train_values.out);
    static const char *const wrong[] = {"steps=abc\n", "steps=\n", "crop=left\nsteps=5\n",
                                        "cache=-1\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_text(path, wrong[i]);
        char *message = read_again("", path, REPORTED);
        ck_assert_msg(strstr(message, "it must be") || strstr(message, "is empty"), "%s", message);
        ck_assert_msg(strstr(message, path) != NULL, "%s", message);
        free(message);
        ck_assert_int_eq(train_values.steps, 10000);
    }
    /* Bytes of any kind. */
    uint8_t bytes[20000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i % 251);
    write_file(path, bytes, sizeof bytes);
    free(read_again("", path, 0));
    free(path);
    forget_settings(&g);
}
END_TEST

START_TEST(cannot_be_written) {
    char *folder = test_folder_new();
    accept_line(&g, "train", "");
    capture err = capture_begin(stderr);
    ck_assert_int_eq(check_settings(&g.line), 0);
    ck_assert_int_eq(write_settings(&g.line, test_path(folder, "none/settings.txt")), REPORTED);
    /* A name that would be read as another option. */
    data_values.path = "photos\nsteps=1";
    ck_assert_int_eq(check_settings(&g.line), REPORTED);
    char *message = capture_end(&err);
    ck_assert(strstr(message, "none/settings.txt: ") && strstr(message, "--data has a line"));
    free(message);
    free(folder);
}
END_TEST

Suite *test_settings_suite(void);
Suite *test_settings_suite(void) {
    Suite *suite = suite_create("settings");
    TCase *tests = tcase_create("settings");
    tcase_add_test(tests, written_and_read);
    tcase_add_test(tests, odd_files);
    tcase_add_test(tests, cannot_be_written);
    suite_add_tcase(suite, tests);
    return suite;
}
