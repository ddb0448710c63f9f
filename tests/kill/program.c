/* SPDX-License-Identifier: MIT */
/* Kills `diffusion train` after random delays and resumes it each time. The checkpoint at the end
 * and the losses are those of a run that was never killed. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "run.h"

#define STEPS "40"
enum { ARGUMENTS_MAX = 40, RUNS_MAX = 1000 };

/* ---- the program ---- */

static bool has_checkpoint(const char *folder) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%.400s/checkpoint.safetensors", folder);
    return access(path, F_OK) == 0;
}

/* Starts the program in `folder`, with the checkpoint there if there is one. Its output goes to
 * `folder`.log. */
static pid_t start(const char *folder) {
    static const char *const first[] = {
        "--size",      "16",  "--channels",      "16,16", "--groups", "4", "--blocks", "1",
        "--attention", "0,0", "--mid-attention", "0",     "--batch",  "4", NULL};
    static const char *const always[] = {
        "--data",         "builtin", "--steps",   STEPS, "--save-every",   "3",
        "--sample-every", "0",       "--samples", "1",   "--sample-steps", "1",
        "--threads",      "1",       NULL};
    char program[PATH_SIZE], checkpoint[PATH_SIZE], log[PATH_SIZE];
    const char *arguments[ARGUMENTS_MAX];
    int32_t count = 0;
    snprintf(program, sizeof program, "%.400s/diffusion", options.build);
    snprintf(checkpoint, sizeof checkpoint, "%.400s/checkpoint.safetensors", folder);
    snprintf(log, sizeof log, "%.400s.log", folder);
    const bool resumes = has_checkpoint(folder);
    arguments[count++] = program;
    arguments[count++] = "train";
    for (int32_t i = 0; always[i]; i++) arguments[count++] = always[i];
    arguments[count++] = "--out";
    arguments[count++] = folder;
    if (resumes) {
        arguments[count++] = "--resume";
        arguments[count++] = checkpoint;
    }
    for (int32_t i = 0; !resumes && first[i]; i++) arguments[count++] = first[i];
    arguments[count] = NULL;

    const pid_t child = fork();
    run_require(child >= 0, "fork");
    if (child) return child;
    const int out = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (out < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0) _exit(126);
    execv(program, (char **)(uintptr_t)arguments);
    _exit(127);
}

typedef enum outcome { KILLED, DONE, FAILED } outcome;

static outcome wait_for(pid_t child, const char *folder) {
    int status;
    char log[PATH_SIZE];
    run_require(waitpid(child, &status, 0) == child, "waitpid");
    if (status == 0) return DONE;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return KILLED;
    snprintf(log, sizeof log, "%.400s.log", folder);
    const contents text = file_read(log);
    run_fail("diffusion train ends with status %x: %.*s", (unsigned)status, (int)text.size,
             text.bytes ? (const char *)text.bytes : "");
    free(text.bytes);
    return FAILED;
}

/* ---- the checks ---- */

static contents file_in(const char *folder, const char *name) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%.400s/%s", folder, name);
    return file_read(path);
}

/* Removes the fifth column, the seconds, from each line. */
static void drop_seconds(contents *c) {
    size_t kept = 0;
    bool seconds = false;
    int32_t commas = 0;
    for (size_t i = 0; i < c->size; i++) {
        const uint8_t byte = c->bytes[i];
        if (byte == ',') seconds = ++commas == 4;
        if (byte == '\n') {
            commas = 0;
            seconds = false;
        }
        if (!seconds) c->bytes[kept++] = byte;
    }
    c->size = kept;
}

static void compare(const char *folder, const char *expected) {
    contents a = file_in(folder, "checkpoint.safetensors");
    contents b = file_in(expected, "checkpoint.safetensors");
    if (!b.bytes || !contents_equal(a, b))
        run_fail("the checkpoint differs from that of a run without kills");
    free(a.bytes);
    free(b.bytes);
    a = file_in(folder, "loss.csv");
    b = file_in(expected, "loss.csv");
    drop_seconds(&a);
    drop_seconds(&b);
    if (!b.bytes || !contents_equal(a, b))
        run_fail("loss.csv differs from that of a run without kills");
    free(a.bytes);
    free(b.bytes);

    DIR *entries = opendir(folder);
    run_require(entries != NULL, folder);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot && (!strcmp(dot, ".tmp") || !strcmp(dot, ".part")))
            run_fail("'%s' is left at the end", entry->d_name);
    }
    closedir(entries);
}

/* ---- the series ---- */

/* Kills the program and resumes it, and begins again where it was done before its kill. Returns the
 * kills of a run that had been resumed, or -1 after a failure. */
static int32_t kill_often(const char *folder, const char *expected, double seconds) {
    const int32_t kills = (options.kills + 9) / 10;
    const int64_t failures = totals->failures;
    int32_t resumed = 0;
    for (int32_t i = 0; totals->program_kills < kills && i < RUNS_MAX; i++) {
        run_case("kills of diffusion train, run %d", (int)i + 1);
        const bool resumes = has_checkpoint(folder);
        const pid_t child = start(folder);
        run_sleep(seconds * (double)run_random(3, (uint64_t)i, 1000000) * 1e-6);
        kill(child, SIGKILL);
        const outcome end = wait_for(child, folder);
        if (end == KILLED) {
            totals->program_kills++;
            resumed += resumes;
        } else if (end != FAILED) {
            compare(folder, expected);
            folder_empty(folder);
        }
        if (totals->failures != failures) return -1;
    }
    return resumed;
}

void program_kills(void) {
    char folder[PATH_SIZE], expected[PATH_SIZE];
    if (!run_case("kills of diffusion train")) return;
    run_folder(folder, "killed");
    run_folder(expected, "whole");
    const double begin = run_seconds();
    if (wait_for(start(expected), expected) != DONE) return;
    const double seconds = run_seconds() - begin;
    const int32_t resumed = kill_often(folder, expected, 0.4 * seconds);
    if (resumed < 0) return;
    if (options.verbose)
        printf("check-kill: %d of %lld killed runs had been resumed\n", (int)resumed,
               (long long)totals->program_kills);
    run_case("kills of diffusion train, last run");
    const outcome end = wait_for(start(folder), folder);
    if (end == DONE) compare(folder, expected);
    else if (end == KILLED) run_fail("diffusion train was killed");
}
