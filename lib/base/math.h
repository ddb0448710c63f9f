/* Integer helpers: minimum, maximum, division and rounding upwards. Operands of the divisions are
 * non-negative, divisors and multiples positive; nothing here checks for overflow (see checked.h).
 */
#ifndef DMI_BASE_MATH_H
#define DMI_BASE_MATH_H

#include <stddef.h>
#include <stdint.h>

static inline int32_t dmi_min(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t dmi_max(int32_t a, int32_t b) { return a > b ? a : b; }
static inline int32_t dmi_divide_up(int32_t a, int32_t b) { return (a + b - 1) / b; }
static inline int32_t dmi_round_up(int32_t a, int32_t multiple) {
    return dmi_divide_up(a, multiple) * multiple;
}

static inline size_t dmi_min_size(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t dmi_divide_up_size(size_t a, size_t b) { return (a + b - 1) / b; }
static inline size_t dmi_round_up_size(size_t a, size_t multiple) {
    return dmi_divide_up_size(a, multiple) * multiple;
}

#endif
