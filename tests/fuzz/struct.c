/* SPDX-License-Identifier: MIT */
/* See struct.h. */
#include "fuzz/struct.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STRUCTS_MAX = 64, MEMBERS_MAX = 64, OVERRIDES_MAX = 6, SIZE_MIN = 4 };

typedef struct layout {
    const char *name;
    size_t size;
    uint32_t count;
    dm_member_info members[MEMBERS_MAX];
} layout;

/* Read from the library once. */
static const layout *layout_of(const char *name) {
    static layout layouts[STRUCTS_MAX];
    static size_t known;
    for (size_t i = 0; i < known; i++)
        if (layouts[i].name == name) return &layouts[i];
    FUZZ_CHECK(known < STRUCTS_MAX);
    layout *l = &layouts[known++];
    l->name = name;
    l->size = dm_struct_size(name);
    FUZZ_CHECK(l->size > 0);
    for (;; l->count++) {
        FUZZ_CHECK(l->count < MEMBERS_MAX);
        dm_member_info *info = &l->members[l->count];
        FUZZ_CHECK(!dm_member_info_init(info, sizeof *info));
        if (dm_struct_member(name, (int32_t)l->count, info) != DM_OK) return l;
    }
}

size_t fuzz_struct_size(const char *name, fuzz_input *in) {
    const layout *l = layout_of(name);
    const unsigned choice = fuzz_u8(in);
    switch (choice) {
        case 1: return fuzz_u16(in);
        case 2: return fuzz_u32(in);
        case 3: return l->size + 4 * (size_t)fuzz_u8(in);
        case 4: return l->size - fuzz_u8(in) % l->size;
        case 5: return l->members[fuzz_below(in, l->count)].offset;
        default: return l->size;
    }
}

/* ---- values ---- */

static double any_double(const dm_member_info *m, fuzz_input *in) {
    static const double numbers[] = {0,    -0.0, 1,    -1,     0.5,     2,       1e-300, 1e300,
                                     -1e9, 1e9,  1e20, 1e-320, 1 / 3.0, 0.99999, 1e38,   -1e300};
    union {
        uint64_t bits;
        double value;
    } raw;
    switch (fuzz_u8(in) % 8) {
        case 0: return m->minimum;
        case 1: return m->maximum;
        case 2: return nextafter(m->minimum, -INFINITY);
        case 3: return nextafter(m->maximum, INFINITY);
        case 4: raw.bits = fuzz_u64(in); return raw.value;
        case 5: return NAN;
        case 6: return m->minimum + (m->maximum - m->minimum) * fuzz_u8(in) / 255;
        default: return numbers[fuzz_u8(in) % (sizeof numbers / sizeof *numbers)];
    }
}

static int64_t any_integer(const dm_member_info *m, fuzz_input *in) {
    const int64_t low = m->minimum < -1e9 ? -1000000000 : (int64_t)m->minimum;
    const int64_t high = m->maximum > 1e9 ? 1000000000 : (int64_t)m->maximum;
    switch (fuzz_u8(in) % 8) {
        case 0: return low;
        case 1: return high;
        case 2: return low - 1;
        case 3: return high + 1;
        case 4: return (int64_t)fuzz_u64(in);
        case 5: return (int64_t)1 << fuzz_u8(in) % 63;
        default: return (int8_t)fuzz_u8(in);
    }
}

static void set_member(uint8_t *bytes, const dm_member_info *m, fuzz_input *in) {
    uint8_t *to = bytes + m->offset + fuzz_below(in, m->count) * (size_t)m->element_size;
    if (m->type == DM_TYPE_F64) {
        const double value = any_double(m, in);
        memcpy(to, &value, sizeof value);
    } else if (m->type == DM_TYPE_F32) {
        const double wide = any_double(m, in);
        const float value = wide > 3e38 ? INFINITY : wide < -3e38 ? -INFINITY : (float)wide;
        memcpy(to, &value, sizeof value);
    } else {
        const int64_t value = any_integer(m, in); /* the low bytes of it: little endian */
        memcpy(to, &value, m->element_size < sizeof value ? m->element_size : sizeof value);
    }
}

/* Pointers are trusted, so they must not come from the input; padding is not used as a pointer. */
static void clear_pointers(uint8_t *bytes, const layout *l) {
    for (uint32_t i = 0; i < l->count; i++) {
        const dm_member_info *m = &l->members[i];
        if (m->type >= DM_TYPE_STRING && strncmp(m->name, "padding", 7) != 0)
            memset(bytes + m->offset, 0, (size_t)m->count * m->element_size);
    }
}

void fuzz_struct_fill(fuzz_struct *out, const char *name, fuzz_input *in) {
    const layout *l = layout_of(name);
    const size_t size = fuzz_struct_size(name, in);
    const unsigned how = fuzz_u8(in);
    memset(out->bytes + l->size, 0, FUZZ_STRUCT_MAX - l->size);
    if (how == 255) {
        for (size_t i = 0; i < FUZZ_STRUCT_MAX && in->left; i++) out->bytes[i] = fuzz_u8(in);
    } else if (how == 254) {
        for (size_t i = 0; i < l->size && in->left; i++) out->bytes[i] = fuzz_u8(in);
    } else {
        for (unsigned i = 0; i < how % (OVERRIDES_MAX + 1); i++)
            set_member(out->bytes, &l->members[fuzz_below(in, l->count)], in);
        if (how == 253) out->bytes[l->size + fuzz_u8(in)] = 1;
    }
    clear_pointers(out->bytes, l);
    out->size = (uint32_t)size;
}

static void *new_struct(uint32_t size) {
    void *copy = malloc(size < SIZE_MIN || size > FUZZ_STRUCT_MAX ? SIZE_MIN : size);
    FUZZ_CHECK(copy != NULL);
    return copy;
}

void *fuzz_struct_copy(const fuzz_struct *from) {
    const uint32_t size = from->size;
    void *copy = new_struct(size);
    memcpy(copy, from->bytes, size < SIZE_MIN || size > FUZZ_STRUCT_MAX ? SIZE_MIN : size);
    return copy;
}

void *fuzz_struct_empty(const char *name, fuzz_input *in) {
    const uint32_t size = (uint32_t)fuzz_struct_size(name, in);
    void *empty = new_struct(size);
    memcpy(empty, &size, sizeof size);
    return empty;
}

const void *fuzz_array(const void *all, size_t element, uint64_t capacity, uint64_t *count,
                       fuzz_input *in) {
    const unsigned choice = fuzz_u8(in) % 8;
    if (choice == 0) return NULL; /* with its count, which must be refused */
    if (choice == 1) *count = 0;
    if (*count > capacity) *count %= capacity + 1;
    return *count ? (const uint8_t *)all + (size_t)(capacity - *count) * element : NULL;
}
