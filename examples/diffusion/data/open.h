/* SPDX-License-Identifier: MIT */
/* The data that a command works with: pictures of a folder, CIFAR-10, or generated shapes. */
#ifndef DIFFUSION_DATA_OPEN_H
#define DIFFUSION_DATA_OPEN_H

#include "command/line.h"
#include "data/data_options.h"
#include "data/folder.h"

typedef struct image_data {
    dm_dataset *dataset;
    dm_dataset_info info;
    picture_folder *pictures; /* NULL where the data is no folder */
} image_data;

/* What the images must be: 0, 0, 0 where the data decides. */
typedef struct image_shape {
    int32_t height, width, channels;
} image_shape;

/* Which of several sets: CIFAR-10's training or test images, or other shapes. */
typedef struct data_part {
    dm_split split;
    uint64_t shapes, shapes_seed; /* number of generated shapes, and their seed */
} data_part;
extern const data_part training_data, test_data;

/* Says on standard error what the data is and what of it is left out. Returns a status or
 * REPORTED. `line` has the options of data_options.h. */
int32_t open_data(image_data *out, dm_context *context, const command_line *line,
                  const data_part *part, image_shape shape);
void close_data(image_data *data);

#endif
