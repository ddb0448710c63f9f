/* SPDX-License-Identifier: MIT */
/* Fuzz target: a sequence of calls. Each call is a byte, followed by bytes for its arguments;
 * handles are slots of small tables, and an empty slot is NULL. Calls that the header forbids are
 * left out: objects outlive what was made from them, as far as they must. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

enum { SLOTS = 3, CALLS_MAX = 64, STEPS = 6, BLOB_MAX = 1 << 16, NONE = -1 };

typedef struct slot {
    union {
        void *object;
        dm_context *context;
        dm_schedule *schedule;
        dm_dataset *dataset;
        dm_unet *unet;
        dm_trainer *trainer;
        dm_sampler *sampler;
    };
    int home;  /* slot of its context; NONE: destroyed before it */
    int uses;  /* slot of the schedule or dataset that must outlive it; NONE: none */
    bool held; /* a context whose allocations may fail, so that its memory is not compared */
    uint64_t used;
} slot;

static slot contexts[SLOTS], schedules[SLOTS], datasets[SLOTS], unets[SLOTS], trainers[SLOTS],
    samplers[SLOTS];
static uint8_t *blob;
static size_t blob_size;
static int32_t allocations_left; /* of contexts with an allocator; below 0: no limit */
static float images[4 * FUZZ_PIXELS];
static const int32_t labels[4] = {0, 1, -1, 2};
static const char *const names[FUZZ_CLASSES] = {"a", "\xc3\xa9", "the third"};

static slot *pick(fuzz_input *in, slot *table) { return &table[fuzz_u8(in) % SLOTS]; }

/* The context in which a status has left its text, or NULL. */
static void check(const slot *s, dm_status status) {
    fuzz_ok(NULL, status);
    if (s->object && s->home != NONE && status)
        FUZZ_CHECK(*dm_context_error(contexts[s->home].context) != 0);
}

/* Whether an object of the table has its context, or what it was made from, in slot `of`. */
static bool in_use(const slot *table, bool home, long of) {
    for (int i = 0; i < SLOTS; i++)
        if (table[i].object && (home ? table[i].home : table[i].uses) == of) return true;
    return false;
}

/* ---- contexts ---- */

static void *allocate(void *user, size_t size) {
    (void)user;
    if (allocations_left == 0) return NULL;
    if (allocations_left > 0) allocations_left--;
    return malloc(size);
}

static void release(void *user, void *pointer, size_t size) {
    (void)user, (void)size;
    free(pointer);
}

static void log_text(void *user, dm_log_level level, const char *message) {
    (void)user, (void)level;
    FUZZ_CHECK(*message != 0);
}

static void create_context(fuzz_input *in) {
    dm_context_options o;
    slot *s = pick(in, contexts);
    const unsigned how = fuzz_u8(in);
    if (s->object) return;
    FUZZ_CHECK(!dm_context_options_init(&o, sizeof o));
    o.threads = 1;
    o.log = log_text;
    o.profile = how >> 2 & 1;
    if (how & 1) o.allocate = allocate, o.release = release;
    if (how & 2) o.memory_limit = 1000 * (uint64_t)fuzz_u16(in);
    const dm_status status = dm_context_create(&s->context, &o, NULL, 0);
    fuzz_created(NULL, status, s->context);
    s->held = o.profile || (how & 1);
    if (s->context) s->used = fuzz_used(s->context);
}

static void destroy_context(fuzz_input *in) {
    slot *s = pick(in, contexts);
    const long at = s - contexts;
    if (in_use(schedules, true, at) || in_use(datasets, true, at) || in_use(trainers, true, at) ||
        in_use(samplers, true, at))
        return;
    for (int i = 0; i < SLOTS; i++)
        if (unets[i].object && unets[i].home == at) unets[i].home = NONE;
    dm_context_destroy(s->context);
    s->object = NULL;
}

static void limit_allocations(fuzz_input *in) {
    const unsigned n = fuzz_u8(in);
    allocations_left = n == 255 ? -1 : (int32_t)n;
}

/* ---- schedules and datasets ---- */

static void create_schedule(fuzz_input *in) {
    slot *s = pick(in, schedules), *home = pick(in, contexts);
    dm_schedule_options o;
    const unsigned how = fuzz_u8(in);
    if (s->object) return;
    FUZZ_CHECK(!dm_schedule_options_init(&o, sizeof o));
    o.kind = (int32_t)(how % 8);
    o.timesteps = STEPS + (int32_t)(how >> 6) - 1;
    const dm_status status =
        how == 255 ? dm_schedule_load_memory(&s->schedule, home->context, blob, blob_size)
                   : dm_schedule_create(&s->schedule, home->context, &o);
    s->home = (int)(home - contexts);
    fuzz_created(home->context, status, s->schedule);
}

static void destroy_schedule(fuzz_input *in) {
    slot *s = pick(in, schedules);
    if (in_use(samplers, false, s - schedules)) return;
    dm_schedule_destroy(s->schedule);
    s->object = NULL;
}

static void create_dataset(fuzz_input *in) {
    static uint8_t pixels[2 * FUZZ_PIXELS];
    slot *s = pick(in, datasets), *home = pick(in, contexts);
    dm_dataset_memory memory;
    const unsigned how = fuzz_u8(in);
    if (s->object) return;
    FUZZ_CHECK(!dm_dataset_memory_init(&memory, sizeof memory));
    memory.count = 2;
    memory.height = memory.width = FUZZ_SIDE;
    memory.channels = 1;
    memory.pixels = pixels;
    memory.pixel_bytes = sizeof pixels;
    memory.copy = how & 1;
    if (how & 2) memory.labels = labels, memory.label_count = 2;
    if (how & 8) memory.class_names = names, memory.class_name_count = FUZZ_CLASSES;
    const dm_status status =
        how & 4 ? dm_dataset_create_shapes(&s->dataset, home->context, 16, 10, how)
                : dm_dataset_create_from_memory(&s->dataset, home->context, &memory);
    s->home = (int)(home - contexts);
    fuzz_created(home->context, status, s->dataset);
}

static void destroy_dataset(fuzz_input *in) {
    slot *s = pick(in, datasets);
    if (in_use(trainers, false, s - datasets)) return;
    dm_dataset_destroy(s->dataset);
    s->object = NULL;
}

/* ---- networks ---- */

static void create_unet(fuzz_input *in) {
    slot *s = pick(in, unets), *home = pick(in, contexts);
    dm_unet_options o = fuzz_unet_options();
    const unsigned how = fuzz_u8(in);
    if (s->object) return;
    if (how & 1) o.classes = 0;
    if (how & 2) o.prediction = DM_PREDICT_V;
    if (how & 4) o.dropout = 0.5f;
    if (how & 8) o.self_conditioning = 1;
    if (how & 16) o.mid_attention = 1;
    if ((how & 96) == 96) o.prediction = DM_PREDICT_EPS, o.learned_variance = 1;
    const dm_status status = how & 128 ? dm_unet_load_memory(&s->unet, home->context, blob,
                                                             blob_size, (int32_t)(how % 5))
                                       : dm_unet_create(&s->unet, home->context, &o, how);
    s->home = (int)(home - contexts);
    fuzz_created(home->context, status, s->unet);
}

static void share_unet(fuzz_input *in) {
    slot *s = pick(in, unets), *home = pick(in, contexts), *of = pick(in, unets);
    if (s->object) return;
    const dm_status status = dm_unet_share(&s->unet, home->context, of->unet);
    s->home = (int)(home - contexts);
    fuzz_created(home->context, status, s->unet);
}

static void destroy_unet(fuzz_input *in) {
    slot *s = pick(in, unets);
    dm_unet_destroy(s->unet);
    s->object = NULL;
}

static void forward(fuzz_input *in) {
    static const double times[2] = {1, 2};
    static float output[4 * FUZZ_PIXELS], gradient[4 * FUZZ_PIXELS];
    slot *s = pick(in, unets);
    dm_unet_input input;
    dm_unet_options o = fuzz_unet_options();
    const unsigned how = fuzz_u8(in);
    if (s->unet) dm_unet_get_options(s->unet, &o, sizeof o);
    if (o.height != FUZZ_SIDE || o.width != FUZZ_SIDE || o.in_channels != 1 || o.out_channels != 1)
        return;
    FUZZ_CHECK(!dm_unet_input_init(&input, sizeof input));
    input.count = input.time_count = 1 + how % 2;
    input.x = images;
    input.x_elements = input.count * FUZZ_PIXELS * (o.self_conditioning ? 2 : 1);
    input.times = times;
    if (o.classes || how & 2) input.labels = labels, input.label_count = input.count;
    const size_t elements = (size_t)input.count * FUZZ_PIXELS * (o.learned_variance ? 2 : 1);
    if (how & 8) check(s, dm_unet_set_tiling(s->unet, how >> 4 & 1, how >> 5 & 1));
    if (how & 4)
        check(s, dm_unet_input_gradient(s->unet, &input, output, elements, output, gradient,
                                        (size_t)input.x_elements));
    else check(s, dm_unet_forward(s->unet, &input, output, elements));
}

static void set_tensor(fuzz_input *in) {
    slot *s = pick(in, unets);
    float values[256];
    dm_tensor_info info;
    const unsigned which = fuzz_u8(in);
    FUZZ_CHECK(!dm_tensor_info_init(&info, sizeof info));
    if ((which & 96) == 96) check(s, dm_unet_set_class_names(s->unet, names, FUZZ_CLASSES));
    if ((which & 96) == 64) check(s, dm_unet_set_class_names(s->unet, NULL, 0));
    check(s, dm_unet_get_tensor_info(s->unet, which % 32, &info));
    if (info.elements < 1 || info.elements > 256) return;
    check(s, dm_unet_get_tensor(s->unet, info.name, values, (size_t)info.elements));
    values[0] = 0.125f;
    check(s, dm_unet_set_tensor(s->unet, info.name, values, (size_t)info.elements, info.shape,
                                info.rank));
}

/* ---- training ---- */

static void keep(uint8_t *bytes, size_t size) {
    free(blob);
    blob = bytes;
    blob_size = size;
}

static void save_unet(fuzz_input *in) {
    slot *s = pick(in, unets), *schedule = pick(in, schedules);
    size_t size, written;
    dm_status status = dm_unet_save_memory(s->unet, schedule->schedule, NULL, 0, &size);
    check(s, status);
    if (status || size > BLOB_MAX) return;
    uint8_t *bytes = malloc(size);
    FUZZ_CHECK(bytes != NULL);
    status = dm_unet_save_memory(s->unet, schedule->schedule, bytes, size, &written);
    check(s, status);
    if (status) free(bytes);
    else keep(bytes, size);
}

static void save_trainer(fuzz_input *in) {
    slot *s = pick(in, trainers);
    size_t size, written;
    dm_status status = dm_trainer_save_memory(s->trainer, NULL, 0, &size);
    check(s, status);
    if (status || size > BLOB_MAX) return;
    uint8_t *bytes = malloc(size);
    FUZZ_CHECK(bytes != NULL);
    status = dm_trainer_save_memory(s->trainer, bytes, size, &written);
    check(s, status);
    if (status) free(bytes);
    else keep(bytes, size);
}

static void create_trainer(fuzz_input *in) {
    slot *s = pick(in, trainers), *unet = pick(in, unets), *schedule = pick(in, schedules),
         *dataset = pick(in, datasets);
    dm_trainer_options o = fuzz_trainer_options();
    const unsigned how = fuzz_u8(in);
    if (s->object || (unet->object && unet->home == NONE)) return;
    o.batch_size = 1 + (how & 1);
    o.accumulation = 1 + (how >> 1 & 1);
    if (how & 4) o.ema_decay[1] = 0.5;
    if (how & 8) o.recompute = DM_RECOMPUTE_BLOCKS;
    if (how & 16) o.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
    if (how & 32) o.label_dropout = 0.5;
    const dm_status status =
        how & 128
            ? dm_trainer_resume_memory(&s->trainer, unet->unet, dataset->dataset, blob, blob_size)
            : dm_trainer_create(&s->trainer, unet->unet, schedule->schedule, dataset->dataset, &o);
    s->home = unet->home;
    s->uses = (int)(dataset - datasets);
    fuzz_created(unet->object ? contexts[unet->home].context : NULL, status, s->trainer);
}

static void use_trainer(fuzz_input *in) {
    slot *s = pick(in, trainers), *target = pick(in, unets);
    dm_trainer_options o;
    uint64_t step = 0;
    switch (fuzz_u8(in) % 8) {
        case 0: dm_trainer_cancel(s->trainer); break;
        case 1: check(s, dm_trainer_set_learning_rate(s->trainer, fuzz_u8(in) / 64.0 - 1)); break;
        case 2: check(s, dm_trainer_get_ema(s->trainer, fuzz_u8(in) % 6 - 1, target->unet)); break;
        case 3: check(s, dm_trainer_get_options(s->trainer, &o, sizeof o)); break;
        case 4:
            check(s, dm_trainer_get_step(s->trainer, &step));
            if (step < 1000) check(s, dm_trainer_run(s->trainer, step + 2, NULL, NULL));
            break;
        default: check(s, dm_trainer_step(s->trainer, NULL));
    }
}

static void destroy_trainer(fuzz_input *in) {
    slot *s = pick(in, trainers);
    dm_trainer_destroy(s->trainer);
    s->object = NULL;
}

/* ---- sampling ---- */

static void create_sampler(fuzz_input *in) {
    slot *s = pick(in, samplers), *unet = pick(in, unets), *schedule = pick(in, schedules);
    dm_sampler_options o;
    const unsigned how = fuzz_u8(in);
    if (s->object || (unet->object && unet->home == NONE)) return;
    FUZZ_CHECK(!dm_sampler_options_init(&o, sizeof o));
    o.solver = (int32_t)(how % 16);
    o.steps = 1 + (int32_t)(how >> 4 & 3);
    o.batch_size = 1;
    if (how & 64) o.guidance = 2;
    if (how & 128) o.threshold = 0.9;
    const dm_status status = dm_sampler_create(&s->sampler, unet->unet, schedule->schedule, &o);
    s->home = unet->home;
    s->uses = (int)(schedule - schedules);
    fuzz_created(unet->object ? contexts[unet->home].context : NULL, status, s->sampler);
}

static void use_sampler(fuzz_input *in) {
    slot *s = pick(in, samplers);
    dm_sampler_request r;
    int32_t h, w, c, left;
    const unsigned how = fuzz_u8(in);
    dm_sampler_shape(s->sampler, &h, &w, &c);
    FUZZ_CHECK(!dm_sampler_request_init(&r, sizeof r));
    r.count = 1 + (how >> 3 & 1);
    if (how & 16) r.labels = labels, r.label_count = r.count;
    const size_t elements = (size_t)r.count * (size_t)(h * w * c);
    if (elements > sizeof images / sizeof *images) return;
    if (how & 32) r.image = images, r.image_elements = elements, r.strength = 0.5;
    switch (how % 8) {
        case 0: dm_sampler_cancel(s->sampler); break;
        case 1: check(s, dm_sampler_run(s->sampler, &r, images, elements)); break;
        case 2: check(s, dm_sampler_start(s->sampler, &r)); break;
        case 3: check(s, dm_sampler_get_preview(s->sampler, images, elements)); break;
        case 4: check(s, dm_sampler_finish(s->sampler, images, elements)); break;
        case 5: check(s, dm_sampler_finish(s->sampler, NULL, 0)); break;
        case 6: check(s, dm_sampler_invert(s->sampler, &r, images, elements)); break;
        default: check(s, dm_sampler_step(s->sampler, &left));
    }
    /* What a run has left may be infinite, which a request refuses; the next one begins anew. */
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) images[i] = (float)(i % 3) - 1;
}

static void destroy_sampler(fuzz_input *in) {
    slot *s = pick(in, samplers);
    dm_sampler_destroy(s->sampler);
    s->object = NULL;
}

static void evaluate(fuzz_input *in) {
    slot *s = pick(in, unets), *schedule = pick(in, schedules), *dataset = pick(in, datasets);
    dm_evaluation_options o;
    dm_evaluation result;
    FUZZ_CHECK(!dm_evaluation_options_init(&o, sizeof o));
    FUZZ_CHECK(!dm_evaluation_init(&result, sizeof result));
    o.timesteps = 1;
    o.count = 1;
    check(s,
          dm_unet_evaluate(s->unet, schedule->schedule, dataset->dataset, &o, NULL, NULL, &result));
}

/* ---- the target ---- */

static void destroy_all(bool contexts_first) {
    allocations_left = -1;
    for (int i = 0; i < SLOTS; i++) dm_sampler_destroy(samplers[i].sampler);
    for (int i = 0; i < SLOTS; i++) dm_trainer_destroy(trainers[i].trainer);
    for (int i = 0; i < SLOTS; i++) dm_dataset_destroy(datasets[i].dataset);
    for (int i = 0; i < SLOTS; i++) dm_schedule_destroy(schedules[i].schedule);
    for (int i = 0; i < SLOTS && contexts_first; i++) dm_context_destroy(contexts[i].context);
    for (int i = 0; i < SLOTS; i++) dm_unet_destroy(unets[i].unet);
    for (int i = 0; i < SLOTS && !contexts_first; i++) {
        if (contexts[i].context && !contexts[i].held)
            FUZZ_CHECK(fuzz_used(contexts[i].context) == contexts[i].used);
        dm_context_destroy(contexts[i].context);
    }
    slot *const tables[] = {contexts, schedules, datasets, unets, trainers, samplers};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        memset(tables[i], 0, SLOTS * sizeof(slot));
    keep(NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const calls[])(fuzz_input *) = {
        create_context, destroy_context, limit_allocations, create_schedule, destroy_schedule,
        create_dataset, destroy_dataset, create_unet,       share_unet,      destroy_unet,
        forward,        set_tensor,      save_unet,         save_trainer,    create_trainer,
        use_trainer,    destroy_trainer, create_sampler,    use_sampler,     destroy_sampler,
        evaluate,
    };
    fuzz_input in = {data, size};
    allocations_left = -1;
    const bool contexts_first = fuzz_u8(&in) & 1;
    for (int i = 0; i < CALLS_MAX && in.left > 0; i++)
        calls[fuzz_below(&in, sizeof calls / sizeof *calls)](&in);
    destroy_all(contexts_first);
    return 0;
}
