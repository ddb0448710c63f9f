/* SPDX-License-Identifier: MIT */
/* See sample_options.h. */
#include "sample/sample_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/files.h"
#include "model/sampler_options.h"

enum { COUNT_MAX = 65536, STEPS_MAX = 100000 };

sample_options sample_values;

static option options[] = {
    {.name = "out",
     .letter = 'o',
     .kind = OPTION_FILE,
     .argument = "PNG",
     .value = &sample_values.out,
     .help = "The grid of images"},
    {.name = "count",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .value = &sample_values.count,
     .minimum = 1,
     .maximum = COUNT_MAX,
     .initial = "16, or 8 of each class with --class rows",
     .help = "Number of images in all"},
    {.name = "class",
     .letter = 'c',
     .kind = OPTION_CHOICE,
     .choices = "turn rows none",
     .open = 1,
     .argument = "WHICH",
     .value = &sample_values.classes,
     .initial = "turn",
     .help = "A class by its name or number, several as in cat,dog, turn (all classes in turn), "
             "rows (a row of each class) or none"},
    {.name = "steps",
     .kind = OPTION_TEXT,
     .argument = "LIST",
     .value = &sample_values.step_list,
     .initial = "the usual number for the solver",
     .help = "Steps of the solver; several, as in 10,20,50: a row of images for each"},
    {.name = "each",
     .kind = OPTION_FOLDER,
     .value = &sample_values.each,
     .help = "Folder for each image as a file of its own"},
    {.name = "animation",
     .letter = 'a',
     .kind = OPTION_FILE,
     .argument = "PNG",
     .value = &sample_values.animation,
     .help = "An animated PNG of the run: x_0 as predicted after each step"},
    {.name = "npz",
     .kind = OPTION_FILE,
     .argument = "NPZ",
     .value = &sample_values.npz,
     .help = "All images as a NumPy file, which the usual evaluators read for FID, sFID, Inception "
             "Score, precision and recall"},
    {.name = "columns",
     .kind = OPTION_COUNT,
     .value = &sample_values.columns,
     .minimum = 0,
     .maximum = COUNT_MAX,
     .initial = "as in a square",
     .help = "Images in a row of the grid"},
    {.name = "scale",
     .kind = OPTION_COUNT,
     .value = &sample_values.scale,
     .minimum = 1,
     .maximum = 64,
     .initial = "so that images have 128 pixels or more",
     .help = "Enlargement of the grid's images"},
    {.name = "no-pictures",
     .kind = OPTION_FLAG,
     .value = &sample_values.no_pictures,
     .help = "Do not show the grid in the terminal"},
    {.name = "profile",
     .kind = OPTION_FLAG,
     .value = &sample_values.profile,
     .help = "Print at the end where the time went, by operation"},
};

static option picture_options[] = {
    {.name = "seed", .letter = 's', .kind = OPTION_MEMBER, .member = "seed"},
    {.name = "random", .member = "random"},
    {.name = "image",
     .kind = OPTION_FILE,
     .argument = "FILE",
     .value = &sample_values.image,
     .help = "A picture to start from, with --strength, --mask or --vary"},
    {.name = "strength",
     .member = "strength",
     .help = "Share of the steps that --image goes through after noise was added to it"},
    {.name = "mask",
     .kind = OPTION_FILE,
     .argument = "FILE",
     .value = &sample_values.mask,
     .help = "A picture that is white where --image is regenerated, black where it is kept"},
    {.name = "repaint",
     .member = "repaint_repetitions",
     .help = "With a mask: repetitions of each segment of steps"},
    {.name = "vary",
     .kind = OPTION_REAL,
     .value = &sample_values.vary,
     .minimum = 0,
     .maximum = 1,
     .initial = "",
     .help = "Variations of --image: distance from its inverted noise, 0 to 1"},
    {.name = "between",
     .kind = OPTION_COUNT,
     .value = &sample_values.between,
     .minimum = 0,
     .maximum = 9e18,
     .initial = "",
     .help = "Interpolate from the noise of --seed to that of this seed"},
    {.name = "condition",
     .kind = OPTION_FILE,
     .argument = "FILE",
     .value = &sample_values.condition,
     .help = "Condition image, or a folder of them, which are used in turn"},
    {.name = "vector",
     .kind = OPTION_TEXT,
     .argument = "LIST",
     .value = &sample_values.vector,
     .help = "Condition vector, as in 0.1,-0.5"},
    {.name = "tile",
     .kind = OPTION_CHOICE,
     .choices = "horizontal vertical both",
     .value = &sample_values.tile,
     .help = "Make images that repeat without a seam in this direction"},
    {.name = "compute",
     .kind = OPTION_CHOICE,
     .choices = "f32 bf16",
     .value = &sample_values.compute,
     .initial = "the model's",
     .help = "What the network computes in; bf16 takes half of the memory between its layers"},
};

option_group *sample_groups(size_t *count) {
    static option_group all[4];
    sample_options *o = &sample_values;
    *o = (sample_options){.out = "samples.png", .between = -1};
    dm_sampler_options_init(&o->sampler, sizeof o->sampler);
    dm_sampler_request_init(&o->request, sizeof o->request);
    o->request.seed = 1;
    all[0] = (option_group){.title = "Images",
                            .options = options,
                            .count = sizeof options / sizeof *options};
    all[1] = model_group();
    all[2] = (option_group){"Noise and pictures", "dm_sampler_request", &o->request,
                            picture_options, sizeof picture_options / sizeof *picture_options};
    all[3] = sampler_group(&o->sampler);
    *count = 4;
    return all;
}

/* Refuses options that contradict each other. */
static int check_combinations(const command_line *line, const sample_options *o) {
    const char *a = NULL, *b = NULL;
    if ((o->use_strength || o->use_vary || o->mask) && !o->image)
        a = o->mask ? "mask" : o->use_vary ? "vary" : "strength", b = "without --image";
    else if (o->use_vary && o->use_strength) a = "vary", b = "with --strength";
    else if (o->use_vary && o->mask) a = "vary", b = "with --mask";
    else if (o->use_between && o->image) a = "between", b = "with --image";
    else if (o->animation && o->runs > 1) a = "animation", b = "with several numbers of --steps";
    else if (command_line_given(line, "repaint") && !o->mask) a = "repaint", b = "without --mask";
    else if (o->image && !o->mask && !o->use_vary && !o->use_strength)
        a = "image", b = "without --strength, --mask or --vary";
    return a ? command_line_refuse(line, "--%s cannot be used %s (--help has examples)", a, b) : 0;
}

/* --steps: a number, or several with commas. */
static int read_steps(const command_line *line, sample_options *o) {
    const char *text = o->step_list ? o->step_list : "0", *rest = text;
    for (o->runs = 0; o->runs < RUNS_MAX; rest++) {
        char *end;
        long steps = strtol(rest, &end, 10);
        if (end == rest || (*end && *end != ',')) break;
        if (steps < 0 || steps > STEPS_MAX)
            return command_line_refuse(line, "--steps is %ld; it must be from 0 to %d", steps,
                                       STEPS_MAX);
        o->steps[o->runs++] = (int32_t)steps;
        rest = end;
        if (!*end) return 0;
    }
    return command_line_refuse(line,
                               "--steps is '%s'; it must be a number, or up to %d as in 10,20,50",
                               text, (int)RUNS_MAX);
}

int check_sample_options(const command_line *line, sample_options *o) {
    o->use_strength = command_line_given(line, "strength");
    o->use_vary = command_line_given(line, "vary");
    o->use_between = command_line_given(line, "between");
    if (o->animation && !strcmp(o->animation, o->out))
        return command_line_refuse(line, "--out and --animation are both '%s'", o->out);
    return check_output_path(line, "out", o->out, ".png") ||
           (o->animation && check_output_path(line, "animation", o->animation, ".png")) ||
           (o->npz && check_output_path(line, "npz", o->npz, ".npz")) || read_steps(line, o) ||
           check_combinations(line, o);
}

int choose_classes(const command_line *line, sample_options *o, const model *m) {
    const char *text = o->classes;
    char word[256];
    if (!text) {
        /* Variations and interpolations are of one class. */
        if (!m->options.classes || !(o->use_between || o->image)) return 0;
        o->choice = CLASSES_LISTED;
        o->listed_count = 1;
        fprintf(stderr, "all of class %s (--class NAME for another, --class turn for all)\n",
                class_text(m, 0, word));
        return 0;
    }
    if (!m->options.classes)
        return command_line_refuse(line, "--class is '%s'; %s has no classes", text, m->path);
    if (command_line_given(line, "class") > 1)
        return command_line_refuse(line, "--class is given twice; commas join names: --class a,b");
    static const char *const words[] = {"turn", "rows", "none"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, words[i])) return o->choice = (class_choice)i, 0;
    o->choice = CLASSES_LISTED;
    while (o->listed_count < CLASSES_MAX) {
        size_t length = strcspn(text, ",");
        snprintf(word, sizeof word, "%.*s", (int)length, text);
        if (find_class(line, m, word, &o->listed[o->listed_count++])) return REPORTED;
        if (!text[length]) return 0;
        text += length + 1;
    }
    return command_line_refuse(line, "--class names more than %d classes", (int)CLASSES_MAX);
}

void choose_grid(sample_options *o, int32_t classes) {
    if (o->choice == CLASSES_IN_ROWS && classes > 0) {
        if (!o->columns) o->columns = o->count ? (o->count + classes - 1) / classes : 8;
        if (!o->count) o->count = o->columns * classes;
    }
    if (!o->count) o->count = 16;
    if (!o->columns && o->runs > 1) o->columns = o->count;
    for (int square = o->columns < 1; square && o->columns * o->columns < o->count;) o->columns++;
}
