/* SPDX-License-Identifier: MIT */
/* The command-line options of train_cifar10 that set members of the library's structs. */
#ifndef EXAMPLES_TRAIN_MEMBERS_H
#define EXAMPLES_TRAIN_MEMBERS_H

#include "member_options.h"
#include "train_options.h"

typedef struct train_members {
    member_options unet, schedule, trainer;
} train_members;

/* The structs in *o must hold the defaults. One *m in a program. */
void train_members_init(train_members *m, train_options *o);
/* Sets what was given; `preset` is the name of a dm_preset, or NULL for the default. 0, or 1 after
 * printing what is wrong. */
int train_members_apply(const train_members *m, train_options *o, const char *preset,
                        dm_context *context);
/* Refuses options that have no effect. */
int check_train_members(const train_options *o, int argc, const char **argv);

#endif
