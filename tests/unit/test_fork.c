/* SPDX-License-Identifier: MIT */
/* A child process without the threads of its parent's context: it uses and destroys its copies. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/training.h"

/* Ends the child with status 0 if `weights` are what training gave; a hang ends it by SIGALRM. */
static void run_child(training *t, const float *weights) {
    signal(SIGALRM, SIG_DFL);
    alarm(20);
    dm_status status = dm_trainer_run(t->trainer, 4, NULL, NULL);
    const bool same = training_unchanged(t, weights);
    dm_trainer_destroy(t->trainer);
    dm_dataset_destroy(t->dataset);
    dm_unet_destroy(t->unet);
    dm_schedule_destroy(t->schedule);
    dm_context_destroy(t->context);
    _exit(status ? 1 : !same ? 2 : 0);
}

static void check_child(pid_t child) {
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(!WIFSIGNALED(status), "the child ended by signal %d", WTERMSIG(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}

START_TEST(children_go_on_alone) {
    training whole, t;
    training_setup setup = training_default();
    setup.threads = 3;
    training_begin(&whole, &setup);
    training_require(&whole, dm_trainer_run(whole.trainer, 4, NULL, NULL));
    float *weights = training_weights(&whole);
    training_end(&whole);

    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    for (int i = 0; i < 3; i++) {
        if (i == 1) usleep(2000); /* the threads spin, then sleep */
        const pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) run_child(&t, weights);
        check_child(child);
    }
    training_require(&t, dm_trainer_run(t.trainer, 4, NULL, NULL));
    ck_assert(training_unchanged(&t, weights));
    free(weights);
    training_end(&t);
}
END_TEST

Suite *test_fork_suite(void);
Suite *test_fork_suite(void) {
    Suite *suite = suite_create("fork");
    TCase *tests = tcase_create("fork");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, children_go_on_alone);
    suite_add_tcase(suite, tests);
    return suite;
}
