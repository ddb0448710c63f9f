/* SPDX-License-Identifier: MIT */
/* The rows of the table: medians, the best of the peers, and ratios. */
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The library beside the best peer of the same precision, and its training steps in bfloat16 beside
 * the best peer in float32. */
static const metric metrics[METRICS] = {
    [TRAIN_STEP] = {"train_step", "training step", "s", "%.4f", "fp32", "fp32", RATIO_MAX, 0.33},
    [TRAIN_STEP_BF16] = {"train_step", "step, bf16", "s", "%.4f", "bf16", "bf16", RATIO_MAX, 0.5},
    [TRAIN_STEP_MIXED] = {"train_step", "step, bf16 over fp32", "s", "%.4f", "bf16", "fp32",
                          RATIO_MAX, 0},
    [FORWARD] = {"forward", "forward pass", "s", "%.4f", "fp32", "fp32", RATIO_MAX, 0.40},
    [FORWARD_BF16] = {"forward", "forward, bf16", "s", "%.4f", "bf16", "bf16", RATIO_MAX, 0.60},
    [DDIM] = {"ddim50", "DDIM, 50 steps", "s", "%.3f", "fp32", "fp32", RATIO_MAX, 0.40},
    [MEMORY] = {"memory", "peak memory of training", "MB", "%.0f", "fp32", "fp32", RATIO_MAX, 0.35},
    [MEMORY_BF16] = {"memory", "peak memory, bf16", "MB", "%.0f", "bf16", "bf16", RATIO_MAX, 0.25},
    [SGEMM_RATE] = {"sgemm_rate", "step over SGEMM", "GFLOP/s", "%.0f", "fp32", NULL, RATIO_MIN,
                    1.5},
    [THREADS] = {"threads", "two threads over one", "steps/s", "%.3f", "fp32", NULL, RATIO_MIN,
                 1.9},
    [STARTUP] = {"startup", "start, beyond the step", "s", "%.3f", "fp32", NULL, LIBRARY_MAX, 0.1},
};
/* Of a forward pass of one image. */
static const double alone_target = 0.45, alone_target_bf16 = 0.65;

static int ascending(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

summary summarise(const series *s) {
    series sorted = *s;
    int n = s->count;
    if (!n) return (summary){0};
    qsort(sorted.value, (size_t)n, sizeof sorted.value[0], ascending);
    double middle =
        n % 2 ? sorted.value[n / 2] : 0.5 * (sorted.value[n / 2 - 1] + sorted.value[n / 2]);
    return (summary){middle, sorted.value[0], sorted.value[n - 1], n};
}

summary single(double value) { return (summary){value, value, value, 1}; }

const series *series_at(const tested_program *p, size_t offset) {
    return (const series *)(const void *)((const char *)p + offset);
}

/* ---- rows ---- */

static void divide(row *r, const series *library, const series *pytorch) {
    int n = library->count < pytorch->count ? library->count : pytorch->count;
    series ratios = {.count = n};
    for (int i = 0; i < n; i++) ratios.value[i] = library->value[i] / pytorch->value[i];
    summary s = summarise(&ratios);
    r->ratio_low = s.low;
    r->ratio_high = s.high;
    r->ratio = r->library.median / r->baseline.median;
}

static bool is_compared(const row *r, const tested_program *p) {
    return !r->metric->peer_precision || !strcmp(r->metric->peer_precision, p->peer->precision);
}

/* The library's program in the row's precision. */
static const tested_program *library_of(const row *r, const comparison *c) {
    return strcmp(r->metric->precision, "bf16") ? &c->library : &c->bf16;
}

/* libdiffusion's time beside that of the fastest peer. */
static void time_row(row *r, const comparison *c, size_t offset) {
    const tested_program *best = NULL, *library = library_of(r, c);
    r->library = summarise(series_at(library, offset));
    for (int i = 0; i < c->baseline_count; i++) {
        summary s = summarise(series_at(&c->baselines[i], offset));
        if (!is_compared(r, &c->baselines[i])) continue;
        if (!s.count || s.count < r->library.count || (best && s.median >= r->baseline.median))
            continue;
        best = &c->baselines[i];
        r->baseline = s;
    }
    if (!best) return;
    snprintf(r->baseline_mode, sizeof r->baseline_mode, "%s", best->peer->mode);
    divide(r, series_at(library, offset), series_at(best, offset));
}

static void memory_row(row *r, const comparison *c) {
    r->library = single(library_of(r, c)->memory_mb);
    for (int i = 0; i < c->baseline_count; i++) {
        double mb = c->baselines[i].memory_mb;
        if (!is_compared(r, &c->baselines[i])) continue;
        if (!mb || (r->baseline.count && mb >= r->baseline.median)) continue;
        r->baseline = single(mb);
        snprintf(r->baseline_mode, sizeof r->baseline_mode, "%s", c->baselines[i].peer->mode);
    }
    if (r->baseline.count)
        r->ratio = r->ratio_low = r->ratio_high = r->library.median / r->baseline.median;
}

/* work / time for each round. */
static series rates(const series *times, double work) {
    series out = {.count = times->count};
    for (int i = 0; i < times->count; i++) out.value[i] = work / times->value[i];
    return out;
}

static void sgemm_row(row *r, const comparison *c) {
    series library = rates(&c->library.step, 3 * c->gflop), machine = {.count = library.count};
    for (int i = 0; i < machine.count; i++) machine.value[i] = summarise(&c->sgemm).high;
    r->library = summarise(&library);
    r->baseline = summarise(&machine);
    snprintf(r->baseline_mode, sizeof r->baseline_mode, "%s", c->sgemm_of ? c->sgemm_of : "SGEMM");
    divide(r, &library, &machine);
}

static void threads_row(row *r, const comparison *c) {
    const tested_program *one = c->set.threads == 1 ? &c->library : &c->one,
                         *two = c->set.threads == 2 ? &c->library : &c->two;
    series slow = rates(&one->step, 1), fast = rates(&two->step, 1);
    r->library = summarise(&fast);
    r->baseline = summarise(&slow);
    if (!slow.count || !fast.count) return;
    snprintf(r->baseline_mode, sizeof r->baseline_mode, "1 thread");
    divide(r, &fast, &slow);
}

static series beyond_step(const tested_program *p) {
    series out = p->startup;
    double step = summarise(&p->step).median;
    for (int i = 0; i < out.count; i++) out.value[i] -= step;
    return out;
}

static void startup_row(row *r, const comparison *c) {
    series library = beyond_step(&c->library);
    r->library = summarise(&library);
    const tested_program *baseline = NULL;
    for (int i = 0; i < c->baseline_count && !baseline; i++) {
        if (c->baselines[i].startup.count) baseline = &c->baselines[i];
    }
    if (!baseline) return;
    series pytorch = beyond_step(baseline);
    r->baseline = summarise(&pytorch);
    snprintf(r->baseline_mode, sizeof r->baseline_mode, "%s", baseline->peer->mode);
    divide(r, &library, &pytorch);
}

void rows_fill(row rows[METRICS], const comparison *c) {
    memset(rows, 0, METRICS * sizeof *rows);
    for (int i = 0; i < METRICS; i++) {
        rows[i].metric = &metrics[i];
        rows[i].target = metrics[i].target;
    }
    if (c->set.batch == 1)
        rows[FORWARD].target = alone_target, rows[FORWARD_BF16].target = alone_target_bf16;
    time_row(&rows[TRAIN_STEP], c, offsetof(tested_program, step));
    time_row(&rows[TRAIN_STEP_BF16], c, offsetof(tested_program, step));
    time_row(&rows[TRAIN_STEP_MIXED], c, offsetof(tested_program, step));
    time_row(&rows[FORWARD], c, offsetof(tested_program, forward));
    time_row(&rows[FORWARD_BF16], c, offsetof(tested_program, forward));
    time_row(&rows[DDIM], c, offsetof(tested_program, ddim));
    memory_row(&rows[MEMORY], c);
    memory_row(&rows[MEMORY_BF16], c);
    sgemm_row(&rows[SGEMM_RATE], c);
    threads_row(&rows[THREADS], c);
    startup_row(&rows[STARTUP], c);
}

int row_reaches(const row *r) {
    if (!r->library.count || r->target <= 0) return -1;
    if (r->metric->kind == LIBRARY_MAX) return r->library.median <= r->target;
    if (r->ratio <= 0) return -1;
    return r->metric->kind == RATIO_MIN ? r->ratio >= r->target : r->ratio <= r->target;
}
