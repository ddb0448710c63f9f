/* SPDX-License-Identifier: MIT */
/* Runs a case: refuses allocation 0, 1, 2, ... of its call in turn, each time with new objects,
 * until the call ends before that allocation. Each series runs in a process of its own, so that a
 * crash is a finding with a number too.
 *
 * Each time the call must end as without a refusal, with the same result, or with
 * DM_ERROR_OUT_OF_MEMORY and a text. After the latter, objects and files are as before, handles are
 * NULL, the context holds no more memory, and the same call without a refusal has the right result.
 * When all objects are destroyed, no block is left. */
#ifndef DM_TESTS_ALLOC_RUN_H
#define DM_TESTS_ALLOC_RUN_H

#include "world.h"

enum {
    CASE_NEVER = 1,   /* cannot allocate: all allocations are refused at once */
    CASE_FAILS = 2,   /* ends with an error without a refusal too, always the same */
    CASE_CONTEXT = 4, /* creates a context: the error text is in world.error, and
                         DM_ERROR_THREAD says that pthread_create had no memory */
    CASE_KEEPS = 8,   /* what a failed call has allocated may stay for the next */
    CASE_GROWS = 16   /* the steps before the failure stay done: the state is not compared */
};

typedef struct alloc_case {
    const char *name;
    void (*prepare)(world *w); /* without a refusal; may be NULL */
    dm_status (*call)(world *w);
    int32_t variant; /* for world.variant */
    int32_t flags;
} alloc_case;

typedef struct run_totals {
    int64_t refusals[2]; /* by refuse_source */
    int64_t failures;
} run_totals;

/* A call under refusal, which is recorded as covering the function. */
#define CALL(function, ...) (run_cover(#function), function(__VA_ARGS__))
void run_cover(const char *function);

/* Reads the functions from the linker's version script; returns their number. */
int32_t run_read_functions(const char *map);
/* Prints each function that no call under refusal covered for both sources; returns their number.
 */
int64_t run_report_uncovered(void);

/* All four series: through the hooks and of the process, with one thread and with two. */
void run_case(const alloc_case *c, const char *folder, bool verbose, run_totals *totals);

#endif
