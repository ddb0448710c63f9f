/* SPDX-License-Identifier: MIT */
/* The tables of cases; each ends with an entry without a name. */
#ifndef DM_TESTS_ALLOC_CASES_H
#define DM_TESTS_ALLOC_CASES_H

#include "run.h"

extern const alloc_case cases_values[], cases_objects[], cases_schedule[], cases_unet[],
    cases_dataset[], cases_trainer[], cases_sampler[], cases_image[], cases_damaged[],
    cases_names[];

/* Loads a file whose header is one long string within several limits of the address space, each in
 * a process of its own. Returns the number of failures. */
int64_t limits_run(const char *folder, bool verbose);

#endif
