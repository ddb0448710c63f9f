/* SPDX-License-Identifier: MIT */
/* The size and the colours of the images that pictures become, by the options and by what most
 * pictures are. */
#ifndef DIFFUSION_DATA_SHAPE_H
#define DIFFUSION_DATA_SHAPE_H

#include "data/open.h"

/* --size as "64" or "32x48", height first; 0, 0 where it is not given. 0, or REPORTED. */
int32_t read_size(const command_line *line, image_shape *size);
/* --background. 0, or REPORTED. */
int32_t read_background(const command_line *line, uint8_t colour[3]);
/* The shape for a folder; `wanted` is that of a network, or 0, 0, 0. 0, or REPORTED. */
int32_t choose_shape(const command_line *line, const listing *list, image_shape wanted,
                     image_shape *out);

#endif
