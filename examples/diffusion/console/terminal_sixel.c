/* SPDX-License-Identifier: MIT */
/* See terminal_formats.h: sixels by libsixel, and the question whether a terminal shows them, by
 * the primary device attributes (xterm's ctlseqs, "Send Device Attributes"; 4 is sixel graphics).
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sixel.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "console/terminal_formats.h"

enum { ANSWER_MS = 200, ANSWER_SIZE = 256 };

/* ---- the question ---- */

static long milliseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The answer, ESC [ ? numbers c, in `text`, or NULL if it is not complete. */
static const char *find_answer(const char *text) {
    const char *begin = strstr(text, "\033[?");
    if (!begin) return NULL;
    return begin[3 + strspn(begin + 3, "0123456789;")] == 'c' ? begin + 3 : NULL;
}

/* Whether 4 is one of the numbers after the first, which is the kind of terminal. */
static int has_attribute_4(const char *answer) {
    for (const char *at = answer; *at && *at != 'c'; at++)
        if (at[0] == ';' && at[1] == '4' && (at[2] == ';' || at[2] == 'c')) return 1;
    return 0;
}

/* Reads until the answer is complete or the time is over. */
static int read_answer(int terminal) {
    const long end = milliseconds() + ANSWER_MS;
    char text[ANSWER_SIZE];
    size_t size = 0;
    while (size < sizeof text - 1) {
        struct pollfd ready = {.fd = terminal, .events = POLLIN};
        const long left = end - milliseconds();
        if (left <= 0 || poll(&ready, 1, (int)left) <= 0) return 0;
        const ssize_t got = read(terminal, text + size, sizeof text - 1 - size);
        if (got <= 0) return 0;
        size += (size_t)got;
        text[size] = 0;
        for (size_t i = 0; i < size; i++)
            if (!text[i]) text[i] = ' ';
        const char *answer = find_answer(text);
        if (answer) return has_attribute_4(answer);
    }
    return 0;
}

static int ask(int terminal) {
    static const char question[] = "\033[c";
    struct termios before, raw;
    if (tcgetattr(terminal, &before)) return 0;
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    int sixel = 0;
    if (!tcsetattr(terminal, TCSANOW, &raw) &&
        write(terminal, question, sizeof question - 1) == (ssize_t)sizeof question - 1)
        sixel = read_answer(terminal);
    (void)tcsetattr(terminal, TCSANOW, &before); /* which was valid a moment ago */
    return sixel;
}

int terminal_has_sixel(void) {
    sigset_t all, before;
    int sixel = 0;
    const int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0) return 0;
    /* A program in the background must not change the terminal. No signal may end the program
     * before the terminal is as it was. */
    sigfillset(&all);
    if (tcgetpgrp(terminal) == getpgrp() && !pthread_sigmask(SIG_BLOCK, &all, &before)) {
        sixel = ask(terminal);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    (void)close(terminal); /* nothing is left to be written */
    return sixel;
}

/* ---- sixels ---- */

static int write_part(char *data, int size, void *to) {
    return fprintf(to, "%.*s", size, data) == size ? 0 : -1;
}

/* Encodes pixels [height, width, 3], which may change. */
static SIXELSTATUS encode(FILE *to, uint8_t *rgb, int32_t height, int32_t width) {
    sixel_output_t *output = NULL;
    sixel_dither_t *dither = NULL;
    SIXELSTATUS status = sixel_output_new(&output, write_part, to, NULL);
    if (SIXEL_SUCCEEDED(status)) status = sixel_dither_new(&dither, SIXEL_PALETTE_MAX, NULL);
    if (SIXEL_SUCCEEDED(status))
        status =
            sixel_dither_initialize(dither, rgb, width, height, SIXEL_PIXELFORMAT_RGB888,
                                    SIXEL_LARGE_AUTO, SIXEL_REP_AVERAGE_PIXELS, SIXEL_QUALITY_HIGH);
    /* Pictures of few colours have them all in the palette: no diffusion of errors then. */
    if (SIXEL_SUCCEEDED(status)) {
        const int few = sixel_dither_get_num_of_histogram_colors(dither) <= SIXEL_PALETTE_MAX;
        sixel_dither_set_diffusion_type(dither, few ? SIXEL_DIFFUSE_NONE : SIXEL_DIFFUSE_FS);
        status = sixel_encode(rgb, width, height, 3, dither, output);
    }
    if (dither) sixel_dither_unref(dither);
    if (output) sixel_output_unref(output);
    return status;
}

/* libsixel 1.10.3 loses a last band of less than 6 rows, so that one is filled with the last row.
 */
int terminal_print_sixel(FILE *to, const terminal_pixels *p, char *error, size_t capacity) {
    const int32_t height = (p->height + 5) / 6 * 6;
    const size_t row = 3 * (size_t)p->width;
    uint8_t *rgb = malloc((size_t)height * row);
    if (!rgb) {
        snprintf(error, capacity, "picture for the terminal: out of memory");
        return 1;
    }
    for (int32_t y = 0; y < height; y++)
        memcpy(rgb + (size_t)y * row, p->rgb + (size_t)(y < p->height ? y : p->height - 1) * row,
               row);
    const SIXELSTATUS status = encode(to, rgb, height, p->width);
    free(rgb);
    if (SIXEL_SUCCEEDED(status)) return 0;
    snprintf(error, capacity, "picture for the terminal: %s", sixel_helper_format_error(status));
    return 1;
}
