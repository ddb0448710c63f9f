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

/* `vectors` vectors of channels of a tile whose pixels lie `row` and `column` floats apart. One body for all tiles, so that
 * a tile at the border is rounded like any other. */
static __attribute__((noinline)) void transform(float *v, size_t step, const float *pixels, size_t row, size_t column,
                                                int32_t vectors) {
    for (int32_t i = 0; i < vectors; i++, v += W, pixels += W) {
        vec rows[TILE_IN][TILE_IN], result[TILE_IN];
        DMI_UNROLL
        for (int32_t j = 0; j < TILE_IN; j++) {
            const float *p = pixels + (size_t)j * column;
            input_1d(&rows[0][j], TILE_IN, load(p), load(p + row), load(p + 2 * row), load(p + 3 * row), load(p + 4 * row),
                     load(p + 5 * row));
        }
        DMI_UNROLL
        for (int32_t j = 0; j < TILE_IN; j++) {
            input_1d(result, 1, rows[j][0], rows[j][1], rows[j][2], rows[j][3], rows[j][4], rows[j][5]);
            DMI_UNROLL
            for (int32_t k = 0; k < TILE_IN; k++) store(v + (size_t)(j * TILE_IN + k) * step, result[k]);
        }
    }
}

void DMI_KERNEL(winograd_input)(const dmi_winograd_shape *s, tile_place at, const float *x, float *v, size_t step) {
    int32_t shift = s->upsample, width = s->w >> shift;
    size_t ci = (size_t)s->ci;
    const float *picture = x + (size_t)at.n * (size_t)(s->h >> shift) * (size_t)width * ci;
    bool inside = at.y >= 1 && at.x >= 1 && at.y + TILE_IN - 1 <= s->h && at.x + TILE_IN - 1 <= s->w && !s->upsample;
    int32_t whole = inside ? s->ci / W : 0;
    if (whole) {
        const float *first = picture + ((size_t)(at.y - 1) * (size_t)width + (size_t)(at.x - 1)) * ci;
        transform(v, step, first, (size_t)width * ci, ci, whole);
    }
    for (int32_t c = whole * W; c < s->ci; c += W) {
        float pixels[POINTS * W];
        for (int32_t i = 0; i < POINTS; i++) {
            int32_t py = at.y - 1 + i / TILE_IN, px = at.x - 1 + i % TILE_IN;
            vec pixel = {0};
            if (py >= 0 && py < s->h && px >= 0 && px < s->w)
                pixel = load_part(picture + ((size_t)(py >> shift) * (size_t)width + (size_t)(px >> shift)) * ci + c, s->ci - c);
            store(pixels + i * W, pixel);
        }
        transform(v + c, step, pixels, TILE_IN * W, W, 1);
    }
}
