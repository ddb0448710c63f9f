/* SPDX-License-Identifier: MIT */
/* The partition of the flat parameter block into tiles, one a task. It depends on the block's size
 * only, so the number of threads changes no result. */
#ifndef DMI_OPTIM_PARTITION_H
#define DMI_OPTIM_PARTITION_H

#include <stddef.h>
#include <stdint.h>

#include "base/math.h"

/* Floats of a tile: 64 KiB of each block, so that the five that AdamW uses stay in L2. */
enum { DMI_FLAT_TILE = 16384 };

static inline int32_t dmi_flat_tile_count(size_t floats) {
    return (int32_t)dmi_divide_up_size(floats, DMI_FLAT_TILE);
}

/* Floats of one tile of a block of `floats`: DMI_FLAT_TILE, or the rest for the last. */
static inline size_t dmi_flat_tile_size(size_t floats, int32_t tile) {
    return dmi_min_size(floats - (size_t)tile * DMI_FLAT_TILE, DMI_FLAT_TILE);
}

#endif
