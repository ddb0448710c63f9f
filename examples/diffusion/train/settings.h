/* SPDX-License-Identifier: MIT */
/* The options of a run that its checkpoint does not hold: settings.txt in its folder, lines as
 * "data=photos", from which --resume takes what is not given again. */
#ifndef DIFFUSION_TRAIN_SETTINGS_H
#define DIFFUSION_TRAIN_SETTINGS_H

#include "command/line.h"

/* Whether the file is one that write_settings has written. */
int is_settings(const char *path);
/* Refuses values that would be read back as something else. 0, or REPORTED. */
int check_settings(const command_line *line);
/* Writes the options that are saved, after check_settings. 0, or REPORTED. */
int write_settings(const command_line *line, const char *path);
/* Sets the options of the file that were not given. A file that does not exist sets none. 0, or
 * REPORTED. */
int read_settings(const command_line *line, const char *path);

#endif
