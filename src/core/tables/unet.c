/* SPDX-License-Identifier: MIT */
/* The members of dm_unet_options, dm_tensor_info, dm_unet_input and dm_diffusers_options. In arrays
 * with an entry for each level 0 stands for entries past `levels`; the network refuses it within
 * them. */
#include "core/tables/table.h"

/* clang-format off */
#define STRUCT dm_unet_options
static const dmi_member option_members[] = {
    SIZE_MEMBER,
    NUMBER(height, "32", 1, 4096, SAVED, "Height in pixels, divisible by 2^(levels-1)."),
    NUMBER(width, "32", 1, 4096, SAVED, "Width in pixels, divisible by 2^(levels-1)."),
    NUMBER(in_channels, "3", 1, 64, SAVED, "Channels of the input image."),
    NUMBER(out_channels, "3", 1, 64, SAVED, "Channels of the output image."),
    NUMBER(levels, "4", 1, DM_LEVELS_MAX, SAVED, "Number of resolutions."),
    NUMBER(channels, "64,128,128,128", 0, 8192, SAVED,
        "Channels of each level, 1 to 8192, multiples of norm_groups if that is not 0."),
    NUMBER(blocks, "2,2,2,2", 0, 16, SAVED, "Residual blocks of each level, 1 to 16."),
    FLAG(attention, "0,1,0,0", SAVED, "1: self-attention after each block of the level."),
    FLAG(mid_attention, "1", SAVED, "1: self-attention in the mid block."),
    NUMBER(attention_head_size, "0", 0, 8192, SAVED, "Channels of an attention head; 0: one head."),
    NUMBER(norm_groups, "32", 0, 8192, SAVED,
        "Groups of group normalisation; 0: a quarter of the channels, at most 32."),
    NUMBER(norm_eps, "1e-6", (double)1e-12f, 1, SAVED, "Epsilon of group normalisation."),
    NUMBER(dropout, "0", 0, BELOW_ONE, SAVED, "Dropout rate in training."),
    ENUM(time_embedding, dm_time_embedding, "add", SAVED,
        "Where the time embedding enters a block."),
    NUMBER(time_channels, "0", 0, 32768, SAVED, "Width of the time embedding; 0: 4 channels[0]."),
    FLAG(time_cos_first, "0", SAVED, "0: sines before cosines; 1: cosines first."),
    NUMBER(time_frequency_shift, "1", 0, 4096, SAVED, "Shift of the time embedding's frequencies."),
    ENUM(downsample_padding, dm_padding, "bottom_right", SAVED, "Padding of strided convolutions."),
    NUMBER(classes, "0", 0, 1000000, SAVED, "Number of labels; 0: none."),
    ENUM_RANGE(prediction, dm_prediction, "v", DM_PREDICT_EPS, DM_PREDICT_CONSISTENCY, SAVED,
        "What the output represents."),
    NUMBER(sigma_data, "0.5", 1e-3, 1e3, SAVED, "EDM: standard deviation of the images."),
    FLAG(learned_variance, "0", SAVED, "1: the output also interpolates the variance."),
    FLAG(self_conditioning, "0", SAVED, "1: the input also has the previous estimate of x_0."),
    PADDING(padding),
    ENUM(down_resample, dm_resample, "conv,conv,conv,conv,conv,conv,conv,conv", SAVED_IF_SET,
        "How each level of the encoder halves the size."),
    ENUM(up_resample, dm_resample, "conv,conv,conv,conv,conv,conv,conv,conv", SAVED_IF_SET,
        "How each level of the decoder doubles the size."),
    NUMBER(up_attention, "-1,-1,-1,-1,-1,-1,-1,-1", -1, 1, SAVED_IF_SET,
        "Attention of the decoder's levels; -1: as in the encoder."),
    FLAG(mid_block, "1", SAVED_IF_SET, "0: without the mid block."),
    NUMBER(mid_scale, "1", (double)1e-6f, 1e6, SAVED_IF_SET,
        "What the mid block's sums are divided by."),
    NUMBER(mid_norm_groups, "-1", -1, 8192, SAVED_IF_SET,
        "Groups of the mid block's attention; 0: no norm; -1: norm_groups."),
    ENUM(activation, dm_activation, "silu", SAVED_IF_SET,
        "Activation function of residual blocks."),
    ENUM(time_features, dm_time_features, "sinusoidal", SAVED_IF_SET,
        "What the time embedding begins with."),
    NUMBER(time_steps, "1000", 1, 1000000, SAVED_IF_SET, "Rows of a learned table of times."),
    FLAG(center_input, "0", SAVED_IF_SET, "1: the image is mapped from [0, 1] to [-1, 1]."),
    FLAG(null_row, "1", SAVED_IF_SET, "1: the class table has a row for no class."),
    NUMBER(condition_channels, "0", 0, 64, SAVED_IF_SET, "Channels of a condition image."),
    NUMBER(condition_size, "0", 0, 65536, SAVED_IF_SET, "Floats of a condition vector."),
    ENUM(condition_embedding, dm_condition, "linear", SAVED_IF_SET,
        "How a condition vector is embedded."),
    ENUM(recipe, dm_part, "end,end,end,end,end,end,end,end", SAVED_IF_SET,
        "Parts of each block in place of residual and attention blocks."),
    NUMBER(attention_window, "16", 1, 4096, SAVED_IF_SET,
        "Side in pixels of the windows of attention in a recipe."),
    ENUM(precision, dm_precision, "f32", SAVED_IF_SET, "Of forward passes, f32 or bf16."),
    PADDING(padding_last),
};
#define members option_members
DMI_STRUCT(dmi_struct_unet_options, "dm_unet_options", "unet");
#undef members
#undef STRUCT

#define STRUCT dm_tensor_info
static const dmi_member tensor_members[] = {
    SIZE_MEMBER,
    FIELD(rank, "Number of dimensions, 1 to 4."),
    FIELD(shape, "Dimensions; 1 past the rank."),
    FIELD(elements, "Number of elements."),
    FIELD(name, "Name, as in diffusers."),
    PADDING(padding),
};
#define members tensor_members
DMI_STRUCT(dmi_struct_tensor_info, "dm_tensor_info", "tensor");
#undef members
#undef STRUCT

#define STRUCT dm_unet_input
static const dmi_member input_members[] = {
    SIZE_MEMBER,
    PADDING(padding),
    FIELD(count, "Images, 1 to 65536."),
    FIELD(x_elements, "Floats of x."),
    FIELD(time_count, "Elements of times: count."),
    FIELD(label_count, "Labels: count, or 0."),
    FIELD(x, "Noisy images [count, height, width, in_channels]."),
    FIELD(times, "Time inputs [count]."),
    FIELD(labels, "Labels [count], or NULL."),
    PADDING(padding_pointer),
    FIELD(condition_image_elements, "Floats of condition_image, or 0."),
    FIELD(condition_vector_elements, "Floats of condition_vector, or 0."),
    FIELD(condition_image, "Condition images [count, height, width, condition_channels], or NULL."),
    FIELD(condition_vector, "Condition vectors [count, condition_size], or NULL."),
};
#define members input_members
DMI_STRUCT(dmi_struct_unet_input, "dm_unet_input", "unet");
#undef members
#undef STRUCT

#define STRUCT dm_diffusers_options
static const dmi_member diffusers_members[] = {
    SIZE_MEMBER,
    NUMBER(height, "0", 0, 4096, TRANSIENT, "Height in pixels; 0: the file's sample_size."),
    NUMBER(width, "0", 0, 4096, TRANSIENT, "Width in pixels; 0: the file's sample_size."),
    ENUM(prediction, dm_prediction, "any", TRANSIENT,
        "What the output represents; any: as the scheduler says."),
    FLAG(compatible, "0", TRANSIENT, "1: a scheduler's images are those of diffusers."),
    NUMBER(condition_channels, "0", 0, 64, TRANSIENT,
        "The last of the input's channels, which are those of a condition image."),
};
#define members diffusers_members
DMI_STRUCT(dmi_struct_diffusers_options, "dm_diffusers_options", "diffusers");
/* clang-format on */
