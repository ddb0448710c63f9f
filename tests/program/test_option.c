/* SPDX-License-Identifier: MIT */
/* What is told of an option: its argument, its words and its help. */
#include "command/command.h"
#include "support/support.h"

static dm_trainer_options values;

static option_group group_of(option *o) {
    ck_assert_int_eq(dm_trainer_options_init(&values, sizeof values), DM_OK);
    values.batch_size = 128;
    values.learning_rate = 2e-4;
    values.ema_decay[0] = 0.9999;
    values.loss = DM_LOSS_MSE;
    return (option_group){.title = "t",
                          .struct_name = "dm_trainer_options",
                          .values = &values,
                          .options = o,
                          .count = 1};
}

static void check(option o, const char *argument, const char *words, const char *help) {
    char text[OPTION_TEXT_SIZE];
    const option_group g = group_of(&o);
    ck_assert_str_eq(option_argument(&g, &o), argument);
    ck_assert_int_eq(option_takes_argument(&o), *argument != 0);
    option_words(&g, &o, text);
    ck_assert_str_eq(text, words);
    option_help(&g, &o, text);
    ck_assert_str_eq(text, help);
}

START_TEST(variables) {
    int64_t count = 12;
    double real = 0.25;
    const char *text = "x", *none = NULL;
    int flag = 0;
    check((option){.kind = OPTION_COUNT, .value = &count, .help = "how many"}, "N", "",
          "How many (default: 12)");
    check((option){.kind = OPTION_COUNT,
                   .value = &count,
                   .help = "A.",
                   .argument = "MB",
                   .initial = "all"},
          "MB", "", "A (default: all)");
    check((option){.kind = OPTION_REAL, .value = &real, .help = "A", .initial = ""}, "X", "", "A");
    check((option){.kind = OPTION_REAL, .value = &real, .help = "A"}, "X", "", "A (default: 0.25)");
    check((option){.kind = OPTION_TEXT, .value = &text, .help = "A"}, "NAME", "", "A (default: x)");
    check((option){.kind = OPTION_FILE, .value = &none, .help = "A"}, "FILE", "", "A");
    check((option){.kind = OPTION_FOLDER, .value = &none, .help = "A"}, "DIR", "", "A");
    check((option){.kind = OPTION_FLAG, .value = &flag, .help = "A"}, "", "", "A");
    check((option){.kind = OPTION_CHOICE, .value = &text, .choices = "x y", .help = "A"}, "NAME",
          "x y", "A: x, y (default: x)");
    check((option){.kind = OPTION_CHOICE, .value = &text, .choices = "x y", .open = 1, .help = "A"},
          "NAME", "x y", "A (default: x)");
    check(
        (option){.kind = OPTION_CHOICE, .value = &none, .enumeration = "dm_recompute", .help = "A"},
        "NAME", "none selective blocks", "A: none, selective, blocks");
}
END_TEST

START_TEST(members) {
    check((option){.member = "batch_size", .help = "A"}, "N", "", "A (default: 128)");
    check((option){.member = "learning_rate", .help = "A"}, "X", "", "A (default: 0.0002)");
    check((option){.member = "flip", .flag = "1", .help = "A"}, "", "", "A");
    check((option){.member = "ema_decay", .help = "A"}, "LIST", "", "A (default: 0.9999)");
    check((option){.member = "loss", .help = "A"}, "NAME", "mse pseudo_huber hybrid",
          "A: mse, pseudo_huber, hybrid (default: mse)");
    check((option){.member = "loss", .help = "A", .hidden = "hybrid"}, "NAME", "mse pseudo_huber",
          "A: mse, pseudo_huber (default: mse)");
    dm_member_info info;
    option o = {.member = "nonsense"}, variable = {.kind = OPTION_FLAG};
    const option_group g = group_of(&o);
    ck_assert(!option_member(&g, &o, &info) && !option_member(&g, &variable, &info));
}
END_TEST

/* Every option of every command has a help that fits, and every member is the library's. */
START_TEST(options_of_commands) {
    const command *c;
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        size_t count;
        const option_group *groups = c->groups(&count);
        for (size_t g = 0; g < count; g++)
            for (size_t k = 0; k < groups[g].count; k++) {
                const option *o = &groups[g].options[k];
                char text[OPTION_TEXT_SIZE];
                dm_member_info info;
                ck_assert_msg(o->kind != OPTION_MEMBER || option_member(&groups[g], o, &info),
                              "%s --%s: no such member", c->name, o->name);
                ck_assert(o->kind == OPTION_MEMBER || o->value);
                option_help(&groups[g], o, text);
                const size_t length = strlen(text);
                ck_assert_msg(length > 3 && length < OPTION_TEXT_SIZE - 1, "%s --%s: '%s'", c->name,
                              o->name, text);
                ck_assert_msg(text[length - 1] != '.', "%s --%s: '%s'", c->name, o->name, text);
                option_words(&groups[g], o, text);
                ck_assert_uint_lt(strlen(text), OPTION_TEXT_SIZE - 1);
                ck_assert_msg(!option_takes_argument(o) || *option_argument(&groups[g], o),
                              "%s --%s", c->name, o->name);
            }
    }
}
END_TEST

Suite *test_option_suite(void);
Suite *test_option_suite(void) {
    Suite *suite = suite_create("option");
    TCase *tests = tcase_create("option");
    tcase_add_test(tests, variables);
    tcase_add_test(tests, members);
    tcase_add_test(tests, options_of_commands);
    suite_add_tcase(suite, tests);
    return suite;
}
