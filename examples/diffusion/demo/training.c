/* SPDX-License-Identifier: MIT */
/* See demo.h: how the demo trains. */
#include <stdio.h>

#include "console/interrupt.h"
#include "console/progress.h"
#include "demo/demo.h"

enum {
    BATCH = 64,
    WARMUP = 50,
    PACE_STEPS = 12, /* whose time tells how many steps there is time for */
    STEPS_MIN = 100,
    STEPS_MAX = 4000 /* more hardly improve it */
};

typedef struct training_log {
    progress line;
    output csv;
    double loss; /* running mean */
} training_log;

/* Stops after a signal, or if loss.csv cannot be written. */
static int32_t on_trained(void *user, const dm_train_stats *s) {
    training_log *l = user;
    char detail[64];
    l->loss = s->step == 1 ? s->loss : 0.98 * l->loss + 0.02 * s->loss;
    output_print(&l->csv, "%llu,%.6f,%.6f\n", (unsigned long long)s->step, s->loss,
                 s->gradient_norm);
    if (output_flush(&l->csv)) return 1;
    snprintf(detail, sizeof detail, "loss %.4f", l->loss);
    progress_update(&l->line, s->step, detail);
    return interrupt_signal() != 0;
}

dm_unet_options demo_network(void) {
    dm_unet_options o;
    dm_unet_options_preset(&o, sizeof o, DM_PRESET_TINY);
    o.height = o.width = DEMO_SIZE;
    o.levels = 2;
    o.channels[0] = 32;
    o.channels[1] = 64;
    o.channels[2] = 0;
    o.attention[0] = 0;
    o.attention[1] = 1;
    o.classes = DEMO_CLASSES;
    return o;
}

static dm_trainer_options training_options(int steps) {
    dm_trainer_options o;
    dm_trainer_options_init(&o, sizeof o);
    o.batch_size = BATCH;
    o.learning_rate = 1e-3;
    o.warmup_steps = WARMUP;
    o.learning_rate_schedule = DM_RATE_COSINE;
    o.learning_rate_end_step = steps > WARMUP ? (uint64_t)steps : WARMUP + 1;
    o.ema_decay[0] = 0.995;
    o.label_dropout = 0.1; /* for guidance */
    return o;
}

dm_status demo_choose_steps(demo_job *j) {
    dm_trainer_options o = training_options(WARMUP + 1);
    dm_trainer *trainer;
    double began = 0;
    if (demo_values.steps) {
        j->steps = (int)demo_values.steps;
        return DM_OK;
    }
    dm_status status = dm_trainer_create(&trainer, j->ema, j->schedule, j->dataset, &o);
    if (status) return status;
    for (int i = 0; !status && i <= PACE_STEPS; i++) {
        if (i == 1) began = seconds_now(); /* the first one touches the memory */
        status = dm_trainer_step(trainer, NULL);
        if (!status && interrupt_signal()) status = DM_ERROR_CANCELLED;
    }
    double seconds = (seconds_now() - began) / PACE_STEPS;
    dm_trainer_destroy(trainer);
    double steps = 60 * demo_values.minutes / seconds;
    j->steps = steps > STEPS_MAX ? STEPS_MAX : steps < STEPS_MIN ? STEPS_MIN : (int)steps;
    return status;
}

/* After a signal, what was trained so far counts. *stop becomes the signal. */
static dm_status train_steps(demo_job *j, training_log *l, int *stop) {
    dm_trainer_options o = training_options(j->steps);
    dm_trainer *trainer;
    char time[32];
    uint64_t done = 0;
    dm_status status = dm_trainer_create(&trainer, j->unet, j->schedule, j->dataset, &o);
    if (status) return status;
    progress_begin(&l->line, "training", 0, (uint64_t)j->steps);
    status = dm_trainer_run(trainer, (uint64_t)j->steps, on_trained, l);
    *stop = interrupt_take();
    dm_trainer_get_step(trainer, &done);
    printf("trained  %llu steps of %d images in %s, loss %.4f\n", (unsigned long long)done, BATCH,
           duration(progress_end(&l->line), time), l->loss);
    if (status == DM_ERROR_CANCELLED) status = DM_OK;
    if (!status) status = dm_trainer_get_ema(trainer, 0, j->ema);
    dm_trainer_destroy(trainer);
    return status;
}

int32_t demo_train(demo_job *j, int *stop) {
    char path[OUTPUT_PATH_SIZE];
    training_log l = {.loss = 0};
    output_open(&l.csv, demo_path("loss.csv", path), "w");
    output_print(&l.csv, "step,loss,gradient_norm\n");
    if (output_flush(&l.csv)) return output_close(&l.csv, j->line->program) ? REPORTED : DM_OK;
    int32_t status = train_steps(j, &l, stop);
    int lost = output_close(&l.csv, j->line->program);
    demo_path("model.safetensors", path);
    if (!status) status = dm_unet_save(j->ema, j->schedule, path);
    if (!status) printf("saved    %s\n", path);
    return status ? status : lost ? REPORTED : DM_OK;
}
