/* SPDX-License-Identifier: MIT */
/* The pictures that a model was trained on. */
#ifndef DIFFUSION_EVALUATE_RUN_DATA_H
#define DIFFUSION_EVALUATE_RUN_DATA_H

#include "command/line.h"
#include "model/model.h"

/* Without --data, takes it and the options of its pictures from the settings beside the model.
 * Returns 0, or REPORTED where there are none. */
int32_t use_data_of_run(const command_line *line, const model *m);

#endif
