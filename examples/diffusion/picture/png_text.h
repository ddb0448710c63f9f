/* SPDX-License-Identifier: MIT */
/* Texts in PNG files (PNG specification, third edition, sec. 11.3.3): what a picture was drawn
 * with. */
#ifndef DIFFUSION_PICTURE_PNG_TEXT_H
#define DIFFUSION_PICTURE_PNG_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum { PNG_TEXTS_MAX = 16, PNG_TEXT_SIZE = 512 };

typedef struct png_texts {
    const char *keywords[PNG_TEXTS_MAX];       /* 1 to 79 bytes of ASCII each */
    char values[PNG_TEXTS_MAX][PNG_TEXT_SIZE]; /* UTF-8 */
    size_t count;
} png_texts;

/* Appends a text, shortened to its size; past PNG_TEXTS_MAX it is left out. */
__attribute__((format(printf, 3, 4))) void png_texts_add(png_texts *t, const char *keyword,
                                                         const char *format, ...);
/* A copy of the PNG with the texts behind its header, to be freed; *size becomes its own. NULL if
 * there is no memory or the bytes are no PNG. */
uint8_t *png_texts_insert(const png_texts *t, const uint8_t *png, size_t *size);

/* Called for each text of a file, in its order. */
typedef void (*png_text_visit)(void *user, const char *keyword, const char *text);
/* Reads the texts that are not compressed. 0, or 1 with a text in error[capacity]. */
int png_texts_read(const char *path, png_text_visit visit, void *user, char *error,
                   size_t capacity);

#endif
