/* SPDX-License-Identifier: MIT */
/* See sort.h. Heapsort (Williams 1964). */
#include "base/sort.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct array {
    uint8_t *items;
    size_t size; /* of an item */
    dmi_compare compare;
} array;

static void swap(const array *a, size_t i, size_t k) {
    enum { CHUNK = 64 };
    uint8_t *left = a->items + i * a->size, *right = a->items + k * a->size, kept[CHUNK];
    for (size_t done = 0; done < a->size;) {
        const size_t size = a->size - done < CHUNK ? a->size - done : CHUNK;
        memcpy(kept, left + done, size);
        memcpy(left + done, right + done, size);
        memcpy(right + done, kept, size);
        done += size;
    }
}

static int order(const array *a, size_t i, size_t k) {
    return a->compare(a->items + i * a->size, a->items + k * a->size);
}

/* Moves the item at `root` down until both of its children are at most as large. */
static void sift_down(const array *a, size_t root, size_t count) {
    while (root < count / 2) {
        size_t child = 2 * root + 1;
        if (child + 1 < count && order(a, child, child + 1) < 0) child++;
        if (order(a, root, child) >= 0) return;
        swap(a, root, child);
        root = child;
    }
}

static bool is_sorted(const array *a, size_t count) {
    for (size_t i = 1; i < count; i++)
        if (order(a, i - 1, i) > 0) return false;
    return true;
}

void dmi_sort(void *items, size_t count, size_t size, dmi_compare compare) {
    const array a = {items, size, compare};
    if (is_sorted(&a, count)) return;
    for (size_t root = count / 2; root > 0; root--) sift_down(&a, root - 1, count);
    for (size_t left = count; left > 1; left--) {
        swap(&a, 0, left - 1);
        sift_down(&a, 0, left - 1);
    }
}
