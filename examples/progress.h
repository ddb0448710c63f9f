/* A progress line with the time left: redrawn on a terminal, a plain line now and then
 * elsewhere. */
#ifndef EXAMPLES_PROGRESS_H
#define EXAMPLES_PROGRESS_H

#include <stdint.h>

typedef struct progress {
    const char *label;
    uint64_t first, total; /* where this run began, and where it ends */
    double began, shown;   /* seconds */
    int terminal;
} progress;

void progress_begin(progress *p, const char *label, uint64_t first, uint64_t total);
/* detail: "loss 0.0312  812 images/s", or "". */
void progress_update(progress *p, uint64_t done, const char *detail);
/* Takes the line away, so that something else can be told; the next update brings it back. */
void progress_clear(const progress *p);
/* Leaves the line and returns the seconds since the beginning. */
double progress_end(progress *p);

double seconds_now(void);
/* "3 min 20 s" into text. Returns text. */
const char *duration(double seconds, char text[32]);

#endif
