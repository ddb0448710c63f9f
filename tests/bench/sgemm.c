/* SPDX-License-Identifier: MIT */
/* The machine's SGEMM rate, which bounds what direct convolutions reach. */
#include <stdio.h>
#include <stdlib.h>

#include "base/pool.h"
#include "base/system.h"
#include "bench.h"
#include "core/context.h"
#include "kernels/gemm.h"

typedef struct products {
    const dmi_product *own;
    float *a, *b, *c;
} products;

enum { SIDE = 768, REPEATS = 10 };

static void product(void *data, int32_t task, int32_t worker) {
    products *p = data;
    (void)worker;
    dmi_gemm(p->own, false, false, SIDE, SIDE, SIDE, p->a, SIDE, p->b, SIDE, false,
             p->c + (size_t)task * SIDE * SIDE, SIDE);
}

double sgemm_rate(dm_context *context) {
    int32_t threads = dm_context_threads(context);
    size_t n = (size_t)SIDE * SIDE;
    products p = {context->kernels->product, calloc(n, sizeof(float)), calloc(n, sizeof(float)),
                  calloc(n * (size_t)threads, sizeof(float))};
    double best = 0;
    if (!p.a || !p.b || !p.c) {
        fputs("bench: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    for (size_t i = 0; i < n; i++) p.a[i] = p.b[i] = (float)(i % 17) * 0.1f;
    dmi_gemm_begin();
    for (int run = 0; run < REPEATS; run++) {
        double start = dmi_seconds();
        dmi_parallel(context->host.pool, threads, product, &p);
        double rate = 2e-9 * (double)n * SIDE * threads / (dmi_seconds() - start);
        if (rate > best) best = rate;
    }
    dmi_gemm_end();
    free(p.a);
    free(p.b);
    free(p.c);
    return best;
}
