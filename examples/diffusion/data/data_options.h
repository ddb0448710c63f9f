/* SPDX-License-Identifier: MIT */
/* Where a command's pictures come from, and how they become images of one size. */
#ifndef DIFFUSION_DATA_DATA_OPTIONS_H
#define DIFFUSION_DATA_DATA_OPTIONS_H

#include "command/option.h"

typedef struct data_options {
    const char *path;       /* a folder of pictures, CIFAR-10, or "builtin" */
    const char *condition;  /* a folder of condition images with the same names, or NULL */
    const char *size;       /* "64" or "64x96": height and width; NULL: chosen */
    const char *crop;       /* "center" or "random" */
    const char *background; /* "white", "black" or "#rrggbb", under transparent pixels */
    int grey;
    int64_t memory_mb; /* for decoded pictures */
    int64_t readers;   /* threads that decode */
} data_options;

extern data_options data_values;

/* Whether a path of data names generated shapes. */
int is_builtin(const char *path);

/* The options that set data_values, which becomes the defaults. --condition is the last. */
option_group data_group(void);

#endif
