/* SPDX-License-Identifier: MIT */
/* See small_training.h. */
#include "small_training.h"

#include <inttypes.h>
#include <stdio.h>

#include "interrupt.h"
#include "output.h"

dm_unet_options small_network(int32_t size) {
    dm_unet_options o;
    dm_unet_options_init(&o, sizeof o);
    o.height = o.width = size;
    o.levels = size > 16 ? 3 : 2;
    o.channels[0] = 32;
    o.channels[1] = o.channels[2] = 64;
    o.blocks[0] = o.blocks[1] = o.blocks[2] = 1;
    o.attention[1] = 0;
    o.norm_groups = 8;
    return o;
}

dm_trainer_options small_options(uint64_t steps) {
    dm_trainer_options o;
    dm_trainer_options_init(&o, sizeof o);
    o.batch_size = 16;
    o.learning_rate = 1e-3;
    o.warmup_steps = steps / 20;
    o.learning_rate_schedule = DM_RATE_COSINE;
    o.learning_rate_end_step = steps + 1;
    o.ema_decay[0] = 0.99;
    return o;
}

/* Non-zero stops the run. */
static int32_t on_step(void *user, const dm_train_stats *stats) {
    double *sum = user;
    *sum += stats->loss;
    if (stats->step % 100 == 0) {
        printf("step %" PRIu64 ", mean loss of 100 steps %.4f\n", stats->step, *sum / 100);
        flush_standard_output();
        *sum = 0;
    }
    return interrupt_signal();
}

dm_status small_train(dm_unet **out, const dm_unet_options *network, const dm_schedule *schedule,
                      const dm_dataset *dataset, const dm_trainer_options *options,
                      uint64_t steps) {
    dm_context *context = dm_dataset_context(dataset);
    dm_unet *unet = NULL;
    dm_trainer *trainer = NULL;
    double sum = 0;
    *out = NULL;
    dm_status status = dm_unet_create(&unet, context, network, 1);
    if (!status) status = dm_trainer_create(&trainer, unet, schedule, dataset, options);
    if (!status) status = dm_trainer_run(trainer, steps, on_step, &sum);
    if (!status) status = dm_unet_create(out, context, network, 0);
    if (!status) status = dm_trainer_get_ema(trainer, 0, *out);
    dm_trainer_destroy(trainer);
    dm_unet_destroy(unet);
    return status;
}

/* A whole number from 1 to 1e9 in digits alone, or 0: strtoull would take "-5" for 2^64 - 5. */
static uint64_t read_steps(const char *text) {
    const uint64_t most = 1000000000;
    uint64_t steps = 0;
    for (; *text >= '0' && *text <= '9' && steps <= most; text++)
        steps = 10 * steps + (uint64_t)(*text - '0');
    return *text || steps > most ? 0 : steps;
}

int small_main(int argc, const char **argv, const char *name, bool takes_data, uint64_t steps,
               dm_status (*work)(const small_program *program)) {
    small_program program = {.data = "builtin", .steps = steps};
    char error[512];
    open_standard_streams(name);
    if (argc > 2) program.steps = read_steps(argv[2]);
    if (argc > 3) program.data = argv[3];
    /* An option such as --help is not taken for the name of a picture. */
    if (argc < 2 || argc > (takes_data ? 4 : 3) || argv[1][0] == '-' || program.steps < 1) {
        fprintf(stderr, "usage: %s OUT.png [STEPS%s], STEPS from 1 to 1000000000\n", name,
                takes_data ? " [CIFAR10]" : "");
        return 2;
    }
    program.picture = argv[1];
    ignore_write_signals();
    interrupt_begin();
    if (dm_context_create(&program.context, NULL, error, sizeof error)) {
        fprintf(stderr, "%s: %s\n", name, error);
        return 1;
    }
    dm_status status = work(&program);
    if (status)
        fprintf(stderr, "%s: %s: %s\n", name, dm_status_message(status),
                dm_context_error(program.context));
    dm_context_destroy(program.context);
    return interrupt_exit_status(status);
}
