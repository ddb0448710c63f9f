/* UniPC (Zhao et al. 2023) with B(h) = exp(h) - 1, predicting x_0: each question serves twice, to
 * correct the step that led to it (UniC) and to predict the next (UniP). */
#include <math.h>

#include "sample/solver.h"

enum { ORDER_MOST = 3 };

/* Of a step of h in lambda, negated as the paper's for x_0: phi_1(-h), and the vector b of eq. 5,
 * divided by B. */
typedef struct coefficients {
    double phi1, b[ORDER_MOST];
} coefficients;

static coefficients coefficients_of(double h, int32_t order) {
    coefficients c = {.phi1 = expm1(-h)};
    double phi = c.phi1 / -h - 1, factorial = 1;
    for (int32_t k = 0; k < order; k++) {
        c.b[k] = phi * factorial / c.phi1;
        factorial *= k + 2;
        phi = phi / -h - 1 / factorial;
    }
    return c;
}

static double lambda_at(const dmi_path *path, int32_t i) {
    return dmi_level_lambda(path->levels[i]);
}

/* The sum that leads from level i - 1 to level i. `x` is where it begins, begun[k] the x_0 of k
 * steps before its beginning, `end` that at its end, -1 for none: then it predicts. */
static void uni_sum(dmi_sum *sum, const dmi_path *path, int32_t i, int32_t order, int32_t x,
                    const int32_t *begun, int32_t end) {
    dmi_level from = path->levels[i - 1], to = path->levels[i];
    double h = lambda_at(path, i) - lambda_at(path, i - 1);
    *sum = (dmi_sum){.of = {0}};
    sum->of[x] = to.noise / from.noise;
    if (isinf(h)) { /* to the clean picture, or from noise alone */
        sum->of[begun[0]] = to.signal;
        return;
    }
    int32_t terms = end < 0 ? order - 1 : order;
    double ratios[ORDER_MOST], rows[4][4] = {{0}}, rho[4] = {0};
    coefficients c = coefficients_of(h, order);
    for (int32_t k = 0; k < order - 1; k++)
        ratios[k] = (lambda_at(path, i - 2 - k) - lambda_at(path, i - 1)) / h;
    ratios[order - 1] = 1;
    for (int32_t r = 0; r < terms; r++) {
        for (int32_t k = 0; k < terms; k++) rows[r][k] = pow(ratios[k], r);
        rho[r] = c.b[r];
    }
    /* The paper's choice for one unknown, which needs no equation. */
    if (terms == 1) rho[0] = 0.5;
    else if (!dmi_solve_small(terms, rows, rho)) terms = 0;
    sum->of[begun[0]] -= to.signal * c.phi1;
    for (int32_t k = 0; k < terms; k++) {
        double factor = -to.signal * c.phi1 * rho[k] / ratios[k];
        sum->of[k < order - 1 ? begun[k + 1] : end] += factor;
        sum->of[begun[0]] -= factor;
    }
}

static int32_t order_at(const dmi_path *path, int32_t i) {
    return dmi_order_at(path, i, path->options->lower_order_final);
}

static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    static const int32_t now[] = {DMI_X0, DMI_MEMORY, DMI_MEMORY + 1},
                         before[] = {DMI_MEMORY, DMI_MEMORY + 1, DMI_MEMORY + 2};
    stages[0] = dmi_stage_at(path, i);
    dmi_stage *s = &stages[0];
    s->saves = s->remembers = true;
    s->remember[0] = 1;
    if (i > path->first && dmi_level_has_signal(path->levels[i - 1])) {
        s->corrects = true;
        uni_sum(&s->correct, path, i, order_at(path, i - 1), DMI_SAVED, before, DMI_X0);
    }
    uni_sum(&s->move, path, i + 1, order_at(path, i), DMI_X, now, -1);
    return 1;
}

const dmi_solver dmi_solver_unipc = {
    .name = "unipc",
    .advice = "the fewest steps: 5 to 15, one question each",
    .order = 2,
    .order_most = ORDER_MOST,
    .stages = 1,
    .memory = 3,
    .multistep = true,
    .rederives = true,
    .has_grid = true,
    .step = step,
};
