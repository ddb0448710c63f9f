/* Writing what a network or a dataset gives as pictures a person can look at. Every function
 * returns a status. */
#ifndef EXAMPLES_PICTURE_H
#define EXAMPLES_PICTURE_H

#include <diffusion.h>

/* `count` pictures, floats [count, height, width, channels], as one PNG, `columns` a row, enlarged
 * `scale` times. */
int32_t write_grid(dm_context *context, const char *path, const float *images, size_t count,
                   int32_t height, int32_t width, int32_t channels, int32_t columns, int32_t scale);
/* The first pictures of a dataset, likewise. */
int32_t write_dataset_grid(dm_context *context, const char *path, const dm_dataset *dataset,
                           size_t count, int32_t columns, int32_t scale);

/* An animated PNG of a sampling run: `film` collects grids through film_progress, which is a
 * dm_sampler_progress. */
typedef struct film_reel {
    int32_t height, width, channels, columns, scale;
    size_t count;         /* pictures */
    int32_t steps, every; /* a frame every so many steps */
    uint8_t *frames;      /* what was drawn */
    int32_t frame_count, room;
    size_t frame_bytes;
} film_reel;

/* Room for about `frames` frames of a run of `steps` steps. 0 where memory is short. */
int film_begin(film_reel *f, size_t count, int32_t height, int32_t width, int32_t channels,
               int32_t columns, int32_t scale, int32_t steps, int32_t frames);
/* Adds a frame from x_0 as predicted; only for runs whose pictures are one batch. */
int32_t film_progress(void *film, int32_t step, int32_t steps, const float *x_t, const float *x_0,
                      size_t first, size_t count);
int32_t film_write(const film_reel *f, dm_context *context, const char *path);
void film_end(film_reel *f);

#endif
