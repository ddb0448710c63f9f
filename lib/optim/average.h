/* How fast a moving average of the weights forgets: average = d average + (1 - d) weights, with
 * another decay d for each step. */
#ifndef DMI_OPTIM_AVERAGE_H
#define DMI_OPTIM_AVERAGE_H

#include <stdbool.h>
#include <stdint.h>

/* The most averages of one optimiser. */
enum { DMI_AVERAGES = 4 };

typedef struct dmi_average {
    double decay; /* d */
    bool warmup;  /* it is at most (1 + step) / (10 + step), so that early weights are forgotten */
    double half_life; /* above 0: in place of both, after so many pictures half is forgotten */
    double rampup;    /* the half-life is at most this times the pictures before the step; 0: not
                         limited */
} dmi_average;

/* 1 - d, the share of the weights, of step `step`, counted from 1, which sees `pictures` after
 * `before` others. */
double dmi_average_fresh(const dmi_average *average, uint64_t step, uint64_t pictures,
                         uint64_t before);

#endif
