/* SPDX-License-Identifier: MIT */
/* See read.h: opens files, tells PNG from JPEG, and computes sizes. */
#include "picture/read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "picture/decode.h"

int picture_fail(const picture_file *f, const char *format, ...) {
    va_list arguments;
    if (!f->error || !f->capacity) return 1;
    const int length = snprintf(f->error, f->capacity, "%s: ", f->path);
    if (length < 0 || (size_t)length >= f->capacity) return 1;
    va_start(arguments, format);
    vsnprintf(f->error + length, f->capacity - (size_t)length, format, arguments);
    va_end(arguments);
    return 1;
}

int picture_fail_short(const picture_file *f) {
    const int reason = errno;
    if (ferror(f->file)) return picture_fail(f, "%s", strerror(reason ? reason : EIO));
    return picture_fail(f, "cut off");
}

/* ---- sizes ---- */

int picture_check_size(const picture_file *f, const char *what, int64_t height, int64_t width) {
    if (height >= 1 && width >= 1 && height <= PICTURE_MOST_SIDE && width <= PICTURE_MOST_SIDE &&
        height * width <= PICTURE_MOST_PIXELS)
        return 0;
    return picture_fail(f, "%s %lld x %lld pixels; at most %d a side and %d in all are possible",
                        what, (long long)width, (long long)height, PICTURE_MOST_SIDE,
                        PICTURE_MOST_PIXELS);
}

/* size * to / from, to nearest; at least 1. */
static int64_t in_proportion(int32_t size, int32_t to, int32_t from) {
    const int64_t scaled = (2 * (int64_t)size * to + from) / (2 * (int64_t)from);
    return scaled < 1 ? 1 : scaled;
}

int picture_target_size(const picture_file *f, const picture_header *header,
                        const picture_options *options, int32_t *height, int32_t *width) {
    const int turned = header->orientation >= 5;
    const int32_t h = turned ? options->width : options->height;
    const int32_t w = turned ? options->height : options->width;
    int64_t to_h = header->height, to_w = header->width;
    if ((int64_t)h * header->width >= (int64_t)w * header->height) {
        if (h) to_w = in_proportion(header->width, h, header->height);
        if (h) to_h = h;
    } else {
        to_h = in_proportion(header->height, w, header->width);
        to_w = w;
    }
    *height = *width = 0;
    if (picture_check_size(f, "would be scaled to", turned ? to_w : to_h, turned ? to_h : to_w))
        return 1;
    *height = (int32_t)to_h;
    *width = (int32_t)to_w;
    return 0;
}

/* ---- files ---- */

/* Opens a regular file. */
static int open_file(picture_file *f) {
    struct stat is;
    /* Before it is opened, which would wait for the writer of a pipe. */
    if (!stat(f->path, &is) && !S_ISREG(is.st_mode)) return picture_fail(f, "not a regular file");
    f->file = fopen(f->path, "rb");
    if (!f->file) return picture_fail(f, "%s", strerror(errno));
    if (fstat(fileno(f->file), &is)) return picture_fail(f, "%s", strerror(errno));
    if (!S_ISREG(is.st_mode)) return picture_fail(f, "not a regular file");
    f->bytes = (int64_t)is.st_size;
    return 0;
}

static int decode(picture_file *f, picture_header *header, const picture_options *options,
                  picture *out) {
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const uint8_t jpeg[3] = {0xff, 0xd8, 0xff};
    uint8_t first[8] = {0};
    if (open_file(f)) return 1;
    const size_t got = fread(first, 1, sizeof first, f->file);
    if (ferror(f->file)) return picture_fail_short(f);
    if (fseek(f->file, 0, SEEK_SET)) return picture_fail(f, "%s", strerror(errno));
    if (got >= sizeof png && !memcmp(first, png, sizeof png))
        return picture_decode_png(f, header, options, out);
    if (got >= sizeof jpeg && !memcmp(first, jpeg, sizeof jpeg))
        return picture_decode_jpeg(f, header, options, out);
    return picture_fail(f, "%s", got ? "neither a PNG nor a JPEG file" : "an empty file");
}

int picture_probe(picture_info *info, const char *path, char *error, size_t capacity) {
    picture_file f = {.path = path, .error = error, .capacity = capacity};
    picture_header h = {.orientation = 1};
    *info = (picture_info){0};
    const int bad = decode(&f, &h, NULL, NULL);
    if (f.file) (void)fclose(f.file); /* which was only read */
    if (bad) return 1;
    const int turned = h.orientation >= 5;
    *info = (picture_info){.height = turned ? h.width : h.height,
                           .width = turned ? h.height : h.width,
                           .channels = h.channels,
                           .alpha = h.alpha,
                           .bits = h.bits};
    return 0;
}

int picture_read(picture *out, const char *path, const picture_options *options, char *error,
                 size_t capacity) {
    picture_file f = {.path = path, .error = error, .capacity = capacity};
    picture_header header = {.orientation = 1};
    *out = (picture){0};
    if (options->channels != 1 && options->channels != 3)
        return picture_fail(&f, "pictures are read with 1 or 3 channels, not %d",
                            (int)options->channels);
    if (options->height < 0 || options->width < 0 || options->height > PICTURE_MOST_SIDE ||
        options->width > PICTURE_MOST_SIDE)
        return picture_fail(&f, "a size of %d x %d pixels; at most %d a side are possible",
                            (int)options->width, (int)options->height, PICTURE_MOST_SIDE);
    const int bad = decode(&f, &header, options, out);
    if (f.file) (void)fclose(f.file); /* which was only read */
    if (bad) picture_free(out);
    return bad;
}

void picture_free(picture *p) {
    free(p->pixels);
    *p = (picture){0};
}

/* A fraction of what is left over, to nearest. */
static size_t offset_of(int32_t left, double fraction) {
    if (!(left > 0 && fraction > 0)) return 0;
    return fraction < 1 ? (size_t)(left * fraction + 0.5) : (size_t)left;
}

void picture_crop(uint8_t *to, const picture *p, int32_t height, int32_t width, double y,
                  double x) {
    const size_t channels = (size_t)p->channels, row = (size_t)width * channels;
    const size_t top = offset_of(p->height - height, y), left = offset_of(p->width - width, x);
    for (size_t i = 0; i < (size_t)height; i++)
        memcpy(to + i * row, p->pixels + ((top + i) * (size_t)p->width + left) * channels, row);
}

int picture_is_named(const char *path) {
    static const char *const endings[] = {".png", ".jpg", ".jpeg"};
    const size_t length = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t part = strlen(endings[i]);
        if (length > part && !strcasecmp(path + length - part, endings[i])) return 1;
    }
    return 0;
}
