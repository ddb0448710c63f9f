/* SPDX-License-Identifier: MIT */
/* Images of a sampler or a dataset as PNG files: grids and animations. */
#ifndef DIFFUSION_PICTURE_IMAGE_WRITE_H
#define DIFFUSION_PICTURE_IMAGE_WRITE_H

#include "command/line.h"
#include "picture/png_text.h"

/* What the functions need beside images. */
typedef struct image_writer {
    dm_context *context;
    const command_line *line;
    const png_texts *texts; /* that each PNG gets, or NULL */
} image_writer;

/* Functions with a writer return a status, or REPORTED after printing why a file cannot be
 * written. A file that was there stays until the new one is complete. */

/* Writes pixels [height, width, channels]. */
int32_t write_png(const image_writer *w, const char *path, const uint8_t *pixels, int32_t height,
                  int32_t width, int32_t channels);
/* Writes images, floats [grid->count, grid->height, grid->width, grid->channels] in [-1, 1], as one
 * PNG. */
int32_t write_grid(const image_writer *w, const char *path, const dm_image_grid_options *grid,
                   const float *images);
/* The pixels of such a grid, to be freed, with their size. Returns a status. */
dm_status draw_grid(const dm_image_grid_options *grid, const float *images, uint8_t **pixels,
                    int32_t *height, int32_t *width);
/* The first `count` images of a dataset. */
int32_t write_dataset_grid(const image_writer *w, const char *path, const dm_dataset *dataset,
                           uint64_t count, int32_t columns, int32_t scale);
/* The options of such a grid. */
dm_image_grid_options grid_options(uint64_t count, int32_t height, int32_t width, int32_t channels,
                                   int32_t columns, int32_t scale);

/* Frames of a sampling run, each a grid of the predicted x_0. */
typedef struct animation {
    dm_context *context;
    dm_image_grid_options grid;
    int32_t height, width; /* of a frame, in pixels */
    int32_t interval;      /* steps between frames */
    int32_t count, capacity;
    size_t frame_bytes;
    uint8_t *frames; /* [capacity, height, width, grid.channels] */
} animation;

/* Allocates about `frames` frames for a run of `steps` steps. */
dm_status animation_create(animation *a, dm_context *context, const dm_image_grid_options *grid,
                           int32_t steps, int32_t frames);
/* Adds a frame if one is due; for runs whose images are one batch. Returns what a sampler's
 * progress callback returns: 0, or 1 after dm_callback_fail. */
int32_t animation_add(animation *a, const dm_sampler_progress *progress);
dm_status animation_write(const animation *a, const char *path);
void animation_destroy(animation *a);

#endif
