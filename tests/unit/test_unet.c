/* SPDX-License-Identifier: MIT */
/* The network through its public functions: tensors, seeds, forward passes. Its arithmetic is
 * compared with PyTorch's in tests/golden/; options are in test_unet_options.c, files and memory in
 * test_unet_file.c. */
#include "base/cpu.h"
#include "core/context.h"
#include "diffusion.h"
#include "support/allocator.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/support.h"
#include "unet/unet.h"

/* ---- tensors ---- */

START_TEST(tensors_are_listed) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1);
    dm_tensor_info info, other;
    int32_t count = dm_unet_tensor_count(unet);
    uint64_t elements = 0;
    for (int32_t i = 0; i < count; i++) {
        info = (dm_tensor_info){.struct_size = sizeof info};
        test_accepted(context, dm_unet_get_tensor_info(unet, i, &info));
        uint64_t product = 1;
        for (int32_t k = 0; k < 4; k++) {
            ck_assert_int_ge(info.shape[k], 1);
            if (k >= info.rank) ck_assert_int_eq(info.shape[k], 1);
            product *= (uint64_t)info.shape[k];
        }
        ck_assert_uint_eq(product, info.elements);
        elements += product;
        for (int32_t k = 0; k < i; k++) {
            other = (dm_tensor_info){.struct_size = sizeof other};
            test_accepted(context, dm_unet_get_tensor_info(unet, k, &other));
            ck_assert_str_ne(info.name, other.name);
        }
    }
    ck_assert_uint_eq(elements, dm_unet_parameter_count(unet));
    ck_assert_str_eq(info.name, "conv_out.bias");
    test_accepted(context, dm_unet_get_tensor_info(unet, 0, &info));
    ck_assert_str_eq(info.name, "conv_in.weight");
    ck_assert(info.rank == 4 && info.shape[0] == 16 && info.shape[1] == 3 && info.shape[2] == 3 &&
              info.shape[3] == 3);
    test_refused(context, dm_unet_get_tensor_info(unet, count, &info), DM_ERROR_NOT_FOUND,
                 "tensor");
    test_refused(context, dm_unet_get_tensor_info(unet, -1, &info), DM_ERROR_NOT_FOUND,
                 "tensor -1");
    info.struct_size = 0;
    test_refused(context, dm_unet_get_tensor_info(unet, 0, &info), DM_ERROR_INVALID_ARGUMENT,
                 "dm_tensor_info|'struct_size' is 0");
    ck_assert_int_eq(dm_unet_get_tensor_info(unet, 0, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_unet_get_tensor_info(NULL, 0, &info), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_uint_eq(dm_unet_tensor_count(NULL), 0);
    ck_assert_uint_eq(dm_unet_parameter_count(NULL), 0);
    dm_unet_destroy(unet);
    dm_unet_destroy(NULL);
    dm_context_destroy(context);
}
END_TEST

/* The element at [o, i, y, x] outside is at [y, x, i, o] inside, where vectors run over o. */
static void check_layout(dm_unet *unet, const char *name, bool transposed) {
    int32_t index = dmi_params_find(&unet->weights->params, name);
    ck_assert_int_ge(index, 0);
    const dmi_param *p = &unet->weights->params.items[index];
    float *values = malloc(p->count * sizeof *values), *back = malloc(p->count * sizeof *back);
    for (size_t i = 0; i < p->count; i++) values[i] = (float)i;
    ck_assert_int_eq(network_set(unet, name, values, p->count), DM_OK);
    ck_assert_int_eq(dm_unet_get_tensor(unet, name, back, p->count), DM_OK);
    ck_assert_mem_eq(back, values, p->count * sizeof *values);
    const float *inside = unet->weights->params.data + p->offset;
    int64_t in = p->shape[1], taps = p->shape[2] * p->shape[3];
    for (int64_t o = 0; o < p->shape[0]; o++)
        for (int64_t i = 0; i < in; i++)
            for (int64_t k = 0; k < taps; k++) {
                int64_t outside = (o * in + i) * taps + k,
                        offset = transposed ? (k * in + i) * p->shape[0] + o : outside;
                ck_assert_msg(inside[offset] == (float)outside, "%s: %lld", name,
                              (long long)outside);
            }
    free(values);
    free(back);
}

START_TEST(tensors_are_out_in_k_k) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1);
    check_layout(unet, "conv_in.weight", true);
    check_layout(unet, "up_blocks.0.resnets.0.conv_shortcut.weight", true);
    check_layout(unet, "time_embedding.linear_1.weight", true);
    check_layout(unet, "conv_out.bias", false);
    check_layout(unet, "class_embedding.weight", false);
    for (size_t i = 0; i < unet->weights->params.floats;
         i++) /* what was not set keeps its initial value */
        ck_assert(isfinite(unet->weights->params.data[i]));
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

START_TEST(tensors_that_are_refused) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *same = network_new(context, 1);
    float values[49] = {0};
    const int32_t missing = DM_ERROR_NOT_FOUND, shape = DM_ERROR_SHAPE_MISMATCH,
                  bad = DM_ERROR_INVALID_ARGUMENT;
    test_refused(context, dm_unet_get_tensor(unet, "conv_in.wait", values, 48), missing,
                 "no tensor 'conv_in.wait'");
    const int64_t shapes[][4] = {{16, 1, 1, 1}, {15, 1, 1, 1}, {4, 4, 1, 1}};
    test_refused(context, dm_unet_set_tensor(unet, "", values, 48, shapes[0], 1), missing,
                 "no tensor ''");
    test_refused(context, dm_unet_set_tensor(unet, NULL, values, 48, shapes[0], 1), bad,
                 "'name' is NULL");
    test_refused(context, dm_unet_get_tensor(unet, "conv_in.bias", values, 15), shape,
                 "'conv_in.bias' has 16|not 15");
    test_refused(context, network_set(unet, "conv_in.bias", values, 17), shape,
                 "'conv_in.bias' has 16|not 17");
    test_refused(context, network_set(unet, "conv_in.bias", values, 0), shape, "not 0");
    ck_assert_int_eq(network_set(unet, "conv_in.bias", NULL, 16), bad);
    test_refused(context, dm_unet_set_tensor(unet, "conv_in.bias", values, 16, NULL, 1), bad,
                 "'shape' is NULL");
    test_refused(context, dm_unet_set_tensor(unet, "conv_in.bias", values, 16, shapes[0], 0), bad,
                 "'rank' is 0");
    test_refused(context, dm_unet_set_tensor(unet, "conv_in.bias", values, 16, shapes[0], 5), bad,
                 "'rank' is 5");
    test_refused(context, dm_unet_set_tensor(unet, "conv_in.bias", values, 16, shapes[1], 1), shape,
                 "'conv_in.bias' is [16], not [15]");
    test_refused(context, dm_unet_set_tensor(unet, "conv_in.bias", values, 16, shapes[2], 2), shape,
                 "[16], not [4, 4]");
    const float not_finite[] = {NAN, INFINITY, -INFINITY};
    for (int32_t i = 0; i < 3; i++) {
        values[15] = not_finite[i];
        test_refused(context, network_set(unet, "conv_in.bias", values, 16), bad,
                     "'conv_in.bias'|infinite or NaN");
    }
    ck_assert_int_eq(dm_unet_get_tensor(unet, "conv_in.bias", NULL, 16), bad);
    ck_assert_int_eq(dm_unet_get_tensor(NULL, "conv_in.bias", values, 16), bad);
    ck_assert_int_eq(dm_unet_set_tensor(NULL, "conv_in.bias", values, 16, shapes[0], 1), bad);
    network_same(unet, same);
    dm_unet_destroy(same);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* ---- seeds ---- */

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && !strcmp(name + length - tail, end);
}

/* DDPM's initialisation of a weight: uniform in +-bound, and 1e-5 of it where a branch starts as
 * nothing. */
static void check_weight(const dm_tensor_info *info, const float *w) {
    double taps = (double)(info->shape[2] * info->shape[3]), sum = 0, squares = 0, largest = 0;
    double bound = sqrt(6 / (taps * (double)(info->shape[0] + info->shape[1])));
    if (ends_with(info->name, "conv2.weight") || ends_with(info->name, "to_out.0.weight") ||
        ends_with(info->name, "conv_out.weight"))
        bound *= 1e-5;
    double n = (double)info->elements;
    for (uint64_t i = 0; i < info->elements; i++) {
        sum += w[i];
        squares += (double)w[i] * w[i];
        largest = fmax(largest, fabs(w[i]));
    }
    /* The mean's own deviation is bound / sqrt(3 n), and the relative one of the squares sqrt(4 /
     * (5 n)). */
    ck_assert_msg(largest <= bound * (1 + 1e-6) && largest > bound * (1 - 30 / n), "%s: %g of %g",
                  info->name, largest, bound);
    ck_assert_msg(fabs(sum / n) < 5 * bound / sqrt(3 * n), "%s: mean %g", info->name, sum / n);
    ck_assert_msg(fabs(3 * squares / (n * bound * bound) - 1) < 5 * sqrt(0.8 / n), "%s: variance",
                  info->name);
}

START_TEST(weights_are_sampled_as_in_ddpm) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 77);
    int32_t zeros = 0;
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info info = {.struct_size = sizeof info};
        test_accepted(context, dm_unet_get_tensor_info(unet, i, &info));
        float *w = malloc(info.elements * sizeof *w);
        test_accepted(context, dm_unet_get_tensor(unet, info.name, w, info.elements));
        bool embedding = !strcmp(info.name, "class_embedding.weight");
        if (info.rank > 1 && !embedding) check_weight(&info, w);
        if (info.rank == 1)
            for (uint64_t k = 0; k < info.elements; k++)
                ck_assert(w[k] == (ends_with(info.name, ".weight") ? 1 : 0));
        if (embedding)
            for (uint64_t k = 0; k < info.elements; k++)
                ck_assert(fabsf(w[k]) < 6 && (k == 0 || w[k] != w[k - 1]));
        zeros += info.rank > 1 && fabsf(w[0]) < 1e-5f;
        free(w);
    }
    ck_assert_int_eq(zeros, 10 + 8 + 1); /* residual blocks, attentions, the last convolution */
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

START_TEST(seeds) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 5), *same = network_new(context, 5),
            *other = network_new(context, 6);
    network_same(unet, same);
    for (int32_t i = 0; i < unet->weights->params.count; i++) {
        const dmi_param *p = &unet->weights->params.items[i];
        bool differs =
            memcmp(unet->weights->params.data + p->offset, other->weights->params.data + p->offset,
                   p->count * sizeof(float)) != 0;
        ck_assert_msg(differs == (p->rank > 1), "%s", p->name);
    }
    /* Tensors of one shape are not alike. */
    float one[16 * 16 * 9], two[16 * 16 * 9];
    test_accepted(context, dm_unet_get_tensor(unet, "down_blocks.0.resnets.0.conv1.weight", one,
                                              16 * 16 * 9));
    test_accepted(context, dm_unet_get_tensor(unet, "down_blocks.0.resnets.1.conv1.weight", two,
                                              16 * 16 * 9));
    ck_assert_mem_ne(one, two, sizeof one);
    dm_unet_destroy(other);
    dm_unet_destroy(same);
    dm_unet_destroy(unet);
    ck_assert_int_eq(dm_unet_create(&unet, NULL, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
    test_refused(context, dm_unet_create(NULL, context, NULL, 0), DM_ERROR_INVALID_ARGUMENT,
                 "unet|'out'");
    dm_context_destroy(context);
}
END_TEST

/* ---- running ---- */

/* A valid input of `count` images, to be invalidated. */
static dm_unet_input input_of(const network_input *in, const double *times, uint64_t count) {
    dm_unet_input input;
    ck_assert_int_eq(dm_unet_input_init(&input, sizeof input), DM_OK);
    input.count = count;
    input.x_elements = count * NETWORK_ELEMENTS;
    input.time_count = input.count;
    input.x = in->x;
    input.times = times;
    return input;
}

START_TEST(inputs_that_are_refused) {
    static network_input in;
    static float y[2 * NETWORK_ELEMENTS];
    const int32_t bad = DM_ERROR_INVALID_ARGUMENT, shape = DM_ERROR_SHAPE_MISMATCH;
    double times[2] = {1, 2};
    const size_t elements = 2 * NETWORK_ELEMENTS;
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1);
    network_give(&in);
    dm_unet_input valid = input_of(&in, times, 2), input = valid;
    test_accepted(context, dm_unet_forward(unet, &input, y, elements));
    test_refused(context, dm_unet_forward(unet, NULL, y, elements), bad, "unet|'input' is NULL");
    test_refused(context, dm_unet_forward(unet, &input, NULL, elements), bad, "'output' is NULL");
    test_refused(context, dm_unet_forward(unet, &input, y, elements - 1), shape,
                 "'elements' is 1439|1440");
    input.x = NULL;
    test_refused(context, dm_unet_forward(unet, &input, y, elements), bad, "'x' is NULL");
    input = valid, input.times = NULL;
    test_refused(context, dm_unet_forward(unet, &input, y, elements), bad, "'times' is NULL");
    input = valid, input.count = 0;
    test_refused(context, dm_unet_forward(unet, &input, y, elements), bad, "'count' is 0");
    input = valid, input.count = 65537;
    test_refused(context, dm_unet_forward(unet, &input, y, elements), bad, "'count' is 65537");
    input = valid, input.count = UINT64_MAX;
    test_refused(context, dm_unet_forward(unet, &input, y, elements), bad, "'count' is");
    input = valid, input.x_elements++;
    test_refused(context, dm_unet_forward(unet, &input, y, elements), shape,
                 "'x_elements' is 1441|1440");
    input = valid, input.label_count = 2;
    test_refused(context, dm_unet_forward(unet, &input, y, elements), shape,
                 "'label_count' is 2|0");
    input = valid, input.labels = in.labels, input.label_count = 1;
    test_refused(context, dm_unet_forward(unet, &input, y, elements), shape,
                 "'label_count' is 1|2");
    input = valid, input.padding = 1;
    test_refused(context, dm_unet_forward(unet, &input, y, elements), bad, "'padding'");
    input = valid, input.struct_size = 0;
    test_refused(context, dm_unet_forward(unet, &input, y, elements), bad, "struct_size");
    const double not_finite[] = {NAN, INFINITY, -INFINITY, 1e300};
    for (int32_t i = 0; i < 4; i++) {
        times[1] = not_finite[i];
        test_refused(context, dm_unet_forward(unet, &valid, y, elements), bad, "time 1 is|finite");
    }
    ck_assert_int_eq(dm_unet_forward(NULL, &valid, y, elements), bad);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

START_TEST(labels_of_forward) {
    static network_input in;
    static float y[NETWORK_IMAGES * NETWORK_ELEMENTS], again[NETWORK_IMAGES * NETWORK_ELEMENTS];
    const int32_t bad = DM_ERROR_INVALID_ARGUMENT;
    const float marker = 12345;
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *plain;
    network_randomize(unet, 4);
    network_give(&in);
    test_accepted(context, network_forward(unet, again, in.x, in.timesteps, in.labels, 3));
    y[0] = marker;
    in.labels[1] = NETWORK_CLASSES;
    test_refused(context, network_forward(unet, y, in.x, in.timesteps, in.labels, 3), bad,
                 "label 1 is 4|to 3");
    in.labels[1] = -2;
    test_refused(context, network_forward(unet, y, in.x, in.timesteps, in.labels, 3), bad,
                 "label 1 is -2|to 3");
    ck_assert(y[0] == marker);
    in.labels[1] = 1;
    test_accepted(context, network_forward(unet, y, in.x, in.timesteps, in.labels, 3));
    ck_assert_mem_eq(y, again,
                     3 * NETWORK_ELEMENTS * sizeof *y); /* the refusals left nothing allocated */
    float *none = again;
    test_accepted(context, network_forward(unet, none, in.x, in.timesteps, NULL, 3));
    ck_assert_mem_ne(y, none, NETWORK_ELEMENTS * sizeof *y);
    ck_assert_mem_eq(y + 2 * NETWORK_ELEMENTS, none + 2 * NETWORK_ELEMENTS,
                     NETWORK_ELEMENTS * sizeof *y); /* label -1 */
    for (int32_t i = 0; i < 3; i++) in.labels[i] = -1;
    test_accepted(context, network_forward(unet, y, in.x, in.timesteps, in.labels, 3));
    ck_assert_mem_eq(y, none, 3 * NETWORK_ELEMENTS * sizeof *y);

    dm_unet_options o = network_options();
    o.classes = 0;
    test_accepted(context, dm_unet_create(&plain, context, &o, 1));
    test_refused(context, network_forward(plain, y, in.x, in.timesteps, in.labels, 1), bad,
                 "'labels'|no classes");
    test_accepted(context, network_forward(plain, y, in.x, in.timesteps, NULL, 1));
    dm_unet_destroy(plain);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* An image's bits are its own: whatever goes through with it or went through before, with any
 * number of threads, in latency mode and without, and in either precision. What is cached of the
 * weights is recomputed when they change. _i: latency + 2 * bf16 + 4 * instruction set. */
START_TEST(images_are_the_same_in_any_batch) {
    static network_input in;
    static float want[NETWORK_IMAGES][NETWORK_ELEMENTS], got[NETWORK_IMAGES][NETWORK_ELEMENTS];
    static const size_t counts[] = {5, 1, 3, 5};
    network_give(&in);
    for (int32_t threads = 1; threads <= 2; threads++) {
        dm_context_options o;
        dm_context *context;
        ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
        o.threads = threads;
        o.latency = _i & 1;
        ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
        context->kernels = dmi_kernels_for(_i / 4);
        dm_unet *unet = network_new(context, 1);
        if (_i & 2) test_accepted(context, dm_unet_set_precision(unet, DM_PRECISION_BF16));
        /* With other weights than then. */
        test_accepted(context, network_forward(unet, got[0], in.x, in.timesteps, NULL, 1));
        network_randomize(unet, 4);
        for (size_t i = 0; threads == 1 && i < NETWORK_IMAGES; i++)
            test_accepted(context, network_forward(unet, want[i], in.x + i * NETWORK_ELEMENTS,
                                                   in.timesteps + i, in.labels + i, 1));
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
            memset(got, 0, sizeof got);
            test_accepted(context,
                          network_forward(unet, got[0], in.x, in.timesteps, in.labels, counts[k]));
            for (size_t i = 0; i < counts[k]; i++)
                ck_assert_msg(!memcmp(got[i], want[i], sizeof want[i]),
                              "image %zu of %zu, %d threads", i, counts[k], (int)threads);
        }
        dm_unet_destroy(unet);
        dm_context_destroy(context);
    }
    ck_assert_double_gt(test_error(want[0], want[1], NETWORK_ELEMENTS),
                        0.1); /* and they do differ */
}
END_TEST

/* The two modes differ in their last bits alone: 2e-6 is the bound of one Winograd convolution. */
START_TEST(latency_mode) {
    static network_input in;
    static float y[2][NETWORK_ELEMENTS];
    network_give(&in);
    for (int32_t latency = 0; latency < 2; latency++) {
        dm_context_options o;
        dm_context *context;
        ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
        o.latency = latency;
        ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
        dm_unet *unet = network_new(context, 1);
        network_randomize(unet, 4);
        test_accepted(context, network_forward(unet, y[latency], in.x, in.timesteps, in.labels, 1));
        dm_unet_destroy(unet);
        dm_context_destroy(context);
    }
    ck_assert_mem_ne(y[0], y[1], sizeof y[0]);
    test_close(y[1], y[0], NETWORK_ELEMENTS, 5e-6);
}
END_TEST

Suite *test_unet_suite(void);
Suite *test_unet_suite(void) {
    Suite *suite = suite_create("unet");
    TCase *tcase = tcase_create("unet");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, tensors_are_listed);
    tcase_add_test(tcase, tensors_are_out_in_k_k);
    tcase_add_test(tcase, tensors_that_are_refused);
    tcase_add_test(tcase, weights_are_sampled_as_in_ddpm);
    tcase_add_test(tcase, seeds);
    tcase_add_test(tcase, inputs_that_are_refused);
    tcase_add_test(tcase, labels_of_forward);
    tcase_add_test(tcase, latency_mode);
    suite_add_tcase(suite, tcase);
    TCase *slow = tcase_create("large");
    tcase_set_timeout(slow, 30);
    tcase_set_tags(slow, "slow"); /* under a memory checker */
    tcase_add_loop_test(slow, images_are_the_same_in_any_batch, 4 * DMI_ISA_BASE,
                        4 * dmi_cpu_isa() + 4);
    suite_add_tcase(suite, slow);
    return suite;
}
