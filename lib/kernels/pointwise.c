/* SPDX-License-Identifier: MIT */
/* Element-wise kernels: sums, scaling, dropout; and copies of and sums over rows. */
#include "base/math.h"
#include "kernels/column_sums.h"
#include "kernels/families.h"
#include "kernels/vector_math.h"

void DMI_KERNEL(add)(float *y, const float *a, const float *b, size_t n) {
    DMI_ELEMENTWISE
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

void DMI_KERNEL(scale)(float *y, const float *x, float factor, size_t n) {
    DMI_ELEMENTWISE
    for (size_t i = 0; i < n; i++) y[i] = factor * x[i];
}

void DMI_KERNEL(affine)(float *y, const float *x, float factor, float offset, size_t n, bool add) {
    if (add) {
        DMI_ELEMENTWISE
        for (size_t i = 0; i < n; i++) y[i] += factor * x[i] + offset;
        return;
    }
    DMI_ELEMENTWISE
    for (size_t i = 0; i < n; i++) y[i] = factor * x[i] + offset;
}

void DMI_KERNEL(divide)(float *y, const float *x, float divisor, size_t n, bool add) {
    if (add) {
        DMI_ELEMENTWISE
        for (size_t i = 0; i < n; i++) y[i] += x[i] / divisor;
        return;
    }
    DMI_ELEMENTWISE
    for (size_t i = 0; i < n; i++) y[i] = x[i] / divisor;
}

void DMI_KERNEL(copy_rows)(float *y, size_t sy, const float *x, size_t sx, size_t rows,
                           size_t columns, bool add) {
    for (size_t r = 0; r < rows; r++, y += sy, x += sx) {
        if (!add) {
            memmove(y, x, columns * sizeof *y);
            continue;
        }
        DMI_ELEMENTWISE
        for (size_t c = 0; c < columns; c++) y[c] += x[c];
    }
}

void DMI_KERNEL(sum_rows)(float *y, const float *x, size_t rows, size_t columns, bool add) {
    double total[DMI_COLUMNS];
    for (size_t c0 = 0; c0 < columns; c0 += DMI_COLUMNS) {
        size_t width = dmi_min_size(columns - c0, DMI_COLUMNS);
        dmi_column_sums(total, x + c0, columns, rows, width);
        for (size_t c = 0; c < width; c++)
            y[c0 + c] = (float)(add ? y[c0 + c] + total[c] : total[c]);
    }
}

void DMI_KERNEL(dropout)(float *y, const float *x, const uint32_t *words, uint32_t threshold,
                         float factor, size_t n, bool add) {
    if (add) {
        DMI_ELEMENTWISE
        for (size_t i = 0; i < n; i++) y[i] += x[i] * (words[i] >= threshold ? factor : 0.0f);
        return;
    }
    DMI_ELEMENTWISE
    for (size_t i = 0; i < n; i++) y[i] = x[i] * (words[i] >= threshold ? factor : 0.0f);
}
