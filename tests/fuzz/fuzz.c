/* SPDX-License-Identifier: MIT */
/* See fuzz.h: checks, numbers from the input, and tiny objects. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- checks ---- */

void fuzz_fail(const char *file, int line, const char *text) {
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, text);
    abort();
}

bool fuzz_ok(const dm_context *context, dm_status status) {
    FUZZ_CHECK(status <= DM_OK && status > DM_ERROR_INTERNAL);
    if (status && context) FUZZ_CHECK(*dm_context_error(context) != 0);
    return status == DM_OK;
}

bool fuzz_created(const dm_context *context, dm_status status, const void *object) {
    FUZZ_CHECK((status == DM_OK) == (object != NULL));
    return fuzz_ok(context, status);
}

/* ---- numbers ---- */

static uint64_t number(fuzz_input *in, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && in->left > 0; i++, in->left--)
        value |= (uint64_t)*in->at++ << (8 * i);
    return value;
}

uint8_t fuzz_u8(fuzz_input *in) { return (uint8_t)number(in, 1); }
uint16_t fuzz_u16(fuzz_input *in) { return (uint16_t)number(in, 2); }
uint32_t fuzz_u32(fuzz_input *in) { return (uint32_t)number(in, 4); }
uint64_t fuzz_u64(fuzz_input *in) { return number(in, 8); }
uint32_t fuzz_below(fuzz_input *in, uint32_t n) {
    return (n <= 256 ? fuzz_u8(in) : fuzz_u32(in)) % n;
}

/* FNV-1a. */
bool fuzz_one_of(const uint8_t *data, size_t size, uint32_t n) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ data[i]) * 0x100000001b3u;
    return (uint32_t)(hash >> 32) % n == 0;
}

/* ---- objects ---- */

dm_context *fuzz_context(uint64_t memory_limit) {
    dm_context_options o;
    dm_context *context;
    FUZZ_CHECK(!dm_context_options_init(&o, sizeof o));
    o.threads = 1;
    o.memory_limit = memory_limit;
    FUZZ_CHECK(!dm_context_create(&context, &o, NULL, 0));
    return context;
}

uint64_t fuzz_used(const dm_context *context) {
    uint64_t used;
    FUZZ_CHECK(!dm_context_get_memory(context, &used, NULL, NULL));
    return used;
}

dm_unet_options fuzz_unet_options(void) {
    dm_unet_options o;
    FUZZ_CHECK(!dm_unet_options_init(&o, sizeof o));
    o.height = o.width = FUZZ_SIDE;
    o.in_channels = o.out_channels = 1;
    o.levels = 1;
    memset(o.channels, 0, sizeof o.channels);
    memset(o.blocks, 0, sizeof o.blocks);
    memset(o.attention, 0, sizeof o.attention);
    o.channels[0] = 2;
    o.blocks[0] = 1;
    o.mid_attention = 0;
    o.norm_groups = 1;
    o.time_channels = 2;
    o.time_frequency_shift = 0;
    o.classes = FUZZ_CLASSES;
    o.prediction = DM_PREDICT_EPS;
    return o;
}

dm_unet *fuzz_unet(dm_context *context) {
    const dm_unet_options o = fuzz_unet_options();
    dm_unet *unet;
    FUZZ_CHECK(!dm_unet_create(&unet, context, &o, 1));
    return unet;
}

dm_dataset *fuzz_dataset(dm_context *context) {
    static const int32_t labels[FUZZ_IMAGES] = {0, 1, 2, -1};
    static uint8_t pixels[FUZZ_IMAGES * FUZZ_PIXELS];
    dm_dataset_memory memory;
    dm_dataset *dataset;
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37);
    FUZZ_CHECK(!dm_dataset_memory_init(&memory, sizeof memory));
    memory.count = FUZZ_IMAGES;
    memory.height = memory.width = FUZZ_SIDE;
    memory.channels = 1;
    memory.pixels = pixels;
    memory.pixel_bytes = sizeof pixels;
    memory.labels = labels;
    memory.label_count = FUZZ_IMAGES;
    FUZZ_CHECK(!dm_dataset_create_from_memory(&dataset, context, &memory));
    return dataset;
}

dm_schedule *fuzz_schedule(dm_context *context, dm_schedule_kind kind, int32_t timesteps) {
    dm_schedule_options o;
    dm_schedule *schedule;
    FUZZ_CHECK(!dm_schedule_options_init(&o, sizeof o));
    o.kind = kind;
    o.timesteps = timesteps;
    FUZZ_CHECK(!dm_schedule_create(&schedule, context, &o));
    return schedule;
}

dm_trainer_options fuzz_trainer_options(void) {
    dm_trainer_options o;
    FUZZ_CHECK(!dm_trainer_options_init(&o, sizeof o));
    o.batch_size = 1;
    o.ema_decay[0] = 0; /* a smaller file */
    return o;
}

/* ---- saved files ---- */

uint8_t *fuzz_trainer_bytes(const dm_trainer *trainer, size_t *size) {
    dm_context *context = dm_trainer_context(trainer);
    FUZZ_CHECK(fuzz_ok(context, dm_trainer_save_memory(trainer, NULL, 0, size)));
    uint8_t *bytes = malloc(*size);
    size_t written;
    FUZZ_CHECK(bytes != NULL);
    FUZZ_CHECK(fuzz_ok(context, dm_trainer_save_memory(trainer, bytes, *size, &written)));
    FUZZ_CHECK(written == *size);
    return bytes;
}

static uint8_t *unet_bytes(const dm_unet *unet, const dm_schedule *schedule, size_t *size) {
    FUZZ_CHECK(!dm_unet_save_memory(unet, schedule, NULL, 0, size));
    uint8_t *bytes = malloc(*size);
    size_t written;
    FUZZ_CHECK(bytes != NULL);
    FUZZ_CHECK(!dm_unet_save_memory(unet, schedule, bytes, *size, &written));
    FUZZ_CHECK(written == *size);
    return bytes;
}

static uint8_t *saved_unet(size_t *size, const char *const *names) {
    dm_context *context = fuzz_context(0);
    dm_unet *unet = fuzz_unet(context);
    FUZZ_CHECK(!dm_unet_set_class_names(unet, names, names ? FUZZ_CLASSES : 0));
    dm_schedule *schedule = fuzz_schedule(context, DM_SCHEDULE_LINEAR, 10);
    uint8_t *bytes = unet_bytes(unet, schedule, size);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return bytes;
}

uint8_t *fuzz_saved_unet(size_t *size) { return saved_unet(size, NULL); }

uint8_t *fuzz_saved_names(size_t *size) {
    static const char *const names[FUZZ_CLASSES] = {"a", "\"b\"", "\xc3\xa9"};
    return saved_unet(size, names);
}

uint8_t *fuzz_saved_checkpoint(size_t *size) {
    dm_context *context = fuzz_context(0);
    dm_unet *unet = fuzz_unet(context);
    dm_schedule *schedule = fuzz_schedule(context, DM_SCHEDULE_LINEAR, 10);
    dm_dataset *dataset = fuzz_dataset(context);
    const dm_trainer_options o = fuzz_trainer_options();
    dm_trainer *trainer;
    FUZZ_CHECK(!dm_trainer_create(&trainer, unet, schedule, dataset, &o));
    FUZZ_CHECK(!dm_trainer_step(trainer, NULL));
    uint8_t *bytes = fuzz_trainer_bytes(trainer, size);
    dm_trainer_destroy(trainer);
    dm_dataset_destroy(dataset);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return bytes;
}

/* ---- use of what was loaded ---- */

static void forward(dm_unet *unet, const dm_unet_options *o) {
    enum { FLOATS_MAX = 1 << 14 };
    static float x[FLOATS_MAX], output[FLOATS_MAX];
    const double time = 1;
    const int32_t label = 0;
    const uint64_t pixels = (uint64_t)o->height * (uint64_t)o->width;
    const uint64_t in = pixels * (uint64_t)o->in_channels * (o->self_conditioning ? 2 : 1);
    const uint64_t out = pixels * (uint64_t)o->out_channels * (o->learned_variance ? 2 : 1);
    if (in > FLOATS_MAX || out > FLOATS_MAX || pixels * dm_unet_parameter_count(unet) > 1 << 20)
        return;
    dm_unet_input input;
    FUZZ_CHECK(!dm_unet_input_init(&input, sizeof input));
    input.count = input.time_count = 1;
    input.x = x;
    input.x_elements = in;
    input.times = &time;
    if (o->classes) input.labels = &label, input.label_count = 1;
    fuzz_ok(dm_unet_context(unet), dm_unet_forward(unet, &input, output, (size_t)out));
}

/* A network that was saved and loaded has the same names of classes. */
static void same_names(const dm_unet *one, const dm_unet *other, int32_t classes) {
    FUZZ_CHECK(!dm_unet_class_name(one, -1) && !dm_unet_class_name(one, classes));
    for (int32_t i = 0; i < classes && i < 100; i++) {
        const char *name = dm_unet_class_name(one, i), *again = dm_unet_class_name(other, i);
        FUZZ_CHECK(!name == !again && !name == !dm_unet_class_name(one, 0));
        FUZZ_CHECK(!name || (*name && strlen(name) <= 255 && strcmp(name, again) == 0));
    }
}

void fuzz_use_unet(dm_unet *unet) {
    dm_context *context = dm_unet_context(unet);
    dm_unet_options o, again;
    FUZZ_CHECK(fuzz_ok(context, dm_unet_get_options(unet, &o, sizeof o)));
    forward(unet, &o);
    if (dm_unet_parameter_count(unet) > 1 << 16) return;
    size_t size;
    uint8_t *bytes = unet_bytes(unet, NULL, &size);
    dm_unet *loaded;
    const dm_status status = dm_unet_load_memory(&loaded, context, bytes, size, DM_WEIGHTS_DEFAULT);
    if (fuzz_created(context, status, loaded)) {
        FUZZ_CHECK(!dm_unet_get_options(loaded, &again, sizeof again));
        FUZZ_CHECK(memcmp(&o, &again, sizeof o) == 0);
        FUZZ_CHECK(dm_unet_parameter_count(loaded) == dm_unet_parameter_count(unet));
        same_names(unet, loaded, o.classes);
    } else {
        FUZZ_CHECK(status == DM_ERROR_LIMIT_EXCEEDED);
    }
    dm_unet_destroy(loaded);
    free(bytes);
}

void fuzz_use_trainer(dm_unet *unet, const dm_dataset *dataset, const uint8_t *bytes, size_t size,
                      bool again) {
    dm_context *context = dm_unet_context(unet);
    dm_trainer *trainer;
    dm_status status = dm_trainer_resume_memory(&trainer, unet, dataset, bytes, size);
    if (!fuzz_created(context, status, trainer)) return;
    dm_trainer_options o, resumed;
    uint64_t step, after;
    FUZZ_CHECK(!dm_trainer_get_options(trainer, &o, sizeof o));
    FUZZ_CHECK(!dm_trainer_get_step(trainer, &step));
    if (o.batch_size * o.accumulation <= 8) {
        fuzz_ok(context, dm_trainer_step(trainer, NULL));
        FUZZ_CHECK(!dm_trainer_get_step(trainer, &after) && after >= step);
    }
    if (!again) {
        dm_trainer_destroy(trainer);
        return;
    }
    size_t saved_size;
    uint8_t *saved = fuzz_trainer_bytes(trainer, &saved_size);
    dm_trainer_destroy(trainer);
    status = dm_trainer_resume_memory(&trainer, unet, dataset, saved, saved_size);
    free(saved);
    FUZZ_CHECK(fuzz_created(context, status, trainer));
    FUZZ_CHECK(!dm_trainer_get_options(trainer, &resumed, sizeof resumed));
    FUZZ_CHECK(memcmp(&o, &resumed, sizeof o) == 0);
    dm_trainer_destroy(trainer);
}

void fuzz_use_schedule(const dm_schedule *schedule) {
    dm_context *context = dm_schedule_context(schedule);
    const size_t count = (size_t)dm_schedule_timesteps(schedule);
    double signal, noise, time;
    FUZZ_CHECK(count >= 1);
    const double last = (double)count - 1;
    FUZZ_CHECK(!dm_schedule_get_level(schedule, last / 2, &signal, &noise, &time));
    FUZZ_CHECK(!dm_schedule_get_level(schedule, last, &signal, &noise, &time));
    FUZZ_CHECK(signal >= 0 && noise >= 0);
    if (count > 1000) return;
    double values[1000];
    for (dm_series series = 0; series <= DM_SERIES_TIME; series++)
        fuzz_ok(context, dm_schedule_get_series(schedule, series, values, count));
}
