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

/* "function at file:line" by addr2line, or the object and the offset where there is none. */
static void print_frame(void *address) {
    Dl_info info;
    char command[1024], line[1024] = "", function[512] = "";
    if (!dladdr(address, &info) || !info.dli_fname) return;
    /* The address after the call may belong to the next line. */
    const size_t offset = (size_t)((char *)address - (char *)info.dli_fbase) - 1;
    snprintf(command, sizeof command, "addr2line -fse '%s' 0x%zx 2>/dev/null", info.dli_fname,
             offset);
    FILE *pipe = popen(command, "r");
    if (pipe) {
        if (fgets(function, sizeof function, pipe)) function[strcspn(function, "\n")] = 0;
        if (fgets(line, sizeof line, pipe)) line[strcspn(line, "\n")] = 0;
        pclose(pipe);
    }
    if (function[0] && function[0] != '?') printf("        %s at %s\n", function, line);
    else
        printf("        %s, %s+0x%zx\n", info.dli_sname ? info.dli_sname : "?", info.dli_fname,
               offset);
}

void shared_print_trace(const refuse_trace *trace) {
    for (int32_t i = OWN_FRAMES; i < trace->count && i < OWN_FRAMES + PRINTED_FRAMES; i++)
        print_frame(trace->frames[i]);
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
