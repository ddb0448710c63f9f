/* SPDX-License-Identifier: MIT */
/* The members of dm_trainer_options, dm_train_stats, dm_checkpoint_info and
 * dm_train_batch. */
#include "core/tables/table.h"

/* clang-format off */
#define STRUCT dm_trainer_options
static const dmi_member option_members[] = {
    SIZE_MEMBER,
    NUMBER(batch_size, "64", 1, 4096, SAVED, "Images in one pass."),
    NUMBER(accumulation, "1", 1, 4096, SAVED, "Passes whose gradients make one step."),
    ENUM(recompute, dm_recompute, "none", SAVED, "What backward recomputes instead of keeping."),
    ANY(seed, "0", SAVED, "Seed of all random numbers of the run."),
    FLAG(flip, "0", SAVED, "1: mirror half of the images."),
    NUMBER(crop_padding, "0", 0, 65535, SAVED, "Pixels of padding before a random crop."),
    FLAG(use_labels, "1", SAVED, "1: give the dataset's labels to a network with classes."),
    ENUM(timestep_sampling, dm_timestep_sampling, "uniform", SAVED,
        "Distribution of noise levels."),
    NUMBER(label_dropout, "0", 0, 1, SAVED, "Probability that a label is dropped, for guidance."),
    NUMBER(self_conditioning_rate, "0.5", 0, 1, SAVED,
        "Share of passes with an own estimate of x_0."),
    NUMBER(logit_mean, "0", -100, 100, SAVED, "Mean of logit_normal timesteps."),
    NUMBER(logit_std, "1", ABOVE_ZERO, 100, SAVED, "Standard deviation of logit_normal timesteps."),
    NUMBER(log_sigma_mean, "-1.2", -10, 10, SAVED, "Mean of log_normal noise levels."),
    NUMBER(log_sigma_std, "1.2", ABOVE_ZERO, 5, SAVED, "Standard deviation of log_normal levels."),
    ENUM(loss, dm_loss, "mse", SAVED, "Loss of one element."),
    ENUM(loss_weight, dm_loss_weight, "simple", SAVED, "Weight of an image's loss by noise level."),
    NUMBER(huber_delta, "0.1", 1e-6, 1e6, SAVED, "Where the huber loss becomes linear."),
    NUMBER(bound_lambda, "0.001", 0, 1000, SAVED, "Weight of the bound in the hybrid loss."),
    NUMBER(min_snr_gamma, "5", ABOVE_ZERO, 1e6, SAVED, "Largest weight of min_snr."),
    NUMBER(p2_k, "1", ABOVE_ZERO, 1e6, SAVED, "k of the p2 weight."),
    NUMBER(p2_gamma, "1", 0, 10, SAVED, "gamma of the p2 weight."),
    ENUM(optimizer, dm_optimizer, "adamw", SAVED, "How weight_decay is applied."),
    ENUM(learning_rate_schedule, dm_rate_schedule, "constant", SAVED, "How the rate falls."),
    NUMBER(learning_rate, "1e-4", 0, 1e6, SAVED, "Learning rate."),
    NUMBER(learning_rate_end_fraction, "0", 0, 1, SAVED,
        "Fraction of the rate left at the schedule's end."),
    ANY(learning_rate_end_step, "0", SAVED, "Step at which the rate's schedule ends."),
    ANY(warmup_steps, "0", SAVED, "Steps over which the rate rises linearly."),
    NUMBER(beta1, "0.9", 0, BELOW_ONE, SAVED, "Decay of the first moment."),
    NUMBER(beta2, "0.999", 0, BELOW_ONE, SAVED, "Decay of the second moment."),
    NUMBER(adam_eps, "1e-8", ABOVE_ZERO, LARGEST, SAVED, "Epsilon of Adam."),
    NUMBER(weight_decay, "0", 0, 1e6, SAVED, "Weight decay."),
    NUMBER(gradient_clip, "1", 0, LARGEST, SAVED, "Largest gradient norm; 0: no clipping."),
    NUMBER(ema_decay, "0.9999", 0, BELOW_ONE, SAVED, "Decay of each EMA per step; 0: none."),
    NUMBER(ema_half_life, "0", 0, LARGEST, SAVED, "Half-life of each EMA in images; 0: none."),
    NUMBER(ema_rampup, "0.05", 0, LARGEST, SAVED,
        "Half-lives' limit as a fraction of images seen."),
    FLAG(ema_warmup, "1", SAVED, "1: limit ema_decay to (1 + step) / (10 + step)."),
    PADDING(padding),
    NUMBER(distill_steps, "0", 0, 50000, SAVED_IF_SET,
        "DDIM steps to distil to, half of the teacher's; 0: none."),
    FLAG(distill_clip, "1", SAVED_IF_SET, "1: clip the teacher's x_0 to [-1, 1]."),
    NUMBER(condition_dropout, "0", 0, 1, SAVED_IF_SET,
        "Probability that conditions are dropped, for guidance."),
    ENUM(precision, dm_precision, "f32", SAVED_IF_SET, "Of training steps, f32 or bf16."),
    PADDING(padding_last),
};
#define members option_members
DMI_STRUCT(dmi_struct_trainer_options, "dm_trainer_options", "trainer");
#undef members
#undef STRUCT

#define STRUCT dm_train_stats
static const dmi_member stats_members[] = {
    SIZE_MEMBER,
    FIELD(skipped, "1: the step changed nothing, since its result was not finite."),
    FIELD(step, "Steps done."),
    FIELD(images, "Images seen so far."),
    FIELD(epoch, "Images seen / size of the dataset."),
    FIELD(loss, "Loss of the step."),
    FIELD(gradient_norm, "Norm of the gradient before clipping."),
    FIELD(learning_rate, "Learning rate of the step."),
    FIELD(seconds, "Duration of the step in seconds."),
    FIELD(quarter_loss, "Mean loss of the images in each quarter of the timesteps."),
    FIELD(quarter_images, "Number of these images."),
};
#define members stats_members
DMI_STRUCT(dmi_struct_train_stats, "dm_train_stats", "trainer");
#undef members
#undef STRUCT

#define STRUCT dm_checkpoint_info
static const dmi_member info_members[] = {
    SIZE_MEMBER,
    FIELD(training, "1: a file of dm_trainer_save."),
    FIELD(step, "Steps done."),
    FIELD(images, "Images seen."),
    FIELD(dataset_count, "Images of the dataset; 0: none."),
    FIELD(dataset_fingerprint, "Hash of the dataset; 0: not known."),
    FIELD(emas, "EMAs in the file: bit i for EMA i."),
    FIELD(format_version, "Version of the file's format."),
    FIELD(null_class, "1: labels or conditions were dropped in training."),
    PADDING(padding),
};
#define members info_members
DMI_STRUCT(dmi_struct_checkpoint_info, "dm_checkpoint_info", "checkpoint");
#undef members
#undef STRUCT

#define STRUCT dm_train_batch
static const dmi_member batch_members[] = {
    SIZE_MEMBER,
    PADDING(padding),
    FIELD(count, "Images: batch_size * accumulation."),
    FIELD(elements, "Floats of images, and of noise."),
    FIELD(label_count, "Labels: count, or 0."),
    FIELD(timestep_count, "Timesteps: count, or 0."),
    FIELD(images, "Images [count, height, width, channels]."),
    FIELD(noise, "Noise like images, or NULL."),
    FIELD(labels, "Labels [count], or NULL."),
    FIELD(timesteps, "Timesteps [count], or NULL."),
    FIELD(condition_image_elements, "Floats of condition_image, or 0."),
    FIELD(condition_vector_elements, "Floats of condition_vector, or 0."),
    FIELD(condition_image, "Condition images [count, height, width, condition_channels], or NULL."),
    FIELD(condition_vector, "Condition vectors [count, condition_size], or NULL."),
};
#define members batch_members
DMI_STRUCT(dmi_struct_train_batch, "dm_train_batch", "trainer");
/* clang-format on */
