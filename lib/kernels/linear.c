/* Products of vectors with a matrix w [in, out], forward and both gradients. Sums run over rows of w in order, or over
 * rows of the batch in order, in blocks of columns that stay in registers. */
#include "kernels/families.h"
#include "kernels/vector_math.h"

enum { COLUMNS = 64 };

/* sum[c] += sum over k of a[k * sa] * b[k * sb + c], k in order; width at most COLUMNS. */
static inline void multiply_add(float *restrict sum, const float *restrict a, size_t sa, const float *restrict b, size_t sb,
                                size_t count, size_t width) {
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

void DMI_KERNEL(linear_forward)(float *y, const float *x, const float *w, const float *bias, int32_t in, int32_t out,
                                int32_t o0, int32_t o1) {
    float sum[COLUMNS];
    for (int32_t o = o0; o < o1; o += COLUMNS) {
        size_t width = (size_t)(o1 - o < COLUMNS ? o1 - o : COLUMNS);
        memset(sum, 0, sizeof sum);
        multiply_add(sum, x, 1, w + o, (size_t)out, (size_t)in, width);
        for (size_t c = 0; c < width; c++) y[(size_t)o + c] = bias ? sum[c] + bias[(size_t)o + c] : sum[c];
    }
}

void DMI_KERNEL(linear_backward_x)(float *dx, const float *dy, const float *w, int32_t out, int32_t i0, int32_t i1, bool add) {
    for (int32_t i = i0; i < i1; i++) {
        float sum = dmi_dot(dy, w + (size_t)i * (size_t)out, (size_t)out);
        dx[i] = add ? dx[i] + sum : sum;
    }
}

void DMI_KERNEL(linear_backward_w)(float *dw, const float *x, const float *dy, int32_t n, int32_t in, int32_t out, int32_t i0,
                                   int32_t i1, bool add) {
    float sum[COLUMNS];
    for (int32_t i = i0; i < i1; i++) {
        float *row = dw + (size_t)i * (size_t)out;
        for (int32_t o = 0; o < out; o += COLUMNS) {
            size_t width = (size_t)(out - o < COLUMNS ? out - o : COLUMNS);
            memset(sum, 0, sizeof sum);
            multiply_add(sum, x + i, (size_t)in, dy + o, (size_t)out, (size_t)n, width);
            for (size_t c = 0; c < width; c++) row[(size_t)o + c] = add ? row[(size_t)o + c] + sum[c] : sum[c];
        }
    }
}
