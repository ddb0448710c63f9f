/* SPDX-License-Identifier: MIT */
/* The memory that the library reports is what the process uses: peak resident memory grows by the
 * context's own value, most of which is one plan. Measured in a process of its own, which returns
 * its values through a pipe. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/network.h"
#include "support/support.h"
#include "train/trainer.h"

/* Within a tenth: stacks, code that is read in and what BLAS keeps (some 2 MB for each thread that
 * multiplies) come on top; what is planned and never written would be missing. Plans are above 100
 * MB so that neither hides in the other. */
#define BOUND 0.10
#define PLAN_MIN 100000000

enum { SIDE = 48, TRAIN_BATCH = 16, FORWARD_BATCH = 48 };

typedef struct sizes {
    int32_t status;
    char text[128];
    uint64_t plan, used, peak; /* as the library reports */
    uint64_t grown;            /* resident memory, at its peak */
} sizes;

static uint64_t peak_resident(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

/* Wide maps and few channels: much memory for little work. */
static int32_t make_unet(dm_unet **unet, dm_context *context) {
    dm_unet_options o;
    dm_unet_options_init(&o, sizeof o);
    o.height = o.width = SIDE;
    o.levels = 2;
    o.norm_groups = 8;
    for (int32_t i = 0; i < DM_LEVELS_MAX; i++) {
        o.channels[i] = i < 2 ? 32 << i : 0;
        o.blocks[i] = i < 2;
        o.attention[i] = 0;
    }
    return dm_unet_create(unet, context, &o, 1);
}

/* Two steps of a trainer with all that it may keep. */
static int32_t run_trainer(dm_context *context, dm_unet *unet, uint64_t *plan) {
    dm_schedule *schedule = NULL;
    dm_dataset *dataset = NULL;
    dm_trainer *trainer = NULL;
    dm_trainer_options o;
    dm_trainer_options_init(&o, sizeof o);
    o.batch_size = TRAIN_BATCH;
    int32_t status = dm_schedule_create(&schedule, context, NULL);
    if (!status) status = dm_dataset_create_shapes(&dataset, context, SIDE, 100, 1);
    if (!status) status = dm_trainer_create(&trainer, unet, schedule, dataset, &o);
    if (!status) status = dm_trainer_run(trainer, 2, NULL, NULL);
    if (!status) *plan = trainer->train.graph->arena_floats * sizeof(float);
    return status;
}

static int32_t run_forward(dm_context *context, dm_unet *unet, uint64_t *plan) {
    static float x[FORWARD_BATCH * SIDE * SIDE * 3], timesteps[FORWARD_BATCH];
    int32_t status = DM_OK;
    (void)context;
    for (int32_t i = 0; i < 2 && !status; i++)
        status = network_forward(unet, x, x, timesteps, NULL, FORWARD_BATCH);
    if (!status) *plan = unet->forward.graph->arena_floats * sizeof(float);
    return status;
}

static int32_t (*const runs[])(dm_context *context, dm_unet *unet, uint64_t *plan) = {run_trainer,
                                                                                      run_forward};

/* The objects are left to the process's end. */
static sizes measure(int run, int32_t threads) {
    sizes f = {0};
    const uint64_t before = peak_resident();
    dm_context *context = NULL;
    dm_unet *unet = NULL;
    dm_context_options o;
    dm_context_options_init(&o, sizeof o);
    o.threads = threads;
    f.status = dm_context_create(&context, &o, NULL, 0);
    if (!f.status) f.status = make_unet(&unet, context);
    if (!f.status) f.status = runs[run](context, unet, &f.plan);
    f.grown = peak_resident() - before;
    snprintf(f.text, sizeof f.text, "%s", dm_context_error(context));
    dm_context_get_memory(context, &f.used, &f.peak, NULL);
    return f;
}

START_TEST(resident_memory_is_what_the_library_reports) {
    sizes f = {0};
    int ends[2], state;
    ck_assert_int_eq(pipe(ends), 0);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        f = measure(_i / 2, 1 + _i % 2 * 2);
        _exit(write(ends[1], &f, sizeof f) == sizeof f ? 0 : 1);
    }
    close(ends[1]);
    const ssize_t got = read(ends[0], &f, sizeof f);
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &state, 0), child);
    ck_assert_msg(got == sizeof f && WIFEXITED(state) && WEXITSTATUS(state) == 0,
                  "the measuring process ended with %d", state);
    ck_assert_msg(f.status == DM_OK, "%s: %s", dm_status_name(f.status), f.text);
    ck_assert_uint_ge(f.plan, PLAN_MIN);
    const double ratio = (double)f.grown / (double)f.used;
    ck_assert_msg(fabs(ratio - 1) <= BOUND,
                  "%.1f MB are used, %.1f of them by the plan; the process grew by %.1f MB",
                  (double)f.used * 1e-6, (double)f.plan * 1e-6, (double)f.grown * 1e-6);
    /* Nor is the peak before it higher. */
    ck_assert_msg((double)f.peak <= (1 + BOUND) * (double)f.used,
                  "the peak is %.1f MB, %.1f MB are used in the end", (double)f.peak * 1e-6,
                  (double)f.used * 1e-6);
}
END_TEST

Suite *test_plan_size_suite(void);
Suite *test_plan_size_suite(void) {
    Suite *suite = suite_create("plan_size");
    TCase *tcase = tcase_create("plan_size");
    tcase_set_timeout(tcase, 60);
    tcase_set_tags(
        tcase,
        "slow"); /* and without meaning under a memory checker, which keeps memory of its own */
    tcase_add_loop_test(tcase, resident_memory_is_what_the_library_reports, 0, 4);
    suite_add_tcase(suite, tcase);
    return suite;
}
