/* SPDX-License-Identifier: MIT */
/* Options at random, many thousand times: whatever they are, they are refused or give finite
 * images, and an image is the same alone and in a batch. What tests of single options miss are
 * two at an edge together: a chain of one timestep, a grid whose last step has length zero, a flow
 * that starts at pure noise. */
#include "sample/solver.h"
#include "support/sampling.h"

enum { IMAGES = 3, FLOATS = IMAGES * ELEMENTS, PIXELS = SIDE * SIDE, RUNS = 8000 };

static uint64_t state;

static int32_t below(int32_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((state >> 33) % (uint64_t)n);
}

static bool rarely(void) { return below(6) == 0; }

/* Its output is bounded, so that a growth without bounds is caused by the solver. */
static int32_t bounded(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x = input->x;
    float time = (float)input->time;
    const int32_t *labels = input->labels;
    size_t elements = size / (size_t)input->count;
    (void)user;
    for (size_t i = 0; i < size; i++)
        output[i] = sinf(3 * x[i] + 0.01f * time + (labels ? (float)labels[i / elements] : 0));
    return 0;
}

static dm_schedule_options any_schedule(void) {
    static const int32_t timesteps[] = {1, 2, 3, 5, 10, 50, 1000};
    dm_schedule_options o;
    ok(dm_schedule_options_init(&o, sizeof o));
    o.kind = below(DM_SCHEDULE_EDM + 1);
    o.timesteps = timesteps[below(7)];
    o.zero_terminal_snr = o.kind < DM_SCHEDULE_FLOW && o.timesteps > 1 && rarely();
    o.float32_tables = o.kind < DM_SCHEDULE_FLOW && rarely();
    o.terminal_signal = o.zero_terminal_snr && below(2);
    if (below(2)) o.flow_shift = below(2) ? 3 : 0.3;
    return o;
}

static dm_sampler_options any_options(int32_t solver, int32_t timesteps) {
    dm_sampler_options o;
    ok(dm_sampler_options_init(&o, sizeof o));
    o.solver = solver;
    o.steps = 1 + below(below(2) && timesteps > 4 ? 4 : timesteps);
    o.spacing = below(o.steps < timesteps ? DM_SPACING_LEADING_INNER + 1 : DM_SPACING_LINSPACE + 1);
    o.clip = below(2);
    o.rederive_eps = below(3) - 1;
    o.final_alpha_one = below(2);
    o.variance = below(DM_VARIANCE_FIXED_LARGE + 1);
    o.batch_size = 1 + below(IMAGES);
    o.lower_order_final = below(2);
    if (solver == DM_SOLVER_DDIM && below(2)) o.eta = below(2) ? 1 : 0.3;
    if (rarely()) o.order = below(5);
    if (dmi_solver_find(solver)->has_sigma_grid) o.grid = below(DM_GRID_EXPONENTIAL + 1);
    if ((solver == DM_SOLVER_EULER || solver == DM_SOLVER_HEUN) && below(2))
        o.churn = below(2) ? 40 : 1;
    if (below(3) == 0) {
        o.guidance = below(2) ? 4 : 0;
        o.guidance_rescale = below(2) ? 0.7 : 0;
        if (below(2)) o.guidance_begin = 0.2, o.guidance_end = 0.8;
    }
    if (o.clip && rarely()) o.threshold = 0.9, o.threshold_max = below(2) ? 1.5 : 0.5;
    if (rarely()) o.clip_range = 0.5;
    o.diffusers_compatible = below(4) == 0;
    return o;
}

static int32_t any_prediction(int32_t solver, int32_t kind) {
    if (kind == DM_SCHEDULE_EDM)
        return dmi_solver_find(solver)->consistency_only ? DM_PREDICT_CONSISTENCY : DM_PREDICT_EDM;
    if (kind == DM_SCHEDULE_FLOW) return below(2) ? DM_PREDICT_FLOW : DM_PREDICT_X0;
    return below(DM_PREDICT_V + 1);
}

static const int32_t labels[IMAGES] = {0, 1, 2};

static dm_sampler_request any_request(bool guided, const float *image, const float *mask) {
    dm_sampler_request r = test_sampler_request(IMAGES);
    r.seed = (uint64_t)below(1000000);
    r.random = rarely() ? DM_RANDOM_TORCH : DM_RANDOM_PHILOX;
    if (guided || below(2)) r.labels = labels;
    int32_t edit = below(4);
    if (edit == 0) r.image = image, r.strength = below(2) ? 0.5 : 1e-6;
    if (edit == 1) {
        r.image = image, r.mask = mask;
        r.repaint_repetitions = 1 + below(3), r.repaint_jump_length = 1 + below(4);
    }
    return r;
}

/* The last image of the request by itself. */
static dm_sampler_request last_of(dm_sampler_request r) {
    r.count = 1;
    r.seed += IMAGES - 1;
    if (r.labels) r.labels += IMAGES - 1;
    if (r.image) r.image += FLOATS - ELEMENTS;
    if (r.mask) r.mask += (IMAGES - 1) * PIXELS;
    return r;
}

/* How many ran; those that were refused have a text. */
static int run_some(int32_t solver, int runs) {
    float image[FLOATS], mask[IMAGES * PIXELS], got[FLOATS], alone[ELEMENTS];
    int ran = 0;
    for (int i = 0; i < FLOATS; i++) image[i] = sinf((float)i);
    for (int i = 0; i < IMAGES * PIXELS; i++) mask[i] = (float)(i % 3) / 2;
    for (int run = 0; run < runs; run++) {
        dm_schedule_options so = any_schedule();
        dm_schedule *own;
        dm_sampler *sampler;
        ok(dm_schedule_create(&own, context, &so));
        dm_sampler_options o = any_options(solver, so.timesteps);
        int32_t prediction = any_prediction(solver, so.kind);
        int32_t status = dm_sampler_create_with_denoiser(&sampler, context, own,
                                                         test_denoiser(bounded, NULL, prediction,
                                                                       SIDE, SIDE, CHANNELS),
                                                         &o);
        if (!status) {
            dm_sampler_request r = any_request(o.guidance != 1, image, mask), one = last_of(r);
            status = dm_sampler_run(sampler, test_counted(sampler, &r), got, FLOATS);
            if (!status) {
                ok(dm_sampler_run(sampler, test_counted(sampler, &one), alone, ELEMENTS));
                ck_assert_mem_eq(alone, got + FLOATS - ELEMENTS, sizeof alone);
                ran++;
            }
        }
        ck_assert_msg(!status ||
                          (status == DM_ERROR_INVALID_ARGUMENT && *dm_context_error(context)),
                      "%s on schedule %d of %d, prediction %d, %d steps: %s",
                      dm_enum_name("dm_solver", solver), (int)so.kind, (int)so.timesteps,
                      (int)prediction, (int)o.steps, dm_context_error(context));
        dm_sampler_destroy(sampler);
        dm_schedule_destroy(own);
    }
    return ran;
}

START_TEST(any_options_are_refused_or_run) {
    int runs = RUNS / test_solver_count();
    state = 1 + (uint64_t)_i;
    ck_assert_int_gt(run_some(_i, runs),
                     runs / 20); /* flow's own solvers are refused by five schedules of six */
}
END_TEST

Suite *test_any_options_suite(void);

Suite *test_any_options_suite(void) {
    Suite *suite = suite_create("any_options");
    TCase *tcase = tcase_create("any_options");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, any_options_are_refused_or_run, 0, test_solver_count());
    suite_add_tcase(suite, tcase);
    return suite;
}
