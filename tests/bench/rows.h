/* The rows of the table: each figure, its target, and its value in one comparison. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <stddef.h>

#include "bench.h"

typedef enum target_kind { RATIO_MAX, RATIO_MIN, OURS_MAX } target_kind;

typedef struct figure {
    const char *name, *title, *unit, *format;
    target_kind kind;
    double target, required; /* `required` may be weaker than the target */
} figure;

enum { TRAIN_STEP, FORWARD, DDIM, MEMORY, SGEMM_RATE, THREADS, STARTUP, FIGURES };

/* One row. ratio is 0 without a peer. */
typedef struct row {
    const figure *figure;
    summary ours, peer;
    char peer_mode[64];
    double ratio, ratio_low, ratio_high; /* of the medians; extremes over the rounds */
} row;

void rows_fill(row rows[FIGURES], const comparison *c);
/* Whether it reaches `target`, the figure's target or required value: 1 or 0; -1 without a peer. */
int row_reaches(const row *r, double target);
/* The series at this offset in a party. */
const series *series_at(const party *p, size_t offset);
/* The summary of one value. */
summary single(double value);

#endif
