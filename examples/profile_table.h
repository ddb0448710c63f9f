/* The library's profile as a table: where the time went. */
#ifndef EXAMPLES_PROFILE_TABLE_H
#define EXAMPLES_PROFILE_TABLE_H

#include <diffusion.h>
#include <stdio.h>

/* Of a context made with `profile`, whose rows are those of `times` steps (or pictures, or runs) of `seconds` each: sums by
 * operation and part, then the dearest `most` rows by shape. Returns the status of the library. */
int32_t print_profile(FILE *to, const dm_context *context, double times, double seconds, int32_t most);

#endif
