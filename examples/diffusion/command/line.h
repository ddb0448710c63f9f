/* SPDX-License-Identifier: MIT */
/* Reading a command line. Functions that check return 0, or 1 after printing what is wrong. */
#ifndef DIFFUSION_COMMAND_LINE_H
#define DIFFUSION_COMMAND_LINE_H

#include "command/command.h"

/* A failure whose message was printed already, beside the library's statuses, which are 0 or
 * negative. */
enum { REPORTED = 1 };

/* Reads argv[1] to argv[argc - 1] for a command; argv is put in another order. Sets all options but
 * those of members. *done becomes 1 where the command line asked for help, which was printed. */
int command_line_read(command_line *line, const command *c, int argc, const char **argv, int *done);
/* Gives an option a value as if it stood on the command line; `text` must outlive *line. */
int command_line_set(const command_line *line, option *o, const char *text);
/* Sets the members that were given. */
int command_line_apply(const command_line *line, dm_context *context);
/* Option `name`, which the command has. */
option *command_line_option(const command_line *line, const char *name);
/* How often it was given. */
int command_line_given(const command_line *line, const char *name);

/* An option that has no effect unless `used`; `with` is what it needs, in words. */
typedef struct option_rule {
    const char *option;
    int used;
    const char *with;
} option_rule;
/* Refuses options that were given and have no effect. */
int command_line_check(const command_line *line, const option_rule *rules, size_t count);

/* Prints "diffusion train: " and a message. Returns REPORTED. */
__attribute__((format(printf, 2, 3))) int command_line_refuse(const command_line *line,
                                                              const char *format, ...);
/* Refuses the text of an option that is none of `words`, which are divided by spaces. */
int command_line_refuse_word(const command_line *line, const option *o, const char *words);
/* Prints a warning of the library, in which members become options. */
void command_line_warn(const command_line *line, const char *message);
/* Prints the context's error text, in which members become options, or the status's message if
 * there is none, or the signal that stopped the run; nothing for 0 and REPORTED. */
void command_line_print_error(const command_line *line, const dm_context *context, int32_t status);

#endif
