/* SPDX-License-Identifier: MIT */
/* Fuzz target: the input is a file of dm_trainer_save, from which training continues: one step,
 * and, for one input of four, the trainer saved and resumed again. */
#include <stdlib.h>

#include "fuzz/fuzz.h"

enum { LIMIT = 8 << 20 };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed) {
    return fuzz_mutate_safetensors(data, size, capacity, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static dm_context *context;
    static dm_dataset *dataset;
    if (!context) context = fuzz_context(LIMIT);
    if (!dataset) dataset = fuzz_dataset(context);
    const uint64_t used = fuzz_used(context);
    dm_unet *unet = fuzz_unet(context);
    fuzz_use_trainer(unet, dataset, data, size, fuzz_one_of(data, size, 4));
    dm_unet_destroy(unet);
    FUZZ_CHECK(fuzz_used(context) == used);
    return 0;
}
