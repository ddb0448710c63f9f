/* SPDX-License-Identifier: MIT */
/* Kills a process at every system call of a save, which ptrace tells, and within every write. The
 * name then holds the old contents or the new, and the next save leaves nothing else. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "world.h"

/* What the folder holds before the save. */
typedef enum state { EXISTING, ABSENT, LEFTOVER, STATES } state;

static const char *const state_names[STATES] = {"existing", "absent", "leftover"};

/* A save of `kind` in `folder`. */
typedef struct point_series {
    file_kind kind;
    state before;
    world *w; /* at the step that is saved, old_step + 1 */
    char folder[PATH_SIZE], path[PATH_SIZE];
    contents old, new;
    int64_t kept, replaced; /* how often the old and the new contents were found */
} point_series;

/* ---- the killed processes ---- */

/* A child that stops itself, saves and stops itself again. */
static pid_t start_traced(const point_series *s) {
    const pid_t child = fork();
    run_require(child >= 0, "fork");
    if (child) return child;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(errno == EPERM ? 77 : 3);
    kill(getpid(), SIGSTOP);
    const dm_status status = world_save(s->w, s->kind, s->folder);
    kill(getpid(), SIGSTOP);
    _exit(status ? 4 : 0);
}

static void end_child(pid_t child) {
    int status;
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) == child && !WIFSIGNALED(status) && !WIFEXITED(status)) {
    }
}

/* Kills a save when it enters system call `number`, from 1, or at its end if it has fewer. Returns
 * the number of system calls it entered, or -1 where processes cannot be traced. */
static int64_t kill_at_call(const point_series *s, int64_t number) {
    const pid_t child = start_traced(s);
    int status;
    run_require(waitpid(child, &status, 0) == child, "waitpid");
    if (WIFEXITED(status)) return -1;
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0) {
        end_child(child);
        return -1;
    }
    int64_t entered = 0;
    bool inside = false;
    for (;;) {
        if (ptrace(PTRACE_SYSCALL, child, NULL, NULL) != 0 || waitpid(child, &status, 0) != child ||
            !WIFSTOPPED(status)) {
            run_fail("the traced process ended early, with status %x", (unsigned)status);
            return entered;
        }
        if (WSTOPSIG(status) == SIGSTOP) break;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
        inside = !inside;
        if (inside && ++entered == number) break;
    }
    end_child(child);
    return entered;
}

/* Kills a save as the plan says. false: it ran through. */
static bool kill_within(const point_series *s, call_plan plan) {
    int status;
    const pid_t child = fork();
    run_require(child >= 0, "fork");
    if (child == 0) {
        calls_begin(plan);
        world_save(s->w, s->kind, s->folder);
        _exit(0);
    }
    run_require(waitpid(child, &status, 0) == child, "waitpid");
    return WIFSIGNALED(status);
}

/* ---- the checks ---- */

static void prepare(const point_series *s) {
    folder_empty(s->folder);
    if (s->before != ABSENT) file_write(s->path, s->old);
    if (s->before != LEFTOVER) return;
    const call_plan plan = {CALLS_KILL_WITHIN, CALL_WRITE, 1, 1, 0};
    if (!kill_within(s, plan)) run_fail("the save that leaves a file does not write");
}

/* Checks the folder after a kill, and that one more save removes what is left. */
static void check(point_series *s) {
    int32_t temporary;
    char other[256], reason[PATH_SIZE];
    const contents c = file_read(s->path), old = s->before == ABSENT ? (contents){0} : s->old;
    const bool is_old = contents_equal(c, old), is_new = contents_equal(c, s->new);
    const uint64_t step = s->w->step - (is_old ? 1 : 0);
    if (is_old) s->kept++;
    else if (is_new) s->replaced++;
    else run_fail("the file is neither the old one nor the new one: %zu bytes", c.size);
    if (c.bytes && !world_loads(s->kind, s->path, step, reason))
        run_fail("the file does not load: %s", reason);
    free(c.bytes);
    if (!folder_count(s->folder, &file_names[s->kind], 1, &temporary, other))
        run_fail("the killed save left '%s'", other);
    if (temporary > 1) run_fail("the killed save left %d temporary files", (int)temporary);

    calls_skip_syncs(true);
    if (world_save(s->w, s->kind, s->folder) != DM_OK)
        run_fail("the next save fails: %s", dm_context_error(s->w->context));
    calls_skip_syncs(false);
    const contents again = file_read(s->path);
    if (!contents_equal(again, s->new)) run_fail("the next save does not write the new contents");
    free(again.bytes);
    if (!folder_count(s->folder, &file_names[s->kind], 1, &temporary, other) || temporary)
        run_fail("%d temporary files stay after the next save", (int)temporary);
}

/* ---- the series ---- */

static bool begin_point(const point_series *s, const char *what, int64_t number) {
    return run_case("point %s %s %s %lld", kind_names[s->kind], state_names[s->before], what,
                    (long long)number);
}

/* false where processes cannot be traced. */
static bool run_system_calls(point_series *s) {
    prepare(s);
    const int64_t calls = kill_at_call(s, -1);
    if (calls < 0) return false;
    if (calls < 10) run_fail("a save has only %lld system calls", (long long)calls);
    for (int64_t number = 1; number <= calls; number++) {
        if (!begin_point(s, "call", number)) continue;
        prepare(s);
        kill_at_call(s, number);
        check(s);
        totals->kill_points++;
    }
    return true;
}

static void run_writes(point_series *s, call_action action, const char *what) {
    prepare(s);
    calls_begin((call_plan){.action = CALLS_COUNT});
    world_save(s->w, s->kind, s->folder);
    const int64_t writes = calls_end().calls[CALL_WRITE];
    for (int64_t number = 1; number <= writes; number++) {
        if (!begin_point(s, what, number)) continue;
        prepare(s);
        if (!kill_within(s, (call_plan){action, CALL_WRITE, number, number, 0}))
            run_fail("the save does not reach this write");
        check(s);
        totals->kill_points++;
    }
}

static bool run_series(point_series *s, bool traced) {
    if (traced && !run_system_calls(s)) {
        run_leave_out("kills at every system call", "processes cannot be traced");
        traced = false;
    }
    run_writes(s, CALLS_KILL, "before-write");
    run_writes(s, CALLS_KILL_WITHIN, "within-write");
    if (run_is_whole() && traced && (s->kept < 2 || s->replaced < 2))
        run_fail("old contents %lld times and new ones %lld times: not all of the save was covered",
                 (long long)s->kept, (long long)s->replaced);
    return traced;
}

void kill_points(void) {
    world w;
    point_series s[FILE_KINDS] = {0};
    char scratch[PATH_SIZE];
    bool traced = true;
    run_folder(scratch, "scratch");
    world_create(&w);
    world_advance(&w, 1);
    for (int32_t k = 0; k < FILE_KINDS; k++) s[k].old = world_contents(&w, k, scratch);
    world_advance(&w, 2);
    for (int32_t k = 0; k < FILE_KINDS; k++) {
        s[k].kind = k;
        s[k].w = &w;
        s[k].new = world_contents(&w, k, scratch);
        run_folder(s[k].folder, "points");
        world_path(s[k].path, s[k].folder, k);
        for (int32_t b = 0; b < STATES; b++) {
            s[k].before = b;
            s[k].kept = s[k].replaced = 0;
            traced = run_series(&s[k], traced);
        }
        free(s[k].old.bytes);
        free(s[k].new.bytes);
    }
    world_close(&w);
}
