/* SPDX-License-Identifier: MIT */
/* The small operations: activation functions, sums, concatenation, dropout, linear layers, the
 * timestep's sinusoids, embeddings; values used twice; and what each operation refuses. */
#include "base/cpu.h"
#include "base/random.h"
#include "support/gradient.h"
#include "support/operation.h"

static size_t at(dmi_shape s, int32_t n, int32_t h, int32_t w, int32_t c) {
    return (((size_t)n * (size_t)s.h + (size_t)h) * (size_t)s.w + (size_t)w) * (size_t)s.c +
           (size_t)c;
}

static double silu(double x) { return x / (1 + exp(-x)); }

static dmi_value image_input(test_net *net, float scale) {
    return test_net_input(net, net->op->h, net->op->w, net->op->c, scale);
}

static void done(test_net *net, int32_t status) {
    ck_assert_msg(status == DMI_OK, "%s: %s", net->op->name, net->host->error);
}

/* ---- one operation ---- */

static void build_silu(test_net *net) {
    done(net, dmi_silu(net->graph, &net->output, image_input(net, 6)));
}

static void reference_silu(const test_net *net, double *const *v, double *y) {
    for (size_t i = 0; i < test_net_count(net, 0); i++) y[i] = silu(v[0][i]);
}

static void build_activation(test_net *net) {
    done(net, dmi_activate(net->graph, &net->output, image_input(net, 6), net->op->activation));
}

static void reference_activation(const test_net *net, double *const *v, double *y) {
    for (size_t i = 0; i < test_net_count(net, 0); i++)
        y[i] = naive_activation(net->op->activation, v[0][i]);
}

static void build_add(test_net *net) {
    dmi_value a = image_input(net, 1), b = image_input(net, 1);
    done(net, dmi_add_values(net->graph, &net->output, a, b));
}

static void reference_add(const test_net *net, double *const *v, double *y) {
    for (size_t i = 0; i < test_net_count(net, 0); i++) y[i] = v[0][i] + v[1][i];
}

static void build_concat(test_net *net) {
    dmi_value a = image_input(net, 1),
              b = test_net_input(net, net->op->h, net->op->w, net->op->out, 1);
    done(net, dmi_concat(net->graph, &net->output, a, b));
}

static void reference_concat(const test_net *net, double *const *v, double *y) {
    dmi_shape a = test_net_shape(net, 0), b = test_net_shape(net, 1);
    for (size_t r = 0; r < dmi_shape_rows(a); r++) {
        for (int32_t c = 0; c < a.c; c++) *y++ = v[0][r * (size_t)a.c + (size_t)c];
        for (int32_t c = 0; c < b.c; c++) *y++ = v[1][r * (size_t)b.c + (size_t)c];
    }
}

/* The word of every element by its address in the sequence: images start on whole tiles of
 * 4096. */
static void build_dropout(test_net *net) {
    done(net, dmi_dropout(net->graph, &net->output, image_input(net, 1), 0.25f));
    dmi_node *node = &net->graph->nodes[net->graph->node_count - 1];
    ck_assert_int_eq(node->attr.dropout.node, net->graph->node_count - 1);
    node->attr.dropout.node = 0; /* the same mask wherever it is */
}

static void reference_dropout(const test_net *net, double *const *v, double *y) {
    size_t count = test_net_count(net, 0) / (size_t)net->n, tiles = (count + 4095) / 4096;
    for (size_t i = 0; i < test_net_count(net, 0); i++) {
        dmi_random from = dmi_random_at(net->graph->dropout_seed, DMI_STREAM_DROPOUT,
                                        net->graph->dropout_step << 16);
        uint64_t word = i / count * tiles * 4096 + i % count;
        uint32_t block[4], counter[4] = {(uint32_t)(word / 4), 0, from.counter[2], from.counter[3]};
        dmi_philox(from.key, counter, block);
        y[i] = block[word % 4] >= 1u << 30 ? v[0][i] / 0.75 : 0;
    }
}

static void build_linear(test_net *net) {
    const test_op *op = net->op;
    dmi_value x = test_net_input(net, 1, 1, op->c, 1),
              w = test_net_param(net, dmi_shape_of(1, 1, op->c, op->out), 1);
    dmi_value bias = op->bias ? test_net_param(net, dmi_shape_of(1, 1, 1, op->out), 1) : DMI_NONE;
    done(net, dmi_linear(net->graph, &net->output, x, w, bias));
}

static void reference_linear(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    for (int32_t n = 0; n < net->n; n++)
        for (int32_t o = 0; o < op->out; o++) {
            double sum = op->bias ? v[2][o] : 0;
            for (int32_t i = 0; i < op->c; i++) sum += v[0][n * op->c + i] * v[1][i * op->out + o];
            *y++ = sum;
        }
}

/* `out` channels; with `residual`, cosines first and no shift. */
static void build_timestep(test_net *net) {
    dmi_value t = test_net_input(net, 1, 1, 1, 20);
    done(net, dmi_timestep(net->graph, &net->output, t, net->op->out, net->op->residual ? 0 : 1,
                           net->op->residual));
}

static void reference_timestep(const test_net *net, double *const *v, double *y) {
    int32_t half = net->op->out / 2;
    for (int32_t n = 0; n < net->n; n++)
        for (int32_t i = 0; i < net->op->out; i++) {
            double angle =
                v[0][n] * exp(-log(10000) * (i % half) / (half - (net->op->residual ? 0.0 : 1.0)));
            *y++ = i >= 2 * half ? 0 : (i >= half) != net->op->residual ? cos(angle) : sin(angle);
        }
}

/* With `residual` the last label has no row. */
static void build_embedding(test_net *net) {
    dmi_value labels = test_net_whole(net, net->op->groups);
    int32_t rows = net->op->groups - (int32_t)net->op->residual;
    dmi_value table = test_net_param(net, dmi_shape_of(1, 1, rows, net->op->out), 1);
    done(net, dmi_embedding(net->graph, &net->output, labels, table));
}

static void reference_embedding(const test_net *net, double *const *v, double *y) {
    for (int32_t n = 0; n < net->n; n++)
        for (int32_t c = 0; c < net->op->out; c++) {
            bool none = net->op->residual && (int32_t)v[0][n] == net->op->groups - 1;
            *y++ = none ? 0 : v[1][(int32_t)v[0][n] * net->op->out + c];
        }
}

/* ---- values used twice, so that gradients are added up and share memory in the plan ---- */

/* silu(x) + x, and x + silu(x) where `residual`: the sum's first input takes over its gradient's
 * memory. */
static void build_around(test_net *net) {
    dmi_value x = image_input(net, 3), inner;
    done(net, dmi_silu(net->graph, &inner, x));
    done(net, dmi_add_values(net->graph, &net->output, net->op->residual ? x : inner,
                             net->op->residual ? inner : x));
}

static void reference_around(const test_net *net, double *const *v, double *y) {
    for (size_t i = 0; i < test_net_count(net, 0); i++) y[i] = v[0][i] + silu(v[0][i]);
}

static void build_double(test_net *net) {
    dmi_value x = image_input(net, 1), inner;
    done(net, dmi_silu(net->graph, &inner, x));
    done(net, dmi_add_values(net->graph, &net->output, inner, inner));
}

static void reference_double(const test_net *net, double *const *v, double *y) {
    for (size_t i = 0; i < test_net_count(net, 0); i++) y[i] = 2 * silu(v[0][i]);
}

/* A chain of residuals: s1 = x + silu(x), s2 = s1 + silu(s1), y = silu(s2) next to x itself. */
static void build_chain(test_net *net) {
    dmi_value x = image_input(net, 1), s = x, inner;
    for (int32_t i = 0; i < 2; i++) {
        done(net, dmi_silu(net->graph, &inner, s));
        done(net, dmi_add_values(net->graph, &s, s, inner));
    }
    done(net, dmi_silu(net->graph, &inner, s));
    done(net, dmi_concat(net->graph, &net->output, inner, x));
}

static void reference_chain(const test_net *net, double *const *v, double *y) {
    dmi_shape x = test_net_shape(net, 0), out = x;
    out.c *= 2;
    for (int32_t n = 0; n < x.n; n++)
        for (int32_t h = 0; h < x.h; h++)
            for (int32_t w = 0; w < x.w; w++)
                for (int32_t c = 0; c < x.c; c++) {
                    double value = v[0][at(x, n, h, w, c)], s = value + silu(value);
                    y[at(out, n, h, w, c)] = silu(s + silu(s));
                    y[at(out, n, h, w, x.c + c)] = value;
                }
}

static void build_concat_same(test_net *net) {
    dmi_value x = image_input(net, 1);
    done(net, dmi_concat(net->graph, &net->output, x, x));
}

static void reference_concat_same(const test_net *net, double *const *v, double *y) {
    double *const twice[] = {v[0], v[0]};
    dmi_shape x = test_net_shape(net, 0);
    for (size_t r = 0; r < dmi_shape_rows(x); r++)
        for (int32_t c = 0; c < 2 * x.c; c++)
            *y++ = twice[c / x.c][r * (size_t)x.c + (size_t)(c % x.c)];
}

/* Shapes of one element, of an odd count, and of more than one tile each (partition.h: 16384;
 * dropout: 4096). */
#define ACTIVATION .build = build_activation, .reference = reference_activation
/* clang-format off */
static const test_op cases[] = {
    {.name = "silu of one", .build = build_silu, .reference = reference_silu, .n = 1, .h = 1,
     .w = 1, .c = 1},
    {.name = "silu", .build = build_silu, .reference = reference_silu, .n = 3, .h = 5, .w = 3,
     .c = 7},
    {.name = "silu of several tiles", .build = build_silu, .reference = reference_silu, .n = 2,
     .h = 37, .w = 41, .c = 13},
    {.name = "silu of a wide row", .build = build_silu, .reference = reference_silu, .n = 2,
     .h = 1, .w = 2, .c = 16411},
    {.name = "add", .build = build_add, .reference = reference_add, .n = 3, .h = 5, .w = 3, .c = 7},
    {.name = "add of several tiles", .build = build_add, .reference = reference_add, .n = 2,
     .h = 37, .w = 41, .c = 13},
    {.name = "concat", .build = build_concat, .reference = reference_concat, .n = 3, .h = 5,
     .w = 3, .c = 7, .out = 4},
    {.name = "concat of several tiles", .build = build_concat, .reference = reference_concat,
     .n = 2, .h = 33, .w = 35, .c = 5, .out = 16},
    {.name = "dropout", .build = build_dropout, .reference = reference_dropout, .n = 3, .h = 5,
     .w = 3, .c = 7,
     .random = true},
    {.name = "dropout of several tiles", .build = build_dropout, .reference = reference_dropout,
     .n = 2, .h = 29, .w = 31, .c = 11, .random = true},
    {.name = "linear", .build = build_linear, .reference = reference_linear, .n = 3, .c = 5,
     .out = 7, .bias = true},
    {.name = "linear without bias", .build = build_linear, .reference = reference_linear, .n = 1,
     .c = 1, .out = 3},
    {.name = "linear in ranges", .build = build_linear, .reference = reference_linear, .n = 5,
     .c = 131, .out = 150,
     .bias = true},
    {.name = "timestep", .build = build_timestep, .reference = reference_timestep, .n = 3,
     .out = 12},
    {.name = "timestep, cosines first", .build = build_timestep, .reference = reference_timestep,
     .n = 3, .out = 9,
     .residual = true},
    {.name = "embedding", .build = build_embedding, .reference = reference_embedding, .n = 7,
     .out = 5, .groups = 3},
    {.name = "embedding without a row", .build = build_embedding,
     .reference = reference_embedding, .n = 7, .out = 5, .groups = 3, .residual = true},
    {.name = "silu(x) + x", .build = build_around, .reference = reference_around, .n = 3, .h = 2,
     .w = 3, .c = 5},
    {.name = "x + silu(x)", .build = build_around, .reference = reference_around, .n = 3, .h = 2,
     .w = 3, .c = 5,
     .residual = true},
    {.name = "silu(x) twice", .build = build_double, .reference = reference_double, .n = 3,
     .h = 2, .w = 3, .c = 5},
    {.name = "chain of residuals", .build = build_chain, .reference = reference_chain, .n = 3,
     .h = 2, .w = 3, .c = 5},
    {.name = "concat of one", .build = build_concat_same, .reference = reference_concat_same,
     .n = 3, .h = 2, .w = 3,
     .c = 5},
    {.name = "mish", ACTIVATION, .activation = DMI_ACTIVATION_MISH, .n = 3, .h = 5, .w = 3, .c = 7},
    {.name = "mish of several tiles", ACTIVATION, .activation = DMI_ACTIVATION_MISH, .n = 2,
     .h = 37, .w = 41, .c = 13},
    {.name = "gelu", ACTIVATION, .activation = DMI_ACTIVATION_GELU, .n = 3, .h = 5, .w = 3, .c = 7},
    {.name = "gelu of several tiles", ACTIVATION, .activation = DMI_ACTIVATION_GELU, .n = 2,
     .h = 37, .w = 41, .c = 13},
    {.name = "relu", ACTIVATION, .activation = DMI_ACTIVATION_RELU, .n = 3, .h = 5, .w = 3, .c = 7},
};
/* clang-format on */

START_TEST(test_case) { test_check_op(&cases[_i]); }
END_TEST

/* Every count of blocks up to three vectors' worth, where the lower half of the element counter
 * runs over. */
START_TEST(test_random_words) {
    const uint32_t key[2] = {0x12345678, 0x9abcdef0},
                   counter[4] = {0xfffffff0, 0xfffffffe, 77, 6u << 24};
    const dmi_kernels *kernels = dmi_kernels_for(_i);
    for (size_t blocks = 0; blocks < 50; blocks++) {
        uint32_t words[200], one[4];
        memset(words, 0xEE, sizeof words);
        kernels->random_words(words, key, counter, blocks);
        for (size_t b = 0; b < 50; b++) {
            const uint64_t at_block = ((uint64_t)counter[1] << 32 | counter[0]) + b;
            const uint32_t at_counter[4] = {(uint32_t)at_block, (uint32_t)(at_block >> 32),
                                            counter[2], counter[3]};
            dmi_philox(key, at_counter, one);
            if (b >= blocks) memset(one, 0xEE, sizeof one);
            ck_assert_msg(!memcmp(words + 4 * b, one, sizeof one), "%s: block %zu of %zu",
                          kernels->isa, b, blocks);
        }
    }
}
END_TEST

/* ---- dropout and embedding, beyond their gradients ---- */

START_TEST(test_dropout_masks) {
    test_op op = cases[9];
    ck_assert_str_eq(op.name, "dropout of several tiles");
    test_net *net = test_net_new(&op, (test_setup){.n = 2});
    size_t count = test_net_count(net, 0), kept = 0, same = 0;
    for (size_t i = 0; i < count; i++) test_net_data(net, 0)[i] = 1;
    dmi_graph_forward(net->graph);
    const float *y = dmi_graph_data(net->graph, net->output);
    for (size_t i = 0; i < count; i++) kept += y[i] != 0;
    for (size_t i = 0; i < count / 2; i++) same += y[i] == y[i + count / 2];
    /* Five standard deviations of a binomial; two independent masks agree at 0.75^2 + 0.25^2. */
    ck_assert(fabs((double)kept - 0.75 * (double)count) < 5 * sqrt(0.75 * 0.25 * (double)count));
    ck_assert(fabs((double)same - 0.625 * (double)count / 2) <
              5 * sqrt(0.625 * 0.375 * (double)count / 2));
    float *first = malloc(count * sizeof *first);
    ck_assert_ptr_nonnull(first);
    memcpy(first, y, count * sizeof *first);
    net->graph->dropout_step++;
    dmi_graph_forward(net->graph);
    ck_assert(memcmp(first, y, count * sizeof *first));
    net->graph->dropout_step--;
    dmi_graph_forward(net->graph);
    ck_assert(!memcmp(first, y, count * sizeof *first));
    free(first);
    test_net_end(net);
}
END_TEST

START_TEST(test_dropout_is_the_identity_in_inference) {
    test_net *net = test_net_new(&cases[8], (test_setup){.inference = true});
    dmi_graph_forward(net->graph);
    const float *output = dmi_graph_data(net->graph, net->output);
    ck_assert(!memcmp(test_net_data(net, 0), output, test_net_count(net, 0) * sizeof *output));
    test_net_end(net);

    dmi_host *host = test_host_new(1);
    dmi_params params;
    dmi_graph *graph;
    dmi_value x, y;
    dmi_params_init(&params);
    ck_assert_int_eq(dmi_graph_create(host, &graph, dmi_kernels_for(0), &params), DMI_OK);
    ck_assert_int_eq(dmi_graph_input(graph, &x, dmi_shape_of(1, 2, 2, 2), true), DMI_OK);
    ck_assert_int_eq(dmi_dropout(graph, &y, x, 0), DMI_OK);
    ck_assert_int_eq(x, y);
    ck_assert_int_eq(graph->node_count, 0);
    dmi_graph_destroy(graph);
    test_host_end(host);
}
END_TEST

START_TEST(test_wrong_labels_stay_inside) {
    static const float labels[] = {-1, NAN, 3, 1e30f, -INFINITY, INFINITY, 2.5f};
    static const int32_t rows[] = {0, 0, -1, -1, 0, -1, 2}; /* -1: zeros */
    static const float zeros[5] = {0};
    const test_op *op = &cases[15];
    ck_assert_str_eq(op->name, "embedding");
    test_net *net = test_net_new(op, (test_setup){.n = 7});
    memcpy(test_net_data(net, 0), labels, sizeof labels);
    test_net_run(net);
    for (size_t i = 0; i < 7; i++)
        ck_assert(!memcmp(dmi_graph_data(net->graph, net->output) + i * 5,
                          rows[i] < 0 ? zeros : test_net_data(net, 1) + (size_t)rows[i] * 5,
                          5 * sizeof(float)));
    test_net_end(net);
}
END_TEST

/* ---- refusals ---- */

enum { IMAGE, WIDER, SHORTER, VECTOR, VECTOR3, WEIGHT, OFFSETS, NUMBERS, TABLE, SHAPES };

static const dmi_shape shapes[SHAPES] = {
    {2, 4, 4, 6}, {2, 4, 4, 8}, {2, 3, 4, 6}, {2, 1, 1, 6},  {3, 1, 1, 6},
    {1, 1, 6, 5}, {1, 1, 1, 6}, {2, 1, 1, 1}, {1, 1, 10, 6},
};

REFUSE(add_wider, dmi_add_values(g, out, of[IMAGE], of[WIDER]))
REFUSE(concat_shorter, dmi_concat(g, out, of[IMAGE], of[SHORTER]))
REFUSE(linear_image, dmi_linear(g, out, of[IMAGE], of[WEIGHT], DMI_NONE))
REFUSE(linear_bias, dmi_linear(g, out, of[VECTOR], of[WEIGHT], of[OFFSETS]))
REFUSE(linear_weight, dmi_linear(g, out, of[NUMBERS], of[WEIGHT], DMI_NONE))
REFUSE(norm_groups, dmi_group_norm(g, out, of[IMAGE], of[OFFSETS], of[OFFSETS], DMI_NONE, 4, 1e-6f,
                                   DMI_ACTIVATION_NONE))
REFUSE(norm_no_groups, dmi_group_norm(g, out, of[IMAGE], of[OFFSETS], of[OFFSETS], DMI_NONE, 0,
                                      1e-6f, DMI_ACTIVATION_NONE))
REFUSE(norm_eps, dmi_group_norm(g, out, of[IMAGE], of[OFFSETS], of[OFFSETS], DMI_NONE, 3, -1,
                                DMI_ACTIVATION_NONE))
REFUSE(norm_activation,
       dmi_group_norm(g, out, of[IMAGE], of[OFFSETS], of[OFFSETS], DMI_NONE, 3, 1e-6f, 5))
REFUSE(norm_negative_activation,
       dmi_group_norm(g, out, of[IMAGE], of[OFFSETS], of[OFFSETS], DMI_NONE, 3, 1e-6f, -1))
REFUSE(activate_none, dmi_activate(g, out, of[IMAGE], DMI_ACTIVATION_NONE))
REFUSE(activate_unknown, dmi_activate(g, out, of[IMAGE], DMI_ACTIVATION_RELU + 1))
REFUSE(norm_gamma, dmi_group_norm(g, out, of[WIDER], of[OFFSETS], of[OFFSETS], DMI_NONE, 4, 1e-6f,
                                  DMI_ACTIVATION_NONE))
REFUSE(norm_scale, dmi_group_norm(g, out, of[IMAGE], of[OFFSETS], of[OFFSETS], of[VECTOR], 3, 1e-6f,
                                  DMI_ACTIVATION_NONE))
REFUSE(norm_factor, dmi_group_norm_factor(g, out, of[IMAGE], of[OFFSETS], of[OFFSETS], of[NUMBERS],
                                          of[VECTOR], 3, 1e-6f, DMI_ACTIVATION_NONE))
REFUSE(norm_shift, dmi_group_norm_factor(g, out, of[IMAGE], of[OFFSETS], of[OFFSETS], of[VECTOR],
                                         of[NUMBERS], 3, 1e-6f, DMI_ACTIVATION_NONE))
REFUSE(norm_lone_shift, dmi_group_norm_factor(g, out, of[IMAGE], of[OFFSETS], of[OFFSETS], DMI_NONE,
                                              of[VECTOR], 3, 1e-6f, DMI_ACTIVATION_NONE))
REFUSE(attention_heads, dmi_attention(g, out, of[IMAGE], of[WIDER], of[WIDER], 5))
REFUSE(attention_key, dmi_attention(g, out, of[IMAGE], of[WIDER], of[SHORTER], 2))
REFUSE(attention_same, dmi_attention(g, out, of[IMAGE], of[IMAGE], of[IMAGE], 2))
REFUSE(dropout_rate, dmi_dropout(g, out, of[IMAGE], 1))
REFUSE(dropout_nan, dmi_dropout(g, out, of[IMAGE], NAN))
REFUSE(timestep_shape, dmi_timestep(g, out, of[VECTOR], 8, 0, false))
REFUSE(timestep_channels, dmi_timestep(g, out, of[NUMBERS], 1, 0, false))
REFUSE(timestep_shift, dmi_timestep(g, out, of[NUMBERS], 2, 1, false))
REFUSE(embedding_labels, dmi_embedding(g, out, of[VECTOR], of[TABLE]))
REFUSE(embedding_table, dmi_embedding(g, out, of[NUMBERS], of[IMAGE]))

static const operation_refusal refusals[] = {
    {DMI_ERROR_SHAPE_MISMATCH, "add: b is 2 x 4 x 4 x 8; it must be 2 x 4 x 4 x 6", add_wider},
    {DMI_ERROR_SHAPE_MISMATCH, "concat: b is 2 x 3 x 4 x 6; it must be 2 x 4 x 4 x 6",
     concat_shorter},
    {DMI_ERROR_SHAPE_MISMATCH, "linear: x is 2 x 4 x 4 x 6; it must be 2 x 1 x 1 x 6",
     linear_image},
    {DMI_ERROR_SHAPE_MISMATCH, "linear: bias is 1 x 1 x 1 x 6; it must be 1 x 1 x 1 x 5",
     linear_bias},
    {DMI_ERROR_SHAPE_MISMATCH, "linear: weight is 1 x 1 x 6 x 5; it must be 1 x 1 x 1 x 5",
     linear_weight},
    {DMI_ERROR_INVALID_ARGUMENT, "group_norm: 4 groups do not divide 6 channels", norm_groups},
    {DMI_ERROR_INVALID_ARGUMENT, "group_norm: 0 groups do not divide 6 channels", norm_no_groups},
    {DMI_ERROR_INVALID_ARGUMENT, "group_norm: eps is -1; it must not be negative", norm_eps},
    {DMI_ERROR_INVALID_ARGUMENT, "group_norm: activation is 5; it must be", norm_activation},
    {DMI_ERROR_INVALID_ARGUMENT, "group_norm: activation is -1", norm_negative_activation},
    {DMI_ERROR_INVALID_ARGUMENT, "activate: activation is 0; it must be", activate_none},
    {DMI_ERROR_INVALID_ARGUMENT, "activate: activation is 5; it must be", activate_unknown},
    {DMI_ERROR_SHAPE_MISMATCH, "group_norm: gamma is 1 x 1 x 1 x 6; it must be 1 x 1 x 1 x 8",
     norm_gamma},
    {DMI_ERROR_SHAPE_MISMATCH,
     "group_norm: scale_shift is 2 x 1 x 1 x 6; it must be 2 x 1 x 1 x 12", norm_scale},
    {DMI_ERROR_SHAPE_MISMATCH, "group_norm: factor is 2 x 1 x 1 x 1; it must be 2 x 1 x 1 x 6",
     norm_factor},
    {DMI_ERROR_SHAPE_MISMATCH, "group_norm: shift is 2 x 1 x 1 x 1; it must be 2 x 1 x 1 x 6",
     norm_shift},
    {DMI_ERROR_INVALID_ARGUMENT, "group_norm: a shift needs a factor", norm_lone_shift},
    {DMI_ERROR_INVALID_ARGUMENT, "attention: 5 heads do not divide 6 channels", attention_heads},
    {DMI_ERROR_SHAPE_MISMATCH, "attention: k is 2 x 4 x 4 x 8; it must be 2 x 4 x 4 x 6",
     attention_key},
    {DMI_ERROR_INVALID_ARGUMENT, "attention: q, k and v are values 0, 0 and 0", attention_same},
    {DMI_ERROR_INVALID_ARGUMENT, "dropout: rate is 1; it must be at least 0 and below 1",
     dropout_rate},
    {DMI_ERROR_INVALID_ARGUMENT, "dropout: rate is nan", dropout_nan},
    {DMI_ERROR_SHAPE_MISMATCH, "timestep: t is 2 x 1 x 1 x 6; it must be 2 x 1 x 1 x 1",
     timestep_shape},
    {DMI_ERROR_INVALID_ARGUMENT, "timestep: 1 channels; a sine and a cosine need 2",
     timestep_channels},
    {DMI_ERROR_INVALID_ARGUMENT,
     "timestep: the frequencies' shift is 1; it must be a number other than half of the 2",
     timestep_shift},
    {DMI_ERROR_SHAPE_MISMATCH, "embedding: labels is 2 x 1 x 1 x 6; it must be 2 x 1 x 1 x 1",
     embedding_labels},
    {DMI_ERROR_SHAPE_MISMATCH, "embedding: table is 2 x 4 x 4 x 6; it must be 1 x 1 x 4 x 6",
     embedding_table},
};

START_TEST(test_refusal) { operation_refused(&refusals[_i], shapes, SHAPES); }
END_TEST

Suite *test_ops_suite(void);
Suite *test_ops_suite(void) {
    Suite *suite = suite_create("ops");
    TCase *checks = tcase_create("checks");
    tcase_set_timeout(checks, 30);
    tcase_add_loop_test(checks, test_case, 0, sizeof cases / sizeof cases[0]);
    suite_add_tcase(suite, checks);
    TCase *details = tcase_create("details");
    tcase_add_loop_test(details, test_random_words, DMI_ISA_BASE, dmi_cpu_isa() + 1);
    tcase_add_test(details, test_dropout_masks);
    tcase_add_test(details, test_dropout_is_the_identity_in_inference);
    tcase_add_test(details, test_wrong_labels_stay_inside);
    tcase_add_loop_test(details, test_refusal, 0, sizeof refusals / sizeof refusals[0]);
    suite_add_tcase(suite, details);
    return suite;
}
