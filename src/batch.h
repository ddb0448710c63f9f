/* What goes into the network in one pass: pictures, timesteps, noise, x_t and the target. All that is drawn for a picture
 * depends on the seed and on its position in the whole run alone, so nothing of it needs saving. */
#ifndef DM_SRC_BATCH_H
#define DM_SRC_BATCH_H

#include "dataset.h"
#include "schedule.h"
#include "unet.h"

typedef struct dmi_batch {
    dm_context *context;
    const dm_schedule *schedule;
    const dm_dataset *dataset;  /* NULL: every batch is the caller's */
    uint64_t seed;
    int32_t count;              /* pictures */
    int32_t height, width, channels;
    int32_t prediction;         /* DM_PREDICT_*, of the network */
    int32_t classes;            /* of the network */
    bool flip, use_labels;
    size_t elements;            /* floats of a picture */
    uint8_t *pixels;            /* [count, height, width, channels]; NULL without a dataset */
    uint64_t *indices;          /* [count] of the dataset's pictures; likewise */
    int32_t *labels, *statuses; /* [count] of their reading; likewise */
    float *scratch;             /* [threads, 2, elements]: a worker's x_0 and noise */
    float *target;              /* [count, elements] */
} dmi_batch;

/* Fills in what stands behind the first eleven members, which the caller has set. */
int32_t dmi_batch_create(dmi_batch *batch);
void dmi_batch_destroy(dmi_batch *batch);

/* Writes x_t, timesteps and labels to the graph's inputs, and the target, for the pictures at `position` of the run and
 * after: those of `given`, which is valid and has `count`, or where it is NULL the dataset's. Fails where the dataset does,
 * or gives a label that the network has not. */
int32_t dmi_batch_draw(dmi_batch *batch, const dmi_unet_graph *graph, uint64_t position, const dm_train_batch *given);

#endif
