/* SPDX-License-Identifier: MIT */
/* See folder.h. Pictures are kept decoded while memory lasts; of the others, those that the trainer
 * announces are decoded ahead by the readers. */
#include "data/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/decoder.h"
#include "data/random_bits.h"

struct picture_folder {
    listing list;
    folder_options options;
    decoded *kept;          /* [list.count]; without pixels where not kept */
    uint8_t *bad;           /* [list.count] 1: cannot be decoded */
    uint8_t *good;          /* [list.count] 1: was decoded before */
    size_t damaged;         /* pictures that are bad */
    size_t gone;            /* of them those that could be decoded, or whose files cannot be read */
    char last_damaged[512]; /* path and reason */
    decoder *decoder;
    dm_context *context; /* of the dataset */
};

/* ---- creation ---- */

static void mark_bad(picture_folder *f, size_t index) {
    f->bad[index] = 1;
    f->damaged++;
    f->gone += f->good[index] || access(f->list.pictures[index].path, R_OK);
}

/* Keeps the reason why a picture cannot be decoded. */
static void explain(picture_folder *f, size_t index) {
    decoded d = {{0}, {0}};
    const char *path = f->list.pictures[index].path;
    if (!decode_picture(&f->list, &f->options, index, &d, f->last_damaged, sizeof f->last_damaged))
        snprintf(f->last_damaged, sizeof f->last_damaged, "%s: it could not be read", path);
    decoded_free(&d);
}

/* More than some may: then it is no accident. */
static int too_many_gone(const picture_folder *f) { return f->gone > 10 + f->list.count / 100; }

static int out_of_memory(char *error, size_t capacity) {
    snprintf(error, capacity, "out of memory");
    return 1;
}

int folder_create(picture_folder **out, listing *pictures, const folder_options *options,
                  folder_progress progress, void *user, char *error, size_t capacity) {
    picture_folder *f = *out = calloc(1, sizeof *f);
    if (!f) {
        listing_free(pictures);
        return out_of_memory(error, capacity);
    }
    f->list = *pictures;
    *pictures = (listing){0};
    f->options = *options;
    f->kept = calloc(f->list.count, sizeof *f->kept);
    f->bad = calloc(f->list.count, sizeof *f->bad);
    f->good = calloc(f->list.count, sizeof *f->good);
    int result = f->kept && f->bad && f->good ? 0 : out_of_memory(error, capacity);
    if (!result)
        result = decode_all(&f->list, options, f->kept, f->bad, progress, user, error, capacity);
    size_t last = 0;
    for (size_t i = 0; !result && i < f->list.count; i++)
        if (f->bad[i]) mark_bad(f, last = i);
    if (f->damaged) explain(f, last);
    if (!result && f->damaged == f->list.count) {
        snprintf(error, capacity, "none of the pictures can be decoded: %s", f->last_damaged);
        result = 1;
    }
    if (!result) result = decoder_create(&f->decoder, &f->list, options, error, capacity);
    if (result) {
        folder_destroy(f);
        *out = NULL;
    }
    return result;
}

void folder_destroy(picture_folder *f) {
    if (!f) return;
    decoder_destroy(f->decoder);
    for (size_t i = 0; f->kept && i < f->list.count; i++) decoded_free(&f->kept[i]);
    listing_free(&f->list);
    free(f->kept);
    free(f->good);
    free(f->bad);
    free(f);
}

const listing *folder_listing(const picture_folder *f) { return &f->list; }

size_t folder_damaged(const picture_folder *f, const char **last) {
    if (last) *last = f->last_damaged;
    return f->damaged;
}

/* ---- dataset ---- */

/* Where a picture is cropped: depends on its index and the epoch alone, so that a resumed run sees
 * the same. */
static void choose_crop(const picture_folder *f, const dm_dataset_item *item, double *y,
                        double *x) {
    *y = *x = 0.5;
    if (!f->options.random_crop) return;
    uint64_t bits = random_bits(item->index + RANDOM_BITS_STEP);
    bits = random_bits((bits ^ item->epoch) + RANDOM_BITS_STEP);
    *y = (double)(bits >> 32) / 4294967295.0;
    *x = (double)(bits & UINT32_MAX) / 4294967295.0;
}

static void write_item(const picture_folder *f, dm_dataset_item *item, size_t index,
                       const decoded *d) {
    double y, x;
    choose_crop(f, item, &y, &x);
    picture_crop(item->pixels, &d->image, f->options.height, f->options.width, y, x);
    if (item->condition_image)
        picture_crop(item->condition_image, &d->condition, f->options.height, f->options.width, y,
                     x);
    item->label = f->list.pictures[index].label;
}

/* The pixels of a picture. 0, or 1 if it cannot be decoded. */
static int read_one(picture_folder *f, dm_dataset_item *item, size_t index) {
    if (f->bad[index]) return 1;
    decoded d = f->kept[index];
    int own = !d.image.pixels;
    if (own && decoder_take(f->decoder, index, &d)) {
        mark_bad(f, index);
        explain(f, index);
        return 1;
    }
    f->good[index] = 1;
    write_item(f, item, index, &d);
    if (own) decoded_free(&d);
    return 0;
}

/* In the place of a picture that cannot be decoded, the next one is used. */
static int32_t read_picture(void *user, dm_dataset_item *item) {
    picture_folder *f = user;
    size_t count = f->list.count;
    for (size_t i = 0; i < count && !too_many_gone(f); i++)
        if (!read_one(f, item, ((size_t)item->index + i) % count)) return 0;
    char text[640];
    snprintf(text, sizeof text,
             too_many_gone(f) ? "%zu of %zu pictures cannot be read any more, the last: %s"
                              : "%zu of %zu pictures cannot be decoded, the last: %s",
             too_many_gone(f) ? f->gone : f->damaged, count, f->last_damaged);
    dm_callback_fail(f->context, text);
    return 1;
}

static void prefetch(void *user, const uint64_t *indices, size_t count) {
    picture_folder *f = user;
    decoder_begin(f->decoder, count);
    for (size_t i = 0; i < count; i++)
        if (!f->kept[indices[i]].image.pixels && !f->bad[indices[i]])
            decoder_add(f->decoder, (size_t)indices[i]);
}

dm_status folder_dataset(picture_folder *f, dm_context *context, dm_dataset **out) {
    dm_dataset_callback c;
    dm_dataset_callback_init(&c, sizeof c);
    c.count = f->list.count;
    c.height = f->options.height;
    c.width = f->options.width;
    c.channels = f->options.channels;
    c.classes = (int32_t)f->list.class_count;
    c.class_name_count = f->list.class_count;
    c.class_names = f->list.class_count ? (const char *const *)f->list.classes : NULL;
    c.condition_channels = f->list.pictures[0].condition ? c.channels : 0;
    c.fingerprint = listing_fingerprint(&f->list);
    c.read = read_picture;
    c.prefetch = prefetch;
    c.user = f;
    f->context = context;
    return dm_dataset_create_from_callback(out, context, &c);
}
