/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share. A target is one file fuzz_X.c that defines LLVMFuzzerTestOneInput;
 * it is linked with libFuzzer (`make fuzz`) or with replay.c (`make fuzz-replay`). It aborts where
 * the library breaks a promise of its header. */
#ifndef DM_TESTS_FUZZ_H
#define DM_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diffusion.h"

/* ---- libFuzzer's interface ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Optional in a target: changes data [size], in an array of `capacity` bytes, to another input; the
 * result is its size. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed);
/* Changes bytes without knowing what they are; for custom mutators. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity);

/* ---- checks ---- */

_Noreturn void fuzz_fail(const char *file, int line, const char *text);

#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) fuzz_fail(__FILE__, __LINE__, #condition);                               \
    } while (0)

/* The status is one of the header's and no defect; a failure has a text in `context`, if that is
 * not NULL. Returns whether it is DM_OK. */
bool fuzz_ok(const dm_context *context, dm_status status);
/* The same for a call that creates `object`, which is NULL exactly on failure. */
bool fuzz_created(const dm_context *context, dm_status status, const void *object);

/* ---- numbers from the input; all 0 past its end ---- */

typedef struct fuzz_input {
    const uint8_t *at;
    size_t left;
} fuzz_input;

uint8_t fuzz_u8(fuzz_input *in);
uint16_t fuzz_u16(fuzz_input *in);
uint32_t fuzz_u32(fuzz_input *in);
uint64_t fuzz_u64(fuzz_input *in);
/* 0 to n - 1. */
uint32_t fuzz_below(fuzz_input *in, uint32_t n);

/* Whether one input of `n` does something that takes long: from all of its bytes, so that copies of
 * an input that does need not do it too. */
bool fuzz_one_of(const uint8_t *data, size_t size, uint32_t n);

/* ---- objects ---- */

/* One thread. Aborts where it cannot be created. */
dm_context *fuzz_context(uint64_t memory_limit);
/* Bytes that the context has allocated. */
uint64_t fuzz_used(const dm_context *context);

enum { FUZZ_SIDE = 4, FUZZ_PIXELS = FUZZ_SIDE * FUZZ_SIDE, FUZZ_CLASSES = 3, FUZZ_IMAGES = 4 };

/* A network of one level with two channels, for images [4, 4, 1] of three classes. */
dm_unet_options fuzz_unet_options(void);
dm_unet *fuzz_unet(dm_context *context);
/* Four images [4, 4, 1] with labels. */
dm_dataset *fuzz_dataset(dm_context *context);
dm_schedule *fuzz_schedule(dm_context *context, dm_schedule_kind kind, int32_t timesteps);
/* A trainer with batches of one image. */
dm_trainer_options fuzz_trainer_options(void);

/* The bytes of a file of dm_unet_save, without and with names of classes, or, with a trainer, of
 * dm_trainer_save. To be freed. */
uint8_t *fuzz_saved_unet(size_t *size);
uint8_t *fuzz_saved_names(size_t *size);
uint8_t *fuzz_saved_checkpoint(size_t *size);
/* dm_trainer_save_memory. To be freed. */
uint8_t *fuzz_trainer_bytes(const dm_trainer *trainer, size_t *size);

/* One forward pass of one image, and the network saved and loaded again; nothing where either would
 * take long. Frees everything. */
void fuzz_use_unet(dm_unet *unet);
/* Resumes training of `unet` from the bytes; then one step, and, with `again`, the trainer saved
 * and resumed. */
void fuzz_use_trainer(dm_unet *unet, const dm_dataset *dataset, const uint8_t *bytes, size_t size,
                      bool again);
/* All series and some levels of the schedule. */
void fuzz_use_schedule(const dm_schedule *schedule);

/* ---- inputs that are safetensors files ---- */

/* A custom mutator: changes the header only, half of the time, and sets its length right again. */
size_t fuzz_mutate_safetensors(uint8_t *data, size_t size, size_t capacity, unsigned seed);

#endif
