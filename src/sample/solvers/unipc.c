/* SPDX-License-Identifier: MIT */
/* UniPC (Zhao et al. 2023) with B(h) = exp(h) - 1, predicting x_0: each model evaluation serves
 * twice, to correct the step before (UniC) and to predict the next (UniP). */
#include <math.h>

#include "sample/solver.h"

enum { ORDER_MAX = 3 };

/* For a step of length h in lambda: phi_1(-h), and the vector b of eq. 5 divided by B. The paper's
 * h is negated for the prediction of x_0. */
typedef struct coefficients {
    double phi1, b[ORDER_MAX];
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

/* The sum from level i - 1 to level i. `x` is the term of x at level i - 1, begin[k] that of x_0 at
 * level i - 1 - k, and `end` that of x_0 at level i for the corrector, -1 for the predictor. */
static void uni_sum(dmi_sum *sum, const dmi_path *path, int32_t i, int32_t order, int32_t x,
                    const int32_t *begin, int32_t end) {
    dmi_level from = path->levels[i - 1], to = path->levels[i];
    double h = lambda_at(path, i) - lambda_at(path, i - 1);
    *sum = (dmi_sum){.factors = {0}};
    sum->factors[x] = to.noise / from.noise;
    if (isinf(h)) { /* to the clean image, or from pure noise */
        sum->factors[begin[0]] = to.signal;
        return;
    }
    int32_t terms = end < 0 ? order - 1 : order;
    double ratios[ORDER_MAX], rows[4][4] = {{0}}, rho[4] = {0};
    coefficients c = coefficients_of(h, order);
    for (int32_t k = 0; k < order - 1; k++)
        ratios[k] = (lambda_at(path, i - 2 - k) - lambda_at(path, i - 1)) / h;
    ratios[order - 1] = 1;
    for (int32_t r = 0; r < terms; r++) {
        for (int32_t k = 0; k < terms; k++) rows[r][k] = pow(ratios[k], r);
        rho[r] = c.b[r];
    }
    /* The paper's choice for one unknown. */
    if (terms == 1) rho[0] = 0.5;
    else if (!dmi_solve_linear(terms, rows, rho)) terms = 0;
    sum->factors[begin[0]] -= to.signal * c.phi1;
    for (int32_t k = 0; k < terms; k++) {
        double factor = -to.signal * c.phi1 * rho[k] / ratios[k];
        sum->factors[k < order - 1 ? begin[k + 1] : end] += factor;
        sum->factors[begin[0]] -= factor;
    }
}

static int32_t order_at(const dmi_path *path, int32_t i) {
    return dmi_multistep_order(path, i, path->options->lower_order_final);
}

static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    static const int32_t now[] = {DMI_X0, DMI_HISTORY, DMI_HISTORY + 1},
                         before[] = {DMI_HISTORY, DMI_HISTORY + 1, DMI_HISTORY + 2};
    stages[0] = dmi_stage_at(path, i);
    dmi_stage *s = &stages[0];
    s->saves_x = s->pushes_history = true;
    s->history_x0 = 1;
    if (i > path->first && dmi_level_has_signal(path->levels[i - 1])) {
        s->has_corrector = true;
        uni_sum(&s->corrector, path, i, order_at(path, i - 1), DMI_SAVED_X, before, DMI_X0);
    }
    uni_sum(&s->update, path, i + 1, order_at(path, i), DMI_X, now, -1);
    return 1;
}

const dmi_solver dmi_solver_unipc = {
    .order = 2,
    .order_max = ORDER_MAX,
    .stages_max = 1,
    .history_size = 3,
    .multistep = true,
    .eps_from_clipped_x0 = true,
    .has_sigma_grid = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = step,
};
