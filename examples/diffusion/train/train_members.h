/* SPDX-License-Identifier: MIT */
/* The options of `diffusion train` that set members of the library's structs. */
#ifndef DIFFUSION_TRAIN_TRAIN_MEMBERS_H
#define DIFFUSION_TRAIN_TRAIN_MEMBERS_H

#include "command/line.h"
#include "train/train_options.h"

enum { TRAIN_MEMBER_GROUPS = 3 };

/* Fills groups[TRAIN_MEMBER_GROUPS]: network, schedule, trainer. Returns their number. The structs
 * in *o must hold the defaults. */
size_t train_member_groups(option_group *groups, train_options *o);
/* Sets what was given. 0, or 1 after printing what is wrong. */
int apply_train_members(const command_line *line, train_options *o, dm_context *context);
/* The entries of a list as in "32,64". */
int32_t list_length(const char *list);
/* Refuses options that have no effect. */
int check_train_members(const command_line *line, const train_options *o);

#endif
