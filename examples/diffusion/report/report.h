/* SPDX-License-Identifier: MIT */
/* A web page about a training run in a single file: how far it is, its curves, the grids of samples
 * over time, and facts about it. */
#ifndef DIFFUSION_REPORT_H
#define DIFFUSION_REPORT_H

#include <stddef.h>
#include <stdint.h>

/* A line of a table: "Network", "parameters", "1.12 million". Facts of a group are shown together,
 * the groups in the order of their first facts. */
typedef struct report_fact {
    const char *group, *name, *value;
} report_fact;

/* What the page shows besides the files of the run's folder. */
typedef struct report_options {
    const char *title;
    int running; /* 1: training goes on, and the page loads itself again every 20 s */
    const report_fact *facts;
    size_t fact_count;
    uint64_t step, steps;                         /* done, and to do in all; steps 0: not known */
    double seconds_left, images_per_second, loss; /* NAN or below 0: not known */
} report_options;

/* Writes `path` from loss.csv, evaluation.csv and samples-STEP.png in `folder`, any of which may be
 * missing: see curves.h and grids.h. 1, with a text in error, if the page cannot be written; then
 * what was there before stays. Else 0, and a file that cannot be read is left out: error then names
 * the first such file, as does the page, else it is "". */
int report_write(const char *path, const char *folder, const report_options *options, char *error,
                 size_t capacity);

#endif
