/* Group normalisation (Wu and He 2018) of one picture, with SiLU where asked, and its gradient. Channels are taken in spans
 * of whole groups that fit fixed arrays; sums run down the pixels of each channel, in float over a few pixels and then in
 * double, and are added up over a group's channels in double. */
#include "kernels/column_sums.h"
#include "kernels/families.h"
#include "kernels/vector_math.h"

enum {
    WIDTH = DMI_COLUMNS, /* channels at a time */
    WHOLE = 16           /* floats of the widest vector */
};

/* Channels of a span: whole groups, at most WIDTH channels and whole vectors if it can be; one group where it is wider. */
static int32_t span_channels(int32_t per_group) {
    int32_t most = WIDTH / per_group * per_group;
    for (int32_t span = most; span > 0; span -= per_group) {
        if (span % WHOLE == 0) return span;
    }
    return most > 0 ? most : per_group;
}

/* The group within a span of each channel of it; where a group is wider than WIDTH it is the span's only one. */
static void groups_of(int32_t *group, int32_t per_group) {
    for (int32_t i = 0; i < WIDTH; i++) group[i] = i / per_group;
}

static int32_t at_most(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* total[c] = sum over pixels of (x - mean)^2 */
static void square_deviations(double *restrict total, const float *restrict x, const float *restrict mean, size_t stride,
                              size_t pixels, size_t width) {
    float part[WIDTH];
    memset(total, 0, width * sizeof *total);
    for (size_t p0 = 0; p0 < pixels; p0 += DMI_FLOAT_ROWS) {
        size_t p1 = pixels - p0 < DMI_FLOAT_ROWS ? pixels : p0 + DMI_FLOAT_ROWS, p = p0;
        memset(part, 0, sizeof part);
        for (; p + 2 <= p1; p += 2) {
            const float *a = x + p * stride, *b = a + stride;
            for (size_t c = 0; c < width; c++) {
                float da = a[c] - mean[c], db = b[c] - mean[c];
                float s = da * da + part[c];
                part[c] = db * db + s;
            }
        }
        for (; p < p1; p++) {
            for (size_t c = 0; c < width; c++) {
                float d = x[p * stride + c] - mean[c];
                part[c] = d * d + part[c];
            }
        }
        for (size_t c = 0; c < width; c++) total[c] += part[c];
    }
}

/* Each channel's share of its group's figures. */
typedef struct affine {
    float mean[WIDTH], rstd[WIDTH], gain[WIDTH], offset[WIDTH];
} affine;

/* mean and rstd from the span's first group, gain and offset from the first of the `width` channels. */
static void affine_of(affine *a, const int32_t *group_of, const float *mean, const float *rstd, const float *gain,
                      const float *offset, int32_t width) {
    for (int32_t c = 0; c < width; c++) {
        a->mean[c] = mean[group_of[c]];
        a->rstd[c] = rstd[group_of[c]];
        a->gain[c] = gain[c];
        a->offset[c] = offset[c];
    }
}

/* The mean is taken off first, for a mean folded into the offset would lose what is small beside it. */
static inline void apply(float *y, const float *x, const affine *a, size_t stride, size_t pixels, size_t width,
                         const bool silu) {
    float scale[WIDTH];
    for (size_t c = 0; c < width; c++) scale[c] = a->gain[c] * a->rstd[c];
    for (size_t p = 0; p < pixels; p++, x += stride, y += stride) {
        DMI_ELEMENTWISE
        for (size_t c = 0; c < width; c++) {
            float u = (x[c] - a->mean[c]) * scale[c] + a->offset[c];
            y[c] = silu ? dmi_silu(u) : u;
        }
    }
}

void DMI_KERNEL(norm_forward)(float *y, float *mean, float *rstd, const float *x, const float *gain, const float *offset,
                              int32_t pixels, int32_t channels, int32_t per_group, int32_t c0, int32_t c1, float eps,
                              bool silu) {
    const size_t stride = (size_t)channels, count = (size_t)pixels;
    const int32_t span = span_channels(per_group);
    const double share = 1.0 / ((double)pixels * per_group);
    int32_t group_of[WIDTH];
    double total[WIDTH], group[WIDTH];
    affine a;
    groups_of(group_of, per_group);
    for (int32_t s0 = c0; s0 < c1; s0 += span) {
        const int32_t s1 = at_most(s0 + span, c1), g0 = s0 / per_group, groups = (s1 - s0) / per_group;
        memset(group, 0, sizeof group);
        for (int32_t c = s0; c < s1; c += WIDTH) {
            int32_t width = at_most(WIDTH, s1 - c);
            dmi_column_sums(total, x + c, stride, count, (size_t)width);
            for (int32_t i = 0; i < width; i++) group[group_of[i]] += total[i];
        }
        for (int32_t g = 0; g < groups; g++) mean[g0 + g] = (float)(group[g] * share);

        memset(group, 0, sizeof group);
        for (int32_t c = s0; c < s1; c += WIDTH) {
            int32_t width = at_most(WIDTH, s1 - c);
            for (int32_t i = 0; i < width; i++) a.mean[i] = mean[g0 + group_of[i]];
            square_deviations(total, x + c, a.mean, stride, count, (size_t)width);
            for (int32_t i = 0; i < width; i++) group[group_of[i]] += total[i];
        }
        for (int32_t g = 0; g < groups; g++) rstd[g0 + g] = (float)(1.0 / sqrt(group[g] * share + eps));

        for (int32_t c = s0; c < s1; c += WIDTH) {
            int32_t width = at_most(WIDTH, s1 - c);
            affine_of(&a, group_of, mean + g0, rstd + g0, gain + c, offset + c, width);
            if (silu) {
                apply(y + c, x + c, &a, stride, count, (size_t)width, true);
            } else {
                apply(y + c, x + c, &a, stride, count, (size_t)width, false);
            }
        }
    }
}

/* The gradient at u = gain xhat + offset. */
static inline float through_silu(float dy, float xhat, float gain, float offset, const bool silu) {
    return silu ? dy * dmi_silu_slope(gain * xhat + offset) : dy;
}

/* du[c] = sum over pixels of du, and product[c] = sum of du xhat; du itself into `kept` where `keep`. */
static inline void gradient_sums(double *restrict du, double *restrict product, float *kept, const float *x, const float *dy,
                                 const affine *a, size_t stride, size_t pixels, size_t width, const bool silu,
                                 const bool keep) {
    float part[WIDTH], part_product[WIDTH];
    memset(du, 0, width * sizeof *du);
    memset(product, 0, width * sizeof *product);
    for (size_t p0 = 0; p0 < pixels; p0 += DMI_FLOAT_ROWS) {
        size_t p1 = pixels - p0 < DMI_FLOAT_ROWS ? pixels : p0 + DMI_FLOAT_ROWS;
        memset(part, 0, sizeof part);
        memset(part_product, 0, sizeof part_product);
        for (size_t p = p0; p < p1; p++) {
            const size_t at = p * stride;
            DMI_ELEMENTWISE
            for (size_t c = 0; c < width; c++) {
                float xhat = (x[at + c] - a->mean[c]) * a->rstd[c];
                float d = through_silu(dy[at + c], xhat, a->gain[c], a->offset[c], silu);
                part[c] += d;
                part_product[c] += d * xhat;
                if (keep) kept[at + c] = d;
            }
        }
        for (size_t c = 0; c < width; c++) du[c] += part[c];
        for (size_t c = 0; c < width; c++) product[c] += part_product[c];
    }
}

/* dx = rstd (gain du - m1 - xhat m2), m1 and m2 the group's means of gain du and of gain du xhat. */
static inline void gradient(float *dx, const float *x, const float *dy, const affine *a, const float *m1, const float *m2,
                            size_t stride, size_t pixels, size_t width, const bool silu, const bool add) {
    float by_du[WIDTH], by_xhat[WIDTH], constant[WIDTH];
    for (size_t c = 0; c < width; c++) {
        by_du[c] = a->gain[c] * a->rstd[c];
        by_xhat[c] = m2[c] * a->rstd[c];
        constant[c] = m1[c] * a->rstd[c];
    }
    for (size_t p = 0; p < pixels; p++, x += stride, dy += stride, dx += stride) {
        DMI_ELEMENTWISE
        for (size_t c = 0; c < width; c++) {
            float xhat = (x[c] - a->mean[c]) * a->rstd[c];
            float d = through_silu(dy[c], xhat, a->gain[c], a->offset[c], silu);
            float off = xhat * by_xhat[c] + constant[c];
            float result = d * by_du[c] - off;
            dx[c] = add ? dx[c] + result : result;
        }
    }
}

void DMI_KERNEL(norm_backward)(float *dx, float *dgain, float *doffset, const float *x, const float *dy, const float *mean,
                               const float *rstd, const float *gain, const float *offset, int32_t pixels, int32_t channels,
                               int32_t per_group, int32_t c0, int32_t c1, bool silu, bool add) {
    const size_t stride = (size_t)channels, count = (size_t)pixels;
    const int32_t span = span_channels(per_group);
    const double share = 1.0 / ((double)pixels * per_group);
    int32_t group_of[WIDTH];
    double du[WIDTH], product[WIDTH], group_du[WIDTH], group_product[WIDTH];
    float m1[WIDTH], m2[WIDTH];
    affine a;
    groups_of(group_of, per_group);
    for (int32_t s0 = c0; s0 < c1; s0 += span) {
        const int32_t s1 = at_most(s0 + span, c1), g0 = s0 / per_group;
        memset(group_du, 0, sizeof group_du);
        memset(group_product, 0, sizeof group_product);
        for (int32_t c = s0; c < s1; c += WIDTH) {
            int32_t width = at_most(WIDTH, s1 - c);
            affine_of(&a, group_of, mean + g0, rstd + g0, gain + c, offset + c, width);
            if (silu && add) {
                gradient_sums(du, product, NULL, x + c, dy + c, &a, stride, count, (size_t)width, true, false);
            } else if (silu) {
                gradient_sums(du, product, dx + c, x + c, dy + c, &a, stride, count, (size_t)width, true, true);
            } else {
                gradient_sums(du, product, NULL, x + c, dy + c, &a, stride, count, (size_t)width, false, false);
            }
            for (int32_t i = 0; i < width; i++) {
                doffset[c + i] = (float)du[i];
                dgain[c + i] = (float)product[i];
                group_du[group_of[i]] += gain[c + i] * du[i];
                group_product[group_of[i]] += gain[c + i] * product[i];
            }
        }
        for (int32_t c = s0; c < s1; c += WIDTH) {
            int32_t width = at_most(WIDTH, s1 - c);
            affine_of(&a, group_of, mean + g0, rstd + g0, gain + c, offset + c, width);
            for (int32_t i = 0; i < width; i++) {
                m1[i] = (float)(group_du[group_of[i]] * share);
                m2[i] = (float)(group_product[group_of[i]] * share);
            }
            /* Where dx is not added to, it holds du by now, and SiLU's derivative is not computed again. */
            if (silu && add) {
                gradient(dx + c, x + c, dy + c, &a, m1, m2, stride, count, (size_t)width, true, true);
            } else {
                gradient(dx + c, x + c, silu ? dx + c : dy + c, &a, m1, m2, stride, count, (size_t)width, false, add);
            }
        }
    }
}
