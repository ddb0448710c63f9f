/* SPDX-License-Identifier: MIT */
/* Files whose checksums are left out, so that they may be changed; for tests and other programs. */
#ifndef DM_TESTS_CHECKSUMS_H
#define DM_TESTS_CHECKSUMS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Renames the checksums in the header of a safetensors file, which keeps its length. */
static inline void test_drop_checksums(uint8_t *bytes, size_t size) {
    static const char key[] = "\"crc32";
    const size_t length = sizeof key - 1;
    for (uint8_t *at = bytes; (at = memmem(at, size - (size_t)(at - bytes), key, length)) != NULL;)
        at[1] = 'C';
}

#endif
