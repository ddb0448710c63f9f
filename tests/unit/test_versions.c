/* SPDX-License-Identifier: MIT */
/* Files of every released version load, and give what they gave then: tests/versions. */
#include <dirent.h>
#include <math.h>

#include "support/support.h"
#include "versions/version_files.h"

static const char folder[] = "tests/versions";

/* The n-th folder of a version, in the order of names; false: there are fewer. */
static bool version_at(int n, char path[256]) {
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort), found = 0;
    path[0] = 0;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] >= '0' && entries[i]->d_name[0] <= '9' && found++ == n)
            snprintf(path, 256, "%.20s/%.200s", folder, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
    return path[0] != 0;
}

static const char *file_of(const char *version, const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", version, name);
    return path;
}

static void require(const dm_context *context, dm_status status, const char *version) {
    ck_assert_msg(!status, "%s: %s: %s", version, dm_status_name(status),
                  dm_context_error(context));
}

/* Bits differ between processors, by rounding; the tolerance is some hundred roundings. */
static void check_near(double got, double want, const char *version) {
    ck_assert_msg(fabs(got - want) <= 2e-5 * fmax(fabs(want), 1), "%s: %.9g, not %.9g", version,
                  got, want);
}

static void read_expected(const char *version, double expected[5]) {
    FILE *file = fopen(file_of(version, "expected.txt"), "r");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 5; i++) ck_assert_int_eq(fscanf(file, "%lf", &expected[i]), 1);
    fclose(file);
}

static void check_network(dm_context *context, const char *version, const double *expected) {
    dm_unet *unet;
    dm_schedule *schedule;
    float first[4];
    const char *path = file_of(version, "network.safetensors");
    require(context, dm_unet_load(&unet, context, path, DM_WEIGHTS_DEFAULT), version);
    require(context, dm_schedule_load(&schedule, context, path), version);
    ck_assert_int_eq(dm_schedule_timesteps(schedule), 400);
    require(context, version_forward(unet, first), version);
    for (int i = 0; i < 4; i++) check_near((double)first[i], expected[i], version);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
}

static void check_checkpoint(dm_context *context, const char *version, double loss) {
    dm_unet *unet, *ema;
    dm_dataset *dataset;
    dm_trainer *trainer;
    dm_train_stats stats;
    uint64_t step = 0;
    const char *path = file_of(version, "checkpoint.safetensors");
    require(context, dm_unet_load(&unet, context, path, DM_WEIGHTS_TRAINED), version);
    require(context, dm_unet_load(&ema, context, path, DM_WEIGHTS_EMA + 2), version);
    require(context, version_dataset(&dataset, context), version);
    require(context, dm_trainer_resume(&trainer, unet, dataset, path), version);
    require(context, dm_trainer_get_step(trainer, &step), version);
    ck_assert_uint_eq(step, VERSION_STEPS);
    ck_assert_int_eq(dm_train_stats_init(&stats, sizeof stats), DM_OK);
    require(context, dm_trainer_step(trainer, &stats), version);
    check_near(stats.loss, loss, version);
    dm_trainer_destroy(trainer);
    dm_dataset_destroy(dataset);
    dm_unet_destroy(ema);
    dm_unet_destroy(unet);
}

START_TEST(files_of_every_version_load) {
    char version[256];
    int count = 0;
    dm_context *context;
    ck_assert_int_eq(dm_context_create(&context, NULL, NULL, 0), DM_OK);
    for (; version_at(count, version); count++) {
        double expected[5];
        read_expected(version, expected);
        check_network(context, version, expected);
        check_checkpoint(context, version, expected[4]);
    }
    ck_assert_int_ge(count, 1);
    dm_context_destroy(context);
}
END_TEST

Suite *test_versions_suite(void);
Suite *test_versions_suite(void) {
    Suite *suite = suite_create("versions");
    TCase *tests = tcase_create("versions");
    tcase_add_test(tests, files_of_every_version_load);
    suite_add_tcase(suite, tests);
    return suite;
}
