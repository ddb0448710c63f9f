/* SPDX-License-Identifier: MIT */
/* See run.h. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared.h"

enum { SECONDS_MAX = 10, /* of one refusal */ PRINTED_MAX = 3 };

typedef struct series {
    const alloc_case *of;
    refuse_source source;
    int32_t threads;
    const char *folder;
} series;

/* How a call ended. */
typedef struct outcome {
    dm_status status;
    uint64_t state, result;
    uint32_t made, handles; /* bits by made_kind: the handle was written; it is not NULL */
    int64_t requests;
} outcome;

static refuse_source covering;
static bool is_covering;

void run_cover(const char *function) {
    shared_state *s = shared();
    for (int32_t i = 0; is_covering && i < s->function_count; i++)
        if (!strcmp(s->functions[i], function)) s->covered[covering][i] = true;
}

/* ---- one refusal ---- */

__attribute__((format(printf, 1, 2))) static void found(const char *format, ...) {
    shared_state *s = shared();
    if (s->finding_count > FINDINGS_MAX) return;
    finding *f = &s->findings[s->finding_count++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f->text, sizeof f->text, format, arguments);
    va_end(arguments);
    f->refusal = s->refusal;
    f->trace = s->trace;
}

static outcome attempt(const series *s, world *w, int64_t number) {
    outcome o = {0};
    w->output_size = 0;
    refuse_begin(s->source, number, &shared()->trace);
    covering = s->source;
    is_covering = true;
    o.status = s->of->call(w);
    is_covering = false;
    o.requests = refuse_end();
    for (int32_t i = 0; i < MADE_KINDS; i++) {
        const bool written = w->made[i] != world_unmade();
        o.made |= (uint32_t)written << i;
        o.handles |= (uint32_t)(written && w->made[i]) << i;
    }
    o.state = world_state(w);
    o.result = world_hash(o.state, w->output, w->output_size);
    return o;
}

static const char *error_of(const series *s, const world *w) {
    return s->of->flags & CASE_CONTEXT ? w->error : dm_context_error(w->context);
}

static void check_text(const series *s, const world *w, const outcome *o, const outcome *want) {
    const char *text = error_of(s, w);
    if (!text[0]) found("%s without an error text", dm_status_name(o->status));
    else if (o->status == want->status && w->want_text && !strstr(text, w->want_text))
        found("the text \"%s\" does not contain \"%s\"", text, w->want_text);
}

static void check_outcome(const series *s, const world *w, const outcome *o, const outcome *want) {
    const bool refused =
        o->status == DM_ERROR_OUT_OF_MEMORY ||
        (s->of->flags & CASE_CONTEXT && s->threads > 1 && o->status == DM_ERROR_THREAD);
    if (o->status != want->status && !refused)
        found("%s (%s) in place of %s", dm_status_name(o->status), error_of(s, w),
              dm_status_name(want->status));
    if (o->status) check_text(s, w, o, want);
    if (o->made != want->made) found("the handle was not set");
    if (o->status && o->handles) found("the handle is not NULL");
    if (o->status == want->status && o->result != want->result) found("another result");
}

static uint64_t used_by(const world *w) {
    uint64_t used;
    PREPARE(w, dm_context_get_memory(w->context, &used, NULL, NULL));
    return used;
}

/* With new objects. Returns the outcome of the call; `want` is NULL where it is to be found. */
static outcome once(const series *s, int64_t number, const outcome *want) {
    static world w;
    const int64_t hooks = refuse_live_hooks(), process = refuse_live_process();
    world_open(&w, s->source, s->threads, s->of->variant, s->folder);
    if (s->of->prepare) s->of->prepare(&w);
    const uint64_t before = want ? world_state(&w) : 0, used = used_by(&w);
    const outcome o = attempt(s, &w, number);
    if (want) check_outcome(s, &w, &o, want);
    if (want && o.status) {
        if (o.state != before && !(s->of->flags & CASE_GROWS))
            found("the failed call changed an object or a file");
        if (used_by(&w) != used && !(s->of->flags & CASE_KEEPS))
            found("the failed call left %lld bytes", (long long)(used_by(&w) - used));
        world_unmake(&w);
        const outcome again = attempt(s, &w, REFUSE_NONE);
        if (again.status != want->status)
            found("the call after it: %s (%s)", dm_status_name(again.status), error_of(s, &w));
        else if (again.result != want->result) found("the call after it has another result");
    }
    world_unmake(&w);
    world_close(&w);
    if (w.warning[0] && want) found("warning: %s", w.warning);
    if (refuse_live_hooks() != hooks)
        found("%lld blocks of the hooks leaked", (long long)(refuse_live_hooks() - hooks));
    if (want && refuse_live_process() != process)
        found("%lld blocks of malloc leaked", (long long)(refuse_live_process() - process));
    if (refuse_wrong_sizes()) found("a block was released with another size");
    return o;
}

/* ---- a series ---- */

static void run_series(const series *s, int64_t first) {
    shared_state *state = shared();
    state->refusal = -1;
    alarm(SECONDS_MAX);
    world_empty_folder(s->folder);
    once(s, REFUSE_NONE, NULL); /* libc keeps some blocks from the first time */
    world_empty_folder(s->folder);
    const outcome want = once(s, REFUSE_NONE, NULL);
    if (!want.status != !(s->of->flags & CASE_FAILS))
        found("%s without a refusal", dm_status_name(want.status));
    const bool never = s->of->flags & CASE_NEVER;
    for (int64_t number = first;; number++) {
        world_empty_folder(s->folder);
        state->refusal = number;
        alarm(SECONDS_MAX);
        const outcome o = once(s, never ? REFUSE_ALL : number, &want);
        if (never && o.requests) found("%lld allocations", (long long)o.requests);
        if (never || o.requests <= number) break;
        state->reached++;
        if (state->finding_count == FINDINGS_MAX) {
            found("too many failures: the rest of the series is left out");
            break;
        }
    }
}

static void print_findings(const series *s, bool verbose) {
    static const char *const sources[] = {"hooks", "process"};
    const shared_state *state = shared();
    for (int32_t i = 0; i < state->finding_count; i++) {
        const finding *f = &state->findings[i];
        if (i == PRINTED_MAX && !verbose) {
            printf("%s: %d more, with -v\n", s->of->name, (int)(state->finding_count - i));
            return;
        }
        printf("%s, %s, threads %d, refusal %lld: %s\n", s->of->name, sources[s->source],
               (int)s->threads, (long long)f->refusal, f->text);
        shared_print_trace(&f->trace);
    }
}

/* Starts the process of a series from refusal `first` on, and waits for it; returns whether the
 * series ended by itself. */
static bool run_process(const series *s, int64_t first) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        run_series(s, first);
        exit(0); /* not _exit: with `make coverage` the counts are written at the end */
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("check-alloc: fork");
        exit(2);
    }
    if (WIFSIGNALED(status))
        found("ended by signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status)) found("ended with exit status %d", WEXITSTATUS(status));
    return status == 0;
}

void run_case(const alloc_case *c, const char *folder, bool verbose, run_totals *totals) {
    shared_state *state = shared();
    for (int32_t i = 0; i < 4; i++) {
        const series s = {c, i % 2 ? REFUSE_PROCESS : REFUSE_HOOKS, 1 + i / 2, folder};
        state->finding_count = 0;
        state->reached = 0;
        int64_t first = 0;
        while (!run_process(&s, first)) {
            if (state->refusal < first || state->finding_count >= FINDINGS_MAX ||
                c->flags & CASE_NEVER)
                break;
            first = state->refusal + 1;
            state->reached++;
        }
        print_findings(&s, verbose);
        totals->refusals[s.source] += state->reached;
        totals->failures += state->finding_count;
        if (verbose)
            printf("%-34s %-7s threads %d: %lld refusals%s\n", c->name,
                   s.source == REFUSE_HOOKS ? "hooks" : "process", (int)s.threads,
                   (long long)state->reached, c->flags & CASE_NEVER ? ", cannot allocate" : "");
    }
}
