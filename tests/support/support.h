/* SPDX-License-Identifier: MIT */
/* What the tests share: a host that counts, data that anyone can reproduce, and errors measured
 * relatively. */
#ifndef DM_TESTS_SUPPORT_H
#define DM_TESTS_SUPPORT_H

#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "base/pool.h"

/* A host with its own pool. */
dmi_host *test_host_new(int32_t threads);
/* Fails the test where anything is still allocated. */
void test_host_end(dmi_host *host);

/* value[i] = scale * (h(seed, i) / 2^31 - 1), uniform in [-scale, scale). tests/golden/formula.py
 * makes the same numbers: h(seed, i) is 32 bits of  z = i * 0x9E3779B97F4A7C15 + seed *
 * 0xD1B54A32D192ED03 + 0x2545F4914F6CDD1D (mod 2^64); z ^= z >> 30; z *= 0xBF58476D1CE4E5B9; z ^= z
 * >> 27; z *= 0x94D049BB133111EB; z ^= z >> 31;  h = z >> 32. */
void test_fill(float *values, size_t count, uint64_t seed, float scale);

/* ||got - want|| / ||want||; infinite where got has a value that is not finite. */
double test_error(const float *got, const float *want, size_t count);
double test_error_d(const float *got, const double *want, size_t count);

#define test_close(got, want, count, bound)                                                        \
    do {                                                                                           \
        double error_ = test_error((got), (want), (count));                                        \
        ck_assert_msg(error_ <= (bound), "%s: relative error %.3g is above %.3g", #got, error_,    \
                      (double)(bound));                                                            \
    } while (0)

/* Fails the test unless `error_text` has `part` in it and, where that ends with ": ", the system's
 * text of `error` behind it, which differs between systems. */
void test_has_reason(const char *error_text, const char *part, int error);

/* The folder of golden files, for opening "ops.safetensors" there. */
const char *test_golden(const char *name);
/* A new empty folder for files of this test, below DM_TEST_BUILD (or build); it goes when the
 * test's process ends. The name is valid until the next call. */
const char *test_folder(void);
/* The same; the name is to be freed. */
char *test_folder_new(void);
/* A path in a folder; valid until the fourth call after. */
const char *test_path(const char *folder, const char *name);

#endif
