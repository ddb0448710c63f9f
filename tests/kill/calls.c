/* SPDX-License-Identifier: MIT */
/* See calls.h. */
#include "calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const call_names[CALL_KINDS] = {"open", "write", "fsync", "close", "rename", "other"};

/* How far a save is. */
typedef enum progress { NOTHING, WRITTEN, SYNCED, RENAMED, FOLDER_SYNCED } progress;

static bool active, skips_syncs;
static call_plan plan;
static call_report report;
static progress done;
static int new_file; /* the descriptor of the temporary file, or -1 */

void calls_skip_syncs(bool skip) { skips_syncs = skip; }

void calls_begin(call_plan p) {
    plan = p;
    report = (call_report){.ordered = true};
    done = NOTHING;
    new_file = -1;
    active = true;
}

call_report calls_end(void) {
    active = false;
    report.ordered = report.ordered && done == FOLDER_SYNCED;
    return report;
}

static void step_done(progress from, progress to) {
    if (done != from && done != to) report.ordered = false;
    done = to;
}

static void kill_self(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Counts a call. What it shall do: CALLS_COUNT is the call itself; CALLS_FAIL has set errno. */
static call_action enter(call_kind kind, bool essential) {
    if (!active) return CALLS_COUNT;
    const int64_t number = ++report.calls[kind];
    if (plan.action == CALLS_COUNT || kind != plan.kind || number < plan.first ||
        number > plan.last)
        return CALLS_COUNT;
    report.hits++;
    report.essential = report.essential || essential;
    if (plan.action == CALLS_KILL) kill_self();
    errno = plan.error;
    return plan.action;
}

/* The function of libc. */
static void *libc(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (function) return function;
    fprintf(stderr, "check-kill: libc has no %s\n", name);
    _exit(3);
}

/* `call`, a pointer to libc's function of this name. */
#define LIBC(result, name, ...)                                                                    \
    static result (*call)(__VA_ARGS__);                                                            \
    if (!call) *(void **)&call = libc(name)

int open(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    LIBC(int, "open", const char *, int, ...);
    if (enter(CALL_OPEN, flags & O_CREAT) == CALLS_FAIL) return -1;
    const int descriptor = call(path, flags, mode);
    if (active && descriptor >= 0 && flags & O_CREAT) new_file = descriptor;
    return descriptor;
}

/* The number of bytes to write; 0: fail. */
static size_t begin_write(int descriptor, size_t size) {
    const call_action action = enter(CALL_WRITE, true);
    if (action == CALLS_FAIL) return 0;
    if (active && descriptor == new_file) done = done <= SYNCED ? WRITTEN : done;
    if (active && done >= RENAMED) report.ordered = false;
    return action == CALLS_COUNT ? size : (size + 1) / 2;
}

static ssize_t end_write(ssize_t written) {
    if (active && plan.action == CALLS_KILL_WITHIN && report.hits) kill_self();
    return written;
}

ssize_t write(int descriptor, const void *bytes, size_t size) {
    LIBC(ssize_t, "write", int, const void *, size_t);
    if (!active || size == 0) return call(descriptor, bytes, size);
    size = begin_write(descriptor, size);
    return size ? end_write(call(descriptor, bytes, size)) : -1;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
    LIBC(ssize_t, "pwrite", int, const void *, size_t, off_t);
    if (!active || size == 0) return call(descriptor, bytes, size, offset);
    size = begin_write(descriptor, size);
    return size ? end_write(call(descriptor, bytes, size, offset)) : -1;
}

int fsync(int descriptor) {
    LIBC(int, "fsync", int);
    if (!active && skips_syncs) return 0;
    const bool is_new = descriptor == new_file;
    if (enter(CALL_FSYNC, is_new) == CALLS_FAIL) return -1;
    const int status = call(descriptor);
    if (active && status == 0 && is_new) step_done(WRITTEN, SYNCED);
    else if (active && status == 0) step_done(RENAMED, FOLDER_SYNCED);
    return status;
}

/* A close that fails closes the descriptor, as on Linux. It is not essential: what it could report
 * of the file, the sync before it has reported. */
int close(int descriptor) {
    LIBC(int, "close", int);
    const bool is_new = descriptor == new_file;
    const call_action action = enter(CALL_CLOSE, false);
    const int status = call(descriptor);
    if (active && status != 0 && errno == EBADF) report.closed_twice = true;
    if (active && is_new) new_file = -1;
    if (action == CALLS_FAIL) errno = plan.error;
    return action == CALLS_FAIL ? -1 : status;
}

int rename(const char *from, const char *to) {
    LIBC(int, "rename", const char *, const char *);
    if (enter(CALL_RENAME, true) == CALLS_FAIL) return -1;
    const int status = call(from, to);
    if (active && status == 0) step_done(SYNCED, RENAMED);
    return status;
}

int unlink(const char *path) {
    LIBC(int, "unlink", const char *);
    return enter(CALL_OTHER, false) == CALLS_FAIL ? -1 : call(path);
}

int flock(int descriptor, int operation) {
    LIBC(int, "flock", int, int);
    return enter(CALL_OTHER, false) == CALLS_FAIL ? -1 : call(descriptor, operation);
}

int fchmod(int descriptor, mode_t mode) {
    LIBC(int, "fchmod", int, mode_t);
    return enter(CALL_OTHER, false) == CALLS_FAIL ? -1 : call(descriptor, mode);
}

int stat(const char *path, struct stat *about) {
    LIBC(int, "stat", const char *, struct stat *);
    return enter(CALL_OTHER, false) == CALLS_FAIL ? -1 : call(path, about);
}

int fstat(int descriptor, struct stat *about) {
    LIBC(int, "fstat", int, struct stat *);
    return enter(CALL_OTHER, false) == CALLS_FAIL ? -1 : call(descriptor, about);
}

int lstat(const char *path, struct stat *about) {
    LIBC(int, "lstat", const char *, struct stat *);
    return enter(CALL_OTHER, false) == CALLS_FAIL ? -1 : call(path, about);
}
