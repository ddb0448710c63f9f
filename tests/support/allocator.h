/* SPDX-License-Identifier: MIT */
/* An allocator for a context that counts what it gave and can be set to refuse its n-th
 * allocation. */
#ifndef DM_TESTS_ALLOCATOR_H
#define DM_TESTS_ALLOCATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "diffusion.h"

typedef struct test_allocator {
    int64_t fail_at; /* the number of the allocation, from 0, that gets NULL; -1: none does */
    bool lasting;    /* and so do all later ones */
    int64_t calls;   /* allocations requested */
    int64_t live;    /* given and not released */
} test_allocator;

/* Sets the options' hooks; a release with another size than was allocated fails the test. */
void test_allocator_use(test_allocator *allocator, dm_context_options *options);
/* A context of one thread with that allocator, or with malloc where it is NULL; 0 is no limit. */
dm_context *test_context_new(test_allocator *allocator, uint64_t memory_limit);

/* One with that allocator, which it resets, whose last warning is kept in `warning` [256]. */
dm_context *test_context_with_log(test_allocator *allocator, int32_t threads, char *warning);
/* A log callback: keeps the text of a warning in `user` [256]. */
void test_keep_warning(void *user, dm_log_level level, const char *message);

/* Something that is made in a context: `make` returns a status, and destroys on success what it
 * made. */
typedef int32_t (*test_make)(dm_context *context, const void *user);
/* Refuses allocation 0, 1, 2, ... of `make` in turn until it needs no more, first each alone, then
 * each with all that follow: a refusal must give DM_ERROR_OUT_OF_MEMORY, with a text, or DM_OK
 * where less memory suffices, and leave nothing allocated. Returns the allocations that success
 * took. */
int64_t test_every_allocation(test_make make, const void *user);

#endif
