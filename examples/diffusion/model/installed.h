/* SPDX-License-Identifier: MIT */
/* The model that is installed with the program. */
#ifndef DIFFUSION_MODEL_INSTALLED_H
#define DIFFUSION_MODEL_INSTALLED_H

#include <stddef.h>

/* Its path, found from that of the running program. 1, or 0 if there is none. */
int installed_model(char *path, size_t capacity);

#endif
