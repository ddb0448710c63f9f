/* SPDX-License-Identifier: MIT */
/* Filters that double or halve the sides of an image: up to 4 x 4 terms for an output, whose
 * channels are vectors. */
#include "base/math.h"
#include "kernels/families.h"
#include "kernels/vector.h"

enum { TAPS_MAX = 4 };

/* The terms of one output along one axis that lie inside of the image. */
typedef struct axis_terms {
    int32_t at, count;    /* of x */
    const float *weights; /* [count] */
} axis_terms;

static axis_terms terms_of(const dmi_resample_filter *filter, int32_t i, int32_t size) {
    int32_t phase = filter->up ? i % 2 : 0,
            at = (filter->up ? i / 2 : 2 * i) + filter->first[phase], skipped = at < 0 ? -at : 0;
    return (axis_terms){.at = at + skipped,
                        .count = dmi_min(at + filter->taps, size) - (at + skipped),
                        .weights = filter->weights[phase] + skipped};
}

/* One output pixel [c]: the sum over `count` pixels of x. */
static inline void sum_pixels(float *y, const float *const *x, const float *weights, int32_t count,
                              int32_t c, bool add) {
    for (int32_t c0 = 0; c0 < c; c0 += W) {
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): at least one */
        vec sum = weights[0] * load_part(x[0] + c0, c - c0);
        for (int32_t k = 1; k < count; k++) sum += weights[k] * load_part(x[k] + c0, c - c0);
        store_part(y + c0, add ? load_part(y + c0, c - c0) + sum : sum, c - c0);
    }
}

void DMI_KERNEL(resample)(float *y, const float *x, const dmi_resample_filter *filter, int32_t h,
                          int32_t w, int32_t c, int32_t row0, int32_t row1, bool add) {
    int32_t columns = filter->up ? 2 * w : w / 2;
    for (int32_t row = row0; row < row1; row++) {
        axis_terms rows = terms_of(filter, row, h);
        for (int32_t column = 0; column < columns; column++) {
            axis_terms across = terms_of(filter, column, w);
            const float *pixels[TAPS_MAX * TAPS_MAX];
            float weights[TAPS_MAX * TAPS_MAX];
            int32_t count = 0;
            for (int32_t i = 0; i < rows.count; i++)
                for (int32_t k = 0; k < across.count; k++, count++) {
                    size_t at = (size_t)(rows.at + i) * (size_t)w + (size_t)(across.at + k);
                    pixels[count] = x + at * (size_t)c;
                    weights[count] = rows.weights[i] * across.weights[k];
                }
            float *pixel = y + ((size_t)row * (size_t)columns + (size_t)column) * (size_t)c;
            sum_pixels(pixel, pixels, weights, count, c, add);
        }
    }
}
