/* SPDX-License-Identifier: MIT */
/* See shape.h. */
#include "data/shape.h"

#include <stdlib.h>
#include <string.h>

enum { SIDE_MIN = 8, SIDE_MAX = 4096, SIDE_USUAL = 64, MULTIPLE = 8, MULTIPLE_MIN = 4 };

/* A number of pixels at the start of a text; *end is behind it. */
static int32_t read_side(const char *text, const char **end) {
    int32_t side = 0;
    for (; *text >= '0' && *text <= '9' && side <= SIDE_MAX; text++)
        side = 10 * side + (*text - '0');
    *end = text;
    return side;
}

int32_t read_size(const command_line *line, image_shape *size) {
    const char *text = data_values.size, *end;
    *size = (image_shape){0};
    if (!text) return 0;
    size->height = size->width = read_side(text, &end);
    if (*end == 'x') size->width = read_side(end + 1, &end);
    if (!*end && size->height >= SIDE_MIN && size->height <= SIDE_MAX && size->width >= SIDE_MIN &&
        size->width <= SIDE_MAX)
        return 0;
    return command_line_refuse(line, "--size is '%s'; it must be from %d to %d, or as in 32x48",
                               text, SIDE_MIN, SIDE_MAX);
}

int32_t read_background(const command_line *line, uint8_t colour[3]) {
    static const struct {
        const char *name;
        uint8_t value;
    } names[] = {{"black", 0}, {"grey", 128}, {"gray", 128}, {"white", 255}};
    const char *text = data_values.background;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(text, names[i].name)) {
            memset(colour, names[i].value, 3);
            return 0;
        }
    if (text[0] == '#' && strlen(text) == 7 &&
        strspn(text + 1, "0123456789abcdefABCDEF") == strlen(text) - 1) {
        long rgb = strtol(text + 1, NULL, 16);
        for (int i = 0; i < 3; i++) colour[i] = (uint8_t)(rgb >> (16 - 8 * i) & 255);
        return 0;
    }
    return command_line_refuse(line,
                               "--background is '%s'; it must be white, black, grey or #rrggbb",
                               text);
}

static int by_value(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The median of the shorter sides, in multiples that networks can halve, at most SIDE_USUAL. */
static int32_t usual_side(const listing *l) {
    int32_t *sides = malloc(l->count * sizeof *sides), side = SIDE_USUAL;
    if (!sides) return side;
    for (size_t i = 0; i < l->count; i++) {
        const listed_picture *p = &l->pictures[i];
        sides[i] = p->height < p->width ? p->height : p->width;
    }
    qsort(sides, l->count, sizeof *sides, by_value);
    int32_t median = sides[l->count / 2] / MULTIPLE * MULTIPLE;
    free(sides);
    if (median < side) side = median;
    return side < 2 * SIDE_MIN ? 2 * SIDE_MIN : side;
}

/* A side that the usual network, which halves it twice, can have. */
static int32_t possible_side(int32_t side) {
    side = side / MULTIPLE_MIN * MULTIPLE_MIN;
    return side < SIDE_MIN ? SIDE_MIN : side;
}

/* Pictures of one size that is small enough keep it, but for a few pixels. */
static image_shape usual_shape(const listing *l) {
    const listed_picture *first = &l->pictures[0];
    int same = first->height <= SIDE_USUAL && first->width <= SIDE_USUAL;
    for (size_t i = 1; same && i < l->count; i++)
        same = l->pictures[i].height == first->height && l->pictures[i].width == first->width;
    if (same)
        return (image_shape){.height = possible_side(first->height),
                             .width = possible_side(first->width)};
    int32_t side = usual_side(l);
    return (image_shape){.height = side, .width = side};
}

static int32_t usual_channels(const listing *l) {
    int32_t channels = 1;
    for (size_t i = 0; i < l->count; i++)
        if (l->pictures[i].channels > channels) channels = l->pictures[i].channels;
    return channels;
}

int32_t choose_shape(const command_line *line, const listing *list, image_shape wanted,
                     image_shape *out) {
    if (read_size(line, out)) return REPORTED;
    if (wanted.height) {
        /* --size that the folder of a run keeps is the network's own. */
        if (command_line_given(line, "size") &&
            (out->height != wanted.height || out->width != wanted.width))
            return command_line_refuse(line, "--size is '%s'; the network's images are %d x %d",
                                       data_values.size, (int)wanted.height, (int)wanted.width);
        *out = wanted;
        if (command_line_given(line, "grey") && wanted.channels != 1)
            return command_line_refuse(line,
                                       "--grey has no effect: the network's images have %d "
                                       "channels",
                                       (int)wanted.channels);
        if (wanted.channels == 1 || wanted.channels == 3) return 0;
        return command_line_refuse(line,
                                   "the network's images have %d channels; pictures have 1 or "
                                   "3",
                                   (int)wanted.channels);
    }
    if (!out->height) *out = usual_shape(list);
    out->channels = data_values.grey ? 1 : usual_channels(list);
    return 0;
}
