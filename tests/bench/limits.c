/* SPDX-License-Identifier: MIT */
/* The machine's limits for the profile: the library's own product with all operands in the caches
 * of the core, and a copy through main memory with non-temporal stores. Both on all threads. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/host.h"
#include "base/pool.h"
#include "base/system.h"
#include "bench.h"
#include "core/context.h"
#include "kernels/product.h"

/* A product of the size that convolutions use, 64 KiB in total; and a copy far larger than the
 * caches. */
enum { ROWS_OF_A = 96, DEPTH = 128, COLUMNS = 32, PRODUCTS = 400, COPIED = 1 << 23 };

struct limit_probe {
    dm_context *context;
    int32_t threads;
    float *block; /* for each thread a, b, c, source and target */
};

enum {
    A = ROWS_OF_A * DEPTH,
    B = DEPTH * COLUMNS,
    C = ROWS_OF_A * COLUMNS,
    SMALL = A + B + C,
    OF_THREAD = SMALL + 2 * COPIED
};

static float *of_thread(const limit_probe *p, int32_t task) {
    return p->block + (size_t)task * OF_THREAD;
}

static void multiply_task(void *data, int32_t task, int32_t worker) {
    const limit_probe *p = data;
    float *a = of_thread(p, task), *b = a + A, *c = b + B;
    (void)worker;
    for (int i = 0; i < PRODUCTS; i++)
        p->context->kernels->product->multiply(c, COLUMNS, a, DEPTH, b, COLUMNS, ROWS_OF_A, COLUMNS,
                                               DEPTH, false);
}

static void copy_task(void *data, int32_t task, int32_t worker) {
    const limit_probe *p = data;
    const float *from = of_thread(p, task) + SMALL;
    float *to = of_thread(p, task) + SMALL + COPIED;
    (void)worker;
#ifdef __SSE2__
    for (size_t i = 0; i < COPIED; i += 4) _mm_stream_ps(to + i, _mm_load_ps(from + i));
    _mm_sfence();
#else
    for (size_t i = 0; i < COPIED; i++) to[i] = from[i];
#endif
}

limit_probe *limit_probe_create(dm_context *context) {
    limit_probe *p = calloc(1, sizeof *p);
    void *block = NULL;
    int32_t threads = dm_context_threads(context);
    size_t count = (size_t)threads * OF_THREAD;
    if (!p || posix_memalign(&block, 64, count * sizeof(float))) {
        fputs("bench: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    *p = (limit_probe){.context = context, .threads = threads, .block = block};
    for (size_t i = 0; i < count; i++) p->block[i] = (float)(i % 17) * 0.01f;
    return p;
}

void limit_probe_run(limit_probe *p, double *gflops, double *gbs) {
    double start = dmi_seconds();
    dmi_parallel(p->context->host.pool, p->threads, multiply_task, p);
    *gflops = 2e-9 * ROWS_OF_A * COLUMNS * DEPTH * PRODUCTS * p->threads / (dmi_seconds() - start);
    start = dmi_seconds();
    dmi_parallel(p->context->host.pool, p->threads, copy_task, p);
    *gbs = 2e-9 * (double)sizeof(float) * COPIED * p->threads / (dmi_seconds() - start);
}

void limit_probe_destroy(limit_probe *p) {
    free(p->block);
    free(p);
}
