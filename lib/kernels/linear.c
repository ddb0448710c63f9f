/* SPDX-License-Identifier: MIT */
/* Products of vectors with a matrix w [in, out], forward and both gradients. Sums over the rows of
 * w or over the batch are taken in order for each column, so no partition of the work changes a
 * bit. */
#include "base/math.h"
#include "kernels/families.h"
#include "kernels/vector_sums.h"

enum {
    COLUMNS = 64, /* columns at a time, whose sums stay in L1 */
    ROWS_OF_W = 4 /* rows of dw at a time, whose sums of two vectors each stay in registers */
};

/* sum [width] += a [count] b [count, width], in order; sa and sb are the strides of a and of the
 * rows of b; width is at most COLUMNS. */
static inline void add_product(float *restrict sum, const float *restrict a, size_t sa,
                               const float *restrict b, size_t sb, size_t count, size_t width) {
    size_t k = 0;
    for (; k + 4 <= count; k += 4, a += 4 * sa, b += 4 * sb) {
        const float a0 = a[0], a1 = a[sa], a2 = a[2 * sa], a3 = a[3 * sa];
        for (size_t c = 0; c < width; c++) {
            float s = sum[c] + a0 * b[c];
            s += a1 * b[sb + c];
            s += a2 * b[2 * sb + c];
            sum[c] = s + a3 * b[3 * sb + c];
        }
    }
    for (; k < count; k++, a += sa, b += sb) {
        for (size_t c = 0; c < width; c++) sum[c] += a[0] * b[c];
    }
}

void DMI_KERNEL(linear_forward)(float *y, const float *x, const float *w, const float *bias,
                                int32_t in, int32_t out, int32_t o0, int32_t o1) {
    float sum[COLUMNS];
    for (int32_t o = o0; o < o1; o += COLUMNS) {
        size_t width = (size_t)dmi_min(o1 - o, COLUMNS);
        memset(sum, 0, sizeof sum);
        add_product(sum, x, 1, w + o, (size_t)out, (size_t)in, width);
        for (size_t c = 0; c < width; c++)
            y[(size_t)o + c] = bias ? sum[c] + bias[(size_t)o + c] : sum[c];
    }
}

void DMI_KERNEL(linear_backward_x)(float *dx, const float *dy, const float *w, int32_t out,
                                   int32_t i0, int32_t i1, bool add) {
    for (int32_t i = i0; i < i1; i++) {
        float sum = dmi_dot(dy, w + (size_t)i * (size_t)out, (size_t)out);
        dx[i] = add ? dx[i] + sum : sum;
    }
}

/* dw [rows, 2 W] (row stride out) = (or +=) x [n, rows]^T dy [n, 2 W], with row strides in and out.
 */
static inline void gradient_block(float *dw, const float *x, const float *dy, size_t n, size_t in,
                                  size_t out, const int rows, bool add) {
    vec sum[ROWS_OF_W][2] = {{{0}}};
    for (size_t k = 0; k < n; k++, x += in, dy += out) {
        const vec left = load(dy), right = load(dy + W);
        for (int r = 0; r < rows; r++) {
            sum[r][0] += x[r] * left;
            sum[r][1] += x[r] * right;
        }
    }
    for (int r = 0; r < rows; r++, dw += out) {
        store(dw, add ? load(dw) + sum[r][0] : sum[r][0]);
        store(dw + W, add ? load(dw + W) + sum[r][1] : sum[r][1]);
    }
}

void DMI_KERNEL(linear_backward_w)(float *dw, const float *x, const float *dy, int32_t n,
                                   int32_t in, int32_t out, int32_t i0, int32_t i1, bool add) {
    const size_t batch = (size_t)n, rows_in = (size_t)in, columns = (size_t)out,
                 whole = columns - columns % (2 * W);
    float last[2 * W];
    for (int32_t i = i0; i < i1;) {
        const int rows = i1 - i < ROWS_OF_W ? 1 : ROWS_OF_W;
        for (size_t o = 0; o < whole; o += 2 * W) {
            float *to = dw + (size_t)i * columns + o;
            if (rows == ROWS_OF_W)
                gradient_block(to, x + i, dy + o, batch, rows_in, columns, ROWS_OF_W, add);
            else gradient_block(to, x + i, dy + o, batch, rows_in, columns, 1, add);
        }
        for (int end = i + rows; i < end; i++) {
            float *to = dw + (size_t)i * columns + whole;
            memset(last, 0, sizeof last);
            add_product(last, x + i, rows_in, dy + whole, columns, batch, columns - whole);
            for (size_t c = 0; c < columns - whole; c++) to[c] = add ? to[c] + last[c] : last[c];
        }
    }
}
