/* SPDX-License-Identifier: MIT */
/* Kills a process that trains and saves again and again, after random delays. Every process
 * continues the run of the one before from its checkpoint. Each file must hold, bit for bit, what a
 * run that was never killed saves at the step of the last complete save or of the killed one. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "world.h"

enum { SAVED = 3 /* kinds: CHECKPOINT, NETWORK, PNG */, KEPT = 4 /* steps of the reference */ };

/* What a killed process says through its pipe, before and after each save. */
typedef struct message {
    int32_t kind; /* READY: it begins to train */
    int32_t saved;
    uint64_t step;
} message;

enum { READY = -1 };

/* The run that is not killed, with what it saved in the last steps. */
typedef struct reference {
    world w;
    contents saved[KEPT][SAVED]; /* [step % KEPT] */
    char folder[PATH_SIZE];
} reference;

typedef struct random_series {
    reference reference;
    char folder[PATH_SIZE];
    contents current[SAVED];    /* in the folder now */
    uint64_t step[SAVED];       /* of `current`; 0: none */
    int32_t temporary;          /* files left by earlier kills */
    double opening, round;      /* seconds until READY, and of a step with its saves */
    int64_t completed, changed; /* kills within a save, by whether the new file was complete */
} random_series;

/* ---- the process that is killed ---- */

static void say(int pipe, int32_t kind, int32_t saved, uint64_t step) {
    const message m = {kind, saved, step};
    if (write(pipe, &m, sizeof m) != (ssize_t)sizeof m) _exit(5);
}

/* Trains and saves for ever, or for `rounds`. */
static void train(const char *folder, int pipe, int32_t rounds) {
    world w;
    char path[PATH_SIZE], reason[PATH_SIZE];
    calls_skip_syncs(false);
    world_path(path, folder, CHECKPOINT);
    if (!world_open(&w, access(path, F_OK) == 0 ? path : NULL, reason)) {
        fprintf(stderr, "check-kill: cannot continue: %s\n", reason);
        _exit(3);
    }
    say(pipe, READY, 0, 0);
    for (int32_t i = 0; !rounds || i < rounds; i++) {
        world_advance(&w, w.step + 1);
        for (int32_t k = 0; k < SAVED; k++) {
            say(pipe, k, 0, w.step);
            if (world_save(&w, k, folder) != DM_OK) {
                fprintf(stderr, "check-kill: %s\n", dm_context_error(w.context));
                _exit(4);
            }
            say(pipe, k, 1, w.step);
        }
    }
    _exit(0);
}

static pid_t start(const char *folder, int32_t rounds, int *from) {
    int ends[2];
    run_require(pipe(ends) == 0, "pipe");
    const pid_t child = fork();
    run_require(child >= 0, "fork");
    if (child == 0) {
        close(ends[0]);
        train(folder, ends[1], rounds);
    }
    close(ends[1]);
    *from = ends[0];
    return child;
}

static bool receive(int pipe, message *m) {
    ssize_t got;
    do got = read(pipe, m, sizeof *m);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *m;
}

/* ---- the reference ---- */

static void advance(reference *r, uint64_t step) {
    while (r->w.step < step) {
        world_advance(&r->w, r->w.step + 1);
        if (r->w.step + KEPT <= step) continue;
        for (int32_t k = 0; k < SAVED; k++) {
            contents *c = &r->saved[r->w.step % KEPT][k];
            free(c->bytes);
            *c = world_contents(&r->w, k, r->folder);
        }
    }
}

/* ---- one kill ---- */

/* What a killed process did with a file: the steps of its last complete save and of one that had
 * not ended; 0: none. */
typedef struct record {
    uint64_t saved, begun;
} record;

static void check_file(random_series *s, int32_t kind, record made) {
    char path[PATH_SIZE], reason[PATH_SIZE];
    world_path(path, s->folder, kind);
    const contents c = file_read(path);
    contents *const saved = s->reference.saved[made.saved % KEPT];
    const contents old = made.saved ? saved[kind] : s->current[kind];
    const uint64_t old_step = made.saved ? made.saved : s->step[kind];
    uint64_t step = 0;
    if (contents_equal(c, old)) step = old_step;
    else if (made.begun && contents_equal(c, s->reference.saved[made.begun % KEPT][kind]))
        step = made.begun;
    else
        run_fail("%s holds neither what was saved at step %llu nor at step %llu", path,
                 (unsigned long long)old_step, (unsigned long long)made.begun);
    if (step && !world_loads(kind, path, step, reason))
        run_fail("%s does not load: %s", path, reason);
    if (made.begun && step == made.begun) s->completed++;
    else if (made.begun) s->changed++;
    free(s->current[kind].bytes);
    s->current[kind] = c;
    s->step[kind] = step;
}

static void check_folder(random_series *s, int32_t room) {
    char other[256];
    if (!folder_count(s->folder, file_names, SAVED, &s->temporary, other))
        run_fail("the killed process left '%s'", other);
    if (s->temporary > room)
        run_fail("%d temporary files are left, not at most %d", (int)s->temporary, (int)room);
}

/* One more save of each file removes the temporary files. */
static void save_again(random_series *s) {
    char path[PATH_SIZE];
    world *w = &s->reference.w;
    for (int32_t k = 0; k < SAVED; k++) {
        if (world_save(w, k, s->folder) != DM_OK)
            run_fail("the next save fails: %s", dm_context_error(w->context));
        world_path(path, s->folder, k);
        free(s->current[k].bytes);
        s->current[k] = file_read(path);
        s->step[k] = w->step;
    }
    check_folder(s, 0);
}

/* Waits until the delay is over and kills. One kill of eight is counted from the start. */
static void kill_one(random_series *s, int32_t number) {
    message m;
    record made[SAVED] = {{0}};
    uint64_t last = 0;
    int from, status;
    const bool early = run_random(1, (uint64_t)number, 8) == 0;
    const double share = (double)run_random(2, (uint64_t)number, 1000000) * 1e-6;
    const pid_t child = start(s->folder, 0, &from);
    if (!early && (!receive(from, &m) || m.kind != READY)) run_fail("the process does not start");
    run_sleep(share * (early ? s->opening + s->round : 3 * s->round));
    kill(child, SIGKILL);
    run_require(waitpid(child, &status, 0) == child, "waitpid");
    if (!WIFSIGNALED(status)) run_fail("the process ended with status %x", (unsigned)status);
    while (receive(from, &m)) {
        if (m.kind == READY) continue;
        made[m.kind].begun = m.saved ? 0 : m.step;
        if (m.saved) made[m.kind].saved = m.step;
        last = m.step;
    }
    close(from);

    advance(&s->reference, last);
    for (int32_t k = 0; k < SAVED; k++) check_file(s, k, made[k]);
    check_folder(s, s->temporary + 1);
    /* Otherwise the files that are left are there for the next process. */
    if (number % 4 != 3) save_again(s);
}

/* ---- the series ---- */

/* Times a process that is not killed, in a folder of its own. */
static void measure(random_series *s) {
    enum { ROUNDS = 8 };
    char folder[PATH_SIZE];
    message m;
    int from, status;
    run_folder(folder, "measured");
    const double begin = run_seconds();
    const pid_t child = start(folder, ROUNDS, &from);
    receive(from, &m);
    s->opening = run_seconds() - begin;
    run_require(waitpid(child, &status, 0) == child, "waitpid");
    s->round = (run_seconds() - begin - s->opening) / ROUNDS;
    close(from);
    if (status) run_fail("the process ended with status %x", (unsigned)status);
}

void random_kills(void) {
    random_series s = {0};
    if (!run_case("random kills")) return;
    run_folder(s.reference.folder, "scratch");
    run_folder(s.folder, "random");
    calls_skip_syncs(true);
    world_create(&s.reference.w);
    measure(&s);
    const int64_t failures = totals->failures;
    int32_t number = 0;
    for (; number < options.kills && totals->failures == failures; number++) {
        run_case("random kills, kill %d", (int)number + 1);
        kill_one(&s, number);
        totals->random_kills++;
    }
    run_case("random kills");
    if (options.verbose)
        printf("check-kill: a step and its saves take %.1f ms; %lld kills came before the rename, "
               "%lld after it, %d outside of saves\n",
               s.round * 1e3, (long long)s.changed, (long long)s.completed,
               (int)(number - s.changed - s.completed));
    if (number >= 200 && s.changed < number / 10)
        run_fail("only %lld of %d kills came within a save", (long long)s.changed, (int)number);
    calls_skip_syncs(false);
    for (int32_t k = 0; k < SAVED; k++) {
        free(s.current[k].bytes);
        for (int32_t i = 0; i < KEPT; i++) free(s.reference.saved[i][k].bytes);
    }
    world_close(&s.reference.w);
}
