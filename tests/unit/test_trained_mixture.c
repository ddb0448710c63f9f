/* SPDX-License-Identifier: MIT */
/* A small network trained on a mixture of two Gaussians, and sampled by every solver: the mean
 * and spread of each of the two, and their weights, come out near those of the data. Images of
 * 4x4 pixels: a level of +0.5 or -0.4, that varies from image to image, and independent noise of
 * each pixel. */
#include "base/random.h"
#include "sample/solver.h"
#include "support/sampling.h"
#include "support/schedule.h"

enum { PLANE = 16, BATCH = 64, TRAINED = 1200, SAMPLES = 512 };

/* In Frobenius's norm. Chance alone makes it 0.11 of the 358 images of the larger mode, 0.17 of
 * the 154 of the other. */
#define COVARIANCE_OFF 0.4

static const double weight = 0.7, level[2] = {0.5, -0.4}, level_spread = 0.1, pixel_noise = 0.1;

static void draw_data(uint64_t step, float *images) {
    dmi_random at = dmi_random_at(77, DMI_STREAM_BUILTIN, step);
    static float normal[BATCH * (PLANE + 1)], uniform[BATCH];
    dmi_random_normal(&at, normal, BATCH * (PLANE + 1));
    at = dmi_random_at(78, DMI_STREAM_BUILTIN, step);
    dmi_random_uniform(&at, uniform, BATCH);
    for (int n = 0; n < BATCH; n++) {
        const float *z = normal + n * (PLANE + 1);
        double base = level[uniform[n] >= weight] + level_spread * z[PLANE];
        for (int i = 0; i < PLANE; i++) images[n * PLANE + i] = (float)(base + pixel_noise * z[i]);
    }
}

static dm_unet *train(int32_t prediction, int32_t sampling, const dm_schedule *own) {
    dm_unet_options u;
    dm_trainer_options t;
    dm_unet *unet;
    dm_trainer *trainer;
    static float images[BATCH * PLANE];
    ok(dm_unet_options_init(&u, sizeof u));
    u.height = u.width = 4;
    u.in_channels = u.out_channels = 1;
    u.levels = 1;
    u.channels[0] = 32;
    u.blocks[0] = 1;
    u.attention[1] = u.mid_attention = 0;
    u.norm_groups = 4;
    u.prediction = prediction;
    ok(dm_unet_create(&unet, context, &u, 1));
    ok(dm_trainer_options_init(&t, sizeof t));
    t.batch_size = BATCH;
    t.timestep_sampling = sampling;
    t.learning_rate = 3e-3;
    t.learning_rate_schedule = DM_RATE_COSINE;
    t.learning_rate_end_step = TRAINED;
    t.ema_decay[0] = 0.99;
    ok(dm_trainer_create(&trainer, unet, own, NULL, &t));
    for (uint64_t step = 0; step < TRAINED; step++) {
        draw_data(step, images);
        dm_train_batch batch = {.struct_size = sizeof batch,
                                .count = BATCH,
                                .elements = BATCH * PLANE,
                                .images = images};
        ok(dm_trainer_step_batch(trainer, &batch, NULL));
    }
    dm_unet *ema;
    ok(dm_unet_create(&ema, context, &u, 1));
    ok(dm_trainer_get_ema(trainer, 0, ema));
    dm_trainer_destroy(trainer);
    dm_unet_destroy(unet);
    return ema;
}

/* The covariance of a mode's pixels: level_spread^2 between any two, and pixel_noise^2 more on the
 * diagonal. */
static void check_covariance(const char *name, const float *got, int mode, double count) {
    double mean[PLANE] = {0}, off = 0, all = 0;
    static double square[PLANE][PLANE];
    memset(square, 0, sizeof square);
    for (int pass = 0; pass < 2; pass++)
        for (int n = 0; n < SAMPLES; n++) {
            const float *x = got + n * PLANE;
            double middle = 0;
            for (int i = 0; i < PLANE; i++) middle += x[i] / (double)PLANE;
            if ((middle < 0.05) != mode) continue;
            for (int i = 0; i < PLANE; i++) {
                if (!pass) mean[i] += x[i] / count;
                for (int j = 0; pass && j < PLANE; j++)
                    square[i][j] += (x[i] - mean[i]) * (x[j] - mean[j]) / count;
            }
        }
    for (int i = 0; i < PLANE; i++)
        for (int j = 0; j < PLANE; j++) {
            double want = level_spread * level_spread + (i == j ? pixel_noise * pixel_noise : 0);
            off += pow(square[i][j] - want, 2), all += want * want;
        }
    ck_assert_msg(sqrt(off / all) < COVARIANCE_OFF,
                  "%s: the covariance of mode %d is off by %.3f of its norm", name, mode,
                  sqrt(off / all));
}

/* The statistics of the images: the weight of the upper mode, and of each its mean and spread. */
static void check_images(const char *name, const float *got) {
    double count[2] = {0}, sum[2] = {0}, square[2] = {0}, inner = 0;
    for (int n = 0; n < SAMPLES; n++) {
        double mean = 0;
        for (int i = 0; i < PLANE; i++) mean += got[n * PLANE + i] / (double)PLANE;
        int k = mean < 0.05;
        count[k]++, sum[k] += mean, square[k] += mean * mean;
        for (int i = 0; i < PLANE; i++)
            inner += pow(got[n * PLANE + i] - mean, 2) / (SAMPLES * (PLANE - 1.0));
    }
    /* 4 standard errors of 512 images are 0.081; the network is a small one, trained for
     * seconds. */
    ck_assert_msg(fabs(count[0] / SAMPLES - weight) < 0.13, "%s: weight %.3f, not %.2f", name,
                  count[0] / SAMPLES, weight);
    for (int k = 0; k < 2; k++) {
        double mean = sum[k] / count[k], spread = sqrt(square[k] / count[k] - mean * mean);
        double want = sqrt(level_spread * level_spread + pixel_noise * pixel_noise / PLANE);
        ck_assert_msg(fabs(mean - level[k]) < 0.05, "%s: mean %d is %.3f, not %.2f", name, k, mean,
                      level[k]);
        ck_assert_msg(fabs(spread - want) < 0.05, "%s: spread %d is %.3f, not %.3f", name, k,
                      spread, want);
    }
    for (int k = 0; k < 2; k++) check_covariance(name, got, k, count[k]);
    ck_assert_msg(fabs(sqrt(inner) - pixel_noise) < 0.03, "%s: pixel_noise %.3f, not %.2f", name,
                  sqrt(inner), pixel_noise);
}

static void check_solver(dm_unet *unet, const dm_schedule *own, int32_t solver) {
    static float got[SAMPLES * PLANE];
    bool by_sigma = dmi_solver_find(solver)->has_sigma_grid, with_betas = own == schedule;
    dm_sampler_options o =
        test_sampler_options(solver, solver == DM_SOLVER_DDPM ? 250 : 40,
                             by_sigma ? DM_SPACING_LINSPACE : DM_SPACING_TRAILING);
    if (by_sigma && with_betas) o.grid = DM_GRID_KARRAS;
    o.clip = 0;
    o.batch_size = 128;
    dm_sampler *sampler;
    ok(dm_sampler_create(&sampler, unet, own, &o));
    dm_sampler_request r = test_sampler_request(SAMPLES);
    r.seed = 1000;
    ok(dm_sampler_run(sampler, &r, got, SAMPLES * PLANE));
    check_images(dm_enum_name("dm_solver", solver), got);
    dm_sampler_destroy(sampler);
}

START_TEST(solvers_with_betas) {
    dm_unet *unet = train(DM_PREDICT_V, DM_TIMESTEPS_UNIFORM, schedule);
    for (int32_t solver = 0; solver < test_solver_count(); solver++)
        if (!test_solver_is_special(solver)) check_solver(unet, schedule, solver);
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(solvers_on_flow) {
    static const int32_t solvers[] = {DM_SOLVER_FLOW_EULER, DM_SOLVER_FLOW_HEUN, DM_SOLVER_DDIM,
                                      DM_SOLVER_DPMPP, DM_SOLVER_UNIPC};
    dm_schedule *flow = test_schedule(context, DM_SCHEDULE_FLOW, 1000);
    dm_unet *unet = train(DM_PREDICT_FLOW, DM_TIMESTEPS_LOGIT_NORMAL, flow);
    for (size_t i = 0; i < sizeof solvers / sizeof *solvers; i++)
        check_solver(unet, flow, solvers[i]);
    dm_unet_destroy(unet);
    dm_schedule_destroy(flow);
}
END_TEST

START_TEST(solvers_of_edm) {
    static const int32_t solvers[] = {DM_SOLVER_EULER, DM_SOLVER_HEUN,  DM_SOLVER_DPM2,
                                      DM_SOLVER_LMS,   DM_SOLVER_DPMPP, DM_SOLVER_UNIPC,
                                      DM_SOLVER_DEIS};
    dm_schedule *edm = test_schedule(context, DM_SCHEDULE_EDM, 1000);
    dm_unet *unet = train(DM_PREDICT_EDM, DM_TIMESTEPS_LOG_NORMAL, edm);
    for (size_t i = 0; i < sizeof solvers / sizeof *solvers; i++)
        check_solver(unet, edm, solvers[i]);
    dm_unet_destroy(unet);
    dm_schedule_destroy(edm);
}
END_TEST

Suite *test_trained_mixture_suite(void);

Suite *test_trained_mixture_suite(void) {
    Suite *suite = suite_create("trained_mixture");
    TCase *tcase = tcase_create("trained_mixture");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, solvers_with_betas);
    tcase_add_test(tcase, solvers_on_flow);
    tcase_add_test(tcase, solvers_of_edm);
    suite_add_tcase(suite, tcase);
    return suite;
}
