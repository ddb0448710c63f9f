/* SPDX-License-Identifier: MIT */
/* Stopping a program in order: by Ctrl-C (SIGINT), by SIGTERM as `kill` and a shutdown send it, or
 * by SIGHUP when the terminal is closed. The handler only records the signal. Callbacks of the
 * library check for it after each step and end the call, and so does the code between two calls, so
 * no signal is lost, whenever it arrives. */
#ifndef DIFFUSION_INTERRUPT_H
#define DIFFUSION_INTERRUPT_H

#include <stdint.h>

/* From here on, the first of these signals is recorded, and another one, a second or more later,
 * ends the program. (Within a second it counts as the same: `timeout` and a terminal that is closed
 * send it twice.) Signals that are ignored stay so, as nohup wants. */
void interrupt_begin(void);
/* The number of the recorded signal, or 0. */
int interrupt_signal(void);
/* The same, for a program that acts upon the signal and goes on: from then on interrupt_signal
 * returns 0, and another signal ends the program. */
int interrupt_take(void);
/* The exit status for a run that ended with `status`: 0 for 0, 128 + the signal's number for
 * DM_ERROR_CANCELLED by a signal, as a shell reports it, and 1 for any other. */
int interrupt_exit_status(int32_t status);

#endif
