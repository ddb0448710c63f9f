/* Reading PNGs: pictures for a network to begin from or to learn. */
#ifndef EXAMPLES_PICTURE_READ_H
#define EXAMPLES_PICTURE_READ_H

#include <stdint.h>

/* A PNG's size; channels 1 where it is grey, else 3. 0 on success; else it was told why not. */
int picture_size(const char *program, const char *path, int32_t *height, int32_t *width,
                 int32_t *channels);
/* Its bytes [height, width, channels], the caller's to free; white behind what is transparent.
 * NULL, after telling why not, where it has another size: "cat.png is 3 x 3 pixels; the network's
 * pictures are 32 x 32", of which `whose` are the middle words. */
uint8_t *read_pixels(const char *program, const char *path, int32_t height, int32_t width,
                     int32_t channels, const char *whose);
/* The PNG at `path` as floats in [-1, 1], [height, width, channels], 1 channel (grey) or 3, into
 * `picture`. Anything but a PNG of that size is told and refused. 0 on success. */
int read_picture(const char *program, const char *path, float *picture, int32_t height,
                 int32_t width, int32_t channels);
/* The same as a mask [height, width]: 1 for white, 0 for black, in between for grey. */
int read_mask(const char *program, const char *path, float *mask, int32_t height, int32_t width);

#endif
