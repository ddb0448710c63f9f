/* SPDX-License-Identifier: MIT */
/* The library's profile as a table: where the time of a step or a run went. */
#ifndef DIFFUSION_PROFILE_TABLE_H
#define DIFFUSION_PROFILE_TABLE_H

#include <diffusion.h>
#include <stdio.h>

/* The machine's limits on all threads: 10^9 operations a second, and 10^9 bytes a second to and
 * from main memory. */
typedef struct machine_limits {
    double gflops, gbs;
} machine_limits;

/* Prints the profile of a context created with `profile`, whose rows cover `runs` steps or runs of
 * `seconds` each: sums by operation and part, then the `rows_max` most expensive rows by shape. If
 * `limits` is not NULL, two more columns: the lower bound of the time by the machine's limits, of
 * operations or of memory traffic, and its share of the measured time. DM_ERROR_IO if `to` cannot
 * be written. */
dm_status print_profile(FILE *to, const dm_context *context, double runs, double seconds,
                        int32_t rows_max, const machine_limits *limits);

#endif
