/* SPDX-License-Identifier: MIT */
/* Products of bfloat16 matrices by instructions made for them, with float sums:
 *
 *   c [rows, DMI_BF16_COLUMNS] = a [rows, k] b [k, DMI_BF16_COLUMNS]
 *
 * b is a panel packed in groups of consecutive depths, [k / group][DMI_BF16_COLUMNS][group]. The
 * order of the sums is the instruction's own: see bf16_instructions.h. A row's result depends on
 * no other row, so rows that only fill up a multiple may hold anything. */
#ifndef DMI_KERNELS_BF16_PRODUCT_H
#define DMI_KERNELS_BF16_PRODUCT_H

#include <stddef.h>
#include <stdint.h>

enum { DMI_BF16_COLUMNS = 32 };

typedef struct dmi_bf16_product {
    const char *name;
    int32_t group; /* of the packed layout: 2 or 4 */
    int32_t depth; /* k is a multiple of it */
    int32_t rows;  /* `rows` is a multiple of it */
    int32_t rate;  /* about, in multiples of float's: 2 or 4, or 16 where there are tiles */
    /* Around the calls of one task, in the thread that makes them; NULL: nothing to do. */
    void (*begin)(void);
    void (*end)(void);
    /* ldc in floats, lda in elements; both rows are written whole. */
    void (*multiply)(float *c, size_t ldc, const uint16_t *a, size_t lda, const uint16_t *b,
                     int32_t rows, int32_t k);
} dmi_bf16_product;

/* The fastest that the processor has and the system permits, NULL where there is none. */
const dmi_bf16_product *dmi_bf16_product_best(void);

#endif
