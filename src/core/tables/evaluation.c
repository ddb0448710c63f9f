/* SPDX-License-Identifier: MIT */
/* The members of dm_evaluation_options and dm_evaluation. */
#include "core/tables/table.h"

/* clang-format off */
#define STRUCT dm_evaluation_options
static const dmi_member option_members[] = {
    SIZE_MEMBER,
    NUMBER(batch_size, "16", 1, 4096, TRANSIENT, "Images in one model evaluation."),
    ANY(first, "0", TRANSIENT, "First image of the dataset."),
    ANY(count, "256", TRANSIENT, "Images at most; 0: all that follow."),
    ANY(seed, "0", TRANSIENT, "Seed of the noise."),
    NUMBER(timesteps, "20", 0, 100000, TRANSIENT, "Timesteps per image; 0: all."),
    ENUM(variance, dm_variance, "auto", TRANSIENT, "Variance of the steps."),
    FLAG(clip, "1", TRANSIENT, "1: clip the predicted x_0 to [-1, 1]."),
    FLAG(use_labels, "1", TRANSIENT, "1: give the dataset's labels to a network with classes."),
};
#define members option_members
DMI_STRUCT(dmi_struct_evaluation_options, "dm_evaluation_options", "evaluate");
#undef members
#undef STRUCT

#define STRUCT dm_evaluation
static const dmi_member result_members[] = {
    SIZE_MEMBER,
    PADDING(padding),
    FIELD(images, "Images evaluated."),
    FIELD(bits, "Bits per value, all terms together."),
    FIELD(standard_error, "Standard error of bits."),
    FIELD(prior_bits, "L_T in bits per value."),
    FIELD(step_bits, "L_1 to L_(T-1) in bits per value."),
    FIELD(decoder_bits, "L_0 in bits per value."),
    FIELD(loss, "Mean squared error in each quarter of the timesteps."),
};
#define members result_members
DMI_STRUCT(dmi_struct_evaluation, "dm_evaluation", "evaluate");
/* clang-format on */
