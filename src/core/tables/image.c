/* SPDX-License-Identifier: MIT */
/* The members of dm_image_grid_options and dm_image_animation. */
#include "core/tables/table.h"

enum { SIDE_MAX = 2147483647 };

/* clang-format off */
#define STRUCT dm_image_grid_options
static const dmi_member grid_members[] = {
    SIZE_MEMBER,
    NUMBER(height, NULL, 1, SIDE_MAX, TRANSIENT, "Height of one image in pixels."),
    NUMBER(width, NULL, 1, SIDE_MAX, TRANSIENT, "Width of one image in pixels."),
    NUMBER(channels, NULL, 1, 4, TRANSIENT, "Channels: 1, 3 or 4."),
    NUMBER(columns, "8", 1, SIDE_MAX, TRANSIENT, "Images in a row."),
    NUMBER(scale, "1", 1, 64, TRANSIENT, "Enlargement."),
    NUMBER(gap, "1", 0, 1024, TRANSIENT, "Pixels around each image."),
    PADDING(padding),
    NUMBER(count, NULL, 1, 2147483647, TRANSIENT, "Number of images."),
};
#define members grid_members
DMI_STRUCT(dmi_struct_image_grid_options, "dm_image_grid_options", "image");
#undef members
#undef STRUCT

#define STRUCT dm_image_animation
static const dmi_member animation_members[] = {
    SIZE_MEMBER,
    NUMBER(height, NULL, 1, SIDE_MAX, TRANSIENT, "Height of a frame in pixels."),
    NUMBER(width, NULL, 1, SIDE_MAX, TRANSIENT, "Width of a frame in pixels."),
    NUMBER(channels, NULL, 1, 4, TRANSIENT, "Channels: 1, 3 or 4."),
    NUMBER(frames, NULL, 1, SIDE_MAX, TRANSIENT, "Number of frames."),
    NUMBER(delay_ms, "100", 0, 65535, TRANSIENT, "Milliseconds of each frame."),
    NUMBER(last_delay_ms, "1000", 0, 65535, TRANSIENT, "Milliseconds of the last frame."),
    PADDING(padding),
};
#define members animation_members
DMI_STRUCT(dmi_struct_image_animation, "dm_image_animation", "image");
/* clang-format on */
