/* SPDX-License-Identifier: MIT */
/* The parts of `diffusion demo`. */
#ifndef DIFFUSION_DEMO_DEMO_H
#define DIFFUSION_DEMO_DEMO_H

#include "command/line.h"
#include "console/output.h"
#include "picture/image_write.h"

enum {
    DEMO_SIZE = 16,
    DEMO_CLASSES = 10,
    DEMO_IMAGES = 6 * DEMO_CLASSES /* a column for each class */
};

typedef struct demo_options {
    const char *out;
    double minutes;
    int64_t steps, threads, seed;
    int no_pictures;
} demo_options;
extern demo_options demo_values;

typedef struct demo_job {
    const command_line *line;
    dm_context *context;
    image_writer writer;
    dm_schedule *schedule;
    dm_dataset *dataset;
    dm_unet *unet, *ema;
    dm_image_grid_options grid;
    animation animation;
} demo_job;

/* The path of a file in --out. Returns path. */
char *demo_path(const char *name, char path[OUTPUT_PATH_SIZE]);

/* ---- training.c ---- */

/* The network of 0.7 million parameters that is trained. */
dm_unet_options demo_network(void);
/* Trains, and saves the network, even if loss.csv could not be written to its end. *stop becomes
 * the signal that ended it, or 0. Returns a status or REPORTED. */
int32_t demo_train(demo_job *j, int *stop);

/* ---- drawing.c ---- */

/* Pictures of the model that is installed, if there is one. Functions return a status or REPORTED.
 */
int32_t demo_show_installed(demo_job *j);
/* Images of the trained network; `frames` may be NULL. */
int32_t demo_sample(demo_job *j, dm_solver solver, int32_t steps, const char *file,
                    animation *frames);

#endif
