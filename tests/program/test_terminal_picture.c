/* SPDX-License-Identifier: MIT */
/* Pictures for terminals: the bytes of every kind, decoded again, and which kind is chosen. */
#include "console/terminal_picture.h"

#include "console/terminal_formats.h"
#include "diffusion.h"
#include "support/support.h"

/* All that a file got, to be freed; closes it. */
static char *end_file(FILE *file, size_t *size) {
    *size = (size_t)ftell(file);
    char *text = malloc(*size + 1);
    ck_assert_ptr_nonnull(text);
    rewind(file);
    ck_assert_uint_eq(fread(text, 1, *size, file), *size);
    text[*size] = 0;
    ck_assert_int_eq(fclose(file), 0);
    return text;
}

/* What is printed; to be freed. */
static char *show(terminal_kind kind, const uint8_t *pixels, int32_t height, int32_t width,
                  int32_t channels, int32_t columns, size_t *size) {
    char error[256] = "";
    FILE *to = tmpfile();
    ck_assert_ptr_nonnull(to);
    ck_assert_msg(!terminal_picture_show(to, kind, pixels, height, width, channels, columns, error,
                                         sizeof error),
                  "%s", error);
    return end_file(to, size);
}

static uint8_t *noise(size_t count) {
    float *values = malloc(count * sizeof *values);
    uint8_t *pixels = malloc(count);
    ck_assert(values && pixels);
    test_fill(values, count, 1, 1);
    for (size_t i = 0; i < count; i++) pixels[i] = (uint8_t)((values[i] + 1) * 127.5f);
    free(values);
    return pixels;
}

/* ---- PNG data ---- */

static unsigned digit_value(char digit) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = digit ? strchr(digits, digit) : NULL;
    ck_assert_ptr_nonnull(at);
    return (unsigned)(at - digits);
}

/* Appends `count` base64 digits, decoded, to `bytes`. */
static size_t decode(uint8_t *bytes, const char *text, size_t count) {
    size_t size = 0;
    ck_assert_uint_eq(count % 4, 0);
    for (size_t i = 0; i < count; i += 4) {
        const int padding = (text[i + 3] == '=') + (text[i + 2] == '=');
        unsigned bits = 0;
        ck_assert(!padding || i + 4 == count);
        for (size_t k = 0; k < 4; k++)
            bits = bits << 6 | (text[i + k] == '=' ? 0 : digit_value(text[i + k]));
        for (int k = 0; k < 3 - padding; k++) bytes[size++] = (uint8_t)(bits >> (16 - 8 * k));
    }
    return size;
}

static void check_png(const uint8_t *png, size_t size, const uint8_t *pixels, int32_t height,
                      int32_t width) {
    dm_context *context;
    dm_context_options options;
    size_t bound, want_size, count = (size_t)height * (size_t)width * 3;
    ck_assert_int_eq(dm_context_options_init(&options, sizeof options), DM_OK);
    ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_OK);
    ck_assert_int_eq(dm_image_encode_png(context, NULL, 0, &bound, pixels, count, height, width, 3),
                     DM_OK);
    uint8_t *want = malloc(bound);
    ck_assert_ptr_nonnull(want);
    ck_assert_int_eq(dm_image_encode_png(context, want, bound, &want_size, pixels, count, height,
                                         width, 3),
                     DM_OK);
    ck_assert_uint_eq(size, want_size);
    ck_assert_mem_eq(png, want, size);
    free(want);
    dm_context_destroy(context);
}

START_TEST(kitty) {
    const int32_t height = 40 + 3 * _i, width = 60;
    uint8_t *pixels = noise((size_t)height * (size_t)width * 3);
    size_t size, bytes = 0, chunks = 0;
    char *text = show(TERMINAL_KITTY, pixels, height, width, 3, 33, &size);
    uint8_t *png = malloc(size);
    ck_assert_ptr_nonnull(png);
    const char *at = text;
    for (int more = 1; more; chunks++) {
        const char *keys = chunks ? "\033_Gm=" : "\033_Ga=T,f=100,q=2,c=33,m=";
        ck_assert_int_eq(strncmp(at, keys, strlen(keys)), 0);
        at += strlen(keys);
        more = *at == '1';
        ck_assert(at[1] == ';' && (more || *at == '0'));
        const size_t count = strcspn(at + 2, "\033");
        ck_assert(more ? count == 4096 : count > 0 && count <= 4096);
        bytes += decode(png + bytes, at + 2, count);
        at += 2 + count;
        ck_assert_int_eq(strncmp(at, "\033\\", 2), 0);
        at += 2;
    }
    ck_assert_str_eq(at, "\n");
    ck_assert_uint_eq(chunks, (bytes + 3071) / 3072);
    ck_assert_uint_gt(chunks, 1);
    check_png(png, bytes, pixels, height, width);
    free(png);
    free(text);
    free(pixels);
}
END_TEST

START_TEST(iterm) {
    uint8_t *pixels = noise(9 * 7 * 3);
    size_t size, given;
    int begin = 0;
    char *text = show(TERMINAL_ITERM, pixels, 9, 7, 3, 20, &size);
    ck_assert_int_eq(sscanf(text,
                            "\033]1337;File=inline=1;size=%zu;width=20;preserveAspectRatio=1:%n",
                            &given, &begin),
                     1);
    uint8_t *png = malloc(size);
    ck_assert(png && begin > 0);
    const size_t digits = strcspn(text + begin, "\a");
    ck_assert_uint_eq(decode(png, text + begin, digits), given);
    ck_assert_str_eq(text + begin + digits, "\a\n");
    check_png(png, given, pixels, 9, 7);
    free(png);
    free(text);
    free(pixels);
}
END_TEST

/* ---- blocks ---- */

static const uint8_t four[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 8, 8, 8};

START_TEST(blocks) {
    size_t size;
    setenv("COLORTERM", "truecolor", 1);
    char *text = show(TERMINAL_BLOCKS, four, 2, 2, 3, 80, &size);
    ck_assert_str_eq(text, "\033[38;2;255;0;0m\033[48;2;0;0;255m\xe2\x96\x80"
                           "\033[38;2;0;255;0m\033[48;2;8;8;8m\xe2\x96\x80\033[0m\n");
    free(text);
    setenv("COLORTERM", "", 1);
    setenv("TERM", "xterm-256color", 1);
    text = show(TERMINAL_BLOCKS, four, 2, 2, 3, 80, &size);
    ck_assert_str_eq(text, "\033[38;5;196m\033[48;5;21m\xe2\x96\x80"
                           "\033[38;5;46m\033[48;5;232m\xe2\x96\x80\033[0m\n");
    free(text);
    /* One channel, an odd number of rows, and a colour that stays. */
    text = show(TERMINAL_BLOCKS, (const uint8_t[]){255, 255, 255}, 1, 3, 1, 80, &size);
    ck_assert_str_eq(text, "\033[38;5;231m\xe2\x96\x80\xe2\x96\x80\xe2\x96\x80\033[0m\n");
    free(text);
}
END_TEST

/* Squared distance of a pixel to one of xterm's colours 16 to 255, by 256colres.pl of xterm. */
static int distance_to(const uint8_t *pixel, int colour) {
    static const int levels[] = {0, 95, 135, 175, 215, 255};
    int sum = 0;
    for (int c = 0; c < 3; c++) {
        const int digit = (colour - 16) / (c == 0 ? 36 : c == 1 ? 6 : 1) % 6;
        const int value = colour < 232 ? levels[digit] : 8 + 10 * (colour - 232);
        sum += (value - pixel[c]) * (value - pixel[c]);
    }
    return sum;
}

START_TEST(nearest_colour) {
    enum { COUNT = 999 };
    uint8_t *pixels = noise(COUNT * 3);
    size_t size;
    for (int i = 0; i < 256; i++) memset(pixels + (size_t)(3 * i), i, 3); /* the greys */
    setenv("COLORTERM", "", 1);
    setenv("TERM", "xterm-256color", 1);
    char *text = show(TERMINAL_BLOCKS, pixels, 1, COUNT, 3, COUNT, &size);
    const char *at = text;
    for (int i = 0; i < COUNT; i++) {
        int colour = 0, nearest = 16;
        ck_assert_int_eq(sscanf(at, "\033[38;5;%dm", &colour), 1);
        for (int other = 16; other < 256; other++)
            if (distance_to(pixels + 3 * i, other) < distance_to(pixels + 3 * i, nearest))
                nearest = other;
        ck_assert_int_eq(distance_to(pixels + 3 * i, colour), distance_to(pixels + 3 * i, nearest));
        at = strstr(at, "\xe2\x96\x80") + 3;
    }
    free(text);
    free(pixels);
}
END_TEST

/* The areas by numeric integration: a grid of points, fine enough to meet every boundary. */
START_TEST(area_average) {
    enum { HEIGHT = 6, WIDTH = 9, TO_WIDTH = 6, TO_HEIGHT = 4, FINE = 36 };
    uint8_t *pixels = noise(HEIGHT * WIDTH * 3);
    terminal_pixels p = terminal_scale(pixels, HEIGHT, WIDTH, 3, TO_WIDTH);
    ck_assert(p.rgb && p.width == TO_WIDTH && p.height == TO_HEIGHT);
    for (int y = 0; y < TO_HEIGHT; y++)
        for (int x = 0; x < TO_WIDTH; x++)
            for (int c = 0; c < 3; c++) {
                double sum = 0;
                for (int i = 0; i < FINE; i++)
                    for (int j = 0; j < FINE; j++) {
                        const int from_y = (int)((y + (i + 0.5) / FINE) * HEIGHT / TO_HEIGHT);
                        const int from_x = (int)((x + (j + 0.5) / FINE) * WIDTH / TO_WIDTH);
                        sum += pixels[3 * (from_y * WIDTH + from_x) + c];
                    }
                const int got = p.rgb[3 * (y * TO_WIDTH + x) + c];
                ck_assert_double_eq_tol(got, sum / (FINE * FINE), 0.5001);
            }
    free(p.rgb);
    p = terminal_scale(pixels, 1, 100, 1, 3);
    ck_assert(p.rgb && p.height == 1 && p.width == 3);
    free(p.rgb);
    free(pixels);
}
END_TEST

/* ---- refused ---- */

START_TEST(refused) {
    static const int32_t bad[][4] = {{0, 2, 3, 9},     {2, -1, 3, 9},   {2, 2, 2, 9},
                                     {2, 2, 4, 9},     {2, 2, 3, 0},    {2, 2, 3, 1001},
                                     {16385, 2, 3, 9}, {2, 20000, 3, 9}};
    char error[256];
    size_t size;
    FILE *to = tmpfile();
    ck_assert_ptr_nonnull(to);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        *error = 0;
        ck_assert_int_eq(terminal_picture_show(to, TERMINAL_KITTY, four, bad[i][0], bad[i][1],
                                               bad[i][2], bad[i][3], error, sizeof error),
                         1);
        ck_assert_ptr_nonnull(strstr(error, "must"));
    }
    ck_assert_int_eq(terminal_picture_show(to, TERMINAL_NONE, four, 2, 2, 3, 80, error,
                                           sizeof error),
                     0);
    free(end_file(to, &size));
    ck_assert_uint_eq(size, 0);
    FILE *full = fopen("/dev/full", "w");
    if (!full) return;
    uint8_t *pixels = noise(64 * 64 * 3); /* more than a buffer */
    ck_assert_int_eq(terminal_picture_show(full, TERMINAL_ITERM, pixels, 64, 64, 3, 80, error,
                                           sizeof error),
                     1);
    ck_assert_ptr_nonnull(strstr(error, "cannot be written"));
    (void)fclose(full);
    free(pixels);
}
END_TEST

Suite *test_terminal_picture_suite(void);
Suite *test_terminal_picture_suite(void) {
    Suite *suite = suite_create("terminal_picture");
    TCase *tests = tcase_create("terminal_picture");
    tcase_add_loop_test(tests, kitty, 0, 6);
    tcase_add_test(tests, iterm);
    tcase_add_test(tests, blocks);
    tcase_add_test(tests, nearest_colour);
    tcase_add_test(tests, area_average);
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return suite;
}
