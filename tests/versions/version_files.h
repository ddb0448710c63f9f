/* SPDX-License-Identifier: MIT */
/* The files that are kept of each version, and what they hold: shared by the program that makes
 * them and by the test that loads them. Only the public interface is used. */
#ifndef DM_TESTS_VERSION_FILES_H
#define DM_TESTS_VERSION_FILES_H

#include <diffusion.h>

enum { VERSION_SIDE = 16, VERSION_STEPS = 3, VERSION_ELEMENTS = VERSION_SIDE * VERSION_SIDE * 3 };

/* 16 x 16 images of shapes, with labels. */
static inline dm_status version_dataset(dm_dataset **out, dm_context *context) {
    return dm_dataset_create_shapes(out, context, VERSION_SIDE, 100, 1);
}

/* The output for a fixed image at time 300 with class 1: its first four elements. */
static inline dm_status version_forward(dm_unet *unet, float first[4]) {
    float x[VERSION_ELEMENTS], output[VERSION_ELEMENTS];
    const double time = 300;
    const int32_t label = 1;
    dm_unet_input in;
    dm_status status = dm_unet_input_init(&in, sizeof in);
    for (int i = 0; i < VERSION_ELEMENTS; i++) x[i] = (float)(i * 37 % 101) / 50 - 1;
    in.count = in.time_count = in.label_count = 1;
    in.x_elements = VERSION_ELEMENTS;
    in.x = x;
    in.times = &time;
    in.labels = &label;
    if (!status) status = dm_unet_forward(unet, &in, output, VERSION_ELEMENTS);
    for (int i = 0; i < 4; i++) first[i] = output[i];
    return status;
}

#endif
