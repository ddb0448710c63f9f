/* SPDX-License-Identifier: MIT */
/* A web page about a training run in a single file: the loss curve, and the grids of samples over
 * time. */
#ifndef EXAMPLES_REPORT_H
#define EXAMPLES_REPORT_H

#include <stddef.h>
#include <stdint.h>

/* Writes `path` from loss.csv ("step,loss,..." after a title line) and the files samples-<step>.png
 * in `folder`. `facts` is a table with lines "name<tab>value". 0, or 1 after printing why not. */
int write_report(const char *program, const char *path, const char *folder, const char *title,
                 const char *facts);

#endif
