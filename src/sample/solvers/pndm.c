/* SPDX-License-Identifier: MIT */
/* Pseudo numerical methods (Liu et al. 2022): the slope over sigma is a weighted mean of eps
 * (eq. 11). */
#include <math.h>

#include "diffusion/schedule.h"
#include "sample/solver.h"

/* Weights of Adams-Bashforth methods of order 1 to 4, the latest slope first (eq. 12). */
static const double weights[4][4] = {{1},
                                     {3.0 / 2, -1.0 / 2},
                                     {23.0 / 12, -16.0 / 12, 5.0 / 12},
                                     {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24}};

enum { RUNGE_KUTTA_STEPS = 3, RUNGE_KUTTA_ENTRIES = 3 };

/* How many slopes step i pushes onto the history; the first of them is that at its beginning. */
typedef int32_t history_entries(const dmi_path *path, int32_t i);

static int32_t pndm_entries(const dmi_path *path, int32_t i) {
    bool has_signal =
        dmi_level_has_signal(path->levels[i]) && dmi_level_has_signal(path->levels[i + 1]);
    return i - path->first < RUNGE_KUTTA_STEPS && has_signal && path->levels[i].noise > 0
               ? RUNGE_KUTTA_ENTRIES
               : 1;
}

static int32_t plms_entries(const dmi_path *path, int32_t i) {
    (void)path, (void)i;
    return 1;
}

/* ---- what is extrapolated ---- */

/* diffusers extrapolates a network's v before it converts the sum to eps, at the level from which
 * the step leads. Elsewhere the slopes are eps. */
static bool slopes_are_v(const dmi_path *path) {
    return path->options->diffusers_compatible &&
           path->options->expected_prediction == DM_PREDICT_V;
}

/* The sum begins with term `x`; returns the factor of the slopes. */
static double begin_sum(const dmi_path *path, dmi_sum *sum, int32_t x, dmi_level from,
                        dmi_level to) {
    double distance = dmi_sum_begin_slope(sum, x, from, to);
    if (!slopes_are_v(path)) return distance;
    sum->factors[x] += distance * from.noise; /* eps = signal v + noise x */
    return distance * from.signal;
}

/* Adds the slope of the stage's own evaluation. */
static void add_slope(const dmi_path *path, dmi_stage *s, double factor) {
    bool v = slopes_are_v(path);
    s->update.factors[DMI_EPS] += v ? factor * s->at.signal : factor;
    if (v) s->update.factors[DMI_X0] -= factor * s->at.noise;
}

static void push_slope(const dmi_path *path, dmi_stage *s) {
    bool v = slopes_are_v(path);
    s->pushes_history = true;
    s->history_x0 = v ? -s->at.noise : 0;
    s->history_eps = v ? s->at.signal : 1;
}

/* ---- stages ---- */

/* Adams-Bashforth with the slopes now and at the beginnings of up to three steps before. */
static dmi_stage multistep(const dmi_path *path, int32_t i, history_entries *entries) {
    dmi_stage s = dmi_stage_at(path, i);
    dmi_level to = dmi_level_after(path, i);
    int32_t order = i - path->first + 1 < 4 ? i - path->first + 1 : 4, entry = -1;
    push_slope(path, &s);
    if (!dmi_level_has_signal(path->levels[i])) {
        s.update = dmi_sum_at_level(to);
        return s;
    }
    double distance = begin_sum(path, &s.update, DMI_X, path->levels[i], to);
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): order is 1 to 4 */
    add_slope(path, &s, distance * weights[order - 1][0]);
    for (int32_t k = 1; k < order; k++) {
        entry += entries(path, i - k);
        s.update.factors[DMI_HISTORY + entry] = distance * weights[order - 1][k];
    }
    return s;
}

typedef struct timed_level {
    dmi_level level;
    double timestep;
} timed_level;

/* A stage of a Runge-Kutta step: with the slope at level `at`, from level `from` to `to`. x is
 * DMI_X for the first stage, which saves it, else DMI_SAVED_X. */
static dmi_stage inner_stage(const dmi_path *path, int32_t x, timed_level at, dmi_level from,
                             dmi_level to) {
    dmi_stage s = {.at = at.level, .timestep = at.timestep, .saves_x = x == DMI_X};
    push_slope(path, &s);
    double distance = begin_sum(path, &s.update, x, from, to);
    add_slope(path, &s, distance);
    return s;
}

/* The last stage: from the saved x at level `from` with the weighted mean of the slopes now and of
 * the history. */
static dmi_stage last_stage(const dmi_path *path, int32_t i, dmi_level from, const double *share,
                            int32_t count) {
    dmi_stage s = dmi_stage_at(path, i + 1);
    double distance = begin_sum(path, &s.update, DMI_SAVED_X, from, path->levels[i + 1]);
    add_slope(path, &s, distance * share[0]);
    for (int32_t k = 1; k < count; k++) s.update.factors[DMI_HISTORY + k - 1] = distance * share[k];
    return s;
}

static timed_level level_at(const dmi_path *path, double t) {
    t = fmin(fmax(t, 0), path->schedule->steps - 1);
    return (timed_level){.level = dmi_schedule_level(path->schedule, t), .timestep = t};
}

/* Half a step of diffusers, in whole timesteps. */
static int32_t half_step(const dmi_path *path) { return path->schedule->steps / path->steps / 2; }

static timed_level middle_of(const dmi_path *path, int32_t i) {
    double t = (path->timesteps[i] + path->timesteps[i + 1]) / 2;
    if (path->options->diffusers_compatible) t = path->timesteps[i + 1] + half_step(path);
    return level_at(path, t);
}

/* To which the first stage leads: the middle, which diffusers counts from the step's beginning. */
static dmi_level first_middle_of(const dmi_path *path, int32_t i) {
    if (!path->options->diffusers_compatible) return middle_of(path, i).level;
    return level_at(path, path->timesteps[i] - half_step(path)).level;
}

/* Whence the second stage of PLMS leads: diffusers counts back from where it leads to. */
static dmi_level plms_begin(const dmi_path *path, int32_t i) {
    int32_t length = path->schedule->steps / path->steps;
    dmi_level begin = level_at(path, path->timesteps[i + 1] + length).level;
    return path->options->diffusers_compatible && dmi_level_has_signal(begin) ? begin
                                                                              : path->levels[i];
}

static timed_level begin_of(const dmi_path *path, int32_t i) {
    return (timed_level){.level = path->levels[i], .timestep = path->timesteps[i]};
}

static int32_t pndm_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    static const double share[] = {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6};
    if (pndm_entries(path, i) == 1) {
        stages[0] = multistep(path, i, pndm_entries);
        return 1;
    }
    /* The four slopes of Runge-Kutta (eq. 13): at the beginning, twice in the middle, at the
     * end. */
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    timed_level middle = middle_of(path, i);
    stages[0] = inner_stage(path, DMI_X, begin_of(path, i), from, first_middle_of(path, i));
    stages[1] = inner_stage(path, DMI_SAVED_X, middle, from, middle.level);
    stages[2] = inner_stage(path, DMI_SAVED_X, middle, from, to);
    stages[3] = last_stage(path, i, from, share, 4);
    return 4;
}

static int32_t plms_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    static const double share[] = {1.0 / 2, 1.0 / 2};
    dmi_level from = path->levels[i];
    if (i > path->first || path->steps - i == 1 || !dmi_level_has_signal(from)) {
        stages[0] = multistep(path, i, plms_entries);
        return 1;
    }
    stages[0] = inner_stage(path, DMI_X, begin_of(path, i), from, dmi_level_after(path, i));
    stages[1] = last_stage(path, i, plms_begin(path, i), share, 2);
    return 2;
}

/* With trailing spacing on the cosine schedule, the extrapolation from the first sigmas, which are
 * in the thousands, leaves noise in the images; leading spacing begins below them. */
const dmi_solver dmi_solver_pndm = {
    .stages_max = 4,
    .history_size = DMI_HISTORY_MAX,
    .multistep = true,
    .history_holds_eps = true,
    .eps_from_clipped_x0 = true,
    .steps_min = RUNGE_KUTTA_STEPS + 1,
    .default_spacing = DM_SPACING_LEADING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = pndm_step,
};

const dmi_solver dmi_solver_plms = {
    .stages_max = 2,
    .history_size = 3,
    .multistep = true,
    .history_holds_eps = true,
    .eps_from_clipped_x0 = true,
    .default_spacing = DM_SPACING_LEADING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = plms_step,
};
