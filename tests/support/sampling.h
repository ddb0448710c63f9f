/* SPDX-License-Identifier: MIT */
/* What the sampler's tests share: a context of two threads, a linear schedule, and images of 48
 * floats. */
#ifndef DM_TESTS_SAMPLING_H
#define DM_TESTS_SAMPLING_H

#include "core/context.h"
#include "diffusion.h"
#include "support/denoiser.h"
#include "support/support.h"

enum { SIDE = 4, CHANNELS = 3, ELEMENTS = SIDE * SIDE * CHANNELS, STEPS = 8 };

/* Of the fixture: test_sampling_setup makes them, test_sampling_teardown also fails the test where
 * anything leaked. */
extern dm_context *context;
extern dm_schedule *schedule; /* linear, 1000 timesteps */
extern double alpha_cumprod[1000];

void test_sampling_setup(void);
void test_sampling_teardown(void);

#define ok(call)                                                                                   \
    do {                                                                                           \
        int32_t status_ = (call);                                                                  \
        ck_assert_msg(status_ == DM_OK, "%s: %s", dm_status_name(status_),                         \
                      dm_context_error(context));                                                  \
    } while (0)

/* The call gives that status, and the error's text has `text` in it. */
#define fails(status, call, text)                                                                  \
    do {                                                                                           \
        int32_t status_ = (call);                                                                  \
        const char *error_ = dm_context_error(context);                                            \
        ck_assert_msg(status_ == (status), "%s: %s", dm_status_name(status_), error_);             \
        ck_assert_msg(strstr(error_, (text)) != NULL, "\"%s\" lacks \"%s\"", error_, (text));      \
    } while (0)

/* The number of solvers, which are 0 to this - 1, and whether one needs the flow schedule. */
int32_t test_solver_count(void);
/* Whether it needs the flow schedule or a consistency model, so that most tests leave it out. */
bool test_solver_is_special(int32_t solver);
bool test_solver_needs_flow(int32_t solver);

/* The defaults but for these, and none that depend on the solver: grid timesteps, variance
 * fixed_large. */
dm_sampler_options test_sampler_options(int32_t solver, int32_t steps, int32_t spacing);
dm_sampler_request test_sampler_request(uint64_t count);
/* For images [SIDE, SIDE, CHANNELS]; options may be NULL. */
dm_sampler *test_sampler_of(dm_denoiser_evaluate evaluate, void *user, int32_t prediction,
                            const dm_sampler_options *options);

/* A model without meaning, that depends on everything it should and on nothing else. */
int32_t test_wave(void *user, const dm_denoiser_input *input, float *output, size_t size);

#endif
