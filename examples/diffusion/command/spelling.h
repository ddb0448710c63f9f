/* SPDX-License-Identifier: MIT */
/* The word that was probably meant. */
#ifndef DIFFUSION_COMMAND_SPELLING_H
#define DIFFUSION_COMMAND_SPELLING_H

#include <stddef.h>

/* Of `words` the one nearest to `text` of `length` bytes, if it is near enough to be a slip of the
 * pen: at most a third of the letters inserted, removed or changed. NULL if none is. */
const char *nearest_word(const char *text, size_t length, const char *const *words, size_t count);

#endif
