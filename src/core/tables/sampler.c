/* SPDX-License-Identifier: MIT */
/* The members of dm_sampler_options and dm_sampler_request. */
#include "core/tables/table.h"

/* clang-format off */
#define STRUCT dm_sampler_options
static const dmi_member option_members[] = {
    SIZE_MEMBER,
    ENUM(solver, dm_solver, "ddim", TRANSIENT, "How to go from one noise level to the next."),
    NUMBER(steps, "50", 1, 100000, TRANSIENT, "Steps from noise to image."),
    NUMBER(batch_size, "16", 1, 4096, TRANSIENT, "Images in one model evaluation."),
    ENUM(spacing, dm_spacing, "auto", TRANSIENT, "Which timesteps are used."),
    NUMBER(steps_offset, "0", 0, 100000, TRANSIENT, "Added to each timestep of leading spacing."),
    ENUM(grid, dm_grid, "auto", TRANSIENT, "Which values of sigma are used."),
    FLAG(final_alpha_one, "1", TRANSIENT, "1: the last step goes to the clean image."),
    NUMBER(rho, "7", 1, 100, TRANSIENT, "Exponent of the karras grid."),
    NUMBER(order, "0", 0, 4, TRANSIENT, "Order of the solver; 0: the usual."),
    FLAG(lower_order_final, "1", TRANSIENT, "1: lower the order towards the last step."),
    ENUM(variance, dm_variance, "auto", TRANSIENT, "Variance of DDPM's steps."),
    NUMBER(rederive_eps, "-1", -1, 1, TRANSIENT,
        "DDIM: eps from the clipped x_0; -1: only with guidance."),
    NUMBER(eta, "0", 0, 1, TRANSIENT, "DDIM: 0: deterministic; 1: as noisy as DDPM."),
    NUMBER(churn, "0", 0, 1e6, TRANSIENT, "Noise added before each step of Euler and Heun."),
    NUMBER(churn_sigma_min, "0", 0, 1e300, TRANSIENT, "Smallest sigma with churn."),
    NUMBER(churn_sigma_max, "1e300", 0, 1e300, TRANSIENT, "Largest sigma with churn."),
    NUMBER(churn_noise, "1", 0, 10, TRANSIENT, "Standard deviation of churn's noise."),
    FLAG(clip, "1", TRANSIENT, "1: clip the predicted x_0 to [-1, 1]."),
    ENUM(expected_prediction, dm_prediction, "any", TRANSIENT,
        "What the network must predict; any: not checked."),
    NUMBER(guidance, "1", -100, 100, TRANSIENT, "Classifier-free guidance; 1: off."),
    NUMBER(guidance_rescale, "0", 0, 1, TRANSIENT, "Rescaling of the guided output."),
    NUMBER(guidance_begin, "0", 0, 1, TRANSIENT, "Smallest t / T with guidance."),
    NUMBER(guidance_end, "1", 0, 1, TRANSIENT, "Largest t / T with guidance."),
    NUMBER(threshold, "0", 0, 1, TRANSIENT, "Quantile of dynamic thresholding; 0: off."),
    NUMBER(threshold_max, "1e300", ABOVE_ZERO, 1e300, TRANSIENT, "Largest value of that quantile."),
    ANY(custom_count, "0", TRANSIENT, "Elements of custom_times or custom_sigmas."),
    FIELD(custom_times, "Timesteps to visit, whole or fractional, or NULL."),
    FIELD(custom_sigmas, "Values of sigma to visit, or NULL."),
    FLAG(diffusers_compatible, "0", TRANSIENT, "1: steps as diffusers' schedulers do them."),
    PADDING(padding),
    NUMBER(clip_range, "0", 0, 1e300, TRANSIENT, "What clip clips to; 0: 1."),
};
#define members option_members
DMI_STRUCT(dmi_struct_sampler_options, "dm_sampler_options", "sampler");
#undef members
#undef STRUCT

#define STRUCT dm_sampler_request
static const dmi_member request_members[] = {
    SIZE_MEMBER,
    ENUM(random, dm_random, "philox", TRANSIENT, "Source of random numbers."),
    NUMBER(count, "1", 1, 65536, TRANSIENT, "Images."),
    ANY(seed, "0", TRANSIENT, "Image i has the seed seed + i."),
    NUMBER(strength, "1", ABOVE_ZERO, 1, TRANSIENT, "Share of the steps that image goes through."),
    NUMBER(repaint_repetitions, "1", 1, 100, TRANSIENT, "Repetitions of each segment of steps."),
    NUMBER(repaint_jump_length, "10", 1, 100000, TRANSIENT, "Steps of a segment."),
    FIELD(seed_count, "Elements of seeds."),
    FIELD(label_count, "Elements of labels."),
    FIELD(initial_noise_elements, "Elements of initial_noise."),
    FIELD(image_elements, "Elements of image."),
    FIELD(mask_elements, "Elements of mask."),
    FIELD(seeds, "Seeds [count], or NULL."),
    FIELD(labels, "Labels [count], or NULL."),
    FIELD(initial_noise, "Initial noise [count, h, w, c], or NULL."),
    FIELD(image, "Image [count, h, w, c] for strength, mask and inversion, or NULL."),
    FIELD(mask, "Mask [count, h, w]: 1: sampled, 0: kept; or NULL."),
    FIELD(noise, "Noise source, or NULL."),
    FIELD(noise_user, "First argument of noise."),
    FIELD(progress, "Called after each step, or NULL."),
    FIELD(progress_user, "First argument of progress."),
    PADDING(padding),
    FIELD(guide, "Changes x_0 and eps at each model evaluation, or NULL."),
    FIELD(guide_user, "First argument of guide."),
    FIELD(condition_image_elements, "Floats of condition_image, or 0."),
    FIELD(condition_vector_elements, "Floats of condition_vector, or 0."),
    FIELD(condition_image, "Condition images [count, height, width, condition_channels], or NULL."),
    FIELD(condition_vector, "Condition vectors [count, condition_size], or NULL."),
};
#define members request_members
DMI_STRUCT(dmi_struct_sampler_request, "dm_sampler_request", "sampler");
/* clang-format on */
