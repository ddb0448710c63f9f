/* What solvers share: sums that several use, and how a network's output is read as x_0 and eps. */
#include <math.h>

#include "sample/solver.h"

dmi_stage dmi_stage_at(const dmi_path *path, int32_t i) {
    return (dmi_stage){.at = path->levels[i], .ends_step = true};
}

/* Below this, 1 / signal nears the end of float's range: x is noise alone. */
static const double signal_least = 1e-30;

bool dmi_level_has_signal(dmi_level level) { return level.signal >= signal_least; }

double dmi_level_lambda(dmi_level level) { return log(level.signal) - log(level.noise); }

dmi_sum dmi_sum_straight(dmi_level to) {
    return (dmi_sum){.of = {[DMI_X0] = to.signal, [DMI_EPS] = to.noise}};
}

double dmi_sum_along(dmi_sum *sum, int32_t x, dmi_level from, dmi_level to) {
    *sum = (dmi_sum){.of = {0}};
    sum->of[x] = to.signal / from.signal;
    return to.signal * (dmi_level_sigma(to) - dmi_level_sigma(from));
}

double dmi_variance_between(dmi_level from, dmi_level to) {
    double left = from.signal / to.signal;
    return fmax(from.noise * from.noise - left * left * to.noise * to.noise,
                0); /* rounding may go below, where they are equal */
}

bool dmi_falls(const dmi_path *path, int32_t i) {
    return dmi_level_sigma(path->levels[i + 1]) < dmi_level_sigma(path->levels[i]);
}

int32_t dmi_order_at(const dmi_path *path, int32_t i, bool falls) {
    int32_t order = path->order, known = 0, left = path->steps - i;
    for (int32_t k = i; k >= path->first && dmi_level_has_signal(path->levels[k]) &&
                        (k == i || dmi_falls(path, k));
         k--)
        known++;
    if (known < order) order = known;
    if (falls && left < order) order = left;
    return order < 1 || !dmi_falls(path, i) || path->levels[i + 1].noise == 0 ? 1 : order;
}

/* Gauss's elimination with the largest pivot. */
bool dmi_solve_small(int32_t n, double a[][4], double *b) {
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

/* ---- readings: each inverts x = signal x_0 + noise eps with what the network predicts ---- */

/* Without a signal x_0 is taken as 0, the middle of its range. */
static dmi_reading read_eps(dmi_level at) {
    dmi_reading r = {.eps_output = 1, .input = 1};
    if (dmi_level_has_signal(at)) r.x0_x = 1 / at.signal, r.x0_output = -at.noise / at.signal;
    return r;
}

/* eps from an x_0 that is given; where there is no noise, eps is 0. */
static dmi_reading read_x0(dmi_level at) {
    dmi_reading r = {.x0_output = 1, .input = 1};
    if (at.noise > 0) r.eps_x = 1 / at.noise, r.eps_output = -at.signal / at.noise;
    return r;
}

/* Salimans and Ho 2022, appendix D: no division, so stable at both ends. */
static dmi_reading read_v(dmi_level at) {
    return (dmi_reading){.x0_x = at.signal,
                         .x0_output = -at.noise,
                         .eps_x = at.noise,
                         .eps_output = at.signal,
                         .input = 1};
}

/* Lipman et al. 2023: the output is eps - x_0. */
static dmi_reading read_flow(dmi_level at) {
    double all = at.signal + at.noise;
    return (dmi_reading){.x0_x = 1 / all,
                         .x0_output = -at.noise / all,
                         .eps_x = 1 / all,
                         .eps_output = at.signal / all,
                         .input = 1};
}

/* Karras et al. 2022, table 1. There the signal is 1. */
static dmi_reading read_edm(dmi_level at, double sigma_data) {
    double sigma = dmi_level_sigma(at), data = sigma_data * sigma_data, both = sigma * sigma + data,
           root = sqrt(both);
    return (dmi_reading){.x0_x = data / both / at.signal,
                         .x0_output = sigma * sigma_data / root,
                         .eps_x = sigma / both / at.signal,
                         .eps_output = -sigma_data / root,
                         .input = 1 / root / at.signal};
}

dmi_reading dmi_reading_at(dmi_level at, int32_t prediction, double sigma_data) {
    switch (prediction) {
        case DM_PREDICT_X0: return read_x0(at);
        case DM_PREDICT_V: return read_v(at);
        case DM_PREDICT_FLOW: return read_flow(at);
        case DM_PREDICT_EDM: return read_edm(at, sigma_data);
        default: return read_eps(at);
    }
}
