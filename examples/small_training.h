/* SPDX-License-Identifier: MIT */
/* What super_resolution and condition_vector share: a network that is trained in minutes, its
 * training, and the frame of the program. */
#ifndef EXAMPLES_SMALL_TRAINING_H
#define EXAMPLES_SMALL_TRAINING_H

#include <diffusion.h>
#include <stdbool.h>

/* Levels of 32 and 64 channels, and one more of 64 above 16 pixels, for images of `size` x `size`
 * pixels in colour. */
dm_unet_options small_network(int32_t size);

/* Trains such a network on the dataset for a number of steps, with a line every 100, and sets *out
 * to a network with the average of its weights (EMA). */
dm_status small_train(dm_unet **out, const dm_unet_options *network, const dm_schedule *schedule,
                      const dm_dataset *dataset, const dm_trainer_options *options, uint64_t steps);
/* The options that suit it. */
dm_trainer_options small_options(uint64_t steps);

/* What the program was called with. */
typedef struct small_program {
    dm_context *context;
    const char *picture; /* path of the result */
    const char *data;    /* "builtin", or as given */
    uint64_t steps;
} small_program;

/* main of a program OUT.png [STEPS], or OUT.png [STEPS [DATA]] if it takes data, around `work`. */
int small_main(int argc, const char **argv, const char *name, bool takes_data, uint64_t steps,
               dm_status (*work)(const small_program *program));

#endif
