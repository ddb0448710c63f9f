/* SPDX-License-Identifier: MIT */
/* Networks of blocks by recipe: their rules, tensors and first weights, files, and the same bits
 * whatever is recomputed and however many threads or images there are; training with dropped
 * labels, and sampling with guidance. test_recipe_torch.c has the numbers. */
#include "core/context.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/schedule.h"
#include "support/support.h"
#include "unet/options.h"
#include "unet/unet.h"

enum { SIDE = 16, ELEMENTS = SIDE * SIDE * 3, IMAGES = 5, CLASSES = 4, OUTPUT = 2 * ELEMENTS };

/* Every part, windows smaller than the image, and a learned variance. */
static dm_unet_options every_part(void) {
    static const dm_part parts[] = {DM_PART_RESNET, DM_PART_CLASS_ATTENTION, DM_PART_CONVNEXT,
                                    DM_PART_CHANNEL_ATTENTION, DM_PART_ATTENTION};
    dm_unet_options o;
    ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    o.height = o.width = SIDE;
    o.levels = 3;
    o.channels[0] = 8, o.channels[1] = 16, o.channels[2] = 32;
    o.classes = CLASSES;
    o.prediction = DM_PREDICT_EPS;
    o.learned_variance = 1;
    o.attention_window = 4;
    memcpy(o.recipe, parts, sizeof parts);
    return o;
}

static dm_context *context_of(int32_t threads) {
    dm_context_options o;
    dm_context *context;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = threads;
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
    return context;
}

static dm_unet *network_of(dm_context *context, const dm_unet_options *o) {
    dm_unet *unet;
    test_accepted(context, dm_unet_create(&unet, context, o, 1));
    return unet;
}

/* ---- rules ---- */

typedef struct rule {
    const char *member, *value, *words;
} rule;

static const rule rules[] = {
    {"recipe", "class_attention,end,end,end,end,end,end,end",
     "'recipe' begins with class_attention|resnet or convnext"},
    {"recipe", "resnet,end,class_attention,end,end,end,end,end",
     "'recipe[2]' is class_attention|must be end|'recipe[1]'"},
    {"recipe", "end,resnet", "'recipe[1]' is resnet|must be end|'recipe[0]'"},
    {"recipe", "resnet,attention,end,end,end,end,end,resnet", "'recipe[7]' is resnet|'recipe[2]'"},
    {"recipe", "attention,resnet,end,end,end,end,end,end", "'recipe' begins with attention"},
    {"classes", "0", "'recipe' has class_attention|'classes'"},
    {"time_features", "fourier", "'recipe' cannot be combined with 'time_features' fourier"},
    {"condition_size", "5", "'recipe' cannot be combined with 'condition_size' 5"},
    {"dropout", "0.1", "'recipe' cannot be combined with 'dropout' 0.1"},
    {"attention_window", "3", "'attention_window' is 3|'height' is 16"},
    {"height", "24", "'attention_window' is 4|'height' is 6|divide"},
    {"width", "24", "'attention_window' is 4|'width' is 6|divide"},
    {"height", "18", "'height' is 18|multiple of 4"},
    {"channels", "8,14,32,0,0,0,0,0", "'channels' give 14 channels|3 groups"},
    {"channels", "8,0,32,0,0,0,0,0", "'channels' is 0 at level 1"},
    {"out_channels", "7", "'out_channels' give 14 channels|3 groups"},
    {"prediction", "v", "'learned_variance' cannot be combined with 'prediction' v"},
    {"time_channels", "1", "'time_channels' is 1|at least 2"},
    {"time_frequency_shift", "16", "'time_frequency_shift' is 16|of the time (16)"},
};

START_TEST(combinations_that_are_refused) {
    dm_context *context = context_of(1);
    dm_unet_options o = every_part();
    dm_unet *unet;
    test_accepted(context, dm_options_set(context, "dm_unet_options", &o, rules[_i].member,
                                          rules[_i].value));
    test_refused(context, dm_unet_create(&unet, context, &o, 0), DM_ERROR_INVALID_ARGUMENT,
                 rules[_i].words);
    dm_context_destroy(context);
}
END_TEST

/* What applies to residual and attention blocks alone may have any value. */
START_TEST(options_that_are_ignored) {
    dm_context *context = context_of(1);
    dm_unet_options o = every_part();
    dm_unet *unet = network_of(context, &o), *other;
    o.norm_groups = 5;
    o.blocks[0] = 0;
    o.attention_head_size = 64;
    o.mid_norm_groups = 7;
    o.down_resample[1] = DM_RESAMPLE_SKIP;
    o.time_channels = 32; /* what 0 stands for */
    other = network_of(context, &o);
    ck_assert_uint_eq(dm_unet_parameter_count(unet), dm_unet_parameter_count(other));
    dm_unet_destroy(other);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* ---- tensors ---- */

/* The bound of PyTorch's default; 0: not of that kind. */
static double bound_of(const dm_tensor_info *info) {
    if (!strcmp(info->name, "class_embedding.weight")) return 1 / sqrt(CLASSES);
    if (info->rank < 2) return 0;
    return 1 / sqrt((double)info->elements / (double)info->shape[0]);
}

static bool is_norm(const char *name) { return strstr(name, "norm") != NULL; }

/* Weights fill their bounds, and biases those of their weights; both as a network is created and
 * with PyTorch's generator. */
START_TEST(weights_begin_as_in_pytorch) {
    dm_context *context = context_of(1);
    dm_unet_options o = every_part();
    dm_unet *unet = network_of(context, &o);
    double bound = 0;
    if (_i) test_accepted(context, dm_unet_initialize(unet, DM_INITIALIZATION_TORCH, 1));
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info info = {.struct_size = sizeof info};
        test_accepted(context, dm_unet_get_tensor_info(unet, i, &info));
        float *values = malloc(info.elements * sizeof *values);
        double largest = 0;
        ck_assert_ptr_nonnull(values);
        test_accepted(context, dm_unet_get_tensor(unet, info.name, values, info.elements));
        bool bias = strstr(info.name, ".bias") != NULL,
             gate = info.rank == 1 && !bias && !is_norm(info.name);
        for (uint64_t k = 0; k < info.elements; k++) {
            largest = fmax(largest, fabs((double)values[k]));
            if (is_norm(info.name)) ck_assert(values[k] == (bias ? 0.0f : 1.0f));
        }
        if (!is_norm(info.name)) {
            if (gate) bound = 1 / sqrt((double)info.elements);
            else if (!bias) bound = bound_of(&info);
            ck_assert_msg(largest <= bound, "%s: %g of %g", info.name, largest, bound);
            ck_assert_msg(info.elements < 24 || largest > 0.7 * bound, "%s: %g of %g", info.name,
                          largest, bound);
        }
        free(values);
    }
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* After torch.manual_seed(1) and Conv2d(3, 8, 7), Linear(32, 32) and Linear(32, 32): columns 0, 1
 * and 31 of the table are rows of the weight of Linear(4, 32, bias=False), [32, 4]. */
START_TEST(class_table_of_pytorch) {
    static const struct {
        size_t column;
        float values[CLASSES];
    } expected[] = {
        {0, {0.00192141533f, -0.309840202f, -0.361540914f, 0.233184934f}},
        {1, {-0.245487928f, 0.346007407f, -0.23373425f, 0.41807878f}},
        {31, {0.362325549f, 0.463621914f, -0.367414773f, -0.232824326f}},
    };
    float table[CLASSES * 32];
    dm_context *context = context_of(1);
    dm_unet_options o = every_part();
    dm_unet *unet = network_of(context, &o);
    test_accepted(context, dm_unet_initialize(unet, DM_INITIALIZATION_TORCH, 1));
    test_accepted(context, dm_unet_get_tensor(unet, "class_embedding.weight", table, CLASSES * 32));
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        for (size_t row = 0; row < CLASSES; row++) {
            float got = table[row * 32 + expected[i].column];
            ck_assert_float_eq_tol(got, expected[i].values[row], 1e-7f);
        }
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* One row for each class and none for no class; transposed convolutions [in, out, 4, 4]. */
START_TEST(shapes_of_tensors) {
    static const struct {
        const char *name;
        int64_t shape[4];
    } expected[] = {
        {"conv_in.weight", {8, 3, 7, 7}},
        {"time_embedding.linear_1.weight", {32, 32, 1, 1}},
        {"class_embedding.weight", {CLASSES, 32, 1, 1}},
        {"down_blocks.0.parts.0.conv1.weight", {16, 8, 3, 3}},
        {"down_blocks.1.downsample.weight", {32, 32, 3, 3}},
        {"mid_block.gate.weight", {3, 1, 1, 1}},
        {"up_blocks.0.upsample.weight", {32, 32, 4, 4}},
        {"up_blocks.0.parts.0.conv1.weight", {16, 64, 3, 3}},
        {"up_blocks.1.parts.2.depthwise.weight", {8, 1, 7, 7}},
        {"out_blocks.1.parts.4.to_q.weight", {6, 6, 1, 1}},
        {"conv_out.weight", {6, 6, 7, 7}},
        {"variance_out.conv1.weight", {6, 3, 1, 1}},
        {"eps_out.conv2.weight", {3, 6, 1, 1}},
    };
    dm_context *context = context_of(1);
    dm_unet_options o = every_part();
    dm_unet *unet = network_of(context, &o);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        int32_t index = dmi_params_find(&unet->weights->params, expected[i].name);
        ck_assert_msg(index >= 0, "%s", expected[i].name);
        dm_tensor_info info = {.struct_size = sizeof info};
        test_accepted(context, dm_unet_get_tensor_info(unet, index, &info));
        for (int32_t k = 0; k < 4; k++)
            ck_assert_msg(info.shape[k] == expected[i].shape[k], "%s: dimension %d is %lld",
                          expected[i].name, (int)k, (long long)info.shape[k]);
    }
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* The first convolution reads them, as in other networks. */
START_TEST(inputs_beside_the_image) {
    dm_context *context = context_of(1);
    dm_unet_options o = every_part();
    o.self_conditioning = o.center_input = 1;
    o.condition_channels = 2;
    dm_unet *unet = network_of(context, &o);
    dm_tensor_info info = {.struct_size = sizeof info};
    test_accepted(context, dm_unet_get_tensor_info(unet, 0, &info));
    ck_assert_str_eq(info.name, "conv_in.weight");
    ck_assert_int_eq(info.shape[1], 2 * 3 + 2);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* ---- runs ---- */

typedef struct input {
    float x[IMAGES * ELEMENTS], times[IMAGES];
    int32_t labels[IMAGES];
} input;

static void give(input *in) {
    test_fill(in->x, IMAGES * ELEMENTS, 3, 1.5f);
    for (int32_t i = 0; i < IMAGES; i++) {
        in->times[i] = (float)(190 * i + 7);
        in->labels[i] = i - 1;
    }
}

/* Output and all gradients with these threads and DM_RECOMPUTE_*; to be freed. */
static float *gradients(int32_t threads, int32_t recompute, size_t *floats) {
    static input in;
    dm_context *context = context_of(threads);
    dm_unet_options o = every_part();
    dm_unet *unet = network_of(context, &o);
    dmi_params *params = &unet->weights->params;
    dmi_unet_graph u;
    size_t n = IMAGES * (size_t)OUTPUT;
    test_accepted(context, dmi_params_allocate_gradient(&context->host, params));
    test_accepted(context, dmi_unet_graph_create(unet, &u, IMAGES, true, recompute));
    give(&in);
    memcpy(dmi_graph_data(u.graph, u.x), in.x, sizeof in.x);
    memcpy(dmi_graph_data(u.graph, u.t), in.times, sizeof in.times);
    for (int32_t i = 0; i < IMAGES; i++)
        dmi_graph_data(u.graph, u.labels)[i] = dmi_unet_label_row(in.labels[i], CLASSES);
    *floats = n + params->floats;
    float *result = calloc(*floats, sizeof *result);
    ck_assert_ptr_nonnull(result);
    dmi_graph_forward(u.graph);
    memcpy(result, dmi_graph_data(u.graph, u.output), n * sizeof *result);
    test_fill(dmi_graph_gradient(u.graph, u.output), n, 8, 1);
    dmi_graph_backward(u.graph);
    for (int32_t i = 0; i < params->count; i++) { /* not what lies between them */
        const dmi_param *p = &params->items[i];
        memcpy(result + n + p->offset, params->gradient + p->offset, p->count * sizeof *result);
    }
    dmi_unet_graph_destroy(&u);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return result;
}

START_TEST(gradients_have_the_same_bits) {
    static const int32_t threads[] = {1, 3};
    size_t floats;
    float *want = gradients(1, DM_RECOMPUTE_NONE, &floats);
    for (int32_t recompute = DM_RECOMPUTE_NONE; recompute <= DM_RECOMPUTE_BLOCKS; recompute++)
        for (size_t k = 0; k < 2; k++) {
            float *got = gradients(threads[k], recompute, &floats);
            ck_assert_msg(!memcmp(got, want, floats * sizeof *got), "recompute %d, %d threads",
                          (int)recompute, (int)threads[k]);
            free(got);
        }
    free(want);
}
END_TEST

/* An image alone, without labels where its label is -1. */
START_TEST(batches_have_the_same_bits) {
    static input in;
    static float together[IMAGES * OUTPUT], alone[OUTPUT];
    dm_context *context = context_of(2);
    dm_unet_options o = every_part();
    dm_unet *unet = network_of(context, &o);
    give(&in);
    test_accepted(context, network_forward(unet, together, in.x, in.times, in.labels, IMAGES));
    for (int32_t i = 0; i < IMAGES; i++) {
        const int32_t *label = in.labels[i] < 0 ? NULL : in.labels + i;
        test_accepted(context,
                      network_forward(unet, alone, in.x + i * ELEMENTS, in.times + i, label, 1));
        ck_assert_msg(!memcmp(alone, together + i * OUTPUT, sizeof alone), "image %d", (int)i);
    }
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* No class is the zero vector: the same as a class whose row is zero. */
START_TEST(no_class_is_zero) {
    static input in;
    static float none[OUTPUT], zero[OUTPUT], other[OUTPUT], table[CLASSES * 32];
    const int32_t label = 2, last = CLASSES - 1;
    dm_context *context = context_of(1);
    dm_unet_options o = every_part();
    dm_unet *unet = network_of(context, &o);
    give(&in);
    test_fill(table, CLASSES * 32, 5, 1);
    memset(table + 2 * 32, 0, 32 * sizeof *table);
    test_accepted(context, network_set(unet, "class_embedding.weight", table, CLASSES * 32));
    test_accepted(context, network_forward(unet, none, in.x, in.times, NULL, 1));
    test_accepted(context, network_forward(unet, zero, in.x, in.times, &label, 1));
    test_accepted(context, network_forward(unet, other, in.x, in.times, &last, 1));
    ck_assert(!memcmp(none, zero, sizeof none));
    ck_assert(memcmp(none, other, sizeof none));
    dm_unet_destroy(unet);
    o.null_row = 0;
    unet = network_of(context, &o);
    test_refused(context, network_forward(unet, none, in.x, in.times, NULL, 1),
                 DM_ERROR_INVALID_ARGUMENT, "'labels' is NULL|'null_row' 0");
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* ---- files ---- */

START_TEST(files_keep_the_network) {
    dm_context *context = context_of(1);
    dm_unet_options o = every_part();
    dm_unet *unet = network_of(context, &o), *loaded;
    size_t size;
    test_accepted(context, dm_unet_save_memory(unet, NULL, NULL, 0, &size));
    void *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    test_accepted(context, dm_unet_save_memory(unet, NULL, bytes, size, &size));
    test_accepted(context, dm_unet_load_memory(&loaded, context, bytes, size, DM_WEIGHTS_DEFAULT));
    network_same(unet, loaded);
    dm_unet_destroy(loaded);
    dm_unet_destroy(unet);
    free(bytes);
    dm_context_destroy(context);
}
END_TEST

START_TEST(networks_differ_in_their_parts) {
    dm_unet_options a = every_part(), b = a;
    ck_assert_ptr_null(dmi_unet_options_difference(&a, &b));
    b.recipe[4] = DM_PART_RESNET;
    ck_assert_str_eq(dmi_unet_options_difference(&a, &b), "recipe");
}
END_TEST

/* ---- training and sampling ---- */

static dm_dataset *images_of(dm_context *context) {
    dm_dataset *data;
    test_accepted(context, dm_dataset_create_shapes(&data, context, SIDE, 64, 3));
    return data;
}

static void train(dm_context *context, dm_unet *unet, const dm_schedule *schedule) {
    dm_dataset *data = images_of(context);
    dm_trainer_options o;
    dm_trainer *trainer;
    double first = 0, last = 0;
    test_accepted(context, dm_trainer_options_init(&o, sizeof o));
    o.batch_size = 4;
    o.loss = DM_LOSS_HYBRID;
    o.bound_lambda = 6.9e-7;
    o.label_dropout = 0.5;
    o.learning_rate = 3e-3;
    o.adam_eps = 1e-4;
    o.weight_decay = 0.01;
    o.gradient_clip = 0;
    test_accepted(context, dm_trainer_create(&trainer, unet, schedule, data, &o));
    for (int32_t i = 0; i < 60; i++) {
        dm_train_stats stats = {.struct_size = sizeof stats};
        test_accepted(context, dm_trainer_step(trainer, &stats));
        ck_assert(isfinite(stats.loss) && !stats.skipped);
        if (i < 10) first += stats.loss;
        else if (i >= 50) last += stats.loss;
    }
    ck_assert_msg(last < 0.9 * first, "losses from %g to %g", first / 10, last / 10);
    dm_trainer_destroy(trainer);
    dm_dataset_destroy(data);
}

static void sample(dm_context *context, dm_unet *unet, const dm_schedule *schedule,
                   dm_solver solver, double guidance, float *images) {
    static const int32_t labels[2] = {1, -1};
    dm_sampler_options o;
    dm_sampler *sampler;
    dm_sampler_request r;
    test_accepted(context, dm_sampler_options_init(&o, sizeof o));
    o.solver = solver;
    o.steps = 4;
    o.guidance = guidance;
    o.rederive_eps = 1; /* by default only with guidance */
    test_accepted(context, dm_sampler_create(&sampler, unet, schedule, &o));
    test_accepted(context, dm_sampler_request_init(&r, sizeof r));
    r.count = 2;
    r.labels = labels;
    r.label_count = 2;
    r.seed = 5;
    test_accepted(context, dm_sampler_run(sampler, &r, images, 2 * ELEMENTS));
    for (size_t i = 0; i < 2 * ELEMENTS; i++) ck_assert(isfinite(images[i]));
    dm_sampler_destroy(sampler);
}

/* Guidance moves the image of a class and not the one without, whose two outputs are the same. */
START_TEST(training_and_sampling) {
    static const dm_solver solvers[] = {DM_SOLVER_DDIM, DM_SOLVER_DDPM};
    static float plain[2 * ELEMENTS], guided[2 * ELEMENTS];
    dm_context *context = context_of(2);
    dm_schedule *schedule = test_schedule(context, DM_SCHEDULE_COSINE, 1000);
    dm_unet_options o = every_part();
    o.classes = 10;
    dm_unet *unet = network_of(context, &o);
    train(context, unet, schedule);
    for (size_t i = 0; i < 2; i++) {
        sample(context, unet, schedule, solvers[i], 1, plain);
        sample(context, unet, schedule, solvers[i], 4, guided);
        double moved[2] = {0};
        for (size_t k = 0; k < 2 * ELEMENTS; k++)
            moved[k / ELEMENTS] =
                fmax(moved[k / ELEMENTS], fabs((double)plain[k] - (double)guided[k]));
        ck_assert_msg(moved[0] > 1e-3 && moved[1] < 1e-5, "%g, %g", moved[0], moved[1]);
    }
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
}
END_TEST

/* ---- presets ---- */

START_TEST(presets) {
    static const dm_preset preset_of[] = {DM_PRESET_RECIPE_64, DM_PRESET_RECIPE_32};
    static const struct {
        int32_t side, width, classes;
    } expected[] = {{64, 128, 1000}, {32, 32, 10}};
    for (size_t i = 0; i < 2; i++) {
        dm_unet_options o;
        ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, preset_of[i]), DM_OK);
        ck_assert_int_eq(o.height, expected[i].side);
        ck_assert_int_eq(o.levels, 4);
        ck_assert_int_eq(o.channels[3], 8 * expected[i].width);
        ck_assert_int_eq(o.classes, expected[i].classes);
        ck_assert_int_eq(o.recipe[0], DM_PART_RESNET);
        ck_assert_int_eq(o.recipe[3], DM_PART_END);
        ck_assert_int_eq(o.learned_variance, 1);
        ck_assert_int_eq(o.prediction, DM_PREDICT_EPS);
    }
}
END_TEST

Suite *test_recipe_suite(void);
Suite *test_recipe_suite(void) {
    Suite *suite = suite_create("recipe");
    TCase *tcase = tcase_create("recipe");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, combinations_that_are_refused, 0,
                        (int)(sizeof rules / sizeof *rules));
    tcase_add_test(tcase, options_that_are_ignored);
    tcase_add_loop_test(tcase, weights_begin_as_in_pytorch, 0, 2);
    tcase_add_test(tcase, class_table_of_pytorch);
    tcase_add_test(tcase, shapes_of_tensors);
    tcase_add_test(tcase, inputs_beside_the_image);
    tcase_add_test(tcase, gradients_have_the_same_bits);
    tcase_add_test(tcase, batches_have_the_same_bits);
    tcase_add_test(tcase, no_class_is_zero);
    tcase_add_test(tcase, files_keep_the_network);
    tcase_add_test(tcase, networks_differ_in_their_parts);
    tcase_add_test(tcase, training_and_sampling);
    tcase_add_test(tcase, presets);
    suite_add_tcase(suite, tcase);
    return suite;
}
