/* SPDX-License-Identifier: MIT */
/* Files of schedules: what is written comes back, and bad files are refused. */
#include "core/context.h"
#include "core/metadata.h"
#include "diffusion.h"
#include "diffusion/schedule.h"
#include "support/sampling.h"
#include "support/schedule.h"

static void save(const dm_schedule *made, const char *path) {
    dmi_safetensors_writer *writer;
    ck_assert_int_eq(dmi_safetensors_begin(&context->host, &writer), DM_OK);
    ck_assert_int_eq(dmi_format_write(&context->host, writer, dmi_format_unet, 1), DM_OK);
    if (made) ck_assert_int_eq(dmi_schedule_write(&context->host, writer, made), DM_OK);
    ck_assert_msg(dmi_safetensors_write(&context->host, writer, path) == DM_OK, "%s",
                  dm_context_error(context));
    dmi_safetensors_free(&context->host, writer);
}

static void check_reload(dm_schedule *made, const char *path) {
    save(made, path);
    dm_schedule *loaded;
    ck_assert_msg(dm_schedule_load(&loaded, context, path) == DM_OK, "%s",
                  dm_context_error(context));
    ck_assert_int_eq(loaded->steps, made->steps);
    ck_assert_int_eq(loaded->options.kind, made->options.kind);
    ck_assert_mem_eq(loaded->beta, made->beta, (size_t)made->steps * sizeof(double));
    ck_assert_mem_eq(loaded->alpha_cumprod, made->alpha_cumprod,
                     (size_t)made->steps * sizeof(double));
    dm_schedule_destroy(loaded);
    dm_schedule_destroy(made);
}

START_TEST(files) {
    char path[128];
    snprintf(path, sizeof path, "%s/schedule.safetensors", test_folder());
    check_reload(test_schedule(context, DM_SCHEDULE_LINEAR, 1000), path);
    check_reload(test_schedule(context, DM_SCHEDULE_COSINE, 77), path);
    const double betas[] = {0.1, 1.0 / 3, 1e-300, 0.99999999999999989};
    dm_schedule *made;
    ck_assert_int_eq(dm_schedule_create_from_betas(&made, context, betas, 4), DM_OK);
    check_reload(made, path);
}
END_TEST

START_TEST(files_refused) {
    char path[128];
    snprintf(path, sizeof path, "%s/bad.safetensors", test_folder());
    dm_schedule *made = NULL;
    ck_assert_int_eq(dm_schedule_load(&made, context, "build/tmp/not-there"), DM_ERROR_NOT_FOUND);
    save(NULL, path);
    ck_assert_int_eq(dm_schedule_load(&made, context, path), DM_ERROR_NOT_FOUND);
    static const char *const whole[][2] = {{"schedule.timesteps", "10"},
                                           {"schedule.beta_start", "0.1"},
                                           {"schedule.beta_end", "0.2"}};
    static const char *const bad[][6] = {
        {"schedule.kind", "7"},
        {"schedule.kind", "zero"},
        {"schedule.kind", "0", "schedule.timesteps", "0"},
        {"schedule.kind", "0", "schedule.beta_start", "2"},
        {"schedule.kind", "6", "schedule.timesteps", "2"},
        {"schedule.kind", "6", "schedule.timesteps", "2147483647", "schedule.betas", "[0.5]"},
        {"schedule.kind", "6", "schedule.timesteps", "2", "schedule.betas", "[0.5]"},
        {"schedule.kind", "6", "schedule.timesteps", "2", "schedule.betas", "[0.5,0.5,0.5]"},
        {"schedule.kind", "6", "schedule.timesteps", "2", "schedule.betas", "[0.5,1.5]"},
        {"schedule.kind", "6", "schedule.timesteps", "2", "schedule.betas", "[0.5,nan]"},
        {"schedule.kind", "6", "schedule.timesteps", "2", "schedule.betas", "[0.5,0.5"},
        {"schedule.kind", "6", "schedule.timesteps", "2", "schedule.betas", "[0.5,0.5]x"},
        {"schedule.kind", "6", "schedule.timesteps", "2", "schedule.betas", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dmi_safetensors_writer *writer;
        ck_assert_int_eq(dmi_safetensors_begin(&context->host, &writer), DM_OK);
        ck_assert_int_eq(dmi_format_write(&context->host, writer, dmi_format_unet, 1), DM_OK);
        for (int k = 0; k < 6 && bad[i][k]; k += 2)
            ck_assert_int_eq(dmi_safetensors_add_metadata(&context->host, writer, bad[i][k],
                                                          bad[i][k + 1]),
                             DM_OK);
        for (size_t k = 0; k < sizeof whole / sizeof whole[0];
             k++) { /* nothing is missing but what the case changes */
            bool given = false;
            for (int n = 0; n < 6 && bad[i][n]; n += 2)
                given = given || strcmp(bad[i][n], whole[k][0]) == 0;
            if (given) continue;
            ck_assert_int_eq(dmi_safetensors_add_metadata(&context->host, writer, whole[k][0],
                                                          whole[k][1]),
                             DM_OK);
        }
        ck_assert_int_eq(dmi_safetensors_write(&context->host, writer, path), DM_OK);
        dmi_safetensors_free(&context->host, writer);
        int32_t status = dm_schedule_load(&made, context, path);
        ck_assert_msg(status == DM_ERROR_BAD_FORMAT, "case %zu: %d %s", i, (int)status,
                      dm_context_error(context));
        ck_assert_ptr_null(made);
        ck_assert_ptr_nonnull(strstr(dm_context_error(context), "bad.safetensors"));
    }
}
END_TEST

/* A file of a later version may mean something else by the same words. */
START_TEST(files_of_later_versions) {
    char path[128];
    snprintf(path, sizeof path, "%s/later.safetensors", test_folder());
    dm_schedule *made = test_schedule(context, DM_SCHEDULE_LINEAR, 10), *loaded;
    for (int version = 0; version < 2; version++) {
        dmi_safetensors_writer *writer;
        ck_assert_int_eq(dmi_safetensors_begin(&context->host, &writer), DM_OK);
        if (version) {
            ck_assert_int_eq(dmi_safetensors_add_metadata(&context->host, writer, "format",
                                                          dmi_format_unet),
                             DM_OK);
            ck_assert_int_eq(dmi_safetensors_add_metadata(&context->host, writer, "format_version",
                                                          "3"),
                             DM_OK);
        }
        ck_assert_int_eq(dmi_schedule_write(&context->host, writer, made), DM_OK);
        ck_assert_int_eq(dmi_safetensors_write(&context->host, writer, path), DM_OK);
        dmi_safetensors_free(&context->host, writer);
        ck_assert_int_eq(dm_schedule_load(&loaded, context, path),
                         version ? DM_ERROR_UNSUPPORTED_VERSION : DM_ERROR_BAD_FORMAT);
        ck_assert_ptr_null(loaded);
    }
    dm_schedule_destroy(made);
}
END_TEST

Suite *test_schedule_file_suite(void);

Suite *test_schedule_file_suite(void) {
    Suite *suite = suite_create("schedule_file");
    TCase *tcase = tcase_create("schedule_file");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_add_test(tcase, files);
    tcase_add_test(tcase, files_refused);
    tcase_add_test(tcase, files_of_later_versions);
    suite_add_tcase(suite, tcase);
    return suite;
}
