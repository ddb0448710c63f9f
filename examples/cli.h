/* What the command lines of the examples share beside popt: words for choices, lists of numbers, folders. */
#ifndef EXAMPLES_CLI_H
#define EXAMPLES_CLI_H

#include <popt.h>
#include <stdint.h>

/* The place of `word` in a list that ends with NULL, or -1 after telling which words there are. */
int32_t choice(const char *option, const char *word, const char *const *words);
/* "64,128,128" into values, of which the rest becomes 0; a single number counts for all `wanted`. Returns how many were
 * given, or -1 after telling what is wrong. */
int32_t number_list(const char *option, const char *text, int32_t *values, int32_t most, int32_t wanted);
/* Reads the command line; tells what is wrong with it. 0 where the program shall go on. */
int read_command_line(const char *program, int argc, const char **argv, const struct poptOption *options);
/* Makes a folder and those above it; tells why not. 0 on success. */
int make_folder(const char *program, const char *path);

#endif
