/* SPDX-License-Identifier: MIT */
/* Sorting in place. qsort of the C library may allocate, outside of the host's limit, or take
 * quadratic time. */
#ifndef DMI_BASE_SORT_H
#define DMI_BASE_SORT_H

#include <stddef.h>

/* The order of *a and *b: below 0, 0 or above 0. */
typedef int (*dmi_compare)(const void *a, const void *b);

/* Sorts items [count] of `size` bytes each, ascending, in O(count log count) steps, or O(count) if
 * they already are. Equal items may change their order. */
void dmi_sort(void *items, size_t count, size_t size, dmi_compare compare);

#endif
