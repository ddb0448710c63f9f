/* SPDX-License-Identifier: MIT */
/* Writes the files that are kept of this version: make_files FOLDER writes network.safetensors,
 * checkpoint.safetensors and expected.txt (four outputs of the network, the loss of the next
 * training step). The folder must exist and be empty of them: files of a version never change. */
#include <stdio.h>
#include <stdlib.h>

#include "version_files.h"

static void require(dm_context *context, dm_status status, const char *what) {
    if (!status) return;
    fprintf(stderr, "make_files: %s: %s (%s)\n", what, dm_status_name(status),
            context ? dm_context_error(context) : "");
    exit(1);
}

static dm_unet *make_unet(dm_context *context) {
    dm_unet_options o;
    dm_unet *unet;
    require(context, dm_unet_options_preset(&o, sizeof o, DM_PRESET_TINY), "options");
    o.height = o.width = VERSION_SIDE;
    o.levels = 2;
    o.channels[0] = 4;
    o.channels[1] = 8;
    o.channels[2] = 0;
    o.norm_groups = 2;
    o.attention[1] = 1;
    o.classes = 10;
    o.blocks[0] = o.blocks[1] = 1;
    require(context, dm_unet_create(&unet, context, &o, 7), "network");
    return unet;
}

static dm_schedule *make_schedule(dm_context *context) {
    double betas[400];
    dm_schedule *schedule;
    for (int i = 0; i < 400; i++) betas[i] = 1e-4 + 4e-5 * i;
    require(context, dm_schedule_create_from_betas(&schedule, context, betas, 400), "schedule");
    return schedule;
}

static dm_trainer *make_trainer(dm_context *context, dm_unet *unet, dm_schedule *schedule,
                                dm_dataset *dataset) {
    dm_trainer_options o;
    dm_trainer *trainer;
    require(context, dm_trainer_options_init(&o, sizeof o), "options");
    o.batch_size = 4;
    o.seed = 11;
    o.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
    o.ema_decay[0] = 0.9;
    o.ema_half_life[2] = 1000;
    o.label_dropout = 0.2;
    require(context, dm_trainer_create(&trainer, unet, schedule, dataset, &o), "trainer");
    require(context, dm_trainer_run(trainer, VERSION_STEPS, NULL, NULL), "training");
    return trainer;
}

int main(int argc, char **argv) {
    char path[3][1024];
    static const char *const names[] = {"network.safetensors", "checkpoint.safetensors",
                                        "expected.txt"};
    dm_context *context;
    dm_dataset *dataset;
    dm_train_stats stats;
    float first[4];
    if (argc != 2) return 2;
    for (int i = 0; i < 3; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s", argv[1], names[i]);
        FILE *there = fopen(path[i], "rb");
        if (there) {
            fprintf(stderr, "make_files: %s exists; files of a version never change\n", path[i]);
            return 1;
        }
    }
    require(NULL, dm_context_create(&context, NULL, NULL, 0), "context");
    require(context, version_dataset(&dataset, context), "dataset");
    dm_unet *unet = make_unet(context);
    dm_schedule *schedule = make_schedule(context);
    dm_trainer *trainer = make_trainer(context, unet, schedule, dataset);
    require(context, dm_unet_save(unet, schedule, path[0]), "saving the network");
    require(context, dm_trainer_save(trainer, path[1]), "saving the checkpoint");
    require(context, version_forward(unet, first), "forward");
    require(context, dm_train_stats_init(&stats, sizeof stats), "stats");
    require(context, dm_trainer_step(trainer, &stats), "step");
    FILE *expected = fopen(path[2], "w");
    if (!expected) return 1;
    for (int i = 0; i < 4; i++) fprintf(expected, "%.9g\n", (double)first[i]);
    fprintf(expected, "%.9g\n", stats.loss);
    if (fclose(expected)) return 1;
    dm_trainer_destroy(trainer);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_dataset_destroy(dataset);
    dm_context_destroy(context);
    return 0;
}
