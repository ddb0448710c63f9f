/* SPDX-License-Identifier: MIT */
/* See terminal_formats.h: pictures scaled down, and printed in half blocks, of which each shows two
 * pixels, one above the other. */
#include <stdlib.h>
#include <string.h>

#include "console/terminal_formats.h"

/* ---- scaling ---- */

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* A row or column i of `from` has the units [i * to, (i + 1) * to), and the scaled one k of `to`
 * the units [k * from, (k + 1) * from): their overlap is the weight of i in k. */
static int64_t overlap(int64_t i, int64_t k, int64_t from, int64_t to) {
    return smaller((i + 1) * to, (k + 1) * from) - larger(i * to, k * from);
}

/* Rounded means of the area of one scaled pixel. */
static void average(uint8_t rgb[3], const uint8_t *pixels, int64_t height, int64_t width,
                    int64_t channels, const terminal_pixels *scaled, int64_t y, int64_t x) {
    const int64_t area = height * width;
    int64_t sum[3] = {0, 0, 0};
    for (int64_t i = y * height / scaled->height; i * scaled->height < (y + 1) * height; i++)
        for (int64_t j = x * width / scaled->width; j * scaled->width < (x + 1) * width; j++) {
            const int64_t weight =
                overlap(i, y, height, scaled->height) * overlap(j, x, width, scaled->width);
            const uint8_t *pixel = pixels + (i * width + j) * channels;
            for (int c = 0; c < 3; c++) sum[c] += weight * pixel[channels == 1 ? 0 : c];
        }
    for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)((sum[c] + area / 2) / area);
}

terminal_pixels terminal_scale(const uint8_t *pixels, int32_t height, int32_t width,
                               int32_t channels, int32_t width_max) {
    terminal_pixels to = {.height = height, .width = width};
    if (width > width_max) {
        to.width = width_max;
        to.height = (int32_t)larger(1, ((int64_t)height * width_max + width / 2) / width);
    }
    to.rgb = malloc((size_t)to.height * (size_t)to.width * 3);
    if (!to.rgb) return to;
    for (int64_t y = 0; y < to.height; y++)
        for (int64_t x = 0; x < to.width; x++)
            average(to.rgb + 3 * (y * to.width + x), pixels, height, width, channels, &to, y, x);
    return to;
}

/* ---- colours ---- */

static int square(int value) { return value * value; }

static int distance(const uint8_t rgb[3], int red, int green, int blue) {
    return square(rgb[0] - red) + square(rgb[1] - green) + square(rgb[2] - blue);
}

/* The nearest of the levels 0, 95, 135, 175, 215 and 255 of xterm's colour cube. */
static int cube_digit(int value) { return value < 48 ? 0 : value < 115 ? 1 : (value - 35) / 40; }
static int cube_level(int digit) { return digit ? 55 + 40 * digit : 0; }

/* The nearer of the colour cube, 16 to 231, and the greys 8, 18, ... 238, 232 to 255. */
static int xterm_colour(const uint8_t rgb[3]) {
    const int r = cube_digit(rgb[0]), g = cube_digit(rgb[1]), b = cube_digit(rgb[2]);
    const int mean = (rgb[0] + rgb[1] + rgb[2]) / 3;
    const int grey = mean < 8 ? 0 : mean > 238 ? 23 : (mean - 3) / 10, level = 8 + 10 * grey;
    const int cube = distance(rgb, cube_level(r), cube_level(g), cube_level(b));
    return distance(rgb, level, level, level) < cube ? 232 + grey : 16 + 36 * r + 6 * g + b;
}

/* kind: 38 for the upper half of a block, 48 for the lower one. */
static void print_colour(FILE *to, int kind, const uint8_t rgb[3], int true_colour) {
    if (true_colour) fprintf(to, "\033[%d;2;%d;%d;%dm", kind, rgb[0], rgb[1], rgb[2]);
    else fprintf(to, "\033[%d;5;%dm", kind, xterm_colour(rgb));
}

/* Colours are printed where they change. Below an odd last row is the terminal's background. */
void terminal_print_blocks(FILE *to, const terminal_pixels *p, int true_colour) {
    const size_t row = 3 * (size_t)p->width;
    for (int32_t y = 0; y < p->height; y += 2) {
        const uint8_t *upper = p->rgb + (size_t)y * row;
        const int has_lower = y + 1 < p->height;
        for (size_t x = 0; x < row; x += 3) {
            const uint8_t *pixel = upper + x, *lower = pixel + row;
            if (!x || memcmp(pixel, pixel - 3, 3) != 0) print_colour(to, 38, pixel, true_colour);
            if (has_lower && (!x || memcmp(lower, lower - 3, 3) != 0))
                print_colour(to, 48, lower, true_colour);
            fprintf(to, "\xe2\x96\x80");
        }
        fprintf(to, "\033[0m\n");
    }
}
