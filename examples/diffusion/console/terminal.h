/* SPDX-License-Identifier: MIT */
/* What is known of the terminal. */
#ifndef DIFFUSION_CONSOLE_TERMINAL_H
#define DIFFUSION_CONSOLE_TERMINAL_H

#include <stdio.h>

/* Columns of the terminal that a stream goes to; $COLUMNS or 80 where it is none. */
int terminal_width(FILE *stream);

#endif
