/* Solvers: how a sampler goes from noise to a picture. All of them are sums: of x, of what the
 * network makes of it, of what it made of it before, and of noise. So a solver only writes down the
 * factors, in double and before the run, and one loop (sampler_run.c) carries them out. A new
 * solver is one file, and one line in solver.c's table. */
#ifndef DM_SRC_SOLVER_H
#define DM_SRC_SOLVER_H

#include "diffusion/schedule.h"

/* What a sum is made of. The memory holds what the network made of x at stages before, the latest
 * first. */
enum {
    DMI_X,
    DMI_SAVED,
    DMI_X0,
    DMI_EPS,
    DMI_MEMORY,
    DMI_MEMORY_MOST = 9,
    DMI_TERMS = DMI_MEMORY + DMI_MEMORY_MOST
};

/* Factors of: x as it stands; x as it was saved; the x_0 and eps that the network sees in x; the
 * memory; and, last, noise. */
typedef struct dmi_sum {
    double of[DMI_TERMS];
    double noise;
} dmi_sum;

/* One question to the network and what follows from it. In this order: x becomes `before`, noise to
 * be added first, if it has any; the network is asked; x becomes `correct`, if `corrects`; x is
 * saved, if `saves`; x becomes `move`; what the network made of x goes to the memory, as x_0 times
 * remember[0] plus eps times remember[1], if `remembers`. */
typedef struct dmi_stage {
    dmi_level at;                  /* of x when the network is asked */
    double before_x, before_noise; /* 0, 0: nothing */
    dmi_sum correct, move;
    double remember[2];
    double noise_range; /* the variance of the noise of `move` grows by up to the exponential of
                           this, as the network says */
    bool corrects, saves, remembers;
    bool ends_step;
} dmi_stage;

/* The way that is gone: levels[first] to levels[steps], where it ends. */
typedef struct dmi_path {
    const dm_schedule *schedule;
    const dm_sampler_options *options; /* checked */
    const dmi_level *levels;           /* [steps + 1] */
    const double *timesteps; /* [steps + 1], whole or between two; -1 for the clean picture */
    int32_t steps, first;
    int32_t order; /* of the solver, as chosen */
} dmi_path;

typedef struct dmi_solver {
    const char *name;          /* "ddim" */
    const char *advice;        /* when to use it, in a line */
    int32_t order, order_most; /* the usual one and the highest; 0: it has none */
    int32_t stages;            /* of a step, at most */
    int32_t memory;            /* of how many stages before it makes use, at most */
    bool multistep;            /* of steps before, too */
    bool keeps_eps;            /* what it remembers of them is eps; else x_0 */
    int32_t steps_least;       /* 0: of any number of steps */
    bool rederives;            /* eps is what follows from the clipped x_0 */
    bool has_grid;             /* it goes by sigma, and can take a grid of these */
    bool between; /* the network is asked between timesteps too, as in k-diffusion; else at the
                     nearest */
    bool has_churn, has_eta, to_clean, needs_flow;
    /* Writes the stages of step i, first to steps-1, and returns their number. */
    int32_t (*step)(const dmi_path *path, int32_t i, dmi_stage *stages);
} dmi_solver;

extern const dmi_solver dmi_solver_ddpm, dmi_solver_ddim, dmi_solver_pndm, dmi_solver_plms,
    dmi_solver_euler, dmi_solver_euler_ancestral, dmi_solver_heun, dmi_solver_dpm2, dmi_solver_lms,
    dmi_solver_dpmpp, dmi_solver_dpmpp_single, dmi_solver_dpmpp_sde, dmi_solver_unipc,
    dmi_solver_deis, dmi_solver_flow_euler, dmi_solver_flow_heun;
/* The way back of DDIM, which no option names. */
extern const dmi_solver dmi_solver_inversion;

const dmi_solver *dmi_solver_find(int32_t id); /* DM_SOLVER_*; NULL: none */

/* ---- for solvers (solver_parts.c) ---- */

/* A stage that asks at level i, remembers nothing and ends the step. */
dmi_stage dmi_stage_at(const dmi_path *path, int32_t i);
/* The level's log signal-to-noise ratio, log(signal / noise). */
double dmi_level_lambda(dmi_level level);
/* Karras et al. 2022, algorithm 2: noise is added before step i, as the options say; the stage then
 * asks at that level. */
void dmi_stage_churn(dmi_stage *stage, const dmi_path *path, int32_t i);
/* The straight way from one level to another with x_0 and eps as they are: DDIM's step, and Euler's
 * over sigma. */
dmi_sum dmi_sum_straight(dmi_level to);
/* The same along a slope that is a sum of eps: x of `from` times to.signal / from.signal, plus
 * `of_eps` times the distance in sigma; that factor is returned, for the caller to share out.
 * `from` has a signal. */
double dmi_sum_along(dmi_sum *sum, int32_t x, dmi_level from, dmi_level to);
/* Whether x of this level says anything about x_0. */
bool dmi_level_has_signal(dmi_level level);
/* Whether step i goes anywhere: betas may be so small that sigma stays. */
bool dmi_falls(const dmi_path *path, int32_t i);
/* The order at step i of a multistep solver: not above that of the path, the steps so far, those
 * left where it shall fall towards the end, and the levels whose lambda is finite; 1 for the step
 * to the clean picture. */
int32_t dmi_order_at(const dmi_path *path, int32_t i, bool falls);
/* Variance that is added from `to` to the noisier `from`, signal_from^2 / signal_to^2 taken off:
 * beta, where there are betas. */
double dmi_variance_between(dmi_level from, dmi_level to);
/* Solves the n equations a x = b of at most 4 unknowns; false where they are singular. */
bool dmi_solve_small(int32_t n, double a[][4], double *b);

/* x_0 and eps as sums of multiples of x and the network's output. */
typedef struct dmi_reading {
    double x0_x, x0_output, eps_x, eps_output;
    double input;   /* what x is multiplied by before the network gets it */
    bool eps_of_x0; /* eps_output is of x_0, in place of the output */
} dmi_reading;

/* Of a network that predicts `prediction` (DM_PREDICT_*) at a level of noise. sigma_data is
 * EDM's. */
dmi_reading dmi_reading_at(dmi_level level, int32_t prediction, double sigma_data);

#endif
