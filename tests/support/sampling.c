/* SPDX-License-Identifier: MIT */
/* See sampling.h. */
#include "support/sampling.h"

#include "sample/solver.h"

dm_context *context;
dm_schedule *schedule;
double alpha_cumprod[1000];

void test_sampling_setup(void) {
    dm_context_options o;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = 2;
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
    dm_schedule_options linear;
    ck_assert_int_eq(dm_schedule_options_init(&linear, sizeof linear), DM_OK);
    linear.kind = DM_SCHEDULE_LINEAR;
    ck_assert_int_eq(dm_schedule_create(&schedule, context, &linear), DM_OK);
    ck_assert_int_eq(dm_schedule_get_series(schedule, DM_SERIES_ALPHA_CUMPROD, alpha_cumprod, 1000),
                     DM_OK);
}

void test_sampling_teardown(void) {
    dm_schedule_destroy(schedule);
    uint64_t used;
    dm_context *fresh;
    dm_context_options o;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = 2;
    ck_assert_int_eq(dm_context_create(&fresh, &o, NULL, 0), DM_OK);
    ck_assert_int_eq(dm_context_get_memory(fresh, &used, NULL, NULL), DM_OK);
    ck_assert_msg(context->host.used == used, "%llu bytes are in use, a fresh context has %llu",
                  (unsigned long long)context->host.used, (unsigned long long)used);
    dm_context_destroy(fresh);
    dm_context_destroy(context);
}

dm_sampler_options test_sampler_options(int32_t solver, int32_t steps, int32_t spacing) {
    dm_sampler_options o;
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    o.solver = solver;
    o.steps = steps;
    o.spacing = spacing;
    o.grid = DM_GRID_TIMESTEPS;
    o.variance = DM_VARIANCE_FIXED_LARGE;
    return o;
}

dm_sampler_request test_sampler_request(uint64_t count) {
    dm_sampler_request r;
    ck_assert_int_eq(dm_sampler_request_init(&r, sizeof r), DM_OK);
    r.count = count;
    return r;
}

dm_sampler *test_sampler_of(dm_denoiser_evaluate evaluate, void *user, int32_t prediction,
                            const dm_sampler_options *o) {
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                       test_denoiser(evaluate, user, prediction, SIDE, SIDE,
                                                     CHANNELS),
                                       o));
    return sampler;
}

int32_t test_wave(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x_t = input->x;
    float timestep = (float)input->time;
    const int32_t *labels = input->labels;
    size_t count = (size_t)input->count, elements = size / count;
    (void)user;
    for (size_t n = 0; n < count; n++)
        for (size_t i = 0; i < elements; i++)
            output[n * elements + i] = sinf(2 * x_t[n * elements + i] + 0.001f * timestep +
                                            (labels ? (float)labels[n] : 0));
    return 0;
}

int32_t test_solver_count(void) { return dm_enum_count("dm_solver"); }

bool test_solver_is_special(int32_t solver) {
    return dmi_solver_find(solver)->flow_only || dmi_solver_find(solver)->consistency_only;
}

bool test_solver_needs_flow(int32_t solver) { return dmi_solver_find(solver)->flow_only; }
