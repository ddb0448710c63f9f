/* SPDX-License-Identifier: MIT */
/* See features.h. */
#include "measure/features.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/random_bits.h"

enum { CHANNELS = FEATURE_CHANNELS, N = FEATURE_COUNT, BATCH = 16 };

/* Deviations are taken as no less than this part of their root mean square. */
static const double LEAST_DEVIATION = 0.1;

struct feature_network {
    dm_unet *unet;
    size_t elements, pixels;
    float *output; /* [BATCH, height, width, CHANNELS] */
};

/* ---- the network ---- */

/* Of a weight's position, in [-1, 1). */
static float weight_at(uint64_t tensor, uint64_t element) {
    const uint64_t state =
        tensor * RANDOM_BITS_STEP + element * 0xBF58476D1CE4E5B9u + 0x94D049BB133111EBu;
    return (float)((double)(random_bits(state) >> 11) * 0x1p-52 - 1);
}

/* Draws every weight uniformly with variance 1 / fan-in, so that activations keep their scale;
 * norms and biases stay as they are. */
static dm_status randomise(dm_unet *unet) {
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info info;
        dm_tensor_info_init(&info, sizeof info);
        dm_status status = dm_unet_get_tensor_info(unet, i, &info);
        if (status) return status;
        if (info.rank < 2) continue;
        float *values = malloc(info.elements * sizeof *values);
        if (!values) return DM_ERROR_OUT_OF_MEMORY;
        float scale = (float)sqrt(3.0 * (double)info.shape[0] / (double)info.elements);
        for (uint64_t k = 0; k < info.elements; k++)
            values[k] = scale * weight_at((uint64_t)i + 1, k);
        status = dm_unet_set_tensor(unet, info.name, values, info.elements, info.shape, info.rank);
        free(values);
        if (status) return status;
    }
    return DM_OK;
}

dm_status feature_network_create(feature_network **out, dm_context *context, int32_t height,
                                 int32_t width, int32_t channels) {
    dm_unet_options u;
    feature_network *n = *out = calloc(1, sizeof *n);
    if (!n) return DM_ERROR_OUT_OF_MEMORY;
    dm_unet_options_init(&u, sizeof u);
    u.height = height;
    u.width = width;
    u.in_channels = channels;
    u.out_channels = CHANNELS;
    u.levels = 3;
    for (int i = 0; i < 3; i++) u.channels[i] = 32 << i, u.blocks[i] = 1, u.attention[i] = 0;
    u.channels[3] = u.blocks[3] = 0;
    u.mid_attention = 0;
    dm_status status = dm_unet_create(&n->unet, context, &u, 1);
    if (status) return status;
    n->pixels = (size_t)height * (size_t)width;
    n->elements = n->pixels * (size_t)channels;
    n->output = malloc(BATCH * n->pixels * CHANNELS * sizeof *n->output);
    return n->output ? randomise(n->unet) : DM_ERROR_OUT_OF_MEMORY;
}

void feature_network_destroy(feature_network *n) {
    if (!n) return;
    dm_unet_destroy(n->unet);
    free(n->output);
    free(n);
}

/* The mean of each channel over the pixels, then the standard deviation of each. */
static void pool(float *feature, const float *output, size_t pixels) {
    double mean[CHANNELS] = {0}, square[CHANNELS] = {0};
    for (size_t p = 0; p < pixels; p++)
        for (int c = 0; c < CHANNELS; c++) {
            double value = output[p * CHANNELS + (size_t)c];
            mean[c] += value / (double)pixels;
            square[c] += value * value / (double)pixels;
        }
    for (int c = 0; c < CHANNELS; c++) {
        double variance = square[c] - mean[c] * mean[c];
        feature[c] = (float)mean[c];
        feature[CHANNELS + c] = (float)sqrt(variance > 0 ? variance : 0);
    }
}

/* ---- sets ---- */

void feature_set_free(feature_set *set) {
    free(set->values);
    *set = (feature_set){0};
}

/* Makes room for `count` pictures more. */
static dm_status reserve(feature_set *set, size_t count) {
    const size_t most = SIZE_MAX / 2 / (N * sizeof *set->values);
    if (count <= set->capacity - set->count) return DM_OK;
    if (count > most - set->count) return DM_ERROR_OUT_OF_MEMORY;
    size_t capacity = set->count + count;
    if (capacity < 2 * set->capacity) capacity = 2 * set->capacity;
    float *values = realloc(set->values, capacity * N * sizeof *values);
    if (!values) return DM_ERROR_OUT_OF_MEMORY;
    set->values = values;
    set->capacity = capacity;
    return DM_OK;
}

dm_status feature_set_append(feature_set *set, const float *features, size_t count) {
    dm_status status = reserve(set, count);
    if (status || !count) return status;
    memcpy(set->values + set->count * N, features, count * N * sizeof *features);
    set->count += count;
    return DM_OK;
}

dm_status feature_set_add(feature_set *set, feature_network *n, const float *pictures,
                          size_t count) {
    static const double times[BATCH] = {0};
    const size_t before = set->count;
    dm_status status = reserve(set, count);
    for (size_t first = 0; !status && first < count; first += BATCH) {
        size_t size = count - first < BATCH ? count - first : BATCH;
        dm_unet_input input;
        dm_unet_input_init(&input, sizeof input);
        input.count = size;
        input.x_elements = size * n->elements;
        input.time_count = input.count;
        input.x = pictures + first * n->elements;
        input.times = times;
        status = dm_unet_forward(n->unet, &input, n->output, size * n->pixels * CHANNELS);
        for (size_t i = 0; !status && i < size; i++)
            pool(set->values + set->count++ * N, n->output + i * n->pixels * CHANNELS, n->pixels);
    }
    if (status) set->count = before;
    return status;
}

dm_status feature_set_standardise(feature_set *out, const feature_set *set,
                                  const feature_set *reference) {
    double mean[N] = {0}, scale[N] = {0}, total = 0;
    if (!reference->count) return DM_ERROR_INVALID_ARGUMENT;
    dm_status status = reserve(out, set->count);
    if (status) return status;
    for (size_t i = 0; i < reference->count; i++)
        for (size_t f = 0; f < N; f++)
            mean[f] += reference->values[i * N + f] / (double)reference->count;
    for (size_t i = 0; i < reference->count; i++)
        for (size_t f = 0; f < N; f++) {
            double difference = reference->values[i * N + f] - mean[f];
            scale[f] += difference * difference / (double)reference->count;
        }
    for (size_t f = 0; f < N; f++) total += scale[f];
    const double least = sqrt(total / N) * LEAST_DEVIATION;
    for (size_t f = 0; f < N; f++) {
        double deviation = sqrt(scale[f]) > least ? sqrt(scale[f]) : least;
        scale[f] = deviation > 0 ? 1 / deviation : 1;
    }
    for (size_t i = 0; i < set->count; i++, out->count++)
        for (size_t f = 0; f < N; f++)
            out->values[out->count * N + f] =
                (float)((set->values[i * N + f] - mean[f]) * scale[f]);
    return DM_OK;
}

/* ---- tiles ---- */

void feature_tile_load(feature_tile *tile, const feature_set *set, size_t first) {
    *tile = (feature_tile){.first = first, .count = set->count - first};
    if (tile->count > FEATURE_TILE) tile->count = FEATURE_TILE;
    for (size_t j = 0; j < tile->count; j++)
        for (size_t f = 0; f < N; f++) tile->values[f][j] = set->values[(first + j) * N + f];
}

void feature_tile_products(float *out, const feature_tile *tile, const float *x) {
    float sum[FEATURE_TILE] = {0};
    for (size_t f = 0; f < N; f++)
        for (size_t j = 0; j < FEATURE_TILE; j++) sum[j] += x[f] * tile->values[f][j];
    memcpy(out, sum, sizeof sum);
}

void feature_tile_distances(float *out, const feature_tile *tile, const float *x) {
    float sum[FEATURE_TILE] = {0};
    for (size_t f = 0; f < N; f++)
        for (size_t j = 0; j < FEATURE_TILE; j++) {
            float difference = x[f] - tile->values[f][j];
            sum[j] += difference * difference;
        }
    memcpy(out, sum, sizeof sum);
}
