/* SPDX-License-Identifier: MIT */
/* Loading a file whose header is one long string within limits of the address space: a status in
 * every case, never a signal. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

enum { STRING_SIZE = 7000000, SECONDS_MAX = 10, MEGABYTE = 1 << 20 };

/* A string alone, as a value of the metadata, as a key, and with an escape of two bytes for each
 * character. */
enum { ALONE, VALUE, KEY, ESCAPES, KINDS };

static void write_header(const char *path, int32_t kind) {
    static const char *const before[KINDS] = {"\"", "{\"__metadata__\":{\"a\":\"",
                                              "{\"__metadata__\":{\"",
                                              "{\"__metadata__\":{\"a\":\""};
    static const char *const after[KINDS] = {"\"", "\"}}", "\":\"a\"}}", "\"}}"};
    FILE *file = fopen(path, "wb");
    if (!file) {
        perror(path);
        exit(2);
    }
    uint64_t size = strlen(before[kind]) + STRING_SIZE + strlen(after[kind]);
    while (size % 8) size++;
    for (int32_t i = 0; i < 8; i++) fputc((int)(size >> (8 * i) & 255), file);
    fputs(before[kind], file);
    for (int32_t i = 0; i < STRING_SIZE / 2; i++) fputs(kind == ESCAPES ? "\\n" : "ab", file);
    fputs(after[kind], file);
    for (uint64_t k = strlen(before[kind]) + STRING_SIZE + strlen(after[kind]); k < size; k++)
        fputc(' ', file);
    fclose(file);
}

/* Bytes of address space that the process uses. */
static rlim_t address_space(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu", &pages) != 1) _exit(4);
    fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* Exits with 0 for a status that a file without tensors may have, else with 1. */
static void load(const char *path, rlim_t more) {
    dm_context_options o;
    dm_context *context;
    dm_unet *unet;
    dm_context_options_init(&o, sizeof o);
    o.threads = 1;
    if (dm_context_create(&context, &o, NULL, 0) != DM_OK) _exit(4);
    const rlim_t limit = address_space() + more;
    const struct rlimit limits = {limit, limit};
    if (setrlimit(RLIMIT_AS, &limits) != 0) _exit(4);
    alarm(SECONDS_MAX);
    const dm_status status = dm_unet_load(&unet, context, path, DM_WEIGHTS_DEFAULT);
    const bool right = status == DM_ERROR_OUT_OF_MEMORY || status == DM_ERROR_BAD_FORMAT;
    if (unet || !dm_context_error(context)[0]) _exit(1);
    _exit(right ? 0 : 1);
}

int64_t limits_run(const char *folder, bool verbose) {
    static const rlim_t sizes[] = {0, 1, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 160, 300};
    int64_t failures = 0;
    char path[PATH_SIZE + 16];
    world_empty_folder(folder);
    snprintf(path, sizeof path, "%s/limits", folder);
    for (int32_t kind = 0; kind < KINDS; kind++) {
        write_header(path, kind);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            fflush(stdout);
            const pid_t child = fork();
            if (child == 0) load(path, sizes[i] * MEGABYTE);
            int status = 0;
            if (child < 0 || waitpid(child, &status, 0) != child) exit(2);
            if (status) {
                failures++;
                printf("limits, header %d, %d MB more than in use: %s %d\n", (int)kind,
                       (int)sizes[i], WIFSIGNALED(status) ? "signal" : "exit status",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            }
        }
        if (verbose)
            printf("limits, header %d: %zu limits\n", (int)kind, sizeof sizes / sizeof *sizes);
    }
    return failures;
}
