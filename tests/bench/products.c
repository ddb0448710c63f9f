/* SPDX-License-Identifier: MIT */
/* The library's own convolutions beside im2col by the linked BLAS, at the presets' shapes and with
 * the kernels of one instruction set: docs/performance-log.md, "Where BLAS is faster". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/conv/conv.h"
#include "base/cpu.h"
#include "base/system.h"
#include "bench.h"
#include "core/context.h"
#include "kernels/gemm.h"

typedef struct layer {
    int32_t ci, co, side, kernel, stride; /* side: of the input, pixels */
} layer;

static const layer layers[] = {
    {32, 32, 32, 1, 1},   {128, 64, 32, 1, 1}, {128, 128, 16, 1, 1}, {384, 128, 16, 1, 1},
    {256, 256, 8, 1, 1},  {512, 256, 8, 1, 1}, {512, 512, 4, 1, 1},  {64, 64, 32, 3, 2},
    {128, 128, 16, 3, 2}, {256, 256, 8, 3, 2}, {32, 32, 32, 3, 1},   {64, 64, 32, 3, 1},
    {128, 128, 16, 3, 1}, {256, 256, 8, 3, 1}, {256, 256, 4, 3, 1},  {512, 512, 4, 3, 1},
};
enum { LAYERS = sizeof layers / sizeof layers[0] };

enum { FORWARD, TRAIN_FORWARD, BACKWARD_DATA, BACKWARD_WEIGHT, DIRECTIONS };
static const char *const directions[] = {"forward", "forward, training", "backward data",
                                         "backward weight"};

/* A run of one algorithm repeats its direction until this has passed. */
#define RUN_SECONDS 0.008

typedef struct fixture {
    dmi_graph graph;
    dmi_conv_shape shape;
    float *x, *w, *y, *prepared, *work;
} fixture;

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static float *filled(size_t count) {
    size_t bytes = (count * sizeof(float) / DMI_ALIGNMENT + 1) * DMI_ALIGNMENT;
    float *values = aligned_alloc(DMI_ALIGNMENT, bytes);
    if (!values) {
        fputs("bench: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    for (size_t i = 0; i < bytes / sizeof(float); i++)
        values[i] = (float)(i * 2654435761u % 1000u) * 1e-3f - 0.5f;
    return values;
}

static fixture fixture_of(const dm_context *context, const dmi_kernels *kernels, const layer *l,
                          int32_t batch, const dmi_conv_algorithm *own) {
    dmi_conv_shape s = {.n = batch,
                        .ih = l->side,
                        .iw = l->side,
                        .ci = l->ci,
                        .oh = l->side / l->stride,
                        .ow = l->side / l->stride,
                        .co = l->co,
                        .kernel = l->kernel,
                        .stride = l->stride,
                        .pad = l->kernel / 2};
    fixture f = {.graph = {.host = (dmi_host *)&context->host, .kernels = kernels}, .shape = s};
    int32_t threads = dmi_pool_threads(context->host.pool);
    size_t work = 0;
    const dmi_conv_algorithm *both[] = {own, &dmi_conv_im2col};
    for (int i = 0; i < 2; i++)
        work = larger(work, larger(both[i]->forward_work(kernels, &s, threads),
                                   both[i]->backward_work(kernels, &s, threads)));
    f.x = filled((size_t)(batch * l->side * l->side * l->ci));
    f.w = filled((size_t)(l->kernel * l->kernel * l->ci * l->co));
    f.y = filled((size_t)(batch * s.oh * s.ow * l->co));
    f.prepared = filled(dmi_prepared_floats(own, kernels, &s));
    f.work = filled(work);
    return f;
}

static void run(const fixture *f, const dmi_conv_algorithm *a, int direction) {
    static const dmi_epilogue nothing;
    const dmi_graph *g = &f->graph;
    if (direction == TRAIN_FORWARD && a->prepare)
        a->prepare(g, &f->shape, f->prepared, f->w, false);
    if (direction <= TRAIN_FORWARD)
        a->forward(g, &f->shape, f->y, f->x, f->w, f->prepared, &nothing, f->work);
    if (direction == BACKWARD_DATA)
        a->backward_data(g, &f->shape, f->x, f->y, f->w, false, f->work);
    if (direction == BACKWARD_WEIGHT)
        a->backward_weight(g, &f->shape, f->w, f->x, f->y, false, f->work);
}

static double seconds_of(const fixture *f, const dmi_conv_algorithm *a, int direction) {
    double start = dmi_seconds(), seconds;
    int times = 0;
    do {
        run(f, a, direction);
        times++;
        seconds = dmi_seconds() - start;
    } while (seconds < RUN_SECONDS);
    return seconds / times;
}

static void measure(const fixture *f, const dmi_conv_algorithm *own, int runs, int direction) {
    series library = {.count = runs}, blas = library, ratio = library;
    run(f, own, TRAIN_FORWARD); /* writes the transformed weights */
    for (int i = -1; i < runs; i++) {
        double a = seconds_of(f, own, direction), b = seconds_of(f, &dmi_conv_im2col, direction);
        if (i < 0) continue;
        library.value[i] = a, blas.value[i] = b, ratio.value[i] = b / a;
    }
    summary o = summarise(&library), b = summarise(&blas), r = summarise(&ratio);
    const dmi_conv_shape *s = &f->shape;
    double gflop = 2e-9 * s->n * s->oh * s->ow * s->co * s->kernel * s->kernel * s->ci;
    printf("%dx%d/%d %4d -> %3d %2dx%-2d batch %2d  %-17s  %-8s %7.1f  im2col %7.1f GFLOP/s  "
           "ratio %.2f (%.2f to %.2f)%s\n",
           s->kernel, s->kernel, s->stride, s->ci, s->co, s->ih, s->iw, s->n, directions[direction],
           own->name, gflop / o.low, gflop / b.low, r.median, r.low, r.high,
           r.high < 1 ? "  im2col" : "");
}

static void measure_layer(const dm_context *context, const dmi_kernels *kernels, const layer *l,
                          int32_t batch, int runs) {
    static const dmi_conv_algorithm *const own[] = {&dmi_conv_winograd, &dmi_conv_product};
    for (int i = 0; i < 2; i++) {
        fixture f = fixture_of(context, kernels, l, batch, own[i]);
        for (int d = 0; d < DIRECTIONS && own[i]->suits(&f.shape); d++)
            if (d != TRAIN_FORWARD || own[i] == &dmi_conv_winograd) measure(&f, own[i], runs, d);
        free(f.x), free(f.w), free(f.y), free(f.prepared), free(f.work);
    }
    fflush(stdout);
}

int products_main(const bench_options *o) {
    static const int32_t batches[] = {1, 16};
    const dmi_kernels *kernels = dmi_kernels_for(o->level);
    dm_context_options options;
    dm_context *context;
    dm_context_options_init(&options, sizeof options);
    options.threads = o->settings[0].threads;
    workload_check(dm_context_create(&context, &options, NULL, 0), NULL);
    printf("%s\nconvolutions with the kernels %s, %d threads, %d alternating runs; the rates are "
           "the fastest run's;\nratio: time of im2col over the library's own, median (smallest to "
           "largest)\n",
           dm_build_info(), kernels->isa, dm_context_threads(context), o->runs);
    dmi_gemm_begin();
    for (int i = 0; i < LAYERS; i++)
        for (int b = 0; b < 2; b++)
            measure_layer(context, kernels, &layers[i], batches[b], o->runs);
    dmi_gemm_end();
    dm_context_destroy(context);
    return EXIT_SUCCESS;
}
