/* SPDX-License-Identifier: MIT */
/* Networks whose time, classes and conditions are embedded otherwise than DDPM's: what they take,
 * what they refuse, and that training and files keep them. */
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"
#include "unet/unet.h"

enum { SIDE = TRAINING_SIDE, N = TRAINING_ELEMENTS };

static dm_unet_options small_options(void) {
    dm_unet_options o;
    ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    o.height = o.width = SIDE;
    o.levels = 2;
    o.channels[0] = o.channels[1] = 8;
    o.blocks[0] = o.blocks[1] = 1;
    o.attention[0] = o.attention[1] = 0;
    o.norm_groups = 4;
    return o;
}

static dm_unet *create(dm_context *context, const dm_unet_options *o) {
    dm_unet *unet;
    test_accepted(context, dm_unet_create(&unet, context, o, 3));
    network_randomize(unet, 4);
    return unet;
}

static dm_unet_input input_of(const float *x, const double *time) {
    dm_unet_input input;
    ck_assert_int_eq(dm_unet_input_init(&input, sizeof input), DM_OK);
    input.count = input.time_count = 1;
    input.x_elements = N;
    input.x = x;
    input.times = time;
    return input;
}

static dm_schedule *schedule_of(dm_context *context, dm_schedule_kind kind, int32_t timesteps) {
    dm_schedule_options o;
    dm_schedule *schedule;
    ck_assert_int_eq(dm_schedule_options_init(&o, sizeof o), DM_OK);
    o.kind = kind;
    o.timesteps = timesteps;
    test_accepted(context, dm_schedule_create(&schedule, context, &o));
    return schedule;
}

static void refuse_uses(dm_context *context, dm_unet *unet, const dm_schedule *schedule,
                        const char *words) {
    dm_sampler *sampler;
    dm_trainer *trainer;
    test_refused(context, dm_sampler_create(&sampler, unet, schedule, NULL),
                 DM_ERROR_INVALID_ARGUMENT, words);
    test_refused(context, dm_trainer_create(&trainer, unet, schedule, NULL, NULL),
                 DM_ERROR_INVALID_ARGUMENT, words);
}

/* Weights of the network as one array, and the offset of one tensor in it. */
static float *weights_of(const dm_unet *unet, size_t *floats) {
    const dmi_params *params = &unet->weights->params;
    float *copy = malloc(params->floats * sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, params->data, params->floats * sizeof *copy);
    *floats = params->floats;
    return copy;
}

/* ---- time ---- */

START_TEST(tables_of_times) {
    static float x[N], y[N];
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o = small_options();
    o.time_features = DM_TIME_LEARNED;
    o.time_steps = 20;
    o.prediction = DM_PREDICT_X0;
    dm_unet *unet = create(context, &o);
    double time = 19;
    dm_unet_input input = input_of(x, &time);
    test_accepted(context, dm_unet_forward(unet, &input, y, N));
    const double wrong[] = {20, -1, 3.5};
    for (size_t i = 0; i < 3; i++) {
        time = wrong[i];
        test_refused(context, dm_unet_forward(unet, &input, y, N), DM_ERROR_INVALID_ARGUMENT,
                     "unet: time 0 is|learned|from 0 to 19");
    }
    dm_schedule *fits = schedule_of(context, DM_SCHEDULE_COSINE, 20),
                *longer = schedule_of(context, DM_SCHEDULE_COSINE, 21),
                *flow = schedule_of(context, DM_SCHEDULE_FLOW, 10);
    refuse_uses(context, unet, longer, "the schedule has 21 timesteps|has 20");
    refuse_uses(context, unet, flow, "time inputs|flow|whole");
    dm_sampler *sampler;
    dm_sampler_options sampling;
    ck_assert_int_eq(dm_sampler_options_init(&sampling, sizeof sampling), DM_OK);
    sampling.steps = 3;
    test_accepted(context, dm_sampler_create(&sampler, unet, fits, &sampling));
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(flow);
    dm_schedule_destroy(longer);
    dm_schedule_destroy(fits);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* Random frequencies are part of the file and are never trained. */
START_TEST(fourier_features) {
    static float x[N], y[N];
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o = small_options();
    o.time_features = DM_TIME_FOURIER;
    o.prediction = DM_PREDICT_X0;
    dm_unet *unet = create(context, &o);
    double time = 0;
    dm_unet_input input = input_of(x, &time);
    test_refused(context, dm_unet_forward(unet, &input, y, N), DM_ERROR_INVALID_ARGUMENT,
                 "unet: time 0 is 0|fourier|above 0");
    dm_schedule *linear = schedule_of(context, DM_SCHEDULE_LINEAR, 10),
                *flow = schedule_of(context, DM_SCHEDULE_FLOW, 10);
    refuse_uses(context, unet, linear, "first time input is 0|fourier");

    float frequencies[8], after[8];
    test_accepted(context, dm_unet_get_tensor(unet, "time_proj.weight", frequencies, 8));
    dm_trainer_options options;
    ck_assert_int_eq(dm_trainer_options_init(&options, sizeof options), DM_OK);
    options.batch_size = 2;
    options.weight_decay = 0.5;
    options.learning_rate = 0.1;
    dm_dataset *dataset;
    dm_trainer *trainer;
    dm_dataset_memory memory;
    ck_assert_int_eq(dm_dataset_memory_init(&memory, sizeof memory), DM_OK);
    memory.count = TRAINING_IMAGES;
    memory.height = memory.width = SIDE;
    memory.channels = 3;
    memory.pixel_bytes = (uint64_t)TRAINING_IMAGES * N;
    memory.pixels = training_pixels();
    test_accepted(context, dm_dataset_create_from_memory(&dataset, context, &memory));
    test_accepted(context, dm_trainer_create(&trainer, unet, flow, dataset, &options));
    size_t floats;
    float *before = weights_of(unet, &floats);
    test_accepted(context, dm_trainer_run(trainer, 2, NULL, NULL));
    ck_assert(memcmp(before, unet->weights->params.data, floats * sizeof *before) != 0);
    test_accepted(context, dm_unet_get_tensor(unet, "time_proj.weight", after, 8));
    ck_assert_mem_eq(frequencies, after, sizeof after);
    char path[160];
    snprintf(path, sizeof path, "%s/fourier", test_folder());
    test_accepted(context, dm_trainer_save(trainer, path));
    dm_unet *ema;
    test_accepted(context, dm_unet_load(&ema, context, path, DM_WEIGHTS_EMA));
    test_accepted(context, dm_unet_get_tensor(ema, "time_proj.weight", after, 8));
    ck_assert_mem_eq(frequencies, after, sizeof after);
    dm_unet_destroy(ema);
    free(before);
    dm_trainer_destroy(trainer);
    dm_dataset_destroy(dataset);
    dm_schedule_destroy(flow);
    dm_schedule_destroy(linear);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* A condition that is embedded like the time is one: forward passes, gradients, samplers and
 * trainers refuse others, zeros for none among them where features are of the logarithm. */
START_TEST(conditions_embedded_like_the_time) {
    static float x[N], y[N], dx[N];
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o = small_options();
    o.time_features = DM_TIME_FOURIER;
    o.prediction = DM_PREDICT_X0;
    o.condition_size = 1;
    o.condition_embedding = DM_CONDITION_TIME;
    dm_unet *unet = create(context, &o);
    double time = 3;
    float condition = 2;
    dm_unet_input input = input_of(x, &time);
    test_refused(context, dm_unet_forward(unet, &input, y, N), DM_ERROR_INVALID_ARGUMENT,
                 "unet: condition 0 is 0|fourier|above 0");
    test_refused(context, dm_unet_input_gradient(unet, &input, x, N, NULL, dx, N),
                 DM_ERROR_INVALID_ARGUMENT, "unet: condition 0 is 0|fourier");
    input.condition_vector = &condition;
    input.condition_vector_elements = 1;
    test_accepted(context, dm_unet_forward(unet, &input, y, N));
    for (size_t i = 0; i < N; i++) ck_assert(isfinite(y[i]));

    dm_schedule *flow = schedule_of(context, DM_SCHEDULE_FLOW, 10);
    dm_sampler_options options;
    dm_sampler_request request;
    dm_sampler *sampler;
    ck_assert_int_eq(dm_sampler_options_init(&options, sizeof options), DM_OK);
    ck_assert_int_eq(dm_sampler_request_init(&request, sizeof request), DM_OK);
    options.steps = 2;
    for (int32_t guided = 0; guided < 2; guided++) {
        options.guidance = guided ? 2 : 1;
        test_accepted(context, dm_sampler_create(&sampler, unet, flow, &options));
        request.count = 1;
        request.condition_vector = guided ? &condition : NULL;
        request.condition_vector_elements = (uint64_t)guided;
        test_refused(context, dm_sampler_run(sampler, &request, y, N), DM_ERROR_INVALID_ARGUMENT,
                     guided ? "'guidance' 2|fourier" : "sampler: condition 0 is 0|fourier");
        dm_sampler_destroy(sampler);
    }

    dm_trainer_options of_trainer;
    dm_trainer *trainer;
    ck_assert_int_eq(dm_trainer_options_init(&of_trainer, sizeof of_trainer), DM_OK);
    of_trainer.condition_dropout = 0.5;
    of_trainer.batch_size = 1;
    test_refused(context, dm_trainer_create(&trainer, unet, flow, NULL, &of_trainer),
                 DM_ERROR_INVALID_ARGUMENT, "'condition_dropout' 0.5|fourier");
    of_trainer.condition_dropout = 0;
    test_accepted(context, dm_trainer_create(&trainer, unet, flow, NULL, &of_trainer));
    dm_train_batch batch;
    ck_assert_int_eq(dm_train_batch_init(&batch, sizeof batch), DM_OK);
    batch.count = 1;
    batch.elements = N;
    batch.images = x;
    test_refused(context, dm_trainer_step_batch(trainer, &batch, NULL), DM_ERROR_INVALID_ARGUMENT,
                 "trainer: condition 0 is 0|fourier");
    dm_trainer_destroy(trainer);
    dm_unet_destroy(unet);

    o.time_features = DM_TIME_LEARNED;
    o.time_steps = 5;
    unet = create(context, &o);
    for (int32_t i = 0; i < 3; i++) {
        condition = i == 0 ? 4 : i == 1 ? 5 : 1.5f;
        if (i == 0) test_accepted(context, dm_unet_forward(unet, &input, y, N));
        else
            test_refused(context, dm_unet_forward(unet, &input, y, N), DM_ERROR_INVALID_ARGUMENT,
                         "unet: condition 0|learned|from 0 to 4");
    }
    dm_schedule_destroy(flow);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* A table that two parts of the network read has the sum of both gradients. */
START_TEST(a_table_with_two_users) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o = small_options();
    o.time_features = DM_TIME_LEARNED;
    o.time_steps = 5;
    o.condition_size = 1;
    o.condition_embedding = DM_CONDITION_TIME;
    dm_unet *unet = create(context, &o);
    dmi_params *params = &unet->weights->params;
    dmi_unet_graph g;
    test_accepted(context, dmi_params_allocate_gradient(&context->host, params));
    test_accepted(context, dmi_unet_graph_create(unet, &g, 1, true, DM_RECOMPUTE_NONE));
    int32_t index = dmi_params_find(params, "time_proj.weight");
    ck_assert_int_ge(index, 0);
    const dmi_param *p = &params->items[index];
    size_t width = p->count / 5;
    /* Both read row 3; then the one row 3, the other row 1: the rows' gradients are those of one
     * user each, and differ in the activations alone. */
    const float rows[2][2] = {{3, 1}, {3, 3}};
    double sums[2] = {0};
    for (int32_t run = 0; run < 2; run++) {
        *dmi_graph_data(g.graph, g.t) = rows[run][0];
        *dmi_graph_data(g.graph, g.condition_vector) = rows[run][1];
        test_fill(dmi_graph_data(g.graph, g.x), N, 7, 1);
        dmi_graph_forward(g.graph);
        static float dy[N];
        test_fill(dy, N, 8, 1);
        memcpy(dmi_graph_gradient(g.graph, g.output), dy, sizeof dy);
        dmi_graph_backward(g.graph);
        const float *gradient = params->gradient + p->offset;
        for (size_t row = 0; row < 5; row++)
            for (size_t k = 0; k < width; k++) {
                bool used = row == (size_t)rows[run][0] || row == (size_t)rows[run][1];
                ck_assert(used || gradient[row * width + k] == 0);
                if (used) sums[run] += fabs((double)gradient[row * width + k]);
            }
        /* Finite differences in the first column of row 3. */
        float *w = params->data + p->offset + 3 * width, kept = *w;
        double output[2] = {0};
        const float step = 1.0f / 64;
        for (int32_t side = 0; side < 2; side++) {
            *w = kept + (side ? step : -step);
            dmi_graph_forward(g.graph);
            const float *y = dmi_graph_data(g.graph, g.output);
            for (size_t k = 0; k < N; k++) output[side] += (double)y[k] * dy[k];
        }
        *w = kept;
        double difference = (output[1] - output[0]) / (2.0 * step), got = gradient[3 * width];
        ck_assert_msg(fabs(difference - got) <= 2e-2 * fabs(got) + 1e-4, "%g, not %g", got,
                      difference);
    }
    ck_assert(sums[0] > 0 && sums[1] > 0);
    dmi_unet_graph_destroy(&g);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* ---- classes ---- */

START_TEST(classes_without_a_null_row) {
    static float x[N], y[N];
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o = small_options();
    o.classes = 3;
    o.null_row = 0;
    dm_unet *unet = create(context, &o);
    double time = 1;
    int32_t label = 2;
    dm_tensor_info info;
    ck_assert_int_eq(dm_tensor_info_init(&info, sizeof info), DM_OK);
    for (int32_t i = 0; !info.name || strcmp(info.name, "class_embedding.weight") != 0; i++)
        test_accepted(context, dm_unet_get_tensor_info(unet, i, &info));
    ck_assert_int_eq(info.shape[0], 3);
    dm_unet_input input = input_of(x, &time);
    test_refused(context, dm_unet_forward(unet, &input, y, N), DM_ERROR_INVALID_ARGUMENT,
                 "'labels' is NULL|'null_row' 0");
    input.labels = &label;
    input.label_count = 1;
    test_accepted(context, dm_unet_forward(unet, &input, y, N));
    label = -1;
    test_refused(context, dm_unet_forward(unet, &input, y, N), DM_ERROR_INVALID_ARGUMENT,
                 "label 0 is -1|from 0 to 2");

    dm_schedule *schedule = schedule_of(context, DM_SCHEDULE_COSINE, 10);
    dm_sampler_options sampling;
    dm_sampler *sampler;
    dm_sampler_request request;
    ck_assert_int_eq(dm_sampler_options_init(&sampling, sizeof sampling), DM_OK);
    ck_assert_int_eq(dm_sampler_request_init(&request, sizeof request), DM_OK);
    sampling.steps = 2;
    sampling.guidance = 2;
    test_refused(context, dm_sampler_create(&sampler, unet, schedule, &sampling),
                 DM_ERROR_INVALID_ARGUMENT, "'guidance' 2|'null_row' 0");
    sampling.guidance = 1;
    test_accepted(context, dm_sampler_create(&sampler, unet, schedule, &sampling));
    test_refused(context, dm_sampler_run(sampler, &request, y, N), DM_ERROR_INVALID_ARGUMENT,
                 "'labels' is NULL|'null_row' 0");
    request.labels = &label;
    request.label_count = 1;
    test_refused(context, dm_sampler_run(sampler, &request, y, N), DM_ERROR_INVALID_ARGUMENT,
                 "image 0 is -1|from 0 to 2");
    label = 0;
    test_accepted(context, dm_sampler_run(sampler, &request, y, N));
    dm_sampler_destroy(sampler);

    dm_trainer_options options;
    dm_trainer *trainer;
    ck_assert_int_eq(dm_trainer_options_init(&options, sizeof options), DM_OK);
    options.label_dropout = 0.1;
    test_refused(context, dm_trainer_create(&trainer, unet, schedule, NULL, &options),
                 DM_ERROR_INVALID_ARGUMENT, "'label_dropout' 0.1|'null_row' 0");
    options.label_dropout = 0;
    options.use_labels = 0;
    test_refused(context, dm_trainer_create(&trainer, unet, schedule, NULL, &options),
                 DM_ERROR_INVALID_ARGUMENT, "'use_labels' 0|'null_row' 0");
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* ---- conditions ---- */

START_TEST(conditions_of_a_forward_pass) {
    enum { SIZE = 5 };
    static float x[N], y[N], other[N], image[SIDE * SIDE * 2];
    float vector[SIZE];
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o = small_options();
    o.condition_channels = 2;
    o.condition_size = SIZE;
    dm_unet *unet = create(context, &o);
    double time = 1;
    test_fill(x, N, 1, 1);
    test_fill(vector, SIZE, 2, 1);
    test_fill(image, SIDE * SIDE * 2, 3, 1);
    dm_unet_input input = input_of(x, &time);
    test_accepted(context, dm_unet_forward(unet, &input, y, N)); /* zeros */
    static const float zeros[SIDE * SIDE * 2];
    input.condition_image = zeros;
    input.condition_image_elements = SIDE * SIDE * 2;
    input.condition_vector = zeros;
    input.condition_vector_elements = SIZE;
    test_accepted(context, dm_unet_forward(unet, &input, other, N));
    ck_assert_mem_eq(y, other, sizeof y);
    input.condition_image = image;
    test_accepted(context, dm_unet_forward(unet, &input, other, N));
    ck_assert_mem_ne(y, other, sizeof y);
    input.condition_image = zeros;
    input.condition_vector = vector;
    test_accepted(context, dm_unet_forward(unet, &input, other, N));
    ck_assert_mem_ne(y, other, sizeof y);
    input.condition_vector_elements = SIZE + 1;
    test_refused(context, dm_unet_forward(unet, &input, y, N), DM_ERROR_SHAPE_MISMATCH,
                 "'condition_vector_elements' is 6|must be 5");
    input.condition_vector_elements = SIZE;
    input.condition_image_elements = 0;
    test_refused(context, dm_unet_forward(unet, &input, y, N), DM_ERROR_SHAPE_MISMATCH,
                 "'condition_image_elements' is 0|must be 128");
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* center_input maps x alone: [x, estimate] gives what [2 x - 1, estimate] gives without it. */
START_TEST(conditions_are_not_centered) {
    static float x[2 * N], mapped[2 * N], image[SIDE * SIDE * 2], y[N], other[N];
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o = small_options();
    double time = 1;
    o.condition_channels = 2;
    o.self_conditioning = _i;
    dm_unet *plain = create(context, &o);
    o.center_input = 1;
    dm_unet *centered = create(context, &o);
    const size_t c = TRAINING_CHANNELS, count = (size_t)N * (size_t)(1 + _i);
    test_fill(image, SIDE * SIDE * 2, 2, 1);
    for (size_t given = 0; given < 2; given++) {
        test_fill(x, count, 1, 1);
        for (size_t k = 0; k < count; k++) {
            bool estimate = _i && k % (2 * c) >= c;
            if (estimate && !given) x[k] = 0;
            mapped[k] = estimate ? x[k] : 2 * x[k] - 1;
        }
        dm_unet_input input = input_of(x, &time);
        input.x_elements = count;
        input.condition_image = given ? image : NULL;
        input.condition_image_elements = given ? SIDE * SIDE * 2 : 0;
        test_accepted(context, dm_unet_forward(centered, &input, y, N));
        input.x = mapped;
        test_accepted(context, dm_unet_forward(plain, &input, other, N));
        ck_assert_mem_eq(y, other, sizeof y);
    }
    dm_unet_destroy(centered), dm_unet_destroy(plain);
    dm_context_destroy(context);
}
END_TEST

/* ---- files ---- */

static bool has_text(const char *path, const char *text) {
    size_t size, length = strlen(text);
    uint8_t *bytes = training_read_file(path, &size);
    bool found = false;
    for (size_t i = 0; !found && i + length <= size; i++) found = !memcmp(bytes + i, text, length);
    free(bytes);
    return found;
}

/* Networks of format version 1 have files of version 1, as an older library reads them. */
START_TEST(format_versions) {
    dm_context *context = test_context_new(NULL, 0);
    char path[160];
    snprintf(path, sizeof path, "%s/network", test_folder());
    for (int32_t later = 0; later < 2; later++) {
        dm_unet_options o = small_options();
        if (later) {
            o.down_resample[0] = o.down_resample[1] = DM_RESAMPLE_SKIP;
            o.up_resample[0] = o.up_resample[1] = DM_RESAMPLE_SKIP;
            o.channels[0] = o.channels[1] = 32;
            o.up_attention[1] = 1;
            o.activation = DM_ACTIVATION_MISH;
            o.mid_scale = 1.5f;
        }
        dm_unet *unet = create(context, &o), *loaded;
        test_accepted(context, dm_unet_save(unet, NULL, path));
        ck_assert_int_eq(has_text(path, "\"format_version\":\"2\""), later);
        ck_assert_int_eq(has_text(path, "\"format_version\":\"1\""), !later);
        ck_assert_int_eq(has_text(path, "unet.down_resample"), later);
        ck_assert(!has_text(path, "unet.time_features"));
        test_accepted(context, dm_unet_load(&loaded, context, path, DM_WEIGHTS_DEFAULT));
        network_same(unet, loaded);
        dm_unet_destroy(loaded);
        dm_unet_destroy(unet);
    }
    dm_context_destroy(context);
}
END_TEST

Suite *test_unet_inputs_suite(void);
Suite *test_unet_inputs_suite(void) {
    Suite *suite = suite_create("unet_inputs");
    TCase *tcase = tcase_create("unet_inputs");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, tables_of_times);
    tcase_add_test(tcase, fourier_features);
    tcase_add_test(tcase, conditions_embedded_like_the_time);
    tcase_add_test(tcase, a_table_with_two_users);
    tcase_add_test(tcase, classes_without_a_null_row);
    tcase_add_test(tcase, conditions_of_a_forward_pass);
    tcase_add_loop_test(tcase, conditions_are_not_centered, 0, 2);
    tcase_add_test(tcase, format_versions);
    suite_add_tcase(suite, tcase);
    return suite;
}
