/* SPDX-License-Identifier: MIT */
/* The command line of `sample`. */
#ifndef EXAMPLES_SAMPLE_OPTIONS_H
#define EXAMPLES_SAMPLE_OPTIONS_H

#include <diffusion.h>

/* Instead of a label: the classes in turn, a row of images for each class, or no class. */
enum { CLASSES_IN_TURN = -1, CLASSES_IN_ROWS = -2, NO_CLASS = -3 };
enum { RUNS_MAX = 16 };

typedef struct sample_options {
    char *model, *out, *animation, *each;
    dm_weights weights;
    int count, columns, scale, profile;
    int steps[RUNS_MAX]; /* of each run; 0: the usual number for the solver */
    int runs;            /* each samples `count` images of the same seeds */
    int label;           /* a label, or one of the above */
    char *class_word;    /* --class as given, or NULL */
    char *image, *mask;  /* PNG files, or NULL */
    int use_strength;    /* 1: --strength was given; request.strength is its value */
    double vary;         /* negative: not given */
    long long between;   /* a seed; negative: not given */
    dm_sampler_options sampler;
    dm_sampler_request request; /* random, seed, strength and repaint_repetitions */
} sample_options;

/* Reads and checks the command line and creates the context. 0, or 1 after printing what is
 * wrong. */
int read_sample_options(sample_options *o, dm_context **context, int argc, const char **argv);
/* Sets the number of images and columns where the command line does not: 16 in a square, or a row
 * for each class or run. */
void choose_grid(sample_options *o, int32_t classes);

#endif
