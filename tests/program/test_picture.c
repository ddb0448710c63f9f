/* SPDX-License-Identifier: MIT */
/* Pictures from files: every kind of PNG and JPEG, upright, against pixels from make_pictures.py;
 * sizes and parts. */
#include "program/pictures.h"
#include "support/training.h"

/* ---- kinds ---- */

/* A picture of expected.bin. */
typedef struct expectation {
    char name[40];
    int height, width, channels, alpha, bits;
    const uint8_t *pixels;
} expectation;

static void check_rgb(const expectation *e) {
    const picture_options o = as_it_is(3);
    picture p = read_file(picture_path(e->name), &o);
    ck_assert_msg(p.height == e->height && p.width == e->width, "%s", e->name);
    const int is_jpeg = strstr(e->name, ".jpg") != NULL;
    for (int32_t i = 0; i < p.height * p.width * 3; i++)
        ck_assert_msg(abs(p.pixels[i] - e->pixels[i]) <= is_jpeg, "%s: %d is %d, not %d", e->name,
                      i, p.pixels[i], e->pixels[i]);
    picture_free(&p);
    ck_assert(!p.pixels && !p.height);
}

static void check_grey(const expectation *e) {
    const picture_options o = as_it_is(1);
    picture p = read_file(picture_path(e->name), &o);
    ck_assert_msg(p.height == e->height && p.width == e->width, "%s", e->name);
    /* The luma, that of the background and their mean are each rounded; the luma in a JPEG is not
     * that of RGB values which were clipped. */
    const double bound = strstr(e->name, ".jpg") ? 3 : 1.6;
    for (int32_t i = 0; i < p.height * p.width; i++) {
        const uint8_t *c = e->pixels + 3 * i;
        const double want = 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2];
        ck_assert_msg(fabs(p.pixels[i] - want) <= bound, "%s: %d is %d, not %g", e->name, i,
                      p.pixels[i], want);
    }
    picture_free(&p);
}

START_TEST(kinds) {
    size_t size;
    uint8_t *bytes = training_read_file(picture_path("expected.bin"), &size);
    int count = 0;
    for (size_t at = 0; at < size; count++) {
        expectation e;
        char line[100];
        const uint8_t *end = memchr(bytes + at, '\n', size - at);
        ck_assert(end && (size_t)(end - bytes) - at < sizeof line);
        const size_t length = (size_t)(end - bytes) - at;
        memcpy(line, bytes + at, length);
        line[length] = 0;
        ck_assert_int_eq(sscanf(line, "%39s %d %d %d %d %d", e.name, &e.height, &e.width,
                                &e.channels, &e.alpha, &e.bits),
                         6);
        e.pixels = bytes + at + length + 1;
        at += length + 1 + (size_t)(3 * e.height * e.width);
        ck_assert_uint_le(at, size);
        picture_info i;
        char error[256] = "";
        ck_assert_msg(!picture_probe(&i, picture_path(e.name), error, sizeof error), "%s", error);
        ck_assert_msg(i.height == e.height && i.width == e.width && i.channels == e.channels &&
                          i.alpha == e.alpha && i.bits == e.bits,
                      "%s: %d %d %d %d %d", e.name, i.height, i.width, i.channels, i.alpha, i.bits);
        check_rgb(&e);
        check_grey(&e);
    }
    free(bytes);
    ck_assert_int_eq(count, 40);
}
END_TEST

/* smooth.jpg has 77 rows of 101. */
START_TEST(sizes) {
    static const int32_t cases[][4] = {{0, 0, 77, 101},    {20, 20, 20, 26},   {7, 30, 23, 30},
                                       {77, 101, 77, 101}, {10, 0, 10, 13},    {0, 10, 8, 10},
                                       {1, 1, 1, 1},       {154, 10, 154, 202}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        picture_options o = as_it_is(3);
        o.height = cases[i][0];
        o.width = cases[i][1];
        picture p = read_file(picture_path("smooth.jpg"), &o);
        ck_assert_int_eq(p.height, cases[i][2]);
        ck_assert_int_eq(p.width, cases[i][3]);
        picture_free(&p);
    }
    /* turned6.jpg is 13 rows of 11 upright, after the size to cover is upright, too. */
    picture_options o = as_it_is(1);
    o.height = 26;
    picture p = read_file(picture_path("turned6.jpg"), &o);
    ck_assert(p.height == 26 && p.width == 22);
    picture_free(&p);
}
END_TEST

START_TEST(cropping) {
    uint8_t pixels[4 * 5 * 3], to[2 * 3 * 3];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)i;
    const picture p = {.height = 4, .width = 5, .channels = 3, .pixels = pixels};
    static const struct {
        double y, x;
        int top, left;
    } cases[] = {{0, 0, 0, 0},     {1, 1, 2, 2},  {0.5, 0.5, 1, 1},
                 {0.2, 0.8, 0, 2}, {-1, 7, 0, 2}, {0.3, NAN, 1, 0}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        picture_crop(to, &p, 2, 3, cases[k].y, cases[k].x);
        for (int i = 0; i < 18; i++) {
            const int y = i / 9 + cases[k].top, x = i / 3 % 3 + cases[k].left;
            ck_assert_int_eq(to[i], (y * 5 + x) * 3 + i % 3);
        }
    }
}
END_TEST

START_TEST(names) {
    ck_assert(picture_is_named("a.png") && picture_is_named("b/a.JPG") &&
              picture_is_named("a.JpEg"));
    ck_assert(!picture_is_named(".png") && !picture_is_named("apng") && !picture_is_named("") &&
              !picture_is_named("a.png.txt") && !picture_is_named("a.gif"));
}
END_TEST

Suite *test_picture_suite(void);
Suite *test_picture_suite(void) {
    Suite *suite = suite_create("picture");
    TCase *tests = tcase_create("picture");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, kinds);
    tcase_add_test(tests, sizes);
    tcase_add_test(tests, cropping);
    tcase_add_test(tests, names);
    suite_add_tcase(suite, tests);
    return suite;
}
