/* SPDX-License-Identifier: MIT */
/* Every operation against PyTorch: the cases of make_ops.py, built through the graph, for each
 * instruction set, with and without backward. */
#include "golden/trial.h"

typedef struct conv_case {
    const char *name;
    int32_t n, h, w, ci, co, kernel, stride, pad;
    bool upsample, bias, per_image, residual;
} conv_case;

static const conv_case conv_cases[] = {
    {"conv_plain", 2, 8, 8, 16, 24, 3, 1, 1, false, false, false, false},
    {"conv_all", 2, 8, 8, 16, 24, 3, 1, 1, false, true, true, true},
    {"conv_odd", 2, 5, 7, 16, 24, 3, 1, 1, false, true, true, true},
    {"conv_square", 1, 8, 8, 32, 32, 3, 1, 1, false, true, false, false},
    {"conv_odd_square", 3, 5, 7, 32, 32, 3, 1, 1, false, true, false, true},
    {"conv_in", 2, 8, 8, 3, 16, 3, 1, 1, false, true, false, false},
    {"conv_out", 2, 8, 8, 16, 3, 3, 1, 1, false, true, false, false},
    {"conv_tiny", 1, 2, 1, 5, 7, 3, 1, 1, false, true, false, false},
    {"conv_down", 2, 8, 8, 16, 16, 3, 2, 0, false, true, false, false},
    {"conv_down_all", 2, 8, 8, 16, 16, 3, 2, 1, false, true, false, false},
    {"conv_down_wide", 1, 4, 6, 12, 20, 3, 2, 0, false, true, false, false},
    {"conv_up", 2, 4, 4, 16, 16, 3, 1, 1, true, true, false, false},
    {"conv_up_odd", 1, 3, 5, 17, 20, 3, 1, 1, true, true, false, true},
    {"conv_up_few", 1, 3, 5, 12, 20, 3, 1, 1, true, true, false, false},
    {"conv_uneven", 1, 6, 9, 17, 19, 3, 1, 1, false, true, false, false},
    {"conv_1x1", 2, 5, 7, 16, 24, 1, 1, 0, false, true, false, true},
    {"conv_1x1_plain", 1, 8, 8, 24, 16, 1, 1, 0, false, false, false, false},
    {"conv_7x7_in", 2, 5, 8, 3, 16, 7, 1, 3, false, true, false, false},
    {"conv_7x7_out", 1, 4, 6, 16, 3, 7, 1, 3, false, true, false, false},
    {"conv_7x7_few", 1, 5, 7, 6, 6, 7, 1, 3, false, true, true, true},
    {"conv_7x7_down", 1, 6, 5, 6, 5, 7, 2, 3, false, true, false, false},
    {"conv_5x5", 1, 4, 9, 5, 8, 5, 1, 2, false, true, false, false},
};

static void one_conv(int32_t i, int32_t isa, bool train) {
    const conv_case *c = &conv_cases[i];
    trial t;
    begin(&t, c->name, isa, train,
          c->kernel == 3 && c->stride == 1 ? winograd_bound : direct_bound);
    int32_t oh = c->upsample ? 2 * c->h : (c->h + c->stride - 1) / c->stride;
    int32_t ow = c->upsample ? 2 * c->w : (c->w + c->stride - 1) / c->stride;
    int64_t shape[4] = {c->co, c->ci, c->kernel, c->kernel};
    dmi_value x = input(&t, "x", dmi_shape_of(c->n, c->h, c->w, c->ci), 1, 0), out;
    dmi_value weight =
        param(&t, "weight", 4, shape, (float)sqrt(3.0 / (c->ci * c->kernel * c->kernel)), 0, false);
    dmi_value bias = c->bias ? vector(&t, "bias", c->co, 0) : DMI_NONE;
    dmi_value per_image =
        c->per_image ? input(&t, "per_image", dmi_shape_of(c->n, 1, 1, c->co), 1, 0) : DMI_NONE;
    dmi_value residual =
        c->residual ? input(&t, "residual", dmi_shape_of(c->n, oh, ow, c->co), 1, 0) : DMI_NONE;
    require(&t, dmi_conv(t.graph, &out, x, weight, bias, per_image, residual, c->kernel, c->stride,
                         c->pad, c->upsample));
    ck_assert(dmi_shape_equal(dmi_graph_shape(t.graph, out), dmi_shape_of(c->n, oh, ow, c->co)));
    run_case(&t, out);
}

START_TEST(convolution) { for_each_mode(one_conv, _i); }
END_TEST

static const struct {
    const char *name;
    int32_t n, h, w, c, kernel;
} depthwise_cases[] = {{"depthwise_7", 2, 9, 11, 20, 7},
                       {"depthwise_5", 1, 5, 4, 9, 5},
                       {"depthwise_3", 2, 3, 5, 4, 3}};

static void one_depthwise(int32_t i, int32_t isa, bool train) {
    int32_t c = depthwise_cases[i].c, kernel = depthwise_cases[i].kernel;
    int64_t shape[4] = {c, 1, kernel, kernel};
    trial t;
    begin(&t, depthwise_cases[i].name, isa, train, direct_bound);
    dmi_shape image =
        dmi_shape_of(depthwise_cases[i].n, depthwise_cases[i].h, depthwise_cases[i].w, c);
    dmi_value x = input(&t, "x", image, 1, 0), out;
    dmi_value weight = param(&t, "weight", 4, shape, (float)(sqrt(3.0) / kernel), 0, false);
    dmi_value bias = vector(&t, "bias", c, 0);
    require(&t, dmi_depthwise(t.graph, &out, x, weight, bias, kernel));
    ck_assert(dmi_shape_equal(dmi_graph_shape(t.graph, out), image));
    run_case(&t, out);
}

START_TEST(depthwise) { for_each_mode(one_depthwise, _i); }
END_TEST

static const struct {
    const char *name;
    int32_t n, h, w, ci, co;
} transposed_cases[] = {{"conv_transposed", 2, 4, 3, 12, 10},
                        {"conv_transposed_wide", 1, 2, 2, 5, 35}};

static void one_transposed(int32_t i, int32_t isa, bool train) {
    int32_t n = transposed_cases[i].n, h = transposed_cases[i].h, w = transposed_cases[i].w;
    int32_t ci = transposed_cases[i].ci, co = transposed_cases[i].co;
    int64_t shape[4] = {ci, co, 4, 4};
    trial t;
    begin(&t, transposed_cases[i].name, isa, train, direct_bound);
    dmi_value x = input(&t, "x", dmi_shape_of(n, h, w, ci), 1, 0), out;
    dmi_value weight = param(&t, "weight", 4, shape, (float)sqrt(3.0 / (ci * 4)), 0, false);
    dmi_value bias = vector(&t, "bias", co, 0);
    require(&t, dmi_conv_transposed(t.graph, &out, x, weight, bias));
    ck_assert(dmi_shape_equal(dmi_graph_shape(t.graph, out), dmi_shape_of(n, 2 * h, 2 * w, co)));
    run_case(&t, out);
}

START_TEST(transposed) { for_each_mode(one_transposed, _i); }
END_TEST

typedef struct norm_case {
    const char *name;
    int32_t n, h, w, c, groups;
    float eps;
    int32_t activation;
    bool scale_shift;
    float offset;
    double bound;
} norm_case;

static const norm_case norm_cases[] = {
    {"norm", 2, 8, 8, 16, 4, 1e-6f, DMI_ACTIVATION_NONE, false, 0, 6e-7},
    {"norm_silu", 2, 5, 7, 24, 3, 1e-5f, DMI_ACTIVATION_SILU, false, 0, 6e-7},
    {"norm_one_group", 2, 4, 4, 12, 1, 1e-6f, DMI_ACTIVATION_SILU, false, 0, 6e-7},
    {"norm_each_channel", 1, 5, 7, 8, 8, 1e-2f, DMI_ACTIVATION_NONE, false, 0, 6e-7},
    {"norm_scale_shift", 2, 5, 7, 24, 3, 1e-6f, DMI_ACTIVATION_NONE, true, 0, 6e-7},
    {"norm_scale_shift_silu", 3, 8, 8, 16, 4, 1e-6f, DMI_ACTIVATION_SILU, true, 0, 6e-7},
    {"norm_scale_shift_mish", 2, 5, 3, 12, 3, 1e-6f, DMI_ACTIVATION_MISH, true, 0, 6e-7},
    {"norm_scale_shift_gelu", 2, 5, 3, 12, 3, 1e-6f, DMI_ACTIVATION_GELU, true, 0, 6e-7},
    {"norm_scale_shift_relu", 2, 5, 3, 12, 3, 1e-6f, DMI_ACTIVATION_RELU, true, 0, 6e-7},
    /* A mean of 30 standard deviations and more: rounding the mean to float alone costs 30 * 6e-8 =
       2e-6. */
    {"norm_far_mean", 2, 8, 8, 16, 4, 1e-6f, DMI_ACTIVATION_SILU, false, 30, 4e-6},
};

static void one_norm(int32_t i, int32_t isa, bool train) {
    const norm_case *c = &norm_cases[i];
    trial t;
    begin(&t, c->name, isa, train, c->bound);
    dmi_value x = input(&t, "x", dmi_shape_of(c->n, c->h, c->w, c->c), 1, c->offset), out;
    dmi_value gamma = vector(&t, "gamma", c->c, 1), beta = vector(&t, "beta", c->c, 0);
    dmi_value scale_shift = c->scale_shift
                                ? input(&t, "scale_shift", dmi_shape_of(c->n, 1, 1, 2 * c->c), 1, 0)
                                : DMI_NONE;
    require(&t, dmi_group_norm(t.graph, &out, x, gamma, beta, scale_shift, c->groups, c->eps,
                               c->activation));
    run_case(&t, out);
}

START_TEST(group_norm) { for_each_mode(one_norm, _i); }
END_TEST

static const struct {
    const char *name;
    dmi_shape shape;
    int32_t heads;
    float scale;
} attention_cases[] = {
    {"attention", {2, 5, 7, 16}, 1, 1},
    {"attention_heads", {2, 8, 8, 32}, 2, 1},
    {"attention_sharp",
     {1, 4, 4, 24},
     3,
     6}, /* scores of tens: a softmax that is nearly a choice */
};

static void one_attention(int32_t i, int32_t isa, bool train) {
    trial t;
    /* Scores s are off by s * 6e-8 and go through exp: some tens of times 6e-8 in the sharp
     * case. */
    begin(&t, attention_cases[i].name, isa, train, attention_cases[i].scale > 1 ? 5e-6 : 8e-7);
    dmi_value q = input(&t, "q", attention_cases[i].shape, attention_cases[i].scale, 0), out;
    dmi_value k = input(&t, "k", attention_cases[i].shape, attention_cases[i].scale, 0);
    dmi_value v = input(&t, "v", attention_cases[i].shape, attention_cases[i].scale, 0);
    require(&t, dmi_attention(t.graph, &out, q, k, v, attention_cases[i].heads));
    run_case(&t, out);
}

START_TEST(attention) { for_each_mode(one_attention, _i); }
END_TEST

static const struct {
    const char *name;
    int32_t n, in, out;
} linear_cases[] = {{"linear", 5, 32, 48}, {"linear_odd", 3, 21, 37}, {"linear_one", 1, 20, 36}};

static void one_linear(int32_t i, int32_t isa, bool train) {
    trial t;
    begin(&t, linear_cases[i].name, isa, train, direct_bound);
    int64_t shape[4] = {linear_cases[i].out, linear_cases[i].in, 1, 1};
    dmi_value x = input(&t, "x", dmi_shape_of(linear_cases[i].n, 1, 1, linear_cases[i].in), 1, 0),
              out;
    dmi_value weight =
        param(&t, "weight", 2, shape, (float)sqrt(3.0 / linear_cases[i].in), 0, false);
    dmi_value bias = vector(&t, "bias", linear_cases[i].out, 0);
    require(&t, dmi_linear(t.graph, &out, x, weight, bias));
    run_case(&t, out);
}

START_TEST(linear) { for_each_mode(one_linear, _i); }
END_TEST

static const struct {
    const char *name;
    int32_t activation;
    dmi_shape shape;
} activation_cases[] = {{"silu", DMI_ACTIVATION_SILU, {2, 5, 7, 9}},
                        {"mish", DMI_ACTIVATION_MISH, {1, 5, 7, 9}},
                        {"gelu", DMI_ACTIVATION_GELU, {1, 5, 7, 9}},
                        {"relu", DMI_ACTIVATION_RELU, {1, 5, 7, 9}}};

static void one_activation(int32_t i, int32_t isa, bool train) {
    trial t;
    begin(&t, activation_cases[i].name, isa, train, direct_bound);
    dmi_value x = input(&t, "x", activation_cases[i].shape, 8, 0), out;
    require(&t, dmi_activate(t.graph, &out, x, activation_cases[i].activation));
    run_case(&t, out);
}

START_TEST(activation) { for_each_mode(one_activation, _i); }
END_TEST

/* One addition or none: exact but for the golden file's own rounding. */
static void one_add(int32_t i, int32_t isa, bool train) {
    trial t;
    (void)i;
    begin(&t, "add", isa, train, 0);
    dmi_value a = input(&t, "a", dmi_shape_of(2, 5, 7, 3), 1, 0),
              b = input(&t, "b", dmi_shape_of(2, 5, 7, 3), 1, 0), out;
    require(&t, dmi_add_values(t.graph, &out, a, b));
    run_case(&t, out);
}

START_TEST(add) { for_each_mode(one_add, 0); }
END_TEST

static void one_concat(int32_t i, int32_t isa, bool train) {
    trial t;
    (void)i;
    begin(&t, "concat", isa, train, 0);
    dmi_value a = input(&t, "a", dmi_shape_of(2, 3, 5, 8), 1, 0),
              b = input(&t, "b", dmi_shape_of(2, 3, 5, 3), 1, 0), out;
    require(&t, dmi_concat(t.graph, &out, a, b));
    run_case(&t, out);
}

START_TEST(concat) { for_each_mode(one_concat, 0); }
END_TEST

static const struct {
    const char *name;
    int32_t channels;
    float shift;
    bool cos_first;
} timestep_cases[] = {{"timestep", 32, 1, false},
                      {"timestep_shift_0", 32, 0, false},
                      {"timestep_cos_first", 22, 1, true}};

static void one_timestep(int32_t i, int32_t isa, bool train) {
    static const float timesteps[] = {0, 1, 37.5f, 250, 999};
    trial t;
    dmi_value out;
    /* Single precision would be off by 3e-5 at an angle of 999: it must be worked in double. */
    begin(&t, timestep_cases[i].name, isa, train, 1e-7);
    dmi_value when = input(&t, "t", dmi_shape_of(5, 1, 1, 1), 1, 0);
    require(&t, dmi_timestep(t.graph, &out, when, timestep_cases[i].channels,
                             timestep_cases[i].shift, timestep_cases[i].cos_first));
    plan(&t, out);
    memcpy(dmi_graph_data(t.graph, when), timesteps, sizeof timesteps);
    run(&t, out);
    finish(&t);
}

START_TEST(timestep) { for_each_mode(one_timestep, _i); }
END_TEST

static void one_embedding(int32_t i, int32_t isa, bool train) {
    static const float rows[] = {3, 0, 5, 3};
    const int64_t shape[4] = {6, 20, 1, 1};
    trial t;
    dmi_value out, labels;
    (void)i;
    begin(&t, "embedding", isa, train, 0);
    require(&t, dmi_graph_input(t.graph, &labels, dmi_shape_of(4, 1, 1, 1), false));
    dmi_value table = param(&t, "table", 2, shape, 1, 0, true);
    require(&t, dmi_embedding(t.graph, &out, labels, table));
    plan(&t, out);
    memcpy(dmi_graph_data(t.graph, labels), rows, sizeof rows);
    run(&t, out);
    finish(&t);
}

START_TEST(embedding) { for_each_mode(one_embedding, 0); }
END_TEST

Suite *test_ops_torch_suite(void);
Suite *test_ops_torch_suite(void) {
    Suite *suite = suite_create("ops_torch");
    TCase *tcase = tcase_create("against PyTorch");
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, convolution, 0, COUNT(conv_cases));
    tcase_add_loop_test(tcase, depthwise, 0, COUNT(depthwise_cases));
    tcase_add_loop_test(tcase, transposed, 0, COUNT(transposed_cases));
    tcase_add_loop_test(tcase, group_norm, 0, COUNT(norm_cases));
    tcase_add_loop_test(tcase, attention, 0, COUNT(attention_cases));
    tcase_add_loop_test(tcase, linear, 0, COUNT(linear_cases));
    tcase_add_loop_test(tcase, activation, 0, COUNT(activation_cases));
    tcase_add_test(tcase, add);
    tcase_add_test(tcase, concat);
    tcase_add_loop_test(tcase, timestep, 0, COUNT(timestep_cases));
    tcase_add_test(tcase, embedding);
    suite_add_tcase(suite, tcase);
    return suite;
}
