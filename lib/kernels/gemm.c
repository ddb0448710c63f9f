/* SPDX-License-Identifier: MIT */
/* See gemm.h. DMI_BLAS_OPENBLAS, DMI_BLAS_BLIS or DMI_BLAS_NONE is defined by the Makefile. */
#include "kernels/gemm.h"

#if defined(DMI_BLAS_NONE)

const char *dmi_gemm_name(void) { return "no BLAS"; }
const char *dmi_gemm_version(void) { return ""; }
const char *dmi_gemm_core(void) { return ""; }
void dmi_gemm_begin(void) {}
void dmi_gemm_end(void) {}

/* A block of b, transposed on the stack: 32 KiB. */
enum { BLOCK_DEPTH = 128, BLOCK_COLUMNS = 64 };

void dmi_gemm(const dmi_product *own, bool ta, bool tb, int32_t m, int32_t n, int32_t k,
              const float *a, int32_t lda, const float *b, int32_t ldb, bool add, float *c,
              int32_t ldc) {
    dmi_multiply *multiply = ta ? own->multiply_transposed : own->multiply;
    if (!tb) {
        multiply(c, (size_t)ldc, a, (size_t)lda, b, (size_t)ldb, m, n, k, add);
        return;
    }
    float block[BLOCK_DEPTH * BLOCK_COLUMNS]; /* [depth, columns] */
    for (int32_t j = 0; j < n; j += BLOCK_COLUMNS) {
        int32_t columns = n - j < BLOCK_COLUMNS ? n - j : BLOCK_COLUMNS;
        for (int32_t i = 0; i < k; i += BLOCK_DEPTH) {
            int32_t depth = k - i < BLOCK_DEPTH ? k - i : BLOCK_DEPTH;
            own->transpose(block, (size_t)columns, b + (size_t)j * (size_t)ldb + i, (size_t)ldb,
                           columns, depth);
            multiply(c + j, (size_t)ldc, a + (size_t)i * (ta ? (size_t)lda : 1), (size_t)lda, block,
                     (size_t)columns, m, columns, depth, add || i > 0);
        }
    }
}

#else

#include <pthread.h>

#if defined(DMI_BLAS_BLIS)
#if __has_include(<blis/blis.h>)
#include <blis/blis.h>
#else
#include <blis.h>
#endif
#else
#include <cblas.h>
#endif

/* The count is the process's, as the setting that it guards is: BLAS has one number of threads. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int32_t holders; /* begins without their end */
static int32_t threads_before;

#if defined(DMI_BLAS_BLIS)
static int32_t get_threads(void) { return (int32_t)bli_thread_get_num_threads(); }
static void set_threads(int32_t threads) { bli_thread_set_num_threads(threads); }
const char *dmi_gemm_name(void) { return "BLIS"; }
const char *dmi_gemm_version(void) { return bli_info_get_version_str(); }
const char *dmi_gemm_core(void) { return ""; }
static void single_thread_begin(void) {}
static void single_thread_end(void) {}
#else
static int32_t get_threads(void) { return openblas_get_num_threads(); }
static void set_threads(int32_t threads) { openblas_set_num_threads(threads); }
const char *dmi_gemm_name(void) { return "OpenBLAS"; }
const char *dmi_gemm_version(void) { return openblas_get_config() + sizeof "OpenBLAS"; }
const char *dmi_gemm_core(void) {
    return openblas_get_parallel() == OPENBLAS_SEQUENTIAL ? "" : openblas_get_corename();
}

/* What is loaded may be any of OpenBLAS's variants. The sequential one shares its buffers without a
 * lock, so its products must not overlap. The one on OpenMP takes the number of threads from
 * OpenMP, which every thread has for itself: it is set around each product, since the products of a
 * task would else run on several threads, with other bits. */
static void set_threads_of_this_one(int32_t threads) {
    pthread_mutex_lock(&mutex);
    set_threads(threads);
    pthread_mutex_unlock(&mutex);
}

static void single_thread_begin(void) {
    int kind = openblas_get_parallel();
    if (kind == OPENBLAS_SEQUENTIAL) pthread_mutex_lock(&mutex);
    if (kind == OPENBLAS_OPENMP) set_threads_of_this_one(1);
}

static void single_thread_end(void) {
    int kind = openblas_get_parallel();
    if (kind == OPENBLAS_SEQUENTIAL) pthread_mutex_unlock(&mutex);
    if (kind == OPENBLAS_OPENMP && threads_before != 1) set_threads_of_this_one(threads_before);
}
#endif

void dmi_gemm_begin(void) {
    pthread_mutex_lock(&mutex);
    if (holders++ == 0) {
        threads_before = get_threads();
        if (threads_before != 1) set_threads(1);
    }
    pthread_mutex_unlock(&mutex);
}

void dmi_gemm_end(void) {
    pthread_mutex_lock(&mutex);
    if (--holders == 0 && threads_before != 1) set_threads(threads_before);
    pthread_mutex_unlock(&mutex);
}

void dmi_gemm(const dmi_product *own, bool ta, bool tb, int32_t m, int32_t n, int32_t k,
              const float *a, int32_t lda, const float *b, int32_t ldb, bool add, float *c,
              int32_t ldc) {
    (void)own;
    single_thread_begin();
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n,
                k, 1.0f, a, lda, b, ldb, add ? 1.0f : 0.0f, c, ldc);
    single_thread_end();
}

#endif
