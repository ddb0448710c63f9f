/* SPDX-License-Identifier: MIT */
/* Training's operations on images, pixel by pixel: linear combinations, bytes to [-1, 1], shifts,
 * and the input of self-conditioning (Chen et al. 2023). */
#include <string.h>

#include "kernels/families.h"
#include "kernels/vector_math.h"

void DMI_KERNEL(combine)(float *y, float a, const float *x, float b, const float *z, size_t n) {
    DMI_ELEMENTWISE
    for (size_t i = 0; i < n; i++) {
        float first = a * x[i];
        y[i] = b * z[i] + first;
    }
}

void DMI_KERNEL(from_u8)(float *y, const uint8_t *x, int32_t h, int32_t w, int32_t c, bool flip) {
    size_t row = (size_t)w * (size_t)c, depth = (size_t)c;
    if (!flip) {
        for (size_t i = 0; i < (size_t)h * row; i++) y[i] = (float)x[i] / 127.5f - 1.0f;
        return;
    }
    for (int32_t r = 0; r < h; r++, x += row, y += row) {
        for (size_t column = 0; column < (size_t)w; column++) {
            const uint8_t *from = x + column * depth;
            float *to = y + row - (column + 1) * depth;
            for (size_t k = 0; k < depth; k++) to[k] = (float)from[k] / 127.5f - 1.0f;
        }
    }
}

/* Index i reflected into 0 to n - 1: -1 becomes 1, n becomes n - 2. */
static inline int32_t reflected(int32_t i, int32_t n) {
    return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

void DMI_KERNEL(shift)(float *y, const float *x, int32_t h, int32_t w, int32_t c, int32_t down,
                       int32_t right) {
    size_t depth = (size_t)c, row = (size_t)w * depth;
    for (int32_t r = 0; r < h; r++, y += row) {
        const float *from = x + (size_t)reflected(r + down, h) * row;
        for (int32_t q = 0; q < w; q++)
            memcpy(y + (size_t)q * depth, from + (size_t)reflected(q + right, w) * depth,
                   depth * sizeof *y);
    }
}

/* The comparisons let NaN through, so that the loss shows it. */
void DMI_KERNEL(self_condition)(float *input, float x_factor, const float *output,
                                float output_factor, size_t output_channels, size_t pixels,
                                size_t channels) {
    for (size_t p = 0; p < pixels; p++, input += 2 * channels, output += output_channels) {
        for (size_t k = 0; k < channels; k++) {
            float v = x_factor * input[k] + output_factor * output[k];
            v = v > 1 ? 1 : v;
            input[channels + k] = v < -1 ? -1 : v;
        }
    }
}
