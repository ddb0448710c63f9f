/* Softmax over rows, its second computation from the stored logarithms of the sums, its gradient, and dot products of rows. */
#include "kernels/families.h"
#include "kernels/vector_math.h"

static float largest(const float *x, size_t n) {
    dmi_floats top = dmi_load_part(x, 0, -INFINITY);
    size_t i = 0;
    for (; i + DMI_LANES <= n; i += DMI_LANES) top = dmi_larger(dmi_load(x + i), top);
    if (i < n) top = dmi_larger(dmi_load_part(x + i, n - i, -INFINITY), top);
    float lanes[DMI_LANES];
    memcpy(lanes, &top, sizeof lanes);
    for (int l = 1; l < DMI_LANES; l++) lanes[0] = lanes[l] > lanes[0] ? lanes[l] : lanes[0];
    return lanes[0];
}

/* Lanes over pieces of a row in float, the pieces in double. */
static double total(const float *x, size_t n) {
    enum { PIECE = 64 * DMI_LANES };
    double sum = 0;
    while (n > 0) {
        size_t count = n < PIECE ? n : PIECE, i = 0;
        dmi_floats s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        for (; i + 4 * DMI_LANES <= count; i += 4 * DMI_LANES) {
            s0 += dmi_load(x + i);
            s1 += dmi_load(x + i + DMI_LANES);
            s2 += dmi_load(x + i + 2 * DMI_LANES);
            s3 += dmi_load(x + i + 3 * DMI_LANES);
        }
        for (; i + DMI_LANES <= count; i += DMI_LANES) s0 += dmi_load(x + i);
        if (i < count) s1 += dmi_load_part(x + i, count - i, 0);
        sum += dmi_sum_lanes((s0 + s1) + (s2 + s3));
        x += count;
        n -= count;
    }
    return sum;
}

/* s = exp(scale * s - m) */
static void exponentials(float *s, float scale, float m, size_t n) {
    for (size_t i = 0; i < n; i++) s[i] = dmi_exp(scale * s[i] - m);
}

void DMI_KERNEL(softmax_rows)(float *s, float *lse, float scale, int32_t rows, int32_t columns) {
    size_t n = (size_t)columns;
    for (int32_t r = 0; r < rows; r++, s += n) {
        DMI_ELEMENTWISE
        for (size_t i = 0; i < n; i++) s[i] *= scale;
        float m = largest(s, n);
        exponentials(s, 1.0f, m, n);
        double sum = total(s, n);
        float factor = (float)(1.0 / sum);
        for (size_t i = 0; i < n; i++) s[i] *= factor;
        lse[r] = (float)(m + log(sum));
    }
}

void DMI_KERNEL(softmax_again)(float *s, const float *lse, float scale, int32_t rows, int32_t columns) {
    for (int32_t r = 0; r < rows; r++) exponentials(s + (size_t)r * (size_t)columns, scale, lse[r], (size_t)columns);
}

void DMI_KERNEL(softmax_backward)(float *dp, const float *p, const float *delta, float scale, int32_t rows, int32_t columns) {
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
