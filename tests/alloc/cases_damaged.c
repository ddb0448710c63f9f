/* SPDX-License-Identifier: MIT */
/* Damaged checkpoints: each loading function must report the damage or that memory is short, or
 * load what it needs from the rest of the file. */
#include <stdlib.h>
#include <string.h>

#include "../support/checksums.h"
#include "cases.h"

typedef enum damage {
    EMPTY,
    ABSENT,
    CUT_LENGTH, /* within the length of the header */
    CUT_HEADER,
    CUT_DATA,
    LONG_HEADER, /* a header longer than the file */
    BROKEN_JSON,
    BROKEN_UTF8,
    BROKEN_ESCAPE,
    HUGE_NUMBER,
    TWICE_A_KEY,
    MISSING_KEY, /* the type of a tensor */
    NEW_VERSION,
    OTHER_FORMAT,
    WRONG_NUMBER, /* in the metadata */
    WRONG_TYPE,
    WRONG_SHAPE,
    WRONG_NAME,
    DATA_TOO_LONG,
    NOT_FINITE,
    WRONG_CHECKSUM, /* of the metadata */
    FLIPPED_BIT,    /* in a tensor */
    DAMAGES
} damage;

enum { UNET, SCHEDULE, TRAINER, LOADERS };

/* A good checkpoint, made once in a process. */
static const uint8_t *good_file(world *w, size_t *size) {
    static uint8_t *bytes;
    static size_t bytes_size;
    if (!bytes) {
        world_add_trainer(w);
        PREPARE(w, dm_trainer_save_memory(w->trainer, NULL, 0, &bytes_size));
        bytes = malloc(bytes_size);
        PREPARE(w, dm_trainer_save_memory(w->trainer, bytes, bytes_size, &bytes_size));
        dm_trainer_destroy(w->trainer);
        dm_dataset_destroy(w->dataset);
        dm_schedule_destroy(w->schedule);
        dm_unet_destroy(w->unet);
        w->trainer = NULL;
        w->dataset = NULL;
        w->schedule = NULL;
        w->unet = NULL;
    }
    *size = bytes_size;
    return bytes;
}

/* The first occurrence, which must exist, by a text of the same length. */
static void replace(world *w, const char *text, const char *by) {
    uint8_t *at = memmem(w->bytes, w->size, text, strlen(text));
    world_require(w, at && strlen(text) == strlen(by), text);
    memcpy(at, by, strlen(by));
}

static void apply(world *w, damage kind) {
    static const struct {
        damage kind;
        const char *text, *by;
    } edits[] = {
        {BROKEN_JSON, "\"dtype\":", "\"dtype\"]"},
        {BROKEN_UTF8, "conv_in", "conv\xff\xfen"},
        {BROKEN_ESCAPE, "conv_in", "co\\udin"},
        {HUGE_NUMBER, "\"shape\":[", "\"shape\":-"},
        {TWICE_A_KEY, "\"trainer.beta1\"", "\"trainer.beta2\""},
        {MISSING_KEY, "\"dtype\"", "\"dtypo\""},
        {NEW_VERSION, "\"format_version\":\"1\"", "\"format_version\":\"9\""},
        {OTHER_FORMAT, "libdiffusion.checkpoint", "libdiffusion.checkpaint"},
        {WRONG_NUMBER, "\"unet.levels\":\"2\"", "\"unet.levels\":\"x\""},
        {WRONG_TYPE, "\"ema_0.conv_in.bias\":{\"dtype\":\"F",
         "\"ema_0.conv_in.bias\":{\"dtype\":\"I"},
        {WRONG_SHAPE, "\"shape\":[8", "\"shape\":[9"},
        {WRONG_NAME, "\"ema_0.conv_in.bias", "\"ema_0.conv_on.bias"},
        {DATA_TOO_LONG, "\"data_offsets\":[0,", "\"data_offsets\":[1,"},
        {WRONG_CHECKSUM, "\"trainer.beta1\"", "\"trainer.beta9\""},
    };
    uint8_t *bytes = w->bytes;
    if (kind != WRONG_CHECKSUM && kind != FLIPPED_BIT) test_drop_checksums(bytes, w->size);
    if (kind == FLIPPED_BIT) bytes[w->size - 1] ^= 1, bytes[w->size / 2] ^= 1;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++)
        if (edits[i].kind == kind) replace(w, edits[i].text, edits[i].by);
    if (kind == EMPTY) w->size = 0;
    if (kind == CUT_LENGTH) w->size = 5;
    if (kind == CUT_HEADER) w->size = 300;
    if (kind == CUT_DATA) w->size -= 8;
    if (kind == LONG_HEADER) bytes[2] = 0x70;
    if (kind == NOT_FINITE) memset(bytes + w->size / 16 * 4, 0xff, w->size / 16 * 12);
}

static void prepare(world *w) {
    const damage kind = (damage)(w->variant / LOADERS);
    const uint8_t *good = good_file(w, &w->size);
    w->bytes = malloc(w->size);
    memcpy(w->bytes, good, w->size);
    apply(w, kind);
    if (kind != ABSENT) world_write_file(w, w->path, w->bytes, w->size);
    else w->size = 1;
    if (w->variant % LOADERS != TRAINER) return;
    world_add_unet(w);
    world_add_dataset(w);
}

static dm_status load(world *w) {
    dm_unet *unet;
    dm_schedule *schedule;
    dm_trainer *trainer;
    dm_status status;
    switch (w->variant % LOADERS) {
        case UNET:
            status = CALL(dm_unet_load, &unet, w->context, w->path, DM_WEIGHTS_DEFAULT);
            w->made[MADE_UNET] = unet;
            return status;
        case SCHEDULE:
            status = CALL(dm_schedule_load, &schedule, w->context, w->path);
            w->made[MADE_SCHEDULE] = schedule;
            return status;
        default:
            status = CALL(dm_trainer_resume, &trainer, w->unet, w->dataset, w->path);
            w->made[MADE_TRAINER] = trainer;
            return status;
    }
}

static dm_status load_memory(world *w) {
    dm_unet *unet;
    dm_schedule *schedule;
    dm_trainer *trainer;
    dm_status status;
    switch (w->variant % LOADERS) {
        case UNET:
            status =
                CALL(dm_unet_load_memory, &unet, w->context, w->bytes, w->size, DM_WEIGHTS_DEFAULT);
            w->made[MADE_UNET] = unet;
            return status;
        case SCHEDULE:
            status = CALL(dm_schedule_load_memory, &schedule, w->context, w->bytes, w->size);
            w->made[MADE_SCHEDULE] = schedule;
            return status;
        default:
            status =
                CALL(dm_trainer_resume_memory, &trainer, w->unet, w->dataset, w->bytes, w->size);
            w->made[MADE_TRAINER] = trainer;
            return status;
    }
}

/* The network and the trainer from a file or from memory, the schedule from the other. */
#define DAMAGED(kind, text, flags_unet, flags_schedule, flags_trainer)                             \
    {"unet_load, " text, prepare, kind % 2 ? load : load_memory, kind * LOADERS + UNET,            \
     flags_unet},                                                                                  \
        {"schedule_load, " text, prepare, kind % 2 ? load_memory : load,                           \
         kind * LOADERS + SCHEDULE, flags_schedule},                                               \
    {                                                                                              \
        "trainer_resume, " text, prepare, kind % 2 ? load : load_memory, kind *LOADERS + TRAINER,  \
            flags_trainer                                                                          \
    }

const alloc_case cases_damaged[] = {
    DAMAGED(ABSENT, "no file", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(EMPTY, "empty", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(CUT_LENGTH, "cut in the length", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(CUT_HEADER, "cut in the header", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(CUT_DATA, "cut in the data", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(LONG_HEADER, "long header", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(BROKEN_JSON, "broken JSON", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(BROKEN_UTF8, "broken UTF-8", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(BROKEN_ESCAPE, "broken escape", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(HUGE_NUMBER, "broken number", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(TWICE_A_KEY, "key twice", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(MISSING_KEY, "missing key", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(NEW_VERSION, "newer version", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(OTHER_FORMAT, "other format", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(WRONG_NUMBER, "no number", CASE_FAILS, 0, CASE_FAILS),
    DAMAGED(WRONG_TYPE, "wrong type", CASE_FAILS, 0, CASE_FAILS),
    DAMAGED(WRONG_SHAPE, "wrong shape", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(WRONG_NAME, "wrong name", CASE_FAILS, 0, CASE_FAILS),
    DAMAGED(DATA_TOO_LONG, "wrong offset", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(NOT_FINITE, "NaN", CASE_FAILS, 0, CASE_FAILS),
    DAMAGED(WRONG_CHECKSUM, "wrong checksum", CASE_FAILS, CASE_FAILS, CASE_FAILS),
    DAMAGED(FLIPPED_BIT, "flipped bit", 0, 0, CASE_FAILS),
    {NULL, NULL, NULL, 0, 0}};
