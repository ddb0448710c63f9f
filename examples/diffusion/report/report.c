/* SPDX-License-Identifier: MIT */
/* See report.h. The page is page.html, each {{name}} of which is replaced by a part. */
#include "report/report.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "console/output.h"
#include "console/progress.h"
#include "report/curves.h"
#include "report/grids.h"
#include "report/page.h"

/* What the parts of the page are made of. */
typedef struct page {
    const char *folder;
    const report_options *options;
    curves training, evaluation;
    grids grids;
    char unread[OUTPUT_PATH_SIZE + 128]; /* what could not be read, or "" */
} page;

/* ---- text ---- */

/* The HTML text of a character with a meaning in HTML, or NULL. */
static const char *escape_of(char c) {
    if (c == '<') return "&lt;";
    if (c == '>') return "&gt;";
    if (c == '&') return "&amp;";
    if (c == '"') return "&quot;";
    return c == '\'' ? "&#39;" : NULL;
}

static void print_html(output *o, const char *text) {
    for (const char *c = text ? text : ""; *c; c++) {
        const char *escape = escape_of(*c);
        if (escape) output_print(o, "%s", escape);
        else output_print(o, "%c", *c);
    }
}

/* 1234567 as "1,234,567". */
static void print_grouped(output *o, uint64_t value) {
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    for (int i = 0; i < length; i++)
        output_print(o, "%s%c", i && (length - i) % 3 == 0 ? "," : "", digits[i]);
}

static int is_known(double value) { return isfinite(value) && value >= 0; }

/* ---- parts of the page ---- */

static void print_title(output *o, const page *p) {
    print_html(o, p->options->title ? p->options->title : "Training");
}

static void print_state(output *o, const page *p) {
    const report_options *r = p->options;
    output_print(o, "%s", r->running ? "running" : r->step < r->steps ? "stopped" : "finished");
}

static double share_done(const report_options *r) {
    return r->steps ? fmin(1, (double)r->step / (double)r->steps) : r->running ? 0 : 1;
}

/* Rounded down: 100% means that all is done. */
static void print_percent(output *o, const page *p) {
    output_print(o, "%.1f", floor(1000 * share_done(p->options)) / 10);
}

static void begin_figure(output *o, const char *name) {
    output_print(o, "<div><dt>%s</dt><dd>", name);
}

static void end_figure(output *o) { output_print(o, "</dd></div>\n"); }

static void print_figures(output *o, const page *p) {
    const report_options *r = p->options;
    begin_figure(o, "step");
    print_grouped(o, r->step);
    if (r->steps) {
        output_print(o, " <small>of ");
        print_grouped(o, r->steps);
        output_print(o, "</small>");
    }
    end_figure(o);
    if (r->running && is_known(r->seconds_left) && r->seconds_left < 1e9) {
        char text[32];
        begin_figure(o, "time left");
        output_print(o, "%s", duration(r->seconds_left, text));
        end_figure(o);
    }
    if (is_known(r->images_per_second)) {
        begin_figure(o, "pictures a second");
        if (r->images_per_second < 100) output_print(o, "%.3g", r->images_per_second);
        else print_grouped(o, (uint64_t)fmin(r->images_per_second + 0.5, 1e15));
        end_figure(o);
    }
    if (is_known(r->loss)) {
        begin_figure(o, "loss");
        output_print(o, "%.4g", r->loss);
        end_figure(o);
    }
}

static void print_unread(output *o, const page *p) {
    if (!p->unread[0]) return;
    output_print(o, "<p class=\"unread\">Left out: ");
    print_html(o, p->unread);
    output_print(o, "</p>\n");
}

/* A grid that became unreadable since it was found shows as a broken image. */
static void print_last_grid(output *o, const page *p) {
    char error[OUTPUT_PATH_SIZE + 128];
    if (!p->grids.count) return;
    const grid_file *last = &p->grids.file[p->grids.count - 1];
    output_print(o, "<img id=\"shot\" alt=\"samples after %llu steps\" src=\"",
                 (unsigned long long)last->step);
    (void)grid_print(o, p->folder, last, error, sizeof error);
    output_print(o, "\">\n<figcaption id=\"shot-step\">after ");
    print_grouped(o, last->step);
    output_print(o, " steps</figcaption>\n");
}

static const char *group_of(const report_fact *fact) { return fact->group ? fact->group : ""; }

static int is_first_of_group(const report_options *r, size_t fact) {
    for (size_t i = 0; i < fact; i++)
        if (strcmp(group_of(&r->facts[i]), group_of(&r->facts[fact])) == 0) return 0;
    return 1;
}

static void print_facts(output *o, const page *p) {
    const report_options *r = p->options;
    for (size_t first = 0; first < r->fact_count; first++) {
        if (!is_first_of_group(r, first)) continue;
        output_print(o, "<section class=\"card\"><h2>");
        print_html(o, group_of(&r->facts[first]));
        output_print(o, "</h2><dl>\n");
        for (size_t i = first; i < r->fact_count; i++) {
            if (strcmp(group_of(&r->facts[i]), group_of(&r->facts[first])) != 0) continue;
            output_print(o, "<div><dt>");
            print_html(o, r->facts[i].name);
            output_print(o, "</dt><dd>");
            print_html(o, r->facts[i].value);
            output_print(o, "</dd></div>\n");
        }
        output_print(o, "</dl></section>\n");
    }
}

/* ---- the data for page.js: JSON without any text from outside but the names of columns, which are
 * letters, digits and underscores ---- */

static void print_numbers(output *o, const char *name, const curve *c, size_t offset, int digits) {
    output_print(o, ",\"%s\":[", name);
    for (size_t i = 0; i < c->count; i++) {
        double value;
        memcpy(&value, (const char *)&c->points[i] + offset, sizeof value);
        /* A sum of large values may have become infinite, which JSON cannot say. */
        if (isfinite(value)) output_print(o, "%s%.*g", i ? "," : "", digits, value);
        else output_print(o, "%snull", i ? "," : "");
    }
    output_print(o, "]");
}

static void print_curves(output *o, const char *name, const curves *c) {
    const double rows = c->rows > 1 ? (double)(c->rows - 1) : 1;
    output_print(o, ",\n\"%s\":{\"window\":%.6g,\"curves\":{", name,
                 c->rows ? c->window * (c->last - c->first) / rows : 0);
    int printed = 0;
    for (size_t i = 0; i < c->count; i++) {
        const curve *one = &c->curve[i];
        if (!one->count || curves_find(c, one->name) != one) continue; /* empty, or a double name */
        output_print(o, "%s\n\"%s\":{\"points\":%zu", printed++ ? "," : "", one->name, one->count);
        print_numbers(o, "step", one, offsetof(curve_point, step), 16);
        print_numbers(o, "mean", one, offsetof(curve_point, mean), 5);
        print_numbers(o, "low", one, offsetof(curve_point, low), 4);
        print_numbers(o, "high", one, offsetof(curve_point, high), 4);
        print_numbers(o, "smooth", one, offsetof(curve_point, smooth), 5);
        output_print(o, "}");
    }
    output_print(o, "}}");
}

static void print_data(output *o, const page *p) {
    char error[OUTPUT_PATH_SIZE + 128];
    output_print(o, "{\"running\":%s,\"written\":%lld", p->options->running ? "true" : "false",
                 (long long)time(NULL));
    print_curves(o, "training", &p->training);
    print_curves(o, "evaluation", &p->evaluation);
    output_print(o, ",\n\"grids\":[");
    for (size_t i = 0; i < p->grids.count; i++) {
        const grid_file *file = &p->grids.file[i];
        output_print(o, "%s\n{\"step\":%llu", i ? "," : "", (unsigned long long)file->step);
        if (i + 1 < p->grids.count) { /* the last one is in the page itself */
            output_print(o, ",\"src\":\"");
            (void)grid_print(o, p->folder, file, error, sizeof error);
            output_print(o, "\"");
        }
        output_print(o, "}");
    }
    output_print(o, "]}\n");
}

static void print_style(output *o, const page *p) {
    (void)p;
    output_print(o, "%s", report_page_css);
}

static void print_script(output *o, const page *p) {
    (void)p;
    output_print(o, "%s%s", report_page_curves_js, report_page_js);
}

/* ---- the page ---- */

typedef struct part {
    const char *name;
    void (*print)(output *o, const page *p);
} part;

static const part parts[] = {
    {"title", print_title},     {"state", print_state},   {"percent", print_percent},
    {"figures", print_figures}, {"unread", print_unread}, {"last-grid", print_last_grid},
    {"facts", print_facts},     {"data", print_data},     {"style", print_style},
    {"script", print_script},
};

static void print_part(output *o, const page *p, const char *name, size_t length) {
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strlen(parts[i].name) == length && !strncmp(parts[i].name, name, length))
            parts[i].print(o, p);
}

static void print_page(output *o, const page *p) {
    const char *text = report_page_html, *begin, *end;
    while ((begin = strstr(text, "{{")) && (end = strstr(begin, "}}"))) {
        output_print(o, "%.*s", (int)(begin - text), text);
        print_part(o, p, begin + 2, (size_t)(end - begin - 2));
        text = end + 2;
    }
    output_print(o, "%s", text);
}

/* Keeps what could not be read first. */
static void read_folder(page *p) {
    char path[OUTPUT_PATH_SIZE], error[sizeof p->unread];
    snprintf(path, sizeof path, "%s/loss.csv", p->folder);
    if (curves_read(&p->training, path, error, sizeof error))
        snprintf(p->unread, sizeof p->unread, "%s", error);
    snprintf(path, sizeof path, "%s/evaluation.csv", p->folder);
    if (curves_read(&p->evaluation, path, error, sizeof error) && !p->unread[0])
        snprintf(p->unread, sizeof p->unread, "%s", error);
    if (grids_find(&p->grids, p->folder, error, sizeof error) && !p->unread[0])
        snprintf(p->unread, sizeof p->unread, "%s", error);
}

/* Returns 0 or the reason of the first failure. */
static int write_page(const page *p, const char *path) {
    output o;
    if (!output_begin(&o, path, "w")) {
        print_page(&o, p);
        output_replace(&o);
    }
    /* output_close would print; a page that was replaced is stored already. */
    if (o.file && fclose(o.file) && !o.error) return EIO;
    return o.error;
}

int report_write(const char *path, const char *folder, const report_options *options, char *error,
                 size_t capacity) {
    page *p = calloc(1, sizeof *p);
    if (capacity) *error = 0;
    if (!p) {
        snprintf(error, capacity, "%s: out of memory", path);
        return 1;
    }
    p->folder = folder;
    p->options = options;
    read_folder(p);
    const int reason = write_page(p, path);
    if (reason) snprintf(error, capacity, "%s: %s", path, strerror(reason));
    else snprintf(error, capacity, "%s", p->unread);
    curves_free(&p->training);
    curves_free(&p->evaluation);
    free(p);
    return reason != 0;
}
