/* SPDX-License-Identifier: MIT */
/* The learning rate schedule: linear warmup, then constant, linear or cosine decay (Loshchilov and
 * Hutter 2017, eq. 5, without restarts). */
#ifndef DMI_OPTIM_RATE_H
#define DMI_OPTIM_RATE_H

#include <stdint.h>

enum { DMI_DECAY_NONE = 0, DMI_DECAY_LINEAR = 1, DMI_DECAY_COSINE = 2 };

typedef struct dmi_rate {
    double learning_rate;  /* after warmup */
    double final_rate;     /* at decay_steps, as a fraction of learning_rate */
    uint64_t warmup_steps; /* the first step at the full rate; 0 and 1: no warmup */
    uint64_t decay_steps;  /* above warmup_steps if the rate decays */
    int32_t decay;         /* DMI_DECAY_* */
} dmi_rate;

/* In step 1, 2, ...: learning_rate * step / warmup_steps up to warmup_steps, then decaying to
 * learning_rate * final_rate at decay_steps. */
double dmi_rate_at(const dmi_rate *rate, uint64_t step);

#endif
