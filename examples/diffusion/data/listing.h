/* SPDX-License-Identifier: MIT */
/* The pictures in a folder and in the folders in it, but for folders of runs. */
#ifndef DIFFUSION_DATA_LISTING_H
#define DIFFUSION_DATA_LISTING_H

#include <stddef.h>
#include <stdint.h>

typedef struct listed_picture {
    char *path;                     /* the folder's name included */
    char *condition;                /* of the picture of the same name in another folder, or NULL */
    const char *relative;           /* into path: without the folder's name */
    int64_t bytes, condition_bytes; /* of the files */
    int32_t height, width;          /* upright */
    int32_t channels;               /* 1 or 3 */
    int32_t label;                  /* -1: none */
} listed_picture;

/* Sorted by name, so that the same folder gives the same data everywhere. */
typedef struct listing {
    listed_picture *pictures; /* [count] */
    size_t count, capacity;
    char **classes; /* [class_count] names of the folders at the top that have pictures in them;
                       none where there is only one, which would distinguish nothing */
    size_t class_count;
    size_t other_files; /* neither named as PNG or JPEG, nor hidden */
    size_t unreadable;  /* pictures whose first bytes are damaged */
    size_t unpaired;    /* without a picture in the folder of conditions */
    size_t runs;        /* folders of training runs, whose grids of samples are no data */
    char first_unreadable[512], first_other[512], first_run[512];
} listing;

/* `conditions`: a folder with pictures of the same names, or NULL. 0, or 1 with the reason in
 * error[capacity]: a folder that cannot be read, no memory, a name that is too long or, of a class,
 * no text. A folder without pictures gives an empty list. Reads the first bytes of each file. */
int listing_read(listing *out, const char *folder, const char *conditions, char *error,
                 size_t capacity);
void listing_free(listing *l);
/* A hash of names and sizes of all files, never 0. */
uint64_t listing_fingerprint(const listing *l);

#endif
