/* SPDX-License-Identifier: MIT */
/* Our side of the comparison: the benchmark as a process of its own, whose memory and start can be
 * measured. It creates the network, takes one training step, prints a line, and then responds to
 * requests of one line each with one line of JSON, as peer_torch.py does.
 *
 *     info             {"parameters", "gflop"} of a forward pass of one image
 *     step, forward    {"seconds"} of a call: the mean of as many as take a quarter of a second,
 *                      right after one that is not measured
 *     ddim N           {"seconds"} of a DDIM run of N steps
 *     memory           {"mb"}: peak resident memory
 *     pingpong         {"ns"} of a cache line's way from one thread to another and back
 *
 * No training step can follow a forward pass, a DDIM run or info. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/host.h"
#include "base/system.h"
#include "bench.h"

#define CALLS_SECONDS 0.25

/* Prints the response and frees it. */
static void print_response(json_t *response) {
    char *line = response ? json_dumps(response, JSON_COMPACT) : NULL;
    if (!line) exit(EXIT_FAILURE);
    puts(line);
    fflush(stdout);
    free(line);
    json_decref(response);
}

static double seconds_of(workload *s, void (*call)(workload *)) {
    call(s);
    double start = dmi_seconds(), seconds;
    int calls = 0;
    do {
        call(s);
        calls++;
        seconds = dmi_seconds() - start;
    } while (seconds < CALLS_SECONDS);
    return seconds / calls;
}

static json_t *respond(workload *s, const char *request) {
    struct rusage usage;
    int steps;
    if (!strcmp(request, "memory")) {
        getrusage(RUSAGE_SELF, &usage);
        return json_pack("{s:f}", "mb", (double)usage.ru_maxrss / 1024);
    }
    if (!strcmp(request, "step")) {
        if (!s->trainer) return json_pack("{s:s}", "error", "training has ended");
        return json_pack("{s:f}", "seconds", seconds_of(s, workload_step));
    }
    if (!strcmp(request, "pingpong")) return json_pack("{s:f}", "ns", pingpong_ns(s->context));
    workload_end_training(s);
    if (!strcmp(request, "info")) {
        return json_pack("{s:I,s:f}", "parameters", (json_int_t)dm_unet_parameter_count(s->unet),
                         "gflop", workload_forward_gflop(s) / s->set.batch);
    }
    if (!strcmp(request, "forward"))
        return json_pack("{s:f}", "seconds", seconds_of(s, workload_forward));
    if (sscanf(request, "ddim %d", &steps) == 1) {
        double start = dmi_seconds();
        workload_ddim(s, steps);
        return json_pack("{s:f}", "seconds", dmi_seconds() - start);
    }
    return json_pack("{s:s}", "error", "unknown request");
}

int worker_main(const setting *set) {
    char line[256];
    workload s;
    workload_create(&s, set, true, false);
    workload_step(&s);
    print_response(json_pack("{s:s+,s:i}", "ready", "libdiffusion ", dm_version_string(), "threads",
                             s.set.threads));
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        print_response(respond(&s, line));
    }
    workload_destroy(&s);
    return EXIT_SUCCESS;
}
