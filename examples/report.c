/* SPDX-License-Identifier: MIT */
/* See report.h. */
#include "report.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

/* ---- reading the files of a run ---- */

/* What cannot be read is left out: that is no reason to end a run. */
static void warn(const char *program, const char *path, int reason) {
    fprintf(stderr, "%s: warning: %s cannot be read for the report: %s\n", program, path,
            strerror(reason));
}

typedef struct curve {
    double *step, *loss;
    size_t count;
} curve;

/* Returns 0 or the reason why not all losses could be read. */
static int read_losses(curve *c, const char *path) {
    char line[256];
    FILE *f = fopen(path, "r");
    size_t capacity = 0;
    int reason = 0;
    *c = (curve){0};
    if (!f) return errno;
    while (fgets(line, sizeof line, f)) {
        char *comma, *end;
        double step = strtod(line, &comma);
        if (comma == line || *comma != ',') continue;
        double loss = strtod(comma + 1, &end);
        if (end == comma + 1) continue;
        if (c->count == capacity) {
            capacity = capacity ? 2 * capacity : 1024;
            double *steps = realloc(c->step, capacity * sizeof *steps),
                   *losses = steps ? realloc(c->loss, capacity * sizeof *losses) : NULL;
            if (steps) c->step = steps;
            if (losses) c->loss = losses;
            if (!losses) {
                reason = ENOMEM;
                break;
            }
        }
        c->step[c->count] = step;
        c->loss[c->count++] = loss;
    }
    if (ferror(f)) reason = errno;
    (void)fclose(f); /* which was only read */
    return reason;
}

static const char grid_prefix[] = "samples-";

/* The step of samples-STEP.png; *rest is what follows the number. */
static unsigned long long step_and_rest(const struct dirent *entry, char **rest) {
    return strtoull(entry->d_name + strlen(grid_prefix), rest, 10);
}

static int is_grid(const struct dirent *entry) {
    char *rest;
    if (strncmp(entry->d_name, grid_prefix, strlen(grid_prefix)) != 0) return 0;
    step_and_rest(entry, &rest);
    return rest > entry->d_name + strlen(grid_prefix) && strcmp(rest, ".png") == 0;
}

static unsigned long long step_of(const struct dirent *entry) {
    char *rest;
    return step_and_rest(entry, &rest);
}

static int by_step(const struct dirent **one, const struct dirent **other) {
    unsigned long long a = step_of(*one), b = step_of(*other);
    return (a > b) - (a < b);
}

/* ---- the loss curve as SVG: logarithmic, every step in a pale line, the running mean dark ---- */

enum { WIDTH = 860, HEIGHT = 300, LEFT = 56, BOTTOM = 30, TOP = 10, POINTS = 1200 };

typedef struct axes {
    double x0, x1, y0, y1; /* steps, and log10 of the loss */
} axes;

static double x_of(const axes *a, double step) {
    return LEFT + (step - a->x0) / (a->x1 - a->x0) * (WIDTH - LEFT - 10);
}
static double y_of(const axes *a, double loss) {
    return TOP + (a->y1 - log10(loss)) / (a->y1 - a->y0) * (HEIGHT - TOP - BOTTOM);
}

static void write_line(output *o, const axes *a, const curve *c, double smoothing,
                       const char *style) {
    size_t stride = c->count / POINTS + 1;
    double mean = 0, weight = 0;
    output_print(o, "<polyline fill='none' %s points='", style);
    for (size_t i = 0; i < c->count; i++) {
        if (!(c->loss[i] > 0) || !isfinite(c->loss[i])) continue;
        mean = smoothing * mean + (1 - smoothing) * c->loss[i];
        weight = smoothing * weight + (1 - smoothing);
        if (i % stride == 0 || i + 1 == c->count)
            output_print(o, "%.1f,%.1f ", x_of(a, c->step[i]), y_of(a, mean / weight));
    }
    output_print(o, "'/>\n");
}

/* The ranges of steps and losses. y0 stays infinite if no loss can be drawn. */
static axes axes_of(const curve *c) {
    axes a = {0, 1, INFINITY, -INFINITY};
    for (size_t i = 0; i < c->count; i++) {
        if (!(c->loss[i] > 0) || !isfinite(c->loss[i])) continue;
        a.x1 = fmax(a.x1, c->step[i]);
        a.y0 = fmin(a.y0, log10(c->loss[i]));
        a.y1 = fmax(a.y1, log10(c->loss[i]));
    }
    if (a.y1 - a.y0 < 0.1) a.y1 = a.y0 + 0.1;
    return a;
}

/* Lines of equal loss; 1, 2 and 5 have labels, and every one if the range is small. */
static void write_loss_lines(output *o, const axes *a) {
    for (int decade = (int)floor(a->y0); decade <= (int)a->y1; decade++)
        for (int digit = 1; digit < 10; digit++) {
            double value = digit * pow(10, decade), y = y_of(a, value);
            if (y < TOP || y > HEIGHT - BOTTOM) continue;
            int labelled = a->y1 - a->y0 < 0.7 || digit == 1 || digit == 2 || digit == 5;
            output_print(o, "<line x1='%d' x2='%d' y1='%.1f' y2='%.1f' stroke='%s'/>\n", LEFT,
                         WIDTH - 10, y, y, labelled ? "#d8dbe2" : "#eef0f4");
            if (labelled)
                output_print(o, "<text x='%d' y='%.1f' text-anchor='end'>%g</text>\n", LEFT - 6,
                             y + 4, value);
        }
}

static void write_curve(output *o, const curve *c) {
    axes a = axes_of(c);
    if (!isfinite(a.y0)) return;
    output_print(
        o, "<h2>Loss</h2>\n<svg viewBox='0 0 %d %d' role='img' aria-label='loss over steps'>\n",
        WIDTH, HEIGHT);
    write_loss_lines(o, &a);
    for (int i = 0; i <= 5; i++) {
        double step = a.x0 + (a.x1 - a.x0) * i / 5;
        output_print(o, "<text x='%.1f' y='%d' text-anchor='%s'>%.0f</text>\n", x_of(&a, step),
                     HEIGHT - 10, i == 5 ? "end" : "middle", step);
    }
    write_line(o, &a, c, 0, "stroke='#b9cdf0' stroke-width='1'");
    write_line(o, &a, c, 0.98, "stroke='#2456a6' stroke-width='2'");
    output_print(
        o, "</svg>\n<p class='note'>Pale: every step. Dark: running mean over about 50 steps. "
           "The scale is logarithmic.</p>\n");
}

/* ---- images, embedded in the page ---- */

/* Returns 0 or the reason why the file cannot be read. */
static int write_base64(output *o, FILE *in) {
    enum { FILLER = 64 };
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    unsigned char bytes[3];
    size_t got;
    while ((got = fread(bytes, 1, 3, in)) > 0) {
        char text[5] = "";
        unsigned bits = (unsigned)bytes[0] << 16 | (got > 1 ? (unsigned)bytes[1] << 8 : 0) |
                        (got > 2 ? bytes[2] : 0u);
        for (size_t i = 0; i < 4; i++)
            text[i] = digits[i <= got ? bits >> (18 - 6 * i) & 63 : FILLER];
        output_print(o, "%s", text);
    }
    return ferror(in) ? errno : 0;
}

/* A grid that cannot be read is left out, with a warning. */
static void write_grid_of(output *o, const char *program, const char *path,
                          unsigned long long step) {
    FILE *image = fopen(path, "rb");
    int reason = image ? 0 : errno;
    if (image) {
        output_print(o, "<figure><img alt='samples after %llu steps' src='data:image/png;base64,",
                     step);
        reason = write_base64(o, image);
        output_print(o, "'><figcaption>after %llu steps</figcaption></figure>\n", step);
        (void)fclose(image); /* which was only read */
    }
    if (reason) warn(program, path, reason);
}

static void write_grids(output *o, const char *program, const char *folder) {
    struct dirent **found;
    char path[1500];
    int count = scandir(folder, &found, is_grid, by_step);
    if (count < 0) {
        warn(program, folder, errno);
        return;
    }
    if (count > 0) output_print(o, "<h2>Samples</h2>\n<div class='grids'>\n");
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, found[i]->d_name);
        write_grid_of(o, program, path, step_of(found[i]));
        free(found[i]);
    }
    if (count > 0) output_print(o, "</div>\n");
    free(found);
}

static void write_escaped(output *o, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '<') output_print(o, "&lt;");
        else if (text[i] == '&') output_print(o, "&amp;");
        else output_print(o, "%c", text[i]);
    }
}

static void write_facts(output *o, const char *facts) {
    output_print(o, "<table>\n");
    for (const char *line = facts; *line;) {
        size_t length = strcspn(line, "\n"), name = strcspn(line, "\t\n");
        output_print(o, "<tr><th>");
        write_escaped(o, line, name);
        output_print(o, "</th><td>");
        if (name < length) write_escaped(o, line + name + 1, length - name - 1);
        output_print(o, "</td></tr>\n");
        line += length + (line[length] == '\n');
    }
    output_print(o, "</table>\n");
}

static const char style[] =
    "body{font:16px/1.5 system-ui,sans-serif;color:#1c2330;max-width:900px;margin:2rem "
    "auto;padding:0 1rem}"
    "h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem}svg{width:100%;height:auto}"
    "svg text{font-size:11px;fill:#5a6473}"
    "table{border-collapse:collapse}th{text-align:left;font-weight:600;padding:.15rem 1.5rem "
    ".15rem 0;vertical-align:top}"
    ".grids{display:flex;flex-wrap:wrap;gap:1.25rem}figure{margin:0}"
    "figure img{display:block;max-width:100%;image-rendering:pixelated}"
    "figcaption,.note{color:#5a6473;font-size:.85rem}";

static void write_page(output *o, const char *program, const char *folder, const char *title,
                       const char *facts) {
    char losses[OUTPUT_PATH_SIZE];
    curve c;
    snprintf(losses, sizeof losses, "%s/loss.csv", folder);
    int unread = read_losses(&c, losses);
    if (unread) warn(program, losses, unread);
    output_print(
        o,
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
        "content='width=device-width'>"
        "<title>%s</title><style>%s</style></head><body>\n<h1>%s</h1>\n",
        title, style, title);
    write_facts(o, facts);
    write_curve(o, &c);
    write_grids(o, program, folder);
    output_print(o, "</body></html>\n");
    free(c.step);
    free(c.loss);
}

int write_report(const char *program, const char *path, const char *folder, const char *title,
                 const char *facts) {
    char part[OUTPUT_PATH_SIZE + 8];
    output o;
    snprintf(part, sizeof part, "%s.part", path);
    if (!output_open(&o, part, "w")) {
        write_page(&o, program, folder, title, facts);
        output_replace(&o, path);
    }
    return output_close(&o, program);
}
