/* Reading a picture for a network to begin from. */
#ifndef EXAMPLES_PICTURE_READ_H
#define EXAMPLES_PICTURE_READ_H

#include <stdint.h>

/* The PNG at `path` as floats in [-1, 1], [height, width, channels], 1 channel (grey) or 3, into `picture`. Anything but a PNG of
 * that size is told and refused. 0 on success. */
int read_picture(const char *program, const char *path, float *picture, int32_t height, int32_t width, int32_t channels);
/* The same as a mask [height, width]: 1 for white, 0 for black, in between for grey. */
int read_mask(const char *program, const char *path, float *mask, int32_t height, int32_t width);

#endif
