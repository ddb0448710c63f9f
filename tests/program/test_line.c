/* SPDX-License-Identifier: MIT */
/* Reading command lines: ways to give options and words, and what is said about wrong ones. */
#include "program/lines.h"
#include "sample/sample_options.h"
#include "train/train_options.h"

enum { OPTIONS_MAX = 160 }; /* of line.c */

START_TEST(ways_to_give_options) {
    static const char *const lines[] = {"--steps 7 --flip photos",   "--steps=7 --flip photos",
                                        "-s 7 photos --flip",        "photos -s7 --fli",
                                        "--step 7 --flip photos",    "--flip -s 3 photos -s 7",
                                        "--flip --steps 7 -- photos"};
    static given_line g;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        accept_line(&g, "train", lines[i]);
        ck_assert_int_eq(train_values.steps, 7);
        ck_assert_int_eq(g.line.word_count, 1);
        ck_assert_str_eq(g.line.words[0], "photos");
        ck_assert(command_line_given(&g.line, "flip") && command_line_given(&g.line, "steps"));
        ck_assert(!command_line_given(&g.line, "lr") && !command_line_given(&g.line, "nonsense"));
        ck_assert_str_eq(g.line.program, "diffusion train");
    }
    accept_line(&g, "train", "--epochs 2.5 --crop random --data x --out y --no-labels");
    ck_assert(train_values.epochs == 2.5 && train_values.no_labels == 1);
    ck_assert_str_eq(data_values.crop, "random");
    ck_assert_str_eq(data_values.path, "x");
    ck_assert_str_eq(train_values.out, "y");
    accept_line(&g, "train", "");
    ck_assert(train_values.steps == 10000 && !train_values.no_labels && !train_values.out);
}
END_TEST

typedef struct refusal {
    const char *command, *words, *message; /* without the program's name and the line end */
} refusal;

static const refusal refusals[] = {
    {"train", "--steps 0", "--steps is 0; it must be from 1 to 1000000000000000"},
    {"train", "--steps -5", "--steps is -5; it must be from 1 to 1000000000000000"},
    {"train", "--steps 99999999999999999999999",
     "--steps is 99999999999999999999999; it must be from 1 to 1000000000000000"},
    {"train", "--steps 5x", "--steps is '5x'; it must be a whole number"},
    {"train", "--steps 1.5", "--steps is '1.5'; it must be a whole number"},
    {"train", "--steps=", "--steps is empty"},
    {"train", "--data=", "--data is empty"},
    {"train", "--epochs x", "--epochs is 'x'; it must be a number"},
    {"train", "--epochs nan", "--epochs is nan; it must be from 0 to 1e+06"},
    {"train", "--epochs 1e400", "--epochs is inf; it must be from 0 to 1e+06"},
    {"train", "--crop left", "--crop is 'left'; it must be one of center, random"},
    {"train", "--steps", "--steps needs an argument (see --help)"},
    {"train", "--flip -s", "-s needs an argument (see --help)"},
    {"train", "--flip=1", "--flip takes no argument"},
    {"train", "--help=1", "--help takes no argument"},
    {"train", "-q", "there is no option -q (--help lists them)"},
    {"train", "photos -qz", "there is no option -q (--help lists them)"},
    {"train", "--flip -qz", "there is no option -q (--help lists them)"},
    {"train", "--qqqqqq", "there is no option --qqqqqq (--help lists them)"},
    {"train", "--setps 5", "there is no option --setps; did you mean --steps?"},
    {"train", "--setps=5", "there is no option --setps; did you mean --steps?"},
    {"train", "--lr- 5", "--lr- may be --lr-schedule, --lr-steps, --lr-final"},
    {"train", "--lossy 5", "there is no option --lossy; did you mean --loss?"},
    {"train", "--sample 5", "--sample may be --samples, --sample-every, --sample-steps"},
    {"train", "a b", "'b' is one word too many; usage: diffusion train [OPTION...] [DATA]"},
    {"distill", "", "usage: diffusion distill [OPTION...] TEACHER (--help tells more)"},
    {"info", "--nope", "there is no option --nope (--help lists them)"},
};

START_TEST(refused_lines) {
    static given_line g;
    const refusal *r = &refusals[_i];
    char want[300];
    read_line(&g, r->command, r->words);
    snprintf(want, sizeof want, "diffusion %s: %s\n", r->command, r->message);
    ck_assert_int_eq(g.status, 1);
    ck_assert_str_eq(g.message, want);
}
END_TEST

START_TEST(help) {
    static const char *const lines[] = {"--help", "-h", "x y --steps 5 --help", "-h --nonsense"};
    static given_line g;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        capture out = capture_begin(stdout);
        read_line(&g, "train", lines[i]);
        char *text = capture_end(&out);
        ck_assert(!g.status && g.done);
        ck_assert(!strncmp(text, "Usage: diffusion train [OPTION...] [DATA]\n\n", 42));
        ck_assert(strstr(text, "\n  -s, --steps=N             Steps in total") != NULL);
        free(text);
    }
}
END_TEST

/* No line of an option's help is longer than the terminal, unless a word is. */
START_TEST(help_is_wrapped) {
    static given_line g;
    const command *c;
    setenv("COLUMNS", _i ? "100" : "60", 1);
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        capture out = capture_begin(stdout);
        read_line(&g, c->name, "--help");
        char *text = capture_end(&out), *rest = text;
        for (char *at; (at = strsep(&rest, "\n")) != NULL;)
            if (!strncmp(at, "          ", 10))
                ck_assert_msg(strlen(at) <= (_i ? 100 : 60), "%s: '%s'", c->name, at);
        free(text);
    }
}
END_TEST

START_TEST(options_are_set_later) {
    static given_line g;
    accept_line(&g, "train", "");
    option *steps = command_line_option(&g.line, "steps");
    ck_assert(!command_line_set(&g.line, steps, "12") && train_values.steps == 12);
    ck_assert(!steps->given && !strcmp(steps->text, "12"));
    capture err = capture_begin(stderr);
    ck_assert_int_eq(command_line_set(&g.line, steps, "x"), 1);
    free(capture_end(&err));
    ck_assert_int_eq(train_values.steps, 12);
    ck_assert_ptr_null(command_line_option(&g.line, "nonsense"));
}
END_TEST

START_TEST(options_without_effect) {
    static given_line g;
    const option_rule rules[] = {{"steps", 0, "--x"}, {"flip", 1, "--y"}, {"out", 0, "--z"}};
    accept_line(&g, "train", "--flip");
    ck_assert_int_eq(command_line_check(&g.line, rules, 3), 0);
    accept_line(&g, "train", "--flip --out y");
    capture err = capture_begin(stderr);
    ck_assert_int_eq(command_line_check(&g.line, rules, 3), REPORTED);
    char *text = capture_end(&err);
    ck_assert_str_eq(text, "diffusion train: --out has no effect without --z (--help lists the "
                           "options)\n");
    free(text);
}
END_TEST

/* Names and letters are unique, and there is place for all options. */
START_TEST(options_of_commands) {
    const command *c;
    size_t commands = 0;
    for (; (c = command_at(commands)) != NULL; commands++) {
        const option *all[OPTIONS_MAX];
        size_t group_count, count = 0;
        const option_group *groups = c->groups(&group_count);
        ck_assert_ptr_eq(command_named(c->name), c);
        for (size_t g = 0; g < group_count; g++)
            for (size_t i = 0; i < groups[g].count; i++) {
                ck_assert_uint_lt(count, OPTIONS_MAX);
                all[count++] = &groups[g].options[i];
            }
        for (size_t i = 0; i < count; i++) {
            ck_assert(strcmp(all[i]->name, "help") != 0 && all[i]->letter != 'h');
            for (size_t k = 0; k < i; k++)
                ck_assert_msg(strcmp(all[i]->name, all[k]->name) != 0 &&
                                  (!all[i]->letter || all[i]->letter != all[k]->letter),
                              "%s: --%s and --%s", c->name, all[i]->name, all[k]->name);
        }
    }
    ck_assert_uint_ge(commands, 8);
    ck_assert_ptr_null(command_named("trai"));
}
END_TEST

Suite *test_line_suite(void);
Suite *test_line_suite(void) {
    Suite *suite = suite_create("line");
    TCase *tests = tcase_create("line");
    tcase_add_test(tests, ways_to_give_options);
    tcase_add_loop_test(tests, refused_lines, 0, (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(tests, help);
    tcase_add_loop_test(tests, help_is_wrapped, 0, 2);
    tcase_add_test(tests, options_are_set_later);
    tcase_add_test(tests, options_without_effect);
    tcase_add_test(tests, options_of_commands);
    suite_add_tcase(suite, tests);
    return suite;
}
