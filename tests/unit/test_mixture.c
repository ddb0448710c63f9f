/* SPDX-License-Identifier: MIT */
/* Every solver on a mixture of two Gaussians in the plane, whose exact denoiser is known: the mean,
 * the covariance and the weights of the two come out right, within the error of this many images
 * and steps. */
#include "sample/solver.h"
#include "support/sampling.h"

enum { POINTS = 4096, PLANE = 2 };

/* x_0 is N(centre[k], deviation^2 I) with probability weight[k]. */
static const double weight[2] = {0.35, 0.65}, centre[2][PLANE] = {{-0.6, 0.5}, {0.5, -0.3}},
                    deviation = 0.15;

/* E[x_0 | x = signal x_0 + noise eps]. */
static void denoise(const float *x, double signal, double noise, double *x_0) {
    double variance = signal * signal * deviation * deviation + noise * noise, exponent[2],
           share[2], max;
    for (int k = 0; k < 2; k++) {
        double square = 0;
        for (int i = 0; i < PLANE; i++) square += pow(x[i] - signal * centre[k][i], 2);
        exponent[k] = log(weight[k]) - square / (2 * variance);
    }
    max = fmax(exponent[0], exponent[1]);
    for (int k = 0; k < 2; k++) share[k] = exp(exponent[k] - max);
    for (int i = 0; i < PLANE; i++) {
        x_0[i] = 0;
        for (int k = 0; k < 2; k++)
            x_0[i] += share[k] / (share[0] + share[1]) *
                      (centre[k][i] +
                       signal * deviation * deviation / variance * (x[i] - signal * centre[k][i]));
    }
}

/* The level at a timestep, from the schedule's series, between whole ones in a straight line of
 * sigma as the library does. */
static void level_at(double t, double *signal, double *noise) {
    int below = (int)t;
    double a = alpha_cumprod[below], fraction = t - below;
    *signal = sqrt(a), *noise = sqrt(1 - a);
    if (fraction == 0) return;
    double b = alpha_cumprod[below + 1],
           sigma = (1 - fraction) * sqrt((1 - a) / a) + fraction * sqrt((1 - b) / b);
    *signal = 1 / sqrt(1 + sigma * sigma), *noise = sigma * *signal;
}

/* As v with betas, as the velocity on the line; user points to the prediction. */
static int32_t exact(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x = input->x;
    float time = (float)input->time;
    size_t count = (size_t)input->count, elements = size / count;
    ck_assert_uint_eq(elements, PLANE);
    bool flow = *(const int32_t *)user == DM_PREDICT_FLOW;
    double signal = 1 - time / 1000.0, noise = time / 1000.0;
    if (!flow) level_at(time, &signal, &noise);
    for (size_t n = 0; n < count; n++) {
        double x_0[PLANE];
        denoise(x + n * PLANE, signal, noise, x_0);
        for (int i = 0; i < PLANE; i++) {
            double eps = (x[n * PLANE + (size_t)i] - signal * x_0[i]) / noise;
            output[n * PLANE + (size_t)i] =
                (float)(flow ? eps - x_0[i] : signal * eps - noise * x_0[i]);
        }
    }
    return 0;
}

/* The number of steps, and by how much the spread may be off beside what chance does: solvers of
 * first order contract or spread too little, and the noise of few steps is coarse. */
static const struct {
    int32_t steps;
    double spread;
} of_solver[] = {
    [DM_SOLVER_DDPM] = {1000, 0.01},       [DM_SOLVER_DDIM] = {100, 0.05},
    [DM_SOLVER_PNDM] = {40, 0.02},         [DM_SOLVER_PLMS] = {40, 0.02},
    [DM_SOLVER_EULER] = {100, 0.05},       [DM_SOLVER_EULER_ANCESTRAL] = {200, 0.05},
    [DM_SOLVER_HEUN] = {30, 0.02},         [DM_SOLVER_DPM2] = {30, 0.02},
    [DM_SOLVER_LMS] = {40, 0.02},          [DM_SOLVER_DPMPP] = {30, 0.02},
    [DM_SOLVER_DPMPP_SINGLE] = {30, 0.03}, [DM_SOLVER_DPMPP_SDE] = {60, 0.03},
    [DM_SOLVER_UNIPC] = {20, 0.02},        [DM_SOLVER_DEIS] = {30, 0.02},
    [DM_SOLVER_FLOW_EULER] = {100, 0.05},  [DM_SOLVER_FLOW_HEUN] = {40, 0.02},
    [DM_SOLVER_CONSISTENCY] = {0, 0},
};

static dm_schedule *schedule_for(int32_t solver) {
    dm_schedule_options o;
    dm_schedule *s;
    ok(dm_schedule_options_init(&o, sizeof o));
    o.kind = test_solver_needs_flow(solver) ? DM_SCHEDULE_FLOW : DM_SCHEDULE_LINEAR;
    ok(dm_schedule_create(&s, context, &o));
    return s;
}

START_TEST(right_distribution) {
    /* The consistency function of a mixture has no closed form: test_consistency.c has that of one
     * Gaussian. */
    if (_i == DM_SOLVER_CONSISTENCY) return;
    int32_t prediction = test_solver_needs_flow(_i) ? DM_PREDICT_FLOW : DM_PREDICT_V;
    dm_schedule *own = schedule_for(_i);
    dm_sampler_options o = test_sampler_options(_i, of_solver[_i].steps, DM_SPACING_TRAILING);
    /* By sigma down to that of timestep 0: from 32, where 30 trailing timesteps end, the last step
     * would lose the spread. */
    bool by_sigma = dmi_solver_find(_i)->has_sigma_grid;
    if (by_sigma) o.spacing = DM_SPACING_LINSPACE, o.grid = DM_GRID_KARRAS;
    o.clip = 0;
    o.variance = DM_VARIANCE_FIXED_SMALL;
    o.batch_size = POINTS;
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, own,
                                       test_denoiser(exact, &prediction, prediction, 1, 1, PLANE),
                                       &o));
    static float got[POINTS * PLANE];
    dm_sampler_request r = test_sampler_request(POINTS);
    r.seed = 100;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, POINTS * PLANE));
    double count[2] = {0}, mean[2][PLANE] = {{0}}, square[2][PLANE][PLANE] = {{{0}}};
    for (int n = 0; n < POINTS; n++) {
        const float *x = got + n * PLANE;
        double far[2];
        for (int k = 0; k < 2; k++)
            far[k] = pow(x[0] - centre[k][0], 2) + pow(x[1] - centre[k][1], 2);
        int k = far[1] < far[0];
        count[k]++;
        for (int i = 0; i < PLANE; i++) {
            mean[k][i] += x[i];
            for (int j = 0; j < PLANE; j++)
                square[k][i][j] += (x[i] - centre[k][i]) * (x[j] - centre[k][j]);
        }
    }
    for (int k = 0; k < 2; k++) {
        double share = count[k] / POINTS, off = 4 * sqrt(weight[0] * weight[1] / POINTS);
        ck_assert_msg(fabs(share - weight[k]) < off + 0.01, "%s: weight %d is %.4f, not %.2f",
                      dm_enum_name("dm_solver", _i), k, share, weight[k]);
        for (int i = 0; i < PLANE; i++) {
            double of_mean = 4 * deviation / sqrt(count[k]),
                   of_variance = 4 * deviation * deviation * sqrt(2 / count[k]);
            ck_assert_msg(fabs(mean[k][i] / count[k] - centre[k][i]) < of_mean + 0.005,
                          "%s: mean %d of %d is %.4f, not %.2f", dm_enum_name("dm_solver", _i), i,
                          k, mean[k][i] / count[k], centre[k][i]);
            for (int j = 0; j < PLANE; j++) {
                double want = i == j ? deviation * deviation : 0, is = square[k][i][j] / count[k];
                ck_assert_msg(fabs(is - want) <
                                  of_variance + 2 * of_solver[_i].spread * deviation * deviation,
                              "%s: covariance %d %d of %d is %.5f, not %.5f",
                              dm_enum_name("dm_solver", _i), i, j, k, is, want);
            }
        }
    }
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(own);
}
END_TEST

Suite *test_mixture_suite(void);

Suite *test_mixture_suite(void) {
    Suite *suite = suite_create("mixture");
    TCase *tcase = tcase_create("mixture");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, right_distribution, 0, test_solver_count());
    suite_add_tcase(suite, tcase);
    return suite;
}
