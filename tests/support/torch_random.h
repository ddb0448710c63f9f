/* PyTorch's random numbers on a CPU, for figures that others published with a seed of it: MT19937 (Matsumoto and Nishimura
 * 1998) and torch.randn for 16 numbers or more. */
#ifndef DM_TESTS_TORCH_RANDOM_H
#define DM_TESTS_TORCH_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct test_torch {
    uint32_t state[624];
    int32_t next;
} test_torch;

/* torch.manual_seed(seed). */
void test_torch_seed(test_torch *generator, uint32_t seed);
/* torch.randn(count), float32; count is at least 16. */
void test_torch_randn(test_torch *generator, float *out, size_t count);

#endif
