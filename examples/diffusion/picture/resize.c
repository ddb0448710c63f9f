/* SPDX-License-Identifier: MIT */
/* See resize.h. */
#include "picture/resize.h"

#include <stdlib.h>
#include <string.h>

/* ---- weights ---- */

/* Shrinks an axis of `size` pixels. In units of 1/to of a pixel, a pixel of the result covers
 * `size` of them, from j * size, and one that comes in reduction * to, from i * reduction * to. */
static void shrink(scaler_axis *a, int32_t size, int32_t reduction) {
    const int64_t full = (int64_t)reduction * a->to;
    a->full = (uint32_t)full;
    a->total = (uint32_t)size;
    for (int32_t j = 0; j < a->to; j++) {
        const int64_t begin = (int64_t)j * size, end = begin + size;
        const int64_t first = begin / full, last = (end - 1) / full;
        a->taps[j] = (scaler_tap){.first = (int32_t)first, .last = (int32_t)last};
        a->taps[j].first_weight = (uint32_t)(first == last ? size : (first + 1) * full - begin);
        a->taps[j].last_weight = (uint32_t)(first == last ? 0 : end - last * full);
    }
}

/* Pixel j of the result has its centre at (j + 1/2) from / to, those that come in at i + 1/2; in
 * units of 1 / (2 to). */
static void grow(scaler_axis *a) {
    const int64_t unit = 2 * (int64_t)a->to;
    a->full = a->total = (uint32_t)unit;
    for (int32_t j = 0; j < a->to; j++) {
        const int64_t at = (2 * (int64_t)j + 1) * a->from - a->to;
        const int64_t first = at < 0 ? 0 : at / unit, part = at < 0 ? 0 : at % unit;
        a->taps[j] = (scaler_tap){.first = (int32_t)first, .last = (int32_t)first};
        a->taps[j].first_weight = (uint32_t)unit;
        if (!part || first + 1 >= a->from) continue;
        a->taps[j].last++;
        a->taps[j].first_weight = (uint32_t)(unit - part);
        a->taps[j].last_weight = (uint32_t)part;
    }
}

static int begin_axis(scaler_axis *a, int32_t size, int32_t to, int32_t reduction) {
    a->from = (size + reduction - 1) / reduction;
    a->to = to;
    a->taps = malloc((size_t)to * sizeof *a->taps);
    if (!a->taps) return 1;
    if (to > size) grow(a);
    else shrink(a, size, reduction);
    return 0;
}

/* ---- turning ---- */

/* Where pixel (0, 0) as stored goes, and the strides along the stored axes: orientations 5 to 8
 * exchange the axes; then the upright rows run backwards in 3, 4, 7 and 8, the columns in 2, 3, 6
 * and 7 (Exif 2.32, 4.6.4.A). */
static void turn(scaler *s, const picture *out, int32_t orientation) {
    const int exchanged = orientation >= 5;
    const int rows_back = orientation == 3 || orientation == 4 || orientation >= 7;
    const int columns_back = orientation == 2 || orientation == 3 || (orientation & 6) == 6;
    ptrdiff_t column = out->channels, row = column * out->width;
    s->origin = out->pixels;
    if (rows_back) {
        s->origin += row * (out->height - 1);
        row = -row;
    }
    if (columns_back) {
        s->origin += column * (out->width - 1);
        column = -column;
    }
    s->y_stride = exchanged ? column : row;
    s->x_stride = exchanged ? row : column;
}

/* A row of the result to its place. */
static void place(scaler *s, const uint8_t *row) {
    uint8_t *to = s->origin + s->done++ * s->y_stride;
    const int32_t width = s->x.to;
    if (s->x_stride == s->channels) {
        memcpy(to, row, (size_t)width * (size_t)s->channels);
    } else if (s->channels == 1) {
        for (int32_t x = 0; x < width; x++) to[x * s->x_stride] = row[x];
    } else {
        for (int32_t x = 0; x < width; x++)
            for (int32_t c = 0; c < 3; c++) to[x * s->x_stride + c] = row[3 * x + c];
    }
}

/* ---- sums ---- */

/* A row that came in, along x. The sums are below 255 * 2 * 65500 < 2^32. */
static inline void along_x(const scaler_axis *a, uint32_t *to, const uint8_t *row,
                           int32_t channels) {
    for (int32_t j = 0; j < a->to; j++) {
        const scaler_tap *tap = &a->taps[j];
        const uint8_t *first = row + (size_t)tap->first * (size_t)channels;
        const uint8_t *last = row + (size_t)tap->last * (size_t)channels;
        uint32_t between[3] = {0};
        for (const uint8_t *p = first + channels; p < last; p += channels)
            for (int32_t c = 0; c < channels; c++) between[c] += p[c];
        for (int32_t c = 0; c < channels; c++)
            *to++ =
                tap->first_weight * first[c] + a->full * between[c] + tap->last_weight * last[c];
    }
}

/* Rounds the sums, below 255 * 4 * 2^28 < 2^38, to a row of the result. The quotient of two such
 * integers in double precision is below the next integer if the exact one is, by 2^-30 or more
 * against an error of 2^-45, so that the conversion gives its integer part. */
static void finish_row(scaler *s) {
    const int32_t count = s->x.to * s->channels;
    const uint64_t total = (uint64_t)s->x.total * s->y.total;
    const double divisor = (double)total;
    for (int32_t k = 0; k < count; k++)
        s->bytes[k] = (uint8_t)(int32_t)((double)(int64_t)(s->sum[k] + total / 2) / divisor);
    place(s, s->bytes);
}

/* The rows of the result, one after the other, to which the row that came in contributes. */
static void shrink_y(scaler *s) {
    const int32_t count = s->x.to * s->channels;
    while (s->done < s->y.to) {
        const scaler_tap *tap = &s->y.taps[s->done];
        if (tap->first > s->row) return;
        const uint64_t weight = s->row == tap->first  ? tap->first_weight
                                : s->row == tap->last ? tap->last_weight
                                                      : s->y.full;
        if (s->row == tap->first) memset(s->sum, 0, (size_t)count * sizeof *s->sum);
        for (int32_t k = 0; k < count; k++) s->sum[k] += weight * s->now[k];
        if (s->row < tap->last) return;
        finish_row(s);
    }
}

/* The rows of the result between the row that came in and the one before. */
static void grow_y(scaler *s) {
    const int32_t count = s->x.to * s->channels;
    for (; s->done < s->y.to && s->y.taps[s->done].last == s->row;) {
        const scaler_tap *tap = &s->y.taps[s->done];
        const uint32_t *first = tap->first == s->row ? s->now : s->last;
        const uint64_t w = tap->first_weight, v = tap->last_weight;
        for (int32_t k = 0; k < count; k++) s->sum[k] = w * first[k] + v * s->now[k];
        finish_row(s);
    }
}

/* ---- use ---- */

int scaler_begin(scaler *s, picture *out, const picture_header *header, int32_t height,
                 int32_t width, int32_t channels, int32_t reduction) {
    const int exchanged = header->orientation >= 5;
    const size_t row = (size_t)width * (size_t)channels;
    *s = (scaler){.channels = channels};
    out->height = exchanged ? width : height;
    out->width = exchanged ? height : width;
    out->channels = channels;
    out->pixels = malloc((size_t)height * row);
    if (!out->pixels) return 1;
    turn(s, out, header->orientation);
    if (begin_axis(&s->y, header->height, height, reduction)) return 1;
    if (begin_axis(&s->x, header->width, width, reduction)) return 1;
    s->plain = reduction == 1 && height == header->height && width == header->width;
    if (s->plain) return 0;
    s->now = malloc(row * sizeof *s->now);
    s->last = malloc(row * sizeof *s->last);
    s->sum = malloc(row * sizeof *s->sum);
    s->bytes = malloc(row);
    return !s->now || !s->last || !s->sum || !s->bytes;
}

void scaler_row(scaler *s, const uint8_t *row) {
    if (s->row >= s->y.from) return;
    if (s->plain) {
        place(s, row);
    } else {
        uint32_t *before = s->now;
        s->now = s->last;
        s->last = before;
        if (s->channels == 1) along_x(&s->x, s->now, row, 1);
        else along_x(&s->x, s->now, row, 3);
        if (s->y.to > s->y.from) grow_y(s);
        else shrink_y(s);
    }
    s->row++;
}

void scaler_end(scaler *s) {
    free(s->y.taps);
    free(s->x.taps);
    free(s->now);
    free(s->last);
    free(s->sum);
    free(s->bytes);
    *s = (scaler){0};
}
