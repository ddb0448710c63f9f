/* The figures that diffusers' own tests hold its schedulers to: the sum and the mean of what is left of one start. Some of those tests
 * give the scheduler the input of the network in place of its state; that is done here by a loop of its own, over the
 * library's tables of solvers. */
#include "base/torch_random.h"
#include "sampler.h"
#include "support/sampling.h"

enum { PICTURES = 4, PICTURE = 3 * 8 * 8, TOTAL = PICTURES * PICTURE, COUNT = 10 };

static int32_t dummy(void *user, float *output, const float *x, float timestep, const int32_t *labels, size_t count, size_t elements) {
    (void)user, (void)labels;
    for (size_t i = 0; i < count * elements; i++) output[i] = x[i] * timestep / (timestep + 1);
    return 0;
}

/* Element (n, c, h, w) is (((c*8+h)*8+w)*4+n) / 768. */
static void fill_start(float *start, double factor) {
    for (int n = 0; n < PICTURES; n++)
        for (int i = 0; i < PICTURE; i++) start[n * PICTURE + i] = (float)(factor * (i * PICTURES + n) / TOTAL);
}

static void check_figures(const char *name, double total, double sum, double mean) {
    /* Published to four places, from tables in float32; the tolerances of those tests. */
    if (sum > 0) ck_assert_msg(fabs(total - sum) < 1e-2, "%s: the sum is %.6f, not %.6f", name, total, sum);
    ck_assert_msg(fabs(total / TOTAL - mean) < 1e-3, "%s: the mean is %.7f, not %.7f", name, total / TOTAL, mean);
}

static dm_schedule *schedule_of(int32_t kind, int32_t timesteps) {
    dm_schedule_options o;
    dm_schedule *s;
    ok(dm_schedule_options_init(&o, sizeof o));
    o.kind = kind;
    o.timesteps = timesteps;
    ok(dm_schedule_create(&s, context, &o));
    return s;
}

static double run(const dm_schedule *own, int32_t prediction, const dm_sampler_options *o, double factor) {
    float start[TOTAL], got[TOTAL];
    double total = 0;
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, own, dummy, NULL, prediction, 8, 8, 3, o));
    fill_start(start, factor);
    dm_sampler_request r = test_sampler_request(PICTURES);
    r.start = start;
    ok(dm_sampler_run(sampler, &r, got, TOTAL));
    dm_sampler_destroy(sampler);
    for (int i = 0; i < TOTAL; i++) total += fabs(got[i]);
    return total;
}

/* np.linspace(0, 999, 11).round() without its 0. */
static const int32_t eleven[COUNT] = {999, 899, 799, 699, 599, 500, 400, 300, 200, 100};

START_TEST(dpm_solver_and_unipc) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DPMPP, COUNT, DM_SPACING_CUSTOM);
    o.timesteps = eleven;
    o.clip = 0;
    o.final_alpha_one = 0;
    o.lower_order_final = 0;
    check_figures("dpmpp", run(schedule, DM_PREDICT_EPS, &o, 1), 0, 0.3301);
    o.solver = DM_SOLVER_UNIPC;
    o.lower_order_final = 1;
    check_figures("unipc", run(schedule, DM_PREDICT_EPS, &o, 1), 0, 0.2464);
}
END_TEST

START_TEST(edm_euler) {
    dm_schedule *own = schedule_of(DM_SCHEDULE_EDM, 256);
    dm_sampler_options o = test_sampler_options(DM_SOLVER_EULER, COUNT, DM_SPACING_LINSPACE);
    o.clip = 0;
    check_figures("EDM euler", run(own, DM_PREDICT_EDM, &o, sqrt(80.0 * 80 + 1)), 34.1855, 0.044);
    dm_schedule_destroy(own);
}
END_TEST

/* The state is x / signal there; after each step the network's input, x, is taken for it. */
static double scaled_run(int32_t solver) {
    dm_schedule *own = schedule_of(DM_SCHEDULE_LINEAR, 1100);
    dm_sampler_options o = test_sampler_options(solver, COUNT, DM_SPACING_LINSPACE);
    o.clip = 0;
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, own, dummy, NULL, DM_PREDICT_EPS, 8, 8, 3, &o));
    static float start[TOTAL], noise[TOTAL];
    double state[TOTAL], total = 0;
    dmi_torch torch;
    dmi_torch_seed(&torch, 0);
    double first = dmi_level_sigma(sampler->levels[0]);
    fill_start(start, 1);
    for (int i = 0; i < TOTAL; i++) state[i] = start[i] * first;
    for (int32_t k = 0; k < COUNT; k++) {
        const dmi_stage *s = &sampler->stages[k];
        dmi_level to = sampler->levels[k + 1];
        double sigma = dmi_level_sigma(s->at), t = s->at.time;
        if (s->move.noise > 0 || solver == DM_SOLVER_EULER_ANCESTRAL) dmi_torch_randn(&torch, noise, TOTAL);
        for (int i = 0; i < TOTAL; i++) {
            double x = state[i] / sqrt(sigma * sigma + 1), eps = x * t / (t + 1), x0 = x - sigma * eps;
            double next = s->move.of[DMI_X0] * x0 + s->move.of[DMI_EPS] * eps + s->move.noise * noise[i];
            state[i] = next / to.signal;
        }
    }
    for (int i = 0; i < TOTAL; i++) total += fabs(state[i]);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(own);
    return total;
}

START_TEST(euler_and_ancestral) {
    check_figures("euler", scaled_run(DM_SOLVER_EULER), 10.0807, 0.0131);
    check_figures("ancestral", scaled_run(DM_SOLVER_EULER_ANCESTRAL), 152.3192, 0.1983);
}
END_TEST

Suite *test_published_suite(void);

Suite *test_published_suite(void) {
    Suite *suite = suite_create("published");
    TCase *tcase = tcase_create("published");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_add_test(tcase, dpm_solver_and_unipc);
    tcase_add_test(tcase, edm_euler);
    tcase_add_test(tcase, euler_and_ancestral);
    suite_add_tcase(suite, tcase);
    return suite;
}
