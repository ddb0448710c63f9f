/* SPDX-License-Identifier: MIT */
/* See sample_options.h. */
#include "sample_options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "sampler_options.h"

static const char *program_name = "sample"; /* for the examples of --help */

static member_option request_options[] = {
    {.name = "seed", .letter = 's', .member = "seed"},
    {.name = "random", .member = "random"},
    {.name = "strength",
     .member = "strength",
     .help = "Share of the steps that --image goes through after noise was added to it"},
    {.name = "repaint",
     .member = "repaint_repetitions",
     .help = "With a mask: repetitions of each segment of steps"},
};

static void print_solvers(void) {
    static const char *const examples[][2] = {
        {"-m FILE", "16 images by ddim in 50 steps"},
        {"-m FILE --solver unipc --steps 10", "nearly as good, in a fifth of the time"},
        {"-m FILE --guidance 2", "closer to their class, less varied"},
        {"-m FILE --image cat.png --strength 0.6", "similar to an image"},
        {"-m FILE --image cat.png --mask hole.png --repaint 5", "new where the mask is white"},
        {"-m FILE --image cat.png --vary 0.3", "variations of an image"},
        {"-m FILE --seed 1 --between 7 --class 3", "interpolates between two seeds' images"},
        {"-m FILE --class rows --guidance 2", "eight of each class, a row each"},
    };
    printf("\nSolvers (--solver NAME):\n");
    for (int32_t i = 0, solver; !dm_enum_item("dm_solver", i, &solver); i++)
        printf("  %-16s %s\n", dm_enum_name("dm_solver", solver),
               dm_enum_help("dm_solver", solver));
    printf("\nExamples:\n");
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        printf("  # %s\n  %s %s\n", examples[i][1], program_name, examples[i][0]);
}

/* Refuses options that contradict each other. */
static int check_combinations(const sample_options *o) {
    const char *a = NULL, *b = NULL;
    if ((o->use_strength || o->vary >= 0 || o->mask) && !o->image)
        a = o->mask ? "mask" : o->vary >= 0 ? "vary" : "strength", b = "without --image";
    else if (o->vary >= 0 && o->use_strength) a = "vary", b = "with --strength";
    else if (o->vary >= 0 && o->mask) a = "vary", b = "with --mask";
    else if (o->between >= 0 && o->image) a = "between", b = "with --image";
    else if (o->animation && o->runs > 1) a = "animation", b = "with several numbers of --steps";
    else if (o->request.repaint_repetitions > 1 && !o->mask) a = "repaint", b = "without --mask";
    else if (o->image && !o->mask && o->vary < 0 && !o->use_strength)
        a = "image", b = "without --strength, --mask or --vary";
    if (a) fprintf(stderr, "sample: --%s cannot be used %s (--help has examples)\n", a, b);
    return a != NULL;
}

static int check_values(const sample_options *o, int argc, const char **argv) {
    if (is_given(argc, argv, "vary") && !(o->vary >= 0 && o->vary <= 1)) {
        fprintf(stderr, "sample: --vary is %g; it must be from 0 to 1\n", o->vary);
        return 1;
    }
    if (is_given(argc, argv, "between") &&
        check_range("sample", "between", o->between, 0, LLONG_MAX))
        return 1;
    if (o->animation && !strcmp(o->animation, o->out)) {
        fprintf(stderr, "sample: --out and --animation are both '%s'\n", o->out);
        return 1;
    }
    return check_png_path("sample", "out", o->out) ||
           (o->animation && check_png_path("sample", "animation", o->animation)) ||
           check_range("sample", "count", o->count, 0, 65536) ||
           check_range("sample", "columns", o->columns, 0, 65536) ||
           check_range("sample", "scale", o->scale, 1, 64);
}

/* --class: a label, or one of three words, which -1 to -3 stand for too. */
static int read_class(sample_options *o) {
    static const char *const words[] = {"turn", "rows", "none"};
    const char *word = o->class_word;
    char *end;
    if (!word) return 0;
    for (int i = 0; i < 3; i++)
        if (!strcmp(word, words[i])) return o->label = CLASSES_IN_TURN - i, 0;
    long label = strtol(word, &end, 10);
    if (end == word || *end || label < NO_CLASS || label > INT32_MAX) {
        fprintf(stderr, "sample: --class is '%s'; it must be a label, 'turn', 'rows' or 'none'\n",
                word);
        return 1;
    }
    o->label = (int)label;
    return 0;
}

/* --steps: a number, or several with commas. */
static int read_steps(sample_options *o, const char *text) {
    const char *rest = text;
    for (o->runs = 0; o->runs < RUNS_MAX; rest++) {
        char *end;
        long steps = strtol(rest, &end, 10);
        if (end == rest || (*end && *end != ',')) break;
        if (check_range("sample", "steps", steps, 0, 100000)) return 1;
        o->steps[o->runs++] = (int)steps;
        rest = end;
        if (!*end) return 0;
    }
    fprintf(stderr, "sample: --steps is '%s'; it must be a number, or up to %d as in 10,20,50\n",
            text, (int)RUNS_MAX);
    return 1;
}

/* Filled by popt beside *o. */
typedef struct arguments {
    char *weights, *steps;
    int threads;
    member_options sampler, request;
} arguments;

static int parse(sample_options *o, arguments *a, int argc, const char **argv) {
    const int shown = POPT_ARGFLAG_SHOW_DEFAULT;
    struct poptOption options[] = {
        {"model", 'm', POPT_ARG_STRING, &o->model, 0,
         "Checkpoint or network, a safetensors file (required)", "FILE"},
        {"weights", 0, POPT_ARG_STRING | shown, &a->weights, 0, weights_help, "NAME"},
        {"out", 'o', POPT_ARG_STRING | shown, &o->out, 0, "The grid of images", "PNG"},
        {"animation", 'a', POPT_ARG_STRING, &o->animation, 0,
         "An animated PNG of the run: x_0 as predicted after each step", "PNG"},
        {"each", 0, POPT_ARG_STRING, &o->each, 0, "Folder for each image as a file", "DIR"},
        {"count", 'n', POPT_ARG_INT | shown, &o->count, 0,
         "Images; 0: 16, or with --class rows 8 of each class", "N"},
        {"columns", 0, POPT_ARG_INT | shown, &o->columns, 0, "Images in a row; 0: a square", "N"},
        {"scale", 0, POPT_ARG_INT | shown, &o->scale, 0, "Enlargement", "N"},
        {"class", 'c', POPT_ARG_STRING, &o->class_word, 0,
         "A label, turn (all classes in turn), rows (a row of each class) or none (default: turn; "
         "with --image or --between 0)",
         "WHICH"},
        {"steps", 0, POPT_ARG_STRING | shown, &a->steps, 0,
         "0: the usual number for the solver; several, as in 10,20,50: a row of images for each",
         "LIST"},
        {"image", 0, POPT_ARG_STRING, &o->image, 0,
         "An image to start from, with --strength, --mask or --vary", "PNG"},
        {"mask", 0, POPT_ARG_STRING, &o->mask, 0,
         "White where --image is sampled anew, black where it is kept", "PNG"},
        {"vary", 0, POPT_ARG_DOUBLE, &o->vary, 0,
         "Variations of --image: distance from the noise it is inverted to, 0 to 1", "X"},
        {"between", 0, POPT_ARG_LONGLONG, &o->between, 0,
         "Interpolate from the noise of --seed to that of this seed", "N"},
        {"threads", 't', POPT_ARG_INT | shown, &a->threads, 0, "0: one for each processor", "N"},
        {"profile", 0, POPT_ARG_NONE, &o->profile, 0,
         "Print at the end where the time went, by operation", NULL},
        POPT_TABLEEND};
    struct poptOption all[] = {{NULL, 0, POPT_ARG_INCLUDE_TABLE, options, 0, "Options:", NULL},
                               {NULL, 0, POPT_ARG_INCLUDE_TABLE, a->request.table, 0,
                                "Noise and images:", NULL},
                               {NULL, 0, POPT_ARG_INCLUDE_TABLE, a->sampler.table, 0,
                                "The sampler:", NULL},
                               POPT_AUTOHELP POPT_TABLEEND};
    return read_command_line("sample", argc, argv, all);
}

int read_sample_options(sample_options *o, dm_context **context, int argc, const char **argv) {
    static arguments a;
    *context = NULL;
    *o = (sample_options){
        .out = "samples.png", .scale = 4, .label = CLASSES_IN_TURN, .vary = -1, .between = -1};
    a.weights = "default";
    a.steps = "0";
    dm_sampler_options_init(&o->sampler, sizeof o->sampler);
    dm_sampler_request_init(&o->request, sizeof o->request);
    o->request.seed = 1;
    sampler_options_init(&a.sampler, &o->sampler);
    member_options_init(&a.request, "dm_sampler_request", &o->request, request_options,
                        sizeof request_options / sizeof *request_options);
    const char *slash = strrchr(argv[0], '/');
    program_name = slash ? slash + 1 : argv[0];
    for (int i = 1; i < argc; i++)
        if ((!strcmp(argv[i], "--help") || !strcmp(argv[i], "-?")) && atexit(print_solvers))
            fprintf(stderr, "sample: out of memory\n");
    if (parse(o, &a, argc, argv) || read_steps(o, a.steps)) return 1;
    if (!o->model) {
        fprintf(stderr, "sample: --model is missing (--help lists the options)\n");
        return 1;
    }
    if (check_values(o, argc, argv) || read_class(o) ||
        check_range("sample", "threads", a.threads, 0, 256) ||
        read_enum("sample", "weights", "dm_weights", a.weights, &o->weights))
        return 1;
    *context = create_context("sample", a.threads, 0, o->profile);
    if (!*context) return 1;
    o->use_strength = is_given(argc, argv, "strength");
    return member_options_apply(&a.sampler, "sample", *context) ||
           member_options_apply(&a.request, "sample", *context) ||
           check_sampler_options("sample", argc, argv, &o->sampler) || check_combinations(o);
}

void choose_grid(sample_options *o, int32_t classes) {
    if (o->label == CLASSES_IN_ROWS && classes > 0) {
        if (!o->columns) o->columns = o->count ? (o->count + classes - 1) / classes : 8;
        if (!o->count) o->count = o->columns * classes;
    }
    if (!o->count) o->count = 16;
    if (!o->columns && o->runs > 1) o->columns = o->count;
    for (int square = o->columns < 1; square && o->columns * o->columns < o->count;) o->columns++;
}
