/* SPDX-License-Identifier: MIT */
/* Solvers: how a sampler goes from one noise level to the next. Each update of a solver is a sum of
 * x, the predicted x_0 and eps, the same of earlier evaluations, and noise. A solver therefore only
 * computes the factors, in double and before the run, and stage.c applies them.
 * docs/CONTRIBUTING.md lists the files that a new solver touches. */
#ifndef DM_SRC_SAMPLE_SOLVER_H
#define DM_SRC_SAMPLE_SOLVER_H

#include "diffusion/level.h"

/* The terms of a sum. */
enum {
    DMI_X,       /* x at the noise level of the evaluation */
    DMI_SAVED_X, /* x as a stage saved it */
    DMI_X0,      /* x_0 of this evaluation */
    DMI_EPS,     /* eps of this evaluation */
    DMI_HISTORY, /* DMI_HISTORY + k: the history's entry k, from 0, the latest */
    DMI_HISTORY_MAX = 9,
    DMI_TERMS = DMI_HISTORY + DMI_HISTORY_MAX
};

/* The sum of factors[k] times term k, plus `noise` times standard normal noise. */
typedef struct dmi_sum {
    double factors[DMI_TERMS];
    double noise;
} dmi_sum;

/* One model evaluation and what follows from it, in this order: noise is added to x (churn); the
 * model is evaluated; x becomes `corrector`; x is saved; x becomes `update`; history_x0 x_0 +
 * history_eps eps is pushed onto the history. */
typedef struct dmi_stage {
    dmi_level at;                   /* of x in the evaluation */
    double timestep;                /* of that level */
    double churn_x, churn_noise;    /* x = churn_x x + churn_noise z; churn_noise 0: no churn */
    dmi_sum corrector, update;      /* corrector: if has_corrector */
    double history_x0, history_eps; /* if pushes_history */
    double learned_log_range; /* a learned variance multiplies that of update.noise by 1 up to the
                                 exponential of this; 0: not learned */
    bool has_corrector, saves_x, pushes_history;
} dmi_stage;

/* The noise levels that a run visits, from levels[first] to levels[steps]. */
typedef struct dmi_path {
    const dm_schedule *schedule;
    const dm_sampler_options *options; /* checked, defaults resolved */
    const dmi_level *levels;           /* [steps + 1] */
    const double *timesteps;           /* [steps + 1], may be fractional; -1 for the clean image */
    int32_t steps, first;
    int32_t order; /* of the solver; 0 if it has none */
} dmi_path;

typedef struct dmi_solver {
    /* Capabilities and limits. */
    int32_t order, order_max; /* the usual order and the highest; 0: the solver has no order */
    int32_t steps_min;        /* 0: any number */
    int32_t stages_max;       /* of one step */
    int32_t history_size;     /* entries that the solver reads */
    bool multistep;           /* uses evaluations of earlier steps */
    bool has_sigma_grid;      /* accepts dm_sampler_options.grid */
    bool has_churn, has_eta;
    bool ends_clean;          /* always ends at the clean image */
    bool flow_only;           /* needs the flow schedule */
    bool consistency_only;    /* needs DM_PREDICT_CONSISTENCY, which no other takes */
    bool fractional_time;     /* grids give the model fractional times, as in k-diffusion; others
                                 round them */
    bool history_holds_eps;   /* the history of evaluations is eps, not x_0 */
    bool eps_from_clipped_x0; /* eps is always derived from the clipped x_0 */
    /* What DM_SPACING_AUTO and DM_GRID_AUTO stand for (options.c says where they do not apply). */
    dm_spacing default_spacing;
    dm_grid default_grid;
    /* Writes the stages of step i, first to steps - 1, and returns their number. */
    int32_t (*step)(const dmi_path *path, int32_t i, dmi_stage *stages);
} dmi_solver;

extern const dmi_solver dmi_solver_ddpm, dmi_solver_ddim, dmi_solver_pndm, dmi_solver_plms,
    dmi_solver_euler, dmi_solver_euler_ancestral, dmi_solver_heun, dmi_solver_dpm2, dmi_solver_lms,
    dmi_solver_dpmpp, dmi_solver_dpmpp_single, dmi_solver_dpmpp_sde, dmi_solver_unipc,
    dmi_solver_deis, dmi_solver_flow_euler, dmi_solver_flow_heun, dmi_solver_consistency;
/* DDIM from the clean image to noise, for dm_sampler_invert. */
extern const dmi_solver dmi_solver_ddim_inversion;

/* `solver` is a valid DM_SOLVER_*. */
const dmi_solver *dmi_solver_find(dm_solver solver);

/* ---- for solvers (solvers/common.c) ---- */

/* A stage that evaluates the model at level i and does nothing yet. */
dmi_stage dmi_stage_at(const dmi_path *path, int32_t i);
/* Karras et al. 2022, algorithm 2 (euler.c): adds noise before step i as the options say; the
 * stage then evaluates the model at the raised level. */
void dmi_stage_add_churn(dmi_stage *stage, const dmi_path *path, int32_t i);
/* Where step i leads: levels[i + 1]. diffusers_compatible: timestep t - T / steps, or the final
 * level below 0, which is elsewhere where the timesteps are not equally far apart. */
dmi_level dmi_level_after(const dmi_path *path, int32_t i);
/* to.signal x_0 + to.noise eps: the step of DDIM, and of Euler over sigma. */
dmi_sum dmi_sum_at_level(dmi_level to);
/* Begins the step of an ODE over sigma with a slope that is a sum of eps: *sum becomes to.signal /
 * from.signal times term `x`. Returns the factor of the slope: to.signal times the distance in
 * sigma. `from` has a signal. */
double dmi_sum_begin_slope(dmi_sum *sum, int32_t x, dmi_level from, dmi_level to);
/* False if step i changes nothing: betas may be so small that sigma stays. */
bool dmi_step_lowers_sigma(const dmi_path *path, int32_t i);
/* The order at step i of a multistep solver: at most that of the path, the number of usable
 * evaluations so far and, with lower_at_end, the steps left; 1 for the step to the clean image. */
int32_t dmi_multistep_order(const dmi_path *path, int32_t i, bool lower_at_end);
/* Whether the steps are so few, with lower_order_final, that the last are too long for a higher
 * order. */
bool dmi_few_steps(const dmi_path *path);
/* Solves a x = b of n unknowns, at most 4, into b; false if singular. */
bool dmi_solve_linear(int32_t n, double a[][4], double *b);

#endif
