/* SPDX-License-Identifier: MIT */
/* Tensor shapes. Every tensor of the engine is NHWC: images [n, h, w, c], vectors [n, 1, 1, c],
 * tokens [n, h, w, c] seen as [n, h*w, c]. Four dimensions are enough for diffusion, and no
 * operation has to find out a layout. */
#ifndef DMI_TENSOR_SHAPE_H
#define DMI_TENSOR_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dmi_shape {
    int32_t n, h, w, c;
} dmi_shape;

static inline dmi_shape dmi_shape_of(int32_t n, int32_t h, int32_t w, int32_t c) {
    dmi_shape s = {n, h, w, c};
    return s;
}

static inline bool dmi_shape_equal(dmi_shape a, dmi_shape b) {
    return a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c;
}

/* Rows of the tensor seen as a matrix [n*h*w, c]: the pixels of all images. */
static inline size_t dmi_shape_rows(dmi_shape s) { return (size_t)s.n * (size_t)s.h * (size_t)s.w; }

static inline size_t dmi_shape_count(dmi_shape s) { return dmi_shape_rows(s) * (size_t)s.c; }

/* False where a dimension is below 1 or the tensor would have more than SIZE_MAX / 4 bytes. */
bool dmi_shape_valid(dmi_shape s);

#endif
