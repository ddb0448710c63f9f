/* SPDX-License-Identifier: MIT */
/* The noise levels of training: each distribution against its formula (bounds are
 * four standard errors), and runs whose timesteps are sampled by their losses, which continue bit
 * for bit. */
#include "base/random.h"
#include "diffusion/loss_weight.h"
#include "support/training.h"
#include "train/trainer.h"

enum { T = 20, DRAWS = 20000 };

static dm_context *context;
static dm_schedule *schedule;
static dmi_timesteps timesteps;

static void begin(int32_t kind, int32_t sampling, double flow_shift, double mean,
                  double deviation) {
    dm_schedule_options o;
    ck_assert_int_eq(dm_context_create(&context, NULL, NULL, 0), DM_OK);
    ck_assert_int_eq(dm_schedule_options_init(&o, sizeof o), DM_OK);
    o.kind = kind;
    o.timesteps = T;
    o.flow_shift = flow_shift;
    ck_assert_int_eq(dm_schedule_create(&schedule, context, &o), DM_OK);
    timesteps = (dmi_timesteps){.context = context,
                                .schedule = schedule,
                                .sampling = sampling,
                                .seed = 9,
                                .mean = mean,
                                .deviation = deviation};
    ck_assert_int_eq(dmi_timesteps_create(&timesteps), DM_OK);
    dmi_timesteps_begin(&timesteps);
}

static void end(void) {
    dmi_timesteps_destroy(&timesteps);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
}

/* Of `DRAWS` values: mean and standard deviation, which must be as given. */
static void check_normal(const double *values, double mean, double deviation) {
    double sum = 0, squares = 0;
    for (int32_t i = 0; i < DRAWS; i++) sum += values[i];
    for (int32_t i = 0; i < DRAWS; i++) squares += pow(values[i] - sum / DRAWS, 2);
    ck_assert_double_eq_tol(sum / DRAWS, mean, 4 * deviation / sqrt(DRAWS));
    ck_assert_double_eq_tol(sqrt(squares / DRAWS), deviation, 4 * deviation / sqrt(2.0 * DRAWS));
    int32_t within = 0; /* one deviation: 0.6827 */
    for (int32_t i = 0; i < DRAWS; i++) within += fabs(values[i] - mean) < deviation;
    ck_assert_double_eq_tol((double)within / DRAWS, 0.682689, 4 * sqrt(0.6827 * 0.3173 / DRAWS));
}

/* ---- uniform ---- */

/* The numbers of runs before there was a choice. */
START_TEST(uniform_timesteps_are_addressed) {
    begin(DM_SCHEDULE_LINEAR, DM_TIMESTEPS_UNIFORM, 1, 0, 1);
    for (uint64_t position = 0; position < 1000; position++) {
        dmi_random at = dmi_random_at(9, DMI_STREAM_TIMESTEP, position);
        dmi_noise_level sampled = dmi_timesteps_draw(&timesteps, position);
        ck_assert_int_eq(sampled.timestep, (int32_t)dmi_random_below(&at, 0, T));
        ck_assert(sampled.weight == 1 && sampled.level.time == sampled.timestep);
    }
    end();
}
END_TEST

/* ---- levels that are no timesteps ---- */

static const double shifts[] = {1, 3};

START_TEST(logit_normal_levels) {
    static double logits[DRAWS];
    double shift = shifts[_i];
    begin(DM_SCHEDULE_FLOW, DM_TIMESTEPS_LOGIT_NORMAL, shift, -0.4, 1.3);
    for (uint64_t i = 0; i < DRAWS; i++) {
        dmi_noise_level sampled = dmi_timesteps_draw(&timesteps, i);
        double s = sampled.level.noise, u = s / (shift - (shift - 1) * s); /* the shift, undone */
        ck_assert(s > 0 && s < 1 && sampled.timestep == DMI_TIMESTEP_NONE && sampled.weight == 1);
        ck_assert_double_eq_tol(sampled.level.signal, 1 - s, 1e-15);
        ck_assert_double_eq_tol(sampled.level.time, s * T, 1e-12);
        logits[i] = log(u / (1 - u));
    }
    check_normal(logits, -0.4, 1.3);
    end();
}
END_TEST

START_TEST(log_normal_sigmas) {
    static double logarithms[DRAWS];
    begin(DM_SCHEDULE_EDM, DM_TIMESTEPS_LOG_NORMAL, 1, -1.2, 1.2);
    for (uint64_t i = 0; i < DRAWS; i++) {
        dmi_noise_level sampled = dmi_timesteps_draw(&timesteps, i);
        ck_assert(sampled.level.signal == 1 && sampled.timestep == DMI_TIMESTEP_NONE &&
                  sampled.weight == 1);
        logarithms[i] = log(sampled.level.noise);
        ck_assert_double_eq_tol(sampled.level.time, logarithms[i] / 4, 1e-12);
    }
    check_normal(logarithms, -1.2, 1.2);
    end();
}
END_TEST

/* ---- by the losses ---- */

/* Losses of all sizes: the more noise, the smaller, as it is in training. Timestep 3 has none at
 * all. */
static double loss_of(int32_t t, int32_t time) {
    float unit;
    test_fill(&unit, 1, (uint64_t)(t * 100 + time), 1);
    return t == 3 ? 0 : (1.2 + (double)unit) / (1 + t);
}

/* `times` losses of each timestep, of which the last ten count; true sizes of those in sizes
 * [T]. */
static void note_all(int32_t times, double *sizes) {
    for (int32_t time = 0; time < times; time++)
        for (int32_t t = 0; t < T; t++) dmi_timesteps_record(&timesteps, t, loss_of(t, time));
    for (int32_t t = 0; sizes && t < T; t++) {
        sizes[t] = 0;
        for (int32_t time = times - 10; time < times; time++)
            sizes[t] += pow((float)loss_of(t, time), 2) / 10;
        sizes[t] = sqrt(sizes[t]);
    }
    dmi_timesteps_begin(&timesteps);
}

/* improved-diffusion's weights, as a loop. */
START_TEST(shares_follow_the_losses) {
    double sizes[T], all = 0, sum = 0;
    begin(DM_SCHEDULE_LINEAR, DM_TIMESTEPS_LOSS_AWARE, 1, 0, 1);
    note_all(17, sizes);
    ck_assert(timesteps.warm);
    for (int32_t t = 0; t < T; t++) all += sizes[t];
    for (int32_t t = 0; t < T; t++) {
        ck_assert_double_eq_tol(timesteps.probabilities[t], 0.999 * sizes[t] / all + 0.001 / T,
                                1e-12);
        sum += timesteps.probabilities[t];
    }
    ck_assert_double_eq_tol(sum, 1, 1e-12);
    end();
}
END_TEST

START_TEST(uniform_until_all_have_ten) {
    begin(DM_SCHEDULE_LINEAR, DM_TIMESTEPS_LOSS_AWARE, 1, 0, 1);
    note_all(9, NULL);
    for (int32_t t = 0; t < T - 1; t++) dmi_timesteps_record(&timesteps, t, 1);
    dmi_timesteps_begin(&timesteps);
    ck_assert(!timesteps.warm);
    dmi_random at = dmi_random_at(9, DMI_STREAM_TIMESTEP, 77);
    ck_assert_int_eq(dmi_timesteps_draw(&timesteps, 77).timestep,
                     (int32_t)dmi_random_below(&at, 0, T));
    dmi_timesteps_record(&timesteps, T - 1, 1);
    dmi_timesteps_begin(&timesteps);
    ck_assert(timesteps.warm);
    end();
    begin(DM_SCHEDULE_LINEAR, DM_TIMESTEPS_LOSS_AWARE, 1, 0, 1); /* losses of 0 make no shares */
    for (int32_t i = 0; i < 10 * T; i++) dmi_timesteps_record(&timesteps, i % T, 0);
    dmi_timesteps_begin(&timesteps);
    ck_assert(!timesteps.warm);
    end();
}
END_TEST

/* Timesteps come as often as their shares say, and the weighted mean of anything is that over
 * uniform timesteps. */
START_TEST(sampling_follows_the_losses_and_is_unbiased) {
    int32_t seen[T] = {0};
    double sum = 0, squares = 0, want = 0;
    begin(DM_SCHEDULE_LINEAR, DM_TIMESTEPS_LOSS_AWARE, 1, 0, 1);
    note_all(10, NULL);
    for (uint64_t i = 0; i < DRAWS; i++) {
        dmi_noise_level sampled = dmi_timesteps_draw(&timesteps, i);
        double value = sampled.weight * loss_of(sampled.timestep, 3);
        ck_assert_double_eq_tol(sampled.weight * timesteps.probabilities[sampled.timestep] * T, 1,
                                1e-12);
        seen[sampled.timestep]++;
        sum += value, squares += value * value;
    }
    for (int32_t t = 0; t < T; t++) {
        double share = timesteps.probabilities[t];
        ck_assert_double_eq_tol((double)seen[t] / DRAWS, share,
                                4 * sqrt(share * (1 - share) / DRAWS));
        want += loss_of(t, 3) / T;
    }
    double mean = sum / DRAWS;
    ck_assert_double_eq_tol(mean, want, 4 * sqrt((squares / DRAWS - mean * mean) / DRAWS));
    ck_assert_int_eq(dmi_timesteps_given(&timesteps, 5).timestep, 5);
    ck_assert(dmi_timesteps_given(&timesteps, 5).weight == 1);
    end();
}
END_TEST

/* ---- in a run ---- */

static training_setup loss_aware(void) {
    training_setup setup = training_default();
    setup.schedule.timesteps = 5;
    setup.schedule.beta_end = 0.6;
    setup.options.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
    setup.options.loss_weight = DM_LOSS_WEIGHT_BOUND;
    setup.options.accumulation = 2;
    return setup;
}

/* The losses that a step leaves are those of its images, in order: a mean square by its weight,
 * without importance. */
START_TEST(losses_are_those_of_the_images) {
    training t;
    training_given given;
    training_setup setup = loss_aware();
    setup.dataset = false;
    setup.options.accumulation = 1;
    training_begin(&t, &setup);
    training_give(&given, 4);
    const int32_t at[] = {2, 0, 2, 4};
    memcpy(given.timesteps, at, sizeof at);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    const float counts[] = {1, 0, 2, 0, 1};
    ck_assert_mem_eq(t.trainer->timesteps.counts, counts, sizeof counts);
    for (int32_t i = 0; i < 4; i++) {
        double squares = 0, weight = dmi_loss_weight(&setup.options, t.schedule,
                                                     dmi_schedule_level(t.schedule, at[i]), at[i],
                                                     DM_PREDICT_EPS);
        for (int32_t k = 0; k < TRAINING_ELEMENTS; k++)
            squares += pow(given.noise[i * TRAINING_ELEMENTS + k], 2);
        float got = t.trainer->timesteps.losses[at[i] * DMI_RECORDED_LOSSES + (i == 2)];
        ck_assert_double_eq_tol(got / (weight * squares / TRAINING_ELEMENTS), 1,
                                1e-4); /* the output is practically nothing */
    }
    given.images[0] = NAN; /* a skipped step records none */
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL), DM_ERROR_NOT_FINITE,
                    "skipped");
    ck_assert_mem_eq(t.trainer->timesteps.counts, counts, sizeof counts);
    training_end(&t);
}
END_TEST

/* 40 steps at once on one thread; and 20, when the losses count already, saved and resumed, on two
 * and three threads. */
START_TEST(resumed_runs_are_the_same_bits) {
    char *folder = test_folder_new();
    const char *whole = test_path(folder, "whole"), *half = test_path(folder, "half"),
               *resumed = test_path(folder, "resumed");
    training t;
    training_setup setup = loss_aware();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 40, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, whole));
    training_end(&t);
    setup.threads = 2;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 20, NULL, NULL));
    ck_assert(t.trainer->timesteps.warm);
    training_require(&t, dm_trainer_save(t.trainer, half));
    training_end(&t);
    setup.threads = 3;
    training_prepare(&t, &setup);
    training_require(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, half));
    training_require(&t, dm_trainer_run(t.trainer, 40, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, resumed));
    training_same_files(whole, resumed);
    training_end(&t);
    free(folder);
}
END_TEST

/* Values that the file's checks must find before they are used as indices and probabilities. */
static const struct {
    float count, loss;
    const char *words;
} damages[] = {{11, 1, "timestep 2 has 11 recorded losses"},
               {2.5f, 1, "2.5 recorded losses"},
               {-1, 1, "-1 recorded losses"},
               {(float)NAN, 1, "losses"},
               {3, -1, "loss of timestep 2 is -1"},
               {3, (float)INFINITY, "inf"}};

START_TEST(damaged_losses) {
    char *folder = test_folder_new();
    const char *path = test_path(folder, "file");
    training t;
    training_setup setup = loss_aware();
    training_begin(&t, &setup);
    t.trainer->timesteps.counts[2] = damages[_i].count;
    t.trainer->timesteps.losses[2 * DMI_RECORDED_LOSSES + 1] = damages[_i].loss;
    training_require(&t, dm_trainer_save(t.trainer, path));
    dm_trainer_destroy(t.trainer);
    training_expect(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, path), DM_ERROR_BAD_FORMAT,
                    damages[_i].words);
    ck_assert_ptr_null(t.trainer);
    training_end(&t);
    free(folder);
}
END_TEST

START_TEST(files_without_losses) {
    char *folder = test_folder_new();
    const char *path = test_path(folder, "file");
    training t;
    size_t size;
    training_setup setup = loss_aware();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_save(t.trainer, path));
    dm_trainer_destroy(t.trainer);
    uint8_t *bytes = training_read_file(path, &size),
            *name = memmem(bytes, size, "\"timesteps.counts", 17);
    ck_assert_ptr_nonnull(name);
    name[16] = 'S';
    training_write_file(path, bytes, size);
    training_expect(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, path), DM_ERROR_NOT_FOUND,
                    "timesteps.counts");
    ck_assert_ptr_null(t.trainer);
    training_end(&t);
    free(bytes);
    free(folder);
}
END_TEST

/* ---- what is refused ---- */

static const struct {
    int32_t kind, prediction, sampling;
    const char *words;
} refusals[] = {
    {DM_SCHEDULE_LINEAR, DM_PREDICT_EPS, DM_TIMESTEPS_LOG_NORMAL,
     "'timestep_sampling' 3 (log_normal)|'kind' 0"},
    {DM_SCHEDULE_LINEAR, DM_PREDICT_EPS, DM_TIMESTEPS_LOGIT_NORMAL,
     "'timestep_sampling' 2 (logit_normal)|'kind' 0"},
    {DM_SCHEDULE_FLOW, DM_PREDICT_FLOW, DM_TIMESTEPS_LOG_NORMAL,
     "'timestep_sampling' 3 (log_normal)|'kind' 4"},
    {DM_SCHEDULE_EDM, DM_PREDICT_EDM, DM_TIMESTEPS_LOGIT_NORMAL,
     "'timestep_sampling' 2 (logit_normal)|'kind' 5"},
};

START_TEST(options_that_cannot_be_combined) {
    training t;
    training_setup setup = training_default();
    setup.schedule.kind = refusals[_i].kind;
    setup.prediction = refusals[_i].prediction;
    setup.options.timestep_sampling = refusals[_i].sampling;
    training_prepare(&t, &setup);
    int32_t status = dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options);
    training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT, refusals[_i].words);
    training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT, "cannot be combined");
    training_end(&t);
}
END_TEST

Suite *test_timestep_sampling_suite(void);
Suite *test_timestep_sampling_suite(void) {
    Suite *suite = suite_create("timestep_sampling");
    TCase *tcase = tcase_create("timestep_sampling");
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, uniform_timesteps_are_addressed);
    tcase_add_loop_test(tcase, logit_normal_levels, 0, 2);
    tcase_add_test(tcase, log_normal_sigmas);
    tcase_add_test(tcase, shares_follow_the_losses);
    tcase_add_test(tcase, uniform_until_all_have_ten);
    tcase_add_test(tcase, sampling_follows_the_losses_and_is_unbiased);
    tcase_add_test(tcase, losses_are_those_of_the_images);
    tcase_add_test(tcase, resumed_runs_are_the_same_bits);
    tcase_add_loop_test(tcase, damaged_losses, 0, (int)(sizeof damages / sizeof *damages));
    tcase_add_test(tcase, files_without_losses);
    tcase_add_loop_test(tcase, options_that_cannot_be_combined, 0,
                        (int)(sizeof refusals / sizeof *refusals));
    suite_add_tcase(suite, tcase);
    return suite;
}
