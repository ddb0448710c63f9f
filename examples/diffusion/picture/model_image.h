/* SPDX-License-Identifier: MIT */
/* Pictures of any size as the floats that networks take: scaled to cover, and cropped at the
 * centre. */
#ifndef DIFFUSION_PICTURE_MODEL_IMAGE_H
#define DIFFUSION_PICTURE_MODEL_IMAGE_H

#include "command/line.h"

/* image: [height, width, channels] in [-1, 1], 1 or 3 channels, over white. 0, or REPORTED. */
int read_image(const command_line *line, const char *path, float *image, int32_t height,
               int32_t width, int32_t channels);
/* mask: [height, width]: 1 for white, 0 for black, in between for grey. 0, or REPORTED. */
int read_mask(const command_line *line, const char *path, float *mask, int32_t height,
              int32_t width);

#endif
