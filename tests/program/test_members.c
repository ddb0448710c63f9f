/* SPDX-License-Identifier: MIT */
/* Options that set members of the library's structs, and messages that speak of them. */
#include "program/lines.h"
#include "support/allocator.h"
#include "train/train_members.h"

static void apply(given_line *g, const char *words, int want) {
    dm_context *context = test_context_new(NULL, 0);
    accept_line(g, "train", words);
    capture err = capture_begin(stderr);
    const int got = apply_train_members(&g->line, &train_values, context);
    char *message = capture_end(&err);
    ck_assert_msg(!got == !want, "%s: %s", words, message);
    snprintf(g->message, sizeof g->message, "%s", message);
    free(message);
    dm_context_destroy(context);
}

START_TEST(values) {
    static given_line g;
    apply(&g,
          "--lr 0.25 --batch 3 --flip --loss pseudo-huber --schedule scaled_linear --seed "
          "18446744073709551615 --ema-decay 0.5,0.75 --prediction x0 --dropout 1e-1",
          0);
    const dm_trainer_options *t = &train_values.trainer;
    ck_assert(t->learning_rate == 0.25 && t->batch_size == 3 && t->flip == 1);
    ck_assert(t->loss == DM_LOSS_PSEUDO_HUBER && t->seed == UINT64_MAX);
    ck_assert(t->ema_decay[0] == 0.5 && t->ema_decay[1] == 0.75);
    ck_assert(train_values.schedule.kind == DM_SCHEDULE_SCALED_LINEAR);
    ck_assert(train_values.unet.prediction == DM_PREDICT_X0);
    ck_assert_float_eq(train_values.unet.dropout, 0.1f);
}
END_TEST

/* The number of levels is that of --channels; a single --blocks is for all of them. */
START_TEST(levels) {
    static given_line g;
    apply(&g, "--channels 8,16,24,32 --blocks 2", 0);
    const dm_unet_options *u = &train_values.unet;
    ck_assert(u->levels == 4 && u->channels[0] == 8 && u->channels[3] == 32);
    for (int i = 0; i < 4; i++) ck_assert_int_eq(u->blocks[i], 2);
    apply(&g, "--channels 8", 0);
    ck_assert(u->levels == 1 && u->channels[0] == 8);
    apply(&g, "--channels 8,16,24,32,40", 0);
    for (int i = 0; i < 5; i++) ck_assert_int_ge(u->blocks[i], 1);
    apply(&g, "--channels 8,16 --blocks 1,3", 0);
    ck_assert(u->levels == 2 && u->blocks[0] == 1 && u->blocks[1] == 3);
}
END_TEST

typedef struct refusal {
    const char *words, *message;
} refusal;

static const refusal refusals[] = {
    {"--lr x", "diffusion train: --lr is \"x\"; it must be a number\n"},
    {"--batch 1.5", "diffusion train: --batch is \"1.5\"; it must be a 32-bit integer\n"},
    {"--loss mean", "diffusion train: --loss is 'mean'; it must be one of mse, pseudo_huber, "
                    "hybrid\n"},
    {"--prediction consistency", "--prediction is 'consistency'; it must be one of "},
    {"--channels 1,2,3,4,5,6,7,8,9", "diffusion train: --channels is \"1,2,3,4,5,6,7,8,9\"; "},
    {"--seed -1", "diffusion train: --seed is \"-1\"; "},
};

START_TEST(refused_values) {
    static given_line g;
    apply(&g, refusals[_i].words, 1);
    ck_assert_msg(strstr(g.message, refusals[_i].message) != NULL, "%s: '%s'", refusals[_i].words,
                  g.message);
}
END_TEST

/* Members become options where there is one, else they stay. */
START_TEST(messages) {
    static const char *const cases[][2] = {
        {"trainer: 'learning_rate' is 0; it must be positive", "--lr is 0; it must be positive"},
        {"unet: 'channels[1]' is 3; with 4 'norm_groups'", "--channels is 3; with 4 --groups"},
        {"trainer: 'distill_steps' is 3", "trainer: 'distill_steps' is 3"},
        {"a file: 'learning_rate' is 3", "a file: --lr is 3"},
        {"'x' and 'learning_rate", "'x' and 'learning_rate"},
        {"it's 'loss' and 'loss_weight'", "it's --loss and --loss-weight"},
        {"'batch_size'", "--batch"},
        {"schedule: 'beta' is", "schedule: 'beta' is"},
        {"", ""}};
    static given_line g;
    accept_line(&g, "train", "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char want[300];
        capture err = capture_begin(stderr);
        command_line_warn(&g.line, cases[i][0]);
        char *got = capture_end(&err);
        snprintf(want, sizeof want, "diffusion train: warning: %s\n", cases[i][1]);
        ck_assert_str_eq(got, want);
        free(got);
    }
    /* Long messages are shortened. */
    char longer[5000];
    for (size_t i = 0; i + 1 < sizeof longer; i++) longer[i] = "'loss' "[i % 7];
    longer[sizeof longer - 1] = 0;
    capture err = capture_begin(stderr);
    command_line_warn(&g.line, longer);
    char *got = capture_end(&err);
    ck_assert(strlen(got) < 1100 && strstr(got, "--loss --loss"));
    free(got);
}
END_TEST

START_TEST(statuses) {
    static given_line g;
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *d;
    accept_line(&g, "train", "");
    capture err = capture_begin(stderr);
    command_line_print_error(&g.line, context, DM_OK);
    command_line_print_error(&g.line, context, REPORTED);
    char *got = capture_end(&err);
    ck_assert_str_eq(got, "");
    free(got);
    err = capture_begin(stderr);
    command_line_print_error(&g.line, NULL, DM_ERROR_OUT_OF_MEMORY);
    ck_assert_int_ne(dm_dataset_create_shapes(&d, context, 1, 1, 1), DM_OK);
    command_line_print_error(&g.line, context, DM_ERROR_INVALID_ARGUMENT);
    got = capture_end(&err);
    char want[300];
    snprintf(want, sizeof want,
             "diffusion train: %s\ndiffusion train: ", dm_status_message(DM_ERROR_OUT_OF_MEMORY));
    ck_assert_msg(!strncmp(got, want, strlen(want)), "%s", got);
    ck_assert_ptr_nonnull(strstr(got, "'size'"));
    free(got);
    dm_context_destroy(context);
}
END_TEST

/* An option without effect says what it needs. */
START_TEST(options_without_effect) {
    static const char *const cases[][2] = {
        {"--p2-k 1", "--p2-k has no effect without --loss-weight p2"},
        {"--p2-k 1 --loss-weight p2", NULL},
        {"--huber-delta 1", "--huber-delta has no effect without --loss pseudo_huber"},
        {"--sigma-max 3", "--sigma-max has no effect without --schedule edm"},
        {"--sigma-max 3 --schedule edm", NULL},
        {"--lr-steps 3", "--lr-steps has no effect without --lr-schedule"},
        {"--label-dropout 0.5 --no-labels", "--label-dropout has no effect without classes"},
        {"--label-dropout 0.5", "--label-dropout has no effect without data with classes"},
        {"--label-dropout 0 --no-labels", NULL},
    };
    static given_line g;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        apply(&g, cases[i][0], 0);
        capture err = capture_begin(stderr);
        const int got = check_train_members(&g.line, &train_values);
        char *message = capture_end(&err);
        ck_assert_int_eq(got, cases[i][1] != NULL);
        ck_assert_msg(!cases[i][1] || strstr(message, cases[i][1]), "%s", message);
        free(message);
    }
}
END_TEST

Suite *test_members_suite(void);
Suite *test_members_suite(void) {
    Suite *suite = suite_create("members");
    TCase *tests = tcase_create("members");
    tcase_add_test(tests, values);
    tcase_add_test(tests, levels);
    tcase_add_loop_test(tests, refused_values, 0, (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(tests, messages);
    tcase_add_test(tests, statuses);
    tcase_add_test(tests, options_without_effect);
    suite_add_tcase(suite, tests);
    return suite;
}
