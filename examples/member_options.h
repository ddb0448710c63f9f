/* SPDX-License-Identifier: MIT */
/* Command-line options that set members of one options struct of the library: names of values,
 * ranges, defaults and help come from the library's own tables. */
#ifndef EXAMPLES_MEMBER_OPTIONS_H
#define EXAMPLES_MEMBER_OPTIONS_H

#include <diffusion.h>
#include <popt.h>

enum { MEMBER_OPTIONS_MAX = 48, MEMBER_HELP_SIZE = 400 };

typedef struct member_option {
    const char *name;   /* of the option: "lr" */
    char letter;        /* 'l', or 0 */
    const char *member; /* "learning_rate" */
    const char *flag;   /* what an option without an argument sets: "1"; NULL: it has one */
    const char *help;   /* NULL: the library's */
    const char *hidden; /* a word of its enumeration that --help does not offer, or NULL */
    char *text;         /* the argument as given, or NULL */
    int given;          /* of an option without an argument */
} member_option;

typedef struct member_options {
    const char *struct_name; /* "dm_trainer_options" */
    void *values;            /* the initialised struct */
    member_option *options;
    int count;
    struct poptOption table[MEMBER_OPTIONS_MAX + 1]; /* for POPT_ARG_INCLUDE_TABLE */
    char help[MEMBER_OPTIONS_MAX][MEMBER_HELP_SIZE];
} member_options;

/* Fills *m and its table. The defaults that --help shows are those in `values` now. */
void member_options_init(member_options *m, const char *struct_name, void *values,
                         member_option *options, int count);
/* The argument of an option after popt has read the command line, or NULL. */
const char *member_options_text(const member_options *m, const char *name);
/* The name of one of the options that was given, or NULL. */
const char *member_options_given(const member_options *m);
/* Sets what was given. 0, or 1 after printing which option is wrong and why. */
int member_options_apply(const member_options *m, const char *program, dm_context *context);

#endif
