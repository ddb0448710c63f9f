/* SPDX-License-Identifier: MIT */
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
    "Measures libdiffusion beside PyTorch, ONNX Runtime and OpenVINO: a training step, a forward "
    "pass, a DDIM run of 50 "
    "steps, peak memory,\n"
    "the rate of a step over SGEMM's, two threads over one, and the start. Both sides are "
    "processes that stay alive\n"
    "and get requests in turn; each value is a median over --runs rounds, in brackets its "
    "extremes, "
    "and a ratio is\n"
    "libdiffusion over the fastest peer in float32 or bfloat16. The table goes to the screen, all "
    "of it to "
    "bench.json "
    "beside the\n"
    "program. No other programs should run; the table says so if they did.\n\n"
    "  make bench                                     the settings of docs/performance.md; "
    "an hour or so\n"
    "  make bench PYTHON=/path/to/python3             with a Python that can import torch, "
    "onnxruntime and openvino\n"
    "  make bench BENCH_OPTIONS='--quick'             the first setting in few runs, for a "
    "quick look\n"
    "  make bench BENCH_OPTIONS='--base 128 --batch 4 --modes channels_last,compile'\n"
    "  build/bench --no-baseline                      without peers\n"
    "  build/bench --sweep                            cost against batch and area, to sweep.json "
    "for plot.py\n"
    "  build/bench --products --level 0               the convolutions beside im2col by BLAS\n"
    "  build/bench --profile --base 64 --batch 16     where the time of a step goes, and the "
    "lower bound of it\n";

static void refuse(const char *text, const char *value) {
    fprintf(stderr, "bench: %s%s%s; see --help\n", value ? value : "", value ? ": " : "", text);
    exit(2);
}

static void limit(const char *option, int value, int low, int high) {
    char text[96];
    if (value >= low && value <= high) return;
    snprintf(text, sizeof text, "is %d; it must be from %d to %d", value, low, high);
    refuse(text, option);
}

/* The program's path and folder. */
static void find_program(bench_options *o, const char *called) {
    ssize_t length = readlink("/proc/self/exe", o->program, sizeof o->program - 1);
    if (length > 0) o->program[length] = 0;
    else snprintf(o->program, sizeof o->program, "%s", called);
    char copy[512];
    snprintf(copy, sizeof copy, "%s", called);
    snprintf(o->folder, sizeof o->folder, "%s", dirname(copy));
}

/* The number of images with as many pixels: at 64x64 a quarter of that at 32x32. */
static int images_for(int size, int at_32) {
    int images = size > 32 ? at_32 * 32 * 32 / (size * size) : at_32;
    return images > 1 ? images : 1;
}

static void choose_settings(bench_options *o, const setting *given, bool quick) {
    /* Sixteen images and one; of the largest networks and images as many as memory allows. */
    enum { USUAL = 12 };
    static const int usual[USUAL][3] = {{64, 16, 32},  {64, 1, 32},  {32, 16, 32}, {32, 1, 32},
                                        {128, 16, 32}, {128, 1, 32}, {64, 16, 64}, {64, 1, 64},
                                        {32, 16, 64},  {32, 1, 64},  {128, 4, 64}, {128, 1, 64}};
    bool one = given->base || given->batch || given->size || o->mode != BENCH_COMPARE;
    o->setting_count = one || quick ? 1 : USUAL;
    for (int i = 0; i < o->setting_count; i++) {
        setting *s = &o->settings[i];
        *s = (setting){.base = usual[i][0], .batch = usual[i][1], .size = usual[i][2]};
        if (given->base) s->base = given->base;
        if (given->size) s->size = given->size;
        s->batch = given->batch ? given->batch : one ? images_for(s->size, 16) : s->batch;
        s->images = given->images ? given->images : s->batch == 1 ? 1 : images_for(s->size, 16);
        s->threads = given->threads;
        s->bf16 = given->bf16;
    }
}

/* What popt fills beside *o. */
typedef struct words {
    setting given;
    int quick, no_baseline, worker, sweep, profile, scaling, forward, products, operations;
    char *modes;
} words;

static void parse(bench_options *o, words *w, int argc, char **argv) {
    const struct poptOption table[] = {
        {"base", 0, POPT_ARG_INT, &w->given.base, 0,
         "channels of the network's first level: 32, 64, 128 ...", "N"},
        {"batch", 0, POPT_ARG_INT, &w->given.batch, 0,
         "images in a training step and a forward pass", "N"},
        {"size", 0, POPT_ARG_INT, &w->given.size, 0, "height and width in pixels, a multiple of 8",
         "N"},
        {"images", 0, POPT_ARG_INT, &w->given.images, 0,
         "images in the DDIM run (16 at 32x32, 4 at 64x64, 1 with --batch 1)", "N"},
        {"threads", 0, POPT_ARG_INT, &w->given.threads, 0, "of both sides (one for each processor)",
         "N"},
        {"bf16", 0, POPT_ARG_NONE, &w->given.bf16, 0, "the library computes with bfloat16", NULL},
        {"runs", 0, POPT_ARG_INT, &o->runs, 0, "rounds (7)", "N"},
        {"ddim-runs", 0, POPT_ARG_INT, &o->ddim_runs, 0,
         "rounds of DDIM (as --runs; above base 64, 3)", "N"},
        {"modes", 0, POPT_ARG_STRING, &w->modes, 0,
         "of the peers: eager,channels_last,autocast,onnxruntime,openvino,openvino_bf16, and "
         "compile, which is usual at the first setting only",
         "LIST"},
        {"python", 0, POPT_ARG_STRING, &o->python, 0, "a Python that can import torch", "PROGRAM"},
        {"baseline", 0, POPT_ARG_STRING, &o->baseline, 0,
         "PyTorch's side (tests/bench/peer_torch.py)", "FILE"},
        {"no-baseline", 0, POPT_ARG_NONE, &w->no_baseline, 0, "without peers", NULL},
        {"quick", 0, POPT_ARG_NONE, &w->quick, 0,
         "one setting, three rounds, one of DDIM, no compile", NULL},
        {"json", 0, POPT_ARG_STRING, &o->json, 0,
         "where to write (bench.json or sweep.json beside the program)", "FILE"},
        {"sweep", 0, POPT_ARG_NONE, &w->sweep, 0,
         "cost against batch and against area, without PyTorch", NULL},
        {"profile", 0, POPT_ARG_NONE, &w->profile, 0,
         "time, rate and bytes of each operation of a training step", NULL},
        {"scaling", 0, POPT_ARG_NONE, &w->scaling, 0,
         "what 1 to 64 threads would gain, from the tasks of a step", NULL},
        {"forward", 0, POPT_ARG_NONE, &w->forward, 0,
         "with --profile or --scaling: of a forward pass", NULL},
        {"products", 0, POPT_ARG_NONE, &w->products, 0,
         "rate of each convolution beside im2col by BLAS", NULL},
        {"operations", 0, POPT_ARG_NONE, &w->operations, 0,
         "milliseconds of convolutions of other kernels; tests/bench/peer_operations.py", NULL},
        {"level", 0, POPT_ARG_INT, &o->level, 0,
         "of --products: the kernels' instruction set: base (0), v3 (1) or v4 (2)", "N"},
        {"worker", 0, POPT_ARG_NONE | POPT_ARGFLAG_DOC_HIDDEN, &w->worker, 0, NULL, NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext("bench", argc, (const char **)argv, table, 0);
    poptSetOtherOptionHelp(context, MANUAL);
    int status = poptGetNextOpt(context);
    if (status < -1) refuse(poptStrerror(status), poptBadOption(context, 0));
    if (poptPeekArg(context)) refuse("is not an option", poptPeekArg(context));
    poptFreeContext(context);
}

static bench_mode mode_of(const words *w) {
    if (w->sweep + w->profile + w->scaling + w->products + w->operations + w->worker > 1)
        refuse("--sweep, --profile, --scaling, --products and --operations cannot be combined",
               NULL);
    if (w->worker) return BENCH_WORKER;
    if (w->sweep) return BENCH_SWEEP;
    if (w->profile) return BENCH_PROFILE;
    if (w->scaling) return BENCH_SCALING;
    if (w->operations) return BENCH_OPERATIONS;
    return w->products ? BENCH_PRODUCTS : BENCH_COMPARE;
}

static void check_limits(const bench_options *o) {
    const setting *s = &o->settings[0];
    limit("--base", s->base, 32, 4096);
    limit("--batch", s->batch, 1, 4096);
    limit("--size", s->size, 8, 4096);
    limit("--images", s->images, 1, 4096);
    limit("--threads", s->threads, 0, 256);
    limit("--level", o->level, DMI_ISA_BASE, dmi_cpu_isa());
    limit("--runs", o->runs, 1, RUNS_MAX);
    limit("--ddim-runs", o->ddim_runs, 0, RUNS_MAX);
}

/* sweep.json or bench.json beside the program. */
static char *json_path(const bench_options *o) {
    size_t size = strlen(o->folder) + 16;
    char *path = malloc(size);
    const char *name = o->mode == BENCH_SWEEP ? "sweep.json" : "bench.json";
    if (path) snprintf(path, size, "%s/%s", o->folder, name);
    return path;
}

void bench_options_read(bench_options *o, int argc, char **argv) {
    words w = {0};
    memset(o, 0, sizeof *o);
    find_program(o, argv[0]);
    parse(o, &w, argc, argv);
    o->mode = mode_of(&w);
    o->forward = w.forward;
    if (!o->runs) o->runs = w.quick ? 3 : 7;
    if (!o->ddim_runs && w.quick) o->ddim_runs = 1;
    choose_settings(o, &w.given, w.quick);
    check_limits(o);
    o->modes = w.modes ? w.modes : w.quick ? "eager,channels_last" : NULL;
    if (w.no_baseline) o->python = NULL;
    if (!o->baseline) o->baseline = strdup("tests/bench/peer_torch.py");
    if (!o->json) o->json = json_path(o);
    if (!o->baseline || !o->json) refuse("out of memory", NULL);
}
