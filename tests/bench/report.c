/* SPDX-License-Identifier: MIT */
/* The table of one setting and its rows in bench.json. A row's ratio is `ours` over `peer`:
 * the fastest peer, SGEMM for the rate of a step, one thread for two threads. */
#include <stdio.h>
#include <stdlib.h>

#include "rows.h"

/* ---- the table ---- */

/* Processors that other programs may use before a comparison is called invalid. */
static const double BUSY = 0.05;

static void print_summary(const char *format, const summary *s, int width) {
    char text[80] = "-", value[3][20];
    if (s->count) {
        snprintf(value[0], sizeof value[0], format, s->median);
        snprintf(value[1], sizeof value[1], format, s->low);
        snprintf(value[2], sizeof value[2], format, s->high);
        if (s->low == s->high) snprintf(text, sizeof text, "%s", value[0]);
        else snprintf(text, sizeof text, "%s (%s to %s)", value[0], value[1], value[2]);
    }
    printf("%-*s ", width, text);
}

static void print_row(const row *r) {
    const metric *f = r->metric;
    static const summary none;
    char title[64];
    snprintf(title, sizeof title, "%s, %s", f->title, f->unit);
    printf("%-32s", title);
    print_summary(f->format, &r->library, 28);
    print_summary(f->format, r->baseline_mode[0] ? &r->baseline : &none, 28);
    printf("%-14s", r->baseline_mode[0] ? r->baseline_mode : "-");
    char ratio[20] = "-", spread[32] = "";
    if (r->ratio > 0) snprintf(ratio, sizeof ratio, "%.3f", r->ratio);
    if (r->ratio > 0 && r->ratio_low != r->ratio_high) {
        snprintf(spread, sizeof spread, "(%.3f to %.3f)", r->ratio_low, r->ratio_high);
    }
    printf("%6s %-17s ", ratio, spread);
    int met = row_reaches(r);
    if (r->target <= 0) {
        printf("-\n");
        return;
    }
    printf("%s %-5g",
           f->kind == RATIO_MIN   ? ">="
           : f->kind == RATIO_MAX ? "<="
                                  : "libdiffusion <=",
           r->target);
    printf("%s\n", met < 0 ? "-" : met ? "met" : "NO");
}

static void print_time(const char *title, const series *times, const char *missing) {
    summary s = summarise(times);
    if (s.count) printf(", %s %.4f s", title, s.median);
    else printf(", %s %s", title, missing);
}

static void print_mode(const tested_program *p) {
    printf("  %s", p->peer->mode);
    if (!p->step.count && !p->forward.count) {
        printf(": did not run\n");
        return;
    }
    if (p->peer->trains) print_time("step", &p->step, "failed");
    print_time("forward", &p->forward, "failed");
    if (p->peer->trains)
        print_time("DDIM", &p->ddim,
                   p->forward.count ? "left out: slower than the best in a short run" : "failed");
    if (p->memory_mb)
        printf(", memory %.0f MB, %.0f of them from importing", p->memory_mb, p->import_mb);
    printf("\n");
}

static void print_table(const comparison *c, const row rows[METRICS]) {
    const setting *s = &c->set;
    printf("\nbase %d, batch %d, %dx%d, %d thread%s: %.2f million parameters, %.1f GFLOP a forward "
           "pass, %.1f a step; "
           "%d image%s in DDIM\n",
           s->base, s->batch, s->size, s->size, s->threads, s->threads == 1 ? "" : "s",
           1e-6 * c->parameters, c->gflop, 3 * c->gflop, s->images, s->images == 1 ? "" : "s");
    printf("%-32s%-29s%-29s%-14s%6s %-17s %s\n", "", "libdiffusion",
           c->baseline_version[0] ? c->baseline_version : "(no PyTorch)", "", "ratio", "",
           "target");
    for (int i = 0; i < METRICS; i++) print_row(&rows[i]);
    summary machine = summarise(&c->sgemm);
    if (machine.count) {
        printf("the machine itself ran SGEMM at %.0f to %.0f GFLOP/s, the median %.0f, from round "
               "to round\n",
               machine.low, machine.high, machine.median);
    }
    summary trip = summarise(&c->pingpong);
    if (trip.count && trip.median > 0) {
        printf("a cache line went from one thread to another and back in %.0f to %.0f ns, the "
               "median %.0f\n",
               trip.low, trip.high, trip.median);
    }
    if (c->others > BUSY) {
        printf("INVALID: other programs used %.2f processors during the comparison, which slows "
               "PyTorch more than libdiffusion\n",
               c->others);
    }
    if (c->baseline_count > 1) printf("the peers:\n");
    for (int i = 0; i < c->baseline_count && c->baseline_count > 1; i++)
        print_mode(&c->baselines[i]);
    fflush(stdout);
}

/* ---- JSON ---- */

static json_t *number_or_null(double value, bool there) {
    return there ? json_real(value) : json_null();
}

static json_t *modes_json(const comparison *c, int index) {
    static const size_t offsets[METRICS] = {
        [TRAIN_STEP] = offsetof(tested_program, step),
        [TRAIN_STEP_BF16] = offsetof(tested_program, step),
        [TRAIN_STEP_MIXED] = offsetof(tested_program, step),
        [FORWARD] = offsetof(tested_program, forward),
        [FORWARD_BF16] = offsetof(tested_program, forward),
        [DDIM] = offsetof(tested_program, ddim),
    };
    json_t *modes = json_array();
    for (int i = 0; i < c->baseline_count && index <= MEMORY_BF16; i++) {
        const tested_program *p = &c->baselines[i];
        bool memory = index >= MEMORY;
        summary s = memory ? single(p->memory_mb) : summarise(series_at(p, offsets[index]));
        if (!s.count || s.median <= 0) continue;
        json_t *mode = json_pack("{s:s,s:f,s:f,s:f,s:i}", "mode", p->peer->mode, "median", s.median,
                                 "min", s.low, "max", s.high, "runs", s.count);
        if (memory) json_object_set_new(mode, "import", json_real(p->import_mb));
        json_array_append_new(modes, mode);
    }
    return modes;
}

static json_t *row_json(const comparison *c, const row *r, int index) {
    static const char *const kinds[] = {"ratio at most", "ratio at least", "libdiffusion at most"};
    const metric *f = r->metric;
    bool baseline = r->baseline_mode[0] != 0, ratio = r->ratio > 0;
    int met = row_reaches(r);
    json_t *out = json_pack("{s:s,s:i,s:i,s:i,s:i}", "name", f->name, "base", c->set.base, "batch",
                            c->set.batch, "size", c->set.size, "threads",
                            index == THREADS ? 2 : c->set.threads);
    if (index == DDIM) json_object_set_new(out, "images", json_integer(c->set.images));
    json_object_set_new(out, "precision", json_string(f->precision));
    json_object_set_new(out, "peer_precision",
                        f->peer_precision ? json_string(f->peer_precision) : json_null());
    json_object_set_new(out, "unit", json_string(f->unit));
    json_object_set_new(out, "ours", number_or_null(r->library.median, r->library.count));
    json_object_set_new(out, "ours_min", number_or_null(r->library.low, r->library.count));
    json_object_set_new(out, "ours_max", number_or_null(r->library.high, r->library.count));
    json_object_set_new(out, "runs", json_integer(r->library.count));
    json_object_set_new(out, "peer", number_or_null(r->baseline.median, baseline));
    json_object_set_new(out, "peer_min", number_or_null(r->baseline.low, baseline));
    json_object_set_new(out, "peer_max", number_or_null(r->baseline.high, baseline));
    json_object_set_new(out, "peer_mode", baseline ? json_string(r->baseline_mode) : json_null());
    json_object_set_new(out, "ratio", number_or_null(r->ratio, ratio));
    json_object_set_new(out, "ratio_min", number_or_null(r->ratio_low, ratio));
    json_object_set_new(out, "ratio_max", number_or_null(r->ratio_high, ratio));
    json_object_set_new(out, "target", number_or_null(r->target, r->target > 0));
    json_object_set_new(out, "target_kind", json_string(kinds[f->kind]));
    json_object_set_new(out, "met", met < 0 ? json_null() : json_boolean(met));
    json_object_set_new(out, "pingpong_ns", json_real(summarise(&c->pingpong).median));
    json_object_set_new(out, "others_busy", json_real(c->others));
    json_object_set_new(out, "modes", modes_json(c, index));
    return out;
}

void report(const comparison *c, json_t *rows) {
    row filled[METRICS];
    rows_fill(filled, c);
    print_table(c, filled);
    for (int i = 0; i < METRICS; i++) json_array_append_new(rows, row_json(c, &filled[i], i));
}

void write_json(const json_t *root, const char *path) {
    if (!root || json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6))) {
        fprintf(stderr, "bench: cannot write %s\n", path);
        exit(EXIT_FAILURE);
    }
}
