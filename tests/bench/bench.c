/* SPDX-License-Identifier: MIT */
/* The speed of libdiffusion beside PyTorch: see `bench --help` and docs/performance.md. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"

static int compare_main(bench_options *o) {
    dm_context_options options;
    comparison *c = malloc(sizeof *c);
    json_t *rows = json_array();
    dm_context_options_init(&options, sizeof options);
    options.threads = o->settings[0].threads;
    dm_context *context = workload_context(&options);
    coprocess_guard();
    printf("%s\n", dm_build_info());
    printf("medians of %d rounds, libdiffusion and PyTorch in turn (smallest to largest); ratio: "
           "libdiffusion over PyTorch\n",
           o->runs);
    if (!o->python) printf("without PyTorch; set PYTHON to a python3 that can import torch\n");
    fflush(stdout);
    time_t start = time(NULL);
    for (int i = 0; c && i < o->setting_count; i++) {
        setting set = o->settings[i];
        set.threads = dm_context_threads(context);
        compare(c, o, &set, context);
        report(c, rows);
        write_json(rows, o->json); /* after each setting, in case of an interruption */
    }
    printf("\n%.0f s in all; written to %s\n", difftime(time(NULL), start), o->json);
    json_decref(rows);
    free(c);
    dm_context_destroy(context);
    return c ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    bench_options o;
    bench_options_read(&o, argc, argv);
    if (o.mode == BENCH_WORKER) return worker_main(&o.settings[0]);
    if (o.mode == BENCH_SWEEP) return sweep_main(&o);
    if (o.mode == BENCH_PROFILE) return profile_main(&o);
    if (o.mode == BENCH_SCALING) return scaling_main(&o);
    if (o.mode == BENCH_PRODUCTS) return products_main(&o);
    if (o.mode == BENCH_OPERATIONS) return operations_main(&o);
    return compare_main(&o);
}
