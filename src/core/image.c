/* SPDX-License-Identifier: MIT */
/* Images: between floats and bytes, in grids, and as PNG. */
#include <math.h>
#include <string.h>

#include "core/context.h"
#include "io/png.h"

dm_status dm_image_to_u8(uint8_t *pixels, const float *images, size_t elements) {
    if (elements > 0 && (!pixels || !images)) return DM_ERROR_INVALID_ARGUMENT;
    for (size_t i = 0; i < elements; i++) {
        const double value = floor(((double)images[i] + 1) * 127.5 + 0.5);
        /* The first comparison is false for NaN. */
        pixels[i] = value > 0 ? (uint8_t)(value < 255 ? value : 255) : 0;
    }
    return DM_OK;
}

dm_status dm_image_from_u8(float *images, const uint8_t *pixels, size_t elements) {
    if (elements > 0 && (!pixels || !images)) return DM_ERROR_INVALID_ARGUMENT;
    for (size_t i = 0; i < elements; i++)
        images[i] = (float)pixels[i] / 127.5f - 1.0f; /* as the kernel from_u8 does */
    return DM_OK;
}

/* Grey, RGB or RGBA. */
static bool has_format(int32_t channels) { return channels == 1 || channels == 3 || channels == 4; }

/* Bytes of `count` images; false where they do not fit. */
static bool bytes_of(size_t count, int32_t height, int32_t width, int32_t channels, size_t *bytes) {
    return dmi_mul((size_t)height, (size_t)width, bytes) &&
           dmi_mul(*bytes, (size_t)channels, bytes) && dmi_mul(*bytes, count, bytes);
}

/* ---- grids ---- */

dm_status dm_image_grid_options_init(dm_image_grid_options *options, size_t size) {
    return dmi_struct_init(&dmi_struct_image_grid_options, options, size);
}

/* cells * (side * scale + gap) + gap, where it fits. */
static bool grid_side(uint64_t cells, int32_t side, int32_t scale, int32_t gap, int32_t *out) {
    const uint64_t cell = (uint64_t)side * (uint64_t)scale + (uint64_t)gap;
    if (cells > INT32_MAX || cell > INT32_MAX) return false;
    const uint64_t total = cells * cell + (uint64_t)gap;
    if (total > INT32_MAX) return false;
    *out = (int32_t)total;
    return true;
}

static dm_status measure_grid(dm_image_grid_options *o, const dm_image_grid_options *options,
                              int32_t *height, int32_t *width) {
    dmi_host no_context = {0};
    if (!options) return DM_ERROR_INVALID_ARGUMENT;
    dm_status status =
        dmi_struct_read_checked(&no_context, &dmi_struct_image_grid_options, o, options);
    if (status) return status;
    const uint64_t rows = (o->count - 1) / (uint64_t)o->columns + 1;
    if (!has_format(o->channels) || !grid_side(rows, o->height, o->scale, o->gap, height) ||
        !grid_side((uint64_t)o->columns, o->width, o->scale, o->gap, width))
        return DM_ERROR_INVALID_ARGUMENT;
    return DM_OK;
}

dm_status dm_image_grid_size(const dm_image_grid_options *options, int32_t *height,
                             int32_t *width) {
    dm_image_grid_options o;
    int32_t h = 0, w = 0;
    dm_status status = measure_grid(&o, options, &h, &w);
    if (height) *height = status ? 0 : h;
    if (width) *width = status ? 0 : w;
    return status;
}

/* Writes one image, enlarged, at `to` in the grid, whose rows are `stride` bytes apart. */
static void draw_cell(uint8_t *to, size_t stride, const uint8_t *image, int32_t height,
                      int32_t width, size_t channels, int32_t scale) {
    const size_t row_bytes = (size_t)width * (size_t)scale * channels;
    for (int32_t y = 0; y < height; y++) {
        uint8_t *first = to + (size_t)y * (size_t)scale * stride;
        uint8_t *pixel = first;
        for (int32_t x = 0; x < width; x++, image += channels)
            for (int32_t k = 0; k < scale; k++, pixel += channels) memcpy(pixel, image, channels);
        for (int32_t k = 1; k < scale; k++) memcpy(first + (size_t)k * stride, first, row_bytes);
    }
}

dm_status dm_image_draw_grid(const dm_image_grid_options *options, uint8_t *grid, size_t grid_bytes,
                             const uint8_t *images, size_t bytes) {
    dm_image_grid_options o;
    int32_t grid_height, grid_width;
    dm_status status = measure_grid(&o, options, &grid_height, &grid_width);
    if (status) return status;
    if (!grid || !images) return DM_ERROR_INVALID_ARGUMENT;
    size_t size, image_size;
    if (!bytes_of(1, grid_height, grid_width, o.channels, &size) || grid_bytes != size ||
        !bytes_of((size_t)o.count, o.height, o.width, o.channels, &image_size) ||
        bytes != image_size)
        return DM_ERROR_SHAPE_MISMATCH;
    image_size /= (size_t)o.count;

    memset(grid, 255, size);
    const size_t channels = (size_t)o.channels, stride = (size_t)grid_width * channels;
    const size_t cell_height = (size_t)o.height * (size_t)o.scale + (size_t)o.gap;
    const size_t cell_width = (size_t)o.width * (size_t)o.scale + (size_t)o.gap;
    for (size_t i = 0; i < o.count; i++) {
        const size_t top = i / (size_t)o.columns * cell_height + (size_t)o.gap;
        const size_t left = i % (size_t)o.columns * cell_width + (size_t)o.gap;
        draw_cell(grid + top * stride + left * channels, stride, images + i * image_size, o.height,
                  o.width, channels, o.scale);
    }
    return DM_OK;
}

/* ---- PNG ---- */

dm_status dm_image_animation_init(dm_image_animation *animation, size_t size) {
    return dmi_struct_init(&dmi_struct_image_animation, animation, size);
}

/* Checks frames of `bytes` bytes in all; *bound is a number of bytes that suffices for the PNG. */
static dm_status check_frames(dmi_host *host, size_t *bound, const dm_image_animation *a,
                              size_t bytes) {
    size_t expected;
    *bound = 0;
    if (!has_format(a->channels))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "image: 'channels' is %d; it must be 1, 3 or 4", (int)a->channels);
    if (a->frames >= 1 && a->height >= 1 && a->width >= 1)
        *bound = dmi_png_bound(a->frames, a->height, a->width, a->channels);
    if (*bound == 0 || !bytes_of((size_t)a->frames, a->height, a->width, a->channels, &expected))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "image: %d frames of %d x %d pixels (height, width) are no PNG",
                        (int)a->frames, (int)a->height, (int)a->width);
    if (bytes == expected) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                    "image: 'bytes' is %zu; %d x %d x %d x %d has %zu", bytes, (int)a->frames,
                    (int)a->height, (int)a->width, (int)a->channels, expected);
}

static dm_status encode(dmi_host *host, uint8_t *buffer, size_t capacity, size_t *size,
                        const uint8_t *pixels, size_t bytes, const dm_image_animation *a) {
    size_t bound;
    if (!size) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "image: 'size' is NULL");
    *size = 0;
    dm_status status = check_frames(host, &bound, a, bytes);
    if (status) return status;
    if (buffer && !pixels)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "image: 'pixels' is NULL");
    if (!buffer || capacity < bound) *size = bound;
    if (!buffer) return DM_OK;
    if (capacity < bound)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "image: 'capacity' is %zu; %zu bytes suffice for %d x %d pixels", capacity,
                        bound, (int)a->height, (int)a->width);
    return dmi_png_encode(host, buffer, capacity, size, pixels, 1, a->height, a->width, a->channels,
                          0, 0);
}

dm_status dm_image_encode_png(dm_context *context, uint8_t *buffer, size_t capacity, size_t *size,
                              const uint8_t *pixels, size_t bytes, int32_t height, int32_t width,
                              int32_t channels) {
    if (size) *size = 0;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    int32_t entered = dmi_enter_nested(context);
    if (!entered) return DM_ERROR_WRONG_STATE;
    const dm_image_animation one = {.height = height,
                                    .width = width,
                                    .channels = channels,
                                    .frames = 1};
    return dmi_leave_nested(context, entered,
                            encode(&context->host, buffer, capacity, size, pixels, bytes, &one));
}

static dm_status write_frames(dmi_host *host, const char *path, const uint8_t *pixels, size_t bytes,
                              const dm_image_animation *a) {
    size_t bound;
    if (!path || !pixels)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "image: '%s' is NULL",
                        path ? "pixels" : "path");
    dm_status status = check_frames(host, &bound, a, bytes);
    if (status) return status;
    return dmi_png_write(host, path, pixels, a->frames, a->height, a->width, a->channels,
                         a->delay_ms, a->last_delay_ms);
}

dm_status dm_image_write_png(dm_context *context, const char *path, const uint8_t *pixels,
                             size_t bytes, int32_t height, int32_t width, int32_t channels) {
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    int32_t entered = dmi_enter_nested(context);
    if (!entered) return DM_ERROR_WRONG_STATE;
    const dm_image_animation one = {.height = height,
                                    .width = width,
                                    .channels = channels,
                                    .frames = 1};
    return dmi_leave_nested(context, entered,
                            write_frames(&context->host, path, pixels, bytes, &one));
}

dm_status dm_image_write_apng(dm_context *context, const char *path, const uint8_t *frames,
                              size_t bytes, const dm_image_animation *animation) {
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    int32_t entered = dmi_enter_nested(context);
    if (!entered) return DM_ERROR_WRONG_STATE;
    dmi_host *host = &context->host;
    dm_image_animation a;
    dm_status status =
        animation ? dmi_struct_read_checked(host, &dmi_struct_image_animation, &a, animation)
                  : dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "image: 'animation' is NULL");
    if (!status) status = write_frames(host, path, frames, bytes, &a);
    return dmi_leave_nested(context, entered, status);
}
