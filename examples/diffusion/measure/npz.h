/* SPDX-License-Identifier: MIT */
/* Samples as a NumPy .npz file, as the evaluators of guided-diffusion and improved-diffusion read
 * them: a zip archive of arr_0.npy, the pictures, and arr_1.npy, their classes. */
#ifndef DIFFUSION_MEASURE_NPZ_H
#define DIFFUSION_MEASURE_NPZ_H

#include <stddef.h>
#include <stdint.h>

/* Writes pixels [count, height, width, channels] as arr_0, uint8 [count, height, width, 3], and
 * labels [count], unless NULL, as arr_1, int64 [count]. channels is 1 or 3; grey pictures are
 * written with three equal channels. The file is complete or absent: on failure one that was there
 * stays. 1 on failure, after writing a line to `error`. */
int npz_write(const char *path, const uint8_t *pixels, size_t count, int32_t height, int32_t width,
              int32_t channels, const int32_t *labels, char *error, size_t capacity);

#endif
