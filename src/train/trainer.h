/* The trainer's insides. */
#ifndef DM_SRC_TRAINER_H
#define DM_SRC_TRAINER_H

#include <stdatomic.h>

#include "core/metadata.h"
#include "optim/ema.h"
#include "train/batch.h"
#include "train/loss.h"

/* How far a run has come. Positions in the data, random numbers and the learning rate all follow
 * from it. */
typedef struct dmi_progress {
    uint64_t steps;   /* done, refused ones included */
    uint64_t applied; /* that changed the weights: Adam's own count */
    uint64_t images;  /* steps * batch_size * accumulation */
} dmi_progress;

/* A picture of the step under way: its losses are forgotten where the step is refused. */
typedef struct dmi_noted {
    int32_t timestep;
    double loss;
} dmi_noted;

struct dm_trainer {
    dm_context *context;
    dm_unet *unet;
    dm_schedule *schedule; /* its own */
    dm_trainer_options options;
    dmi_unet_graph train;
    dmi_batch batch;
    float *moment1, *moment2;      /* laid out like the network's parameters */
    float *averages[DMI_EMA_MAX]; /* likewise; NULL: none is kept. The first is average_decay's or
                                      average_half_life's */
    double *sums;                  /* of pictures' losses, then of chunks' gradients */
    dmi_loss_term *terms;          /* [batch_size] */
    dmi_timesteps timesteps;
    dmi_noted *
        noted; /* [batch_size * accumulation]; NULL where timesteps are not drawn by their losses */
    dmi_progress progress;
    atomic_int
        cancelled; /* set by dm_trainer_cancel, cleared where DM_ERROR_CANCELLED is returned */
};

/* ---- trainer_options.c ---- */

dm_trainer_options dmi_trainer_default_options(void);
/* Refuses by name and value what cannot be trained with, whatever the network. */
int32_t dmi_trainer_check_options(dmi_host *host, const dm_trainer_options *options);
/* As metadata "trainer.*" of a file, and back. */
int32_t dmi_trainer_write_options(dmi_host *host, dmi_safetensors_writer *writer,
                                  const dm_trainer_options *options);
int32_t dmi_trainer_read_options(dmi_host *host, const dmi_safetensors *file,
                                 dm_trainer_options *options);

/* Average `index` of DMI_EMA_MAX as the options have it; false: none is to be kept. */
bool dmi_trainer_average(const dm_trainer_options *options, int32_t index, dmi_ema *average);

/* ---- trainer_check.c ---- */

/* Refuses options that don't go together, of checked ranges; and those that the network or the
 * schedule does not go with. */
int32_t dmi_trainer_check_pairs(dmi_host *host, const dm_trainer_options *options);
int32_t dmi_trainer_check_model(dmi_host *host, const dm_unet_options *unet,
                                const dm_schedule *schedule, const dm_trainer_options *options);

/* ---- trainer_pass.c ---- */

/* The gradients of a step's pictures, the dataset's or the caller's, and their loss. */
int32_t dmi_trainer_gradients(dm_trainer *trainer, const dm_train_batch *given, double *loss);
/* Ends a lap of the profile that reads and writes `blocks` blocks of `floats`. */
void dmi_trainer_lap(const dm_trainer *trainer, const char *name, size_t blocks, size_t floats);

/* ---- trainer.c ---- */

/* A trainer at step 0 with checked options, the average begun with the network's weights, but
 * without the graph that steps run on. The network is held, but not changed. The schedule is
 * copied. */
int32_t dmi_trainer_new(dm_trainer **out, dm_unet *unet, const dm_schedule *schedule,
                        const dm_dataset *dataset, const dm_trainer_options *options);
/* The graph, which is the most of a trainer's memory. */
int32_t dmi_trainer_plan(dm_trainer *trainer);

#endif
