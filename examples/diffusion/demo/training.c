/* SPDX-License-Identifier: MIT */
/* See demo.h: how the demo trains. */
#include <math.h>
#include <stdio.h>

#include "console/interrupt.h"
#include "console/progress.h"
#include "demo/demo.h"

enum {
    BATCH = 32, /* in the same time, more steps of fewer images draw clearer shapes */
    WARMUP = 50,
    STEPS_MIN = 100, /* even where there is no time for them */
    STEPS_MAX = 8000 /* more hardly improve it */
};
static const double rate = 1e-3;

typedef struct training_log {
    progress line;
    output csv;
    double loss; /* running mean */
} training_log;

/* 1 if loss.csv cannot be written. */
static int log_step(training_log *l, const dm_train_stats *s) {
    char detail[64];
    l->loss = s->step == 1 ? s->loss : 0.98 * l->loss + 0.02 * s->loss;
    output_print(&l->csv, "%llu,%.6f,%.6f\n", (unsigned long long)s->step, s->loss,
                 s->gradient_norm);
    snprintf(detail, sizeof detail, "loss %.4f", l->loss);
    progress_update(&l->line, s->step, detail);
    return output_flush(&l->csv);
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

static dm_trainer_options training_options(void) {
    dm_trainer_options o;
    dm_trainer_options_init(&o, sizeof o);
    o.batch_size = BATCH;
    o.learning_rate = rate;
    o.warmup_steps = WARMUP;
    o.ema_decay[0] = 0.995;
    o.label_dropout = 0.1; /* for guidance */
    return o;
}

/* The share of the training that is done after `step` steps: of --steps, else of the time, since
 * the pace of a machine may change at any moment. */
static double share_done(const training_log *l, uint64_t step) {
    const double time = (seconds_now() - l->line.began) / (60 * demo_values.minutes);
    const double least = (double)step / STEPS_MAX, most = (double)step / STEPS_MIN;
    if (demo_values.steps) return (double)step / (double)demo_values.steps;
    return time < least ? least : time > most ? most : time;
}

/* Cosine decay of the rate over the training, however many steps that will be. */
static dm_status train_step(dm_trainer *trainer, training_log *l, double share) {
    const double pi = 3.14159265358979324;
    dm_train_stats stats;
    dm_train_stats_init(&stats, sizeof stats);
    dm_status status =
        dm_trainer_set_learning_rate(trainer, rate * (0.01 + cos(pi * share) + 1) / 2);
    if (!status) status = dm_trainer_step(trainer, &stats);
    if (status) return status;
    const double done = share_done(l, stats.step);
    l->line.total = done < 1 ? (uint64_t)((double)stats.step / done + 0.5) : stats.step;
    return log_step(l, &stats) || interrupt_signal() ? DM_ERROR_CANCELLED : DM_OK;
}

/* After a signal, what was trained so far counts. *stop becomes the signal. */
static dm_status train_steps(demo_job *j, training_log *l, int *stop) {
    dm_trainer_options o = training_options();
    dm_trainer *trainer;
    char time[32];
    uint64_t done = 0;
    double share = 0; /* of the time or the steps */
    dm_status status = dm_trainer_create(&trainer, j->unet, j->schedule, j->dataset, &o);
    if (status) return status;
    progress_begin(&l->line, "training", 0, 1);
    while (!status && share < 1) {
        status = train_step(trainer, l, share);
        dm_trainer_get_step(trainer, &done);
        share = share_done(l, done);
    }
    *stop = interrupt_take();
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
