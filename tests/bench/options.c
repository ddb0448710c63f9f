/* The command line of the benchmark. */
#include <libgen.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "bench.h"

static const char MANUAL[] =
    "\n\n"
    "Measures libdiffusion beside PyTorch: a training step, a forward pass, a DDIM run of 50 "
    "steps, peak memory,\n"
    "the rate of a step over SGEMM's, two threads over one, and the start. Both sides are "
    "processes that stay alive\n"
    "and are asked in turn; each figure is a median over --runs rounds, in brackets its extremes, "
    "and a ratio is\n"
    "ours over the best of PyTorch's modes. The table goes to the screen, all of it to bench.json "
    "beside the\n"
    "program. Nothing else should run meanwhile: the table says so where something did.\n\n"
    "  make bench                                     the four settings of docs/performance.md; 15 "
    "minutes or so\n"
    "  make bench PYTHON=/path/to/python3             with a Python that can import torch\n"
    "  make bench BENCH_OPTIONS='--quick'             the first setting in few runs: a look, no "
    "result\n"
    "  make bench BENCH_OPTIONS='--base 128 --batch 4 --modes channels_last,compile'\n"
    "  build/bench --no-peer                          ours alone\n"
    "  build/bench --sweep                            cost against batch and area, to sweep.json "
    "for plot.py\n"
    "  build/bench --products --level 0               the convolutions beside im2col by BLAS\n"
    "  build/bench --profile --base 64 --batch 16     where the time of a step goes, and the least "
    "that it could take\n";

static void refuse(const char *text, const char *value) {
    fprintf(stderr, "bench: %s%s%s; --help tells more\n", value ? value : "", value ? ": " : "",
            text);
    exit(2);
}

static void limit(const char *option, int value, int low, int high) {
    char text[96];
    if (value >= low && value <= high) return;
    snprintf(text, sizeof text, "is %d; it must be from %d to %d", value, low, high);
    refuse(text, option);
}

/* Where the program lies, and how to start it again. */
static void find_program(bench_options *o, const char *called) {
    ssize_t length = readlink("/proc/self/exe", o->program, sizeof o->program - 1);
    if (length > 0) o->program[length] = 0;
    else snprintf(o->program, sizeof o->program, "%s", called);
    char copy[512];
    snprintf(copy, sizeof copy, "%s", called);
    snprintf(o->folder, sizeof o->folder, "%s", dirname(copy));
}

/* At 64x64, a fourth of the pictures: as many pixels. */
static int pictures_for(int size, int at_32) {
    int pictures = size > 32 ? at_32 * 32 * 32 / (size * size) : at_32;
    return pictures > 1 ? pictures : 1;
}

static void choose_settings(bench_options *o, const setting *given, bool quick) {
    static const setting usual[] = {{64, 16, 32, 0, 0},
                                    {128, 4, 32, 0, 0},
                                    {32, 64, 32, 0, 0},
                                    {64, 4, 64, 0, 0}};
    bool one = given->base || given->batch || given->size || o->mode != BENCH_COMPARE;
    o->setting_count = one || quick ? 1 : (int)(sizeof usual / sizeof *usual);
    memcpy(o->settings, usual, sizeof usual);
    for (int i = 0; i < o->setting_count; i++) {
        setting *s = &o->settings[i];
        if (given->base) s->base = given->base;
        if (given->size) s->size = given->size;
        s->batch = given->batch ? given->batch : one ? pictures_for(s->size, 16) : s->batch;
        s->pictures = given->pictures ? given->pictures : pictures_for(s->size, 16);
        s->threads = given->threads;
    }
}

void bench_options_read(bench_options *o, int argc, char **argv) {
    setting given = {0};
    int quick = 0, no_peer = 0, worker = 0, sweep = 0, profile = 0, products = 0;
    char *modes = NULL;
    memset(o, 0, sizeof *o);
    const struct poptOption table[] = {
        {"base", 0, POPT_ARG_INT, &given.base, 0,
         "width of the network's first level: 32, 64, 128 ...", "N"},
        {"batch", 0, POPT_ARG_INT, &given.batch, 0,
         "pictures in a training step and a forward pass", "N"},
        {"size", 0, POPT_ARG_INT, &given.size, 0, "pixels each way, a multiple of 8", "N"},
        {"pictures", 0, POPT_ARG_INT, &given.pictures, 0,
         "in the DDIM run (16 at 32x32, 4 at 64x64)", "N"},
        {"threads", 0, POPT_ARG_INT, &given.threads, 0, "of both sides (one for each processor)",
         "N"},
        {"runs", 0, POPT_ARG_INT, &o->runs, 0, "rounds (7)", "N"},
        {"ddim-runs", 0, POPT_ARG_INT, &o->ddim_runs, 0,
         "rounds of DDIM (as --runs; above base 64, 3)", "N"},
        {"modes", 0, POPT_ARG_STRING, &modes, 0,
         "of PyTorch: eager,channels_last,compile (the last at the first setting only)", "LIST"},
        {"python", 0, POPT_ARG_STRING, &o->python, 0, "a Python that can import torch", "PROGRAM"},
        {"peer", 0, POPT_ARG_STRING, &o->peer, 0, "PyTorch's side (tests/bench/peer_torch.py)",
         "FILE"},
        {"no-peer", 0, POPT_ARG_NONE, &no_peer, 0, "without PyTorch", NULL},
        {"quick", 0, POPT_ARG_NONE, &quick, 0, "one setting, three rounds, one of DDIM, no compile",
         NULL},
        {"json", 0, POPT_ARG_STRING, &o->json, 0,
         "where to write (bench.json or sweep.json beside the program)", "FILE"},
        {"sweep", 0, POPT_ARG_NONE, &sweep, 0, "cost against batch and against area, ours alone",
         NULL},
        {"profile", 0, POPT_ARG_NONE, &profile, 0,
         "time, rate and bytes of each operation of a training step", NULL},
        {"products", 0, POPT_ARG_NONE, &products, 0,
         "each convolution's rate beside im2col by BLAS", NULL},
        {"level", 0, POPT_ARG_INT, &o->level, 0,
         "of --products: kernels of x86-64's baseline or the base table (0), v3 (1) or v4 (2)",
         "N"},
        {"worker", 0, POPT_ARG_NONE | POPT_ARGFLAG_DOC_HIDDEN, &worker, 0, NULL, NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    find_program(o, argv[0]);
    poptContext context = poptGetContext("bench", argc, (const char **)argv, table, 0);
    poptSetOtherOptionHelp(context, MANUAL);
    int status = poptGetNextOpt(context);
    if (status < -1) refuse(poptStrerror(status), poptBadOption(context, 0));
    if (poptPeekArg(context)) refuse("is no option", poptPeekArg(context));
    poptFreeContext(context);
    if (sweep + profile + products + worker > 1)
        refuse("--sweep, --profile and --products cannot be combined", NULL);
    o->mode = worker     ? BENCH_WORKER
              : sweep    ? BENCH_SWEEP
              : profile  ? BENCH_PROFILE
              : products ? BENCH_PRODUCTS
                         : BENCH_COMPARE;
    if (!o->runs) o->runs = quick ? 3 : 7;
    if (!o->ddim_runs && quick) o->ddim_runs = 1;
    choose_settings(o, &given, quick);
    limit("--base", o->settings[0].base, 32, 4096);
    limit("--batch", o->settings[0].batch, 1, 4096);
    limit("--size", o->settings[0].size, 8, 4096);
    limit("--pictures", o->settings[0].pictures, 1, 4096);
    limit("--threads", o->settings[0].threads, 0, 256);
    limit("--level", o->level, DMI_ISA_BASE, dmi_cpu_isa());
    limit("--runs", o->runs, 1, RUNS_MOST);
    limit("--ddim-runs", o->ddim_runs, 0, RUNS_MOST);
    o->modes = modes ? modes : quick ? "eager,channels_last" : NULL;
    if (no_peer) o->python = NULL;
    if (!o->peer) o->peer = strdup("tests/bench/peer_torch.py");
    if (!o->json) {
        size_t size = strlen(o->folder) + 16;
        o->json = malloc(size);
        if (o->json)
            snprintf(o->json, size, "%s/%s", o->folder, sweep ? "sweep.json" : "bench.json");
    }
    if (!o->peer || !o->json) refuse("out of memory", NULL);
}
