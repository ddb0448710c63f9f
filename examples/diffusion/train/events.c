/* SPDX-License-Identifier: MIT */
/* See session.h: the losses of a run for TensorBoard. */
#include "report/events.h"

#include <stdio.h>
#include <stdlib.h>

#include "picture/read.h"
#include "train/session.h"

enum { INTERVAL = 10 }; /* steps between points of a curve */

int32_t open_events(session *s) {
    char error[512];
    if (!s->o->tensorboard) return DM_OK;
    s->events = events_open(s->o->out, error, sizeof error);
    return s->events ? DM_OK : command_line_refuse(s->line, "%s", error);
}

void add_events(session *s, const dm_train_stats *t) {
    static const char *const quarters[] = {"loss/quarter 1", "loss/quarter 2", "loss/quarter 3",
                                           "loss/quarter 4"};
    int64_t step = (int64_t)t->step;
    if (!s->events || t->step % INTERVAL) return;
    events_scalar(s->events, step, "loss/step", t->loss);
    events_scalar(s->events, step, "loss/mean", mean_loss(s));
    events_scalar(s->events, step, "learning rate", t->learning_rate);
    events_scalar(s->events, step, "gradient norm", t->gradient_norm);
    events_scalar(s->events, step, "images per second", s->rate);
    for (int q = 0; q < 4; q++)
        if (t->quarter_images[q]) events_scalar(s->events, step, quarters[q], t->quarter_loss[q]);
    events_flush(s->events);
}

/* The bytes of a file, to be freed; NULL if it cannot be read. */
static uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    long length = -1;
    if (!file) return NULL;
    if (!fseek(file, 0, SEEK_END)) length = ftell(file);
    if (length > 0 && !fseek(file, 0, SEEK_SET)) bytes = malloc((size_t)length);
    if (bytes && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
        free(bytes);
        bytes = NULL;
    }
    (void)fclose(file); /* which was only read */
    *size = (size_t)length;
    return bytes;
}

void add_event_picture(session *s, uint64_t step, const char *path) {
    picture_info info;
    char error[256];
    size_t size;
    if (!s->events || picture_probe(&info, path, error, sizeof error)) return;
    uint8_t *png = read_file(path, &size);
    if (png)
        events_image(s->events, (int64_t)step, "samples", info.height, info.width, info.channels,
                     png, size);
    free(png);
}

int32_t close_events(session *s) {
    char error[512];
    if (!events_close(s->events, error, sizeof error)) return DM_OK;
    return command_line_refuse(s->line, "%s", error);
}
