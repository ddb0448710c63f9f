/* SPDX-License-Identifier: MIT */
/* Cases of the target options without options: structs that the library fills, and text. */
#ifndef DM_TESTS_FUZZ_OUTPUTS_H
#define DM_TESTS_FUZZ_OUTPUTS_H

#include "fuzz/struct.h"

typedef struct fuzz_objects {
    dm_context *context;
    dm_unet *unet;
    dm_trainer *trainer;
    dm_sampler *sampler;
    dm_dataset *dataset;
    dm_schedule *schedule;
} fuzz_objects;

/* Init functions, functions that fill a struct, and functions that read or write values. */
void fuzz_outputs_case(fuzz_input *in, const fuzz_objects *of);
/* Members and enumerations by their names, and values as text. */
void fuzz_text_case(fuzz_input *in, dm_context *context);

#endif
