/* The rows of the table: what each figure is, its target, and its value for one
 * comparison. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <stddef.h>

#include "bench.h"

typedef enum target_kind { RATIO_AT_MOST, RATIO_AT_LEAST, OURS_AT_MOST } target_kind;

typedef struct figure {
    const char *name, *title, *unit, *format;
    target_kind kind;
    double target, least; /* least: what must be reached, where the target is more than that */
} figure;

enum { TRAIN_STEP, FORWARD, DDIM, MEMORY, SGEMM_RATE, THREADS, STARTUP, FIGURES };

/* What one row shows. ratio is 0 where there is no peer. */
typedef struct row {
    const figure *figure;
    summary ours, peer;
    char peer_mode[64];
    double ratio, ratio_low, ratio_high; /* of the medians; of the single rounds */
} row;

void rows_fill(row rows[FIGURES], const comparison *c);
/* 1 or 0: whether it reaches `target`, one of its figure's; -1 where there is nothing to
 * compare. */
int row_reaches(const row *r, double target);
/* The series of a party at this offset. */
const series *series_at(const party *p, size_t offset);
/* Of one value. */
summary single(double value);

#endif
