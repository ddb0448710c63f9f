/* SPDX-License-Identifier: MIT */
/* The rounds of a comparison. All processes stay alive and get requests in turn, so that each round
 * measures both sides within seconds of each other and under the same load. Training comes first
 * and memory is read after it, then forward passes, then DDIM, then new processes for the start. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "load.h"

/* A pause between requests to two processes, since the threads of OpenMP and BLAS spin for a while
 * before they sleep. */
enum { REST_US = 100000 };

static const peer peers[] = {
    {"eager", "PyTorch", "peer_torch.py", "fp32", true},
    {"channels_last", "PyTorch", "peer_torch.py", "fp32", true},
    {"compile", "PyTorch", "peer_torch.py", "fp32", true},
    {"autocast", "PyTorch", "peer_torch.py", "bf16", true},
    {"onnxruntime", "ONNX Runtime", "peer_inference.py", "fp32", false},
    {"openvino", "OpenVINO", "peer_inference.py", "fp32", false},
    {"openvino_bf16", "OpenVINO", "peer_inference.py", "bf16", false},
};

/* PyTorch's modes that take longer than this times its best in a short DDIM run are left out of the
 * long ones. */
static const double NEAR_BEST = 1.15;

static void show_progress(const comparison *c, const char *what, int round, int rounds) {
    if (!isatty(STDERR_FILENO)) return;
    fprintf(stderr, "\r\033[Kbase %d, batch %d, %dx%d: %s", c->set.base, c->set.batch, c->set.size,
            c->set.size, what);
    if (rounds) fprintf(stderr, ", round %d of %d", round, rounds);
}

static void clear_line(void) {
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
}

/* ---- processes ---- */

/* Its first line, or NULL. */
static json_t *start(tested_program *p, const bench_options *o, const setting *set,
                     double *seconds) {
    char base[16], batch[16], size[16], threads[16], images[16];
    snprintf(base, sizeof base, "%d", set->base);
    snprintf(batch, sizeof batch, "%d", set->batch);
    snprintf(size, sizeof size, "%d", set->size);
    snprintf(threads, sizeof threads, "%d", set->threads);
    snprintf(images, sizeof images, "%d", set->images);
    const char *library[] = {o->program,
                             "--worker",
                             "--base",
                             base,
                             "--batch",
                             batch,
                             "--size",
                             size,
                             "--threads",
                             threads,
                             "--images",
                             images,
                             set->bf16 ? "--bf16" : NULL,
                             NULL};
    if (!p->peer)
        return coprocess_start(&p->process, p->name, (char *const *)library, NULL, seconds);
    char script[1024];
    const char *slash = strrchr(o->baseline, '/');
    snprintf(script, sizeof script, "%.*s%s", slash ? (int)(slash - o->baseline) + 1 : 0,
             o->baseline, p->peer->script);
    const char *other[] = {o->python,  script,   "--base", base,          "--batch",
                           batch,      "--size", size,     "--threads",   threads,
                           "--images", images,   "--mode", p->peer->mode, NULL};
    return coprocess_start(&p->process, p->name, (char *const *)other, p->log, seconds);
}

static void start_library(tested_program *p, const bench_options *o, const setting *set,
                          int threads, bool bf16) {
    setting changed = *set;
    double seconds;
    changed.threads = threads;
    changed.bf16 = bf16;
    snprintf(p->name, sizeof p->name, "libdiffusion, %d thread%s%s", threads,
             threads == 1 ? "" : "s", bf16 ? ", bf16" : "");
    json_t *ready = start(p, o, &changed, &seconds);
    if (!ready) exit(EXIT_FAILURE);
    json_decref(ready);
}

static const peer *find_peer(const char *mode) {
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++)
        if (!strcmp(peers[i].mode, mode)) return &peers[i];
    fprintf(stderr, "bench: --modes: there is no '%s'\n", mode);
    exit(2);
}

/* Those that are not installed do not start, which is reported. */
static void start_baselines(comparison *c, const bench_options *o) {
    bool first = c->set.base == 64 && c->set.batch == 16 &&
                 c->set.size == 32; /* compiling takes minutes: by default once */
    char modes[256];
    double seconds;
    if (!o->python) return;
    snprintf(modes, sizeof modes, "%s",
             o->modes ? o->modes
             : first  ? "eager,channels_last,compile,autocast,onnxruntime,openvino,openvino_bf16"
                      : "eager,channels_last,autocast,onnxruntime,openvino,openvino_bf16");
    char *rest = NULL, *mode = strtok_r(modes, ",", &rest);
    for (; mode && c->baseline_count < PEERS_MAX; mode = strtok_r(NULL, ",", &rest)) {
        tested_program *p = &c->baselines[c->baseline_count++];
        p->peer = find_peer(mode);
        snprintf(p->name, sizeof p->name, "%s, %s", p->peer->engine, mode);
        snprintf(p->log, sizeof p->log, "%s/bench-%s.log", o->folder, mode);
        show_progress(c, p->name, 0, 0);
        json_t *ready = start(p, o, &c->set, &seconds);
        const char *version = json_string_value(json_object_get(ready, "ready"));
        if (version && p->peer->trains)
            snprintf(c->baseline_version, sizeof c->baseline_version, "%s", version);
        json_decref(ready);
    }
}

/* ---- rounds ---- */

/* The faster of the BLAS that is linked here and PyTorch's: either may lack kernels for this
 * processor. */
static void measure_sgemm(comparison *c, dm_context *context) {
    double rate = sgemm_rate(context), pytorch = -1;
    for (int i = 0; i < c->baseline_count && pytorch < 0; i++) {
        if (c->baselines[i].peer->trains && coprocess_running(&c->baselines[i].process))
            pytorch = coprocess_request(&c->baselines[i].process, "sgemm", "gflops");
    }
    const char *blas = pytorch > rate ? "SGEMM, torch" : "SGEMM";
    if (pytorch > rate) rate = pytorch;
    if (rate > summarise(&c->sgemm).high) c->sgemm_of = blas;
    c->sgemm.value[c->sgemm.count++] = rate;
}

/* Sends `request` to `count` programs in turn, `runs` times after `warm` rounds that are not
 * counted; the seconds go to the series at `offset` of each program. */
static void run_rounds(comparison *c, tested_program *const *who, int count, const char *request,
                       size_t offset, int warm, int runs, dm_context *sgemm) {
    for (int round = 1 - warm; round <= runs; round++) {
        show_progress(c, request, round, runs);
        if (sgemm && round > 0) c->pingpong.value[c->pingpong.count++] = pingpong_ns(sgemm);
        for (int i = 0; i < count; i++) {
            series *s = (series *)(void *)((char *)who[i] + offset);
            double seconds = coprocess_request(&who[i]->process, request, "seconds");
            if (seconds >= 0 && round > 0) s->value[s->count++] = seconds;
            if (coprocess_running(&who[i]->process)) usleep(REST_US);
        }
        if (sgemm && round > 0) measure_sgemm(c, sgemm);
    }
}

/* A short DDIM run of each program to warm up, and a second one; keeps libdiffusion in float32, the
 * first, and the modes of PyTorch near the best. Returns their number. */
static int near_best(comparison *c, tested_program **who, int count, const char *request) {
    double seconds[PEERS_MAX + 4], best = -1;
    int kept = 1;
    show_progress(c, "ddim, warming up", 0, 0);
    for (int i = 0; i < count; i++) {
        seconds[i] = -1;
        if (i > 0 && !who[i]->peer) continue;
        coprocess_request(&who[i]->process, request, "seconds");
        seconds[i] = coprocess_request(&who[i]->process, request, "seconds");
        if (i > 0 && seconds[i] >= 0 && (best < 0 || seconds[i] < best)) best = seconds[i];
        usleep(REST_US);
    }
    for (int i = 1; i < count; i++) {
        if (seconds[i] >= 0 && seconds[i] <= NEAR_BEST * best) who[kept++] = who[i];
    }
    return kept;
}

/* Checks that both sides have the same network, by parameters and operations. */
static void compare_networks(comparison *c) {
    c->parameters = coprocess_request(&c->library.process, "info", "parameters");
    c->gflop = coprocess_request(&c->library.process, "info", "gflop") * c->set.batch;
    for (int i = 0; i < c->baseline_count; i++) {
        tested_program *p = &c->baselines[i];
        if (!p->peer->trains) continue;
        double parameters = coprocess_request(&p->process, "info", "parameters");
        double gflop = coprocess_request(&p->process, "info", "gflop") * c->set.batch;
        if (!coprocess_running(&p->process)) continue;
        if (parameters != c->parameters || gflop < 0.99 * c->gflop || gflop > 1.01 * c->gflop) {
            fprintf(stderr,
                    "bench: the networks differ: %.0f parameters and %.2f GFLOP here, %.0f and "
                    "%.2f in %s\n",
                    c->parameters, c->gflop, parameters, gflop, p->name);
        }
    }
}

/* New processes in turn: libdiffusion, and the first of PyTorch's modes that has run every step. */
static void measure_starts(comparison *c, const bench_options *o) {
    tested_program *pair[2] = {&c->library, NULL};
    for (int i = 0; i < c->baseline_count && !pair[1]; i++) {
        if (c->baselines[i].step.count == o->runs) pair[1] = &c->baselines[i];
    }
    for (int round = 0; round < o->runs; round++) {
        show_progress(c, "start", round + 1, o->runs);
        for (int i = 0; i < 2 && pair[i]; i++) {
            double seconds;
            json_t *ready = start(pair[i], o, &c->set, &seconds);
            if (ready) pair[i]->startup.value[pair[i]->startup.count++] = seconds;
            json_decref(ready);
            coprocess_stop(&pair[i]->process);
        }
    }
}

void compare(comparison *c, const bench_options *o, const setting *set, dm_context *sgemm) {
    tested_program *all[PEERS_MAX + 4], *trains[PEERS_MAX + 4];
    int count = 0, training = 0,
        ddim_runs = o->ddim_runs                    ? o->ddim_runs
                    : set->base > 64 && o->runs > 3 ? 3
                                                    : o->runs;
    char request[32];
    memset(c, 0, sizeof *c);
    c->set = *set;
    load before = load_now();
    show_progress(c, "starting", 0, 0);
    start_library(&c->library, o, set, set->threads, false);
    start_library(&c->bf16, o, set, set->threads, true);
    start_baselines(c, o);
    all[count++] = trains[training++] = &c->library;
    all[count++] = trains[training++] = &c->bf16;
    for (int i = 0; i < c->baseline_count; i++) {
        all[count++] = &c->baselines[i];
        if (c->baselines[i].peer->trains) trains[training++] = &c->baselines[i];
    }
    int sides = training;
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
        if (set->threads != 1) start_library(trains[training++] = &c->one, o, set, 1, false);
        if (set->threads != 2) start_library(trains[training++] = &c->two, o, set, 2, false);
    }
    run_rounds(c, trains, training, "step", offsetof(tested_program, step), 1, o->runs, sgemm);
    for (int i = 0; i < sides; i++) {
        double mb = coprocess_request(&trains[i]->process, "memory", "mb");
        trains[i]->memory_mb = mb > 0 ? mb : 0;
        if (trains[i]->peer)
            trains[i]->import_mb = coprocess_request(&trains[i]->process, "memory", "import_mb");
    }
    coprocess_stop(&c->one.process);
    coprocess_stop(&c->two.process);
    compare_networks(c);
    run_rounds(c, all, count, "forward", offsetof(tested_program, forward), 1, o->runs, NULL);
    sides = near_best(c, trains, sides, "ddim 5");
    snprintf(request, sizeof request, "ddim %d", DDIM_STEPS);
    run_rounds(c, trains, sides, request, offsetof(tested_program, ddim), 0, ddim_runs, NULL);
    coprocess_stop(&c->library.process);
    coprocess_stop(&c->bf16.process);
    for (int i = 0; i < c->baseline_count; i++) coprocess_stop(&c->baselines[i].process);
    measure_starts(c, o);
    c->others = load_of_others(&before);
    clear_line();
}
