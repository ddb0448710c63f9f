/* SPDX-License-Identifier: MIT */
/* See image_write.h. */
#include "picture/image_write.h"

#include <stdio.h>
#include <stdlib.h>

#include "console/output.h"

enum { GAP = 2, DELAY_MS = 80, LAST_DELAY_MS = 2000 };

dm_image_grid_options grid_options(uint64_t count, int32_t height, int32_t width, int32_t channels,
                                   int32_t columns, int32_t scale) {
    dm_image_grid_options grid;
    dm_image_grid_options_init(&grid, sizeof grid);
    grid.height = height;
    grid.width = width;
    grid.channels = channels;
    grid.columns = columns;
    grid.scale = scale;
    grid.gap = GAP;
    grid.count = count;
    return grid;
}

static size_t grid_elements(const dm_image_grid_options *g) {
    return (size_t)g->count * (size_t)g->height * (size_t)g->width * (size_t)g->channels;
}

/* Images in [-1, 1] to a grid of `bytes` bytes. */
static dm_status fill_grid(const dm_image_grid_options *grid, uint8_t *to, size_t bytes,
                           const float *images) {
    size_t elements = grid_elements(grid);
    uint8_t *pixels = malloc(elements);
    dm_status status = pixels ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = dm_image_to_u8(pixels, images, elements);
    if (!status) status = dm_image_draw_grid(grid, to, bytes, pixels, elements);
    free(pixels);
    return status;
}

dm_status draw_grid(const dm_image_grid_options *grid, const float *images, uint8_t **pixels,
                    int32_t *height, int32_t *width) {
    *pixels = NULL;
    dm_status status = dm_image_grid_size(grid, height, width);
    if (status) return status;
    size_t bytes = (size_t)*height * (size_t)*width * (size_t)grid->channels;
    *pixels = malloc(bytes);
    return *pixels ? fill_grid(grid, *pixels, bytes, images) : DM_ERROR_OUT_OF_MEMORY;
}

/* The PNG's bytes with the texts, to be freed. */
static dm_status encode(const image_writer *w, const uint8_t *pixels, int32_t height, int32_t width,
                        int32_t channels, uint8_t **png, size_t *size) {
    size_t bytes = (size_t)height * (size_t)width * (size_t)channels;
    const png_texts none = {.count = 0};
    *png = NULL;
    dm_status status =
        dm_image_encode_png(w->context, NULL, 0, size, pixels, bytes, height, width, channels);
    if (status) return status;
    uint8_t *plain = malloc(*size);
    if (!plain) return DM_ERROR_OUT_OF_MEMORY;
    status =
        dm_image_encode_png(w->context, plain, *size, size, pixels, bytes, height, width, channels);
    if (!status) *png = png_texts_insert(w->texts ? w->texts : &none, plain, size);
    free(plain);
    return status || *png ? status : DM_ERROR_OUT_OF_MEMORY;
}

int32_t write_png(const image_writer *w, const char *path, const uint8_t *pixels, int32_t height,
                  int32_t width, int32_t channels) {
    uint8_t *png;
    size_t size;
    output o;
    dm_status status = encode(w, pixels, height, width, channels, &png, &size);
    if (status) return status;
    if (!output_begin(&o, path, "wb")) {
        output_write(&o, png, size);
        output_replace(&o);
    }
    free(png);
    return output_close(&o, w->line->program) ? REPORTED : DM_OK;
}

int32_t write_grid(const image_writer *w, const char *path, const dm_image_grid_options *grid,
                   const float *images) {
    uint8_t *pixels;
    int32_t height, width;
    int32_t status = draw_grid(grid, images, &pixels, &height, &width);
    if (!status) status = write_png(w, path, pixels, height, width, grid->channels);
    free(pixels);
    return status;
}

int32_t write_dataset_grid(const image_writer *w, const char *path, const dm_dataset *dataset,
                           uint64_t count, int32_t columns, int32_t scale) {
    dm_dataset_info info;
    dm_dataset_info_init(&info, sizeof info);
    int32_t status = dm_dataset_get_info(dataset, &info);
    if (status) return status;
    size_t elements = (size_t)info.height * (size_t)info.width * (size_t)info.channels;
    uint8_t *pixels = malloc(elements);
    float *images = malloc((size_t)count * elements * sizeof *images);
    status = pixels && images ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    for (uint64_t i = 0; !status && i < count; i++) {
        status = dm_dataset_get_image(dataset, i, pixels, elements, NULL);
        if (!status) status = dm_image_from_u8(images + i * elements, pixels, elements);
    }
    dm_image_grid_options grid =
        grid_options(count, info.height, info.width, info.channels, columns, scale);
    if (!status) status = write_grid(w, path, &grid, images);
    free(images);
    free(pixels);
    return status;
}

dm_status animation_create(animation *a, dm_context *context, const dm_image_grid_options *grid,
                           int32_t steps, int32_t frames) {
    *a = (animation){.context = context, .grid = *grid};
    dm_status status = dm_image_grid_size(grid, &a->height, &a->width);
    if (status) return status;
    a->interval = steps > frames ? steps / frames : 1;
    a->capacity = steps / a->interval + 2;
    a->frame_bytes = (size_t)a->height * (size_t)a->width * (size_t)grid->channels;
    a->frames = malloc(a->frame_bytes * (size_t)a->capacity);
    return a->frames ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
}

int32_t animation_add(animation *a, const dm_sampler_progress *p) {
    if ((p->step % a->interval && p->step != p->steps) || p->count != a->grid.count ||
        a->count == a->capacity)
        return 0;
    dm_status status =
        fill_grid(&a->grid, a->frames + a->frame_bytes * (size_t)a->count, a->frame_bytes, p->x_0);
    a->count += status == DM_OK;
    if (status) dm_callback_fail(a->context, dm_status_message(status));
    return status != DM_OK;
}

dm_status animation_write(const animation *a, const char *path) {
    dm_image_animation file;
    dm_image_animation_init(&file, sizeof file);
    file.height = a->height;
    file.width = a->width;
    file.channels = a->grid.channels;
    file.frames = a->count;
    file.delay_ms = DELAY_MS;
    file.last_delay_ms = LAST_DELAY_MS;
    return dm_image_write_apng(a->context, path, a->frames, a->frame_bytes * (size_t)a->count,
                               &file);
}

void animation_destroy(animation *a) {
    free(a->frames);
    *a = (animation){0};
}
