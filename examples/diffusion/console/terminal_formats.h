/* SPDX-License-Identifier: MIT */
/* The parts of terminal_picture.h: pictures of 3 channels in half blocks and in sixels. Functions
 * that print return 0, or 1 with a text in error; failures to write stay in the FILE. */
#ifndef DIFFUSION_CONSOLE_TERMINAL_FORMATS_H
#define DIFFUSION_CONSOLE_TERMINAL_FORMATS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TERMINAL_SIXEL_COLUMN = 8 }; /* the width of a column in pixels that is assumed */

/* Pixels [height, width, 3], allocated. */
typedef struct terminal_pixels {
    uint8_t *rgb;
    int32_t height, width;
} terminal_pixels;

/* Averages over equal areas where the picture is wider than `width`, else a copy; one channel
 * becomes three. rgb is NULL if there is no memory. */
terminal_pixels terminal_scale(const uint8_t *pixels, int32_t height, int32_t width,
                               int32_t channels, int32_t width_max);

/* Colours of 24 bits if `true_colour`, else the 256 of xterm. */
void terminal_print_blocks(FILE *to, const terminal_pixels *p, int true_colour);

/* Whether the terminal says that it shows sixels. 0 in programs without libsixel. */
int terminal_has_sixel(void);
/* In at most 256 colours. The last row is repeated until their number is a multiple of 6. */
int terminal_print_sixel(FILE *to, const terminal_pixels *p, char *error, size_t capacity);

#endif
