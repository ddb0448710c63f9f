/* SPDX-License-Identifier: MIT */
/* Fuzz target: the input is a file of dm_unet_save or dm_trainer_save, from which the network and
 * the schedule are loaded. One network of four is used. */
#include "fuzz/fuzz.h"

enum { LIMIT = 8 << 20 };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed) {
    return fuzz_mutate_safetensors(data, size, capacity, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const dm_weights weights[] = {DM_WEIGHTS_DEFAULT, DM_WEIGHTS_TRAINED, DM_WEIGHTS_EMA,
                                         DM_WEIGHTS_EMA + 1};
    static dm_context *context;
    if (!context) context = fuzz_context(LIMIT);
    const uint64_t used = fuzz_used(context);
    const size_t which = fuzz_one_of(data, size, 4) + 2 * fuzz_one_of(data, size, 7);
    dm_unet *unet;
    dm_status status = dm_unet_load_memory(&unet, context, data, size, weights[which]);
    if (fuzz_created(context, status, unet) && fuzz_one_of(data, size, 4)) fuzz_use_unet(unet);
    dm_unet_destroy(unet);
    dm_schedule *schedule;
    status = dm_schedule_load_memory(&schedule, context, data, size);
    if (fuzz_created(context, status, schedule)) fuzz_use_schedule(schedule);
    dm_schedule_destroy(schedule);
    FUZZ_CHECK(fuzz_used(context) == used);
    return 0;
}
