/* Pictures: between floats and bytes, in grids, and as PNG. */
#include <math.h>
#include <string.h>

#include "core/context.h"
#include "io/png.h"

int32_t dm_image_to_u8(uint8_t *pixels, const float *images, size_t count) {
    if (count > 0 && (pixels == NULL || images == NULL)) return DM_ERROR_INVALID_ARGUMENT;
    for (size_t i = 0; i < count; i++) {
        const double value = floor(((double)images[i] + 1) * 127.5 + 0.5);
        /* The first comparison is false for NaN. */
        pixels[i] = value > 0 ? (uint8_t)(value < 255 ? value : 255) : 0;
    }
    return DM_OK;
}

int32_t dm_image_from_u8(float *images, const uint8_t *pixels, size_t count) {
    if (count > 0 && (pixels == NULL || images == NULL)) return DM_ERROR_INVALID_ARGUMENT;
    for (size_t i = 0; i < count; i++)
        images[i] = (float)pixels[i] / 127.5f - 1.0f; /* as the kernel from_u8 does */
    return DM_OK;
}

/* Grey, RGB or RGBA. */
static bool has_format(int32_t channels) { return channels == 1 || channels == 3 || channels == 4; }

/* ---- grids ---- */

/* cells * (side * scale + gap) + gap, where it fits. */
static bool grid_side(uint64_t cells, int32_t side, int32_t scale, int32_t gap, int32_t *out) {
    const uint64_t cell = (uint64_t)side * (uint64_t)scale + (uint64_t)gap;
    if (cells > INT32_MAX || cell > INT32_MAX) return false;
    const uint64_t total = cells * cell + (uint64_t)gap;
    if (total > INT32_MAX) return false;
    *out = (int32_t)total;
    return true;
}

int32_t dm_image_grid_size(size_t count, int32_t height, int32_t width, int32_t columns,
                           int32_t scale, int32_t gap, int32_t *grid_height, int32_t *grid_width) {
    if (grid_height != NULL) *grid_height = 0;
    if (grid_width != NULL) *grid_width = 0;
    if (count == 0 || height < 1 || width < 1 || columns < 1 || scale < 1 || gap < 0)
        return DM_ERROR_INVALID_ARGUMENT;
    const uint64_t rows = (count - 1) / (uint64_t)columns + 1;
    int32_t h, w;
    if (!grid_side(rows, height, scale, gap, &h) ||
        !grid_side((uint64_t)columns, width, scale, gap, &w))
        return DM_ERROR_INVALID_ARGUMENT;
    if (grid_height != NULL) *grid_height = h;
    if (grid_width != NULL) *grid_width = w;
    return DM_OK;
}

/* One picture, enlarged, into the grid from `to` on, whose rows are `stride` bytes apart. */
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

int32_t dm_image_grid(uint8_t *grid, size_t grid_count, const uint8_t *images, size_t count,
                      int32_t height, int32_t width, int32_t channels, int32_t columns,
                      int32_t scale, int32_t gap) {
    int32_t grid_height, grid_width;
    const int32_t status =
        dm_image_grid_size(count, height, width, columns, scale, gap, &grid_height, &grid_width);
    if (status != DM_OK) return status;
    if (grid == NULL || images == NULL || !has_format(channels)) return DM_ERROR_INVALID_ARGUMENT;
    size_t stride, size;
    if (!dmi_mul((size_t)grid_width, (size_t)channels, &stride) ||
        !dmi_mul(stride, (size_t)grid_height, &size))
        return DM_ERROR_INVALID_ARGUMENT;
    if (grid_count != size) return DM_ERROR_SHAPE_MISMATCH;

    memset(grid, 255, size);
    const size_t image_size = (size_t)height * (size_t)width * (size_t)channels;
    const size_t cell_height = (size_t)height * (size_t)scale + (size_t)gap;
    const size_t cell_width = (size_t)width * (size_t)scale + (size_t)gap;
    for (size_t i = 0; i < count; i++) {
        const size_t top = i / (size_t)columns * cell_height + (size_t)gap;
        const size_t left = i % (size_t)columns * cell_width + (size_t)gap;
        draw_cell(grid + top * stride + left * (size_t)channels, stride, images + i * image_size,
                  height, width, (size_t)channels, scale);
    }
    return DM_OK;
}

/* ---- PNG ---- */

/* *bound: bytes that suffice for the pictures. */
static int32_t check_sizes(dmi_host *host, size_t *bound, int32_t frames, int32_t height,
                           int32_t width, int32_t channels) {
    *bound = 0;
    if (!has_format(channels))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "image: 'channels' is %d; it must be 1, 3 or 4", channels);
    if (frames >= 1 && height >= 1 && width >= 1)
        *bound = dmi_png_bound(frames, height, width, channels);
    if (*bound == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "image: %d x %d pixels (height, width), %d times, make no PNG", height,
                        width, frames);
    return DMI_OK;
}

int32_t dm_image_encode_png(dm_context *context, uint8_t *buffer, size_t capacity, size_t *size,
                            const uint8_t *pixels, int32_t height, int32_t width,
                            int32_t channels) {
    if (size != NULL) *size = 0;
    if (context == NULL) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (size == NULL) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "image: 'size' is NULL");
    size_t bound;
    const int32_t status = check_sizes(host, &bound, 1, height, width, channels);
    if (status != DMI_OK) return status;
    if (buffer != NULL && pixels == NULL)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "image: 'pixels' is NULL");
    if (buffer == NULL || capacity < bound) *size = bound;
    if (buffer == NULL) return DM_OK;
    if (capacity < bound)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "image: 'capacity' is %zu; %zu bytes suffice for %d x %d pixels", capacity,
                        bound, height, width);
    return dmi_png_encode(host, buffer, capacity, size, pixels, 1, height, width, channels, 0, 0);
}

static int32_t write_frames(dm_context *context, const char *path, const uint8_t *pixels,
                            int32_t frames, int32_t height, int32_t width, int32_t channels,
                            int32_t delay_ms, int32_t last_delay_ms) {
    if (context == NULL) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (path == NULL) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "image: 'path' is NULL");
    if (pixels == NULL) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "image: 'pixels' is NULL");
    size_t bound;
    const int32_t status = check_sizes(host, &bound, frames, height, width, channels);
    if (status != DMI_OK) return status;
    return dmi_png_write(host, path, pixels, frames, height, width, channels, delay_ms,
                         last_delay_ms);
}

int32_t dm_image_write_png(dm_context *context, const char *path, const uint8_t *pixels,
                           int32_t height, int32_t width, int32_t channels) {
    return write_frames(context, path, pixels, 1, height, width, channels, 0, 0);
}

int32_t dm_image_write_apng(dm_context *context, const char *path, const uint8_t *pixels,
                            int32_t frames, int32_t height, int32_t width, int32_t channels,
                            int32_t delay_ms, int32_t last_delay_ms) {
    return write_frames(context, path, pixels, frames, height, width, channels, delay_ms,
                        last_delay_ms);
}
