/* SPDX-License-Identifier: MIT */
/* PNG and animated PNG, taken apart again: chunks in order, CRCs, sequence numbers, delays, and
 * every pixel. */
#include "io/png.h"

#include <unistd.h>
#include <zlib.h>

#include "io/file.h"
#include "support/support.h"

typedef struct chunk {
    char name[5];
    const uint8_t *data;
    size_t size;
} chunk;

enum { CHUNKS_MAX = 64 };

static uint32_t load(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int split(chunk *chunks, const uint8_t *bytes, size_t size) {
    ck_assert_uint_ge(size, 8);
    ck_assert_int_eq(memcmp(bytes, "\x89PNG\r\n\x1a\n", 8), 0);
    int count = 0;
    for (size_t at = 8; at < size; count++) {
        ck_assert_int_lt(count, CHUNKS_MAX);
        ck_assert_uint_ge(size - at, 12);
        const uint32_t length = load(bytes + at);
        ck_assert_uint_le(length, size - at - 12);
        chunk *c = &chunks[count];
        memcpy(c->name, bytes + at + 4, 4);
        c->name[4] = 0;
        c->data = bytes + at + 8;
        c->size = length;
        ck_assert_uint_eq(load(c->data + length), crc32(0, bytes + at + 4, length + 4));
        at += 12 + length;
    }
    return count;
}

static int paeth(int a, int b, int c) {
    const int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/* Unpacks and unfilters one image, and compares it. Returns the set of filters that were used. */
static unsigned check_image(const uint8_t *data, size_t size, const uint8_t *want, size_t height,
                            size_t width, size_t channels) {
    const size_t stride = width * channels;
    uLongf length = height * (stride + 1);
    uint8_t *rows = malloc(length + 1), *zeros = calloc(1, stride);
    unsigned filters = 0;
    uLongf got = length + 1; /* one more, to see that there is no more */
    ck_assert_int_eq(uncompress(rows, &got, data, size), Z_OK);
    ck_assert_uint_eq(got, length);
    for (size_t y = 0; y < height; y++) {
        uint8_t *row = rows + y * (stride + 1) + 1;
        const uint8_t *above = y > 0 ? row - stride - 1 : zeros;
        const int filter = row[-1];
        ck_assert_int_le(filter, 4);
        filters |= 1u << filter;
        for (size_t i = 0; i < stride; i++) {
            const int a = i < channels ? 0 : row[i - channels], b = above[i],
                      c = i < channels ? 0 : above[i - channels];
            const int predicted[5] = {0, a, b, (a + b) / 2, paeth(a, b, c)};
            row[i] = (uint8_t)(row[i] + predicted[filter]);
        }
        ck_assert_int_eq(memcmp(row, want + y * stride, stride), 0);
    }
    free(rows);
    free(zeros);
    return filters;
}

static void check_ihdr(const chunk *c, uint32_t height, uint32_t width, int32_t channels) {
    static const uint8_t colour_type[] = {0, 0, 0, 2, 6};
    ck_assert_str_eq(c->name, "IHDR");
    ck_assert_uint_eq(c->size, 13);
    ck_assert_uint_eq(load(c->data), width);
    ck_assert_uint_eq(load(c->data + 4), height);
    ck_assert_uint_eq(c->data[8], 8);
    ck_assert_uint_eq(c->data[9], colour_type[channels]);
    for (int i = 10; i < 13; i++) ck_assert_uint_eq(c->data[i], 0);
}

/* Noise above, smooth slopes below, so that several filters are the best of some row. */
static void draw(uint8_t *pixels, int32_t frames, int32_t height, int32_t width, int32_t channels) {
    uint32_t state = 1;
    for (int32_t f = 0; f < frames; f++) {
        for (int32_t y = 0; y < height; y++) {
            for (int32_t x = 0; x < width; x++) {
                for (int32_t c = 0; c < channels; c++) {
                    state = state * 1664525u + 1013904223u;
                    const uint32_t slope =
                        (uint32_t)(x * (2 + c) + (y > height / 2 ? y * y : 0) + 40 * f);
                    *pixels++ = (uint8_t)(y < height / 4 ? state >> 24 : slope + (state >> 31));
                }
            }
        }
    }
}

static const struct {
    int32_t frames, height, width, channels;
} sizes[] = {{1, 1, 1, 1},   {1, 1, 1, 3},   {1, 1, 1, 4},   {1, 1, 300, 3},
             {1, 300, 1, 4}, {1, 66, 68, 3}, {1, 33, 70, 1}, {1, 40, 31, 4},
             {2, 1, 1, 1},   {2, 20, 30, 3}, {7, 16, 12, 1}, {3, 34, 34, 4}};

START_TEST(images_survive_a_round_trip) {
    const int32_t frames = sizes[_i].frames, height = sizes[_i].height, width = sizes[_i].width;
    const int32_t channels = sizes[_i].channels;
    const size_t h = (size_t)height, w = (size_t)width, depth = (size_t)channels,
                 frame_size = h * w * depth;
    dmi_host host = {0};
    uint8_t *pixels = malloc((size_t)frames * frame_size);
    draw(pixels, frames, height, width, channels);
    const size_t bound = dmi_png_bound(frames, height, width, channels);
    ck_assert_uint_gt(bound, 0);
    uint8_t *out = malloc(bound);
    size_t size;
    ck_assert_int_eq(dmi_png_encode(&host, out, bound, &size, pixels, frames, height, width,
                                    channels, 40, 1500),
                     DMI_OK);
    ck_assert_uint_le(size, bound);
    ck_assert_uint_eq(host.used, 0);

    chunk chunks[CHUNKS_MAX];
    const int count = split(chunks, out, size);
    const chunk *c = chunks;
    check_ihdr(c++, (uint32_t)height, (uint32_t)width, channels);
    if (frames > 1) {
        ck_assert_str_eq(c->name, "acTL");
        ck_assert_uint_eq(c->size, 8);
        ck_assert_uint_eq(load(c->data), (uint32_t)frames);
        ck_assert_uint_eq(load(c->data + 4), 0);
        c++;
    }
    ck_assert_str_eq(c->name, "IDAT");
    check_image(c->data, c->size, pixels + (size_t)(frames - 1) * frame_size, h, w, depth);
    c++;
    uint32_t sequence = 0;
    for (int32_t f = 0; f < frames && frames > 1; f++) {
        ck_assert_str_eq(c->name, "fcTL");
        ck_assert_uint_eq(c->size, 26);
        ck_assert_uint_eq(load(c->data), sequence++);
        ck_assert_uint_eq(load(c->data + 4), (uint32_t)width);
        ck_assert_uint_eq(load(c->data + 8), (uint32_t)height);
        ck_assert_uint_eq(load(c->data + 12), 0);
        ck_assert_uint_eq(load(c->data + 16), 0);
        ck_assert_uint_eq(load(c->data + 20), (f + 1 < frames ? 40u : 1500u) << 16 | 1000u);
        ck_assert_uint_eq(c->data[24], 0);
        ck_assert_uint_eq(c->data[25], 0);
        c++;
        ck_assert_str_eq(c->name, "fdAT");
        ck_assert_uint_eq(load(c->data), sequence++);
        check_image(c->data + 4, c->size - 4, pixels + (size_t)f * frame_size, h, w, depth);
        c++;
    }
    ck_assert_str_eq(c->name, "IEND");
    ck_assert_uint_eq(c->size, 0);
    ck_assert_int_eq(c + 1 - chunks, count);
    free(out);
    free(pixels);
}
END_TEST

/* Rows that each filter is made for: the choice must find them, and the file must be small. */
START_TEST(filters_are_chosen) {
    enum { HEIGHT = 64, WIDTH = 64 };
    static uint8_t pixels[HEIGHT * WIDTH];
    uint32_t state = 7;
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            state = state * 1664525u + 1013904223u;
            uint8_t *p = &pixels[y * WIDTH + x];
            if (y < 2) *p = x % 2 == 0 ? 0 : 255;           /* as it is: small as signed numbers */
            else if (y < 8) *p = (uint8_t)(3 * x + 50 * y); /* from the left */
            else if (y < 9) *p = (uint8_t)(state >> 24);    /* noise ... */
            else if (y < 30) *p = (uint8_t)(p[-WIDTH] + 1); /* ... and copies of it: from above */
            else if (x == 0) *p = (uint8_t)(p[-WIDTH] + 31);
            else if (y < 45) *p = (uint8_t)((p[-1] + p[-WIDTH]) / 2 + 1); /* the mean */
            else *p = (uint8_t)(p[-1] + p[-WIDTH] - p[-WIDTH - 1]);       /* Paeth */
        }
    }
    dmi_host host = {0};
    static uint8_t out[HEIGHT * WIDTH * 2];
    size_t size;
    ck_assert_int_eq(dmi_png_encode(&host, out, sizeof out, &size, pixels, 1, HEIGHT, WIDTH, 1, 0,
                                    0),
                     DMI_OK);
    chunk chunks[CHUNKS_MAX];
    split(chunks, out, size);
    ck_assert_uint_eq(check_image(chunks[1].data, chunks[1].size, pixels, HEIGHT, WIDTH, 1), 0x1f);
    ck_assert_uint_lt(size, HEIGHT * WIDTH / 2);
}
END_TEST

START_TEST(buffers_of_every_size) {
    enum { FRAMES = 2, SIDE = 5 };
    uint8_t pixels[FRAMES * SIDE * SIDE * 3];
    draw(pixels, FRAMES, SIDE, SIDE, 3);
    dmi_host host = {0};
    const size_t bound = dmi_png_bound(FRAMES, SIDE, SIDE, 3);
    uint8_t *out = malloc(bound);
    size_t needed, size;
    ck_assert_int_eq(dmi_png_encode(&host, out, bound, &needed, pixels, FRAMES, SIDE, SIDE, 3, 1,
                                    1),
                     DMI_OK);
    free(out);
    for (size_t capacity = 0; capacity <= needed; capacity++) {
        out = malloc(capacity + 1);
        out[capacity] = 0xcd;
        const int32_t status =
            dmi_png_encode(&host, out, capacity, &size, pixels, FRAMES, SIDE, SIDE, 3, 1, 1);
        ck_assert_int_eq(status, capacity < needed ? DMI_ERROR_INVALID_ARGUMENT : DMI_OK);
        ck_assert_uint_eq(size, capacity < needed ? 0 : needed);
        ck_assert_uint_eq(out[capacity], 0xcd);
        free(out);
    }
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(impossible_images_are_refused) {
    ck_assert_uint_eq(dmi_png_bound(0, 1, 1, 1), 0);
    ck_assert_uint_eq(dmi_png_bound(1, 0, 1, 1), 0);
    ck_assert_uint_eq(dmi_png_bound(1, 1, -1, 1), 0);
    ck_assert_uint_eq(dmi_png_bound(1, 1, 1, 2), 0);
    ck_assert_uint_eq(dmi_png_bound(1, 1, 1, 5), 0);
    ck_assert_uint_eq(dmi_png_bound(1, INT32_MAX, INT32_MAX, 4), 0);
    ck_assert_uint_eq(dmi_png_bound(1, 100000, 100000, 3), 0);

    dmi_host host = {0};
    uint8_t pixel[4] = {0}, out[1000];
    size_t size = 1;
    ck_assert_int_eq(dmi_png_encode(&host, out, sizeof out, &size, pixel, 1, 1, 1, 2, 0, 0),
                     DMI_ERROR_INVALID_ARGUMENT);
    ck_assert_str_eq(host.error, "png: 1 images of 1 x 1 with 2 channels cannot be written");
    ck_assert_uint_eq(size, 0);
    ck_assert_int_eq(dmi_png_encode(&host, out, sizeof out, &size, pixel, 2, 1, 1, 1, 65536, 0),
                     DMI_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dmi_png_encode(&host, out, sizeof out, &size, pixel, 2, 1, 1, 1, 0, -1),
                     DMI_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dmi_png_write(&host, "build/tmp/none", pixel, 1, 0, 1, 1, 0, 0),
                     DMI_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dmi_png_write(&host, "build/tmp/none/at/all", pixel, 1, 1, 1, 1, 0, 0),
                     DMI_ERROR_IO);
    host.limit = 20000; /* enough for the rows, not for zlib */
    ck_assert_int_eq(dmi_png_encode(&host, out, sizeof out, &size, pixel, 1, 1, 1, 1, 0, 0),
                     DMI_ERROR_LIMIT_EXCEEDED);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(into_a_file) {
    dmi_host host = {0};
    char path[256];
    snprintf(path, sizeof path, "%s/image.png", test_folder());
    uint8_t pixels[3 * 8 * 9 * 3];
    draw(pixels, 3, 8, 9, 3);
    ck_assert_int_eq(dmi_png_write(&host, path, pixels, 3, 8, 9, 3, 100, 200), DMI_OK);
    const size_t bound = dmi_png_bound(3, 8, 9, 3);
    uint8_t *bytes, *want = malloc(bound);
    size_t size, want_size;
    ck_assert_int_eq(dmi_png_encode(&host, want, bound, &want_size, pixels, 3, 8, 9, 3, 100, 200),
                     DMI_OK);
    ck_assert_int_eq(dmi_file_read(&host, path, &bytes, &size), DMI_OK);
    ck_assert_uint_eq(size, want_size);
    ck_assert_int_eq(memcmp(bytes, want, size), 0);
    dmi_free(&host, bytes);
    free(want);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

Suite *test_png_suite(void);
Suite *test_png_suite(void) {
    Suite *suite = suite_create("png");
    TCase *tests = tcase_create("png");
    tcase_set_timeout(tests, 60); /* under a memory checker */
    tcase_add_loop_test(tests, images_survive_a_round_trip, 0, sizeof sizes / sizeof sizes[0]);
    tcase_add_test(tests, filters_are_chosen);
    tcase_add_test(tests, buffers_of_every_size);
    tcase_add_test(tests, impossible_images_are_refused);
    tcase_add_test(tests, into_a_file);
    suite_add_tcase(suite, tests);
    return suite;
}
