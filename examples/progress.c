/* SPDX-License-Identifier: MIT */
/* See progress.h. */
#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 24 };

double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *duration(double seconds, char text[32]) {
    long s = (long)(seconds + 0.5);
    if (s < 60) snprintf(text, 32, "%ld s", s);
    else if (s < 3600) snprintf(text, 32, "%ld min %02ld s", s / 60, s % 60);
    else snprintf(text, 32, "%ld h %02ld min", s / 3600, s / 60 % 60);
    return text;
}

void progress_begin(progress *p, const char *label, uint64_t first, uint64_t total) {
    *p = (progress){.label = label,
                    .first = first,
                    .total = total,
                    .began = seconds_now(),
                    .terminal = isatty(STDERR_FILENO)};
}

void progress_update(progress *p, uint64_t done, const char *detail) {
    double now = seconds_now(), interval = p->terminal ? 0.1 : 10;
    if (now - p->shown < interval && done < p->total) return;
    p->shown = now;
    char left[32];
    double share = p->total ? (double)done / (double)p->total : 1;
    duration(done > p->first
                 ? (now - p->began) / (double)(done - p->first) * (double)(p->total - done)
                 : 0,
             left);
    if (!p->terminal) {
        fprintf(stderr, "%s %llu/%llu  %s  %s left\n", p->label, (unsigned long long)done,
                (unsigned long long)p->total, detail, left);
        return;
    }
    char bar[BAR + 1] = {0};
    for (int i = 0; i < BAR; i++) bar[i] = i < (int)(share * BAR) ? '#' : '.';
    fprintf(stderr, "\r%s [%s] %llu/%llu  %s  %s left \033[K", p->label, bar,
            (unsigned long long)done, (unsigned long long)p->total, detail, left);
}

void progress_clear(const progress *p) {
    if (p->terminal) fprintf(stderr, "\r\033[K");
}

double progress_end(progress *p) {
    progress_clear(p);
    return seconds_now() - p->began;
}
