/* SPDX-License-Identifier: MIT */
/* Bytes and floats, grids, and the checks around PNG; test_png.c tests the encoder. */
#include "diffusion.h"

#include <unistd.h>

#include "base/cpu.h"
#include "kernels/kernels.h"
#include "support/allocator.h"
#include "support/support.h"

START_TEST(floats_become_bytes) {
    /* Halves round up; beyond the range is cut; what is not a number is 0. */
    const float images[] = {-1,  1,    0,     127.0f / 127.5f - 1, -1.5f, 2, INFINITY, -INFINITY,
                            NAN, -NAN, 1e30f, -0.99609375f};
    const uint8_t want[] = {0, 255, 128, 127, 0, 255, 255, 0, 0, 0, 255, 0};
    uint8_t got[sizeof want];
    ck_assert_int_eq(dm_image_to_u8(got, images, sizeof got), DM_OK);
    ck_assert_mem_eq(got, want, sizeof want);
    ck_assert_int_eq(dm_image_to_u8(NULL, images, 1), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_image_to_u8(got, NULL, 1), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_image_to_u8(NULL, NULL, 0), DM_OK);
}
END_TEST

START_TEST(bytes_survive_a_round_trip) {
    uint8_t bytes[256], back[256];
    float images[256];
    for (int i = 0; i < 256; i++) bytes[i] = (uint8_t)i;
    ck_assert_int_eq(dm_image_from_u8(images, bytes, 256), DM_OK);
    ck_assert(images[0] == -1 && images[255] == 1);
    /* To the bit what the trainer makes of a dataset's bytes. */
    float kernel[256];
    dmi_kernels_for(DMI_ISA_BASE)->from_u8(kernel, bytes, 16, 16, 1, false);
    ck_assert_mem_eq(images, kernel, sizeof kernel);
    ck_assert_int_eq(dm_image_to_u8(back, images, 256), DM_OK);
    ck_assert_mem_eq(back, bytes, 256);
    ck_assert_int_eq(dm_image_from_u8(NULL, bytes, 1), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_image_from_u8(images, NULL, 1), DM_ERROR_INVALID_ARGUMENT);
}
END_TEST

static dm_image_grid_options grid_of(uint64_t count, int32_t height, int32_t width, int32_t columns,
                                     int32_t scale, int32_t gap) {
    dm_image_grid_options o;
    ck_assert_int_eq(dm_image_grid_options_init(&o, sizeof o), DM_OK);
    o.count = count, o.height = height, o.width = width, o.channels = 3;
    o.columns = columns, o.scale = scale, o.gap = gap;
    return o;
}

START_TEST(grid_sizes) {
    const struct {
        size_t count;
        int32_t height, width, columns, scale, gap, grid_height, grid_width;
    } cases[] = {
        {1, 2, 3, 1, 1, 0, 2, 3},  {5, 2, 3, 2, 1, 0, 6, 6},        {6, 2, 3, 2, 4, 1, 28, 27},
        {2, 2, 3, 4, 1, 2, 6, 22}, {64, 32, 32, 8, 2, 2, 530, 530},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t height, width;
        const dm_image_grid_options o = grid_of(cases[i].count, cases[i].height, cases[i].width,
                                                cases[i].columns, cases[i].scale, cases[i].gap);
        ck_assert_int_eq(dm_image_grid_size(&o, &height, &width), DM_OK);
        ck_assert_int_eq(height, cases[i].grid_height);
        ck_assert_int_eq(width, cases[i].grid_width);
    }
    const struct {
        size_t count;
        int32_t height, width, columns, scale, gap;
    } bad[] = {
        {0, 2, 3, 1, 1, 0},
        {1, 0, 3, 1, 1, 0},
        {1, 2, -1, 1, 1, 0},
        {1, 2, 3, 0, 1, 0},
        {1, 2, 3, 1, 0, 0},
        {1, 2, 3, 1, 1, -1},
        {1, 1 << 20, 3, 1, 1 << 20, 0},
        {SIZE_MAX, 1, 1, 1, 1, 0},
        {1, 1, 1, INT32_MAX, 2, 0},
        {1, 1, 1, 1, 1, INT32_MAX},
        {1, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int32_t height = 5, width = 5;
        const dm_image_grid_options o = grid_of(bad[i].count, bad[i].height, bad[i].width,
                                                bad[i].columns, bad[i].scale, bad[i].gap);
        ck_assert_int_eq(dm_image_grid_size(&o, &height, &width), DM_ERROR_INVALID_ARGUMENT);
        ck_assert_int_eq(height, 0);
        ck_assert_int_eq(width, 0);
    }
}
END_TEST

START_TEST(grid_pixels) {
    /* Each pixel of the grid against its definition, for every number of channels. */
    const int32_t all_channels[] = {1, 3, 4}, height = 2, width = 3, columns = 2, scale = 3,
                  gap = 2;
    const size_t count = 5;
    for (int k = 0; k < 3; k++) {
        const int32_t channels = all_channels[k];
        uint8_t images[5 * 2 * 3 * 4], *grid;
        for (size_t i = 0; i < sizeof images; i++) images[i] = (uint8_t)(i * 2);
        int32_t gh, gw;
        dm_image_grid_options o = grid_of(count, height, width, columns, scale, gap);
        o.channels = channels;
        const size_t bytes = count * (size_t)(height * width * channels);
        ck_assert_int_eq(dm_image_grid_size(&o, &gh, &gw), DM_OK);
        const size_t size = (size_t)gh * (size_t)gw * (size_t)channels;
        grid = malloc(size);
        ck_assert_int_eq(dm_image_draw_grid(&o, grid, size, images, bytes), DM_OK);
        for (int32_t y = 0; y < gh; y++)
            for (int32_t x = 0; x < gw; x++)
                for (int32_t c = 0; c < channels; c++) {
                    const int32_t row = y / (height * scale + gap),
                                  column = x / (width * scale + gap);
                    const int32_t in_y = y % (height * scale + gap) - gap,
                                  in_x = x % (width * scale + gap) - gap;
                    const int32_t i = row * columns + column;
                    int32_t want = 255;
                    if (in_y >= 0 && in_x >= 0 && i < (int32_t)count)
                        want =
                            images[((i * height + in_y / scale) * width + in_x / scale) * channels +
                                   c];
                    ck_assert_int_eq(grid[(y * gw + x) * channels + c], want);
                }
        ck_assert_int_eq(dm_image_draw_grid(&o, grid, size - 1, images, bytes),
                         DM_ERROR_SHAPE_MISMATCH);
        ck_assert_int_eq(dm_image_draw_grid(&o, grid, size, images, bytes + 1),
                         DM_ERROR_SHAPE_MISMATCH);
        ck_assert_int_eq(dm_image_draw_grid(&o, NULL, size, images, bytes),
                         DM_ERROR_INVALID_ARGUMENT);
        ck_assert_int_eq(dm_image_draw_grid(&o, grid, size, NULL, bytes),
                         DM_ERROR_INVALID_ARGUMENT);
        o.channels = 2;
        ck_assert_int_eq(dm_image_draw_grid(&o, grid, size, images, bytes),
                         DM_ERROR_INVALID_ARGUMENT);
        free(grid);
    }
}
END_TEST

enum { BYTES = 4 * 5 * 3 };
static const uint8_t pixels[2 * BYTES] = {1, 2, 3};
static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

START_TEST(png_into_a_buffer) {
    dm_context *context = test_context_new(NULL, 0);
    size_t bound = 0, size = 0;
    ck_assert_int_eq(dm_image_encode_png(context, NULL, 0, &bound, NULL, BYTES, 4, 5, 3), DM_OK);
    ck_assert_uint_gt(bound, 4 * 5 * 3);
    uint8_t *buffer = malloc(bound);
    ck_assert_int_eq(dm_image_encode_png(context, buffer, bound, &size, pixels, BYTES, 4, 5, 3),
                     DM_OK);
    ck_assert_uint_le(size, bound);
    ck_assert_mem_eq(buffer, signature, 8);
    ck_assert_mem_eq(buffer + 12, "IHDR\0\0\0\5\0\0\0\4\10\2", 14);
    ck_assert_mem_eq(buffer + size - 8, "IEND", 4);

    size = 0;
    ck_assert_int_eq(dm_image_encode_png(context, buffer, 10, &size, pixels, BYTES, 4, 5, 3),
                     DM_ERROR_SHAPE_MISMATCH);
    ck_assert_uint_eq(size, bound);
    ck_assert_msg(strstr(dm_context_error(context), "'capacity' is 10") != NULL, "%s",
                  dm_context_error(context));
    const struct {
        int32_t height, width, channels;
    } bad[] = {{0, 5, 3}, {4, -1, 3}, {4, 5, 2}, {4, 5, 0}, {INT32_MAX, INT32_MAX, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size = 9;
        ck_assert_int_eq(dm_image_encode_png(context, NULL, 0, &size, pixels, BYTES, bad[i].height,
                                             bad[i].width, bad[i].channels),
                         DM_ERROR_INVALID_ARGUMENT);
        ck_assert_uint_eq(size, 0);
    }
    ck_assert_int_eq(dm_image_encode_png(context, buffer, bound, &size, NULL, BYTES, 4, 5, 3),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_image_encode_png(context, buffer, bound, NULL, pixels, BYTES, 4, 5, 3),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_image_encode_png(NULL, buffer, bound, &size, pixels, BYTES, 4, 5, 3),
                     DM_ERROR_INVALID_ARGUMENT);
    free(buffer);
    dm_context_destroy(context);
}
END_TEST

static size_t find_chunks(const char *path, const char *kind) {
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    uint8_t bytes[4096];
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    ck_assert_uint_gt(size, 8);
    ck_assert_mem_eq(bytes, signature, 8);
    size_t found = 0;
    for (size_t i = 8; i + 8 <= size;) {
        found += memcmp(bytes + i + 4, kind, 4) == 0;
        i += 12 + ((size_t)bytes[i] << 24 | (size_t)bytes[i + 1] << 16 | (size_t)bytes[i + 2] << 8 |
                   bytes[i + 3]);
    }
    return found;
}

static int32_t write_animation(dm_context *context, const char *path, int32_t frames,
                               int32_t height, int32_t delay, int32_t last) {
    dm_image_animation a;
    ck_assert_int_eq(dm_image_animation_init(&a, sizeof a), DM_OK);
    a.height = height, a.width = 5, a.channels = 3, a.frames = frames;
    a.delay_ms = delay, a.last_delay_ms = last;
    return dm_image_write_apng(context, path, pixels, 2 * BYTES, &a);
}

START_TEST(png_files) {
    dm_context *context = test_context_new(NULL, 0);
    char path[256];
    snprintf(path, sizeof path, "%s/image.png", test_folder());
    ck_assert_int_eq(dm_image_write_png(context, path, pixels, BYTES, 4, 5, 3), DM_OK);
    ck_assert_uint_eq(find_chunks(path, "acTL"), 0);
    ck_assert_uint_eq(find_chunks(path, "IEND"), 1);
    ck_assert_int_eq(write_animation(context, path, 2, 4, 100, 1000), DM_OK);
    ck_assert_uint_eq(find_chunks(path, "acTL"), 1);
    ck_assert_int_eq(write_animation(context, path, 2, 4, 0, 65535), DM_OK);
    unlink(path);

    const struct {
        int32_t frames, delay, last;
    } bad[] = {{0, 1, 1},     {-1, 1, 1},    {2, -1, 1},       {2, 1, -1},
               {2, 65536, 1}, {2, 1, 65536}, {INT32_MAX, 1, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const int32_t height = bad[i].frames == INT32_MAX ? INT32_MAX : 4;
        ck_assert_int_eq(write_animation(context, path, bad[i].frames, height, bad[i].delay,
                                         bad[i].last),
                         DM_ERROR_INVALID_ARGUMENT);
    }
    ck_assert_int_eq(dm_image_write_png(context, NULL, pixels, BYTES, 4, 5, 3),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_image_write_png(context, path, NULL, BYTES, 4, 5, 3),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_image_write_png(context, path, pixels, 4 * 5 * 5, 4, 5, 5),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_image_write_png(NULL, path, pixels, BYTES, 4, 5, 3),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(access(path, F_OK), -1);
    ck_assert_int_ne(dm_image_write_png(context, "build/no such folder/x.png", pixels, BYTES, 4, 5,
                                        3),
                     DM_OK);
    ck_assert_msg(strstr(dm_context_error(context), "no such folder") != NULL, "%s",
                  dm_context_error(context));
    dm_context_destroy(context);
}
END_TEST

static int32_t write_one(dm_context *context, const void *user) {
    return write_animation(context, user, 2, 4, 10, 10);
}

START_TEST(every_allocation_may_fail) {
    char path[256];
    snprintf(path, sizeof path, "%s/image.png", test_folder());
    ck_assert_int_ge(test_every_allocation(write_one, path), 1);
}
END_TEST

Suite *test_image_suite(void);
Suite *test_image_suite(void) {
    Suite *suite = suite_create("image");
    TCase *tcase = tcase_create("image");
    tcase_add_test(tcase, floats_become_bytes);
    tcase_add_test(tcase, bytes_survive_a_round_trip);
    tcase_add_test(tcase, grid_sizes);
    tcase_add_test(tcase, grid_pixels);
    tcase_add_test(tcase, png_into_a_buffer);
    tcase_add_test(tcase, png_files);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}
