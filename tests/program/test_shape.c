/* SPDX-License-Identifier: MIT */
/* The size, the colours and the background of the images that pictures become. */
#include "data/shape.h"

#include "program/lines.h"

typedef struct size_case {
    const char *words;
    int32_t height, width; /* 0: refused */
} size_case;

START_TEST(sizes) {
    static const size_case cases[] = {
        {"--size 64", 64, 64},        {"--size 32x48", 32, 48},    {"--size 8", 8, 8},
        {"--size 4096x8", 4096, 8},   {"--size 7", 0, 0},          {"--size 4097", 0, 0},
        {"--size 64x", 0, 0},         {"--size x64", 0, 0},        {"--size 64x64x64", 0, 0},
        {"--size 64,64", 0, 0},       {"--size -64", 0, 0},        {"--size 99999999999", 0, 0},
        {"--size 64x99999999", 0, 0}, {"--size 4294967360", 0, 0}, {"--size=", 0, 0}};
    static given_line g;
    image_shape size;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        accept_line(&g, "train", cases[i].words);
        capture err = capture_begin(stderr);
        const int32_t got = read_size(&g.line, &size);
        char *message = capture_end(&err);
        ck_assert_msg(got == (cases[i].height ? 0 : REPORTED), "%s: %s", cases[i].words, message);
        if (!got) ck_assert(size.height == cases[i].height && size.width == cases[i].width);
        else ck_assert_ptr_nonnull(strstr(message, "it must be from 8 to 4096, or as in 32x48"));
        free(message);
    }
    accept_line(&g, "train", "");
    ck_assert(!read_size(&g.line, &size) && !size.height && !size.width);
}
END_TEST

START_TEST(backgrounds) {
    static const struct {
        const char *words;
        uint8_t colour[3];
        int refused;
    } cases[] = {{"", {255, 255, 255}, 0},
                 {"--background black", {0, 0, 0}, 0},
                 {"--background gray", {128, 128, 128}, 0},
                 {"--background #0aFf10", {10, 255, 16}, 0},
                 {"--background #0aFf1", {0}, 1},
                 {"--background #0aFf100", {0}, 1},
                 {"--background #+aFf10", {0}, 1},
                 {"--background 0aFf10", {0}, 1},
                 {"--background red", {0}, 1},
                 {"--background=", {0}, 1}};
    static given_line g;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t colour[3];
        accept_line(&g, "train", cases[i].words);
        capture err = capture_begin(stderr);
        const int32_t got = read_background(&g.line, colour);
        free(capture_end(&err));
        ck_assert_msg(got == cases[i].refused, "%s", cases[i].words);
        if (!got) ck_assert_mem_eq(colour, cases[i].colour, 3);
    }
}
END_TEST

/* Of pictures of these heights and widths, in pairs up to 0, the last one in colour. */
static image_shape chosen(const char *words, const int32_t *sides, image_shape wanted,
                          int refused) {
    static given_line g;
    listed_picture pictures[8] = {0};
    listing l = {.pictures = pictures};
    image_shape out = {0};
    for (; sides[2 * l.count]; l.count++)
        pictures[l.count] = (listed_picture){.height = sides[2 * l.count],
                                             .width = sides[2 * l.count + 1],
                                             .channels = 1};
    pictures[l.count - 1].channels = 3;
    accept_line(&g, "train", words);
    capture err = capture_begin(stderr);
    const int32_t got = choose_shape(&g.line, &l, wanted, &out);
    char *message = capture_end(&err);
    ck_assert_msg(got == refused, "%s: %s", words, message);
    free(message);
    return out;
}

static void check(const char *words, const int32_t *sides, int32_t height, int32_t width,
                  int32_t channels) {
    const image_shape s = chosen(words, sides, (image_shape){0}, 0);
    ck_assert_msg(s.height == height && s.width == width && s.channels == channels,
                  "%s: %d x %d x %d", words, (int)s.height, (int)s.width, (int)s.channels);
}

/* Small pictures of one size keep it as far as a network can halve it twice; of others the median
 * of the shorter sides decides. */
START_TEST(usual_shapes) {
    check("", (const int32_t[]){28, 28, 28, 28, 0}, 28, 28, 3);
    check("", (const int32_t[]){32, 48, 32, 48, 0}, 32, 48, 3);
    check("", (const int32_t[]){37, 50, 37, 50, 0}, 36, 48, 3);
    check("", (const int32_t[]){30, 30, 0}, 28, 28, 3);
    check("", (const int32_t[]){1, 1, 0}, 8, 8, 3);
    check("", (const int32_t[]){64, 65, 64, 65, 0}, 64, 64, 3);
    check("", (const int32_t[]){480, 640, 480, 640, 0}, 64, 64, 3);
    check("", (const int32_t[]){100, 50, 70, 49, 16, 300, 0}, 48, 48, 3);
    check("", (const int32_t[]){5, 9, 3, 20, 0}, 16, 16, 3);
    check("--grey", (const int32_t[]){28, 28, 28, 28, 0}, 28, 28, 1);
    check("--size 24x40", (const int32_t[]){28, 28, 0}, 24, 40, 3);
}
END_TEST

START_TEST(wanted_shapes) {
    static const int32_t sides[] = {28, 28, 0};
    image_shape s = chosen("", sides, (image_shape){16, 24, 1}, 0);
    ck_assert(s.height == 16 && s.width == 24 && s.channels == 1);
    s = chosen("--size 16x24", sides, (image_shape){16, 24, 3}, 0);
    ck_assert(s.height == 16 && s.channels == 3);
    chosen("--size 32", sides, (image_shape){16, 24, 3}, REPORTED);
    chosen("", sides, (image_shape){16, 24, 4}, REPORTED);
    chosen("--grey", sides, (image_shape){16, 24, 3}, REPORTED);
    chosen("--grey", sides, (image_shape){16, 24, 1}, 0);
}
END_TEST

Suite *test_shape_suite(void);
Suite *test_shape_suite(void) {
    Suite *suite = suite_create("shape");
    TCase *tests = tcase_create("shape");
    tcase_add_test(tests, sizes);
    tcase_add_test(tests, backgrounds);
    tcase_add_test(tests, usual_shapes);
    tcase_add_test(tests, wanted_shapes);
    suite_add_tcase(suite, tests);
    return suite;
}
