/* SPDX-License-Identifier: MIT */
/* The commands of the program. */
#ifndef DIFFUSION_COMMAND_COMMANDS_H
#define DIFFUSION_COMMAND_COMMANDS_H

#include "command/command.h"

extern const command demo_command, train_command, sample_command, evaluate_command,
    distance_command, info_command, convert_command, distill_command;

#endif
