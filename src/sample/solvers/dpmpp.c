/* DPM-Solver++ (Lu et al. 2022), multistep: the exact solution of the linear part over lambda =
 * log(signal / noise), and x_0 as the polynomial through its last values. For the ordinary equation
 * (algorithm 2) and the stochastic one (appendix B.6). */
#include <math.h>

#include "sample/solver.h"

/* A step of h in lambda from level i. `left` is exp(-h), also where h is infinite. */
typedef struct lambda_step {
    dmi_level from, to;
    double h, left;
} lambda_step;

static lambda_step lambda_step_of(dmi_level from, dmi_level to) {
    return (lambda_step){.from = from,
                         .to = to,
                         .h = dmi_level_lambda(to) - dmi_level_lambda(from),
                         .left = from.signal / from.noise * (to.noise / to.signal)};
}

/* 1 / r, r the length of the step that ends at level i against h; 0 where that began without a
 * signal. */
static double inverse_ratio(const dmi_path *path, int32_t i, double h) {
    return h / (dmi_level_lambda(path->levels[i]) - dmi_level_lambda(path->levels[i - 1]));
}

/* Adds factor times (x_0 now - x_0 a step ago), or of the step before that. */
static void add_difference(dmi_sum *sum, int32_t newer, int32_t older, double factor) {
    sum->of[newer] += factor;
    sum->of[older] -= factor;
}

/* Falls to first order at the end of a short run, whose last steps are too long for more. */
static bool falls(const dmi_path *path) {
    enum { SHORT_RUN = 15 };
    return path->options->lower_order_final && path->steps < SHORT_RUN;
}

static int32_t ode_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    lambda_step s = lambda_step_of(path->levels[i], path->levels[i + 1]);
    int32_t order = dmi_order_at(path, i, falls(path));
    double grown = s.to.signal * (1 - s.left);
    stages[0] = dmi_stage_at(path, i);
    stages[0].remembers = true;
    stages[0].remember[0] = 1;
    dmi_sum *move = &stages[0].move;
    move->of[DMI_X] = s.to.noise / s.from.noise;
    move->of[DMI_X0] = grown;
    if (order == 1) return 1;
    double first = inverse_ratio(path, i, s.h); /* of the first derivative's difference */
    if (order == 2) {
        add_difference(move, DMI_X0, DMI_MEMORY, 0.5 * grown * first);
        return 1;
    }
    double second = inverse_ratio(path, i - 1, s.h), r0 = 1 / first, r1 = 1 / second,
           both = r0 + r1;
    /* D1 = a + r0 / (r0 + r1) (a - b) and D2 = 2 (a - b) / (r0 + r1), a and b the two divided
     * differences, stand for the first and second derivative times h and h^2. The authors' code
     * lacks the 2, and so ends up with order 2. */
    double by_d1 = s.to.signal * ((s.left - 1) / s.h + 1),
           by_d2 = -2 * s.to.signal * ((s.left - 1 + s.h) / (s.h * s.h) - 0.5);
    double of_a = by_d1 * (1 + r0 / both) + by_d2 / both, of_b = -by_d1 * r0 / both - by_d2 / both;
    add_difference(move, DMI_X0, DMI_MEMORY, of_a * first);
    add_difference(move, DMI_MEMORY, DMI_MEMORY + 1, of_b * second);
    return 1;
}

static int32_t sde_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    lambda_step s = lambda_step_of(path->levels[i], path->levels[i + 1]);
    int32_t order = dmi_order_at(path, i, falls(path));
    double grown = s.to.signal * (1 - s.left * s.left);
    stages[0] = dmi_stage_at(path, i);
    stages[0].remembers = true;
    stages[0].remember[0] = 1;
    dmi_sum *move = &stages[0].move;
    move->of[DMI_X] = s.to.noise / s.from.noise * s.left;
    move->of[DMI_X0] = grown;
    move->noise =
        s.to.noise * sqrt(fmax(1 - s.left * s.left,
                               0)); /* of a step that leads nowhere, left may round above 1 */
    if (order == 2)
        add_difference(move, DMI_X0, DMI_MEMORY, 0.5 * grown * inverse_ratio(path, i, s.h));
    return 1;
}

const dmi_solver dmi_solver_dpmpp = {
    .name = "dpmpp",
    .advice = "few steps: 10 to 25, one question each; order 2 for guidance, 3 without",
    .order = 2,
    .order_most = 3,
    .stages = 1,
    .memory = 2,
    .multistep = true,
    .rederives = true,
    .has_grid = true,
    .step = ode_step,
};

const dmi_solver dmi_solver_dpmpp_sde = {
    .name = "dpmpp_sde",
    .advice =
        "as dpmpp with fresh noise: 20 to 50 steps, finer detail, never settles on one picture",
    .order = 2,
    .order_most = 2,
    .stages = 1,
    .memory = 1,
    .multistep = true,
    .rederives = true,
    .has_grid = true,
    .step = sde_step,
};
