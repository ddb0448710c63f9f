/* SPDX-License-Identifier: MIT */
/* Pictures in a terminal: by its graphics protocol if it has one, else in half blocks of colour. */
#ifndef DIFFUSION_CONSOLE_TERMINAL_PICTURE_H
#define DIFFUSION_CONSOLE_TERMINAL_PICTURE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum terminal_kind {
    TERMINAL_NONE,   /* shows no pictures */
    TERMINAL_BLOCKS, /* U+2580 in two colours for each character */
    TERMINAL_SIXEL,  /* DEC's graphics, in at most 256 colours */
    TERMINAL_ITERM,  /* iTerm2's inline images */
    TERMINAL_KITTY   /* kitty's graphics protocol */
} terminal_kind;

/* What the terminal of standard output can show; TERMINAL_NONE if it is no terminal, TERM is "dumb"
 * or NO_COLOR is set. May ask the terminal and wait 200 ms for its answer, during which signals are
 * held back: to be called before threads are started, as a signal that ends the program in another
 * thread would leave the terminal without echo. Keys that are pressed meanwhile are lost. */
terminal_kind terminal_picture_kind(void);

/* Prints pixels [height, width, channels], 1 or 3 channels, and a line end. `columns`, 1 to 1000,
 * is the width: kitty and iTerm2 scale the picture to it; sixel pictures are scaled down to 8
 * pixels, blocks to 1 pixel for each column where they are wider. Does not flush. 0, or 1 with a
 * text in error. TERMINAL_NONE prints nothing. */
int terminal_picture_show(FILE *to, terminal_kind kind, const uint8_t *pixels, int32_t height,
                          int32_t width, int32_t channels, int32_t columns, char *error,
                          size_t capacity);

#endif
