/* What the parts of the benchmark share: its options, and what one setting's rounds have given. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <jansson.h>
#include <stdbool.h>

#include "coprocess.h"
#include "subject.h"

enum { RUNS_MOST = 64, MODES_MOST = 4, SETTINGS_MOST = 8, DDIM_STEPS = 50 };

typedef enum bench_mode {
    BENCH_COMPARE,
    BENCH_WORKER,
    BENCH_SWEEP,
    BENCH_PROFILE,
    BENCH_PRODUCTS
} bench_mode;

typedef struct bench_options {
    bench_mode mode;
    setting settings[SETTINGS_MOST];
    int setting_count;
    int runs;          /* rounds of every phase */
    int level;         /* of --products: DMI_ISA_* */
    int ddim_runs;     /* 0: as `runs`, but 3 where a run takes long */
    const char *modes; /* of PyTorch, with commas; NULL: chosen by the setting */
    char *python;      /* NULL: no peer */
    char *peer;        /* the script */
    char *json;
    char folder[512];  /* where the program lies; logs go there */
    char program[512]; /* for starting it again */
} bench_options;

/* Ends the program on a wrong option, and on --help. */
void bench_options_read(bench_options *o, int argc, char **argv);

/* ---- figures ---- */

typedef struct series {
    double value[RUNS_MOST];
    int count;
} series;

/* {0} of an empty one. */
typedef struct summary {
    double median, low, high;
    int count;
} summary;

summary summarise(const series *s);

/* One side of the comparison. */
typedef struct party {
    coprocess process;
    const char *mode; /* PyTorch's; NULL: ours */
    char name[64], log[560];
    series step, forward, ddim;
    series startup;   /* from before the fork until the first step has ended */
    double memory_mb; /* the most that was resident in training; 0: unknown */
    double import_mb; /* PyTorch's: what of it was there before the network was made */
} party;

typedef struct comparison {
    setting set;
    party ours, one, two; /* with all threads, with one, with two; `one` or `two` stays empty where
                             it is `ours` */
    party peers[MODES_MOST];
    int peer_count;
    double gflop; /* of a forward pass of the batch */
    double parameters;
    series sgemm;         /* the machine's rate round by round, GFLOP/s; the best of them counts */
    const char *sgemm_of; /* whose */
    double others;        /* processors that other programs kept busy meanwhile */
    char peer_version[64];
    char modes[128]; /* the storage of the peers' modes */
} comparison;

/* Measures one setting, all sides in turn. sgemm: the context that measures the machine. */
void compare(comparison *c, const bench_options *o, const setting *set, dm_context *sgemm);

/* SGEMM's rate with one product on each thread, the best of several, in GFLOP/s. */
double sgemm_rate(dm_context *context);

/* The limits of a context's machine on all its threads: the rate of products whose operands are in
 * the caches, GFLOP/s, and what a copy through main memory reads and writes, GB/s. A run takes some
 * 20 ms and shows the machine of that moment. */
typedef struct limit_probe limit_probe;
limit_probe *limit_probe_create(dm_context *context);
void limit_probe_run(limit_probe *probe, double *gflops, double *gbs);
void limit_probe_destroy(limit_probe *probe);

/* Prints the table, and appends its rows to the array. */
void report(const comparison *c, json_t *rows);
/* Ends the program where the file cannot be written. */
void write_json(const json_t *root, const char *path);

int worker_main(const setting *set);
int sweep_main(const bench_options *o);
int profile_main(const bench_options *o);
int products_main(const bench_options *o);

#endif
