/* See picture.h. */
#include "picture.h"

#include <stdlib.h>
#include <string.h>

enum { GAP = 2 };

int32_t write_grid(dm_context *context, const char *path, const float *images, size_t count,
                   int32_t height, int32_t width, int32_t channels, int32_t columns,
                   int32_t scale) {
    size_t elements = count * (size_t)height * (size_t)width * (size_t)channels;
    int32_t grid_height, grid_width;
    int32_t status =
        dm_image_grid_size(count, height, width, columns, scale, GAP, &grid_height, &grid_width);
    if (status) return status;
    size_t grid_bytes = (size_t)grid_height * (size_t)grid_width * (size_t)channels;
    uint8_t *pixels = malloc(elements), *grid = malloc(grid_bytes);
    status = pixels && grid ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = dm_image_to_u8(pixels, images, elements);
    if (!status)
        status = dm_image_grid(grid, grid_bytes, pixels, count, height, width, channels, columns,
                               scale, GAP);
    if (!status)
        status = dm_image_write_png(context, path, grid, grid_height, grid_width, channels);
    free(grid);
    free(pixels);
    return status;
}

int32_t write_dataset_grid(dm_context *context, const char *path, const dm_dataset *dataset,
                           size_t count, int32_t columns, int32_t scale) {
    int32_t height, width, channels;
    int32_t status = dm_dataset_size(dataset, NULL, &height, &width, &channels, NULL);
    if (status) return status;
    size_t elements = (size_t)height * (size_t)width * (size_t)channels;
    uint8_t *pixels = malloc(elements);
    float *images = malloc(count * elements * sizeof *images);
    status = pixels && images ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; !status && i < count; i++) {
        status = dm_dataset_get(dataset, i, pixels, elements, NULL);
        if (!status) status = dm_image_from_u8(images + i * elements, pixels, elements);
    }
    if (!status)
        status = write_grid(context, path, images, count, height, width, channels, columns, scale);
    free(images);
    free(pixels);
    return status;
}

int film_begin(film_reel *f, size_t count, int32_t height, int32_t width, int32_t channels,
               int32_t columns, int32_t scale, int32_t steps, int32_t frames) {
    int32_t grid_height, grid_width;
    *f = (film_reel){.height = height,
                     .width = width,
                     .channels = channels,
                     .columns = columns,
                     .scale = scale,
                     .count = count,
                     .steps = steps};
    f->every = steps > frames ? steps / frames : 1;
    if (dm_image_grid_size(count, height, width, columns, scale, GAP, &grid_height, &grid_width))
        return 0;
    f->frame_bytes = (size_t)grid_height * (size_t)grid_width * (size_t)channels;
    f->room = steps / f->every + 2;
    f->frames = malloc(f->frame_bytes * (size_t)f->room);
    return f->frames != NULL;
}

int32_t film_progress(void *user, int32_t step, int32_t steps, const float *x_t, const float *x_0,
                      size_t first, size_t count) {
    film_reel *f = user;
    (void)x_t;
    if ((step % f->every && step != steps) || first != 0 || count != f->count ||
        f->frame_count == f->room)
        return 0;
    size_t elements = count * (size_t)f->height * (size_t)f->width * (size_t)f->channels;
    uint8_t *pixels = malloc(elements);
    if (!pixels) return 1;
    int32_t status = dm_image_to_u8(pixels, x_0, elements);
    if (!status)
        status = dm_image_grid(f->frames + f->frame_bytes * (size_t)f->frame_count, f->frame_bytes,
                               pixels, count, f->height, f->width, f->channels, f->columns,
                               f->scale, GAP);
    f->frame_count += status == DM_OK;
    free(pixels);
    return status != DM_OK;
}

int32_t film_write(const film_reel *f, dm_context *context, const char *path) {
    int32_t grid_height, grid_width;
    int32_t status = dm_image_grid_size(f->count, f->height, f->width, f->columns, f->scale, GAP,
                                        &grid_height, &grid_width);
    if (status) return status;
    return dm_image_write_apng(context, path, f->frames, f->frame_count, grid_height, grid_width,
                               f->channels, 80, 2000);
}

void film_end(film_reel *f) {
    free(f->frames);
    *f = (film_reel){0};
}
