/* The learning rate of each step: a linear rise, then constant, linear or cosine fall (Loshchilov
 * and Hutter 2017, eq. 5, without restarts). */
#ifndef DMI_OPTIM_RATE_H
#define DMI_OPTIM_RATE_H

#include <stdint.h>

enum { DMI_DECAY_NONE = 0, DMI_DECAY_LINEAR = 1, DMI_DECAY_COSINE = 2 };

typedef struct dmi_rate {
    double learning_rate; /* at the top */
    double final_rate;    /* what is left of it at decay_steps, as a fraction */
    uint64_t
        warmup_steps; /* step `warmup_steps` is the first at the full rate; 0 and 1 are the same */
    uint64_t decay_steps; /* above warmup_steps where there is a decay */
    int32_t decay;        /* DMI_DECAY_* */
} dmi_rate;

/* Of step 1, 2, ...: learning_rate * step / warmup_steps up to warmup_steps, then falling until
 * decay_steps. */
double dmi_rate_at(const dmi_rate *rate, uint64_t step);

#endif
