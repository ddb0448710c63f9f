/* SPDX-License-Identifier: MIT */
/* Columns of a CSV file over steps, reduced to a number of points that can be drawn. The file may
 * have any length: the memory needed does not depend on it. */
#ifndef DIFFUSION_REPORT_CURVES_H
#define DIFFUSION_REPORT_CURVES_H

#include <stddef.h>
#include <stdint.h>

enum { CURVE_POINTS = 2000, CURVES_MAX = 16, CURVE_NAME_SIZE = 32 };

/* The values of one column in one range of steps. */
typedef struct curve_point {
    double step; /* the last one that has a value */
    double mean, low, high;
    double smooth; /* running mean up to that step, see curves.window */
    uint64_t rows; /* values in the range */
} curve_point;

typedef struct curve {
    char name[CURVE_NAME_SIZE]; /* of the column: letters, digits and underscores */
    curve_point *points;        /* [count], by step; only ranges with values */
    size_t count;               /* at most CURVE_POINTS */
} curve;

typedef struct curves {
    curve curve[CURVES_MAX];
    size_t count;
    double first, last; /* steps */
    uint64_t rows;
    /* The running mean is exponential with this time constant, in rows that have a value, and
     * corrected for its start as in Kingma and Ba 2015, section 3 (arXiv 1412.6980). */
    double window;
} curves;

/* Reads `path`: a line with the names of the columns, the first of which is "step", and a row for
 * each step. The range from the first to the last step is divided into CURVE_POINTS equal ranges.
 * Left out are rows without a step from 0 to 2^53, rows without a line end (they are still being
 * written), lines of more than 1022 bytes, values that are empty or not finite, columns whose name
 * has other characters or is longer, and columns after the first CURVES_MAX of values. A file that
 * is not there has no curves. 0, or 1 with a text in error; then there are no curves. */
int curves_read(curves *c, const char *path, char *error, size_t capacity);
/* The curve of that name, or NULL if there is none with points. */
const curve *curves_find(const curves *c, const char *name);
void curves_free(curves *c);

#endif
