/* The loss: what the network shall predict at a level of noise, what its error costs there, and the
 * gradient. Targets are, like x_t itself, mixtures of picture and noise. */
#ifndef DM_SRC_LOSS_H
#define DM_SRC_LOSS_H

#include "base/pool.h"
#include "kernels/kernels.h"
#include "sample/solver.h"

/* image * x_0 + noise * eps */
typedef struct dmi_mixture {
    double image, noise;
} dmi_mixture;

/* ---- loss_level.c: by level of noise ---- */

/* What the network shall predict; `prediction` is DM_PREDICT_*, sigma_data EDM's. */
dmi_mixture dmi_loss_target(dmi_level level, int32_t prediction, double sigma_data);
/* What a picture's loss is multiplied by, as options->loss_weight says. `t` is the timestep, which
 * only the bound's weight needs. */
double dmi_loss_weight(const dm_trainer_options *options, const dm_schedule *schedule,
                       dmi_level level, int32_t t, int32_t prediction);
/* The term of the variational bound at timestep t of a schedule with betas, for eps; its `factor`
 * is left to the caller. */
dmi_bound dmi_loss_bound(const dm_schedule *schedule, int32_t t);

/* ---- loss.c: by picture ---- */

/* What of one picture's loss the network has no part in. */
typedef struct dmi_loss_term {
    double weight;     /* of the error */
    double importance; /* of the error and the bound's term */
    dmi_bound bound;   /* where the loss has one; without its factor */
} dmi_loss_term;

typedef struct dmi_loss {
    const dmi_kernels *kernels;
    int32_t kind; /* DM_LOSS_* */
    double huber_delta;
    double bound_factor; /* of the bound's terms, in nats of a whole picture */
    double
        values; /* floats of all pictures of the step: losses and gradients are means over them */
    int32_t pictures;
    size_t elements;       /* of the target, for each picture */
    size_t channels;       /* likewise; a hybrid loss has outputs of twice as many */
    size_t input_channels; /* of a picture as the network got it, x_t's before others */
    float *scratch;        /* [threads, 2, elements]; of a hybrid loss */
} dmi_loss;

/* Writes the gradient [like output], and to losses [pictures] the sum of each picture's loss over
 * its elements, without importance. Their sum with it, in order; divided by loss->values it is the
 * loss. input [pictures, pixels, input_channels] is read by a hybrid loss alone. */
double dmi_loss_run(dmi_pool *pool, const dmi_loss *loss, const dmi_loss_term *terms,
                    float *gradient, const float *output, const float *target, const float *input,
                    double *losses);

#endif
