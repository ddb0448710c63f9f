/* SPDX-License-Identifier: MIT */
/* Files of a run's folder that the tests of its page write and read. */
#ifndef TESTS_PROGRAM_REPORT_FILES_H
#define TESTS_PROGRAM_REPORT_FILES_H

#include "support/support.h"

static const unsigned char png_signature[8] = {137, 'P', 'N', 'G', '\r', '\n', 26, '\n'};

static inline void write_file(const char *path, const void *bytes, size_t count) {
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, count, file), count);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void write_text(const char *path, const char *text) {
    write_file(path, text, strlen(text));
}

static inline char *read_text(const char *path) {
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    const size_t size = (size_t)ftell(file);
    char *text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    rewind(file);
    ck_assert_uint_eq(fread(text, 1, size, file), size);
    text[size] = 0;
    ck_assert_int_eq(fclose(file), 0);
    return text;
}

/* A file of `bytes` bytes that begins like a PNG file. */
static inline void write_grid(const char *folder, unsigned step, size_t bytes) {
    char name[64], *png = calloc(1, bytes);
    ck_assert_ptr_nonnull(png);
    memcpy(png, png_signature, sizeof png_signature);
    snprintf(name, sizeof name, "samples-%06u.png", step);
    write_file(test_path(folder, name), png, bytes);
    free(png);
}

#endif
