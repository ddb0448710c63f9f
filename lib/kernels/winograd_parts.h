/* What the files of the Winograd convolution share: how tiles lie in pictures, and the transform of
 * the input. */
#ifndef DMI_KERNELS_WINOGRAD_PARTS_H
#define DMI_KERNELS_WINOGRAD_PARTS_H

#include "kernels/kernels.h"
#include "kernels/vector.h"
#include "kernels/winograd.h"
#include "kernels/winograd_points.h"

static inline int32_t round_up(int32_t a, int32_t b) { return (a + b - 1) / b * b; }
static inline int32_t divide_up(int32_t a, int32_t b) { return (a + b - 1) / b; }
static inline int32_t panels_of(int32_t channels) { return divide_up(channels, PANEL); }

/* Where a tile lies: its picture and the place of its first output pixel. Tiles are counted through
 * all pictures. */
typedef struct tile_place {
    int32_t n, y, x;
} tile_place;

static inline int32_t tiles_across(const dmi_winograd_shape *s) {
    return divide_up(s->w, TILE_OUT);
}
static inline int32_t tiles_of_picture(const dmi_winograd_shape *s) {
    return divide_up(s->h, TILE_OUT) * tiles_across(s);
}

static inline tile_place place_of(const dmi_winograd_shape *s, int32_t tile) {
    int32_t in_picture = tile % tiles_of_picture(s);
    return (tile_place){tile / tiles_of_picture(s), in_picture / tiles_across(s) * TILE_OUT,
                        in_picture % tiles_across(s) * TILE_OUT};
}

/* Floats between the positions of a transformed block: of odd cache lines, so that the 36 streams
 * of a transform do not all fall into one set of a cache. */
static inline size_t position_step(size_t floats) { return floats / 16 % 2 ? floats : floats + 16; }

/* Row of `channels` transformed floats: whole vectors, and as above. */
static inline size_t row_step(int32_t channels) {
    size_t floats = (size_t)round_up(channels, W);
    return floats % 64 ? floats : floats + 16;
}

/* U: [panel][position][in][PANEL] */
static inline size_t weight_step(int32_t ci) { return position_step((size_t)ci * PANEL); }

/* v[position * step + t * row + c - c0] = B^T d B for the 6x6 pixels of tiles first to first +
 * tiles - 1 and channels c0 to c1 - 1 of x; whole vectors are written. Pixels outside the picture
 * are zero. */
void DMI_KERNEL(winograd_input)(const dmi_winograd_shape *s, int32_t first, int32_t tiles,
                                int32_t c0, int32_t c1, const float *x, float *v, size_t row,
                                size_t step);

/* The functions of the table, in winograd_weights.c, winograd_forward.c and winograd_gradient.c. */
size_t DMI_KERNEL(winograd_weight_floats)(int32_t ci, int32_t co);
int32_t DMI_KERNEL(winograd_weight_tasks)(int32_t ci, int32_t co);
int32_t DMI_KERNEL(winograd_turned_tasks)(int32_t ci, int32_t co);
void DMI_KERNEL(winograd_weights)(float *u, const float *w, int32_t ci, int32_t co, int32_t task);
void DMI_KERNEL(winograd_weights_turned)(float *u, const float *w, int32_t ci, int32_t co,
                                         int32_t task);
int32_t DMI_KERNEL(winograd_blocks)(const dmi_winograd_shape *s);
size_t DMI_KERNEL(winograd_block_floats)(const dmi_winograd_shape *s);
void DMI_KERNEL(winograd_forward)(const dmi_winograd_shape *s, float *y, const float *x,
                                  const float *u, const dmi_epilogue *epilogue, int32_t block,
                                  float *scratch);
int32_t DMI_KERNEL(winograd_gradient_groups)(const dmi_winograd_shape *s);
int32_t DMI_KERNEL(winograd_gradient_tasks)(const dmi_winograd_shape *s);
size_t DMI_KERNEL(winograd_gradient_floats)(const dmi_winograd_shape *s);
void DMI_KERNEL(winograd_gradient)(const dmi_winograd_shape *s, float *dw, const float *x,
                                   const float *dy, bool add, int32_t task, float *scratch);

#endif
