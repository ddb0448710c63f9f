/* SPDX-License-Identifier: MIT */
/* See npz.h. The archive's members are made while libzip reads them, so nothing is held twice. */
#include "measure/npz.h"

#include <stdio.h>
#include <string.h>
#include <zip.h>

enum { WRITTEN_CHANNELS = 3, ALIGNMENT = 64, DOS_DATE = 1 << 5 | 1 }; /* 1980-01-01 */

/* An array in NumPy's format 1.0 (numpy.lib.format): a header, then its elements. */
typedef struct member {
    char header[3 * ALIGNMENT];
    size_t header_size;
    uint64_t size, position; /* bytes, with the header */
    const uint8_t *pixels;   /* uint8 elements, or NULL */
    int is_grey;
    const int32_t *labels; /* int64 elements, or NULL */
} member;

/* The header's text is padded so that the elements are aligned. */
static void write_header(member *m, const char *type, const char *shape) {
    const size_t prefix = 10;
    int length = snprintf(m->header + prefix, sizeof m->header - prefix,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type, shape);
    size_t end = prefix + (size_t)length;
    m->header_size = (end + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memset(m->header + end, ' ', m->header_size - 1 - end);
    m->header[m->header_size - 1] = '\n';
    memcpy(m->header, "\x93NUMPY\x01\x00", 8);
    m->header[8] = (char)((m->header_size - prefix) & 255);
    m->header[9] = (char)((m->header_size - prefix) >> 8);
}

/* `count` bytes of the elements, from byte `first` on. */
static void copy_elements(const member *m, uint8_t *out, uint64_t first, size_t count) {
    if (m->pixels && !m->is_grey) {
        memcpy(out, m->pixels + first, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t at = first + i;
        if (m->pixels) out[i] = m->pixels[at / WRITTEN_CHANNELS];
        else out[i] = (uint8_t)((uint64_t)(int64_t)m->labels[at / 8] >> 8 * (at % 8));
    }
}

static size_t read_member(member *m, uint8_t *out, uint64_t length) {
    size_t done = 0;
    if (length > m->size - m->position) length = m->size - m->position;
    if (m->position < m->header_size) {
        done = m->header_size - (size_t)m->position;
        if (done > length) done = (size_t)length;
        memcpy(out, m->header + m->position, done);
        m->position += done;
    }
    if (length == done) return done;
    copy_elements(m, out + done, m->position - m->header_size, (size_t)length - done);
    m->position += length - done;
    return (size_t)length;
}

/* A zip_source_callback; it cannot fail. */
static zip_int64_t source(void *user, void *data, zip_uint64_t length, zip_source_cmd_t command) {
    member *m = user;
    switch (command) {
        case ZIP_SOURCE_OPEN: m->position = 0; return 0;
        case ZIP_SOURCE_READ: return (zip_int64_t)read_member(m, data, length);
        case ZIP_SOURCE_CLOSE:
        case ZIP_SOURCE_FREE: return 0;
        case ZIP_SOURCE_STAT: {
            zip_stat_t *about = data;
            zip_stat_init(about);
            about->size = m->size;
            about->valid = ZIP_STAT_SIZE;
            return sizeof *about;
        }
        case ZIP_SOURCE_ERROR: {
            int none[2] = {ZIP_ER_OK, 0};
            if (length < sizeof none) return -1;
            memcpy(data, none, sizeof none);
            return sizeof none;
        }
        case ZIP_SOURCE_SUPPORTS:
            return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ,
                                                  ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                                  ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
        default: return -1;
    }
}

/* Stored, as numpy.savez does: pictures hardly get smaller. The date is fixed, so that equal arrays
 * make equal files. */
static int add_member(zip_t *archive, const char *name, member *m) {
    zip_source_t *s = zip_source_function(archive, source, m);
    if (!s) return 1;
    zip_int64_t index = zip_file_add(archive, name, s, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
        zip_source_free(s);
        return 1;
    }
    return zip_set_file_compression(archive, (zip_uint64_t)index, ZIP_CM_STORE, 0) ||
           zip_file_set_dostime(archive, (zip_uint64_t)index, 0, DOS_DATE, 0);
}

static int fail(char *error, size_t capacity, const char *path, const char *reason) {
    snprintf(error, capacity, "%s: %s", path, reason);
    return 1;
}

/* libzip writes a temporary file in the same folder and renames it in zip_close. */
static int write_archive(const char *path, member *pictures, member *classes, char *error,
                         size_t capacity) {
    int code = 0;
    zip_t *archive = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (!archive) {
        zip_error_t why;
        zip_error_init_with_code(&why, code);
        fail(error, capacity, path, zip_error_strerror(&why));
        zip_error_fini(&why);
        return 1;
    }
    int bad = add_member(archive, "arr_0.npy", pictures) ||
              (classes->labels && add_member(archive, "arr_1.npy", classes)) || zip_close(archive);
    if (!bad) return 0;
    fail(error, capacity, path, zip_strerror(archive));
    zip_discard(archive);
    return 1;
}

int npz_write(const char *path, const uint8_t *pixels, size_t count, int32_t height, int32_t width,
              int32_t channels, const int32_t *labels, char *error, size_t capacity) {
    member pictures = {.pixels = pixels, .is_grey = channels == 1}, classes = {.labels = labels};
    char shape[96];
    if (!count) return fail(error, capacity, path, "there are no pictures to write");
    if (height < 1 || width < 1) return fail(error, capacity, path, "the pictures are empty");
    if (channels != 1 && channels != 3)
        return fail(error, capacity, path, "the pictures have neither 1 nor 3 channels");
    const uint64_t most = INT64_MAX / 2, one = (uint64_t)height * (uint64_t)width;
    if (one > most / WRITTEN_CHANNELS || count > most / (one * WRITTEN_CHANNELS) ||
        count > most / sizeof(int64_t))
        return fail(error, capacity, path, "the pictures are too large");
    snprintf(shape, sizeof shape, "%zu, %d, %d, %d", count, (int)height, (int)width,
             WRITTEN_CHANNELS);
    write_header(&pictures, "|u1", shape);
    pictures.size = pictures.header_size + count * one * WRITTEN_CHANNELS;
    snprintf(shape, sizeof shape, "%zu,", count);
    write_header(&classes, "<i8", shape);
    classes.size = classes.header_size + count * sizeof(int64_t);
    return write_archive(path, &pictures, &classes, error, capacity);
}
