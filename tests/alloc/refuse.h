/* SPDX-License-Identifier: MIT */
/* Refuses one allocation of a call, or all: of those through a context's hooks, or of all of the
 * process, on any thread. The functions of malloc's family are defined in refuse.c for the whole
 * process; they need glibc, whose own allocator they call. */
#ifndef DM_TESTS_ALLOC_REFUSE_H
#define DM_TESTS_ALLOC_REFUSE_H

#include <stdint.h>

#include "diffusion.h"

typedef enum refuse_source { REFUSE_HOOKS, REFUSE_PROCESS } refuse_source;

enum { REFUSE_NONE = -1, REFUSE_ALL = -2, REFUSE_FRAMES = 32 };

/* The callers of the last refused allocation. */
typedef struct refuse_trace {
    int32_t count;
    void *frames[REFUSE_FRAMES];
} refuse_trace;

/* From here to refuse_end, allocation `number` of the source, from 0, gets NULL. The trace of the
 * refused allocation is written to `trace`. */
void refuse_begin(refuse_source source, int64_t number, refuse_trace *trace);
/* The number of allocations requested since refuse_begin. */
int64_t refuse_end(void);

/* Sets the hooks of a context. */
void refuse_use_hooks(dm_context_options *options);

/* Blocks that were given and not released. */
int64_t refuse_live_hooks(void);
int64_t refuse_live_process(void);
/* Blocks that were released through the hooks with another size than was allocated. */
int64_t refuse_wrong_sizes(void);

#endif
