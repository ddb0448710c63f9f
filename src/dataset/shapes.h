/* Drawing of the built-in pictures: one smooth-edged shape on a calm background. */
#ifndef DM_SRC_SHAPES_H
#define DM_SRC_SHAPES_H

#include <stdint.h>

enum {
    DMI_SHAPES = 10,       /* shapes 0 to 9, named in dmi_builtin_names */
    DMI_SHAPE_NUMBERS = 12 /* random numbers that one picture takes */
};

/* Draws `shape` into pixels [size, size, 3]. Its radius, place, turn and colours follow from the
 * numbers, each in [0, 1), and from nothing else. */
void dmi_shape_draw(uint8_t *pixels, int32_t size, int32_t shape,
                    const float numbers[DMI_SHAPE_NUMBERS]);

#endif
