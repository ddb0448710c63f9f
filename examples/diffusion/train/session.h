/* SPDX-License-Identifier: MIT */
/* A training run: what it consists of, and how it begins. */
#ifndef DIFFUSION_TRAIN_SESSION_H
#define DIFFUSION_TRAIN_SESSION_H

#include "command/line.h"
#include "console/output.h"
#include "console/progress.h"
#include "data/open.h"
#include "train/train_options.h"

typedef struct session {
    const command_line *line;
    train_options *o;
    dm_context *context;
    image_data data;
    dm_schedule *schedule;
    dm_unet *unet, *ema; /* ema: NULL if none is kept */
    dm_unet *teacher;    /* of distillation, or NULL */
    dm_trainer *trainer;
    char checkpoint[OUTPUT_PATH_SIZE]; /* that --resume names, or "" */
    output csv;
    progress bar;
    double loss_sum, loss_weight; /* of the running mean of losses */
    double epoch;                 /* passes over the data */
    double rate;                  /* running mean of images a second */
    double saved_at, paged_at;    /* times of the last checkpoint and page, in seconds */
    double page_seconds;          /* that the last page took */
    int lock;                     /* a descriptor that locks the run's folder, or 0 */
    int advised;                  /* on what takes less time */
    int changed;                  /* options of a resumed run, which no checkpoint has yet */
    int replaced;                 /* another run's checkpoint, kept until the first is saved */
    uint64_t save_step;           /* steps after which a checkpoint was last saved, or tried to */
    uint64_t written;             /* steps after which everything due was written */
    struct events *events;        /* of TensorBoard, or NULL */
    size_t damaged;               /* pictures that could not be decoded at the start */
    int told_damaged;             /* that there are more */
    int skipped;                  /* steps in a row */
    int32_t batch;                /* images in a step */
} session;

/* Opens the data and creates the network and the trainer, new or as a file has them. Returns a
 * status or REPORTED. */
int32_t begin_session(session *s);
void end_session(session *s);
/* Steps done. */
uint64_t steps_done(const session *s);
/* The running mean of the losses, corrected for its start (Kingma and Ba 2015, sec. 3); 0 before
 * the first. */
double mean_loss(const session *s);
/* FOLDER/name of the run. */
void path_in(const session *s, const char *name, char path[OUTPUT_PATH_SIZE]);

/* The command that resumes the run, or that samples from it. */
enum { COMMAND_SIZE = 2 * SHELL_WORD_SIZE + 100 };
const char *next_command(const session *s, int resumes, char text[COMMAND_SIZE]);

/* How a run's network is sampled. */
void training_sampler(const session *s, dm_sampler_options *o);
/* The network to sample from: with the EMA's weights of now, if one is kept. */
dm_unet *sampled_network(session *s, int32_t *status);
/* Samples an image in one step: DM_ERROR_NOT_FINITE where the network is of no use. */
int32_t try_network(session *s);
/* samples-<step>.png: a grid of samples. Returns a status or REPORTED. */
int32_t write_samples(session *s, uint64_t step);
/* With --evaluate-every: refuses images that cannot be measured. 0 or REPORTED. */
int32_t check_evaluations(session *s);
/* With --evaluate-every: evaluation.csv with the rows that a resumed run has already. */
int32_t begin_evaluations(session *s);
/* A row of evaluation.csv: the distance between samples and data, and more. */
int32_t write_evaluation(session *s, uint64_t step);
/* TensorBoard's file, with --tensorboard. 0 or REPORTED. */
int32_t open_events(session *s);
void add_events(session *s, const dm_train_stats *t);
/* A PNG file of samples. */
void add_event_picture(session *s, uint64_t step, const char *path);
int32_t close_events(session *s);
/* The page of the run. `running`: 1 while training goes on. */
int write_page(const session *s, int running);

#endif
