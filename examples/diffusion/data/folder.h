/* SPDX-License-Identifier: MIT */
/* A dataset of the pictures in a folder: threads decode them while training goes on. */
#ifndef DIFFUSION_DATA_FOLDER_H
#define DIFFUSION_DATA_FOLDER_H

#include <diffusion.h>

#include "data/listing.h"

typedef struct folder_options {
    int32_t height, width, channels;
    uint8_t background[3]; /* under transparent pixels */
    int random_crop;       /* another part in each epoch; 0: the centre */
    size_t memory;         /* bytes of pictures that stay decoded */
    int readers;           /* threads, at least 1 */
} folder_options;

typedef struct picture_folder picture_folder;

/* Progress of folder_create; non-zero stops it. */
typedef int (*folder_progress)(void *user, size_t done, size_t total);

/* Takes over the listing, even on failure. Decodes pictures until the memory is full. 0; 1
 * with a message in error[capacity], as where none can be decoded; or -1 where `progress` stopped
 * it. */
int folder_create(picture_folder **out, listing *pictures, const folder_options *options,
                  folder_progress progress, void *user, char *error, size_t capacity);
/* The dataset; it must be destroyed before the folder. In the place of a picture that cannot be
 * decoded, the next one is used, whatever is kept decoded and whenever it is noticed, so that the
 * data stays the same. Reading fails when many have gone: files that cannot be read any more, or
 * that could be decoded before. */
dm_status folder_dataset(picture_folder *f, dm_context *context, dm_dataset **out);
const listing *folder_listing(const picture_folder *f);
/* How many pictures could not be decoded so far; *last, unless NULL, becomes the path and the
 * reason of the last one noticed. */
size_t folder_damaged(const picture_folder *f, const char **last);
void folder_destroy(picture_folder *f);

#endif
