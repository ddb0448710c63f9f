/* SPDX-License-Identifier: MIT */
/* The functions of libc that write files, replaced: they count their calls and fail or kill the
 * process as planned. The library calls them since the program's symbols come first. */
#ifndef KILL_CALLS_H
#define KILL_CALLS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum call_kind {
    CALL_OPEN,
    CALL_WRITE, /* write and pwrite */
    CALL_FSYNC,
    CALL_CLOSE,
    CALL_RENAME,
    CALL_OTHER, /* unlink, flock, fchmod, stat, fstat, lstat */
    CALL_KINDS
} call_kind;

typedef enum call_action {
    CALLS_COUNT,
    CALLS_FAIL,       /* with `error` */
    CALLS_SHORT,      /* writes half of the bytes */
    CALLS_KILL,       /* before the call */
    CALLS_KILL_WITHIN /* a write: after half of the bytes */
} call_action;

/* What happens at calls number `first` to `last`, from 1, of a kind. */
typedef struct call_plan {
    call_action action;
    call_kind kind;
    int64_t first, last;
    int error;
} call_plan;

typedef struct call_report {
    int64_t calls[CALL_KINDS], hits;
    bool essential; /* the failed calls concern the new file itself */
    /* The order that survives a loss of power: the new file is synced after its last write and then
     * renamed, and then its folder is synced. */
    bool ordered;
    bool closed_twice; /* a descriptor that was not open was closed */
} call_report;

extern const char *const call_names[CALL_KINDS];

/* Whether fsync does nothing outside of calls_begin and calls_end: a kill of the process loses
 * nothing that was written, and a disk takes long. */
void calls_skip_syncs(bool skip);
/* From here to calls_end the plan holds. */
void calls_begin(call_plan plan);
call_report calls_end(void);

#endif
