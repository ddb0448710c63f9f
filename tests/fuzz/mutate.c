/* SPDX-License-Identifier: MIT */
/* Custom mutators that several fuzz targets use; see fuzz.h. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

size_t fuzz_mutate_safetensors(uint8_t *data, size_t size, size_t capacity, unsigned seed) {
    enum { LENGTH_BYTES = 8 };
    uint64_t length = 0;
    for (size_t i = LENGTH_BYTES; i-- > 0 && size >= LENGTH_BYTES;) length = length << 8 | data[i];
    if (seed % 2 || size < LENGTH_BYTES || length > size - LENGTH_BYTES)
        return LLVMFuzzerMutate(data, size, capacity);
    /* The values are moved away, so that the header may become longer. */
    uint8_t *header = data + LENGTH_BYTES;
    const size_t values = size - LENGTH_BYTES - (size_t)length;
    uint8_t *kept = malloc(values + 1);
    FUZZ_CHECK(kept != NULL);
    memcpy(kept, header + length, values);
    length = LLVMFuzzerMutate(header, (size_t)length, capacity - LENGTH_BYTES - values);
    memcpy(header + length, kept, values);
    free(kept);
    for (size_t i = 0; i < LENGTH_BYTES; i++) data[i] = (uint8_t)(length >> (8 * i));
    return LENGTH_BYTES + (size_t)length + values;
}
