/* SPDX-License-Identifier: MIT */
/* Checkpoints whose contents contradict one another, and those of runs without a dataset. */
#include "core/context.h"
#include "core/metadata.h"
#include "dataset/dataset.h"
#include "diffusion/schedule.h"
#include "support/training.h"
#include "train/options.h"
#include "train/trainer.h"

static char *folder;
static const char *path;
static training t;

static void begin(const training_setup *setup) {
    folder = test_folder_new();
    path = test_path(folder, "file");
    training_begin(&t, setup);
}

static void end(void) {
    training_end(&t);
    free(folder);
}

/* Saves the trainer and ends it; then the file cannot be resumed. */
static void refuse(int32_t want, const char *words) {
    dm_trainer_destroy(t.trainer);
    training_expect(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, path), want, words);
    ck_assert_ptr_null(t.trainer);
}

START_TEST(numbers_that_contradict) {
    const training_setup setup = training_default();
    begin(&setup);
    t.trainer->progress.steps = UINT64_C(1) << 60;
    t.trainer->progress.images = UINT64_C(1) << 62;
    training_require(&t, dm_trainer_save(t.trainer, path));
    refuse(DM_ERROR_BAD_FORMAT, "1152921504606846976 steps|contradict");
    end();
}
END_TEST

START_TEST(options_that_contradict_the_network) {
    const training_setup setup = training_default();
    begin(&setup);
    t.trainer->options.crop_padding = TRAINING_SIDE;
    training_require(&t, dm_trainer_save(t.trainer, path));
    refuse(DM_ERROR_BAD_FORMAT, "file: |'crop_padding' 8|images of 8 x 8");
    end();
}
END_TEST

/* Height and width each limit the padding. */
START_TEST(padding_of_images_that_are_not_square) {
    dmi_host host = {0};
    dm_unet_options network;
    dm_trainer_options o;
    ck_assert_int_eq(dm_unet_options_init(&network, sizeof network), DM_OK);
    ck_assert_int_eq(dm_trainer_options_init(&o, sizeof o), DM_OK);
    const dm_schedule *schedule;
    training_setup setup = training_default();
    begin(&setup);
    schedule = t.schedule;
    o.crop_padding = 4;
    network.height = 8, network.width = 4;
    ck_assert_int_eq(dmi_trainer_check_model(&host, &network, schedule, &o),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(host.error, "images of 8 x 4"));
    network.height = 4, network.width = 8;
    ck_assert_int_eq(dmi_trainer_check_model(&host, &network, schedule, &o),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(host.error, "images of 4 x 8"));
    network.height = 8;
    ck_assert_int_eq(dmi_trainer_check_model(&host, &network, schedule, &o), DM_OK);
    end();
}
END_TEST

/* A run that had no dataset may continue with one. */
START_TEST(runs_without_a_dataset) {
    training_setup setup = training_default();
    setup.dataset = false;
    begin(&setup);
    training_require(&t, dm_trainer_save(t.trainer, path));
    training_end(&t);
    setup.dataset = true;
    training_prepare(&t, &setup);
    training_require(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, path));
    ck_assert_uint_eq(training_steps(t.trainer), 0);
    end();
}
END_TEST

/* Datasets of callbacks may have no fingerprint; then nothing is compared. */
START_TEST(datasets_without_a_fingerprint) {
    const training_setup setup = training_default();
    begin(&setup);
    const uint64_t fingerprint = t.dataset->fingerprint;
    for (int i = 0; i < 2; i++) {
        t.dataset->fingerprint = i ? fingerprint : 0;
        training_require(&t, dm_trainer_save(t.trainer, path));
        dm_trainer_destroy(t.trainer);
        t.dataset->fingerprint = i ? 0 : fingerprint;
        training_require(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, path));
    }
    end();
}
END_TEST

/* A change of the header that keeps its length. */
static void change(const char *from, const char *to) {
    size_t size;
    uint8_t *bytes = training_read_file(path, &size);
    test_drop_checksums(bytes, size);
    uint8_t *at = memmem(bytes, size, from, strlen(from));
    ck_assert_msg(at && strlen(from) == strlen(to), "%s", from);
    memcpy(at, to, strlen(to));
    training_write_file(path, bytes, size);
    free(bytes);
}

/* The recorded losses have ten for each timestep, of type F32. */
START_TEST(losses_of_another_shape) {
    static const char *const shapes[][2] = {
        {"\"timesteps.losses\":{\"dtype\":\"F32\"", "\"timesteps.losses\":{\"dtype\":\"I32\""},
        {"[1000,10]", "[10,1000]"},
        {"[1000,10]", "[10000  ]"},
    };
    training_setup setup = training_default();
    setup.options.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        begin(&setup);
        training_require(&t, dm_trainer_save(t.trainer, path));
        change(shapes[i][0], shapes[i][1]);
        refuse(DM_ERROR_SHAPE_MISMATCH, "'timesteps.losses' must be of type F32|1000 timesteps");
        end();
    }
}
END_TEST

/* The betas of a custom schedule are written whole or not at all, whatever memory is left. */
START_TEST(custom_schedules_in_little_memory) {
    enum { COUNT = 50 };
    double betas[COUNT];
    dm_context *context = test_context_new(NULL, 0);
    dmi_host *host = &context->host;
    dm_schedule *schedule;
    for (int i = 0; i < COUNT; i++) betas[i] = (i + 1) / 100.0;
    ck_assert_int_eq(dm_schedule_create_from_betas(&schedule, context, betas, COUNT), DM_OK);
    const uint64_t used = host->used;
    int32_t status = DM_ERROR_LIMIT_EXCEEDED;
    int refused = 0;
    for (uint64_t more = 0; status; more += 64) {
        dmi_safetensors_writer *writer;
        host->limit = 0;
        ck_assert_int_eq(dmi_safetensors_begin(host, &writer), DM_OK);
        host->limit = host->used + more;
        status = dmi_schedule_write(host, writer, schedule);
        ck_assert(status == DM_OK || status == DM_ERROR_LIMIT_EXCEEDED);
        refused += status != DM_OK;
        dmi_safetensors_free(host, writer);
        ck_assert_uint_eq(host->used, used);
        ck_assert_uint_lt(more, 1 << 20);
    }
    ck_assert_int_gt(refused, 10);
    host->limit = 0;
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
}
END_TEST

Suite *test_checkpoint_edges_suite(void);
Suite *test_checkpoint_edges_suite(void) {
    Suite *suite = suite_create("checkpoint_edges");
    TCase *tests = tcase_create("checkpoint_edges");
    tcase_add_test(tests, numbers_that_contradict);
    tcase_add_test(tests, options_that_contradict_the_network);
    tcase_add_test(tests, padding_of_images_that_are_not_square);
    tcase_add_test(tests, runs_without_a_dataset);
    tcase_add_test(tests, datasets_without_a_fingerprint);
    tcase_add_test(tests, losses_of_another_shape);
    tcase_add_test(tests, custom_schedules_in_little_memory);
    suite_add_tcase(suite, tests);
    return suite;
}
