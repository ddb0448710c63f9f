/* SPDX-License-Identifier: MIT */
/* Command lines of the examples, on top of popt: checks with error messages, folders, and a context
 * that reports its errors and warnings. Functions that check return 0 if all is well and 1 after
 * they have printed what is wrong; `program` is the name that starts a message. */
#ifndef EXAMPLES_CLI_H
#define EXAMPLES_CLI_H

#include <diffusion.h>
#include <popt.h>
#include <stdint.h>

/* A failure whose message was printed already, beside the library's statuses, which are 0 or
 * negative. */
enum { REPORTED = 1 };

/* Help of the option --weights. */
extern const char weights_help[];

/* Parses the command line; refuses unknown options and arguments that are no options. */
int read_command_line(const char *program, int argc, const char **argv,
                      const struct poptOption *options);
/* Whether the command line has --option. */
int is_given(int argc, const char **argv, const char *option);
/* Refuses a value outside [minimum, maximum]. */
int check_range(const char *program, const char *option, long long value, long long minimum,
                long long maximum);
/* Refuses a path to which no PNG can be written. */
int check_png_path(const char *program, const char *option, const char *path);

/* An option that has no effect unless `used`; `with` is what it needs, in words. */
typedef struct option_rule {
    const char *option;
    int used;
    const char *with;
} option_rule;
/* Refuses options that have no effect. */
int check_unused(const char *program, int argc, const char **argv, const option_rule *rules,
                 size_t count);

/* A copy of the name of an enumeration's value with '_' for each '-', so that both are accepted. */
void enum_word(char *word, size_t capacity, const char *text);
/* *value becomes the value of that name in an enumeration of the library. */
int read_enum(const char *program, const char *option, const char *enumeration, const char *name,
              int32_t *value);

/* Makes a folder and those above it. */
int make_folder(const char *program, const char *path);
/* A context, or NULL after printing why not. memory_limit in bytes, 0: none; profile 0 or 1. */
dm_context *create_context(const char *program, int32_t threads, uint64_t memory_limit,
                           int32_t profile);
/* Prints the context's error text, or the status's message if there is none, or the signal that
 * stopped the run; nothing for REPORTED. */
void print_error(const char *program, const dm_context *context, int32_t status);

#endif
