/* SPDX-License-Identifier: MIT */
/* Matrix products without packing, so they suit products too short and narrow for BLAS. Each
 * element of c is one chain of multiply-adds over k in order (a new one every PRODUCT_DEPTH steps),
 * so it depends neither on the number of rows nor on its place among them. Matrices are row-major;
 * lda, ldb and ldc are row strides in floats. */
#ifndef DMI_KERNELS_PRODUCT_H
#define DMI_KERNELS_PRODUCT_H

#include "kernels/kernels.h"

/* What is added to a product as it is written; each may be NULL. */
typedef struct dmi_product_addend {
    const float *bias;   /* [columns], added to every row */
    const float *matrix; /* [rows, columns] (row stride `stride`); may be c itself */
    size_t stride;
} dmi_product_addend;

/* c [rows, columns] = (or += where `add`) a [rows, k] b [k, columns] */
typedef void dmi_multiply(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                          size_t ldb, int32_t rows, int32_t columns, int32_t k, bool add);

/* c [rows, columns] = bias + matrix + a [rows, k] b [k, columns] */
typedef void dmi_multiply_add(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                              size_t ldb, int32_t rows, int32_t columns, int32_t k,
                              const dmi_product_addend *addend);

/* to [columns, rows] = from [rows, columns] transposed, with row strides */
typedef void dmi_transpose_matrix(float *to, size_t to_stride, const float *from,
                                  size_t from_stride, int32_t rows, int32_t columns);

typedef struct dmi_product {
    int32_t panel_columns; /* of b that a product reads together: b packed into panels of so many,
                              [k, panel_columns] each, is read from one end to the other */
    dmi_multiply *multiply;
    dmi_multiply *multiply_transposed; /* a is stored transposed: [k, rows] */
    dmi_multiply_add *multiply_add;
    dmi_transpose_matrix *transpose;
} dmi_product;

#ifdef DMI_ISA
/* A panel of b of this depth (16 KiB for the widest vectors) stays in L1; shorter chains also round
 * less. */
enum { PRODUCT_DEPTH = 128 };

dmi_multiply DMI_KERNEL(multiply), DMI_KERNEL(multiply_transposed);
dmi_multiply_add DMI_KERNEL(multiply_add);
dmi_transpose_matrix DMI_KERNEL(transpose);

extern const dmi_product DMI_KERNEL(product_table);
#endif

#endif
