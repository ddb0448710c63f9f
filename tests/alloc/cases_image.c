/* SPDX-License-Identifier: MIT */
/* Images: PNG in memory and in files. */
#include "cases.h"

enum { SAVE_NEW, SAVE_OVER };

static dm_status encode(world *w) {
    w->output_size = 0;
    return CALL(dm_image_encode_png, w->context, w->output, OUTPUT_SIZE, &w->output_size, w->pixels,
                ELEMENTS, SIDE, SIDE, CHANNELS);
}

static dm_status bound(world *w) {
    return CALL(dm_image_encode_png, w->context, NULL, 0, &w->output_size, w->pixels, ELEMENTS,
                SIDE, SIDE, CHANNELS);
}

static void old_file(world *w) {
    if (w->variant == SAVE_OVER)
        PREPARE(w, dm_image_write_png(w->context, w->path, w->pixels + 1, 4, 2, 2, 1));
}

static dm_status write_png(world *w) {
    return CALL(dm_image_write_png, w->context, w->path, w->pixels, ELEMENTS, SIDE, SIDE, CHANNELS);
}

static dm_status write_apng(world *w) {
    dm_image_animation a;
    dm_image_animation_init(&a, sizeof a);
    a.height = a.width = SIDE;
    a.channels = CHANNELS;
    a.frames = IMAGES;
    return CALL(dm_image_write_apng, w->context, w->path, w->pixels, IMAGES * ELEMENTS, &a);
}

const alloc_case cases_image[] = {{"image_encode_png", NULL, encode, 0, 0},
                                  {"image_encode_png, bound", NULL, bound, 0, CASE_NEVER},
                                  {"image_write_png", old_file, write_png, SAVE_NEW, 0},
                                  {"image_write_png, over a file", old_file, write_png, SAVE_OVER,
                                   0},
                                  {"image_write_apng", old_file, write_apng, SAVE_OVER, 0},
                                  {NULL, NULL, NULL, 0, 0}};
