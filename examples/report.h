/* A page about a training run in one file that needs no other: the loss curve, and the sampled
 * grids over time. */
#ifndef EXAMPLES_REPORT_H
#define EXAMPLES_REPORT_H

#include <stddef.h>
#include <stdint.h>

/* Writes `path` from loss.csv ("step,loss,..." with a title line) and the files samples-<step>.png
 * in `folder`. `facts` is a table as lines "name<tab>value". 0 on success; otherwise tells why. */
int write_report(const char *path, const char *folder, const char *title, const char *facts);

#endif
