/* SPDX-License-Identifier: MIT */
/* The cost of libdiffusion against batch and against area, one size after another, to sweep.json,
 * which plot.py draws. The area is measured with attention as in DDPM and without any, since the
 * cost of attention is quadratic. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/host.h"
#include "base/system.h"
#include "bench.h"

typedef struct line {
    const char *name;
    bool attention;
    int points[16][2]; /* batch, size; ends with 0 */
} line;

static const line lines[] = {
    {"batch",
     true,
     {{1, 32}, {2, 32}, {4, 32}, {8, 32}, {16, 32}, {24, 32}, {32, 32}, {48, 32}, {64, 32}}},
    {"area",
     true,
     {{2, 16}, {2, 24}, {2, 32}, {2, 48}, {2, 64}, {2, 80}, {2, 96}, {2, 112}, {2, 128}}},
    {"area without attention",
     false,
     {{2, 16}, {2, 24}, {2, 32}, {2, 48}, {2, 64}, {2, 80}, {2, 96}, {2, 112}, {2, 128}}},
};

static summary measure(workload *s, void (*call)(workload *), int runs) {
    series seconds = {0};
    call(s);
    for (int i = 0; i < runs; i++) {
        double start = dmi_seconds();
        call(s);
        seconds.value[seconds.count++] = dmi_seconds() - start;
    }
    return summarise(&seconds);
}

static json_t *point(const line *l, const setting *set, int runs) {
    workload s;
    uint64_t training = 0;
    workload_create(&s, set, l->attention, false);
    summary step = measure(&s, workload_step, runs);
    dm_context_get_memory(s.context, NULL, &training, NULL);
    workload_end_training(&s);
    summary forward = measure(&s, workload_forward, runs);
    printf("%-24s batch %2d, %3dx%-3d  step %8.4f s (%.4f to %.4f)   forward %8.4f s   step per "
           "image %8.5f s   %6.0f MB\n",
           l->name, set->batch, set->size, set->size, step.median, step.low, step.high,
           forward.median, step.median / set->batch, 1e-6 * (double)training);
    fflush(stdout);
    json_t *row = json_pack("{s:s,s:i,s:i,s:i,s:i,s:i,s:b}", "line", l->name, "base", set->base,
                            "batch", set->batch, "size", set->size, "threads", s.set.threads,
                            "runs", runs, "attention", l->attention);
    json_t *times = json_pack("{s:f,s:f,s:f,s:f,s:f,s:f}", "step", step.median, "step_min",
                              step.low, "step_max", step.high, "forward", forward.median,
                              "forward_min", forward.low, "forward_max", forward.high);
    json_object_update(row, times);
    json_decref(times);
    json_object_set_new(
        row, "memory",
        json_integer((json_int_t)training)); /* bytes that the library allocates in training */
    json_object_set_new(row, "gflop", json_real(workload_forward_gflop(&s)));
    workload_destroy(&s);
    return row;
}

int sweep_main(const bench_options *o) {
    json_t *rows = json_array();
    printf("%s\nbase %d, medians of %d\n", dm_build_info(), o->settings[0].base, o->runs);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        for (int k = 0; lines[i].points[k][0]; k++) {
            setting set = o->settings[0];
            set.batch = lines[i].points[k][0];
            set.size = lines[i].points[k][1];
            json_array_append_new(rows, point(&lines[i], &set, o->runs));
        }
    }
    write_json(rows, o->json);
    printf("written to %s\n", o->json);
    json_decref(rows);
    return EXIT_SUCCESS;
}
