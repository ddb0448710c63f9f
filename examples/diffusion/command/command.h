/* SPDX-License-Identifier: MIT */
/* A command of the program, as `diffusion train`: what it is called and explained by, its options,
 * and the function that runs it. Help, manual pages and completion are written from this alone. */
#ifndef DIFFUSION_COMMAND_COMMAND_H
#define DIFFUSION_COMMAND_COMMAND_H

#include "command/option.h"

typedef struct command_example {
    const char *words; /* "diffusion train photos" */
    const char *says;  /* "Trains on a folder of pictures" */
} command_example;

struct command_line;

typedef struct command {
    const char *name;        /* "train" */
    const char *words;       /* what may follow the options, "[DATA]"; "" for nothing */
    const char *summary;     /* one line, without a full stop */
    const char *description; /* paragraphs, divided by empty lines */
    const char *explained;   /* an enumeration whose values the help explains, or NULL */
    int words_min, words_max;
    option_kind words_kind;          /* what they are: OPTION_FILE and the like */
    const command_example *examples; /* ended by one without words */
    /* The groups of options with their defaults; *count becomes their number. Static storage. */
    option_group *(*groups)(size_t *count);
    /* Returns the exit status. */
    int (*run)(struct command_line *line);
} command;

/* A command line that was read. */
typedef struct command_line {
    const command *command;
    char program[32]; /* "diffusion train", with which messages begin */
    option_group *groups;
    size_t group_count;
    const char **words; /* [word_count]: what is no option */
    int word_count;
} command_line;

/* All commands, in the order of the help; NULL past the last. */
const command *command_at(size_t index);
const command *command_named(const char *name);

#endif
