/* SPDX-License-Identifier: MIT */
/* What the files of the Winograd convolution share: how images are divided into tiles, the layout
 * of transformed blocks, and the transform of the input. */
#ifndef DMI_KERNELS_WINOGRAD_TILES_H
#define DMI_KERNELS_WINOGRAD_TILES_H

#include "base/math.h"
#include "kernels/stored.h"
#include "kernels/winograd.h"
#include "kernels/winograd_points.h"

static inline int32_t panels_of(int32_t channels) { return dmi_divide_up(channels, PANEL); }

/* A tile: its image and its first output pixel. Tiles are counted through all images. */
typedef struct tile_position {
    int32_t n, y, x;
} tile_position;

static inline int32_t tiles_across(const dmi_winograd_shape *s) {
    return dmi_divide_up(s->w, TILE_OUT);
}
static inline int32_t tiles_of_image(const dmi_winograd_shape *s) {
    return dmi_divide_up(s->h, TILE_OUT) * tiles_across(s);
}

static inline tile_position position_of(const dmi_winograd_shape *s, int32_t tile) {
    int32_t in_image = tile % tiles_of_image(s);
    return (tile_position){tile / tiles_of_image(s), in_image / tiles_across(s) * TILE_OUT,
                           in_image % tiles_across(s) * TILE_OUT};
}

/* Floats from one of the 36 points to the next in a transformed block of `floats` floats a point:
 * an odd number of cache lines, so that the 36 streams of a transform do not all fall into one set
 * of a cache. */
static inline size_t point_step(size_t floats) { return floats / 16 % 2 ? floats : floats + 16; }

/* Floats of a row of `channels` transformed values: whole vectors, and no multiple of 64 floats,
 * for the same reason. */
static inline size_t row_step(int32_t channels) {
    size_t floats = (size_t)dmi_round_up(channels, W);
    return floats % 64 ? floats : floats + 16;
}

/* U: [panel][point][in][PANEL]; floats from one point to the next. */
static inline size_t weight_step(int32_t ci) { return point_step((size_t)ci * PANEL); }

/* v[point * step + t * row + c - c0] = B^T d B for the 6x6 pixels of tiles first to first + tiles -
 * 1 and channels c0 to c1 - 1 of x [n, h, w, ci]; whole vectors are written. Pixels outside the
 * image are zero. */
void DMI_STORED_KERNEL(winograd_input)(const dmi_winograd_shape *s, int32_t first, int32_t tiles,
                                       int32_t c0, int32_t c1, const stored *x, float *v,
                                       size_t row, size_t step);

#endif
