/* SPDX-License-Identifier: MIT */
/* Progressive distillation (Salimans and Ho 2022, algorithm 2): targets from a frozen teacher. */
#ifndef DM_SRC_TRAIN_DISTILL_H
#define DM_SRC_TRAIN_DISTILL_H

#include "train/trainer.h"

/* Replaces the batch's targets by the teacher's, once the batch is filled. Allocates nothing. */
void dmi_distill_targets(dm_trainer *trainer);
/* Releases the teacher, if there is one. */
void dmi_distillation_end(dm_trainer *trainer);

#endif
