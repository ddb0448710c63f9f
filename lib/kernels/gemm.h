/* SPDX-License-Identifier: MIT */
/* Matrix products by the BLAS library that is linked, or without one by the library's own
 * products. gemm.c is the only file that includes CBLAS. BLAS's threads are held at one, since the
 * tasks of the pool already fill the processors. Matrices are row-major. */
#ifndef DMI_KERNELS_GEMM_H
#define DMI_KERNELS_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/product.h"

/* c [m, n] (row stride ldc) = a b, or += where `add`. a is [m, k] (stride lda), or stored as [k, m]
 * where ta; b is [k, n], or stored as [n, k] where tb. Called inside tasks, on one thread, between
 * dmi_gemm_begin and dmi_gemm_end. `own` computes the product in a build without BLAS. */
void dmi_gemm(const dmi_product *own, bool ta, bool tb, int32_t m, int32_t n, int32_t k,
              const float *a, int32_t lda, const float *b, int32_t ldb, bool add, float *c,
              int32_t ldc);

/* Holds BLAS's own threads at one until the matching end, then restores them. Counted across
 * contexts and threads. Without BLAS both do nothing. */
void dmi_gemm_begin(void);
void dmi_gemm_end(void);

/* "OpenBLAS", "BLIS" or "no BLAS"; and the BLAS library's version and build options, empty without
 * BLAS. */
const char *dmi_gemm_name(void);
const char *dmi_gemm_version(void);
/* The kernels that OpenBLAS has chosen for this processor, such as "Sandybridge". Empty for other
 * libraries, and where several threads' products wait for one another (sequential OpenBLAS). */
const char *dmi_gemm_core(void);

#endif
