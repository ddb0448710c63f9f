/* SPDX-License-Identifier: MIT */
/* The partition of an elementwise operation into tiles, one a task: a run of pixels of one image,
 * counted from the image's start, so that an element falls into the same lane of the same vector
 * loop whatever the batch. */
#ifndef DMI_AUTOGRAD_OPS_PARTITION_H
#define DMI_AUTOGRAD_OPS_PARTITION_H

#include "base/math.h"
#include "tensor/shape.h"

/* Floats of a tile, about: 64 KiB, enough work for a task and small enough for L2. */
enum { DMI_TILE_FLOATS = 16384 };

/* Pixels of a tile. */
static inline size_t dmi_tile_rows(dmi_shape s) {
    size_t rows = DMI_TILE_FLOATS / (size_t)s.c;
    return rows ? rows : 1;
}

static inline int32_t dmi_tiles_per_image(dmi_shape s) {
    return (int32_t)dmi_divide_up_size((size_t)s.h * (size_t)s.w, dmi_tile_rows(s));
}

static inline int32_t dmi_tile_count(dmi_shape s) { return s.n * dmi_tiles_per_image(s); }

/* The first row of tile `task` in the tensor seen as [n*h*w, c]; *rows: its number of rows. */
static inline size_t dmi_tile_start(dmi_shape s, int32_t task, size_t *rows) {
    int32_t per_image = dmi_tiles_per_image(s);
    size_t pixels = (size_t)s.h * (size_t)s.w, step = dmi_tile_rows(s);
    size_t first = (size_t)(task % per_image) * step;
    *rows = dmi_min_size(pixels - first, step);
    return (size_t)(task / per_image) * pixels + first;
}

#endif
