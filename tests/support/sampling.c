/* See sampling.h. */
#include "support/sampling.h"

#include "support/allocator.h"

dm_context *context;
dm_schedule *schedule;
double alpha_cumprod[1000];

void test_sampling_setup(void) {
    dm_context_options o;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = 2;
    ck_assert_int_eq(dm_context_create(&context, &o), DM_OK);
    ck_assert_int_eq(dm_schedule_create(&schedule, context, NULL), DM_OK);
    ck_assert_int_eq(dm_schedule_get(schedule, DM_SERIES_ALPHA_CUMPROD, alpha_cumprod, 1000),
                     DM_OK);
}

void test_sampling_teardown(void) {
    dm_schedule_destroy(schedule);
    test_context_end(context);
}

dm_sampler_options test_sampler_options(int32_t solver, int32_t steps, int32_t spacing) {
    dm_sampler_options o;
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    o.solver = solver;
    o.steps = steps;
    o.spacing = spacing;
    return o;
}

dm_sampler_request test_sampler_request(uint64_t count) {
    dm_sampler_request r;
    ck_assert_int_eq(dm_sampler_request_init(&r, sizeof r), DM_OK);
    r.count = count;
    return r;
}

dm_sampler *test_sampler_of(dm_denoiser denoiser, void *user, int32_t prediction,
                            const dm_sampler_options *o) {
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule, denoiser, user, prediction,
                                       SIDE, SIDE, CHANNELS, o));
    return sampler;
}

int32_t test_wave(void *user, float *output, const float *x_t, float timestep,
                  const int32_t *labels, size_t count, size_t elements) {
    (void)user;
    for (size_t n = 0; n < count; n++)
        for (size_t i = 0; i < elements; i++)
            output[n * elements + i] = sinf(2 * x_t[n * elements + i] + 0.001f * timestep +
                                            (labels ? (float)labels[n] : 0));
    return 0;
}
