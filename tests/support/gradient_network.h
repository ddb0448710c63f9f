/* SPDX-License-Identifier: MIT */
/* What the files that implement gradient.h share. */
#ifndef DM_TESTS_GRADIENT_NETWORK_H
#define DM_TESTS_GRADIENT_NETWORK_H

#include "support/gradient.h"

size_t test_net_output_count(const test_net *net);
/* The gradient of value i before a backward that accumulates: of the size of the gradient
 * itself. */
void test_net_fill_prior(float *prior, size_t count, int32_t i);
/* w of the loss L = sum w y. */
void test_net_fill_loss(float *w, size_t count);

/* Forward and every gradient against the case's loop in double precision. */
void test_check_reference(const test_op *op, int32_t isa);
/* Every gradient against differences of the graph's own forward. */
void test_check_differences(const test_op *op);

#endif
