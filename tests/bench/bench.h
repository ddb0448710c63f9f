/* SPDX-License-Identifier: MIT */
/* Shared by the files of the benchmark: its options, and the measurements of one setting. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <jansson.h>
#include <stdbool.h>

#include "coprocess.h"
#include "subject.h"

enum { RUNS_MAX = 64, PEERS_MAX = 8, SETTINGS_MAX = 12, DDIM_STEPS = 50 };

typedef enum bench_mode {
    BENCH_COMPARE,
    BENCH_WORKER,
    BENCH_SWEEP,
    BENCH_PROFILE,
    BENCH_SCALING,
    BENCH_PRODUCTS,
    BENCH_OPERATIONS
} bench_mode;

typedef struct bench_options {
    bench_mode mode;
    setting settings[SETTINGS_MAX];
    int setting_count;
    int runs;          /* rounds of each measurement */
    bool forward;      /* --profile and --scaling: of a forward pass in place of a step */
    int level;         /* of --products: DMI_ISA_* */
    int ddim_runs;     /* 0: as `runs`, but 3 above base 64 */
    const char *modes; /* of the peers, with commas; NULL: chosen by the setting */
    char *python;      /* NULL: without peers */
    char *baseline;    /* PyTorch's script, beside which are the others */
    char *json;
    char folder[512];  /* of the program, and of the logs */
    char program[512]; /* its path, to start workers */
} bench_options;

/* Exits after a wrong option or --help. */
void bench_options_read(bench_options *o, int argc, char **argv);

/* ---- measurements ---- */

typedef struct series {
    double value[RUNS_MAX];
    int count;
} series;

/* {0} for an empty series. */
typedef struct summary {
    double median, low, high;
    int count;
} summary;

summary summarise(const series *s);

/* What libdiffusion is compared with. */
typedef struct peer {
    const char *mode, *engine, *script;
    const char *precision; /* of its products: fp32 or bf16 */
    bool trains;           /* it runs training steps and DDIM too */
} peer;

/* A program under test: libdiffusion or a peer. */
typedef struct tested_program {
    coprocess process;
    const peer *peer; /* NULL: libdiffusion */
    char name[64], log[560];
    series step, forward, ddim;
    series startup;   /* from before the fork to the end of the first step */
    double memory_mb; /* peak resident memory of training; 0: unknown */
    double import_mb; /* a peer's: the part of it that importing torch takes */
} tested_program;

typedef struct comparison {
    setting set;
    tested_program bf16;              /* libdiffusion computing with bfloat16, with all threads */
    tested_program library, one, two; /* with all threads, with one, with two; `one` or `two` is
                             empty if it equals `library` */
    tested_program baselines[PEERS_MAX];
    int baseline_count;
    double gflop; /* of a forward pass of the batch */
    double parameters;
    series sgemm;         /* the machine's rate in each round, GFLOP/s */
    series pingpong;      /* before each round of a step, ns; see pingpong_ns */
    const char *sgemm_of; /* whose BLAS had the best rate */
    double others;        /* processors that other programs used during the comparison */
    char baseline_version[64];
} comparison;

/* Measures one setting, all programs in turn. sgemm: a context for the machine's SGEMM rate. */
void compare(comparison *c, const bench_options *o, const setting *set, dm_context *sgemm);

/* SGEMM's rate in GFLOP/s with one product per thread, the best of several. */
double sgemm_rate(dm_context *context);

/* Nanoseconds in which a cache line goes from a context's first thread to another one and back; the
 * slowest of them. 0 with one thread. */
double pingpong_ns(dm_context *context);

/* The limits of the machine on all threads of a context: the rate of products with operands in the
 * caches, GFLOP/s, and the bytes that a copy through main memory reads and writes, GB/s. One run
 * takes about 20 ms. */
typedef struct limit_probe limit_probe;
limit_probe *limit_probe_create(dm_context *context);
void limit_probe_run(limit_probe *probe, double *gflops, double *gbs);
void limit_probe_destroy(limit_probe *probe);

/* Prints the table and appends its rows to the array. */
void report(const comparison *c, json_t *rows);
/* Exits if the file cannot be written. */
void write_json(const json_t *root, const char *path);

int worker_main(const setting *set);
int sweep_main(const bench_options *o);
int profile_main(const bench_options *o);
int scaling_main(const bench_options *o);
int products_main(const bench_options *o);
int operations_main(const bench_options *o);

#endif
