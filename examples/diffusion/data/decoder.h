/* SPDX-License-Identifier: MIT */
/* Threads that decode pictures. */
#ifndef DIFFUSION_DATA_DECODER_H
#define DIFFUSION_DATA_DECODER_H

#include "data/folder.h"
#include "picture/read.h"

/* A picture of at least the wanted size, and its condition image if the list has them. */
typedef struct decoded {
    picture image, condition;
} decoded;
void decoded_free(decoded *d);

/* Decodes one picture. 0, or 1 with the reason in error[capacity], and *out all zero. */
int decode_picture(const listing *list, const folder_options *options, size_t index, decoded *out,
                   char *error, size_t capacity);

/* Decodes pictures in parallel, in the order of the list, until they take options->memory: kept and
 * bad [list->count], zeroed. Returns as folder_create does. */
int decode_all(const listing *list, const folder_options *options, decoded *kept, uint8_t *bad,
               folder_progress progress, void *user, char *error, size_t capacity);

typedef struct decoder decoder;

/* The list must outlive it. 0, or 1 with a message in error[capacity]. */
int decoder_create(decoder **out, const listing *list, const folder_options *options, char *error,
                   size_t capacity);
void decoder_destroy(decoder *d);
/* From now on up to `count` more pictures are added than before; those that were decoded and never
 * taken may be dropped for them. */
void decoder_begin(decoder *d, size_t count);
/* Lets a picture be decoded, unless it is already. */
void decoder_add(decoder *d, size_t index);
/* The picture, decoded now if it was not added; *out is the caller's. 0, or 1 if it cannot be
 * decoded. */
int decoder_take(decoder *d, size_t index, decoded *out);

#endif
