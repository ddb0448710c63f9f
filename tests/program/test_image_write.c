/* SPDX-License-Identifier: MIT */
/* Images as PNG files: grids, texts, animations, and files that cannot be written. */
#include "picture/image_write.h"

#include <sys/stat.h>

#include "picture/model_image.h"
#include "program/folders.h"
#include "program/lines.h"
#include "support/allocator.h"
#include "support/dataset.h"
#include "support/refusal.h"
#include "support/training.h"

enum { HEIGHT = 5, WIDTH = 7, COUNT = 6, ELEMENTS = HEIGHT * WIDTH * 3 };

static given_line g;
static dm_context *context;

static image_writer writer_new(void) {
    accept_line(&g, "train", "");
    context = test_context_new(NULL, 0);
    return (image_writer){.context = context, .line = &g.line};
}

static dm_image_grid_options grid_of(uint64_t count, int32_t columns, int32_t scale) {
    return grid_options(count, HEIGHT, WIDTH, 3, columns, scale);
}

/* Every pixel of image 0 is in its place, at that scale. */
static void check_first(const char *path, const uint8_t *pixels, int32_t scale) {
    const picture_options o = {.channels = 3};
    picture p = read_file(path, &o);
    int32_t gap = 0;
    while (gap < p.height && memcmp(p.pixels + (gap * p.width + gap) * 3, pixels, 3)) gap++;
    ck_assert_int_le(gap, 2);
    for (int32_t y = 0; y < HEIGHT * scale; y++)
        for (int32_t x = 0; x < WIDTH * scale; x++)
            ck_assert_mem_eq(p.pixels + ((gap + y) * p.width + gap + x) * 3,
                             pixels + (y / scale * WIDTH + x / scale) * 3, 3);
    picture_free(&p);
}

START_TEST(grids) {
    const image_writer w = writer_new();
    static uint8_t pixels[COUNT * ELEMENTS];
    static float images[COUNT * ELEMENTS];
    char *path = strdup(test_path(test_folder(), "a.png"));
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 + 1);
    ck_assert_int_eq(dm_image_from_u8(images, pixels, COUNT * ELEMENTS), DM_OK);
    for (int32_t scale = 1; scale <= 3; scale++) {
        const dm_image_grid_options grid = grid_of(COUNT, 3, scale);
        ck_assert_int_eq(write_grid(&w, path, &grid, images), DM_OK);
        check_first(path, pixels, scale);
    }
    dm_dataset *d;
    test_accepted(context, dataset_from_memory(&d, context, pixels, NULL, COUNT, HEIGHT, WIDTH, 3));
    ck_assert_int_eq(write_dataset_grid(&w, path, d, COUNT, 2, 2), DM_OK);
    check_first(path, pixels, 2);
    ck_assert_int_lt(write_dataset_grid(&w, path, d, COUNT + 1, 2, 2), 0);
    check_first(path, pixels, 2);
    dm_dataset_destroy(d);
    dm_context_destroy(context);
    free(path);
}
END_TEST

static void count_texts(void *user, const char *keyword, const char *text) {
    size_t *count = user;
    ck_assert(!strcmp(keyword, "k") && !strcmp(text, "v"));
    ++*count;
}

START_TEST(texts) {
    image_writer w = writer_new();
    png_texts t = {.count = 0};
    char error[256], *path = strdup(test_path(test_folder(), "a.png"));
    uint8_t pixels[ELEMENTS] = {0};
    size_t count = 0;
    png_texts_add(&t, "k", "v");
    w.texts = &t;
    ck_assert_int_eq(write_png(&w, path, pixels, HEIGHT, WIDTH, 3), DM_OK);
    ck_assert_int_eq(png_texts_read(path, count_texts, &count, error, sizeof error), 0);
    ck_assert_uint_eq(count, 1);
    check_first(path, pixels, 1);
    dm_context_destroy(context);
    free(path);
}
END_TEST

/* A file that cannot be written is named, nothing is left of it, and what was there stays. */
START_TEST(cannot_be_written) {
    const image_writer w = writer_new();
    const uint8_t pixels[ELEMENTS] = {0};
    struct stat is;
    char *folder = test_folder_new(), longer[2000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    make_in(folder, "a.png");
    make_in(folder, "a.png/full");
    const char *const paths[] = {test_path(folder, "none/a.png"), test_path(folder, "a.png"),
                                 longer, longer + 800, longer + 798};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        capture err = capture_begin(stderr);
        ck_assert_int_eq(write_png(&w, paths[i], pixels, HEIGHT, WIDTH, 3), REPORTED);
        char *message = capture_end(&err);
        ck_assert(!strncmp(message, "diffusion train: ", 17));
        ck_assert(i > 1 || strstr(message, "a.png"));
        free(message);
    }
    ck_assert_int_ne(stat(test_path(folder, "a.png.0.part"), &is), 0);
    ck_assert_int_eq(stat(test_path(folder, "a.png/full"), &is), 0);
    ck_assert_int_lt(write_png(&w, test_path(folder, "b.png"), pixels, 0, WIDTH, 3), 0);
    ck_assert_int_ne(stat(test_path(folder, "b.png"), &is), 0);
    dm_context_destroy(context);
    free(folder);
}
END_TEST

/* ---- animations ---- */

START_TEST(animations) {
    (void)writer_new();
    static float images[2 * ELEMENTS];
    char *path = strdup(test_path(test_folder(), "a.png"));
    const dm_image_grid_options grid = grid_of(2, 2, 1);
    for (int32_t steps = 1; steps <= 61; steps += 12) {
        animation a;
        test_accepted(context, animation_create(&a, context, &grid, steps, 20));
        for (int32_t step = 1; step <= steps; step++) {
            dm_sampler_progress p = {.step = step, .steps = steps, .count = 2, .x_0 = images};
            ck_assert_int_eq(animation_add(&a, &p), 0);
            const int32_t count = a.count;
            p.count = 1; /* another batch */
            ck_assert_int_eq(animation_add(&a, &p), 0);
            ck_assert_int_eq(a.count, count);
        }
        ck_assert_int_ge(a.count, steps < 20 ? steps : 20);
        ck_assert_int_le(a.count, 40);
        /* What comes past the room is left out. */
        for (int i = 0; i < 100; i++) {
            const dm_sampler_progress p = {.step = 0, .steps = steps, .count = 2, .x_0 = images};
            ck_assert_int_eq(animation_add(&a, &p), 0);
        }
        ck_assert_int_le(a.count, a.capacity);
        test_accepted(context, animation_write(&a, path));
        animation_destroy(&a);
    }
    const picture_options o = {.channels = 3};
    picture p = read_file(path, &o);
    picture_free(&p);
    dm_context_destroy(context);
    free(path);
}
END_TEST

/* ---- pictures as a network takes them ---- */

START_TEST(pictures_as_images) {
    (void)writer_new();
    char *folder = test_folder_new();
    float image[6 * 6 * 3], mask[6 * 6];
    write_picture(test_path(folder, "a.png"), 9, 14, 3, 1);
    write_picture(test_path(folder, "m.png"), 6, 6, 1, 2);
    const picture_options o = {.channels = 3, .height = 6, .width = 6};
    picture p = read_file(test_path(folder, "a.png"), &o);
    uint8_t want[6 * 6 * 3];
    picture_crop(want, &p, 6, 6, 0.5, 0.5);
    picture_free(&p);
    ck_assert_int_eq(read_image(&g.line, test_path(folder, "a.png"), image, 6, 6, 3), 0);
    for (size_t i = 0; i < sizeof want; i++)
        ck_assert_float_eq_tol(image[i], (float)want[i] / 127.5f - 1, 1e-6f);
    ck_assert_int_eq(read_mask(&g.line, test_path(folder, "m.png"), mask, 6, 6), 0);
    const picture_options grey = {.channels = 1};
    p = read_file(test_path(folder, "m.png"), &grey);
    for (size_t i = 0; i < 36; i++)
        ck_assert_float_eq_tol(mask[i], (float)p.pixels[i] / 255, 1e-6f);
    picture_free(&p);
    capture err = capture_begin(stderr);
    ck_assert_int_eq(read_image(&g.line, test_path(folder, "none"), image, 6, 6, 3), REPORTED);
    ck_assert_int_eq(read_image(&g.line, test_path(folder, "a.png"), image, 6, 6, 4), REPORTED);
    char *message = capture_end(&err);
    ck_assert(strstr(message, "/none: ") && strstr(message, "have 4 channels"));
    free(message);
    dm_context_destroy(context);
    free(folder);
}
END_TEST

Suite *test_image_write_suite(void);
Suite *test_image_write_suite(void) {
    Suite *suite = suite_create("image_write");
    TCase *tests = tcase_create("image_write");
    tcase_add_test(tests, grids);
    tcase_add_test(tests, texts);
    tcase_add_test(tests, cannot_be_written);
    tcase_add_test(tests, animations);
    tcase_add_test(tests, pictures_as_images);
    suite_add_tcase(suite, tests);
    return suite;
}
