/* See winograd.h: the table, and the transform of the input that forward and weight gradient share. */
#include "kernels/winograd_parts.h"

#include "kernels/winograd_table.h"

const dmi_winograd DMI_KERNEL(winograd_table) = {
    .weight_floats = DMI_KERNEL(winograd_weight_floats),
    .weight_tasks = DMI_KERNEL(winograd_weight_tasks),
    .weight_transform = DMI_KERNEL(winograd_weights),
    .weight_transform_turned = DMI_KERNEL(winograd_weights_turned),
    .blocks = DMI_KERNEL(winograd_blocks),
    .block_floats = DMI_KERNEL(winograd_block_floats),
    .forward = DMI_KERNEL(winograd_forward),
    .gradient_floats = DMI_KERNEL(winograd_gradient_floats),
    .gradient_rounds = DMI_KERNEL(winograd_gradient_rounds),
    .gradient_transform_tasks = DMI_KERNEL(winograd_gradient_transform_tasks),
    .gradient_product_tasks = DMI_KERNEL(winograd_gradient_product_tasks),
    .gradient_inverse_tasks = DMI_KERNEL(winograd_gradient_inverse_tasks),
    .gradient_transform = DMI_KERNEL(winograd_gradient_transform),
    .gradient_product = DMI_KERNEL(winograd_gradient_product),
    .gradient_inverse = DMI_KERNEL(winograd_gradient_inverse),
};

/* `vectors` vectors of channels of the tile's 36 pixels. One body for all tiles, so that a tile at the border is rounded
 * like any other. The next tile's new pixels, mostly `ahead` floats from this one's, are asked for meanwhile. */
static __attribute__((noinline)) void transform(float *v, size_t step, const float *const *pixels, int32_t vectors,
                                                size_t ahead) {
    for (size_t c = 0; c < (size_t)vectors * W; c += W) {
        vec rows[TILE_IN][TILE_IN], result[TILE_IN];
        DMI_UNROLL
        for (int32_t j = 0; j < TILE_IN; j++) {
            DMI_UNROLL
            for (int32_t k = TILE_IN - TILE_OUT; k < TILE_IN; k++) prefetch(pixels[j * TILE_IN + k], c + ahead);
        }
        DMI_UNROLL
        for (int32_t j = 0; j < TILE_IN; j++)
            input_1d(&rows[0][j], TILE_IN, load(pixels[j] + c), load(pixels[6 + j] + c), load(pixels[12 + j] + c),
                     load(pixels[18 + j] + c), load(pixels[24 + j] + c), load(pixels[30 + j] + c));
        DMI_UNROLL
        for (int32_t j = 0; j < TILE_IN; j++) {
            input_1d(result, 1, rows[j][0], rows[j][1], rows[j][2], rows[j][3], rows[j][4], rows[j][5]);
            DMI_UNROLL
            for (int32_t k = 0; k < TILE_IN; k++) store(v + (size_t)(j * TILE_IN + k) * step + c, result[k]);
        }
    }
}

void DMI_KERNEL(winograd_input)(const dmi_winograd_shape *s, tile_place at, const float *x, const float *zeros, float *v,
                                size_t step) {
    int32_t shift = s->upsample, whole = s->ci / W, part = s->ci % W;
    size_t ci = (size_t)s->ci, width = (size_t)(s->w >> shift);
    size_t ahead = (size_t)TILE_OUT * ci >> shift;
    const float *picture = x + (size_t)at.n * (size_t)(s->h >> shift) * width * ci, *pixels[POINTS];
    for (int32_t i = 0; i < TILE_IN; i++) {
        int32_t py = at.y - 1 + i;
        const float *row = picture + (size_t)(py >> shift) * width * ci;
        for (int32_t j = 0; j < TILE_IN; j++) {
            int32_t px = at.x - 1 + j;
            bool inside = py >= 0 && py < s->h && px >= 0 && px < s->w;
            pixels[i * TILE_IN + j] = inside ? row + (size_t)(px >> shift) * ci : zeros;
        }
    }
    transform(v, step, pixels, whole, ahead);
    if (part) {
        float parts[POINTS * W];
        for (int32_t i = 0; i < POINTS; i++) {
            store(parts + i * W, load_part(pixels[i] + whole * W, part));
            pixels[i] = parts + i * W;
        }
        transform(v + whole * W, step, pixels, 1, 0);
    }
}
