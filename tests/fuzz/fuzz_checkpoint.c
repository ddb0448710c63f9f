/* SPDX-License-Identifier: MIT */
/* Fuzz target: the input is a file of dm_trainer_save, from which training continues: one step,
 * and, for one input of four, the trainer saved and resumed again. For one input of eight it is
 * written to a file, of which the library is asked what it holds, and resumed with other options.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

enum { LIMIT = 8 << 20 };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed) {
    return fuzz_mutate_safetensors(data, size, capacity, seed);
}

/* ---- as a file ---- */

static char path[256];

static void remove_file(void) { unlink(path); }

static void write_file(const uint8_t *data, size_t size) {
    const char *base = getenv("TMPDIR");
    if (!*path) {
        snprintf(path, sizeof path, "%.200s/fuzz_checkpoint_XXXXXX", base ? base : "/tmp");
        const int made = mkstemp(path);
        FUZZ_CHECK(made >= 0);
        close(made);
        atexit(remove_file);
    }
    const int file = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    FUZZ_CHECK(file >= 0);
    FUZZ_CHECK(write(file, data, size) == (ssize_t)size);
    close(file);
}

/* What the file says must agree with the trainer that is resumed from it. */
static void use_file(dm_context *context, const dm_dataset *dataset) {
    dm_checkpoint_info info;
    dm_trainer_options found, o = fuzz_trainer_options();
    dm_trainer *trainer;
    uint64_t step;
    FUZZ_CHECK(!dm_checkpoint_info_init(&info, sizeof info));
    FUZZ_CHECK(!dm_trainer_options_init(&found, sizeof found));
    const bool known = fuzz_ok(context, dm_checkpoint_load_info(context, path, &found, &info));
    dm_unet *unet = fuzz_unet(context);
    o.ema_half_life[1] = 10;
    o.distill_steps = known ? found.distill_steps : 0;
    const dm_status status = dm_trainer_resume_changed(&trainer, unet, dataset, path, &o);
    if (fuzz_created(context, status, trainer)) {
        FUZZ_CHECK(known && info.training == 1 && info.step <= info.images);
        FUZZ_CHECK(!dm_trainer_get_step(trainer, &step) && step == info.step);
        fuzz_ok(context, dm_trainer_step(trainer, NULL));
    }
    dm_trainer_destroy(trainer);
    dm_unet_destroy(unet);
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
    if (fuzz_one_of(data, size, 8)) {
        write_file(data, size);
        use_file(context, dataset);
    }
    FUZZ_CHECK(fuzz_used(context) == used);
    return 0;
}
