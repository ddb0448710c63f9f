/* SPDX-License-Identifier: MIT */
/* Manual pages: they have every option, and roff has nothing to say about them. */
#include "command/help.h"
#include "program/lines.h"
#include "program/report_files.h"

static char *manual_of(const command *c) {
    capture out = capture_begin(stdout);
    print_manual(c);
    return capture_end(&out);
}

/* '-' as roff writes it. */
static void escape(const char *name, char *out) {
    for (; *name; name++) {
        if (*name == '-') *out++ = '\\';
        *out++ = *name;
    }
    *out = 0;
}

/* Neither warnings nor errors, where groff is installed. */
static void check_roff(const char *text) {
    char call[700];
    char *folder = test_folder_new();
    write_text(test_path(folder, "page.1"), text);
    snprintf(call, sizeof call,
             "! command -v groff >/dev/null || { groff -ww -man -Tutf8 %s >/dev/null 2>%s && "
             "[ ! -s %s ] || { cat %s; exit 1; }; }",
             test_path(folder, "page.1"), test_path(folder, "said"), test_path(folder, "said"),
             test_path(folder, "said"));
    ck_assert_int_eq(system(call), 0);
    free(folder);
}

START_TEST(commands) {
    const command *c;
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        char name[100], want[200], *text = manual_of(c);
        size_t count;
        const option_group *groups = c->groups(&count);
        for (size_t g = 0; g < count; g++)
            for (size_t k = 0; k < groups[g].count; k++) {
                const option *o = &groups[g].options[k];
                escape(o->name, name);
                snprintf(want, sizeof want, "\\fB\\-\\-%s\\fR", name);
                ck_assert_msg(strstr(text, want) != NULL, "%s --%s", c->name, o->name);
            }
        if (c->explained) ck_assert_ptr_nonnull(strstr(text, "\n.SS Values of \\-\\-"));
        ck_assert_ptr_nonnull(strstr(text, ".SH EXAMPLES\n"));
        ck_assert_msg(!strstr(text, "\n\n"), "%s: an empty line", c->name);
        /* A bare '-' is a hyphen, at which lines are broken. */
        const char *at = strstr(text, ".SH NAME");
        while ((at = strchr(at + 1, '-')) != NULL) ck_assert_msg(at[-1] == '\\', "%.40s", at - 20);
        check_roff(text);
        free(text);
    }
}
END_TEST

START_TEST(program) {
    const command *c;
    char *text = manual_of(NULL), want[100];
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        snprintf(want, sizeof want, "\\fBdiffusion\\-%s\\fR(1)\n", c->name);
        ck_assert_ptr_nonnull(strstr(text, want));
    }
    check_roff(text);
    free(text);
}
END_TEST

Suite *test_manual_suite(void);
Suite *test_manual_suite(void) {
    Suite *suite = suite_create("manual");
    TCase *tests = tcase_create("manual");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, commands);
    tcase_add_test(tests, program);
    suite_add_tcase(suite, tests);
    return suite;
}
