/* Matrix products of our own: nothing is packed, so they suit products too short and narrow for
 * BLAS, and each element of c is one chain of multiply-adds over k in order (begun anew every
 * PRODUCT_DEPTH steps), so it depends neither on the number of rows nor on its place among them.
 * Matrices are row-major. */
#ifndef DMI_KERNELS_PRODUCT_H
#define DMI_KERNELS_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* What is added to a product as it is written; each may be NULL. */
typedef struct dmi_product_start {
    const float *bias; /* [columns], to every row */
    const float *from; /* [rows, columns], with a row stride; may be c itself */
    size_t from_stride;
} dmi_product_start;

/* c [rows, columns] (row stride ldc) = (or += where `add`) a [rows, k] (lda) b [k, columns]
 * (ldb). */
typedef void dmi_multiply(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                          size_t ldb, int32_t rows, int32_t columns, int32_t k, bool add);

typedef struct dmi_product {
    dmi_multiply *multiply;
    dmi_multiply *multiply_turned; /* a is stored as [k, rows] */
    /* c = bias + from + a b */
    void (*multiply_onto)(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                          size_t ldb, int32_t rows, int32_t columns, int32_t k,
                          const dmi_product_start *start);
    /* to [columns, rows] = from [rows, columns] turned over, with row strides */
    void (*transpose)(float *to, size_t to_stride, const float *from, size_t from_stride,
                      int32_t rows, int32_t columns);
} dmi_product;

#ifdef DMI_ISA
/* A panel's part of this depth (16 KiB for the widest vectors) stays in L1; shorter chains also
 * round less. */
enum { PRODUCT_DEPTH = 128 };

dmi_multiply DMI_KERNEL(multiply), DMI_KERNEL(multiply_turned);
void DMI_KERNEL(multiply_onto)(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                               size_t ldb, int32_t rows, int32_t columns, int32_t k,
                               const dmi_product_start *start);
void DMI_KERNEL(transpose)(float *to, size_t to_stride, const float *from, size_t from_stride,
                           int32_t rows, int32_t columns);

extern const dmi_product DMI_KERNEL(product_table);
#endif

#endif
