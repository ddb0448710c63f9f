/* SPDX-License-Identifier: MIT */
/* The softmax of attention, on panels of DMI_SOFTMAX_COLUMNS columns that stay in L1 between two
 * products. Forward has a key per row and a query per column, so that maxima and sums are vectors
 * that are never reduced across lanes. Backward computes the probabilities again, with the gradient
 * of the scores, a query per row. Also dot products of rows. */
#include <math.h>
#include <string.h>

#include "kernels/families.h"
#include "kernels/product.h"
#include "kernels/transpose.h"
#include "kernels/vector_sums.h"

enum { COLUMNS = DMI_SOFTMAX_COLUMNS };

static inline vec broadcast(float x) { return (vec){0} + x; }

/* 2^(factor * x), for factor * x up to 127; 0 from -127 downwards; NaN stays NaN. The relative
 * error is below 1e-7, beyond that of factor * x.
 *
 * factor * x = k + r with |r| <= 1/2. Adding 1.5 * 2^23 + 127 rounds to an integer and leaves k +
 * 127 in the low bits, which is the exponent of 2^k, or 0 for k = -127. 2^r = 1 + r q(r), q being
 * the minimax polynomial for the relative error, which is 2e-9. */
static inline vec power_of_two(vec x, float factor) {
    typedef uint32_t bits __attribute__((vector_size(sizeof(vec))));
    const float shift = 12582912.0f + 127.0f;
    x = dmi_max_vec(broadcast(-127.0f / factor), x);
    vec shifted = x * factor + shift, r = x * factor - (shifted - shift);
    vec q = r * 1.53533620e-4f + 1.33988739e-3f;
    q = q * r + 9.61843692e-3f;
    q = q * r + 5.55033237e-2f;
    q = q * r + 2.40226477e-1f;
    q = q * r + 6.93147182e-1f;
    return (q * r + 1.0f) * (vec)((bits)shifted << 23);
}

/* The factor of power_of_two for exp(scale * x) = 2^(scale * log2(e) * x). */
static inline float base_two_factor(float scale) { return scale * 1.44269504f; }

/* The maximum over the rows of s [rows][W], which are COLUMNS floats apart. */
static vec column_max(const float *s, size_t rows) {
    vec top[4];
    size_t i = 0;
    for (int32_t k = 0; k < 4; k++) top[k] = load(s);
    for (; i + 4 <= rows; i += 4) {
        DMI_UNROLL
        for (size_t k = 0; k < 4; k++) top[k] = dmi_max_vec(load(s + (i + k) * COLUMNS), top[k]);
    }
    for (; i < rows; i++) top[0] = dmi_max_vec(load(s + i * COLUMNS), top[0]);
    return dmi_max_vec(dmi_max_vec(top[0], top[1]), dmi_max_vec(top[2], top[3]));
}

/* s = 2^(factor * (s - max)), s [rows][W] as above; returns the sum over the rows. */
static vec column_powers(float *s, vec max, float factor, size_t rows) {
    vec sum[4] = {{0}, {0}, {0}, {0}};
    size_t i = 0;
    for (; i + 4 <= rows; i += 4) {
        DMI_UNROLL
        for (size_t k = 0; k < 4; k++) {
            vec p = power_of_two(load(s + (i + k) * COLUMNS) - max, factor);
            store(s + (i + k) * COLUMNS, p);
            sum[k] += p;
        }
    }
    for (; i < rows; i++) {
        vec p = power_of_two(load(s + i * COLUMNS) - max, factor);
        store(s + i * COLUMNS, p);
        sum[0] += p;
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void DMI_KERNEL(softmax_block)(float *s, float *o, float *max, float *sum, float scale,
                               int32_t keys, int32_t width, bool first) {
    float factor = base_two_factor(scale);
    for (int32_t at = 0; at < COLUMNS; at += W) {
        vec top = column_max(s + at, (size_t)keys), old = load(max + at);
        if (!first) top = dmi_max_vec(old, top);
        store(max + at, top);
        vec added = column_powers(s + at, top, factor, (size_t)keys);
        if (first) {
            store(sum + at, added);
            continue;
        }
        vec rescale = power_of_two(old - top, factor);
        store(sum + at, load(sum + at) * rescale + added);
        for (size_t i = 0; i < (size_t)width; i++)
            store(o + i * COLUMNS + at, load(o + i * COLUMNS + at) * rescale);
    }
}

void DMI_KERNEL(softmax_finish)(float *o, float *lse, const float *max, const float *sum,
                                float scale, int32_t width, int32_t queries) {
    for (int32_t at = 0; at < COLUMNS; at += W) {
        vec inverse = 1.0f / load(sum + at);
        for (size_t i = 0; i < (size_t)width; i++)
            store(o + i * COLUMNS + at, load(o + i * COLUMNS + at) * inverse);
    }
    for (int32_t i = 0; i < queries; i++) lse[i] = max[i] + logf(sum[i]) / scale;
}

void DMI_KERNEL(softmax_gradient)(float *s, float *dp, const float *lse, const float *delta,
                                  float scale, int32_t rows) {
    float factor = base_two_factor(scale);
    for (int32_t r = 0; r < rows; r++, s += COLUMNS, dp += COLUMNS) {
        vec l = broadcast(lse[r]), d = broadcast(delta[r]);
        DMI_UNROLL
        for (int32_t at = 0; at < COLUMNS; at += W) {
            vec p = power_of_two(load(s + at) - l, factor);
            store(s + at, p);
            store(dp + at, p * scale * (load(dp + at) - d));
        }
    }
}

void DMI_KERNEL(rows_to_panel)(float *panel, const float *x, size_t stride, int32_t rows,
                               int32_t width) {
    if (rows < COLUMNS) memset(panel, 0, (size_t)width * COLUMNS * sizeof *panel);
    dmi_transpose(panel, COLUMNS, x, stride, rows, width, false);
}

void DMI_KERNEL(panel_to_rows)(float *y, size_t stride, const float *panel, int32_t rows,
                               int32_t width, bool add) {
    dmi_transpose(y, stride, panel, COLUMNS, width, rows, add);
}

void DMI_KERNEL(row_dot)(float *delta, const float *a, size_t sa, const float *b, size_t sb,
                         int32_t rows, int32_t columns) {
    if (columns >= W) {
        for (int32_t r = 0; r < rows; r++, a += sa, b += sb)
            delta[r] = dmi_dot(a, b, (size_t)columns);
        return;
    }
    for (int32_t r = 0; r < rows; r++, a += sa, b += sb) {
        float sum = 0;
        for (int32_t i = 0; i < columns; i++) sum += a[i] * b[i];
        delta[r] = sum;
    }
}
