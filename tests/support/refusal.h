/* SPDX-License-Identifier: MIT */
/* What a refused call must give, and what it must leave as it was: memory and files. */
#ifndef DM_TESTS_REFUSAL_H
#define DM_TESTS_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diffusion.h"

/* Fails the test with the context's text unless status is DM_OK. */
void test_accepted(const dm_context *context, int32_t status);
/* Fails the test unless status is `want` and the context's text has each of `words`, which are
 * separated by '|'. */
void test_refused(const dm_context *context, int32_t status, int32_t want, const char *words);

/* The memory in use and the contents of a folder before a call. */
typedef struct test_untouched {
    const dm_context *context;
    const char *folder; /* or NULL */
    uint64_t used;
    char *listing;
} test_untouched;

test_untouched test_untouched_begin(const dm_context *context, const char *folder);
/* Fails the test unless memory and folder are as they were. */
void test_untouched_end(test_untouched *untouched);

#endif
