/* SPDX-License-Identifier: MIT */
/* See curves.h. The file is read twice: for the range of its steps, and for the values. */
#include "report/curves.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LINE_SIZE = 1024 };

static const double step_max = 9007199254740992.0; /* 2^53: whole numbers are exact up to here */

static int fail(char *error, size_t capacity, const char *path, const char *reason) {
    snprintf(error, capacity, "%s: %s", path, reason);
    return 1;
}

/* ---- lines and fields ---- */

/* The next complete line; 0 at the end of the file or where it cannot be read. */
static int next_line(FILE *file, char line[LINE_SIZE]) {
    while (fgets(line, LINE_SIZE, file)) {
        if (strchr(line, '\n')) return 1;
        int byte;
        do byte = getc(file);
        while (byte != '\n' && byte != EOF);
    }
    return 0;
}

/* The number at *field, or NAN. *field becomes the start of the next one, NULL after the last. */
static double next_number(const char **field) {
    char *end;
    double value = strtod(*field, &end);
    const int none = end == *field;
    end += strspn(end, " \t\r\n");
    if (none || (*end && *end != ',')) value = NAN;
    const char *comma = strchr(*field, ',');
    *field = comma ? comma + 1 : NULL;
    return value;
}

static int step_is_valid(double step) { return step >= 0 && step <= step_max; }

static int name_is_valid(const char *name, size_t length) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    return length > 0 && length < CURVE_NAME_SIZE && strspn(name, allowed) >= length;
}

/* Takes the names of the columns from the first line. An invalid one becomes "". */
static int read_names(curves *c, FILE *file, const char *path, char *error, size_t capacity) {
    char line[LINE_SIZE];
    if (!next_line(file, line))
        return ferror(file) ? fail(error, capacity, path, strerror(errno)) : 0; /* empty: no rows */
    line[strcspn(line, "\r\n")] = 0;
    const char *name = line;
    size_t length = strcspn(name, ",");
    if (length != 4 || strncmp(name, "step", 4) != 0)
        return fail(error, capacity, path, "its first column is not \"step\"");
    while (name[length] && c->count < CURVES_MAX) {
        name += length + 1;
        length = strcspn(name, ",");
        curve *column = &c->curve[c->count++];
        if (name_is_valid(name, length)) memcpy(column->name, name, length);
    }
    return 0;
}

/* ---- the two passes ---- */

static void read_range(curves *c, FILE *file) {
    char line[LINE_SIZE];
    while (next_line(file, line)) {
        const char *field = line;
        double step = next_number(&field);
        if (!step_is_valid(step)) continue;
        if (!c->rows || step < c->first) c->first = step;
        if (!c->rows || step > c->last) c->last = step;
        c->rows++;
    }
    c->window = fmax(50, (double)c->rows / 100);
}

/* The running mean of one column. */
typedef struct running_mean {
    double sum, weight;
} running_mean;

/* `point->mean` is the sum until the end of the file. */
static void add_value(curve_point *point, running_mean *running, double keep, double step,
                      double value) {
    running->sum = keep * running->sum + (1 - keep) * value;
    running->weight = keep * running->weight + (1 - keep);
    if (!point->rows || value < point->low) point->low = value;
    if (!point->rows || value > point->high) point->high = value;
    if (!point->rows || step > point->step) point->step = step;
    point->mean += value;
    point->smooth = running->sum / running->weight;
    point->rows++;
}

/* Rows that were added to the file since the first pass are left for the next time. */
static void read_values(curves *c, FILE *file) {
    char line[LINE_SIZE];
    running_mean running[CURVES_MAX] = {{0, 0}};
    const double keep = 1 - 1 / c->window;
    while (next_line(file, line)) {
        const char *field = line;
        double step = next_number(&field);
        if (!step_is_valid(step) || step < c->first || step > c->last) continue;
        size_t range = (size_t)((step - c->first) / (c->last - c->first + 1) * CURVE_POINTS);
        if (range >= CURVE_POINTS) range = CURVE_POINTS - 1; /* rounding, at steps near 2^53 */
        for (size_t i = 0; i < c->count && field; i++) {
            double value = next_number(&field);
            if (c->curve[i].name[0] && isfinite(value))
                add_value(&c->curve[i].points[range], &running[i], keep, step, value);
        }
    }
}

/* Moves the ranges that have values together, and divides the sums. */
static void finish_curve(curve *column) {
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        curve_point point = column->points[i];
        if (!point.rows) continue;
        point.mean /= (double)point.rows;
        column->points[column->count++] = point;
    }
}

static int read_file(curves *c, FILE *file, const char *path, char *error, size_t capacity) {
    if (read_names(c, file, path, error, capacity)) return 1;
    const long start = ftell(file);
    if (start < 0) return fail(error, capacity, path, strerror(errno));
    for (size_t i = 0; i < c->count; i++) {
        c->curve[i].points = calloc(CURVE_POINTS, sizeof(curve_point));
        if (!c->curve[i].points) return fail(error, capacity, path, "out of memory");
    }
    read_range(c, file);
    if (ferror(file) || fseek(file, start, SEEK_SET))
        return fail(error, capacity, path, strerror(errno));
    read_values(c, file);
    if (ferror(file)) return fail(error, capacity, path, strerror(errno));
    for (size_t i = 0; i < c->count; i++) finish_curve(&c->curve[i]);
    return 0;
}

/* ---- the interface ---- */

int curves_read(curves *c, const char *path, char *error, size_t capacity) {
    struct stat is;
    *c = (curves){.count = 0};
    if (stat(path, &is)) return errno == ENOENT ? 0 : fail(error, capacity, path, strerror(errno));
    if (!S_ISREG(is.st_mode)) return fail(error, capacity, path, "it is not a file");
    FILE *file = fopen(path, "r");
    if (!file) return fail(error, capacity, path, strerror(errno));
    int bad = read_file(c, file, path, error, capacity);
    (void)fclose(file); /* which was only read */
    if (bad) curves_free(c);
    return bad;
}

const curve *curves_find(const curves *c, const char *name) {
    for (size_t i = 0; i < c->count; i++)
        if (c->curve[i].count && strcmp(c->curve[i].name, name) == 0) return &c->curve[i];
    return NULL;
}

void curves_free(curves *c) {
    for (size_t i = 0; i < CURVES_MAX; i++) free(c->curve[i].points);
    *c = (curves){.count = 0};
}
