/* SPDX-License-Identifier: MIT */
/* Grids of images in the terminal. */
#ifndef DIFFUSION_PICTURE_SHOW_H
#define DIFFUSION_PICTURE_SHOW_H

#include <diffusion.h>

/* Finds out what the terminal can show: to be called once, before a context is created. */
void show_begin(void);
/* Shows images, as write_grid takes them, if the terminal can. What fails is left out: the file is
 * written anyway. */
void show_grid(const dm_image_grid_options *grid, const float *images);

#endif
