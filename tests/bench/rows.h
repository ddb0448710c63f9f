/* SPDX-License-Identifier: MIT */
/* The rows of the table: each metric, its target, and its value in one comparison. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <stddef.h>

#include "bench.h"

typedef enum target_kind { RATIO_MAX, RATIO_MIN, LIBRARY_MAX } target_kind;

typedef struct metric {
    const char *name, *title, *unit, *format;
    const char *precision;      /* of the library: fp32 or bf16 */
    const char *peer_precision; /* of the peers that are compared; NULL: of all */
    target_kind kind;
    double target; /* 0: none */
} metric;

enum {
    TRAIN_STEP,
    TRAIN_STEP_BF16,
    TRAIN_STEP_MIXED,
    FORWARD,
    FORWARD_BF16,
    DDIM,
    MEMORY,
    MEMORY_BF16,
    SGEMM_RATE,
    THREADS,
    STARTUP,
    METRICS
};

/* One row. ratio is 0 without a baseline. */
typedef struct row {
    const metric *metric;
    summary library, baseline;
    char baseline_mode[64];
    double target;                       /* the metric's, or that of a batch of one; 0: none */
    double ratio, ratio_low, ratio_high; /* of the medians; extremes over the rounds */
} row;

void rows_fill(row rows[METRICS], const comparison *c);
/* Whether it reaches its target: 1 or 0; -1 without a target or a baseline. */
int row_reaches(const row *r);
/* The series at this offset in a program under test. */
const series *series_at(const tested_program *p, size_t offset);
/* The summary of one value. */
summary single(double value);

#endif
