#include "sample_options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { SOLVERS_MOST = 64 };

/* Words whose places are the values of an option. */
static const char *const spacings[] = {"leading", "trailing", "linspace", NULL};
static const char *const variances[] = {"small", "large", "learned", NULL};
static const char *const grids[] = {"timesteps", "karras", "exponential", NULL};
static const char *const weight_words[] = {"average",   "trained",   "average-1",
                                           "average-2", "average-3", NULL};
static const char *const randoms[] = {"philox", "torch", NULL};

int32_t usual_steps(int32_t solver, int32_t timesteps) {
    int32_t usual =
        solver == DM_SOLVER_DDPM    ? timesteps
        : solver == DM_SOLVER_UNIPC ? 15
        : solver == DM_SOLVER_DPMPP || solver == DM_SOLVER_DPMPP_SINGLE || solver == DM_SOLVER_DEIS
            ? 20
            : 50;
    return usual < timesteps ? usual : timesteps;
}

static const char *called = "sample"; /* as installed it has another name */

static void print_solvers(void) {
    printf("\nSolvers, and when to use which (--solver NAME):\n");
    for (int32_t i = 0; i < dm_solver_count(); i++)
        printf("  %-16s %s\n", dm_solver_name(i), dm_solver_advice(i));
    static const char *const examples[][2] = {
        {"-m FILE", "16 pictures by ddim in 50 steps"},
        {"-m FILE --solver unipc --steps 10", "nearly as good, five times as fast"},
        {"-m FILE --guidance 2", "more like their class, less varied"},
        {"-m FILE --image cat.png --strength 0.6", "like a picture, 40 % of it kept"},
        {"-m FILE --image cat.png --mask hole.png --repaint 5", "draws where the mask is white"},
        {"-m FILE --image cat.png --vary 0.3", "variations of a picture"},
        {"-m FILE --seed 1 --between 7 --class 3", "from seed 1's picture to seed 7's"},
        {"-m FILE --class rows --guidance 2", "eight of each class, a row each"},
    };
    printf("\nExamples:\n");
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        printf("  # %s\n  %s %s\n", examples[i][1], called, examples[i][0]);
}

/* What contradicts itself, before anything is read. */
static int check(const sample_options *o) {
    const char *a = NULL, *b = NULL;
    if ((o->strength >= 0 || o->vary >= 0 || o->mask) && !o->image)
        a = o->mask ? "mask" : o->vary >= 0 ? "vary" : "strength", b = "no --image";
    else if (o->vary >= 0 && o->strength >= 0) a = "vary", b = "--strength";
    else if (o->vary >= 0 && o->mask) a = "vary", b = "--mask";
    else if (o->between >= 0 && o->image) a = "between", b = "--image";
    else if (o->repaint > 1 && !o->mask) a = "repaint", b = "no --mask";
    else if (o->image && !o->mask && o->vary < 0 && o->strength < 0)
        a = "image", b = "none of --strength, --mask and --vary";
    if (a) {
        fprintf(stderr, "sample: --%s and %s don't go together (--help has examples)\n", a, b);
        return 1;
    }
    if (o->strength >= 0 && !(o->strength > 0 && o->strength <= 1)) {
        fprintf(stderr, "sample: --strength is %g; it must be above 0, at most 1\n", o->strength);
        return 1;
    }
    if (o->vary > 1) {
        fprintf(stderr, "sample: --vary is %g; it must be from 0 to 1\n", o->vary);
        return 1;
    }
    if (o->animation && !strcmp(o->animation, o->out)) {
        fprintf(stderr, "sample: --out and --animation are both '%s'\n", o->out);
        return 1;
    }
    if (no_png("sample", "out", o->out) ||
        (o->animation && no_png("sample", "animation", o->animation)))
        return 1;
    return out_of_range("sample", "count", o->count, 0, 65536) ||
           out_of_range("sample", "columns", o->columns, 0, 65536) ||
           out_of_range("sample", "scale", o->scale, 1, 64) ||
           out_of_range("sample", "threads", o->threads, 0, 256) ||
           out_of_range("sample", "steps", o->steps, 0, 100000) ||
           out_of_range("sample", "seed", o->seed, 0, LLONG_MAX) ||
           out_of_range("sample", "repaint", o->repaint, 1, 100);
}

/* --class: a label, a word, or as before there were words -1 and -2. */
static int read_class(sample_options *o) {
    static const char *const words[] = {"turn", "rows", "none", NULL};
    char *end;
    const char *word = o->class_word;
    if (!word) return 0;
    for (int i = 0; words[i]; i++)
        if (!strcmp(word, words[i])) return o->label = ALL_IN_TURN - i, 0;
    long label = strtol(word, &end, 10);
    if (end == word || *end || label < ROW_OF_EACH || label > INT32_MAX) {
        fprintf(stderr,
                "sample: --class is '%s'; it must be a number from 0 on, turn, rows or none\n",
                word);
        return 1;
    }
    o->label = (int)label;
    return 0;
}

static int given_below_0(int argc, const char **argv, const char *option, double value) {
    if (value >= 0 || !is_given(argc, argv, option)) return 0;
    fprintf(stderr, "sample: --%s is %g; it must be from 0 to 1\n", option, value);
    return 1;
}

int read_sample_options(sample_options *o, int argc, const char **argv) {
    *o = (sample_options){.out = "samples.png",
                          .weights = "average",
                          .scale = 4,
                          .label = ALL_IN_TURN,
                          .seed = 1,
                          .vary = -1,
                          .between = -1,
                          .strength = -1,
                          .repaint = 1};
    dm_sampler_options *s = &o->sampler;
    dm_sampler_options_init(s, sizeof *s);
    char *solver = "ddim", *spacing = "trailing", *variance = "large", *grid = "timesteps",
         *random = "philox";
    int no_clip = 0, batch = s->batch_size, order = 0;
    const char *names[SOLVERS_MOST] = {NULL};
    for (int32_t i = 0; i < dm_solver_count() && i < SOLVERS_MOST - 1; i++)
        names[i] = dm_solver_name(i);
    const int shown = POPT_ARGFLAG_SHOW_DEFAULT;
    struct poptOption options[] = {
        {"model", 'm', POPT_ARG_STRING, &o->model, 0,
         "checkpoint or network, a safetensors file (needed)", "FILE"},
        {"weights", 0, POPT_ARG_STRING | shown, &o->weights, 0,
         "of a checkpoint: average, trained, or one of more averages, average-1 to average-3",
         "WHICH"},
        {"out", 'o', POPT_ARG_STRING | shown, &o->out, 0, "the grid", "PNG"},
        {"animation", 'a', POPT_ARG_STRING, &o->animation, 0,
         "an animated PNG of the run, of what the network sees in the noise", "PNG"},
        {"each", 0, POPT_ARG_STRING, &o->each, 0, "folder for every picture as a file", "DIR"},
        {"count", 'n', POPT_ARG_INT | shown, &o->count, 0,
         "pictures; 0: 16, or with --class rows 8 of each", "N"},
        {"columns", 0, POPT_ARG_INT | shown, &o->columns, 0, "pictures in a row; 0: a square", "N"},
        {"scale", 0, POPT_ARG_INT | shown, &o->scale, 0, "how many times each is enlarged", "N"},
        {"seed", 's', POPT_ARG_LONGLONG | shown, &o->seed, 0, "picture i has this seed plus i",
         "N"},
        {"random", 0, POPT_ARG_STRING | shown, &random, 0,
         "numbers: philox, or torch for what a seed gives in PyTorch", "SOURCE"},
        {"class", 'c', POPT_ARG_STRING, &o->class_word, 0,
         "of networks with classes: a number from 0 on, turn (all in turn), rows (a row of each) "
         "or none (default: turn; with --image or --between 0)",
         "WHICH"},
        {"guidance", 'g', POPT_ARG_DOUBLE | shown, &s->guidance, 0,
         "towards the class: 1 is none, 2 to 4 is usual; of networks trained with --label-dropout",
         "X"},
        {"guidance-rescale", 0, POPT_ARG_DOUBLE | shown, &s->guidance_rescale, 0,
         "brings the contrast back, 0 to 1; 0.7 is usual", "X"},
        {"guidance-begin", 0, POPT_ARG_DOUBLE | shown, &s->guidance_begin, 0,
         "only where t / T is from here", "X"},
        {"guidance-end", 0, POPT_ARG_DOUBLE | shown, &s->guidance_end, 0,
         "to here; 1 is noise, 0 the picture", "X"},
        {"solver", 0, POPT_ARG_STRING | shown, &solver, 0, "see below", "NAME"},
        {"steps", 0, POPT_ARG_INT | shown, &o->steps, 0, "0: as is usual with the solver", "N"},
        {"order", 0, POPT_ARG_INT | shown, &order, 0,
         "of lms, dpmpp, dpmpp_single, dpmpp_sde, unipc, deis; 0: the usual one", "N"},
        {"grid", 0, POPT_ARG_STRING | shown, &grid, 0,
         "from euler to deis: timesteps, karras or exponential", "WAY"},
        {"spacing", 0, POPT_ARG_STRING | shown, &spacing, 0,
         "of the timesteps: leading, trailing or linspace", "WAY"},
        {"eta", 0, POPT_ARG_DOUBLE | shown, &s->eta, 0,
         "ddim: noise added at each step, from 0 to 1", "X"},
        {"churn", 0, POPT_ARG_DOUBLE | shown, &s->churn, 0,
         "euler, heun: noise added before each step, 0 to 80", "X"},
        {"variance", 0, POPT_ARG_STRING | shown, &variance, 0,
         "ddpm: small (posterior), large (beta) or learned", "WHICH"},
        {"stale-eps", 0, POPT_ARG_NONE, &o->stale_eps, 0,
         "ddim: eps stays as predicted where x_0 is clipped, as diffusers has it", NULL},
        {"no-clip", 0, POPT_ARG_NONE, &no_clip, 0,
         "do not clip what the network predicts to [-1, 1]", NULL},
        {"threshold", 0, POPT_ARG_DOUBLE | shown, &s->threshold, 0,
         "dynamic thresholding at this quantile; 0.995 with much guidance", "X"},
        {"image", 0, POPT_ARG_STRING, &o->image, 0,
         "a picture to begin from, with --strength, --mask or --vary", "PNG"},
        {"strength", 0, POPT_ARG_DOUBLE, &o->strength, 0,
         "how much of the way to noise the picture goes first, up to 1", "X"},
        {"mask", 0, POPT_ARG_STRING, &o->mask, 0,
         "white where the picture is to be drawn anew, black where it stays", "PNG"},
        {"repaint", 0, POPT_ARG_INT | shown, &o->repaint, 0,
         "with a mask: how often each stretch of steps is gone through", "N"},
        {"vary", 0, POPT_ARG_DOUBLE, &o->vary, 0,
         "variations: how far from the picture's own noise, 0 to 1", "X"},
        {"between", 0, POPT_ARG_LONGLONG, &o->between, 0,
         "from the picture of --seed to that of this seed, on the arc", "N"},
        {"batch", 0, POPT_ARG_INT | shown, &batch, 0,
         "pictures through the network at once; an animation takes all", "N"},
        {"threads", 't', POPT_ARG_INT | shown, &o->threads, 0, "0: one for each processor", "N"},
        {"profile", 0, POPT_ARG_NONE, &o->profile, 0,
         "tell at the end where the time went, operation by operation", NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    const char *slash = strrchr(argv[0], '/');
    called = slash ? slash + 1 : argv[0];
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-?")) atexit(print_solvers);
    if (read_command_line("sample", argc, argv, options, NULL)) return 1;
    if (!o->model) {
        fprintf(stderr, "sample: --model is missing (--help lists the options)\n");
        return 1;
    }
    o->which = choice("sample", "weights", o->weights, weight_words);
    o->torch = choice("sample", "random", random, randoms);
    s->solver = choice("sample", "solver", solver, names);
    s->spacing = choice("sample", "spacing", spacing, spacings);
    s->variance = choice("sample", "variance", variance, variances);
    s->grid = choice("sample", "grid", grid, grids);
    s->order = order;
    s->clip = !no_clip;
    s->batch_size = batch;
    s->rederive_eps = s->solver == DM_SOLVER_DDIM && !o->stale_eps;
    if (o->which < 0 || o->torch < 0 || s->solver < 0 || s->spacing < 0 || s->variance < 0 ||
        s->grid < 0)
        return 1;
    const use_rule rules[] = {
        {"variance", s->solver == DM_SOLVER_DDPM, "--solver ddpm"},
        {"stale-eps", s->solver == DM_SOLVER_DDIM, "--solver ddim"},
        {"guidance-rescale", s->guidance != 1, "--guidance"},
        {"guidance-begin", s->guidance != 1, "--guidance"},
        {"guidance-end", s->guidance != 1, "--guidance"},
    };
    if (has_unused("sample", argc, argv, rules, sizeof rules / sizeof *rules)) return 1;
    /* Negative is "not given" below. */
    if ((is_given(argc, argv, "between") &&
         out_of_range("sample", "between", o->between, 0, LLONG_MAX)) ||
        given_below_0(argc, argv, "strength", o->strength) ||
        given_below_0(argc, argv, "vary", o->vary))
        return 1;
    return read_class(o) || check(o);
}

void settle_grid(sample_options *o, int32_t classes) {
    if (o->label == ROW_OF_EACH && classes > 0) {
        if (!o->columns) o->columns = o->count ? (o->count + classes - 1) / classes : 8;
        if (!o->count) o->count = o->columns * classes;
    }
    if (!o->count) o->count = 16;
    for (int square = o->columns < 1; square && o->columns * o->columns < o->count;) o->columns++;
}
