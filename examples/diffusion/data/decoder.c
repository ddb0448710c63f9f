/* SPDX-License-Identifier: MIT */
/* See decoder.h. */
#include "data/decoder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum work_state { WORK_FREE, WORK_QUEUED, WORK_DECODING, WORK_READY, WORK_BAD } work_state;

/* A picture that was added and not yet taken. */
typedef struct work {
    size_t index;
    uint64_t order; /* the first added are decoded, and dropped, first */
    work_state state;
    decoded result;
} work;

struct decoder {
    const listing *list;
    folder_options options;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t changed;
    work *items; /* [count] */
    size_t count;
    uint64_t orders;
    pthread_t *threads; /* [started] */
    int started, stop;
};

void decoded_free(decoded *d) {
    picture_free(&d->image);
    picture_free(&d->condition);
}

int decode_picture(const listing *list, const folder_options *options, size_t index, decoded *out,
                   char *error, size_t capacity) {
    const listed_picture *p = &list->pictures[index];
    picture_options read = {.channels = options->channels,
                            .height = options->height,
                            .width = options->width};
    memcpy(read.background, options->background, sizeof read.background);
    *out = (decoded){{0}, {0}};
    if (picture_read(&out->image, p->path, &read, error, capacity)) return 1;
    if (!p->condition || !picture_read(&out->condition, p->condition, &read, error, capacity))
        return 0;
    decoded_free(out);
    return 1;
}

/* Without the reason. */
static int decode(const listing *list, const folder_options *options, size_t index, decoded *out) {
    return decode_picture(list, options, index, out, NULL, 0);
}

/* ---- decoding ahead ---- */

static work *find(const decoder *d, size_t index) {
    for (size_t i = 0; i < d->count; i++)
        if (d->items[i].state != WORK_FREE && d->items[i].index == index) return &d->items[i];
    return NULL;
}

/* The first added whose state is from `least` to `most`; NULL if none is. */
static work *oldest(const decoder *d, work_state least, work_state most) {
    work *best = NULL;
    for (size_t i = 0; i < d->count; i++)
        if (d->items[i].state >= least && d->items[i].state <= most &&
            (!best || d->items[i].order < best->order))
            best = &d->items[i];
    return best;
}

/* With the lock held, which is released meanwhile. The table may move, but not the work's entry. */
static void decode_work(decoder *d, work *w) {
    decoded result;
    size_t index = w->index, at = (size_t)(w - d->items);
    w->state = WORK_DECODING;
    pthread_mutex_unlock(&d->lock);
    int bad = decode(d->list, &d->options, index, &result);
    pthread_mutex_lock(&d->lock);
    d->items[at].result = result;
    d->items[at].state = bad ? WORK_BAD : WORK_READY;
    pthread_cond_broadcast(&d->changed);
}

static void *run(void *data) {
    decoder *d = data;
    pthread_mutex_lock(&d->lock);
    while (!d->stop) {
        work *w = oldest(d, WORK_QUEUED, WORK_QUEUED);
        if (w) decode_work(d, w);
        else pthread_cond_wait(&d->changed, &d->lock);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static int create_locks(decoder *d) {
    if (pthread_mutex_init(&d->lock, NULL)) return 1;
    if (!pthread_cond_init(&d->changed, NULL)) return 0;
    pthread_mutex_destroy(&d->lock);
    return 1;
}

int decoder_create(decoder **out, const listing *list, const folder_options *options, char *error,
                   size_t capacity) {
    decoder *d = calloc(1, sizeof *d);
    if (d) d->threads = calloc((size_t)options->readers, sizeof *d->threads);
    *out = d;
    if (!d || !d->threads || create_locks(d)) {
        if (d) free(d->threads);
        free(d);
        *out = NULL;
        snprintf(error, capacity, "out of memory");
        return 1;
    }
    d->list = list;
    d->options = *options;
    /* Without threads, pictures are decoded when they are taken. */
    while (d->started < options->readers && !pthread_create(&d->threads[d->started], NULL, run, d))
        d->started++;
    return 0;
}

void decoder_destroy(decoder *d) {
    if (!d) return;
    pthread_mutex_lock(&d->lock);
    d->stop = 1;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    for (int i = 0; i < d->started; i++) pthread_join(d->threads[i], NULL);
    for (size_t i = 0; i < d->count; i++) decoded_free(&d->items[i].result);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d->items);
    free(d->threads);
    free(d);
}

void decoder_begin(decoder *d, size_t count) {
    size_t wanted = 2 * count; /* those of this pass and of the next */
    pthread_mutex_lock(&d->lock);
    if (wanted > d->count) {
        work *items = realloc(d->items, wanted * sizeof *items);
        if (items) {
            memset(items + d->count, 0, (wanted - d->count) * sizeof *items);
            d->items = items;
            d->count = wanted;
        }
    }
    pthread_mutex_unlock(&d->lock);
}

void decoder_add(decoder *d, size_t index) {
    pthread_mutex_lock(&d->lock);
    int wanted = d->started && !find(d, index);
    work *w = wanted ? oldest(d, WORK_FREE, WORK_FREE) : NULL;
    if (wanted && !w) w = oldest(d, WORK_READY, WORK_BAD);
    if (w) {
        decoded_free(&w->result);
        *w = (work){.index = index, .order = d->orders++, .state = WORK_QUEUED};
        pthread_cond_broadcast(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
}

int decoder_take(decoder *d, size_t index, decoded *out) {
    pthread_mutex_lock(&d->lock);
    work *w = find(d, index);
    if (w && w->state == WORK_QUEUED) decode_work(d, w);
    while ((w = find(d, index)) != NULL && w->state == WORK_DECODING)
        pthread_cond_wait(&d->changed, &d->lock);
    if (!w) {
        pthread_mutex_unlock(&d->lock);
        return decode(d->list, &d->options, index, out);
    }
    int bad = w->state == WORK_BAD;
    *out = w->result;
    *w = (work){0};
    pthread_mutex_unlock(&d->lock);
    return bad;
}

/* ---- all at the start ---- */

typedef struct bulk {
    const listing *list;
    const folder_options *options;
    decoded *kept;
    uint8_t *bad;
    pthread_mutex_t lock; /* of all that follows */
    size_t next, done, bytes;
    int stop;
} bulk;

static size_t bytes_of(const picture *p) {
    return p->pixels ? (size_t)p->height * (size_t)p->width * (size_t)p->channels : 0;
}

static int is_full(const bulk *b) {
    return b->stop || b->next == b->list->count || b->bytes >= b->options->memory;
}

/* Decodes one picture more, with the lock held, which is released meanwhile. */
static void decode_next(bulk *b) {
    decoded result;
    size_t index = b->next++;
    pthread_mutex_unlock(&b->lock);
    int bad = decode(b->list, b->options, index, &result);
    pthread_mutex_lock(&b->lock);
    b->kept[index] = result;
    b->bad[index] = (uint8_t)bad;
    b->bytes += bytes_of(&result.image) + bytes_of(&result.condition);
    b->done++;
}

static void *run_bulk(void *data) {
    bulk *b = data;
    pthread_mutex_lock(&b->lock);
    while (!is_full(b)) decode_next(b);
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

int decode_all(const listing *list, const folder_options *options, decoded *kept, uint8_t *bad,
               folder_progress progress, void *user, char *error, size_t capacity) {
    bulk b = {.list = list, .options = options, .kept = kept, .bad = bad};
    int helpers = options->readers - 1, started = 0;
    size_t told = 0;
    pthread_t *threads = calloc((size_t)helpers + 1, sizeof *threads);
    if (!threads || pthread_mutex_init(&b.lock, NULL)) {
        free(threads);
        snprintf(error, capacity, "out of memory");
        return 1;
    }
    while (started < helpers && !pthread_create(&threads[started], NULL, run_bulk, &b)) started++;
    pthread_mutex_lock(&b.lock);
    while (!is_full(&b)) {
        decode_next(&b);
        told = b.done;
        b.stop = progress(user, told, list->count);
    }
    pthread_mutex_unlock(&b.lock);
    for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
    if (!b.stop && b.done > told) b.stop = progress(user, b.done, list->count);
    pthread_mutex_destroy(&b.lock);
    free(threads);
    return b.stop ? -1 : 0;
}
