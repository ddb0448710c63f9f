/* SPDX-License-Identifier: MIT */
/* Images for super-resolution: those of another dataset, each with itself at a lower resolution as
 * condition image. */
#include "dataset/dataset.h"

enum { FACTOR_MIN = 2, FACTOR_MAX = 64, CHANNELS_MAX = 64 };

typedef struct downscaled_state {
    const dm_dataset *source;
    int32_t factor;
} downscaled_state;

/* One image: its size, and that of an image of means of factor x factor pixels. */
typedef struct scaled_image {
    const uint8_t *pixels; /* [rows * factor, columns * factor, channels] */
    int32_t rows, columns, channels, factor;
} scaled_image;

/* The mean of a block, rounded to a byte. */
static uint32_t mean_at(const scaled_image *s, int32_t row, int32_t column, int32_t channel) {
    const size_t f = (size_t)s->factor, c = (size_t)s->channels, width = (size_t)s->columns * f;
    const uint8_t *block =
        s->pixels + ((size_t)row * f * width + (size_t)column * f) * c + (size_t)channel;
    uint32_t sum = 0;
    for (size_t y = 0; y < f; y++)
        for (size_t x = 0; x < f; x++) sum += block[(y * width + x) * c];
    return (sum + (uint32_t)(f * f) / 2) / (uint32_t)(f * f);
}

/* Where a pixel's centre lies between the centres of blocks `low` and `high`, which are the same
 * beyond the first and the last: at weight / (2 factor) from the first. */
typedef struct between {
    int32_t low, high;
    uint32_t weight;
} between;

static between between_at(int32_t pixel, int32_t factor, int32_t blocks) {
    const int32_t at = 2 * pixel + 1 + factor, below = at / (2 * factor) - 1;
    return (between){.low = below < 0 ? 0 : below,
                     .high = below + 1 < blocks ? below + 1 : blocks - 1,
                     .weight = (uint32_t)(at % (2 * factor))};
}

/* A column of blocks at a row of pixels, times 2 factor. values [channels] */
static void blend_rows(const scaled_image *s, between row, int32_t column, uint32_t *values) {
    const uint32_t whole = 2 * (uint32_t)s->factor;
    for (int32_t c = 0; c < s->channels; c++)
        values[c] = mean_at(s, row.low, column, c) * (whole - row.weight) +
                    mean_at(s, row.high, column, c) * row.weight;
}

/* One row of the enlarged image. out [columns * factor, channels] */
static void enlarge_row(const scaled_image *s, between row, uint8_t *out) {
    const uint32_t whole = 2 * (uint32_t)s->factor;
    uint32_t low[CHANNELS_MAX] = {0}, high[CHANNELS_MAX] = {0};
    between last = {.low = -1, .high = -1};
    for (int32_t x = 0; x < s->columns * s->factor; x++, out += s->channels) {
        const between at = between_at(x, s->factor, s->columns);
        if (at.low != last.low) blend_rows(s, row, at.low, low);
        if (at.high != last.high) blend_rows(s, row, at.high, high);
        last = at;
        for (int32_t c = 0; c < s->channels; c++)
            out[c] =
                (uint8_t)((low[c] * (whole - at.weight) + high[c] * at.weight + whole * whole / 2) /
                          (whole * whole));
    }
}

static dm_status read_downscaled(const dm_dataset *dataset, uint64_t index,
                                 dmi_dataset_image *image) {
    const downscaled_state *state = dataset->state;
    uint8_t *enlarged = image->condition_image;
    image->condition_image = NULL;
    dm_status status = state->source->read(state->source, index, image);
    image->condition_image = enlarged;
    if (status || !enlarged) return status;
    const scaled_image s = {.pixels = image->pixels,
                            .rows = dataset->height / state->factor,
                            .columns = dataset->width / state->factor,
                            .channels = dataset->channels,
                            .factor = state->factor};
    const size_t row_bytes = (size_t)dataset->width * (size_t)dataset->channels;
    for (int32_t y = 0; y < dataset->height; y++)
        enlarge_row(&s, between_at(y, s.factor, s.rows), enlarged + (size_t)y * row_bytes);
    return DM_OK;
}

static void prefetch_downscaled(const dm_dataset *dataset, const uint64_t *indices, size_t count) {
    const downscaled_state *state = dataset->state;
    state->source->prefetch(state->source, indices, count);
}

static uint64_t fingerprint(const dm_dataset *source, int32_t factor) {
    if (!source->fingerprint) return 0;
    uint64_t hash = dmi_hash(DMI_HASH_START, "downscaled", sizeof "downscaled");
    hash = dmi_hash(hash, &source->fingerprint, sizeof source->fingerprint);
    hash = dmi_hash(hash, &factor, sizeof factor);
    return hash ? hash : 1;
}

static dm_status check(const dm_dataset *source, int32_t factor) {
    dmi_host *host = &source->context->host;
    dm_status status =
        dmi_check_range(host, "downscaled", "factor", factor, FACTOR_MIN, FACTOR_MAX);
    if (status) return status;
    if (source->height % factor || source->width % factor)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "downscaled: 'factor' is %d; it must divide height and width, %d x %d",
                        (int)factor, (int)source->height, (int)source->width);
    if (source->condition_channels)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "downscaled: the source has condition images of %d channels already",
                        (int)source->condition_channels);
    return DM_OK;
}

static dm_status create(dm_dataset **out, const dm_dataset *source, int32_t factor) {
    dmi_host *host = &source->context->host;
    if (!out) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "downscaled: 'out' is NULL");
    dm_dataset *dataset;
    downscaled_state *state;
    dm_status status = check(source, factor);
    if (!status) status = dmi_dataset_new(&dataset, source->context);
    if (status) return status;
    status = dmi_alloc(host, &state, sizeof *state, "dataset");
    if (status) {
        dmi_dataset_free(dataset);
        return status;
    }
    *state = (downscaled_state){source, factor};
    *dataset = *source;
    dataset->state = state;
    dataset->free_state = NULL;
    dataset->own_names = (dmi_class_names){0}; /* class_names are the source's */
    if (source->prefetch) dataset->prefetch = prefetch_downscaled;
    dataset->read = read_downscaled;
    dataset->condition_channels = source->channels;
    dataset->fingerprint = fingerprint(source, factor);
    *out = dataset;
    return DM_OK;
}

dm_status dm_dataset_create_downscaled(dm_dataset **out, const dm_dataset *source, int32_t factor) {
    if (out) *out = NULL;
    if (!source) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(source->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(source->context, create(out, source, factor));
}
