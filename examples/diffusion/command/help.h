/* SPDX-License-Identifier: MIT */
/* What a command prints about itself: help for a terminal, manual pages, and completion. */
#ifndef DIFFUSION_COMMAND_HELP_H
#define DIFFUSION_COMMAND_HELP_H

#include "command/command.h"

/* The names and summaries of all commands. */
void print_program_help(void);
void print_command_help(const command *c);
/* A manual page in man(7)'s format, of the program where c is NULL. */
void print_manual(const command *c);
/* A completion script for "bash", "zsh" or "fish"; 1 if the shell is another. */
int print_completion(const char *shell);

#endif
