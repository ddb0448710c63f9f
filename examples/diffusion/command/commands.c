/* SPDX-License-Identifier: MIT */
/* See commands.h. */
#include "command/commands.h"

#include <string.h>

static const command *const commands[] = {
    &demo_command,     &sample_command,   &train_command,   &info_command,
    &evaluate_command, &distance_command, &convert_command, &distill_command,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

const command *command_at(size_t index) { return index < COMMANDS ? commands[index] : NULL; }

const command *command_named(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}
