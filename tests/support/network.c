/* See network.h. */
#include "support/network.h"

#include "support/refusal.h"
#include "support/support.h"

dm_unet_options network_options(void) {
    return (dm_unet_options){
        .struct_size = sizeof(dm_unet_options),
        .height = NETWORK_HEIGHT,
        .width = NETWORK_WIDTH,
        .in_channels = NETWORK_CHANNELS,
        .out_channels = NETWORK_CHANNELS,
        .levels = 2,
        .channels = {16, 32},
        .blocks = {2, 1},
        .attention = {1, 1},
        .mid_attention = 0,
        .attention_head_size = 8,
        .norm_groups = 4,
        .norm_eps = 3e-5f,
        .dropout = 0.3f,
        .time_embedding = DM_TIME_SCALE_SHIFT,
        .time_channels = 24,
        .time_frequency_shift = 0.5f,
        .time_cos_first = 1,
        .downsample_padding = DM_PAD_ALL,
        .classes = NETWORK_CLASSES,
        .prediction = DM_PREDICT_V,
    };
}

dm_unet *network_new(dm_context *context, uint64_t seed) {
    dm_unet_options options = network_options();
    dm_unet *unet;
    test_accepted(context, dm_unet_create(&unet, context, &options, seed));
    return unet;
}

void network_randomize(dm_unet *unet, uint64_t seed) {
    for (size_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info info = {.struct_size = sizeof info};
        ck_assert_int_eq(dm_unet_tensor_info(unet, i, &info), DM_OK);
        float *values = malloc(info.elements * sizeof *values);
        ck_assert_ptr_nonnull(values);
        double taps = (double)(info.shape[1] * info.shape[2] * info.shape[3]);
        test_fill(values, info.elements, seed + i, info.rank == 1 ? 0.5f : (float)sqrt(3 / taps));
        bool scale = info.rank == 1 && strstr(info.name, "norm") && strstr(info.name, "weight");
        for (size_t k = 0; scale && k < info.elements; k++) values[k] += 1;
        ck_assert_int_eq(dm_unet_tensor_set(unet, info.name, values, info.elements), DM_OK);
        free(values);
    }
}

void network_give(network_input *input) {
    test_fill(input->x, sizeof input->x / sizeof *input->x, 1, 1.5f);
    for (int32_t i = 0; i < NETWORK_PICTURES; i++) {
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
    for (size_t i = 0; i < dm_unet_tensor_count(one); i++) {
        dm_tensor_info info = {.struct_size = sizeof info}, its = {.struct_size = sizeof its};
        ck_assert_int_eq(dm_unet_tensor_info(one, i, &info), DM_OK);
        ck_assert_int_eq(dm_unet_tensor_info(other, i, &its), DM_OK);
        ck_assert_str_eq(info.name, its.name);
        ck_assert_uint_eq(info.elements, its.elements);
        size_t bytes = info.elements * sizeof(float);
        float *values = malloc(bytes), *its_values = malloc(bytes);
        ck_assert_int_eq(dm_unet_tensor_get(one, info.name, values, info.elements), DM_OK);
        ck_assert_int_eq(dm_unet_tensor_get(other, info.name, its_values, info.elements), DM_OK);
        ck_assert_msg(!memcmp(values, its_values, bytes), "%s differs", info.name);
        free(values);
        free(its_values);
    }
}
