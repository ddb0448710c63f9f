/* SPDX-License-Identifier: MIT */
/* Fuzz target: images and grids whose sizes and pixels the input gives, encoded as PNG and decoded
 * by libpng, which must give the same pixels.
 *
 *     byte 0   bits 0 to 1: one image, a grid, an animation, a buffer that is too small
 *     height, width, channels, columns, scale, gap, count: a byte each
 *     the rest: the pixels, repeated */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

enum { LIMIT = 16 << 20, SIDE_MAX = 48, COUNT_MAX = 6, PIXELS_MAX = 1 << 20 };

typedef struct picture {
    int32_t height, width, channels;
    uint8_t *pixels;
    size_t bytes;
} picture;

static dm_context *context;

static bool has_format(int32_t channels) { return channels == 1 || channels == 3 || channels == 4; }

/* Bytes of `count` images; 0 if that many are not to be made. */
static size_t bytes_of(int32_t count, int32_t height, int32_t width, int32_t channels) {
    const uint64_t bytes =
        (uint64_t)count * (uint64_t)height * (uint64_t)width * (uint64_t)channels;
    return bytes > PIXELS_MAX ? 0 : (size_t)bytes;
}

static uint8_t *fill(const fuzz_input *in, size_t bytes) {
    uint8_t *pixels = malloc(bytes + 1);
    FUZZ_CHECK(pixels != NULL);
    for (size_t i = 0; i < bytes; i++)
        pixels[i] = in->left ? (uint8_t)(in->at[i % in->left] + i / in->left) : (uint8_t)i;
    return pixels;
}

/* Decodes a PNG and compares it with p. */
static void compare(const uint8_t *encoded, size_t size, const picture *p) {
    png_image image = {.version = PNG_IMAGE_VERSION};
    FUZZ_CHECK(png_image_begin_read_from_memory(&image, encoded, size));
    FUZZ_CHECK((int32_t)image.height == p->height && (int32_t)image.width == p->width);
    image.format = p->channels == 1   ? PNG_FORMAT_GRAY
                   : p->channels == 3 ? PNG_FORMAT_RGB
                                      : PNG_FORMAT_RGBA;
    FUZZ_CHECK(PNG_IMAGE_SIZE(image) == p->bytes);
    uint8_t *decoded = malloc(p->bytes);
    FUZZ_CHECK(decoded != NULL);
    FUZZ_CHECK(png_image_finish_read(&image, NULL, decoded, 0, NULL));
    FUZZ_CHECK(memcmp(decoded, p->pixels, p->bytes) == 0);
    free(decoded);
}

/* `spare` is how much larger the buffer is than the bound; below 0, the call must refuse it. */
static void encode(const picture *p, int64_t spare) {
    size_t bound, size;
    dm_status status = dm_image_encode_png(context, NULL, 0, &bound, p->pixels, p->bytes, p->height,
                                           p->width, p->channels);
    const bool valid = p->height > 0 && p->width > 0 && has_format(p->channels);
    FUZZ_CHECK(fuzz_ok(context, status) == valid);
    if (!valid || (int64_t)bound + spare < 0) return;
    const size_t capacity = (size_t)((int64_t)bound + spare);
    uint8_t *buffer = malloc(capacity ? capacity : 1);
    FUZZ_CHECK(buffer != NULL);
    status = dm_image_encode_png(context, buffer, capacity, &size, p->pixels, p->bytes, p->height,
                                 p->width, p->channels);
    if (spare < 0) FUZZ_CHECK(status == DM_ERROR_SHAPE_MISMATCH && size == bound);
    else FUZZ_CHECK(fuzz_ok(context, status) && size <= bound);
    if (!status) compare(buffer, size, p);
    free(buffer);
}

/* The pixel of a grid at a row and a column, or NULL in a gap. */
static const uint8_t *grid_pixel(const dm_image_grid_options *o, const uint8_t *images, int32_t y,
                                 int32_t x) {
    const int32_t cell_h = o->height * o->scale + o->gap, cell_w = o->width * o->scale + o->gap;
    const int32_t image = y / cell_h * o->columns + x / cell_w;
    const int32_t in_y = y % cell_h - o->gap, in_x = x % cell_w - o->gap;
    if (in_y < 0 || in_x < 0 || x / cell_w >= o->columns || (uint64_t)image >= o->count)
        return NULL;
    return images +
           (((size_t)image * (size_t)o->height + (size_t)(in_y / o->scale)) * (size_t)o->width +
            (size_t)(in_x / o->scale)) *
               (size_t)o->channels;
}

static void check_grid(const dm_image_grid_options *o, const uint8_t *images, const picture *p) {
    static const uint8_t white[4] = {255, 255, 255, 255};
    for (int32_t y = 0; y < p->height; y++) {
        for (int32_t x = 0; x < p->width; x++) {
            const uint8_t *expected = grid_pixel(o, images, y, x);
            const uint8_t *got =
                p->pixels + ((size_t)y * (size_t)p->width + (size_t)x) * (size_t)p->channels;
            FUZZ_CHECK(memcmp(got, expected ? expected : white, (size_t)p->channels) == 0);
        }
    }
}

static void grid(fuzz_input *in, picture p) {
    dm_image_grid_options o;
    FUZZ_CHECK(!dm_image_grid_options_init(&o, sizeof o));
    o.height = p.height, o.width = p.width, o.channels = p.channels;
    o.columns = fuzz_u8(in) % 8;
    o.scale = fuzz_u8(in) % 6;
    o.gap = fuzz_u8(in) % 8 - 1;
    o.count = fuzz_u8(in) % (COUNT_MAX + 1);
    const bool valid = p.height > 0 && p.width > 0 && has_format(p.channels) && o.columns > 0 &&
                       o.scale > 0 && o.gap >= 0 && o.count > 0;
    FUZZ_CHECK((dm_image_grid_size(&o, &p.height, &p.width) == DM_OK) == valid);
    p.bytes = bytes_of(1, p.height, p.width, p.channels);
    if (!valid || p.bytes == 0) return;
    const size_t bytes = bytes_of((int32_t)o.count, o.height, o.width, o.channels);
    uint8_t *images = fill(in, bytes);
    p.pixels = malloc(p.bytes);
    FUZZ_CHECK(p.pixels != NULL);
    FUZZ_CHECK(dm_image_draw_grid(&o, p.pixels, p.bytes, images, bytes) == DM_OK);
    check_grid(&o, images, &p);
    encode(&p, 0);
    free(p.pixels);
    free(images);
}

/* The file of an animation, as libpng reads it, is its first or last frame. */
static void animation(fuzz_input *in, picture p) {
    static char path[256];
    static uint8_t encoded[2 * PIXELS_MAX];
    dm_image_animation a;
    if (!path[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(path, sizeof path, "%s/fuzz_png_%ld.png", base ? base : "/tmp", (long)getpid());
    }
    FUZZ_CHECK(!dm_image_animation_init(&a, sizeof a));
    a.height = p.height, a.width = p.width, a.channels = p.channels;
    a.frames = fuzz_u8(in) % (COUNT_MAX + 1);
    a.delay_ms = fuzz_u16(in);
    a.last_delay_ms = fuzz_u16(in);
    const size_t bytes = bytes_of(a.frames, a.height, a.width, a.channels);
    uint8_t *frames = fill(in, bytes);
    const dm_status status = dm_image_write_apng(context, path, frames, bytes, &a);
    FUZZ_CHECK(fuzz_ok(context, status) == (bytes > 0 && has_format(a.channels)));
    if (!status) {
        FILE *file = fopen(path, "rb");
        FUZZ_CHECK(file != NULL);
        const size_t size = fread(encoded, 1, sizeof encoded, file);
        fclose(file);
        p.bytes = bytes / (size_t)a.frames;
        p.pixels = frames + bytes - p.bytes;
        compare(encoded, size, &p);
        unlink(path);
    }
    free(frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!context) context = fuzz_context(LIMIT);
    const uint64_t used = fuzz_used(context);
    fuzz_input in = {data, size};
    const unsigned mode = fuzz_u8(&in) % 4;
    picture p = {.height = fuzz_u8(&in) % (SIDE_MAX + 1), .width = fuzz_u8(&in) % (SIDE_MAX + 1)};
    p.channels = fuzz_u8(&in) % 6;
    if (mode == 1) {
        grid(&in, p);
    } else if (mode == 2) {
        animation(&in, p);
    } else {
        const int64_t spare = mode == 3 ? -(int64_t)fuzz_u16(&in) : fuzz_u8(&in);
        p.bytes = bytes_of(1, p.height, p.width, p.channels);
        p.pixels = fill(&in, p.bytes);
        encode(&p, spare);
        free(p.pixels);
    }
    FUZZ_CHECK(fuzz_used(context) == used);
    return 0;
}
