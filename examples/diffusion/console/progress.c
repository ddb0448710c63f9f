/* SPDX-License-Identifier: MIT */
/* See progress.h. */
#include "console/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "console/terminal.h"

enum { BAR_MIN = 8, BAR_MAX = 32, LINE_SIZE = 512 };

double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *duration(double seconds, char text[32]) {
    long s = (long)(seconds + 0.5);
    if (s < 60) snprintf(text, 32, "%ld s", s);
    else if (s < 3600) snprintf(text, 32, "%ld min %02ld s", s / 60, s % 60);
    else if (s < 360000) snprintf(text, 32, "%ld h %02ld min", s / 3600, s / 60 % 60);
    else snprintf(text, 32, "%ld days", s / 86400);
    return text;
}

void progress_begin(progress *p, const char *label, uint64_t first, uint64_t total) {
    *p = (progress){.label = label,
                    .first = first,
                    .total = total,
                    .began = seconds_now(),
                    .terminal = isatty(STDERR_FILENO)};
}

double progress_left(const progress *p, uint64_t done) {
    if (done <= p->first || done > p->total) return done > p->total ? 0 : -1;
    return (seconds_now() - p->began) / (double)(done - p->first) * (double)(p->total - done);
}

/* Appends the parts of `detail` that fit in `width` columns. */
static void append_details(char *text, size_t capacity, const char *detail, int width) {
    while (*detail) {
        const char *end = strstr(detail, "  ");
        int length = end ? (int)(end - detail) : (int)strlen(detail);
        size_t used = strlen(text);
        if ((int)used + 2 + length > width) return;
        snprintf(text + used, capacity - used, "  %.*s", length, detail);
        detail += length + (end ? 2 : 0);
    }
}

static void append_bar(char *text, size_t capacity, double share, int length) {
    size_t used = strlen(text);
    if (length < BAR_MIN || used + (size_t)length + 4 > capacity) return;
    text[used++] = ' ';
    text[used++] = '[';
    for (int i = 0; i < length; i++) text[used++] = i < (int)(share * length) ? '#' : '.';
    text[used++] = ']';
    text[used] = 0;
}

void progress_text(const progress *p, uint64_t done, const char *detail, double left, int width,
                   char *text, size_t capacity) {
    char numbers[80] = "", time[32];
    double share = p->total ? (double)done / (double)p->total : 1;
    int most = width - 1; /* some terminals wrap after the last column */
    snprintf(numbers, sizeof numbers, " %llu/%llu", (unsigned long long)done,
             (unsigned long long)p->total);
    if (left >= 0) {
        size_t used = strlen(numbers);
        snprintf(numbers + used, sizeof numbers - used, "  %s left", duration(left, time));
    }
    snprintf(text, capacity, "%s %d%%", p->label, (int)(100 * share));
    /* The bar takes what the details leave, within limits. */
    int rest = most - (int)strlen(text) - (int)strlen(numbers) - 3;
    int bar = rest - (*detail ? (int)strlen(detail) + 2 : 0);
    append_bar(text, capacity, share,
               bar > BAR_MAX    ? BAR_MAX
               : bar >= BAR_MIN ? bar
               : rest < BAR_MIN ? rest
                                : BAR_MIN);
    size_t used = strlen(text);
    snprintf(text + used, capacity - used, "%s", numbers);
    append_details(text, capacity, detail, most);
    if ((int)strlen(text) > most && most >= 0) text[most] = 0;
}

int progress_is_due(const progress *p, uint64_t done) {
    double interval = p->terminal ? 0.1 : 10;
    return !(p->shown > 0) || seconds_now() - p->shown >= interval || done >= p->total;
}

void progress_update(progress *p, uint64_t done, const char *detail) {
    char text[LINE_SIZE];
    if (!progress_is_due(p, done)) return;
    p->shown = seconds_now();
    int width = p->terminal ? terminal_width(stderr) : LINE_SIZE;
    if (width > LINE_SIZE) width = LINE_SIZE;
    progress_text(p, done, detail, progress_left(p, done), width, text, sizeof text);
    if (p->terminal) fprintf(stderr, "\r%s\033[K", text);
    else fprintf(stderr, "%s\n", text);
}

void progress_clear(progress *p) {
    if (p->terminal) fprintf(stderr, "\r\033[K");
    p->shown = 0;
}

double progress_end(progress *p) {
    progress_clear(p);
    return seconds_now() - p->began;
}
