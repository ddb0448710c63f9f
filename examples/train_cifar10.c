/* SPDX-License-Identifier: MIT */
/* Training (Ho et al. 2020, algorithm 1).  train_cifar10 [CIFAR10|builtin] [STEPS]
 * [OUT.safetensors]
 *
 * A diffusion model learns to remove noise. An image x_0 of the data is mixed with noise at one of
 * T levels, from t = 0, where almost only the image is left, to T - 1, where almost only noise is:
 *
 *     x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps,  eps ~ N(0, I)                            (eq. 4)
 *
 * A network that sees x_t and t predicts what was mixed in. What it cannot know it guesses in the
 * mean, and these means are all that sampling needs: see sample_ddpm.c. CIFAR10 is the published
 * cifar-10-binary.tar.gz or its folder, for which 1500 steps are few: images of 32 x 32 pixels need
 * thousands. "builtin" are generated shapes of 16 x 16 pixels, which are learned in minutes. */
#include <diffusion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CIFAR_SIZE = 32, SHAPE_SIZE = 16, SHAPES = 20000, PRINT_EVERY = 25 };

/* The network: a U-Net, whose output has the shape of its input. This preset has 1.1 million
 * parameters, which a laptop trains in minutes; DM_PRESET_DDPM_CIFAR10 is the paper's, with 36
 * million. Instead of eps it predicts v = sqrt(a_t) eps - sqrt(1 - a_t) x_0 (Salimans and Ho 2022):
 * eps and x_0 follow from each other, x_t and v, and v is neither too easy at any level nor
 * undetermined at the noisiest. */
static dm_status create_network(dm_unet **out, dm_context *context, int32_t size) {
    dm_unet_options network;
    dm_status status = dm_unet_options_preset(&network, sizeof network, DM_PRESET_TINY);
    network.height = network.width = size;
    return status ? status : dm_unet_create(out, context, &network, 1); /* 1: seed of its weights */
}

static dm_status create_trainer(dm_trainer **out, dm_unet *unet, const dm_schedule *schedule,
                                const dm_dataset *images, uint64_t steps) {
    dm_trainer_options options;
    dm_trainer_options_init(&options, sizeof options);
    options.batch_size = 16;      /* images whose gradients are averaged in one step */
    options.learning_rate = 1e-3; /* for a network so small; the paper's takes 2e-4 */
    options.learning_rate_schedule = DM_RATE_COSINE; /* small steps at the end average the noise */
    options.learning_rate_end_step = steps + 1;
    options.flip = 1; /* a mirrored photograph is one as well: twice the data */
    /* Samples are drawn with a moving average of the weights, which is less noisy than the weights
     * after any one step. It must be short in a run this short; the paper's is 0.9999. */
    options.ema_decay[0] = 0.99;
    return dm_trainer_create(out, unet, schedule, images, &options);
}

/* Algorithm 1, whose lines 2 to 5 are what dm_trainer_step does for each image of its batch:
 *
 *     1  repeat
 *     2      x_0 from the data
 *     3      t uniform from all levels
 *     4      eps ~ N(0, I)
 *     5      gradient descent step on |eps - eps_theta(sqrt(a_t) x_0 + sqrt(1 - a_t) eps, t)|^2
 *     6  until converged
 *
 * The loss of one step depends on which t were drawn, so means of several steps are printed. */
static dm_status train(dm_trainer *trainer, uint64_t steps) {
    dm_train_stats stats;
    dm_train_stats_init(&stats, sizeof stats);
    double sum = 0;
    uint64_t summed = 0;
    for (uint64_t step = 1; step <= steps; step++) {
        const dm_status status = dm_trainer_step(trainer, &stats);
        if (status) return status;
        sum += stats.loss;
        summed++;
        if (step % PRINT_EVERY && step != steps) continue;
        printf("step %" PRIu64 " of %" PRIu64 ", loss %.4f\n", step, steps, sum / (double)summed);
        (void)fflush(stdout);
        sum = 0;
        summed = 0;
    }
    return DM_OK;
}

int main(int argc, const char **argv) {
    const char *data = argc > 1 ? argv[1] : "builtin";
    char error[512] = "", *end = error;
    const long steps = argc > 2 ? strtol(argv[2], &end, 10) : 1500;
    const char *path = argc > 3 ? argv[3] : "model.safetensors";
    if (argc > 4 || data[0] == '-' || *end || steps < 1 || steps > 1000000) {
        fprintf(stderr, "usage: train_cifar10 [CIFAR10|builtin] [STEPS] [OUT.safetensors],"
                        " at most 1000000 steps\n");
        return 2;
    }
    dm_context *context;
    if (dm_context_create(&context, NULL, error, sizeof error)) {
        fprintf(stderr, "train_cifar10: %s\n", error);
        return 1;
    }
    dm_schedule *schedule = NULL;
    dm_dataset *images = NULL;
    dm_unet *unet = NULL;
    dm_trainer *trainer = NULL;

    /* The data; the levels of noise, by default 1000 with a cosine schedule; the network. */
    const int32_t size = strcmp(data, "builtin") == 0 ? SHAPE_SIZE : CIFAR_SIZE;
    dm_status status = size == SHAPE_SIZE
                           ? dm_dataset_create_shapes(&images, context, size, SHAPES, 1)
                           : dm_dataset_load_cifar10(&images, context, data, DM_SPLIT_TRAIN);
    if (!status) status = dm_schedule_create(&schedule, context, NULL);
    if (!status) status = create_network(&unet, context, size);
    if (!status) status = create_trainer(&trainer, unet, schedule, images, (uint64_t)steps);
    if (!status) status = train(trainer, (uint64_t)steps);

    /* The file holds network, schedule, averages and the state of the optimizer: samplers read it,
     * and dm_trainer_resume could continue. */
    if (!status) status = dm_trainer_save(trainer, path);
    if (!status) printf("%s: %" PRIu64 " parameters\n", path, dm_unet_parameter_count(unet));
    if (status)
        fprintf(stderr, "train_cifar10: %s: %s\n", dm_status_message(status),
                dm_context_error(context));
    dm_trainer_destroy(trainer);
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    dm_dataset_destroy(images);
    dm_context_destroy(context);
    return status || fflush(stdout) || ferror(stdout);
}
