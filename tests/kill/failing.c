/* SPDX-License-Identifier: MIT */
/* Lets every call of a save fail, once and from then on. A save that reports success has written
 * the new contents; one that reports failure names the file, changes nothing and leaves nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "world.h"

typedef struct failing_series {
    file_kind kind;
    world *w;
    char folder[PATH_SIZE], path[PATH_SIZE];
    contents old, new;
} failing_series;

/* How calls fail. */
typedef struct failure {
    const char *name;
    call_action action;
    int error;
    int64_t repeats; /* 0: all later calls of the kind too */
} failure;

static const failure failures[] = {
    {"ENOSPC", CALLS_FAIL, ENOSPC, 1},      {"EIO", CALLS_FAIL, EIO, 1},
    {"EDQUOT", CALLS_FAIL, EDQUOT, 1},      {"EINTR", CALLS_FAIL, EINTR, 1},
    {"EINTR-thrice", CALLS_FAIL, EINTR, 3}, {"ENOSPC-on", CALLS_FAIL, ENOSPC, 0},
    {"EIO-on", CALLS_FAIL, EIO, 0},         {"short", CALLS_SHORT, 0, 1},
    {"short-on", CALLS_SHORT, 0, 0},
};

static void check_contents(const failing_series *s, contents expected, const char *which) {
    const contents c = file_read(s->path);
    if (!contents_equal(c, expected))
        run_fail("the file does not hold the %s contents: it has %zu bytes", which, c.size);
    free(c.bytes);
}

/* `room` for temporary files. */
static void check_folder(const failing_series *s, int32_t room, const char *when) {
    int32_t temporary;
    char other[256] = "";
    if (!folder_count(s->folder, &file_names[s->kind], 1, &temporary, other) || temporary > room)
        run_fail("%s: %d temporary files and '%s' stay", when, (int)temporary, other);
}

static void check_status(const failing_series *s, dm_status status, const call_report *r,
                         call_kind call, const failure *f) {
    const bool interrupted = f->error == EINTR || f->action == CALLS_SHORT;
    const char *text = dm_context_error(s->w->context);
    if (call == CALL_OTHER || (call == CALL_RENAME && f->error == EINTR)) {
        /* Either, as long as the contents agree with it. */
        if (status && status != DM_ERROR_IO) run_fail("gives %s", dm_status_name(status));
    } else if (r->essential && !interrupted) {
        if (status != DM_ERROR_IO)
            run_fail("gives %s instead of DM_ERROR_IO", dm_status_name(status));
    } else if (status) {
        run_fail("gives %s (%s) %s", dm_status_name(status), text,
                 interrupted ? "instead of going on" : "though the new file is complete");
    }
    if (status && !strstr(text, s->path)) run_fail("'%s' does not name the file", text);
}

/* One save with a failure of call `number`. Returns how many calls failed. */
static int64_t attempt(const failing_series *s, call_kind call, int64_t number, const failure *f) {
    const int64_t last = f->repeats ? number + f->repeats - 1 : INT64_MAX;
    file_write(s->path, s->old);
    const int32_t descriptors = descriptors_open();
    calls_begin((call_plan){f->action, call, number, last, f->error});
    const dm_status status = world_save(s->w, s->kind, s->folder);
    const call_report r = calls_end();
    check_status(s, status, &r, call, f);
    check_contents(s, status ? s->old : s->new, status ? "old" : "new");
    check_folder(s, call == CALL_OTHER ? 1 : 0, "after the save");
    if (descriptors_open() != descriptors) run_fail("the number of open descriptors changes");
    if (r.closed_twice) run_fail("a descriptor is closed twice");

    if (world_save(s->w, s->kind, s->folder) != DM_OK)
        run_fail("the next save fails: %s", dm_context_error(s->w->context));
    check_contents(s, s->new, "new");
    check_folder(s, 0, "after the next save");
    return r.hits;
}

static bool is_used(call_kind call, const failure *f) {
    if (f->action == CALLS_SHORT) return call == CALL_WRITE;
    /* While other saves could have every temporary name, some of them stay. */
    return call != CALL_OTHER || f->repeats == 1;
}

static void run_series(const failing_series *s) {
    file_write(s->path, s->old);
    calls_begin((call_plan){.action = CALLS_COUNT});
    const dm_status status = world_save(s->w, s->kind, s->folder);
    const call_report r = calls_end();
    if (run_case("order %s", kind_names[s->kind])) {
        if (status) run_fail("the save fails: %s", dm_context_error(s->w->context));
        if (!r.ordered) run_fail("not: write, sync, rename, sync the folder, in this order");
        for (int32_t call = 0; call < CALL_KINDS; call++)
            if (!r.calls[call]) run_fail("the library does not call '%s'", call_names[call]);
    }
    for (int32_t call = 0; call < CALL_KINDS; call++)
        for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
            for (int64_t number = 1; number <= r.calls[call]; number++)
                if (is_used(call, &failures[i]) &&
                    run_case("failing %s %s %s %lld", kind_names[s->kind], call_names[call],
                             failures[i].name, (long long)number)) {
                    if (!attempt(s, call, number, &failures[i])) run_fail("no call failed");
                    totals->failing_calls++;
                }
}

void failing_calls(void) {
    world w;
    failing_series s[FILE_KINDS] = {0};
    char scratch[PATH_SIZE];
    run_folder(scratch, "scratch");
    world_create(&w);
    world_advance(&w, 1);
    for (int32_t k = 0; k < FILE_KINDS; k++) s[k].old = world_contents(&w, k, scratch);
    world_advance(&w, 2);
    calls_skip_syncs(true);
    for (int32_t k = 0; k < FILE_KINDS; k++) {
        s[k].kind = k;
        s[k].w = &w;
        s[k].new = world_contents(&w, k, scratch);
        run_folder(s[k].folder, "failing");
        world_path(s[k].path, s[k].folder, k);
        run_series(&s[k]);
        free(s[k].old.bytes);
        free(s[k].new.bytes);
    }
    calls_skip_syncs(false);
    world_close(&w);
}
