/* SPDX-License-Identifier: MIT */
/* Fuzz target: a PNG or JPEG file, as the program `diffusion` reads pictures: its header, its
 * pixels, its texts, and the Exif data of a JPEG.
 *
 *     byte 0   bits 0 to 1: grey or RGB, as it is or scaled; bit 2: the rest is Exif data
 *     bytes 1 and 2: height and width to cover
 *     the rest: the file */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "picture/decode.h"
#include "picture/png_text.h"

enum { SIDE_MAX = 64, PIXELS_MAX = 1 << 20 };

/* Where the file is written, which the functions open by name. */
static const char *write_input(const fuzz_input *in) {
    static char path[256];
    if (!path[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(path, sizeof path, "%s/fuzz_picture_%ld", base ? base : "/tmp", (long)getpid());
    }
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file != NULL);
    FUZZ_CHECK(fwrite(in->at, 1, in->left, file) == in->left);
    FUZZ_CHECK(fclose(file) == 0);
    return path;
}

/* A text is at least terminated within its chunk. */
static void add_length(void *user, const char *keyword, const char *text) {
    *(size_t *)user += strlen(keyword) + strlen(text);
}

static void read_pixels(const char *path, const picture_options *o, const picture_info *info) {
    char error[512] = "";
    picture p;
    const int bad = picture_read(&p, path, o, error, sizeof error);
    FUZZ_CHECK(bad ? error[0] && !p.pixels : p.pixels != NULL);
    if (bad) return;
    FUZZ_CHECK(p.channels == o->channels && p.height >= o->height && p.width >= o->width);
    FUZZ_CHECK(o->height || (p.height == info->height && p.width == info->width));
    unsigned sum = 0;
    const size_t bytes = (size_t)p.height * (size_t)p.width * (size_t)p.channels;
    for (size_t i = 0; i < bytes; i++) sum += p.pixels[i];
    FUZZ_CHECK(sum <= 255 * bytes);
    if (o->height) {
        static uint8_t part[3 * SIDE_MAX * SIDE_MAX];
        picture_crop(part, &p, o->height, o->width, 0.3, 1);
    }
    picture_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input in = {data, size};
    const unsigned mode = fuzz_u8(&in);
    picture_options o = {.channels = mode & 1 ? 3 : 1, .background = {1, 2, 3}};
    const int32_t height = fuzz_u8(&in) % SIDE_MAX + 1, width = fuzz_u8(&in) % SIDE_MAX + 1;
    if (mode & 2) o.height = height, o.width = width;
    if (mode & 4) {
        const int32_t turn = picture_exif_orientation(in.at, in.left);
        FUZZ_CHECK(turn >= 0 && turn <= 8);
        return 0;
    }
    const char *path = write_input(&in);
    picture_info info;
    char error[512] = "";
    size_t length = 0;
    const int bad = picture_probe(&info, path, error, sizeof error);
    FUZZ_CHECK(!bad || error[0]);
    if (!bad && (int64_t)info.height * info.width <= PIXELS_MAX) read_pixels(path, &o, &info);
    (void)png_texts_read(path, add_length, &length, error, sizeof error); /* may be no PNG */
    unlink(path);
    return 0;
}
