/* SPDX-License-Identifier: MIT */
/* See terminal_picture.h. Specifications: sw.kovidgoyal.net/kitty/graphics-protocol and
 * iterm2.com/documentation-images.html. */
#include "console/terminal_picture.h"

#include <diffusion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console/base64.h"
#include "console/terminal_formats.h"

enum { SIDE_MAX = 16384, COLUMNS_MAX = 1000 };

static int fail(char *error, size_t capacity, const char *reason) {
    snprintf(error, capacity, "picture for the terminal: %s", reason);
    return 1;
}

/* ---- which kind ---- */

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

static int is(const char *name, const char *value) { return strcmp(variable(name), value) == 0; }

static int is_set(const char *name) { return variable(name)[0] != 0; }

/* These take the variables of the terminal around them along, but not its graphics. */
static int in_multiplexer(void) {
    const char *term = variable("TERM");
    return is_set("TMUX") || is_set("STY") || strncmp(term, "screen", 6) == 0 ||
           strncmp(term, "tmux", 4) == 0;
}

static int is_kitty(void) {
    return is_set("KITTY_WINDOW_ID") || is("TERM", "xterm-kitty") || is("TERM", "xterm-ghostty") ||
           is("TERM_PROGRAM", "ghostty") || is("TERM_PROGRAM", "WezTerm") ||
           strtol(variable("KONSOLE_VERSION"), NULL, 10) >= 220400; /* Konsole 22.04 */
}

static int has_true_colour(void) {
    return is("COLORTERM", "truecolor") || is("COLORTERM", "24bit") ||
           strstr(variable("TERM"), "-direct");
}

terminal_kind terminal_picture_kind(void) {
    if (!isatty(STDOUT_FILENO) || !is_set("TERM") || is("TERM", "dumb") || is_set("NO_COLOR"))
        return TERMINAL_NONE;
    if (!in_multiplexer()) {
        if (is_kitty()) return TERMINAL_KITTY;
        if (is("TERM_PROGRAM", "iTerm.app")) return TERMINAL_ITERM;
    }
    if (terminal_has_sixel()) return TERMINAL_SIXEL;
    if (has_true_colour() || strstr(variable("TERM"), "256color")) return TERMINAL_BLOCKS;
    return TERMINAL_NONE;
}

/* ---- PNG data in base64 ---- */

typedef struct png_data {
    uint8_t *bytes;
    size_t size;
} png_data;

/* An error of the library becomes its text. */
static int encode_png(png_data *png, const terminal_pixels *p, char *error, size_t capacity) {
    dm_context_options options;
    dm_context *context = NULL;
    const size_t count = (size_t)p->height * (size_t)p->width * 3;
    size_t bound = 0;
    dm_context_options_init(&options, sizeof options);
    options.threads = 1;
    dm_status status = dm_context_create(&context, &options, NULL, 0);
    if (!status)
        status =
            dm_image_encode_png(context, NULL, 0, &bound, p->rgb, count, p->height, p->width, 3);
    if (!status) png->bytes = malloc(bound);
    if (!status && !png->bytes) status = DM_ERROR_OUT_OF_MEMORY;
    if (!status)
        status = dm_image_encode_png(context, png->bytes, bound, &png->size, p->rgb, count,
                                     p->height, p->width, 3);
    dm_context_destroy(context);
    return status ? fail(error, capacity, dm_status_message(status)) : 0;
}

static void print_base64(FILE *to, const uint8_t *bytes, size_t count) {
    enum { BYTES = 768 * 3 };
    char digits[BYTES / 3 * 4 + 1];
    for (size_t i = 0; i < count; i += BYTES) {
        const size_t block = count - i < BYTES ? count - i : BYTES;
        digits[base64_encode(digits, bytes + i, block)] = 0;
        fputs(digits, to);
    }
}

/* Chunks of 4096 digits. a=T: transmit and display, f=100: PNG, q=2: no answer, m=1: more follow.
 */
static void print_kitty(FILE *to, const png_data *png, int32_t columns) {
    enum { CHUNK = 4096 / 4 * 3 };
    for (size_t i = 0; i < png->size; i += CHUNK) {
        const size_t left = png->size - i, count = left < CHUNK ? left : CHUNK;
        fprintf(to, "\033_G");
        if (!i) fprintf(to, "a=T,f=100,q=2,c=%d,", (int)columns);
        fprintf(to, "m=%d;", left > CHUNK);
        print_base64(to, png->bytes + i, count);
        fprintf(to, "\033\\");
    }
}

static void print_iterm(FILE *to, const png_data *png, int32_t columns) {
    fprintf(to, "\033]1337;File=inline=1;size=%zu;width=%d;preserveAspectRatio=1:", png->size,
            (int)columns);
    print_base64(to, png->bytes, png->size);
    fprintf(to, "\a");
}

static int print_png(FILE *to, terminal_kind kind, const terminal_pixels *p, int32_t columns,
                     char *error, size_t capacity) {
    png_data png = {.size = 0};
    const int bad = encode_png(&png, p, error, capacity);
    if (!bad) (kind == TERMINAL_KITTY ? print_kitty : print_iterm)(to, &png, columns);
    free(png.bytes);
    return bad;
}

/* ---- the interface ---- */

/* The greatest width in pixels that is printed. */
static int32_t width_max(terminal_kind kind, int32_t width, int32_t columns) {
    if (kind == TERMINAL_BLOCKS) return columns;
    return kind == TERMINAL_SIXEL ? TERMINAL_SIXEL_COLUMN * columns : width;
}

int terminal_picture_show(FILE *to, terminal_kind kind, const uint8_t *pixels, int32_t height,
                          int32_t width, int32_t channels, int32_t columns, char *error,
                          size_t capacity) {
    int bad = 0;
    if (capacity) *error = 0;
    if (kind == TERMINAL_NONE) return 0;
    if (height < 1 || width < 1 || height > SIDE_MAX || width > SIDE_MAX)
        return fail(error, capacity, "its height and width must be 1 to 16384");
    if (channels != 1 && channels != 3)
        return fail(error, capacity, "it must have 1 or 3 channels");
    if (columns < 1 || columns > COLUMNS_MAX)
        return fail(error, capacity, "the columns must be 1 to 1000");
    terminal_pixels p =
        terminal_scale(pixels, height, width, channels, width_max(kind, width, columns));
    if (!p.rgb) return fail(error, capacity, "out of memory");
    if (kind == TERMINAL_BLOCKS) terminal_print_blocks(to, &p, has_true_colour());
    else if (kind == TERMINAL_SIXEL) bad = terminal_print_sixel(to, &p, error, capacity);
    else bad = print_png(to, kind, &p, columns, error, capacity);
    free(p.rgb);
    if (!bad && kind != TERMINAL_BLOCKS) fprintf(to, "\n");
    if (!bad && ferror(to)) bad = fail(error, capacity, "it cannot be written");
    return bad;
}
