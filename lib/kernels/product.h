/* A product of our own for short and narrow matrices: b comes in panels of PANEL columns (see vector.h) that were made
 * for it, a is read where it stands, and nothing is packed. Each element of c is one chain of multiply-adds over k in
 * order, begun anew every PRODUCT_DEPTH steps, so it does not depend on the row's place or on its neighbours. */
#ifndef DMI_KERNELS_PRODUCT_H
#define DMI_KERNELS_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* A panel's part of this depth (16 KiB for the widest vectors) stays in L1; shorter chains also round less. */
enum { PRODUCT_DEPTH = 128 };

/* c [rows, PANEL] (row stride ldc) = (or += where `add`) a b; a[r * lda + k] and b [k, PANEL] without gaps. */
void DMI_KERNEL(product)(float *c, size_t ldc, const float *a, size_t lda, const float *b, int32_t rows, int32_t k, bool add);

/* The same with a stored turned over: element (r, k) is a[k * lda + r]. */
void DMI_KERNEL(product_turned)(float *c, size_t ldc, const float *a, size_t lda, const float *b, int32_t rows, int32_t k,
                                bool add);

#endif
