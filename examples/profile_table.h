/* The library's profile as a table: where the time went. */
#ifndef EXAMPLES_PROFILE_TABLE_H
#define EXAMPLES_PROFILE_TABLE_H

#include <diffusion.h>
#include <stdio.h>

/* What the machine can do on all threads: 10^9 operations and 10^9 bytes of main memory a
 * second. */
typedef struct machine_limits {
    double gflops, gbs;
} machine_limits;

/* Of a context made with `profile`, whose rows are those of `times` steps (or pictures, or runs) of
 * `seconds` each: sums by operation and part, then the dearest `most` rows by shape. With `limits`,
 * unless it is NULL, two columns more: the time that an operation's products or its memory would
 * take alone, whichever is longer, and its share in the time taken. Returns the status of the
 * library. */
int32_t print_profile(FILE *to, const dm_context *context, double times, double seconds,
                      int32_t most, const machine_limits *limits);

#endif
