/* SPDX-License-Identifier: MIT */
/* What the files of the client share. */
#ifndef TESTS_ABI_CLIENT_H
#define TESTS_ABI_CLIENT_H

#include <stdio.h>
#include <string.h>

#include "diffusion.h"

enum { GUARD_SIZE = 64, PATTERN = 0xa5 };

/* A struct, all of it filled with the pattern, with a guard directly after it. */
#define GUARDED(type, variable)                                                                    \
    struct {                                                                                       \
        type value;                                                                                \
        unsigned char guard[GUARD_SIZE];                                                           \
    } variable;                                                                                    \
    client_fill(&variable, sizeof variable)

typedef struct client_objects {
    dm_context *context;
    dm_schedule *schedule;
    dm_unet *unet;
    dm_dataset *dataset;
    dm_trainer *trainer;
    dm_sampler *sampler;
} client_objects;

/* Ends the program with the context's error text unless the condition holds. */
void client_require(int holds, const char *what);
void client_fill(void *bytes, size_t size);
void client_check_guard(const unsigned char *guard, const char *what);
uint64_t client_hash(const void *bytes, size_t size);

/* Trains, samples, evaluates and draws, and prints the results; files go to `folder`. */
void client_use(const client_objects *of, const char *folder);
#ifdef NEWER
/* Sets the appended member of each struct that the library reads; each must be refused. */
void client_set_added(const client_objects *of);
#endif

#endif
