/* SPDX-License-Identifier: MIT */
/* Folders and files that a command writes, and its context. */
#ifndef DIFFUSION_COMMAND_FILES_H
#define DIFFUSION_COMMAND_FILES_H

#include "command/line.h"

/* Refuses a path that does not end in `suffix`, as in ".png", or to which no file can be written;
 * `name` is the option's. Returns 0, or REPORTED after printing why. */
int check_output_path(const command_line *line, const char *name, const char *path,
                      const char *suffix);
/* Whether a folder has a file or folder of this name. */
int folder_has(const char *folder, const char *name);
/* Whether two paths name one file. */
int same_file(const char *a, const char *b);
/* Why a folder could not be made, or be written to if there is one; NULL if nothing stands against
 * it. */
const char *folder_obstacle(const char *path);
/* Makes a folder and those above it. Returns 0, or REPORTED after printing why not. */
int make_folder(const command_line *line, const char *path);
/* Locks a folder until *lock, a descriptor, is closed. 0; 1 if another process has locked it. *lock
 * is 0 where nothing is locked: the folder does not exist, or there are no such locks here. */
int lock_folder(const char *path, int *lock);
/* A context whose warnings are printed, or NULL after printing why not. memory_mb in 10^6 bytes, 0:
 * no limit; profile 0 or 1. `line` must outlive it. */
dm_context *create_context(const command_line *line, int64_t threads, int64_t memory_mb,
                           int32_t profile);

#endif
