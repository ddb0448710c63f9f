/* SPDX-License-Identifier: MIT */
/* The grids of samples in a run's folder, samples-STEP.png: a selection that fits into a page, and
 * each as base64 text. */
#ifndef DIFFUSION_REPORT_GRIDS_H
#define DIFFUSION_REPORT_GRIDS_H

#include <stdint.h>

#include "console/output.h"

enum { GRIDS_MAX = 40 };

typedef struct grid_file {
    uint64_t step;
    long long bytes;
    char name[64]; /* in the folder */
} grid_file;

typedef struct grids {
    grid_file file[GRIDS_MAX]; /* [count], by step */
    size_t count;
} grids;

/* Selects at most GRIDS_MAX grids, the first and the last among them and the others evenly between,
 * and fewer where the files have more than 12 MiB. A file of more than 6 MiB is left out, and so is
 * one that is no PNG file. A folder that is not there has no grids. 0, or 1 with a text in error.
 */
int grids_find(grids *g, const char *folder, char *error, size_t capacity);
/* Prints a file as "data:image/png;base64,...". 1, with a text in error, if it cannot be read; then
 * a part of it may be printed. A failure of `o` stays in `o`. */
int grid_print(output *o, const char *folder, const grid_file *file, char *error, size_t capacity);

#endif
