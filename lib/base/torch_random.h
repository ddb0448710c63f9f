/* SPDX-License-Identifier: MIT */
/* The random numbers of PyTorch's CPU generator: MT19937 (Matsumoto and Nishimura 1998), and normal
 * numbers from them as torch.randn makes them for float32. A sequential generator, unlike that of
 * random.h. */
#ifndef DMI_BASE_TORCH_RANDOM_H
#define DMI_BASE_TORCH_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dmi_torch {
    uint32_t state[624];
    int32_t next;
    bool has_spare;
    double spare; /* the second of a pair of normal numbers, where fewer than 16 are generated */
} dmi_torch;

/* torch.Generator().manual_seed(seed); the low 32 bits of the seed are used. */
void dmi_torch_seed(dmi_torch *g, uint64_t seed);
/* torch.empty(count).uniform_(low, high, generator=g). */
void dmi_torch_uniform(dmi_torch *g, float *out, size_t count, float low, float high);
/* torch.randn(count, generator=g). */
void dmi_torch_randn(dmi_torch *g, float *out, size_t count);

#endif
