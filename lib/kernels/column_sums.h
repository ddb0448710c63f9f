/* SPDX-License-Identifier: MIT */
/* Sums of columns: in float over a block of rows, in double across blocks, so that the error does
 * not grow with the number of rows and a large common value does not absorb small differences. */
#ifndef DMI_KERNELS_COLUMN_SUMS_H
#define DMI_KERNELS_COLUMN_SUMS_H

#include <stddef.h>
#include <string.h>

enum {
    DMI_COLUMNS = 64, /* columns at a time: their sums stay in L1, and each cache line of x is read
                         once */
    DMI_FLOAT_ROWS = 32 /* rows of a block, summed in float */
};

/* total [columns] = the sum over the rows of x [rows, columns] (row stride); at most DMI_COLUMNS
 * columns. */
static inline void dmi_column_sums(double *restrict total, const float *restrict x, size_t stride,
                                   size_t rows, size_t columns) {
    float sum[DMI_COLUMNS];
    memset(total, 0, columns * sizeof *total);
    for (size_t r0 = 0; r0 < rows; r0 += DMI_FLOAT_ROWS) {
        size_t r1 = rows - r0 < DMI_FLOAT_ROWS ? rows : r0 + DMI_FLOAT_ROWS, r = r0;
        memset(sum, 0, sizeof sum);
        for (; r + 4 <= r1; r += 4) {
            const float *a = x + r * stride, *b = a + stride, *c = b + stride, *d = c + stride;
            for (size_t i = 0; i < columns; i++) sum[i] += (a[i] + b[i]) + (c[i] + d[i]);
        }
        for (; r < r1; r++) {
            for (size_t i = 0; i < columns; i++) sum[i] += x[r * stride + i];
        }
        for (size_t i = 0; i < columns; i++) total[i] += sum[i];
    }
}

#endif
