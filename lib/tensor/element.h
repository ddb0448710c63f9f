/* SPDX-License-Identifier: MIT */
/* The elements of a tensor in memory: floats or bfloat16. */
#ifndef DMI_TENSOR_ELEMENT_H
#define DMI_TENSOR_ELEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline size_t dmi_element_size(bool bf16) { return bf16 ? sizeof(uint16_t) : sizeof(float); }

/* The floats that `count` elements occupy. */
static inline size_t dmi_element_floats(size_t count, bool bf16) {
    return bf16 ? count / 2 + count % 2 : count;
}

/* The address of element `index`. */
static inline void *dmi_element_at(void *base, size_t index, bool bf16) {
    return (char *)base + index * dmi_element_size(bf16);
}
static inline const void *dmi_element_const(const void *base, size_t index, bool bf16) {
    return (const char *)base + index * dmi_element_size(bf16);
}

#endif
