/* SPDX-License-Identifier: MIT */
/* The orientation in Exif data (CIPA DC-008, Exif 2.32): "Exif", two zero bytes, and a TIFF file
 * whose first directory has tag 0x0112, one number of 16 bits. Everything else is passed over. */
#include <string.h>

#include "picture/decode.h"

enum { ENTRY_BYTES = 12, TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3 };

/* TIFF data, and its order of bytes. */
typedef struct tiff {
    const uint8_t *data;
    size_t size;
    int big; /* the first byte of a number is its largest */
} tiff;

static uint32_t number16(const tiff *t, size_t at) {
    const uint8_t *p = t->data + at;
    return t->big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t number32(const tiff *t, size_t at) {
    const uint32_t first = number16(t, at), second = number16(t, at + 2);
    return t->big ? first << 16 | second : second << 16 | first;
}

int32_t picture_exif_orientation(const uint8_t *data, size_t size) {
    static const uint8_t name[6] = {'E', 'x', 'i', 'f', 0, 0};
    if (size < sizeof name + 8 || memcmp(data, name, sizeof name) != 0) return 0;
    tiff t = {.data = data + sizeof name, .size = size - sizeof name};
    if (t.data[0] != t.data[1] || (t.data[0] != 'M' && t.data[0] != 'I')) return 0;
    t.big = t.data[0] == 'M';
    if (number16(&t, 2) != 42) return 0;
    const size_t directory = number32(&t, 4);
    if (directory > t.size - 2) return 0;
    size_t count = number16(&t, directory), entry = directory + 2;
    for (; count-- && t.size - entry >= ENTRY_BYTES; entry += ENTRY_BYTES) {
        if (number16(&t, entry) != TAG_ORIENTATION) continue;
        if (number16(&t, entry + 2) != TYPE_SHORT || number32(&t, entry + 4) != 1) return 0;
        const uint32_t value = number16(&t, entry + 8);
        return value >= 1 && value <= 8 ? (int32_t)value : 0;
    }
    return 0;
}
