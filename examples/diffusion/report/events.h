/* SPDX-License-Identifier: MIT */
/* Event files, from which TensorBoard draws curves, pictures and texts: a sequence of TFRecords
 * (tensorflow/core/lib/io/record_writer.h), each of which holds one Event message of protocol
 * buffers (tensorflow/core/util/event.proto, framework/summary.proto). The first failure is kept,
 * nothing is written after it, and events_close reports it. */
#ifndef DIFFUSION_REPORT_EVENTS_H
#define DIFFUSION_REPORT_EVENTS_H

#include <stddef.h>
#include <stdint.h>

typedef struct events events;

/* Creates folder/events.out.tfevents.TIME.HOST.PID, which must not exist; where it does, a number
 * is appended. NULL on failure, after writing a line to `error`. */
events *events_open(const char *folder, char *error, size_t capacity);

/* Each appends a value of the curve, picture or text `tag`. 1 if this or an earlier write failed,
 * else 0. step: 0 or more. */
int events_scalar(events *e, int64_t step, const char *tag, double value);
/* The bytes of a PNG file of that size and number of channels, 1 to 4. */
int events_image(events *e, int64_t step, const char *tag, int32_t height, int32_t width,
                 int32_t channels, const uint8_t *png, size_t size);
/* Text in UTF-8, shown as Markdown. */
int events_text(events *e, int64_t step, const char *tag, const char *text);
/* Hands what was written to the operating system, so that TensorBoard sees it. */
int events_flush(events *e);

/* Closes the file and frees e, which may be NULL. 1 if any write failed, after writing the path and
 * the reason of the first failure to `error`. */
int events_close(events *e, char *error, size_t capacity);

#endif
