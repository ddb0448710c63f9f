/* SPDX-License-Identifier: MIT */
/* Networks against PyTorch: the cases of a golden file with, of each case, options and names of
 * tensors as metadata, and outputs and gradients. */
#ifndef DM_TESTS_GOLDEN_NETWORK_H
#define DM_TESTS_GOLDEN_NETWORK_H

#include "diffusion.h"
#include "golden/golden.h"
#include "unet/unet.h"

enum { GOLDEN_LINE = 96 };

typedef struct golden_network {
    const char *name; /* of the case */
    dm_context *context;
    dmi_safetensors *file;
    dm_unet *unet;
    dm_unet_options options;
    dmi_unet_graph g;
    double output_bound, gradient_bound;
} golden_network;

/* The case's network, with the weights of golden_weight. */
void golden_network_begin(golden_network *f, const char *file, const char *name, int32_t isa);
void golden_network_end(golden_network *f);
void golden_network_require(const golden_network *f, int32_t status);
/* Fails the test if the error is above the bound. */
void golden_network_check(const golden_network *f, const char *what, double error, double bound);
/* The metadata "<case>/<what>". */
const char *golden_network_text(const golden_network *f, const char *what);
/* The next line of a text into line [GOLDEN_LINE]; false at its end. */
bool golden_line(const char **text, char *line);
/* Output, gradient of x and of every parameter, twice, with that DM_RECOMPUTE_*. */
void golden_network_run(golden_network *f, int32_t images, int32_t recompute);

#endif
