/* How the flat block of parameters is cut into tasks: by its size alone, so that the number of
 * threads changes nothing. */
#ifndef DMI_OPTIM_CHUNKS_H
#define DMI_OPTIM_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

/* Floats of one task: 64 kB of each block, so that the five that AdamW walks stay in L2. */
enum { DMI_CHUNK = 16384 };

static inline int32_t dmi_chunk_count(size_t floats) {
    return (int32_t)((floats + DMI_CHUNK - 1) / DMI_CHUNK);
}

/* Floats of chunk `chunk` of a block of `floats`: DMI_CHUNK, or what is left for the last. */
static inline size_t dmi_chunk_size(size_t floats, int32_t chunk) {
    size_t left = floats - (size_t)chunk * DMI_CHUNK;
    return left < DMI_CHUNK ? left : DMI_CHUNK;
}

#endif
