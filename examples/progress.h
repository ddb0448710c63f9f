/* SPDX-License-Identifier: MIT */
/* A progress line with the remaining time: redrawn on a terminal, else a new line every 10 s. */
#ifndef EXAMPLES_PROGRESS_H
#define EXAMPLES_PROGRESS_H

#include <stdint.h>

typedef struct progress {
    const char *label;
    uint64_t first, total; /* of the count at the start and at the end */
    double began, shown;   /* times, in seconds */
    int terminal;
} progress;

void progress_begin(progress *p, const char *label, uint64_t first, uint64_t total);
/* detail: "loss 0.0312  812 images/s", or "". */
void progress_update(progress *p, uint64_t done, const char *detail);
/* Clears the line, so that something else can be printed; the next update draws it again. */
void progress_clear(const progress *p);
/* Clears the line and returns the seconds since progress_begin. */
double progress_end(progress *p);

double seconds_now(void);
/* "3 min 20 s" into text. Returns text. */
const char *duration(double seconds, char text[32]);

#endif
