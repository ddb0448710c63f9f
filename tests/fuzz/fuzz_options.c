/* SPDX-License-Identifier: MIT */
/* Fuzz target: every public struct, given to the functions that take it. Byte 0 selects a case. The
 * objects that the calls need are made once, so that an execution takes a few microseconds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/callbacks.h"
#include "fuzz/outputs.h"

enum {
    LIMIT = 16 << 20,
    NETWORK_LIMIT = 1 << 20, /* of new networks, since drawing their weights takes time */
    ARRAY = 256,             /* elements of each array that a struct may point to */
    HELD_STEPS = 32,
    STEPS = 8, /* timesteps of the schedules */
    KINDS = DM_SCHEDULE_EDM + 1
};

static dm_context *context, *small;
static dm_schedule *schedules[KINDS];
static dm_unet *unet, *trained;
static dm_dataset *dataset;
static dm_trainer *trainer;
static dm_sampler *sampler, *unet_sampler;
static float floats[ARRAY];
static double doubles[ARRAY];
static int32_t labels[ARRAY];
static uint64_t seeds[ARRAY];
static uint8_t pixels[ARRAY];

/* ---- callbacks ---- */

/* Allocations that succeed until one fails; below 0: all. A call that passes its checks soon fails
 * most of the time, since going on would take a hundred times as long. */
static int32_t allocations_left = -1;

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

static void log_nothing(void *user, dm_log_level level, const char *message) {
    (void)user;
    FUZZ_CHECK((level == DM_LOG_INFO || level == DM_LOG_WARNING) && *message);
}

static void in_order(void *user, int32_t count, void (*body)(void *, int32_t), void *data) {
    (void)user;
    for (int32_t i = 0; i < count; i++) body(data, i);
}

/* ---- objects ---- */

static dm_context *new_context(uint64_t limit) {
    dm_context_options o;
    dm_context *made;
    FUZZ_CHECK(!dm_context_options_init(&o, sizeof o));
    o.threads = 1;
    o.memory_limit = limit;
    o.allocate = allocate;
    o.release = release;
    FUZZ_CHECK(!dm_context_create(&made, &o, NULL, 0));
    return made;
}

static void set_up(void) {
    context = new_context(LIMIT);
    small = new_context(NETWORK_LIMIT);
    for (dm_schedule_kind k = 0; k < KINDS; k++) schedules[k] = fuzz_schedule(context, k, STEPS);
    for (int i = 0; i < ARRAY; i++) {
        floats[i] = (float)(i % 5) / 4;
        doubles[i] = ARRAY - 1 - i;
        labels[i] = i % FUZZ_CLASSES;
        seeds[i] = (uint64_t)i;
        pixels[i] = (uint8_t)i;
    }
    unet = fuzz_unet(context);
    trained = fuzz_unet(context);
    dataset = fuzz_dataset(context);
    dm_trainer_options o = fuzz_trainer_options();
    o.learning_rate = 0; /* so that an execution does not depend on those before it */
    FUZZ_CHECK(!dm_trainer_create(&trainer, trained, schedules[0], dataset, &o));
    dm_sampler_options so;
    dm_denoiser d;
    FUZZ_CHECK(!dm_sampler_options_init(&so, sizeof so) && !dm_denoiser_init(&d, sizeof d));
    so.steps = 2;
    d.height = d.width = 2;
    d.channels = 1;
    d.evaluate = denoise;
    FUZZ_CHECK(!dm_sampler_create_with_denoiser(&sampler, context, schedules[0], &d, &so));
    FUZZ_CHECK(!dm_sampler_create(&unet_sampler, unet, schedules[0], &so));
}

/* ---- cases: a struct is filled, its pointers are set, and it is given to its functions ---- */

#define BEGIN(type)                                                                                \
    fuzz_struct whole;                                                                             \
    type *o = (type *)(void *)&whole;                                                              \
    FUZZ_CHECK(!type##_init(o, sizeof *o))
#define FILL(type) fuzz_struct_fill(&whole, #type, in)

static void context_case(fuzz_input *in) {
    BEGIN(dm_context_options);
    FILL(dm_context_options);
    const unsigned set = fuzz_u8(in);
    if (o->threads == 0 || (o->threads > 1 && o->threads <= 256)) o->threads = 1 + (set >> 7);
    if (set & 1) o->allocate = allocate;
    if (set & 2) o->release = release;
    if (set & 4) o->log = log_nothing;
    if (set & 8) o->parallel_for = in_order;
    void *options = fuzz_struct_copy(&whole);
    dm_context *made;
    char error[64];
    const dm_status status = dm_context_create(&made, options, error, sizeof error);
    fuzz_created(NULL, status, made);
    FUZZ_CHECK(!status == !error[0]);
    if (made) FUZZ_CHECK(dm_context_threads(made) >= 1);
    dm_context_destroy(made);
    free(options);
}

static void schedule_case(fuzz_input *in) {
    BEGIN(dm_schedule_options);
    o->timesteps = 10;
    FILL(dm_schedule_options);
    if (o->timesteps > 100 && o->timesteps <= 100000) o->timesteps %= 101;
    void *options = fuzz_struct_copy(&whole);
    dm_schedule *made;
    const dm_status status = dm_schedule_create(&made, context, options);
    if (fuzz_created(context, status, made)) fuzz_use_schedule(made);
    dm_schedule_destroy(made);
    free(options);
}

static void betas_case(fuzz_input *in) {
    double betas[32];
    const size_t count = fuzz_u8(in) % 33;
    for (size_t i = 0; i < count; i++) betas[i] = fuzz_u16(in) / 65536.0 - (i > 20);
    dm_schedule *made;
    const dm_status status = dm_schedule_create_from_betas(&made, context, betas, count);
    if (fuzz_created(context, status, made)) fuzz_use_schedule(made);
    dm_schedule_destroy(made);
}

static void unet_case(fuzz_input *in) {
    BEGIN(dm_unet_options);
    if (fuzz_u8(in) % 8) *o = fuzz_unet_options();
    else FUZZ_CHECK(fuzz_ok(NULL, dm_unet_options_preset(o, sizeof *o, DM_PRESET_TINY)));
    FILL(dm_unet_options);
    void *options = fuzz_struct_copy(&whole);
    dm_unet *made;
    const dm_status status = dm_unet_create(&made, small, options, 1);
    allocations_left = -1;
    if (fuzz_created(small, status, made) && fuzz_u8(in) == 1) fuzz_use_unet(made);
    dm_unet_destroy(made);
    free(options);
}

static void trainer_case(fuzz_input *in) {
    BEGIN(dm_trainer_options);
    o->batch_size = 1;
    const dm_schedule *schedule = schedules[fuzz_below(in, KINDS)];
    FILL(dm_trainer_options);
    const unsigned how = fuzz_u8(in);
    void *options = fuzz_struct_copy(&whole);
    dm_trainer *made;
    const dm_status status =
        dm_trainer_create(&made, unet, schedule, how % 4 ? dataset : NULL, options);
    if (fuzz_created(context, status, made)) {
        FUZZ_CHECK(!dm_trainer_get_options(made, o, sizeof *o));
        if (how >= 192 && o->batch_size * o->accumulation <= 2)
            fuzz_ok(context, dm_trainer_step(made, NULL));
    }
    dm_trainer_destroy(made);
    free(options);
}

/* The lists of custom levels. */
static void set_levels(dm_sampler_options *o, fuzz_input *in) {
    const unsigned which = fuzz_u8(in);
    if (which % 4 == 1)
        o->custom_times = fuzz_array(doubles, sizeof *doubles, STEPS, &o->custom_count, in);
    if (which % 4 == 2)
        o->custom_sigmas = fuzz_array(doubles, sizeof *doubles, ARRAY - 1, &o->custom_count, in);
    /* Times end below STEPS. */
    if (o->custom_times) o->custom_times = doubles + ARRAY - o->custom_count;
}

static void use_sampler(dm_sampler *made, fuzz_input *in) {
    dm_sampler_options got;
    double levels[3][4 * ARRAY];
    int32_t h, w, c;
    FUZZ_CHECK(!dm_sampler_get_options(made, &got, sizeof got));
    const int32_t count = dm_sampler_evaluations(made);
    FUZZ_CHECK(dm_sampler_steps(made) >= 1 && count >= 1 && count <= 4 * ARRAY);
    FUZZ_CHECK(!dm_sampler_get_levels(made, levels[0], levels[1], levels[2], (size_t)count));
    dm_sampler_shape(made, &h, &w, &c);
    if (fuzz_u8(in) % 4 != 1 || h > 4 || w > 4 || c > 2) return;
    dm_sampler_request request;
    float image[32];
    FUZZ_CHECK(!dm_sampler_request_init(&request, sizeof request));
    if (got.guidance != 1) request.labels = labels, request.label_count = 1;
    fuzz_ok(context, dm_sampler_run(made, &request, image, (size_t)(h * w * c)));
}

static void sampler_case(fuzz_input *in) {
    BEGIN(dm_sampler_options);
    const unsigned how = fuzz_u8(in);
    const dm_schedule *schedule = schedules[fuzz_below(in, KINDS)];
    o->steps = 1 + fuzz_u8(in) % STEPS;
    o->solver = fuzz_u8(in) % (DM_SOLVER_FLOW_HEUN + 1);
    FILL(dm_sampler_options);
    set_levels(o, in);
    void *options = fuzz_struct_copy(&whole);
    dm_sampler *made;
    dm_denoiser d;
    FUZZ_CHECK(!dm_denoiser_init(&d, sizeof d));
    d.height = d.width = 2;
    d.channels = 1;
    d.prediction = how / 2 % 5;
    d.evaluate = denoise;
    const dm_status status =
        how % 2 ? dm_sampler_create(&made, unet, schedule, options)
                : dm_sampler_create_with_denoiser(&made, context, schedule, &d, options);
    if (fuzz_created(context, status, made)) use_sampler(made, in);
    dm_sampler_destroy(made);
    free(options);
}

static void denoiser_case(fuzz_input *in) {
    BEGIN(dm_denoiser);
    o->height = o->width = 2;
    o->channels = 1;
    FILL(dm_denoiser);
    if (o->height > 16) o->height %= 17;
    if (o->channels > 64) o->channels %= 65;
    const unsigned how = fuzz_u8(in);
    if (how % 8) o->evaluate = denoise;
    void *copy = fuzz_struct_copy(&whole);
    dm_sampler_options so;
    FUZZ_CHECK(!dm_sampler_options_init(&so, sizeof so));
    so.steps = 2;
    dm_sampler *made;
    const dm_status status =
        dm_sampler_create_with_denoiser(&made, context, schedules[how / 8 % KINDS], copy, &so);
    if (fuzz_created(context, status, made)) use_sampler(made, in);
    dm_sampler_destroy(made);
    free(copy);
}

static void request_case(fuzz_input *in) {
    static float out[ARRAY];
    BEGIN(dm_sampler_request);
    dm_sampler *with = fuzz_u8(in) % 8 ? sampler : unet_sampler;
    int32_t h, w, c;
    dm_sampler_shape(with, &h, &w, &c);
    const uint64_t one = (uint64_t)(h * w * c), pixel_count = (uint64_t)(h * w);
    o->count = 1 + fuzz_u8(in) % 3;
    o->seed_count = o->label_count = o->count;
    o->initial_noise_elements = o->image_elements = o->count * one;
    o->mask_elements = o->count * pixel_count;
    FILL(dm_sampler_request);
    const unsigned set = fuzz_u8(in), how = fuzz_u8(in);
#define OPTIONAL(bit, array, count, all)                                                           \
    if (set >> bit & 1) o->array = fuzz_array(all, sizeof *all, ARRAY, &o->count, in);             \
    else if (how < 250) o->count = 0
    OPTIONAL(0, seeds, seed_count, seeds);
    OPTIONAL(1, labels, label_count, labels);
    OPTIONAL(2, initial_noise, initial_noise_elements, floats);
    OPTIONAL(3, image, image_elements, floats);
    OPTIONAL(4, mask, mask_elements, floats);
    if (set & 32) o->noise = noise;
    if (set & 64) o->progress = progress;
    if (set & 128) o->guide = guide;
    if (o->repaint_repetitions > 4 && o->repaint_repetitions <= 100) o->repaint_repetitions %= 5;
    uint64_t elements = o->count * one;
    if (elements > ARRAY || how % 16 == 15) elements %= ARRAY;
    float *images = out + ARRAY - elements;
    void *request = fuzz_struct_copy(&whole);
    int32_t left = 1;
    switch (how % 4) {
        case 0: fuzz_ok(context, dm_sampler_run(with, request, images, elements)); break;
        case 1: fuzz_ok(context, dm_sampler_initial_noise(with, request, images, elements)); break;
        case 2: fuzz_ok(context, dm_sampler_invert(with, request, images, elements)); break;
        default:
            if (!fuzz_ok(context, dm_sampler_start(with, request))) break;
            /* A held run may be of many images. */
            for (int n = 0; n < HELD_STEPS && left > 0; n++)
                if (!fuzz_ok(context, dm_sampler_step(with, &left))) break;
            fuzz_ok(context, dm_sampler_get_preview(with, images, elements));
            fuzz_ok(context, dm_sampler_finish(with, images, elements));
            dm_sampler_finish(with, NULL, 0);
    }
    free(request);
}

static void evaluation_case(fuzz_input *in) {
    BEGIN(dm_evaluation_options);
    o->timesteps = 1;
    o->count = 1;
    FILL(dm_evaluation_options);
    void *options = fuzz_struct_copy(&whole), *result = fuzz_struct_empty("dm_evaluation", in);
    const dm_schedule *schedule = schedules[fuzz_below(in, KINDS)];
    const bool call = fuzz_u8(in) % 2;
    fuzz_ok(context, dm_unet_evaluate(unet, schedule, dataset, options, call ? evaluated : NULL,
                                      NULL, result));
    free(result);
    free(options);
}

static void grid_case(fuzz_input *in) {
    BEGIN(dm_image_grid_options);
    o->height = o->width = 2;
    o->channels = 1;
    o->count = 3;
    FILL(dm_image_grid_options);
    void *options = fuzz_struct_copy(&whole);
    int32_t h, w;
    const bool valid = fuzz_ok(NULL, dm_image_grid_size(options, &h, &w));
    FUZZ_CHECK(valid == (h > 0 && w > 0));
    const uint64_t bytes = valid ? (uint64_t)h * (uint64_t)w : 0;
    if (bytes > 0 && bytes < 1 << 14) {
        const size_t given = (size_t)bytes * (size_t)o->channels;
        uint8_t *grid = malloc(given);
        FUZZ_CHECK(grid != NULL);
        fuzz_ok(NULL, dm_image_draw_grid(options, grid, given, pixels, fuzz_u8(in)));
        fuzz_ok(NULL, dm_image_draw_grid(options, grid, given, pixels, 12));
        free(grid);
    }
    free(options);
}

static void animation_case(fuzz_input *in) {
    BEGIN(dm_image_animation);
    o->height = o->width = 2;
    o->channels = 1;
    o->frames = 2;
    FILL(dm_image_animation);
    void *options = fuzz_struct_copy(&whole);
    const size_t bytes = fuzz_u8(in) % 4 ? 8 : fuzz_u8(in);
    /* The folder does not exist: files are the target png's. */
    FUZZ_CHECK(
        !fuzz_ok(context, dm_image_write_apng(context, "/nowhere/a.png", pixels, bytes, options)));
    free(options);
}

static void use_dataset(dm_dataset *made, fuzz_input *in) {
    dm_dataset_info info;
    uint8_t image[ARRAY];
    FUZZ_CHECK(!dm_dataset_info_init(&info, sizeof info) && !dm_dataset_get_info(made, &info));
    const uint64_t bytes = (uint64_t)info.height * (uint64_t)info.width * (uint64_t)info.channels;
    const uint64_t index = fuzz_u8(in) % 2 ? info.count - 1 : fuzz_u64(in);
    if (bytes <= sizeof image)
        fuzz_ok(context, dm_dataset_get_image(made, index, image, (size_t)bytes, NULL));
}

static void memory_case(fuzz_input *in) {
    BEGIN(dm_dataset_memory);
    o->count = 3;
    o->height = o->width = 2;
    o->channels = 1;
    o->pixel_bytes = 12;
    o->label_count = 3;
    FILL(dm_dataset_memory);
    o->pixels = fuzz_array(pixels, 1, ARRAY, &o->pixel_bytes, in);
    o->labels = fuzz_array(labels, sizeof *labels, ARRAY, &o->label_count, in);
    void *memory = fuzz_struct_copy(&whole);
    dm_dataset *made;
    const dm_status status = dm_dataset_create_from_memory(&made, context, memory);
    if (fuzz_created(context, status, made)) use_dataset(made, in);
    dm_dataset_destroy(made);
    free(memory);
}

static void callback_case(fuzz_input *in) {
    BEGIN(dm_dataset_callback);
    o->count = 3;
    o->height = o->width = 2;
    o->channels = 1;
    FILL(dm_dataset_callback);
    if (fuzz_u8(in) % 8) o->read = read_item;
    void *callback = fuzz_struct_copy(&whole);
    dm_dataset *made;
    const dm_status status = dm_dataset_create_from_callback(&made, context, callback);
    if (fuzz_created(context, status, made)) use_dataset(made, in);
    dm_dataset_destroy(made);
    free(callback);
}

static void forward_case(fuzz_input *in) {
    static float output[ARRAY];
    BEGIN(dm_unet_input);
    o->count = 1 + fuzz_u8(in) % 2;
    o->x_elements = o->count * FUZZ_PIXELS;
    o->time_count = o->label_count = o->count;
    FILL(dm_unet_input);
    o->x = fuzz_array(floats, sizeof *floats, ARRAY, &o->x_elements, in);
    o->times = fuzz_array(doubles, sizeof *doubles, ARRAY, &o->time_count, in);
    o->labels = fuzz_array(labels, sizeof *labels, ARRAY, &o->label_count, in);
    void *input = fuzz_struct_copy(&whole);
    const uint64_t elements = fuzz_u8(in) == 1 ? fuzz_u8(in) : o->count * FUZZ_PIXELS;
    if (elements <= ARRAY)
        fuzz_ok(context, dm_unet_forward(unet, input, output + ARRAY - elements, elements));
    free(input);
}

static void batch_case(fuzz_input *in) {
    BEGIN(dm_train_batch);
    o->count = 1;
    o->elements = FUZZ_PIXELS;
    o->label_count = o->timestep_count = 1;
    FILL(dm_train_batch);
    const unsigned set = fuzz_u8(in);
    o->images = fuzz_array(floats, sizeof *floats, ARRAY, &o->elements, in);
    if (set & 1 && o->elements <= ARRAY) o->noise = floats;
    o->labels = fuzz_array(labels, sizeof *labels, ARRAY, &o->label_count, in);
    o->timesteps = fuzz_array(labels, sizeof *labels, ARRAY, &o->timestep_count, in);
    void *batch = fuzz_struct_copy(&whole), *stats = fuzz_struct_empty("dm_train_stats", in);
    fuzz_ok(context, dm_trainer_step_batch(trainer, batch, set & 2 ? stats : NULL));
    free(stats);
    free(batch);
}

static void outputs_case(fuzz_input *in) {
    const fuzz_objects of = {context, unet,    trainer,
                             sampler, dataset, schedules[fuzz_below(in, KINDS)]};
    fuzz_outputs_case(in, &of);
}

static void text_case(fuzz_input *in) { fuzz_text_case(in, context); }

typedef struct option_case {
    void (*run)(fuzz_input *in);
    bool slow; /* where it succeeds */
} option_case;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const option_case cases[] = {
        {context_case, false},  {schedule_case, false},  {betas_case, false},
        {unet_case, true},      {trainer_case, true},    {sampler_case, true},
        {denoiser_case, false}, {request_case, true},    {evaluation_case, true},
        {grid_case, false},     {animation_case, false}, {memory_case, false},
        {callback_case, false}, {forward_case, true},    {batch_case, true},
        {outputs_case, false},  {text_case, false},
    };
    if (!context) set_up();
    fuzz_input in = {data, size};
    const uint64_t used = fuzz_used(small);
    const option_case *one = &cases[fuzz_below(&in, sizeof cases / sizeof *cases)];
    const bool limited = !fuzz_one_of(data, size, one->slow ? 128 : 2);
    allocations_left = limited ? (int32_t)(size > 1 ? data[size - 1] % 8 : 0) : -1;
    one->run(&in);
    allocations_left = -1;
    FUZZ_CHECK(fuzz_used(small) == used);
    return 0;
}
