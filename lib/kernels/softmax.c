/* Softmax over rows, computing it again from the stored logarithms of the sums, its gradient, and dot products of rows. */
#include "kernels/families.h"
#include "kernels/vector_math.h"
#include "kernels/vector_sums.h"

enum { PIECE = 1024 }; /* floats summed in float */

/* s = scale * s; returns the largest. */
static float scaled(float *s, float scale, size_t n) {
    vec top0 = (vec){0} - INFINITY, top1 = top0;
    size_t i = 0;
    for (; i + 2 * W <= n; i += 2 * W) {
        vec a = scale * load(s + i), b = scale * load(s + i + W);
        store(s + i, a);
        store(s + i + W, b);
        top0 = dmi_larger(a, top0);
        top1 = dmi_larger(b, top1);
    }
    float most = dmi_largest_lane(dmi_larger(top0, top1));
    for (; i < n; i++) {
        s[i] *= scale;
        most = s[i] > most ? s[i] : most;
    }
    return most;
}

static double total(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i += PIECE) sum += dmi_sum(x + i, n - i < PIECE ? n - i : PIECE);
    return sum;
}

/* s = exp(scale * s - m) */
static void exponentials(float *s, float scale, float m, size_t n) {
    for (size_t i = 0; i < n; i++) s[i] = dmi_exp(scale * s[i] - m);
}

void DMI_KERNEL(softmax_rows)(float *s, float *lse, float scale, int32_t rows, int32_t columns) {
    size_t n = (size_t)columns;
    for (int32_t r = 0; r < rows; r++, s += n) {
        float m = scaled(s, scale, n);
        exponentials(s, 1.0f, m, n);
        double sum = total(s, n);
        float factor = (float)(1.0 / sum);
        for (size_t i = 0; i < n; i++) s[i] *= factor;
        lse[r] = m + logf((float)sum);
    }
}

void DMI_KERNEL(softmax_again)(float *s, const float *lse, float scale, int32_t rows, int32_t columns) {
    for (int32_t r = 0; r < rows; r++) exponentials(s + (size_t)r * (size_t)columns, scale, lse[r], (size_t)columns);
}

void DMI_KERNEL(softmax_backward)(float *dp, const float *p, const float *delta, float scale, int32_t rows,
                                  int32_t columns) {
    size_t n = (size_t)columns;
    for (int32_t r = 0; r < rows; r++, dp += n, p += n) {
        float d = delta[r];
        DMI_ELEMENTWISE
        for (size_t i = 0; i < n; i++) dp[i] = scale * p[i] * (dp[i] - d);
    }
}

void DMI_KERNEL(row_dot)(float *delta, const float *a, size_t sa, const float *b, size_t sb, int32_t rows, int32_t columns) {
    for (int32_t r = 0; r < rows; r++, a += sa, b += sb) delta[r] = dmi_dot(a, b, (size_t)columns);
}
