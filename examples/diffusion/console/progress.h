/* SPDX-License-Identifier: MIT */
/* A line of progress with the time left: redrawn on a terminal, whose width it never exceeds; else
 * a new line every 10 s. */
#ifndef DIFFUSION_CONSOLE_PROGRESS_H
#define DIFFUSION_CONSOLE_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

typedef struct progress {
    const char *label;
    uint64_t first, total; /* of the count at the start and at the end */
    double began, shown;   /* times, in seconds */
    int terminal;
} progress;

void progress_begin(progress *p, const char *label, uint64_t first, uint64_t total);
/* Whether progress_update would show a line now: for details that take time to find out. */
int progress_is_due(const progress *p, uint64_t done);
/* detail: what else is known, the most important first and each after two spaces, as in
 * "loss 0.0312  812 images/s"; what does not fit in the line is left out. */
void progress_update(progress *p, uint64_t done, const char *detail);
/* Clears the line, so that something else can be printed; the next update draws it again. */
void progress_clear(progress *p);
/* Clears the line and returns the seconds since progress_begin. */
double progress_end(progress *p);
/* Seconds that are left at the pace so far; negative if that is not known. */
double progress_left(const progress *p, uint64_t done);
/* The line for a terminal of that width, in text[capacity]. */
void progress_text(const progress *p, uint64_t done, const char *detail, double left, int width,
                   char *text, size_t capacity);

double seconds_now(void);
/* "3 min 20 s" into text. Returns text. */
const char *duration(double seconds, char text[32]);

#endif
