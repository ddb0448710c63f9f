/* A network for tests that uses every option away from its default, with weights that are all
 * alive. */
#ifndef DM_TESTS_NETWORK_H
#define DM_TESTS_NETWORK_H

#include "diffusion.h"

enum {
    NETWORK_HEIGHT = 12, /* neither square nor whole tiles of Winograd's at every level */
    NETWORK_WIDTH = 20,
    NETWORK_CHANNELS = 3,
    NETWORK_CLASSES = 4,
    NETWORK_ELEMENTS = NETWORK_HEIGHT * NETWORK_WIDTH * NETWORK_CHANNELS,
    NETWORK_PICTURES = 5 /* the most that network_give gives */
};

/* Two levels of 16 and 32 channels, wide enough for Winograd's convolution; attention at both. */
dm_unet_options network_options(void);
/* Made of them; fails the test where it cannot be. */
dm_unet *network_new(dm_context *context, uint64_t seed);
/* Every tensor of the network anew from the seed, small enough that outputs stay near 1; what
 * begins as practically zero is as large as the rest. */
void network_randomize(dm_unet *unet, uint64_t seed);

typedef struct network_input {
    float x[NETWORK_PICTURES * NETWORK_ELEMENTS], timesteps[NETWORK_PICTURES];
    int32_t labels[NETWORK_PICTURES];
} network_input;

/* Always the same; one of the labels says "no class". */
void network_give(network_input *input);

/* Fails the test unless two networks have the same options and the same bits in every tensor. */
void network_same(const dm_unet *one, const dm_unet *other);

#endif
