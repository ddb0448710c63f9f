/* SPDX-License-Identifier: MIT */
/* Minimum, maximum and rounded division of sizes. Arguments are not negative, divisors above 0. */
#ifndef DMI_BASE_MATH_H
#define DMI_BASE_MATH_H

#include <stddef.h>
#include <stdint.h>

static inline int32_t dmi_min(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t dmi_max(int32_t a, int32_t b) { return a > b ? a : b; }

/* a / b, rounded up; does not overflow. */
static inline int32_t dmi_divide_up(int32_t a, int32_t b) { return a / b + (a % b != 0); }

/* The smallest multiple of b that is at least a. */
static inline int32_t dmi_round_up(int32_t a, int32_t b) { return dmi_divide_up(a, b) * b; }

static inline size_t dmi_min_size(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t dmi_max_size(size_t a, size_t b) { return a > b ? a : b; }
static inline size_t dmi_divide_up_size(size_t a, size_t b) { return a / b + (a % b != 0); }
static inline size_t dmi_round_up_size(size_t a, size_t b) { return dmi_divide_up_size(a, b) * b; }

#endif
