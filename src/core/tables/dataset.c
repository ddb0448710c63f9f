/* SPDX-License-Identifier: MIT */
/* The members of dm_dataset_info, dm_dataset_memory, dm_dataset_item and dm_dataset_callback. */
#include "core/tables/table.h"

enum { SIDE_MAX = 65536, CHANNELS_MAX = 64, VECTOR_MAX = 65536 };
/* 2^56, so that positions of a run fit the counter of the random numbers. */
#define COUNT_MAX 72057594037927936.0

/* clang-format off */
#define STRUCT dm_dataset_info
static const dmi_member info_members[] = {
    SIZE_MEMBER,
    FIELD(classes, "Number of labels; 0: none, or not known."),
    FIELD(count, "Number of images."),
    FIELD(height, "Height in pixels."),
    FIELD(width, "Width in pixels."),
    FIELD(channels, "Channels."),
    PADDING(padding),
    FIELD(fingerprint, "Hash of the contents; 0: not known."),
    FIELD(condition_channels, "Channels of condition images; 0: none."),
    FIELD(condition_size, "Floats of condition vectors; 0: none."),
    FIELD(vector_invariant, "1: condition vectors stay right after flips and crops."),
    PADDING(padding_last),
};
#define members info_members
DMI_STRUCT(dmi_struct_dataset_info, "dm_dataset_info", "dataset");
#undef members
#undef STRUCT

#define STRUCT dm_dataset_memory
static const dmi_member memory_members[] = {
    SIZE_MEMBER,
    FLAG(copy, "0", TRANSIENT, "1: copy the arrays; 0: they must outlive the dataset."),
    NUMBER(count, NULL, 1, COUNT_MAX, TRANSIENT, "Number of images."),
    NUMBER(height, NULL, 1, SIDE_MAX, TRANSIENT, "Height in pixels."),
    NUMBER(width, NULL, 1, SIDE_MAX, TRANSIENT, "Width in pixels."),
    NUMBER(channels, NULL, 1, CHANNELS_MAX, TRANSIENT, "Channels."),
    PADDING(padding),
    FIELD(pixel_bytes, "Bytes of pixels."),
    FIELD(label_count, "Labels: count, or 0."),
    FIELD(pixels, "Images [count, height, width, channels]."),
    FIELD(labels, "Labels [count], or NULL."),
    NUMBER(condition_channels, "0", 0, CHANNELS_MAX, TRANSIENT,
        "Channels of condition images; 0: none."),
    NUMBER(condition_size, "0", 0, VECTOR_MAX, TRANSIENT, "Floats of condition vectors; 0: none."),
    FLAG(vector_invariant, "0", TRANSIENT,
        "1: condition vectors stay right after flips and crops."),
    PADDING(padding_last),
    FIELD(condition_image_bytes, "Bytes of condition_images, or 0."),
    FIELD(condition_vector_elements, "Floats of condition_vectors, or 0."),
    FIELD(condition_images, "Condition images [count, height, width, condition_channels]."),
    FIELD(condition_vectors, "Condition vectors [count, condition_size]."),
    ANY(class_name_count, "0", TRANSIENT, "Names in class_names: the number of classes, or 0."),
    FIELD(class_names, "Names of the classes [class_name_count], or NULL."),
    PADDING(padding_pointer),
};
#define members memory_members
DMI_STRUCT(dmi_struct_dataset_memory, "dm_dataset_memory", "dataset");
#undef members
#undef STRUCT

#define STRUCT dm_dataset_item
static const dmi_member item_members[] = {
    SIZE_MEMBER,
    ANY(label, "-1", TRANSIENT, "Label of the image, -1 for none."),
    FIELD(index, "Index of the image."),
    FIELD(pixel_bytes, "Bytes of pixels."),
    FIELD(pixels, "Image [height, width, channels], to be written."),
    PADDING(padding),
    FIELD(condition_image_bytes, "Bytes of condition_image, or 0."),
    FIELD(condition_vector_elements, "Floats of condition_vector, or 0."),
    FIELD(condition_image, "Condition image, to be written, or NULL."),
    POINTER(condition_vector, "Condition vector, to be written, or NULL."),
    FIELD(epoch, "Passes over the dataset before this one."),
};
#define members item_members
DMI_STRUCT(dmi_struct_dataset_item, "dm_dataset_item", "dataset");
#undef members
#undef STRUCT

#define STRUCT dm_dataset_callback
static const dmi_member callback_members[] = {
    SIZE_MEMBER,
    NUMBER(classes, "0", 0, 2147483647, TRANSIENT, "Number of labels; 0: none, or not known."),
    NUMBER(count, NULL, 1, COUNT_MAX, TRANSIENT, "Number of images."),
    NUMBER(height, NULL, 1, SIDE_MAX, TRANSIENT, "Height in pixels."),
    NUMBER(width, NULL, 1, SIDE_MAX, TRANSIENT, "Width in pixels."),
    NUMBER(channels, NULL, 1, CHANNELS_MAX, TRANSIENT, "Channels."),
    PADDING(padding),
    ANY(fingerprint, "0", TRANSIENT, "Hash of the contents; 0: not known."),
    FIELD(read, "Fills in one image."),
    FIELD(user, "First argument of read."),
    NUMBER(condition_channels, "0", 0, CHANNELS_MAX, TRANSIENT,
        "Channels of condition images; 0: none."),
    NUMBER(condition_size, "0", 0, VECTOR_MAX, TRANSIENT, "Floats of condition vectors; 0: none."),
    FLAG(vector_invariant, "0", TRANSIENT,
        "1: condition vectors stay right after flips and crops."),
    PADDING(padding_last),
    ANY(class_name_count, "0", TRANSIENT, "Names in class_names: classes, or 0."),
    FIELD(class_names, "Names of the classes [class_name_count], or NULL."),
    FIELD(prefetch, "Is told which images will be read next, or NULL."),
};
#define members callback_members
DMI_STRUCT(dmi_struct_dataset_callback, "dm_dataset_callback", "dataset");
/* clang-format on */
