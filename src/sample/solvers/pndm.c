/* SPDX-License-Identifier: MIT */
/* Pseudo numerical methods (Liu et al. 2022): the slope over sigma is a weighted mean of eps
 * (eq. 11). */
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

/* Adams-Bashforth with eps now and at the beginnings of up to three steps before. */
static dmi_stage multistep(const dmi_path *path, int32_t i, history_entries *entries) {
    dmi_stage s = dmi_stage_at(path, i);
    int32_t order = i - path->first + 1 < 4 ? i - path->first + 1 : 4, entry = -1;
    s.pushes_history = true;
    s.history_eps = 1;
    if (!dmi_level_has_signal(path->levels[i])) {
        s.update = dmi_sum_at_level(path->levels[i + 1]);
        return s;
    }
    double distance = dmi_sum_begin_slope(&s.update, DMI_X, path->levels[i], path->levels[i + 1]);
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): order is 1 to 4 */
    s.update.factors[DMI_EPS] = distance * weights[order - 1][0];
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

/* A stage of a Runge-Kutta step: with eps at level `at`, from level `from` to `to`. x is DMI_X for
 * the first stage, which saves it, else DMI_SAVED_X. */
static dmi_stage inner_stage(int32_t x, timed_level at, dmi_level from, dmi_level to) {
    dmi_stage s = {.at = at.level,
                   .timestep = at.timestep,
                   .saves_x = x == DMI_X,
                   .pushes_history = true,
                   .history_eps = 1};
    double distance = dmi_sum_begin_slope(&s.update, x, from, to);
    s.update.factors[DMI_EPS] = distance;
    return s;
}

/* The last stage: from the saved x with the weighted mean of eps and of the history. */
static dmi_stage last_stage(const dmi_path *path, int32_t i, const double *share, int32_t count) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    dmi_stage s = dmi_stage_at(path, i + 1);
    double distance = dmi_sum_begin_slope(&s.update, DMI_SAVED_X, from, to);
    for (int32_t k = 0; k < count; k++)
        s.update.factors[k ? DMI_HISTORY + k - 1 : DMI_EPS] = distance * share[k];
    return s;
}

static timed_level middle_of(const dmi_path *path, int32_t i) {
    double t = (path->timesteps[i] + path->timesteps[i + 1]) / 2;
    return (timed_level){.level = dmi_schedule_level(path->schedule, t), .timestep = t};
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
    stages[0] = inner_stage(DMI_X, begin_of(path, i), from, middle.level);
    stages[1] = inner_stage(DMI_SAVED_X, middle, from, middle.level);
    stages[2] = inner_stage(DMI_SAVED_X, middle, from, to);
    stages[3] = last_stage(path, i, share, 4);
    return 4;
}

static int32_t plms_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    static const double share[] = {1.0 / 2, 1.0 / 2};
    dmi_level from = path->levels[i];
    if (i > path->first || path->steps - i == 1 || !dmi_level_has_signal(from)) {
        stages[0] = multistep(path, i, plms_entries);
        return 1;
    }
    stages[0] = inner_stage(DMI_X, begin_of(path, i), from, path->levels[i + 1]);
    stages[1] = last_stage(path, i, share, 2);
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
