/* SPDX-License-Identifier: MIT */
/* What the process of a series leaves for the one that reports, in memory that both see. */
#ifndef DM_TESTS_ALLOC_SHARED_H
#define DM_TESTS_ALLOC_SHARED_H

#include "run.h"

enum { FUNCTIONS_MAX = 256, NAME_SIZE = 64, FINDINGS_MAX = 20 };

typedef struct finding {
    int64_t refusal;
    char text[2 * TEXT_SIZE];
    refuse_trace trace;
} finding;

typedef struct shared_state {
    int32_t function_count;
    char functions[FUNCTIONS_MAX][NAME_SIZE];
    bool covered[2][FUNCTIONS_MAX]; /* by refuse_source */
    int64_t refusal;                /* the one that is being tried */
    int64_t reached;                /* refusals of the series so far */
    refuse_trace trace;             /* of `refusal` */
    int32_t finding_count;
    finding findings[FINDINGS_MAX + 1];
} shared_state;

/* One for the whole program, created by the first call. */
shared_state *shared(void);
/* Prints functions, files and lines. */
void shared_print_trace(const refuse_trace *trace);

#endif
