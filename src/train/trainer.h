/* SPDX-License-Identifier: MIT */
/* The trainer. */
#ifndef DM_SRC_TRAINER_H
#define DM_SRC_TRAINER_H

#include <stdatomic.h>

#include "io/safetensors.h"
#include "train/batch.h"
#include "train/loss.h"
#include "train/options.h"

/* How far a run has come. The order of the data, random numbers and the learning rate follow from
 * it. */
typedef struct dmi_progress {
    uint64_t steps;   /* done, skipped ones included */
    uint64_t applied; /* that changed the weights: the step number of Adam's bias correction */
    uint64_t images;  /* seen: the position in the order of the data */
    uint64_t base_steps, base_images; /* both when the images of a step last became another number,
                                         by dm_trainer_resume_changed; else 0 */
} dmi_progress;

/* The loss of an image of the current step; dropped if the step is skipped. */
typedef struct dmi_recorded_loss {
    int32_t timestep;
    double loss;
} dmi_recorded_loss;

/* Sums of the losses of the current step's images in each quarter of the timesteps. */
typedef struct dmi_quarter_losses {
    double loss[4];
    int32_t images[4];
} dmi_quarter_losses;

/* What progressive distillation needs besides; all but the fingerprint 0 without a teacher. */
typedef struct dmi_distillation {
    dm_unet *teacher;
    uint64_t fingerprint; /* of the teacher or, until it is set, of the resumed run's; 0: none */
    dmi_unet_graph graph; /* of the teacher, for inference */
    double *x;            /* [batch_size, elements]: x_t on the teacher's way */
    double *scratch;      /* [threads, 2, elements] */
} dmi_distillation;

struct dm_trainer {
    dm_context *context;
    dm_unet *unet;
    dm_schedule *schedule; /* its own copy */
    dm_trainer_options options;
    dmi_unet_graph train;
    dmi_batch batch;
    dmi_distillation distillation;
    float *moment1, *moment2; /* laid out like the network's parameters */
    float *ema[DM_EMA_MAX];   /* likewise; NULL: not kept */
    double *partial_sums;     /* scratch: of each image's loss, then of each tile of a norm */
    dmi_loss_term *terms;     /* [batch_size] */
    dmi_timesteps timesteps;
    dmi_recorded_loss *recorded; /* [batch_size * accumulation] with loss-aware sampling, or NULL */
    dmi_quarter_losses quarters;
    dmi_progress progress;
    bool has_unlabelled;    /* an image of the current step had no class */
    bool has_unconditioned; /* likewise without conditions */
    atomic_int cancelled;   /* set by dm_trainer_cancel until DM_ERROR_CANCELLED is returned */
};

/* ---- trainer.c ---- */

/* What a trainer starts with. */
typedef struct dmi_trainer_start {
    dm_unet *unet;
    dm_schedule *schedule;              /* the trainer's own, taken over even on failure */
    const dm_dataset *dataset;          /* or NULL */
    const dm_trainer_options *options;  /* checked, also against network and schedule */
    int32_t null_class;                 /* of the network */
    const dmi_class_names *class_names; /* of the file, or NULL */
    dmi_safetensors *file; /* the checkpoint to continue from, NULL for step 0; is closed */
    bool changed;          /* `options` or the data are not those of the file */
} dmi_trainer_start;

/* A trainer that is ready to step. The network changes on success only. */
dm_status dmi_trainer_begin(dm_trainer **out, const dmi_trainer_start *start);
/* dm_trainer_destroy within a call of the context. NULL is accepted. */
void dmi_trainer_free(dm_trainer *trainer);

/* ---- checkpoint.c ---- */

/* Reads progress, moments, EMAs and recorded losses into a new trainer, and the weights into the
 * block of gradients. `changed`: its options or data are not those of the file; an EMA that the
 * file lacks begins as the weights, and recorded losses begin anew. */
dm_status dmi_checkpoint_restore(dm_trainer *trainer, const dmi_safetensors *file, bool changed);

/* ---- step.c ---- */

/* One step on the dataset's images, or the caller's if `given` is not NULL. If the images cannot be
 * read, the step does not count. If its result is not finite, or too large for the moments, it
 * counts but changes no weight. */
dm_status dmi_trainer_step(dm_trainer *trainer, const dm_train_batch *given, dm_train_stats *stats);

/* ---- gradients.c ---- */

/* The gradient of a step's images, the dataset's or the caller's, and their loss. */
dm_status dmi_trainer_gradients(dm_trainer *trainer, const dm_train_batch *given, double *loss);
/* Ends the profile span `name`, which moved `blocks` blocks of `floats`. */
void dmi_trainer_span(const dm_trainer *trainer, const char *name, size_t blocks, size_t floats);

#endif
