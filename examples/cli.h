/* What the command lines of the examples share beside popt: words for choices, lists of numbers,
 * ranges, folders, and a context whose troubles are told. */
#ifndef EXAMPLES_CLI_H
#define EXAMPLES_CLI_H

#include <diffusion.h>
#include <popt.h>
#include <stdint.h>

/* The place of `word` in a list that ends with NULL, or -1 after telling which words there are. */
int32_t choice(const char *program, const char *option, const char *word, const char *const *words);
/* "64,128,128" into values, of which the rest becomes 0; a single number counts for all `wanted`.
 * Returns how many were given, or -1 after telling what is wrong. */
int32_t number_list(const char *program, const char *option, const char *text, int32_t *values,
                    int32_t most, int32_t wanted);
/* "0.99,0.999" into values likewise. */
int32_t real_list(const char *program, const char *option, const char *text, double *values,
                  int32_t most);
/* 1, after telling so, where `value` is not from `least` to `most`. */
int out_of_range(const char *program, const char *option, long long value, long long least,
                 long long most);
/* Reads the command line; tells what is wrong with it. 0 where the program shall go on. *marked,
 * unless it is NULL, becomes the `val` of the last option given that has one, else 0. */
int read_command_line(const char *program, int argc, const char **argv,
                      const struct poptOption *options, int *marked);
/* 1, after telling why, where no PNG can be written to `path`, the value of an option. */
int no_png(const char *program, const char *option, const char *path);
/* An option that does nothing without another: `used` tells whether that one, `with` in words, is
 * there. */
typedef struct use_rule {
    const char *option;
    int used;
    const char *with;
} use_rule;
/* 1, after telling so, where the command line has an option that does nothing. */
int has_unused(const char *program, int argc, const char **argv, const use_rule *rules,
               size_t count);
/* 1 where the command line has --option. */
int is_given(int argc, const char **argv, const char *option);
/* Makes a folder and those above it; tells why not. 0 on success. */
int make_folder(const char *program, const char *path);
/* A context, or NULL after telling why not; threads from 0 to 256, memory_limit in bytes, 0: none;
 * profile 0 or 1. */
dm_context *open_context(const char *program, int32_t threads, uint64_t memory_limit,
                         int32_t profile);
/* Tells what went wrong: the context's text, or the status's where the context has none. */
void tell_error(const char *program, const dm_context *context, int32_t status);

#endif
