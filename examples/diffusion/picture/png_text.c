/* SPDX-License-Identifier: MIT */
/* See png_text.h. Texts are iTXt chunks, which are UTF-8; tEXt is read too. */
#include "picture/png_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { SIGNATURE = 8, HEADER = SIGNATURE + 8 + 13 + 4, CHUNK = 12, TEXT_MAX = 1 << 20 };

static const uint8_t signature[SIGNATURE] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

/* Removes a character that is not complete from the end of a text that was shortened. */
static void drop_part(char *text) {
    size_t length = strlen(text), start = length;
    while (start && ((uint8_t)text[start - 1] & 0xC0) == 0x80) start--; /* bytes that continue */
    if (!start) return;
    uint8_t first = (uint8_t)text[start - 1];
    size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
    if (length - (start - 1) < bytes) text[start - 1] = 0;
}

void png_texts_add(png_texts *t, const char *keyword, const char *format, ...) {
    va_list arguments;
    if (t->count == PNG_TEXTS_MAX) return;
    char *text = t->values[t->count];
    va_start(arguments, format);
    int length = vsnprintf(text, PNG_TEXT_SIZE, format, arguments);
    va_end(arguments);
    if (length < 0) *text = 0;
    if (length >= PNG_TEXT_SIZE) drop_part(text);
    t->keywords[t->count++] = keyword;
}

static void put_u32(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *from) {
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* Keyword, 0, no compression, 0, no language, 0, no translated keyword, 0, text. */
static size_t text_size(const png_texts *t, size_t i) {
    return strlen(t->keywords[i]) + 5 + strlen(t->values[i]);
}

static uint8_t *put_text(uint8_t *to, const png_texts *t, size_t i) {
    static const char type[4] = {'i', 'T', 'X', 't'};
    size_t keyword = strlen(t->keywords[i]), size = text_size(t, i);
    put_u32(to, (uint32_t)size);
    memcpy(to + 4, type, sizeof type);
    memcpy(to + 8, t->keywords[i], keyword);
    memset(to + 8 + keyword, 0, 5);
    memcpy(to + 8 + keyword + 5, t->values[i], size - keyword - 5);
    put_u32(to + 8 + size, (uint32_t)crc32(0, to + 4, (uInt)size + 4));
    return to + size + CHUNK;
}

uint8_t *png_texts_insert(const png_texts *t, const uint8_t *png, size_t *size) {
    size_t more = 0;
    if (*size < HEADER || memcmp(png, signature, SIGNATURE) != 0) return NULL;
    for (size_t i = 0; i < t->count; i++) more += text_size(t, i) + CHUNK;
    uint8_t *out = malloc(*size + more), *to = out;
    if (!out) return NULL;
    memcpy(to, png, HEADER);
    to += HEADER;
    for (size_t i = 0; i < t->count; i++) to = put_text(to, t, i);
    memcpy(to, png + HEADER, *size - HEADER);
    *size += more;
    return out;
}

/* ---- reading ---- */

/* data: a chunk's bytes with a 0 after them. */
static void visit_text(const uint8_t *type, const char *data, size_t size, png_text_visit visit,
                       void *user) {
    size_t keyword = strlen(data), at = keyword + 1;
    if (keyword >= size) return;
    if (!memcmp(type, "iTXt", 4)) {
        if (at + 2 > size || data[at]) return; /* compressed */
        at += 2;
        for (int part = 0; part < 2; part++) {
            while (at < size && data[at]) at++;
            at++;
        }
        if (at > size) return;
    }
    visit(user, data, data + at);
}

/* Four letters, as no damage and no hole in a file has them. */
static int is_chunk_type(const uint8_t *type) {
    for (int i = 0; i < 4; i++)
        if ((uint8_t)((type[i] | 0x20) - 'a') > 'z' - 'a') return 0;
    return 1;
}

static int read_chunks(FILE *file, png_text_visit visit, void *user, const char **why) {
    uint8_t head[SIGNATURE];
    *why = "it is no PNG";
    if (fread(head, 1, SIGNATURE, file) != SIGNATURE || memcmp(head, signature, SIGNATURE) != 0)
        return 1;
    *why = "it is cut off";
    for (;;) {
        if (fread(head, 1, 8, file) != 8) return 1;
        uint32_t size = get_u32(head);
        if (!memcmp(head + 4, "IEND", 4)) return 0;
        if (!is_chunk_type(head + 4)) {
            *why = "it is damaged";
            return 1;
        }
        int text = !memcmp(head + 4, "iTXt", 4) || !memcmp(head + 4, "tEXt", 4);
        if (!text || size > TEXT_MAX) {
            if (size > INT32_MAX - 4 || fseek(file, (long)size + 4, SEEK_CUR)) return 1;
            continue;
        }
        char *data = calloc(1, (size_t)size + 1);
        int bad = !data || fread(data, 1, size, file) != size || fseek(file, 4, SEEK_CUR);
        if (!bad) visit_text(head + 4, data, size, visit, user);
        free(data);
        if (bad) return 1;
    }
}

int png_texts_read(const char *path, png_text_visit visit, void *user, char *error,
                   size_t capacity) {
    FILE *file = fopen(path, "rb");
    const char *why;
    if (!file) {
        snprintf(error, capacity, "%s: %s", path, strerror(errno));
        return 1;
    }
    int bad = read_chunks(file, visit, user, &why);
    (void)fclose(file); /* which was only read */
    if (bad) snprintf(error, capacity, "%s: %s", path, why);
    return bad;
}
