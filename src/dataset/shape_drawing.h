/* SPDX-License-Identifier: MIT */
/* Drawing of shapes: one smooth-edged shape on a plain or graded background. */
#ifndef DM_SRC_SHAPE_DRAWING_H
#define DM_SRC_SHAPE_DRAWING_H

#include <stdint.h>

enum {
    DMI_SHAPES = 10,          /* kinds of shapes */
    DMI_SHAPE_NUMBERS = 9,    /* random numbers that one image takes */
    DMI_SHAPE_DESCRIPTION = 6 /* numbers that describe it */
};

/* Draws `shape`, from 0, into pixels [size, size, 3]. Radius, position, rotation and colours follow
 * from the numbers, each in [0, 1). */
void dmi_shape_draw(uint8_t *pixels, int32_t size, int32_t shape,
                    const float numbers[DMI_SHAPE_NUMBERS]);
/* The shape that these numbers draw, as dm_dataset_create_described_shapes says. */
void dmi_shape_describe(float description[DMI_SHAPE_DESCRIPTION],
                        const float numbers[DMI_SHAPE_NUMBERS]);

#endif
