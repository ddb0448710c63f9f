/* SPDX-License-Identifier: MIT */
/* Encodes PNG and animated PNG with 8 bits a sample, using zlib (libpng has no animation, and one
 * encoder serves both). */
#ifndef DMI_IO_PNG_H
#define DMI_IO_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/host.h"

/* An upper bound of the encoded size in bytes; 0 where the sizes are invalid. */
size_t dmi_png_bound(int32_t frames, int32_t height, int32_t width, int32_t channels);
/* Encodes pixels [frames, height, width, channels] (1, 3 or 4 channels) into out [capacity] and
 * sets *size. frames > 1 makes an animation that loops forever; viewers without animation show its
 * last frame. Delays are in ms. */
int32_t dmi_png_encode(dmi_host *host, uint8_t *out, size_t capacity, size_t *size,
                       const uint8_t *pixels, int32_t frames, int32_t height, int32_t width,
                       int32_t channels, int32_t delay_ms, int32_t last_delay_ms);
/* The same into a file, which is written completely or not at all. */
int32_t dmi_png_write(dmi_host *host, const char *path, const uint8_t *pixels, int32_t frames,
                      int32_t height, int32_t width, int32_t channels, int32_t delay_ms,
                      int32_t last_delay_ms);

#endif
