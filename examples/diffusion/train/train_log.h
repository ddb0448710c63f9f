/* SPDX-License-Identifier: MIT */
/* Tables of a training run, whose rows begin with a step: loss.csv and evaluation.csv. */
#ifndef DIFFUSION_TRAIN_LOG_H
#define DIFFUSION_TRAIN_LOG_H

#include <diffusion.h>

#include "console/output.h"

/* Opens `path` with a title. Where a run is resumed after `done` steps, their rows come from
 * `before`, which may be the same file; those after them, which will be done again, are left out.
 * The old file stays as it is until the new one is complete, and if it cannot be read. 0, or 1
 * after printing why not. */
int continue_rows(output *csv, const char *program, const char *path, const char *before,
                  const char *title, uint64_t done);
/* loss.csv, likewise. */
int train_log_open(output *csv, const char *program, const char *path, const char *before,
                   uint64_t done);
/* The running mean of the losses of a file: their sum, and the weight of all, so far 0. A file that
 * cannot be read has none. */
void train_log_mean(const char *path, double decay, double *sum, double *weight);
/* Writes the row of a step. 1 if it cannot be written. */
int train_log_add(output *csv, const dm_train_stats *t);

#endif
