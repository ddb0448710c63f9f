/* SPDX-License-Identifier: MIT */
/* Checked arithmetic on sizes: false on overflow, and *out is untouched. */
#ifndef DMI_BASE_CHECKED_H
#define DMI_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a * b */
static inline bool dmi_mul(size_t a, size_t b, size_t *out) {
    if (b && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

/* *out = a + b */
static inline bool dmi_add(size_t a, size_t b, size_t *out) {
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}

#endif
