/* SPDX-License-Identifier: MIT */
/* Kernels on the columns of a matrix: sums and products over its rows, a factor for each column,
 * and standardization to mean 0 and variance 1. Columns are channels; rows are pixels, or the
 * inputs of a filter. */
#include "base/math.h"
#include "kernels/column_sums.h"
#include "kernels/families.h"
#include "kernels/vector_math.h"

/* total [columns] = the sum over the rows of x * y (row stride both); at most DMI_COLUMNS columns.
 */
static void dots(double *restrict total, const float *restrict x, const float *restrict y,
                 size_t stride, size_t rows, size_t columns) {
    float sum[DMI_COLUMNS];
    memset(total, 0, columns * sizeof *total);
    for (size_t r0 = 0; r0 < rows; r0 += DMI_FLOAT_ROWS) {
        size_t r1 = dmi_min_size(rows, r0 + DMI_FLOAT_ROWS);
        memset(sum, 0, sizeof sum);
        for (size_t r = r0; r < r1; r++) {
            const float *a = x + r * stride, *b = y + r * stride;
            for (size_t i = 0; i < columns; i++) sum[i] += a[i] * b[i];
        }
        for (size_t i = 0; i < columns; i++) total[i] += sum[i];
    }
}

void DMI_KERNEL(column_dots)(float *sum, const float *x, const float *y, size_t stride, size_t rows,
                             size_t columns, double factor) {
    double total[DMI_COLUMNS];
    for (size_t c0 = 0; c0 < columns; c0 += DMI_COLUMNS) {
        size_t width = dmi_min_size(columns - c0, DMI_COLUMNS);
        if (y) dots(total, x + c0, y + c0, stride, rows, width);
        else dmi_column_sums(total, x + c0, stride, rows, width);
        for (size_t c = 0; c < width; c++) sum[c0 + c] = (float)(factor * total[c]);
    }
}

void DMI_KERNEL(scale_columns)(float *y, const float *x, const float *gain, const float *offset,
                               size_t rows, size_t columns, bool add) {
    static const float zero[DMI_COLUMNS];
    for (size_t r = 0; r < rows; r++, y += columns, x += columns) {
        for (size_t c0 = 0; c0 < columns; c0 += DMI_COLUMNS) {
            size_t width = dmi_min_size(columns - c0, DMI_COLUMNS);
            const float *in = x + c0, *factor = gain + c0, *term = offset ? offset + c0 : zero;
            float *out = y + c0;
            if (add) {
                DMI_ELEMENTWISE
                for (size_t c = 0; c < width; c++) out[c] += in[c] * factor[c] + term[c];
                continue;
            }
            DMI_ELEMENTWISE
            for (size_t c = 0; c < width; c++) out[c] = in[c] * factor[c] + term[c];
        }
    }
}

/* total [columns] += the sum over the rows of (x - mean)^2. */
static void squared_deviations(double *restrict total, const float *restrict x,
                               const double *restrict mean, size_t stride, size_t rows,
                               size_t columns) {
    for (size_t r = 0; r < rows; r++, x += stride) {
        for (size_t i = 0; i < columns; i++) {
            double deviation = x[i] - mean[i];
            total[i] += deviation * deviation;
        }
    }
}

/* total [columns] += the sum over the rows of x, and `products` that of x * y. */
static void sums_and_products(double *restrict total, double *restrict products,
                              const float *restrict x, const float *restrict y, size_t stride,
                              size_t rows, size_t columns) {
    for (size_t r = 0; r < rows; r++, x += stride, y += stride) {
        for (size_t i = 0; i < columns; i++) {
            double value = x[i];
            total[i] += value;
            products[i] += value * y[i];
        }
    }
}

void DMI_KERNEL(standardize_forward)(float *y, float *rstd, const float *x, size_t stride,
                                     size_t rows, size_t columns, float eps) {
    double mean[DMI_COLUMNS], factor[DMI_COLUMNS];
    for (size_t c0 = 0; c0 < columns; c0 += DMI_COLUMNS) {
        size_t width = dmi_min_size(columns - c0, DMI_COLUMNS);
        memset(mean, 0, sizeof mean);
        memset(factor, 0, sizeof factor);
        for (size_t r = 0; r < rows; r++) {
            for (size_t c = 0; c < width; c++) mean[c] += x[r * stride + c0 + c];
        }
        for (size_t c = 0; c < width; c++) mean[c] /= (double)rows;
        squared_deviations(factor, x + c0, mean, stride, rows, width);
        for (size_t c = 0; c < width; c++) {
            factor[c] = 1 / sqrt(factor[c] / (double)rows + eps);
            rstd[c0 + c] = (float)factor[c];
        }
        for (size_t r = 0; r < rows; r++) {
            const float *in = x + r * stride + c0;
            float *out = y + r * stride + c0;
            DMI_ELEMENTWISE
            for (size_t c = 0; c < width; c++) out[c] = (float)((in[c] - mean[c]) * factor[c]);
        }
    }
}

void DMI_KERNEL(standardize_backward)(float *dx, const float *dy, const float *y, const float *rstd,
                                      size_t stride, size_t rows, size_t columns, bool add) {
    double mean[DMI_COLUMNS], product[DMI_COLUMNS];
    for (size_t c0 = 0; c0 < columns; c0 += DMI_COLUMNS) {
        size_t width = dmi_min_size(columns - c0, DMI_COLUMNS);
        memset(mean, 0, sizeof mean);
        memset(product, 0, sizeof product);
        sums_and_products(mean, product, dy + c0, y + c0, stride, rows, width);
        for (size_t c = 0; c < width; c++) {
            mean[c] /= (double)rows;
            product[c] /= (double)rows;
        }
        for (size_t r = 0; r < rows; r++) {
            const float *of_dy = dy + r * stride + c0, *of_y = y + r * stride + c0;
            float *out = dx + r * stride + c0;
            DMI_ELEMENTWISE
            for (size_t c = 0; c < width; c++) {
                double slope = rstd[c0 + c] * (of_dy[c] - mean[c] - of_y[c] * product[c]);
                out[c] = (float)(add ? out[c] + slope : slope);
            }
        }
    }
}
