/* SPDX-License-Identifier: MIT */
/* See network.h. */
#include "support/network.h"

#include "support/refusal.h"
#include "support/support.h"

dm_unet_options network_options(void) {
    dm_unet_options o;
    ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    o.height = NETWORK_HEIGHT;
    o.width = NETWORK_WIDTH;
    o.in_channels = NETWORK_CHANNELS;
    o.out_channels = NETWORK_CHANNELS;
    o.levels = 2;
    for (int32_t i = 0; i < 8; i++) o.channels[i] = 0;
    o.channels[0] = 16, o.channels[1] = 32;
    for (int32_t i = 0; i < 8; i++) o.blocks[i] = 0;
    o.blocks[0] = 2, o.blocks[1] = 1;
    for (int32_t i = 0; i < 8; i++) o.attention[i] = 0;
    o.attention[0] = 1, o.attention[1] = 1;
    o.mid_attention = 0;
    o.attention_head_size = 8;
    o.norm_groups = 4;
    o.norm_eps = 3e-5f;
    o.dropout = 0.3f;
    o.time_embedding = DM_TIME_SCALE_SHIFT;
    o.time_channels = 24;
    o.time_frequency_shift = 0.5f;
    o.time_cos_first = 1;
    o.downsample_padding = DM_PAD_ALL;
    o.classes = NETWORK_CLASSES;
    o.prediction = DM_PREDICT_V;
    o.sigma_data = 0.25f;
    return o;
}

dm_unet *network_new(dm_context *context, uint64_t seed) {
    dm_unet_options options = network_options();
    dm_unet *unet;
    test_accepted(context, dm_unet_create(&unet, context, &options, seed));
    return unet;
}

static dm_tensor_info info_of(const dm_unet *unet, const char *name) {
    dm_tensor_info info = {.struct_size = sizeof info};
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        ck_assert_int_eq(dm_unet_get_tensor_info(unet, i, &info), DM_OK);
        if (!strcmp(info.name, name)) return info;
    }
    ck_abort_msg("there is no tensor %s", name);
    return info;
}

dm_status network_set(dm_unet *unet, const char *name, const float *values, size_t elements) {
    dm_tensor_info info = info_of(unet, name);
    return dm_unet_set_tensor(unet, name, values, elements, info.shape, info.rank);
}

dm_status network_forward(dm_unet *unet, float *output, const float *x, const float *times,
                          const int32_t *labels, size_t count) {
    dm_unet_options o;
    dm_unet_input input;
    double wide[NETWORK_FORWARD_MAX];
    ck_assert_uint_le(count, NETWORK_FORWARD_MAX);
    ck_assert_int_eq(dm_unet_get_options(unet, &o, sizeof o), DM_OK);
    ck_assert_int_eq(dm_unet_input_init(&input, sizeof input), DM_OK);
    for (size_t i = 0; i < count; i++) wide[i] = (double)times[i];
    size_t pixels = count * (size_t)o.height * (size_t)o.width;
    input.count = count;
    input.x_elements = pixels * (size_t)o.in_channels * (o.self_conditioning ? 2 : 1);
    input.time_count = input.count;
    input.label_count = labels ? count : 0;
    input.x = x;
    input.times = wide;
    input.labels = labels;
    return dm_unet_forward(unet, &input, output,
                           pixels * (size_t)o.out_channels * (o.learned_variance ? 2 : 1));
}

void network_randomize(dm_unet *unet, uint64_t seed) {
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info info = {.struct_size = sizeof info};
        ck_assert_int_eq(dm_unet_get_tensor_info(unet, i, &info), DM_OK);
        float *values = malloc(info.elements * sizeof *values);
        ck_assert_ptr_nonnull(values);
        double taps = (double)(info.shape[1] * info.shape[2] * info.shape[3]);
        test_fill(values, info.elements, seed + i, info.rank == 1 ? 0.5f : (float)sqrt(3 / taps));
        bool scale = info.rank == 1 && strstr(info.name, "norm") && strstr(info.name, "weight");
        for (size_t k = 0; scale && k < info.elements; k++) values[k] += 1;
        ck_assert_int_eq(network_set(unet, info.name, values, info.elements), DM_OK);
        free(values);
    }
}

void network_give(network_input *input) {
    test_fill(input->x, sizeof input->x / sizeof *input->x, 1, 1.5f);
    for (int32_t i = 0; i < NETWORK_IMAGES; i++) {
        input->timesteps[i] = (float)(i * 211) + 0.25f;
        input->labels[i] = i == 2 ? -1 : i % NETWORK_CLASSES;
    }
}

void network_same(const dm_unet *one, const dm_unet *other) {
    dm_unet_options a, b;
    ck_assert_int_eq(dm_unet_get_options(one, &a, sizeof a), DM_OK);
    ck_assert_int_eq(dm_unet_get_options(other, &b, sizeof b), DM_OK);
    ck_assert_mem_eq(&a, &b, sizeof a);
    ck_assert_uint_eq(dm_unet_tensor_count(one), dm_unet_tensor_count(other));
    for (int32_t i = 0; i < dm_unet_tensor_count(one); i++) {
        dm_tensor_info info = {.struct_size = sizeof info}, its = {.struct_size = sizeof its};
        ck_assert_int_eq(dm_unet_get_tensor_info(one, i, &info), DM_OK);
        ck_assert_int_eq(dm_unet_get_tensor_info(other, i, &its), DM_OK);
        ck_assert_str_eq(info.name, its.name);
        ck_assert_uint_eq(info.elements, its.elements);
        size_t bytes = info.elements * sizeof(float);
        float *values = malloc(bytes), *its_values = malloc(bytes);
        ck_assert_int_eq(dm_unet_get_tensor(one, info.name, values, info.elements), DM_OK);
        ck_assert_int_eq(dm_unet_get_tensor(other, info.name, its_values, info.elements), DM_OK);
        ck_assert_msg(!memcmp(values, its_values, bytes), "%s differs", info.name);
        free(values);
        free(its_values);
    }
}
