/* The rows of the table: medians, the best of PyTorch's modes, and ratios. */
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const figure figures[FIGURES] = {
    [TRAIN_STEP] = {"train_step", "training step", "s", "%.4f", RATIO_MAX, 0.25, 0.33},
    [FORWARD] = {"forward", "forward pass", "s", "%.4f", RATIO_MAX, 0.25, 0.33},
    [DDIM] = {"ddim50", "DDIM, 50 steps", "s", "%.3f", RATIO_MAX, 0.25, 0.33},
    [MEMORY] = {"memory", "peak memory of training", "MB", "%.0f", RATIO_MAX, 0.35, 0.35},
    [SGEMM_RATE] = {"sgemm_rate", "step over SGEMM", "GFLOP/s", "%.0f", RATIO_MIN, 1.5, 1.5},
    [THREADS] = {"threads", "two threads over one", "steps/s", "%.3f", RATIO_MIN, 1.9, 1.9},
    [STARTUP] = {"startup", "start, beyond the step", "s", "%.3f", OURS_MAX, 0.1, 0.1},
};

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

const series *series_at(const party *p, size_t offset) {
    return (const series *)(const void *)((const char *)p + offset);
}

/* ---- rows ---- */

static void divide(row *r, const series *ours, const series *theirs) {
    int n = ours->count < theirs->count ? ours->count : theirs->count;
    series ratios = {.count = n};
    for (int i = 0; i < n; i++) ratios.value[i] = ours->value[i] / theirs->value[i];
    summary s = summarise(&ratios);
    r->ratio_low = s.low;
    r->ratio_high = s.high;
    r->ratio = r->ours.median / r->peer.median;
}

/* Our time beside that of PyTorch's fastest mode. */
static void time_row(row *r, const comparison *c, size_t offset) {
    const party *best = NULL;
    r->ours = summarise(series_at(&c->ours, offset));
    for (int i = 0; i < c->peer_count; i++) {
        summary s = summarise(series_at(&c->peers[i], offset));
        if (!s.count || s.count < r->ours.count || (best && s.median >= r->peer.median)) continue;
        best = &c->peers[i];
        r->peer = s;
    }
    if (!best) return;
    snprintf(r->peer_mode, sizeof r->peer_mode, "%s", best->mode);
    divide(r, series_at(&c->ours, offset), series_at(best, offset));
}

static void memory_row(row *r, const comparison *c) {
    r->ours = single(c->ours.memory_mb);
    for (int i = 0; i < c->peer_count; i++) {
        double mb = c->peers[i].memory_mb;
        if (!mb || (r->peer.count && mb >= r->peer.median)) continue;
        r->peer = single(mb);
        snprintf(r->peer_mode, sizeof r->peer_mode, "%s", c->peers[i].mode);
    }
    if (r->peer.count) r->ratio = r->ratio_low = r->ratio_high = r->ours.median / r->peer.median;
}

/* work / time for each round. */
static series rates(const series *times, double work) {
    series out = {.count = times->count};
    for (int i = 0; i < times->count; i++) out.value[i] = work / times->value[i];
    return out;
}

static void sgemm_row(row *r, const comparison *c) {
    series ours = rates(&c->ours.step, 3 * c->gflop), machine = {.count = ours.count};
    for (int i = 0; i < machine.count; i++) machine.value[i] = summarise(&c->sgemm).high;
    r->ours = summarise(&ours);
    r->peer = summarise(&machine);
    snprintf(r->peer_mode, sizeof r->peer_mode, "%s", c->sgemm_of ? c->sgemm_of : "SGEMM");
    divide(r, &ours, &machine);
}

static void threads_row(row *r, const comparison *c) {
    const party *one = c->set.threads == 1 ? &c->ours : &c->one,
                *two = c->set.threads == 2 ? &c->ours : &c->two;
    series slow = rates(&one->step, 1), fast = rates(&two->step, 1);
    r->ours = summarise(&fast);
    r->peer = summarise(&slow);
    if (!slow.count || !fast.count) return;
    snprintf(r->peer_mode, sizeof r->peer_mode, "1 thread");
    divide(r, &fast, &slow);
}

static series beyond_step(const party *p) {
    series out = p->startup;
    double step = summarise(&p->step).median;
    for (int i = 0; i < out.count; i++) out.value[i] -= step;
    return out;
}

static void startup_row(row *r, const comparison *c) {
    series ours = beyond_step(&c->ours);
    r->ours = summarise(&ours);
    const party *peer = NULL;
    for (int i = 0; i < c->peer_count && !peer; i++) {
        if (c->peers[i].startup.count) peer = &c->peers[i];
    }
    if (!peer) return;
    series theirs = beyond_step(peer);
    r->peer = summarise(&theirs);
    snprintf(r->peer_mode, sizeof r->peer_mode, "%s", peer->mode);
    divide(r, &ours, &theirs);
}

void rows_fill(row rows[FIGURES], const comparison *c) {
    memset(rows, 0, FIGURES * sizeof *rows);
    for (int i = 0; i < FIGURES; i++) rows[i].figure = &figures[i];
    time_row(&rows[TRAIN_STEP], c, offsetof(party, step));
    time_row(&rows[FORWARD], c, offsetof(party, forward));
    time_row(&rows[DDIM], c, offsetof(party, ddim));
    memory_row(&rows[MEMORY], c);
    sgemm_row(&rows[SGEMM_RATE], c);
    threads_row(&rows[THREADS], c);
    startup_row(&rows[STARTUP], c);
}

int row_reaches(const row *r, double target) {
    if (!r->ours.count) return -1;
    if (r->figure->kind == OURS_MAX) return r->ours.median <= target;
    if (r->ratio <= 0) return -1;
    return r->figure->kind == RATIO_MIN ? r->ratio >= target : r->ratio <= target;
}
