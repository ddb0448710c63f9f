/* SPDX-License-Identifier: MIT */
/* See shared.h. */
#include "shared.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { OWN_FRAMES = 2, PRINTED_FRAMES = 12 };

shared_state *shared(void) {
    static shared_state *state;
    if (state) return state;
    void *block =
        mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        perror("check-alloc: mmap");
        exit(2);
    }
    return state = block;
}

/* "function at file:line" for frames in one object, by addr2line; the object and the offset where
 * there is no addr2line. */
static void print_frames(const char *object, const size_t *offsets, int32_t count) {
    char command[2048], function[512], line[1024];
    int used = snprintf(command, sizeof command, "addr2line -fse '%.1000s'", object);
    for (int32_t i = 0; i < count; i++)
        used += snprintf(command + used, sizeof command - (size_t)used, " 0x%zx", offsets[i]);
    FILE *pipe = popen(command, "r");
    for (int32_t i = 0; i < count; i++) {
        if (pipe && fgets(function, sizeof function, pipe) && fgets(line, sizeof line, pipe)) {
            function[strcspn(function, "\n")] = line[strcspn(line, "\n")] = 0;
            if (function[0] != '?') {
                printf("        %s at %s\n", function, line);
                continue;
            }
        }
        printf("        %s+0x%zx\n", object, offsets[i]);
    }
    if (pipe) pclose(pipe);
}

void shared_print_trace(const refuse_trace *trace) {
    const char *object = NULL;
    const void *base = NULL;
    size_t offsets[PRINTED_FRAMES];
    int32_t count = 0;
    for (int32_t i = OWN_FRAMES; i < trace->count && i < OWN_FRAMES + PRINTED_FRAMES; i++) {
        Dl_info info;
        if (!dladdr(trace->frames[i], &info) || !info.dli_fname) continue;
        if (count && info.dli_fbase != base) {
            print_frames(object, offsets, count);
            count = 0;
        }
        object = info.dli_fname;
        base = info.dli_fbase;
        /* The address after the call may belong to the next line. */
        offsets[count++] = (size_t)((char *)trace->frames[i] - (const char *)base) - 1;
    }
    if (count) print_frames(object, offsets, count);
}

/* ---- the public functions ---- */

int32_t run_read_functions(const char *map) {
    char line[256], name[NAME_SIZE];
    shared_state *s = shared();
    FILE *file = fopen(map, "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, " %63[a-z0-9_];", name) != 1 || strncmp(name, "dm_", 3)) continue;
        if (s->function_count == FUNCTIONS_MAX) break;
        strcpy(s->functions[s->function_count++], name);
    }
    fclose(file);
    return s->function_count;
}

int64_t run_report_uncovered(void) {
    static const char *const sources[] = {"hooks", "the process's allocations"};
    const shared_state *s = shared();
    int64_t missing = 0;
    for (int32_t i = 0; i < s->function_count; i++)
        for (int32_t k = 0; k < 2; k++)
            if (!s->covered[k][i]) {
                printf("check-alloc: %s: no case refuses %s in it\n", s->functions[i], sources[k]);
                missing++;
            }
    return missing;
}
