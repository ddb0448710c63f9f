/* SPDX-License-Identifier: MIT */
/* Folders of pictures for tests of the data that a command reads. */
#ifndef DM_TESTS_FOLDERS_H
#define DM_TESTS_FOLDERS_H

#include <png.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/listing.h"
#include "program/pictures.h"

/* A PNG of noise, which depends on the seed alone; 1 or 3 channels. */
static inline void write_picture(const char *path, int32_t height, int32_t width, int32_t channels,
                                 uint64_t seed) {
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    const size_t size = (size_t)height * (size_t)width * (size_t)channels;
    uint8_t *pixels = malloc(size);
    ck_assert_ptr_nonnull(pixels);
    for (size_t i = 0; i < size; i++) pixels[i] = (uint8_t)picture_random(&seed);
    ck_assert(png_image_write_to_file(&image, path, 0, pixels, 0, NULL));
    free(pixels);
}

/* The first half of such a file: its header can be read, its pixels cannot. */
static inline void write_half_picture(const char *path, int32_t height, int32_t width,
                                      uint64_t seed) {
    struct stat is;
    write_picture(path, height, width, 3, seed);
    ck_assert_int_eq(stat(path, &is), 0);
    ck_assert_int_eq(truncate(path, is.st_size / 2), 0);
}

/* A folder in a folder; valid until the fourth call after. */
static inline const char *make_in(const char *folder, const char *name) {
    const char *path = test_path(folder, name);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    return path;
}

/* Fails the test where the folder is refused. */
static inline listing listed(const char *folder, const char *pairs) {
    listing l;
    char error[512] = "";
    ck_assert_msg(!listing_read(&l, folder, pairs, error, sizeof error), "%s", error);
    return l;
}

#endif
