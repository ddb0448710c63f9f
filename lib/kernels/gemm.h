/* Matrix products. gemm.c is the only file that sees CBLAS; its own threads are kept out of the
 * way, since our tasks already fill the processors. Matrices are row-major. */
#ifndef DMI_KERNELS_GEMM_H
#define DMI_KERNELS_GEMM_H

#include <stdbool.h>
#include <stdint.h>

/* c [m, n] (row stride ldc) = a b, or += where `add`. a is [m, k] (stride lda), or stored as [k, m]
 * where ta; b is [k, n], or stored as [n, k] where tb. Called inside tasks, on one thread. */
void dmi_gemm(bool ta, bool tb, int32_t m, int32_t n, int32_t k, const float *a, int32_t lda,
              const float *b, int32_t ldb, bool add, float *c, int32_t ldc);

/* Holds BLAS's own threads at one until the matching end, then restores them. Counted across
 * contexts and threads. */
void dmi_gemm_begin(void);
void dmi_gemm_end(void);

/* "OpenBLAS" or "BLIS", and its version with what it says of its build. */
const char *dmi_gemm_name(void);
const char *dmi_gemm_version(void);

#endif
