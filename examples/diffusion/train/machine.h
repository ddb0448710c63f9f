/* SPDX-License-Identifier: MIT */
/* What the machine is and has. */
#ifndef DIFFUSION_TRAIN_MACHINE_H
#define DIFFUSION_TRAIN_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* The processor's name in text[capacity]. Returns text. */
const char *machine_name(char *text, size_t capacity);
/* Bytes of memory that this process may still take, by the system and by the limits of its control
 * group; 0: not known. */
uint64_t machine_free_memory(void);
/* Bytes of memory that this process holds now; 0: not known. */
uint64_t machine_used_memory(void);

#endif
