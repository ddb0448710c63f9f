/* SPDX-License-Identifier: MIT */
/* The members of the structs that a sampler's callbacks receive, and of dm_denoiser. */
#include "core/tables/table.h"

/* clang-format off */
#define STRUCT dm_sampler_progress
static const dmi_member progress_members[] = {
    SIZE_MEMBER,
    FIELD(step, "Steps done."),
    FIELD(steps, "Steps in total."),
    PADDING(padding),
    FIELD(first, "First image of the request."),
    FIELD(count, "Images."),
    FIELD(elements, "Floats of x_t and of x_0."),
    FIELD(x_t, "Noisy images [count, h, w, c]."),
    FIELD(x_0, "Images predicted from x_t [count, h, w, c]."),
};
#define members progress_members
DMI_STRUCT(dmi_struct_sampler_progress, "dm_sampler_progress", "sampler");
#undef members
#undef STRUCT

#define STRUCT dm_noise_request
static const dmi_member noise_members[] = {
    SIZE_MEMBER,
    FIELD(step, "0: initial noise; i: noise of step i."),
    FIELD(first, "First image of the request."),
    FIELD(count, "Images."),
    FIELD(elements, "Floats of one image."),
};
#define members noise_members
DMI_STRUCT(dmi_struct_noise_request, "dm_noise_request", "sampler");
#undef members
#undef STRUCT

#define STRUCT dm_denoiser_input
static const dmi_member input_members[] = {
    SIZE_MEMBER,
    FIELD(height, "Height in pixels."),
    FIELD(width, "Width in pixels."),
    FIELD(channels, "Channels."),
    FIELD(first, "First image of the request."),
    FIELD(count, "Images."),
    FIELD(timestep, "Fractional timestep, 0 to T-1."),
    FIELD(time, "Time input of the network."),
    FIELD(signal, "x = signal x_0 + noise eps."),
    FIELD(noise, "x = signal x_0 + noise eps."),
    FIELD(x, "Noisy images [count, height, width, channels]."),
    FIELD(labels, "Labels [count], or NULL."),
    FIELD(condition_image, "Image condition, or NULL."),
    FIELD(condition_vector, "Vector condition, or NULL."),
    FIELD(condition_image_elements, "Elements of condition_image."),
    FIELD(condition_vector_elements, "Elements of condition_vector."),
};
#define members input_members
DMI_STRUCT(dmi_struct_denoiser_input, "dm_denoiser_input", "denoiser");
#undef members
#undef STRUCT

#define STRUCT dm_guidance_step
static const dmi_member guidance_members[] = {
    SIZE_MEMBER,
    NUMBER(rederive, "0", 0, 2, TRANSIENT, "1: eps from x_0; 2: x_0 from eps; 0: neither."),
    FIELD(first, "First image of the request."),
    FIELD(count, "Images."),
    FIELD(elements, "Elements of x, x_0 and eps."),
    FIELD(timestep, "Fractional timestep, 0 to T-1."),
    FIELD(time, "Time input of the network."),
    FIELD(signal, "x = signal x_0 + noise eps."),
    FIELD(noise, "x = signal x_0 + noise eps."),
    FIELD(x, "Noisy images [count, h, w, c]."),
    FIELD(labels, "Labels [count], or NULL."),
    POINTER(x_0, "Predicted images [count, h, w, c], may be changed."),
    POINTER(eps, "Predicted noise [count, h, w, c], may be changed."),
};
#define members guidance_members
DMI_STRUCT(dmi_struct_guidance_step, "dm_guidance_step", "sampler");
#undef members
#undef STRUCT

#define STRUCT dm_denoiser
static const dmi_member denoiser_members[] = {
    SIZE_MEMBER,
    ENUM_RANGE(prediction, dm_prediction, "eps", DM_PREDICT_EPS, DM_PREDICT_CONSISTENCY, TRANSIENT,
        "What the output represents."),
    NUMBER(height, NULL, 1, 65536, TRANSIENT, "Height in pixels."),
    NUMBER(width, NULL, 1, 65536, TRANSIENT, "Width in pixels."),
    NUMBER(channels, NULL, 1, 65536, TRANSIENT, "Channels."),
    NUMBER(classes, "-1", -1, 2147483647, TRANSIENT, "Number of labels; -1: any label."),
    NUMBER(sigma_data, "0.5", 1e-3, 1e3, TRANSIENT, "EDM: standard deviation of the images."),
    FIELD(evaluate, "Writes the model's output."),
    FIELD(user, "First argument of evaluate."),
    NUMBER(condition_channels, "0", 0, 65536, TRANSIENT, "Channels of condition images; 0: none."),
    NUMBER(condition_size, "0", 0, 65536, TRANSIENT, "Floats of condition vectors; 0: none."),
};
#define members denoiser_members
DMI_STRUCT(dmi_struct_denoiser, "dm_denoiser", "denoiser");
/* clang-format on */
