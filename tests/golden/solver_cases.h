/* SPDX-License-Identifier: MIT */
/* The runs of make_solvers.py: each solver with its options. */
#ifndef DM_TESTS_SOLVER_CASES_H
#define DM_TESTS_SOLVER_CASES_H

#include <stdbool.h>
#include <stdint.h>

/* A spacing of the tests: one timestep more than steps, evenly from 999 to 0, without the last. */
enum { DM_SPACING_LAST_DROPPED = 100 };

typedef struct solver_case {
    const char *name;
    int32_t solver, prediction, steps;
    int32_t spacing; /* or DM_SPACING_LAST_DROPPED */
    int32_t order, grid, kind;
    int32_t variance, steps_offset,
        clip;  /* 0, unlike the default, since most of diffusers' schedulers don't clip */
    bool keep; /* final_alpha_one 0 */
    bool late; /* lower_order_final 0 */
    bool zero, back, guided, threshold;
    double eta, churn, churn_sigma_min, churn_sigma_max, churn_noise, guidance_rescale,
        flow_shift; /* 0: as by default */
    double bound; /* of the relative error, where `usual_bound` is too tight, with the reason at its
                     line */
} solver_case;

enum { SOLVER_CASES = 165 };
extern const solver_case solver_cases[SOLVER_CASES];

#endif
