/* Pseudo numerical methods (Liu et al. 2022): a slope is a weighted mean of eps, along which x goes
 * from one level to another (eq. 11). */
#include "sample/solver.h"

/* Adams and Bashforth's weights by the number of slopes known, the latest first (eq. 12). */
static const double weights[4][4] = {{1},
                                     {3.0 / 2, -1.0 / 2},
                                     {23.0 / 12, -16.0 / 12, 5.0 / 12},
                                     {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24}};

enum { RUNGE_KUTTA_STEPS = 3, REMEMBERED = 3 };

/* How many slopes step i leaves in the memory; the first of them is its own, at its beginning. */
typedef int32_t slopes_of(const dmi_path *path, int32_t i);

static int32_t runge_kutta_slopes(const dmi_path *path, int32_t i) {
    bool has_signal =
        dmi_level_has_signal(path->levels[i]) && dmi_level_has_signal(path->levels[i + 1]);
    return i - path->first < RUNGE_KUTTA_STEPS && has_signal && path->levels[i].noise > 0
               ? REMEMBERED
               : 1;
}

static int32_t one_slope(const dmi_path *path, int32_t i) {
    (void)path, (void)i;
    return 1;
}

/* eps now and at the beginnings of up to three steps before. */
static dmi_stage multistep(const dmi_path *path, int32_t i, slopes_of *slopes) {
    dmi_stage s = dmi_stage_at(path, i);
    int32_t known = i - path->first + 1 < 4 ? i - path->first + 1 : 4, place = -1;
    s.remembers = true;
    s.remember[1] = 1;
    if (!dmi_level_has_signal(path->levels[i])) {
        s.move = dmi_sum_straight(path->levels[i + 1]);
        return s;
    }
    double distance = dmi_sum_along(&s.move, DMI_X, path->levels[i], path->levels[i + 1]);
    s.move.of[DMI_EPS] = distance * weights[known - 1][0];
    for (int32_t k = 1; k < known; k++) {
        place += slopes(path, i - k);
        s.move.of[DMI_MEMORY + place] = distance * weights[known - 1][k];
    }
    return s;
}

/* A stage that asks at `at` and goes along eps from `from` to `to`; x is as it was saved, or here
 * for the first. */
static dmi_stage along(int32_t x, dmi_level at, dmi_level from, dmi_level to) {
    dmi_stage s = {.at = at, .saves = x == DMI_X, .remembers = true, .remember = {0, 1}};
    double distance = dmi_sum_along(&s.move, x, from, to);
    s.move.of[DMI_EPS] = distance;
    return s;
}

/* The last stage of a step: from x as it was saved, with shares of eps and of the memory. */
static dmi_stage mean(dmi_level from, dmi_level to, const double *share, int32_t count) {
    dmi_stage s = {.at = to, .ends_step = true};
    double distance = dmi_sum_along(&s.move, DMI_SAVED, from, to);
    for (int32_t k = 0; k < count; k++)
        s.move.of[k ? DMI_MEMORY + k - 1 : DMI_EPS] = distance * share[k];
    return s;
}

static dmi_level middle_of(const dmi_path *path, int32_t i) {
    return dmi_schedule_level(path->schedule, (path->timesteps[i] + path->timesteps[i + 1]) / 2);
}

static int32_t pndm_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    static const double share[] = {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6};
    if (runge_kutta_slopes(path, i) == 1) {
        stages[0] = multistep(path, i, runge_kutta_slopes);
        return 1;
    }
    /* Runge and Kutta's four slopes (eq. 13): at the beginning, twice in the middle, at the end. */
    dmi_level from = path->levels[i], to = path->levels[i + 1], middle = middle_of(path, i);
    stages[0] = along(DMI_X, from, from, middle);
    stages[1] = along(DMI_SAVED, middle, from, middle);
    stages[2] = along(DMI_SAVED, middle, from, to);
    stages[3] = mean(from, to, share, 4);
    return 4;
}

static int32_t plms_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    static const double share[] = {1.0 / 2, 1.0 / 2};
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    if (i > path->first || path->steps - i == 1 || !dmi_level_has_signal(from)) {
        stages[0] = multistep(path, i, one_slope);
        return 1;
    }
    stages[0] = along(DMI_X, from, from, to);
    stages[1] = mean(from, to, share, 2);
    return 2;
}

const dmi_solver dmi_solver_pndm = {
    .name = "pndm",
    .advice = "as plms with a costlier, more exact start; asks the network 9 times more",
    .stages = 4,
    .memory = DMI_MEMORY_MOST,
    .multistep = true,
    .keeps_eps = true,
    .rederives = true,
    .steps_least = RUNGE_KUTTA_STEPS + 1,
    .step = pndm_step,
};

const dmi_solver dmi_solver_plms = {
    .name = "plms",
    .advice =
        "20 to 50 steps, deterministic; early Stable Diffusion's default, since overtaken by dpmpp",
    .stages = 2,
    .memory = 3,
    .multistep = true,
    .keeps_eps = true,
    .rederives = true,
    .step = plms_step,
};
