/* The softmax of attention, on panels of DMI_SOFTMAX_COLUMNS columns that stand in L1 between two
 * products: forward one key a row and one query a column, so that maxima and sums are vectors,
 * never reduced across lanes; and in backward the probabilities again with the gradient of the
 * scores, one query a row. Also dot products of rows. */
#include <math.h>
#include <string.h>

#include "kernels/families.h"
#include "kernels/product.h"
#include "kernels/turn.h"
#include "kernels/vector_sums.h"

enum { COLUMNS = DMI_SOFTMAX_COLUMNS };

static inline vec all(float x) { return (vec){0} + x; }

/* x = k + r with |r| <= 1/2; adding 1.5 * 2^23 + 127 rounds to an integer and leaves k + 127 in the
 * low bits, which are the exponent of 2^k: 0 for k = -127. 2^r = 1 + r q(r), q the minimax
 * polynomial for the relative error, which is 2e-9. Relative error of 2^(factor * x) in all below
 * 1e-7 beyond that of factor * x; for factor * x from -127, where it is 0, to 127; not a number
 * stays so. */
static inline vec power_of_two(vec x, float factor) {
    typedef uint32_t bits __attribute__((vector_size(sizeof(vec))));
    const float shift = 12582912.0f + 127.0f;
    vec least = all(-127.0f / factor);
    x = dmi_larger(least, x);
    vec shifted = x * factor + shift, r = x * factor - (shifted - shift);
    vec q = r * 1.53533620e-4f + 1.33988739e-3f;
    q = q * r + 9.61843692e-3f;
    q = q * r + 5.55033237e-2f;
    q = q * r + 2.40226477e-1f;
    q = q * r + 6.93147182e-1f;
    return (q * r + 1.0f) * (vec)((bits)shifted << 23);
}

/* exp(scale * x) = 2^(scale * log2(e) * x) */
static inline float base_two(float scale) { return scale * 1.44269504f; }

/* Largest of a column of vectors, rows COLUMNS apart. */
static vec column_largest(const float *s, size_t rows) {
    vec top[4];
    size_t i = 0;
    for (int32_t k = 0; k < 4; k++) top[k] = load(s);
    for (; i + 4 <= rows; i += 4) {
        DMI_UNROLL
        for (size_t k = 0; k < 4; k++) top[k] = dmi_larger(load(s + (i + k) * COLUMNS), top[k]);
    }
    for (; i < rows; i++) top[0] = dmi_larger(load(s + i * COLUMNS), top[0]);
    return dmi_larger(dmi_larger(top[0], top[1]), dmi_larger(top[2], top[3]));
}

/* s = 2^(factor * (s - most)) of a column of vectors; returns their sum. */
static vec column_powers(float *s, vec most, float factor, size_t rows) {
    vec sum[4] = {{0}, {0}, {0}, {0}};
    size_t i = 0;
    for (; i + 4 <= rows; i += 4) {
        DMI_UNROLL
        for (size_t k = 0; k < 4; k++) {
            vec p = power_of_two(load(s + (i + k) * COLUMNS) - most, factor);
            store(s + (i + k) * COLUMNS, p);
            sum[k] += p;
        }
    }
    for (; i < rows; i++) {
        vec p = power_of_two(load(s + i * COLUMNS) - most, factor);
        store(s + i * COLUMNS, p);
        sum[0] += p;
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void DMI_KERNEL(softmax_block)(float *s, float *o, float *most, float *sum, float scale,
                               int32_t keys, int32_t width, bool first) {
    float factor = base_two(scale);
    for (int32_t at = 0; at < COLUMNS; at += W) {
        vec top = column_largest(s + at, (size_t)keys), before = load(most + at);
        if (!first) top = dmi_larger(before, top);
        store(most + at, top);
        vec added = column_powers(s + at, top, factor, (size_t)keys);
        if (first) {
            store(sum + at, added);
            continue;
        }
        vec kept = power_of_two(before - top, factor);
        store(sum + at, load(sum + at) * kept + added);
        for (size_t i = 0; i < (size_t)width; i++)
            store(o + i * COLUMNS + at, load(o + i * COLUMNS + at) * kept);
    }
}

void DMI_KERNEL(softmax_finish)(float *o, float *lse, const float *most, const float *sum,
                                float scale, int32_t width, int32_t queries) {
    for (int32_t at = 0; at < COLUMNS; at += W) {
        vec inverse = 1.0f / load(sum + at);
        for (size_t i = 0; i < (size_t)width; i++)
            store(o + i * COLUMNS + at, load(o + i * COLUMNS + at) * inverse);
    }
    for (int32_t i = 0; i < queries; i++) lse[i] = most[i] + logf(sum[i]) / scale;
}

void DMI_KERNEL(softmax_gradient)(float *s, float *dp, const float *lse, const float *delta,
                                  float scale, int32_t rows) {
    float factor = base_two(scale);
    for (int32_t r = 0; r < rows; r++, s += COLUMNS, dp += COLUMNS) {
        vec l = all(lse[r]), d = all(delta[r]);
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
    dmi_turn_over(panel, COLUMNS, x, stride, rows, width, false);
}

void DMI_KERNEL(panel_to_rows)(float *y, size_t stride, const float *panel, int32_t rows,
                               int32_t width, bool add) {
    dmi_turn_over(y, stride, panel, COLUMNS, width, rows, add);
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
