/* SPDX-License-Identifier: MIT */
/* A network for tests that uses every option away from its default, with weights that are all
 * non-zero. */
#ifndef DM_TESTS_NETWORK_H
#define DM_TESTS_NETWORK_H

#include "diffusion.h"

enum {
    NETWORK_HEIGHT = 12, /* neither square nor whole tiles of Winograd's at every level */
    NETWORK_WIDTH = 20,
    NETWORK_CHANNELS = 3,
    NETWORK_CLASSES = 4,
    NETWORK_ELEMENTS = NETWORK_HEIGHT * NETWORK_WIDTH * NETWORK_CHANNELS,
    NETWORK_IMAGES = 5 /* the maximum that network_give gives */
};

/* Two levels of 16 and 32 channels, wide enough for Winograd's convolution; attention at both. */
dm_unet_options network_options(void);
/* Made of them; fails the test where it cannot be. */
dm_unet *network_new(dm_context *context, uint64_t seed);
/* Overwrites every tensor of the network from the seed, small enough that outputs stay near 1; what
 * starts as practically zero is as large as the rest. */
void network_randomize(dm_unet *unet, uint64_t seed);

/* dm_unet_set_tensor with the shape that the tensor has. */
dm_status network_set(dm_unet *unet, const char *name, const float *values, size_t elements);

enum { NETWORK_FORWARD_MAX = 64 };

/* dm_unet_forward on arrays that have the right sizes; labels may be NULL, and count is at most
 * NETWORK_FORWARD_MAX. */
dm_status network_forward(dm_unet *unet, float *output, const float *x, const float *times,
                          const int32_t *labels, size_t count);

typedef struct network_input {
    float x[NETWORK_IMAGES * NETWORK_ELEMENTS], timesteps[NETWORK_IMAGES];
    int32_t labels[NETWORK_IMAGES];
} network_input;

/* Always the same; one of the labels is "no class". */
void network_give(network_input *input);

/* Fails the test unless two networks have the same options and the same bits in every tensor. */
void network_same(const dm_unet *one, const dm_unet *other);

#endif
