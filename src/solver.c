/* The solvers that there are, and what all share: the reading of a network's prediction as x_0 and eps. */
#include "solver.h"

#include <math.h>

static const dmi_solver *const solvers[] = {&dmi_solver_ddpm, &dmi_solver_ddim};

const dmi_solver *dmi_solver_find(int32_t id) {
    for (size_t i = 0; i < sizeof solvers / sizeof solvers[0]; i++)
        if (solvers[i]->id == id) return solvers[i];
    return NULL;
}

/* x_0 and eps as sums of multiples of x_t and the prediction. */
typedef struct reading {
    double x0_x, x0_p, eps_x, eps_p;
} reading;

/* Below this, 1 / sqrt(a) nears the end of float's range. x_t is then noise alone and says nothing about x_0, which
 * is taken as 0, the middle of its range. */
static const double signal_least = 1e-60;

/* Each inverts x_t = sqrt(a) x_0 + sqrt(1-a) eps with the prediction given. `signal` is sqrt(a), `noise` sqrt(1-a);
 * where noise is 0, so is eps. */
static reading read_eps(double signal, double noise) {
    reading r = {.eps_p = 1};
    if (signal * signal >= signal_least) r.x0_x = 1 / signal, r.x0_p = -noise / signal;
    return r;
}

static reading read_x0(double signal, double noise) {
    reading r = {.x0_p = 1};
    if (noise > 0) r.eps_x = 1 / noise, r.eps_p = -signal / noise;
    return r;
}

/* Salimans and Ho 2022, appendix D: no division, so stable at both ends. */
static reading read_v(double signal, double noise) {
    return (reading){.x0_x = signal, .x0_p = -noise, .eps_x = noise, .eps_p = signal};
}

static reading (*const readings[])(double signal, double noise) = {
    [DM_PREDICT_EPS] = read_eps,
    [DM_PREDICT_X0] = read_x0,
    [DM_PREDICT_V] = read_v,
};

void dmi_solver_fold(const dmi_solver_step *step, double a, int32_t prediction, const dm_sampler_options *options,
                     dmi_solver_update *out) {
    double signal = sqrt(a), noise = sqrt(1 - a);
    reading r = readings[prediction](signal, noise);
    double keep = step->keep, start = step->start, direct = 0;
    if (options->rederive_eps && options->clip) {
        /* eps = (x_t - sqrt(a) x0) / sqrt(1-a) from the clipped x0: what x0's own prediction gives. */
        reading again = read_x0(signal, noise);
        keep += step->direction * again.eps_x;
        start += step->direction * again.eps_p;
    } else {
        keep += step->direction * r.eps_x;
        direct = step->direction * r.eps_p;
    }
    *out = (dmi_solver_update){
        .x0_x = (float)r.x0_x,
        .x0_prediction = (float)r.x0_p,
        .keep = (float)keep,
        .start = (float)start,
        .prediction = (float)direct,
        .noise = (float)step->noise,
        .clip = options->clip != 0,
    };
}
