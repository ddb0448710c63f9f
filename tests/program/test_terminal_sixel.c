/* SPDX-License-Identifier: MIT */
/* Pictures in sixels, decoded again by libsixel; only for programs with libsixel. */
#include <sixel.h>

#include "console/terminal_picture.h"
#include "support/support.h"

/* libsixel counts colours in 5 bits, an error of at most 8 in 255, and may lose ones that only a
 * few pixels have. */
static void check_picture(int32_t height, int32_t width, int32_t channels, int32_t columns) {
    const size_t row = (size_t)width * (size_t)channels;
    uint8_t *pixels = malloc((size_t)height * row);
    char *text = NULL, error[256] = "";
    size_t size;
    FILE *to = open_memstream(&text, &size);
    ck_assert(pixels && to);
    for (size_t i = 0; i < (size_t)height * row; i++) /* 4 x 4 blocks of few colours */
        pixels[i] = (uint8_t)(i / row / 4 * 60 + i % row / (size_t)channels / 4 * 30 +
                              i % (size_t)channels * 20);
    ck_assert_msg(!terminal_picture_show(to, TERMINAL_SIXEL, pixels, height, width, channels,
                                         columns, error, sizeof error),
                  "%s", error);
    ck_assert_int_eq(fclose(to), 0);
    ck_assert(size > 5 && !memcmp(text, "\033P", 2) && !strcmp(text + size - 3, "\033\\\n"));
    unsigned char *index, *palette;
    int got_width, got_height, colours;
    ck_assert(SIXEL_SUCCEEDED(sixel_decode_raw((unsigned char *)text, (int)size, &index, &got_width,
                                               &got_height, &palette, &colours, NULL)));
    ck_assert_int_eq(got_width, width < 8 * columns ? width : 8 * columns);
    ck_assert_int_ge(got_height, got_width == width ? height : 1);
    for (int32_t y = 0; y < height && got_width == width; y++)
        for (int32_t x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                const size_t at = (size_t)y * row + (size_t)(x * channels + (channels > 1 ? c : 0));
                const int got = palette[3 * index[y * got_width + x] + c];
                ck_assert_msg(abs(got - pixels[at]) <= 8, "%d %d: %d, not %d", (int)y, (int)x, got,
                              pixels[at]);
            }
    free(index);
    free(palette);
    free(text);
    free(pixels);
}

START_TEST(sixel) {
    check_picture(12, 16, 3, 80);
    check_picture(12, 16, 1, 80);
    check_picture(1, 1, 3, 80);
    check_picture(2, 4, 3, 80);
    check_picture(64, 33, 3, 80);
    check_picture(64, 100, 3, 5);
}
END_TEST

Suite *test_terminal_sixel_suite(void);
Suite *test_terminal_sixel_suite(void) {
    Suite *suite = suite_create("terminal_sixel");
    TCase *tests = tcase_create("terminal_sixel");
    tcase_add_test(tests, sixel);
    suite_add_tcase(suite, tests);
    return suite;
}
