/* SPDX-License-Identifier: MIT */
/* Scaling and turning pictures against plain loops in double precision. */
#include "picture/resize.h"

#include "program/pictures.h"

/* The share of pixel i of those that come in, of a picture of `size` pixels, in pixel j of `to`. */
static double share(int32_t size, int32_t to, int32_t reduction, int32_t j, int32_t i) {
    if (to > size) {
        double at = (j + 0.5) * size / to - 0.5;
        at = fmin(fmax(at, 0), size - 1);
        return fmax(0, 1 - fabs(at - i));
    }
    const double one = (double)size / to, begin = fmax(j * one, (double)i * reduction);
    const double end = fmin((j + 1) * one, fmin((double)(i + 1) * reduction, size));
    return fmax(0, end - begin) / one;
}

/* Where pixel (y, x) of a picture as stored, [height, width], goes, by the standard's words. */
static int32_t upright(int32_t orientation, int32_t height, int32_t width, int32_t y, int32_t x) {
    const int32_t down = height - 1 - y, right = width - 1 - x;
    switch (orientation) {
        case 2: return y * width + right;
        case 3: return down * width + right;
        case 4: return down * width + x;
        case 5: return x * height + y;
        case 6: return x * height + down;
        case 7: return right * height + down;
        case 8: return right * height + y;
        default: return y * width + x;
    }
}

static void check_scaled(const picture_header *h, int32_t to_h, int32_t to_w, int32_t channels,
                         int32_t reduction, uint64_t *state) {
    const int32_t rows = (h->height + reduction - 1) / reduction;
    const int32_t columns = (h->width + reduction - 1) / reduction;
    uint8_t *from = malloc((size_t)(rows * columns * channels));
    ck_assert_ptr_nonnull(from);
    for (int32_t i = 0; i < rows * columns * channels; i++)
        from[i] = (uint8_t)(picture_random(state) % 3 ? picture_random(state) : 255);
    picture p = {0};
    scaler s;
    ck_assert_int_eq(scaler_begin(&s, &p, h, to_h, to_w, channels, reduction), 0);
    for (int32_t y = 0; y <= rows; y++) /* one too many */
        scaler_row(&s, from + (y < rows ? y * columns * channels : 0));
    scaler_end(&s);
    for (int32_t j = 0; j < to_h * to_w * channels; j++) {
        const int32_t y = j / channels / to_w, x = j / channels % to_w, c = j % channels;
        double want = 0;
        for (int32_t i = 0; i < rows * columns; i++)
            want += share(h->height, to_h, reduction, y, i / columns) *
                    share(h->width, to_w, reduction, x, i % columns) * from[i * channels + c];
        const int got = p.pixels[upright(h->orientation, to_h, to_w, y, x) * channels + c];
        ck_assert_msg(fabs(got - want) < 0.5 + 1e-9, "%d x %d to %d x %d by %d: %d, not %g",
                      h->height, h->width, to_h, to_w, reduction, got, want);
    }
    ck_assert_int_eq(p.height, h->orientation >= 5 ? to_w : to_h);
    ck_assert_int_eq(p.width, h->orientation >= 5 ? to_h : to_w);
    picture_free(&p);
    free(from);
}

START_TEST(scaling) {
    uint64_t state = 7;
    for (int32_t i = 0; i < 600; i++) {
        const picture_header h = {.height = 1 + (int32_t)(picture_random(&state) % 40),
                                  .width = 1 + (int32_t)(picture_random(&state) % 40),
                                  .orientation = 1 + i % 8};
        const int32_t reduction = 1 << picture_random(&state) % 4;
        int32_t to_h = 1 + (int32_t)picture_random(&state) % 40,
                to_w = 1 + (int32_t)picture_random(&state) % 40;
        const int32_t rows = (h.height + reduction - 1) / reduction;
        const int32_t columns = (h.width + reduction - 1) / reduction;
        if (reduction > 1 && to_h > rows) to_h = rows;
        if (reduction > 1 && to_w > columns) to_w = columns;
        if (i % 50 == 0 && reduction == 1) to_h = h.height, to_w = h.width;
        check_scaled(&h, to_h, to_w, i % 2 ? 1 : 3, reduction, &state);
    }
}
END_TEST

/* The largest sums: white stays white. */
START_TEST(large_sums) {
    static const int32_t sizes[][4] = {{65500, 4098, 1, 1},
                                       {4, 65500, 3, 65499},
                                       {3, 2, 400, 65500},
                                       {1, 1, 65500, 1}};
    const int32_t *z = sizes[_i];
    const picture_header h = {.height = z[0], .width = z[1], .orientation = 1};
    uint8_t *white = malloc(65500);
    ck_assert_ptr_nonnull(white);
    memset(white, 255, 65500);
    picture p = {0};
    scaler s;
    ck_assert_int_eq(scaler_begin(&s, &p, &h, z[2], z[3], 1, 1), 0);
    for (int32_t y = 0; y < h.height; y++) scaler_row(&s, white);
    ck_assert_int_eq(s.done, z[2]);
    scaler_end(&s);
    int32_t others = 0;
    for (int32_t i = 0; i < z[2] * z[3]; i++) others += p.pixels[i] != 255;
    ck_assert_int_eq(others, 0);
    picture_free(&p);
    free(white);
}
END_TEST

/* The reduced DCT of libjpeg against means of the whole picture. */
START_TEST(reduced_jpeg) {
    const int32_t sides[] = {4, 9, 15, 30};
    const picture_options whole_options = as_it_is(3);
    picture whole = read_file(picture_path("smooth.jpg"), &whole_options);
    picture_options o = as_it_is(3);
    o.height = sides[_i];
    picture p = read_file(picture_path("smooth.jpg"), &o);
    for (int32_t j = 0; j < p.height * p.width * 3; j++) {
        const int32_t y = j / 3 / p.width, x = j / 3 % p.width;
        double want = 0;
        for (int32_t i = 0; i < 77 * 101; i++)
            want += share(77, p.height, 1, y, i / 101) * share(101, p.width, 1, x, i % 101) *
                    whole.pixels[3 * i + j % 3];
        ck_assert_msg(fabs(p.pixels[j] - want) < 2.5, "%d: %d, not %g", j, p.pixels[j], want);
    }
    picture_free(&p);
    picture_free(&whole);
}
END_TEST

Suite *test_picture_resize_suite(void);
Suite *test_picture_resize_suite(void) {
    Suite *suite = suite_create("picture_resize");
    TCase *tests = tcase_create("picture_resize");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, scaling);
    tcase_add_loop_test(tests, large_sums, 0, 4);
    tcase_add_loop_test(tests, reduced_jpeg, 0, 4);
    suite_add_tcase(suite, tests);
    return suite;
}
