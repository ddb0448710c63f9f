/* The command line of `sample`. */
#ifndef EXAMPLES_SAMPLE_OPTIONS_H
#define EXAMPLES_SAMPLE_OPTIONS_H

#include <diffusion.h>

enum { ALL_IN_TURN = -1, ROW_OF_EACH = -2, NO_CLASS = -3 }; /* in place of a label */

typedef struct sample_options {
    char *model, *out, *animation, *each, *weights;
    int32_t which; /* DM_WEIGHTS_* */
    int count, columns, scale, label, threads, profile;
    long long seed;
    char *class_word;   /* as it was given, or NULL */
    char *image, *mask; /* PNGs, or NULL */
    double strength;    /* negative: not given */
    double vary;        /* negative: not given */
    long long between;  /* negative: not given */
    int repaint, steps; /* steps 0: the solver's usual number */
    int stale_eps;      /* 1: DDIM goes on with eps as predicted, though x_0 is clipped */
    int torch;          /* 1: PyTorch's random numbers */
    dm_sampler_options sampler;
} sample_options;

/* Reads and checks the command line, and tells what is wrong with it. 0 where the program shall go
 * on. */
int read_sample_options(sample_options *o, int argc, const char **argv);
/* How many pictures and columns, where the command line left that open: 16 in a square, or a row
 * for each class. */
void settle_grid(sample_options *o, int32_t classes);
/* The usual number of steps of a solver on a schedule of `timesteps`. */
int32_t usual_steps(int32_t solver, int32_t timesteps);

#endif
