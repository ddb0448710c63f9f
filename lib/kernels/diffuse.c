/* What diffusion does to pictures, pixel by pixel: combinations of two arrays, and bytes to [-1, 1]. */
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
