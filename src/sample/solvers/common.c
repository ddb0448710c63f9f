/* SPDX-License-Identifier: MIT */
/* What several solvers use. */
#include <math.h>

#include "diffusion/schedule.h"
#include "sample/solver.h"

dmi_stage dmi_stage_at(const dmi_path *path, int32_t i) {
    return (dmi_stage){.at = path->levels[i], .timestep = path->timesteps[i]};
}

dmi_level dmi_level_after(const dmi_path *path, int32_t i) {
    if (!path->options->diffusers_compatible || !dmi_schedule_has_betas(path->schedule))
        return path->levels[i + 1];
    const int32_t step = path->schedule->steps / path->steps;
    double t = path->timesteps[i] - step;
    return t < 0 ? path->levels[path->steps] : dmi_schedule_level(path->schedule, t);
}

dmi_sum dmi_sum_at_level(dmi_level to) {
    return (dmi_sum){.factors = {[DMI_X0] = to.signal, [DMI_EPS] = to.noise}};
}

double dmi_sum_begin_slope(dmi_sum *sum, int32_t x, dmi_level from, dmi_level to) {
    *sum = (dmi_sum){.factors = {0}};
    sum->factors[x] = to.signal / from.signal;
    return to.signal * (dmi_level_sigma(to) - dmi_level_sigma(from));
}

bool dmi_step_lowers_sigma(const dmi_path *path, int32_t i) {
    return dmi_level_sigma(path->levels[i + 1]) < dmi_level_sigma(path->levels[i]);
}

int32_t dmi_multistep_order(const dmi_path *path, int32_t i, bool lower_at_end) {
    int32_t order = path->order, usable = 0, left = path->steps - i;
    for (int32_t k = i; k >= path->first && dmi_level_has_signal(path->levels[k]) &&
                        (k == i || dmi_step_lowers_sigma(path, k));
         k--)
        usable++;
    if (usable < order) order = usable;
    if (lower_at_end && left < order) order = left;
    return order < 1 || !dmi_step_lowers_sigma(path, i) || path->levels[i + 1].noise == 0 ? 1
                                                                                          : order;
}

bool dmi_few_steps(const dmi_path *path) {
    enum { FEW_STEPS = 15 };
    return path->options->lower_order_final && path->steps < FEW_STEPS;
}

/* Gaussian elimination with partial pivoting. */
bool dmi_solve_linear(int32_t n, double a[][4], double *b) {
    for (int32_t i = 0; i < n; i++) {
        int32_t best = i;
        for (int32_t r = i + 1; r < n; r++)
            if (fabs(a[r][i]) > fabs(a[best][i])) best = r;
        if (!(fabs(a[best][i]) > 0)) return false;
        for (int32_t c = 0; c < n; c++) {
            double swap = a[i][c];
            a[i][c] = a[best][c], a[best][c] = swap;
        }
        double swap = b[i];
        b[i] = b[best], b[best] = swap;
        for (int32_t r = i + 1; r < n; r++) {
            double factor = a[r][i] / a[i][i];
            for (int32_t c = i; c < n; c++) a[r][c] -= factor * a[i][c];
            b[r] -= factor * b[i];
        }
    }
    for (int32_t i = n - 1; i >= 0; i--) {
        for (int32_t c = i + 1; c < n; c++) b[i] -= a[i][c] * b[c];
        b[i] /= a[i][i];
    }
    return true;
}
