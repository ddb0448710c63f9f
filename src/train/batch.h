/* What goes into the network in one pass: pictures, levels of noise, noise, x_t and the target. All
 * that is drawn for a picture depends on the seed and on its position in the whole run alone, so
 * nothing of it needs saving. */
#ifndef DM_SRC_BATCH_H
#define DM_SRC_BATCH_H

#include "dataset/dataset.h"
#include "sample/solver.h"
#include "train/timesteps.h"
#include "unet/unet.h"

/* How noisy a picture was made. */
typedef struct dmi_drawn {
    dmi_level level;
    dmi_reading reading; /* of the network's output there */
    int32_t timestep;    /* or DMI_TIMESTEP_BETWEEN */
    double importance;
} dmi_drawn;

enum { DMI_BATCH_SCRATCH = 3 };

typedef struct dmi_batch {
    dm_context *context;
    const dmi_timesteps *timesteps;
    const dm_dataset *dataset; /* NULL: every batch is the caller's */
    uint64_t seed;
    int32_t count; /* pictures */
    int32_t height, width, channels;
    int32_t prediction; /* DM_PREDICT_*, of the network */
    double sigma_data;  /* likewise */
    int32_t classes;    /* of the network */
    int32_t crop_padding;
    double label_dropout;
    bool flip, use_labels, self_conditioning;
    size_t elements;            /* floats of a picture */
    uint8_t *pixels;            /* [count, height, width, channels]; NULL without a dataset */
    uint64_t *indices;          /* [count] of the dataset's pictures; likewise */
    int32_t *labels, *statuses; /* [count] of their reading; likewise */
    float *scratch;   /* [threads, DMI_BATCH_SCRATCH, elements]: a worker's x_0, noise, and a third
                         picture */
    float *target;    /* [count, elements] */
    dmi_drawn *drawn; /* [count] */
} dmi_batch;

/* Fills in what stands from `elements` on; the members before, the caller has set. */
int32_t dmi_batch_create(dmi_batch *batch);
void dmi_batch_destroy(dmi_batch *batch);

/* Writes x_t (and 0 for what the network saw before), times and labels to the graph's inputs, the
 * target and what was drawn, for the pictures at `position` of the run and after: those of `given`,
 * which is valid and has `count`, or where it is NULL the dataset's. Fails where the dataset does,
 * or gives a label that the network has not. */
int32_t dmi_batch_draw(dmi_batch *batch, const dmi_unet_graph *graph, uint64_t position,
                       const dm_train_batch *given);

/* Self-conditioning (Chen, Zhang and Hinton 2023): whether the network is asked twice in the pass
 * of that number; and, after the first time, its output's x_0, clipped to [-1, 1], put into the
 * graph's input. */
bool dmi_batch_looks_twice(const dmi_batch *batch, double rate, uint64_t pass);
void dmi_batch_show(const dmi_batch *batch, const dmi_unet_graph *graph, int32_t output_channels);

#endif
