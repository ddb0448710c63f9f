/* SPDX-License-Identifier: MIT */
/* Completion scripts: they have every option, shells accept them, and bash completes by them. */
#include "command/help.h"
#include "program/lines.h"
#include "program/report_files.h"

static const char *const shells[] = {"bash", "zsh", "fish"};

/* The script, to be freed; its path becomes *path, to be freed. */
static char *script_of(const char *shell, char **path) {
    capture out = capture_begin(stdout);
    ck_assert_int_eq(print_completion(shell), 0);
    char *text = capture_end(&out);
    *path = strdup(test_path(test_folder(), shell));
    write_text(*path, text);
    return text;
}

/* Where `name` stands as a word of its own from `text` on. */
static int has_word(const char *text, const char *end, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = text; (at = strstr(at, name)) && at < end; at += length)
        if (!strchr("abcdefghijklmnopqrstuvwxyz-0123456789", at[length]) || !at[length]) return 1;
    return 0;
}

/* The part of a command, which begins and ends as the shell's scripts do. */
static void check_command(const char *shell, const char *script, const command *c) {
    char begin[100], want[100];
    const int fish = !strcmp(shell, "fish");
    snprintf(begin, sizeof begin, fish ? "_from %s'" : "        %s)\n", c->name);
    const char *from = strstr(script, begin), *end = script + strlen(script);
    ck_assert_msg(from != NULL, "%s: %s", shell, c->name);
    if (!fish) end = strstr(from, "' ;;\n");
    size_t count;
    const option_group *groups = c->groups(&count);
    for (size_t g = 0; g < count; g++)
        for (size_t i = 0; i < groups[g].count; i++) {
            const option *o = &groups[g].options[i];
            snprintf(want, sizeof want, fish ? "%s%s' -l %s" : "%s%s--%s", fish ? "_from " : "",
                     fish ? c->name : "", o->name);
            ck_assert_msg(has_word(from, end, want), "%s: %s --%s", shell, c->name, o->name);
        }
}

START_TEST(all_options) {
    char *path, *script = script_of(shells[_i], &path);
    const command *c;
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) check_command(shells[_i], script, c);
    free(script);
    free(path);
}
END_TEST

START_TEST(shells_accept_them) {
    char call[400], *path;
    free(script_of(shells[_i], &path));
    snprintf(call, sizeof call, "! command -v %s >/dev/null || %s -n %s", shells[_i], shells[_i],
             path);
    ck_assert_int_eq(system(call), 0);
    free(path);
}
END_TEST

/* Words of a command line, the last of which is to be completed, and what bash offers for it. */
START_TEST(bash_completes) {
    static const char *const cases[][2] = {
        {"diffusion tr", "train"},
        {"diffusion e", "evaluate"},
        {"diffusion train --los", "--loss --loss-weight"},
        {"diffusion train --loss ps", "pseudo_huber"},
        {"diffusion train --loss = h", "hybrid"},
        {"diffusion train --crop ''", "center random"},
        {"diffusion train -s ''", ""},
        {"diffusion train --steps 5 --he", "--head-size --help"},
    };
    char *path;
    if (system("command -v bash >/dev/null")) return;
    free(script_of("bash", &path));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char call[900];
        snprintf(call, sizeof call,
                 "bash -c \". %s; COMP_WORDS=(%s); COMP_CWORD=\\$((\\${#COMP_WORDS[@]} - 1)); "
                 "_diffusion diffusion \\\"\\${COMP_WORDS[-1]}\\\" \\\"\\${COMP_WORDS[-2]}\\\"; "
                 "sorted=\\$(printf '%%s\\n' \\\"\\${COMPREPLY[@]}\\\" | LC_ALL=C sort | xargs); "
                 "[ \\\"\\$sorted\\\" = '%s' ] || { echo \\\"\\$sorted\\\"; exit 1; }\"",
                 path, cases[i][0], cases[i][1]);
        ck_assert_msg(system(call) == 0, "%s", cases[i][0]);
    }
    free(path);
}
END_TEST

START_TEST(other_shells) {
    capture out = capture_begin(stdout);
    ck_assert_int_eq(print_completion("csh"), 1);
    ck_assert_int_eq(print_completion(""), 1);
    char *text = capture_end(&out);
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

Suite *test_completion_suite(void);
Suite *test_completion_suite(void) {
    Suite *suite = suite_create("completion");
    TCase *tests = tcase_create("completion");
    tcase_set_timeout(tests, 20);
    tcase_add_loop_test(tests, all_options, 0, 3);
    tcase_add_loop_test(tests, shells_accept_them, 0, 3);
    tcase_add_test(tests, bash_completes);
    tcase_add_test(tests, other_shells);
    suite_add_tcase(suite, tests);
    return suite;
}
