/* SPDX-License-Identifier: MIT */
/* A network that was trained before, for other data. */
#ifndef DIFFUSION_TRAIN_TUNE_H
#define DIFFUSION_TRAIN_TUNE_H

#include "train/session.h"

/* Where the data has other classes or another size than s->unet, replaces it by a network for the
 * data with all weights that fit: those of classes with the same name too. Returns a status. */
int32_t fit_network(session *s);

#endif
